"""The world: every table of the model, the clock, the log, and the peers' addresses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from novate.model.custody import CustodyState
from novate.model.governance import Addresses
from novate.model.instrument import Market, Terms
from novate.model.kept import Kept
from novate.model.ledger import LedgerState
from novate.model.liquidation import LiquidationState
from novate.model.margin import RiskState
from novate.model.option_listing import OptionsState
from novate.model.oracle import Feed, OracleState, Status
from novate.model.settlement import ExchangeState
from novate.model.store import Store
from novate.model.surfaces import SurfacesState
from novate.model.waterfall import WaterfallState


@dataclass(frozen=True, slots=True)
class Event:
    """A log line: the same name and arguments as the contract's event."""

    name: str
    arguments: dict[str, Any]


class World:
    """One venue's whole settlement state."""

    def __init__(self, now: int = 0, addresses: dict[str, str] | None = None) -> None:
        self.store = Store()
        self.now = now
        self.addresses = Addresses(self.store, addresses or {})
        self.events: list[Event] = []
        self.kept: dict[str, Kept] = {}
        self.oracle = OracleState(self.store)
        self.surfaces = SurfacesState(self.store)
        self.options = OptionsState(self.store)
        self.risk = RiskState(self.store)
        self.ledger = LedgerState(self.store)
        self.exchange = ExchangeState(self.store)
        self.custody = CustodyState(self.store)
        self.liquidation = LiquidationState(self.store)
        self.waterfall = WaterfallState(self.store)

    def emit(self, name: str, **arguments: Any) -> None:
        """Record an event."""
        self.events.append(Event(name, arguments))

    def take_events(self) -> list[Event]:
        """Events since the last call."""
        taken, self.events = self.events, []
        return taken

    def snapshot(self, instrument: int) -> tuple[Terms, Market, Feed, Status]:
        """All that the value of one instrument depends on; the market's funding is up to now."""
        from novate.model import funding, oracle

        terms = self.ledger.terms[instrument]
        status = oracle.status(self)
        feed = oracle.feed(self, terms.feed)
        market = funding.project(
            self.ledger.markets[instrument],
            terms,
            feed,
            status.stale_after,
            self.ledger.config,
            self.now,
        )
        return terms, market, feed, status

    def oracle_is_silent(self) -> bool:
        """Whether no round at all has come for longer than the staleness limit."""
        from novate.model import oracle

        status = oracle.status(self)
        return self.now > status.timestamp + status.stale_after

    def in_restart_grace(self) -> bool:
        """Whether prices resumed less than the grace period ago."""
        from novate.model import oracle

        status = oracle.status(self)
        return self.now < status.restarted_at + status.restart_grace

    def state_hash(self) -> str:
        """Canonical hash of every table (invariant I12)."""
        return self.store.state_hash()
