"""A mass quote's margin: what it replaces does not count, whatever the order of its sides."""

from __future__ import annotations

import random

from support.engine import BTC, ETH, Floor, account_of, address_of

from novate import errors
from novate.model.order import POST_ONLY
from novate.wire import records
from novate.wire.records import AnyRecord, OrderRejected, QuotesPlaced

Side = tuple[int, int, int]  # instrument, lots, dollars


def mass(floor: Floor, sides: list[Side], together: bool = True, name: str = "") -> list[AnyRecord]:
    """A mass quote over several instruments."""
    placed = [
        floor.command(floor.order("maker", n, p, instrument=i, flags=POST_ONLY), "maker")
        for i, n, p in sides
    ]
    quotes = [records.Quote(one.digest, one.order, one.signature, name) for one in placed]
    account = account_of("maker").to_bytes(32, "big")
    signer = bytes.fromhex(address_of("maker")[2:])
    more = {"together": together}
    return floor.feed(QuotesPlaced(account, signer, floor.now * 1000, quotes, **more))


def refusals(events: list[AnyRecord]) -> list[str]:
    """Why sides were refused."""
    return [errors.BY_CODE[e.code].name for e in events if isinstance(e, OrderRejected)]


def resting(floor: Floor) -> list[Side]:
    """The maker's open quotes."""
    orders = floor.sequencer.matcher.orders.of(account_of("maker"))
    return sorted((o.terms.instrument, o.terms.lots, o.price_ticks) for o in orders)


def floor_with(dollars: int) -> Floor:
    """A maker with so much money."""
    floor = Floor()
    floor.deposit("maker", dollars)
    return floor


def test_what_a_message_replaces_counts_for_none_of_its_sides() -> None:
    (btc, eth), (few, some) = (800, 1_800), (50, 100)
    floor = floor_with(20_000)
    first = [(BTC, few, 99_000), (ETH, eth, 3_900)]
    assert refusals(mass(floor, first)) == []
    moved = [(BTC, btc, 99_000), (ETH, some, 3_900)]
    assert refusals(mass(floor, moved)) == []
    assert [lots for _, lots, _ in resting(floor)] == [btc, some]
    # as a journal of before says it: each side with the former quotes of those behind it
    assert refusals(mass(floor, first, together=False)) == []
    assert refusals(mass(floor, moved, together=False)) == ["InsufficientMargin"]
    events, state = floor.replayed()
    assert events == floor.events and state == floor.world.state_hash()


def test_a_message_holds_no_more_than_its_account_can() -> None:
    floor = floor_with(20_000)
    assert refusals(mass(floor, [(BTC, 800, 99_000), (ETH, 100, 3_900)])) == []
    both = [(BTC, 800, 99_000), (ETH, 1_800, 3_900)]
    assert refusals(mass(floor, both)) == ["InsufficientMargin"]
    assert [lots for _, lots, _ in resting(floor)] == [800], "what it was to replace has gone"


def test_a_quote_that_is_not_replaced_counts() -> None:
    floor = floor_with(20_000)
    assert refusals(mass(floor, [(ETH, 1_800, 3_900)], name="other")) == []
    assert refusals(mass(floor, [(BTC, 800, 99_000)])) == ["InsufficientMargin"]


def test_a_side_that_came_before_does_not_make_room() -> None:
    """It is refused without a trace, so the quote in its place stays, and counts."""
    floor = floor_with(20_000)
    order = floor.order("maker", 1_700, 3_900, instrument=ETH, flags=POST_ONLY)
    placed = floor.command(order, "maker")
    known = records.Quote(placed.digest, placed.order, placed.signature)
    fresh = floor.command(floor.order("maker", 800, 99_000, flags=POST_ONLY), "maker")
    quote = records.Quote(fresh.digest, fresh.order, fresh.signature)
    head = placed.order.account, placed.signer, floor.now * 1000
    assert refusals(floor.feed(QuotesPlaced(*head, [known], together=True))) == []
    made = floor.feed(QuotesPlaced(*head, [quote, known], together=True))
    assert refusals(made) == ["InsufficientMargin", "NonceUsed"]
    assert [lots for _, lots, _ in resting(floor)] == [1_700]


def test_it_is_taken_as_if_everything_it_replaces_had_been_cancelled_first() -> None:
    seen = set()
    for seed in range(12):
        source = random.Random(seed)
        one, other = floor_with(12_000), floor_with(12_000)
        for _ in range(6):
            sides = [
                (i, source.choice((1, -1)) * source.randint(1, most), p)
                for i, most, p in ((BTC, 500, 99_000), (ETH, 1_200, 3_900))
            ]
            sides = [(i, n, p if n > 0 else p + p // 25) for i, n, p in sides]
            source.shuffle(sides)
            for instrument, lots, _ in sides:
                former = [
                    order
                    for order in other.sequencer.matcher.orders.of(account_of("maker"))
                    if order.terms.instrument == instrument and order.is_buy == (lots > 0)
                ]
                for order in former:
                    other.cancel("maker", "nonce", order.terms.nonce)
            answers = refusals(mass(one, sides)), refusals(mass(other, sides))
            assert answers[0] == answers[1]
            assert resting(one) == resting(other)
            seen |= set(answers[0])
            assert one.sequencer.matcher.judge.costs(account_of("maker")) == (
                other.sequencer.matcher.judge.costs(account_of("maker"))
            )
    assert seen == {"InsufficientMargin"}
