"""A position counts each fill once, whatever of it has been told and is on the world."""

from __future__ import annotations

from dataclasses import replace

from novate.api import positions
from novate.api.orders import Orders
from novate.wire.records import AnyRecord
from tests.support.engine import BTC, Floor, account_of, batches, floor_of, matches

floor = floor_of("maker", "taker")


def test_a_fill_counts_once_while_the_end_of_its_batch_is_not_told(floor: Floor) -> None:
    batching, told = floor.sequencer.batching, Orders()
    batching.settings = replace(batching.settings, fills_per_batch=1)
    floor.chain_follows = False

    def lots() -> tuple[int, ...]:
        accounts = account_of("maker"), account_of("taker")
        return tuple(
            positions.held(floor.sequencer, told, account).get(BTC, 0) for account in accounts
        )

    def tell(events: list[AnyRecord]) -> None:
        for event in (floor.sequencer.placed[floor.last], *events):
            told.follow(event)

    tell(floor.place("maker", 5, 100_000))
    tell(fill := floor.take("taker", -2, 100_000))
    assert len(matches(fill)) == 1 and not batches(fill)
    assert lots() == (2, -2)
    full = floor.take("taker", -1, 100_000)  # ends the batch, and nobody has been told of it
    assert len(batches(full)) == 1 and floor.held("maker") == 2
    assert lots() == (2, -2)
    tell(full)
    assert lots() == (3, -3)
    floor.close()
    assert lots() == (3, -3)
