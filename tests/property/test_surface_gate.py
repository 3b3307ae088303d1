"""The gate of the volatility surface lets no arbitrage through, measured on dense grids.

What is measured with is checked itself against 50-digit references in tests/vectors/test_ssvi.py.
"""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from novate import errors
from novate.errors import Rejected
from novate.model import surface
from novate.model.surface import ONE, RHO_ONE, SCALE_BITS, YEAR_S, Slice, pack, unpack
from tests.support.smile import DAY_S, NOW, Floats, durrleman, essvi, slice_word

GRID = np.concatenate([np.linspace(-0.3, 0.3, 301), np.linspace(-6, 6, 241)])
ROUNDING = 1e-12
SLICES, SLICES_ACCEPTED_MIN = 60_000, 20_000
PAIRS, PAIRS_ACCEPTED_MIN = 60_000, 3_000


def accepts(word: int, previous: int = 0) -> bool:
    """Whether the gate lets the word pass; any rejection it makes is one of its own."""
    try:
        surface.gate(word, previous)
    except Rejected as rejection:
        assert rejection.error in (errors.ButterflyArbitrage, errors.CalendarArbitrage)
        return False
    return True


def random_slices(rng: np.random.Generator, count: int) -> tuple[Floats, Floats, Floats]:
    """theta, rho, psi with psi around the edge of both butterfly conditions."""
    theta = 10 ** rng.uniform(-4, 0.8, count)
    rho = rng.uniform(-0.99, 0.99, count)
    edge = np.minimum(4 / (1 + np.abs(rho)), 2 * np.sqrt(theta / (1 + np.abs(rho))))
    return theta, rho, edge * rng.choice([1.0, 0.3, 0.03], count) * rng.uniform(0.8, 1.2, count)


def fields(words: list[int]) -> tuple[Floats, Floats, Floats]:
    """theta, rho, psi of words as columns of shape (n, 1)."""
    slices = [unpack(word) for word in words]
    rows = [[s.theta / ONE, s.rho / RHO_ONE, s.psi / ONE] for s in slices]
    theta, rho, psi = np.array(rows).T[:, :, None]
    return theta, rho, psi


def word_of(theta: float, rho: float, psi: float) -> int:
    """A word with a tenor that puts its volatility inside the bounds."""
    return slice_word(theta, rho, psi, max(min(round(theta / 0.36 * YEAR_S), 1_000 * DAY_S), 60))


def test_no_accepted_slice_has_a_butterfly_arbitrage() -> None:
    rng = np.random.default_rng(11)
    columns = zip(*random_slices(rng, SLICES), strict=True)
    words = [word_of(*map(float, row)) for row in columns]
    accepted = [word for word in words if accepts(word)]
    assert SLICES_ACCEPTED_MIN <= len(accepted) < SLICES
    for start in range(0, len(accepted), 4_000):
        parameters = fields(accepted[start : start + 4_000])
        assert durrleman(*essvi(*parameters, GRID), GRID).min() >= -ROUNDING


def test_slices_beyond_the_conditions_are_refused_and_can_be_arbitraged() -> None:
    """The conditions are sufficient, not necessary: at twice the edge most have g < 0."""
    rng = np.random.default_rng(12)
    theta, rho, _ = random_slices(rng, 2_000)
    edge = np.minimum(4 / (1 + np.abs(rho)), 2 * np.sqrt(theta / (1 + np.abs(rho))))
    words = [word_of(*map(float, row)) for row in zip(theta, rho, 2 * edge, strict=True)]
    assert not any(accepts(word) for word in words)
    least = durrleman(*essvi(*fields(words), GRID), GRID).min(axis=1)
    assert (least < 0).mean() > 0.6


def random_pairs(rng: np.random.Generator, count: int) -> list[tuple[int, int]]:
    """Neighbouring words of 20 and 30 days around the edge of the calendar conditions."""
    theta = 10 ** rng.uniform(-3.2, -0.3, count)
    rho, rho_later = rng.uniform(-0.9, 0.9, (2, count))
    rho_later = np.clip(rho + (rho_later - rho) * rng.choice([0.02, 0.3, 1.0], count), -0.95, 0.95)
    psi = 2 * np.sqrt(theta / (1 + np.abs(rho))) * rng.uniform(0.05, 1, count)
    theta_later = theta * (1 + 10 ** rng.uniform(-3, 0.7, count)) * rng.uniform(0.99, 1.01, count)
    ratio = np.maximum((1 + rho) / (1 + rho_later), (1 - rho) / (1 - rho_later))
    psi_later = psi * np.minimum(ratio * rng.uniform(0.95, 1.3, count), 3)
    near = zip(theta, rho, psi, strict=True)
    later = zip(theta_later, rho_later, psi_later, strict=True)
    seconds = [max(round(float(t) * YEAR_S), DAY_S) for t in theta]
    return [
        (slice_word(*map(float, a), s), slice_word(*map(float, b), s * 3 // 2))
        for a, b, s in zip(near, later, seconds, strict=True)
    ]


@pytest.fixture(scope="module")
def neighbours() -> list[tuple[int, int]]:
    """Accepted pairs."""
    pairs = random_pairs(np.random.default_rng(13), PAIRS)
    found = [(a, b) for a, b in pairs if accepts(a) and accepts(b, a)]
    assert PAIRS_ACCEPTED_MIN <= len(found) < PAIRS
    return found


def test_accepted_neighbours_have_no_calendar_arbitrage(neighbours: list[tuple[int, int]]) -> None:
    near, later = (fields([pair[i] for pair in neighbours]) for i in (0, 1))
    assert (essvi(*later, GRID)[0] - essvi(*near, GRID)[0]).min() >= -ROUNDING


def test_phi_must_not_rise_although_everything_else_holds() -> None:
    """Of pairs refused for phi alone, many have a later variance below an earlier one."""
    pairs = random_pairs(np.random.default_rng(14), 20_000)
    risen = []
    for a, b in pairs:
        near, later = unpack(a), unpack(b)
        others = (
            later.theta >= near.theta
            and later.psi >= near.psi
            and abs(later.rho * later.psi - near.rho * near.psi) <= (later.psi - near.psi) * RHO_ONE
        )
        if others and accepts(a) and accepts(b) and not accepts(b, a):
            risen.append((a, b))
    assert len(risen) > 500
    near_fields, later_fields = (fields([pair[i] for pair in risen]) for i in (0, 1))
    gap = essvi(*later_fields, GRID)[0] - essvi(*near_fields, GRID)[0]
    assert (gap.min(axis=1) < -1e-9).mean() > 0.2


def test_ageing_keeps_the_surface_free_of_arbitrage(neighbours: list[tuple[int, int]]) -> None:
    """As total_variance_at scales theta and psi, the gate's conditions go on to hold."""
    rng = np.random.default_rng(15)
    for a, b in neighbours[:1_000]:
        near, later = unpack(a), unpack(b)
        passed = int(rng.integers(1, near.tenor - 60))
        aged = []
        for s in (near, later):
            left = (s.tenor - passed) / s.tenor
            aged.append((s.theta * left, s.psi * left, s.rho))
        (theta, psi, rho), (theta2, psi2, rho2) = aged
        slack = 1 + 1e-12
        assert theta2 * slack >= theta and psi2 * slack >= psi
        assert psi2 * theta <= psi * theta2 * slack
        assert abs(rho2 * psi2 - rho * psi) <= (psi2 - psi) * RHO_ONE + 1e-12 * psi2 * RHO_ONE
        for t, p, r in aged:
            wing = p * (1 + abs(r) / RHO_ONE)
            assert wing < 4 * ONE and wing * p <= 4 * t * ONE * slack


def test_ageing_keeps_the_volatility_of_a_strike() -> None:
    word = slice_word(0.03, -0.2, 0.25)
    s, k = unpack(word), 1 << (SCALE_BITS - 2)
    whole = surface.total_variance(word, k)
    assert surface.total_variance_at(word, k, s.timestamp) == whole
    assert surface.total_variance_at(word, k, s.timestamp - 9) == whole
    half = surface.total_variance_at(word, k, s.expiry - s.tenor // 2)
    assert half == whole * (s.tenor // 2) // s.tenor
    assert surface.total_variance_at(word, k, s.expiry) == 0
    assert surface.total_variance_at(word, k, s.expiry + 9) == 0


def test_total_variance_is_within_eight_units_of_the_real_number() -> None:
    rng = np.random.default_rng(16)
    worst = mpmath.mpf(0)
    with mpmath.workprec(400):
        for theta, rho, psi in zip(*random_slices(rng, 1_500), strict=True):
            word = word_of(float(theta), float(rho), float(psi) / 1.25)
            surface.gate(word, 0)
            k = int(rng.uniform(-8, 8) * 2**60) << (SCALE_BITS - 60)
            worst = max(worst, abs(surface.total_variance(word, k) - real_variance(word, k)))
    assert worst < 8


def real_variance(word: int, k: int) -> mpmath.mpf:
    """Total variance in units of 2**-96, by the formula as published."""
    s = unpack(word)
    theta, rho = mpmath.mpf(s.theta) / ONE, mpmath.mpf(s.rho) / RHO_ONE
    phi = mpmath.mpf(s.psi) / s.theta
    z = phi * k / 2**SCALE_BITS
    w = theta / 2 * (1 + rho * z + mpmath.sqrt((z + rho) ** 2 + 1 - rho**2))
    return w * 2**SCALE_BITS


def test_a_word_keeps_every_field() -> None:
    for rho in (-RHO_ONE, -1, 0, 1, RHO_ONE - 1):
        given = Slice(2**64 - 1, 2**60 - 1, rho, 2**40 - 1, NOW)
        assert unpack(pack(given)) == given
