"""Oracle.vy: every external function, each rejection in its order, each event."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from coincurve import PrivateKey
from eth_account.messages import encode_typed_data, hash_domain
from eth_utils.crypto import keccak

from novate import errors
from novate.chain.compile import CONTRACTS, compile_contract
from novate.chain.harness import CHAIN_ID, Chain, actor
from novate.errors import Error, Rejected
from novate.limits import OBSERVATIONS_PER_ROUND_MAX
from novate.model.oracle import Feed, Observation, Status
from novate.wire.round import SignedRound, observation_digest, round_digest, sign
from tests.support.oracle import FEEDS, GOVERNOR, STRANGER, USD, OracleBench, node_keys

TEST_CONTRACTS = CONTRACTS.parents[2] / "tests" / "contracts"


@pytest.fixture
def bench() -> OracleBench:
    return OracleBench()


def refused(error: Error, call: Callable[..., Any], *arguments: Any, **named: Any) -> None:
    with pytest.raises(Rejected) as caught:
        call(*arguments, **named)
    assert caught.value.error == error


def priced(feed: int, index: int, mark: int | None = None, confidence: int = 0) -> int:
    return Observation(feed, index, index if mark is None else mark, confidence).pack()


def test_size_is_within_the_soft_limit() -> None:
    assert compile_contract("Oracle").runtime_size_bytes <= 22_000


def test_a_new_oracle_accepts_nothing_and_has_its_default_limits() -> None:
    chain = Chain()
    oracle = chain.deploy("Oracle", GOVERNOR)
    assert Status.unpack(oracle.view("status")) == Status()
    assert oracle.view("governor") == GOVERNOR
    assert oracle.view("feed", 0) == 0
    refused(errors.QuorumNotReached, oracle.call, "post_round", 1, chain.timestamp, [], 0, [])


def test_a_signed_round_stores_every_price_and_logs_its_digest(bench: OracleBench) -> None:
    words = [priced(0, 60_000 * USD, 60_010 * USD, 50), priced(3, 3_000 * USD)]
    made = bench.signed(7, words)
    assert bench.post(made) is True
    now = bench.chain.timestamp
    (posted,) = bench.chain.events()
    assert posted.name == "RoundPosted"
    assert posted.arguments == {
        "round": 7,
        "timestamp": now,
        "digest": round_digest(bench.domain, 7, now, words),
    }
    assert bench.feed(0) == Feed(60_000 * USD, 60_010 * USD, 60_010 * USD, 50, now)
    assert bench.feed(3) == Feed(3_000 * USD, 3_000 * USD, 3_000 * USD, 0, now)
    assert bench.feed(1) == Feed()
    assert bench.status() == Status(7, now, now, 60, 120, 50_000, 7, 5)


def test_more_signatures_than_the_quorum_are_checked_too(bench: OracleBench) -> None:
    assert bench.post(bench.signed(1, [priced(0, USD)], signers=range(7)))
    stranger_last = bench.signed(2, [priced(0, USD)], signers=range(7))
    bad = (6, sign(PrivateKey(b"\x05" * 32), b"\x01" * 32))
    bench.advance(1)
    swapped = SignedRound(
        2,
        stranger_last.timestamp + 1,
        stranger_last.observations,
        (*stranger_last.signatures[:6], bad),
    )
    refused(errors.BadSignature, bench.post, swapped)


@pytest.mark.parametrize("round", [1, 4, 5])
def test_an_older_or_equal_round_is_ignored_before_anything_else_is_looked_at(
    bench: OracleBench, round: int
) -> None:
    bench.price(5, 0, USD)
    before = (bench.status(), bench.feed(0))
    bench.advance(10)
    arguments = (round, bench.chain.timestamp + 99, [0, 0], 0, [])
    assert bench.contract.call("post_round", *arguments) is False
    (event,) = bench.chain.events()
    assert (event.name, event.arguments) == ("RoundIgnored", {"round": round})
    assert (bench.status(), bench.feed(0)) == before


def test_a_round_from_the_future_is_refused(bench: OracleBench) -> None:
    later = bench.chain.timestamp + 1
    refused(errors.FutureRound, bench.post, bench.signed(1, [priced(0, USD)], later))


def test_staleness_ends_at_the_limit_to_the_second(bench: OracleBench) -> None:
    now = bench.chain.timestamp
    refused(errors.StaleRound, bench.post, bench.signed(1, [priced(0, USD)], now - 61))
    assert bench.post(bench.signed(1, [priced(0, USD)], now - 60))


def test_a_later_round_must_carry_a_later_timestamp(bench: OracleBench) -> None:
    bench.price(1, 0, USD)
    now = bench.chain.timestamp
    refused(errors.StaleRound, bench.post, bench.signed(2, [priced(0, USD)], now))
    refused(errors.StaleRound, bench.post, bench.signed(2, [priced(0, USD)], now - 1))


def test_one_transaction_posts_one_round_and_the_next_transaction_another(
    bench: OracleBench,
) -> None:
    poster = bench.chain.deploy("RoundPoster", root=TEST_CONTRACTS)
    now = bench.chain.timestamp
    first = bench.signed(1, [priced(0, USD)], now - 1)
    second = bench.signed(2, [priced(0, 2 * USD)], now)
    encoded = [
        bench.contract.abi.encode_call("post_round", *made.arguments()) for made in (first, second)
    ]
    target = bench.contract.address
    refused(errors.RoundAlreadyPosted, poster.call, "twice", target, *encoded)
    assert bench.status().round == 0
    poster.call("twice", target, encoded[0], encoded[0])  # the repeated one is ignored
    assert bench.status().round == 1
    assert bench.post(second)


def test_a_quorum_is_five_of_seven(bench: OracleBench) -> None:
    refused(
        errors.QuorumNotReached, bench.post, bench.signed(1, [priced(0, USD)], signers=range(4))
    )
    assert bench.post(bench.signed(1, [priced(0, USD)], signers=range(2, 7)))


@pytest.mark.parametrize("signers", [(0, 1, 2, 3, 3), (1, 0, 2, 3, 4), (0, 0, 0, 0, 0)])
def test_node_indices_must_ascend(bench: OracleBench, signers: tuple[int, ...]) -> None:
    refused(errors.DuplicateSigner, bench.post, bench.signed(1, [priced(0, USD)], signers=signers))


def test_an_index_beyond_the_node_set_is_nobody(bench: OracleBench) -> None:
    made = bench.signed(1, [priced(0, USD)])
    renamed = (*made.signatures[:4], (7, made.signatures[4][1]))
    refused(
        errors.BadSignature, bench.post, SignedRound(1, made.timestamp, made.observations, renamed)
    )


def test_an_invalid_signature_of_a_former_place_is_refused() -> None:
    bench = OracleBench(node_count=7)
    bench.contract.call("set_nodes", bench.addresses[:4], sender=GOVERNOR)
    assert bench.contract.view("nodes", 3) == bench.addresses[3]
    assert int(bench.contract.view("nodes", 4), 16) == 0
    assert bench.status().quorum == 3
    made = bench.signed(1, [priced(0, USD)], signers=(0, 1, 5))
    refused(errors.BadSignature, bench.post, made)
    assert bench.post(bench.signed(1, [priced(0, USD)], signers=(0, 1, 3)))


def test_a_zero_signature_recovers_nobody(bench: OracleBench) -> None:
    made = bench.signed(1, [priced(0, USD)])
    empty = (*made.signatures[:4], (4, (0, 0)))
    refused(
        errors.BadSignature, bench.post, SignedRound(1, made.timestamp, made.observations, empty)
    )


@pytest.mark.parametrize("feeds", [(1, 0), (2, 2)])
def test_feeds_must_ascend(bench: OracleBench, feeds: tuple[int, int]) -> None:
    words = [priced(feed, USD) for feed in feeds]
    refused(errors.FeedsNotAscending, bench.post, bench.signed(1, words))


@pytest.mark.parametrize(("index", "mark"), [(0, USD), (USD, 0), (0, 0)])
def test_a_zero_price_is_refused(bench: OracleBench, index: int, mark: int) -> None:
    refused(errors.ZeroPrice, bench.post, bench.signed(1, [priced(0, index, mark)]))
    assert bench.status().round == 0


@pytest.mark.parametrize("feed", [FEEDS, 255])
def test_an_unregistered_feed_is_refused(bench: OracleBench, feed: int) -> None:
    refused(errors.UnknownFeed, bench.post, bench.signed(1, [priced(feed, USD)]))
    bench.contract.call("register_feed", feed, sender=GOVERNOR)
    assert bench.contract.view("is_registered", feed)
    assert bench.post(bench.signed(1, [priced(feed, USD)]))


def test_bits_above_the_feed_number_make_it_unknown(bench: OracleBench) -> None:
    refused(errors.UnknownFeed, bench.post, bench.signed(1, [priced(0, USD) | 1 << 144]))
    refused(errors.UnknownFeed, bench.post, bench.signed(1, [priced(0, USD) | 1 << 255]))


def test_a_price_fills_its_56_bits_and_a_larger_one_cannot_be_expressed(bench: OracleBench) -> None:
    top = 2**56 - 1
    assert bench.post(bench.signed(1, [priced(3, top, top, 2**24 - 1)]))
    assert bench.feed(3) == Feed(top, top, top, 2**24 - 1, bench.chain.timestamp)
    for index, mark, confidence in ((top + 1, USD, 0), (USD, top + 1, 0), (USD, USD, 2**24)):
        with pytest.raises(AssertionError, match="does not fit"):
            priced(3, index, mark, confidence)


def test_a_word_laid_out_for_wider_prices_is_an_unknown_feed(bench: OracleBench) -> None:
    wide = USD | USD << 64 | 3 << 160
    refused(errors.UnknownFeed, bench.post, bench.signed(1, [wide]))
    assert bench.status().round == 0


def test_a_full_round_of_thirty_two_feeds_is_accepted(bench: OracleBench) -> None:
    for feed in range(FEEDS, OBSERVATIONS_PER_ROUND_MAX):
        bench.contract.call("register_feed", feed, sender=GOVERNOR)
    words = [priced(feed, (feed + 1) * USD) for feed in range(OBSERVATIONS_PER_ROUND_MAX)]
    assert bench.post(bench.signed(1, words))
    assert bench.feed(31).index == 32 * USD


def test_a_move_up_to_the_bound_is_taken_and_one_beyond_it_is_clamped(bench: OracleBench) -> None:
    bench.price(1, 0, 1000 * USD)
    bench.advance(10)
    bench.price(2, 0, 1050 * USD, 950 * USD)
    assert not [event for event in bench.chain.events() if event.name == "PriceClamped"]
    assert (bench.feed(0).index, bench.feed(0).mark) == (1050 * USD, 950 * USD)
    bench.advance(10)
    last_index, last_mark = 1050 * USD, 950 * USD
    raw_index, raw_mark = last_index + last_index // 20 + 1, last_mark - last_mark // 20 - 1
    bench.price(3, 0, raw_index, raw_mark)
    clamped = [event.arguments for event in bench.chain.events() if event.name == "PriceClamped"]
    assert clamped == [
        {"feed": 0, "is_mark": False, "raw": raw_index, "clamped": raw_index - 1},
        {"feed": 0, "is_mark": True, "raw": raw_mark, "clamped": raw_mark + 1},
    ]
    assert bench.feed(0).confidence_ppm == 1  # one unit cut off, rounded up to a ppm


def test_a_clamp_widens_confidence_to_reach_the_raw_price_but_never_narrows_it(
    bench: OracleBench,
) -> None:
    bench.price(1, 0, 1000 * USD)
    bench.advance(10)
    bench.post(bench.signed(2, [priced(0, 1200 * USD, 1000 * USD, 70)]))
    assert bench.feed(0).confidence_ppm == -(-150 * 10**6 // 1050)
    bench.advance(10)
    bench.post(bench.signed(3, [priced(0, 1200 * USD, 1000 * USD, 900_000)]))
    assert bench.feed(0).confidence_ppm == 900_000


def test_widened_confidence_stops_at_its_field(bench: OracleBench) -> None:
    bench.price(1, 0, 1)
    bench.advance(10)
    bench.price(2, 0, 2**56 - 1, 1)
    feed = bench.feed(0)
    assert (feed.index, feed.mark, feed.confidence_ppm) == (1, 1, 2**24 - 1)


def test_the_average_follows_the_mark_over_fifteen_minutes(bench: OracleBench) -> None:
    bench.price(1, 0, 1000 * USD)
    bench.advance(9)
    bench.price(2, 0, 1000 * USD, 1010 * USD)
    assert bench.feed(0).average == 1000 * USD + 10 * USD * 9 // 900
    bench.advance(2000)
    bench.price(3, 0, 1000 * USD, 1000 * USD)
    assert bench.feed(0).average == 1000 * USD


def test_prices_that_resume_after_an_outage_restart_the_grace(bench: OracleBench) -> None:
    bench.price(1, 0, USD)
    first = bench.chain.timestamp
    bench.advance(60)
    bench.price(2, 0, USD)
    assert bench.status().restarted_at == first
    bench.advance(61)
    bench.price(3, 0, USD)
    assert bench.status().restarted_at == bench.chain.timestamp


def test_a_feed_remembers_when_it_came_back_after_its_last_outage(bench: OracleBench) -> None:
    resumed = []
    for round, wait in enumerate((0, 60, 61, 60, 3_600, 1), start=1):
        bench.advance(wait)
        bench.price(round, 0, USD)
        resumed.append(bench.feed(0).resumed_at)
    now = bench.chain.timestamp
    assert resumed == [0, 0, now - 3_661, now - 3_661, now - 1, now - 1]


def test_one_feed_resumes_while_the_other_never_stopped(bench: OracleBench) -> None:
    bench.post(bench.signed(1, [priced(0, USD), priced(1, USD)]))
    for round in (2, 3):
        bench.advance(40)
        bench.price(round, 1, USD)
    bench.advance(1)
    bench.post(bench.signed(4, [priced(0, USD), priced(1, USD)]))
    assert (bench.feed(0).resumed_at, bench.feed(1).resumed_at) == (bench.chain.timestamp, 0)
    assert bench.status().restarted_at == bench.chain.timestamp - 81


@pytest.mark.parametrize("count", [4, 7, 10, 13, 16, 19])
def test_node_sets_of_three_f_plus_one_are_accepted(bench: OracleBench, count: int) -> None:
    addresses = [actor(f"node {i}") for i in range(count)]
    bench.contract.call("set_nodes", addresses, sender=GOVERNOR)
    (event,) = bench.chain.events()
    assert (event.name, event.arguments["quorum"]) == ("NodesSet", 2 * (count - 1) // 3 + 1)
    assert [bench.contract.view("nodes", i) for i in range(count)] == addresses
    status = bench.status()
    assert (status.node_count, status.quorum) == (count, 2 * (count - 1) // 3 + 1)
    assert (status.stale_after, status.restart_grace, status.move_bound_ppm) == (60, 120, 50_000)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 6, 8, 18])
def test_other_node_counts_are_refused(bench: OracleBench, count: int) -> None:
    addresses = [actor(f"node {i}") for i in range(count)]
    refused(errors.OutOfBounds, bench.contract.call, "set_nodes", addresses, sender=GOVERNOR)


def test_nodes_are_distinct_and_not_empty(bench: OracleBench) -> None:
    a, b, c = (actor(f"node {i}") for i in range(3))
    call = bench.contract.call
    refused(errors.DuplicateSigner, call, "set_nodes", [a, b, c, a], sender=GOVERNOR)
    refused(errors.OutOfBounds, call, "set_nodes", [a, b, c, "0x" + "00" * 20], sender=GOVERNOR)


def test_a_changed_node_set_keeps_round_and_prices(bench: OracleBench) -> None:
    bench.price(3, 0, USD)
    before = bench.status()
    bench.contract.call("set_nodes", bench.addresses[:4], sender=GOVERNOR)
    after = bench.status()
    assert (after.round, after.timestamp, after.restarted_at) == (
        before.round,
        before.timestamp,
        before.restarted_at,
    )
    assert bench.feed(0).index == USD


def test_limits_are_set_together_and_logged(bench: OracleBench) -> None:
    bench.price(3, 0, USD)
    before = bench.status()
    bench.contract.call("set_limits", 10, 3600, 200_000, sender=GOVERNOR)
    (event,) = bench.chain.events()
    assert event.name == "LimitsSet"
    assert event.arguments == {"stale_after": 10, "restart_grace": 3600, "move_bound_ppm": 200_000}
    status = bench.status()
    assert (status.stale_after, status.restart_grace, status.move_bound_ppm) == (10, 3600, 200_000)
    assert (status.round, status.node_count, status.quorum) == (3, 7, 5)
    assert (status.timestamp, status.restarted_at) == (before.timestamp, before.restarted_at)


@pytest.mark.parametrize(
    "limits",
    [
        (9, 120, 50_000),
        (601, 120, 50_000),
        (60, 29, 50_000),
        (60, 3601, 50_000),
        (60, 120, 999),
        (60, 120, 200_001),
        (2**200, 120, 50_000),
    ],
)
def test_limits_outside_their_compiled_in_bounds_are_refused(
    bench: OracleBench, limits: tuple[int, int, int]
) -> None:
    refused(errors.OutOfBounds, bench.contract.call, "set_limits", *limits, sender=GOVERNOR)


def test_registering_a_feed_is_logged_and_bounded(bench: OracleBench) -> None:
    bench.contract.call("register_feed", 255, sender=GOVERNOR)
    (event,) = bench.chain.events()
    assert (event.name, event.arguments) == ("FeedRegistered", {"feed": 255})
    refused(errors.OutOfBounds, bench.contract.call, "register_feed", 256, sender=GOVERNOR)


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("set_nodes", ([actor(f"node {i}") for i in range(4)],)),
        ("register_feed", (9,)),
        ("set_limits", (60, 120, 50_000)),
    ],
)
def test_only_the_governor_sets(
    bench: OracleBench, function: str, arguments: tuple[Any, ...]
) -> None:
    refused(errors.NotAuthorized, bench.contract.call, function, *arguments, sender=STRANGER)


def typed_data(bench: OracleBench, kind: str, words: list[int]) -> dict[str, Any]:
    return {
        "types": {
            "EIP712Domain": [
                {"name": "name", "type": "string"},
                {"name": "version", "type": "string"},
                {"name": "chainId", "type": "uint256"},
                {"name": "verifyingContract", "type": "address"},
            ],
            kind: [
                {"name": "round", "type": "uint64"},
                {"name": "timestamp", "type": "uint64"},
                {"name": "observations", "type": "uint256[]"},
            ],
        },
        "primaryType": kind,
        "domain": {
            "name": "Novate Oracle",
            "version": "1",
            "chainId": CHAIN_ID,
            "verifyingContract": bench.contract.address,
        },
        "message": {"round": 5, "timestamp": 1_760_000_000, "observations": words},
    }


@pytest.mark.parametrize("count", [0, 1, 3, 32])
def test_digests_equal_those_of_eth_account(bench: OracleBench, count: int) -> None:
    words = [priced(feed, (feed + 1) * USD, confidence=7) for feed in range(count)]
    for kind, digest_of in (("Round", round_digest), ("Observation", observation_digest)):
        whole = typed_data(bench, kind, words)
        signable = encode_typed_data(full_message=whole)
        expected = keccak(b"\x19" + signable.version + signable.header + signable.body)
        assert digest_of(bench.domain, 5, 1_760_000_000, words) == expected
        assert hash_domain(whole["domain"]) == bench.domain


def test_the_contract_states_its_signing_domain(bench: OracleBench) -> None:
    _, name, version, chain_id, address, _, _ = bench.contract.view("eip712Domain")
    assert (name, version, chain_id) == ("Novate Oracle", "1", CHAIN_ID)
    assert address == bench.contract.address.lower()


def test_nineteen_nodes_post_with_thirteen_signatures() -> None:
    bench = OracleBench(node_count=19)
    assert bench.keys == node_keys(19)
    refused(
        errors.QuorumNotReached, bench.post, bench.signed(1, [priced(0, USD)], signers=range(12))
    )
    assert bench.post(bench.signed(1, [priced(0, USD)], signers=range(6, 19)))
