"""Slices of a volatility surface for tests, and Durrleman's condition in float64."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from novate.model.surface import ONE, RHO_ONE, YEAR_S, Slice, pack

Floats = npt.NDArray[np.float64]
NOW = 1_705_262_471
DAY_S = 86_400


def slice_word(
    theta: float, rho: float, psi: float, seconds: int | None = None, now: int = NOW
) -> int:
    """A word seen at ``now``; by default its expiry makes the volatility at the money 60 %."""
    tenor = round(theta / 0.36 * YEAR_S) if seconds is None else seconds
    return pack(Slice(round(theta * ONE), round(psi * ONE), round(rho * RHO_ONE), now + tenor, now))


def durrleman(w: Floats, w1: Floats, w2: Floats, k: Floats) -> Floats:
    """g(k) of a total variance and its two derivatives; negative where a butterfly is free."""
    g: Floats = (1 - k * w1 / (2 * w)) ** 2 - w1**2 / 4 * (1 / w + 0.25) + w2 / 2
    return g


def essvi(theta: Floats, rho: Floats, psi: Floats, k: Floats) -> tuple[Floats, Floats, Floats]:
    """Total variance of an eSSVI slice and its derivatives, as the paper writes them."""
    phi = psi / theta
    z = phi * k + rho
    root = np.sqrt(z**2 + 1 - rho**2)
    w = theta / 2 * (1 + rho * phi * k + root)
    return w, psi / 2 * (rho + z / root), psi * phi / 2 * (1 - rho**2) / root**3


def raw_svi(
    a: float, b: float, rho: float, m: float, sigma: float, k: Floats
) -> tuple[Floats, Floats, Floats]:
    """Total variance of a raw SVI slice and its derivatives."""
    x = k - m
    root = np.sqrt(x**2 + sigma**2)
    return a + b * (rho * x + root), b * (rho + x / root), b * sigma**2 / root**3
