"""Waterfall: who pays for a loss beyond an account's equity, in which order (docs/SPEC.md §8,
MARGIN.md §6).

Owns the deficits that the layers could not cover; the layers are ledger accounts of the
waterfall's address. Units: wad. Holds I10 (who gained nothing pays nothing) and I11 (in order,
money in before money out). Twin: ``contracts/Waterfall.vy``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from novate import errors
from novate.errors import require
from novate.model import ledger
from novate.model.account import account_of
from novate.model.store import Store
from novate.units import WAD, div_down

if TYPE_CHECKING:
    from novate.model.state import World

FIRST_LOSS, INSURANCE, SECOND_LOSS, RESERVES = 1, 2, 3, 4
HOUR_S = 3600
WINDOW_S_MIN = 300
WINDOW_S_MAX = 3000
MONEY_MAX = 2**127 - 1


@dataclass(frozen=True, slots=True)
class CoverLimits:
    """What insurance pays at most in one clock hour (wad), and seconds from a deficit to the cut
    of gains.
    """

    event_cap: int = 500_000 * WAD
    haircut_window: int = 600


class WaterfallState:
    """Tables of the Waterfall; single rows stand under key 0."""

    def __init__(self, store: Store) -> None:
        self.limits = store.table("waterfall.limits", CoverLimits())
        self.insurance_paid = store.table("waterfall.insurance_paid", (0, 0))
        self.pendings = store.table("waterfall.pendings", (0, 0))
        self.uncovered = store.table("waterfall.uncovered", 0)


def layer_account(world: World, layer: int) -> int:
    """The ledger account of a layer."""
    return account_of(world.addresses["waterfall"], layer)


def layers(world: World) -> tuple[int, int, int, int]:
    """Cash of the four layers."""
    cash = [world.ledger.accounts[layer_account(world, layer)].cash for layer in range(1, 5)]
    return cash[0], cash[1], cash[2], cash[3]


def insurance_left(world: World) -> int:
    """What insurance may still pay in this clock hour."""
    paid, hour = world.waterfall.insurance_paid[0]
    if hour != div_down(world.now, HOUR_S):
        paid = 0
    return max(world.waterfall.limits[0].event_cap - paid, 0)


def set_limits(world: World, caller: str, event_cap: int, haircut_window: int) -> None:
    """Governance: the insurance cap of a clock hour, and the window before gains are cut."""
    ledger.only(world, caller, "timelock")
    require(WINDOW_S_MIN <= haircut_window <= WINDOW_S_MAX, errors.OutOfBounds)
    require(event_cap <= MONEY_MAX, errors.OutOfBounds)
    world.waterfall.limits[0] = CoverLimits(event_cap, haircut_window)
    world.emit("CoverLimitsSet", event_cap=event_cap, haircut_window=haircut_window)


def refill(world: World, caller: str, layer: int, amount: int) -> None:
    """Governance: move reserves into one of the layers that pay."""
    ledger.only(world, caller, "timelock")
    require(FIRST_LOSS <= layer <= SECOND_LOSS, errors.OutOfBounds)
    source, target = layer_account(world, RESERVES), layer_account(world, layer)
    ledger.move_cash(world, world.addresses["waterfall"], source, target, amount)
    world.emit("LayerRefilled", layer=layer, amount=amount)


def _pay(world: World, account: int, amount: int) -> int:
    """Pay from layers 1, 2, 3 in that order; returns what they leave short."""
    short = amount
    for layer in (FIRST_LOSS, INSURANCE, SECOND_LOSS):
        source = layer_account(world, layer)
        part = min(short, world.ledger.accounts[source].cash)
        if layer == INSURANCE:
            left = insurance_left(world)
            part = min(part, left)
            if part:
                paid = world.waterfall.limits[0].event_cap - left + part
                world.waterfall.insurance_paid[0] = (paid, div_down(world.now, HOUR_S))
        if part == 0:
            continue
        short -= part
        ledger.move_cash(world, world.addresses["waterfall"], source, account, part)
        world.emit("LayerPaid", layer=layer, account=account, amount=part)
    return short


def cover(world: World, caller: str, account: int, amount: int) -> int:
    """The auctioneer: pay a deficit in order; a shortfall opens the haircut window. What is
    recorded is not paid again.
    """
    ledger.only(world, caller, "auctioneer")
    require(amount != 0, errors.NoDeficit)
    pending, not_before = world.waterfall.pendings[account]
    recorded = pending + world.waterfall.uncovered[account]
    if amount <= recorded:
        return 0
    short = _pay(world, account, amount - recorded)
    if short:
        if pending == 0:
            not_before = world.now + world.waterfall.limits[0].haircut_window
        world.waterfall.pendings[account] = (pending + short, not_before)
        world.emit("HaircutOpened", account=account, amount=short, not_before=not_before)
    return short


def pay_reward(world: World, caller: str, bidder: int, amount: int) -> int:
    """The auctioneer: reward who takes over an insolvent account; returns what was paid."""
    ledger.only(world, caller, "auctioneer")
    return amount - _pay(world, bidder, amount)


def _deficit(world: World, account: int) -> int:
    return max(-ledger.check(world, account).equity, 0)


def execute_haircut(world: World, caller: str, account: int) -> int:
    """Anyone, after the window: cut what the layers still cannot pay from immature gains; the rest
    stays recorded.
    """
    pending, not_before = world.waterfall.pendings[account]
    require(pending != 0, errors.NoDeficit)
    require(world.now >= not_before, errors.NotYet)
    world.waterfall.pendings[account] = (0, 0)
    short = _pay(world, account, min(pending, _deficit(world, account)))
    cut = 0
    if short:
        cut = ledger.cut_gains(world, world.addresses["waterfall"], account, short)
        world.emit("HaircutExecuted", account=account, amount=short, cut=cut)
    if cut < short:
        world.waterfall.uncovered[account] += short - cut
        uncovered = world.waterfall.uncovered[account]
        world.emit("DeficitUncovered", account=account, amount=uncovered)
    return cut


def retry(world: World, caller: str, account: int) -> int:
    """Anyone: pay an uncovered deficit from layers refilled since; returns what is still
    uncovered.
    """
    recorded = world.waterfall.uncovered[account]
    require(recorded != 0, errors.NoDeficit)
    needed = min(recorded, _deficit(world, account))
    short = _pay(world, account, needed)
    require(short == 0 or short < needed, errors.LayersEmpty)
    world.waterfall.uncovered[account] = short
    world.emit("DeficitUncovered", account=account, amount=short)
    return short
