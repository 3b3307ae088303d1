"""Signed orders and their matches, made before anything is timed.

Owns: what a batch of the settlement benchmark is: makers' resting orders, each filled by immediate
orders of takers, over four perps. Lots of one; prices are the marks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from novate.bench.venue import Trader, Venue, trader
from novate.engine.orders import record_of
from novate.model.order import IMMEDIATE
from novate.wire import eip712
from novate.wire.order import SignedOrder
from novate.wire.records import AnyRecord, BatchClosed, Matched, OrderPlaced

MAKERS = TAKERS = 10
LOTS = 1


@dataclass(frozen=True, slots=True)
class Batch:
    """Matches of one batch, with the orders that none before had."""

    placed: tuple[OrderPlaced, ...]
    matches: tuple[Matched, ...]
    closed: BatchClosed

    def records(self) -> Iterator[AnyRecord]:
        """As the engine writes them."""
        yield from self.placed
        yield from self.matches
        yield self.closed


class Desk:
    """Signed orders and their matches, ahead of the clock."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self.makers = [trader(f"settling maker {i}") for i in range(MAKERS)]
        self.takers = [trader(f"settling taker {i}") for i in range(TAKERS)]
        self.perps = venue.parameters.instruments[:4]
        self.sequence = 0
        self._turn = 0
        venue.fund([*self.makers, *self.takers])

    def batch(self, count: int) -> Batch:
        """A batch of ``count`` fills; takers buy and sell in turn, so positions stay small."""
        self._turn += 1
        sign = 1 if self._turn % 2 else -1
        width = min(MAKERS, count)
        resting = [self._order(self.makers[i], i, -sign * count * LOTS) for i in range(width)]
        first = self.sequence
        placed, matches = list(resting), []
        for number in range(count):
            place = number % width
            taker = self.takers[number % TAKERS]
            order = self._order(taker, place, sign * LOTS, IMMEDIATE)
            placed.append(order)
            matches.append(self._match(order, resting[place], first + number))
        self.sequence += count
        return Batch(tuple(placed), tuple(matches), BatchClosed(first, count, 0, 0))

    def _order(self, owner: Trader, place: int, lots: int, flags: int = 0) -> OrderPlaced:
        perp = self.perps[place % len(self.perps)]
        signed = self.venue.order(owner, perp, lots, self.venue.price_of(perp), flags)
        return placed_record(self.venue.separator, signed)

    def _match(self, taker: OrderPlaced, maker: OrderPlaced, sequence: int) -> Matched:
        order = maker.order
        return Matched(
            sequence=sequence,
            maker=maker.digest,
            taker=taker.digest,
            maker_account=order.account,
            taker_account=taker.order.account,
            instrument=order.instrument,
            taker_buys=taker.order.lots > 0,
            lots=LOTS,
            price=order.price,
            fee_maker="0",
            fee_taker="0",
            matched_at=0,
            receipt=bytes(64),
            oracle_round=0,
        )


def placed_record(separator: bytes, signed: SignedOrder) -> OrderPlaced:
    """The journal's record of a signed order."""
    return OrderPlaced(
        digest=eip712.order_digest(separator, signed.order),
        order=record_of(signed.order),
        signature=signed.r.to_bytes(32, "big") + signed.vs.to_bytes(32, "big"),
        signer=bytes.fromhex(signed.order.owner[2:]),
        received_ms=0,
    )
