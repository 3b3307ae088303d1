# pragma version 0.4.3
# pragma nonreentrancy on
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Venue: what governance sets of the Exchange, within compiled-in bounds (docs/SPEC.md §6)
@notice Word: [taker_ppm 16 | maker_ppm 16 | exclusive_window 16 | notice 16], times in seconds. The
        executors are the engines whose matches and receipts count. Twin: novate/model/venue.py.
"""

from lib import errors
import order

event FeesSet:
    taker_ppm: uint256
    maker_ppm: uint256

event WindowsSet:
    exclusive_window: uint256
    notice: uint256

event ExecutorSet:
    executor: indexed(address)
    approved: bool

FEE_PPM_MAX: constant(uint256) = 2_000
WINDOWS: constant(uint256) = 32
NOTICE: constant(uint256) = 48

GOVERNOR: immutable(address)

settings: public(uint256)
executors: public(HashMap[address, bool])


@deploy
def __init__(governor: address):
    GOVERNOR = governor
    self.settings = (30 << WINDOWS) | (60 << NOTICE)


@external
def set_fees(taker_ppm: uint256, maker_ppm: uint256):
    """@notice Governance: fees in ppm of notional; an order's signed maximum holds all the same."""
    errors.require(msg.sender == GOVERNOR, errors.NotAuthorized)
    errors.require(max(taker_ppm, maker_ppm) <= FEE_PPM_MAX, errors.OutOfBounds)
    self.settings = ((self.settings >> WINDOWS) << WINDOWS) | taker_ppm | (maker_ppm << 16)
    log FeesSet(taker_ppm=taker_ppm, maker_ppm=maker_ppm)


@external
def set_windows(exclusive_window: uint256, notice: uint256):
    """@notice Governance: half of the notice or more stays for receipts, so they move together."""
    errors.require(msg.sender == GOVERNOR, errors.NotAuthorized)
    errors.require(5 <= exclusive_window and exclusive_window <= 300, errors.OutOfBounds)
    errors.require(30 <= notice and notice <= 600, errors.OutOfBounds)
    errors.require(2 * exclusive_window <= notice, errors.OutOfBounds)
    fees: uint256 = self.settings & (2**32 - 1)
    self.settings = fees | (exclusive_window << WINDOWS) | (notice << NOTICE)
    log WindowsSet(exclusive_window=exclusive_window, notice=notice)


@external
def set_executor(executor: address, approved: bool):
    """@notice Governance: approve an engine, or withdraw the approval with all its receipts."""
    errors.require(msg.sender == GOVERNOR, errors.NotAuthorized)
    errors.require(executor != empty(address), errors.OutOfBounds)
    self.executors[executor] = approved
    log ExecutorSet(executor=executor, approved=approved)


@internal
@view
def exclusive_window() -> uint256:
    """@notice Seconds after a match in which only its executor settles it."""
    return (self.settings >> WINDOWS) & order.M16


@internal
@view
def after_notice() -> uint256:
    """@notice The second from which a unilateral act of now holds."""
    return block.timestamp + (self.settings >> NOTICE)
