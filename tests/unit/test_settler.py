"""What the settler makes of an order's record."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from novate.model.order import Order
from novate.services.batch_call import signed
from novate.services.gateway import Gateway
from novate.units import WAD
from novate.wire import bulk, eip712
from novate.wire.order import SignedOrder
from tests.support.engine import account_of, key_of

SEPARATOR = eip712.Domain(31_337, "0x" + "11" * 20).separator()
ORDER = Order(account_of("alice"), 1, 5, 60_000 * WAD, WAD, 7, 1_800_000_000)


def test_a_compact_signature_goes_to_the_chain_with_its_right_parity() -> None:
    for nonce in range(6):
        order = replace(ORDER, nonce=nonce)
        right = eip712.sign(key_of("alice"), eip712.order_digest(SEPARATOR, order))
        placed = Gateway(SEPARATOR).order(SignedOrder(order, *right), 0)
        flipped = (
            placed.signature[:32] + bytes([placed.signature[32] ^ 128]) + placed.signature[33:]
        )
        for signature in (placed.signature, flipped):
            found = signed(msgspec.structs.replace(placed, signature=signature))
            assert found == SignedOrder(order, *right)


def test_a_share_of_a_tree_and_a_wallets_blob_stay_what_they_are() -> None:
    share = bulk.sign_bulk(key_of("alice"), SEPARATOR, [ORDER] * 3).signature(2)
    placed = Gateway(SEPARATOR).order(SignedOrder(ORDER, bulk=share), 0)
    assert signed(placed) == SignedOrder(ORDER, bulk=share)
    blob = b"a wallet's own" * 10
    asked = Gateway(SEPARATOR, lambda owner, digest, blob: True)
    placed = asked.order(SignedOrder(ORDER, blob=blob), 0)
    assert signed(placed) == SignedOrder(ORDER, blob=blob)
