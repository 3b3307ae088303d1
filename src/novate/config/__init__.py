"""The parameters of a venue: one TOML file of integers, read into frozen dataclasses.

Owns: which parameters exist, their units, and the bounds that the contracts compile in (the same
ones, so that a deployment is refused here and not half way). Money in whole USD becomes wad;
everything else keeps the unit in its name. Nothing rounds. A missing, unknown or disallowed field
is rejected with ``MissingParameter`` or ``InvalidParameter``, whose detail names field and remedy.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from novate import limits
from novate.config.reader import Section, amount, invalid, number, sections, text
from novate.model.instrument import LOT_EXPONENTS
from novate.units import DAY_S, ORACLE_UNIT, PPM, WAD, Bps, Lots, Ppb, Ppm, Seconds, Wad

DEFAULT = Path(__file__).parent / "parameters.toml"
KINDS = {"perp": 1, "spot": 4}
LOT_SIZES = tuple(10**exponent for exponent in LOT_EXPONENTS)
OPTION_CAP_LOTS_MAX = 2**40 - 1  # so that 128 positions stay below 2**47 lots


@dataclass(frozen=True, slots=True)
class Funding:
    """Funding of perpetual futures (per period of eight hours)."""

    interest_ppb: Ppb = number(0, 1_000_000)
    clamp_ppb: Ppb = number(0, 5_000_000)
    cap_ppb: Ppb = number(0, 10_000_000)
    slope_ppb_s: Ppb = number(1, 1_000_000)


@dataclass(frozen=True, slots=True)
class Settlement:
    """Band, windows and cash below zero."""

    trade_band_ppm: Ppm = number(5_000, 200_000)
    exclusive_window_seconds: Seconds = number(0, 2**16 - 1)
    notice_seconds: Seconds = number(0, 2**16 - 1)
    gain_epoch_seconds: Seconds = number(600, 86_400)
    borrow_rate_wad_s: Wad = number(0, 2**32 - 1)
    debt_cap_wad: Wad = amount(10**9)


@dataclass(frozen=True, slots=True)
class Fees:
    """Shares of a fill's notional; of an option, of its underlying, at most one of the premium."""

    maker_ppm: Ppm = number(0, 2_000)
    taker_ppm: Ppm = number(0, 2_000)
    option_ppm: Ppm = number(0, 2_000)
    option_cap_bps: Bps = number(0, 2_500)


@dataclass(frozen=True, slots=True)
class Oracle:
    """The quorum, when it posts, and what a round may do."""

    node_count: int = number(4, limits.ORACLE_NODES_MAX)
    round_seconds: Seconds = number(1, 600)
    deviation_ppm: Ppm = number(1, PPM)
    move_bound_ppm: Ppm = number(1_000, 200_000)
    stale_after_seconds: Seconds = number(10, 600)
    restart_grace_seconds: Seconds = number(30, 3_600)


@dataclass(frozen=True, slots=True)
class Margin:
    """What all underlyings share."""

    initial_ratio_ppm: Ppm = number(1_100_000, 2_000_000)
    credit_cap_wad: Wad = amount(100_000_000)
    stale_drift_ppm_s: Ppm = number(10, 1_000)


@dataclass(frozen=True, slots=True)
class Underlying:
    """One underlying's margin parameters."""

    id: int = number(0, limits.UNDERLYINGS_MAX - 1)
    name: str = text()
    scan_range_ppm: Ppm = number(10_000, 900_000)
    liquidity_low_thousand_usd: int = number(0, 2**24 - 1)
    liquidity_high_thousand_usd: int = number(1, 2**24 - 1)
    liquidity_max_ppm: Ppm = number(0, 500_000)
    haircut_maintenance_ppm: Ppm = number(0, 900_000)
    haircut_initial_ppm: Ppm = number(0, 900_000)
    interest_low_thousand_usd: int = number(0, 2**24 - 1)
    interest_high_thousand_usd: int = number(1, 2**24 - 1)
    interest_max_e5: int = number(0, 50_000)
    credit_permille: int = number(0, 1_000)


@dataclass(frozen=True, slots=True)
class Instrument:
    """Terms of one instrument."""

    id: int = number(1, limits.INSTRUMENT_ID_MAX)
    name: str = text()
    kind: str = text(*KINDS)
    underlying: int = number(0, limits.UNDERLYINGS_MAX - 1)
    feed: int = number(0, limits.FEEDS_MAX - 1)
    lot_size_wad: Wad = number(10**10, 10**18)
    tick_wad: Wad = number(1, 2**63 - 1)
    open_interest_cap_lots: Lots = number(0, limits.LOTS_MAX)
    position_cap_lots: Lots = number(0, limits.LOTS_MAX)

    @property
    def kind_code(self) -> int:
        """The kind as the terms word packs it."""
        return KINDS[self.kind]


@dataclass(frozen=True, slots=True)
class Option:
    """The grid and the terms of all options and dated futures of one underlying; one lot size."""

    underlying: int = number(0, limits.UNDERLYINGS_MAX - 1)
    feed: int = number(0, limits.FEEDS_MAX - 1)
    strike_step_usd: int = number(1, 1_000_000)
    tenor_max_seconds: Seconds = number(DAY_S, 3 * 365 * DAY_S)
    period_seconds: Seconds = number(3_600, 28 * DAY_S)
    offset_seconds: Seconds = number(0, 28 * DAY_S - 1)
    lot_size_wad: Wad = number(10**10, 10**18)
    tick_wad: Wad = number(1, 2**63 - 1)
    future_tick_wad: Wad = number(1, 2**63 - 1)
    open_interest_cap_lots: Lots = number(0, OPTION_CAP_LOTS_MAX)
    position_cap_lots: Lots = number(0, OPTION_CAP_LOTS_MAX)
    vega_limit_thousand_usd: int = number(0, 2**24 - 1)
    gamma_limit_thousand_usd: int = number(0, 2**24 - 1)

    @property
    def strike_step(self) -> int:
        """The step of strikes in oracle units (1e8 wei); exact."""
        return self.strike_step_usd * WAD // ORACLE_UNIT  # division: exact


@dataclass(frozen=True, slots=True)
class Token:
    """A collateral token; instrument 0 is cash."""

    name: str = text()
    instrument: int = number(0, limits.INSTRUMENT_ID_MAX)
    decimals: int = number(6, 18)
    deposit_cap_tokens: int = number(0, 2**48 - 1)
    outflow_hourly_tokens: int = number(1, 2**48 - 1)
    outflow_account_tokens: int = number(0, 2**48 - 1)
    notice_seconds: Seconds = number(60, 86_400)

    def units(self, tokens: int) -> int:
        """Whole tokens in the token's smallest units; exact."""
        return int(tokens * 10**self.decimals)


@dataclass(frozen=True, slots=True)
class Waterfall:
    """The layers a venue starts with, and how fast they pay."""

    first_loss_wad: Wad = amount(10**12)
    insurance_wad: Wad = amount(10**12)
    second_loss_wad: Wad = amount(10**12)
    insurance_hourly_wad: Wad = amount(10**12)
    haircut_window_seconds: Seconds = number(300, 3_000)


@dataclass(frozen=True, slots=True)
class Timelock:
    """Delays of governance on one kind of chain."""

    delay_seconds: Seconds = number(1, 30 * 86_400)
    custody_delay_seconds: Seconds = number(1, 30 * 86_400)
    window_seconds: Seconds = number(60, 30 * 86_400)


@dataclass(frozen=True, slots=True)
class Parameters:
    """Everything a deployment needs to know."""

    funding: Funding
    settlement: Settlement
    fees: Fees
    oracle: Oracle
    margin: Margin
    underlyings: tuple[Underlying, ...]
    instruments: tuple[Instrument, ...]
    options: tuple[Option, ...]
    tokens: tuple[Token, ...]
    waterfall: Waterfall
    timelock_local: Timelock
    timelock_public: Timelock


def load(path: Path = DEFAULT) -> Parameters:
    """Read and check a parameter file; raises ``Rejected`` naming the field, or ``OSError``."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise invalid(path.name, f"is not TOML: {error}") from None
    top = Section("", document)
    timelock = top.section("timelock")
    parameters = Parameters(
        funding=top.read("funding", Funding),
        settlement=top.read("settlement", Settlement),
        fees=top.read("fees", Fees),
        oracle=top.read("oracle", Oracle),
        margin=top.read("margin", Margin),
        underlyings=sections(top, "underlying", Underlying),
        instruments=sections(top, "instrument", Instrument),
        options=sections(top, "option", Option),
        tokens=sections(top, "token", Token),
        waterfall=top.read("waterfall", Waterfall),
        timelock_local=timelock.read("local", Timelock),
        timelock_public=timelock.read("public", Timelock),
    )
    timelock.finish()
    top.finish()
    _consistent(parameters)
    return parameters


def _consistent(parameters: Parameters) -> None:
    if parameters.oracle.node_count % 3 != 1:
        raise invalid("oracle.node_count", "must be 3f + 1; set it to 4, 7, 10, 13, 16 or 19")
    if parameters.timelock_public.custody_delay_seconds < parameters.timelock_public.delay_seconds:
        raise invalid("timelock.public.custody_delay_seconds", "must not be below delay_seconds")
    underlyings = {underlying.id for underlying in parameters.underlyings}
    for index, underlying in enumerate(parameters.underlyings):
        _underlying(f"underlying[{index}]", underlying)
    for index, instrument in enumerate(parameters.instruments):
        _instrument(f"instrument[{index}]", instrument, underlyings)
    for index, option in enumerate(parameters.options):
        _option(f"option[{index}]", option, underlyings)
    spots = {i.id: i for i in parameters.instruments if i.kind == "spot"}
    for index, token in enumerate(parameters.tokens):
        _token(f"token[{index}]", token, spots)
    _unique("underlying", "id", [item.id for item in parameters.underlyings])
    _unique("instrument", "id", [item.id for item in parameters.instruments])
    _unique("instrument", "name", [item.name for item in parameters.instruments])
    _unique("option", "underlying", [item.underlying for item in parameters.options])
    _unique("token", "name", [item.name for item in parameters.tokens])


def _underlying(place: str, underlying: Underlying) -> None:
    if underlying.liquidity_low_thousand_usd >= underlying.liquidity_high_thousand_usd:
        raise invalid(f"{place}.liquidity_low_thousand_usd", "must be below the high end")
    if underlying.interest_low_thousand_usd >= underlying.interest_high_thousand_usd:
        raise invalid(f"{place}.interest_low_thousand_usd", "must be below the high end")
    if underlying.haircut_maintenance_ppm > underlying.haircut_initial_ppm:
        raise invalid(f"{place}.haircut_maintenance_ppm", "must not exceed haircut_initial_ppm")


def _instrument(place: str, listed: Instrument | Option, underlyings: set[int]) -> None:
    if listed.lot_size_wad not in LOT_SIZES:
        raise invalid(f"{place}.lot_size_wad", "must be a power of ten, like 1_000_000_000_000_000")
    if listed.lot_size_wad * listed.tick_wad % WAD:
        raise invalid(f"{place}.tick_wad", "times lot_size_wad must be a multiple of 1e18")
    if listed.position_cap_lots > listed.open_interest_cap_lots:
        raise invalid(f"{place}.position_cap_lots", "must not exceed open_interest_cap_lots")
    if listed.underlying not in underlyings:
        raise invalid(f"{place}.underlying", f"names no [[underlying]] ({listed.underlying})")


def _option(place: str, option: Option, underlyings: set[int]) -> None:
    _instrument(place, option, underlyings)
    if option.lot_size_wad * option.future_tick_wad % WAD:
        raise invalid(f"{place}.future_tick_wad", "times lot_size_wad must be a multiple of 1e18")
    if option.offset_seconds >= option.period_seconds:
        raise invalid(f"{place}.offset_seconds", "must be below period_seconds")


def _token(place: str, token: Token, spots: dict[int, Instrument]) -> None:
    if token.instrument and token.instrument not in spots:
        raise invalid(f"{place}.instrument", "must be 0 (cash) or the id of a spot instrument")
    if token.instrument and spots[token.instrument].lot_size_wad % 10 ** (18 - token.decimals):
        raise invalid(f"{place}.decimals", "must make a lot a whole number of the token's units")


def _unique(section: str, field: str, values: list[int] | list[str]) -> None:
    if len(set(values)) != len(values):
        raise invalid(f"{section}.{field}", f"occurs twice in {values}; give each its own")
