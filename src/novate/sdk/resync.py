"""What an account's listeners have missed while the connection was away.

Owns: the last that was heard of the account (open orders, trades, positions), and what differs from
it after a reconnection, as notifications that would have told it. Orders that were open, and those
on their way, are asked for one by one; trades of others (another connection's) come from the read
side, which may lag a moment; what another connection placed and cancelled meanwhile is not told.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from novate.sdk.faults import ApiError

TRADES_KEPT = 10_000
PAGE = 1_000
PATIENCE, PAUSE_SECONDS = 100, 0.2
ASK = Callable[[str, dict[str, Any]], Awaitable[Any]]
Row = dict[str, Any]


@dataclass(slots=True)
class Missed:
    """Orders as they stand, trades (oldest first) and positions that changed meanwhile."""

    orders: list[Row] = field(default_factory=list)
    trades: list[Row] = field(default_factory=list)
    positions: list[Row] = field(default_factory=list)


class Account:
    """The last that was heard of one account."""

    def __init__(self) -> None:
        self.follows = False
        self._orders: dict[str, Row] = {}  # open, as last told
        self._sent: dict[str, int] = {}  # on their way, and how often
        self._trades: OrderedDict[str, None] = OrderedDict()
        self._sizes: dict[str, Decimal] = {}
        self._since_ms = 0
        self._told: set[str] = set()  # told live while it is asked what was missed

    # What is heard

    def heard(self, channel: str, data: Any) -> None:
        """Take in a notification of the account's."""
        match channel.split(".")[1]:
            case "orders":
                self._take(data if isinstance(data, list) else [data], [], [])
            case "trades":
                self._take([], data, [])
            case "changes":
                self._take(data["orders"], data["trades"], data["positions"])
            case _:
                pass

    def _take(self, orders: list[Row], trades: list[Row], positions: list[Row]) -> None:
        for row in orders:
            order_id = row["order_id"]
            self._told.add(order_id)
            if row["order_state"] in ("open", "untriggered"):
                self._orders[order_id] = row
            else:
                self._orders.pop(order_id, None)
        for row in trades:
            self._since_ms = max(self._since_ms, row["timestamp"])
            self._trades[row["trade_id"]] = None
        while len(self._trades) > TRADES_KEPT:
            self._trades.popitem(last=False)
        for row in positions:
            self._sizes[row["instrument_name"]] = Decimal(row["size"])

    @contextmanager
    def sending(self, order_id: str) -> Iterator[None]:
        """While an order is on its way, its fate is asked for after a loss."""
        self._sent[order_id] = self._sent.get(order_id, 0) + 1
        try:
            yield
        finally:
            self._sent[order_id] -= 1
            if not self._sent[order_id]:
                del self._sent[order_id]

    # What is asked for

    async def begin(self, ask: ASK, now_ms: int) -> None:
        """Learn what is there when the first listener comes; nothing of it is news."""
        self.follows, self._since_ms = True, now_ms
        missed = await self._differences(ask)
        self._take(missed.orders, missed.trades, missed.positions)

    async def missed(self, ask: ASK) -> Missed:
        """What differs from the last that was heard. Errors: those of ``ask``."""
        missed = await self._differences(ask)
        self._take(missed.orders, missed.trades, missed.positions)
        return missed

    async def _differences(self, ask: ASK) -> Missed:
        self._told = set()
        now = {row["order_id"]: row for row in await _patient(ask, "private/get_open_orders", {})}
        known = dict(self._orders)
        found = Missed()
        for order_id in [*known, *(name for name in self._sent if name not in known)]:
            if order_id not in now:
                row = await self._state(ask, order_id)
                if row is not None:
                    now.setdefault(row["order_id"], row)
                self._orders.pop(order_id, None)  # ended, or edited and known by another id
        changed = [row for name, row in now.items() if known.get(name) != row]
        found.orders = [row for row in changed if row["order_id"] not in self._told]
        found.trades = await self._trades_of(ask, changed, known)
        found.positions = await self._positions(ask)
        return found

    async def _state(self, ask: ASK, order_id: str) -> Row | None:
        try:
            return dict(await _patient(ask, "private/get_order_state", {"order_id": order_id}))
        except ApiError as refused:
            if refused.name != "OrderNotFound":
                raise
            return None

    async def _trades_of(self, ask: ASK, changed: list[Row], known: dict[str, Row]) -> list[Row]:
        """Trades not heard of: of the orders that changed, then of all others."""
        found: list[Row] = []
        for row in changed:
            before = known.get(row["order_id"], {"filled_amount": "0"})
            if row["filled_amount"] != before["filled_amount"]:
                asked = {"order_id": row["order_id"]}
                found += await _patient(ask, "private/get_user_trades_by_order", asked)
        more = {"currency": "any", "start_timestamp": self._since_ms, "count": PAGE}
        try:
            page = await _patient(ask, "private/get_user_trades_by_currency", more)
            found += page["trades"]
        except ApiError as refused:
            if refused.name != "IndexUnavailable":
                raise
        new = {
            row["trade_id"]: row
            for row in reversed(found)  # the engine's own before the read side's
            if row["timestamp"] >= self._since_ms and row["trade_id"] not in self._trades
        }
        return sorted(new.values(), key=lambda row: int(row["trade_id"]))

    async def _positions(self, ask: ASK) -> list[Row]:
        held = {
            row["instrument_name"]: row for row in await _patient(ask, "private/get_positions", {})
        }
        for name, size in self._sizes.items():
            if size and name not in held:
                asked = {"instrument_name": name}
                held[name] = dict(await _patient(ask, "private/get_position", asked))
        return [
            row
            for name, row in held.items()
            if Decimal(row["size"]) != self._sizes.get(name, Decimal(0))
        ]


async def _patient(ask: ASK, method: str, params: dict[str, Any]) -> Any:
    """Ask again while it is too much at once. Errors: those of ``ask``."""
    for _ in range(PATIENCE):
        try:
            return await ask(method, params)
        except ApiError as refused:
            if refused.name != "TooManyRequests":
                raise
            await asyncio.sleep(PAUSE_SECONDS)
    return await ask(method, params)


def notifications(
    channel: str, missed: Missed, scopes: Callable[[str], list[str]]
) -> list[tuple[str, Any]]:
    """What a channel of the account would have told, as it would have; ``scopes`` of an instrument
    are the middle words of the channels it belongs to.
    """
    _, kind, *about, interval = channel.split(".")
    scope = ".".join(about)

    def within(rows: list[Row]) -> list[Row]:
        return [row for row in rows if scope in scopes(row["instrument_name"])]

    orders, trades = within(missed.orders), within(missed.trades)
    if kind == "changes":
        data = {"orders": orders, "trades": trades, "positions": within(missed.positions)}
        return [(channel, data)] if any(data.values()) else []
    if kind == "trades":
        return [(channel, trades)] if trades else []
    if kind == "orders" and interval != "raw":
        return [(channel, orders)] if orders else []
    return [(channel, row) for row in orders] if kind == "orders" else []
