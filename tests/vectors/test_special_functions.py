"""Exponential, logarithm, root and normal distribution, in both, against 50-digit figures.

Source: vectors/special_functions.json (mpmath, 50 digits); a few of its rows are copied below, so
that this asserts without the file too. Where more points are wanted, mpmath is asked here.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from decimal import Decimal, getcontext
from itertools import pairwise
from pathlib import Path

import mpmath
import pytest

from novate.chain.harness import Chain, Contract
from novate.model import pricing
from novate.model.pricing import ONE
from novate.units import WAD

getcontext().prec = 100
mpmath.mp.dps = 60
CONTRACTS = Path(__file__).parent.parent / "contracts"
ONE_REAL = mpmath.mpf(ONE)
COPIED = {
    "exp": [
        ("0", "1.0"),
        ("-1", "0.99999999999999999900000000000000000050000000000000"),
        ("-42000000000000000000", "5.7495222642935598066643808805734234249475579743237e-19"),
        ("135000000000000000000", "4.2633899483147210448936866880765989356468745853255e+58"),
    ],
    "ln": [
        ("1", "-41.446531673892822312323846184318555736819826795318"),
        ("1000000000000000000", "0.0"),
        ("2000000000000000000", "0.69314718055994530941723212145817656807550013436026"),
        ("15236087165731612101246451712", "23.446932606584183429572307938169554001534884407669"),
    ],
    "sqrt": [
        ("0", "0.0"),
        ("2", "1.4142135623730950488016887242096980785696718753769e-9"),
        (
            "711633508996702156548225290231003694489207347008173850492928",
            "843583729689413910609.53817311539647042800290827289",
        ),
    ],
    "norm_cdf": [
        ("0", "0.5"),
        ("-1000000000000000000", "0.15865525393145705141476745436796207752208703327340"),
        ("-7071067811865475244", "7.6872989721401742514095352375004189507106963192872e-13"),
        ("4138759243619571200", "0.99998254054262237142870532076570754603315401466579"),
    ],
    "norm_pdf": [
        ("-1", "0.39894228040143267793994605993438186827638749096422"),
        ("-7071067811865475244", "5.5404879955758329911242684163696917719314958211607e-12"),
    ],
}
QUANTILES = [
    ("0.005", "-2.5758293035489007609785767486038141173060176342763"),
    ("0.99", "2.3263478740408411008856061633469117233518171415320"),
]


@pytest.fixture(scope="module")
def contract() -> Contract:
    """The libraries behind external functions."""
    return Chain().deploy("SpecialFunctions", root=CONTRACTS)


def x96(wad: int) -> int:
    return wad * ONE // WAD


def results(contract: Contract, name: str, x: int) -> list[Decimal]:
    """f(x) of the model, which is asserted to be that of the contract."""
    if name == "exp":
        mantissa, power = pricing.exp_parts(x96(x))
        assert contract.view("exp_parts", x96(x)) == (mantissa, power)
        found = [Decimal(mantissa) / ONE * Decimal(2) ** power]
        if x <= 0:
            found.append(Decimal(same(contract, "expn", -x96(x))) / ONE)
        return found
    if name == "ln":
        return [Decimal(same(contract, "log_ratio", x, WAD)) / ONE]
    if name == "sqrt":
        return [Decimal(same(contract, "sqrt", x)) / WAD]
    return [Decimal(same(contract, name.replace("norm", "normal"), x96(x))) / ONE]


def same(contract: Contract, name: str, *arguments: int) -> int:
    found: int = getattr(pricing, name)(*arguments)
    assert contract.view(name, *arguments) == found
    return found


def check(contract: Contract, name: str, x: int, y: str) -> None:
    exact = Decimal(y)
    allowed = max(Decimal("2e-18"), abs(exact) * Decimal("1e-17"))
    if name == "norm_cdf":
        allowed = Decimal("3e-17")
    for found in results(contract, name, x):
        assert abs(found - exact) <= allowed, (name, x, found - exact)


@pytest.mark.parametrize(
    ("name", "x", "y"), [(name, x, y) for name, rows in COPIED.items() for x, y in rows]
)
def test_the_copied_rows(contract: Contract, name: str, x: str, y: str) -> None:
    check(contract, name, int(x), y)


def check_quantile(contract: Contract, p: str, z: str) -> None:
    found = same(contract, "normal_cdf", int(Decimal(z) * ONE))
    assert abs(Decimal(found) / ONE - Decimal(p)) <= Decimal("3e-17")


@pytest.mark.parametrize(("p", "z"), QUANTILES)
def test_the_copied_quantiles(contract: Contract, p: str, z: str) -> None:
    check_quantile(contract, p, z)


def test_every_row_of_the_file(contract: Contract, shared_folder: Path) -> None:
    path = shared_folder / "vectors" / "special_functions.json"
    cases = json.loads(path.read_text())["cases"]
    for name in COPIED:
        assert len(cases[name]) >= len(COPIED[name])
        for row in cases[name]:
            check(contract, name, int(row["x"]), row["y"])
    for row in cases["sqrt"]:
        if int(row["x"]) < 2**196:
            assert pricing.sqrt(int(row["x"])) == int(row["isqrt_of_x_times_1e18"])
    for row in cases["norm_ppf"]:
        check_quantile(contract, row["p"], row["z"])


def worst(error: Callable[[int], mpmath.mpf], points: list[int]) -> mpmath.mpf:
    return max(abs(error(x)) for x in points)


def points(seed: int, low: int, high: int, count: int = 400) -> list[int]:
    """Both ends and points between them, of every order of magnitude."""
    draw = random.Random(seed)
    inner = [
        low + draw.randrange(high - low + 1) // 2 ** draw.randrange((high - low).bit_length())
        for _ in range(count)
    ]
    return [low, high, *inner]


def test_the_logarithm_is_within_two_units_of_x96() -> None:
    def error(x: int) -> mpmath.mpf:
        return pricing.ln(x) - mpmath.log(mpmath.mpf(x) / ONE) * ONE

    assert worst(error, points(1, 1, 2**255 - 1)) < 2
    assert worst(error, points(2, ONE - 2**90, ONE + 2**90)) < 2
    assert pricing.ln(ONE) == 0


def test_the_exponential_is_within_3e_23_of_itself() -> None:
    def error(x: int) -> mpmath.mpf:
        mantissa, power = pricing.exp_parts(x)
        return mpmath.mpf(mantissa) * mpmath.mpf(2) ** (power - 96) / mpmath.exp(x / ONE_REAL) - 1

    assert worst(error, points(3, -pricing.EXPONENT_MAX, pricing.EXPONENT_MAX)) < 3e-23


def test_the_mills_ratio_is_within_its_fitted_error() -> None:
    def error(x: int) -> mpmath.mpf:
        real = x / ONE_REAL
        exact = mpmath.erfc(real / mpmath.sqrt(2)) * mpmath.sqrt(mpmath.pi / 2)
        weighted = pricing.mills(x) / ONE_REAL * mpmath.npdf(real)
        return weighted - exact / mpmath.sqrt(2 * mpmath.pi)

    assert worst(error, points(4, 0, 12 * ONE)) < 2.3e-17


def test_the_mills_ratio_falls_everywhere() -> None:
    """So that no difference R(−d) − R(y) is negative, beyond the rounding of a unit."""
    steps = [x * ONE // 64 for x in range(64 * 64 + 1)]
    found = [pricing.mills(x) for x in steps]
    assert all(near > far > 0 for near, far in pairwise(found))


def test_the_option_ratio_is_within_5e_17_of_the_larger_of_forward_and_strike() -> None:
    draw = random.Random(5)
    for _ in range(400):
        v = int(2 ** draw.uniform(-20, 3) * 2**60) << 36
        k = int(draw.uniform(-5, 5) * 2**60) * v >> 60
        if abs(k) > 77 * ONE:
            continue
        size, deviation = abs(k) / ONE_REAL, v / ONE_REAL
        d = deviation / 2 - size / deviation
        exact = mpmath.ncdf(d) - mpmath.exp(size) * mpmath.ncdf(d - deviation)
        found = pricing.otm_ratio(k, v) / ONE_REAL
        assert abs(found - exact) <= mpmath.mpf("5e-17") * mpmath.exp(size), (k, v)


def test_the_root_of_time_is_rounded_down() -> None:
    for seconds in (1, 60, 86_400, 31_536_000, 2**32 - 1):
        root = pricing.root_time(seconds)
        bound = seconds << 192
        assert root * root * pricing.YEAR_S <= bound < (root + 1) ** 2 * pricing.YEAR_S
    assert pricing.root_time(0) == 0
    assert pricing.root_time(31_536_000) == ONE
