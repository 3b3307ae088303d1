"""What the oracle nodes of a local venue see: recorded prices, played again from now on.

Owns: the shift of a recorded table's time to the present. Each node is fed by its own venue's
series, as in the replay; when the record ends it begins anew, from its first price. Prices in
oracle units.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from novate.config import Parameters
from novate.lab.prices import NodeFeed, PriceTable, node_feeds
from novate.services.oracle_node import NodePrice


@dataclass(slots=True)
class Replay:
    """A table played from second ``start`` on."""

    table: PriceTable
    parameters: Parameters
    start: int
    seed: int = 1
    feeds: tuple[NodeFeed, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.feeds = node_feeds(self.table, seed=self.seed)

    def recorded(self, now: int) -> int:
        """The second of the record that is played now."""
        first, last = self.table.span
        return first + (now - self.start) % (last - first)

    def seen(self, now: int) -> dict[int, dict[int, NodePrice]]:
        """What each node sees of each feed; a node that is silent in the record sees nothing."""
        at = self.recorded(now)
        names = {u.id: u.name for u in self.parameters.underlyings}
        feeds = {i.feed: names[i.underlying] for i in self.parameters.instruments}
        found: dict[int, dict[int, NodePrice]] = {}
        for number, node in enumerate(self.feeds):
            quotes = {
                feed: node.price(asset, at)
                for feed, asset in feeds.items()
                if asset in self.table.underlyings
            }
            found[number] = {
                feed: NodePrice(quote.index_price, quote.mark_price)
                for feed, quote in quotes.items()
                if quote is not None
            }
        return found
