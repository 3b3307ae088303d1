"""Channels of one account that put several things together: changes, portfolio, protection.

Owns: ``user.changes`` (orders, trades and positions as they change), ``user.portfolio`` (money and
margins, at each trade and each round of prices) and ``user.mmp_trigger``. Nothing is worked out for
whom nobody follows. ``raw`` is sent at each change; ``100ms`` and ``agg2`` at the end of an
interval, an order in its last state.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from novate.api import positions
from novate.api.aggregate import INTERVALS, Aggregator
from novate.api.feeds import scopes
from novate.api.market import Market
from novate.api.names import Listed
from novate.api.rpc import notification
from novate.api.session import Session
from novate.wire.records import (
    AnyRecord,
    Matched,
    OracleRound,
    OrderDone,
    OrderShrunk,
    OrderSlid,
    OrderTriggered,
    ProtectionTriggered,
    orders_in,
)

PORTFOLIO = "user.portfolio."


@dataclass(slots=True)
class Changes:
    """What changed for an account within an interval."""

    orders: dict[str, Any] = field(default_factory=dict)
    trades: list[Any] = field(default_factory=list)
    positions: dict[str, Any] = field(default_factory=dict)

    def message(self) -> dict[str, Any]:
        """As it is sent."""
        return {
            "orders": list(self.orders.values()),
            "trades": self.trades,
            "positions": list(self.positions.values()),
        }


@dataclass(slots=True)
class AccountFeeds:
    """The followers of one market's accounts; ``kinds`` counts channels by their first word."""

    market: Market
    followers: dict[str, dict[int, Session]]
    kinds: Counter[str]
    waiting: dict[tuple[str, int], Changes] = field(default_factory=dict)
    later: Aggregator = field(init=False)

    def __post_init__(self) -> None:
        self.later = Aggregator(self._send)

    def follow(self, record: AnyRecord) -> None:
        """Tell what one durable record changed."""
        if not self.kinds["user"]:
            return
        match record:
            case Matched():
                self._traded(record)
            case OrderDone() | OrderShrunk() | OrderSlid() | OrderTriggered():
                self._order(record.digest)
            case OracleRound():
                self._portfolios(0)
            case ProtectionTriggered():
                self._protection(record)
            case _:
                for placed in orders_in(record):
                    if not placed.amends:  # an edit is told once it has taken its order's place
                        self._order(placed.digest)

    # Changes

    def _order(self, digest: bytes) -> None:
        state = self.market.orders.by_digest.get(digest)
        if state is None:
            return
        item = self.market.by_id[state.terms.instrument]
        for channel, interval in self._followed(item):
            changes = Changes({state.digest.hex(): self.market.order(state)})
            self._tell(channel, interval, state.terms.account, changes)

    def _traded(self, record: Matched) -> None:
        item = self.market.by_id[record.instrument]
        for raw, makes in ((record.maker_account, True), (record.taker_account, False)):
            account = int.from_bytes(raw, "big")
            for channel, interval in self._followed(item):
                if self._is_followed_by(channel, account):
                    changes = self._trade(record, item, account, makes)
                    self._tell(channel, interval, account, changes)
            self._portfolios(account)

    def _trade(self, record: Matched, item: Listed, account: int, makes: bool) -> Changes:
        market = self.market
        state = market.orders.by_digest[record.maker if makes else record.taker]
        own = market.own_trade(market.orders.trades[record.sequence], makes)
        held = positions.held(market.core.engine, market.orders, account)
        row = positions.position(market, account, item.id, held.get(item.id, 0))
        return Changes({state.digest.hex(): market.order(state)}, [own], {item.name: row})

    def _followed(self, item: Listed) -> list[tuple[str, int]]:
        """The channels about an instrument's changes that anybody follows, with their intervals."""
        return [
            (channel, interval)
            for scope in (item.name, "any", *scopes(item))
            for name, interval in INTERVALS.items()
            if (channel := f"user.changes.{scope}.{name}") in self.followers
        ]

    def _tell(self, channel: str, interval: int, account: int, changes: Changes) -> None:
        if not self._is_followed_by(channel, account):
            return
        if not interval:
            self._send(channel, account, changes.message())
            return
        key = channel, account
        kept = self.waiting.setdefault(key, Changes())
        kept.orders |= changes.orders
        kept.trades += changes.trades
        kept.positions |= changes.positions
        self.later.mark(interval, key, lambda: self.waiting.pop(key, Changes()).message())

    # Portfolio and protection

    def _portfolios(self, account: int) -> None:
        """Money and margins of one account, or of all that are followed."""
        for channel in [name for name in self.followers if name.startswith(PORTFOLIO)]:
            for session in list(self.followers[channel].values()):
                if account in (0, session.account):
                    found = positions.summary(self.market.core.world, session.account)
                    session.tell(channel, notification(channel, found))

    def _protection(self, record: ProtectionTriggered) -> None:
        names = {u.id: u.name for u in self.market.parameters.underlyings}
        index = f"{names[record.underlying].lower()}_usdc"
        data = {
            "index_name": index,
            "frozen_until": record.frozen_until * 1_000 or None,
            "timestamp": self.market.core.world.now * 1_000,
        }
        account = int.from_bytes(record.account, "big")
        for scope in (index, "any"):
            self._send(f"user.mmp_trigger.{scope}", account, data)

    # Sending

    def _is_followed_by(self, channel: str, account: int) -> bool:
        return any(s.account == account for s in self.followers.get(channel, {}).values())

    def _send(self, channel: str, account: int, data: object) -> None:
        message = notification(channel, data)
        for session in list(self.followers.get(channel, {}).values()):
            if session.account == account:
                session.tell(channel, message)
