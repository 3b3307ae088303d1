"""Every field of a signed price is bound: change one and the round is refused.

Source: RULES.md, rule 5 (signed-price hygiene): chain id, contract and feed in the domain; not from
the future, not past its deadline, unique signers, quorum, monotone (older ignored, not reverted),
positive, a move beyond the bound clamped and widened.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from coincurve import PublicKey

from novate.chain.harness import CHAIN_ID
from novate.model.oracle import Observation
from novate.wire.eip712 import CURVE_ORDER, HALF_ORDER
from novate.wire.round import (
    SignedRound,
    address_of,
    domain_separator,
    observation_digest,
    recover,
    round_digest,
    sign,
    signed_round,
)
from tests.support.oracle import GOVERNOR, USD, OracleBench, node_keys

HONEST = Observation(0, 60_000 * USD, 60_010 * USD, 100)


@pytest.fixture
def bench() -> OracleBench:
    made = OracleBench()
    made.price(1, 0, 60_000 * USD)
    made.advance(10)
    return made


def honest(bench: OracleBench) -> SignedRound:
    return bench.signed(2, [HONEST.pack()])


def test_the_honest_round_is_accepted(bench: OracleBench) -> None:
    assert bench.outcome(honest(bench)) == "accepted"


@pytest.mark.parametrize("field", ["index", "mark", "confidence_ppm", "feed"])
def test_a_changed_price_field_breaks_every_signature(bench: OracleBench, field: str) -> None:
    changed = replace(HONEST, **{field: getattr(HONEST, field) + 1}).pack()
    bent = replace(honest(bench), observations=(changed,))
    assert bench.outcome(bent) == "BadSignature"


def test_an_added_or_dropped_observation_breaks_every_signature(bench: OracleBench) -> None:
    made = honest(bench)
    more = (*made.observations, Observation(1, USD, USD).pack())
    assert bench.outcome(replace(made, observations=more)) == "BadSignature"
    assert bench.outcome(replace(made, observations=())) == "BadSignature"


def test_a_changed_round_or_timestamp_breaks_every_signature(bench: OracleBench) -> None:
    made = honest(bench)
    assert bench.outcome(replace(made, round=3)) == "BadSignature"
    assert bench.outcome(replace(made, timestamp=made.timestamp - 1)) == "BadSignature"


def test_a_round_for_another_chain_or_contract_is_refused(bench: OracleBench) -> None:
    signers = list(enumerate(bench.keys))[:5]
    now = bench.chain.timestamp
    elsewhere = [
        domain_separator(CHAIN_ID + 1, bench.contract.address),
        domain_separator(CHAIN_ID, GOVERNOR),
    ]
    for domain in elsewhere:
        made = signed_round(domain, 2, now, [HONEST.pack()], signers)
        assert bench.outcome(made) == "BadSignature"


def test_the_same_round_does_not_count_at_a_second_oracle_of_the_same_nodes(
    bench: OracleBench,
) -> None:
    twin = bench.chain.deploy("Oracle", GOVERNOR)
    twin.call("set_nodes", bench.addresses, sender=GOVERNOR)
    twin.call("register_feed", 0, sender=GOVERNOR)
    made = honest(bench)
    bench.contract = twin
    assert bench.outcome(made) == "BadSignature"


def test_a_node_s_own_observation_is_not_a_signature_on_the_round(bench: OracleBench) -> None:
    made = honest(bench)
    digest = observation_digest(bench.domain, made.round, made.timestamp, made.observations)
    own = tuple((index, sign(bench.keys[index], digest)) for index in range(5))
    assert bench.outcome(replace(made, signatures=own)) == "BadSignature"


def test_a_flipped_parity_is_refused(bench: OracleBench) -> None:
    made = honest(bench)
    index, (r, packed) = made.signatures[4]
    flipped = (*made.signatures[:4], (index, (r, packed ^ 1 << 255)))
    assert bench.outcome(replace(made, signatures=flipped)) == "BadSignature"


def test_a_high_s_is_refused_even_where_it_recovers_to_a_node(bench: OracleBench) -> None:
    made = honest(bench)
    r, s = made.signatures[4][1][0], HALF_ORDER + 1
    digest = round_digest(bench.domain, made.round, made.timestamp, made.observations)
    raw = r.to_bytes(32, "big") + s.to_bytes(32, "big") + b"\x00"
    holder = address_of(PublicKey.from_signature_and_message(raw, digest, hasher=None))
    nodes = [*bench.addresses[:4], holder, *bench.addresses[5:]]
    bench.contract.call("set_nodes", nodes, sender=GOVERNOR)
    high = (*made.signatures[:4], (4, (r, s)))
    assert s < 2**255  # it fits the compact form, so only the check on s refuses it
    assert recover(digest, r, s) is None
    assert bench.outcome(replace(made, signatures=high)) == "BadSignature"


def test_signers_use_the_low_form_and_its_mirror_is_the_high_one(bench: OracleBench) -> None:
    for _, (_, packed) in honest(bench).signatures:
        assert CURVE_ORDER - packed % 2**255 > HALF_ORDER


def test_a_stranger_s_key_in_a_node_s_place_is_refused(bench: OracleBench) -> None:
    keys = [*bench.keys[:4], node_keys(20)[19]]
    made = signed_round(
        bench.domain, 2, bench.chain.timestamp, [HONEST.pack()], list(enumerate(keys))
    )
    assert bench.outcome(made) == "BadSignature"


def test_one_node_s_signature_does_not_count_twice(bench: OracleBench) -> None:
    made = honest(bench)
    repeated = (*made.signatures[:4], made.signatures[3])
    assert bench.outcome(replace(made, signatures=repeated)) == "DuplicateSigner"
    renamed = (*made.signatures[:4], (4, made.signatures[3][1]))
    assert bench.outcome(replace(made, signatures=renamed)) == "BadSignature"


def test_a_missing_signature_is_no_quorum(bench: OracleBench) -> None:
    made = honest(bench)
    assert bench.outcome(replace(made, signatures=made.signatures[:4])) == "QuorumNotReached"


def test_the_future_and_the_past_are_refused(bench: OracleBench) -> None:
    now = bench.chain.timestamp
    assert bench.outcome(bench.signed(2, [HONEST.pack()], now + 1)) == "FutureRound"
    bench.advance(600)
    assert bench.outcome(bench.signed(2, [HONEST.pack()], now)) == "StaleRound"


def test_a_replayed_round_is_ignored_and_not_reverted(bench: OracleBench) -> None:
    made = honest(bench)
    assert bench.outcome(made) == "accepted"
    before = bench.feed(0)
    bench.advance(10)
    assert bench.outcome(made) == "ignored"
    assert bench.feed(0) == before


def test_prices_are_positive_and_moves_bounded(bench: OracleBench) -> None:
    assert bench.outcome(bench.signed(2, [Observation(0, 0, USD).pack()])) == "ZeroPrice"
    doubled = bench.signed(2, [Observation(0, 120_000 * USD, 60_000 * USD).pack()])
    assert bench.outcome(doubled) == "accepted"
    feed = bench.feed(0)
    assert feed.index == 63_000 * USD
    # the clamped price and its confidence together reach the raw price
    assert feed.index + feed.index * feed.confidence_ppm // 10**6 >= 119_999 * USD
