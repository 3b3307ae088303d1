"""Requests for quotes as clients see them: shapes, channels, and what the journal makes of them.

Owns: who is told what. ``block_rfq.maker.{currency}`` tells everybody who may quote of a request
and its end; ``block_rfq.taker.{currency}`` its asker of it with its quotes;
``block_rfq.maker.quotes.{currency}`` a maker of its own quotes; ``block_rfq.trades.{currency}``
everybody of each block. ``any`` stands for every currency.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from novate.api.market import Market
from novate.api.numbers import decimal
from novate.api.rfq import SECONDS_MAX, Desk, Leg, Quote, Rfq, State
from novate.api.rfq_notes import Notes
from novate.api.rpc import notification, now_us
from novate.units import WAD
from novate.wire import block
from novate.wire.records import AnyRecord, OrderDone, OrderRejected

if TYPE_CHECKING:
    from novate.api.session import Session

KIND = "block_rfq"
RESTARTED = "venue_restarted"
Followers = dict[str, dict[int, "Session"]]
_DECIDING = (OrderDone, OrderRejected)


def clock_ms() -> int:
    """Unix time in milliseconds."""
    return now_us() // 1_000  # division: to milliseconds


@dataclass(slots=True)
class Room:
    """One venue's desk, told to its followers."""

    market: Market
    followers: Followers
    desk: Desk = field(default_factory=Desk)
    broken: list[Rfq] = field(default_factory=list)  # ended while nobody could be told

    # Shapes

    def request(self, rfq: Rfq, account: int) -> dict[str, Any]:
        """A request as one account sees it: its asker with all quotes, others with their own."""
        own = rfq.taker == account
        found: dict[str, Any] = {
            "block_rfq_id": "0x" + rfq.id.hex(),
            "state": State.OPEN.value if rfq.state is State.ACCEPTING else rfq.state.value,
            "reason": rfq.reason or None,
            "role": "taker" if own else "maker",
            "legs": [self._leg(leg, leg.lots > 0) for leg in rfq.legs],
            "creation_timestamp": rfq.created_ms,
            "expiration_timestamp": rfq.expires_ms,
            "disclosed": rfq.disclosed,
            "taker": f"0x{rfq.taker:064x}" if own or rfq.disclosed else None,
        }
        if not own:
            mine = [q for q in rfq.quotes.values() if q.maker == account]
            return found | {"quotes": [self.quote(rfq, quote) for quote in mine]}
        open_quotes = rfq.best(clock_ms() // 1_000)  # division: to seconds
        ranked = sorted(open_quotes, key=lambda quote: self._total(rfq, quote))
        return found | {
            "label": rfq.label,
            "makers": [f"0x{maker:064x}" for maker in sorted(rfq.makers)],
            "bids": [self.quote(rfq, quote) for quote in reversed(ranked) if quote.buys],
            "asks": [self.quote(rfq, quote) for quote in ranked if not quote.buys],
        }

    def quote(self, rfq: Rfq, quote: Quote) -> dict[str, Any]:
        """A quote: its id is what who accepts it signs; directions are its maker's."""
        return {
            "block_rfq_quote_id": "0x" + quote.id.hex(),
            "block_rfq_id": "0x" + rfq.id.hex(),
            "quote_state": quote.state.value,
            "reason": rfq.reason or None,
            "direction": "buy" if quote.buys else "sell",
            "legs": [
                self._leg(leg, (leg.lots > 0) == quote.buys) | {"price": decimal(price)}
                for leg, price in zip(rfq.legs, quote.prices, strict=True)
            ],
            "total": decimal(self._total(rfq, quote)),
            "expiry": quote.expiry,
            "creation_timestamp": quote.created_ms,
            "label": quote.label,
        }

    def block(self, rfq_id: bytes) -> dict[str, Any]:
        """A block that traded: its trades, without who they were."""
        orders = self.market.orders
        trades = [orders.trades[sequence] for sequence in orders.executed.get(rfq_id, ())]
        return {
            "block_rfq_id": "0x" + rfq_id.hex(),
            "timestamp": trades[0].timestamp_ms if trades else None,
            "trades": [self.market.trade(trade) for trade in trades],
        }

    def _leg(self, leg: Leg, buys: bool) -> dict[str, Any]:
        item = self.market.by_id[leg.instrument]
        return {
            "instrument_name": item.name,
            "direction": "buy" if buys else "sell",
            "amount": decimal(abs(leg.lots) * item.lot_size),
        }

    def _total(self, rfq: Rfq, quote: Quote) -> int:
        """What buying the package costs at a quote's prices (wad, toward zero)."""
        total = 0
        for leg, price in zip(rfq.legs, quote.prices, strict=True):
            total += leg.lots * self.market.by_id[leg.instrument].lot_size * price
        return total // WAD  # division: reported, floored

    # Channels

    def tell_request(self, rfq: Rfq) -> None:
        """A request began or ended: tell its asker and whoever may quote it."""
        self.tell_taker(rfq)
        for channel in self._channels("maker", rfq.legs):
            for session in self._following(channel):
                asked = not rfq.makers or session.account in rfq.makers
                if asked and session.account != rfq.taker:
                    self._send(session, channel, self.request(rfq, session.account))

    def tell_taker(self, rfq: Rfq) -> None:
        """Tell a request's asker how it stands."""
        for channel in self._channels("taker", rfq.legs):
            for session in self._following(channel):
                if session.account == rfq.taker:
                    self._send(session, channel, self.request(rfq, rfq.taker))

    def tell_quote(self, rfq: Rfq, quote: Quote) -> None:
        """Tell a maker how its quote stands, and the asker what there is to choose from."""
        for channel in self._channels("maker.quotes", rfq.legs):
            for session in self._following(channel):
                if session.account == quote.maker:
                    self._send(session, channel, self.quote(rfq, quote))
        self.tell_taker(rfq)

    def greet(self, session: Session, channel: str) -> None:
        """Tell a new follower what had ended of its requests and quotes when the venue began again,
        for as long as it may still wait for it.
        """
        now = clock_ms()
        self.broken = [r for r in self.broken if now < r.expires_ms + 1_000 * SECONDS_MAX]
        for rfq in self.broken:
            own = rfq.taker == session.account
            asked = not own and (not rfq.makers or session.account in rfq.makers)
            if (own and channel in self._channels("taker", rfq.legs)) or (
                asked and channel in self._channels("maker", rfq.legs)
            ):
                self._send(session, channel, self.request(rfq, session.account))
            if channel in self._channels("maker.quotes", rfq.legs):
                for quote in rfq.quotes.values():
                    if quote.maker == session.account:
                        self._send(session, channel, self.quote(rfq, quote))

    def _tell_block(self, rfq_id: bytes, legs: tuple[Leg, ...]) -> None:
        for channel in self._channels("trades", legs):
            for session in self._following(channel):
                self._send(session, channel, self.block(rfq_id))

    def _channels(self, kind: str, legs: tuple[Leg, ...]) -> list[str]:
        named = {self.market.by_id[leg.instrument].currency for leg in legs}
        return [f"{KIND}.{kind}.{currency}" for currency in (*sorted(named), "any")]

    def _following(self, channel: str) -> list[Session]:
        return list(self.followers.get(channel, {}).values())

    def _send(self, session: Session, channel: str, data: object) -> None:
        session.tell(channel, notification(channel, data))

    # Time, and the journal

    def keep(self, path: Path) -> None:
        """Note in a file what happens here; what an earlier process left open there is over: by a
        block if the journal has it (its records are to be known by now), else by the restart.

        Raises ``OSError``.
        """
        self.broken = Notes(path, self.desk).recall(self._traded, RESTARTED)

    def _traded(self, rfq_id: bytes) -> bytes | None:
        """The quote that a request traded by."""
        orders = self.market.orders
        legs = [orders.trades[sequence].match.maker for sequence in orders.executed.get(rfq_id, ())]
        return block.orders_hash(legs) if legs else None

    def watch(self, rfq: Rfq) -> None:
        """End a request when its time is over, and say so."""

        def over() -> None:
            self.desk.find(rfq.id, clock_ms())
            if rfq.state is State.EXPIRED:
                self.tell_request(rfq)

        wait = (rfq.expires_ms - clock_ms()) / 1_000
        asyncio.get_running_loop().call_later(max(wait, 0) + 0.01, over)

    def follow(self, record: AnyRecord) -> None:
        """A durable record decides what was accepted."""
        if not isinstance(record, _DECIDING):
            return
        trades = isinstance(record, OrderDone)
        found = self.desk.decided(record.digest, trades)
        if found is None:
            return
        rfq, quote = found
        self.tell_quote(rfq, quote)
        if trades:
            self.tell_request(rfq)
            self._tell_block(rfq.id, rfq.legs)
