"""What a venue's parameters become: constructor words, and the governance calls that the timelock
runs, in order.

Contracts and model are configured from this one list (deploy.py, mirror.py): they start equal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from novate.chain.deployment import Roles
from novate.config import LOT_SIZES, Instrument, Option, Parameters, Token, Underlying
from novate.errors import InvalidParameter, require
from novate.model.instrument import FUTURE, LOT_EXPONENTS, OPTION, Terms
from novate.model.ledger import Config
from novate.model.margin import RiskParameters
from novate.model.option_id import OptionId, future_id, terms_key
from novate.model.option_listing import Grid


@dataclass(frozen=True, slots=True)
class GovernanceCall:
    """One setter of a contract, by its name in the deployment."""

    contract: str
    function: str
    arguments: tuple[Any, ...]


def config_of(parameters: Parameters) -> Config:
    """The Clearinghouse's config."""
    funding, settlement = parameters.funding, parameters.settlement
    return Config(
        trade_band_ppm=settlement.trade_band_ppm,
        funding_interest_ppb=funding.interest_ppb,
        funding_clamp_ppb=funding.clamp_ppb,
        funding_cap_ppb=funding.cap_ppb,
        funding_slope_ppb_s=funding.slope_ppb_s,
        borrow_rate_wad_s=settlement.borrow_rate_wad_s,
        epoch_seconds=settlement.gain_epoch_seconds,
    )


def terms_of(instrument: Instrument) -> Terms:
    """An instrument's terms."""
    return Terms(
        lot_size=instrument.lot_size_wad,
        tick=instrument.tick_wad,
        open_interest_cap=instrument.open_interest_cap_lots,
        position_cap=instrument.position_cap_lots,
        underlying=instrument.underlying,
        feed=instrument.feed,
        kind=instrument.kind_code,
    )


def risk_parameters_of(underlying: Underlying) -> RiskParameters:
    """An underlying's margin parameters; the contract sets where and when its ramp starts."""
    return RiskParameters(
        psr_target=underlying.scan_range_ppm,
        liquidity_low=underlying.liquidity_low_thousand_usd,
        liquidity_high=underlying.liquidity_high_thousand_usd,
        liquidity_max=underlying.liquidity_max_ppm,
        haircut_maintenance=underlying.haircut_maintenance_ppm,
        haircut_initial=underlying.haircut_initial_ppm,
        interest_low=underlying.interest_low_thousand_usd,
        interest_high=underlying.interest_high_thousand_usd,
        interest_max=underlying.interest_max_e5,
        credit=underlying.credit_permille,
    )


def governance_calls(
    parameters: Parameters, addresses: Mapping[str, str], tokens: Mapping[str, str], roles: Roles
) -> list[GovernanceCall]:
    """Every call that turns fresh contracts into the venue, in the order they run. Errors:
    InvalidParameter."""
    count = parameters.oracle.node_count
    require(
        len(roles.nodes) == count,
        InvalidParameter,
        f"{len(roles.nodes)} oracle nodes for node_count {count}",
    )
    return [
        *_oracle(parameters, roles),
        *_clearinghouse(parameters, addresses, roles),
        *_risk_model(parameters),
        *_options(parameters),
        *_exchange(parameters, roles),
        *_waterfall(parameters, addresses),
        *_custody(parameters, tokens),
        # last, so that the calls above wait the floor only
        GovernanceCall(
            "timelock",
            "set_delay",
            (addresses["custody"], parameters.timelock_local.custody_delay_seconds),
        ),
    ]


def _oracle(parameters: Parameters, roles: Roles) -> Iterator[GovernanceCall]:
    oracle = parameters.oracle
    limits = oracle.stale_after_seconds, oracle.restart_grace_seconds, oracle.move_bound_ppm
    yield GovernanceCall("oracle", "set_nodes", (roles.nodes,))
    yield GovernanceCall("oracle", "set_limits", limits)
    for feed in sorted({instrument.feed for instrument in parameters.instruments}):
        yield GovernanceCall("oracle", "register_feed", (feed,))


def _clearinghouse(
    parameters: Parameters, addresses: Mapping[str, str], roles: Roles
) -> Iterator[GovernanceCall]:
    peers = tuple(addresses[name] for name in ("risk_model", "custody", "auctioneer", "waterfall"))
    yield GovernanceCall(
        "clearinghouse", "set_peers", (*peers, roles.guardian, addresses["options"])
    )
    yield GovernanceCall("clearinghouse", "set_venue", (addresses["exchange"], True))
    yield GovernanceCall("clearinghouse", "set_debt_cap", (parameters.settlement.debt_cap_wad,))
    for instrument in parameters.instruments:
        arguments = instrument.id, terms_of(instrument).pack()
        yield GovernanceCall("clearinghouse", "list_instrument", arguments)


def _risk_model(parameters: Parameters) -> Iterator[GovernanceCall]:
    margin = parameters.margin
    shared = margin.initial_ratio_ppm, margin.credit_cap_wad, margin.stale_drift_ppm_s
    yield GovernanceCall("risk_model", "set_globals", shared)
    for underlying in parameters.underlyings:
        arguments = underlying.id, risk_parameters_of(underlying).pack()
        yield GovernanceCall("risk_model", "set_parameters", arguments)


def grid_of(market: Option) -> Grid:
    """The grid that options and futures of an underlying are listed on."""
    return Grid(
        step=market.strike_step,
        tenor_max=market.tenor_max_seconds,
        period=market.period_seconds,
        offset=market.offset_seconds,
        lot_exponent=LOT_SIZES.index(market.lot_size_wad) + LOT_EXPONENTS[0],
        feed=market.feed,
        enabled=True,
    )


def dated_terms_of(market: Option) -> dict[int, Terms]:
    """Terms of all options and of all futures of an underlying, by their key."""
    option = Terms(
        lot_size=market.lot_size_wad,
        tick=market.tick_wad,
        open_interest_cap=market.open_interest_cap_lots,
        position_cap=market.position_cap_lots,
        underlying=market.underlying,
        feed=0,
        kind=OPTION,
    )
    future = replace(option, tick=market.future_tick_wad, kind=FUTURE)
    key = OptionId(market.underlying, 0, 0, False).pack()
    return {terms_key(key): option, terms_key(future_id(market.underlying, 0)): future}


def _options(parameters: Parameters) -> Iterator[GovernanceCall]:
    """Grids before terms, whose lots must be theirs."""
    for market in parameters.options:
        underlying = market.underlying
        limits = market.vega_limit_thousand_usd, market.gamma_limit_thousand_usd
        yield GovernanceCall("surfaces", "register_underlying", (underlying,))
        yield GovernanceCall("options", "set_grid", (underlying, grid_of(market).pack()))
        yield GovernanceCall("options", "set_exposure_limits", (underlying, *limits))
        for key, terms in dated_terms_of(market).items():
            yield GovernanceCall("clearinghouse", "list_instrument", (key, terms.pack()))


def _exchange(parameters: Parameters, roles: Roles) -> Iterator[GovernanceCall]:
    fees, settlement = parameters.fees, parameters.settlement
    windows = settlement.exclusive_window_seconds, settlement.notice_seconds
    yield GovernanceCall("exchange", "set_fees", (fees.taker_ppm, fees.maker_ppm))
    options = fees.option_ppm, fees.option_cap_bps
    yield GovernanceCall("exchange", "set_option_fees", options)
    yield GovernanceCall("exchange", "set_windows", windows)
    for executor in roles.executors:
        yield GovernanceCall("exchange", "set_executor", (executor, True))


def _waterfall(parameters: Parameters, addresses: Mapping[str, str]) -> Iterator[GovernanceCall]:
    waterfall = parameters.waterfall
    limits = waterfall.insurance_hourly_wad, waterfall.haircut_window_seconds
    yield GovernanceCall("waterfall", "set_auctioneer", (addresses["auctioneer"],))
    yield GovernanceCall("waterfall", "set_limits", limits)


def _custody(parameters: Parameters, tokens: Mapping[str, str]) -> Iterator[GovernanceCall]:
    lot_sizes = {instrument.id: instrument.lot_size_wad for instrument in parameters.instruments}
    for token in parameters.tokens:
        address = tokens[token.name]
        cap = token.deposit_cap_tokens
        listing = address, token.instrument, token.decimals, lot_sizes.get(token.instrument, 0), cap
        limits = token.units(token.outflow_hourly_tokens), token.units(token.outflow_account_tokens)
        yield GovernanceCall("custody", "set_token", listing)
        yield GovernanceCall("custody", "set_deposit_cap", (address, cap))
        yield GovernanceCall("custody", "set_limits", (address, *limits, token.notice_seconds))


def layer_deposits(parameters: Parameters, cash: Token) -> list[tuple[int, int]]:
    """(layer, cash token units) that the venue starts with; exact, as layers are whole dollars."""
    waterfall = parameters.waterfall
    money = (
        (1, waterfall.first_loss_wad),
        (2, waterfall.insurance_wad),
        (3, waterfall.second_loss_wad),
    )
    unit_wad = 10 ** (18 - cash.decimals)
    return [(layer, wad // unit_wad) for layer, wad in money if wad]  # division: exact


def cash_token(parameters: Parameters) -> Token:
    """The collateral token that is cash. Errors: InvalidParameter."""
    found = [token for token in parameters.tokens if token.instrument == 0]
    require(len(found) > 0, InvalidParameter, "no token with instrument 0 (cash)")
    return found[0]
