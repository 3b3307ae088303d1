"""Scenario margin held against a file of exact cases, by the contract and by the model.

Owns: reading the file (decimals of any length), margin under the file's own parameters and figures
of how far it strays. Twice: at the file's quantum, far finer than sixteen bits reach, from lanes
before they are packed; and from packed words at the quantum in production. Integers in wad, every
charge rounded up; a lot is 1e-4 of a base unit, as the file's sizes have four decimals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, InvalidOperation, localcontext
from pathlib import Path
from typing import Any

import msgspec

from novate.chain.harness import Chain
from novate.errors import Rejected, VectorField, VectorFileMissing, require
from novate.model import arrays
from novate.model.arrays import LANES, Totals
from novate.model.pricing import black76
from novate.units import ORACLE_UNIT, PPM, WAD, div_up
from novate.wire import json_text

FILE_BYTES_MAX = 2**26
EXACT = Context(prec=150, Emin=MIN_EMIN, Emax=MAX_EMAX)
ORACLE_PER_USD = 10**10
LOT_SIZE = 10**14
LOTS_PER_UNIT = 10**4
DELTA_ERROR = 10**6  # wad: 1e-12, what pricing promises
TOLERANCE = Decimal("1e-6")
# What the model fixes: a file with other figures describes another method.
FIXED = {
    "vol_up": "0.5",
    "vol_dn": "0.3",
    "vol_floor_mult": "0.05",
    "p_short": "0.3",
    "p_long": "0.13",
    "dte_floor_days": "1",
}


class Figures(msgspec.Struct, frozen=True):
    """How far integers stray: lanes in quanta, margin in USD and as a share of what is allowed, a
    quantum for every option held and a millionth of a dollar.
    """

    lanes_off_max: float
    mm_below_exact: int
    mm_excess_max: float
    mm_excess_share_max: float

    @property
    def passed(self) -> bool:
        """Lanes within a quantum, no margin below the exact one, none above what is allowed."""
        return self.lanes_off_max <= 1 and not self.mm_below_exact and self.mm_excess_share_max <= 1


class MarginVectors(msgspec.Struct, frozen=True):
    """What a file says about the scenario margin: at the file's own quantum, and ``words`` at that
    of the sixteen-bit words.
    """

    passed: bool
    portfolios: int
    options: int
    chain_equals_model: bool
    lanes_off_max: float
    mm_below_exact: int
    mm_excess_max: float
    mm_excess_share_max: float
    words: Figures


@dataclass(frozen=True, slots=True)
class Underlying:
    """Scan range (ppm), spot in oracle units, and the file's quantum in oracle units."""

    psr: int
    spot: int
    quantum: int


@dataclass(frozen=True, slots=True)
class Instrument:
    """A row of the file; ``terms`` are those of ``arrays.build`` up to the scan range, none for a
    linear instrument. ``forwards``: how many it gains by beside lanes, of a put, which has those of
    the call, one less.
    """

    underlying: str
    tenor: str
    forward: int
    delta: int
    terms: tuple[int, int, int, int] | None
    forwards: int
    exact: tuple[Decimal, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """One portfolio: lots by instrument, and its exact maintenance margin in USD."""

    positions: tuple[tuple[Instrument, int], ...]
    margin: Decimal


@dataclass(frozen=True, slots=True)
class Vectors:
    """The whole file; rates in ppm."""

    underlyings: dict[str, Underlying]
    instruments: tuple[Instrument, ...]
    cases: tuple[Case, ...]
    calendar_ppm: int
    short_ppm: int
    credit_ppm: int


Lanes = dict[int, list[int]]


def check_vectors(path: Path) -> MarginVectors:
    """Judge lanes and margin by a file. Errors: ``VectorFileMissing``, ``VectorField``."""
    vectors = load(path)
    builder = Chain().deploy("ArrayBuilder")
    equal = True
    fine: Lanes = {}
    packed: Lanes = {}
    options = [item for item in vectors.instruments if item.terms is not None]
    for option in options:
        assert option.terms is not None
        owner = vectors.underlyings[option.underlying]
        exact_terms = (*option.terms, owner.psr, owner.quantum)
        word_terms = (*option.terms, owner.psr, _word_quantum(owner))
        fine[id(option)] = list(builder.view("scenarios", *exact_terms))
        words = tuple(builder.view("build", *word_terms))
        packed[id(option)] = arrays.unpack(words[0])
        equal = equal and fine[id(option)] == arrays.scenarios(*exact_terms)
        equal = equal and words == arrays.build(*word_terms)
    at_file = _figures(vectors, fine, lambda owner: owner.quantum)
    at_words = _figures(vectors, packed, _word_quantum)
    return MarginVectors(
        passed=equal and at_file.passed and at_words.passed,
        portfolios=len(vectors.cases),
        options=len(options),
        chain_equals_model=equal,
        words=at_words,
        **msgspec.structs.asdict(at_file),
    )


def _word_quantum(owner: Underlying) -> int:
    return arrays.quantum_of(owner.psr, owner.spot)


def _figures(vectors: Vectors, lanes: Lanes, quantum_of: Callable[[Underlying], int]) -> Figures:
    off = excess_max = share_max = Decimal(0)
    below = 0
    with localcontext(EXACT):
        for option in vectors.instruments:
            if option.terms is None:
                continue
            owner = vectors.underlyings[option.underlying]
            unit = Decimal(quantum_of(owner)) / ORACLE_PER_USD
            moved = Decimal(option.forwards * option.forward * owner.psr) / quantum_of(owner)
            rows = zip(lanes[id(option)], arrays.LINEAR, option.exact, strict=True)
            for lane, node, exact in rows:
                off = max(off, abs(lane + moved * node / (100 * PPM) - exact / unit))
        for case in vectors.cases:
            margin = Decimal(_margin(vectors, case, lanes, quantum_of)) / WAD
            excess = margin - case.margin
            below += excess < 0
            allowed = TOLERANCE
            for held, lots in case.positions:
                if held.terms is not None:
                    quantum = quantum_of(vectors.underlyings[held.underlying])
                    allowed += Decimal(quantum * abs(lots)) / (ORACLE_PER_USD * LOTS_PER_UNIT)
            excess_max = max(excess_max, excess)
            share_max = max(share_max, excess / allowed)
    return Figures(float(off), below, float(excess_max), float(share_max))


def _margin(
    vectors: Vectors, case: Case, lanes: Lanes, quantum_of: Callable[[Underlying], int]
) -> int:
    """Maintenance margin, wad, as the file defines it: max(blended scan + calendar, short-option
    minimum), every charge rounded up.
    """
    scans = charges = minimum = 0
    joint = [0] * LANES
    for name, owner in vectors.underlyings.items():
        held = [(item, lots) for item, lots in case.positions if item.underlying == name]
        unit = arrays.quantum_lot(quantum_of(owner), LOT_SIZE)
        gains = [0] * LANES
        linear = shorts = gross = 0
        tenors: dict[str, int] = {}
        for item, lots in held:
            tenors[item.tenor] = tenors.get(item.tenor, 0) + lots * item.delta
            linear += lots * item.forwards * item.forward * ORACLE_UNIT
            if item.terms is None:
                continue
            gains = [a + lots * unit * lane for a, lane in zip(gains, lanes[id(item)], strict=True)]
            gross += abs(lots)
            shorts += max(-lots, 0)
        # a lot is 1e-4 of a base unit
        moved = arrays.profit(Totals(), unit, linear, owner.psr)
        gains = [a + b // LOTS_PER_UNIT for a, b in zip(gains, moved, strict=True)]
        scans += max(-min(gains), 0)
        joint = [a + b for a, b in zip(joint, gains, strict=True)]
        offset = min(_positive(tenors.values()), _positive(-x for x in tenors.values()))
        calendar = (offset + gross * DELTA_ERROR) * vectors.calendar_ppm if offset else 0
        charges += div_up(calendar * owner.spot * ORACLE_UNIT, LOTS_PER_UNIT * PPM * WAD)
        charges += arrays.rounding(Totals(gross=gross), unit)
        minimum += div_up(
            shorts * vectors.short_ppm * owner.spot * ORACLE_UNIT, LOTS_PER_UNIT * PPM
        )
    credit = vectors.credit_ppm
    blended = (PPM - credit) * scans + credit * max(-min(joint), 0)
    return max(div_up(blended, PPM) + charges, minimum)


def _positive(values: Iterable[int]) -> int:
    return sum(value for value in values if value > 0)


def load(path: Path) -> Vectors:
    """Read a file. Errors: ``VectorFileMissing``, ``VectorField`` with the place."""
    try:
        require(path.stat().st_size <= FILE_BYTES_MAX, VectorFileMissing, "It is above 64 MiB.")
        document = json_text.parse(path.read_text(encoding="utf-8"), parse_float=str)
    except (OSError, ValueError) as error:
        raise Rejected(VectorFileMissing, f"{path}: {error}") from None
    try:
        return _vectors(document)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise Rejected(VectorField, f"{path}: {type(error).__name__}: {error}") from None


def _vectors(document: Any) -> Vectors:
    parameters = document["definition"]["params"]
    for name, value in FIXED.items():
        found = _decimal(name, parameters[name])
        require(found == Decimal(value), VectorField, f"{name} is {found}, the model's is {value}")
    nodes = [_scaled("node", n, 100) for n in document["definition"]["nodes_B_nonuniform"]]
    require(nodes == list(arrays.NODES), VectorField, "nodes_B_nonuniform are not the model's")
    underlyings = {
        name: Underlying(
            psr=_scaled(f"psr {name}", psr, PPM),
            spot=_scaled(f"spot {name}", document["definition"]["spot"][name], ORACLE_PER_USD),
            quantum=_scaled(f"unit {name}", parameters["unit"][name], ORACLE_PER_USD),
        )
        for name, psr in parameters["psr"].items()
    }
    instruments = {item["id"]: _instrument(item) for item in document["instruments"]}
    cases = tuple(
        Case(
            tuple(
                (instruments[key], _scaled(f"{each['name']}: size", lots, LOTS_PER_UNIT))
                for key, lots in each["positions"]
            ),
            _decimal(f"{each['name']}: MM", each["C"]["exact"]["MM"]),
        )
        for each in document["portfolios"]
    )
    return Vectors(
        underlyings,
        tuple(instruments.values()),
        cases,
        calendar_ppm=_scaled("cal_rate", parameters["cal_rate"], PPM),
        short_ppm=_scaled("som_rate", parameters["som_rate"], PPM),
        credit_ppm=_scaled("corr_credit", parameters["corr_credit"], PPM),
    )


def _instrument(item: dict[str, Any]) -> Instrument:
    where = f"instrument {item['id']}"
    forward = _scaled(f"{where}: F", item["F"], ORACLE_PER_USD)
    exact = tuple(_decimal(f"{where}: array", value) for value in item["array"])
    require(len(exact) == LANES, VectorField, f"{where}: array has {len(exact)} lanes")
    if item["kind"] != "option":
        return Instrument(item["u"], item["expiry"], forward, WAD, None, 1, exact)
    strike = _scaled(f"{where}: K", item["K"], ORACLE_PER_USD)
    sigma = _scaled(f"{where}: sigma", item["sigma"], WAD)
    seconds, is_call = _scaled(f"{where}: T_sec", item["T_sec"], 1), item["cp"] == "C"
    greeks = black76(forward * ORACLE_UNIT, strike * ORACLE_UNIT, sigma, seconds, is_call)
    terms = (forward, strike, sigma, seconds)
    forwards = 0 if is_call else -1
    return Instrument(item["u"], item["expiry"], forward, greeks.delta, terms, forwards, exact)


def _decimal(where: str, value: Any) -> Decimal:
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        number = Decimal("NaN")
    bounded = number.is_finite() and number.adjusted() < 30
    require(bounded, VectorField, f"{where} is {value!r}")
    return number


def _scaled(where: str, value: Any, scale: int) -> int:
    """A decimal that is a whole number of 1/scale."""
    number = EXACT.multiply(_decimal(where, value), Decimal(scale))
    whole = number == number.to_integral_value(context=EXACT)
    require(whole, VectorField, f"{where} is {value!r}, not a multiple of 1/{scale}")
    return int(number)
