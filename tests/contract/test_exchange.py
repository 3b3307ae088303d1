"""Every entry of the Exchange: happy path, each rejection, event."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from novate import errors
from novate.chain.compile import compile_contract
from novate.chain.harness import CallReverted, actor
from novate.errors import Error, Rejected
from novate.model.order import IMMEDIATE, POST_ONLY, REDUCE_ONLY
from novate.units import PPM, WAD
from novate.wire import eip712
from novate.wire.order import SignedFill, pack
from tests.support.exchange import (
    BTC,
    ETH,
    MOCKS,
    PRICE,
    TERMS,
    Desk,
    account_of,
    address_of,
    as_bytes,
    open_to_anyone,
)

OPTION_RATES = 300 << 64 | 1_250 << 80
BAD_SIGNATURE_CASES = {
    "another signer": {"signer": "thief"},
    "another chain": {"domain": eip712.Domain(1, "")},
    "another contract": {"domain": eip712.Domain(31_337, "0x" + "ee" * 20)},
}


@pytest.fixture
def desk() -> Desk:
    return Desk()


def reject(error: Error) -> Any:
    return pytest.raises(Rejected, match=error.name)


def test_the_contract_fits_its_size_budget() -> None:
    assert compile_contract("Exchange").runtime_size_bytes <= 22_000


def test_a_match_becomes_one_trade_with_fees_rounded_up(desk: Desk) -> None:
    price = PRICE + WAD // 2
    taker = desk.signed("taker", 10, price=price)
    maker = desk.signed("maker", -10, flags=POST_ONLY | REDUCE_ONLY)
    assert desk.settle(SignedFill(taker, maker, 4, price)) == 1
    accounts = sorted((account_of("taker"), account_of("maker")))
    index = {account: i for i, account in enumerate(accounts)}
    notional = 4 * price * TERMS[BTC].lot_size // WAD
    word = index[account_of("taker")] | index[account_of("maker")] << 8
    flags = 1 | 4
    expected = word | flags << 24 | 4 << 32 | price << 76
    fees = -(-notional * 400 // PPM) | -(-notional * 100 // PPM) << 128
    assert desk.trades() == [(expected, fees)]
    assert [desk.ledger.view("accounts", i) for i in (0, 1)] == [as_bytes(a) for a in accounts]
    assert desk.ledger.view("instruments", 0) == BTC


def test_a_settled_fill_logs_sides_sequence_and_terms(desk: Desk) -> None:
    desk.sequence = 77
    taker = desk.signed("taker", -10, instrument=ETH, price=PRICE)
    maker = desk.signed("maker", 10, instrument=ETH, price=PRICE)
    desk.settle(SignedFill(taker, maker, 4, PRICE))
    fill, batch = (e for e in desk.chain.events() if e.name in ("Fill", "BatchSettled"))
    assert fill.arguments == {
        "maker": as_bytes(account_of("maker")),
        "taker": as_bytes(account_of("taker")),
        "word": 77 | ETH << 64 | (2**44 - 4) << 84 | PRICE << 128,
    }
    assert batch.arguments["executor"].lower() == desk.engine
    assert {k: batch.arguments[k] for k in ("first_sequence", "count", "settled")} == {
        "first_sequence": 77,
        "count": 1,
        "settled": 1,
    }
    assert desk.exchange.view("sequence_settled", desk.engine, 77)
    assert not desk.exchange.view("sequence_settled", desk.engine, 78)
    assert not desk.exchange.view("sequence_settled", actor("other engine"), 77)


def test_lots_add_up_until_the_order_is_full(desk: Desk) -> None:
    fill = desk.pair(lots=4)
    assert desk.settle(fill, fill) == 3
    assert (desk.filled("taker"), desk.filled("maker")) == (8, 8)
    assert desk.settle(fill) == 0
    assert desk.codes() == {0: "OverFilled"}
    assert desk.settle(replace(fill, lots=2)) == 1
    assert (desk.filled("taker"), desk.filled("maker")) == (10, 10)


def test_lots_run_within_a_batch(desk: Desk) -> None:
    fill = desk.pair(lots=6)
    assert desk.settle(fill, fill, replace(fill, lots=4)) == 0b101
    assert desk.codes() == {1: "OverFilled"}
    assert desk.filled("maker") == 10


def test_four_nonces_share_a_word_without_mixing(desk: Desk) -> None:
    fills = []
    for nonce in range(9):
        taker = desk.signed("taker", 10, nonce=nonce)
        fills.append(SignedFill(taker, desk.signed("maker", -10, nonce=nonce), nonce + 1, PRICE))
    assert desk.settle(*fills) == 2**9 - 1
    assert [desk.filled("taker", nonce) for nonce in range(9)] == list(range(1, 10))


@pytest.mark.parametrize("case", BAD_SIGNATURE_CASES)
def test_a_bad_signature_skips_the_fill(desk: Desk, case: str) -> None:
    order = desk.order("taker", 10)
    chosen = BAD_SIGNATURE_CASES[case]
    if "domain" in chosen:
        domain = chosen["domain"]
        desk.separator = replace(
            domain, contract=domain.contract or desk.exchange.address
        ).separator()
    signed = desk.sign(order, chosen.get("signer", "taker"))
    desk.separator = desk.domain.separator()
    assert desk.settle(SignedFill(signed, desk.signed("maker", -10), 5, PRICE)) == 0
    assert desk.codes() == {0: "BadSignature"}


FILL_CASES: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "OrderExpired": ({"expiry": 1_759_999_999}, {}, {}),
    "ZeroLots": ({}, {}, {"lots": 0}),
    "SameSide": ({"lots": -10}, {}, {}),
    "InstrumentMismatch": ({"instrument": ETH}, {}, {}),
    "LimitPrice": ({"price": PRICE - 1}, {}, {}),
    "PostOnly": ({"flags": POST_ONLY}, {}, {}),
    "OverFilled": ({}, {}, {"lots": 11}),
    "MalformedOrder": ({"lots": 2**43}, {}, {}),
    "FeeAboveMax": ({"max_fee": 24 * WAD // 1000 - 1}, {}, {}),
    "BadSignature": ({"executor": "0x" + "77" * 20}, {}, {}),
}


@pytest.mark.parametrize("code", FILL_CASES)
def test_a_fill_bad_in_itself_is_skipped_and_the_rest_goes_on(desk: Desk, code: str) -> None:
    taker_fields, maker_fields, fill_fields = FILL_CASES[code]
    lots = taker_fields.get("lots", 10)
    fields = {k: v for k, v in taker_fields.items() if k != "lots"}
    bad = SignedFill(
        desk.signed("taker", lots, nonce=2, **fields),
        desk.signed("maker", -10, nonce=2, **maker_fields),
        fill_fields.get("lots", 5),
        PRICE,
    )
    assert desk.settle(bad, desk.pair()) == 0b10
    assert desk.codes() == {0: code}
    assert (desk.filled("taker", 2), desk.filled("taker", 1)) == (0, 5)
    assert not desk.exchange.view("sequence_settled", desk.engine, 1)
    assert desk.exchange.view("sequence_settled", desk.engine, 2)


def test_the_makers_limit_and_fee_count_as_much_as_the_takers(desk: Desk) -> None:
    taker = desk.signed("taker", 10, price=2 * PRICE)
    dear = desk.signed("maker", -10, nonce=2, price=PRICE + 1)
    mean = desk.signed("maker", -10, nonce=3, max_fee=6 * WAD // 1000 - 1)
    fair = desk.signed("maker", -10, nonce=4, max_fee=6 * WAD // 1000)
    fills = [SignedFill(taker, maker, 2, PRICE) for maker in (dear, mean, fair)]
    assert desk.settle(*fills) == 0b100
    assert desk.codes() == {0: "LimitPrice", 1: "FeeAboveMax"}


def test_a_selling_taker_gets_its_limit_or_better(desk: Desk) -> None:
    taker, maker = desk.signed("taker", -10), desk.signed("maker", 10, price=PRICE + WAD)
    fills = [SignedFill(taker, maker, 2, PRICE + d * WAD) for d in (-1, 0, 1, 2)]
    assert desk.settle(*fills) == 0b0110
    assert desk.codes() == {0: "LimitPrice", 3: "LimitPrice"}


def test_what_the_ledger_refuses_leaves_the_orders_open(desk: Desk) -> None:
    """Off tick, unknown instrument and margin are the ledger's business: it alone codes them."""
    desk.ledger.call("set_refused", 0b01)
    fill = desk.pair(lots=6)
    zero = replace(fill, lots=0)
    assert desk.settle(zero, fill, replace(fill, lots=4)) == 0b100
    assert desk.codes() == {0: "ZeroLots"}
    assert desk.filled("maker") == 4
    desk.ledger.call("set_refused", 0)
    assert desk.settle(fill) == 1
    assert desk.filled("maker") == 10


def test_an_unlisted_instrument_goes_to_the_ledger_with_no_fee(desk: Desk) -> None:
    desk.ledger.call("set_refused", 1)
    assert desk.settle(desk.pair(instrument=9)) == 0
    assert [fees for _, fees in desk.trades()] == [0]


def test_the_ledger_is_not_called_when_no_fill_is_good(desk: Desk) -> None:
    assert desk.settle(replace(desk.pair(), lots=0)) == 0
    assert desk.ledger.view("calls") == 0


def test_an_immediate_order_settles_in_one_batch_only(desk: Desk) -> None:
    taker = desk.signed("taker", 6, flags=IMMEDIATE, nonce=130)
    makers = [desk.signed("maker", -10, nonce=n) for n in (1, 2, 3)]
    assert desk.settle(*(SignedFill(taker, maker, 3, PRICE) for maker in makers[:2])) == 3
    assert desk.settle(SignedFill(taker, makers[2], 3, PRICE)) == 0
    assert desk.codes() == {0: "NonceUsed"}
    account = as_bytes(account_of("taker"))
    assert desk.exchange.view("order_state", account, 130)[2] == 1
    assert desk.exchange.view("order_state", account, 131)[2] == 0
    neighbour = desk.signed("taker", 10, flags=IMMEDIATE, nonce=131)
    assert desk.settle(SignedFill(neighbour, makers[2], 3, PRICE)) == 1


def test_what_is_left_of_an_immediate_order_settles_by_receipt_only(desk: Desk) -> None:
    taker, matched_at = desk.signed("taker", 10, flags=IMMEDIATE, nonce=130), desk.now
    fill = SignedFill(taker, desk.signed("maker", -10), 4, PRICE)
    assert desk.settle(fill) == 1
    assert desk.settle(fill) == 0
    assert desk.codes() == {0: "NonceUsed"}
    desk.chain.advance(30)
    assert desk.settle_by_receipt(fill, fill, matched_at=matched_at) == 1
    assert desk.codes() == {1: "OverFilled"}
    pair, lane = desk.exchange.view("order_state", as_bytes(account_of("taker")), 130)[2:]
    assert (pair, lane & (2**44 - 1)) == (3, 8)


def test_an_edit_shares_the_lots_its_nonce_has_filled(desk: Desk) -> None:
    maker = desk.signed("maker", -10)
    edited = desk.signed("maker", -12, revision=2, price=PRICE - WAD)
    taker = desk.signed("taker", 100)
    assert desk.settle(SignedFill(taker, maker, 6, PRICE)) == 1
    assert desk.settle(SignedFill(taker, edited, 7, PRICE)) == 0
    assert desk.codes() == {0: "OverFilled"}
    assert desk.settle(SignedFill(taker, edited, 5, PRICE)) == 1
    assert desk.filled("maker") == 11
    assert desk.settle(SignedFill(taker, maker, 1, PRICE)) == 0
    assert desk.codes() == {0: "StaleRevision"}


def test_only_an_approved_executor_settles_orders_that_name_one(desk: Desk) -> None:
    fill = desk.pair(executor=address_of("stranger"))
    assert desk.settle(fill, caller="stranger") == 0
    assert desk.codes() == {0: "NotExecutor"}
    desk.govern("set_executor", desk.engine, False)
    assert desk.settle(desk.pair()) == 0
    assert desk.codes() == {0: "NotExecutor"}


def test_anyone_settles_open_orders_once_both_exclusive_times_are_over(desk: Desk) -> None:
    taker = desk.signed("taker", 10, exclusive_until=desk.now + 10, **open_to_anyone())
    fill = SignedFill(taker, desk.signed("maker", -10, **open_to_anyone()), 2, PRICE)
    assert desk.settle(fill, caller="stranger") == 0
    assert desk.codes() == {0: "NotExecutor"}
    assert desk.settle(fill) == 1
    desk.chain.advance(10)
    assert desk.settle(fill, caller="stranger") == 1
    assert desk.filled("maker") == 4


def test_a_stranger_cannot_use_up_the_engines_sequences(desk: Desk) -> None:
    fill = desk.pair(lots=2, **open_to_anyone())
    desk.sequence = 5
    assert desk.settle(fill, caller="stranger") == 1
    desk.sequence = 5
    assert desk.settle(fill) == 1


def test_a_stranger_cannot_speak_for_the_engine(desk: Desk) -> None:
    batch = pack([desk.pair()])
    lists = batch.accounts, batch.instruments, batch.orders, batch.fills
    with reject(errors.NotExecutor):
        arguments = (b"", *lists, 1, [], desk.engine)
        desk.exchange.call("settle", *arguments, sender=address_of("stranger"))


def test_orders_out_of_order_or_twice_are_refused(desk: Desk) -> None:
    batch = pack([desk.pair()])
    for orders in (batch.orders[::-1], [batch.orders[0], batch.orders[0]]):
        lists = batch.accounts, batch.instruments, orders, batch.fills
        with reject(errors.NotAscending):
            desk.exchange.call("settle", b"", *lists, 1, [], sender=desk.engine)


def test_accounts_and_instruments_ascend(desk: Desk) -> None:
    batch = pack([desk.pair()])
    twice, ids = batch.accounts[:1] * 2, [BTC, BTC]
    for accounts, instruments in ((twice, [BTC]), (batch.accounts, ids), (batch.accounts, [0])):
        lists = accounts, instruments, batch.orders, batch.fills
        with reject(errors.NotAscending):
            desk.exchange.call("settle", b"", *lists, 1, [], sender=desk.engine)


def test_an_index_beyond_its_list_reverts(desk: Desk) -> None:
    batch = pack([desk.pair()])
    broken = (
        (batch.accounts[:1], [BTC], batch.orders, batch.fills),
        (batch.accounts, [], batch.orders, batch.fills),
        (batch.accounts, [BTC], batch.orders[:1], batch.fills),
    )
    for lists in broken:
        with pytest.raises(CallReverted):
            desk.exchange.call("settle", b"", *lists, 1, [], sender=desk.engine)


def test_a_sequence_out_of_range_is_refused(desk: Desk) -> None:
    desk.sequence = 2**63
    with reject(errors.OutOfBounds):
        desk.settle(desk.pair())


def test_sequences_across_two_words_are_kept_apart(desk: Desk) -> None:
    desk.sequence = 254
    fill = desk.pair(lots=1)
    assert desk.settle(fill, replace(fill, lots=0), fill, fill) == 0b1101
    settled = [s for s in range(250, 262) if desk.exchange.view("sequence_settled", desk.engine, s)]
    assert settled == [254, 256, 257]
    desk.sequence = 253
    assert desk.settle(fill, fill, fill, fill) == 0b0101
    assert desk.codes() == {1: "ReceiptUsed", 3: "ReceiptUsed"}


def round_call(desk: Desk, number: int) -> bytes:
    return desk.oracle.abi.encode_call("post_round", number, desk.now, [], 0, [])


def test_the_round_is_posted_before_the_fills(desk: Desk) -> None:
    assert desk.settle(desk.pair(), round_call=round_call(desk, 9)) == 1
    assert desk.oracle.view("round") == 9


def test_a_round_the_oracle_refuses_reverts_the_batch(desk: Desk) -> None:
    with reject(errors.StaleRound):
        desk.settle(desk.pair(), round_call=round_call(desk, 0))
    assert desk.filled("maker") == 0


@pytest.mark.parametrize("call", [b"\x01", b"\x01\x02\x03\x04\x05"])
def test_no_other_call_reaches_the_oracle(desk: Desk, call: bytes) -> None:
    with reject(errors.OutOfBounds):
        desk.settle(desk.pair(), round_call=call)


def test_receipts_settle_what_the_engine_left(desk: Desk) -> None:
    matched_at = desk.now
    fill = desk.pair()
    assert desk.settle_by_receipt(fill, matched_at=matched_at) == 0
    assert desk.codes() == {0: "NotExecutor"}
    desk.chain.advance(30)
    assert desk.settle_by_receipt(fill, fill, matched_at=matched_at) == 3
    batch = next(e for e in desk.chain.events() if e.name == "BatchSettled")
    assert batch.arguments["executor"].lower() == desk.engine
    assert desk.filled("maker") == 10


def test_a_receipt_and_its_match_settle_once_between_them(desk: Desk) -> None:
    fill, matched_at = desk.pair(lots=2), desk.now
    assert desk.settle(fill) == 1
    desk.chain.advance(30)
    assert desk.settle_by_receipt(fill, matched_at=matched_at, sequence=1) == 0
    assert desk.codes() == {0: "ReceiptUsed"}
    assert desk.settle_by_receipt(fill, matched_at=matched_at, sequence=2) == 1
    desk.sequence = 2
    assert desk.settle(fill) == 0
    assert desk.codes() == {0: "ReceiptUsed"}


def test_a_receipt_covers_exactly_its_match(desk: Desk) -> None:
    fill, matched_at = desk.pair(), desk.now
    desk.chain.advance(60)
    proof = desk.receipt(fill, 1, matched_at)
    changed = {
        "lots": (replace(fill, lots=6), proof),
        "price": (replace(fill, price=PRICE), (proof[0], *desk.receipt(fill, 2, matched_at)[1:])),
        "time": (fill, (proof[0] - (1 << 64), *proof[1:])),
        "signer": (fill, desk.receipt(fill, 1, matched_at, "thief")),
        "sides": (SignedFill(fill.maker, fill.taker, 5, PRICE), proof),
    }
    for name, (given, receipt) in changed.items():
        batch = pack([given])
        lists = batch.accounts, batch.instruments, batch.orders, batch.fills
        arguments = (b"", *lists, 0, [], desk.engine, [receipt])
        assert desk.exchange.call("settle", *arguments, sender=address_of("stranger")) == 0, name
        assert desk.codes() == {0: "BadReceipt"}, name


def test_receipts_ascend_and_match_the_fills_in_number(desk: Desk) -> None:
    fill, matched_at = desk.pair(lots=1), desk.now
    desk.chain.advance(60)
    batch = pack([fill, fill])
    lists = batch.accounts, batch.instruments, batch.orders, batch.fills
    proof = desk.receipt(fill, 4, matched_at)
    with reject(errors.NotAscending):
        desk.exchange.call("settle", b"", *lists, 0, [], desk.engine, [proof, proof])
    with reject(errors.BadReceipt):
        desk.exchange.call("settle", b"", *lists, 0, [], desk.engine, [proof])
    with reject(errors.BadReceipt):
        desk.settle_by_receipt(fill, matched_at=matched_at, signer="x", executor=address_of("x"))


def test_single_matches_of_an_immediate_order_settle_by_receipt_each(desk: Desk) -> None:
    taker = desk.signed("taker", 10, flags=IMMEDIATE)
    one, two = (SignedFill(taker, desk.signed("maker", -10, nonce=n), 4, PRICE) for n in (1, 2))
    matched_at = desk.now
    desk.chain.advance(30)
    assert desk.settle_by_receipt(one, matched_at=matched_at) == 1
    assert desk.settle_by_receipt(two, matched_at=matched_at) == 1
    assert desk.settle_by_receipt(two, matched_at=matched_at) == 0
    assert desk.codes() == {0: "OverFilled"}
    lane = desk.exchange.view("order_state", as_bytes(account_of("taker")), 1)
    assert (lane[0], lane[2], lane[3] & (2**44 - 1)) == (0, 2, 8)
    assert desk.settle(replace(two, lots=2)) == 1
    assert desk.settle(replace(one, lots=1)) == 0
    assert desk.codes() == {0: "NonceUsed"}


def test_cancel_is_logged_and_cannot_be_put_off(desk: Desk) -> None:
    account = as_bytes(account_of("maker"))
    desk.exchange.call("cancel", account, 1, sender=address_of("maker"))
    event = desk.chain.events()[0]
    effective = desk.now + 60
    assert (event.name, event.arguments) == (
        "OrderCancelled",
        {"account": account, "nonce": 1, "effective": effective},
    )
    assert desk.exchange.view("order_state", account, 1)[:2] == (1 << 60, effective)
    desk.chain.advance(30)
    with reject(errors.OrderCancelled):
        desk.exchange.call("cancel", account, 1, sender=address_of("maker"))
    desk.chain.advance(30)
    assert desk.settle(desk.pair()) == 0
    assert desk.codes() == {0: "OrderCancelled"}


def test_cancel_below_takes_resting_and_immediate_orders(desk: Desk) -> None:
    account, owner = as_bytes(account_of("maker")), address_of("maker")
    desk.exchange.call("cancel_below", account, 5, sender=owner)
    assert desk.chain.events()[0].arguments == {
        "account": account,
        "nonce": 5,
        "effective": desk.now + 60,
    }
    assert desk.exchange.view("cancelled_below", account) == 0
    desk.chain.advance(60)
    assert desk.exchange.view("cancelled_below", account) == 5
    taker = desk.signed("taker", 100)
    makers = [desk.signed("maker", -1, nonce=4), desk.signed("maker", -1, nonce=5)]
    makers += [replace_flags(desk, nonce) for nonce in (4, 5)]
    assert desk.settle(*(SignedFill(taker, m, 1, PRICE) for m in makers)) == 0b1010
    assert desk.codes() == {0: "OrderCancelled", 2: "OrderCancelled"}


def replace_flags(desk: Desk, nonce: int) -> Any:
    return desk.signed("maker", -1, nonce=nonce, flags=IMMEDIATE)


def test_cancel_below_only_rises_once_a_notice(desk: Desk) -> None:
    account, owner = as_bytes(account_of("maker")), address_of("maker")
    desk.exchange.call("cancel_below", account, 5, sender=owner)
    with reject(errors.NotYet):
        desk.exchange.call("cancel_below", account, 9, sender=owner)
    desk.chain.advance(60)
    for nonce in (0, 5):
        with reject(errors.OrderCancelled):
            desk.exchange.call("cancel_below", account, nonce, sender=owner)
    desk.exchange.call("cancel_below", account, 9, sender=owner)
    assert desk.exchange.view("cancelled_below", account) == 5


def test_only_the_owner_cancels(desk: Desk) -> None:
    account = as_bytes(account_of("maker"))
    for function in ("cancel", "cancel_below"):
        with reject(errors.NotOwner):
            desk.exchange.call(function, account, 1, sender=address_of("thief"))
        with reject(errors.OutOfBounds):
            desk.exchange.call(function, account, 2**64, sender=address_of("maker"))


def test_a_contract_wallet_signs_by_blob(desk: Desk) -> None:
    wallet = desk.chain.deploy("MockWallet", root=MOCKS)
    wallet.call("set_mode", 1)
    order = desk.order("taker", 10, account=int(wallet.address, 16) << 96)
    taker = replace(desk.sign(order, "taker"), blob=b"approved")
    fill = SignedFill(taker, desk.signed("maker", -10), 5, PRICE)
    assert desk.settle(fill) == 1
    assert desk.settle(replace(fill, taker=replace(taker, blob=b""))) == 0
    assert desk.codes() == {0: "BadSignature"}
    for mode in (0, 2):
        wallet.call("set_mode", mode)
        assert desk.settle(fill) == 0
        assert desk.codes() == {0: "BadSignature"}


def test_an_account_without_code_does_not_sign_by_blob(desk: Desk) -> None:
    taker = replace(desk.signed("taker", 10), blob=b"approved")
    assert desk.settle(SignedFill(taker, desk.signed("maker", -10), 5, PRICE)) == 0
    assert desk.codes() == {0: "BadSignature"}


def test_a_wallets_consent_can_be_confirmed_by_anyone(desk: Desk) -> None:
    wallet = desk.chain.deploy("MockWallet", root=MOCKS)
    digest = b"\x05" * 32
    with reject(errors.BadSignature):
        desk.exchange.call("confirm_wallet", wallet.address, digest, b"blob")
    wallet.call("set_mode", 1)
    desk.exchange.call("confirm_wallet", wallet.address, digest, b"blob")
    event = desk.chain.events()[0]
    assert event.name == "WalletConfirmed"
    assert (event.arguments["digest"], event.arguments["until"]) == (digest, desk.now + 60)


def test_digests_and_domain_equal_the_wires(desk: Desk) -> None:
    assert desk.exchange.view("domain_separator") == desk.separator
    order = desk.order("maker", -10, nonce=2**64 - 1, revision=3, flags=POST_ONLY | IMMEDIATE)
    words = pack([SignedFill(desk.signed("taker", 5), desk.sign(order, "maker"), 1, PRICE)])
    row = next(w for w in words.orders if w[0] >> 247 & 1)
    found = desk.exchange.view("order_digest", *row[:2], as_bytes(order.account), BTC, desk.engine)
    assert found == eip712.order_digest(desk.separator, order)


def test_fees_are_bounded_and_set_by_the_governor(desk: Desk) -> None:
    desk.govern("set_fees", 2_000, 1)
    assert desk.chain.events()[0].arguments == {"taker_ppm": 2_000, "maker_ppm": 1}
    assert desk.exchange.view("settings") == 2_000 | 1 << 16 | 30 << 32 | 60 << 48 | OPTION_RATES
    for fees in ((2_001, 0), (0, 2_001)):
        with reject(errors.OutOfBounds):
            desk.govern("set_fees", *fees)


def test_option_fees_are_bounded_and_leave_the_other_settings(desk: Desk) -> None:
    desk.govern("set_option_fees", 2_000, 2_500)
    assert desk.chain.events()[0].arguments == {"option_ppm": 2_000, "option_cap_bps": 2_500}
    others = 400 | 100 << 16 | 30 << 32 | 60 << 48
    assert desk.exchange.view("settings") == others | 2_000 << 64 | 2_500 << 80
    for fees in ((2_001, 0), (0, 2_501)):
        with reject(errors.OutOfBounds):
            desk.govern("set_option_fees", *fees)
    desk.govern("set_executor", actor("second engine"), True)
    assert desk.exchange.view("settings") == others | 2_000 << 64 | 2_500 << 80
    assert desk.exchange.view("executors", desk.engine)


def test_windows_are_bounded_together(desk: Desk) -> None:
    desk.govern("set_windows", 300, 600)
    assert desk.chain.events()[0].arguments == {"exclusive_window": 300, "notice": 600}
    assert desk.exchange.view("settings") == 400 | 100 << 16 | 300 << 32 | 600 << 48 | OPTION_RATES
    for windows in ((4, 60), (301, 600), (5, 29), (5, 601), (31, 60)):
        with reject(errors.OutOfBounds):
            desk.govern("set_windows", *windows)


def test_executors_are_approved_and_withdrawn_by_the_governor(desk: Desk) -> None:
    engine = actor("second engine")
    desk.govern("set_executor", engine, True)
    assert desk.chain.events()[0].arguments["approved"] is True
    assert desk.exchange.view("executors", engine)
    desk.govern("set_executor", engine, False)
    assert not desk.exchange.view("executors", engine)
    with reject(errors.OutOfBounds):
        desk.govern("set_executor", "0x" + "00" * 20, True)


def test_nobody_else_governs(desk: Desk) -> None:
    calls = (
        ("set_fees", 1, 1),
        ("set_option_fees", 1, 1),
        ("set_windows", 5, 30),
        ("set_executor", actor("thief"), True),
    )
    for function, *arguments in calls:
        with reject(errors.NotAuthorized):
            desk.exchange.call(function, *arguments, sender=actor("thief"))
