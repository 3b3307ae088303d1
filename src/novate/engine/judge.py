"""Margin as the sequencer asks for it: at entry of an order, and again at every match.

Owns: which of an account's rows the lanes hold, and that the exact model answers whatever they find
too close. So every answer is the model's; ``exact`` counts how often it had to be asked. Money in
wad.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from novate import errors
from novate.engine.lanes import Lanes
from novate.engine.lanes_layout import (
    BUYS,
    NOBODY,
    PASSES,
    REDUCING_BUYS,
    REDUCING_SELLS,
    SELLS,
    TOO_CLOSE,
)
from novate.engine.lanes_rows import Quote
from novate.engine.open_orders import OpenOrders, added
from novate.errors import Error, Rejected, require
from novate.model import fees, ledger, open_margin, tradable
from novate.model.account import Account, gains
from novate.model.open_margin import Reach
from novate.model.order import REDUCE_ONLY, Order
from novate.model.state import World


@dataclass(slots=True)
class Held:
    """An account's number in the lanes, and the positions there (None: not loaded yet), but for
    fills ``filled`` since; ``stale`` are instruments whose open orders are others by now.

    ``spare``: what ``row`` has beyond what its open orders in ``counted`` instruments take at their
    worst (wei), at least, at that ``moment`` (None: not known); ``left``: what of it is left under
    the order that was asked for last.
    """

    number: int
    positions: tuple[tuple[int, int], ...] | None = None
    filled: list[tuple[int, int]] = field(default_factory=list)
    stale: set[int] = field(default_factory=set)
    row: Account | None = None
    moment: object = None
    spare: float = 0.0
    left: float = 0.0
    counted: frozenset[int] = frozenset()


class Judge:
    """The gate of one world."""

    def __init__(self, world: World, open_orders: OpenOrders) -> None:
        self.world = world
        self.open_orders = open_orders
        self.lanes = Lanes(world)
        self.exact = 0
        self._held: dict[int, Held] = {}
        self._begun: dict[int, Held] = {}

    def reset(self) -> None:
        """The world and its orders are others: hold nothing."""
        self.lanes, self._held, self._begun = Lanes(self.world), {}, {}

    # At the match

    def passes(
        self, account: int, start: Account, now: Account, instrument: int, lots: int, after: Account
    ) -> bool:
        """Whether a row passes the gate: ``after`` is ``now`` with ``lots`` more of an instrument,
        and ``start`` (loaded) is what it may be no worse than.
        """
        world, pot = self.world, self.world.ledger.pot
        self.lanes.round.refresh()
        allowed = pot.debt <= pot.debt_cap
        if allowed and self._covers(account, now):
            return True
        number, money = self._loaded(account, now).number, _money(world, after)
        question = number, instrument, lots, money, allowed
        answer = self.lanes.passes_from(ALONE, *question)
        if answer != PASSES:
            begun = self._beginning(account, start), _money(world, start)
            answer = self.lanes.passes_from(begun, *question)
        if answer != TOO_CLOSE:
            return answer == PASSES
        self.exact += 1
        return ledger.passes_gate(world, start, ledger.check_row(world, after))

    def _covers(self, account: int, now: Account) -> bool:
        """Whether an order of a row's that fills, one of its open ones or that asked for last,
        leaves it its initial margin, as it was held to the worst of them all with something to
        spare; and no price is stale.
        """
        held, prices = self._held.get(account), self.lanes.round
        covered = held is not None and held.row is now and held.moment is prices.moment
        return covered and prices.is_fresh

    def filled(
        self, account: int, instrument: int, lots: int, now: Account, after: Account
    ) -> None:
        """The match stands: the account's row was ``now`` and is ``after``, however it was judged.
        What it had to spare under the order that was asked for last is not less for it: what the
        fill costs was counted, and where it leads to, too.
        """
        held = self._held[account]
        held.filled.append((instrument, lots))
        held.positions = after.positions
        if held.row is now:
            held.row, held.spare = after, min(held.spare, held.left)

    def _loaded(self, account: int, row: Account) -> Held:
        """Where the lanes hold an account; it is loaded if its positions are others there."""
        held = self._held.get(account)
        if held is None:
            held = self._held[account] = Held(self.lanes.add())
        if held.positions != row.positions:
            self.lanes.load(held.number, row.positions, self.open_orders.reaches(account))
            held.positions = row.positions
            held.stale.clear()
        else:
            for instrument, lots in held.filled:
                self.lanes.fill(held.number, instrument, lots)
        held.filled.clear()
        return held

    def _beginning(self, account: int, row: Account) -> int:
        """The same for an account as its batch began."""
        held = self._begun.get(account)
        if held is None:
            held = self._begun[account] = Held(self.lanes.add())
        if held.positions != row.positions:
            self.lanes.load(held.number, row.positions, {})
            held.positions = row.positions
        return held.number

    # At entry

    def changed(self, account: int, instrument: int) -> None:
        """An account's open orders in an instrument are others now."""
        held = self._held.get(account)
        if held is not None and held.positions is not None:
            held.stale.add(instrument)

    def _with_orders(self, account: int, row: Account) -> Held:
        """Where the lanes hold an account, its open orders as they are now."""
        held = self._loaded(account, row)
        for instrument in held.stale:
            reach = self.open_orders.reach(account, instrument)
            self.lanes.reach(held.number, instrument, reach)
        held.stale.clear()
        return held

    def quote(self, instrument: int) -> Quote:
        """What an instrument trades at now.

        Errors: UnknownInstrument (no price yet), ExpiryPassed.
        """
        prices = self.lanes.round
        prices.refresh()
        quote = prices.quotes.get(instrument) or prices.quote(instrument)
        if isinstance(quote, Error):
            raise Rejected(quote)
        return quote

    def has_spare(self, row: Account, order: Order, lots: int, stays: bool) -> bool:
        """Whether the account of a loaded row surely holds ``lots`` of one more order from what was
        left to spare when its margin was last asked; ``stays``: the order may rest.

        Never wrong, and mostly right: what an order takes is bounded (``lanes_layout.py``), and
        orders that have left since only make room.
        """
        held, prices = self._held.get(order.account), self.lanes.round
        if held is None or held.row is not row or held.moment is not prices.moment:
            return False
        instrument = order.instrument
        if instrument not in held.counted:
            return False
        slope = prices.slopes.get(instrument) or prices.slope(instrument)
        left = held.spare - slope.at_most(lots, order.lots > 0, order.price)
        if not left > 0.0:  # nor if it is no number
            return False
        held.left = left
        if stays:
            held.spare = left
        return True

    def require_margin(
        self, row: Account, order: Order, size: int, quote: Quote, alone: bool = True
    ) -> None:
        """The account of a loaded ``row`` can hold all its open orders and ``size`` lots of this
        one at their worst, or they reduce and leave it no worse. Orders that cannot trade now count
        nothing; ``quote``: what this one's instrument trades at now; ``alone``: what is open stays
        so, and what is left to spare may be kept.

        Errors: InsufficientMargin.
        """
        world, account, terms, settings = self.world, order.account, quote.terms, quote.settings
        is_buy, instrument = order.lots > 0, order.instrument
        price = min(order.price, quote.highest) if is_buy else max(order.price, quote.lowest)
        lots = size if is_buy else -size
        costs = self.costs(account)
        costs += open_margin.cost(settings, terms, quote.mark, quote.forward, lots, price)
        money = float(_exact_money(world, row) - costs)
        held = self._with_orders(account, row)
        column = _COLUMNS[is_buy, bool(order.flags & REDUCE_ONLY)]
        spare = self.lanes.spare(held.number, instrument, column, size, money)
        held.moment = None
        if spare > 0.0:
            if alone:
                held.row, held.moment = row, self.lanes.round.moment
                held.spare = held.left = spare
                held.counted = self.open_orders.instruments(account).union(
                    (instrument,), [i for i, _ in row.positions]
                )
            return
        if spare == 0.0 and self._holds(row, order, size, costs):
            return
        fee = max(fees.of_fill(settings, terms, size, price, quote.forward))
        require(self._reduces(row, order, lots, price, fee), errors.InsufficientMargin)

    def _holds(self, row: Account, order: Order, size: int, costs: int) -> bool:
        """The exact model's answer."""
        self.exact += 1
        reaches = self.fillable(order.account)
        own = reaches.get(order.instrument, Reach())
        reducing = bool(order.flags & REDUCE_ONLY)
        reaches[order.instrument] = added(own, order.lots > 0, reducing, size)
        return open_margin.funded(self.world, row, reaches, costs, self.lanes.round.dated)

    def costs(self, account: int) -> int:
        """``OpenOrders.costs`` at the prices in force when they were last asked for."""
        return self.open_orders.costs(account, self.lanes.round)

    def fillable(self, account: int) -> dict[int, Reach]:
        """An account's open orders that can trade now."""
        quote = self.lanes.round.quote
        found = self.open_orders.reaches(account).items()
        return {i: reach for i, reach in found if not isinstance(quote(i), Error)}

    def _reduces(self, row: Account, order: Order, lots: int, price: int, fee: int) -> bool:
        """Whether ``lots`` of an order, with those of its side, can only reduce its position, and
        leave the account no worse when they fill at ``price``.
        """
        world, held = self.world, dict(row.positions).get(order.instrument, 0)
        reach = self.open_orders.reach(order.account, order.instrument)
        beside = (
            reach.sells + reach.reducing_sells if held > 0 else reach.buys + reach.reducing_buys
        )
        if held * lots >= 0 or beside + abs(lots) > abs(held):
            return False
        listed = tradable.listing(world, order.instrument)
        after = ledger.change_lots(row, order.instrument, lots)
        paid = lots * (listed.terms.price_lot(price) - listed.market.funding_index)
        # an option's premium moves in cash, which is the same to the account's equity
        after = replace(after, cash=after.cash - fee, variation=after.variation - paid)
        return open_margin.reduces(world, row, after)


ALONE = NOBODY, 0.0
_COLUMNS = {
    (True, False): BUYS,
    (False, False): SELLS,
    (True, True): REDUCING_BUYS,
    (False, True): REDUCING_SELLS,
}


def _exact_money(world: World, row: Account) -> int:
    return row.cash + gains(world, row) + row.variation


def _money(world: World, row: Account) -> float:
    return float(_exact_money(world, row))
