"""What the API needs of an engine."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from novate.engine.protection import Protection
from novate.engine.safeguards import Safeguards
from novate.model.state import World
from novate.wire.records import AnyRecord, OracleRound, OrderPlaced


class Book(Protocol):
    """What rests, by instrument."""

    def depth(self, instrument: int, is_buy: bool, levels: int = ...) -> list[tuple[int, int]]:
        """(price in ticks, lots) of one side, best first."""
        ...

    def span(self, instrument: int) -> tuple[int, int] | None:
        """The lowest and the highest price, in ticks, at which an order can rest."""
        ...

    def warm(self) -> None:
        """Make ready for the first order."""
        ...


class Engine(Protocol):
    """The sequencer: a deterministic fold of the journal."""

    world: World
    safeguards: Safeguards

    @property
    def book(self) -> Book:
        """What rests."""
        ...

    @property
    def placed(self) -> dict[bytes, OrderPlaced]:
        """Every order that was taken, by its digest."""
        ...

    @property
    def first_open(self) -> int:
        """The first match that its world does not hold: that of the open batch."""
        ...

    def has_orders(self, account: int) -> bool:
        """Whether an account has open orders."""
        ...

    def protection(self, account: int, underlying: int) -> Protection:
        """An account's market-maker protection in an underlying."""
        ...

    def refusal(self, command: OracleRound) -> Exception | None:
        """Why a round would have no effect now; None if it would have."""
        ...

    def fold(self, command: AnyRecord) -> list[AnyRecord]:
        """Apply one command; the events it causes, matches without receipts."""
        ...

    def sealed(self, events: Iterable[AnyRecord]) -> list[AnyRecord]:
        """The same events with receipts, as the journal holds them."""
        ...
