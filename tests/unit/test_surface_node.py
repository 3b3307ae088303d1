"""Surface nodes: an honest leader is followed, a dishonest one refused by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from novate import errors
from novate.errors import Error, Rejected
from novate.model import surface
from novate.model.surface import unpack
from novate.risk.quotes import Quotes
from novate.risk.surface import Fitted, fitted
from novate.services import surface_node
from novate.services.surface_node import (
    SurfaceNetwork,
    SurfaceNode,
    SurfaceProposal,
    aged,
    joint_surface,
    step,
)
from novate.wire.eip712 import address_of, recover
from novate.wire.surfaces import domain_separator, surfaces_digest
from tests.support.oracle import node_keys
from tests.support.surfaces import BTC, DAY_S, ETH, changed, quotes_of, surface_of

NOW = 1_760_000_000
DAYS = (1, 7, 30)
EXPIRIES = tuple(NOW + day * DAY_S for day in DAYS)
LATER = NOW + 60
DOMAIN = domain_separator(1, "0x" + "22" * 20)


def refused(error: Error, call: Callable[..., Any], *arguments: Any, **named: Any) -> str:
    with pytest.raises(Rejected) as caught:
        call(*arguments, **named)
    assert caught.value.error == error
    return caught.value.detail


def network(count: int = 4) -> SurfaceNetwork:
    return SurfaceNetwork(DOMAIN, tuple(address_of(key.public_key) for key in node_keys(count)))


def nodes_seeing(*percents: float, seen: int = LATER) -> list[SurfaceNode]:
    """One node for each volatility in percent."""
    net = network(len(percents))
    nodes = [SurfaceNode(key, net) for key in node_keys(len(percents))]
    for node, percent in zip(nodes, percents, strict=True):
        node.observe({BTC: quotes_of(EXPIRIES, seen, percent)})
    return nodes


@pytest.fixture(scope="module")
def stored() -> list[int]:
    """The surface accepted a minute ago."""
    return surface_of(EXPIRIES, NOW)


@pytest.fixture(scope="module")
def proposal(stored: list[int]) -> SurfaceProposal:
    """An honest leader's."""
    return nodes_seeing(61, 61, 61, 61)[0].propose(BTC, stored)


def points(word: int) -> float:
    """Volatility at the money in percent."""
    s = unpack(word)
    return 100 * math.sqrt(s.theta / surface.ONE * surface.YEAR_S / s.tenor)


def follows(old: list[int], words: tuple[int, ...]) -> None:
    """The chain would take it: the gate passes, and the rate limit for every known expiry."""
    before = {unpack(word).expiry: word for word in old}
    for previous, word in zip((0, *words[:-1]), words, strict=True):
        surface.gate(word, previous)
        surface.within_rate(before.get(unpack(word).expiry, 0), word)


def test_nodes_that_see_much_the_same_sign_the_leaders_surface(stored: list[int]) -> None:
    nodes = nodes_seeing(61, 61.5, 60.6, 61.2)
    made = joint_surface(nodes[1], nodes, BTC, stored, LATER + 5)
    assert (made.round, made.timestamp, made.underlying) == (LATER, LATER, BTC)
    assert [index for index, _ in made.signatures] == [0, 1, 2]
    digest = surfaces_digest(DOMAIN, LATER, LATER, BTC, made.words)
    assert [recover(digest, *s) for _, s in made.signatures] == list(network().nodes[:3])
    assert [round(points(word), 1) for word in made.words] == [61.5, 61.5, 61.5]
    follows(stored, made.words)


def test_a_node_fits_what_it_sees_once(monkeypatch: pytest.MonkeyPatch, stored: list[int]) -> None:
    asked: list[Sequence[Quotes]] = []

    def counted(quotes: Sequence[Quotes]) -> Fitted:
        asked.append(quotes)
        return fitted(quotes)

    monkeypatch.setattr(surface_node, "fitted", counted)
    nodes = nodes_seeing(61, 61, 61, 61)
    joint_surface(nodes[0], nodes, BTC, stored, LATER)
    assert len(asked) == 4
    nodes[0].observe(nodes[0].quotes)
    joint_surface(nodes[0], nodes, BTC, stored, LATER)
    assert len(asked) == 5


def test_a_fit_that_is_made_already_is_taken(
    monkeypatch: pytest.MonkeyPatch, stored: list[int]
) -> None:
    node = nodes_seeing(61, 61, 61, 61)[0]
    expected = node.propose(BTC, stored)
    node.observe(node.quotes, {BTC: fitted(node.quotes[BTC])})
    monkeypatch.delattr(surface_node, "fitted")
    assert node.propose(BTC, stored) == expected


def test_the_first_surface_of_all_is_the_target_itself() -> None:
    nodes = nodes_seeing(61, 61, 61, 61)
    proposal = nodes[0].propose(BTC, [])
    assert proposal.words == proposal.target
    nodes[1].sign(proposal, [], LATER)


def test_a_leap_of_the_market_is_followed_in_signed_steps(stored: list[int]) -> None:
    """Volatility doubles at once: no node refuses, the surface walks there as fast as it may."""
    before, seen = stored, []
    for minute in range(1, 5):
        now = NOW + 60 * minute
        nodes = nodes_seeing(120, 120, 120, 120, seen=now)
        made = joint_surface(nodes[0], nodes, BTC, before, now)
        follows(before, made.words)
        before = list(made.words)
        seen.append(points(made.words[2]))
    assert seen == sorted(seen)
    assert seen[0] < 75
    assert seen[-1] == pytest.approx(120, abs=0.1)


def test_a_leader_off_the_others_quotes_gets_no_quorum(stored: list[int]) -> None:
    nodes = nodes_seeing(61, 61, 61, 64)
    refused(errors.QuorumNotReached, joint_surface, nodes[3], nodes, BTC, stored, LATER)
    proposal = nodes[3].propose(BTC, stored)
    text = refused(errors.SurfaceNotHonest, nodes[0].sign, proposal, stored, LATER)
    assert "volatility points" in text
    assert nodes[0].signed == {}


def test_words_that_do_not_follow_from_an_honest_target_are_refused(
    stored: list[int], proposal: SurfaceProposal
) -> None:
    """Every other surface that the chain itself would take."""
    node = nodes_seeing(61, 61, 61, 61)[1]
    held = tuple(aged(word, LATER) for word in stored)
    dearer = tuple(surface_of(EXPIRIES, LATER, 70))
    for words in (held, dearer, proposal.words[:-1], ()):
        forged = replace(proposal, words=words)
        text = refused(errors.SurfaceNotHonest, node.sign, forged, stored, LATER)
        assert "follow" in text
    follows(stored, held)
    follows(stored, dearer)
    node.sign(proposal, stored, LATER)


def test_the_node_reads_the_accepted_surface_itself(
    stored: list[int], proposal: SurfaceProposal
) -> None:
    """A leader that pretends another accepted surface is refused."""
    node, leader = nodes_seeing(90, 90)
    far = leader.propose(BTC, surface_of(EXPIRIES, NOW, 80))
    refused(errors.SurfaceNotHonest, node.sign, far, stored, LATER)
    near = leader.propose(BTC, stored)
    node.sign(near, stored, LATER)


def test_an_arbitrage_in_the_target_is_refused_by_name(
    stored: list[int], proposal: SurfaceProposal
) -> None:
    node = nodes_seeing(61, 61, 61, 61)[1]
    words = list(proposal.target)
    winged = changed(words, 0, psi=unpack(words[0]).theta * 100)
    near = unpack(words[1])
    crossed = changed(words, 2, theta=near.theta * 2, psi=near.psi // 2)
    for error, target in (
        (errors.ButterflyArbitrage, winged),
        (errors.CalendarArbitrage, crossed),
    ):
        forged = replace(proposal, target=tuple(target), words=tuple(target))
        refused(error, node.sign, forged, stored, LATER)


def test_targets_without_words_of_another_time_or_with_other_expiries_are_refused(
    stored: list[int], proposal: SurfaceProposal
) -> None:
    node = nodes_seeing(61, 61, 61, 61)[1]
    for target in ((), proposal.target[:-1], tuple(stored), (0,), (2**256 - 1,)):
        forged = replace(proposal, target=target)
        refused(errors.SurfaceNotHonest, node.judge, forged, stored, LATER)


def test_a_surface_is_signed_only_while_it_is_new(
    stored: list[int], proposal: SurfaceProposal
) -> None:
    node = nodes_seeing(61, 61, 61, 61)[1]
    refused(errors.FutureRound, node.sign, proposal, stored, LATER - 1)
    refused(errors.StaleRound, node.sign, proposal, stored, LATER + 31)
    node.sign(proposal, stored, LATER + 30)


def test_a_surface_not_newer_than_the_accepted_one_is_refused(proposal: SurfaceProposal) -> None:
    node = nodes_seeing(61, 61, 61, 61)[1]
    refused(errors.StaleRound, node.sign, proposal, list(proposal.words), LATER)


def test_a_node_signs_one_surface_an_underlying_and_second(stored: list[int]) -> None:
    nodes = nodes_seeing(61, 61.4, 61, 61)
    first, second = (nodes[i].propose(BTC, stored) for i in (0, 1))
    made = nodes[2].sign(first, stored, LATER)
    assert nodes[2].sign(first, stored, LATER) == made
    refused(errors.RoundAlreadySigned, nodes[2].sign, second, stored, LATER)
    nodes[2].observe({BTC: quotes_of(EXPIRIES, LATER - 1, 61)})
    nodes[1].observe({BTC: quotes_of(EXPIRIES, LATER - 1, 61)})
    earlier = nodes[1].propose(BTC, stored)
    refused(errors.RoundAlreadySigned, nodes[2].sign, earlier, stored, LATER)
    for node in nodes[1:3]:
        node.observe({ETH: quotes_of(EXPIRIES, LATER, 80)})
    nodes[2].sign(nodes[1].propose(ETH, []), [], LATER)
    assert set(nodes[2].signed) == {BTC, ETH}


def test_a_node_without_quotes_neither_leads_nor_signs(
    stored: list[int], proposal: SurfaceProposal
) -> None:
    node = nodes_seeing(61, 61, 61, 61)[1]
    node.observe({ETH: quotes_of(EXPIRIES, LATER, 61)})
    refused(errors.QuotesTooFew, node.propose, BTC, stored)
    refused(errors.SurfaceNotHonest, node.sign, proposal, stored, LATER)


def test_an_expiry_that_passes_before_the_signature_is_refused() -> None:
    soon = (LATER + 10, *EXPIRIES)
    nodes = nodes_seeing(61, 61)
    for node in nodes:
        node.observe({BTC: quotes_of(soon, LATER, 61)})
    proposal = nodes[0].propose(BTC, [])
    refused(errors.ExpiryPassed, nodes[1].sign, proposal, [], LATER + 10)
    nodes[1].sign(proposal, [], LATER + 9)


def test_an_expiry_that_is_quoted_no_more_goes_on_aged(stored: list[int]) -> None:
    target = surface_of(EXPIRIES[1:], LATER, 61)
    words = step(stored, target, LATER)
    follows(stored, words)
    assert words == (aged(stored[0], LATER), *target)
    assert points(words[0]) == pytest.approx(60, abs=1e-6)


def test_a_passed_expiry_is_dropped_and_a_new_one_joins(stored: list[int]) -> None:
    later = EXPIRIES[0]
    target = surface_of([*EXPIRIES[1:], NOW + 60 * DAY_S], later)
    assert step(stored, target, later) == tuple(target)


def test_a_new_expiry_that_does_not_fit_yet_waits(stored: list[int]) -> None:
    """The known ones are a leap behind, and the new one lies between them."""
    crash = surface_of([*EXPIRIES[:2], NOW + 8 * DAY_S, EXPIRIES[2]], LATER, 20)
    words = step(stored, crash, LATER)
    assert [unpack(word).expiry for word in words] == list(EXPIRIES)
    follows(stored, words)
    assert points(words[2]) < 60


def test_new_expiries_join_nearest_first_while_there_are_slots(stored: list[int]) -> None:
    many = [NOW + day * DAY_S for day in (*range(1, 19), 30)]
    words = step(stored, surface_of(many, LATER), LATER)
    expected = [NOW + day * DAY_S for day in (*range(1, 16), 30)]
    assert [unpack(word).expiry for word in words] == expected
    follows(stored, words)


def test_when_even_the_known_ones_cannot_follow_the_refusal_stands(stored: list[int]) -> None:
    refused(errors.StaleRound, step, stored, surface_of(EXPIRIES, NOW), NOW)
    with_new = surface_of([*EXPIRIES, NOW + 60 * DAY_S], NOW)
    refused(errors.StaleRound, step, stored, with_new, NOW)


def test_quotes_are_replaced_as_a_whole() -> None:
    node = nodes_seeing(61)[0]
    seen: list[Quotes] = quotes_of(EXPIRIES, LATER, 50)
    node.observe({ETH: seen})
    assert node.quotes == {ETH: tuple(seen)}
