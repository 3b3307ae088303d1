"""Pre-trade margin: the contract's gate for any account and order, fast, and never another answer.

Owns: accounts with their positions and open orders in flat arrays (``lanes_layout.py``), kept up on
fills, and judged against the prices of the world's round. An answer is PASSES, FAILS or TOO_CLOSE;
the first two are those of the exact model (the bound and its proof: ``lanes_layout.py``), and with
the last the caller asks the model itself. So an answer never depends on a machine's floats.

An account's sums by underlying are not stored: a fill changes one position of two accounts, and
making their sums again from twenty positions takes as long as reading stored ones, never drifts,
and is the same code for one account and for all of a new round. Money in wei.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from novate.engine import lanes_entry as entry
from novate.engine import lanes_layout as layout
from novate.engine.lanes_layout import FAILS, PASSES, TOO_CLOSE, Reals, Words
from novate.engine.lanes_rows import Round
from novate.model.open_margin import Reach
from novate.model.state import World

FEWEST = 8  # positions that an account has room for at first


class Lanes:
    """The accounts of one engine."""

    def __init__(self, world: World, accounts: int = 64, positions: int = 64 * FEWEST) -> None:
        self.round = Round(world)
        self.count = 0
        self.accounts: Words = np.zeros((accounts, layout.ACCOUNT_COLUMNS), np.int64)
        self.standings: Reals = np.zeros((accounts, layout.STANDING_COLUMNS))
        self.positions: Words = np.zeros(positions, np.int64)
        self.orders: Words = np.zeros((positions, layout.ORDER_COLUMNS), np.int64)
        self._used = 0
        self._rows: dict[int, dict[int, int]] = {}  # of an account, by instrument: where it is
        self._order_words = self.orders.reshape(-1).data
        self._position_words = self.positions.data
        self._work: Reals = np.zeros(2 * layout.STANDING_COLUMNS + layout.SUMS)

    # Accounts

    def add(self) -> int:
        """A new account, without money or positions; its number."""
        if self.count == len(self.accounts):
            self._double_accounts()
        self.count += 1
        return self.count - 1

    def load(
        self, account: int, positions: Iterable[tuple[int, int]], reaches: Mapping[int, Reach]
    ) -> None:
        """Give an account these positions (instrument, lots) and these open orders."""
        held = dict(positions)
        wanted = [*held, *(instrument for instrument in reaches if instrument not in held)]
        self._make_room(account, len(wanted))
        self._rows.pop(account, None)
        first = int(self.accounts[account, layout.FIRST])
        for at, instrument in enumerate(wanted, first):
            place = self.round.place(instrument)
            self.positions[at] = held.get(instrument, 0) << layout.PLACE_BITS | place
            reach = reaches.get(instrument)
            self.orders[at] = 0 if reach is None else _columns(reach)
        self.accounts[account, layout.COUNT] = len(wanted)

    def add_many(self, places: Words, lots: Words) -> None:
        """New accounts at once, each with as many positions: a row of places and one of lots."""
        accounts, count = places.shape
        begin, end = self.count, self.count + accounts
        while end > len(self.accounts):
            self._double_accounts()
        while self._used + accounts * count > len(self.positions):
            self._double_positions()
        used = slice(self._used, self._used + accounts * count)
        self.positions[used] = (lots << layout.PLACE_BITS | places).ravel()
        self.accounts[begin:end, layout.FIRST] = np.arange(used.start, used.stop, count)
        self.accounts[begin:end, layout.COUNT] = self.accounts[begin:end, layout.ROOM] = count
        self.count, self._used = end, used.stop

    def fill(self, account: int, instrument: int, lots: int) -> None:
        """A position changed by ``lots``."""
        self._position_words[self._find(account, instrument)] += lots << layout.PLACE_BITS

    def reach(self, account: int, instrument: int, reach: Reach) -> None:
        """An instrument's open orders are these now."""
        first, words = layout.ORDER_COLUMNS * self._find(account, instrument), self._order_words
        words[first + layout.BUYS] = reach.buys
        words[first + layout.SELLS] = reach.sells
        words[first + layout.REDUCING_BUYS] = reach.reducing_buys
        words[first + layout.REDUCING_SELLS] = reach.reducing_sells

    def _find(self, account: int, instrument: int) -> int:
        """Where an account's position in an instrument is; an empty one is made."""
        rows = self._rows.get(account)
        if rows is None:
            rows = self._rows[account] = {}
        found = rows.get(instrument)
        if found is None:
            found = self._search(account, instrument)
            # another dictionary if that has moved the account's rows
            self._rows.setdefault(account, {})[instrument] = found
        return found

    def _search(self, account: int, instrument: int) -> int:
        place = self.round.place(instrument)
        first, count, room = (int(word) for word in self.accounts[account])
        for at in range(first, first + count):
            if int(self.positions[at]) & layout.PLACE_MASK == place:
                return at
        if count == room:
            self._make_room(account, count + 1)
            first = int(self.accounts[account, layout.FIRST])
        self.accounts[account, layout.COUNT] += 1
        self.positions[first + count] = place
        self.orders[first + count] = 0
        return first + count

    def _make_room(self, account: int, wanted: int) -> None:
        """Room for that many positions; those there move along."""
        first, count, room = (int(word) for word in self.accounts[account])
        if wanted <= room:
            return
        room = max(FEWEST, 2 * room, wanted)
        while self._used + room > len(self.positions):
            self._double_positions()
        self._rows.pop(account, None)
        there = self._used
        self.positions[there : there + count] = self.positions[first : first + count]
        self.orders[there : there + count] = self.orders[first : first + count]
        self.accounts[account] = there, count, room
        self._used += room

    def _double_accounts(self) -> None:
        self.accounts = np.concatenate((self.accounts, np.zeros_like(self.accounts)))
        self.standings = np.concatenate((self.standings, np.zeros_like(self.standings)))

    def _double_positions(self) -> None:
        self.positions = np.concatenate((self.positions, np.zeros_like(self.positions)))
        self.orders = np.concatenate((self.orders, np.zeros_like(self.orders)))
        self._order_words = self.orders.reshape(-1).data
        self._position_words = self.positions.data

    # Answers

    def revalue(self, money: Reals | None = None) -> None:
        """Judge all accounts at the world's round, each with its ``money`` (as it was, if None)."""
        self.round.refresh()
        if money is not None:
            self.standings[: self.count, layout.MONEY] = money
        entry.revalue(
            self.round.tables(), self.positions, self.accounts, self.standings, 0, self.count
        )

    def passes(self, questions: Words, money: Reals, debt_allowed: bool) -> Words:
        """For each (account, instrument's place, lots, 0) whether the account passes the gate from
        where it stood when last revalued, with the lots and at that money.
        """
        answers = np.empty(len(questions), np.int64)
        entry.passes(
            self.round.tables(),
            self.positions,
            self.accounts,
            self.standings,
            questions,
            money,
            debt_allowed,
            answers,
        )
        return answers

    def passes_from(
        self,
        start: tuple[int, float],
        account: int,
        instrument: int,
        lots: int,
        money: float,
        debt_allowed: bool,
    ) -> int:
        """Whether an account passes the gate with ``lots`` more of an instrument, at ``money``;
        ``start`` is the account, and its money, that it is to be no worse than.
        """
        answer: int = entry.passes_from(
            *self.round.tables(),
            self.positions,
            self.accounts,
            self._work,
            account,
            self.round.place(instrument),
            lots,
            money,
            debt_allowed,
            *start,
        )
        return answer

    def holds(self, account: int, instrument: int, column: int, lots: int, money: float) -> int:
        """Whether an account can hold its open orders at their worst, and ``lots`` more in one
        column of them; ``money`` is less what they cost.
        """
        found = self.spare(account, instrument, column, lots, money)
        return TOO_CLOSE if found == 0.0 else PASSES if found > 0.0 else FAILS

    def spare(self, account: int, instrument: int, column: int, lots: int, money: float) -> float:
        """The same: what it surely has to spare (wei), or surely lacks (below zero); 0 is too
        close.
        """
        self._find(account, instrument)
        answer: float = entry.spare(
            *self.round.tables(),
            self.positions,
            self.orders,
            self.accounts,
            self._work,
            account,
            self.round.place(instrument),
            column,
            lots,
            money,
        )
        return answer

    def all_hold(self, questions: Words, money: Reals) -> Words:
        """The same for each (account, instrument's place, lots, column); each has its row there."""
        answers = np.empty(len(questions), np.int64)
        entry.holds(
            self.round.tables(),
            self.positions,
            self.orders,
            self.accounts,
            questions,
            money,
            answers,
        )
        return answers


def _columns(reach: Reach) -> tuple[int, int, int, int]:
    return reach.buys, reach.sells, reach.reducing_buys, reach.reducing_sells
