"""``novate up`` under load while its processes are killed and stopped."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from support.chaos import Up

EVENTS = ("venue", "chain", "index", "frozen", "full disk")


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    made = Up(tmp_path / "venue")
    made.start()
    yield made
    if made.process.poll() is None:
        made.end()


def chaos(up: Up, events: list[str], random: Random) -> dict[str, int]:
    up.load()
    for event in events:
        time.sleep(random.uniform(0.3, 2.5))
        up.befall(event)
        up.trades_on()
    up.rest()
    return up.judge()


def test_every_process_is_killed_once_and_nothing_is_lost(up: Up) -> None:
    counts = chaos(up, ["venue", "full disk", "chain", "frozen", "index"], Random(1))
    assert counts["acknowledged"] > 100 and counts["matches"] > 20, (counts, up.refusals)


@pytest.mark.nightly
@pytest.mark.timeout(3_600)
def test_half_an_hour_of_random_deaths(up: Up) -> None:
    random = Random(2)
    counts = chaos(up, [random.choice(EVENTS) for _ in range(300)], random)
    assert counts["matches"] > 1_000, (counts, up.refusals)
