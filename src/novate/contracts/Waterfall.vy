# pragma version 0.4.3
# pragma nonreentrancy on
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Waterfall: who pays for a loss beyond an account's equity, in which order (docs/SPEC.md §8,
        MARGIN.md §6)
@notice Owns the layers (ledger accounts of this contract: 1 own first-loss, 2 insurance, 3 second
        own tranche, 4 reserves) and the deficits they could not cover. Money goes in before money
        goes out: each payment is a movement of cash that a layer has. Insurance pays at most a cap
        per clock hour over all accounts, so that many small accounts drain no more than one large
        one. What the layers leave is cut pro rata from immature gains, after a window in which
        anyone may sweep anyone's account; who gained nothing pays nothing (I10, I11). Amounts in
        wad.
@custom:kill There is no switch. Anyone may refill a layer by depositing to its account.
"""

from interfaces import IClearinghouse
from interfaces import IWaterfall
from lib import errors

implements: IWaterfall

event LayerPaid:
    layer: indexed(uint256)
    account: indexed(bytes32)
    amount: uint256

event LayerRefilled:
    layer: indexed(uint256)
    amount: uint256

event HaircutOpened:
    account: indexed(bytes32)
    amount: uint256
    not_before: uint256

event HaircutExecuted:
    account: indexed(bytes32)
    amount: uint256
    cut: uint256

event DeficitUncovered:
    account: indexed(bytes32)
    amount: uint256

event AuctioneerSet:
    auctioneer: address

event CoverLimitsSet:
    event_cap: uint256
    haircut_window: uint256

FIRST_LOSS: constant(uint256) = 1
INSURANCE: constant(uint256) = 2
SECOND_LOSS: constant(uint256) = 3
RESERVES: constant(uint256) = 4
HOUR: constant(uint256) = 3600
WINDOW_MIN: constant(uint256) = 300
# shorter than an epoch, so that the crash's own gains are still immature
WINDOW_MAX: constant(uint256) = 3000
MONEY_MAX: constant(uint256) = 2**127 - 1
MASK_120: constant(uint256) = 2**120 - 1
MASK_128: constant(uint256) = 2**128 - 1

GOVERNOR: immutable(address)
CLEARINGHOUSE: immutable(IClearinghouse)

auctioneer: public(address)
# what insurance pays at most in one clock hour (wad)
event_cap: public(uint256)
# seconds between a deficit and the cut of gains
haircut_window: public(uint256)
# [paid 128 | clock hour 40]: what insurance paid in that hour
insurance_paid: uint256
# account -> [amount 128 | not_before 40]: deficit whose haircut window is open
pendings: HashMap[bytes32, uint256]
# account -> deficit that even the haircut did not cover
uncovered: public(HashMap[bytes32, uint256])


@deploy
def __init__(governor: address, clearinghouse: address):
    GOVERNOR = governor
    CLEARINGHOUSE = IClearinghouse(clearinghouse)
    self.event_cap = 500_000 * 10**18
    self.haircut_window = 600


# ---- governance

@external
def set_auctioneer(auctioneer: address):
    """
    @notice Name the auctioneer, once.
    @custom:errors NotAuthorized
    """
    errors.require(msg.sender == GOVERNOR, errors.NotAuthorized)
    errors.require(self.auctioneer == empty(address), errors.NotAuthorized)
    self.auctioneer = auctioneer
    log AuctioneerSet(auctioneer=auctioneer)


@external
def set_limits(event_cap: uint256, haircut_window: uint256):
    """
    @notice What insurance pays at most in a clock hour (wad), and the window before gains are cut
            (seconds).
    @custom:errors NotAuthorized, OutOfBounds
    """
    errors.require(msg.sender == GOVERNOR, errors.NotAuthorized)
    bounded: bool = haircut_window >= WINDOW_MIN and haircut_window <= WINDOW_MAX
    errors.require(bounded and event_cap <= MONEY_MAX, errors.OutOfBounds)
    self.event_cap = event_cap
    self.haircut_window = haircut_window
    log CoverLimitsSet(event_cap=event_cap, haircut_window=haircut_window)


@external
def refill(layer: uint256, amount: uint256):
    """
    @notice Governance moves reserves into one of the layers that pay.
    @custom:errors NotAuthorized, OutOfBounds, InsufficientCash
    """
    errors.require(msg.sender == GOVERNOR, errors.NotAuthorized)
    errors.require(layer >= FIRST_LOSS and layer <= SECOND_LOSS, errors.OutOfBounds)
    extcall CLEARINGHOUSE.move_cash(self._account(RESERVES), self._account(layer), amount)
    log LayerRefilled(layer=layer, amount=amount)


# ---- losses

@external
def cover(account: bytes32, amount: uint256) -> uint256:
    """
    @notice The auctioneer: pay a deficit in order; a shortfall opens the haircut window. An
            account's deficit that is already recorded is not paid again: only what exceeds it is.
    @return What is still short of this call's payment.
    @custom:errors NotAuthorized, NoDeficit
    """
    errors.require(msg.sender == self.auctioneer, errors.NotAuthorized)
    errors.require(amount != 0, errors.NoDeficit)
    pending: uint256 = self.pendings[account]
    recorded: uint256 = (pending & MASK_128) + self.uncovered[account]
    if amount <= recorded:
        return 0
    short: uint256 = self._pay(account, amount - recorded)
    if short != 0:
        not_before: uint256 = pending >> 128
        if pending == 0:
            not_before = block.timestamp + self.haircut_window
        # a deficit is an int128 of the ledger and `recorded` counts into it: amount < 2**128
        self.pendings[account] = ((pending & MASK_128) + short) | (not_before << 128)
        log HaircutOpened(account=account, amount=short, not_before=not_before)
    return short


@external
def pay_reward(bidder: bytes32, amount: uint256) -> uint256:
    """
    @notice The auctioneer: reward who takes over an insolvent account, from the same layers under
            the same cap.
    @return What was paid, less than `amount` when the layers run dry.
    @custom:errors NotAuthorized
    """
    errors.require(msg.sender == self.auctioneer, errors.NotAuthorized)
    return amount - self._pay(bidder, amount)


@external
def execute_haircut(account: bytes32) -> uint256:
    """
    @notice Anyone, after the window: what the layers still cannot pay is cut from immature gains
            pro rata; what even that does not cover stays recorded.
    @return What was cut.
    @custom:errors NoDeficit, NotYet
    """
    pending: uint256 = self.pendings[account]
    errors.require(pending != 0, errors.NoDeficit)
    errors.require(block.timestamp >= pending >> 128, errors.NotYet)
    self.pendings[account] = 0
    short: uint256 = self._pay(account, min(pending & MASK_128, self._deficit(account)))
    cut: uint256 = 0
    if short != 0:
        cut = extcall CLEARINGHOUSE.cut_gains(account, short)
        log HaircutExecuted(account=account, amount=short, cut=cut)
    if cut < short:
        self.uncovered[account] += short - cut
        log DeficitUncovered(account=account, amount=self.uncovered[account])
    return cut


@external
def retry(account: bytes32) -> uint256:
    """
    @notice Anyone: pay an uncovered deficit from layers refilled since.
    @return What is still uncovered.
    @custom:errors NoDeficit, LayersEmpty
    """
    recorded: uint256 = self.uncovered[account]
    errors.require(recorded != 0, errors.NoDeficit)
    needed: uint256 = min(recorded, self._deficit(account))
    short: uint256 = self._pay(account, needed)
    errors.require(short == 0 or short < needed, errors.LayersEmpty)
    self.uncovered[account] = short
    log DeficitUncovered(account=account, amount=short)
    return short


# ---- views

@external
@view
def layers() -> uint256[4]:
    """@notice Cash of the four layers (wad)."""
    return [self._cash(1), self._cash(2), self._cash(3), self._cash(4)]


@external
@view
def layer_account(layer: uint256) -> bytes32:
    """@notice The ledger account of a layer."""
    return self._account(layer)


@external
@view
def pending(account: bytes32) -> (uint256, uint256):
    """@notice Deficit whose window is open, and when gains may be cut for it."""
    found: uint256 = self.pendings[account]
    return found & MASK_128, found >> 128


@external
@view
def insurance_left() -> uint256:
    """@notice What insurance may still pay in this clock hour."""
    return self._insurance_left()


# ---- helpers

@internal
@view
def _account(layer: uint256) -> bytes32:
    return convert((convert(self, uint256) << 96) | layer, bytes32)


@internal
@view
def _cash(layer: uint256) -> uint256:
    """@notice Cash of a layer; layers never trade, so it is not negative."""
    slots: (uint256, uint256) = staticcall CLEARINGHOUSE.account(self._account(layer))
    return slots[0] & MASK_120


@internal
def _deficit(account: bytes32) -> uint256:
    """@notice How far the account's equity is below zero now."""
    check: IClearinghouse.Check = extcall CLEARINGHOUSE.check(account)
    return convert(max(-check.equity, 0), uint256)


@internal
@view
def _insurance_left() -> uint256:
    paid: uint256 = self.insurance_paid & MASK_128
    if self.insurance_paid >> 128 != block.timestamp // HOUR:  # calendar hour
        paid = 0
    return max(self.event_cap, paid) - paid


@internal
def _pay(account: bytes32, amount: uint256) -> uint256:
    """@notice Pay from layers 1, 2, 3 in that order; returns what they leave short."""
    short: uint256 = amount
    for layer: uint256 in range(FIRST_LOSS, RESERVES):
        part: uint256 = min(short, self._cash(layer))
        if layer == INSURANCE:
            left: uint256 = self._insurance_left()
            part = min(part, left)
            # paid = event_cap - left now (or more, when the cap was lowered in this hour: then
            # left and part are zero)
            if part != 0:
                paid: uint256 = self.event_cap - left + part
                self.insurance_paid = paid | ((block.timestamp // HOUR) << 128)
        if part == 0:
            continue
        short -= part
        extcall CLEARINGHOUSE.move_cash(self._account(layer), account, part)
        log LayerPaid(layer=layer, account=account, amount=part)
    return short
