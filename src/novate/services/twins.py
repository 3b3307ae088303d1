"""The model's function behind each function of the contracts.

Each is called with (world, caller, *arguments), the arguments as in calldata: accounts as integers,
addresses in lower case. What is missing here either changes nothing (``CHANGES_NOTHING``, and all
views) or is the replica's own business, or is not followed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from novate.model import (
    custody,
    expiry,
    fills,
    governance,
    ledger,
    liquidation,
    margin,
    option_listing,
    option_series,
    options,
    oracle,
    session,
    settlement,
    surfaces,
    venue,
    waterfall,
)
from novate.model.instrument import Terms
from novate.model.ledger import Config
from novate.model.margin import RiskGlobals, RiskParameters
from novate.model.session import SessionKey
from novate.model.state import World
from novate.services import settle_call

Twin = Callable[..., Any]

# Not views to the compiler, since they warm the risk model's transient caches; nothing is stored.
CHANGES_NOTHING = frozenset(
    {
        ("clearinghouse", "check"),
        ("risk_model", "accrued"),
        ("risk_model", "evaluate"),
        ("risk_model", "evaluate_dated"),
        ("risk_model", "evaluate_slice"),
        ("auctioneer", "quote"),
        ("risk_model", "quoted"),
        ("risk_model", "with_rows"),
        ("lens", "margin"),
        ("lens", "greeks"),
        ("lens", "solvency"),
    }
)


def argument(value: Any) -> Any:
    """An ABI value as the model takes it: accounts as integers, addresses in lower case."""
    if isinstance(value, bytes) and len(value) == 32:
        return int.from_bytes(value, "big")
    if isinstance(value, str):
        return value.lower()
    if isinstance(value, list | tuple):
        return [argument(item) for item in value]
    return value


def _set_parameters(world: World, caller: str, underlying: int, word: int) -> None:
    margin.set_parameters(world, caller, underlying, RiskParameters.unpack(word))


def _set_globals(world: World, caller: str, *values: int) -> None:
    margin.set_globals(world, caller, RiskGlobals(*values))


def _set_config(world: World, caller: str, word: int) -> None:
    ledger.set_config(world, caller, Config.unpack(word))


def _list_instrument(world: World, caller: str, instrument: int, word: int) -> None:
    ledger.list_instrument(world, caller, instrument, Terms.unpack(word))


def _set_venue(world: World, caller: str, venue: str, approved: bool) -> None:
    ledger.only(world, caller, "timelock")
    world.ledger.venues[venue] = approved


def _set_session_key(world: World, caller: str, account: int, key: str, *fields: int) -> None:
    session.set_session_key(world, caller, account, key, SessionKey(*fields))


def _confirm_wallet(world: World, caller: str, wallet: str, digest: int, blob: object) -> None:
    # followed only where the chain accepted it, so the wallet has consented
    settlement.confirm_wallet(world, wallet, digest.to_bytes(32, "big"), consents=True)


def _anyone(function: Twin) -> Twin:
    """The twin of a function that does not ask who calls."""
    return lambda world, caller, *arguments: function(world, *arguments)


CLEARINGHOUSE: dict[str, Twin] = {
    "sweep": ledger.sweep,
    "settle_expiry": expiry.settle_expiry,
    "credit": ledger.credit,
    "debit": ledger.debit,
    "set_in_auction": ledger.set_in_auction,
    "transfer_slice": ledger.transfer_slice,
    "move_cash": ledger.move_cash,
    "cut_gains": ledger.cut_gains,
    "distribute_fees": ledger.distribute_fees,
    "pause": ledger.pause,
    "set_caps": ledger.set_caps,
    "set_debt_cap": ledger.set_debt_cap,
    "set_config": _set_config,
    "set_venue": _set_venue,
    "set_peers": governance.set_peers,
    "list_instrument": _list_instrument,
    "novate": settle_call.novate,
}


def twins() -> dict[tuple[str, str], Twin]:
    """Every twin, by contract and function."""
    modules: dict[str, dict[str, Twin]] = {
        "clearinghouse": CLEARINGHOUSE,
        "risk_model": {"set_parameters": _set_parameters, "set_globals": _set_globals},
        "custody": _functions(
            custody,
            (
                "deposit",
                "request_withdrawal",
                "cancel_withdrawal",
                "withdraw",
                "set_token",
                "set_deposit_cap",
                "set_limits",
            ),
        ),
        "auctioneer": _functions(liquidation, ("start", "bid", "end", "write_off")),
        "waterfall": _functions(
            waterfall, ("cover", "pay_reward", "execute_haircut", "retry", "refill", "set_limits")
        ),
        "oracle": _functions(oracle, ("set_nodes", "register_feed", "set_limits")),
        "surfaces": _functions(surfaces, ("register_underlying",)),
        "options": {
            **_functions(option_listing, ("set_grid", "set_forward_feed")),
            **_functions(option_series, ("set_exposure_limits", "move_interest", "close_interest")),
            "list_expiry": _anyone(option_listing.list_expiry),
            "list_strike": _anyone(option_listing.list_strike),
            "refresh": _anyone(options.refresh),
        },
        "exchange": {
            **_functions(venue, ("set_fees", "set_option_fees", "set_windows", "set_executor")),
            **_functions(fills, ("cancel", "cancel_below")),
            "set_session_key": _set_session_key,
            "remove_session_key": session.remove_session_key,
            "confirm_wallet": _confirm_wallet,
        },
    }
    return {(m, f): twin for m, functions in modules.items() for f, twin in functions.items()}


def _functions(module: Any, names: tuple[str, ...]) -> dict[str, Twin]:
    return {name: getattr(module, name) for name in names}
