# pragma version 0.4.3
# pragma nonreentrancy on
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Listing, parameters and pause (docs/SPEC.md §2; twin of
        novate/model/ledger.py)
@notice Everything here is bounded and behind the timelock, but for the guardian's pause, which
        never stops reductions.
"""

from interfaces import IOptions
from interfaces import IRiskModel
from lib import errors
from lib import option_id
from lib import units
import ledger

uses: ledger

event InstrumentListed:
    instrument: indexed(uint256)
    terms: uint256

event ConfigSet:
    config: uint256

event DebtCapSet:
    debt_cap: uint256

event Paused:
    until: uint256

event PeersSet:
    risk_model: address
    custody: address
    auctioneer: address
    waterfall: address
    guardian: address
    options: address

event VenueSet:
    venue: indexed(address)
    approved: bool

KIND_PERP: constant(uint256) = 1
KIND_FUTURE: constant(uint256) = 2
KIND_OPTION: constant(uint256) = 3
KIND_SPOT: constant(uint256) = 4
UNDERLYINGS_MAX: constant(uint256) = 16
LOTS_LIMIT: constant(uint256) = 2**43
# so that 128 positions of an account stay below 2**47 lots, which the sums of arrays hold (§12)
LOTS_LIMIT_DATED: constant(uint256) = 2**40
PERPS_MAX: constant(uint256) = 64
PAUSE_SECONDS_MAX: constant(uint256) = 7 * 86400
M24: constant(uint256) = 2**24 - 1
M32: constant(uint256) = 2**32 - 1
M44: constant(uint256) = 2**44 - 1
M64: constant(uint256) = 2**64 - 1
M80: constant(uint256) = 2**80 - 1


@internal
@view
def _only_governor():
    errors.require(msg.sender == ledger.GOVERNOR, errors.NotAuthorized)


@internal
@view
def _check_terms(instrument: uint256, terms: uint256):
    kind: uint256 = terms >> 248
    lot_size: uint256 = terms & M64
    tick: uint256 = (terms >> 64) & M80
    fits: bool = self._lot_exponent(lot_size) != 0
    fits = fits and tick > 0 and lot_size * tick % units.WAD == 0
    fits = fits and (terms >> 232) & 255 < UNDERLYINGS_MAX
    fits = fits and self._caps_fit(instrument, (terms >> 144) & M44, (terms >> 188) & M44)
    if option_id.is_dated(instrument):
        fits = fits and self._fits_key(instrument, terms)
    else:
        listed: bool = kind == KIND_PERP or kind == KIND_SPOT
        fits = fits and listed and instrument > 0 and instrument < 2**19
    errors.require(fits, errors.BadTerms)


@internal
@view
def _fits_key(key: uint256, terms: uint256) -> bool:
    """
    @notice Whether these are terms of all options, or all futures, of the key's underlying: their
            lot is that of its grid, so that risk arrays may be added.
    """
    underlying: uint256 = option_id.underlying(key)
    kind: uint256 = KIND_FUTURE if option_id.is_future(key) else KIND_OPTION
    fits: bool = option_id.terms_key(key) == key and terms >> 248 == kind
    fits = fits and (terms >> 232) & 65535 == underlying  # no feed: the slot's own prices it
    grid: uint256 = staticcall ledger.options.grid(underlying)
    return fits and (grid >> 136) & 255 == self._lot_exponent(terms & M64)


@internal
@pure
def _caps_fit(instrument: uint256, open_interest_cap: uint256, position_cap: uint256) -> bool:
    limit: uint256 = LOTS_LIMIT_DATED if option_id.is_dated(instrument) else LOTS_LIMIT
    return open_interest_cap < limit and position_cap < limit


@internal
@pure
def _lot_exponent(lot_size: uint256) -> uint256:
    """
    @notice The e of a lot of 10**e wei: at least 10, so that a lot's value is exact and never zero,
            at most 19, so that it fits 88 bits. 0: no such power.
    """
    for e: uint256 in range(10, 20):
        if 10**e == lot_size:
            return e
    return 0


@external
def list_instrument(instrument: uint256, terms: uint256):
    """
    @notice Governance: list an instrument, once; or the terms of all options, or all futures, of an
            underlying under their key (`lib/option_id.vy`). Which of those exist, Options says.
    """
    self._only_governor()
    self._check_terms(instrument, terms)
    errors.require(ledger.books[instrument][0] == 0, errors.AlreadyListed)
    ledger.books[instrument][0] = terms
    log InstrumentListed(instrument=instrument, terms=terms)
    if option_id.is_dated(instrument):
        return  # no market word: open interest is Options', and there is no funding
    fields: uint256 = (self._lot_exponent(terms & M64) << 44) | (((terms >> 240) & 255) << 52)
    fields |= (((terms >> 232) & 255) << 60) | ((terms >> 248) << 68)
    ledger.books[instrument][1] = fields | (block.timestamp << 96)
    if terms >> 248 == KIND_PERP:
        errors.require(len(ledger.perps) < PERPS_MAX, errors.TooManyItems)
        ledger.perps.append(instrument)


@external
def set_caps(instrument: uint256, open_interest_cap: uint256, position_cap: uint256):
    """@notice Governance: new caps in lots; they stop increases only."""
    self._only_governor()
    terms: uint256 = ledger.books[instrument][0]
    errors.require(terms != 0, errors.UnknownInstrument)
    fits: bool = self._caps_fit(instrument, open_interest_cap, position_cap)
    errors.require(fits, errors.BadTerms)
    mask: uint256 = (2**88 - 1) << 144
    terms = (terms & ~mask) | (open_interest_cap << 144) | (position_cap << 188)
    ledger.books[instrument][0] = terms
    log InstrumentListed(instrument=instrument, terms=terms)


@external
def set_config(word: uint256):
    """
    @notice Governance: bounded parameters; every perp and the interest index accrue first. Epoch
            and pause stay.
    """
    self._only_governor()
    self._require_bounds(word)
    for instrument: uint256 in ledger.perps:
        market: uint256 = 0
        mark: uint256 = 0
        market, mark = ledger._accrue(instrument)
    ledger.borrow = ledger._borrow_index() | (block.timestamp << 128)
    kept: uint256 = (word & (2**184 - 1)) | ((ledger.config >> 184) << 184)
    ledger.config = kept
    log ConfigSet(config=kept)


@internal
@pure
def _require_bounds(word: uint256):
    band: uint256 = word & M24
    fits: bool = band >= 5_000 and band <= 200_000
    fits = fits and (word >> 24) & M32 <= 1_000_000 and (word >> 56) & M32 <= 5_000_000
    fits = fits and (word >> 88) & M32 <= 10_000_000
    slope: uint256 = (word >> 120) & M32
    errors.require(fits and slope > 0 and slope <= 1_000_000, errors.OutOfBounds)


@external
def set_debt_cap(debt_cap: uint256):
    """@notice Governance: total cash below zero (wad) at which risk increases stop."""
    self._only_governor()
    errors.require(debt_cap <= 10**27, errors.OutOfBounds)
    ledger.debt_cap = debt_cap
    log DebtCapSet(debt_cap=debt_cap)


@external
def set_peers(
    risk_model: address,
    custody: address,
    auctioneer: address,
    waterfall: address,
    guardian: address,
    options: address,
):
    """@notice Governance: the contracts that act on the ledger."""
    self._only_governor()
    ledger.risk_model = IRiskModel(risk_model)
    ledger.custody = custody
    ledger.auctioneer = auctioneer
    ledger.waterfall = waterfall
    ledger.guardian = guardian
    ledger.options = IOptions(options)
    log PeersSet(
        risk_model=risk_model,
        custody=custody,
        auctioneer=auctioneer,
        waterfall=waterfall,
        guardian=guardian,
        options=options,
    )


@external
def set_venue(venue: address, approved: bool):
    """@notice Governance: who may novate."""
    self._only_governor()
    ledger.venues[venue] = approved
    log VenueSet(venue=venue, approved=approved)


@external
def pause(seconds: uint256):
    """
    @notice Guardian: stop trades in which neither side reduces, at most 7 days, and not twice in a
            row.
    """
    errors.require(msg.sender == ledger.guardian, errors.NotAuthorized)
    errors.require(seconds > 0 and seconds <= PAUSE_SECONDS_MAX, errors.OutOfBounds)
    config: uint256 = ledger.config
    errors.require(block.timestamp >= (config >> 208) + PAUSE_SECONDS_MAX, errors.TooFast)
    until: uint256 = block.timestamp + seconds
    ledger.config = (config & (2**208 - 1)) | (until << 208)
    log Paused(until=until)
