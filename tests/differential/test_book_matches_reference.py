"""The fast book against the reference: codes, events and state hash after every command."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from random import Random

import pytest
from support.books import SMALL, Books

from novate.bench.flows import MADE, Flow
from novate.engine.book import FastBook
from novate.errors import BY_CODE
from novate.model.book import Book
from novate.model.book_terms import (
    Capacity,
    Command,
    Event,
    Kind,
    Options,
    PostOnly,
    SelfTrade,
    TimeInForce,
    Trigger,
    What,
    quote,
)
from novate.model.store import Store

CROWDED = Capacity(price_base=SMALL.price_base, levels=40, orders=30, owners=6, accounts=12)
MIDDLE = SMALL.price_base + 20
IMMEDIATE, KILL = TimeInForce.IMMEDIATE_OR_CANCEL, TimeInForce.FILL_OR_KILL


@dataclass
class Stream:
    """Random commands of every kind; most are sound, and about orders that were sent before."""

    random: Random
    now: int = 100
    number: int = 0
    owners: dict[int, int] = field(default_factory=dict)
    sides: dict[int, int] = field(default_factory=dict)

    def next(self) -> Command:
        """The next command."""
        self.number += 1
        makers = (self.place, self.cancel, self.amend, self.replace, self.quote, self.other)
        return self.random.choices(makers, (42, 8, 12, 8, 15, 15))[0]()

    def often(self, chance: float) -> bool:
        return self.random.random() < chance

    def price(self) -> int:
        return MIDDLE + self.random.randint(-9, 9)

    def known(self) -> int:
        recent = list(self.owners)[-14:]
        return self.random.choice(recent) if recent and self.often(0.95) else 9_999

    def owner_of(self, identity: int) -> int:
        found = self.owners.get(identity, 0)
        return found if self.often(0.97) else self.random.randrange(6)

    def options(self) -> Options:
        pick = self.random.choice
        if self.often(0.06):
            trigger = pick((Trigger.NONE, Trigger.STOP))
            force = pick((IMMEDIATE, KILL, IMMEDIATE, TimeInForce.GOOD_TIL_CANCELLED))
            return Options(force, market=True, self_trade=pick(list(SelfTrade)), trigger=trigger)
        return Options(
            pick([TimeInForce.GOOD_TIL_CANCELLED] * 5 + [IMMEDIATE, KILL, KILL]),
            pick([PostOnly.NO] * 5 + [PostOnly.REJECT, PostOnly.SLIDE]),
            pick(list(SelfTrade)),
            pick([Trigger.NONE] * 8 + [Trigger.STOP, Trigger.TAKE]),
            self.often(0.15),
        )

    def place(self) -> Command:
        options, identity = self.options(), self.number
        owner, account = self.random.randrange(6), self.random.randrange(2)
        lots = self.random.choice((-1, 1)) * self.random.randint(1, 12)
        self.owners[identity], self.sides[identity] = owner, lots
        bad = self.often(0.03)
        return Command(
            Kind.PLACE,
            self.known() if bad and self.often(0.5) else identity,
            owner + (6 if bad and self.often(0.2) else 0),
            owner * 2 + account,
            0 if bad and self.often(0.2) else lots,
            0 if options.market else self.price() + (40 if bad and self.often(0.3) else 0),
            options.packed + (1 << 10 if bad and self.often(0.2) else 0),
            self.now + self.random.randint(-1, 9) if self.often(0.2) else 0,
            self.price() if options.trigger else 0,
        )

    def cancel(self) -> Command:
        identity = self.known()
        return Command(Kind.CANCEL, identity, self.owner_of(identity))

    def amend(self) -> Command:
        identity = self.known()
        lots = self.sides.get(identity, 1) + self.random.randint(-4, 4)
        return Command(Kind.AMEND, identity, self.owner_of(identity), lots=lots, price=self.price())

    def replace(self) -> Command:
        old, command = self.known(), self.place()
        owner = self.owner_of(old)
        self.owners[self.number] = owner
        return command._replace(kind=Kind.REPLACE, order=old, target=command.order, owner=owner)

    def quote(self) -> Command:
        owner = self.random.randrange(3)
        bid = 10**6 * (owner + 1) + 2**18 * self.random.randrange(3)
        self.owners[bid] = self.owners[bid + 1] = owner
        self.sides[bid], self.sides[bid + 1] = 8, -8
        price, lots = self.price(), (0, 1, 3, 8, 8)
        legs = tuple(
            (self.random.choice(lots), at) for at in (price, price + self.random.randint(0, 5))
        )
        post = Options(post_only=self.random.choice((PostOnly.REJECT, PostOnly.SLIDE)))
        expiry = self.now + 5 if self.often(0.2) else 0
        packed = post.packed if self.often(0.97) else self.random.randrange(100)
        assert len(legs) == 2
        return quote(bid, owner, owner * 2, legs, packed, expiry)

    def other(self) -> Command:
        """A command about a party or the market."""
        owner, pick = self.random.randrange(6), self.random.choice
        kind = pick([Kind.MARK] * 5 + [Kind.CLOCK, Kind.RESET, Kind.PROTECT] * 2 + list(Kind)[5:])
        if kind is Kind.MASS_CANCEL:
            return Command(kind, owner=owner, lots=pick((-1, 0, 1)))
        if kind is Kind.PROTECT:
            limits = {"lots": pick((0, 10, 20)), "price": pick((0, 3)), "expiry": pick((0, 5))}
            return Command(kind, owner=owner % 3, **limits)
        if kind is Kind.RESET:
            return Command(kind, owner=owner % 3)
        if kind is Kind.MARK:
            return Command(kind, price=self.price())
        if kind is Kind.CLOCK:
            self.now += self.random.randint(0, 3)
            return Command(kind, expiry=self.now - (1 if self.often(0.1) else 0))
        if kind is Kind.POSITION:
            return Command(kind, account=owner, lots=self.random.randint(-30, 30))
        return Command(99)


def assert_sound(book: Book) -> None:
    """No side crosses the other, levels are in order, and no order has more left than it asked."""
    bids, asks = book.queue(True), book.queue(False)
    prices = [order.price for order in reversed(bids)] + [order.price for order in asks]
    assert prices == sorted(prices)
    assert not (bids and asks) or bids[0].price < asks[0].price
    for order in bids + asks:
        assert 0 < order.lots_left <= abs(order.lots)


def traded(events: tuple[Event, ...]) -> int:
    return sum(abs(event.lots) for event in events if event.what == What.FILL)


@pytest.mark.parametrize("seed", range(6))
def test_random_commands_of_every_kind_do_the_same_in_both(seed: int) -> None:
    books = Books(CROWDED if seed % 2 else SMALL)
    stream, codes, whats = Stream(Random(seed)), Counter[int](), Counter[int]()
    lots_traded = 0
    for _ in range(6_000):
        command = stream.next()
        before = sum(books.reference.position(account) for account in range(12))
        outcome = books.apply(command)
        codes[outcome.code] += 1
        whats.update(int(event.what) for event in outcome.events)
        assert_sound(books.reference)
        after = sum(books.reference.position(account) for account in range(12))
        assert command.kind == Kind.POSITION or after == before, "lots are conserved"
        lots_traded += traded(outcome.events)
    assert lots_traded > 2_000
    assert set(whats) == set(What), "every event happened"
    assert codes[0] > 2_000 and len(codes) >= 15, [BY_CODE[code].name for code in codes if code]


@pytest.mark.parametrize("make", MADE, ids=lambda make: make.__name__)
def test_workloads_do_the_same_in_both(make: object) -> None:
    assert callable(make)
    flow: Flow = make(3_000)
    books = Books(flow.capacity)
    lots = 0
    rows = [Command(*row) for row in (*flow.seed[:300].tolist(), *flow.timed.tolist())]
    for command in rows:
        lots += traded(books.apply(command).events)
    assert lots > 0
    assert_sound(books.reference)


def test_a_batch_does_what_its_commands_do_one_by_one() -> None:
    flow = MADE[3](3_000)
    batch, single, book = FastBook(), FastBook(), Book(Store())
    result = batch.apply(flow.timed)
    assert result.done == len(flow.timed)
    codes, events = [], []
    for row in flow.timed.tolist():
        codes.append(single.one(Command(*row)))
        events += single.last_events()
        outcome = book.apply(Command(*row))
        assert outcome.code == codes[-1]
    assert result.results.tolist() == codes
    assert [Event(*row) for row in result.events.tolist()] == events
    assert batch.state_hash() == single.state_hash() == book.state_hash()
