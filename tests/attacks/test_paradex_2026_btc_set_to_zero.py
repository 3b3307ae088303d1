"""A price of zero never enters, and a price of next to nothing moves the venue by one bounded step
a round.

Source: RULES.md, Paradex 2026-01-19: a migration set BTC to 0, mass liquidation, rollback. What
must hold: price sanity in the contract; no rollback power exists.
"""

from __future__ import annotations

import pytest

from novate import errors
from novate.errors import Rejected
from novate.model.oracle import Observation
from novate.services.oracle_node import Network, NodePrice, OracleNode
from tests.support.oracle import USD, OracleBench

BTC = 95_000 * USD


@pytest.fixture
def bench() -> OracleBench:
    made = OracleBench()
    made.price(1, 0, BTC)
    made.advance(10)
    return made


def test_a_quorum_that_signs_zero_is_refused_and_nothing_changes(bench: OracleBench) -> None:
    before = (bench.status(), bench.feed(0))
    for index, mark in ((0, BTC), (BTC, 0), (0, 0)):
        made = bench.signed(2, [Observation(0, index, mark).pack()])
        assert bench.outcome(made) == "ZeroPrice"
    assert (bench.status(), bench.feed(0)) == before


def test_one_zero_price_takes_the_whole_round_with_it(bench: OracleBench) -> None:
    words = [Observation(0, BTC + USD, BTC + USD).pack(), Observation(1, 0, 0).pack()]
    assert bench.outcome(bench.signed(2, words)) == "ZeroPrice"
    assert bench.feed(0).index == BTC


def test_a_node_does_not_even_observe_zero(bench: OracleBench) -> None:
    node = OracleNode(bench.keys[0], Network(bench.domain, tuple(bench.addresses)))
    with pytest.raises(Rejected) as caught:
        node.observe({0: NodePrice(0, 0)})
    assert caught.value.error == errors.ZeroPrice


def test_one_unit_instead_of_zero_moves_one_step_and_says_how_unsure_it_is(
    bench: OracleBench,
) -> None:
    made = bench.signed(2, [Observation(0, 1, 1).pack()])
    assert bench.outcome(made) == "accepted"
    feed = bench.feed(0)
    assert feed.index == feed.mark == BTC * 95 // 100
    assert feed.confidence_ppm == 1_000_000  # all of the price, rounded up
    assert feed.average > BTC * 999 // 1000  # ten seconds of a fifteen-minute average


def test_the_next_honest_rounds_bring_the_price_back_without_any_rollback(
    bench: OracleBench,
) -> None:
    bench.post(bench.signed(2, [Observation(0, 1, 1).pack()]))
    bench.advance(10)
    bench.price(3, 0, BTC)
    assert bench.feed(0).index == BTC * 95 // 100 * 105 // 100
    bench.advance(10)
    bench.price(4, 0, BTC)
    assert (bench.feed(0).index, bench.feed(0).confidence_ppm) == (BTC, 0)
