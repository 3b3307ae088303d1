"""Accounts of the ledger: the row, loading it (interest, maturing gains), sweeping variation,
storing it.

An account is a 256-bit integer, owner address (20 bytes) above subaccount number (12 bytes). Units:
cash and variation in wad; gains in shares of 1e-6 USD valued by their epoch's scale. Rounding:
interest up, matured gains down, removed shares up with the excess returned to cash. Source:
docs/SPEC.md §5. Twin: ``contracts/ledger.vy``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from novate import errors, limits
from novate.errors import require
from novate.model.packed import to_unsigned
from novate.units import PPM, WAD, div_down, div_up

if TYPE_CHECKING:
    from novate.model.state import World

Positions = tuple[tuple[int, int], ...]
IN_AUCTION = 1
SECOND_SLOT = 2  # there are gains or debt, so slot 1 is in use


@dataclass(frozen=True, slots=True)
class Account:
    """One account's stored row; ``positions`` are (instrument, lots) pairs in instrument order."""

    cash: int = 0
    variation: int = 0
    checkpoint: int = 0
    gain_now: int = 0
    gain_previous: int = 0
    epoch: int = 0
    flags: int = 0
    positions: Positions = ()

    @property
    def in_auction(self) -> bool:
        """Whether a liquidation auction is open; then the account may only deposit."""
        return bool(self.flags & IN_AUCTION)

    def slots(self) -> tuple[int, int]:
        """Slot 0 and slot 1 as the Clearinghouse stores them."""
        assert max(self.checkpoint, self.gain_now, self.gain_previous) < 1 << 64
        in_use = self.gain_now or self.gain_previous or self.cash < 0
        flags = self.flags | (SECOND_SLOT if in_use else 0)
        first = to_unsigned(self.cash, 120) | to_unsigned(self.variation, 120) << 120
        second = self.checkpoint | self.gain_now << 64 | self.gain_previous << 128
        return first | len(self.positions) << 240 | flags << 248, second | self.epoch << 192


@dataclass(frozen=True, slots=True)
class Epoch:
    """Shares of gains entered in one epoch, and how much of their value a haircut has cut (wad
    fraction).
    """

    shares: int = 0
    cut: int = 0

    @property
    def scale(self) -> int:
        """Value of a share relative to 1e-6 USD, wad."""
        return WAD - self.cut


@dataclass(frozen=True, slots=True)
class BorrowIndex:
    """Interest on negative cash accumulated per unit (wad) up to ``at``."""

    index: int = 0
    at: int = 0


def owner_of(account: int) -> int:
    """Owner address as an integer."""
    return account >> 96


def account_of(owner: str | int, number: int = 0) -> int:
    """The account ``number`` of an owner address."""
    base = int(owner, 16) if isinstance(owner, str) else owner
    return base << 96 | number


def gain_value(shares: int, scale: int) -> int:
    """Value of gain shares in wad, rounded down."""
    return div_down(shares * scale, PPM)


def borrow_index(world: World) -> int:
    """Interest index now (wad)."""
    stored = world.ledger.borrow["index"]
    return stored.index + world.ledger.config.borrow_rate_wad_s * (world.now - stored.at)


def gains(world: World, row: Account) -> int:
    """Value of the immature gains of a loaded account (wad, down)."""
    if not (row.gain_now or row.gain_previous):
        return 0
    epochs = world.ledger.epochs
    now = gain_value(row.gain_now, epochs[row.epoch].scale)
    return now + gain_value(row.gain_previous, epochs[row.epoch - 1].scale)


def load(world: World, row: Account) -> tuple[Account, int]:
    """Charge interest and mature gains; returns the row and the interest owed to the fee pot
    (rounded up).
    """
    if row.cash >= 0 and not (row.gain_now or row.gain_previous):
        return row, 0
    owed = 0
    cash = row.cash
    if cash < 0:
        owed = div_up(-cash * (borrow_index(world) - row.checkpoint), WAD)
        cash -= owed
    epoch_now = world.now // world.ledger.config.epoch_seconds  # division: calendar epoch
    if epoch_now == row.epoch or not (row.gain_now or row.gain_previous):
        return replace(row, cash=cash), owed
    epochs = world.ledger.epochs
    cash += gain_value(row.gain_previous, epochs[row.epoch - 1].scale)
    previous = row.gain_now
    if epoch_now > row.epoch + 1:
        cash += gain_value(row.gain_now, epochs[row.epoch].scale)
        previous = 0
    return replace(row, cash=cash, gain_now=0, gain_previous=previous, epoch=epoch_now), owed


def changed_positions(held: Positions, instrument: int, change: int) -> Positions:
    """Positions (in instrument order) with ``change`` lots more of an instrument; those of zero
    lots disappear. Errors: LotsOutOfRange, TooManyPositions.
    """
    at = 0
    while at < len(held) and held[at][0] < instrument:
        at += 1
    here = at < len(held) and held[at][0] == instrument
    lots = held[at][1] + change if here else change
    require(abs(lots) <= limits.LOTS_MAX, errors.LotsOutOfRange)
    changed = ((instrument, lots),) if lots else ()
    positions = held[:at] + changed + held[at + here :]
    require(len(positions) <= limits.POSITIONS_PER_ACCOUNT_MAX, errors.TooManyPositions)
    return positions


def sweep(world: World, row: Account, value_linear: int) -> Account:
    """Turn variation into cash at the given linear value: gains enter the epoch's shares, losses
    take shares first.
    """
    delta = row.variation + value_linear
    if delta > 0:
        return _add_gain(world, row, delta, -value_linear)
    if delta < 0:
        return _take_loss(world, row, -delta, -value_linear)
    return replace(row, variation=-value_linear)


def _add_gain(world: World, row: Account, gain: int, variation: int) -> Account:
    epochs = world.ledger.epochs
    number = world.now // world.ledger.config.epoch_seconds  # division: calendar epoch
    epoch = epochs[number]
    shares = div_down(gain * PPM, epoch.scale)
    held = row.gain_now + shares
    entered = gain_value(held, epoch.scale) - gain_value(row.gain_now, epoch.scale)
    if shares:
        epochs[number] = Epoch(epoch.shares + shares, epoch.cut)
    return Account(
        row.cash + gain - entered,
        variation,
        row.checkpoint,
        held,
        row.gain_previous,
        # less than a share is cash at once, and no gain
        number if shares else row.epoch,
        row.flags,
        row.positions,
    )


def _take_loss(world: World, row: Account, loss: int, variation: int) -> Account:
    now, loss = _remove_shares(world, row.epoch, row.gain_now, loss)
    previous = row.gain_previous
    if loss > 0:
        previous, loss = _remove_shares(world, row.epoch - 1, previous, loss)
    return Account(
        row.cash - loss,
        variation,
        row.checkpoint,
        now,
        previous,
        row.epoch,
        row.flags,
        row.positions,
    )


def _remove_shares(world: World, number: int, shares: int, loss: int) -> tuple[int, int]:
    """Shares left of ``shares`` after paying ``loss``, and the loss left (negative: excess to
    return).
    """
    if shares == 0:
        return 0, loss
    epoch = world.ledger.epochs[number]
    removed = min(shares, div_up(loss * PPM, epoch.scale))
    paid = gain_value(shares, epoch.scale) - gain_value(shares - removed, epoch.scale)
    world.ledger.epochs[number] = Epoch(epoch.shares - removed, epoch.cut)
    return shares - removed, loss - paid


def store(world: World, account: int, row: Account, cash_before: int) -> None:
    """Write the row; the checkpoint is the interest index while cash is negative, else 0; debt
    follows cash.
    """
    checkpoint = borrow_index(world) if row.cash < 0 else 0
    if checkpoint != row.checkpoint:
        row = replace(row, checkpoint=checkpoint)
    world.ledger.accounts[account] = row
    change = max(0, -row.cash) - max(0, -cash_before)
    if change:
        pot = world.ledger.pot
        world.ledger.set_pot(replace(pot, debt=pot.debt + change))
