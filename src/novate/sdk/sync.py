"""The synchronous client: ``AsyncClient`` on a thread of its own, method by method.

Owns: the thread and its event loop. Safe to use from several threads.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Any, TypeVar

from novate.sdk.book import Book
from novate.sdk.client import AsyncClient, Listener
from novate.sdk.parts import Amount

STOP_SECONDS = 30
T = TypeVar("T")


class Client:
    """The same client without ``await``; a context manager, or ``open`` and ``close``."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.client = self._run(self._make(*arguments, **options))

    async def _make(self, *arguments: Any, **options: Any) -> AsyncClient:
        return AsyncClient(*arguments, **options)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result()

    def __enter__(self) -> Client:
        self._run(self.client.__aenter__())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._run(self.client.__aexit__(kind, error, trace))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STOP_SECONDS)
        self._loop.close()

    @property
    def markets(self) -> dict[str, dict[str, Any]]:
        """Every instrument, by symbol."""
        return self.client.markets

    def call(self, method: str, **params: Any) -> Any:
        """Any method of the API."""
        return self._run(self.client.call(method, **params))

    def login(self, scope: str = "") -> None:
        """Log in anew, for another scope if one is given."""
        self._run(self.client.login(scope))

    def fetch_ticker(self, symbol: str) -> dict[str, Any]:
        """Best prices, mark, index."""
        return self._run(self.client.fetch_ticker(symbol))

    def load_markets(self) -> dict[str, dict[str, Any]]:
        """Every instrument, by symbol; brings what was listed since."""
        return self._run(self.client.load_markets())

    def fetch_option_chain(self, currency: str) -> dict[str, dict[str, Any]]:
        """The options of a currency, by symbol."""
        return self._run(self.client.fetch_option_chain(currency))

    def fetch_greeks(self, symbol: str) -> dict[str, Any]:
        """An option's Greeks and volatilities."""
        return self._run(self.client.fetch_greeks(symbol))

    def fetch_order_book(self, symbol: str, limit: int = 20) -> dict[str, Any]:
        """Both sides, best first."""
        return self._run(self.client.fetch_order_book(symbol, limit))

    def fetch_trades(self, symbol: str, limit: int = 50) -> list[dict[str, Any]]:
        """The last trades, newest first."""
        return self._run(self.client.fetch_trades(symbol, limit))

    def create_order(
        self, symbol: str, side: str, amount: Amount, price: Amount, **more: Any
    ) -> dict[str, Any]:
        """Sign and send a limit order, as ``AsyncClient.create_order``."""
        return self._run(self.client.create_order(symbol, side, amount, price, **more))

    def cancel_order(self, order_id: str) -> dict[str, Any]:
        """Take an order out of the book."""
        return self._run(self.client.cancel_order(order_id))

    def cancel_all_orders(self, symbol: str | None = None) -> int:
        """Take all orders, or all of a symbol, out of the book; how many."""
        return self._run(self.client.cancel_all_orders(symbol))

    def fetch_order(self, order_id: str) -> dict[str, Any]:
        """One order's state."""
        return self._run(self.client.fetch_order(order_id))

    def fetch_open_orders(self, symbol: str | None = None) -> list[dict[str, Any]]:
        """Open orders, oldest first."""
        return self._run(self.client.fetch_open_orders(symbol))

    def fetch_positions(self) -> list[dict[str, Any]]:
        """Every position."""
        return self._run(self.client.fetch_positions())

    def fetch_balance(self) -> dict[str, Any]:
        """Cash, equity and margins."""
        return self._run(self.client.fetch_balance())

    def follow(self, channel: str, listener: Listener) -> None:
        """Call ``listener(channel, data)``, on the client's own thread, for each message."""
        self._run(self.client.follow(channel, listener))

    def follow_order_book(self, symbol: str) -> Book:
        """A book kept up to date."""
        return self._run(self.client.follow_order_book(symbol))

    # Blocks

    def create_block_rfq(
        self, legs: Sequence[tuple[str, str, Amount]], valid_for: int = 60, **more: Any
    ) -> dict[str, Any]:
        """Ask everybody for prices of legs (symbol, side, amount)."""
        return self._run(self.client.create_block_rfq(legs, valid_for, **more))

    def fetch_block_rfqs(self, **which: Any) -> list[dict[str, Any]]:
        """Requests, newest first."""
        return self._run(self.client.fetch_block_rfqs(**which))

    def cancel_block_rfq(self, rfq_id: str) -> dict[str, Any]:
        """Ask no more."""
        return self._run(self.client.cancel_block_rfq(rfq_id))

    def quote_block_rfq(
        self, rfq: dict[str, Any], side: str, prices: Sequence[Amount], **more: Any
    ) -> dict[str, Any]:
        """Buy or sell a request's package at these prices, leg by leg."""
        return self._run(self.client.quote_block_rfq(rfq, side, prices, **more))

    def cancel_block_rfq_quote(self, quote_id: str) -> dict[str, Any]:
        """Take a quote back."""
        return self._run(self.client.cancel_block_rfq_quote(quote_id))

    def accept_block_rfq(self, quote: dict[str, Any], label: str = "") -> dict[str, Any]:
        """Trade a quote of an own request, all legs or none."""
        return self._run(self.client.accept_block_rfq(quote, label))

    # Edits, closings, quotes

    def edit_order(
        self,
        order_id: str,
        amount: Amount | None = None,
        price: Amount | None = None,
        **instructions: Any,
    ) -> dict[str, Any]:
        """Change an open order; what is not named stays."""
        return self._run(self.client.edit_order(order_id, amount, price, **instructions))

    def close_position(
        self, symbol: str, price: Amount | None = None, amount: Amount | None = None
    ) -> dict[str, Any]:
        """Reduce a position to zero, or by an amount, at once."""
        return self._run(self.client.close_position(symbol, price, amount))

    def mass_quote(
        self, quotes: Sequence[dict[str, Any]], expiry: int | None = None, **more: Any
    ) -> dict[str, Any]:
        """Quote many instruments with one signature."""
        return self._run(self.client.mass_quote(quotes, expiry, **more))

    def cancel_quotes(self, **which: Any) -> int:
        """Take quotes out of the books; how many were open."""
        return self._run(self.client.cancel_quotes(**which))

    def set_mmp(self, currency: str, interval: int, **limits: Any) -> dict[str, Any]:
        """Protect quotes in a currency."""
        return self._run(self.client.set_mmp(currency, interval, **limits))

    def fetch_mmp(self, currency: str) -> dict[str, Any]:
        """The protection of a currency, and whether it is frozen."""
        return self._run(self.client.fetch_mmp(currency))

    def reset_mmp(self, currency: str) -> str:
        """Quote again after a freeze."""
        return self._run(self.client.reset_mmp(currency))
