"""Blocks: what makes one, all of it or nothing, and that no order serves for what it was not signed
for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from novate import limits
from novate.errors import BY_CODE, BlockOnly
from novate.model.order import BLOCK_REVISION, IMMEDIATE, POST_ONLY, REDUCE_ONLY, ZERO_ADDRESS
from novate.model.session import TRADE, SessionKey
from novate.services.priority import OutOfOrder, Priority
from novate.services.signed_records import fault_of_consents
from novate.units import WAD
from novate.wire import block, records
from novate.wire.records import AnyRecord, BlockAccepted, Matched, OrderDone, OrderRejected
from tests.support.blocks import RFQ, SPREAD, blocked, consent, marked, signed_block
from tests.support.engine import (
    BTC,
    ETH,
    EXECUTOR,
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


def refusal(events: list[AnyRecord]) -> str:
    """The one reason for which every order of a block was refused."""
    assert events and all(isinstance(event, OrderRejected) for event in events), events
    (code,) = {event.code for event in events if isinstance(event, OrderRejected)}
    return BY_CODE[code].name


# What happens to a block


def test_both_legs_trade_at_the_quoted_prices_and_settle_in_one_batch(floor: Floor) -> None:
    command = blocked(floor)
    events = floor.feed(command)
    found = matches(events)
    assert [(m.instrument, m.taker_buys, m.lots) for m in found] == [
        (BTC, True, 200),
        (ETH, False, 300),
    ]
    assert [m.price for m in found] == [str(100_000 * WAD), str(4_000 * WAD)]
    assert [(m.taker, m.maker) for m in found] == [
        (t.digest, m.digest) for t, m in zip(command.taker, command.maker, strict=True)
    ]
    assert ends(events) == [("filled", "")] * 4
    (closed,) = batches(floor.close())
    assert closed.count == 2
    assert (floor.held("taker"), floor.held("taker", ETH)) == (200, -300)
    assert (floor.held("maker"), floor.held("maker", ETH)) == (-200, 300)


def test_a_block_does_not_touch_the_book(floor: Floor) -> None:
    floor.deposit("better", 1_000_000)
    floor.place("better", -500, 99_900)  # a better price for the taker
    before = floor.sequencer.book.queue(BTC, False)
    events = floor.feed(blocked(floor))
    assert len(matches(events)) == 2
    assert floor.sequencer.book.queue(BTC, False) == before


def test_a_replay_comes_to_the_same_state_and_both_checks_agree(floor: Floor) -> None:
    floor.place("maker", -5, 100_100)
    floor.feed(blocked(floor))
    floor.take("taker", 5, 100_100)
    floor.feed(blocked(floor, legs=((BTC, 10**6, 100_000),)))  # beyond both accounts' means
    floor.close()
    again, state = floor.replayed()
    assert [records.encode(e) for e in again] == [records.encode(e) for e in floor.events]
    assert state == floor.world.state_hash()
    assert followed(floor).matches == 3


def followed(floor: Floor, commands: list[tuple[str, bytes]] | None = None) -> Priority:
    """A journal of the commands, each with its events, followed by the second check."""
    deployment_again = Floor()
    again, priority = deployment_again.sequencer, Priority()
    prelude = len(deployment_again.commands)
    for kind, payload in (commands or floor.commands)[prelude:]:
        command = records.decode(kind, payload)
        for record in (command, *again.handle(command)):
            priority.follow(record)
    return priority


# What is refused, and why


def test_one_leg_that_fails_takes_the_others_with_it(floor: Floor) -> None:
    legs = ((BTC, 10, 100_000), (ETH, 10, 9_000))  # the second is out of the band
    assert refusal(floor.feed(blocked(floor, legs))) == "PriceOutOfBand"
    assert floor.close() == [] and floor.held("taker") == 0
    # and nothing of it is left behind: the same parties may trade the first leg alone
    assert len(matches(floor.feed(blocked(floor, legs[:1])))) == 1


def test_what_only_the_whole_block_can_carry_trades(floor: Floor) -> None:
    """A leg is not judged by itself: what closes one position may pay for another."""
    floor.deposit("poor", 40_000)
    floor.feed(pair(floor, [(BTC, 1_000, 100_000)], "poor"))
    floor.close()
    assert floor.held("poor") == 1_000
    alone = pair(floor, [(ETH, 3_000, 4_000)], "poor")
    assert refusal(floor.feed(alone)) == "InsufficientMargin"
    both = pair(floor, [(ETH, 3_000, 4_000), (BTC, -1_000, 100_000)], "poor")
    assert len(matches(floor.feed(both))) == 2


def pair(floor: Floor, legs: list[tuple[int, int, float]], role: str) -> BlockAccepted:
    """A block in which ``role`` takes from the maker."""
    taker = [marked(floor, role, n, price, instrument=i) for i, n, price in legs]
    maker = [marked(floor, "maker", -n, price, instrument=i) for i, n, price in legs]
    return signed_block(floor, taker, maker, (role, "maker"))


def test_margin_counts_open_orders_too(floor: Floor) -> None:
    floor.deposit("poor", 20_000)
    floor.place("poor", 900, 99_000)  # a resting order that needs most of the account
    assert refusal(floor.feed(pair(floor, [(ETH, 1_000, 4_000)], "poor"))) == "InsufficientMargin"
    floor.cancel("poor")
    assert len(matches(floor.feed(pair(floor, [(ETH, 1_000, 4_000)], "poor")))) == 1


def test_a_block_is_one_orders_only_chance(floor: Floor) -> None:
    command = blocked(floor)
    assert len(matches(floor.feed(command))) == 2
    assert refusal(floor.feed(command)) == "NonceUsed"


def changed(side: str, **fields: Any) -> Callable[[Floor], BlockAccepted]:
    """A block whose first order of one side is signed otherwise."""

    def make(floor: Floor) -> BlockAccepted:
        lots, price = (200, 100_000) if side == "taker" else (-200, 100_000)
        lots, price = fields.get("n", lots), fields.get("dollars", price)
        rest = {k: v for k, v in fields.items() if k not in ("n", "dollars")}
        orders = {
            "taker": [marked(floor, "taker", 200, 100_000)],
            "maker": [marked(floor, "maker", -200, 100_000)],
        }
        orders[side] = [marked(floor, side, lots, price, **rest)]
        return signed_block(floor, orders["taker"], orders["maker"])

    return make


BAD: list[tuple[str, Callable[[Floor], BlockAccepted]]] = [
    ("BlockOnly", changed("maker", revision=0)),
    ("BlockOnly", changed("taker", revision=0)),
    ("BlockOnly", changed("maker", flags=0)),
    ("MalformedOrder", changed("maker", flags=IMMEDIATE | POST_ONLY)),
    ("NotExecutor", changed("maker", executor=ZERO_ADDRESS)),
    ("NotExecutor", changed("taker", executor="0x" + "77" * 20)),
    ("SameSide", changed("taker", n=-200)),
    ("QuoteMismatch", changed("taker", n=199)),
    ("QuoteMismatch", changed("taker", dollars=100_001)),
    ("InstrumentMismatch", changed("taker", instrument=ETH)),
    ("OffTick", changed("maker", price=100_000 * WAD + 1)),
    ("OrderExpired", changed("maker", expiry=1)),
    ("FeeAboveMax", changed("maker", max_fee=0)),
    ("ReduceOnly", changed("taker", flags=IMMEDIATE | REDUCE_ONLY)),
    ("BadSignature", changed("taker", signer="stranger")),
]


@pytest.mark.parametrize(("name", "make"), BAD)
def test_an_unsound_block_is_refused_by_name(
    floor: Floor, name: str, make: Callable[[Floor], BlockAccepted]
) -> None:
    command = make(floor)
    if name == "BadSignature":  # consents by the same stranger: the account still has not signed
        roles = ("stranger", "maker")
        command = signed_block(floor, command.taker, command.maker, roles)
    assert refusal(floor.feed(command)) == name
    assert floor.close() == []


def test_a_consent_counts_for_its_signer_request_orders_and_time_alone(floor: Floor) -> None:
    good = blocked(floor, SPREAD[:1])
    maker, taker = account_of("maker"), account_of("taker")
    made, taken = (block.orders_hash([side[0].digest]) for side in (good.maker, good.taker))
    until = good.expiry
    wrong = [
        {"maker_consent": good.taker_consent},
        {"maker_consent": consent(floor, "taker", maker, RFQ, made, block.NOBODY, until)},
        {"maker_consent": consent(floor, "maker", maker, RFQ, taken, block.NOBODY, until)},
        {"maker_consent": consent(floor, "maker", maker, bytes(32), made, block.NOBODY, until)},
        {"maker_consent": consent(floor, "maker", maker, RFQ, made, block.NOBODY, until + 1)},
        {"taker_consent": consent(floor, "taker", taker, RFQ, taken, block.NOBODY, until)},
        {"taker_consent": bytes(64)},
        {"rfq": bytes(32)},
        {"expiry": until + 1},
    ]
    for fields in wrong:
        command = replace(good, **fields)
        assert refusal(floor.feed(command)) == "NoConsent", fields
        assert fault_of_consents(floor.separator, command), fields
    assert fault_of_consents(floor.separator, good) == ""
    assert len(matches(floor.feed(good))) == 1


def test_a_block_is_over_when_its_time_is(floor: Floor) -> None:
    late, exact = blocked(floor, expiry=floor.now - 1), blocked(floor, expiry=floor.now)
    assert refusal(floor.feed(late)) == "BlockExpired"
    assert len(matches(floor.feed(exact))) == 2


def test_the_legs_of_both_sides_pair_off(floor: Floor) -> None:
    whole = blocked(floor)
    for taker, maker in (
        (whole.taker, whole.maker[:1]),
        (whole.taker, whole.maker[::-1]),
        ([whole.taker[0], marked(floor, "stranger", -300, 4_000, instrument=ETH)], whole.maker),
    ):
        name = refusal(floor.feed(signed_block(floor, taker, maker)))
        assert name in ("QuoteMismatch", "InstrumentMismatch"), name
    twice = [marked(floor, "taker", 5, 100_000) for _ in range(2)]
    other = [marked(floor, "maker", -5, 100_000) for _ in range(2)]
    assert refusal(floor.feed(signed_block(floor, twice, other))) == "QuoteMismatch"
    copied = signed_block(floor, [twice[0]] * 2, other)
    assert refusal(floor.feed(copied)) == "NonceUsed"


def test_nobody_trades_a_block_with_himself(floor: Floor) -> None:
    sister = floor.deposit("taker", 1_000, number=1)
    maker = [marked(floor, "taker", -200, 100_000, account=sister)]
    taker = [marked(floor, "taker", 200, 100_000)]
    command = signed_block(floor, taker, maker, ("taker", "taker"))
    assert refusal(floor.feed(command)) == "SelfMatch"


def test_a_session_key_pays_for_every_leg_or_for_none(floor: Floor) -> None:
    # 25,000.00 USD of notional: the first leg of 20,000 fits, both together do not
    key = SessionKey(floor.now + 3_600, TRADE, 0, 2_500_000, 2_500_000, 0)
    fields = key.expiry, key.scope, key.underlyings, key.notional_left, key.loss_left
    account = account_of("taker").to_bytes(32, "big")
    set_key = "exchange", "set_session_key", account, address_of("helper"), *fields
    floor.transact(address_of("taker"), *set_key)
    eth_lot = floor.world.ledger.terms_of(ETH).lot_size
    legs = ((BTC, 200, 100_000), (ETH, 10_000 * WAD // eth_lot // 4_000, 4_000))

    def by_helper(count: int) -> BlockAccepted:
        some = legs[:count]
        taker = [marked(floor, "taker", n, p, instrument=i, signer="helper") for i, n, p in some]
        maker = [marked(floor, "maker", -n, p, instrument=i) for i, n, p in some]
        return signed_block(floor, taker, maker, ("helper", "maker"))

    assert refusal(floor.feed(by_helper(2))) == "SessionKeyBudget"
    assert len(matches(floor.feed(by_helper(1)))) == 1
    floor.close()
    left = floor.world.exchange.keys[account_of("taker"), address_of("helper")].notional_left
    assert left == 500_000


# What a dishonest operator might try


def test_no_order_of_the_book_makes_a_block(floor: Floor) -> None:
    """A resting order is no consent: traded through in a block, its owner would miss the queue."""
    resting = floor.order("maker", -200, 100_000)
    placed = floor.command(resting, "maker")
    floor.feed(placed)
    command = signed_block(floor, [marked(floor, "taker", 200, 100_000)], [placed])
    assert set(ends(floor.feed(command))) == set()
    assert {BY_CODE[e.code].name for e in floor.events[-2:]} == {"NonceUsed"}
    fresh = floor.command(floor.order("maker", -200, 100_000), "maker")
    again = signed_block(floor, [marked(floor, "taker", 200, 100_000)], [fresh])
    assert refusal(floor.feed(again)) == "BlockOnly"


def test_no_order_of_a_block_enters_the_book(floor: Floor) -> None:
    """A quote is for its whole package: one leg of it must not be lifted from the book."""
    floor.place("maker", -200, 100_000)
    assert rejection(floor.feed(marked(floor, "taker", 200, 100_000))) == BlockOnly.name


def test_one_leg_of_a_quote_is_no_block(floor: Floor) -> None:
    whole = blocked(floor)
    taker = [marked(floor, "taker", 200, 100_000)]
    legged = signed_block(floor, taker, whole.maker[:1])
    stolen = replace(legged, maker_consent=whole.maker_consent)
    assert refusal(floor.feed(stolen)) == "NoConsent"


def test_the_second_check_finds_what_the_sequencer_must_not_do(floor: Floor) -> None:
    command = blocked(floor)
    events = floor.feed(command)
    first, second = matches(events)
    for forged, text in (
        ([replace(first, price=str(100_001 * WAD))], "signed for"),
        ([replace(first, lots=100)], "lots of a block"),
        ([replace(first, maker=second.maker)], "do not meet"),
        ([first, OrderRejected(second.taker, 2009)], "in part"),
        ([replace(first, taker_buys=False)], "side"),
    ):
        priority = Priority()
        priority.follow(command)
        with pytest.raises(OutOfOrder, match=text):
            for record in forged:
                priority.follow(record)


def test_the_second_check_keeps_blocks_and_book_apart(floor: Floor) -> None:
    ask = floor.command(floor.order("maker", -200, 100_000), "maker")
    bid = marked(floor, "taker", 200, 100_000)
    (match,) = matches(floor.feed(blocked(floor, SPREAD[:1])))
    traded = replace(match, taker=bid.digest, maker=ask.digest)
    priority = Priority()
    for placed in (ask, bid):
        priority.follow(placed)
    with pytest.raises(OutOfOrder, match="met the book"):
        priority.follow(traded)
    plain = signed_block(floor, [bid], [ask])
    priority = Priority()
    priority.follow(plain)
    with pytest.raises(OutOfOrder, match="not signed for blocks"):
        priority.follow(traded)


# Room


def test_a_block_that_does_not_fit_the_open_batch_has_one_of_its_own(floor: Floor) -> None:
    full = limits.ACCOUNTS_PER_BATCH_MAX
    for number in range(full):
        floor.deposit(f"small {number}", 1_000)
    floor.place("maker", -full, 100_000)
    closed: list[AnyRecord] = []
    for number in range(full - 13):  # with the maker as many as orders may still enter beside
        closed += batches(floor.take(f"small {number}", 1, 100_000))
    floor.chain_follows = False
    for number in range(0, 12, 2):
        one, other = f"small {full - 13 + number}", f"small {full - 12 + number}"
        taker, maker = [marked(floor, one, 1, 100_000)], [marked(floor, other, -1, 100_000)]
        events = floor.feed(signed_block(floor, taker, maker, (one, other)))
        closed += batches(events)
        assert len(matches(events)) == 1
    assert not closed
    events = floor.feed(blocked(floor, SPREAD[:1]))
    assert events[0] in batches(events) and len(matches(events)) == 1


LEG = st.tuples(st.sampled_from((BTC, ETH)), st.integers(-40, 40), st.integers(-20, 20))
ROLES = ("small", "middle", "large")
STEP = st.one_of(
    st.tuples(
        st.just("block"),
        st.sampled_from(ROLES),
        st.sampled_from(ROLES),
        st.lists(LEG, min_size=1, max_size=3),
    ),
    st.tuples(st.just("order"), st.sampled_from(ROLES), st.integers(-40, 40), st.integers(-20, 20)),
    st.tuples(st.just("prices"), st.integers(95_000, 105_000)),
    st.tuples(st.just("close")),
)


@settings(max_examples=15)
@given(st.lists(STEP, min_size=8, max_size=30))
def test_whatever_blocks_and_orders_match_settles(steps: list[tuple[Any, ...]]) -> None:
    floor, btc = Floor(), 100_000
    for index, role in enumerate(ROLES):
        floor.deposit(role, 1_500 * 4**index)
    for step in steps:
        match step:
            case ("block", one, other, legs):
                sides = []
                for role, sign in ((one, 1), (other, -1)):
                    sides.append(
                        [
                            marked(
                                floor,
                                role,
                                sign * n,
                                (btc if i == BTC else 4_000) + away,
                                instrument=i,
                            )
                            for i, n, away in legs
                        ]
                    )
                floor.feed(signed_block(floor, sides[0], sides[1], (one, other)))
            case ("order", role, lots, away):
                floor.place(role, lots, btc + 10 * away)
            case ("prices", dollars):
                btc = dollars
                floor.prices(dollars)
            case _:
                floor.close()
    floor.close()
    found = [event for event in floor.events if isinstance(event, Matched)]
    executor = EXECUTOR.address.lower()
    assert all(floor.world.exchange.sequences[executor, m.sequence] for m in found)
    assert sum(b.count for b in batches(floor.events)) == len(found)
    again, state = floor.replayed()
    assert [records.encode(e) for e in again] == [records.encode(e) for e in floor.events]
    assert state == floor.world.state_hash()
    assert followed(floor).matches == len(found)


def test_the_marker_is_of_immediate_orders_alone(floor: Floor) -> None:
    assert not floor.order("maker", 1, 1, revision=BLOCK_REVISION).block_only
    assert floor.order("maker", 1, 1, revision=BLOCK_REVISION, flags=IMMEDIATE).block_only
    assert isinstance(floor.place("maker", -1, 100_000, revision=BLOCK_REVISION), list)
    assert not any(isinstance(e, OrderRejected | OrderDone) for e in floor.events[-1:])
