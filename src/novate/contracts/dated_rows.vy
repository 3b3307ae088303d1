# pragma version 0.4.3
# pragma nonreentrancy on
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Dated rows: what a base unit of each option and dated future is worth and is charged at this
        round (docs/SPEC.md §4; twin of novate/model/dated_margin.py)
@notice Owns the transient caches of risk arrays and epochs, keyed by the oracle's own round like
        the rows they stand beside. Only the words of Options enter them. Prices are oracle units a
        base unit, rounded as Options rounds them; charges are rounded up.
"""

from lib import lanes
from lib import option_id
from lib import units
import risk_parameters
import rows

uses: risk_parameters
uses: rows

# Words by lane, each an array's, an info and a head; and the epoch word of now
struct Page:
    lanes: uint256[3][16]
    epoch: uint256

# What is called of Options: IOptions with structures in place of its plain words
interface Lanes:
    def lane_words(positions: uint256[4], known: uint256) -> Page: view
    def fresh_sums(
        words: DynArray[uint256, 32], underlying: uint256, known: uint256
    ) -> lanes.Sums: view

# A dated row: [mark 56 | forward 56 | delta signed 32 (2**-30) | clip 4 | scale 36 | underlying 4 |
# kind 3 | charge 16 | stale 1 | confidence 24 | deviation signed 24]; money of a lot is a price
# times `scale`. A print makes it a value alone.
KIND_FUTURE: constant(uint256) = 2
KIND_OPTION: constant(uint256) = 3
KIND_PRINTED_OPTION: constant(uint256) = 5
KIND_PRINTED_FUTURE: constant(uint256) = 6
STATE_OLD_SURFACE: constant(uint256) = 2
STATE_EXPIRED: constant(uint256) = 3          # without a print: what it will pay is not known yet
STATE_PRINTED: constant(uint256) = 4
M8: constant(uint256) = 2**8 - 1
M16: constant(uint256) = 2**16 - 1
M20: constant(uint256) = 2**20 - 1
M32: constant(uint256) = 2**32 - 1
M48: constant(uint256) = 2**48 - 1
M56: constant(uint256) = 2**56 - 1
M64: constant(uint256) = 2**64 - 1
# the top bit of an instrument's number in each of four lanes: options and dated futures
DATED_LANES: constant(uint256) = 2**63 + 2**127 + 2**191 + 2**255

SURFACES: constant(uint256) = 32

OPTIONS: immutable(Lanes)

arrays: transient(uint256[2 * rows.SECOND_ROUND])     # option -> risk array, like `rows.rows`
# underlying -> the epoch of its arrays; from SURFACES on [1 | generation 8] of the surface by which
# rows of its living options were priced
epochs: transient(uint256[4 * 16])
built: transient(bool[2 * 16])                        # underlying -> some options have rows


@deploy
def __init__(options: address):
    OPTIONS = Lanes(options)


@external
@reentrant
def quoted(id: uint256) -> (uint256, uint256):
    """
    @notice Mark and forward (wad) of a base unit of an option or dated future at this round, from
            the row that a valuation reads; zeros if Options has none. Anyone may call.
    """
    row: uint256 = 0
    if id >> 19 == 1:
        status: uint256 = staticcall rows.ORACLE.status()
        row = rows.rows[rows._base(status) | id]
        if row == 0:
            page: Page = self._page(
                [id << 44, 0, 0, 0], (id >> option_id.UNDERLYING_SHIFT) & 15, status
            )
            own: uint256[3] = page.lanes[0]
            if own[2] != 0:
                # not kept: a valuation asks for it among others
                row = ((own[2] & M56) << 56) | self._own(id, own[1], own[2])
    return (row & M56) * units.ORACLE_UNIT, ((row >> 56) & M56) * units.ORACLE_UNIT


@internal
@pure
def _linear_of(words: DynArray[uint256, 32]) -> (DynArray[uint256, 32], uint256):
    """
    @notice The positions that are not dated, dense, and a bit for each underlying of the others.
    """
    linear: DynArray[uint256, 32] = []
    count: uint256 = 0
    found: uint256 = 0
    for word: uint256 in words:
        if word & DATED_LANES == DATED_LANES:
            found |= (1 << ((word >> 59) & 15)) | (1 << ((word >> 123) & 15))
            found |= (1 << ((word >> 187) & 15)) | (1 << ((word >> 251) & 15))
            continue
        rest: uint256 = word
        for _: uint256 in range(4):
            if rest == 0:
                break
            lane: uint256 = rest & M64
            rest = rest >> 64
            if lane >> 63 == 1:
                found |= 1 << ((lane >> 59) & 15)
                continue
            if count & 3 == 0:
                linear.append(lane)
            else:
                linear[count >> 2] |= lane << ((count & 3) << 6)
            count = unsafe_add(count, 1)  # at most 128
    return linear, found


@internal
@view
def _page(words: uint256[4], underlying: uint256, status: uint256) -> Page:
    """@notice Words of an underlying's positions among four packed words."""
    page: uint256[4] = empty(uint256[4])
    for i: uint256 in range(4):
        rest: uint256 = words[i]
        for lane: uint256 in range(4):
            if (rest >> 59) & 31 == 16 | underlying:
                page[i] |= (rest & M64) << (lane << 6)
            rest = rest >> 64
    return staticcall OPTIONS.lane_words(page, self._known(underlying, status))


@internal
def _build_rows(
    words: uint256[4], left: uint256, underlying: uint256, status: uint256, base: uint256
):
    """
    @notice Rows of an underlying's positions among four packed words that `left` has a bit for.
    """
    found: Page = self._page(words, underlying, status)
    shared: uint256 = max_value(uint256)  # the head seen last, and what rows have of it
    common: uint256 = 0
    for i: uint256 in range(4):
        rest: uint256 = words[i] >> 44
        for j: uint256 in range(4):
            key: uint256 = base | (rest & M20)
            lane: uint256 = (i << 2) | j
            mine: bool = (rest >> 15) & 31 == 16 | underlying
            if mine and (left >> lane) & 1 == 1 and rows.rows[key] == 0:
                own: uint256[3] = found.lanes[lane]
                if own[2] != shared:
                    shared = own[2]
                    common = self._common(underlying, shared, found.epoch, status, base)
                if key & option_id.FUTURE == 0 and (shared >> 72) & M8 < STATE_EXPIRED:
                    surface: uint256 = 256 | ((own[1] >> 244) & M8)
                    self._keep_epoch(underlying | SURFACES, surface, base)
                rows.rows[key] = common | self._own(key, own[1], shared)
                self.arrays[key] = own[0]
            rest = rest >> 64


@internal
@view
def _known(underlying: uint256, status: uint256) -> uint256:
    """
    @notice What Options need not ask for: [scan range of arrays 20 | the Oracle's stale_after 16],
            the range the larger end of a ramp; 0 without parameters.
    """
    word: uint256 = risk_parameters.parameters[underlying]
    if word == 0:
        return 0
    psr: uint256 = (word >> 20) & M20
    # a time of 32 bits
    if block.timestamp < unsafe_add((word >> 40) & M32, risk_parameters.DAY_S):
        psr = max(psr, word & M20)
    return psr | (((status >> 144) & M16) << 20)


@internal
def _common(
    underlying: uint256, head: uint256, epoch: uint256, status: uint256, base: uint256
) -> uint256:
    """
    @notice Forward, scale, underlying, charge and gauge of a row, from the head word; keeps the
            epoch of its underlying.
    """
    assert head != 0  # Options does not know it: no row
    # a lot of 1e10 to 1e19 wei
    scale: uint256 = pow_mod256(10, unsafe_sub((head >> 64) & M8, 10))
    common: uint256 = ((head & M56) << 56) | (scale << 148) | (underlying << 184)
    state: uint256 = (head >> 72) & M8
    if state == STATE_PRINTED:
        return common
    gauge: uint256 = rows._gauge_of((head >> 56) & M8, status, base)
    if state == STATE_OLD_SURFACE or state == STATE_EXPIRED:
        gauge |= 1
    # interest below 2**48, a forward below 2**56, a scale below 2**30
    interest: uint256 = unsafe_mul((head >> 80) & M48, unsafe_mul(head & M56, scale))
    charge: uint256 = rows._interest_charge(underlying, interest)
    self._keep_epoch(underlying, epoch, base)
    return common | (charge << 191) | (gauge << 207)


@internal
@pure
def _own(id: uint256, info: uint256, head: uint256) -> uint256:
    """@notice Mark, delta, clip and kind of one instrument."""
    state: uint256 = (head >> 72) & M8
    if id & option_id.FUTURE != 0:
        kind: uint256 = KIND_PRINTED_FUTURE if state == STATE_PRINTED else KIND_FUTURE
        return (head & M56) | (kind << 188)
    if state == STATE_PRINTED:
        return (info & M56) | (KIND_PRINTED_OPTION << 188)
    # a tangent lies below the option, which is worth at most its strike or its forward: 56 bits
    row: uint256 = lanes.value(info, head & M56) | (KIND_OPTION << 188)
    return row | (((info >> 112) & M32) << 112) | ((info >> 252) << 144)


@internal
def _keep_epoch(underlying: uint256, epoch: uint256, base: uint256):
    """
    @notice The epoch of an underlying's arrays at this round, or the surface of its rows. Arrays of
            two epochs or surfaces are never added: should governance end one, or anyone post the
            next, within a transaction that has read some, no more are read.
    """
    at: uint256 = underlying | (base >> 16)  # 4 bits, or 32 more; 0 or 16
    kept: uint256 = self.epochs[at]
    if kept != epoch:
        # quantum, reference and scan range: without them there is no array
        assert kept == 0
        self.epochs[at] = epoch
    assert epoch != 0
