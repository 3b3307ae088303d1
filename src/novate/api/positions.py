"""What an account holds, as clients see it: positions and money at the engine's present prices.

A position counts a trade from its match on. Amounts leave as decimal strings, exact.
"""

from __future__ import annotations

from typing import Any

from novate.api.engine_port import Engine
from novate.api.market import Market
from novate.api.numbers import decimal
from novate.api.orders import Orders
from novate.model import ledger
from novate.model.state import World
from novate.units import WAD


def held(engine: Engine, orders: Orders, account: int) -> dict[int, int]:
    """The account's lots by instrument, with the matches of the batch that is still open: whoever
    hedges what he reads here does not hedge a fill twice. Which batch is open says the engine: it
    may have closed one whose end nobody has been told of, and then the world holds its matches.
    """
    found = dict(engine.world.ledger.accounts[account].positions)
    raw = account.to_bytes(32, "big")
    for trade in reversed(orders.trades.values()):
        match = trade.match
        if trade.settlement != "matched" or match.sequence < engine.first_open:
            break
        for side, sign in ((match.taker_account, 1), (match.maker_account, -1)):
            if side == raw:
                lots = match.lots if match.taker_buys else -match.lots
                found[match.instrument] = found.get(match.instrument, 0) + sign * lots
    return found


def position(market: Market, account: int, instrument: int, size: int) -> dict[str, Any]:
    """An account's position of so many lots. Average price and gain are None where a part of it did
    not come by trades that the venue has matched.
    """
    item = market.by_id[instrument]
    mark, index = market.prices(instrument)
    amount = size * item.lot_size
    entry = market.orders.entries.of(account, instrument)
    average, gain = entry.average(size), entry.gain(size, mark, item.lot_size)
    return {
        "instrument_name": item.name,
        "kind": item.kind,
        "direction": "buy" if size > 0 else "sell" if size < 0 else "zero",
        "size": decimal(amount),
        "size_currency": decimal(amount),
        "average_price": None if average is None else decimal(average),
        "floating_profit_loss": None if gain is None else decimal(gain),
        "mark_price": decimal(mark),
        "index_price": decimal(index),
        "notional": decimal(abs(amount) * mark // WAD),  # division: reported, floored
        **market.exposure(item, amount),
    }


def summary(world: World, account: int) -> dict[str, Any]:
    """Equity and margins of an account."""
    check = ledger.check(world, account)
    value = check.valuation
    free = check.equity - value.penalty - value.margin_initial
    return {
        "currency": "USDC",
        "account": f"0x{account:064x}",
        "balance": decimal(check.cash),
        "equity": decimal(check.equity),
        "margin_balance": decimal(check.equity),
        "initial_margin": decimal(value.margin_initial),
        "maintenance_margin": decimal(value.margin_maintenance),
        "available_funds": decimal(max(free, 0)),
        "available_withdrawal_funds": decimal(max(min(free, check.cash), 0)),
        "portfolio_margining_enabled": True,
        "margin_model": "cross_pm",
        "in_auction": check.in_auction,
        "positions": check.positions,
    }
