"""Public methods: market data, and logging in (docs/api.md)."""

from __future__ import annotations

from typing import Any, Literal

import novate
from novate.api.market import DEPTH_MAX
from novate.api.numbers import Number, decimal, wad
from novate.api.rejections import bad
from novate.api.risk_views import pause_of
from novate.api.rpc import METHODS, Call, Parameters, method, now_us
from novate.api.session import SCOPES
from novate.api.tokens import LIFE_MS
from novate.errors import BadSignature, require
from novate.units import BPS, PPM, WAD
from novate.wire import eip712
from novate.wire.login import login_digest

HEARTBEAT_SECONDS_MIN = 10


class Nothing(Parameters):
    """No parameters."""


class Hello(Parameters):
    """Who the client is."""

    client_name: str = ""
    client_version: str = ""


class Test(Parameters):
    """``expected_result: exception`` makes the method fail, to try the client's handling."""

    expected_result: str = ""


class Instruments(Parameters):
    """A currency ("any" for all) and a kind."""

    currency: str = "any"
    kind: Literal["future", "option", "spot", "any"] | None = None
    expired: bool = False


class InstrumentName(Parameters):
    """One instrument."""

    instrument_name: str


class OrderBook(Parameters):
    """One instrument and how many levels."""

    instrument_name: str
    depth: int = 20


class Trades(Parameters):
    """The last trades of an instrument."""

    instrument_name: str
    count: int = 10
    start_seq: int | None = None
    end_seq: int | None = None
    start_timestamp: int | None = None
    end_timestamp: int | None = None
    sorting: Literal["asc", "desc", "default"] = "default"
    include_old: bool = False


class Currency(Parameters):
    """One currency."""

    currency: str
    kind: Literal["future", "option", "spot", "any"] | None = None


class Index(Parameters):
    """A price index such as btc_usdc."""

    index_name: str


class Auth(Parameters):
    """A login signed by the account's owner or one of its session keys (``grant_type: signature``),
    or a token to renew (``refresh_token``).
    """

    grant_type: Literal["signature", "refresh_token"]
    account: str = ""
    timestamp: int = 0
    nonce: int = 0
    scope: str = "read trade"
    signature: str = ""
    refresh_token: str = ""


class Channels(Parameters):
    """Channels to follow or leave."""

    channels: list[str]
    label: str = ""


class Heartbeat(Parameters):
    """Seconds between heartbeats."""

    interval: Number


@method("public/hello", Hello)
async def hello(call: Call, params: Hello) -> dict[str, str]:
    """Version of the venue's software."""
    return {"version": novate.__version__}


@method("public/test", Test)
async def test(call: Call, params: Test) -> dict[str, str]:
    """Whether the venue answers."""
    if params.expected_result == "exception":
        raise bad("expected_result", "was exception, so here is one")
    return {"version": novate.__version__}


@method("public/get_time", Nothing)
async def get_time(call: Call, params: Nothing) -> int:
    """The venue's clock in milliseconds."""
    return now_us() // 1_000  # division: to milliseconds


@method("public/status", Nothing)
async def status(call: Call, params: Nothing) -> dict[str, Any]:
    """Whether trading is open."""
    paused, until = pause_of(call.session.venue.core.world)
    return {
        "locked": "true" if paused else "false",
        "locked_indices": [],
        "paused_until": until * 1000 if paused else None,
    }


@method("public/get_currencies", Nothing)
async def get_currencies(call: Call, params: Nothing) -> list[dict[str, Any]]:
    """Every currency."""
    return [
        {
            "currency": name,
            "currency_long": name,
            "coin_type": "TOKEN",
            "min_confirmations": 1,
            "withdrawal_fee": "0",
        }
        for name in call.session.venue.market.currencies()
    ]


@method("public/get_instruments", Instruments)
async def get_instruments(call: Call, params: Instruments) -> list[dict[str, Any]]:
    """What is listed."""
    market = call.session.venue.market
    found = market.of(params.currency, params.kind, params.expired)
    return [market.instrument(item) for item in found]


@method("public/get_instrument", InstrumentName)
async def get_instrument(call: Call, params: InstrumentName) -> dict[str, Any]:
    """One instrument."""
    market = call.session.venue.market
    return market.instrument(market.named(params.instrument_name))


@method("public/ticker", InstrumentName)
async def ticker(call: Call, params: InstrumentName) -> dict[str, Any]:
    """Best prices, mark, index, funding."""
    market = call.session.venue.market
    return market.ticker(market.named(params.instrument_name))


@method("public/get_order_book", OrderBook)
async def get_order_book(call: Call, params: OrderBook) -> dict[str, Any]:
    """Both sides of a book."""
    if not 1 <= params.depth <= DEPTH_MAX:
        raise bad("depth", f"must be from 1 to {DEPTH_MAX}")
    market = call.session.venue.market
    return market.order_book(market.named(params.instrument_name), params.depth)


@method("public/get_book_summary_by_currency", Currency, cost=20)
async def get_book_summary_by_currency(call: Call, params: Currency) -> list[dict[str, Any]]:
    """A ticker of everything in a currency."""
    market = call.session.venue.market
    return [market.summary(item) for item in market.of(params.currency, params.kind)]


@method("public/get_last_trades_by_instrument", Trades)
async def get_last_trades_by_instrument(call: Call, params: Trades) -> dict[str, Any]:
    """The last trades, newest first."""
    if not 1 <= params.count <= 1_000:
        raise bad("count", "must be from 1 to 1000")
    market = call.session.venue.market
    item = market.named(params.instrument_name)
    low = params.start_seq if params.start_seq is not None else 0
    high = params.end_seq if params.end_seq is not None else 2**63
    since = params.start_timestamp if params.start_timestamp is not None else 0
    until = params.end_timestamp if params.end_timestamp is not None else 2**63
    found = [
        trade
        for trade in reversed(market.trades(item))
        if low <= trade.number <= high and since <= trade.timestamp_ms <= until
    ]
    if params.sorting == "asc":
        found.reverse()
    page = found[: params.count]
    return {"trades": [market.trade(t) for t in page], "has_more": len(found) > len(page)}


@method("public/get_index_price", Index)
async def get_index_price(call: Call, params: Index) -> dict[str, str]:
    """An index."""
    price = decimal(call.session.venue.market.index_of(params.index_name))
    return {"index_price": price, "estimated_delivery_price": price}


@method("public/get_domain", Nothing)
async def get_domain(call: Call, params: Nothing) -> dict[str, Any]:
    """What an order is signed for: chain, Exchange, executor, and the fees at present."""
    venue = call.session.venue
    fees = venue.core.world.exchange.settings
    return {
        "name": eip712.NAME,
        "version": eip712.VERSION,
        "chain_id": venue.chain_id,
        "exchange": venue.exchange,
        "executor": venue.executor,
        "contracts": venue.deployment.addresses if venue.deployment is not None else {},
        "maker_commission": decimal(fees.maker_ppm * WAD // PPM),
        "taker_commission": decimal(fees.taker_ppm * WAD // PPM),
        "option_commission": decimal(fees.option_ppm * WAD // PPM),
        "option_commission_cap": decimal(fees.option_cap_bps * WAD // BPS),
    }


@method("public/auth", Auth)
async def auth(call: Call, params: Auth) -> dict[str, Any]:
    """Open a session. Errors: ``BadSignature``, ``ClockSkew``, ``NotAuthenticated``."""
    session, venue = call.session, call.session.venue
    now_ms = call.us_in // 1_000  # division: to milliseconds
    if params.grant_type == "refresh_token":
        grant = venue.tokens.grant(params.refresh_token, now_ms)
        account, signer, scopes = grant.account, grant.signer, grant.scopes
    else:
        account = parse_account(params.account)
        scopes = frozenset(params.scope.split())
        if not scopes or not scopes <= set(SCOPES):
            raise bad("scope", "must be words of: " + " ".join(SCOPES))
        digest = signed_login(venue.separator, account, params)
        signer = recovered(digest, params.signature)
        venue.gateway.require_signs_for(account, signer)
        venue.tokens.require_fresh(digest, params.timestamp, now_ms)
    session.account, session.signer, session.scopes = account, signer, scopes
    token = venue.tokens.issue(account, signer, scopes, now_ms)
    return {
        "access_token": token,
        "refresh_token": token,
        "expires_in": LIFE_MS // 1_000,  # division: to seconds
        "scope": " ".join(sorted(scopes)),
        "token_type": "bearer",
    }


def signed_login(separator: bytes, account: int, params: Auth) -> bytes:
    """What a login's signer has signed. Errors: ``InvalidField``."""
    if not 0 <= params.timestamp < 2**63 or not 0 <= params.nonce < 2**63:
        raise bad("timestamp", "and nonce must be whole numbers below 2^63")
    return login_digest(separator, account, params.timestamp, params.nonce, params.scope)


def parse_account(text: str) -> int:
    """An account written as 0x and 64 hexadecimal digits. Errors: ``InvalidField``."""
    digits = text.removeprefix("0x")
    if len(text) != 66 or len(digits) != 64 or set(digits.lower()) - set("0123456789abcdef"):
        raise bad("account", "must be 0x and 64 hexadecimal digits: owner address, then number")
    return int(digits, 16)


def recovered(digest: bytes, signature: str) -> str:
    """Who signed. Errors: ``InvalidField``, ``BadSignature``."""
    digits = signature.removeprefix("0x").lower()
    if len(digits) != 128 or set(digits) - set("0123456789abcdef"):
        raise bad("signature", "must be 0x and 128 hexadecimal digits: r, then s with its parity")
    found = eip712.recover(digest, int(digits[:64], 16), int(digits[64:], 16))
    require(found is not None, BadSignature)
    assert found is not None
    return found


@method("public/subscribe", Channels)
async def subscribe(call: Call, params: Channels) -> list[str]:
    """Follow channels; all of them or none. Errors: ``UnknownChannel``, ``TooManyRequests``."""
    venue = call.session.venue
    feeds, room = venue.feeds, venue.rfqs
    if len(params.channels) > 500:
        raise bad("channels", "must be at most 500")
    # each begins with a view of its own; division: the first two are in the method's cost
    call.session.spend(METHODS["public/subscribe"], max(len(params.channels) // 2 - 1, 0))
    for channel in params.channels:
        feeds.parse(channel, call.session.account)
    for channel in params.channels:
        feeds.subscribe(call.session, channel)
        room.greet(call.session, channel)
        venue.greet(call.session, channel)
    return params.channels


@method("public/unsubscribe", Channels)
async def unsubscribe(call: Call, params: Channels) -> list[str]:
    """Leave channels."""
    for channel in params.channels:
        call.session.venue.feeds.unsubscribe(call.session, channel)
    return params.channels


@method("public/unsubscribe_all", Nothing)
async def unsubscribe_all(call: Call, params: Nothing) -> str:
    """Leave every channel."""
    call.session.venue.feeds.leave(call.session)
    return "ok"


@method("public/set_heartbeat", Heartbeat)
async def set_heartbeat(call: Call, params: Heartbeat) -> str:
    """Ask for a heartbeat at least every so many seconds."""
    seconds = wad("interval", params.interval) // WAD  # division: whole seconds
    if not HEARTBEAT_SECONDS_MIN <= seconds <= 3_600:
        raise bad("interval", f"must be from {HEARTBEAT_SECONDS_MIN} to 3600 seconds")
    call.session.heartbeat_s = seconds
    return "ok"


@method("public/disable_heartbeat", Nothing)
async def disable_heartbeat(call: Call, params: Nothing) -> str:
    """No more heartbeats."""
    call.session.heartbeat_s = 0
    return "ok"
