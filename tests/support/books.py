"""The reference book and the fast one side by side: every command goes to both."""

from __future__ import annotations

from novate.engine.book import FastBook
from novate.errors import BY_CODE, Error
from novate.model.book import Book, Outcome
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

SMALL = Capacity(price_base=50, levels=200, orders=40, owners=8, accounts=16)
IMMEDIATE = Options(time_in_force=TimeInForce.IMMEDIATE_OR_CANCEL)
KILL = Options(time_in_force=TimeInForce.FILL_OR_KILL)
POST = Options(post_only=PostOnly.REJECT)
SLIDE = Options(post_only=PostOnly.SLIDE)
REDUCE = Options(reduce_only=True)
STOP = Options(trigger=Trigger.STOP)
TAKE = Options(trigger=Trigger.TAKE)
MAKER, SECOND_MAKER, TAKER = 1, 2, 3


class Books:
    """Both books of one market; any difference between them fails at once."""

    def __init__(self, capacity: Capacity = SMALL) -> None:
        self.reference = Book(Store(), capacity)
        self.fast = FastBook(capacity)

    def apply(self, command: Command) -> Outcome:
        """Carry out one command in both and compare code, events and state hash."""
        outcome = self.reference.apply(command)
        code = self.fast.one(command)
        assert code == outcome.code, (command, BY_CODE.get(code), BY_CODE.get(outcome.code))
        assert tuple(self.fast.last_events()) == outcome.events, command
        assert self.fast.state_hash() == self.reference.state_hash(), command
        return outcome

    def accepted(self, command: Command) -> list[Event]:
        """The events of a command that is not rejected."""
        outcome = self.apply(command)
        assert outcome.code == 0, BY_CODE[outcome.code]
        return list(outcome.events)

    def rejects(self, error: Error, command: Command) -> None:
        """A command is refused with this error and changes nothing."""
        before = self.reference.state_hash()
        outcome = self.apply(command)
        assert outcome == Outcome(error.code, ()), BY_CODE.get(outcome.code)
        assert self.reference.state_hash() == before

    def place(
        self, identity: int, owner: int, lots: int, price: int, **rest: object
    ) -> list[Event]:
        """Place an order that is accepted; see ``placed``."""
        return self.accepted(placed(identity, owner, lots, price, **rest))

    def queue(self, is_buy: bool) -> list[tuple[int, int, int]]:
        """(identity, lots left, price) of one side in priority order."""
        orders = self.reference.queue(is_buy)
        return [(order.identity, order.lots_left, order.price) for order in orders]


def placed(identity: int, owner: int, lots: int, price: int, **rest: object) -> Command:
    """A new order; the account is the owner's first, ``options`` are given unpacked."""
    options = rest.pop("options", Options())
    assert isinstance(options, Options)
    fields = {"account": owner, **rest}
    command = Command(Kind.PLACE, identity, owner, lots=lots, price=price, options=options.packed)
    return command._replace(**fields)  # type: ignore[arg-type]


def own(mode: SelfTrade, force: TimeInForce = TimeInForce.GOOD_TIL_CANCELLED) -> Options:
    """Options that say what happens when an owner meets itself."""
    return Options(self_trade=mode, time_in_force=force)


def quoted(
    bid: int, owner: int, legs: tuple[tuple[int, int], tuple[int, int]], options: Options = POST
) -> Command:
    """A two-sided quote from the owner's first account."""
    return quote(bid, owner, owner, legs, options.packed)


def told(events: list[Event]) -> list[tuple[str, int, int]]:
    """(what, identity, lots left) of each event."""
    return [(What(event.what).name, event.order, event.lots_left) for event in events]


def fills(events: list[Event]) -> list[tuple[int, int, int]]:
    """(maker, signed lots of the taker, price) of each fill."""
    return [(e.order, e.lots, e.price) for e in events if e.what == What.FILL]
