"""Surfaces.vy: every external function, each rejection by name, each event."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from eth_account.messages import encode_typed_data, hash_domain
from eth_utils.crypto import keccak

from novate import errors
from novate.chain.compile import CONTRACTS, compile_contract
from novate.chain.harness import CHAIN_ID, Chain
from novate.errors import Error, Rejected
from novate.model.surface import ONE, RHO_ONE, unpack
from novate.wire.surfaces import SignedSurfaces, domain_separator, surfaces_digest
from tests.support.oracle import GOVERNOR, STRANGER
from tests.support.surfaces import BTC, DAY_S, DAYS, ETH, SurfacesBench, changed, surface_of

TEST_CONTRACTS = CONTRACTS.parents[2] / "tests" / "contracts"


@pytest.fixture
def bench() -> SurfacesBench:
    return SurfacesBench()


@pytest.fixture
def posted(bench: SurfacesBench) -> SurfacesBench:
    """A bench with round 1 of four expiries accepted a minute ago."""
    assert bench.post_surface(bench.signed_surface(1, bench.words(1, 7, 30, 90)))
    bench.advance(60)
    return bench


def refused(error: Error, call: Callable[..., Any], *arguments: Any, **named: Any) -> None:
    with pytest.raises(Rejected) as caught:
        call(*arguments, **named)
    assert caught.value.error == error


def words_refused(bench: SurfacesBench, error: Error, words: list[int], round: int = 2) -> None:
    """A quorum signs it and still the contract refuses it, and keeps what it had."""
    before = (bench.stored(), bench.surfaces.view("status_of", BTC))
    refused(error, bench.post_surface, bench.signed_surface(round, words))
    assert (bench.stored(), bench.surfaces.view("status_of", BTC)) == before


def test_size_is_within_the_soft_limit() -> None:
    assert compile_contract("Surfaces").runtime_size_bytes <= 22_000


def test_a_signed_surface_stores_every_word_and_logs_its_digest(bench: SurfacesBench) -> None:
    words, now = bench.words(), bench.chain.timestamp
    assert bench.post_surface(bench.signed_surface(7, words)) is True
    (event,) = bench.chain.events()
    assert event.name == "SurfacesPosted"
    assert event.arguments == {
        "underlying": BTC,
        "round": 7,
        "timestamp": now,
        "generation": 1,
        "slots": 0x76543210,
        "digest": surfaces_digest(bench.surfaces_domain, 7, now, BTC, words),
    }
    view = bench.surfaces.view
    assert [view("surface", BTC, slot) for slot in range(16)] == [*words, *[0] * 8]
    assert [view("slot_of", BTC, expiry) for expiry in bench.expiries(*DAYS)] == list(range(8))
    assert view("status_of", BTC) == 7 | now << 64 | 1 << 104 | 8 << 112
    assert view("generation", BTC) == 1
    assert bench.stored() == words


def test_each_underlying_has_its_own_rounds_and_words(bench: SurfacesBench) -> None:
    bitcoin, ether = bench.words(1), bench.words(1, 2, volatility_percent=80)
    assert bench.post_surface(bench.signed_surface(5, bitcoin))
    assert bench.post_surface(bench.signed_surface(1, ether, underlying=ETH))
    assert (bench.stored(BTC), bench.stored(ETH)) == (bitcoin, ether)
    assert bench.surfaces.view("surface", BTC, 1) == 0
    assert bench.surfaces.view("status_of", ETH) & (2**64 - 1) == 1


@pytest.mark.parametrize("round", [1, 4, 5])
def test_an_older_or_equal_round_is_ignored_before_anything_else_is_looked_at(
    bench: SurfacesBench, round: int
) -> None:
    bench.post_surface(bench.signed_surface(5, bench.words()))
    before = bench.stored()
    bench.advance(10)
    arguments = (round, bench.chain.timestamp + 99, BTC, [1], 0, [])
    assert bench.surfaces.call("post_surfaces", *arguments) is False
    (event,) = bench.chain.events()
    assert (event.name, event.arguments) == ("SurfacesIgnored", {"underlying": BTC, "round": round})
    assert bench.stored() == before


def test_only_registered_underlyings_have_surfaces(bench: SurfacesBench) -> None:
    for underlying in (2, 15, 16, 2**255):
        made = bench.signed_surface(1, bench.words(), underlying=underlying)
        refused(errors.UnknownUnderlying, bench.post_surface, made)
        assert bench.surfaces.view("is_registered", underlying) is False
    bench.surfaces.call("register_underlying", 15, sender=GOVERNOR)
    (event,) = bench.chain.events()
    assert (event.name, event.arguments) == ("UnderlyingRegistered", {"underlying": 15})
    assert bench.surfaces.view("is_registered", 15) is True
    assert bench.post_surface(bench.signed_surface(1, bench.words(), underlying=15))
    assert bench.stored(15) == bench.words()


def test_registering_is_the_governors_and_bounded_and_loses_no_surface(
    posted: SurfacesBench,
) -> None:
    call, before = posted.surfaces.call, posted.surfaces.view("status_of", BTC)
    refused(errors.NotAuthorized, call, "register_underlying", 2, sender=STRANGER)
    refused(errors.OutOfBounds, call, "register_underlying", 16, sender=GOVERNOR)
    call("register_underlying", BTC, sender=GOVERNOR)
    assert posted.surfaces.view("status_of", BTC) == before
    assert posted.surfaces.view("governor") == GOVERNOR
    assert posted.surfaces.view("oracle") == posted.contract.address.lower()


def test_a_surface_from_the_future_is_refused(bench: SurfacesBench) -> None:
    later = bench.chain.timestamp + 1
    made = bench.signed_surface(1, surface_of(bench.expiries(7), later), later)
    refused(errors.FutureRound, bench.post_surface, made)


def test_staleness_ends_at_the_oracles_limit_to_the_second(bench: SurfacesBench) -> None:
    expiries, now = bench.expiries(7), bench.chain.timestamp
    stale = bench.signed_surface(1, surface_of(expiries, now - 61), now - 61)
    refused(errors.StaleRound, bench.post_surface, stale)
    assert bench.post_surface(bench.signed_surface(1, surface_of(expiries, now - 60), now - 60))
    bench.contract.call("set_limits", 10, 120, 50_000, sender=GOVERNOR)
    older = bench.signed_surface(2, surface_of(expiries, now - 11), now - 11)
    refused(errors.StaleRound, bench.post_surface, older)


def test_a_later_round_must_carry_a_later_timestamp(posted: SurfacesBench) -> None:
    then = posted.chain.timestamp - 60
    for timestamp in (then, then - 1):
        words = surface_of(posted.expiries(1, 7, 30, 90), timestamp)
        refused(errors.StaleRound, posted.post_surface, posted.signed_surface(2, words, timestamp))


def test_even_a_surface_without_words_must_be_later(bench: SurfacesBench) -> None:
    assert bench.post_surface(bench.signed_surface(1, []))
    refused(errors.StaleRound, bench.post_surface, bench.signed_surface(2, []))
    bench.advance(1)
    assert bench.post_surface(bench.signed_surface(2, []))


def test_one_transaction_posts_one_surface_an_underlying(bench: SurfacesBench) -> None:
    poster = bench.chain.deploy("RoundPoster", root=TEST_CONTRACTS)
    now, expiries = bench.chain.timestamp, bench.expiries(7)
    first = bench.signed_surface(1, surface_of(expiries, now - 1), now - 1)
    second = bench.signed_surface(2, surface_of(expiries, now))
    ether = bench.signed_surface(1, surface_of(expiries, now), underlying=ETH)
    a, b, c = (
        bench.surfaces.abi.encode_call("post_surfaces", *made.arguments())
        for made in (first, second, ether)
    )
    refused(errors.RoundAlreadyPosted, poster.call, "twice", bench.surfaces.address, a, b)
    poster.call("twice", bench.surfaces.address, a, c)
    assert (len(bench.stored(BTC)), len(bench.stored(ETH))) == (1, 1)
    assert bench.post_surface(second)


def test_a_quorum_is_five_of_seven(bench: SurfacesBench) -> None:
    short = bench.signed_surface(1, bench.words(), signers=range(4))
    refused(errors.QuorumNotReached, bench.post_surface, short)
    assert bench.post_surface(bench.signed_surface(1, bench.words(), signers=range(2, 7)))


def test_before_the_first_node_set_no_surface_passes() -> None:
    chain = Chain()
    oracle = chain.deploy("Oracle", GOVERNOR)
    surfaces = chain.deploy("Surfaces", GOVERNOR, oracle.address)
    surfaces.call("register_underlying", BTC, sender=GOVERNOR)
    arguments = (1, chain.timestamp, BTC, [], 0, [])
    refused(errors.QuorumNotReached, surfaces.call, "post_surfaces", *arguments)


@pytest.mark.parametrize("signers", [(0, 1, 2, 3, 3), (1, 0, 2, 3, 4), (0, 0, 0, 0, 0)])
def test_a_node_signs_once_and_in_order(bench: SurfacesBench, signers: tuple[int, ...]) -> None:
    made = bench.signed_surface(1, bench.words(), signers=signers)
    refused(errors.DuplicateSigner, bench.post_surface, made)


def test_an_unknown_node_is_refused(bench: SurfacesBench) -> None:
    made = bench.signed_surface(1, bench.words())
    for index in (7, 19, 255):
        renamed = replace(made, signatures=(*made.signatures[:4], (index, made.signatures[4][1])))
        refused(errors.BadSignature, bench.post_surface, renamed)
    for index in (4, 7):  # recovers nobody, and there is nobody in the place beyond the last
        empty = replace(made, signatures=(*made.signatures[:4], (index, (0, 0))))
        refused(errors.BadSignature, bench.post_surface, empty)


def test_a_node_that_governance_removed_counts_no_more(bench: SurfacesBench) -> None:
    bench.contract.call("set_nodes", bench.addresses[:4], sender=GOVERNOR)
    made = bench.signed_surface(1, bench.words(), signers=(0, 1, 5))
    refused(errors.BadSignature, bench.post_surface, made)
    assert bench.post_surface(bench.signed_surface(1, bench.words(), signers=(0, 1, 3)))


def test_every_signature_beyond_the_quorum_is_checked_too(bench: SurfacesBench) -> None:
    made = bench.signed_surface(1, bench.words(), signers=range(7))
    r, s = made.signatures[6][1]
    spoilt = replace(made, signatures=(*made.signatures[:6], (6, (r, s ^ 1))))
    refused(errors.BadSignature, bench.post_surface, spoilt)
    assert bench.post_surface(made)


def test_a_signature_with_a_high_s_is_refused(bench: SurfacesBench) -> None:
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    made = bench.signed_surface(1, bench.words())
    index, (r, word) = made.signatures[4]
    parity, s = word >> 255, word & (2**255 - 1)
    flipped = (order - s) | (1 - parity) << 255
    twin = replace(made, signatures=(*made.signatures[:4], (index, (r, flipped))))
    refused(errors.BadSignature, bench.post_surface, twin)


def signed_elsewhere(bench: SurfacesBench, domain: bytes) -> SignedSurfaces:
    there = bench.surfaces_domain
    try:
        bench.surfaces_domain = domain
        return bench.signed_surface(1, bench.words())
    finally:
        bench.surfaces_domain = there


def test_signatures_for_another_domain_are_refused(bench: SurfacesBench) -> None:
    """Another chain, another contract, the oracle's own domain."""
    here = bench.surfaces.address
    for domain in (
        domain_separator(CHAIN_ID + 1, here),
        domain_separator(CHAIN_ID, bench.contract.address),
        bench.domain,
    ):
        refused(errors.BadSignature, bench.post_surface, signed_elsewhere(bench, domain))
    assert bench.post_surface(signed_elsewhere(bench, domain_separator(CHAIN_ID, here)))


@pytest.mark.parametrize("field", ["round", "timestamp", "underlying", "words"])
def test_every_field_is_signed(bench: SurfacesBench, field: str) -> None:
    bench.advance(1)
    made = bench.signed_surface(1, bench.words())
    value: dict[str, Any] = {
        "round": 2,
        "timestamp": made.timestamp - 1,
        "underlying": ETH,
        "words": made.words[:-1],
    }
    refused(errors.BadSignature, bench.post_surface, replace(made, **{field: value[field]}))


def test_a_butterfly_arbitrage_is_refused(posted: SurfacesBench) -> None:
    words = posted.words(1, 7, 30, 90)
    s = unpack(words[0])
    words_refused(posted, errors.ButterflyArbitrage, changed(words, 0, psi=s.theta * 100))


def test_a_calendar_arbitrage_is_refused(posted: SurfacesBench) -> None:
    words = posted.words(1, 7, 8, 30, 90)
    nearer = unpack(words[1])
    cheaper = changed(words, 2, theta=nearer.theta - 1, psi=nearer.psi)
    words_refused(posted, errors.CalendarArbitrage, cheaper)
    assert posted.post_surface(
        posted.signed_surface(2, changed(words, 2, theta=nearer.theta, psi=nearer.psi))
    )


def test_expiries_must_ascend(posted: SurfacesBench) -> None:
    words = posted.words(1, 7, 30, 90)
    words_refused(posted, errors.NotAscending, [words[0], words[0], *words[1:]])
    words_refused(posted, errors.NotAscending, [*words, *posted.words(60)])
    words_refused(posted, errors.MissingExpiry, [words[1], words[0], *words[2:]])


def test_a_jump_beyond_the_rate_limit_is_refused(posted: SurfacesBench) -> None:
    dear = posted.words(1, 7, 30, 90, volatility_percent=74)  # theta up by 52 %
    words_refused(posted, errors.SurfaceJump, dear)
    last = posted.words(1, 7, 30, 90)
    skewed = changed(last, 3, rho=unpack(last[3]).rho - RHO_ONE // 5 - 1)
    words_refused(posted, errors.SurfaceJump, skewed)
    assert posted.post_surface(
        posted.signed_surface(2, posted.words(1, 7, 30, 90, volatility_percent=73))
    )


def test_less_time_allows_less(posted: SurfacesBench) -> None:
    assert posted.post_surface(posted.signed_surface(2, posted.words(1, 7, 30, 90)))
    posted.advance(1)
    words_refused(posted, errors.SurfaceJump, posted.words(1, 7, 30, 90, volatility_percent=61), 3)
    assert posted.post_surface(posted.signed_surface(3, posted.words(1, 7, 30, 90)))


def test_words_are_bounded_and_seen_when_the_round_was(posted: SurfacesBench) -> None:
    words = posted.words(1, 7, 30, 90)
    out = errors.SurfaceOutOfBounds
    for second in (-1, 1):
        at = posted.chain.timestamp + second
        words_refused(posted, out, surface_of(posted.expiries(1, 7, 30, 90), at))
    words_refused(posted, out, changed(words, 1, timestamp=posted.chain.timestamp - 1))
    words_refused(posted, out, changed(words, 0, timestamp=posted.chain.timestamp + 1))
    words_refused(posted, out, [words[0] | 1 << 236, *words[1:]])
    words_refused(posted, out, [words[0] | 1 << 255, *words[1:]])
    words_refused(posted, out, changed(words, 3, rho=RHO_ONE - 1))
    words_refused(posted, out, changed(words, 3, theta=ONE * 60))
    words_refused(posted, out, [0, *words])


@pytest.mark.parametrize("missing", [0, 1, 3])
def test_an_active_expiry_may_not_be_missing(posted: SurfacesBench, missing: int) -> None:
    words = posted.words(1, 7, 30, 90)
    without = [word for place, word in enumerate(words) if place != missing]
    words_refused(posted, errors.MissingExpiry, without)
    other = (2, 8, 31, 91)[missing]  # one put in its place does not stand for it
    replaced = sorted({1, 7, 30, 90, other} - {(1, 7, 30, 90)[missing]})
    words_refused(posted, errors.MissingExpiry, posted.words(*replaced))


def test_an_empty_surface_is_missing_every_active_expiry(posted: SurfacesBench) -> None:
    words_refused(posted, errors.MissingExpiry, [])
    posted.advance(90 * DAY_S)
    assert posted.post_surface(posted.signed_surface(2, []))
    assert posted.stored() == []
    assert posted.surfaces.view("generation", BTC) == 2


def test_an_expiry_that_has_passed_is_refused_and_one_second_before_it_is_not(
    bench: SurfacesBench,
) -> None:
    expiries, seen = bench.expiries(1, 7), bench.start + DAY_S - 30
    bench.advance(DAY_S - 1)
    made = bench.signed_surface(1, surface_of(expiries, seen), seen)
    assert bench.surfaces.view("post_surfaces", *made.arguments()) is True
    bench.advance(1)
    refused(errors.ExpiryPassed, bench.post_surface, made)
    now = bench.chain.timestamp
    assert bench.post_surface(bench.signed_surface(1, surface_of(expiries[1:], now)))


def test_an_expiry_may_be_left_out_from_its_very_second(posted: SurfacesBench) -> None:
    posted.advance(DAY_S - 61)
    words_refused(posted, errors.MissingExpiry, posted.words(7, 30, 90))
    posted.advance(1)
    assert posted.post_surface(posted.signed_surface(2, posted.words(7, 30, 90)))
    assert [unpack(word).expiry for word in posted.stored()] == posted.expiries(7, 30, 90)


def test_an_expiry_keeps_its_slot_until_it_has_expired_and_another_takes_it(
    posted: SurfacesBench,
) -> None:
    view = posted.surfaces.view
    first_day = view("surface", BTC, 0)
    assert posted.post_surface(posted.signed_surface(2, posted.words(1, 3, 7, 30, 60, 90)))
    (event,) = posted.chain.events()
    assert event.arguments["slots"] == 0x352140
    by_expiry = dict(zip((1, 3, 7, 30, 60, 90), (0, 4, 1, 2, 5, 3), strict=True))
    for day, slot in by_expiry.items():
        assert view("slot_of", BTC, posted.start + day * DAY_S) == slot
        assert unpack(view("surface", BTC, slot)).expiry == posted.start + day * DAY_S
    posted.advance(DAY_S)
    assert posted.post_surface(posted.signed_surface(3, posted.words(3, 7, 30, 60, 90)))
    assert unpack(view("surface", BTC, 0)).expiry == unpack(first_day).expiry
    refused(errors.MissingExpiry, view, "slot_of", BTC, posted.start + DAY_S)
    posted.advance(60)
    assert posted.post_surface(posted.signed_surface(4, posted.words(3, 7, 14, 30, 60, 90)))
    assert view("slot_of", BTC, posted.start + 14 * DAY_S) == 0
    assert unpack(view("surface", BTC, 0)).expiry == posted.start + 14 * DAY_S


def test_sixteen_expiries_fill_the_slots_and_the_next_waits_for_one_to_pass(
    bench: SurfacesBench,
) -> None:
    days = range(1, 17)
    assert bench.post_surface(bench.signed_surface(1, bench.words(*days)))
    bench.advance(60)
    words_refused(bench, errors.MissingExpiry, bench.words(*range(1, 16), 17))
    words_refused(bench, errors.MissingExpiry, bench.words(*range(2, 18)))
    bench.advance(DAY_S)
    assert bench.post_surface(bench.signed_surface(2, bench.words(*range(2, 18))))
    assert bench.surfaces.view("slot_of", BTC, bench.start + 17 * DAY_S) == 0
    assert [unpack(word).expiry for word in bench.stored()] == bench.expiries(*range(2, 18))


def test_a_first_surface_of_an_expiry_needs_no_rate_check(posted: SurfacesBench) -> None:
    words = posted.words(1, 7, 30, 90, 180)
    dear = changed(words, 4, theta=unpack(words[4]).theta * 4)
    assert posted.post_surface(posted.signed_surface(2, dear))


def test_after_an_outage_the_limit_is_that_of_a_minute(posted: SurfacesBench) -> None:
    posted.advance(3_600)
    words_refused(posted, errors.SurfaceJump, posted.words(1, 7, 30, 90, volatility_percent=74))


def test_the_generation_moves_with_every_accepted_surface_and_wraps(bench: SurfacesBench) -> None:
    expiries = bench.expiries(90)
    for round in range(1, 258):
        bench.advance(1)
        made = bench.signed_surface(round, surface_of(expiries, bench.chain.timestamp))
        assert bench.post_surface(made)
        if round in (1, 255, 256, 257):
            assert bench.surfaces.view("generation", BTC) == round % 256
            status = bench.surfaces.view("status_of", BTC)
            assert (status & (2**64 - 1), status >> 104 & 255) == (round, round % 256)
            assert status >> 112 == 1


def test_views_are_bounded(bench: SurfacesBench) -> None:
    view = bench.surfaces.view
    for name, arguments in (
        ("surface", (16, 0)),
        ("surface", (0, 16)),
        ("surface", (2**255, 2**255)),
        ("surfaces", (16,)),
        ("slot_of", (16, 0)),
        ("status_of", (16,)),
        ("generation", (16,)),
    ):
        refused(errors.OutOfBounds, view, name, *arguments)
    refused(errors.MissingExpiry, view, "slot_of", BTC, 0)
    assert (view("surface", 15, 15), view("status_of", 15)) == (0, 0)


@pytest.mark.parametrize("count", [0, 1, 8, 16])
def test_digests_equal_those_of_eth_account(bench: SurfacesBench, count: int) -> None:
    words = bench.words(*range(1, count + 1)) if count else []
    whole = {
        "types": {
            "EIP712Domain": [
                {"name": "name", "type": "string"},
                {"name": "version", "type": "string"},
                {"name": "chainId", "type": "uint256"},
                {"name": "verifyingContract", "type": "address"},
            ],
            "Surfaces": [
                {"name": "round", "type": "uint64"},
                {"name": "timestamp", "type": "uint64"},
                {"name": "underlying", "type": "uint256"},
                {"name": "words", "type": "uint256[]"},
            ],
        },
        "primaryType": "Surfaces",
        "domain": {
            "name": "Novate Surfaces",
            "version": "1",
            "chainId": CHAIN_ID,
            "verifyingContract": bench.surfaces.address,
        },
        "message": {"round": 5, "timestamp": 1_760_000_000, "underlying": ETH, "words": words},
    }
    signable = encode_typed_data(full_message=whole)
    expected = keccak(b"\x19" + signable.version + signable.header + signable.body)
    assert surfaces_digest(bench.surfaces_domain, 5, 1_760_000_000, ETH, words) == expected
    assert hash_domain(whole["domain"]) == bench.surfaces_domain


def test_the_contract_states_its_signing_domain(bench: SurfacesBench) -> None:
    _, name, version, chain_id, address, _, _ = bench.surfaces.view("eip712Domain")
    assert (name, version, chain_id) == ("Novate Surfaces", "1", CHAIN_ID)
    assert address == bench.surfaces.address.lower()


def test_nineteen_nodes_post_with_thirteen_signatures() -> None:
    bench = SurfacesBench(node_count=19)
    short = bench.signed_surface(1, bench.words(), signers=range(12))
    refused(errors.QuorumNotReached, bench.post_surface, short)
    assert bench.post_surface(bench.signed_surface(1, bench.words(), signers=range(6, 19)))
