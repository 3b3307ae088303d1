"""What limits, margin and safety rest on, as methods answer and channels tell it.

Owns: the shapes of ``get_risk_parameters``, ``get_insurance``, ``get_signed_feeds`` and of an
account in ``get_liquidatable``; whether the venue is paused. Rates are fractions, money in USD;
decimal strings, exact.
"""

from __future__ import annotations

from typing import Any

from novate.api.numbers import decimal
from novate.config import Parameters
from novate.model import oracle, risk_parameters, waterfall
from novate.model.ledger import Check
from novate.model.state import World
from novate.units import ORACLE_UNIT, PPM, WAD, ppm_up
from novate.wire import records
from novate.wire.records import OracleRound


def fraction(ppm: int) -> str:
    """Millionths as a fraction, exact."""
    return decimal(ppm * WAD // PPM)  # division: exact


def parameters_of(
    world: World, parameters: Parameters, pending: list[dict[str, Any]]
) -> dict[str, Any]:
    """``get_risk_parameters``: what is in force, what it may be set to, and what waits."""
    found = []
    for underlying in parameters.underlyings:
        word = world.risk.parameters[underlying.id]
        found.append(
            {
                "currency": underlying.name,
                "scan_range": fraction(word.psr_now(world.now)),
                "scan_range_target": fraction(word.psr_target),
                "set_at": word.psr_set_at,
                "liquidity_low_usd": word.liquidity_low * 1_000,
                "liquidity_high_usd": word.liquidity_high * 1_000,
                "liquidity_max": fraction(word.liquidity_max),
                "haircut_maintenance": fraction(word.haircut_maintenance),
                "haircut_initial": fraction(word.haircut_initial),
                "credit": decimal(word.credit * WAD // 1_000),  # division: exact
            }
        )
    return {
        "initial_over_maintenance": fraction(world.risk.globals.initial_ratio_ppm),
        "underlyings": found,
        "bounds": bounds(),
        "pending_changes": pending,
    }


def bounds() -> dict[str, list[str]]:
    """[least, most] that the contracts let governance set; a parameter changes once a day at most,
    the scan range by the factor ``scan_range_step``.
    """
    none = "0"
    return {
        "initial_over_maintenance": _both(risk_parameters.INITIAL_RATIO_BOUNDS_PPM),
        "scan_range": _both(risk_parameters.SCAN_RANGE_BOUNDS_PPM),
        "scan_range_step": _both(risk_parameters.SCAN_RANGE_STEP_PPM),
        "liquidity_max": [none, fraction(risk_parameters.LIQUIDITY_PPM_MAX)],
        "haircut_maintenance": [none, fraction(risk_parameters.HAIRCUT_PPM_MAX)],
        "haircut_initial": [none, fraction(risk_parameters.HAIRCUT_PPM_MAX)],
        "credit": [none, decimal(risk_parameters.CREDIT_PERMILLE_MAX * WAD // 1_000)],
    }


def _both(ppm: tuple[int, int]) -> list[str]:
    return [fraction(ppm[0]), fraction(ppm[1])]


def insurance(world: World) -> dict[str, Any]:
    """``get_insurance``: what stands in the layers that pay, in their order."""
    first, insured, second, _ = waterfall.layers(world)
    return {
        "first_loss": decimal(first),
        "insurance": decimal(insured),
        "second_loss": decimal(second),
    }


def signed_feeds(
    world: World, parameters: Parameters, newest: OracleRound | None
) -> dict[str, Any]:
    """``get_signed_feeds``: the prices in force, and who signed them (nobody knows it of a round
    from before a restart).
    """
    currencies = {u.id: u.name.lower() for u in parameters.underlyings}
    # a feed's first instrument names it
    feeds = {i.feed: currencies[i.underlying] for i in reversed(parameters.instruments)}
    status = oracle.status(world)
    signers = None
    if newest is not None and newest.round == status.round:
        signers = [world.oracle.nodes[index] for index in signed_by(newest)]
    return {
        "round": status.round,
        "timestamp": status.timestamp,
        "quorum": status.quorum,
        "node_count": status.node_count,
        "signers": signers,
        "stale_after": status.stale_after,
        "feeds": [_feed(world, feed, f"{name}_usdc") for feed, name in sorted(feeds.items())],
    }


def _feed(world: World, feed: int, index_name: str) -> dict[str, Any]:
    row = world.oracle.feeds[feed]
    return {
        "feed": feed,
        "index_name": index_name,
        "index_price": decimal(row.index * ORACLE_UNIT),
        "mark_price": decimal(row.mark * ORACLE_UNIT),
        "confidence": decimal(ppm_up(row.confidence_ppm, PPM) * 10**12),
        "timestamp": row.timestamp,
    }


def signed_by(round: OracleRound) -> list[int]:
    """The numbers of the nodes that signed a round: a byte each, the first lowest."""
    nodes = records.number(round.nodes)
    return [nodes >> 8 * place & 0xFF for place in range(len(round.signatures))]


def liquidatable(account: int, check: Check) -> dict[str, Any]:
    """An account as ``get_liquidatable`` shows it."""
    return {
        "account": f"0x{account:064x}",
        "equity": decimal(check.equity),
        "maintenance_margin": decimal(check.valuation.margin_maintenance),
        "in_auction": check.in_auction,
    }


def margins(account: int, check: Check) -> dict[str, Any]:
    """An account's margins, under the names of ``get_account_summary`` and
    ``simulate_portfolio``.
    """
    value = check.valuation
    return {
        "account": f"0x{account:064x}",
        "currency": "USDC",
        "balance": decimal(check.cash),
        "equity": decimal(check.equity),
        "initial_margin": decimal(value.margin_initial),
        "maintenance_margin": decimal(value.margin_maintenance),
        "worst_of_correction": decimal(value.penalty),
        "available_funds": decimal(check.equity - value.penalty - value.margin_initial),
        "in_auction": check.in_auction,
        "positions": check.positions,
    }


def pause_of(world: World) -> tuple[bool, int]:
    """Whether the venue is paused, so that only reductions trade, and until which second."""
    until = world.ledger.config.paused_until
    return world.now < until, until
