# pragma version 0.4.3
# pragma nonreentrancy on
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Custody's sheet: listed tokens, their balances, caps and limits (docs/SPEC.md §7)
@notice Owns the accounting of tokens and what governance may change of it; moves no token itself.
        Balances and limits in token units, caps in whole tokens, the queue's clock in
        milliseconds, delays in seconds. Twin: novate/model/custody.py.
"""

from ethereum.ercs import IERC20Detailed
from interfaces import IClearinghouse
from lib import errors
from lib import outflow

event TokenListed:
    token: indexed(address)
    instrument: uint256
    decimals: uint256
    lot_units: uint256
    cap_step: uint256

event DepositCapSet:
    token: indexed(address)
    cap: uint256

event LimitsSet:
    token: indexed(address)
    hourly: uint256
    account_floor: uint256
    notice: uint256
    effective_at: uint256

LISTED: constant(uint256) = 1
KIND_SPOT: constant(uint256) = 4
# an order matched before a request still settles within its notice (rule 6)
NOTICE_MIN: constant(uint256) = 60
NOTICE_MAX: constant(uint256) = 86_400
RAISE_DELAY: constant(uint256) = 604_800  # a looser limit takes effect this much later
MASK_20: constant(uint256) = 2**20 - 1
MASK_48: constant(uint256) = 2**48 - 1
MASK_96: constant(uint256) = 2**96 - 1
MASK_112: constant(uint256) = 2**112 - 1
MASK_128: constant(uint256) = 2**128 - 1

GOVERNOR: immutable(address)
CLEARINGHOUSE: immutable(IClearinghouse)

# token -> [balance 112 | cap (whole) 48 | clock_ms 48 | decimals 8 | instrument 20 | flags 8]
tokens: HashMap[address, uint256]
# token -> [lot_units 128 | cap_step in whole tokens 48]
listings: HashMap[address, uint256]
# token -> [hourly 96 | account_floor 96 | notice 24], in force
limits_now: HashMap[address, uint256]
# token -> [hourly 96 | account_floor 96 | notice 24 | effective_at 40], announced; 0 when none
limits_next: HashMap[address, uint256]


@deploy
def __init__(governor: address, clearinghouse: address):
    GOVERNOR = governor
    CLEARINGHOUSE = IClearinghouse(clearinghouse)


@external
def set_token(
    token: address, instrument: uint256, decimals: uint256, lot_size: uint256, cap_step: uint256
):
    """
    @notice List a token once: cash (instrument 0, lot_size 0) or the tokens behind a listed spot
            instrument (same lot_size, wad base units). Its cap starts at zero; `cap_step` (whole
            tokens) is how far the first raise may go.
    @custom:errors NotAuthorized, AlreadyListed, OutOfBounds, BadTerms
    """
    errors.require(msg.sender == GOVERNOR, errors.NotAuthorized)
    errors.require(self.tokens[token] == 0, errors.AlreadyListed)
    errors.require(decimals >= 6 and decimals <= 18 and cap_step <= MASK_48, errors.OutOfBounds)
    own: uint256 = convert(staticcall IERC20Detailed(token).decimals(), uint256)
    errors.require(own == decimals and instrument <= MASK_20, errors.BadTerms)
    lot_units: uint256 = 0
    if instrument == 0:
        errors.require(lot_size == 0, errors.BadTerms)
    else:
        scale: uint256 = 10 ** (18 - decimals)
        terms: uint256 = (staticcall CLEARINGHOUSE.market(instrument))[0]
        errors.require(terms >> 248 == KIND_SPOT, errors.BadTerms)
        exact: bool = terms & (2**64 - 1) == lot_size and lot_size % scale == 0
        errors.require(exact, errors.BadTerms)
        lot_units = lot_size // scale  # exact by the check above
    self.tokens[token] = (decimals << 208) | (instrument << 216) | (LISTED << 236)
    self.listings[token] = lot_units | (cap_step << 128)
    self.limits_now[token] = NOTICE_MIN << 192
    log TokenListed(
        token=token,
        instrument=instrument,
        decimals=decimals,
        lot_units=lot_units,
        cap_step=cap_step,
    )


@external
def set_deposit_cap(token: address, cap: uint256):
    """
    @notice New cap in whole tokens; a raise goes at most to twice the old cap plus the listing's
            step.
    @custom:errors NotAuthorized, UnknownToken, OutOfBounds, TooFast
    """
    errors.require(msg.sender == GOVERNOR, errors.NotAuthorized)
    word: uint256 = self.tokens[token]
    errors.require(word != 0, errors.UnknownToken)
    errors.require(cap <= MASK_48, errors.OutOfBounds)
    old: uint256 = (word >> 112) & MASK_48
    errors.require(cap <= 2 * old + (self.listings[token] >> 128), errors.TooFast)
    self.tokens[token] = (word & ~(MASK_48 << 112)) | (cap << 112)
    log DepositCapSet(token=token, cap=cap)


@external
def set_limits(token: address, hourly: uint256, account_floor: uint256, notice: uint256):
    """
    @notice Net outflow an hour (besides a tenth of the balance), an account's floor an hour, and
            the notice. Each field that tightens holds at once; the whole set holds after seven
            days. A token that holds nothing changes at once.
    @custom:errors NotAuthorized, UnknownToken, OutOfBounds
    """
    errors.require(msg.sender == GOVERNOR, errors.NotAuthorized)
    word: uint256 = self.tokens[token]
    errors.require(word != 0, errors.UnknownToken)
    errors.require(hourly <= MASK_96 and account_floor <= MASK_96, errors.OutOfBounds)
    errors.require(notice >= NOTICE_MIN and notice <= NOTICE_MAX, errors.OutOfBounds)
    wanted: uint256 = hourly | (account_floor << 96) | (notice << 192)
    tight: uint256 = wanted
    if word & MASK_112 != 0:
        now: uint256 = self._limits(token)
        tight = min(hourly, now & MASK_96) | (min(account_floor, (now >> 96) & MASK_96) << 96)
        tight |= max(notice, now >> 192) << 192
    effective_at: uint256 = block.timestamp
    self.limits_now[token] = tight
    self.limits_next[token] = 0
    if tight != wanted:
        effective_at += RAISE_DELAY
        self.limits_next[token] = wanted | (effective_at << 216)
    log LimitsSet(
        token=token,
        hourly=hourly,
        account_floor=account_floor,
        notice=notice,
        effective_at=effective_at,
    )


@external
@view
@reentrant
def token(token: address) -> (uint256, uint256, uint256, uint256, uint256):
    """
    @notice Balance sheet (units), deposit cap (whole tokens), decimals, instrument, units a lot
            (spot) of a token.
    """
    word: uint256 = self.tokens[token]
    return (
        word & MASK_112,
        (word >> 112) & MASK_48,
        (word >> 208) & 255,
        (word >> 216) & MASK_20,
        self.listings[token] & MASK_128,
    )


@external
@view
@reentrant
def queue(token: address) -> (uint256, uint256, uint256, uint256):
    """
    @notice The clock (ms), units that may leave in an hour now, an account's floor, and the notice
            (seconds).
    """
    word: uint256 = self.tokens[token]
    limits: uint256 = self._limits(token)
    hourly: uint256 = outflow.limit(word & MASK_112, limits & MASK_96)
    return (word >> 160) & MASK_48, hourly, (limits >> 96) & MASK_96, limits >> 192


@internal
@view
def _limits(token: address) -> uint256:
    """@notice [hourly 96 | account_floor 96 | notice 24] in force now."""
    next: uint256 = self.limits_next[token]
    if next != 0 and block.timestamp >= next >> 216:
        return next & (2**216 - 1)
    return self.limits_now[token]


@internal
@view
def _to_ledger(token: address, word: uint256, amount: uint256) -> uint256:
    """@notice Cash in wad or whole lots, exact either way (NotWholeLots)."""
    if (word >> 216) & MASK_20 == 0:
        # decimals are 6 to 18; the amount is anybody's, so its product is checked
        return amount * pow_mod256(10, unsafe_sub(18, (word >> 208) & 255))
    lot_units: uint256 = self.listings[token] & MASK_128
    errors.require(amount % lot_units == 0, errors.NotWholeLots)
    return amount // lot_units  # exact
