"""What the full book keeps: one row for an open order, one for a maker's protection.

Owns: how an order is sized, who counts as its counterparty, when a trigger is met, when a
protection trips. Rows are immutable; ``model/book.py`` puts changed copies into its tables.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from novate.model.book_terms import Options, Trigger


@dataclass(frozen=True, slots=True)
class Order:
    """An open order; ``lots`` are signed, of its whole life; ``trigger`` is 0 once it was met."""

    identity: int
    owner: int
    account: int
    lots: int
    price: int
    options: Options
    expiry: int = 0
    trigger: int = 0
    lots_filled: int = 0
    is_quote: bool = False

    @property
    def is_buy(self) -> bool:
        """Whether the order buys."""
        return self.lots > 0

    @property
    def lots_left(self) -> int:
        """What can still trade."""
        return abs(self.lots) - self.lots_filled

    @property
    def is_listed(self) -> bool:
        """Whether its owner's list has it: quotes and orders that wait for a trigger."""
        return self.is_quote or self.trigger > 0

    @property
    def rises(self) -> bool:
        """Whether the trigger is met from below: a stop that buys, a take that sells."""
        return self.is_buy == (self.options.trigger is Trigger.STOP)

    def is_met(self, mark: int) -> bool:
        """Whether the mark (0: none yet) meets the trigger."""
        return mark > 0 and (mark >= self.trigger if self.rises else mark <= self.trigger)

    def crosses(self, price: int) -> bool:
        """Whether the order would trade with one of the other side at a price."""
        return price <= self.price if self.is_buy else price >= self.price

    def sized(self, lots_left: int) -> Order:
        """The same order with other lots left, what was filled unchanged."""
        lots = self.lots_filled + lots_left
        return replace(self, lots=lots if self.is_buy else -lots)

    def filled(self, lots: int) -> Order:
        """The order after a fill."""
        return replace(self, lots_filled=self.lots_filled + lots)

    def fired(self) -> Order:
        """The order once the mark met its trigger: one like any other."""
        return replace(self, trigger=0, options=replace(self.options, trigger=Trigger.NONE))

    def content(self) -> list[int]:
        """The row of the state hash."""
        return [
            self.identity,
            self.owner,
            self.account,
            self.price,
            self.lots,
            self.lots_left,
            self.options.packed,
            self.expiry,
            self.trigger,
            int(self.is_quote),
        ]


@dataclass(frozen=True, slots=True)
class Protection:
    """A maker's limits on what its quotes may fill within a window, and what they did.

    A limit of 0 is none, a window of 0 never ends. The window opens at its first fill.
    """

    lots_max: int = 0
    fills_max: int = 0
    window_s: int = 0
    opened: int = 0
    lots: int = 0
    fills: int = 0
    frozen: bool = False

    def counted(self, lots: int, now: int) -> Protection:
        """After a fill of one of the quotes; ``frozen`` once a limit is reached."""
        if not self.lots_max and not self.fills_max:
            return self
        over = self.window_s > 0 and now - self.opened >= self.window_s
        fresh = self.fills == 0 or over
        lots_window = lots if fresh else self.lots + lots
        fills_window = 1 if fresh else self.fills + 1
        tripped = 0 < self.lots_max <= lots_window or 0 < self.fills_max <= fills_window
        return replace(
            self,
            opened=now if fresh else self.opened,
            lots=lots_window,
            fills=fills_window,
            frozen=self.frozen or tripped,
        )

    def content(self) -> list[int]:
        """The row of the state hash."""
        limits = [self.lots_max, self.fills_max, self.window_s]
        return [*limits, self.opened, self.lots, self.fills, int(self.frozen)]
