"""One bad source or one bad node does not move the index, nor make everybody's margin dearer.

Source: RULES.md, Deribit 2019-10-31: an outlier of one index source was kept. What must hold:
median, outlier rejection, a minimum number of sources.
"""

from __future__ import annotations

from novate.model.index import SOURCES_MIN, Source, index_price
from novate.model.oracle import Observation
from novate.services.oracle_node import Network, NodePrice, OracleNode, joint_round
from tests.support.oracle import USD, OracleBench

HONEST = 9_150 * USD
OUTLIER = 7_720 * USD


def test_one_source_moves_the_index_by_at_most_its_weight_times_the_cap() -> None:
    sources = [Source(HONEST, 1) for _ in range(5)]
    sources.append(Source(OUTLIER, 1))
    index = index_price(sources)
    assert index is not None
    cap = HONEST * 5_000 // 10**6
    assert HONEST - cap // 6 - 1 <= index < HONEST


def test_with_too_few_sources_the_node_is_silent_instead_of_wrong() -> None:
    assert SOURCES_MIN == 3
    assert index_price([Source(OUTLIER, 1), Source(HONEST, 1)]) is None
    assert index_price([Source(OUTLIER, 1)]) is None


def test_one_node_that_keeps_the_outlier_moves_neither_price_nor_confidence() -> None:
    bench = OracleBench(node_count=4)
    network = Network(bench.domain, tuple(bench.addresses))
    nodes = [OracleNode(key, network) for key in bench.keys]
    for node in nodes:
        node.observe({0: NodePrice(HONEST, HONEST)})
    now = bench.chain.timestamp
    assert bench.post(joint_round(nodes[0], nodes, 1, now, now))
    bench.advance(10)
    now = bench.chain.timestamp
    nodes[2].observe({0: NodePrice(OUTLIER, OUTLIER)})
    # even when the bad node leads, the vector must follow from the signed observations
    made = joint_round(nodes[2], nodes, 2, now, now)
    joint = Observation.unpack(made.observations[0])
    assert (joint.index, joint.mark) == (HONEST, HONEST)
    assert joint.confidence_ppm == network.confidence_floor_ppm
    assert [index for index, _ in made.signatures] == [0, 1, 3]  # the bad node does not agree
    assert bench.post(made)
    assert bench.feed(0).index == HONEST
