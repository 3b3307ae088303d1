"""Channels: who follows what, and what each record means to them.

Owns: subscriptions by channel and the fan-out. A channel's message is encoded once for all its
followers, and nothing is worked out for a channel without any. ``raw`` is sent at every change;
``100ms`` and ``agg2`` (a second) at the end of an interval in which something changed. A client
that reads too slowly is cut off with a reason (``session.send`` says so), never silently left
behind.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from novate.api.aggregate import INTERVALS, Aggregator
from novate.api.book_feed import BookFeed
from novate.api.channels import Channel, parse
from novate.api.market import Market
from novate.api.names import Listed
from novate.api.numbers import decimal
from novate.api.risk_views import pause_of
from novate.api.rpc import notification
from novate.api.session import CHANNELS_MAX
from novate.errors import InvalidField, require
from novate.wire.records import (
    AnyRecord,
    BatchDue,
    ChainReorganised,
    ChainTransaction,
    Matched,
    OracleRound,
    OrderDone,
    OrderPlaced,
    OrderShrunk,
    OrderSlid,
    OrderTriggered,
    QuotesPlaced,
    orders_in,
)

if TYPE_CHECKING:
    from novate.api.session import Session

QUOTE = ("best_bid_price", "best_bid_amount", "best_ask_price", "best_ask_amount")
VIEWS = ("ticker", "perpetual")
PLATFORM = "platform_state"
# What may pause the venue, and what its clock moves with.
MOVES = frozenset((BatchDue, ChainReorganised, ChainTransaction, OracleRound))


@dataclass(slots=True)
class Feeds:
    """Followers by channel, over one market."""

    market: Market
    followers: dict[str, dict[int, Session]] = field(default_factory=lambda: defaultdict(dict))
    kinds: Counter[str] = field(default_factory=Counter)  # of channels followed, by first word
    books: dict[str, BookFeed] = field(default_factory=dict)
    charts: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    grouped: dict[str, dict[str, Channel]] = field(default_factory=lambda: defaultdict(dict))
    platform: tuple[bool, int] = (False, 0)  # as it was last told
    later: Aggregator = field(init=False)

    def __post_init__(self) -> None:
        self.later = Aggregator(self._send)

    # Subscriptions

    def parse(self, name: str, account: int) -> Channel:
        """What a channel is. Errors: ``UnknownChannel``, those of names."""
        return parse(self.market.listings, name, account)

    def subscribe(self, session: Session, name: str) -> None:
        """Follow a channel; books and tickers begin with a snapshot. Errors: ``UnknownChannel``."""
        channel = self.parse(name, session.account)
        known = name in session.subscriptions or len(session.subscriptions) < CHANNELS_MAX
        require(known, InvalidField, f"channels: at most {CHANNELS_MAX} on one connection")
        first = self._first(channel, name in self.followers)
        if name not in self.followers:
            self.kinds[name.partition(".")[0]] += 1
        self.followers[name][id(session)] = session
        session.subscriptions.add(name)
        item = channel.item
        if item is not None and channel.kind == "chart":
            self.charts[item.name].add(channel.resolution)
        elif item is not None and channel.kind == "grouped":
            self.grouped[item.name][name] = channel
        if first is not None:
            session.tell(name, notification(name, first))

    def _first(self, channel: Channel, followed: bool) -> dict[str, Any] | None:
        """The message that a subscription begins with."""
        if channel.kind == PLATFORM:
            self.platform = pause_of(self.market.core.world)
            return self._platform()
        if channel.item is None:
            return None
        if channel.kind == "book":
            return self._book(channel.name, channel.item).snapshot(followed)
        if channel.kind == "grouped":
            book = self._book(channel.name, channel.item)
            if not followed:
                book.grouped(channel.group, channel.depth)
            return book.levels()
        if channel.kind in (*VIEWS, "quote"):
            return self._view(channel.kind, channel.item)
        return None

    def _book(self, channel: str, item: Listed) -> BookFeed:
        """A channel's book; a name that another instrument has taken over begins anew."""
        found = self.books.get(channel)
        if found is None or found.item is not item:
            found = self.books[channel] = BookFeed(self.market, item)
        return found

    def unsubscribe(self, session: Session, channel: str) -> None:
        """Follow a channel no more."""
        session.subscriptions.discard(channel)
        session.told.pop(channel, None)
        followers = self.followers.get(channel, {})
        followers.pop(id(session), None)
        if not followers and self.followers.pop(channel, None) is not None:
            self.kinds[channel.partition(".")[0]] -= 1
            self.books.pop(channel, None)

    def leave(self, session: Session) -> None:
        """Follow nothing more."""
        for channel in list(session.subscriptions):
            self.unsubscribe(session, channel)

    # Records

    def follow(self, record: AnyRecord) -> None:
        """Publish what one durable record changed; without followers nothing is looked at."""
        if not self.followers:
            return
        match record:
            case Matched():
                self._trade(record)
                self._changed(self.market.by_id[record.instrument])
            case OrderPlaced() | QuotesPlaced():
                for placed in orders_in(record):
                    if not placed.amends:  # an edit is told once it has taken its order's place
                        self._moved(placed.digest)
            case OrderDone() | OrderShrunk() | OrderSlid() | OrderTriggered():
                self._moved(record.digest)
            case OracleRound():
                for item in self.market.by_id.values():
                    self._views(item)
                self._rounds()
            case _:
                pass
        if type(record) in MOVES and PLATFORM in self.followers:
            self._pauses()
        for state_name, item in self.market.listings.take_changes():
            self._state_of(item, state_name)

    def _rounds(self) -> None:
        """What every oracle round changes: indices, and marks of options."""
        for currency in self.market.currencies():
            index = f"{currency.lower()}_usdc"
            for kind in ("price_index", "deribit_price_index"):
                if f"{kind}.{index}" in self.followers:
                    self._send(f"{kind}.{index}", 0, self._index(index))
            if f"markprice.options.{index}" in self.followers:
                self._send(f"markprice.options.{index}", 0, self.market.marks(currency))

    def _pauses(self) -> None:
        """Tell that the venue is paused, or no more, or until another moment."""
        found = pause_of(self.market.core.world)
        if found != self.platform:
            self.platform = found
            self._send(PLATFORM, 0, self._platform())

    def _platform(self) -> dict[str, Any]:
        """Whether the venue is paused, and until when it was last."""
        locked, until = self.platform
        now_ms = self.market.core.world.now * 1000
        return {"locked": locked, "paused_until": until * 1000 or None, "timestamp": now_ms}

    def _state_of(self, item: Listed, state: str) -> None:
        data = {
            "timestamp": self.market.core.world.now * 1000,
            "instrument_name": item.name,
            "state": state,
        }
        for scope in scopes(item):
            self._send(f"instrument.state.{scope}", 0, data)

    def _moved(self, digest: bytes) -> None:
        """Something became of an order."""
        state = self.market.orders.by_digest.get(digest)
        if state is not None:
            self._order(digest)
            self._changed(self.market.by_id[state.terms.instrument])

    def _trade(self, record: Matched) -> None:
        item = self.market.by_id[record.instrument]
        if self.kinds["trades"] or self.kinds["user"]:
            self._rows_of(record, item)
        for digest in (record.maker, record.taker):
            self._order(digest)
        for resolution in self.charts.get(item.name, ()) if self.kinds["chart"] else ():
            channel = f"chart.trades.{item.name}.{resolution}"
            if channel in self.followers:
                self._send(channel, 0, self.market.candle(item, resolution))

    def _rows_of(self, record: Matched, item: Listed) -> None:
        """Tell a trade to everybody, and to its sides as theirs."""
        market, trade = self.market, self.market.orders.trades[record.sequence]
        for scope in (item.name, *scopes(item)) if self.kinds["trades"] else ():
            self._rows(f"trades.{scope}", 0, [market.trade(trade)])
        for account, makes in ((record.maker_account, True), (record.taker_account, False)):
            if not self.kinds["user"]:
                break
            own, owner = market.own_trade(trade, makes), int.from_bytes(account, "big")
            for scope in (item.name, "any", *scopes(item)):
                self._rows(f"user.trades.{scope}", owner, [own])

    def _order(self, digest: bytes) -> None:
        """Tell an order's account how it stands: raw one order, else those of the interval."""
        state = self.market.orders.by_digest.get(digest)
        if state is None or not self.kinds["user"]:
            return
        item, data = self.market.by_id[state.terms.instrument], None
        for scope in (item.name, "any", *scopes(item)):
            for name, interval in INTERVALS.items():
                channel = f"user.orders.{scope}.{name}"
                if channel not in self.followers:
                    continue
                data = data or self.market.order(state)
                if interval == 0:
                    self._send(channel, state.terms.account, data)
                else:
                    self.later.collect(interval, (channel, state.terms.account), [data])

    def _changed(self, item: Listed) -> None:
        """An instrument's book may have changed."""
        for name in INTERVALS if self.kinds["book"] else ():
            channel = f"book.{item.name}.{name}"
            if channel in self.followers:
                self._newest(channel, name, partial(self._advance, channel, item))
        for channel, one in self.grouped.get(item.name, {}).items():
            if channel in self.followers:
                self._newest(channel, one.interval, partial(self._regroup, one, item))
        self._views(item)

    def _advance(self, channel: str, item: Listed) -> dict[str, Any] | None:
        """A book's changes, unless its followers have all left meanwhile."""
        return self._book(channel, item).advance() if channel in self.followers else None

    def _regroup(self, channel: Channel, item: Listed) -> dict[str, Any] | None:
        if channel.name not in self.followers:
            return None
        return self._book(channel.name, item).grouped(channel.group, channel.depth)

    def _views(self, item: Listed) -> None:
        for kind in VIEWS:
            for name in INTERVALS if self.kinds[kind] else ():
                channel = f"{kind}.{item.name}.{name}"
                if channel in self.followers:
                    self._newest(channel, name, partial(self._view, kind, item))
        if self.kinds["quote"] and f"quote.{item.name}" in self.followers:
            self._send(f"quote.{item.name}", 0, self._view("quote", item))

    def _view(self, kind: str, item: Listed) -> dict[str, Any]:
        ticker = self.market.ticker(item)
        if kind == "ticker":
            return ticker
        if kind == "perpetual":
            return {
                "interest": ticker.get("current_funding", "0"),
                "timestamp": ticker["timestamp"],
                "index_price": ticker["index_price"],
            }
        return {name: ticker[name] for name in ("instrument_name", "timestamp", *QUOTE)}

    def _index(self, index: str) -> dict[str, Any]:
        return {
            "index_name": index,
            "price": decimal(self.market.index_of(index)),
            "timestamp": self.market.core.world.now * 1000,
        }

    # Sending

    def _newest(self, channel: str, interval: str, make: Callable[[], object]) -> None:
        """Send a state now, or the one at the end of the interval."""
        if INTERVALS[interval]:
            self.later.mark(INTERVALS[interval], (channel, 0), make)
            return
        data = make()
        if data is not None:
            self._send(channel, 0, data)

    def _rows(self, stem: str, account: int, rows: list[Any]) -> None:
        """Send rows to a channel's intervals: now, or at the end of each."""
        for name, interval in INTERVALS.items():
            channel = f"{stem}.{name}"
            if channel not in self.followers:
                continue
            if interval:
                self.later.collect(interval, (channel, account), rows)
            else:
                self._send(channel, account, rows)

    def _send(self, channel: str, account: int, data: object) -> None:
        """Send to the followers of a channel, or to those of one account."""
        followers = self.followers.get(channel)
        if not followers:
            return
        message = notification(channel, data)
        for session in list(followers.values()):
            if account in (0, session.account):
                session.tell(channel, message)


def scopes(item: Listed) -> list[str]:
    """The ``{kind}.{currency}`` of channels that an instrument belongs to."""
    currencies = (item.currency, "USDC", "any")
    return [f"{kind}.{currency}" for kind in (item.kind, "any") for currency in currencies]
