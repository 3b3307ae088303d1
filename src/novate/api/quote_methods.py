"""Mass quotes and market-maker protection.

A mass quote is up to 256 post-only orders under one signature, over the tree of them all in the
order in which they are sent (each quote's bid before its ask). A quote takes the place of its
maker's former one of that instrument, side and set; each is taken or refused by itself, and a
refused one still takes its forerunner out. Amounts in base units.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from novate.api.numbers import Number, decimal, lots, positive_wad, price, wad
from novate.api.outcomes import orders_of
from novate.api.placing import entered
from novate.api.private_methods import cancel_for
from novate.api.refusals import refusal
from novate.api.rejections import bad, error_object
from novate.api.rpc import Call, Parameters, method, now_us
from novate.api.signed_orders import (
    BITS,
    LOTS_MAX,
    MONEY_MAX,
    SelfTrading,
    checked_label,
    signature_words,
)
from novate.model.order import POST_ONLY, ZERO_ADDRESS, Order
from novate.services.gateway import is_address
from novate.wire import records
from novate.wire.bulk import BulkOrders
from novate.wire.records import (
    QUOTES_MAX,
    OrderPlaced,
    ProtectionReset,
    ProtectionSet,
    Quote,
    QuotesPlaced,
)

SECONDS_MAX = 86_400
SET_MAX = 64


class Side(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One side of a quote, as it is signed; a revision keeps the nonce of the order before."""

    price: Number
    amount: Number
    max_fee: Number
    nonce: int
    revision: int = 0
    expiry: int | None = None


class QuoteOf(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A quote of one instrument, both sides or one."""

    instrument_name: str
    bid: Side | None = None
    ask: Side | None = None
    quote_set_id: str = ""


class MassQuote(Parameters):
    """Quotes under one signature; ``expiry`` (seconds) of sides that say none."""

    quotes: list[QuoteOf]
    signature: str
    expiry: int
    executor: str = ZERO_ADDRESS
    reject_post_only: bool = True
    self_trading: SelfTrading = "cancel_maker"
    label: str = ""
    detailed: bool = False


class CancelQuotes(Parameters):
    """Which quotes go: all, or of a currency, an instrument, a set."""

    cancel_type: Literal["all", "currency", "instrument", "quote_set_id"] = "all"
    currency: str = ""
    instrument_name: str = ""
    quote_set_id: str = ""


class Protected(Parameters):
    """An index such as btc_usdc: protection is of an account and an underlying."""

    index_name: str


class SetProtection(Protected, kw_only=True):
    """A window, a freeze (both in seconds; 0: no protection, frozen until reset), and limits on
    what is filled in a window: base units, their net, and the net vega of options, in USD a point
    of volatility (0: none).
    """

    interval: int
    frozen_time: int
    quantity_limit: Number = "0"
    delta_limit: Number = "0"
    vega_limit: Number = "0"


# Quotes


@method("private/mass_quote", MassQuote, scope="trade", cost=5, of_quotes=True)
async def mass_quote(call: Call, params: MassQuote) -> dict[str, Any]:
    """Quote many instruments at once. Errors: ``BadSignature``, those of numbers and names; each
    quote's own are in ``errors``.
    """
    venue = call.session.venue
    found = _orders(call, params)
    if not 1 <= len(found) <= QUOTES_MAX:
        raise bad("quotes", f"must be 1 to {QUOTES_MAX} sides")
    words = signature_words("signature", params.signature)
    signed = BulkOrders(tuple(order for order, _ in found), *words)
    placed = venue.gateway.tree(signed, now_us() // 1_000)  # division: to milliseconds
    names = [name for _, name in found]
    command = QuotesPlaced(
        account=call.session.account.to_bytes(32, "big"),
        signer=placed[0].signer,
        received_ms=placed[0].received_ms,
        quotes=[
            Quote(one.digest, one.order, one.signature, name)
            for one, name in zip(placed, names, strict=True)
        ],
        slides=not params.reject_post_only,
        label=checked_label(params.label),
        self_trade=params.self_trading,
        together=True,
    )
    if any(one.digest not in venue.orders.by_digest for one in placed):
        with orders_of(*[one.digest for one in placed]):
            await entered(venue, placed[0].digest, command)
    return _answer(call, placed, params.detailed)


def _orders(call: Call, params: MassQuote) -> list[tuple[Order, str]]:
    """The orders of all sides in the order of the tree, each with its set."""
    if not is_address(params.executor.lower()):
        raise bad("executor", "must be 0x and 40 hexadecimal digits")
    found = []
    for index, quote in enumerate(params.quotes):
        if len(quote.quote_set_id) > SET_MAX or not quote.quote_set_id.isprintable():
            field = f"quotes[{index}].quote_set_id"
            raise bad(field, f"must be at most {SET_MAX} printable characters")
        for name, side in (("bid", quote.bid), ("ask", quote.ask)):
            if side is not None:
                field = f"quotes[{index}].{name}"
                order = _order(call, params, quote, side, field, sells=name == "ask")
                found.append((order, quote.quote_set_id))
    return found


def _order(
    call: Call, params: MassQuote, quote: QuoteOf, side: Side, field: str, sells: bool
) -> Order:
    item = call.session.venue.market.named(quote.instrument_name)
    size = lots(f"{field}.amount", side.amount, item.lot_size)
    order = Order(
        account=call.session.account,
        instrument=item.id,
        lots=-size if sells else size,
        price=price(f"{field}.price", side.price, item.tick),
        max_fee=positive_wad(f"{field}.max_fee", side.max_fee),
        nonce=side.nonce,
        expiry=params.expiry if side.expiry is None else side.expiry,
        revision=side.revision,
        flags=POST_ONLY,
        executor=params.executor.lower(),
    )
    if 0 < item.expiry < order.expiry:
        # its number will be another's, as in ``signed_order``
        raise bad(f"{field}.expiry", f"must be at most {item.expiry}, when {item.name} expires")
    for name, most in (("amount", LOTS_MAX), ("price", MONEY_MAX), ("max_fee", MONEY_MAX)):
        if (size if name == "amount" else getattr(order, name)) > most:
            raise bad(f"{field}.{name}", "is too large")
    for name in ("nonce", "expiry", "revision"):
        if not 0 <= getattr(order, name) < 1 << BITS[name]:
            raise bad(f"{field}.{name}", f"must be a whole number from 0 to 2^{BITS[name]} - 1")
    return order


def _answer(call: Call, placed: list[OrderPlaced], detailed: bool) -> dict[str, Any]:
    """Open orders (all that were taken, if ``detailed``), and why the others were refused."""
    venue = call.session.venue
    orders, refused = [], []
    for index, one in enumerate(placed):
        state = venue.orders.by_digest[one.digest]
        if state.state == "rejected":
            why = error_object(refusal(venue.market, state))
            item = venue.market.by_id[state.terms.instrument]
            side = "ask" if state.terms.sells else "bid"
            where = {"instrument_name": item.name, "side": side, "index": index}
            refused.append(where | {"order_id": "0x" + one.digest.hex(), "error": why})
        elif detailed or state.is_open:
            orders.append(venue.market.order(state))
    return {"orders": orders, "errors": refused, "trades": []}


@method("private/cancel_quotes", CancelQuotes, scope="trade", of_quotes=True)
async def cancel_quotes(call: Call, params: CancelQuotes) -> int:
    """Take quotes out of the books; how many were open. As ``cancel_all`` of whose orders."""
    venue = call.session.venue
    scope, value, name = "all", 0, ""
    match params.cancel_type:
        case "instrument":
            scope, value = "instrument", venue.market.named(params.instrument_name).id
        case "currency":
            scope, value = "underlying", underlying_of(call, params.currency, "currency")
        case "quote_set_id":
            if not params.quote_set_id:
                raise bad("quote_set_id", "is needed")
            name = params.quote_set_id
        case _:
            pass
    return await cancel_for(call.session, scope, value, quotes=True, quote_set=name)


# Protection


@method("private/get_mmp_config", Protected, scope="read")
async def get_mmp_config(call: Call, params: Protected) -> dict[str, Any]:
    """Limits, and whether they have been reached."""
    return protection_view(call, underlying_of(call, params.index_name, "index_name"))


@method("private/set_mmp_config", SetProtection, scope="trade", cost=2)
async def set_mmp_config(call: Call, params: SetProtection) -> dict[str, Any]:
    """Set limits, or none with an interval of 0; counts begin anew, a freeze goes on."""
    underlying = underlying_of(call, params.index_name, "index_name")
    for field in ("interval", "frozen_time"):
        if not 0 <= getattr(params, field) <= SECONDS_MAX:
            raise bad(field, f"must be 0 to {SECONDS_MAX} seconds")
    quantity, delta, vega = (
        _limit(field, getattr(params, field))
        for field in ("quantity_limit", "delta_limit", "vega_limit")
    )
    command = ProtectionSet(
        account=call.session.account.to_bytes(32, "big"),
        underlying=underlying,
        interval_s=params.interval,
        frozen_s=params.frozen_time,
        quantity_limit=records.big(quantity),
        delta_limit=records.big(delta),
        signer=bytes.fromhex(call.session.signer[2:]),
        received_ms=now_us() // 1_000,  # division: to milliseconds
        vega_limit=records.big(vega),
    )
    await call.session.venue.core.submit(command)
    return protection_view(call, underlying)


@method("private/reset_mmp", Protected, scope="trade")
async def reset_mmp(call: Call, params: Protected) -> str:
    """End a freeze; counts begin anew."""
    command = ProtectionReset(
        account=call.session.account.to_bytes(32, "big"),
        underlying=underlying_of(call, params.index_name, "index_name"),
        signer=bytes.fromhex(call.session.signer[2:]),
        received_ms=now_us() // 1_000,  # division: to milliseconds
    )
    await call.session.venue.core.submit(command)
    return "ok"


def _limit(field: str, value: Number) -> int:
    found = wad(field, value)
    if not 0 <= found <= MONEY_MAX:
        raise bad(field, "must not be negative")
    return found


def underlying_of(call: Call, name: str, field: str) -> int:
    """The underlying of a currency or index. Errors: ``InvalidField``."""
    currency = name.removesuffix("_usdc").removesuffix("_usd").upper()
    for underlying in call.session.venue.parameters.underlyings:
        if underlying.name == currency:
            return underlying.id
    raise bad(field, "must be of an underlying, such as BTC or btc_usdc")


def protection_view(call: Call, underlying: int) -> dict[str, Any]:
    """A protection as it stands."""
    venue = call.session.venue
    row = venue.core.engine.protection(call.session.account, underlying)
    name = next(u.name for u in venue.parameters.underlyings if u.id == underlying)
    frozen = row.is_frozen(venue.core.world.now)
    return {
        "index_name": f"{name.lower()}_usdc",
        "interval": row.interval_s,
        "frozen_time": row.frozen_s,
        "quantity_limit": decimal(row.quantity_limit),
        "delta_limit": decimal(row.delta_limit),
        "vega_limit": decimal(row.vega_limit),
        "frozen": frozen,
        "frozen_until": row.until * 1_000 if frozen and row.until else None,
    }
