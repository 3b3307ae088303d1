"""Why an order was refused, with what its sender needs to know to do better.

Owns: details that the engine's record of a refusal, a number, does not hold. They are the venue's
present view: the range of a book's prices moves with the mark.
"""

from __future__ import annotations

from novate.api.market import Market
from novate.api.numbers import decimal
from novate.api.orders import OrderState
from novate.errors import REGISTRY, PriceOutOfLadder, Rejected


def refusal(market: Market, state: OrderState) -> Rejected:
    """The rejection of an order that the engine refused."""
    error = REGISTRY[state.reason]
    span = market.core.engine.book.span(state.terms.instrument)
    if error is not PriceOutOfLadder or span is None:
        return Rejected(error)
    low, high = (decimal(ticks * market.item_of(state).tick) for ticks in span)
    return Rejected(error, f"price: must be from {low} to {high}, around the mark")
