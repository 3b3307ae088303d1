"""The words of the full book: commands, events, options, capacities.

Owns: what a command and an event are, as rows of ten and eight integers that the reference
(``model/book.py``) and the fast book (``engine/book.py``) share. Units: whole lots, signed (buy >
0) where a side is meant; prices in whole ticks; times in whole seconds. Zero means "none".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

OPTION_BITS = 10
POSITION_LOTS_MAX = 2**62
PRICE_TRIGGER_MAX = 2**62


class Kind(IntEnum):
    """What a command asks for; which fields it reads stands beside it."""

    PLACE = 1  # order owner account lots price options expiry trigger
    CANCEL = 2  # order owner
    AMEND = 3  # order owner lots (the new total, filled lots included) price
    REPLACE = 4  # order (the old one) target (the new one), the rest as PLACE
    QUOTE = 5  # order (the bid; the ask is order + 1) owner account options expiry, two legs
    MASS_CANCEL = 6  # owner lots (its sign: that side only; 0: both)
    PROTECT = 7  # owner lots (limit) price (limit of fills) expiry (window in seconds)
    RESET = 8  # owner
    MARK = 9  # price
    CLOCK = 10  # expiry (the time now)
    POSITION = 11  # account lots


class What(IntEnum):
    """What an event says of its order; ``detail`` is named beside it."""

    FILL = 1  # lots signed by the taker's side; lots_left the maker's; detail: the taker's
    RESTED = 2  # entered the queue at price
    WAITING = 3  # waits for its trigger; detail: the trigger price
    AMENDED = 4  # price and lots_left are the new ones
    TRIGGERED = 5  # the mark met its trigger
    CANCELLED = 6  # its owner took it out
    EVICTED = 7  # the book took it out; detail: the code of the error
    UNFILLED = 8  # the rest of an immediate order


class TimeInForce(IntEnum):
    """How long the unfilled part of an order lives."""

    GOOD_TIL_CANCELLED = 0
    IMMEDIATE_OR_CANCEL = 1
    FILL_OR_KILL = 2


class PostOnly(IntEnum):
    """What happens to an order that must not take, when it would."""

    NO = 0
    REJECT = 1
    SLIDE = 2


class SelfTrade(IntEnum):
    """What gives way when a taker meets an order of its own owner."""

    CANCEL_MAKER = 0
    REJECT_TAKER = 1
    CANCEL_BOTH = 2


class Trigger(IntEnum):
    """Whether the order waits for the mark: a stop for a worse one, a take for a better one."""

    NONE = 0
    STOP = 1
    TAKE = 2


class Command(NamedTuple):
    """One row of input."""

    kind: int
    order: int = 0
    owner: int = 0
    account: int = 0
    lots: int = 0
    price: int = 0
    options: int = 0
    expiry: int = 0
    trigger: int = 0
    target: int = 0


class Event(NamedTuple):
    """One row of output; ``command`` is the running number of the command that caused it."""

    what: int
    command: int
    order: int
    taker: int
    price: int
    lots: int
    lots_left: int
    detail: int


@dataclass(frozen=True, slots=True)
class Options:
    """The options of an order; ``packed`` is their form in a command."""

    time_in_force: TimeInForce = TimeInForce.GOOD_TIL_CANCELLED
    post_only: PostOnly = PostOnly.NO
    self_trade: SelfTrade = SelfTrade.CANCEL_MAKER
    trigger: Trigger = Trigger.NONE
    reduce_only: bool = False
    market: bool = False

    @property
    def packed(self) -> int:
        """Bits: force 0-1, post-only 2-3, self-trade 4-5, trigger 6-7, reduce-only 8, market 9."""
        words = self.time_in_force | self.post_only << 2 | self.self_trade << 4
        return words | self.trigger << 6 | self.reduce_only << 8 | self.market << 9

    @classmethod
    def unpacked(cls, packed: int) -> Options | None:
        """The options of a command, or None if no option has these bits."""
        fields = [packed >> shift & 3 for shift in (0, 2, 4, 6)]
        if not 0 <= packed < 1 << OPTION_BITS or 3 in fields:
            return None
        return cls(
            TimeInForce(fields[0]),
            PostOnly(fields[1]),
            SelfTrade(fields[2]),
            Trigger(fields[3]),
            bool(packed >> 8 & 1),
            bool(packed >> 9 & 1),
        )


@dataclass(frozen=True, slots=True)
class Capacity:
    """How much one book holds; what does not fit is refused by name.

    Prices run from ``price_base`` to ``price_base + levels - 1``.
    """

    price_base: int = 1
    levels: int = 2**18
    orders: int = 2**17
    owners: int = 2**12
    accounts: int = 2**16


def quote(
    bid: int,
    owner: int,
    account: int,
    legs: tuple[tuple[int, int], tuple[int, int]],
    options: int = 0,
    expiry: int = 0,
) -> Command:
    """A two-sided quote: ``legs`` are (lots, price) of the bid and of the ask; no lots, no leg."""
    (bid_lots, bid_price), (ask_lots, ask_price) = legs
    return Command(
        Kind.QUOTE,
        order=bid,
        owner=owner,
        account=account,
        lots=bid_lots,
        price=bid_price,
        options=options,
        expiry=expiry,
        trigger=ask_lots,
        target=ask_price,
    )
