"""Expiry: positions of an expiry that has its settlement print are paid and closed (SPEC §5).

Anyone, any accounts, any number of times; also accounts in auction. Units: prices in oracle units
of 1e8 wei a base unit, money in wad; exact, as a lot is at least 1e10 wei. A payout enters the
variation and is swept: a gain matures like any other, a loss leaves cash at once. Twin:
``contracts/expiry.vy``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from novate import errors, limits
from novate.errors import require
from novate.model import account as accounts_module
from novate.model import ledger, margin, option_series
from novate.model.option_id import OptionId, is_dated, is_future, place_of

if TYPE_CHECKING:
    from novate.model.state import World

LOT_EXPONENT_UNIT = 10  # a lot of 10**10 wei at one oracle unit is a wei


@dataclass(frozen=True, slots=True)
class Print:
    """What an expiry settles at: oracle units, wad a lot of one of them, its strikes."""

    price: int
    scale: int
    strikes: tuple[int, ...]

    def payoff(self, instrument: int) -> int:
        """What a lot pays: a future the print, an option what it is in the money by (wad)."""
        if is_future(instrument):
            return self.price * self.scale
        option = OptionId.unpack(instrument)
        strike = self.strikes[option.strike_index]
        gain = strike - self.price if option.is_put else self.price - strike
        return max(gain, 0) * self.scale


def settle_expiry(
    world: World, caller: str, accounts: Sequence[int], underlying: int, slot: int
) -> None:
    """Anyone: pay and close all positions of an expiry that these accounts hold.

    Errors: UnknownInstrument, ExpiryNotReached, MissingPrint.
    """
    require(len(accounts) <= limits.ACCOUNTS_PER_BATCH_MAX, errors.TooManyItems)
    printed = print_of(world, underlying, slot)
    sides = [_settle(world, account, printed, underlying, slot) for account in accounts]
    long, short = sum(side[0] for side in sides), sum(side[1] for side in sides)
    # of an expiry is open what one side or the other still holds, so that its slot is not taken
    # over before both are settled
    before: int = world.ledger.unpaired[underlying, slot]
    paired = min(long + max(before, 0), short + max(-before, 0))
    world.ledger.unpaired[underlying, slot] = before + long - short
    if paired:
        house = world.addresses["clearinghouse"]
        option_series.close_interest(world, house, underlying, slot, paired)


def print_of(world: World, underlying: int, slot: int) -> Print:
    """The print of an expiry. Errors: UnknownInstrument, ExpiryNotReached, MissingPrint."""
    price, _, exponent, strikes = option_series.settlement(world, underlying, slot)
    return Print(price, 10 ** (exponent - LOT_EXPONENT_UNIT), tuple(strikes))


def _settle(
    world: World, account: int, printed: Print, underlying: int, slot: int
) -> tuple[int, int]:
    """Close one account's positions of the expiry; returns its long and its short lots."""
    held = world.ledger.accounts[account].positions
    place = underlying, slot
    closed = [(i, lots) for i, lots in held if is_dated(i) and place_of(i) == place]
    if not closed:
        return 0, 0
    row, cash_before = ledger.loaded(world, account)
    kept = tuple(position for position in row.positions if position not in closed)
    amount = sum(lots * printed.payoff(instrument) for instrument, lots in closed)
    value = margin.evaluate(world, dict(kept))
    row = replace(row, positions=kept, variation=row.variation + amount)
    row = accounts_module.sweep(world, row, value.value_linear)
    accounts_module.store(world, account, row, cash_before)
    world.emit("ExpirySettled", underlying=underlying, slot=slot, account=account, amount=amount)
    long = sum(max(lots, 0) for _, lots in closed)
    return long, long - sum(lots for _, lots in closed)
