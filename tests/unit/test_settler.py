"""What the settler makes of an order's record."""

from __future__ import annotations

from dataclasses import replace

import pytest

from novate.errors import BadSignature, Rejected
from novate.model.order import Order
from novate.services.batch_call import signed
from novate.services.gateway import Gateway
from novate.units import WAD
from novate.wire import bulk, eip712
from novate.wire.order import SignedOrder
from tests.support.engine import account_of, key_of

SEPARATOR = eip712.Domain(31_337, "0x" + "11" * 20).separator()
ORDER = Order(account_of("alice"), 1, 5, 60_000 * WAD, WAD, 7, 1_800_000_000)


def test_a_compact_signature_goes_to_the_chain_as_the_gateway_has_taken_it() -> None:
    for nonce in range(6):
        order = replace(ORDER, nonce=nonce)
        right = eip712.sign(key_of("alice"), eip712.order_digest(SEPARATOR, order))
        assert signed(Gateway(SEPARATOR).order(SignedOrder(order, *right), 0)) == SignedOrder(
            order, *right
        )
        with pytest.raises(Rejected) as refused:
            Gateway(SEPARATOR).order(SignedOrder(order, right[0], right[1] ^ 1 << 255), 0)
        assert refused.value.error is BadSignature


def test_a_share_of_a_tree_and_a_wallets_blob_stay_what_they_are() -> None:
    share = bulk.sign_bulk(key_of("alice"), SEPARATOR, [ORDER] * 3).signature(2)
    placed = Gateway(SEPARATOR).order(SignedOrder(ORDER, bulk=share), 0)
    assert signed(placed) == SignedOrder(ORDER, bulk=share)
    blob = b"a wallet's own" * 10
    asked = Gateway(SEPARATOR, lambda owner, digest, blob: True)
    placed = asked.order(SignedOrder(ORDER, blob=blob), 0)
    assert signed(placed) == SignedOrder(ORDER, blob=blob)
