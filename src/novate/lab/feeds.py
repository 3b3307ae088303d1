"""What each oracle node sees: a venue's price at a second, its age, or silence.

Owns: which node reads which venue, when a venue counts as silent, the basis model of venues without
a mark, and the labelled synthetic nodes. A price at second t uses the bar that covers t, at the
last grid point of its path not after t. Beyond the silence limit the feed answers None. Marks: a
venue whose series is a mark serves it as index and mark alike; for any other venue mark = index *
(1 + premium), premium a seeded path within +-5 bp shared by all nodes. Divisions floor.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from novate.lab.bars import Bar, Modelled, PriceTable, Series, Silence, underlying_of
from novate.lab.bridge import STEPS_MIN, bridge, draw, step_for
from novate.units import PPM, clamp

NODES = 4
STEP_SECONDS = 10
SILENCE_LIMIT_S = 60
PREMIUM_PPM_MAX = 500
PREMIUM_KNOT_S = 600
NOISE_PPM = 200


class Quote(NamedTuple):
    """One node's view of one asset; prices in oracle units, age in seconds."""

    index_price: int
    mark_price: int
    age_s: int


class PriceAt(Protocol):
    """A price path: (price, age in seconds) at a second, or None where it is silent."""

    def price_at(self, ts: int) -> tuple[int, int] | None:
        """The last price not after ``ts``."""


@dataclass
class SeriesPath:
    """The path through a series' bars, with its silences; bars are bridged when first asked for."""

    series: Series
    silences: tuple[Silence, ...]
    seed: int
    step_s: int
    silence_limit_s: int
    guide: PriceAt | None = None
    _paths: dict[int, tuple[int, tuple[int, ...]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._starts = [bar.ts for bar in self.series.bars]

    def price_at(self, ts: int) -> tuple[int, int] | None:
        """(price, age), or None before the first bar and beyond the silence limit."""
        for silence in self.silences:
            if silence.start <= ts < silence.end:
                return self._last_before(silence.start, ts, cut=True)
        return self._last_before(ts, ts, cut=False)

    def _last_before(self, end: int, ts: int, *, cut: bool) -> tuple[int, int] | None:
        """The last price not after ``end``, aged to ``ts``; a bar cut by a silence is its close."""
        place = bisect_right(self._starts, end) - 1
        if place < 0:
            return None
        bar = self.series.bars[place]
        offset = end - bar.ts
        price, age = bar.close, ts - min(bar.ts + bar.bar_s, end)
        if offset < bar.bar_s and not cut:
            step, path = self._path(place, bar)
            price, age = path[offset // step], offset % step
        return (price, age) if age <= self.silence_limit_s else None

    def _path(self, place: int, bar: Bar) -> tuple[int, tuple[int, ...]]:
        """(step, path) of one bar; bars under three seconds are their open."""
        if place not in self._paths:
            step = step_for(bar.bar_s, self.step_s)
            steps = bar.bar_s // step
            if steps < STEPS_MIN:
                self._paths[place] = (bar.bar_s, (bar.open, bar.close))
            else:
                shape = self._shape(bar, step, steps)
                key = (self.seed, self.series.venue, self.series.symbol)
                self._paths[place] = (step, bridge(bar, step, *key, guide=shape))
        return self._paths[place]

    def _shape(self, bar: Bar, step: int, steps: int) -> list[int] | None:
        """The guide at the path's instants, or None where it is silent at any of them."""
        if self.guide is None:
            return None
        points = [self.guide.price_at(bar.ts + k * step) for k in range(steps + 1)]
        shape = [point[0] for point in points if point is not None]
        return shape if len(shape) == steps + 1 else None


@dataclass
class ModelledPath:
    """A series no source has: opens and closes of ``level``'s bars, joined by the shape of another
    asset's path.

    At a share x of a bar with open o, close c and shape s: price = s(x) * (o/s(0) + (c/s(1) -
    o/s(0)) * x), clamped to the bar's [low, high].
    """

    level: Series
    shape: PriceAt

    def __post_init__(self) -> None:
        self._starts = [bar.ts for bar in self.level.bars]

    def price_at(self, ts: int) -> tuple[int, int] | None:
        """(price, age), or None outside the level's bars and where the shape is silent."""
        place = bisect_right(self._starts, ts) - 1
        bar = self.level.bars[max(place, 0)]
        offset = ts - bar.ts
        if not 0 <= offset < bar.bar_s:
            return None
        points = [self.shape.price_at(at) for at in (bar.ts, ts, bar.ts + bar.bar_s)]
        first, here, last = points
        if first is None or here is None or last is None:
            return None
        weight = bar.open * last[0] * (bar.bar_s - offset) + bar.close * first[0] * offset
        price = here[0] * weight // (first[0] * last[0] * bar.bar_s)
        return clamp(price, bar.low, bar.high), here[1]


@dataclass(frozen=True)
class NodeFeed:
    """The feed of one oracle node: ``provenance`` and ``note`` say per asset where its prices come
    from.
    """

    name: str
    provenance: dict[str, str]
    note: dict[str, str]
    _quote: Callable[[str, int], Quote | None] = field(repr=False)

    @property
    def underlyings(self) -> tuple[str, ...]:
        """Assets this node can ever quote."""
        return tuple(self.provenance)

    def price(self, symbol: str, ts: int) -> Quote | None:
        """Index, mark and age at ``ts`` (``BTC``, or any symbol of it), or None when the node is
        silent.
        """
        asset = underlying_of(symbol)
        return self._quote(asset, ts) if asset in self.provenance else None


def premium_ppm(seed: int, asset: str, ts: int) -> int:
    """The modelled basis of a perp over its index: straight lines between seeded knots every ten
    minutes, within +-500 ppm.
    """
    knot, offset = divmod(ts, PREMIUM_KNOT_S)
    width = 2 * PREMIUM_PPM_MAX + 1
    left = draw(seed, "premium", asset, knot) % width - PREMIUM_PPM_MAX
    right = draw(seed, "premium", asset, knot + 1) % width - PREMIUM_PPM_MAX
    return left + (right - left) * offset // PREMIUM_KNOT_S


def node_feeds(
    table: PriceTable,
    *,
    seed: int = 0,
    nodes: int = NODES,
    step_s: int = STEP_SECONDS,
    silence_limit_s: int = SILENCE_LIMIT_S,
) -> tuple[NodeFeed, ...]:
    """One node a venue (the file's first ``nodes``), filled up with labelled synthetic nodes."""
    paths = _paths(table, seed, step_s, silence_limit_s)
    feeds = [_venue_node(table, v, paths, seed) for v in table.venues[:nodes]]
    real = tuple(feeds)
    for number in range(1, nodes - len(real) + 1):
        feeds.append(_synthetic_node(number, real, seed))
    return tuple(feeds)


def _paths(
    table: PriceTable, seed: int, step_s: int, silence_limit_s: int
) -> dict[tuple[str, str], PriceAt]:
    """(venue, symbol) -> path, guided and modelled ones included."""
    plain: dict[tuple[str, str], SeriesPath] = {}
    for key, series in table.series.items():
        silences = tuple(s for s in table.silences if (s.venue, s.symbol) == key)
        plain[key] = SeriesPath(series, silences, seed, step_s, silence_limit_s)
    for guide in table.guides:
        shape = plain[guide.shape_venue, guide.shape_symbol]
        if shape.guide is None and (guide.venue, guide.symbol) != (
            guide.shape_venue,
            guide.shape_symbol,
        ):  # a guide has no guide of its own, so no circle can arise
            plain[guide.venue, guide.symbol].guide = shape
    paths: dict[tuple[str, str], PriceAt] = dict(plain)
    for model in table.modelled:
        level = table.series[model.level_venue, model.level_symbol]
        shape = plain[model.shape_venue, model.shape_symbol]
        paths[model.venue, model.symbol] = ModelledPath(level, shape)
    return paths


def _venue_node(
    table: PriceTable, venue: str, paths: dict[tuple[str, str], PriceAt], seed: int
) -> NodeFeed:
    """The node that reads one venue."""
    by_asset: dict[str, tuple[PriceAt, bool]] = {}
    provenance: dict[str, str] = {}
    note: dict[str, str] = {}
    for (owner, symbol), series in table.series.items():
        if owner == venue and series.underlying not in by_asset:
            by_asset[series.underlying] = (paths[venue, symbol], series.kind == "mark")
            coarse = max(bar.bar_s for bar in series.bars) > 60
            provenance[series.underlying] = "bridged" if coarse else "measured"
            note[series.underlying] = f"{venue} {symbol} {series.kind}"
    for model in table.modelled:
        if model.venue == venue and model.underlying not in by_asset:
            by_asset[model.underlying] = (paths[venue, model.symbol], True)
            provenance[model.underlying] = "modelled"
            note[model.underlying] = _model_note(model)

    def quote(asset: str, ts: int) -> Quote | None:
        path, is_mark = by_asset[asset]
        point = path.price_at(ts)
        if point is None:
            return None
        index, age = point
        premium = 0 if is_mark else premium_ppm(seed, asset, ts)
        return Quote(index, index * (PPM + premium) // PPM, age)

    return NodeFeed(venue, provenance, note, quote)


def _model_note(model: Modelled) -> str:
    """Where a modelled series comes from, for people."""
    level = f"{model.level_venue} {model.level_symbol}"
    return f"level of {level}, minutes shaped by {model.shape_venue} {model.shape_symbol}"


def _synthetic_node(number: int, others: tuple[NodeFeed, ...], seed: int) -> NodeFeed:
    """The median of the real nodes with seeded noise of at most +-200 ppm; silent when more than
    half of them are.
    """
    name = f"synthetic-{number}"
    assets = tuple(dict.fromkeys(asset for node in others for asset in node.underlyings))

    def quote(asset: str, ts: int) -> Quote | None:
        able = [node for node in others if asset in node.underlyings]
        quotes = [q for node in able if (q := node.price(asset, ts)) is not None]
        if not quotes or 2 * len(quotes) < len(able):
            return None
        noise = draw(seed, name, asset, ts) % (2 * NOISE_PPM + 1) - NOISE_PPM
        index = median([q.index_price for q in quotes]) * (PPM + noise) // PPM
        mark = median([q.mark_price for q in quotes]) * (PPM + noise) // PPM
        return Quote(index, mark, max(q.age_s for q in quotes))

    text = f"median of {', '.join(node.name for node in others)} with seeded noise of ±2 bp"
    return NodeFeed(name, dict.fromkeys(assets, "synthetic"), dict.fromkeys(assets, text), quote)


def median(prices: list[int]) -> int:
    """The middle price; of an even number the floored mean of the middle two."""
    ordered = sorted(prices)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) // 2
