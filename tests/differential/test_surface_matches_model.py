"""lib/surface.vy and model/surface.py give the same numbers and the same rejections."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from novate.chain.harness import Chain, Contract
from novate.errors import Rejected
from novate.model import surface as model
from novate.model.surface import ONE, RHO_ONE, SCALE_BITS, YEAR_S, Slice, pack
from tests.support.smile import DAY_S, NOW

CONTRACTS = Path(__file__).parent.parent / "contracts"
THETA_MASK = 2**64 - 1


@pytest.fixture(scope="module")
def contract() -> Contract:
    return Chain().deploy("SurfaceMath", root=CONTRACTS)


def outcome(call: Callable[[], object]) -> str:
    """``passed`` or the name of the rejection."""
    try:
        call()
    except Rejected as rejection:
        return rejection.error.name
    return "passed"


def both(contract: Contract, name: str, *words: int) -> str:
    """The outcome of a check, the same on chain and off."""
    on_chain = outcome(lambda: contract.view(name, *words))
    assert on_chain == outcome(lambda: getattr(model, name)(*words))
    return on_chain


def good_slice(rng: random.Random) -> Slice:
    """A slice inside every bound, often at the very edge of a butterfly condition."""
    tenor = int(10 ** rng.uniform(0, 7.9))
    variance = rng.uniform(0.051, 4.99) ** 2
    theta = int(variance * tenor * ONE / YEAR_S)
    rho = rng.choice([-1, 1]) * rng.choice([0, rng.randrange(RHO_ONE * 99 // 100)])
    psi = psi_max(theta, rho)
    psi = rng.choice([psi, rng.randrange(psi + 1), psi // 3])
    return Slice(theta, psi, rho, NOW + tenor, NOW)


def psi_max(theta: int, rho: int) -> int:
    """The largest psi that the butterfly conditions allow, exactly."""
    low, high = 0, 4 * ONE
    while low < high:
        middle = (low + high + 1) // 2
        wing = middle * (RHO_ONE + abs(rho))
        fits = wing < 4 * ONE * RHO_ONE and wing * middle <= 4 * theta * ONE * RHO_ONE
        low, high = (middle, high) if fits else (low, middle - 1)
    return low


def test_total_variance_is_the_same(contract: Contract) -> None:
    rng = random.Random(1)
    widest = (128 << SCALE_BITS) - 1
    for _ in range(300):
        word = pack(good_slice(rng))
        model.gate(word, 0)
        span = rng.choice([widest, 1 << SCALE_BITS, 1 << 93, 1_000])
        k = rng.choice([rng.randint(-span, span), span, -span])
        assert contract.view("total_variance", word, k) == model.total_variance(word, k)
        now = rng.randint(NOW - 10, model.unpack(word).expiry + 10)
        aged = contract.view("total_variance_at", word, k, now)
        assert aged == model.total_variance_at(word, k, now)


def test_total_variance_is_positive_wherever_the_gate_accepts(contract: Contract) -> None:
    """Shortest tenor, lowest volatility, steepest skew, at the lowest point of the smile."""
    theta = -(-ONE // (YEAR_S * 400))
    for sign in (-1, 1):
        rho = sign * (RHO_ONE * 99 // 100)
        word = pack(Slice(theta, psi_max(theta, rho), rho, NOW + 1, NOW))
        model.gate(word, 0)
        at = -rho * theta * 2 ** (SCALE_BITS - 31) // psi_max(theta, rho)
        for k in (at, at // 2, 0, (128 << SCALE_BITS) - 1, 1 - (128 << SCALE_BITS)):
            assert contract.view("total_variance", word, k) == model.total_variance(word, k) > 0


def test_one_slice_passes_or_fails_alike(contract: Contract) -> None:
    rng = random.Random(2)
    seen: Counter[str] = Counter()
    for _ in range(250):
        s = good_slice(rng)
        edge = psi_max(s.theta, s.rho)
        candidates = [
            s,
            replace(s, psi=edge + 1),
            replace(s, rho=rng.choice([-1, 1]) * (RHO_ONE * 99 // 100 + 1)),
            replace(s, expiry=NOW + rng.choice([-1, 0, model.TENOR_MAX_S + 1])),
            replace(s, theta=rng.choice([0, 1, THETA_MASK, s.theta // 400, s.theta * 400 % 2**64])),
        ]
        seen[both(contract, "gate", pack(rng.choice(candidates)), 0)] += 1
        seen[both(contract, "gate", rng.getrandbits(256), 0)] += 1
    assert set(seen) == {"passed", "ButterflyArbitrage", "SurfaceOutOfBounds"}
    assert min(seen.values()) > 20


def test_the_bounds_are_exact_to_the_unit(contract: Contract) -> None:
    tenor = 30 * DAY_S
    least = -(-tenor * ONE // (YEAR_S * model.VOLATILITY_MIN_INVERSE_SQUARED))
    most = tenor * ONE * model.VOLATILITY_MAX_SQUARED // YEAR_S
    steepest = RHO_ONE * 99 // 100
    good = Slice(least, 0, steepest, NOW + tenor, NOW)
    longest = Slice(3 * ONE, 0, 0, NOW + model.TENOR_MAX_S, NOW)
    for s in (good, replace(good, theta=most), replace(good, rho=-steepest), longest):
        assert both(contract, "gate", pack(s), 0) == "passed"
    for s in (
        replace(good, theta=least - 1),
        replace(good, theta=most + 1),
        replace(good, rho=steepest + 1),
        replace(good, rho=-steepest - 1),
        replace(longest, expiry=longest.expiry + 1),
        replace(good, expiry=NOW),
    ):
        assert both(contract, "gate", pack(s), 0) == "SurfaceOutOfBounds"
    for bit in (236, 255):
        assert both(contract, "gate", pack(good) | 1 << bit, 0) == "SurfaceOutOfBounds"


def test_a_strike_and_a_slice_are_cheap(contract: Contract) -> None:
    """Pure code: what this EVM counts is what a transaction pays (measuring costs 103)."""
    rng = random.Random(4)
    for _ in range(30):
        word, k = pack(good_slice(rng)), rng.randint(-(1 << SCALE_BITS), 1 << SCALE_BITS)
        assert contract.view("gas_of_total_variance", word, k) <= 850
    assert contract.view("gas_of_gate", pack(LATER), pack(NEAR)) <= 3_300


NEAR = Slice(ONE // 100, ONE // 10, -RHO_ONE // 4, NOW + 10 * DAY_S, NOW)
LATER = Slice(ONE // 50, ONE // 8, -RHO_ONE // 4, NOW + 20 * DAY_S, NOW)


def test_two_neighbours_pass_or_fail_alike(contract: Contract) -> None:
    """Each condition of its own, at the last unit that passes and at the first that fails."""
    skewed = replace(NEAR, rho=0)
    steep = LATER.psi - NEAR.psi  # rho' psi' may move by this much
    at_edge = steep * RHO_ONE // LATER.psi
    phi_edge = NEAR.psi * 2  # theta doubles
    cases = [
        (NEAR, LATER, "passed"),
        (NEAR, replace(LATER, theta=NEAR.theta, psi=NEAR.psi), "passed"),
        (NEAR, replace(LATER, theta=NEAR.theta - 1, psi=NEAR.psi), "CalendarArbitrage"),
        (NEAR, replace(LATER, psi=NEAR.psi - 1), "CalendarArbitrage"),
        (NEAR, replace(LATER, psi=phi_edge), "passed"),
        (NEAR, replace(LATER, psi=phi_edge + 1), "CalendarArbitrage"),
        (skewed, replace(LATER, rho=at_edge), "passed"),
        (skewed, replace(LATER, rho=at_edge + 1), "CalendarArbitrage"),
        (skewed, replace(LATER, rho=-at_edge), "passed"),
        (skewed, replace(LATER, rho=-at_edge - 1), "CalendarArbitrage"),
        (NEAR, replace(LATER, expiry=NEAR.expiry), "NotAscending"),
        (NEAR, replace(LATER, timestamp=NOW + 1), "SurfaceOutOfBounds"),
    ]
    for near, later, expected in cases:
        assert both(contract, "gate", pack(later), pack(near)) == expected


def test_random_neighbours_pass_or_fail_alike(contract: Contract) -> None:
    rng = random.Random(3)
    seen: Counter[str] = Counter()
    for _ in range(300):
        theta, psi = (LATER.theta * rng.randint(400, 1_500), LATER.psi * rng.randint(700, 1_700))
        rho = rng.randint(-RHO_ONE // 2, RHO_ONE // 4)
        later = replace(LATER, theta=theta // 1_000, psi=psi // 1_000, rho=rho)
        seen[both(contract, "gate", pack(later), pack(NEAR))] += 1
    assert set(seen) == {"passed", "ButterflyArbitrage", "CalendarArbitrage"}
    assert min(seen.values()) > 10


def test_moves_are_limited_alike(contract: Contract) -> None:
    """At the last unit that passes and the first that fails, after a second, a minute, an hour."""
    old = replace(LATER, psi=ONE // 5, theta=ONE // 50 // 60 * 60)
    for elapsed in (1, 7, 60, 3_600):
        now = old.timestamp + elapsed
        share = min(elapsed, 60)
        aged = replace(old, timestamp=now)
        theta, psi = (x * aged.tenor for x in (old.theta, old.psi))
        up = (theta * (120 + share)) // (120 * old.tenor)
        down = -(-theta * (120 - share) // (120 * old.tenor))
        step = model.PSI_MOVE * share * old.tenor
        psi_up, psi_down = (
            (psi * 60 + step) // (60 * old.tenor),
            -((step - psi * 60) // (60 * old.tenor)),
        )
        rho_step = model.RHO_MOVE * share // 60
        inside = replace(aged, theta=up, psi=psi_up, rho=old.rho + rho_step)
        outside = replace(aged, theta=down, psi=psi_down, rho=old.rho - rho_step)
        for s in (inside, outside):
            assert both(contract, "within_rate", pack(old), pack(s)) == "passed"
        for s in (
            replace(inside, theta=up + 1),
            replace(inside, psi=psi_up + 1),
            replace(inside, rho=inside.rho + 1),
            replace(outside, theta=down - 1),
            replace(outside, psi=psi_down - 1),
            replace(outside, rho=outside.rho - 1),
        ):
            assert both(contract, "within_rate", pack(old), pack(s)) == "SurfaceJump"


def test_what_meets_a_bound_exactly_passes(contract: Contract) -> None:
    """Tenors that the year divides, and powers of two, so that both sides come out equal."""
    odd_part = YEAR_S // 128
    least = Slice(25 * odd_part * ONE // (400 * YEAR_S), 0, 0, NOW + 25 * odd_part, NOW)
    assert least.theta * YEAR_S * 400 == least.tenor * ONE
    most = Slice(25 * ONE // 128, 0, 0, NOW + odd_part, NOW)
    assert most.theta * YEAR_S == most.tenor * ONE * 25
    edge = Slice(ONE >> 8, ONE >> 3, 0, NOW + 10 * DAY_S, NOW)
    assert edge.psi**2 == 4 * edge.theta * ONE
    for s in (least, most, edge):
        assert both(contract, "gate", pack(s), 0) == "passed"
    old = Slice(ONE >> 8, ONE >> 3, 0, NOW + 120, NOW)
    aged = replace(old, theta=old.theta // 2, psi=old.psi // 2, timestamp=NOW + 60)
    for theta in (aged.theta * 3 // 2, aged.theta // 2):
        assert (
            both(contract, "within_rate", pack(old), pack(replace(aged, theta=theta))) == "passed"
        )
    moved = replace(aged, psi=aged.psi + model.PSI_MOVE)
    assert both(contract, "within_rate", pack(old), pack(moved)) == "passed"


def test_only_a_newer_word_of_the_same_expiry_is_compared(contract: Contract) -> None:
    assert both(contract, "within_rate", 0, pack(LATER)) == "passed"
    assert both(contract, "within_rate", pack(LATER), pack(LATER)) == "StaleRound"
    other = replace(LATER, expiry=LATER.expiry + 1, timestamp=NOW + 1)
    assert both(contract, "within_rate", pack(LATER), pack(other)) == "SurfaceOutOfBounds"
