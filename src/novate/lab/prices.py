"""Prices of a replay: what was read, the path inside each bar, and the feeds of the oracle nodes.

The one place to import from: ``load_prices(path)`` or ``load_event(name)`` gives a ``PriceTable``
(typed bars and findings); ``node_feeds(table)`` gives the oracle nodes' feeds. Prices are integers
in oracle units (1e-10 USD), times whole seconds UTC. The rules are in docs/concepts/prices.md.
"""

from __future__ import annotations

from importlib.resources import as_file, files

from novate.errors import PriceFileMissing, require
from novate.lab.bars import (
    PRICE_UNIT,
    Bar,
    Finding,
    Guide,
    Modelled,
    PriceTable,
    Series,
    Silence,
    underlying_of,
)
from novate.lab.bridge import bridge, step_for
from novate.lab.feeds import NodeFeed, Quote, node_feeds
from novate.lab.price_files import load_prices

EVENTS = ("oct10_2025",)

__all__ = [
    "EVENTS",
    "PRICE_UNIT",
    "Bar",
    "Finding",
    "Guide",
    "Modelled",
    "NodeFeed",
    "PriceTable",
    "Quote",
    "Series",
    "Silence",
    "bridge",
    "load_event",
    "load_prices",
    "node_feeds",
    "step_for",
    "underlying_of",
]


def load_event(name: str = "oct10_2025") -> PriceTable:
    """The figures of a shipped event; raises PriceFileMissing for a name not in ``EVENTS``."""
    require(name in EVENTS, PriceFileMissing, f"no event {name!r}; there are: {', '.join(EVENTS)}")
    with as_file(files("novate.lab") / name / "prices.csv") as path:
        return load_prices(path)
