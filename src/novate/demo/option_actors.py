"""How the option traders of the demo decide: makers, sellers of covered calls and of straddles,
buyers of protection, and those who hedge deltas. Pure functions of what each sees.

Decisions use floats (they are opinions, not money); what is signed are integers on the tick and
whole lots.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from novate.demo.actors import BTC, ETH, Actor, Desk
from novate.demo.option_book import OptionBook, OptionView
from novate.model.order import IMMEDIATE, REDUCE_ONLY
from novate.units import WAD
from novate.wire.order import SignedOrder

UNDERLYINGS = (BTC, ETH)
NEAREST = 3  # strikes that a maker quotes in each expiry, and one more in turn
WIDTH_POINTS = 0.012  # half a maker's width, in volatility
TAKER_POINTS = 0.05  # how far through the mark a taker goes
LOWEST_SHARE = 0.6  # of the mark: a sale's fee is bounded by twice that at its limit
BAND_SHARE = 0.035  # of 5 % in force
SIZE_SHARE = 0.06  # of equity, the notional of a quote
HEDGE_SHARE = 0.02  # of equity: a smaller delta is left alone
SHORT_MARGIN = 0.2  # of the forward, what a seller reckons a short straddle to need


def half_width(option: OptionView, points: float) -> float:
    """USD around the mark for so many volatility points: a tick at least, and at most well inside
    the band in which trades settle.
    """
    most = BAND_SHARE * (option.mark + option.forward / 8)
    return max(min(points * option.vega, most), option.tick)


def quoted(book: OptionBook, underlying: int, turn: int) -> Iterator[OptionView]:
    """What a maker quotes this minute: in each expiry the strikes next to the forward, both sides
    of the nearest one, and one of the others in turn.
    """
    for expiry in book.expiries(underlying):
        chain = book.chain(underlying, expiry)
        nearest = [o for o in chain if o.strike == chain[0].strike]
        others = [o for o in chain if o.out_of_the_money and o not in nearest]
        yield from nearest
        yield from others[: NEAREST - 1]
        rest = others[NEAREST - 1 :]
        if rest:
            yield rest[turn % len(rest)]


def quotes(
    actor: Actor, desk: Desk, book: OptionBook, turn: int, chance: random.Random
) -> Iterator[SignedOrder]:
    """A maker's bids and offers: around the mark by volatility, leaning against what it holds."""
    equity = desk.checks[actor.account].equity / WAD
    held = desk.positions[actor.account]
    if equity <= 0:
        return
    for underlying in UNDERLYINGS:
        for option in quoted(book, underlying, turn):
            width = half_width(option, WIDTH_POINTS * (1 + 60 * desk.speed + chance.random()))
            size = max(int(SIZE_SHARE * equity / (option.forward * option.unit)), 1)
            lean = max(-1.0, min(1.0, held.get(option.id, 0) / (8 * size)))
            middle = max(option.mark - lean * width, option.tick)
            if middle - width >= option.tick:
                yield actor.order(desk, option.id, size, middle - width - option.tick, 0)
            yield actor.order(desk, option.id, -size, middle + width, 0)


def future_quotes(actor: Actor, desk: Desk, book: OptionBook) -> Iterator[SignedOrder]:
    """A maker's two sides on the dated futures."""
    equity = desk.checks[actor.account].equity / WAD
    for future in book.futures.values():
        size = int(SIZE_SHARE * max(equity, 0.0) / (future.forward * future.unit))
        width = future.forward * (0.0008 + 0.2 * desk.speed)
        if size > 0 and future.expiry in book.expiries(future.underlying):
            yield actor.order(desk, future.id, size, future.forward - width, 0)
            yield actor.order(desk, future.id, -size, future.forward + width, 0)


def take(
    actor: Actor, desk: Desk, option: OptionView, lots: int, flags: int = IMMEDIATE
) -> SignedOrder | None:
    """An immediate order through the mark, or nothing where the bid would be worthless."""
    reach = half_width(option, TAKER_POINTS * (1 + 20 * desk.speed))
    lowest = max(LOWEST_SHARE * option.mark, option.tick)
    price = option.mark + reach if lots > 0 else max(option.mark - reach, lowest)
    if lots == 0 or price < option.tick:
        return None
    return actor.order(desk, option.id, lots, price, flags)


def sell_covered(
    actor: Actor, desk: Desk, book: OptionBook, chance: random.Random
) -> Iterator[SignedOrder]:
    """Calls 3 to 12 % above the forward, never on more ether than the account holds."""
    held = desk.positions[actor.account]
    sold = sum(-n for i, n in held.items() if n < 0 and _is_call(book, i, ETH))
    for expiry in book.expiries(ETH)[1:2]:
        for option in reversed(book.chain(ETH, expiry)):
            above = option.strike / option.forward - 1
            if option.is_put or not 0.03 <= above <= 0.12:
                continue
            room = int(actor.weth / WAD / option.unit) - sold
            lots = int(room * chance.choice((0.5, 1.0)))
            order = take(actor, desk, option, -lots) if lots > 0 else None
            if order is not None:
                yield order
            return


def _is_call(book: OptionBook, id: int, underlying: int) -> bool:
    option = book.options.get(id)
    return option is not None and option.underlying == underlying and not option.is_put


def sell_straddle(
    actor: Actor, desk: Desk, book: OptionBook, chance: random.Random
) -> Iterator[SignedOrder]:
    """Call and put next to the forward, until the account's appetite for margin is filled."""
    expiries = book.expiries(actor.instrument)
    if not expiries:
        return
    check = desk.checks[actor.account]
    wanted = actor.appetite * check.equity - check.valuation.margin_initial
    expiry = chance.choice(expiries[:2])
    chain = book.chain(actor.instrument, expiry)
    strike = chain[0].strike
    for option in (o for o in chain if o.strike == strike):
        lots = int(wanted / WAD / (SHORT_MARGIN * option.forward * option.unit))
        order = take(actor, desk, option, -lots) if lots > 0 else None
        if order is not None:
            yield order


def buy(actor: Actor, desk: Desk, book: OptionBook, chance: random.Random) -> Iterator[SignedOrder]:
    """A put or, less often, a call out of the money, for 15 % of the equity."""
    expiries = book.expiries(actor.instrument)
    if not expiries:
        return
    chain = book.chain(actor.instrument, chance.choice(expiries))
    puts = chance.random() < 0.65
    fitting = [o for o in chain if o.out_of_the_money and o.is_put == puts and o.mark > 4 * o.tick]
    if not fitting:
        return
    option = chance.choice(fitting[:3])
    spend = 0.15 * desk.checks[actor.account].equity / WAD
    lots = int(spend / (option.mark * option.unit))
    order = take(actor, desk, option, min(lots, 400)) if lots > 0 else None
    if order is not None:
        yield order


def buy_straddle(
    actor: Actor, desk: Desk, book: OptionBook, chance: random.Random
) -> Iterator[SignedOrder]:
    """Both options next to the forward: gamma, to be traded against the perpetual."""
    expiries = book.expiries(actor.instrument)
    if not expiries:
        return
    chain = book.chain(actor.instrument, chance.choice(expiries[:2]))
    spend = 0.12 * desk.checks[actor.account].equity / WAD
    for option in (o for o in chain if o.strike == chain[0].strike):
        lots = int(spend / (max(option.mark, option.tick) * option.unit))
        order = take(actor, desk, option, min(lots, 400)) if lots > 0 else None
        if order is not None:
            yield order


def hedge(actor: Actor, desk: Desk, book: OptionBook) -> Iterator[SignedOrder]:
    """Bring the dollar delta of options, futures and perpetuals back to none."""
    held = desk.positions[actor.account]
    equity = desk.checks[actor.account].equity / WAD
    for underlying in UNDERLYINGS:  # the perpetual has the underlying's number
        lot = desk.lot_usd(underlying)
        delta = book.delta_usd(underlying, held) + held.get(underlying, 0) * lot
        if abs(delta) > max(HEDGE_SHARE * equity, lot):
            lots = -int(delta / lot)
            price = desk.marks[underlying] * (1.01 if lots > 0 else 0.99)
            yield actor.order(desk, underlying, lots, price)


def carry(
    actor: Actor, desk: Desk, book: OptionBook, chance: random.Random
) -> Iterator[SignedOrder]:
    """A dated future bought against a perpetual sold, up to three times the equity."""
    futures = [f for f in book.futures.values() if f.underlying == actor.instrument]
    takes_more = book.expiries(actor.instrument)
    for future in futures:
        if not takes_more or future.expiry != takes_more[-1]:
            continue
        held = desk.positions[actor.account].get(future.id, 0)
        equity = desk.checks[actor.account].equity / WAD
        wanted = int(3 * actor.appetite * equity / (future.forward * future.unit)) - held
        if wanted > 0:
            part = min(wanted, int(wanted * chance.choice((0.5, 1.0))) + 1)
            yield actor.order(desk, future.id, part, future.forward * 1.004)
            lots = -int(part * future.unit * future.forward / desk.lot_usd(future.underlying))
            if lots:
                price = desk.marks[future.underlying] * 0.99
                yield actor.order(desk, future.underlying, lots, price)


def unwind(actor: Actor, desk: Desk, book: OptionBook, share: float) -> Iterator[SignedOrder]:
    """Trade a share of every option and dated future away: what a keeper took over."""
    for id, lots in sorted(desk.positions[actor.account].items()):
        part = -int(lots * share) or -lots
        option, future = book.options.get(id), book.futures.get(id)
        if option is not None:
            order = take(actor, desk, option, part, IMMEDIATE | REDUCE_ONLY)
            if order is not None:
                yield order
        elif future is not None:
            price = future.forward * (1.01 if part > 0 else 0.99)
            yield actor.order(desk, id, part, price, IMMEDIATE | REDUCE_ONLY)


Opener = Callable[[Actor, Desk, OptionBook, random.Random], Iterator[SignedOrder]]
OPENERS: dict[str, Opener] = {
    "covered": sell_covered,
    "straddle": sell_straddle,
    "buyer": buy,
    "gamma": buy_straddle,
    "carry": carry,
}
