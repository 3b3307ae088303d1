"""Margin as the sequencer asks for it: at entry of an order, and again at every match.

Owns: which of an account's rows the lanes hold, and that the exact model answers whatever they find
too close. So every answer is the model's; ``exact`` counts how often it had to be asked. Money in
wad.
"""

from __future__ import annotations

from dataclasses import replace

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


class Judge:
    """The gate of one world."""

    def __init__(self, world: World, open_orders: OpenOrders) -> None:
        self.world = world
        self.open_orders = open_orders
        self.lanes = Lanes(world)
        self.exact = 0
        # (account, whether as its batch began) -> its number in the lanes, the positions there
        self._held: dict[tuple[int, bool], tuple[int, tuple[tuple[int, int], ...]]] = {}

    def reset(self) -> None:
        """The world and its orders are others: hold nothing."""
        self.lanes, self._held = Lanes(self.world), {}

    # At the match

    def passes(
        self, account: int, start: Account, now: Account, instrument: int, lots: int, after: Account
    ) -> bool:
        """Whether a row passes the gate: ``after`` is ``now`` with ``lots`` more of an instrument,
        and ``start`` (loaded) is what it may be no worse than.
        """
        world, pot = self.world, self.world.ledger.pot
        self.lanes.round.refresh()
        number, money = self._number(account, now), _money(world, after)
        question = number, instrument, lots, money, pot.debt <= pot.debt_cap
        answer = self.lanes.passes_from((NOBODY, 0.0), *question)
        if answer != PASSES:
            begun = self._number(account, start, is_start=True), _money(world, start)
            answer = self.lanes.passes_from(begun, *question)
        if answer != TOO_CLOSE:
            return answer == PASSES
        self.exact += 1
        return ledger.passes_gate(world, start, ledger.check_row(world, after))

    def filled(self, account: int, instrument: int, lots: int, after: Account) -> None:
        """The match stands: the account's row is ``after`` now."""
        number, _ = self._held[account, False]
        self.lanes.fill(number, instrument, lots)
        self._held[account, False] = number, after.positions

    def _number(self, account: int, row: Account, is_start: bool = False) -> int:
        """Where the lanes hold a row; it is loaded if they hold another."""
        number, positions = self._held.get((account, is_start), (NOBODY, ()))
        if number == NOBODY:
            number = self.lanes.add()
        elif positions == row.positions:
            return number
        reaches = {} if is_start else self.open_orders.reaches(account)
        self.lanes.load(number, row.positions, reaches)
        self._held[account, is_start] = number, row.positions
        return number

    # At entry

    def changed(self, account: int, instrument: int) -> None:
        """An account's open orders in an instrument are others now."""
        number, _ = self._held.get((account, False), (NOBODY, ()))
        if number != NOBODY:
            reach = self.open_orders.reach(account, instrument)
            self.lanes.reach(number, instrument, reach)

    def quote(self, instrument: int) -> Quote:
        """What an instrument trades at now.

        Errors: UnknownInstrument (no price yet), ExpiryPassed.
        """
        self.lanes.round.refresh()
        quote = self.lanes.round.quote(instrument)
        if isinstance(quote, Error):
            raise Rejected(quote)
        return quote

    def require_margin(self, row: Account, order: Order, size: int) -> None:
        """The account of a loaded ``row`` can hold all its open orders and ``size`` lots of this
        one at their worst, or they reduce and leave it no worse. Orders that cannot trade now count
        nothing.

        Errors: those of ``quote``, InsufficientMargin.
        """
        world, account, settings = self.world, order.account, self.world.exchange.settings
        quote, prices = self.quote(order.instrument), self.lanes.round
        lots = size if order.lots > 0 else -size
        terms = world.ledger.terms_of(order.instrument)
        is_buy, reducing = order.lots > 0, bool(order.flags & REDUCE_ONLY)
        price = min(order.price, quote.highest) if is_buy else max(order.price, quote.lowest)
        reaches, quotes = self.fillable(account)
        costs = self.open_orders.costs(account, quotes)
        costs += open_margin.cost(settings, terms, quote.mark, quote.forward, lots, price)
        money = float(_exact_money(world, row) - costs)
        number, column = self._number(account, row), _COLUMNS[is_buy, reducing]
        answer = self.lanes.holds(number, order.instrument, column, size, money)
        if answer == TOO_CLOSE:
            self.exact += 1
            own = reaches.get(order.instrument, Reach())
            reaches[order.instrument] = added(own, is_buy, reducing, size)
            answer = open_margin.funded(world, row, reaches, costs, prices.dated)
        if answer != PASSES:
            fee = max(fees.of_fill(settings, terms, size, price, quote.forward))
            require(self._reduces(row, order, lots, price, fee), errors.InsufficientMargin)

    def fillable(self, account: int) -> tuple[dict[int, Reach], dict[int, Quote]]:
        """An account's open orders that can trade now, and the quotes of their instruments."""
        reaches, quotes = self.open_orders.reaches(account), {}
        for instrument in list(reaches):
            quote = self.lanes.round.quote(instrument)
            if isinstance(quote, Error):
                del reaches[instrument]
            else:
                quotes[instrument] = quote
        return reaches, quotes

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
