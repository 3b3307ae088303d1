"""One node, leading or not, moves no volatility surface; nor does the whole quorum move it at once.

Source: RULES.md, rule 5 (signed-price hygiene): unique signers, quorum, monotone, a bounded move.
Margin and settlement of every option hang on the surface, so it is held to the same as a price.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from novate import errors
from novate.errors import Error, Rejected
from novate.model.surface import unpack
from novate.services.surface_node import SurfaceNetwork, SurfaceNode, joint_surface
from novate.wire.surfaces import SignedSurfaces, signed_surfaces
from tests.support.surfaces import BTC, ETH, SurfacesBench, quotes_of

DAYS = (7, 30, 90)
FAULTY = 2
HONEST_PERCENT, WANTED_PERCENT = 61, 72  # what the chain's own rate limit would let pass


class Venue(SurfacesBench):
    """Four nodes over a first surface a minute old; node 2 wants another volatility."""

    def __init__(self) -> None:
        super().__init__(node_count=4)
        assert self.post_surface(self.signed_surface(1, self.words(*DAYS)))
        self.advance(60)
        network = SurfaceNetwork(self.surfaces_domain, tuple(self.addresses))
        self.nodes = [SurfaceNode(key, network) for key in self.keys]
        self.see({FAULTY: WANTED_PERCENT})

    def see(self, others: dict[int, float]) -> None:
        """Quotes now: the honest volatility, but for some nodes."""
        now, expiries = self.chain.timestamp, self.expiries(*DAYS)
        for index, node in enumerate(self.nodes):
            percent = others.get(index, HONEST_PERCENT)
            node.observe({BTC: quotes_of(expiries, now, percent)})

    def joint(self, leader: int) -> SignedSurfaces:
        """One surface signed by whoever agrees with the leader."""
        now = self.chain.timestamp
        return joint_surface(self.nodes[leader], self.nodes, BTC, self.stored(), now)

    def refuses(self, made: SignedSurfaces, error: Error) -> None:
        """Nothing changes."""
        before = (self.stored(), self.surfaces.view("status_of", BTC))
        with pytest.raises(Rejected) as caught:
            self.post_surface(made)
        assert caught.value.error == error
        assert (self.stored(), self.surfaces.view("status_of", BTC)) == before


@pytest.fixture
def venue() -> Venue:
    return Venue()


def wanted(venue: Venue, signers: list[int]) -> SignedSurfaces:
    """The faulty node's surface, signed by some."""
    words = venue.words(*DAYS, volatility_percent=WANTED_PERCENT)
    return venue.signed_surface(2, words, signers=signers)


def test_a_faulty_leader_finds_no_second_signature(venue: Venue) -> None:
    with pytest.raises(Rejected) as caught:
        venue.joint(FAULTY)
    assert caught.value.error == errors.QuorumNotReached
    assert [node.signed for node in venue.nodes if node.index != FAULTY] == [{}, {}, {}]


def test_its_own_signature_once_or_often_or_in_anothers_place_is_no_quorum(venue: Venue) -> None:
    venue.refuses(wanted(venue, [FAULTY]), errors.QuorumNotReached)
    venue.refuses(wanted(venue, [FAULTY] * 3), errors.DuplicateSigner)
    own = wanted(venue, [FAULTY]).signatures[0][1]
    posed = tuple((index, own) for index in (0, 1, 2))
    venue.refuses(replace(wanted(venue, [FAULTY]), signatures=posed), errors.BadSignature)
    assert venue.post_surface(wanted(venue, [0, 1, 2]))  # it is the signatures that it lacks


def test_signatures_of_the_others_serve_no_other_words_underlying_or_contract(
    venue: Venue,
) -> None:
    venue.surfaces.call("register_underlying", 2, sender=venue.surfaces.view("governor"))
    made = venue.joint(0)
    bent = list(made.words)
    bent[0] += 1
    venue.refuses(replace(made, words=tuple(bent)), errors.BadSignature)
    venue.refuses(replace(made, round=made.round + 1), errors.BadSignature)
    for underlying in (ETH, 2):
        venue.refuses(replace(made, underlying=underlying), errors.BadSignature)
    keys = list(enumerate(venue.keys))[:3]
    arguments = (made.round, made.timestamp, BTC, made.words, keys)
    venue.refuses(signed_surfaces(venue.domain, *arguments), errors.BadSignature)


def test_an_honest_leader_needs_no_faulty_node(venue: Venue) -> None:
    made = venue.joint(0)
    assert [index for index, _ in made.signatures] == [0, 1, 3]
    assert venue.post_surface(made)
    fitted = venue.words(*DAYS, volatility_percent=HONEST_PERCENT)
    for got, expected in zip(map(unpack, venue.stored()), map(unpack, fitted), strict=True):
        assert got.theta == pytest.approx(expected.theta, rel=1e-3)


def test_what_a_leader_gains_within_the_tolerance_does_not_add_up(venue: Venue) -> None:
    """It leads every minute and asks for as much as the others sign."""
    asked = HONEST_PERCENT + 1.9
    for _ in range(5):
        venue.see({FAULTY: asked})
        assert venue.post_surface(venue.joint(FAULTY))
        venue.advance(60)
    level = venue.words(*DAYS, volatility_percent=HONEST_PERCENT + 2)
    for got, limit in zip(map(unpack, venue.stored()), map(unpack, level), strict=True):
        assert got.theta * limit.tenor < limit.theta * got.tenor


def test_a_quorum_of_stolen_keys_moves_it_no_faster_than_the_limit(venue: Venue) -> None:
    words = venue.words(*DAYS, volatility_percent=300)
    venue.refuses(venue.signed_surface(2, words), errors.SurfaceJump)


def test_a_surface_held_back_is_ignored_once_a_later_one_is_here(venue: Venue) -> None:
    held = venue.joint(0)
    venue.advance(20)
    venue.see({})
    assert venue.post_surface(venue.joint(1))
    before = venue.stored()
    assert venue.post_surface(held) is False
    assert venue.stored() == before
