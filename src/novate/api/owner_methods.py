"""What only an account's owner does, on the chain: withdraw, let keys sign, bid in auctions.

No contract takes such a wish from a third party, so the venue cannot carry it out: these methods
answer with the transactions that the owner sends himself. Each is tried first on the engine's
world, and then undone: what would be refused on the chain is refused here, by the same name.
Amounts are decimal strings; budgets of keys in USD, to the cent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar

import msgspec

from novate.api.numbers import Number, decimal, wad
from novate.api.public_methods import Nothing, parse_account
from novate.api.rejections import bad
from novate.api.rpc import Call, Parameters, method
from novate.chain.backend import abi_of
from novate.chain.deployment import CONTRACT_OF, Deployment
from novate.errors import TradedSince, Unavailable, require
from novate.model import custody, ledger, liquidation, session
from novate.model.session import CANCEL, QUOTE, TRADE, SessionKey
from novate.model.state import World
from novate.services.gateway import is_address
from novate.units import CENT, PPM, WAD

SCOPE_BITS = {"trade": TRADE, "quote": QUOTE, "cancel": CANCEL}
TRADES_SEEN_MAX = 10_000
T = TypeVar("T")


class Withdrawal(Parameters):
    """A token and how much of it; it goes to the account's owner, and to nobody else."""

    currency: str
    amount: Number
    address: str = ""
    priority: str = ""


class TokenOnly(Parameters):
    """One token."""

    currency: str


class NewKey(Parameters):
    """A key's address, what it may sign, until when (seconds), in which currencies (all if none),
    for how much: notional, and losses against the mark, both in USD.
    """

    key: str
    scope: str
    expiry: int
    max_notional: Number
    max_loss: Number
    currencies: list[str] = msgspec.field(default_factory=list)


class KeyOnly(Parameters):
    """One key."""

    key: str


class Portfolios(Parameters):
    """Whether to tell each account's money too."""

    with_portfolio: bool = False


class Bid(Parameters):
    """An account in trouble, and the share of it to take over; what the bid must not fall below."""

    account: str
    share: Number = "1"
    health_min: Number = "0"
    reward_min: Number = "0"
    last_seen_trade: int | None = None


# Transactions


def deployment_of(call: Call) -> Deployment:
    """Where the contracts are. Errors: ``Unavailable`` where the venue was not told."""
    found = call.session.venue.deployment
    require(found is not None, Unavailable)
    assert found is not None
    return found


def transaction(
    call: Call, contract: str, function: str, *arguments: Any, not_before: int = 0
) -> dict[str, Any]:
    """One transaction for the owner to send; not before a second of the chain."""
    deployment = deployment_of(call)
    calldata = abi_of(CONTRACT_OF[contract]).encode_call(function, *arguments)
    return {
        "name": f"{contract}.{function}",
        "chain_id": deployment.chain_id,
        "from": owner_of(call),
        "to": deployment.addresses[contract],
        "data": "0x" + calldata.hex(),
        "value": "0",
        "not_before": not_before,
    }


def owner_of(call: Call) -> str:
    """The address that owns the session's account."""
    return session.owner(call.session.account)


def tried(world: World, act: Callable[[], T]) -> T:
    """What an act would answer, undone. Errors: those that the chain would meet it with."""
    try:
        with world.store.transaction():
            raise _Undone(act())
    except _Undone as undone:
        found: T = undone.found
        return found
    finally:
        world.take_events()


class _Undone(Exception):
    def __init__(self, found: Any) -> None:
        super().__init__()
        self.found = found


def to_send(*transactions: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The answer of a method whose work is the owner's."""
    return {"state": "unsigned", "transactions": list(transactions)} | more


# Money out


@method("private/withdraw", Withdrawal, scope="withdraw", cost=5)
async def withdraw(call: Call, params: Withdrawal) -> dict[str, Any]:
    """The transactions of a withdrawal: ask for a place in the queue, then take it.

    Errors: those of ``Custody.request_withdrawal`` (``RequestOpen``, ``InsufficientCash``, …).
    """
    world, account, owner = call.session.venue.core.world, call.session.account, owner_of(call)
    name, token = token_of(call, params.currency)
    if params.address.lower() not in ("", owner):
        raise bad("address", f"must be the account's owner, {owner}")
    units = _units(call, name, params.amount)

    def ask() -> int:
        custody.request_withdrawal(world, owner, account, token, units)
        found: int = world.custody.requests[account, token].eligible_at
        return found

    eligible: int = tried(world, ask)
    raw = account.to_bytes(32, "big")
    return to_send(
        transaction(call, "custody", "request_withdrawal", raw, token, units),
        transaction(call, "custody", "withdraw", raw, token, not_before=eligible),
        currency=name,
        amount=decimal(wad("amount", params.amount)),
        address=owner,
        eligible_at=eligible,
        expires_at=eligible + custody.EXECUTION_WINDOW_S,
    )


@method("private/cancel_withdrawal", TokenOnly, scope="withdraw")
async def cancel_withdrawal(call: Call, params: TokenOnly) -> dict[str, Any]:
    """The transaction that gives an open request's place up. Errors: ``NoRequest``."""
    world, account, owner = call.session.venue.core.world, call.session.account, owner_of(call)
    name, token = token_of(call, params.currency)
    amount = world.custody.requests[account, token].amount
    tried(world, lambda: custody.cancel_withdrawal(world, owner, account, token))
    decimals = world.custody.tokens[token].decimals
    raw = account.to_bytes(32, "big")
    return to_send(
        transaction(call, "custody", "cancel_withdrawal", raw, token),
        currency=name,
        amount=decimal(amount * 10 ** (18 - decimals)),
    )


def token_of(call: Call, currency: str) -> tuple[str, str]:
    """A token's name and address. Errors: ``InvalidField``."""
    tokens = deployment_of(call).tokens
    if currency not in tokens:
        raise bad("currency", "must be one of " + ", ".join(sorted(tokens)))
    return currency, tokens[currency].lower()


def _units(call: Call, name: str, value: Number) -> int:
    """An amount in a token's smallest units. Errors: ``InvalidField``."""
    decimals = {t.name: t.decimals for t in call.session.venue.parameters.tokens}[name]
    amount = wad("amount", value)
    units, rest = divmod(amount, int(10 ** (18 - decimals)))
    if amount <= 0 or rest or units >= 1 << 112:
        raise bad("amount", f"must be above zero, with at most {decimals} decimals")
    return units


# Accounts and keys


@method("private/get_subaccounts", Portfolios, scope="read", cost=5)
async def get_subaccounts(call: Call, params: Portfolios) -> list[dict[str, Any]]:
    """The owner's accounts that hold or have held anything, and the session's own."""
    world, own = call.session.venue.core.world, call.session.account
    known = {a for a in world.ledger.accounts.rows if a >> 96 == own >> 96} | {own}
    found = []
    for account in sorted(known):
        number = account & (1 << 96) - 1
        row: dict[str, Any] = {
            "id": number,
            "account": f"0x{account:064x}",
            "type": "subaccount" if number else "main",
            "username": f"{session.owner(account)}/{number}",
            "is_session": account == own,
        }
        if params.with_portfolio:
            check = ledger.check(world, account)
            row["portfolio"] = {
                "usdc": {
                    "balance": decimal(check.cash),
                    "equity": decimal(check.equity),
                    "initial_margin": decimal(check.valuation.margin_initial),
                    "maintenance_margin": decimal(check.valuation.margin_maintenance),
                }
            }
        found.append(row)
    return found


@method("private/list_session_keys", Nothing, scope="read", cost=5)
async def list_session_keys(call: Call, params: Nothing) -> list[dict[str, Any]]:
    """The account's keys that sign now or were made to: what each may, and what it has left."""
    world, account = call.session.venue.core.world, call.session.account
    keys = world.exchange.keys.rows.items()
    return [_key(call, key, word) for (holder, key), word in keys if holder == account]


@method("private/create_session_key", NewKey, scope="trade")
async def create_session_key(call: Call, params: NewKey) -> dict[str, Any]:
    """The transaction that lets a key sign. The key itself stays with its holder.

    Errors: ``OutOfBounds`` (expired, the owner's own), ``NotYet`` (narrower than what is live).
    """
    world, account, owner = call.session.venue.core.world, call.session.account, owner_of(call)
    key, names = _address(params.key), params.scope.split()
    if not names or set(names) - set(SCOPE_BITS):
        raise bad("scope", "must be words of: " + " ".join(SCOPE_BITS))
    word = SessionKey(
        expiry=params.expiry,
        scope=sum(SCOPE_BITS[name] for name in set(names)),
        underlyings=_underlyings(call, params.currencies),
        notional_left=_cents("max_notional", params.max_notional),
        loss_left=_cents("max_loss", params.max_loss),
    )
    tried(world, lambda: session.set_session_key(world, owner, account, key, word))
    fields = word.expiry, word.scope, word.underlyings, word.notional_left, word.loss_left
    raw = account.to_bytes(32, "big")
    return to_send(
        transaction(call, "exchange", "set_session_key", raw, key, *fields),
        session_key=_key(call, key, word),
    )


@method("private/remove_session_key", KeyOnly, scope="trade")
async def remove_session_key(call: Call, params: KeyOnly) -> dict[str, Any]:
    """The transaction after whose notice a key signs no more. Errors: ``NoRequest``."""
    world, account, owner = call.session.venue.core.world, call.session.account, owner_of(call)
    key = _address(params.key)

    def remove() -> SessionKey:
        session.remove_session_key(world, owner, account, key)
        return world.exchange.keys[account, key]

    after = tried(world, remove)
    sent = transaction(call, "exchange", "remove_session_key", account.to_bytes(32, "big"), key)
    return to_send(sent, session_key=_key(call, key, after))


def _key(call: Call, key: str, word: SessionKey) -> dict[str, Any]:
    venue = call.session.venue
    named = venue.parameters.underlyings
    return {
        "key": key,
        "scope": " ".join(name for name, bit in SCOPE_BITS.items() if word.scope & bit),
        "expiry": word.expiry,
        "currencies": [
            u.name for u in named if word.underlyings == 0 or word.underlyings >> u.id & 1
        ],
        "notional_left": decimal(word.notional_left * CENT),
        "loss_left": decimal(word.loss_left * CENT),
        "removed_at": word.removed_at or None,
        "live": word.live(venue.core.world.now),
    }


def _address(text: str) -> str:
    if not is_address(text.lower()):
        raise bad("key", "must be 0x and 40 hexadecimal digits")
    return text.lower()


def _underlyings(call: Call, currencies: list[str]) -> int:
    bits = {u.name: 1 << u.id for u in call.session.venue.parameters.underlyings}
    if set(currencies) - set(bits):
        raise bad("currencies", "must be of " + ", ".join(bits))
    return sum(bits[name] for name in set(currencies))


def _cents(field: str, value: Number) -> int:
    cents, rest = divmod(wad(field, value), CENT)
    if rest or not 0 <= cents < 1 << 64:
        raise bad(field, "must be an amount of USD, to the cent")
    return cents


# Liquidation


@method("private/liquidate", Bid, scope="trade", cost=20)
async def liquidate(call: Call, params: Bid) -> dict[str, Any]:
    """The transaction that starts the auction of an account below its maintenance margin or, once
    it is open, bids in it, with what the bid would meet now.

    Errors: ``TradedSince`` (the account has traded after ``last_seen_trade``), those of the
    Auctioneer (``NotLiquidatable``, ``RestartGrace``, ``SameBlock``, ``RewardTooLow``, …).
    """
    venue, bidder, owner = call.session.venue, call.session.account, owner_of(call)
    world, account = venue.core.world, parse_account(params.account)
    if params.last_seen_trade is not None:
        _require_seen(call, account, params.last_seen_trade)
    raw = account.to_bytes(32, "big")
    if world.liquidation.auctions[account] == 0:
        tried(world, lambda: liquidation.start(world, owner, account))
        step: Literal["start", "bid"] = "start"
        sent = transaction(call, "auctioneer", "start", raw)
    else:
        share, health = (
            _ppm("share", params.share),
            _ppm("health_min", params.health_min),
        )
        reward_min = wad("reward_min", params.reward_min)
        if reward_min < 0:
            raise bad("reward_min", "must not be negative")
        bid = share, health, reward_min
        tried(world, lambda: liquidation.bid(world, owner, account, bidder, *bid))
        step = "bid"
        sent = transaction(call, "auctioneer", "bid", raw, bidder.to_bytes(32, "big"), *bid)
    equity, margin, discount, most, reward = liquidation.quote(world, account)
    return to_send(
        sent,
        step=step,
        equity=decimal(equity),
        maintenance_margin=decimal(margin),
        discount=decimal(discount * WAD // PPM),  # division: exact
        share_max=decimal(most * WAD // PPM),  # division: exact
        reward_max=decimal(reward),
        last_trade=max(venue.orders.trades, default=None),
    )


def _require_seen(call: Call, account: int, seen: int) -> None:
    """An account has not traded after a trade, which is not long ago. Errors: ``TradedSince``."""
    raw = account.to_bytes(32, "big")
    trades = call.session.venue.orders.trades
    for count, (sequence, trade) in enumerate(reversed(trades.items())):
        if sequence <= seen:
            return
        require(count < TRADES_SEEN_MAX, TradedSince, "last_seen_trade: is too long ago")
        match = trade.match
        require(raw not in (match.taker_account, match.maker_account), TradedSince)


def _ppm(field: str, value: Number) -> int:
    found, rest = divmod(wad(field, value), 10**12)
    if rest or not 0 <= found <= PPM:
        raise bad(field, "must be from 0 to 1, with at most 6 decimals")
    return found
