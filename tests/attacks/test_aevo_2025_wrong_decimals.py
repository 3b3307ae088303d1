"""A feed that suddenly counts in another decimal scale is held to one bounded step, up or down.

Source: RULES.md, Aevo 2025-12-12, $2.7 m: the oracle was upgraded to 18 decimals, one asset still
had 8. What must hold: one typed fixed-point scale.
"""

from __future__ import annotations

import pytest

from novate.model.oracle import Observation
from tests.support.oracle import USD, OracleBench

SCALE_ERROR = 10**10
CHEAP = USD // 2_000  # a token so cheap that ten decimals more still fit the word


@pytest.fixture
def bench() -> OracleBench:
    made = OracleBench()
    made.price(1, 0, CHEAP)
    made.advance(10)
    return made


def test_ten_decimals_too_many_move_the_price_by_the_bound(bench: OracleBench) -> None:
    wrong = CHEAP * SCALE_ERROR
    assert bench.outcome(bench.signed(2, [Observation(0, wrong, wrong).pack()])) == "accepted"
    feed = bench.feed(0)
    assert feed.index == feed.mark == CHEAP * 105 // 100
    assert feed.confidence_ppm == 2**24 - 1


def test_ten_decimals_too_few_move_the_price_by_the_bound() -> None:
    bench = OracleBench()
    bench.price(1, 0, 60_000 * USD)
    bench.advance(10)
    wrong = 60_000 * USD // SCALE_ERROR
    assert bench.outcome(bench.signed(2, [Observation(0, wrong, wrong).pack()])) == "accepted"
    assert bench.feed(0).index == bench.feed(0).mark == 57_000 * USD
    assert bench.feed(0).confidence_ppm >= 949_000


def test_a_price_beyond_the_scale_of_the_word_cannot_be_expressed() -> None:
    with pytest.raises(AssertionError, match="index does not fit 56 bits"):
        Observation(0, 60_000 * USD * SCALE_ERROR, USD).pack()


def test_other_feeds_of_the_same_round_are_untouched(bench: OracleBench) -> None:
    bench.post(
        bench.signed(
            2,
            [
                Observation(0, CHEAP * SCALE_ERROR, CHEAP).pack(),
                Observation(1, 3_000 * USD, 3_000 * USD, 20).pack(),
            ],
        )
    )
    assert bench.feed(0).mark == CHEAP
    assert (bench.feed(1).index, bench.feed(1).confidence_ppm) == (3_000 * USD, 20)
