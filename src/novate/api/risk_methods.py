"""Public methods on risk: margin of a portfolio that is thought of, the scenarios in force, the
layers that cover losses, marks of the last hours, the volatility index, and what expiries were
settled at.

Everything is read from the engine's world, the index from the journal. Money in USD, prices and
lanes for one base unit, moves and volatilities as fractions; decimal strings, exact.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

from novate.api.market import Market
from novate.api.names import Listed
from novate.api.numbers import Number, decimal, lots, wad
from novate.api.option_views import cut, percent
from novate.api.public_methods import Nothing
from novate.api.rejections import bad
from novate.api.rpc import Call, Parameters, method
from novate.api.volatility_index import CANDLES_MAX
from novate.model import dated_margin, margin, options, waterfall
from novate.model.arrays import EXTREMES, NODES, Info, Totals, accumulate, profit
from novate.model.instrument import OPTION
from novate.model.option_id import is_dated, strike_of
from novate.model.options import Epoch
from novate.model.state import World
from novate.units import DAY_S, ORACLE_UNIT, PPM, WAD, div_zero

POSITIONS_MAX = 128
DELIVERIES_MAX = 100


class Portfolio(Parameters):
    """Positions by instrument, in base units, and the cash beside them."""

    simulated_positions: dict[str, Number]
    balance: Number = "0"


class CurrencyOnly(Parameters):
    """One currency."""

    currency: str


class MarkHistory(Parameters):
    """An instrument's marks over a time, in milliseconds."""

    instrument_name: str
    start_timestamp: int
    end_timestamp: int


class VolatilityData(Parameters):
    """A currency's volatility index over a time (milliseconds), in candles of so many seconds."""

    currency: str
    start_timestamp: int
    end_timestamp: int
    resolution: Literal["1", "60", "3600", "43200", "1D"]


class Deliveries(Parameters):
    """Delivery prices of an index."""

    index_name: str
    offset: int = 0
    count: int = 10


def positions_of(market: Market, given: dict[str, Number]) -> dict[int, int]:
    """Lots by instrument of what is thought of. Errors: ``InvalidField``, those of names."""
    if not 1 <= len(given) <= POSITIONS_MAX:
        raise bad("simulated_positions", f"must be 1 to {POSITIONS_MAX}")
    found = {}
    for name, value in given.items():
        item, text = market.named(name), str(value)
        if item.over(market.core.world.now):
            raise bad(f"simulated_positions.{name}", "has expired")
        size = lots(f"simulated_positions.{name}", text.removeprefix("-"), item.lot_size)
        found[item.id] = -size if text.startswith("-") else size
    return found


@method("public/get_margin", Portfolio, cost=5)
async def get_margin(call: Call, params: Portfolio) -> dict[str, Any]:
    """What a portfolio must hold at present prices, and its gain in each scenario, by currency."""
    market = call.session.venue.market
    world = market.core.world
    held = positions_of(market, params.simulated_positions)
    found = margin.evaluate(world, held)
    balance = wad("balance", params.balance)
    equity = balance + found.value_spot
    free = equity - found.penalty - found.margin_initial
    return {
        "initial_margin": decimal(found.margin_initial),
        "maintenance_margin": decimal(found.margin_maintenance),
        "worst_of_correction": decimal(found.penalty),
        "options_and_spot_value": decimal(found.value_spot),
        "balance": decimal(balance),
        "equity": decimal(equity),
        "available_funds": decimal(free),
        "scenarios": gains(market, held),
    }


def gains(market: Market, held: dict[int, int]) -> dict[str, list[str]]:
    """Gains in the sixteen scenarios by currency, before what underlyings offset of each other."""
    world = market.core.world
    books: dict[str, tuple[int, Totals, int, int]] = {}
    for id, size in sorted(held.items()):
        item = market.by_id[id]
        underlying, totals, linear, scale = books.get(
            item.currency, (item.underlying, Totals(), 0, 0)
        )
        if is_dated(id):
            line = dated_margin.row(world, id)
            scale = line.scale
            if line.kind == OPTION:
                totals = accumulate(totals, line.array, line.clipped, size)
                linear -= size * line.forward * line.scale if line.is_put else 0
            else:
                linear += size * line.forward * line.scale
        else:
            linear += margin.gather(world, {id: size}).groups[underlying].delta
        books[item.currency] = underlying, totals, linear, scale
    return {
        currency: _lanes(world, underlying, totals, linear, scale)
        for currency, (underlying, totals, linear, scale) in books.items()
    }


def _lanes(world: World, underlying: int, totals: Totals, linear: int, scale: int) -> list[str]:
    if totals.gross:
        epoch = Epoch.unpack(options.epoch_now(world, underlying))
        unit, psr = epoch.quantum * scale, epoch.psr
    else:
        unit, psr = 0, world.risk.parameters[underlying].psr_now(world.now)
    return [decimal(gain) for gain in profit(totals, unit, linear, psr)]


@method("public/get_scenarios", CurrencyOnly, cost=5)
async def get_scenarios(call: Call, params: CurrencyOnly) -> dict[str, Any]:
    """The sixteen scenarios of a currency, and what a long base unit of each option gains in them:
    the arrays in force, stored ones and such as anybody's trade would build now.
    """
    market = call.session.venue.market
    world = market.core.world
    found = market.of(params.currency, "option")
    underlyings = [u.id for u in market.parameters.underlyings if u.name == params.currency]
    if not underlyings:
        raise bad("currency", "must be that of an underlying")
    epoch = Epoch.unpack(options.epoch_now(world, underlyings[0]))
    return {
        "currency": params.currency,
        "scan_range": decimal(epoch.psr * WAD // PPM),
        "reference_price": decimal(epoch.reference * ORACLE_UNIT),
        "quantum": decimal(epoch.quantum * ORACLE_UNIT),
        "started_at": epoch.started_at * 1_000,
        "scenarios": scenarios(epoch.psr),
        "instruments": [array_of(world, item, epoch) for item in found],
    }


def scenarios(psr: int) -> list[dict[str, str]]:
    """Lane by lane: the move of the forward, of volatility, and the share of the gain that counts.

    The first fourteen are nodes with volatility up, then down; the last two are extremes.
    """
    rows = [
        {
            "price_move": decimal(node * psr * WAD // (100 * PPM)),
            "volatility": volatility,
            "weight": "1",
        }
        for node in NODES
        for volatility in ("up", "down")
    ]
    for extreme in EXTREMES:
        weight = div_zero(psr * 100 * WAD, abs(extreme) * PPM)
        move = decimal(extreme * WAD // 100)
        rows.append({"price_move": move, "volatility": "up", "weight": cut(weight)})
    return rows


def array_of(world: World, item: Listed, epoch: Epoch) -> dict[str, Any]:
    """One option's array."""
    line = dated_margin.row(world, item.id)
    info = Info.unpack(world.options.infos[strike_of(item.id)])
    unit = epoch.quantum * ORACLE_UNIT
    parity = -line.forward * ORACLE_UNIT if line.is_put else 0
    found = profit(accumulate(Totals(), line.array, 0, 1), unit, parity, epoch.psr)
    return {
        "instrument_name": item.name,
        "mark_price": decimal(line.mark * ORACLE_UNIT),
        "underlying_price": decimal(line.forward * ORACLE_UNIT),
        "gains": [decimal(gain) for gain in found],
        "stored": options.usable(world, item.id),
        "timestamp": info.timestamp * 1_000,
        "clipped": decimal(line.clipped * unit),
    }


@method("public/get_waterfall", Nothing)
async def get_waterfall(call: Call, params: Nothing) -> dict[str, Any]:
    """The layers that cover losses, in the order in which they pay, and what bounds them."""
    world = call.session.venue.core.world
    first, insurance, second, reserve = waterfall.layers(world)
    limits = world.waterfall.limits[0]
    uncovered = {a: n for a, n in world.waterfall.uncovered.items() if n}
    return {
        "layers": [
            {"layer": number, "name": name, "balance": decimal(cash), "pays": pays}
            for number, name, cash, pays in (
                (1, "first_loss", first, True),
                (2, "insurance", insurance, True),
                (3, "second_loss", second, True),
                (4, "reserve", reserve, False),
            )
        ],
        "insurance_hourly": decimal(limits.event_cap),
        "insurance_left": decimal(waterfall.insurance_left(world)),
        "haircut_window": limits.haircut_window,
        "uncovered": decimal(sum(uncovered.values())),
    }


@method("public/get_mark_price_history", MarkHistory)
async def get_mark_price_history(call: Call, params: MarkHistory) -> list[list[Any]]:
    """[time, mark] once a minute, oldest first, of the last hours in which the venue ran."""
    if params.start_timestamp > params.end_timestamp:
        raise bad("start_timestamp", "lies after the end")
    market = call.session.venue.market
    item = market.named(params.instrument_name)
    return [
        [at, decimal(mark)]
        for at, mark in market.history.of(item)
        if params.start_timestamp <= at <= params.end_timestamp
    ]


@method("public/get_volatility_index_data", VolatilityData, cost=5)
async def get_volatility_index_data(call: Call, params: VolatilityData) -> dict[str, Any]:
    """Candles [time, open, high, low, close] in percent, oldest first; more before them: ask again
    with ``continuation`` as the end. Ours, not Deribit's formula: see ``volatility_index.py``.
    """
    if params.start_timestamp > params.end_timestamp:
        raise bad("start_timestamp", "lies after the end")
    venue = call.session.venue
    known = {u.name: u.id for u in venue.parameters.underlyings}
    if params.currency.upper() not in known:
        raise bad("currency", f"must be one of {', '.join(sorted(known))}")
    since = -(-params.start_timestamp // 1_000)  # division: the first whole second in it
    until = params.end_timestamp // 1_000  # division: the last one
    step = DAY_S if params.resolution == "1D" else int(params.resolution)
    found = venue.volatility.candles(known[params.currency.upper()], since, until, step)
    more = len(found) == CANDLES_MAX
    return {
        "data": [[at * 1_000, *(percent(value) for value in rest)] for at, *rest in found],
        "continuation": found[0][0] * 1_000 - 1 if more else None,
    }


@method("public/get_delivery_prices", Deliveries)
async def get_delivery_prices(call: Call, params: Deliveries) -> dict[str, Any]:
    """What expiries of an index were settled at, newest first: the prints on the chain."""
    if not (1 <= params.count <= DELIVERIES_MAX and 0 <= params.offset < 2**20):
        raise bad("count", f"must be 1 to {DELIVERIES_MAX}, and offset from 0")
    market = call.session.venue.market
    market.index_of(params.index_name)
    currency = params.index_name.removesuffix("_usdc").removesuffix("_usd").upper()
    [underlying] = [u.id for u in market.parameters.underlyings if u.name == currency]
    prints = market.core.world.surfaces.prints.items()
    found = sorted(((e, p) for (u, e), p in prints if u == underlying and p), reverse=True)
    page = found[params.offset : params.offset + params.count]
    return {
        "data": [
            {
                "date": datetime.fromtimestamp(expiry, UTC).strftime("%Y-%m-%d"),
                "delivery_price": decimal(price * ORACLE_UNIT),
                "expiration_timestamp": expiry * 1_000,
            }
            for expiry, price in page
        ],
        "records_total": len(found),
    }
