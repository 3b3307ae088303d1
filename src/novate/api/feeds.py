"""Channels: who follows what, and what each record means to them.

Owns: subscriptions by channel, sequences and checksums of books, and the fan-out. A channel's
message is encoded once for all its followers. Books are published as changes with ``change_id`` and
``prev_change_id``; a client that sees a gap subscribes anew and gets a snapshot. A client that
reads too slowly is cut off with a reason (``session.send`` says so), never silently left behind.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from zlib import crc32

from novate.api import rfq_room
from novate.api.market import Market
from novate.api.names import Listed
from novate.api.numbers import decimal
from novate.api.rpc import notification
from novate.api.session import CHANNELS_MAX
from novate.errors import InvalidField, Rejected, UnknownChannel, require
from novate.wire.records import AnyRecord, Matched, OracleRound, OrderDone, OrderPlaced

if TYPE_CHECKING:
    from novate.api.session import Session

INTERVALS = ("raw", "agg2", "100ms")
CHECKSUM_LEVELS = 10
CHECKSUM_EVERY = 10
Side = dict[int, int]


@dataclass(slots=True)
class BookFeed:
    """The last published state of one book."""

    change_id: int = 0
    bids: Side = field(default_factory=dict)
    asks: Side = field(default_factory=dict)


@dataclass(slots=True)
class Feeds:
    """Followers by channel, over one market."""

    market: Market
    followers: dict[str, dict[int, Session]] = field(default_factory=lambda: defaultdict(dict))
    books: dict[int, BookFeed] = field(default_factory=lambda: defaultdict(BookFeed))
    behind: bool = False

    # Subscriptions

    def subscribe(self, session: Session, channel: str) -> None:
        """Follow a channel; books and tickers begin with a snapshot. Errors: ``UnknownChannel``."""
        item, kind = self.parse(channel, session.account)
        known = channel in session.subscriptions or len(session.subscriptions) < CHANNELS_MAX
        require(known, InvalidField, f"channels: at most {CHANNELS_MAX} on one connection")
        if self.behind:
            self.behind = False
            self.begin()
        self.followers[channel][id(session)] = session
        session.subscriptions.add(channel)
        if session.send is None or item is None:
            return
        if kind == "book":
            session.send(notification(channel, self._snapshot(item)))
        elif kind in ("ticker", "quote", "perpetual"):
            session.send(notification(channel, self._view(kind, item)))

    def unsubscribe(self, session: Session, channel: str) -> None:
        """Follow a channel no more."""
        session.subscriptions.discard(channel)
        followers = self.followers.get(channel, {})
        followers.pop(id(session), None)
        if not followers:
            self.followers.pop(channel, None)

    def leave(self, session: Session) -> None:
        """Follow nothing more."""
        for channel in list(session.subscriptions):
            self.unsubscribe(session, channel)

    def parse(self, channel: str, account: int) -> tuple[Listed | None, str]:
        """The instrument and the kind of a channel. Errors: ``UnknownChannel``, those of names."""
        parts = channel.split(".")
        kind = parts[0]
        if kind in ("book", "ticker", "trades", "perpetual") and len(parts) == 3:
            known = parts[2] in INTERVALS
        elif kind == "quote":
            known = len(parts) == 2
        elif kind == "user" and account != 0:
            known = len(parts) == 4 and parts[1] in ("orders", "trades") and parts[3] in INTERVALS
            if not known:
                self._unknown(channel)
            if parts[2] != "any":
                self.market.named(parts[2])
            return None, "user"
        elif rfq_room.is_channel(parts, account, self.market.currencies()):
            return None, "user"
        elif channel == "platform_state" or channel in self._indices():
            return None, kind
        else:
            known = False
        if not known:
            self._unknown(channel)
        return self.market.named(parts[1]), kind

    def _indices(self) -> dict[str, Listed]:
        """Channels of price indices, each with an instrument that shows it."""
        return {
            f"{kind}.{item.currency.lower()}_usdc": item
            for item in self.market.by_id.values()
            for kind in ("price_index", "deribit_price_index")
        }

    def _unknown(self, channel: str) -> str:
        raise Rejected(UnknownChannel, channel[:96])

    # Records

    def begin(self) -> None:
        """Take the books as they are, before anybody follows them."""
        book = self.market.core.engine.book
        for item in self.market.by_id.values():
            feed = self.books[item.id]
            feed.bids, feed.asks = dict(book.depth(item.id, True)), dict(book.depth(item.id, False))

    def follow(self, record: AnyRecord) -> None:
        """Publish what one durable record changed; without followers no book is looked at."""
        self.behind |= not self.followers
        if self.behind:
            return
        match record:
            case Matched():
                self._trade(record)
                self._changed(self.market.by_id[record.instrument])
            case OrderPlaced() | OrderDone():
                state = self.market.orders.by_digest.get(record.digest)
                if state is not None:
                    self._order(record.digest)
                    self._changed(self.market.by_id[state.terms.instrument])
            case OracleRound():
                for item in self.market.by_id.values():
                    self._views(item)
                for channel, item in self._indices().items():
                    self._publish(channel, self._index(channel, item))
            case _:
                pass

    def _trade(self, record: Matched) -> None:
        item = self.market.by_id[record.instrument]
        trade = self.market.trade(self.market.orders.trades[record.sequence])
        for interval in INTERVALS:
            self._publish(f"trades.{item.name}.{interval}", [trade])
        for account, digest in (
            (record.maker_account, record.maker),
            (record.taker_account, record.taker),
        ):
            own = trade | {"order_id": "0x" + digest.hex()}
            self._tell("trades", account, item, [own])
            self._order(digest)

    def _order(self, digest: bytes) -> None:
        """Tell an order's account how it stands."""
        state = self.market.orders.by_digest.get(digest)
        if state is not None:
            item = self.market.by_id[state.terms.instrument]
            account = state.terms.account.to_bytes(32, "big")
            self._tell("orders", account, item, self.market.order(state))

    def _tell(self, kind: str, account: bytes, item: Listed, data: Any) -> None:
        """Publish to the sessions of one account: of the instrument, or of all."""
        owner = int.from_bytes(account, "big")
        for name in (item.name, "any"):
            for interval in INTERVALS:
                followers = self.followers.get(f"user.{kind}.{name}.{interval}")
                if not followers:
                    continue
                message = notification(f"user.{kind}.{name}.{interval}", data)
                for session in list(followers.values()):
                    if session.account == owner and session.send is not None:
                        session.send(message)

    def _changed(self, item: Listed) -> None:
        feed = self.books[item.id]
        book = self.market.core.engine.book
        bids, asks = dict(book.depth(item.id, True)), dict(book.depth(item.id, False))
        changes = [
            self._differences(item, *pair) for pair in ((feed.bids, bids), (feed.asks, asks))
        ]
        if not changes[0] and not changes[1]:
            return
        before = feed.change_id
        feed.bids, feed.asks, feed.change_id = bids, asks, before + 1
        data: dict[str, Any] = {
            "type": "change",
            "instrument_name": item.name,
            "timestamp": self.market.core.world.now * 1000,
            "change_id": before + 1,
            "prev_change_id": before,
            "bids": changes[0],
            "asks": changes[1],
        }
        if (before + 1) % CHECKSUM_EVERY == 0:
            data["checksum"] = self.checksum(item)
        for interval in INTERVALS:
            self._publish(f"book.{item.name}.{interval}", data)
        self._views(item)

    def _differences(self, item: Listed, old: Side, new: Side) -> list[list[str]]:
        found = []
        for price in sorted(old.keys() | new.keys()):
            if old.get(price) != new.get(price):
                how = "delete" if price not in new else "change" if price in old else "new"
                amount = decimal(new.get(price, 0) * item.lot_size)
                found.append([how, decimal(price * item.tick), amount])
        return found

    def _snapshot(self, item: Listed) -> dict[str, Any]:
        feed = self.books[item.id]
        return {
            "type": "snapshot",
            "instrument_name": item.name,
            "timestamp": self.market.core.world.now * 1000,
            "change_id": feed.change_id,
            "bids": self._differences(item, {}, feed.bids),
            "asks": self._differences(item, {}, feed.asks),
            "checksum": self.checksum(item),
        }

    def checksum(self, item: Listed) -> int:
        """CRC-32 of the ten best levels a side: ``price:amount`` joined by ``|``, bids best first,
        then asks.
        """
        feed = self.books[item.id]
        sides = (sorted(feed.bids.items(), reverse=True), sorted(feed.asks.items()))
        levels = [level for side in sides for level in side[:CHECKSUM_LEVELS]]
        text = "|".join(
            f"{decimal(price * item.tick)}:{decimal(lots * item.lot_size)}"
            for price, lots in levels
        )
        return crc32(text.encode())

    def _views(self, item: Listed) -> None:
        for kind in ("ticker", "perpetual"):
            for interval in INTERVALS:
                channel = f"{kind}.{item.name}.{interval}"
                if channel in self.followers:
                    self._publish(channel, self._view(kind, item))
        if f"quote.{item.name}" in self.followers:
            self._publish(f"quote.{item.name}", self._view("quote", item))

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
        names = ("best_bid_price", "best_bid_amount", "best_ask_price", "best_ask_amount")
        return {name: ticker[name] for name in ("instrument_name", "timestamp", *names)}

    def _index(self, channel: str, item: Listed) -> dict[str, Any]:
        _, index = self.market.prices(item.id)
        return {
            "index_name": channel.split(".")[1],
            "price": decimal(index),
            "timestamp": self.market.core.world.now * 1000,
        }

    def _publish(self, channel: str, data: object) -> None:
        followers = self.followers.get(channel)
        if not followers:
            return
        message = notification(channel, data)
        for session in list(followers.values()):
            if session.send is not None:
                session.send(message)
