"""Many signatures at once: made and checked as one by one, in any number of threads."""

from __future__ import annotations

from dataclasses import replace

import pytest
from btclib_secp256k1 import ffi, lib
from btclib_secp256k1.context import ctx
from coincurve import PrivateKey, PublicKey

from novate.model.order import Order
from novate.wire import bulk, eip712
from novate.wire.ecrecover import Bounded
from novate.wire.order import SignedOrder
from novate.wire.signing import Checker, Signer

SEPARATOR = eip712.Domain(31_337, "0x" + "ab" * 20).separator()
KEYS = [PrivateKey(bytes([7 + i]) * 32) for i in range(3)]
OWNERS = [eip712.address_of(key.public_key) for key in KEYS]
FLIP = 1 << 255


def order(owner: int, nonce: int) -> Order:
    return Order(int(OWNERS[owner], 16) << 96, 1, 10, 10**18, 10**18, nonce, 2**39)


def signed_orders(count: int) -> tuple[list[SignedOrder], list[str]]:
    signers = [Signer(key, SEPARATOR) for key in KEYS]
    owners = [i % 3 for i in range(count)]
    made = [signers[owner].sign(order(owner, nonce)) for nonce, owner in enumerate(owners)]
    return made, [OWNERS[owner] for owner in owners]


def test_a_signer_signs_what_a_wallet_signs() -> None:
    for nonce in range(20):
        wanted = eip712.sign(KEYS[0], eip712.order_digest(SEPARATOR, order(0, nonce)))
        made = Signer(KEYS[0], SEPARATOR).sign(order(0, nonce))
        assert (made.r, made.vs) == wanted


def test_a_signer_signs_a_tree_once() -> None:
    listed = [order(0, nonce) for nonce in range(5)]
    assert Signer(KEYS[0], SEPARATOR).sign_bulk(listed) == bulk.sign_bulk(
        KEYS[0], SEPARATOR, listed
    )


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_answers_come_in_the_order_of_the_questions(threads: int) -> None:
    orders, signers = signed_orders(100)
    wrong = {0, 17, 50, 99}
    others = [OWNERS[(OWNERS.index(signer) + 1) % 3] for signer in signers]
    asked = [others[i] if i in wrong else signers[i] for i in range(100)]
    with Checker(SEPARATOR, threads) as checker:
        for _ in range(2):  # the keys are unknown, then known
            answers = checker.check(orders, asked)
            assert answers == [i not in wrong for i in range(100)]


def hostile(signed: SignedOrder) -> dict[str, SignedOrder]:
    n, s = eip712.CURVE_ORDER, signed.vs & eip712.S_MASK
    return {
        "another order": replace(signed, order=replace(signed.order, lots=11)),
        "r of zero": replace(signed, r=0),
        "r of the group's order": replace(signed, r=n),
        "r beyond 256 bits": replace(signed, r=1 << 256),
        "negative r": replace(signed, r=-1),
        "s of zero": replace(signed, vs=0),
        "vs of the parity alone": replace(signed, vs=FLIP),
        "vs beyond 256 bits": replace(signed, vs=1 << 256),
        "negative vs": replace(signed, vs=-1),
        "s above half": replace(signed, vs=eip712.HALF_ORDER + 1),
        "s mirrored": replace(signed, vs=(n - s) & eip712.S_MASK),
        "r changed": replace(signed, r=signed.r ^ 1),
        "small r": replace(signed, r=(1 << 129) - 1),
    }


@pytest.mark.parametrize("case", hostile(SignedOrder(order(0, 0))).keys())
def test_a_hostile_signature_is_refused_before_and_after_a_good_one(case: str) -> None:
    good = Signer(KEYS[0], SEPARATOR).sign(order(0, 1))
    bad = hostile(good)[case]
    checker = Checker(SEPARATOR)
    assert checker.check([bad], [OWNERS[0]]) == [False]
    assert checker.check([good, bad, good], [OWNERS[0]] * 3) == [True, False, True]


def test_only_the_parity_that_the_chain_recovers_the_signer_by_passes() -> None:
    checker = Checker(SEPARATOR)
    for nonce in range(8):
        good = Signer(KEYS[0], SEPARATOR).sign(order(0, nonce))
        wrong = replace(good, vs=good.vs ^ FLIP)
        assert checker.check([wrong, good, wrong], [OWNERS[0]] * 3) == [False, True, False]


def test_an_r_that_no_compact_signature_can_tell_does_not_pass() -> None:
    """A point whose x exceeds the group's order verifies, but no chain recovers it from (r, vs)."""
    n = eip712.CURVE_ORDER
    r = next(r for r in range(1, 100) if is_square((r + n) ** 3 + 7))
    digest = eip712.order_digest(SEPARATOR, order(0, 0))
    packed = r.to_bytes(32, "big") + (5).to_bytes(32, "big")
    key = PublicKey.from_signature_and_message(packed + bytes([2]), digest, hasher=None)
    known, signature = ffi.new("secp256k1_pubkey *"), ffi.new("secp256k1_ecdsa_signature *")
    assert lib.secp256k1_ec_pubkey_parse(ctx, known, key.format(), 33)
    assert lib.secp256k1_ecdsa_signature_parse_compact(ctx, signature, packed)
    assert lib.secp256k1_ecdsa_verify(ctx, signature, digest, known), "as an ECDSA signature"
    asked = [SignedOrder(order(0, 0), r, vs) for vs in (5, 5 ^ FLIP)]
    assert Checker(SEPARATOR).check(asked, [eip712.address_of(key)] * 2) == [False, False]


def is_square(value: int) -> bool:
    field = 2**256 - 2**32 - 977
    return pow(value, (field - 1) // 2, field) == 1


def test_a_bulk_order_is_checked_by_its_proof_and_its_root_once() -> None:
    signed = Signer(KEYS[0], SEPARATOR).sign_bulk(order(0, nonce) for nonce in range(9))
    single = [SignedOrder(o, bulk=signed.signature(i)) for i, o in enumerate(signed.orders)]
    checker = Checker(SEPARATOR)
    assert checker.check(single, [OWNERS[0]] * 9) == [True] * 9
    assert len(checker._roots) == 1
    assert checker.check(single, [OWNERS[1]] * 9) == [False] * 9
    assert len(checker._roots) == 1, "a wrong claim is not remembered"
    moved = replace(single[0], bulk=signed.signature(1))
    assert checker.check([moved], [OWNERS[0]]) == [False]
    for siblings in ((), signed.signature(0).siblings * 3):
        share = replace(signed.signature(0), siblings=siblings)
        assert checker.check([replace(single[0], bulk=share)], [OWNERS[0]]) == [False]


def test_a_whole_bulk_is_checked_at_once() -> None:
    signed = Signer(KEYS[0], SEPARATOR).sign_bulk(order(0, nonce) for nonce in range(9))
    checker = Checker(SEPARATOR)
    for _ in range(2):
        assert checker.check_bulk(signed, OWNERS[0])
        assert not checker.check_bulk(signed, OWNERS[1])
        fewer = bulk.BulkOrders(signed.orders[:-1], signed.r, signed.vs)
        assert not checker.check_bulk(fewer, OWNERS[0])


def test_what_a_checker_remembers_is_bounded() -> None:
    orders, signers = signed_orders(30)
    checker = Checker(SEPARATOR, keys_max=2, roots_max=2)
    assert all(checker.check(orders, signers))
    assert len(checker._keys) == 2
    for nonce in range(4):
        signed = Signer(KEYS[0], SEPARATOR).sign_bulk([order(0, nonce)])
        assert checker.check_bulk(signed, OWNERS[0])
    assert len(checker._roots) == 2


def test_the_oldest_entry_is_forgotten_first() -> None:
    known: Bounded[str, int] = Bounded(2)
    for number, name in enumerate(("a", "b", "a", "c")):
        known.put(name, number)
    assert (known.get("a"), known.get("b"), known.get("c")) == (None, 1, 3)
