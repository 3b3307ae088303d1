# pragma version 0.4.3
# pragma nonreentrancy on
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Auctioneer: Dutch auctions of accounts below their maintenance margin (docs/SPEC.md §8)
@notice Owns which accounts are in auction and since when; the arithmetic is lib/auction.vy. A
        slice of everything an account holds moves at mark; the bidder's reward is paid by the
        account while it is solvent, by the waterfall afterwards. Equity and margin always come
        from one oracle round. Nobody is paid in advance, no token moves here. Holds I09 (a slice
        never worsens health while solvent) and I15 (one bounded call liquidates any account).
@custom:kill Nothing stops auctions but the restart grace after an oracle outage; there is no
        switch.
"""

from interfaces import IClearinghouse
from interfaces import IOracle
from interfaces import IWaterfall
from lib import auction
from lib import errors

event AuctionStarted:
    account: indexed(bytes32)
    equity: int256
    margin: uint256

event SliceSold:
    account: indexed(bytes32)
    bidder: indexed(bytes32)
    fraction_ppm: uint256
    discount_ppm: uint256
    reward: uint256
    fee: uint256

event AuctionEnded:
    account: indexed(bytes32)
    equity: int256
    margin: uint256

event WrittenOff:
    account: indexed(bytes32)
    deficit: uint256

struct Offer:
    health: uint256
    discount: uint256
    fee: uint256
    fraction_max: uint256
    elapsed: uint256

PPM: constant(uint256) = 10**6
MONEY_MAX: constant(uint256) = 2**128 - 1
MASK_16: constant(uint256) = 2**16 - 1
MASK_40: constant(uint256) = 2**40 - 1

# without a power here; shown so that a deployment can be checked
GOVERNOR: public(immutable(address))
CLEARINGHOUSE: immutable(IClearinghouse)
WATERFALL: immutable(IWaterfall)
ORACLE: immutable(IOracle)

# account -> [started_at 40 | block number 64]; 0 when no auction is open
auctions: HashMap[bytes32, uint256]


@deploy
def __init__(governor: address, clearinghouse: address, waterfall: address, oracle: address):
    GOVERNOR = governor
    CLEARINGHOUSE = IClearinghouse(clearinghouse)
    WATERFALL = IWaterfall(waterfall)
    ORACLE = IOracle(oracle)


@external
def start(account: bytes32):
    """
    @notice Anyone opens the auction of an account whose equity, at the best of the prices, is
            below its maintenance margin.
    @custom:errors AuctionOpen, NotLiquidatable, RestartGrace
    """
    errors.require(self.auctions[account] == 0, errors.AuctionOpen)
    errors.require(self._owner(account) != WATERFALL.address, errors.NotLiquidatable)
    self._resumed_at()
    check: IClearinghouse.Check = extcall CLEARINGHOUSE.check(account)
    margin: uint256 = check.valuation.margin_maintenance
    best: int256 = check.equity + convert(check.valuation.bonus, int256)
    errors.require(best < convert(margin, int256), errors.NotLiquidatable)
    self.auctions[account] = block.timestamp | (block.number << 40)
    extcall CLEARINGHOUSE.set_in_auction(account, True)
    log AuctionStarted(account=account, equity=check.equity, margin=margin)


@external
def bid(
    account: bytes32,
    bidder: bytes32,
    fraction_ppm: uint256,
    health_min_ppm: uint256,
    reward_min: uint256,
):
    """
    @notice Take over `fraction_ppm` of everything the account holds, or as much of it as is still
            on sale.
    @param health_min_ppm The lowest health (ppm, 0 if insolvent) at which the bid stands.
    @param reward_min The lowest reward (wad) for the whole fraction asked; a smaller slice needs
            proportionally less.
    @custom:errors NoAuction, SameBlock, NotOwner, OwnAccount, RestartGrace, NotLiquidatable,
            HealthTooLow, BadFraction, RewardTooLow, HealthWorsened, the ledger's
    """
    opened: uint256 = self.auctions[account]
    errors.require(opened != 0, errors.NoAuction)
    later: bool = block.timestamp > opened & MASK_40 and block.number > opened >> 40
    errors.require(later, errors.SameBlock)
    errors.require(self._owner(bidder) == msg.sender, errors.NotOwner)
    errors.require(self._owner(account) != msg.sender, errors.OwnAccount)
    resumed_at: uint256 = self._resumed_at()
    before: IClearinghouse.Check = extcall CLEARINGHOUSE.check(account)
    short: bool = before.equity < convert(before.valuation.margin_maintenance, int256)
    errors.require(short, errors.NotLiquidatable)
    offer: Offer = self._offer(before, opened, resumed_at)
    errors.require(offer.health >= health_min_ppm, errors.HealthTooLow)
    smallest: uint256 = min(auction.FRACTION_MIN, offer.fraction_max)
    errors.require(fraction_ppm >= smallest and fraction_ppm <= PPM, errors.BadFraction)
    fraction: uint256 = min(fraction_ppm, offer.fraction_max)
    reward: uint256 = 0
    fee: uint256 = 0
    after: IClearinghouse.Check = empty(IClearinghouse.Check)
    reward, fee, after = self._sell(account, bidder, fraction, before, offer)
    # reward / fraction >= reward_min / fraction asked, without division
    enough: bool = reward_min <= MONEY_MAX and reward * fraction_ppm >= reward_min * fraction
    errors.require(enough, errors.RewardTooLow)
    log SliceSold(
        account=account,
        bidder=bidder,
        fraction_ppm=fraction,
        discount_ppm=offer.discount,
        reward=reward,
        fee=fee,
    )
    self._close_if_done(account, after)


@external
def end(account: bytes32):
    """
    @notice Anyone closes the auction of an account that is healthy again without correction.
    @custom:errors NoAuction, StillLiquidatable
    """
    errors.require(self.auctions[account] != 0, errors.NoAuction)
    check: IClearinghouse.Check = extcall CLEARINGHOUSE.check(account)
    healthy: bool = check.equity >= convert(check.valuation.margin_maintenance, int256)
    errors.require(healthy, errors.StillLiquidatable)
    self._close(account, check)


@external
def write_off(account: bytes32):
    """
    @notice Anyone hands the deficit of an account without positions to the waterfall.
    @custom:errors NoDeficit
    """
    check: IClearinghouse.Check = extcall CLEARINGHOUSE.check(account)
    lost: bool = check.positions == 0 and check.equity < 0
    errors.require(lost and self._owner(account) != WATERFALL.address, errors.NoDeficit)
    self._write_off(account, check)


@external
def quote(account: bytes32) -> (int256, uint256, uint256, uint256, uint256):
    """
    @notice What a bid would meet now (for eth_call): equity, maintenance margin, discount (ppm),
            the largest fraction (ppm), and its reward. Before the auction: as if it began now.
    """
    check: IClearinghouse.Check = extcall CLEARINGHOUSE.check(account)
    status: uint256 = staticcall ORACLE.status()
    opened: uint256 = self.auctions[account]
    if opened == 0:
        opened = block.timestamp
    offer: Offer = self._offer(check, opened, self._resumes_at(status))
    margin: uint256 = check.valuation.margin_maintenance
    reward: uint256 = auction.share(margin, offer.discount, offer.fraction_max)
    if check.equity <= 0:
        liquidity: uint256 = check.valuation.liquidity
        reward = auction.insolvent_reward(margin, liquidity, offer.fraction_max, offer.elapsed)
    return check.equity, margin, offer.discount, offer.fraction_max, reward


@external
@view
def opened_at(account: bytes32) -> (uint256, uint256):
    """@notice Time and block number at which the auction was opened; zeros when none is."""
    opened: uint256 = self.auctions[account]
    return opened & MASK_40, opened >> 40


@internal
@pure
def _owner(account: bytes32) -> address:
    return convert(convert(account, uint256) >> 96, address)


@internal
@pure
def _resumes_at(status: uint256) -> uint256:
    """@notice End of the grace after the last oracle outage."""
    return ((status >> 104) & MASK_40) + ((status >> 160) & MASK_16)


@internal
@view
def _resumed_at() -> uint256:
    """@notice The same, which must have passed (RestartGrace)."""
    resumes_at: uint256 = self._resumes_at(staticcall ORACLE.status())
    errors.require(block.timestamp >= resumes_at, errors.RestartGrace)
    return resumes_at


@internal
@view
def _offer(check: IClearinghouse.Check, opened: uint256, resumed_at: uint256) -> Offer:
    """
    @notice Terms on sale now. The clock of an auction that saw an outage starts again after its
            grace.
    """
    began: uint256 = min(max(opened & MASK_40, resumed_at), block.timestamp)
    margin: uint256 = check.valuation.margin_maintenance
    offer: Offer = empty(Offer)
    offer.elapsed = block.timestamp - began
    offer.health = auction.health(check.equity, margin)
    offer.discount, offer.fee = auction.discount(offer.elapsed, offer.health)
    offer.fraction_max = auction.fraction_max(margin, offer.health, offer.discount + offer.fee)
    return offer


@internal
def _sell(
    account: bytes32,
    bidder: bytes32,
    fraction: uint256,
    before: IClearinghouse.Check,
    offer: Offer,
) -> (uint256, uint256, IClearinghouse.Check):
    """@notice Move the slice and pay for it; returns reward, fee and the account's check."""
    margin: uint256 = before.valuation.margin_maintenance
    reward: uint256 = auction.share(margin, offer.discount, fraction)
    fee: uint256 = auction.share(margin, offer.fee, fraction)
    after: IClearinghouse.Check = extcall CLEARINGHOUSE.transfer_slice(
        account, bidder, fraction, reward, fee
    )
    self._require_no_worse(before, after)
    if before.equity <= 0:
        liquidity: uint256 = before.valuation.liquidity
        reward = auction.insolvent_reward(margin, liquidity, fraction, offer.elapsed)
        if reward != 0:
            reward = extcall WATERFALL.pay_reward(bidder, reward)
    return reward, fee, after


@internal
@pure
def _require_no_worse(before: IClearinghouse.Check, after: IClearinghouse.Check):
    """
    @notice Solvent: health did not fall. Insolvent: neither the deficit nor the margin grew
            (HealthWorsened).
    """
    margin: int256 = convert(before.valuation.margin_maintenance, int256)
    margin_after: int256 = convert(after.valuation.margin_maintenance, int256)
    no_worse: bool = after.equity >= before.equity and margin_after <= margin
    if before.equity > 0:
        no_worse = after.equity * margin >= before.equity * margin_after
    errors.require(no_worse, errors.HealthWorsened)


@internal
def _close_if_done(account: bytes32, check: IClearinghouse.Check):
    if check.equity >= convert(check.valuation.margin_maintenance, int256):
        self._close(account, check)
    elif check.positions == 0:
        self._write_off(account, check)


@internal
def _write_off(account: bytes32, check: IClearinghouse.Check):
    deficit: uint256 = convert(-check.equity, uint256)
    if self.auctions[account] != 0:
        self._close(account, check)
    log WrittenOff(account=account, deficit=deficit)
    extcall WATERFALL.cover(account, deficit)


@internal
def _close(account: bytes32, check: IClearinghouse.Check):
    self.auctions[account] = 0
    if check.in_auction:
        extcall CLEARINGHOUSE.set_in_auction(account, False)
    margin: uint256 = check.valuation.margin_maintenance
    log AuctionEnded(account=account, equity=check.equity, margin=margin)
