"""Rule 8: signatures and fills are counted once, on one chain, one contract, one account, one form.

Sources: the public record of signature malleability (EIP-2, Homestead, 2016-03-14) and of replays
across a chain split (Wintermute's and others' proxies on Optimism, 2022-06-05; EthereumPoW,
2022-09-16); an account's wallet that changes its mind (ERC-1271).
"""

from __future__ import annotations

from dataclasses import replace

import pyrevm
import pytest

from novate.chain.harness import GAS_LIMIT
from novate.model.order import IMMEDIATE
from novate.units import WAD
from novate.wire import eip712
from novate.wire.order import SignedFill, SignedOrder, order_words, pack
from tests.support.exchange import (
    MOCKS,
    PRICE,
    Desk,
    account_of,
    address_of,
    as_bytes,
    key_of,
    open_to_anyone,
)

FORKED_CHAIN_ID = 10_001


@pytest.fixture
def desk() -> Desk:
    return Desk()


def outcome(desk: Desk, fill: SignedFill) -> str:
    """The code of a single fill, or ``settled``."""
    return "settled" if desk.settle(fill) else desk.codes()[0]


def with_taker(desk: Desk, taker: SignedOrder) -> SignedFill:
    return SignedFill(taker, desk.signed("maker", -10), 2, PRICE)


def test_a_settled_match_does_not_settle_again(desk: Desk) -> None:
    fill = desk.pair(lots=2)
    assert outcome(desk, fill) == "settled"
    desk.sequence -= 1
    assert outcome(desk, fill) == "ReceiptUsed"
    assert desk.filled("maker") == 2


def test_an_order_does_not_fill_beyond_its_lots_by_repetition(desk: Desk) -> None:
    fill = desk.pair(lots=7)
    assert [outcome(desk, fill) for _ in range(2)] == ["settled", "OverFilled"]


def test_an_immediate_order_does_not_come_back(desk: Desk) -> None:
    fill = with_taker(desk, desk.signed("taker", 10, flags=IMMEDIATE))
    assert [outcome(desk, fill) for _ in range(2)] == ["settled", "NonceUsed"]


@pytest.mark.parametrize(
    "domain",
    [eip712.Domain(1, ""), eip712.Domain(31_337, "0x" + "ee" * 20)],
    ids=["chain", "venue"],
)
def test_a_signature_for_elsewhere_is_refused(desk: Desk, domain: eip712.Domain) -> None:
    order = desk.order("taker", 10)
    there = replace(domain, contract=domain.contract or desk.exchange.address).separator()
    signature = eip712.sign(key_of("taker"), eip712.order_digest(there, order))
    assert outcome(desk, with_taker(desk, SignedOrder(order, *signature))) == "BadSignature"


def test_a_signature_is_good_for_one_account_of_the_owner(desk: Desk) -> None:
    signed = desk.signed("taker", 10)
    other = replace(signed.order, account=account_of("taker", 1))
    assert outcome(desk, with_taker(desk, replace(signed, order=other))) == "BadSignature"


def test_no_field_of_a_signed_order_can_be_changed(desk: Desk) -> None:
    signed = desk.signed("taker", 10)
    changes = {
        "lots": 11,
        "price": PRICE + WAD,
        "max_fee": 2 * WAD,
        "nonce": 2,
        "expiry": signed.order.expiry + 1,
        "revision": 1,
        "exclusive_until": 1,
        "flags": 1,
        "executor": open_to_anyone()["executor"],
    }
    for name, value in changes.items():
        changed = replace(signed, order=replace(signed.order, **{name: value}))
        assert outcome(desk, with_taker(desk, changed)) == "BadSignature", name
    assert outcome(desk, with_taker(desk, signed)) == "settled"


def test_a_second_form_of_a_signature_is_refused(desk: Desk) -> None:
    """n - s does not fit beside the parity; whatever fits above n/2 is refused unseen."""
    signed = desk.signed("taker", 10)
    s = signed.vs & eip712.S_MASK
    mirrored = eip712.CURVE_ORDER - s
    forms = [signed.vs ^ 1 << 255, eip712.HALF_ORDER + 1, eip712.S_MASK, mirrored % 2**256]
    forms += [(mirrored & eip712.S_MASK) | parity << 255 for parity in (0, 1)]
    for vs in forms:
        assert outcome(desk, with_taker(desk, replace(signed, vs=vs))) == "BadSignature"


def test_an_invalid_signature_never_signs_for_the_zero_address(desk: Desk) -> None:
    order = desk.order("taker", 10, account=7)
    for r, vs in ((0, 0), (1, 0), (2**256 - 1, 1)):
        assert outcome(desk, with_taker(desk, SignedOrder(order, r, vs))) == "BadSignature"


def test_signatures_of_before_a_fork_do_not_count_on_the_new_chain(desk: Desk) -> None:
    """The deployed code, met on a chain of another id, asks for other digests."""
    address, env = desk.exchange.address, desk.chain.evm.env
    fork = pyrevm.Env(cfg=pyrevm.CfgEnv(chain_id=FORKED_CHAIN_ID), block=env.block, tx=env.tx)
    evm = pyrevm.EVM(env=fork, spec_id="PRAGUE", gas_limit=GAS_LIMIT * 100)
    evm.insert_account_info(address, desk.chain.evm.basic(address))
    there = eip712.Domain(FORKED_CHAIN_ID, address).separator()
    order = desk.order("taker", 10)
    words = order_words(SignedOrder(order), 0, 0)[:2]
    arguments = (*words, as_bytes(order.account), order.instrument, desk.engine)
    for name, given, expected in (
        ("domain_separator", (), there),
        ("order_digest", arguments, eip712.order_digest(there, order)),
    ):
        call = desk.exchange.abi.encode_call(name, *given)
        found = evm.message_call(desk.engine, address, calldata=call, gas=GAS_LIMIT)
        assert found == expected
        assert found != desk.exchange.view(name, *given)


def test_a_contract_wallet_is_asked_again_at_every_fill(desk: Desk) -> None:
    wallet = desk.chain.deploy("MockWallet", root=MOCKS)
    wallet.call("set_mode", 1)
    order = desk.order("taker", 10, account=int(wallet.address, 16) << 96)
    fill = with_taker(desk, SignedOrder(order, blob=b"blob"))
    assert outcome(desk, fill) == "settled"
    wallet.call("set_mode", 0)
    assert outcome(desk, fill) == "BadSignature"


def test_one_hostile_wallet_does_not_poison_a_batch(desk: Desk) -> None:
    wallet = desk.chain.deploy("MockWallet", root=MOCKS)
    wallet.call("set_mode", 2)
    order = desk.order("taker", 10, account=int(wallet.address, 16) << 96)
    hostile = with_taker(desk, SignedOrder(order, blob=b"blob"))
    assert desk.settle(hostile, desk.pair()) == 0b10
    assert desk.chain.gas_used < 1_500_000


def test_an_order_listed_under_two_accounts_entries_does_not_fill_twice(desk: Desk) -> None:
    """The same account twice in a batch would give its order two lives."""
    fill = desk.pair(lots=10)
    batch = pack([fill])
    maker = as_bytes(account_of("maker"))
    assert maker in batch.accounts
    with pytest.raises(Exception, match="NotAscending"):
        lists = [*batch.accounts, maker], batch.instruments, batch.orders, batch.fills
        desk.exchange.call("settle", b"", *lists, 1, [], sender=address_of("engine"))
