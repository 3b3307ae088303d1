"""The index price of one node: many venues' prices to one, so that no single venue can move it.

Pure. Prices in oracle units (1e8 wei), weights and volumes in any one unit, ages in seconds. Each
price is clamped to the median ± ``cap_ppm``, then weighted. Rounding: every step down (median of an
even count, cap, mean). Source: MARGIN.md §4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from novate.units import clamp, div_down, ppm_down

CAP_PPM = 5_000
SOURCE_AGE_S_MAX = 180
SOURCES_MIN = 3


@dataclass(frozen=True, slots=True)
class Source:
    """One venue's last trade or mid: its price, weight in the index, age, and recent volume."""

    price: int
    weight: int
    age_s: int = 0
    volume: int = 1


def index_price(sources: Sequence[Source], sources_min: int = SOURCES_MIN) -> int | None:
    """Index of the usable sources; None (the node is silent) if fewer than ``sources_min`` are."""
    usable = [source for source in sources if is_usable(source)]
    if len(usable) < sources_min:
        return None
    return capped_mean([(source.price, source.weight) for source in usable])


def is_usable(source: Source) -> bool:
    """Whether a source is priced, weighted, traded and at most three minutes old."""
    fresh = 0 <= source.age_s <= SOURCE_AGE_S_MAX
    return fresh and source.price > 0 and source.weight > 0 and source.volume > 0


def capped_mean(prices: Sequence[tuple[int, int]], cap_ppm: int = CAP_PPM) -> int:
    """Mean of (price, weight) pairs after clamping each price to the median ± ``cap_ppm``."""
    middle = median([price for price, _ in prices])
    cap = ppm_down(middle, cap_ppm)
    total = sum(clamp(price, middle - cap, middle + cap) * weight for price, weight in prices)
    return div_down(total, sum(weight for _, weight in prices))


def median(prices: Sequence[int]) -> int:
    """Middle price; of an even count the mean of the two middle ones, rounded down."""
    ordered = sorted(prices)
    half = div_down(len(ordered), 2)
    if len(ordered) % 2 == 1:
        return ordered[half]
    return div_down(ordered[half - 1] + ordered[half], 2)
