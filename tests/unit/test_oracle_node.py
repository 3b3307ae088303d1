"""Oracle nodes: observations nobody can invent, one vector that follows, one signature a round."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from novate import errors
from novate.errors import Error, Rejected
from novate.model.index import Source, capped_mean, index_price, median
from novate.model.oracle import Observation
from novate.services.oracle_node import (
    Network,
    NodePrice,
    OracleNode,
    Proposal,
    SignedObservation,
    SigningMemory,
    joint_round,
    joint_vector,
    lower_median,
)
from novate.wire.round import (
    address_of,
    domain_separator,
    observation_digest,
    recover,
    round_digest,
    sign,
)
from tests.support.oracle import USD, OracleBench, node_keys

NOW = 1_760_000_000
BTC, ETH = 0, 1
DOMAIN = domain_separator(1, "0x" + "11" * 20)


def refused(error: Error, call: Callable[..., Any], *arguments: Any, **named: Any) -> None:
    with pytest.raises(Rejected) as caught:
        call(*arguments, **named)
    assert caught.value.error == error


def network(count: int = 4) -> Network:
    return Network(DOMAIN, tuple(address_of(key.public_key) for key in node_keys(count)))


def nodes_seeing(*btc: int | None, made: Network | None = None) -> list[OracleNode]:
    """One node for each price of BTC in dollars; None is a node whose venue is silent."""
    net = made or network(len(btc))
    nodes = [OracleNode(key, net) for key in node_keys(len(btc))]
    for node, price in zip(nodes, btc, strict=True):
        if price is not None:
            node.observe({BTC: NodePrice(price * USD, price * USD)})
    return nodes


def observed(nodes: list[OracleNode], round: int = 1) -> list[SignedObservation]:
    return [node.observation(round, NOW, NOW) for node in nodes]


def test_the_joint_price_is_the_median_and_carries_a_quorum() -> None:
    nodes = nodes_seeing(60_000, 60_020, 60_010, 60_030)
    made = joint_round(nodes[3], nodes, 1, NOW, NOW)
    joint = Observation.unpack(made.observations[0])
    assert (joint.feed, joint.index, joint.mark) == (BTC, 60_010 * USD, 60_010 * USD)
    assert [index for index, _ in made.signatures] == [0, 1, 2]
    digest = round_digest(DOMAIN, 1, NOW, made.observations)
    assert [recover(digest, *s) for _, s in made.signatures] == list(network().nodes[:3])


def test_an_even_count_takes_the_lower_median() -> None:
    assert lower_median([4, 1, 3, 2]) == 2
    assert lower_median([5, 1, 3]) == 3
    assert lower_median([9]) == 9


def test_index_and_mark_are_judged_each_on_its_own() -> None:
    nodes = nodes_seeing(None, None, None, None)
    for node, (index, mark) in zip(nodes, [(1, 9), (2, 8), (3, 7), (4, 6)], strict=True):
        node.observe({BTC: NodePrice(index * USD, mark * USD)})
    joint = Observation.unpack(joint_vector(network(), observed(nodes))[0])
    assert (joint.index, joint.mark) == (2 * USD, 7 * USD)


def test_confidence_is_the_largest_deviation_of_the_nodes_that_are_not_outliers() -> None:
    net = network()
    spread = joint_vector(net, observed(nodes_seeing(10_000, 10_010, 10_020, 10_030)))
    assert Observation.unpack(spread[0]).confidence_ppm == 1_000  # 10 in 10,010 up is 1,000 ppm
    lied = joint_vector(net, observed(nodes_seeing(10_000, 10_010, 10_020, 1_000_000)))
    assert Observation.unpack(lied[0]).confidence_ppm == 1_000
    agreed = joint_vector(net, observed(nodes_seeing(10_000, 10_000, 10_000, 10_000)))
    assert Observation.unpack(agreed[0]).confidence_ppm == net.confidence_floor_ppm


def test_a_feed_that_too_few_nodes_see_is_left_out() -> None:
    nodes = nodes_seeing(60_000, 60_000, 60_000, None)
    nodes[0].observe({BTC: NodePrice(60_000 * USD, 60_000 * USD), ETH: NodePrice(USD, USD)})
    made = joint_round(nodes[0], nodes, 1, NOW, NOW)
    assert [Observation.unpack(word).feed for word in made.observations] == [BTC]


def test_a_round_without_any_feed_is_not_proposed() -> None:
    nodes = nodes_seeing(60_000, 60_000, None, None)
    refused(errors.QuorumNotReached, joint_round, nodes[0], nodes, 1, NOW, NOW)


def test_a_silent_node_does_not_stop_the_round_and_signs_what_others_saw() -> None:
    nodes = nodes_seeing(60_000, 60_000, 60_000, None)
    made = joint_round(nodes[0], nodes, 1, NOW, NOW)
    proposal = nodes[0].propose(1, NOW, observed(nodes))
    assert nodes[3].sign(proposal, NOW)[0] == 3
    assert len(made.signatures) == 3


def test_a_leader_needs_two_f_plus_one_observations() -> None:
    nodes = nodes_seeing(60_000, 60_000, 60_000, 60_000)
    refused(errors.QuorumNotReached, nodes[0].propose, 1, NOW, observed(nodes)[:2])


def test_a_leader_cannot_count_one_node_twice() -> None:
    nodes = nodes_seeing(60_000, 60_000, 60_000, 60_000)
    seen = observed(nodes)
    twice = [seen[0], seen[1], seen[1]]
    refused(errors.QuorumNotReached, nodes[0].propose, 1, NOW, twice)
    refused(errors.DuplicateSigner, nodes[0].sign, proposal_of(nodes, twice), NOW)


def proposal_of(nodes: list[OracleNode], observations: list[SignedObservation]) -> Proposal:
    words = joint_vector(nodes[0].network, observations)
    return Proposal(1, NOW, words, tuple(observations))


def test_a_leader_cannot_invent_or_change_an_observation() -> None:
    nodes = nodes_seeing(60_000, 60_000, 60_000, 60_000)
    seen = observed(nodes)
    words = (Observation(BTC, 61_000 * USD, 61_000 * USD).pack(),)
    invented = replace(seen[2], words=words)
    renamed = replace(seen[2], node=3)
    nobody = replace(seen[2], node=4)
    for forged in (invented, renamed, nobody):
        refused(errors.BadSignature, nodes[0].sign, proposal_of(nodes, [*seen[:2], forged]), NOW)


def test_an_observation_counts_for_its_own_round_and_time_only() -> None:
    nodes = nodes_seeing(60_000, 60_000, 60_000, 60_000)
    seen = observed(nodes)
    stale = replace(seen[2], round=2)
    late = replace(seen[2], timestamp=NOW - 1)
    for other in (stale, late):
        refused(errors.StaleRound, nodes[0].sign, proposal_of(nodes, [*seen[:2], other]), NOW)


@pytest.mark.parametrize("change", ["index", "mark", "confidence_ppm", "feed"])
def test_a_vector_that_does_not_follow_from_the_observations_is_not_signed(change: str) -> None:
    nodes = nodes_seeing(60_000, 60_010, 60_020, 60_030)
    honest = nodes[0].propose(1, NOW, observed(nodes))
    joint = Observation.unpack(honest.words[0])
    bent = replace(joint, **{change: getattr(joint, change) + 1}).pack()
    refused(errors.RoundNotHonest, nodes[1].sign, replace(honest, words=(bent,)), NOW)
    refused(errors.RoundNotHonest, nodes[1].sign, replace(honest, words=()), NOW)
    assert nodes[1].sign(honest, NOW)[0] == 1


def test_a_node_refuses_a_median_too_far_from_what_it_sees_itself() -> None:
    nodes = nodes_seeing(60_000, 60_000, 60_000, 60_700)
    proposal = nodes[0].propose(1, NOW, observed(nodes))
    refused(errors.RoundNotHonest, nodes[3].sign, proposal, NOW)
    nodes[3].observe({BTC: NodePrice(60_500 * USD, 60_500 * USD)})
    assert nodes[3].sign(proposal, NOW)[0] == 3


def test_a_node_signs_one_vector_a_round_and_repeats_it_on_request() -> None:
    nodes = nodes_seeing(60_000, 60_010, 60_020, 60_030)
    seen = observed(nodes)
    first = nodes[0].propose(1, NOW, seen[:3])
    second = nodes[0].propose(1, NOW, seen[1:])
    assert first.words != second.words
    signature = nodes[1].sign(first, NOW)
    assert nodes[1].sign(first, NOW) == signature
    refused(errors.RoundAlreadySigned, nodes[1].sign, second, NOW)


def test_a_node_signs_one_observation_a_round() -> None:
    (node, *_) = nodes_seeing(60_000, 60_010, 60_020, 60_030)
    first = node.observation(5, NOW, NOW)
    assert node.observation(5, NOW, NOW) == first
    node.observe({BTC: NodePrice(60_001 * USD, 60_001 * USD)})
    refused(errors.RoundAlreadySigned, node.observation, 5, NOW, NOW)
    refused(errors.RoundAlreadySigned, node.observation, 4, NOW, NOW)
    assert node.observation(6, NOW, NOW).round == 6


def test_what_a_node_signed_outlives_a_restart() -> None:
    nodes = nodes_seeing(60_000, 60_010, 60_020, 60_030)
    seen = observed(nodes)
    memory = SigningMemory()
    first = OracleNode(node_keys(4)[1], network(), memory)
    first.sign(nodes[0].propose(1, NOW, seen[:3]), NOW)
    restarted = OracleNode(node_keys(4)[1], network(), memory)
    refused(errors.RoundAlreadySigned, restarted.sign, nodes[0].propose(1, NOW, seen[1:]), NOW)


def test_a_node_refuses_the_future_and_the_past() -> None:
    nodes = nodes_seeing(60_000, 60_010, 60_020, 60_030)
    refused(errors.FutureRound, nodes[0].observation, 1, NOW + 1, NOW)
    refused(errors.StaleRound, nodes[0].observation, 1, NOW - 31, NOW)
    proposal = nodes[0].propose(1, NOW, observed(nodes))
    refused(errors.FutureRound, nodes[0].sign, proposal, NOW - 1)
    refused(errors.StaleRound, nodes[0].sign, proposal, NOW + 31)


def malformed(words: tuple[int, ...]) -> list[SignedObservation]:
    """Three honest-looking observations, the last one properly signed over malformed words."""
    nodes = nodes_seeing(60_000, 60_000, 60_000, 60_000)
    digest = observation_digest(DOMAIN, 1, NOW, words)
    bad = SignedObservation(2, 1, NOW, words, sign(node_keys(4)[2], digest))
    return [*observed(nodes[:2]), bad]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ((Observation(1, 1, 1).pack(), Observation(0, 1, 1).pack()), errors.FeedsNotAscending),
        ((Observation(1, 1, 1).pack(), Observation(1, 1, 1).pack()), errors.FeedsNotAscending),
        ((Observation(0, 0, 1).pack(),), errors.ZeroPrice),
        ((Observation(0, 1, 0).pack(),), errors.ZeroPrice),
        ((Observation(0, 1, 1).pack() | 1 << 144,), errors.UnknownFeed),
        (tuple(Observation(i, 1, 1).pack() for i in range(33)), errors.TooManyItems),
    ],
)
def test_a_signed_but_malformed_observation_is_refused(
    words: tuple[int, ...], error: Error
) -> None:
    nodes = nodes_seeing(60_000, 60_000, 60_000, 60_000)
    seen = malformed(words)
    refused(error, nodes[0].sign, proposal_of(nodes, seen), NOW)
    refused(errors.QuorumNotReached, nodes[0].propose, 1, NOW, seen)
    # with three good ones beside it the bad one is dropped, and the round goes on
    more = [*seen, nodes[3].observation(1, NOW, NOW)]
    assert [item.node for item in nodes[0].propose(1, NOW, more).observations] == [0, 1, 3]


def test_what_a_node_cannot_express_it_does_not_observe() -> None:
    (node, *_) = nodes_seeing(60_000, 60_000, 60_000, 60_000)
    refused(errors.ZeroPrice, node.observe, {BTC: NodePrice(0, 1)})
    refused(errors.ZeroPrice, node.observe, {BTC: NodePrice(1, 0)})
    refused(errors.OutOfBounds, node.observe, {BTC: NodePrice(2**56, 1)})
    refused(errors.OutOfBounds, node.observe, {256: NodePrice(1, 1)})
    refused(errors.OutOfBounds, node.observe, {i: NodePrice(1, 1) for i in range(33)})
    assert node.prices == {BTC: NodePrice(60_000 * USD, 60_000 * USD)}


def test_liars_up_to_f_leave_the_price_between_honest_ones() -> None:
    for lie in (1, 1_000_000):
        nodes = nodes_seeing(10_000, 10_010, 10_020, 10_030, 10_040, lie, lie)
        joint = Observation.unpack(joint_vector(nodes[0].network, observed(nodes))[0])
        assert 10_000 * USD <= joint.index <= 10_040 * USD
        assert joint.confidence_ppm <= 4_000


def test_the_contract_accepts_a_joint_round() -> None:
    bench = OracleBench(node_count=4)
    now = bench.chain.timestamp
    made = Network(bench.domain, tuple(bench.addresses))
    nodes = nodes_seeing(60_000, 60_010, 60_020, 60_030, made=made)
    assert bench.post(joint_round(nodes[2], nodes, 1, now, now))
    assert bench.feed(BTC).index == 60_010 * USD
    bench.advance(10)
    now = bench.chain.timestamp
    refused(errors.QuorumNotReached, joint_round, nodes[2], nodes, 1, now, now)
    assert bench.post(joint_round(nodes[1], nodes, 2, now, now))


# The index rule of one node (MARGIN.md §4).


def test_the_capped_mean_equals_the_reference_cases(shared_folder: Path) -> None:
    reference = json.loads((shared_folder / "vectors" / "index_capped_mean.json").read_text())
    assert len(reference["cases"]) >= 3
    for case in reference["cases"]:
        prices = [int(Decimal(price) * USD) for price in case["prices"]]
        pairs = list(zip(prices, map(int, case["weights"]), strict=True))
        assert median(prices) == Decimal(case["median"]) * USD
        cap_ppm = int(Decimal(case["cap"]) * 10**6)
        assert capped_mean(pairs, cap_ppm) == Decimal(case["index"]) * USD


def test_an_index_leaves_out_old_unpriced_and_untraded_sources() -> None:
    good = [Source(100, 1), Source(100, 1), Source(100, 1, age_s=180)]
    bad = [
        Source(103, 1, age_s=181),
        Source(103, 1, age_s=-1),
        Source(103, 1, volume=0),
        Source(103, 0),
        Source(0, 1),
    ]
    assert index_price([*good, *bad]) == 100
    assert index_price([*good[:2], *bad]) is None
