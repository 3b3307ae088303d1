"""The last step of a verification: what the chain stores is what the model computed, word by word.

Accounts with their positions, markets, the pot, epochs, peers and venues, oracle and custody words;
and the money: the token's own books, custody's sheet and the sum of all claims are one number.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from novate.chain.backend import abi_of
from novate.chain.deployment import CONTRACT_OF
from novate.model import invariants, options
from novate.model.option_id import is_dated, is_option
from novate.model.state import World
from novate.services.replica import PEERS
from novate.services.verification import Case, Tick, Wrong

BALANCE_OF = bytes.fromhex("70a08231")
LANES = 4


@dataclass(frozen=True, slots=True)
class Question:
    """A view to ask, and what it must answer."""

    contract: str
    function: str
    arguments: tuple[Any, ...]
    expected: Any

    def __str__(self) -> str:
        shown = ", ".join(a.hex() if isinstance(a, bytes) else str(a) for a in self.arguments)
        return f"{self.contract}.{self.function}({shown})"


def final_state(case: Case, tick: Tick) -> str:
    """Every stored word on the chain equals the model's; custody holds the claims to the wei."""
    world = case.world
    if world is None:
        raise Wrong("the settlement step did not come to its end")
    questions = list(_questions(world, case.deployment.tokens.values()))
    answers = _ask(case, questions)
    for place, (question, answer) in enumerate(zip(questions, answers, strict=True)):
        if question.function == "positions":
            answer = _positions(answer)
        if answer != question.expected:
            raise Wrong(f"{question}: the chain says {answer}, the model {question.expected}")
        if place % 200 == 0:
            tick(place, len(questions))
    return f"{len(questions)} answers of the contracts equal; {_money(case, world)}"


def _questions(world: World, tokens: Iterable[str]) -> Iterator[Question]:
    book = world.ledger
    for account, row in book.accounts.items():
        name = account.to_bytes(32, "big")
        yield Question("clearinghouse", "account", (name,), row.slots())
        yield Question("clearinghouse", "positions", (name,), row.positions)
    config = book.config.pack()
    for instrument, terms in book.terms.items():
        market = 0 if is_dated(instrument) else book.markets[instrument].pack(terms)
        words = (terms.pack(), market, config)
        yield Question("clearinghouse", "market", (instrument,), words)
    yield Question("clearinghouse", "pot", (), (book.pot.fees, book.pot.debt))
    for number, epoch in book.epochs.items():
        word = epoch.shares | epoch.cut << 128
        yield Question("clearinghouse", "epochs", (number,), word)
    for role in PEERS:
        yield Question("clearinghouse", role, (), world.addresses[role])
    for venue, approved in book.venues.items():
        yield Question("clearinghouse", "venues", (venue,), approved)
    yield from _dated(world)
    yield Question("oracle", "status", (), world.oracle.statuses[0].pack())
    for feed, prices in world.oracle.feeds.items():
        yield Question("oracle", "feed", (feed,), prices.pack())
    for token in tokens:
        t = world.custody.tokens[token]
        sheet = (t.balance, t.cap, t.decimals, t.instrument, t.lot_units)
        yield Question("custody", "token", (token,), sheet)


def _dated(world: World) -> Iterator[Question]:
    """What stands in Options and Surfaces."""
    rows = world.options
    for underlying, grid in rows.grids.items():
        yield Question("options", "grid", (underlying,), grid.pack())
    for underlying, word in rows.epochs.items():
        yield Question("options", "epoch", (underlying,), word)
    for place, listed in rows.listed.items():
        yield Question("options", "listed", place, (listed.expiry, tuple(listed.strikes)))
    for place, series in rows.series.items():
        yield Question("options", "series", place, series.pack())
    for id in sorted({*rows.infos.rows, *rows.interests.rows}):
        if is_option(id):
            yield Question("options", "words", ([id],), tuple(options.words(world, [id])))
    for place, word in world.surfaces.words.items():
        yield Question("surfaces", "surface", place, word)


def _ask(case: Case, questions: Sequence[Question]) -> list[Any]:
    """All answers at the chain's head, in few messages."""
    abis = {name: abi_of(CONTRACT_OF[name]) for name in case.deployment.addresses}
    rows = []
    for question in questions:
        data = abis[question.contract].encode_call(question.function, *question.arguments)
        to = case.deployment.addresses[question.contract]
        rows.append(({"to": to, "data": "0x" + data.hex()}, "latest"))
    outputs = case.client.request_many("eth_call", rows)
    return [
        abis[q.contract].decode_result(q.function, len(q.arguments), bytes.fromhex(output[2:]))
        for q, output in zip(questions, outputs, strict=True)
    ]


def _positions(words: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """(instrument, lots) in instrument order behind packed lanes of 44 and 20 bits."""
    found = []
    for word in words:
        for lane in range(LANES):
            item = word >> 64 * lane & (2**64 - 1)
            if item:
                found.append((item >> 44, (item & (2**44 - 1)) - 2**43))
    return tuple(sorted(found))


def _money(case: Case, world: World) -> str:
    """Token books equal custody's sheet; cash equals all claims but for dust that cuts left."""
    custody = case.deployment.addresses["custody"]
    for name, token in case.deployment.tokens.items():
        held = int.from_bytes(case.client.call(token, BALANCE_OF + _padded(custody)), "big")
        sheet = world.custody.tokens[token].balance
        if held < sheet:
            raise Wrong(f"custody holds {held} units of {name}, its sheet says {sheet}")
    if not invariants.I01_custody_equals_claims(world):
        gap = invariants.claims(world) - invariants.custody_cash(world)
        raise Wrong(f"claims exceed custody by {gap} wei")
    return f"custody {invariants.custody_cash(world)} wei, claims {invariants.claims(world)} wei"


def _padded(address: str) -> bytes:
    return bytes.fromhex(address[2:]).rjust(32, b"\0")
