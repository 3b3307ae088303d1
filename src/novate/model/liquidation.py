"""Liquidation: Dutch auctions of accounts below their maintenance margin (docs/SPEC.md §8,
MARGIN.md §6).

Units: rates, fractions and health in ppm of maintenance margin, money in wad, time in seconds
since the auction began. Rounding: health, discount, fee and reward down, the largest fraction up;
``discount + fee`` stays below health, so a slice never worsens health while equity is positive
(I09). Twins: ``contracts/Auctioneer.vy``, ``lib/auction.vy``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from novate import errors
from novate.errors import require
from novate.model import ledger, oracle, waterfall
from novate.model.account import owner_of
from novate.model.ledger import Check
from novate.model.store import Store
from novate.units import PPM, WAD, clamp, div_down, div_up, ppm_down

if TYPE_CHECKING:
    from novate.model.state import World

DISCOUNT_PPM_START = 10_000
DISCOUNT_PPM_MIDDLE = 250_000
MIDDLE_S = 300
END_S = 900
FEE_PPM = 5_000
HEALTH_PPM_TARGET = 1_150_000
FRACTION_PPM_MIN = 10_000
REWARD_FLOOR_PPM = 5_000
DUST = 10 * WAD
MONEY_MAX = 2**128 - 1


@dataclass(frozen=True, slots=True)
class Offer:
    """Terms on sale now."""

    health: int
    discount: int
    fee: int
    fraction_max: int
    elapsed: int


class LiquidationState:
    """Table of the Auctioneer: when each open auction was started; zero when none is."""

    def __init__(self, store: Store) -> None:
        self.auctions = store.table("liquidation.auctions", 0)


def health_ppm(equity: int, margin: int) -> int:
    """Equity over maintenance margin, rounded down, within [0, 1e6]."""
    if equity <= 0:
        return 0
    if equity >= margin:
        return PPM
    return div_down(equity * PPM, margin)


def discount_ppm(elapsed: int, health: int) -> tuple[int, int]:
    """The bidder's discount (1 % → 25 % → health) and the fee to insurance, together one ppm short
    of health.
    """
    room = max(health, 1) - 1
    rate = room
    if elapsed < MIDDLE_S:
        rise = (DISCOUNT_PPM_MIDDLE - DISCOUNT_PPM_START) * elapsed
        rate = DISCOUNT_PPM_START + div_down(rise, MIDDLE_S)
    elif elapsed < END_S:
        rate = DISCOUNT_PPM_MIDDLE
        if room > DISCOUNT_PPM_MIDDLE:
            rise = (room - DISCOUNT_PPM_MIDDLE) * (elapsed - MIDDLE_S)
            rate += div_down(rise, END_S - MIDDLE_S)
    rate = min(rate, room)
    return rate, min(FEE_PPM, room - rate)


def fraction_ppm_max(margin: int, health: int, charge: int) -> int:
    """Largest fraction on sale (up): what brings health to its target; everything when no slice
    can or the rest is dust.
    """
    if health <= charge or health == 0:
        return PPM
    fraction = div_up((HEALTH_PPM_TARGET - health) * PPM, HEALTH_PPM_TARGET - charge)
    if ppm_down(margin, PPM - fraction) < DUST:
        return PPM
    return fraction


def share(margin: int, rate: int, fraction: int) -> int:
    """``fraction · rate · margin``, rounded down: what the account pays."""
    return div_down(margin * rate * fraction, PPM * PPM)


def insolvent_reward(margin: int, liquidity: int, fraction: int, elapsed: int) -> int:
    """What the waterfall pays for a slice of an insolvent account (down), ramping over five
    minutes.

    Its liquidity charge, or a small share of its margin where that charge is smaller.
    """
    base = max(liquidity, ppm_down(margin, REWARD_FLOOR_PPM))
    return div_down(base * fraction * min(elapsed, MIDDLE_S), MIDDLE_S * PPM)


def offer(world: World, check: Check, started_at: int) -> Offer:
    """Terms now; the clock of an auction that saw an oracle outage starts again after its grace."""
    margin = check.valuation.margin_maintenance
    elapsed = world.now - clamp(_resumes_at(world), started_at, world.now)
    health = health_ppm(check.equity, margin)
    discount, fee = discount_ppm(elapsed, health)
    return Offer(health, discount, fee, fraction_ppm_max(margin, health, discount + fee), elapsed)


def quote(world: World, account: int) -> tuple[int, int, int, int, int]:
    """Equity, maintenance margin, discount, the largest fraction, and its reward; before the
    auction as if it began now.
    """
    check = ledger.check(world, account)
    found = offer(world, check, world.liquidation.auctions[account] or world.now)
    margin = check.valuation.margin_maintenance
    reward = share(margin, found.discount, found.fraction_max)
    if check.equity <= 0:
        reward = insolvent_reward(
            margin, check.valuation.liquidity, found.fraction_max, found.elapsed
        )
    return check.equity, margin, found.discount, found.fraction_max, reward


def _resumes_at(world: World) -> int:
    status = oracle.status(world)
    return status.restarted_at + status.restart_grace


def _owned_by_waterfall(world: World, account: int) -> bool:
    return owner_of(account) == int(world.addresses["waterfall"], 16)


def start(world: World, caller: str, account: int) -> None:
    """Anyone opens the auction of an account whose equity, at the best of the prices, is below its
    maintenance margin.
    """
    require(world.liquidation.auctions[account] == 0, errors.AuctionOpen)
    require(not _owned_by_waterfall(world, account), errors.NotLiquidatable)
    require(world.now >= _resumes_at(world), errors.RestartGrace)
    check = ledger.check(world, account)
    value = check.valuation
    require(check.equity + value.bonus < value.margin_maintenance, errors.NotLiquidatable)
    world.liquidation.auctions[account] = world.now
    ledger.set_in_auction(world, world.addresses["auctioneer"], account, True)
    world.emit(
        "AuctionStarted", account=account, equity=check.equity, margin=value.margin_maintenance
    )


def bid(
    world: World,
    caller: str,
    account: int,
    bidder: int,
    fraction_ppm: int,
    health_min_ppm: int,
    reward_min: int,
) -> None:
    """Take over ``fraction_ppm`` of everything the account holds, or as much of it as is still on
    sale.

    The contract also asks for a later block; a later timestamp implies it. ``reward_min`` is for
    the whole fraction asked.
    """
    started_at = world.liquidation.auctions[account]
    require(started_at != 0, errors.NoAuction)
    require(world.now > started_at, errors.SameBlock)
    require(owner_of(bidder) == int(caller, 16), errors.NotOwner)
    require(owner_of(account) != int(caller, 16), errors.OwnAccount)
    require(world.now >= _resumes_at(world), errors.RestartGrace)
    before = ledger.check(world, account)
    margin = before.valuation.margin_maintenance
    require(before.equity < margin, errors.NotLiquidatable)
    terms = offer(world, before, started_at)
    require(terms.health >= health_min_ppm, errors.HealthTooLow)
    smallest = min(FRACTION_PPM_MIN, terms.fraction_max)
    require(smallest <= fraction_ppm <= PPM, errors.BadFraction)
    fraction = min(fraction_ppm, terms.fraction_max)
    reward, fee = share(margin, terms.discount, fraction), share(margin, terms.fee, fraction)
    auctioneer = world.addresses["auctioneer"]
    after = ledger.transfer_slice(world, auctioneer, account, bidder, fraction, reward, fee)
    _require_no_worse(before, after)
    if before.equity <= 0:
        reward = insolvent_reward(margin, before.valuation.liquidity, fraction, terms.elapsed)
        if reward:
            reward = waterfall.pay_reward(world, auctioneer, bidder, reward)
    enough = reward_min <= MONEY_MAX and reward * fraction_ppm >= reward_min * fraction
    require(enough, errors.RewardTooLow)
    world.emit(
        "SliceSold",
        account=account,
        bidder=bidder,
        fraction_ppm=fraction,
        discount_ppm=terms.discount,
        reward=reward,
        fee=fee,
    )
    _close_if_done(world, account, after)


def _require_no_worse(before: Check, after: Check) -> None:
    """Solvent: health did not fall. Insolvent: neither the deficit nor the margin grew
    (``HealthWorsened``).
    """
    margin, margin_after = before.valuation.margin_maintenance, after.valuation.margin_maintenance
    if before.equity > 0:
        no_worse = after.equity * margin >= before.equity * margin_after
    else:
        no_worse = after.equity >= before.equity and margin_after <= margin
    require(no_worse, errors.HealthWorsened)


def end(world: World, caller: str, account: int) -> None:
    """Anyone closes the auction of an account that is healthy again without correction."""
    require(world.liquidation.auctions[account] != 0, errors.NoAuction)
    check = ledger.check(world, account)
    require(check.equity >= check.valuation.margin_maintenance, errors.StillLiquidatable)
    _close(world, account, check)


def write_off(world: World, caller: str, account: int) -> None:
    """Anyone hands the deficit of an account without positions to the waterfall."""
    check = ledger.check(world, account)
    lost = check.positions == 0 and check.equity < 0 and not _owned_by_waterfall(world, account)
    require(lost, errors.NoDeficit)
    _write_off(world, account, check)


def _close_if_done(world: World, account: int, check: Check) -> None:
    if check.equity >= check.valuation.margin_maintenance:
        _close(world, account, check)
    elif check.positions == 0:
        _write_off(world, account, check)


def _write_off(world: World, account: int, check: Check) -> None:
    if world.liquidation.auctions[account]:
        _close(world, account, check)
    world.emit("WrittenOff", account=account, deficit=-check.equity)
    waterfall.cover(world, world.addresses["auctioneer"], account, -check.equity)


def _close(world: World, account: int, check: Check) -> None:
    world.liquidation.auctions[account] = 0
    ledger.set_in_auction(world, world.addresses["auctioneer"], account, False)
    margin = check.valuation.margin_maintenance
    world.emit("AuctionEnded", account=account, equity=check.equity, margin=margin)
