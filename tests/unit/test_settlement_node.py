"""Settlement nodes: prints follow from the mean of the last half hour; no minority moves one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from novate import errors
from novate.errors import Error, Rejected
from novate.services.settlement_node import SettlementNode, joint_settlement, proposal
from novate.services.surface_node import SurfaceNetwork
from novate.wire.eip712 import address_of, recover
from novate.wire.surfaces import domain_separator, settlement_digest
from tests.support.oracle import node_keys
from tests.support.surfaces import BTC, ETH

EXPIRY = 1_760_000_000
DOMAIN = domain_separator(1, "0x" + "22" * 20)
USD = 10**10
PRICE = 60_000 * USD


def refused(error: Error, call: Callable[..., Any], *arguments: Any) -> None:
    with pytest.raises(Rejected) as caught:
        call(*arguments)
    assert caught.value.error == error


def nodes_seeing(*prices: int) -> list[SettlementNode]:
    """One node for each price, which it saw every minute of the last hour."""
    keys = node_keys(len(prices))
    network = SurfaceNetwork(DOMAIN, tuple(address_of(key.public_key) for key in keys))
    nodes = [SettlementNode(key, network) for key in keys]
    for node, price in zip(nodes, prices, strict=True):
        for time in range(EXPIRY - 3_600, EXPIRY + 1, 60):
            node.observe(time, {BTC: price})
    return nodes


def test_a_mean_is_of_the_half_hour_that_ends_at_the_expiry() -> None:
    [node] = nodes_seeing(1)[:1]
    node.seen.clear()
    samples = {-1_801: 900, -1_800: 800, -1_799: 10, -60: 20, 0: 31, 1: 700}
    for offset, price in samples.items():
        node.observe(EXPIRY + offset, {BTC: price, ETH: 2 * price})
    assert node.mean(BTC, EXPIRY) == (10 + 20 + 31) // 3 == 20
    assert node.mean(ETH, EXPIRY) == (20 + 40 + 62) // 3


def test_what_is_older_than_an_hour_is_forgotten() -> None:
    [node] = nodes_seeing(PRICE)
    node.observe(EXPIRY + 1, {BTC: PRICE})
    assert node.seen[BTC][0][0] > EXPIRY + 1 - 3_600
    assert len(node.seen[BTC]) == 61


def test_nodes_that_see_much_the_same_sign_the_median() -> None:
    nodes = nodes_seeing(*(PRICE + i * USD for i in (4, 0, 1, 3, 2, 6, 5)))
    assert proposal(nodes, BTC, EXPIRY) == PRICE + 3 * USD
    made = joint_settlement(nodes, BTC, EXPIRY, EXPIRY)
    assert (made.underlying, made.expiry, made.price) == (BTC, EXPIRY, PRICE + 3 * USD)
    assert [index for index, _ in made.signatures] == [0, 1, 2, 3, 4]
    digest = settlement_digest(DOMAIN, BTC, EXPIRY, made.price)
    for index, signature in made.signatures:
        assert recover(digest, *signature) == nodes[0].network.nodes[index]


def test_of_an_even_number_the_lower_one_is_the_median() -> None:
    nodes = nodes_seeing(*(PRICE + i * USD for i in range(4)))
    assert proposal(nodes, BTC, EXPIRY) == PRICE + USD


def test_a_minority_far_off_neither_moves_nor_stops_a_print() -> None:
    nodes = nodes_seeing(2 * PRICE, 3 * PRICE, *[PRICE + i * USD for i in range(5)])
    made = joint_settlement(nodes, BTC, EXPIRY, EXPIRY + 5)
    assert PRICE <= made.price <= PRICE + 4 * USD
    assert [index for index, _ in made.signatures] == [2, 3, 4, 5, 6]


def test_without_a_quorum_near_each_other_nothing_is_printed() -> None:
    apart = nodes_seeing(*(PRICE * (100 + i) // 100 for i in range(4)))
    refused(errors.QuorumNotReached, joint_settlement, apart, BTC, EXPIRY, EXPIRY)
    refused(errors.QuorumNotReached, joint_settlement, apart, ETH, EXPIRY, EXPIRY)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_node_signs_within_ten_basis_points_of_its_own_mean(sign: int) -> None:
    node = nodes_seeing(PRICE)[0]
    near = PRICE + sign * PRICE // 1_000
    index, signature = node.sign(BTC, EXPIRY, near, EXPIRY)
    digest = settlement_digest(DOMAIN, BTC, EXPIRY, near)
    assert recover(digest, *signature) == node.network.nodes[index]
    refused(errors.SettlementNotHonest, node.sign, BTC, EXPIRY, near + sign, EXPIRY)


def test_a_node_signs_nothing_ahead_of_the_expiry_or_without_prices() -> None:
    node = nodes_seeing(PRICE)[0]
    refused(errors.ExpiryNotReached, node.sign, BTC, EXPIRY, PRICE, EXPIRY - 1)
    refused(errors.SettlementNotHonest, node.sign, ETH, EXPIRY, PRICE, EXPIRY)
    refused(errors.SettlementNotHonest, node.sign, BTC, EXPIRY + 1_860, PRICE, EXPIRY + 1_860)
