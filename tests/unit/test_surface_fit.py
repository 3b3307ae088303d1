"""Fitting the volatility surface: known parameters come back, no fit fails the integer gate, a
node signs only what its own quotes show.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from novate import errors
from novate.errors import Error, QuotesTooFew, Rejected, SurfaceNotHonest
from novate.model import surface as model
from novate.model.surface import ONE, RHO_ONE, YEAR_S, Slice, pack, unpack
from novate.risk.quotes import Quotes, load_quotes
from novate.risk.surface import PASSED, SliceFit, agrees, approach, check, fit, fitted, volatilities
from tests.support.smile import DAY_S, NOW, Floats, essvi

KNOWN = [  # days, theta, rho, psi: free of arbitrage
    (1, 0.0008, -0.20, 0.040),
    (7, 0.0055, -0.25, 0.085),
    (30, 0.0250, -0.20, 0.160),
    (90, 0.0800, -0.15, 0.280),
    (350, 0.3400, -0.05, 0.600),
]


def quotes_of(
    days: float, theta: float, rho: float, psi: float, count: int = 21, noise: Floats | None = None
) -> Quotes:
    """Quotes of one slice over three standard deviations either way."""
    years = days / 365
    k = np.linspace(-3, 3, count) * np.sqrt(theta)
    volatility = np.sqrt(essvi(*(np.array([x]) for x in (theta, rho, psi)), k)[0] / years)
    if noise is not None:
        volatility = np.maximum(volatility + noise, 0.06)
    return Quotes(NOW + round(days * DAY_S), NOW, 100.0, k, volatility)


@pytest.fixture(scope="module")
def chain() -> list[Quotes]:
    return [quotes_of(*row) for row in KNOWN]


@pytest.fixture(scope="module")
def words(chain: list[Quotes]) -> tuple[int, ...]:
    return tuple(each.word for each in fit(chain))


def refused(error: Error, call: Callable[[], object]) -> str:
    with pytest.raises(Rejected) as caught:
        call()
    assert caught.value.error is error
    return caught.value.detail


def test_known_parameters_come_back(chain: list[Quotes]) -> None:
    for each, (days, theta, rho, psi) in zip(fit(chain), KNOWN, strict=True):
        s = unpack(each.word)
        assert (s.expiry, s.timestamp) == (NOW + days * DAY_S, NOW)
        assert s.theta / ONE == pytest.approx(theta, rel=1e-4)
        assert s.rho / RHO_ONE == pytest.approx(rho, abs=1e-3)
        assert s.psi / ONE == pytest.approx(psi, rel=1e-3)
        assert each.verdict == PASSED
        assert each.rmse_points < 0.02


def test_a_chain_full_of_arbitrage_still_gives_a_surface_that_passes() -> None:
    """Random slices, unrelated to each other and noisy: the worst that quotes can do."""
    rng = np.random.default_rng(21)
    for _ in range(12):
        chain = []
        for days in np.cumsum(rng.uniform(0.3, 120, rng.integers(2, 9))):
            theta = rng.uniform(0.1, 2.5) ** 2 * days / 365
            psi = rng.uniform(0.05, 2.5) * np.sqrt(theta)
            noise = rng.normal(0, 0.05, 11)
            chain.append(quotes_of(days, theta, rng.uniform(-0.95, 0.95), psi, 11, noise))
        found = fit(chain)
        assert [each.verdict for each in found] == [PASSED] * len(found)
        check([each.word for each in found])


def test_an_expiry_with_too_few_quotes_near_the_forward_is_left_out(chain: list[Quotes]) -> None:
    sparse = replace(chain[0], k=chain[0].k[:3], volatility=chain[0].volatility[:3])
    far = replace(chain[1], k=chain[1].k + 5)
    assert len(fit([sparse, far, *chain[2:]])) == 3
    refused(QuotesTooFew, lambda: fit([sparse, far]))


def test_the_error_is_measured_in_volatility_points(chain: list[Quotes]) -> None:
    bumped = np.where(np.arange(21) % 2 == 0, 0.01, -0.01)
    noisy = replace(chain[2], volatility=chain[2].volatility + bumped)
    (only,) = fit([noisy])
    assert only.rmse_points == pytest.approx(1.0, abs=0.05)
    assert only.quotes_used == len(noisy.within(3.0).k)


def test_volatilities_follow_from_the_integer_variance(words: tuple[int, ...]) -> None:
    k = np.array([-0.3, 0.0, 0.2])
    s = unpack(words[2])
    exact = essvi(*(np.array([x]) for x in (s.theta / ONE, s.rho / RHO_ONE, s.psi / ONE)), k)[0]
    assert volatilities(words[2], k) == pytest.approx(np.sqrt(exact * YEAR_S / s.tenor), rel=1e-12)


def test_a_node_signs_what_its_own_quotes_show(chain: list[Quotes], words: tuple[int, ...]) -> None:
    rng = np.random.default_rng(22)
    own = [replace(q, volatility=q.volatility + rng.normal(0, 0.002, 21)) for q in chain]
    agrees(words, fitted(own), 1.0)


def test_a_node_refuses_a_surface_off_its_own_quotes(
    chain: list[Quotes], words: tuple[int, ...]
) -> None:
    higher = [replace(q, volatility=q.volatility * 1.05) for q in chain]
    agrees(words, fitted(higher), 12.0)
    assert "volatility points" in refused(
        SurfaceNotHonest, lambda: agrees(words, fitted(higher), 2.0)
    )


def test_a_node_refuses_a_distorted_wing(chain: list[Quotes], words: tuple[int, ...]) -> None:
    s = unpack(words[3])
    steeper = pack(replace(s, rho=s.rho - RHO_ONE // 10))
    refused(SurfaceNotHonest, lambda: agrees([*words[:3], steeper, words[4]], fitted(chain), 1.0))


def test_a_node_refuses_other_expiries_and_old_surfaces(
    chain: list[Quotes], words: tuple[int, ...]
) -> None:
    refused(SurfaceNotHonest, lambda: agrees(words[:-1], fitted(chain), 2.0))
    refused(SurfaceNotHonest, lambda: agrees(words, fitted(chain[1:]), 2.0))
    later = [replace(q, timestamp=NOW + 61) for q in chain]
    assert "61 s" in refused(SurfaceNotHonest, lambda: agrees(words, fitted(later), 50.0))


def test_a_node_refuses_what_the_gate_refuses(chain: list[Quotes], words: tuple[int, ...]) -> None:
    crossed = (words[1], words[0], *words[2:])
    refused(errors.NotAscending, lambda: agrees(crossed, fitted(chain), 50.0))
    s = unpack(words[0])
    winged = pack(replace(s, psi=s.psi * 3))
    refused(errors.ButterflyArbitrage, lambda: agrees([winged, *words[1:]], fitted(chain), 50.0))


def later_by(words: tuple[int, ...], seconds: int, variance_percent: int) -> tuple[int, ...]:
    """The surface observed later, its variances scaled."""
    moved = []
    for s in map(unpack, words):
        theta = s.theta * variance_percent // 100 * (s.tenor - seconds) // s.tenor
        moved.append(pack(replace(s, theta=theta, timestamp=s.timestamp + seconds)))
    return tuple(moved)


def test_a_small_move_is_taken_whole(words: tuple[int, ...]) -> None:
    target = later_by(words, 60, 110)
    assert approach(words, target) == target


def test_a_crash_is_approached_as_fast_as_the_limit_allows(words: tuple[int, ...]) -> None:
    """Volatility doubles at once: the surface walks there in passing steps, a minute each."""
    for old, new in zip(words, later_by(words, 60, 400), strict=True):
        refused(errors.SurfaceJump, lambda old=old, new=new: model.within_rate(old, new))
    now = words
    for minute in range(1, 5):
        target = later_by(words, 60 * minute, 400)
        previous, now = now, approach(now, target)
        check(now)
        for old, new in zip(previous, now, strict=True):
            model.within_rate(old, new)
        assert (now == target) is (minute == 4)


def test_a_surface_that_does_not_move_ages_in_place(words: tuple[int, ...]) -> None:
    """With a target out of every reach the old slices still go on, at the new time."""
    mirrored = tuple(
        pack(replace(unpack(word), rho=-3 * unpack(word).rho)) for word in later_by(words, 1, 100)
    )
    stepped = approach(words, mirrored)
    for old, new in zip(map(unpack, words), map(unpack, stepped), strict=True):
        assert new.timestamp == old.timestamp + 1
        assert new.theta == pytest.approx(old.theta * new.tenor / old.tenor, rel=1e-2)


def test_a_new_expiry_is_taken_from_the_target_and_an_expired_one_dropped(
    words: tuple[int, ...],
) -> None:
    target = later_by(words, 60, 100)
    assert approach(words[:-1], target[1:]) == target[1:]


def test_what_no_step_reaches_is_refused(words: tuple[int, ...]) -> None:
    """A new expiry between old ones that contradicts them all."""
    target = list(later_by(words, 60, 100))
    s = unpack(target[1])
    target[1] = pack(Slice(s.theta // 20, s.psi // 20, s.rho, s.expiry, s.timestamp))
    old = (words[0], *words[2:])
    refused(errors.CalendarArbitrage, lambda: approach(old, target))


def real_fit(shared_folder: Path, name: str) -> tuple[tuple[SliceFit, ...], float]:
    """The fit of a recorded chain and the median of three times it took, loading included."""
    path = shared_folder / "data" / name
    if not path.is_file():
        pytest.skip(f"no {name} among the reference data")
    times = []
    for _ in range(3):
        start = time.perf_counter()
        found = fit(load_quotes(path).expiries)
        times.append(time.perf_counter() - start)
    return found, sorted(times)[1]


@pytest.mark.parametrize("venue", ["deribit", "okx"])
def test_a_recorded_chain_is_fitted_to_within_the_acceptance(
    shared_folder: Path, venue: str
) -> None:
    fitted, seconds = real_fit(shared_folder, f"{venue}_btc_options_2024-01-14.parquet")
    assert len(fitted) >= 11
    assert all(each.verdict == PASSED for each in fitted)
    long = [each for each in fitted if unpack(each.word).tenor >= 3 * DAY_S]
    assert len(long) >= 8
    assert max(each.rmse_points for each in long) <= 1.6
    assert min(each.quotes_used for each in long) >= 18
    assert seconds < 2
