"""Hand-packed digests equal eth_account's, and fast answers equal slow ones, for any order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from coincurve import PrivateKey
from eth_account.messages import encode_typed_data
from eth_keys import keys
from eth_keys.backends import NativeECCBackend
from eth_keys.exceptions import BadSignature, ValidationError
from hypothesis import given
from hypothesis import strategies as st

from novate.model import bulk as tree
from novate.model.order import ZERO_ADDRESS, Order
from novate.wire import bulk, eip712
from novate.wire.order import SignedOrder
from novate.wire.signing import Checker, Signer
from tests.support.wallet import typed_bulk, typed_cancel, typed_match

KEYS = [PrivateKey(bytes([21 + i]) * 32) for i in range(3)]


def unsigned(bits: int) -> st.SearchStrategy[int]:
    return st.one_of(st.sampled_from([0, 1, (1 << bits) - 1]), st.integers(0, (1 << bits) - 1))


def text_of(address: int) -> str:
    return f"0x{address:040x}"


ORDERS = st.builds(
    Order,
    account=unsigned(256),
    instrument=unsigned(20),
    lots=st.integers(-(2**43) + 1, 2**43 - 1),
    price=unsigned(128),
    max_fee=unsigned(128),
    nonce=unsigned(64),
    expiry=unsigned(40),
    revision=unsigned(16),
    exclusive_until=unsigned(40),
    flags=unsigned(8),
    executor=st.one_of(st.just(ZERO_ADDRESS), unsigned(160).map(text_of)),
)
DOMAINS = st.builds(eip712.Domain, unsigned(64), unsigned(160).map(text_of))
MATCHES = st.builds(
    eip712.Match,
    st.binary(min_size=32, max_size=32),
    st.binary(min_size=32, max_size=32),
    unsigned(64),
    unsigned(128),
    unsigned(64),
    unsigned(40),
)
CANCELS = st.builds(
    eip712.Cancel,
    unsigned(256),
    st.sampled_from(eip712.CANCEL_SCOPES),
    unsigned(64),
    unsigned(40),
)


def eth_account_digest(data: dict[str, Any]) -> bytes:
    message = encode_typed_data(full_message=data)
    return eip712.keccak(b"\x19" + message.version + message.header + message.body)


@given(DOMAINS, ORDERS)
def test_order_digests_equal_eth_accounts(domain: eip712.Domain, order: Order) -> None:
    digest = eip712.order_digest(domain.separator(), order)
    assert digest == eth_account_digest(eip712.typed_data(domain, order))


@given(DOMAINS, MATCHES)
def test_match_digests_equal_eth_accounts(domain: eip712.Domain, match: eip712.Match) -> None:
    digest = eip712.match_digest(domain.separator(), match)
    assert digest == eth_account_digest(typed_match(domain, match))


@given(DOMAINS, CANCELS)
def test_cancel_digests_equal_eth_accounts(domain: eip712.Domain, cancel: eip712.Cancel) -> None:
    digest = eip712.cancel_digest(domain.separator(), cancel)
    assert digest == eth_account_digest(typed_cancel(domain, cancel))


@given(DOMAINS, st.lists(ORDERS, min_size=1, max_size=6))
def test_bulk_digests_equal_eth_accounts(domain: eip712.Domain, orders: list[Order]) -> None:
    digest = bulk.BulkOrders(tuple(orders)).digest(domain.separator())
    assert digest == eth_account_digest(typed_bulk(domain, orders))


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=40), st.data())
def test_a_leaf_climbs_to_the_root_from_its_own_place_only(
    leaves: list[bytes], data: st.DataObject
) -> None:
    blank = bytes(32)
    levels = tree.grow(leaves, blank)
    index = data.draw(st.integers(0, len(leaves) - 1))
    proof = tree.siblings(levels, index)
    assert tree.climb(leaves[index], index, proof) == levels[-1][0]
    other = data.draw(st.integers(0, len(levels[0]) - 1))
    reached = tree.climb(leaves[index], other, proof) == levels[-1][0]
    differing = [i for i in range(len(proof)) if (index ^ other) >> i & 1]
    assert reached == all(proof[i] == levels[i][index >> i] for i in differing)


def recovered_elsewhere(digest: bytes, r: int, vs: int) -> str | None:
    """By another library's own arithmetic, with the contract's bound on s."""
    s = vs & eip712.S_MASK
    if s > eip712.HALF_ORDER:
        return None
    try:
        signature = keys.Signature(vrs=(vs >> 255, r, s))
        key = NativeECCBackend().ecdsa_recover(digest, signature)
    except (BadSignature, ValidationError):
        return None
    return key.to_address()


@given(ORDERS, st.integers(0, 2), st.integers(0, 2), unsigned(8), unsigned(256))
def test_the_checker_answers_as_recovery_does(
    order: Order, key: int, claimed: int, spoilt: int, noise: int
) -> None:
    """Each time asked twice, with the claimed signer's key unknown and known."""
    domain = eip712.Domain(1, "0x" + "11" * 20)
    checker, digest = Checker(domain.separator()), eip712.order_digest(domain.separator(), order)
    signer = eip712.address_of(KEYS[claimed].public_key)
    good = Signer(KEYS[key], domain.separator()).sign(order)
    r = good.r ^ noise if spoilt & 1 else good.r
    vs = good.vs ^ noise << 1 if spoilt & 2 else good.vs ^ (spoilt & 4) << 253
    vs &= (1 << 256) - 1
    expected = recovered_elsewhere(digest, r, vs) == signer
    known = Signer(KEYS[claimed], domain.separator()).sign(replace(order, nonce=0))
    asked = SignedOrder(order, r, vs)
    assert checker.check([asked, known, asked], [signer] * 3) == [expected, True, expected]
