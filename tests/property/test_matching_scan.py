"""The reference book against a list that is scanned anew for every match."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from novate import errors
from novate.errors import Rejected
from novate.model.matching import (
    Book,
    Done,
    End,
    Match,
    Order,
    Report,
    SelfTrade,
    TimeInForce,
    Verdict,
)
from novate.model.store import Store

INSTRUMENTS = 2
ACCOUNTS = [(owner << 96) | number for owner in (1, 2, 3) for number in (0, 1)]


@dataclass
class Entry:
    order: Order
    filled: int
    age: int

    @property
    def left(self) -> int:
        return abs(self.order.lots) - self.filled


@dataclass
class Scan:
    """A list of entries and the lots each account may still trade."""

    budget: dict[int, int]
    entries: list[Entry] = field(default_factory=list)
    age: int = 0

    def attempt(self, command: Callable[[], list[Match | Done]]) -> list[Match | Done] | str:
        saved = deepcopy((self.budget, self.entries, self.age))
        try:
            return command()
        except Rejected as rejection:
            self.budget, self.entries, self.age = saved
            return rejection.error.name

    def counterparty(self, order: Order) -> Entry | None:
        found: Entry | None = None
        for entry in self.entries:
            maker = entry.order
            if maker.instrument != order.instrument or maker.is_buy == order.is_buy:
                continue
            gap = order.price_ticks - maker.price_ticks
            if (gap if order.is_buy else -gap) < 0:
                continue
            if found is None or self._before(entry, found):
                found = entry
        return found

    @staticmethod
    def _before(one: Entry, other: Entry) -> bool:
        sign = -1 if one.order.is_buy else 1
        mine, theirs = sign * one.order.price_ticks, sign * other.order.price_ticks
        return mine < theirs or (mine == theirs and one.age < other.age)

    def place(self, order: Order, filled: int = 0) -> list[Match | Done]:
        maker = self.counterparty(order)
        if order.post_only and maker is not None:
            raise Rejected(errors.PostOnly)
        out: list[Match | Done] = []
        left, stop = abs(order.lots) - filled, None
        while left and not stop and (maker := self.counterparty(order)):
            left, stop = self.meet(order, left, maker, out)
        if left == 0:
            out.append(Done(order.identity, End.FILLED, 0))
        elif order.time_in_force == "fill_or_kill":
            raise Rejected(stop or errors.FillOrKill)
        elif stop:
            out.append(Done(order.identity, End.EVICTED, left, stop))
        elif order.time_in_force == "immediate_or_cancel":
            out.append(Done(order.identity, End.UNFILLED, left))
        else:
            self.age += 1
            self.entries.append(Entry(order, abs(order.lots) - left, self.age))
        return out

    def meet(
        self, order: Order, left: int, entry: Entry, out: list[Match | Done]
    ) -> tuple[int, errors.Error | None]:
        maker = entry.order
        asked = min(left, entry.left)
        if maker.owner == order.owner:
            evict = order.self_trade != "reject_taker"
            stop = order.self_trade != "cancel_maker"
            verdict = Verdict(
                0, errors.SelfMatch if evict else None, errors.SelfMatch if stop else None
            )
        else:
            verdict = judge(self.budget, maker, order, asked)
        if verdict.lots:
            entry.filled += verdict.lots
            out.append(
                Match(
                    maker.identity,
                    order.identity,
                    maker.account,
                    order.account,
                    order.instrument,
                    order.is_buy,
                    verdict.lots,
                    maker.price_ticks,
                )
            )
        if entry.left == 0:
            self.entries.remove(entry)
            out.append(Done(maker.identity, End.FILLED, 0))
        elif verdict.maker:
            self.entries.remove(entry)
            out.append(Done(maker.identity, End.EVICTED, entry.left, verdict.maker))
        return left - verdict.lots, verdict.taker

    def cancel(self, identity: int) -> list[Match | Done]:
        for entry in self.entries:
            if entry.order.identity == identity:
                self.entries.remove(entry)
                return [Done(identity, End.CANCELLED, entry.left)]
        return []

    def amend(self, identity: int, order: Order) -> list[Match | Done]:
        entry = next((e for e in self.entries if e.order.identity == identity), None)
        if entry is None:
            raise Rejected(errors.OrderNotOpen)
        out: list[Match | Done] = [Done(identity, End.REPLACED, entry.left)]
        left = abs(order.lots) - entry.filled
        if 0 < left <= entry.left and order.price_ticks == entry.order.price_ticks:
            entry.order = order
            return out
        self.entries.remove(entry)
        if left <= 0:
            return [*out, Done(order.identity, End.FILLED, 0)]
        return out + self.place(order, entry.filled)

    def side(self, instrument: int, is_buy: bool) -> list[tuple[int, int]]:
        chosen = [
            e for e in self.entries if e.order.instrument == instrument and e.order.is_buy == is_buy
        ]
        chosen.sort(key=lambda e: (-e.order.price_ticks if is_buy else e.order.price_ticks, e.age))
        return [(e.order.identity, e.left) for e in chosen]


def judge(budget: dict[int, int], maker: Order, taker: Order, lots: int) -> Verdict:
    """A margin model of lots: what both budgets allow trades; who ran out has failed."""
    allowed = min(lots, budget[maker.account], budget[taker.account])
    poor_maker = errors.InsufficientMargin if budget[maker.account] < lots else None
    poor_taker = errors.InsufficientMargin if budget[taker.account] < lots else None
    budget[maker.account] -= allowed
    budget[taker.account] -= allowed
    return Verdict(allowed, poor_maker, poor_taker)


class Judged:
    """A book whose judge keeps its budgets in the same store."""

    def __init__(self, budget: dict[int, int]) -> None:
        self.store = Store()
        self.table = self.store.table("budget", 0)
        for account, lots in budget.items():
            self.table[account] = lots
        self.book = Book(self.store, self.judge)

    def judge(self, maker: Order, taker: Order, lots: int, price_ticks: int) -> Verdict:
        budget = {account: self.table[account] for account in (maker.account, taker.account)}
        verdict = judge(budget, maker, taker, lots)
        for account, left in budget.items():
            self.table[account] = left
        return verdict

    def attempt(self, command: Callable[[], Report]) -> list[Match | Done] | str:
        try:
            return list(command().events)
        except Rejected as rejection:
            return rejection.error.name


ORDERS = st.builds(
    Order,
    identity=st.just(0),
    account=st.sampled_from(ACCOUNTS),
    instrument=st.sampled_from([1, 1, 1, INSTRUMENTS]),
    lots=st.integers(1, 12) | st.integers(-12, -1),
    price_ticks=st.integers(98, 102),
    time_in_force=st.sampled_from([TimeInForce.GOOD_TIL_CANCELLED] * 4 + list(TimeInForce)),
    self_trade=st.sampled_from(SelfTrade),
).flatmap(
    lambda order: st.builds(
        replace,
        st.just(order),
        post_only=st.booleans()
        if order.time_in_force is TimeInForce.GOOD_TIL_CANCELLED
        else st.just(False),
    )
)
PICKS = st.integers(0, 15)
# (which open order, change of lots, change of price)
AMENDMENTS = st.tuples(PICKS, st.sampled_from([0, 0, -1, -3, 2]), st.sampled_from([0, 0, 0, -1, 2]))
COMMANDS = st.lists(ORDERS | ORDERS | AMENDMENTS | PICKS, min_size=12, max_size=40)
BUDGETS = st.fixed_dictionaries({account: st.integers(0, 60) for account in ACCOUNTS})


def assert_sound(book: Book) -> None:
    for instrument in range(1, INSTRUMENTS + 1):
        bids, asks = book.queue(instrument, True), book.queue(instrument, False)
        for resting in bids + asks:
            assert 0 < resting.lots_left <= abs(resting.order.lots)
            assert book.resting(resting.order.identity) == resting
        prices = [r.order.price_ticks for r in reversed(bids)] + [r.order.price_ticks for r in asks]
        assert prices == sorted(prices)
        assert not (bids and asks) or bids[0].order.price_ticks < asks[0].order.price_ticks


def run(commands: list[object], budget: dict[int, int]) -> None:
    scan, judged = Scan(dict(budget)), Judged(budget)
    traded = 0
    for identity, command in enumerate(commands, 1):
        before = judged.store.state_hash()
        expected, found = both(command, identity, scan, judged)
        assert found == expected
        if isinstance(found, str):
            assert judged.store.state_hash() == before
        else:
            traded += sum(event.lots for event in found if isinstance(event, Match))
        assert_same(judged.book, scan)
        assert_sound(judged.book)
    spent = sum(budget.values()) - sum(judged.table[account] for account in ACCOUNTS)
    assert spent == 2 * traded


Outcome = list[Match | Done] | str


def both(command: object, identity: int, scan: Scan, judged: Judged) -> tuple[Outcome, Outcome]:
    """What the scan and the book answer to one command."""
    book = judged.book
    if isinstance(command, Order):
        order = replace(command, identity=identity)
        return scan.attempt(lambda: scan.place(order)), judged.attempt(lambda: book.place(order))
    if isinstance(command, int):
        old = pick(scan, command).identity
        return scan.attempt(lambda: scan.cancel(old)), judged.attempt(lambda: book.cancel(old))
    assert isinstance(command, tuple)
    chosen, lots, price = command
    template = pick(scan, chosen)
    order = replace(
        template,
        identity=identity,
        lots=max(1, abs(template.lots) + lots) * (1 if template.is_buy else -1),
        price_ticks=template.price_ticks + price,
    )
    old = template.identity
    amended = scan.attempt(lambda: scan.amend(old, order))
    return amended, judged.attempt(lambda: book.amend(old, order))


def pick(scan: Scan, number: int) -> Order:
    """An open order; number 0, or an empty book, gives one that is not open."""
    absent = Order(10**6, ACCOUNTS[0], 1, 1, 100)
    return scan.entries[number % len(scan.entries)].order if number and scan.entries else absent


def assert_same(book: Book, scan: Scan) -> None:
    for instrument in range(1, INSTRUMENTS + 1):
        for is_buy in (True, False):
            queue = book.queue(instrument, is_buy)
            listed = [(resting.order.identity, resting.lots_left) for resting in queue]
            assert listed == scan.side(instrument, is_buy)


@settings(max_examples=250, deadline=None)
@given(COMMANDS, BUDGETS)
def test_the_book_does_what_a_scan_of_a_list_does(
    commands: list[object], budget: dict[int, int]
) -> None:
    run(commands, budget)


@settings(max_examples=100, deadline=None)
@given(COMMANDS)
def test_the_same_commands_give_the_same_state_hash(commands: list[object]) -> None:
    hashes = []
    for _ in range(2):
        book = Book(Store())
        for identity, command in enumerate(commands, 1):
            if isinstance(command, Order):
                try:
                    book.place(replace(command, identity=identity))
                except Rejected as rejection:
                    assert rejection.error in (errors.PostOnly, errors.FillOrKill, errors.SelfMatch)
        hashes.append(book.state_hash())
    assert hashes[0] == hashes[1]
