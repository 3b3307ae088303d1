# pragma version 0.4.3
# pragma nonreentrancy on
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Option risk: what options and dated futures of one underlying add up to (docs/SPEC.md §4;
        twin of novate/model/dated_margin.py)
@notice Keeps nothing. Sums the rows and risk arrays of an account's dated positions, and says what
        they are worth and what their add-ons come to. Money wad; every add-on is rounded up.
"""

from lib import errors
from lib import lanes
from lib import option_id
from lib import units
import dated_rows
import risk_parameters
import rows

uses: dated_rows
uses: risk_parameters
uses: rows

# Positions of one underlying, summed, within the bounds of `lanes.Sums`; interest below 2**153.
# Prices in oracle units a base unit times lots, of which `scale` makes wei
struct Book:
    sums: lanes.Sums           # of options; tenors and slots of futures too
    forwards: int256           # of futures that live
    prints: int256             # of futures that are printed
    scale: uint256             # of a lot; one for all dated instruments of an underlying
    interest: uint256          # 1e-5 of lots times |delta|, 2**-30
    gauge: uint256             # what `_widen` of rows returns

# What they come to; of an underlying without dated positions, its linear delta
struct Part:
    totals: lanes.Totals
    quantum_lot: uint256       # 0: no options
    psr: uint256               # of the epoch
    linear: int256             # delta of what is linear, wad
    delta: int256              # of all tenors, 2**-30 wad
    size: uint256              # of that, wad, rounded up
    vega: uint256              # money of the net vega, wad
    added: uint256             # calendar, vega calendar, gap, rounding
    minimum: uint256
    interest: uint256          # 1e-5 wad
    value_linear: int256
    value_spot: int256
    gauge: uint256

interface Rows:
    def with_rows(
        given: Book, words: DynArray[uint256, 32], underlying: uint256, status: uint256,
        base: uint256
    ) -> Book: nonpayable

# Rates of one underlying at maintenance and at initial margin, and its liquidity charges
struct Rates:
    psr: uint256
    psr_initial: uint256
    credit: uint256
    credit_initial: uint256
    liquidity: uint256
    liquidity_initial: uint256

GAP_PPM: constant(int256) = 1_500
PPM: constant(int256) = 10**6
# more than any option is worth
VALUE_MAX: constant(int256) = 2**200
SHORT_MINIMUM_PPM: constant(uint256) = 5_000
CALENDAR_DIVISOR: constant(uint256) = 100 * 2**30   # one per cent of 2**-30
CALENDAR_VEGA_INVERSE: constant(uint256) = 4
VEGA_DEPTH_INVERSE: constant(uint256) = 10
DELTA_ONE: constant(int256) = 2**30
VEGA_SPAN: constant(int256) = 2**80
# of a row: the clip
CLIP: constant(uint256) = 15 << 144
LOTS_OFFSET: constant(int256) = 2**43
M16: constant(uint256) = 2**16 - 1
M20: constant(uint256) = 2**20 - 1
M24: constant(uint256) = 2**24 - 1
M36: constant(uint256) = 2**36 - 1
M44: constant(uint256) = 2**44 - 1
M56: constant(uint256) = 2**56 - 1
M64: constant(uint256) = 2**64 - 1
M128: constant(uint256) = 2**128 - 1


@internal
def part(
    words: DynArray[uint256, 32], underlying: uint256, status: uint256, base: uint256,
    seen: uint256, linear: int256,
) -> Part:
    """
    @notice What the dated ones among positions come to in an underlying, beside the linear delta
            of its perpetuals and spot, whose gauge is `seen`.
    """
    # once options of it have been built in this round, their rows are the shorter way
    is_built: bool = dated_rows.built[underlying | (base >> 16)]
    book: Book = Book(
        sums=empty(lanes.Sums) if is_built else staticcall dated_rows.OPTIONS.fresh_sums(
            words, underlying, dated_rows._known(underlying, status)),
        forwards=0, prints=0, scale=0, interest=0, gauge=seen)
    if is_built:
        book.sums.left = max_value(uint256)
    if book.sums.left != 0:
        book = extcall Rows(self).with_rows(book, words, underlying, status, base)
    last: uint256 = 0  # feed, lot exponent and state of a head; none has no state
    for slot: uint256 in range(16):
        if book.sums.slots >> slot == 0:
            break
        head: uint256 = book.sums.heads[slot] & M128
        if head == 0:
            continue
        # with feed, lot and state of the one before all but the charge is its: `_common`
        charge: uint256 = unsafe_mul(head >> 80, unsafe_mul(head & M56, book.scale))
        if last == (head >> 56) & M24:
            charge = rows._interest_charge(underlying, charge)
        else:
            row: uint256 = dated_rows._common(underlying, head, book.sums.epoch, status, base)
            last = (head >> 56) & M24
            book.scale = (row >> 148) & M36
            book.gauge = rows._widen(book.gauge, row)
            charge = (row >> 191) & M16
        # deltas below 2**81, a charge of 16 bits, a forward of 56
        charge = unsafe_mul(unsafe_mul(charge, head & M56), book.sums.heads[slot] >> 128)
        book.interest = unsafe_add(book.interest, charge)
    scale: int256 = convert(convert(book.scale, bytes32), int256)  # below 2**30
    p: Part = empty(Part)
    p.gauge = book.gauge
    # sums below 2**126 and 2**153 times a scale below 2**30
    shorts: uint256 = unsafe_mul(book.sums.shorts, book.scale)
    p.minimum = units.ppm_up(shorts, SHORT_MINIMUM_PPM)
    p.interest = self._ones_up(unsafe_mul(book.interest, book.scale))
    # sums below 2**107 times a scale below 2**30
    p.value_linear = unsafe_mul(unsafe_add(book.forwards, book.prints), scale)
    p.value_spot = unsafe_mul(book.sums.marks, scale)
    # a put gains what the call does less the forward (docs/SPEC.md §12)
    forwards: int256 = unsafe_sub(book.forwards, book.sums.parity)
    p.linear = unsafe_add(linear, unsafe_mul(forwards, scale))
    offset: uint256 = 0
    vega: uint256 = 0
    offset_vega: uint256 = 0
    p.delta, offset, vega, offset_vega = self._tenors(
        book.sums.tenors, book.sums.slots, scale, linear
    )
    # sizes below 2**170
    p.size = self._ones_up(units.magnitude(p.delta))
    p.added = units.div_up(unsafe_mul(book.sums.gap, book.scale), units.PPM)
    p.added += units.div_up(offset, CALENDAR_DIVISOR)
    if book.sums.totals.gross != 0:
        epoch: uint256 = dated_rows.epochs[underlying | (base >> 16)]
        p.totals = book.sums.totals
        p.psr = (epoch >> 112) & M20
        p.quantum_lot = unsafe_mul(epoch & M56, book.scale)  # below 2**86
        p.vega = unsafe_mul(vega, p.quantum_lot)
        p.added += units.div_up(offset_vega * p.quantum_lot, CALENDAR_VEGA_INVERSE)
        p.added += lanes.rounding(p.totals, p.quantum_lot)
    return p


# A call of its own, so that its memory costs nothing to a valuation that needs no rows
@external
@reentrant
def with_rows(
    given: Book, words: DynArray[uint256, 32], underlying: uint256, status: uint256, base: uint256
) -> Book:
    """@notice Itself only: the sums with what is left, by rows; built where none are."""
    errors.require(msg.sender == self, errors.NotAuthorized)  # its words enter the caches
    book: Book = given
    seen: uint256 = max_value(uint256)  # the gauge of a row seen last
    is_built: bool = False              # there are options that live among them
    for i: uint256 in range(len(words), bound=32):
        rest: uint256 = words[i]
        for j: uint256 in range(4):
            lane: uint256 = rest & M64
            rest = rest >> 64
            if lane >> 59 != 16 | underlying or (book.sums.left >> ((i << 2) | j)) & 1 == 0:
                continue
            key: uint256 = base | (lane >> 44)
            row: uint256 = rows.rows[key]
            if row == 0:
                left: uint256 = book.sums.left >> ((i & 28) << 2)
                dated_rows._build_rows(rows._page(words, i & 28), left, underlying, status, base)
                row = rows.rows[key]
            book.scale = (row >> 148) & M36
            # a lane holds 44 bits, so the difference stays within +-2**43, and values within 2**99
            lots: int256 = unsafe_sub(convert(convert(lane & M44, bytes32), int256), LOTS_OFFSET)
            value: int256 = unsafe_mul(lots, convert(convert(row & M56, bytes32), int256))
            kind: uint256 = (row >> 188) & 7
            if kind & 1 == 1:  # an option, printed or not
                book.sums.marks = unsafe_add(book.sums.marks, value)
            elif kind == dated_rows.KIND_PRINTED_FUTURE:
                book.prints = unsafe_add(book.prints, value)
            if kind >= dated_rows.KIND_PRINTED_OPTION:
                continue
            if row >> 207 != seen:
                seen = row >> 207
                book.gauge = rows._widen(book.gauge, row)
            notional: int256 = unsafe_mul(lots, convert(convert(row >> 56 & M56, bytes32), int256))
            delta: int256 = unsafe_mul(notional, DELTA_ONE)  # below 2**130, as of options
            vega: int256 = 0
            if kind == dated_rows.KIND_FUTURE:
                book.forwards = unsafe_add(book.forwards, notional)
            else:
                is_built = True
                if key & option_id.PUT != 0:
                    book.sums.parity = unsafe_add(book.sums.parity, notional)
                delta = unsafe_mul(notional, convert(convert(row << 112, bytes32), int256) >> 224)
                array: uint256 = dated_rows.arrays[key]
                vega = convert(convert(array & M16, bytes32), int256)  # lane 0
                vega = unsafe_mul(lots, unsafe_sub(vega, lanes.BIAS))
                book.sums.totals.sums = lanes.added(book.sums.totals.sums, array, lots)
                book.sums.totals.net = unsafe_add(book.sums.totals.net, lots)
                if lots < 0:
                    lots = unsafe_sub(0, lots)
                    notional = unsafe_sub(0, notional)
                    value = VALUE_MAX
                    book.sums.shorts = unsafe_add(book.sums.shorts, convert(notional, uint256))
                notional = min(unsafe_mul(notional, GAP_PPM), unsafe_mul(value, PPM))
                book.sums.gap = unsafe_add(book.sums.gap, convert(notional, uint256))
                size: uint256 = convert(lots, uint256)
                book.sums.totals.gross = unsafe_add(book.sums.totals.gross, size)
                if row & CLIP != 0:
                    size = unsafe_mul(size, lanes.clipped(row << 108))
                    book.sums.totals.cut = unsafe_add(book.sums.totals.cut, size)
            charge: uint256 = unsafe_mul(units.magnitude(delta), (row >> 191) & M16)
            book.interest = unsafe_add(book.interest, charge)
            slot: uint256 = (lane >> 55) & 15
            delta = unsafe_add(unsafe_mul(delta, VEGA_SPAN), vega)
            book.sums.tenors[slot] = unsafe_add(book.sums.tenors[slot], delta)
            book.sums.slots |= 1 << slot
    if is_built:
        dated_rows.built[underlying | (base >> 16)] = True
    return book


@internal
@pure
def _tenors(
    tenors: int256[16], slots: uint256, scale: int256, linear: int256
) -> (int256, uint256, uint256, uint256):
    """
    @notice Sum of the deltas of all tenors and what they cancel of each other, 2**-30 wad; size of
            the sum of vegas and what they cancel, quanta. Perpetuals and spot are a tenor of their
            own without vega.
    """
    # deltas below 2**138 + 2**30, vegas below 2**67: sixteen of each stay within 2**180
    total: int256 = unsafe_mul(linear, DELTA_ONE)
    longs: int256 = max(total, 0)
    vega: int256 = 0
    vega_longs: int256 = 0
    for slot: uint256 in range(16):
        if slots >> slot == 0:
            break
        if (slots >> slot) & 1 == 0:
            continue
        sum: int256 = tenors[slot]
        low: int256 = convert(convert(sum, bytes32) << 176, int256) >> 176
        delta: int256 = unsafe_mul(unsafe_sub(sum, low) >> 80, scale)
        total = unsafe_add(total, delta)
        longs = unsafe_add(longs, max(delta, 0))
        vega = unsafe_add(vega, low)
        vega_longs = unsafe_add(vega_longs, max(low, 0))
    # the shorts are the longs less the sum
    offset: int256 = min(longs, unsafe_sub(longs, total))
    offset_vega: int256 = min(vega_longs, unsafe_sub(vega_longs, vega))
    return total, convert(offset, uint256), units.magnitude(vega), convert(offset_vega, uint256)


@internal
@pure
def _ones_up(amount: uint256) -> uint256:
    """@notice What so many 2**-30 (fewer than 2**255) make, rounded up."""
    return unsafe_add(amount, 2**30 - 1) >> 30  # below 2**256


@internal
@pure
def linear_part(delta: int256, gauge: uint256) -> Part:
    """@notice An underlying without dated positions."""
    p: Part = empty(Part)
    p.linear = delta
    p.delta = delta
    p.size = units.magnitude(delta)
    p.gauge = gauge
    return p


@internal
@view
def rates(underlying: uint256, psr: uint256, size: uint256, vega: uint256) -> Rates:
    """
    @notice Scan range, credit and liquidity charge of an underlying at both margins; `psr` is that
            of its arrays, 0 for an underlying without options.
    """
    target: uint256 = 0
    old: uint256 = 0
    elapsed: uint256 = 0
    target, old, elapsed = risk_parameters.transition(underlying)
    r: Rates = empty(Rates)
    r.psr = psr
    r.psr_initial = psr
    if psr == 0:
        r.psr = risk_parameters.psr(target)
        r.psr_initial = max(r.psr, (target >> 20) & M20)
    r.credit = target >> 244
    r.credit_initial = r.credit
    liquidity: uint256 = self._liquidity(size, vega, target)
    r.liquidity = liquidity
    r.liquidity_initial = liquidity
    if elapsed != risk_parameters.DAY_S:
        r.credit = risk_parameters.between_down(old >> 244, target >> 244, elapsed)
        r.credit_initial = min(r.credit, target >> 244)
        before: uint256 = self._liquidity(size, vega, old)
        r.liquidity = risk_parameters.between_up(before, liquidity, elapsed)
        r.liquidity_initial = max(r.liquidity, liquidity)
    return r


@internal
@pure
def _liquidity(size: uint256, vega: uint256, word: uint256) -> uint256:
    """
    @notice The ramp of delta, and the same of vega between a tenth of its two sizes: a tenth of
            what ten times the vega is charged.
    """
    charge: uint256 = risk_parameters.liquidity(size, word)
    if vega != 0:
        ten: uint256 = risk_parameters.liquidity(vega * VEGA_DEPTH_INVERSE, word)
        charge += units.div_up(ten, VEGA_DEPTH_INVERSE)
    return charge


@internal
@pure
def joined(sums: int256[16], gains: int256[16], weight: int256) -> int256[16]:
    """@notice `sums` and `weight` times `gains`, lane by lane."""
    # gains below 2**193, weights below 2**10, two for each of sixteen underlyings
    found: int256[16] = sums
    for lane: uint256 in range(16):
        found[lane] = unsafe_add(found[lane], unsafe_mul(gains[lane], weight))
    return found
