"""The calls into the compiled margin: one account, many, all of them; an order's entry.

Owns: which kernel answers which question, and the disk cache of the compiled code, which is bound
to a fingerprint of all kernel sources as in ``book_entry.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np

from novate.engine import lanes_gate as gate
from novate.engine import lanes_kernel as kernel
from novate.engine import lanes_worst as worst
from novate.engine.book_entry import fingerprint
from novate.engine.book_memory import address, fetch
from novate.engine.lanes_kernel import Span, Tables, inlined
from novate.engine.lanes_layout import (
    ASKED_ACCOUNT,
    ASKED_COLUMN,
    ASKED_LOTS,
    ASKED_PLACE,
    COUNT,
    FIRST,
    MONEY,
    NO_PLACE,
    NOBODY,
    ORDER_COLUMNS,
    PASSES,
    STANDING_COLUMNS,
    SUMS,
    TOO_CLOSE,
    Reals,
    Words,
)

AHEAD = 4  # questions whose rows are asked for early
LINE = 8  # words of a cache line


@inlined
def _span(accounts: Words, account: int) -> Span:
    """Where an account's positions are."""
    return accounts[account, FIRST], accounts[account, COUNT]


@inlined
def _look(positions: Words, orders: Words, span: Span) -> None:
    """Bring an account's rows near that are read soon."""
    first, count = np.uint64(span[0]), np.uint64(span[1])
    words, rows = address(positions), address(orders)
    for line in range(0, count, LINE):
        fetch(words, first + np.uint64(line))
    for line in range(0, count * ORDER_COLUMNS, LINE):
        fetch(rows, first * np.uint64(ORDER_COLUMNS) + np.uint64(line))


@inlined
def _revalue(
    tables: Tables, positions: Words, accounts: Words, standings: Reals, begin: int, end: int
) -> None:
    sums = np.empty(SUMS)
    for account in range(begin, end):
        span, out = _span(accounts, account), standings[account]
        kernel.stand(tables, positions, span, NO_PLACE, 0, out[MONEY], sums, out)


@inlined
def _passes(
    tables: Tables,
    positions: Words,
    accounts: Words,
    standings: Reals,
    questions: Words,
    money: Reals,
    debt_allowed: bool,
    answers: Words,
) -> None:
    sums, after = np.empty(SUMS), np.empty(STANDING_COLUMNS)
    for number in range(len(questions)):
        account = questions[number, ASKED_ACCOUNT]
        place, lots = questions[number, ASKED_PLACE], questions[number, ASKED_LOTS]
        span = _span(accounts, account)
        kernel.stand(tables, positions, span, place, lots, money[number], sums, after)
        answers[number] = gate.passes(standings[account], after, debt_allowed)


@inlined
def _holds(
    tables: Tables,
    positions: Words,
    orders: Words,
    accounts: Words,
    questions: Words,
    money: Reals,
    answers: Words,
) -> None:
    sums = np.empty(SUMS)
    for number in range(len(questions)):
        if number + AHEAD < len(questions):
            soon = _span(accounts, questions[number + AHEAD, ASKED_ACCOUNT])
            _look(positions, orders, soon)
        span = _span(accounts, questions[number, ASKED_ACCOUNT])
        beyond, error = worst.worst(
            tables,
            positions,
            orders,
            span,
            questions[number, ASKED_PLACE],
            questions[number, ASKED_COLUMN],
            questions[number, ASKED_LOTS],
            money[number],
            sums,
        )
        answers[number] = kernel.sign(beyond, error)


@inlined
def _passes_from(
    tables: Tables,
    positions: Words,
    accounts: Words,
    start: int,
    start_money: float,
    question: tuple[int, int, int],
    money: float,
    debt_allowed: bool,
    work: Reals,
) -> int:
    account, place, lots = question
    sums = work[2 * STANDING_COLUMNS :]
    before, after = work[:STANDING_COLUMNS], work[STANDING_COLUMNS : 2 * STANDING_COLUMNS]
    kernel.stand(tables, positions, _span(accounts, account), place, lots, money, sums, after)
    answer = gate.funded(after, debt_allowed)
    if start == NOBODY or answer == PASSES:
        return answer
    span = _span(accounts, start)
    kernel.stand(tables, positions, span, NO_PLACE, 0, start_money, sums, before)
    return gate.passes(before, after, debt_allowed)


def _entries(sources: int) -> tuple[Callable[..., Any], ...]:
    """The functions that Python calls, each bound to the fingerprint of the sources."""

    def revalue(
        tables: Tables, positions: Words, accounts: Words, standings: Reals, begin: int, end: int
    ) -> int:
        """Write what accounts have and need at this round, ``begin`` to ``end``."""
        _revalue(tables, positions, accounts, standings, begin, end)
        return sources

    def passes(
        tables: Tables,
        positions: Words,
        accounts: Words,
        standings: Reals,
        questions: Words,
        money: Reals,
        debt_allowed: bool,
        answers: Words,
    ) -> int:
        """Answer for each question whether its account, at ``money`` and with the lots more, passes
        the gate from where it stands.
        """
        _passes(tables, positions, accounts, standings, questions, money, debt_allowed, answers)
        return sources

    def holds(
        tables: Tables,
        positions: Words,
        orders: Words,
        accounts: Words,
        questions: Words,
        money: Reals,
        answers: Words,
    ) -> int:
        """Answer for each question whether its account, at ``money``, can hold its open orders at
        their worst, and the lots more in one column of them.
        """
        _holds(tables, positions, orders, accounts, questions, money, answers)
        return sources

    return _compiled(revalue, passes, holds)


def _single_entries(sources: int) -> tuple[Callable[..., Any], ...]:
    """The same for one question; plain arguments, with which a call from Python is fastest."""

    def passes_from(
        instruments: Reals,
        words: Words,
        underlyings: Reals,
        venue: Reals,
        positions: Words,
        accounts: Words,
        work: Reals,
        account: int,
        place: int,
        lots: int,
        money: float,
        debt_allowed: bool,
        start: int,
        start_money: float,
    ) -> int:
        """``passes`` for one account, from where another row of it stands; without one, whether it
        holds initial margin.
        """
        tables, question = (instruments, words, underlyings, venue), (account, place, lots)
        return sources * 0 + _passes_from(
            tables, positions, accounts, start, start_money, question, money, debt_allowed, work
        )

    def spare(
        instruments: Reals,
        words: Words,
        underlyings: Reals,
        venue: Reals,
        positions: Words,
        orders: Words,
        accounts: Words,
        work: Reals,
        account: int,
        place: int,
        column: int,
        lots: int,
        money: float,
    ) -> float:
        """``holds`` for one account: what it surely has to spare, or surely lacks (below zero); 0
        is too close.
        """
        tables = instruments, words, underlyings, venue
        span = _span(accounts, account)
        beyond, error = worst.worst(
            tables, positions, orders, span, place, column, lots, money, work
        )
        answer = kernel.sign(beyond, error)
        if answer == TOO_CLOSE:
            return sources * 0.0
        return beyond - error if answer == PASSES else beyond + error

    return _compiled(passes_from, spare)


def _compiled(*entries: Callable[..., Any]) -> tuple[Callable[..., Any], ...]:
    return tuple(numba.njit(cache=True, error_model="numpy", nogil=True)(e) for e in entries)


_SOURCES = fingerprint(Path(__file__).parent, "lanes*.py")
revalue, passes, holds = _entries(_SOURCES)
passes_from, spare = _single_entries(_SOURCES)
