"""Methods that look back: the read side's answers, under Deribit's names.

The read side is a database that a process of its own keeps (``novate index``); without one these
methods say ``IndexUnavailable``. Queries run on threads. Reads of the past may lag the book by a
moment; ``get_last_trades_by_instrument`` and order states come from the engine itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Literal

from novate.api.rpc import Call, Parameters, method, now_us
from novate.errors import IndexUnavailable, require
from novate.store import accounts, busts, history, trades
from novate.store.pages import Answer, Page

DAY_MS = 86_400_000
Sorting = Literal["asc", "desc", "default"]


class Paged(Parameters):
    """A page of an answer; times in milliseconds, both ends included."""

    count: int = 10
    start_timestamp: int | None = None
    end_timestamp: int | None = None
    sorting: Sorting = "default"
    continuation: str | None = None
    currency: str = ""

    def page(self) -> Page:
        """The page that is asked for."""
        return Page(
            self.count, self.start_timestamp, self.end_timestamp, self.sorting, self.continuation
        )


class PagedInstrument(Paged, kw_only=True):
    """A page of one instrument's."""

    instrument_name: str
    type: str = ""
    include_old: bool = False
    include_unfilled: bool = False
    start_seq: int | None = None
    end_seq: int | None = None


class PagedLog(Paged):
    """A page of the account's log, of one type if given."""

    query: str = ""


class PagedAuctions(Paged):
    """A page of liquidations, of one account if given."""

    account: str | None = None


class Span(Parameters):
    """One instrument over a time."""

    instrument_name: str
    start_timestamp: int
    end_timestamp: int


class Chart(Span):
    """Candles; ``resolution`` in minutes, or 1D."""

    resolution: str


class BatchNumber(Parameters):
    """A batch, by the number of its first trade."""

    batch: int


async def ask(call: Call, query: Callable[..., Any], *arguments: Any) -> Any:
    """A query on a thread with a connection of its own. Errors: ``IndexUnavailable``, its own."""
    store = call.session.venue.store
    require(store is not None, IndexUnavailable)
    assert store is not None

    def work() -> Any:
        with store.begin() as connection:
            return query(connection, *arguments)

    return await asyncio.to_thread(work)


def account_of(call: Call) -> str:
    """The session's account as the read side writes it."""
    return f"0x{call.session.account:064x}"


def rows(answer: Answer[Any], name: str) -> dict[str, Any]:
    """A page under its name, with where to go on."""
    return {name: answer.rows, "has_more": answer.has_more, "continuation": answer.continuation}


@method("public/get_tradingview_chart_data", Chart)
async def get_tradingview_chart_data(call: Call, params: Chart) -> Any:
    """Candles."""
    span = params.start_timestamp, params.end_timestamp, params.resolution
    return await ask(call, trades.get_tradingview_chart_data, params.instrument_name, *span)


@method("public/get_funding_rate_history", Span)
async def get_funding_rate_history(call: Call, params: Span) -> Any:
    """Funding, hour by hour."""
    span = params.start_timestamp, params.end_timestamp
    return await ask(call, history.get_funding_rate_history, params.instrument_name, *span)


@method("public/get_last_settlements_by_instrument", PagedInstrument)
async def get_last_settlements_by_instrument(call: Call, params: PagedInstrument) -> Any:
    """Settlements of an instrument."""
    name = params.instrument_name
    found = await ask(call, history.get_last_settlements_by_instrument, name, params.page())
    return rows(found, "settlements")


@method("public/get_auctions", PagedAuctions)
async def get_auctions(call: Call, params: PagedAuctions) -> Any:
    """Liquidation auctions, of all accounts or one."""
    found = await ask(call, history.get_auctions, params.page(), params.account)
    return rows(found, "auctions")


@method("public/get_batches", Paged)
async def get_batches(call: Call, params: Paged) -> Any:
    """Settlement batches."""
    return rows(await ask(call, trades.get_batches, params.page()), "batches")


@method("public/get_batch", BatchNumber)
async def get_batch(call: Call, params: BatchNumber) -> Any:
    """One settlement batch with its trades."""
    return await ask(call, trades.get_batch, params.batch)


@method("public/get_trade_busts", Paged)
async def get_trade_busts(call: Call, params: Paged) -> Any:
    """Trades that settlement refused, and why; whether they are tried again."""
    return rows(await ask(call, busts.get_trade_busts, params.page()), "busts")


@method("private/get_user_trades_by_instrument", PagedInstrument, scope="read")
async def get_user_trades_by_instrument(call: Call, params: PagedInstrument) -> Any:
    """The account's trades in an instrument."""
    query = trades.get_user_trades_by_instrument
    found = await ask(call, query, account_of(call), params.instrument_name, params.page())
    return rows(found, "trades")


@method("private/get_order_history_by_instrument", PagedInstrument, scope="read")
async def get_order_history_by_instrument(call: Call, params: PagedInstrument) -> Any:
    """Orders that are over."""
    query, name = accounts.get_order_history_by_instrument, params.instrument_name
    found = await ask(call, query, account_of(call), name, params.page(), params.include_unfilled)
    return found.rows


@method("private/get_settlement_history_by_instrument", PagedInstrument, scope="read")
async def get_settlement_history_by_instrument(call: Call, params: PagedInstrument) -> Any:
    """Profit and loss as it became cash."""
    query, name = accounts.get_settlement_history_by_instrument, params.instrument_name
    return rows(await ask(call, query, account_of(call), name, params.page()), "settlements")


@method("private/get_transaction_log", PagedLog, scope="read")
async def get_transaction_log(call: Call, params: PagedLog) -> Any:
    """Every change of the balance; the last day unless a time is asked for."""
    page = params.page()
    if page.start_timestamp is None:
        today = now_us() // 1_000  # division: to milliseconds
        page = Page(page.count, today - DAY_MS, page.end_timestamp, page.sorting, page.continuation)
    kind = params.query or None
    return rows(await ask(call, accounts.get_transaction_log, account_of(call), page, kind), "logs")


@method("private/get_deposits", Paged, scope="read")
async def get_deposits(call: Call, params: Paged) -> Any:
    """Tokens that came in."""
    found = await ask(call, accounts.get_deposits, account_of(call), params.page())
    return {"data": found.rows, "count": len(found.rows), "continuation": found.continuation}


@method("private/get_withdrawals", Paged, scope="read")
async def get_withdrawals(call: Call, params: Paged) -> Any:
    """Withdrawals and what became of them."""
    found = await ask(call, accounts.get_withdrawals, account_of(call), params.page())
    return {"data": found.rows, "count": len(found.rows), "continuation": found.continuation}
