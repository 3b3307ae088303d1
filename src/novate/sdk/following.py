"""Channels, followed over losses of the connection: books begin anew from a snapshot, and listeners
of the account are told what they have missed.

Owns: who listens to what, and what is done about it after a reconnection, before anything else is
sent: channels, then what was missed, then ``on_reconnect``.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from novate.sdk.book import Book
from novate.sdk.faults import ApiError, ConnectionLost, OutcomeUnknown
from novate.sdk.parts import ClientPart
from novate.sdk.resync import Account, Missed, notifications
from novate.sdk.symbols import to_name, to_symbol

Listener = Callable[[str, Any], None]
Reconnected = Callable[[Missed], Awaitable[None] | None]
OF_ACCOUNT = ("user.orders.", "user.trades.", "user.changes.")
_LOG = logging.getLogger("novate.sdk")


class Following(ClientPart):
    """Methods of ``AsyncClient`` about channels."""

    def __init__(self, on_reconnect: Reconnected | None = None) -> None:
        self.on_reconnect = on_reconnect
        self.books: dict[str, Book] = {}
        self.markets: dict[str, dict[str, Any]] = {}
        self._listeners: dict[str, list[Listener]] = {}
        self._account = Account()
        self._begun = False
        self._tasks: set[asyncio.Future[Any]] = set()

    @abstractmethod
    async def _direct(self, method: str, params: dict[str, Any]) -> Any:
        """A request before others may be sent."""

    async def follow(self, channel: str, listener: Listener) -> None:
        """Call ``listener(channel, data)`` for each message, also after reconnections; of
        ``user.orders``, ``user.trades`` and ``user.changes`` also for what was missed meanwhile.
        """
        first = channel not in self._listeners
        self._listeners.setdefault(channel, []).append(listener)
        if first:
            await self.call("public/subscribe", channels=[channel])
        if channel.startswith(OF_ACCOUNT) and not self._account.follows:
            with _no_right():
                await self._account.begin(self._ask, self._venue_ms())

    async def _ask(self, method: str, params: dict[str, Any]) -> Any:
        return await self.call(method, **params)

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
            self._keep(asyncio.ensure_future(self._take_anew(channel)))

    async def _take_anew(self, channel: str) -> None:
        with contextlib.suppress(ApiError, OutcomeUnknown, ConnectionLost):
            await self.call("public/unsubscribe", channels=[channel])
            await self.call("public/subscribe", channels=[channel])

    def _pushed(self, channel: str, data: Any) -> None:
        if self._account.follows and channel.startswith(OF_ACCOUNT):
            self._account.heard(channel, data)
        self._tell(channel, data)

    def _tell(self, channel: str, data: Any) -> None:
        """Call the listeners; one that fails keeps nobody else from hearing."""
        for listener in list(self._listeners.get(channel, ())):
            try:
                listener(channel, data)
            except Exception:
                _LOG.exception("a listener of %s failed", channel)

    async def _follow_again(self) -> None:
        """After a connection: channels, books, what was missed. Errors: those of requests."""
        if self._listeners:
            for book in self.books.values():
                book.stale = True
            await self._direct("public/subscribe", {"channels": list(self._listeners)})
        missed = Missed()
        if self._account.follows:
            with _no_right():
                missed = await self._account.missed(self._direct)
        again, self._begun = self._begun, True
        if not again:
            return
        for channel in [name for name in self._listeners if name.startswith(OF_ACCOUNT)]:
            for name, data in notifications(channel, missed, self._scopes):
                self._tell(name, data)
        self._reconnected(missed)

    def _reconnected(self, missed: Missed) -> None:
        """Call the hook; what it awaits goes on by itself, since its requests wait until the
        connection is ready.
        """
        if self.on_reconnect is None:
            return
        try:
            found = self.on_reconnect(missed)
        except Exception:
            _LOG.exception("on_reconnect failed")
            return
        if found is not None:
            self._keep(asyncio.ensure_future(found))

    def _scopes(self, name: str) -> list[str]:
        """The middle words of the account's channels that an instrument belongs to."""
        item = self.markets.get(to_symbol(name), {})
        kinds = (item.get("kind", "any"), "any")
        currencies = (item.get("base_currency", "any"), "USDC", "any")
        return [name, "any", *(f"{kind}.{currency}" for kind in kinds for currency in currencies)]

    def _keep(self, task: asyncio.Future[Any]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


@contextlib.contextmanager
def _no_right() -> Iterator[None]:
    """A session without the right to read is told nothing; what may be asked again is raised."""
    try:
        yield
    except ApiError as refused:
        if refused.retryable:
            raise
        _LOG.warning("what was missed cannot be asked for: %s", refused)
