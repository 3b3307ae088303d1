"""Channels about the venue as a whole, and about an account's settlement.

Owns: ``auctions``, ``insurance``, ``oracle.feeds``, ``risk_parameters``, ``settlement.batches``,
``trade_busts`` and ``user.settlement``. Rows are those of the methods of the same subject. What is
a state (insurance, parameters) is looked at once an interval in which it may have changed, and told
if it did; the rest at the record that says so. Without followers nothing is worked out. When blocks
leave the chain, what they had settled, refused or auctioned is told as it stands then, with the
first of them as ``reorganised_from``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import structs, to_builtins

from novate.api import risk_views
from novate.api.aggregate import Aggregator
from novate.api.market import Market
from novate.api.numbers import decimal
from novate.api.outlet import Data, Outlet
from novate.api.pending_changes import PendingChanges
from novate.api.settlement_fold import Bust, Moved, Settlements, reason_of
from novate.model import liquidation
from novate.services.indexer_chain import ChainRows
from novate.store import schema
from novate.store.history import auction_event
from novate.wire.records import (
    AnyRecord,
    BatchClosed,
    ChainReorganised,
    ChainTransaction,
    OracleRound,
)

if TYPE_CHECKING:
    from novate.api.session import Session

AUCTIONS, BATCHES, BUSTS = "auctions", "settlement.batches", "trade_busts"
INSURANCE, FEEDS, PARAMETERS = "insurance", "oracle.feeds", "risk_parameters"
OWN = "user.settlement"
STATE_MS = 100
ROWS_MAX = 100


@dataclass(slots=True)
class VenueFeeds:
    """The channels over one market; ``newest`` is the last round since the start."""

    market: Market
    outlet: Outlet
    settlements: Settlements
    changes: PendingChanges
    newest: OracleRound | None = None
    told: dict[str, Data] = field(default_factory=dict)
    later: Aggregator = field(init=False)

    def __post_init__(self) -> None:
        self.later = Aggregator(self._state)

    # Subscriptions

    def greet(self, session: Session, channel: str) -> None:
        """Begin a subscription to one of these channels."""
        match channel:
            case "auctions":
                data: Data = {AUCTIONS: self._auctions()}
            case "settlement.batches":
                data = {"batches": [b.row() for b in self.settlements.open()[-ROWS_MAX:]]}
            case "trade_busts":
                held = list(self.settlements.busts.values())[-ROWS_MAX:]
                data = {"busts": [self._bust(bust) for bust in held]}
            case "insurance" | "risk_parameters":
                known = None if self.outlet.is_alone(session, channel) else self.told.get(channel)
                data = self.told[channel] = known or self._now(channel)
            case "oracle.feeds":
                data = self._feeds()
            case "user.settlement":
                rows = self._own(reversed(self._unsettled()), {session.account}, ROWS_MAX)
                data = {"trades": rows.get(session.account, [])[::-1]}
                self.outlet.greet(session, channel, self._timed(data), session.account)
                return
            case _:
                return
        self.outlet.greet(session, channel, self._timed(data))

    # Records

    def recall(self, record: AnyRecord) -> None:
        """Take in a record from before the start; nobody is told."""
        self.settlements.follow(record)
        self.changes.follow(record)

    def follow(self, record: AnyRecord) -> None:
        """Tell what one durable record changed."""
        moved = self.settlements.follow(record)
        if moved is not None:
            self._settlement(moved)
        match record:
            case OracleRound():
                if record.round == self.market.core.world.oracle.statuses[0].round:
                    self.newest = record
                    if self.outlet.is_followed(FEEDS):
                        self.outlet.tell(FEEDS, self._feeds())
                self._states()
            case ChainTransaction():
                self.changes.follow(record)
                if self.outlet.is_followed(AUCTIONS):
                    self._auctioned(record)
                if not record.more:
                    self._states()
            case ChainReorganised():
                self.changes.follow(record)
                if self.outlet.is_followed(AUCTIONS):
                    data = {"reorganised_from": record.first_block, AUCTIONS: self._auctions()}
                    self.outlet.tell(AUCTIONS, self._timed(data), kind="snapshot")
                self._states()
            case BatchClosed():
                self._states()
            case _:
                pass

    def _timed(self, data: Data) -> Data:
        return {"timestamp": self.market.core.world.now * 1000} | data

    # States

    def _states(self) -> None:
        """Insurance or parameters may have changed."""
        for channel in (INSURANCE, PARAMETERS):
            if self.outlet.is_followed(channel):
                self.later.mark(STATE_MS, (channel, 0), partial(self._changed, channel))
            else:
                self.told.pop(channel, None)

    def _changed(self, channel: str) -> Data | None:
        """A state, if it is another than was told last."""
        data = self._now(channel)
        if not self.outlet.is_followed(channel) or data == self.told.get(channel):
            return None
        self.told[channel] = data
        return self._timed(data)

    def _state(self, channel: str, account: int, data: Any) -> None:
        self.outlet.tell(channel, data, account)

    def _now(self, channel: str) -> Data:
        world = self.market.core.world
        if channel == INSURANCE:
            return risk_views.insurance(world)
        pending = self.changes.rows(world.now)
        return risk_views.parameters_of(world, self.market.parameters, pending)

    def _feeds(self) -> Data:
        world, parameters = self.market.core.world, self.market.parameters
        return risk_views.signed_feeds(world, parameters, self.newest)

    # Auctions

    def _auctions(self) -> list[Data]:
        """What is on sale now, the oldest first: as much as may be bid for, at present terms."""
        world = self.market.core.world
        started = [(at, a) for a, at in world.liquidation.auctions.rows.items() if at]
        found = []
        for at, account in sorted(started)[:ROWS_MAX]:
            equity, margin, discount, most, reward = liquidation.quote(world, account)
            found.append(
                {
                    "timestamp": at * 1000,
                    "event": "open",
                    "account": f"0x{account:064x}",
                    "equity": decimal(equity),
                    "maintenance_margin": decimal(margin),
                    "fraction_ppm": most,
                    "discount_ppm": discount,
                    "reward": decimal(reward),
                }
            )
        return found

    def _auctioned(self, record: ChainTransaction) -> None:
        """What a transaction did to auctions and to what covers losses."""
        contracts = self.settlements.contracts
        if contracts is None:
            return
        addresses = contracts.deployment.addresses
        emitters = {bytes.fromhex(addresses[name][2:]) for name in ("auctioneer", "waterfall")}
        logs = [log for log in record.events if log[0] in emitters]
        if not logs:
            return
        rows = ChainRows(contracts)
        rows.apply(contracts.decode(structs.replace(record, events=logs, calldata=b"")))
        events = [auction_event(row) for row in rows.rows.get(schema.auction_events, ())]
        if events:
            self.outlet.tell(AUCTIONS, self._timed({AUCTIONS: to_builtins(events)}))

    # Settlement

    def _settlement(self, moved: Moved) -> None:
        left = {} if moved.first_block is None else {"reorganised_from": moved.first_block}
        if moved.batches and self.outlet.is_followed(BATCHES):
            rows = {"batches": [batch.row() for batch in moved.batches]}
            self.outlet.tell(BATCHES, self._timed(left | rows))
        if (moved.busts or moved.back) and self.outlet.is_followed(BUSTS):
            found = [self._bust(bust) for bust in moved.busts]
            found += [self._bust(bust) | {"state": "taken_back"} for bust in moved.back]
            self.outlet.tell(BUSTS, self._timed(left | {"busts": found}))
        if moved.trades and self.outlet.is_followed(OWN):
            for account, trades in self._own(moved.trades, self.outlet.accounts(OWN)).items():
                self.outlet.tell(OWN, self._timed(left | {"trades": trades}), account)

    def _bust(self, bust: Bust) -> Data:
        """As ``get_trade_busts`` shows it, with what comes of it."""
        second = bust.timestamp_ms // 1000  # division: to seconds
        return {
            "trade_id": str(bust.sequence),
            "timestamp": bust.timestamp_ms,
            "instrument_name": self.market.listings.at(bust.instrument, second).name,
            "reason": reason_of(bust),
            "transaction": "0x" + bust.transaction.hex() if bust.transaction else None,
            "block": bust.block,
            "state": bust.state,
        }

    def _own(
        self, sequences: Iterable[int], accounts: set[int], most: int | None = None
    ) -> dict[int, list[Data]]:
        """Trades as ``user.trades`` shows them, by account, of those accounts; so many at most."""
        meant = {account.to_bytes(32, "big"): account for account in accounts}
        found: dict[int, list[Data]] = {}
        for sequence in sequences:
            trade = self.market.orders.trades.get(sequence)
            if trade is None:
                continue
            match = trade.match
            for raw, makes in ((match.maker_account, True), (match.taker_account, False)):
                if raw in meant:
                    own = self.market.own_trade(trade, makes)
                    found.setdefault(meant[raw], []).append(own)
                    most = None if most is None else most - 1
            if most is not None and most <= 0:
                break
        return found

    def _unsettled(self) -> list[int]:
        """Trades that have not settled, of the batches that are remembered and of the open one."""
        found: set[int] = set()
        for batch in self.settlements.open():
            first, settled = batch.closed.first_sequence, batch.settled
            places = range(batch.closed.count)
            found |= {first + place for place in places if not settled >> place & 1}
        first_open = self.market.core.engine.first_open
        for sequence in reversed(self.market.orders.trades):
            if sequence < first_open:
                break
            found.add(sequence)
        return sorted(found)
