# pragma version 0.4.3
# pragma nonreentrancy on
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title What a batch trades: terms, price band and room of each instrument, read once
        (docs/SPEC.md §5; twin of novate/model/tradable.py)
@notice Prices in wad a base unit, sizes in lots. The band is rounded inwards. Perps are priced by
        their feed, dated instruments by the risk model; which of the latter exist, and by how many
        lots their open interest may rise, Options says.
"""

from lib import errors
from lib import option_id
from lib import units
import ledger

uses: ledger

INSTRUMENTS_MAX: constant(uint256) = 16
KIND_PERP: constant(uint256) = 1
KIND_OPTION: constant(uint256) = 3
PHASE_REDUCING: constant(uint256) = 2
PHASE_EXPIRED: constant(uint256) = 3
# a premium is below this, so that a hundred of them and of fees fit 96 bits
PREMIUM_LIMIT: constant(int256) = 2**86
# where the bitmap of instruments open to reductions only begins in `Listing.closed`
REDUCING_SHIFT: constant(uint256) = 17
M8: constant(uint256) = 2**8 - 1
M24: constant(uint256) = 2**24 - 1
M44: constant(uint256) = 2**44 - 1
M56: constant(uint256) = 2**56 - 1
M64: constant(uint256) = 2**64 - 1
M80: constant(uint256) = 2**80 - 1
M128: constant(uint256) = 2**128 - 1

# A traded instrument; without terms it cannot be traded
struct Item:
    terms: uint256                              # its cap is what open interest may still rise by
    band: uint256                               # lowest price 128 | how far up it goes 128
    index: int256                               # funding, wad a lot; not 0 of what has expired

struct Listing:
    width: uint256                              # how many
    # bit 16: all increases are paused; bit 17 + k: item k is open to reductions only
    closed: uint256
    # [instrument 20 | an account's position cap 44 | dated: room under its expiry's limits 44]
    names: uint256[INSTRUMENTS_MAX]
    items: Item[INSTRUMENTS_MAX]

# What a trade does, or why it cannot
struct Booking:
    fault: bytes4
    lots: int256                                # the taker gains
    # the taker loses, the maker gains: variation, or of an option cash * 2**160
    booked: int256


@internal
def _listing(instruments: DynArray[uint256, INSTRUMENTS_MAX]) -> Listing:
    """@notice The traded instruments, which ascend; funding of the perps among them accrues."""
    found: Listing = empty(Listing)
    found.closed = 65536 if block.timestamp < ledger.config >> 208 else 0
    band: uint256 = ledger.config & M24
    last: uint256 = 0
    for instrument: uint256 in instruments:
        errors.require(instrument > last, errors.NotAscending)
        last = instrument
        k: uint256 = found.width
        found.width = unsafe_add(k, 1)  # at most 16
        room: uint256 = 0
        if option_id.is_dated(instrument):
            interest: uint256 = staticcall ledger.options.interest(instrument)
            found.items[k] = self._dated(instrument, band, interest)
            room = ((interest >> 44) & M44) << 64
            if (interest >> 88) & M8 == PHASE_REDUCING:
                found.closed |= 1 << unsafe_add(k, REDUCING_SHIFT)
        else:
            found.items[k] = self._perp(instrument, band)
        found.names[k] = instrument | (((found.items[k].terms >> 188) & M44) << 20) | room
    return found


@internal
def _perp(instrument: uint256, band: uint256) -> Item:
    """@notice A perp, whose funding accrues; nothing without a price to trade at."""
    terms: uint256 = ledger.books[instrument][0]
    if terms >> 248 != KIND_PERP:
        return empty(Item)
    market: uint256 = 0
    mark: uint256 = 0
    market, mark = ledger._accrue(instrument)
    if mark == 0:
        return empty(Item)
    return Item(
        terms=self._with_room(terms, market & M44, M44),
        band=self._band(mark, band),
        index=convert(convert(market, bytes32), int256) >> 160,
    )


@internal
@pure
def _with_room(terms: uint256, held: uint256, room: uint256) -> uint256:
    """@notice Terms with what open interest of `held` may rise by in place of its cap."""
    cap: uint256 = (terms >> 144) & M44
    # the cap is at least what is taken from it
    left: uint256 = min(unsafe_sub(max(cap, held), held), room)
    return terms ^ ((cap ^ left) << 144)


@internal
@pure
def _band(mark: uint256, band: uint256) -> uint256:
    """@notice Within `band` ppm of the mark."""
    lowest: uint256 = units.ppm_up(mark, units.PPM - band)
    return lowest | ((units.ppm_down(mark, units.PPM + band) - lowest) << 128)


@internal
def _dated(instrument: uint256, band: uint256, interest: uint256) -> Item:
    """
    @notice An option or a dated future, by what Options says of it. An option's band is that share
            of its mark and a tenth of its forward, which a cheap option moves by as well; no price
            is zero.
    """
    terms: uint256 = ledger.books[option_id.terms_key(instrument)][0]
    phase: uint256 = (interest >> 88) & M8
    if terms == 0 or phase == 0:
        return empty(Item)
    if phase == PHASE_EXPIRED:
        return Item(terms=0, band=0, index=1)
    mark: uint256 = ((interest >> 96) & M56) * units.ORACLE_UNIT
    forward: uint256 = (interest >> 152) * units.ORACLE_UNIT
    if forward == 0:  # what is not stored has to be built
        mark, forward = extcall ledger.risk_model.quoted(instrument)
        if forward == 0:
            return empty(Item)
    item: Item = Item(
        terms=self._with_room(terms, interest & M44, (interest >> 44) & M44), band=0, index=0
    )
    if terms >> 248 != KIND_OPTION:
        item.band = self._band(mark, band)
    else:
        # at least 1 wei: a forward is at least 1e8, a band at least 5,000 ppm
        reach: uint256 = units.ppm_down(mark + forward // 10, band)
        lowest: uint256 = max(mark, reach + 1) - reach
        item.band = lowest | ((mark + reach - lowest) << 128)
    return item


@internal
@pure
def _booking(word: uint256, owners: uint256, item: Item) -> Booking:
    """
    @notice The first reason why a trade cannot settle whatever the accounts hold, or the lots the
            taker gains and what it books for them: lots * (price of a lot - funding index). The
            price of a lot is exact, as lot_size * tick is a multiple of 1e18.
    """
    # an index beyond the accounts shifts to no owner
    taker: uint256 = (owners >> ((word & 255) << 3)) & 255
    maker: uint256 = (owners >> ((word >> 5) & 2040)) & 255
    size: uint256 = (word >> 32) & M44
    if unsafe_mul(unsafe_mul(taker, maker), unsafe_mul(size, taker ^ maker)) == 0:  # of 68 bits
        assert taker != 0 and maker != 0
        if size == 0:
            return Booking(fault=errors.ZeroLots, lots=0, booked=0)
        return Booking(fault=errors.SelfMatch, lots=0, booked=0)
    terms: uint256 = item.terms
    if terms == 0:
        if item.index != 0:
            return Booking(fault=errors.ExpiryPassed, lots=0, booked=0)
        return Booking(fault=errors.UnknownInstrument, lots=0, booked=0)
    price: uint256 = (word >> 76) & M128
    if price % ((terms >> 64) & M80) != 0:
        return Booking(fault=errors.OffTick, lots=0, booked=0)
    # a price below the lowest wraps around to more than the band is wide
    if unsafe_sub(price, item.band & M128) > item.band >> 128:
        return Booking(fault=errors.PriceOutOfBand, lots=0, booked=0)
    lots: int256 = convert(convert(size, bytes32), int256)
    if word & 2**24 == 0:
        lots = unsafe_sub(0, lots)  # 44 bits
    # a price in the band is below 2**84, a lot_size below 2**64, an index below 2**95: the product
    # with 44 bits of lots is below 2**139
    lot: bytes32 = convert(unsafe_div(unsafe_mul(price, terms & M64), units.WAD), bytes32)
    booked: int256 = unsafe_mul(lots, unsafe_sub(convert(lot, int256), item.index))
    if terms >> 248 == KIND_OPTION:
        # the premium moves in cash at once
        if booked >= PREMIUM_LIMIT or booked <= -PREMIUM_LIMIT:
            return Booking(fault=errors.LotsOutOfRange, lots=0, booked=0)
        booked = unsafe_sub(0, booked << 160)  # below 2**246
    return Booking(fault=ledger.NO_ERROR, lots=lots, booked=booked)
