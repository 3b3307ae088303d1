from __future__ import annotations

import random

import pytest
from coincurve import PrivateKey
from eth_account import Account
from eth_account.messages import encode_typed_data

from novate import limits
from novate.errors import Rejected
from novate.model.order import IMMEDIATE, POST_ONLY, REDUCE_ONLY, Order
from novate.wire import block, eip712
from novate.wire.order import SignedFill, SignedOrder, fill_word, order_words, pack, receipt_words
from tests.support.wallet import random_order, typed_match

DOMAIN = eip712.Domain(31_337, "0x" + "ab" * 20)
KEY = PrivateKey(b"\x07" * 32)


def test_order_digests_equal_those_of_eth_account() -> None:
    rng = random.Random(1)
    separator = DOMAIN.separator()
    for _ in range(40):
        order = random_order(rng)
        message = encode_typed_data(full_message=eip712.typed_data(DOMAIN, order))
        expected = eip712.keccak(b"\x19" + message.version + message.header + message.body)
        assert eip712.order_digest(separator, order) == expected


def test_match_digests_equal_those_of_eth_account() -> None:
    rng = random.Random(2)
    separator = DOMAIN.separator()
    for _ in range(20):
        match = eip712.Match(
            rng.randbytes(32),
            rng.randbytes(32),
            rng.getrandbits(43),
            rng.getrandbits(128),
            rng.getrandbits(64),
            rng.getrandbits(40),
        )
        message = encode_typed_data(full_message=typed_match(DOMAIN, match))
        expected = eip712.keccak(b"\x19" + message.version + message.header + message.body)
        assert eip712.match_digest(separator, match) == expected


def test_consent_digests_equal_those_of_eth_account() -> None:
    rng = random.Random(5)
    separator = DOMAIN.separator()
    for _ in range(20):
        words = [rng.randbytes(32) for _ in range(3)]
        consent = block.Consent(rng.getrandbits(256), *words, rng.getrandbits(40))
        message = encode_typed_data(full_message=block.typed_consent(DOMAIN, consent))
        expected = eip712.keccak(b"\x19" + message.version + message.header + message.body)
        assert block.consent_digest(separator, consent) == expected


def test_a_wallet_signature_by_eth_account_recovers_to_the_wallet() -> None:
    order = random_order(random.Random(3))
    signed = Account.sign_typed_data(KEY.secret, full_message=eip712.typed_data(DOMAIN, order))
    digest = eip712.order_digest(DOMAIN.separator(), order)
    vs = signed.s | (signed.v - 27) << 255
    assert eip712.recover(digest, signed.r, vs) == Account.from_key(KEY.secret).address.lower()
    assert (signed.r, vs) == eip712.sign(KEY, digest)


def test_every_field_changes_the_digest() -> None:
    rng = random.Random(4)
    order = random_order(rng)
    digests = {eip712.order_digest(DOMAIN.separator(), order)}
    for name in Order.__dataclass_fields__:
        fields = {f: getattr(order, f) for f in Order.__dataclass_fields__}
        fields[name] = "0x" + "01" * 20 if name == "executor" else fields[name] + 1
        digests.add(eip712.order_digest(DOMAIN.separator(), Order(**fields)))
    assert len(digests) == 1 + len(Order.__dataclass_fields__)
    for other in (eip712.Domain(1, DOMAIN.contract), eip712.Domain(31_337, "0x" + "ac" * 20)):
        digests.add(eip712.order_digest(other.separator(), order))
    assert len(digests) == 3 + len(Order.__dataclass_fields__)


def test_the_mirrored_signature_is_refused() -> None:
    """n - s has 256 bits and does not fit beside the parity; what does fit above n/2 is refused."""
    digest = eip712.keccak(b"order")
    r, vs = eip712.sign(KEY, digest)
    signer = eip712.address_of(KEY.public_key)
    assert eip712.recover(digest, r, vs) == signer
    mirrored = eip712.CURVE_ORDER - (vs & eip712.S_MASK)
    assert mirrored > eip712.S_MASK
    for parity in (0, 1):
        assert eip712.recover(digest, r, mirrored & eip712.S_MASK | parity << 255) != signer
        for s in (eip712.HALF_ORDER + 1, eip712.S_MASK):
            assert eip712.recover(digest, r, s | parity << 255) is None
    assert eip712.recover(digest, r, eip712.HALF_ORDER) is not None


@pytest.mark.parametrize(("r", "vs"), [(0, 1), (1, 0), (2**256 - 1, 5), (5, 7)])
def test_a_signature_that_is_no_point_recovers_to_none(r: int, vs: int) -> None:
    assert eip712.recover(eip712.keccak(b"order"), r, vs) is None


def test_order_words_hold_every_field() -> None:
    order = Order(
        account=1,
        instrument=9,
        lots=-7,
        price=11,
        max_fee=13,
        nonce=17,
        expiry=19,
        revision=23,
        exclusive_until=29,
        flags=REDUCE_ONLY | POST_ONLY | IMMEDIATE,
    )
    word, limits, r, vs = order_words(SignedOrder(order, 31, 37), 3, 5)
    layout = (
        (44, 7),
        (40, 19),
        (40, 29),
        (16, 23),
        (8, 5),
        (2, 3),
        (1, 1),
        (1, 1),
        (1, 0),
        (30, 0),
    )
    for bits, value in (*layout, (64, 17), (1, 1), (8, 3)):
        assert word & ((1 << bits) - 1) == value
        word >>= bits
    assert (word, limits, r, vs) == (0, 11 | 13 << 128, 31, 37)


@pytest.mark.parametrize(
    "field", [{"lots": 2**44}, {"nonce": 2**64}, {"price": 2**128}, {"flags": 8}, {"expiry": -1}]
)
def test_a_field_out_of_range_is_malformed(field: dict[str, int]) -> None:
    fields = {"account": 1, "instrument": 1, "lots": 1, "price": 1, "max_fee": 1, "nonce": 1}
    order = Order(**{**fields, "expiry": 1, **field})
    with pytest.raises(Rejected, match="MalformedOrder"):
        order_words(SignedOrder(order), 0, 0)


def test_fills_and_receipts_out_of_range_are_malformed() -> None:
    assert fill_word(1, 2, 3, 5) == 1 | 2 << 8 | 3 << 16 | 5 << 60
    assert receipt_words(7, 11, 13, 17) == (7 | 11 << 64, 13, 17)
    for arguments in ((256, 0, 1, 1), (0, 0, 2**44, 1), (0, 0, 1, 2**128), (0, 0, -1, 1)):
        with pytest.raises(Rejected, match="MalformedOrder"):
            fill_word(*arguments)
    with pytest.raises(Rejected, match="MalformedOrder"):
        receipt_words(2**64, 0, 0, 0)


def simple(account: int, nonce: int, lots: int = 1, blob: bytes | None = None) -> SignedOrder:
    return SignedOrder(Order(account, 1, lots, 1, 1, nonce, 1), 5, 6, blob)


def test_a_batch_lists_each_order_once_and_sorted() -> None:
    makers = [simple(9, 2, -1), simple(9, 1, -1)]
    takers = [simple(4, 8, 1, b"blob"), simple(4, 7)]
    fills = [SignedFill(t, m, 1, 1) for t in takers for m in makers]
    batch = pack(fills)
    assert batch.accounts == [(4).to_bytes(32, "big"), (9).to_bytes(32, "big")]
    assert [word[0] >> 183 & (2**64 - 1) for word in batch.orders] == [7, 8, 1, 2]
    assert [(f & 255, f >> 8 & 255) for f in batch.fills] == [(1, 3), (1, 2), (0, 3), (0, 2)]
    assert batch.blobs == [b"blob"]


def test_two_revisions_of_an_order_do_not_meet_in_a_batch() -> None:
    first, second = simple(4, 7), SignedOrder(Order(4, 1, 1, 2, 1, 7, 1, revision=1), 5, 6)
    fills = [SignedFill(first, simple(9, 1, -1), 1, 1), SignedFill(second, simple(9, 2, -1), 1, 1)]
    with pytest.raises(Rejected, match="StaleRevision"):
        pack(fills)


def test_a_batch_beyond_its_bounds_is_refused() -> None:
    most, orders = limits.FILLS_PER_BATCH_MAX, limits.ORDERS_PER_BATCH_MAX
    fills = [SignedFill(simple(4, i), simple(9, i // 10, -1), 1, 1) for i in range(most + 1)]
    assert len(pack(fills[:most]).fills) == most
    with pytest.raises(Rejected, match="TooManyItems"):
        pack(fills)
    pairs = [SignedFill(simple(4, i), simple(9, i, -1), 1, 1) for i in range(orders // 2 + 1)]
    assert len(pack(pairs[:-1]).orders) == orders < 2 * most
    with pytest.raises(Rejected, match="TooManyItems"):
        pack(pairs)
