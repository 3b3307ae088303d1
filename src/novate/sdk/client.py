"""The asynchronous client: markets, orders, positions, followed books; ccxt's names where it has
one.

Owns: instruments as loaded from the venue, the way an order is rounded, numbered, signed and sent,
and what is done again after a loss: log in, follow channels, take books from their snapshots. Money
and sizes are ``Decimal``. Retried are reads, and orders by their digest: the same signed order sent
again is the same order.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any

from novate.model.option_id import is_option
from novate.sdk.block_rfq import BlockRfqs
from novate.sdk.book import Book
from novate.sdk.faults import ApiError, ConnectionLost, NotListed, OutcomeUnknown
from novate.sdk.more_orders import MoreOrders
from novate.sdk.nonces import Nonces
from novate.sdk.parts import Amount
from novate.sdk.rounding import Rounding, text, to_step
from novate.sdk.signing import SigningKey, Terms
from novate.sdk.symbols import to_name, to_symbol
from novate.sdk.transport import Transport, now_ms
from novate.wire.eip712 import Domain

DAY_S = 86_400
FEE_MARGIN = Decimal("1.5")
Listener = Callable[[str, Any], None]


class AsyncClient(BlockRfqs, MoreOrders):
    """One connection to one venue, for one key (or none: market data only)."""

    def __init__(
        self,
        url: str = "ws://127.0.0.1:8080",
        key: SigningKey | None = None,
        scope: str = "read trade",
        nonce_file: Path | None = None,
        rounding: Rounding = Rounding.EXACT,
        dry_run: bool = False,
    ) -> None:
        socket_url = url.replace("http", "ws", 1) if url.startswith("http") else url
        self._transport = Transport(f"{socket_url}/ws/api/v1", self._pushed, self._begin)
        self._key, self._scope, self._rounding = key, scope, rounding
        self._nonces = Nonces(nonce_file)
        self._listeners: dict[str, list[Listener]] = {}
        self._separator = b""
        self._skew_ms = 0
        self._taker_fee = Decimal(0)
        self._option_cap = Decimal(0)
        self.dry_run = dry_run
        self.executor = ""
        self.token = ""
        self.markets: dict[str, dict[str, Any]] = {}
        self.terms: dict[str, Terms] = {}
        self.books: dict[str, Book] = {}

    async def __aenter__(self) -> AsyncClient:
        await self._transport.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._transport.close()

    # Connection

    async def _begin(self) -> None:
        """After every connection: clock, domain, markets, login, channels."""
        direct = self._transport.direct
        sent = now_ms()
        venue_ms = await direct("public/get_time", {})
        self._skew_ms = venue_ms - (sent + now_ms()) // 2  # division: the middle of the way
        domain = await direct("public/get_domain", {})
        self._separator = Domain(domain["chain_id"], domain["exchange"]).separator()
        self._taker_fee = Decimal(domain["taker_commission"])
        self._option_cap = Decimal(domain["option_commission_cap"])
        self.executor = domain["executor"]
        for item in await direct("public/get_instruments", {"currency": "any"}):
            self._learn(item)
        if self._key is not None:
            await self.login()
        if self._listeners:
            for book in self.books.values():
                book.stale = True
            await direct("public/subscribe", {"channels": list(self._listeners)})

    async def login(self, scope: str = "") -> None:
        """Log in anew with the client's key, for another scope from now on if one is given."""
        assert self._key is not None
        self._scope = scope or self._scope
        stamp = now_ms() + self._skew_ms
        login = self._key.login(self._separator, stamp, self._nonces.take(), self._scope)
        self.token = (await self._transport.direct("public/auth", login))["access_token"]

    def assume(self, key: SigningKey, scope: str, rounding: Rounding) -> None:
        """Sign with another key from now on; ``login`` makes the venue know it."""
        self._key, self._scope, self._rounding = key, scope, rounding

    def listen_all(self, listener: Callable[[bytes], Any]) -> None:
        """Hand every notification on as it came."""
        self._transport.listen_all(listener)

    def _learn(self, item: dict[str, Any]) -> None:
        name = item["instrument_name"]
        lot, tick = Decimal(item["contract_size"]), Decimal(item["tick_size"])
        self.terms[name] = Terms(item["instrument_id"], name, lot, tick)
        self.markets[to_symbol(name)] = item

    async def call(self, method: str, **params: Any) -> Any:
        """Any method of the API. Errors: ``ApiError``, ``OutcomeUnknown``, ``ConnectionLost``."""
        return await self._transport.call(method, params)

    async def _read(self, method: str, **params: Any) -> Any:
        """A read: asked again once if its answer was lost."""
        try:
            return await self.call(method, **params)
        except (OutcomeUnknown, ConnectionLost):
            return await self.call(method, **params)

    # Market data

    async def load_markets(self) -> dict[str, dict[str, Any]]:
        """Every instrument, by symbol."""
        for item in await self._read("public/get_instruments", currency="any"):
            self._learn(item)
        return self.markets

    async def fetch_ticker(self, symbol: str) -> dict[str, Any]:
        """Best prices, mark, index."""
        found: dict[str, Any] = await self._read("public/ticker", instrument_name=to_name(symbol))
        return found

    async def fetch_option_chain(self, currency: str) -> dict[str, dict[str, Any]]:
        """The options of a currency that are listed now, by symbol; they may be ordered, too."""
        method = "public/get_instruments"
        found = await self._read(method, currency=currency, kind="option")
        for item in found:
            self._learn(item)
        return {to_symbol(item["instrument_name"]): item for item in found}

    async def fetch_greeks(self, symbol: str) -> dict[str, Any]:
        """An option's Greeks and volatilities: ``delta`` … ``rho`` of one unit, ``mark_iv``,
        ``bid_iv``, ``ask_iv`` in percent. Errors: ``ValueError`` for what is no option.
        """
        seen = await self.fetch_ticker(symbol)
        if "mark_iv" not in seen:
            raise ValueError(f"{symbol} is not an option")
        names = ("mark_iv", "bid_iv", "ask_iv", "underlying_price", "mark_price")
        return {"symbol": symbol, **(seen["greeks"] or {}), **{n: seen[n] for n in names}}

    async def fetch_order_book(self, symbol: str, limit: int = 20) -> dict[str, Any]:
        """Both sides, best first."""
        name = to_name(symbol)
        raw = await self._read("public/get_order_book", instrument_name=name, depth=limit)
        sides = {
            side: [[Decimal(price), Decimal(amount)] for price, amount in raw[side]]
            for side in ("bids", "asks")
        }
        return {"symbol": symbol, "timestamp": raw["timestamp"], **sides}

    async def fetch_trades(self, symbol: str, limit: int = 50) -> list[dict[str, Any]]:
        """The last trades, newest first."""
        method, name = "public/get_last_trades_by_instrument", to_name(symbol)
        raw = await self._read(method, instrument_name=name, count=limit)
        trades: list[dict[str, Any]] = raw["trades"]
        return trades

    # Orders

    async def create_order(
        self,
        symbol: str,
        side: str,
        amount: Amount,
        price: Amount,
        *,
        rounding: Rounding | None = None,
        max_fee: Amount | None = None,
        expiry: int | None = None,
        **instructions: Any,
    ) -> dict[str, Any]:
        """Sign and send a limit order; instructions are ``post_only``, ``reduce_only``,
        ``time_in_force``, ``label``, ``self_trading``, ``mmp``, and ``type`` (stop_limit, …) with
        ``trigger_price``. In a dry run it is signed and returned, not sent. Errors: ``Unfit``,
        ``NotListed``, ``ValueError`` for what else does not fit, ``ApiError``, ``OutcomeUnknown``.
        """
        order_id, params = self.sign_order(
            symbol,
            side,
            amount,
            price,
            rounding=rounding,
            max_fee=max_fee,
            expiry=expiry,
            **instructions,
        )
        if self.dry_run:
            return {"order": {"order_id": order_id, "order_state": "dry_run"}, "request": params}
        return await self.send_order(side, order_id, params)

    def sign_order(
        self,
        symbol: str,
        side: str,
        amount: Amount,
        price: Amount,
        *,
        rounding: Rounding | None = None,
        max_fee: Amount | None = None,
        expiry: int | None = None,
        nonce: int | None = None,
        **instructions: Any,
    ) -> tuple[str, dict[str, Any]]:
        """An order's id and its request, without sending it; a nonce of its own unless given."""
        key = self._signing_key()
        if side not in ("buy", "sell"):
            raise ValueError('side must be "buy" or "sell"')
        terms, mode, sells = self._terms(symbol), rounding or self._rounding, side == "sell"
        size = to_step(amount, terms.lot, mode, up=False, field="amount")
        limit = to_step(price, terms.tick, mode, up=sells, field="price")
        fee = self._fee(terms, limit) if max_fee is None else Decimal(str(max_fee))
        until = self._until(symbol) if expiry is None else expiry
        order_id, params = key.order(
            self._separator,
            terms,
            size,
            limit,
            sells,
            fee,
            self._nonces.take() if nonce is None else nonce,
            until,
            **instructions,
        )
        for name, value in (("amount", size), ("price", limit), ("max_fee", fee)):
            params[name] = text(value)
        return order_id, params

    async def send_order(self, side: str, order_id: str, params: dict[str, Any]) -> dict[str, Any]:
        """Send a signed order (``buy``, ``sell``, ``edit``); if its answer is lost, ask by its id,
        and send the same one again only if the venue has not seen it.
        """
        method = f"private/{side}"
        try:
            placed: dict[str, Any] = await self._transport.call(method, params, order_id)
            return placed
        except (OutcomeUnknown, ConnectionLost):
            pass
        try:
            order = await self._transport.call("private/get_order_state", {"order_id": order_id})
            return {"order": order, "trades": []}
        except ApiError as error:
            if error.name != "OrderNotFound":
                raise
        again: dict[str, Any] = await self._transport.call(method, params, order_id)
        return again

    async def cancel_order(self, order_id: str) -> dict[str, Any]:
        """Take an order out of the book."""
        found: dict[str, Any] = await self._transport.call("private/cancel", {"order_id": order_id})
        return found

    async def cancel_all_orders(self, symbol: str | None = None) -> int:
        """Take all orders, or all of a symbol, out of the book; how many."""
        if symbol is None:
            count: int = await self.call("private/cancel_all")
            return count
        name = to_name(symbol)
        some: int = await self.call("private/cancel_all_by_instrument", instrument_name=name)
        return some

    async def fetch_order(self, order_id: str) -> dict[str, Any]:
        """One order's state."""
        found: dict[str, Any] = await self._read("private/get_order_state", order_id=order_id)
        return found

    async def fetch_open_orders(self, symbol: str | None = None) -> list[dict[str, Any]]:
        """Open orders, oldest first."""
        params = {"instrument_name": to_name(symbol)} if symbol else {}
        found: list[dict[str, Any]] = await self._read("private/get_open_orders", **params)
        return found

    async def fetch_positions(self) -> list[dict[str, Any]]:
        """Every position."""
        found: list[dict[str, Any]] = await self._read("private/get_positions")
        return found

    async def fetch_balance(self) -> dict[str, Any]:
        """Cash, equity and margins."""
        found: dict[str, Any] = await self._read("private/get_account_summary")
        return found

    # Channels

    async def follow(self, channel: str, listener: Listener) -> None:
        """Call ``listener(channel, data)`` for each message, also after reconnections."""
        first = channel not in self._listeners
        self._listeners.setdefault(channel, []).append(listener)
        if first:
            await self.call("public/subscribe", channels=[channel])

    async def follow_order_book(self, symbol: str) -> Book:
        """A book kept up to date; ``stale`` until its snapshot has come, and after a gap."""
        name = to_name(symbol)
        if name not in self.books:
            self.books[name] = Book(symbol)
            await self.follow(f"book.{name}.raw", self._book_changed)
        return self.books[name]

    def _book_changed(self, channel: str, data: dict[str, Any]) -> None:
        book = self.books[data["instrument_name"]]
        book.apply(data)
        if book.stale:
            # a gap, or a checksum that differs: begin again from a snapshot
            self._again = asyncio.create_task(self._take_anew(channel))

    async def _take_anew(self, channel: str) -> None:
        with contextlib.suppress(ApiError, OutcomeUnknown, ConnectionLost):
            await self.call("public/unsubscribe", channels=[channel])
            await self.call("public/subscribe", channels=[channel])

    def _pushed(self, channel: str, data: Any) -> None:
        for listener in self._listeners.get(channel, ()):
            listener(channel, data)

    def _terms(self, symbol: str) -> Terms:
        name = to_name(symbol)
        if name not in self.terms:
            raise NotListed(symbol)
        return self.terms[name]

    def _until(self, symbol: str) -> int:
        """A day from now, but no longer than the instrument lives (seconds)."""
        item = self.markets[to_symbol(to_name(symbol))]
        return min(int(time.time()) + DAY_S, int(item["expiration_timestamp"]) // 1000)

    def _fee(self, terms: Terms, price: Decimal) -> Decimal:
        """Half more than the taker fee of a lot, or than an option's largest, in micro-dollars,
        up; where there is none, one of them.
        """
        rate = self._option_cap if is_option(terms.id) else self._taker_fee
        fee = price * terms.lot * rate * FEE_MARGIN
        least = Decimal("0.000001")
        return to_step(max(fee, least), least, Rounding.UP, up=True)
