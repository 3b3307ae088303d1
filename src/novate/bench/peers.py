"""Two public order books for Python on the same commands, if they are installed.

Owns: how a command of a made workload is said to each. ``pip install novate[peers]`` installs them;
without them the benchmark leaves them out. Both know limit orders and cancels alone, so that an
immediate order is a limit order whose rest is cancelled.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from time import perf_counter
from typing import Any

from novate.bench.flows import Flow
from novate.model.book_terms import Command, Kind

Step = Callable[[Command], None]


def _pyorderbook() -> Step:
    """pyorderbook: pure Python."""
    package = import_module("pyorderbook")
    book: Any = package.Book()
    open_orders: dict[int, Any] = {}

    def cancel(identity: int) -> None:
        order = open_orders.pop(identity, None)
        if order is not None and order.quantity:
            book.cancel(order)

    def step(command: Command) -> None:
        if command.kind == Kind.CANCEL:
            cancel(command.order)
            return
        made = package.bid if command.lots > 0 else package.ask
        order = made("M", command.price, abs(command.lots))
        open_orders[command.order] = order
        book.match(order)
        if command.options:
            cancel(command.order)

    return step


def _limit_order_book() -> Step:
    """limit-order-book: C++ behind ctypes."""
    book: Any = import_module("limit_order_book").LimitOrderBook()

    def cancel(identity: int) -> None:
        if book.has(identity):
            book.cancel(identity)

    def step(command: Command) -> None:
        if command.kind == Kind.CANCEL:
            cancel(command.order)
            return
        place = book.limit_buy if command.lots > 0 else book.limit_sell
        place(command.order, abs(command.lots), command.price)
        if command.options:
            cancel(command.order)

    return step


PEERS: dict[str, Callable[[], Step]] = {
    "pyorderbook": _pyorderbook,
    "limit_order_book": _limit_order_book,
}


def peer_rates(flow: Flow) -> dict[str, int]:
    """Commands a second of each peer that is installed, after the flow's seed."""
    rates = {}
    for name, make in PEERS.items():
        if find_spec(name) is None:
            continue
        step = make()
        for row in flow.seed.tolist():
            step(Command(*row))
        commands = [Command(*row) for row in flow.timed.tolist()]
        began = perf_counter()
        for command in commands:
            step(command)
        rates[name] = round(len(commands) / (perf_counter() - began))
    return rates
