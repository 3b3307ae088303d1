"""The sequencer: what it refuses and why, what it matches, and that all it matches settles."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novate import errors, limits
from novate.engine import plain
from novate.model.order import IMMEDIATE, POST_ONLY, REDUCE_ONLY
from novate.model.session import TRADE, SessionKey
from novate.units import WAD
from novate.wire import eip712, records
from novate.wire.records import Busted, OrderDone, OrderRejected, OrderShrunk
from tests.support.engine import (
    BTC,
    ETH,
    EXECUTOR,
    WETH,
    Floor,
    account_of,
    address_of,
    batches,
    ends,
    floor_of,
    matches,
    rejection,
)

floor = floor_of("maker", "taker")


# What never enters


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("ZeroLots", {"lots": 0}),
        ("OffTick", {"price": 100_000 * WAD + 1}),
        ("OffTick", {"price": 0}),
        ("UnknownInstrument", {"instrument": 77}),
        ("UnknownInstrument", {"instrument": WETH}),
        ("NotExecutor", {"executor": "0x" + "77" * 20}),
        ("MalformedOrder", {"flags": 8}),
        ("MalformedOrder", {"flags": IMMEDIATE | POST_ONLY}),
        ("LotsOutOfRange", {"lots": limits.LOTS_MAX + 1}),
    ],
)
def test_an_unsound_order_is_refused_by_name(
    floor: Floor, name: str, fields: dict[str, Any]
) -> None:
    before = floor.world.state_hash()
    order = replace(floor.order("taker", 5, 100_000), **fields)
    assert rejection(floor.feed(floor.command(order, "taker"))) == name
    assert floor.world.state_hash() == before


def test_an_order_needs_more_than_the_room_to_settle_before_it_expires(floor: Floor) -> None:
    assert limits.EXPIRY_ROOM_S == 10
    floor.place("maker", -5, 100_000)
    for left in (0, 1, 10):
        refused = floor.take("taker", 5, 100_000, expiry=floor.now + left)
        assert rejection(refused) == "OrderExpired"
    floor.chain_follows = False
    assert len(matches(floor.take("taker", 5, 100_000, expiry=floor.now + 11))) == 1
    floor.prices(100_000, later=11)
    for step in list(floor.sequencer.ahead.state.steps):  # the chain takes it at its last second
        floor.tell(floor.arrival(step.what))
    assert floor.held("taker") == 5
    assert not any(isinstance(event, Busted) for event in floor.events)


def test_any_executor_may_be_named_by_the_zero_address(floor: Floor) -> None:
    assert floor.place("taker", 5, 90_000, executor="0x" + "00" * 20) == []


def test_a_nonce_is_spent_by_the_first_order_with_it(floor: Floor) -> None:
    assert floor.place("taker", 5, 90_000, nonce=900) == []
    assert rejection(floor.place("taker", 6, 90_000, nonce=900)) == "NonceUsed"
    assert floor.take("taker", 6, 90_000, nonce=900) != []  # the other lane of nonces


def test_the_same_order_enters_once(floor: Floor) -> None:
    command = floor.command(floor.order("taker", 5, 90_000), "taker")
    assert floor.feed(command) == []
    assert rejection(floor.feed(command)) == "NonceUsed"


def test_an_order_signed_by_somebody_else_is_refused(floor: Floor) -> None:
    assert rejection(floor.place("taker", 5, 90_000, signer="stranger")) == "BadSignature"


def test_an_unknown_self_trade_instruction_is_refused(floor: Floor) -> None:
    events = floor.place("taker", 5, 90_000, command={"self_trade": "nonsense"})
    assert rejection(events) == "MalformedOrder"


def test_a_refused_order_does_not_spend_its_nonce(floor: Floor) -> None:
    assert rejection(floor.place("taker", 0, 90_000, nonce=901)) == "ZeroLots"
    assert floor.place("taker", 5, 90_000, nonce=901) == []


def test_post_only_is_refused_if_it_would_take(floor: Floor) -> None:
    floor.place("maker", -5, 100_000)
    before = floor.world.state_hash()
    assert rejection(floor.place("taker", 5, 100_000, flags=POST_ONLY)) == "PostOnly"
    assert floor.world.state_hash() == before
    assert floor.place("taker", 5, 99_999, flags=POST_ONLY) == []


# Fill or kill


def test_fill_or_kill_trades_all_or_leaves_no_trace(floor: Floor) -> None:
    floor.place("maker", -5, 100_000)
    before = floor.world.state_hash()
    held = plain.encode(floor.sequencer.batching.open)
    events = floor.place("taker", 6, 100_000, command={"fill_or_kill": True})
    assert rejection(events) == "FillOrKill"
    assert floor.world.state_hash() == before
    assert plain.encode(floor.sequencer.batching.open) == held
    events = floor.place("taker", 5, 100_000, command={"fill_or_kill": True})
    assert [m.lots for m in matches(events)] == [5]


def test_fill_or_kill_beyond_the_margin_is_refused_for_that(floor: Floor) -> None:
    floor.deposit("poor", 100)
    floor.place("maker", -50, 100_000)
    before = floor.world.state_hash()
    events = floor.place("poor", 50, 100_000, command={"fill_or_kill": True})
    assert rejection(events) == "InsufficientMargin"
    assert floor.world.state_hash() == before


# Matches


def test_a_match_carries_a_receipt_by_the_executor_over_both_orders(floor: Floor) -> None:
    floor.place("maker", -5, 100_000)
    floor.place("maker", -5, 100_010)
    found = matches(floor.take("taker", 8, 100_020))
    assert [(m.lots, records.number(m.price) // WAD, m.sequence) for m in found] == [
        (5, 100_000, 0),
        (3, 100_010, 1),
    ]
    for m in found:
        receipt = eip712.Match(
            m.maker, m.taker, m.lots, records.number(m.price), m.sequence, m.matched_at
        )
        digest = eip712.match_digest(floor.separator, receipt)
        r, vs = (int.from_bytes(m.receipt[i : i + 32], "big") for i in (0, 32))
        assert eip712.recover(digest, r, vs) == EXECUTOR.address.lower()
        assert m.matched_at == floor.now


def test_an_order_over_its_margin_is_refused_at_entry(floor: Floor) -> None:
    floor.deposit("poor", 100)
    floor.place("maker", -50, 100_000)
    before = floor.world.state_hash()
    assert rejection(floor.take("poor", 50, 100_000)) == "InsufficientMargin"
    assert rejection(floor.place("poor", 50, 99_000)) == "InsufficientMargin"
    assert floor.world.state_hash() == before


def test_a_resting_order_whose_margin_is_gone_is_evicted_at_the_match(floor: Floor) -> None:
    floor.deposit("small", 200)  # 10 lots are 1,000 USD, initial margin 187.50
    assert floor.place("small", -10, 100_000) == []
    floor.withdraw_all("small")
    events = floor.take("taker", 10, 100_000)
    assert matches(events) == []
    assert ends(events) == [("evicted", "InsufficientMargin"), ("unfilled", "")]


def test_a_maker_whose_margin_is_gone_is_evicted_and_the_next_one_trades(floor: Floor) -> None:
    floor.deposit("first", 10_000)
    floor.place("first", -50, 100_000)
    floor.place("maker", -50, 100_010)
    floor.withdraw_all("first")
    events = floor.take("taker", 50, 100_020)
    assert [int.from_bytes(m.maker_account, "big") for m in matches(events)] == [
        account_of("maker")
    ]
    assert ends(events)[0] == ("evicted", "InsufficientMargin")


def test_margin_counts_what_the_open_batch_already_holds(floor: Floor) -> None:
    floor.deposit("small", 200)  # 10 lots are 1,000 USD, initial margin 187.50
    floor.place("maker", -100, 100_000)
    assert len(matches(floor.take("small", 10, 100_000))) == 1
    assert rejection(floor.take("small", 10, 100_000)) == "InsufficientMargin"


def test_a_price_out_of_the_band_evicts_its_maker(floor: Floor) -> None:
    floor.place("maker", -5, 94_000)
    floor.place("maker", -5, 100_000)
    events = floor.take("taker", 5, 100_000)
    assert ends(events)[0] == ("evicted", "PriceOutOfBand")
    assert [records.number(m.price) // WAD for m in matches(events)] == [100_000]


def test_an_order_is_evicted_once_it_might_expire_before_it_settles(floor: Floor) -> None:
    floor.place("maker", -5, 100_000, expiry=floor.now + 20)
    assert ends(floor.prices(100_000, later=9)) == []
    assert ends(floor.prices(100_000, later=1)) == [("evicted", "OrderExpired")]
    events = floor.take("taker", 5, 100_000)
    assert matches(events) == [] and ends(events) == [("unfilled", "")]


def test_a_fee_above_the_signed_maximum_ends_the_side_that_signed_it(floor: Floor) -> None:
    floor.place("maker", -5, 100_000, max_fee=1)
    floor.place("maker", -5, 100_000)
    events = floor.take("taker", 5, 100_000)
    assert ends(events)[0] == ("evicted", "FeeAboveMax") and len(matches(events)) == 1
    floor.place("maker", -5, 100_000)
    assert ends(floor.take("taker", 5, 100_000, max_fee=1)) == [("evicted", "FeeAboveMax")]


def test_reduce_only_ends_when_nothing_is_left_to_reduce(floor: Floor) -> None:
    floor.place("maker", -9, 100_000)
    events = floor.take("taker", 5, 100_000, flags=REDUCE_ONLY)
    assert ends(events) == [("evicted", "ReduceOnly")]


def test_a_resting_order_that_only_reduces_is_cut_to_what_it_may(floor: Floor) -> None:
    floor.deposit("other", 1_000_000)
    floor.place("maker", -4, 100_000)
    floor.take("taker", 4, 100_000)
    assert floor.place("taker", -9, 100_100, flags=REDUCE_ONLY) == [OrderShrunk(floor.last, 5, 4)]
    floor.place("maker", -3, 100_100)
    first, second = matches(events := floor.take("other", 8, 100_100))
    assert (first.lots, second.lots) == (4, 3)
    assert ends(events) == [("filled", ""), ("filled", ""), ("unfilled", "")]
    floor.close()
    assert [floor.held(role) for role in ("maker", "taker", "other")] == [-7, 0, 7]
    assert floor.sequencer.book.queue(BTC, False) == []


@pytest.mark.parametrize("flags", [REDUCE_ONLY, REDUCE_ONLY | IMMEDIATE])
def test_an_entering_order_that_only_reduces_is_cut_to_what_it_may(
    floor: Floor, flags: int
) -> None:
    floor.place("maker", -4, 100_000)
    floor.take("taker", 4, 100_000)
    floor.place("maker", 3, 99_900)
    floor.place("maker", 3, 99_800)
    events = floor.place("taker", -9, 99_000, flags=flags)
    assert [match.lots for match in matches(events)] == [3, 1]
    last = ("evicted", "ReduceOnly") if flags & IMMEDIATE else ("filled", "")
    assert ends(events) == [("filled", ""), last]
    floor.close()
    assert floor.held("taker") == 0
    assert [row[2] for row in floor.sequencer.book.queue(BTC, True)] == [2]


def test_fill_or_kill_is_not_cut(floor: Floor) -> None:
    floor.place("maker", -4, 100_000)
    floor.take("taker", 4, 100_000)
    floor.place("maker", 9, 99_900)
    command = {"fill_or_kill": True}
    events = floor.take("taker", -9, 99_900, flags=REDUCE_ONLY, command=command)
    assert rejection(events) == "ReduceOnly"
    floor.close()
    assert floor.held("taker") == 4


@pytest.mark.parametrize(
    ("rule", "ended"),
    [
        ("cancel_maker", [("evicted", "SelfMatch"), ("unfilled", "")]),
        ("reject_taker", [("evicted", "SelfMatch")]),
        ("cancel_both", [("evicted", "SelfMatch"), ("evicted", "SelfMatch")]),
    ],
)
def test_owners_never_trade_with_themselves_even_between_sister_accounts(
    floor: Floor, rule: str, ended: list[tuple[str, str]]
) -> None:
    floor.deposit("taker", 10_000, number=1)
    floor.place("taker", -5, 100_000, account=account_of("taker", 1))
    events = floor.take("taker", 5, 100_000, command={"self_trade": rule})
    assert matches(events) == [] and ends(events) == ended


def test_orders_cancelled_by_their_account_leave_the_book(floor: Floor) -> None:
    floor.place("maker", -5, 100_000, nonce=500)
    floor.place("maker", -5, 100_010, nonce=501)
    floor.place("maker", -5, 4_000, nonce=502, instrument=ETH)
    floor.place("taker", 1, 90_000, nonce=500)
    assert ends(floor.cancel("maker", "nonce", 500)) == [("cancelled", "")]
    assert ends(floor.cancel("maker", "instrument", ETH)) == [("cancelled", "")]
    assert ends(floor.cancel("maker", "below", 501)) == []
    assert ends(floor.cancel("maker", "all")) == [("cancelled", "")]
    assert len(floor.sequencer.book.queue(BTC, True)) == 1


def test_an_order_cancelled_on_chain_matches_no_more_once_its_notice_has_passed(
    floor: Floor,
) -> None:
    floor.place("maker", -5, 100_000, nonce=700)
    account = account_of("maker").to_bytes(32, "big")
    floor.transact(address_of("maker"), "exchange", "cancel", account, 700)
    assert len(matches(floor.take("taker", 1, 100_000))) == 1  # inside the notice
    floor.prices(100_000, later=30)
    floor.prices(100_000, later=30)
    events = floor.take("taker", 1, 100_000)
    assert ends(events) == [("evicted", "OrderCancelled"), ("unfilled", "")]
    assert rejection(floor.place("maker", -5, 100_000, nonce=700)) == "OrderCancelled"


def test_a_session_key_trades_within_its_budget_and_no_further(floor: Floor) -> None:
    # 1,000.00 USD of notional: ten lots of 100 USD each
    key = SessionKey(floor.now + 3_600, TRADE, 0, 100_000, 100_000, 0)
    fields = key.expiry, key.scope, key.underlyings, key.notional_left, key.loss_left
    account = account_of("taker").to_bytes(32, "big")
    set_key = "exchange", "set_session_key", account, address_of("helper"), *fields
    floor.transact(address_of("taker"), *set_key)
    floor.place("maker", -50, 100_000)
    assert len(matches(floor.take("taker", 6, 100_000, signer="helper"))) == 1
    events = floor.take("taker", 6, 100_000, signer="helper")
    assert ends(events) == [("evicted", "SessionKeyBudget")]
    assert len(matches(floor.take("taker", 4, 100_000, signer="helper"))) == 1
    assert len(batches(floor.close())) == 1
    assert floor.held("taker") == 10
    assert ends(floor.take("taker", 1, 100_000, signer="helper")) == [
        ("evicted", "SessionKeyBudget")
    ]


# Batches


def test_an_empty_batch_does_not_close(floor: Floor) -> None:
    assert floor.close() == []


def test_a_batch_closes_before_prices_change_and_settles_as_judged(floor: Floor) -> None:
    floor.place("maker", -5, 100_000)
    floor.take("taker", 5, 100_000)
    assert floor.held("taker") == 0
    (closed,) = batches(floor.prices(101_000))
    assert (closed.first_sequence, closed.count, closed.judged_at) == (0, 1, floor.now - 10)
    assert (floor.held("taker"), floor.held("maker")) == (5, -5)


def test_a_batch_closes_before_its_limits_of_orders_and_fills(floor: Floor) -> None:
    count = limits.FILLS_PER_BATCH_MAX + 1
    for _ in range(count):
        floor.place("maker", -1, 100_000)
    for _ in range(10):
        floor.take("taker", 10, 100_000)
    floor.take("taker", count - 100, 100_000)
    floor.close()
    closed, found = batches(floor.events), matches(floor.events)
    assert len(closed) >= 2
    assert floor.held("taker") == sum(batch.count for batch in closed) == len(found) == count
    for batch in closed:
        held = found[batch.first_sequence : batch.first_sequence + batch.count]
        orders = {digest for match in held for digest in (match.maker, match.taker)}
        assert len(held) == batch.count <= limits.FILLS_PER_BATCH_MAX
        assert len(orders) <= limits.ORDERS_PER_BATCH_MAX


def test_a_batch_never_holds_more_accounts_than_the_contract_takes(floor: Floor) -> None:
    for number in range(40):
        floor.deposit(f"maker {number}", 5_000)
        floor.place(f"maker {number}", -1, 100_000)
    events = floor.take("taker", 40, 100_000)
    first = matches(events)
    assert len(first) == limits.ACCOUNTS_PER_BATCH_MAX - 2
    assert ends(events)[-1] == ("evicted", "TooManyItems")
    events = floor.take("taker", 40, 100_000)
    assert len(batches(events)) == 1 and len(matches(events)) == 40 - len(first)
    floor.close()
    assert floor.held("taker") == 40


def test_accounts_that_fail_make_room_again_when_the_batch_is_due(floor: Floor) -> None:
    for number in range(33):
        floor.deposit(f"poor {number}", 200)
        floor.place(f"poor {number}", -10, 99_990)
        floor.withdraw_all(f"poor {number}")
    floor.place("maker", -5, 100_000)
    floor.take("taker", 5, 100_000)
    assert len(matches(floor.take("taker", 5, 100_000))) == 1


# Everything together

ROLES = ("ann", "ben", "cat", "dan", "eve")
STEP = st.one_of(
    st.tuples(
        st.just("order"),
        st.sampled_from(ROLES),
        st.integers(-40, 40),
        st.integers(-60, 60),
        st.sampled_from((0, 0, IMMEDIATE, IMMEDIATE, POST_ONLY, REDUCE_ONLY, 5)),
        st.booleans(),
    ),
    st.tuples(st.just("prices"), st.integers(95_000, 105_000)),
    st.tuples(st.just("cancel"), st.sampled_from(ROLES)),
    st.tuples(st.just("close")),
    st.tuples(st.just("drain"), st.sampled_from(ROLES)),
)


def run(floor: Floor, steps: list[tuple[Any, ...]]) -> None:
    btc = 100_000
    for index, role in enumerate(ROLES):
        floor.deposit(role, 1_500 * 4**index)
    for step in steps:
        match step:
            case ("order", role, lots, away, flags, kill):
                command = {"fill_or_kill": kill and not flags}
                floor.place(role, lots, btc + 10 * away, flags=flags, command=command)
            case ("prices", dollars):
                btc = dollars
                floor.prices(dollars)
            case ("cancel", role):
                floor.cancel(role)
            case ("close",):
                floor.close()
            case ("drain", role):
                row = floor.world.ledger.accounts[account_of(role)]
                if not row.positions and row.cash > 0:
                    floor.close()
                    if not floor.world.ledger.accounts[account_of(role)].positions:
                        floor.withdraw_all(role)
    floor.close()


@settings(max_examples=25)
@given(st.lists(STEP, min_size=10, max_size=60))
def test_all_that_is_matched_settles_and_a_replay_is_identical(
    steps: list[tuple[Any, ...]],
) -> None:
    floor = Floor()
    run(floor, steps)
    found = matches(floor.events)
    executor = EXECUTOR.address.lower()
    assert all(floor.world.exchange.sequences[executor, m.sequence] for m in found)
    assert [m.sequence for m in found] == list(range(len(found)))
    assert sum(b.count for b in batches(floor.events)) == len(found)
    held = dict.fromkeys(ROLES, 0)
    for m in found:
        for account, sign in ((m.taker_account, 1), (m.maker_account, -1)):
            role = next(r for r in ROLES if account_of(r) == int.from_bytes(account, "big"))
            held[role] += sign * m.lots * (1 if m.taker_buys else -1)
    assert held == {role: floor.held(role) for role in ROLES}
    again, state = floor.replayed()
    assert [records.encode(e) for e in again] == [records.encode(e) for e in floor.events]
    assert state == floor.world.state_hash()
    for event in floor.events:
        if isinstance(event, OrderRejected | OrderDone) and event.code:
            assert event.code in errors.BY_CODE
