"""The account's own past by currency and by order.

By currency from the read side (``history_methods`` has it by instrument); an order's trades from
the engine's own fold, which keeps a day of them, so that a fill is there at once.
"""

from __future__ import annotations

from typing import Any

from novate.api.history_methods import Paged, account_of, ask, rows
from novate.api.private_methods import own_order
from novate.api.rejections import bad
from novate.api.rpc import Call, Parameters, method
from novate.store import accounts, trades

TRADES_MAX = 1_000


class PagedCurrency(Paged, kw_only=True):
    """A page of everything in a currency ("any" for all)."""

    currency: str
    kind: str = "any"
    include_old: bool = False
    include_unfilled: bool = False


class OrderTrades(Parameters):
    """One order."""

    order_id: str
    sorting: str = "default"
    historical: bool = False


def known(call: Call, params: PagedCurrency) -> str:
    """The currency asked for. Errors: ``InvalidField``."""
    call.session.venue.market.of(params.currency, None)
    if params.kind != "any":
        raise bad("kind", "must be any")
    return params.currency


@method("private/get_user_trades_by_currency", PagedCurrency, scope="read")
@method("private/get_user_trades_by_currency_and_time", PagedCurrency, scope="read")
async def get_user_trades_by_currency(call: Call, params: PagedCurrency) -> Any:
    """The account's trades in a currency."""
    query, currency = trades.get_user_trades_by_currency, known(call, params)
    return rows(await ask(call, query, account_of(call), currency, params.page()), "trades")


@method("private/get_order_history_by_currency", PagedCurrency, scope="read")
async def get_order_history_by_currency(call: Call, params: PagedCurrency) -> Any:
    """Orders that are over, in a currency."""
    query, currency = accounts.get_order_history_by_currency, known(call, params)
    more = params.page(), params.include_unfilled
    return (await ask(call, query, account_of(call), currency, *more)).rows


@method("private/get_user_trades_by_order", OrderTrades, scope="read")
async def get_user_trades_by_order(call: Call, params: OrderTrades) -> list[dict[str, Any]]:
    """An order's trades of the last day, through all its edits, oldest first."""
    state = own_order(call, params.order_id)
    venue, names = call.session.venue, {state.digest, *state.past}
    found = [
        trade
        for trade in venue.orders.by_instrument.get(state.terms.instrument, ())
        if trade.match.taker in names or trade.match.maker in names
    ]
    own = []
    for trade in found[-TRADES_MAX:]:
        of_order = {"order_id": "0x" + state.digest.hex(), "label": state.label}
        own.append(venue.market.own_trade(trade, trade.match.maker in names) | of_order)
    return own
