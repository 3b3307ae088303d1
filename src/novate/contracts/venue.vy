# pragma version 0.4.3
# pragma nonreentrancy on
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Venue: what governance sets of the Exchange, within compiled-in bounds (docs/SPEC.md §6)
@notice Settings: [taker_ppm 16 | maker_ppm 16 | exclusive_window 16 | notice 16 | option_ppm 16 |
        option_cap_bps 16], times in seconds. The executors are the engines whose matches and
        receipts count; the last one approved stands beside the settings, so that its batches read
        one word. Twin: novate/model/venue.py.
"""

from lib import errors
import order

event FeesSet:
    taker_ppm: uint256
    maker_ppm: uint256

event OptionFeesSet:
    option_ppm: uint256
    option_cap_bps: uint256

event WindowsSet:
    exclusive_window: uint256
    notice: uint256

event ExecutorSet:
    executor: indexed(address)
    approved: bool

FEE_PPM_MAX: constant(uint256) = 2_000
OPTION_CAP_BPS_MAX: constant(uint256) = 2_500
WINDOWS: constant(uint256) = 32
NOTICE: constant(uint256) = 48
OPTION_FEES: constant(uint256) = 64
EXECUTOR: constant(uint256) = 96
M96: constant(uint256) = 2**96 - 1

GOVERNOR: immutable(address)

executors: public(HashMap[address, bool])
word: uint256  # [settings 96 | an approved executor or zero 160]


@deploy
def __init__(governor: address):
    GOVERNOR = governor
    self.word = (30 << WINDOWS) | (60 << NOTICE)


@external
def set_fees(taker_ppm: uint256, maker_ppm: uint256):
    """@notice Governance: fees in ppm of notional but of options; a signed maximum holds still."""
    errors.require(msg.sender == GOVERNOR, errors.NotAuthorized)
    errors.require(max(taker_ppm, maker_ppm) <= FEE_PPM_MAX, errors.OutOfBounds)
    self.word = ((self.word >> WINDOWS) << WINDOWS) | taker_ppm | (maker_ppm << 16)
    log FeesSet(taker_ppm=taker_ppm, maker_ppm=maker_ppm)


@external
def set_option_fees(option_ppm: uint256, option_cap_bps: uint256):
    """
    @notice Governance: what each side of an option's fill pays, in ppm of the underlying, and at
            most so many bp of the premium; an order's signed maximum holds all the same.
    """
    errors.require(msg.sender == GOVERNOR, errors.NotAuthorized)
    errors.require(option_ppm <= FEE_PPM_MAX, errors.OutOfBounds)
    errors.require(option_cap_bps <= OPTION_CAP_BPS_MAX, errors.OutOfBounds)
    others: uint256 = self.word & ~((2**32 - 1) << OPTION_FEES)
    self.word = others | (option_ppm << OPTION_FEES) | (option_cap_bps << (OPTION_FEES + 16))
    log OptionFeesSet(option_ppm=option_ppm, option_cap_bps=option_cap_bps)


@external
def set_windows(exclusive_window: uint256, notice: uint256):
    """@notice Governance: half of the notice or more stays for receipts, so they move together."""
    errors.require(msg.sender == GOVERNOR, errors.NotAuthorized)
    errors.require(5 <= exclusive_window and exclusive_window <= 300, errors.OutOfBounds)
    errors.require(30 <= notice and notice <= 600, errors.OutOfBounds)
    errors.require(2 * exclusive_window <= notice, errors.OutOfBounds)
    others: uint256 = self.word & ~((2**32 - 1) << WINDOWS)
    self.word = others | (exclusive_window << WINDOWS) | (notice << NOTICE)
    log WindowsSet(exclusive_window=exclusive_window, notice=notice)


@external
def set_executor(executor: address, approved: bool):
    """@notice Governance: approve an engine, or withdraw the approval with all its receipts."""
    errors.require(msg.sender == GOVERNOR, errors.NotAuthorized)
    errors.require(executor != empty(address), errors.OutOfBounds)
    self.executors[executor] = approved
    favoured: uint256 = self.word >> EXECUTOR
    if approved:
        favoured = convert(executor, uint256)
    elif favoured == convert(executor, uint256):
        favoured = 0
    self.word = (self.word & M96) | (favoured << EXECUTOR)
    log ExecutorSet(executor=executor, approved=approved)


@external
@view
def settings() -> uint256:
    """@notice The settings word."""
    return self.word & M96


@internal
@view
def approved(executor: address) -> bool:
    """@notice Whether the executor's matches and receipts count."""
    if self.word >> EXECUTOR == convert(executor, uint256) and executor != empty(address):
        return True
    return self.executors[executor]


@internal
@view
def exclusive_window() -> uint256:
    """@notice Seconds after a match in which only its executor settles it."""
    return (self.word >> WINDOWS) & order.M16


@internal
@view
def after_notice() -> uint256:
    """@notice The second from which a unilateral act of now holds."""
    return block.timestamp + ((self.word >> NOTICE) & order.M16)
