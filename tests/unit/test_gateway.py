"""The gateway: only what its account signed reaches the journal, and only what that can hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from novate import errors
from novate.engine.admission import signer_of
from novate.errors import Error, Rejected
from novate.limits import SIGNATURE_BLOB_BYTES_MAX
from novate.model.order import IMMEDIATE, Order
from novate.services.gateway import Gateway
from novate.units import WAD
from novate.wire import bulk, eip712, records
from novate.wire.order import SignedOrder
from tests.support.engine import account_of, address_of, key_of

DOMAIN = eip712.Domain(31_337, "0x" + "11" * 20)
SEPARATOR = DOMAIN.separator()
ORDER = Order(account_of("alice"), 1, 5, 60_000 * WAD, WAD, 7, 1_800_000_000)


@pytest.fixture
def gateway() -> Gateway:
    return Gateway(SEPARATOR)


def signed(order: Order, role: str = "alice", separator: bytes = SEPARATOR) -> SignedOrder:
    return SignedOrder(order, *eip712.sign(key_of(role), eip712.order_digest(separator, order)))


def refused(error: Error, call: Callable[..., Any], *arguments: Any) -> None:
    with pytest.raises(Rejected) as caught:
        call(*arguments)
    assert caught.value.error == error


def test_an_order_signed_by_its_owner_becomes_a_command_the_journal_can_hold(
    gateway: Gateway,
) -> None:
    command = gateway.order(signed(ORDER), 5, fill_or_kill=True)
    assert command.digest == eip712.order_digest(SEPARATOR, ORDER)
    assert command.signer.hex() == address_of("alice")[2:]
    assert command.fill_or_kill and command.received_ms == 5
    assert records.decode(*records.encode(command)) == command


def test_an_order_signed_by_a_stranger_is_refused(gateway: Gateway) -> None:
    refused(errors.BadSignature, gateway.order, signed(ORDER, "mallory"), 0)


def test_a_changed_order_is_refused(gateway: Gateway) -> None:
    changed = replace(signed(ORDER), order=replace(ORDER, lots=6))
    refused(errors.BadSignature, gateway.order, changed, 0)


@pytest.mark.parametrize(
    "domain", [replace(DOMAIN, chain_id=1), replace(DOMAIN, contract="0x" + "22" * 20)]
)
def test_an_order_signed_for_another_chain_or_contract_is_refused(
    gateway: Gateway, domain: eip712.Domain
) -> None:
    refused(errors.BadSignature, gateway.order, signed(ORDER, separator=domain.separator()), 0)


def test_an_order_of_a_tree_becomes_a_command_that_proves_its_place(gateway: Gateway) -> None:
    listed = [ORDER, replace(ORDER, nonce=8), replace(ORDER, nonce=9)]
    made = bulk.sign_bulk(key_of("alice"), SEPARATOR, listed)
    for index, order in enumerate(listed):
        command = gateway.order(SignedOrder(order, bulk=made.signature(index)), 5)
        assert command.digest == eip712.order_digest(SEPARATOR, order)
        assert command.signer.hex() == address_of("alice")[2:]
        assert bulk.decode(command.signature) == made.signature(index)
        assert not signer_of(command).wallet
        assert records.decode(*records.encode(command)) == command


@pytest.mark.parametrize(
    "field", [{"index": 2}, {"index": 256}, {"siblings": ()}, {"r": 0}, {"vs": 1 << 256}]
)
def test_an_order_that_its_tree_does_not_hold_is_refused(
    gateway: Gateway, field: dict[str, Any]
) -> None:
    share = bulk.sign_bulk(key_of("alice"), SEPARATOR, [ORDER] * 3).signature(0)
    wrong = SignedOrder(ORDER, bulk=replace(share, **field))
    refused(errors.BadSignature, gateway.order, wrong, 0)
    by_stranger = bulk.sign_bulk(key_of("mallory"), SEPARATOR, [ORDER]).signature(0)
    refused(errors.BadSignature, gateway.order, SignedOrder(ORDER, bulk=by_stranger), 0)


def test_a_wallets_blob_does_not_look_like_a_bulk_signature() -> None:
    blob = bulk.sign_bulk(key_of("alice"), SEPARATOR, [ORDER]).signature(0).encode()
    asked = Gateway(SEPARATOR, lambda owner, digest, blob: True)
    refused(errors.MalformedOrder, asked.order, SignedOrder(ORDER, blob=blob), 0)


@pytest.mark.parametrize(
    ("r", "vs"), [(0, 0), (1, 1), (-1, 1), (1, -1), (1 << 256, 1), (1, 1 << 256), (1, 1 << 300)]
)
def test_a_signature_that_is_none_is_refused(gateway: Gateway, r: int, vs: int) -> None:
    refused(errors.BadSignature, gateway.order, SignedOrder(ORDER, r, vs), 0)


def test_a_malleable_signature_is_refused(gateway: Gateway) -> None:
    good = signed(ORDER)
    s = eip712.CURVE_ORDER - (good.vs & eip712.S_MASK)
    other = good.vs >> 255 ^ 1
    refused(errors.BadSignature, gateway.order, SignedOrder(ORDER, good.r, s | other << 255), 0)


@pytest.mark.parametrize(
    "fields",
    [
        {"account": 0},
        {"account": -1},
        {"account": 1 << 256},
        {"instrument": 0},
        {"instrument": 1 << 20},
        {"lots": 1 << 43},
        {"lots": -(1 << 43)},
        {"price": -1},
        {"price": 1 << 128},
        {"max_fee": -1},
        {"max_fee": 1 << 128},
        {"nonce": -1},
        {"nonce": 1 << 64},
        {"expiry": -1},
        {"expiry": 1 << 40},
        {"exclusive_until": -1},
        {"exclusive_until": 1 << 40},
        {"revision": -1},
        {"revision": 1 << 16},
        {"flags": -1},
        {"flags": 1 << 8},
        {"executor": "0x12"},
        {"executor": "nobody"},
        {"executor": "0x" + "zz" * 20},
        {"executor": "0x" + "AB" * 20},
    ],
)
def test_a_field_out_of_range_is_refused(gateway: Gateway, fields: dict[str, Any]) -> None:
    wrong = SignedOrder(replace(ORDER, **fields), 1, 1)
    refused(errors.MalformedOrder, gateway.order, wrong, 0)


def test_a_session_key_signs_only_where_it_may() -> None:
    helper = address_of("helper")
    gateway = Gateway(SEPARATOR, may_sign=lambda order, key: key == helper and order.immediate)
    order = replace(ORDER, flags=IMMEDIATE)
    assert gateway.order(signed(order, "helper"), 0).signer.hex() == helper[2:]
    refused(errors.BadSignature, gateway.order, signed(ORDER, "helper"), 0)


def test_a_contract_wallet_is_asked_for_its_consent() -> None:
    asked: list[tuple[str, bytes, bytes]] = []
    blob = b"\x01" * 65

    def consents(owner: str, digest: bytes, given: bytes) -> bool:
        asked.append((owner, digest, given))
        return given == blob

    gateway = Gateway(SEPARATOR, consents)
    command = gateway.order(SignedOrder(ORDER, blob=blob), 0)
    assert (command.signature, command.signer.hex()) == (blob, address_of("alice")[2:])
    assert asked == [(address_of("alice"), command.digest, blob)]
    refused(errors.BadSignature, gateway.order, SignedOrder(ORDER, blob=b"\x02" * 65), 0)


def test_no_wallet_is_heard_without_a_chain_to_ask(gateway: Gateway) -> None:
    refused(errors.BadSignature, gateway.order, SignedOrder(ORDER, blob=b"\x01" * 65), 0)


@pytest.mark.parametrize("size", [0, 1, 63, 64, SIGNATURE_BLOB_BYTES_MAX + 1])
def test_a_wallet_signature_that_no_record_holds_is_refused(size: int) -> None:
    gateway = Gateway(SEPARATOR, lambda owner, digest, blob: True)
    refused(errors.MalformedOrder, gateway.order, SignedOrder(ORDER, blob=b"\x01" * size), 0)


@pytest.mark.parametrize("scope", ["nonce", "below", "instrument", "all"])
def test_the_owner_cancels(gateway: Gateway, scope: str) -> None:
    command = gateway.cancel(ORDER.account, scope, 3, address_of("alice"), 9)
    assert (command.scope, command.value, command.received_ms) == (scope, 3, 9)
    assert records.decode(*records.encode(command)) == command


@pytest.mark.parametrize("signer", [address_of("mallory"), "", "0x", "alice", "0x" + "zz" * 20])
def test_a_stranger_cancels_nothing(gateway: Gateway, signer: str) -> None:
    refused(errors.NotOwner, gateway.cancel, ORDER.account, "all", 0, signer, 0)


@pytest.mark.parametrize(
    ("account", "scope", "value"),
    [
        (-1, "all", 0),
        (1 << 256, "all", 0),
        (ORDER.account, "everything", 0),
        (ORDER.account, "x" * 100, 0),
        (ORDER.account, "nonce", -1),
        (ORDER.account, "nonce", 1 << 64),
    ],
)
def test_a_cancel_out_of_range_is_refused(
    gateway: Gateway, account: int, scope: str, value: int
) -> None:
    signer = address_of("alice")
    refused(errors.MalformedOrder, gateway.cancel, account, scope, value, signer, 0)
