"""Bulk orders: the tree, its proofs, what is signed, and proofs that lie."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from coincurve import PrivateKey
from eth_account import Account
from eth_account.messages import encode_typed_data

from novate.errors import Rejected
from novate.model import bulk as tree
from novate.model.order import Order
from novate.wire import bulk, eip712
from tests.support.wallet import typed_bulk

DOMAIN = eip712.Domain(31_337, "0x" + "ab" * 20)
SEPARATOR = DOMAIN.separator()
KEY = PrivateKey(b"\x07" * 32)
OWNER = eip712.address_of(KEY.public_key)
ACCOUNT = int(OWNER, 16) << 96


def orders(count: int) -> list[Order]:
    return [Order(ACCOUNT, 1, 10 + i, 10**18, 10**18, i, 2**39) for i in range(count)]


def order_of(name: str) -> bytes:
    return eip712.keccak(name.encode())


@pytest.mark.parametrize(
    ("count", "height"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (128, 7), (129, 8), (256, 8)]
)
def test_the_tree_is_as_high_as_its_orders_need(count: int, height: int) -> None:
    assert tree.height_of(count) == bulk.BulkOrders(tuple(orders(count))).height == height


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 16, 17, 200, 256])
def test_every_order_proves_its_place(count: int) -> None:
    signed = bulk.sign_bulk(KEY, SEPARATOR, orders(count))
    for index, order in enumerate(signed.orders):
        share = signed.signature(index)
        assert len(share.siblings) == signed.height
        assert share.root(order) == signed.root
        assert share.signer(SEPARATOR, order) == OWNER
    shares = [signed.signature(index) for index in range(count)]
    assert signed.encoded() == [share.encode() for share in shares]
    assert [bulk.decode(data) for data in signed.encoded()] == shares


def test_no_order_and_too_many_orders_are_refused() -> None:
    for count in (0, 257):
        with pytest.raises(Rejected, match="TooManyItems"):
            bulk.sign_bulk(KEY, SEPARATOR, orders(count) if count < 257 else orders(1) * count)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8])
def test_a_wallet_signs_the_same_digest_and_sees_every_order(count: int) -> None:
    listed = orders(count)
    data = typed_bulk(DOMAIN, listed)
    message = encode_typed_data(full_message=data)
    expected = eip712.keccak(b"\x19" + message.version + message.header + message.body)
    signed = bulk.sign_bulk(KEY, SEPARATOR, listed)
    assert signed.digest(SEPARATOR) == expected
    by_wallet = Account.sign_typed_data(KEY.secret, full_message=data)
    assert (by_wallet.r, by_wallet.s | (by_wallet.v - 27) << 255) == (signed.r, signed.vs)
    for order in listed:
        assert repr(eip712.order_members(order)) in repr(data["message"])


def test_each_height_is_a_type_of_its_own() -> None:
    root = eip712.keccak(b"root")
    heights = range(1, tree.HEIGHT_MAX + 1)
    digests = {bulk.root_digest(SEPARATOR, root, height) for height in heights}
    digests.add(eip712.typed(SEPARATOR, root))
    assert len(digests) == tree.HEIGHT_MAX + 1


def test_a_node_does_not_pass_for_an_order() -> None:
    """The second preimage: the hash of two orders offered as an order of a lower tree."""
    signed = bulk.sign_bulk(KEY, SEPARATOR, orders(4))
    inner = signed.levels[1][0]
    assert tree.climb(inner, 0, signed.signature(0).siblings[1:]) == signed.root
    shorter = bulk.root_digest(SEPARATOR, signed.root, 1)
    assert eip712.recover(shorter, signed.r, signed.vs) != OWNER
    children = signed.levels[0][0] + signed.levels[0][1]
    assert eip712.keccak(children) == inner and len(children) == 64
    assert eip712.packing("Order").size == 384


def test_a_proof_of_the_wrong_height_has_no_signer() -> None:
    signed = bulk.sign_bulk(KEY, SEPARATOR, orders(256))
    share, order = signed.signature(3), signed.orders[3]
    nine = replace(share, siblings=(*share.siblings, order_of("one more")))
    for siblings in ((), nine.siblings):
        assert replace(share, siblings=siblings).signer(SEPARATOR, order) is None
    assert replace(share, siblings=share.siblings[:-1]).signer(SEPARATOR, order) != OWNER


@pytest.mark.parametrize(
    "field",
    [
        {"r": -1},
        {"r": 1 << 256},
        {"vs": -1},
        {"vs": 1 << 256},
        {"index": -1},
        {"index": 256},
        {"siblings": (bytes(31), bytes(32))},
    ],
)
def test_a_share_with_a_field_out_of_range_has_no_signer(field: dict[str, Any]) -> None:
    signed = bulk.sign_bulk(KEY, SEPARATOR, orders(4))
    assert replace(signed.signature(0), **field).signer(SEPARATOR, signed.orders[0]) is None


@pytest.mark.parametrize("level", range(3))
def test_a_changed_sibling_a_changed_side_or_another_order_breaks_the_proof(level: int) -> None:
    signed = bulk.sign_bulk(KEY, SEPARATOR, orders(7))
    share, order = signed.signature(5), signed.orders[5]
    siblings = list(share.siblings)
    siblings[level] = order_of("foreign")
    assert replace(share, siblings=tuple(siblings)).signer(SEPARATOR, order) != OWNER
    assert replace(share, index=5 ^ 1 << level).signer(SEPARATOR, order) != OWNER
    assert share.signer(SEPARATOR, signed.orders[4]) != OWNER
    assert share.signer(SEPARATOR, replace(order, lots=order.lots + 1)) != OWNER
    other = eip712.Domain(1, DOMAIN.contract).separator()
    assert share.signer(other, order) != OWNER


def test_the_same_root_is_signed_neither_alone_nor_for_another_venue() -> None:
    signed = bulk.sign_bulk(KEY, SEPARATOR, orders(2))
    assert eip712.recover(eip712.typed(SEPARATOR, signed.root), signed.r, signed.vs) != OWNER
    assert eip712.recover(signed.root, signed.r, signed.vs) != OWNER


def test_a_blank_leaf_is_nobodys_order() -> None:
    """The place beside a single order proves too, but names no owner who could have signed."""
    signed = bulk.sign_bulk(KEY, SEPARATOR, orders(1))
    share = bulk.BulkSignature(signed.r, signed.vs, 1, (signed.levels[0][0],))
    assert share.signer(SEPARATOR, bulk.BLANK) == OWNER
    assert int(bulk.BLANK.owner, 16) == 0 and bulk.BLANK.size == 0


def test_a_signature_survives_its_bytes() -> None:
    signed = bulk.sign_bulk(KEY, SEPARATOR, orders(200))
    for index in (0, 1, 199):
        share = signed.signature(index)
        packed = share.encode()
        assert len(packed) == bulk.HEAD_BYTES + 8 * 32
        assert bulk.decode(packed) == share


def test_other_bytes_are_no_bulk_signature() -> None:
    packed = bulk.sign_bulk(KEY, SEPARATOR, orders(2)).signature(0).encode()
    others = (
        b"",
        packed[:64],
        packed[:-1],
        packed + b"\0",
        packed[:-32],
        b"\0" + packed[1:],
        packed + bytes(8 * 32),
    )
    assert [bulk.decode(other) for other in others] == [None] * len(others)


def test_trees_share_blobs_and_wallets_have_their_own() -> None:
    compact = bytes(64)
    trees = [bulk.sign_bulk(KEY, SEPARATOR, [order] * 2) for order in orders(17)]
    signatures = [tree.signature(i).encode() for tree in trees for i in range(2)]
    assert bulk.ROOTS_PER_BLOB == 16
    assert bulk.blobs_needed([compact] * 9) == 0
    assert bulk.blobs_needed(signatures[:2]) == bulk.blobs_needed(signatures[:32]) == 1
    assert bulk.blobs_needed([*signatures, compact, b"wallet", b"another"]) == 4
