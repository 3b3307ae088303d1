"""The measured transactions with options, one function each: it prepares real state, sends, asserts
the effect, and returns the gas.

Each comes twice: with arrays stored at the prices and surfaces of now, and with all of them stale,
so that the transaction builds every one it needs. Where it matters, on one underlying and on two.
"""

from __future__ import annotations

from collections.abc import Callable

from novate.bench.option_book import LOTS, UNDERLYINGS, OptionBook, option_book
from novate.bench.venue import Trader, Venue, trader
from novate.chain.backend import Call
from novate.units import div_up

PLACES = 4
SETTLED_TOGETHER = 8
SETTLED_EACH = 32
DEBTOR_USD = 250_000  # for short calls and long puts of 700,000 USD
RISE_PPM = 49_000  # within the oracle's move bound
RISES_MAX = 12


def _pair(role: str, number: int = 0) -> tuple[Trader, Trader]:
    return trader(role, number), trader(f"{role} counterparty", number)


def _ready(book: OptionBook, stale: bool) -> None:
    book.fresh()
    if stale:
        book.stale()


def margin_view(count: int, stale: bool, wide: bool = False) -> Callable[[Venue], int]:
    """A valuation of an account of ``count`` options at both margins: what a contract that asks for
    it pays, which is the transaction's gas but for what it costs to send one.
    """

    def measure(venue: Venue) -> int:
        book = option_book(venue)
        owner, other = _pair(f"view {count} {stale} {wide}")
        book.pair(owner, other, book.far(count, _underlyings(wide)))
        _ready(book, stale)
        gas = venue.send(venue.executor, "clearinghouse", "check", owner.word)
        assert venue.view("clearinghouse", "check", owner.word)[4][2] > 0
        return gas - _sending(venue.call("clearinghouse", "check", owner.word))

    return measure


def _underlyings(wide: bool) -> tuple[int, ...]:
    return UNDERLYINGS if wide else UNDERLYINGS[:1]


def _sending(call: Call) -> int:
    """What every transaction pays, and each byte of its call (EIP-2028)."""
    zeros = call.data.count(0)
    return 21_000 + 4 * zeros + 16 * (len(call.data) - zeros)


def trade(count: int, stale: bool, wide: bool = False) -> Callable[[Venue], int]:
    """A fill of two signed orders in an option that both accounts hold, with ``count`` each: the
    mean of four, as nonces share words of four, and the first of them pays for the word.
    """

    def measure(venue: Venue) -> int:
        book = option_book(venue)
        taker, maker = _pair(f"trade {count} {stale} {wide}")
        ids = book.far(count, _underlyings(wide))
        book.pair(taker, maker, ids)
        _ready(book, stale)
        before = venue.positions(taker)[ids[1]]
        fills = [book.crossing(taker, maker, ids[1], LOTS) for _ in range(PLACES)]
        gas = sum(venue.settle([fill]) for fill in fills)
        assert venue.positions(taker)[ids[1]] == before + PLACES * LOTS
        assert len(venue.positions(taker)) == len(venue.positions(maker)) == count
        return div_up(gas, PLACES)

    return measure


def expiry_position(venue: Venue) -> int:
    """A position, of eight accounts of 32 options each, paid and closed in one transaction."""
    book = option_book(venue)
    expiry, ids = book.near(1)
    ids = ids[:SETTLED_EACH]
    owners: list[Trader] = []
    for number in range(SETTLED_TOGETHER // 2):  # division: pairs
        taker, maker = _pair("expiring", number)
        book.pair(taker, maker, ids)
        owners += [taker, maker]
    venue.backend.advance(max(expiry - venue.backend.now(), 0) + 1)
    venue.calm()
    book.print(1, expiry)
    slot = book.slots.pop((1, expiry))
    words = [owner.word for owner in owners]
    gas = venue.send(venue.executor, "clearinghouse", "settle_expiry", words, 1, slot)
    assert not any(venue.positions(owner) for owner in owners)
    book.expiries[1].remove(expiry)
    return div_up(gas, len(owners) * len(ids))


def liquidation_step_128(stale: bool) -> Callable[[Venue], int]:
    """A bid for all that is on sale of an account of 128 options; the bidder's is new."""

    def measure(venue: Venue) -> int:
        book = option_book(venue)
        owner, other = _pair(f"debtor 128 {stale}")
        bidder = trader(f"bidder 128 {stale}", 7)
        venue.fund([bidder])
        venue.start_again()
        venue.calm()
        book.pair(owner, other, book.far(128), DEBTOR_USD)
        _impoverish(book, owner)
        before = venue.positions(owner)
        if not stale:
            book.see()
            book.refresh()
        gas = venue.send(bidder, "auctioneer", "bid", owner.word, bidder.word, 10**6, 0, 0)
        taken, left = venue.positions(bidder), venue.positions(owner)
        assert len(taken) == 128
        assert all(taken[i] + left.get(i, 0) == before[i] for i in before)
        return gas

    return measure


def _impoverish(book: OptionBook, owner: Trader) -> None:
    """Let prices rise until the account is in auction, for half a minute."""
    venue = book.venue
    for _ in range(RISES_MAX):
        venue.backend.advance(1)
        book.see(RISE_PPM)
        equity, _, _, _, valuation = venue.view("clearinghouse", "check", owner.word)
        if equity + valuation[5] < valuation[2]:
            break
    venue.send(venue.executor, "auctioneer", "start", owner.word)
    venue.backend.advance(30)
    book.see()
