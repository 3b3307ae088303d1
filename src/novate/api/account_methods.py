"""Safety and insight: cancel on disconnect, the dead man's switch, margins, limits, what is signed.

What cancels without its client is journaled and kept in ``keeper.py``.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from novate.api import risk_views
from novate.api.numbers import Number, decimal, lots, price
from novate.api.private_methods import held_by
from novate.api.public_methods import Nothing
from novate.api.rejections import bad
from novate.api.rpc import Call, Parameters, method
from novate.api.signed_orders import PlaceOrder, signed_order
from novate.errors import NotAuthenticated, OrderNotFound, Rejected, SessionKeyScope, require
from novate.model import ledger
from novate.model.margin import evaluate
from novate.services.batch_call import exit_data
from novate.wire import eip712

SWITCH_SECONDS_MIN, SWITCH_SECONDS_MAX = 5, 3_600


class Scope(Parameters):
    """Of this connection (the default), or of every connection of the account that does not say
    otherwise, from now on.
    """

    scope: Literal["connection", "account"] = "connection"


class Switch(Parameters):
    """Seconds until the account's orders are cancelled, unless asked again; 0 takes it back."""

    timeout: int


class Margins(Parameters):
    """A trade that is thought of."""

    instrument_name: str
    amount: Number
    price: Number


class Simulation(Parameters):
    """Positions by instrument, in base units: with those held, or instead of them."""

    simulated_positions: dict[str, Number]
    add_positions: bool = True
    currency: str = ""


class Underwater(Parameters):
    """How many accounts at most."""

    count: int = 20


class ExitRequest(Parameters):
    """A match of the account's by its ``trade_id``, or else its last one."""

    trade_id: str | None = None


class Digest(PlaceOrder):
    """An order as ``private/buy`` takes it, its signature ignored, with the account that signs."""

    direction: Literal["buy", "sell"] = "buy"
    signature: str = "0x" + "00" * 64


def _require_cancels_all(call: Call) -> None:
    """The session's signer may cancel whatever the account has. Errors: ``SessionKeyScope``."""
    session = call.session
    allowed = session.venue.gateway.cancels_all_of(session.account, session.signer)
    require(allowed, SessionKeyScope)


@method("private/enable_cancel_on_disconnect", Scope, scope="trade")
async def enable_cancel_on_disconnect(call: Call, params: Scope) -> str:
    """Cancel the account's orders when this connection, or any of the account's, ends.

    Errors: ``SessionKeyScope``.
    """
    _require_cancels_all(call)
    keeper = call.session.venue.keeper
    if params.scope == "account":
        await keeper.cancel_always(call.session, True)
        return "ok"
    require(call.session.send is not None, NotAuthenticated, "only a WebSocket can be left")
    await keeper.guard(call.session)
    return "ok"


@method("private/disable_cancel_on_disconnect", Scope, scope="trade")
async def disable_cancel_on_disconnect(call: Call, params: Scope) -> str:
    """Leave the orders when this connection, or any of the account's, ends.

    Errors: ``SessionKeyScope``.
    """
    _require_cancels_all(call)
    keeper = call.session.venue.keeper
    if params.scope == "account":
        await keeper.cancel_always(call.session, False)
    else:
        await keeper.unguard(call.session)
    return "ok"


@method("private/get_cancel_on_disconnect", Scope, scope="read")
async def get_cancel_on_disconnect(call: Call, params: Scope) -> dict[str, Any]:
    """Whether this connection's end, or that of the account's others, cancels."""
    of_all = call.session.venue.keeper.cancels_always(call.session.account)
    enabled = of_all if params.scope == "account" else call.session.cancels_at_end
    return {"scope": params.scope, "enabled": enabled}


@method("private/schedule_cancel", Switch, scope="trade")
async def schedule_cancel(call: Call, params: Switch) -> dict[str, Any]:
    """Set, renew or take back the dead man's switch of the account.

    Errors: ``SessionKeyScope``.
    """
    _require_cancels_all(call)
    if params.timeout != 0 and not SWITCH_SECONDS_MIN <= params.timeout <= SWITCH_SECONDS_MAX:
        raise bad("timeout", f"must be 0, or {SWITCH_SECONDS_MIN} to {SWITCH_SECONDS_MAX} seconds")
    due_ms = await call.session.venue.keeper.set_switch(call.session, params.timeout)
    return {"timeout": params.timeout, "cancels_at": due_ms}


@method("private/get_margins", Margins, scope="read")
async def get_margins(call: Call, params: Margins) -> dict[str, Any]:
    """What the account must hold after buying, and after selling, so much at that price."""
    venue = call.session.venue
    item = venue.market.named(params.instrument_name)
    size = lots("amount", params.amount, item.lot_size)
    limit = price("price", params.price, item.tick)
    found = {}
    for side, change in (("buy", size), ("sell", -size)):
        held = held_by(call)
        held[item.id] = held.get(item.id, 0) + change
        held = {instrument: n for instrument, n in held.items() if n}
        found[side] = decimal(evaluate(venue.core.world, held).margin_initial)
    return found | {"min_price": None, "max_price": None, "price": decimal(limit)}


@method("private/simulate_portfolio", Simulation, scope="read", cost=5)
async def simulate_portfolio(call: Call, params: Simulation) -> dict[str, Any]:
    """Margin of positions that are thought of, at present prices."""
    venue = call.session.venue
    if len(params.simulated_positions) > 128:
        raise bad("simulated_positions", "must be at most 128")
    world = venue.core.world
    held = held_by(call) if params.add_positions else {}
    for name, value in params.simulated_positions.items():
        item, text = venue.market.named(name), str(value)
        size = lots(f"simulated_positions.{name}", text.removeprefix("-"), item.lot_size)
        held[item.id] = held.get(item.id, 0) + (-size if text.startswith("-") else size)
    after = evaluate(world, {instrument: n for instrument, n in held.items() if n})
    check = ledger.check(world, call.session.account)
    return {
        "initial_margin": decimal(after.margin_initial),
        "maintenance_margin": decimal(after.margin_maintenance),
        "worst_of_correction": decimal(after.penalty),
        "equity": decimal(check.equity),
        "available_funds": decimal(check.equity - after.penalty - after.margin_initial),
    }


@method("public/get_order_digest", Digest)
async def get_order_digest(call: Call, params: Digest) -> dict[str, Any]:
    """Domain, order and digest: for whoever debugs a signature."""
    venue = call.session.venue
    signed = signed_order(call, params, params.direction == "sell", own=False)
    domain = eip712.Domain(venue.chain_id, venue.exchange)
    return {
        "domain_separator": "0x" + venue.separator.hex(),
        "digest": "0x" + eip712.order_digest(venue.separator, signed.order).hex(),
        "typed_data": _texts(eip712.typed_data(domain, signed.order)),
    }


def _texts(value: Any) -> Any:
    """Bytes as 0x text and whole numbers as decimal text, as wallets take them."""
    if isinstance(value, dict):
        return {name: _texts(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_texts(member) for member in value]
    if isinstance(value, bytes):
        return "0x" + value.hex()
    return str(value) if isinstance(value, int) else value


@method("public/get_rate_limits", Nothing)
async def get_rate_limits(call: Call, params: Nothing) -> dict[str, Any]:
    """Credits of an account: requests, and cancels, which have a bucket of their own."""
    limits = call.session.venue.limits
    return {
        name: {"maximum": size, "refill_per_second": rate}
        for name, (size, rate) in (("requests", limits.requests), ("cancels", limits.cancels))
    }


@method("public/get_risk_parameters", Nothing)
async def get_risk_parameters(call: Call, params: Nothing) -> dict[str, Any]:
    """What margin rests on, within which bounds governance may set it, and the changes that it has
    announced; a change in progress has a target of its own.
    """
    venue = call.session.venue
    world = venue.core.world
    return risk_views.parameters_of(world, venue.parameters, venue.pending_changes.rows(world.now))


@method("public/get_insurance", Nothing)
async def get_insurance(call: Call, params: Nothing) -> dict[str, Any]:
    """What stands in the layers of the waterfall, in the order in which they pay."""
    return risk_views.insurance(call.session.venue.core.world)


@method("public/get_signed_feeds", Nothing)
async def get_signed_feeds(call: Call, params: Nothing) -> dict[str, Any]:
    """The prices of the newest round, as the quorum signed them, and which nodes did."""
    venue = call.session.venue
    return risk_views.signed_feeds(venue.core.world, venue.parameters, venue.venue_feeds.newest)


@method("public/get_liquidatable", Underwater, cost=20)
async def get_liquidatable(call: Call, params: Underwater) -> list[dict[str, Any]]:
    """Accounts below their maintenance margin, the one with most missing first, with or without an
    auction. The Auctioneer has the last word: anyone may start an auction there and bid.
    """
    if not 1 <= params.count <= 100:
        raise bad("count", "must be from 1 to 100")
    world = call.session.venue.core.world
    found = []
    for account, row in world.ledger.accounts.items():
        if not row.positions:
            continue
        check = ledger.check(world, account)
        missing = check.valuation.margin_maintenance - check.equity
        if missing > 0:
            found.append((missing, account, check))
    found.sort(key=lambda item: item[:2], reverse=True)
    return [risk_views.liquidatable(account, check) for _, account, check in found[: params.count]]


def match_number(trade_id: str) -> int:
    """The number of a match in the journal. Errors: ``InvalidField``."""
    if not (trade_id.isascii() and trade_id.isdecimal() and len(trade_id) <= 19):
        raise bad("trade_id", "must be a trade's, a whole number as text")
    return int(trade_id)


@method("private/get_forced_exit_data", ExitRequest, scope="read")
async def get_forced_exit_data(call: Call, params: ExitRequest) -> Any:
    """A match's document: with it, a key and an RPC one settles and leaves without this venue.

    Errors: ``OrderNotFound`` unless the account is a side of that match, and its orders may still
    settle.
    """
    venue, account = call.session.venue, call.session.account.to_bytes(32, "big")
    trades = venue.orders.trades
    wanted = reversed(trades) if params.trade_id is None else [match_number(params.trade_id)]
    for sequence in wanted:
        match = trades[sequence].match if sequence in trades else None
        if match is None or account not in (match.taker_account, match.maker_account):
            continue
        require(venue.deployment is not None, OrderNotFound)
        assert venue.deployment is not None
        known = venue.core.engine.placed
        taker, maker = known.get(match.taker), known.get(match.maker)
        if taker is None or maker is None:
            continue  # they have expired: it settled, or never will
        made = exit_data(venue.deployment, match, taker, maker, venue.executor)
        return msgspec.to_builtins(made)
    raise Rejected(OrderNotFound)
