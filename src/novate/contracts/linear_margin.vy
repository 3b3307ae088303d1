# pragma version 0.4.3
# pragma nonreentrancy on
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Linear margin: perpetuals and spot collateral (docs/SPEC.md §4; twin of
        novate/model/margin.py)
@notice Keeps nothing. Sums the rows of an account's positions by underlying, and says what they are
        worth and must hold. Money wad; every add-on is rounded up, the credit down.
"""

from interfaces import IRiskModel
from lib import units
import charges
import dated_rows
import risk_parameters
import rows

uses: charges
uses: risk_parameters
uses: rows

# What a portfolio holds, by underlying where it says so
struct Held:
    # sum of lots * notional_lot, above ZERO once there is one; the row's SHARED bits that the last
    # perp had
    sums: uint256[UNDERLYINGS_MAX]
    gauge: uint256[UNDERLYINGS_MAX]    # what _widen returns
    used: uint256                      # bitmap of the underlyings
    charges: uint256                   # 1e-5 wad
    value_linear: int256
    value_spot: int256
    haircut: uint256                   # of spot collateral, at maintenance
    haircut_initial: uint256
    flags: uint256                     # restart grace

UNDERLYINGS_MAX: constant(uint256) = 16
KIND_PERP: constant(uint256) = 1
KIND_SPOT: constant(uint256) = 4
DATED: constant(uint256) = 4                  # a flag: there are positions not for `_gather`
# of a row: underlying, kind and gauge, which instruments of one feed and kind have in common
SHARED: constant(uint256) = (2**7 - 1) * 2**184 + (2**49 - 1) * 2**207
NO_KIND: constant(uint256) = 7 * 2**188       # no row has it
ZERO: constant(uint256) = 2**183
M16: constant(uint256) = 2**16 - 1
M20: constant(uint256) = 2**20 - 1
M24: constant(uint256) = 2**24 - 1
M32: constant(uint256) = 2**32 - 1
M44: constant(uint256) = 2**44 - 1
M72: constant(uint256) = 2**72 - 1
M88: constant(uint256) = 2**88 - 1
M184: constant(uint256) = 2**184 - 1
LOTS_OFFSET: constant(int256) = 2**43

# Sums of the perps of one portfolio at one round, for what is left of it after a slice
kept: transient(bytes32)                       # hash of its words
kept_base: transient(uint256)                  # where the rows of the round are
kept_sums: transient(uint256[UNDERLYINGS_MAX])
kept_charges: transient(uint256)
kept_linear: transient(int256)


@internal
def _gather(words: DynArray[uint256, 32], status: uint256) -> Held:
    """
    @notice Sums over the positions; rows are built where this transaction has none yet. Ends with
            the flag DATED at the first option or dated future.
    """
    held: Held = empty(Held)
    held.sums[0] = NO_KIND  # what is no row, zero, is none of underlying 0
    base: uint256 = rows._base(status)
    # Bounds of the sums over at most 128 positions: notionals below 2**138, so a sum of them keeps
    # off the bits above ZERO; linear values below 2**145, charges below 2**154
    for i: uint256 in range(len(words), bound=32):
        rest: uint256 = words[i]
        for _: uint256 in range(4):
            if rest == 0:
                break
            at: uint256 = base | ((rest >> 44) & M20)
            # a lane holds 44 bits, so the difference stays within +-2**43
            lots: int256 = unsafe_sub(convert(convert(rest & M44, bytes32), int256), LOTS_OFFSET)
            rest = rest >> 64
            row: uint256 = rows.rows[at]
            underlying: uint256 = (row >> 184) & 15
            total: uint256 = held.sums[underlying]
            if (total ^ row) & SHARED != 0:
                # no row yet, spot, or not of the feed and kind seen last
                if row == 0:
                    page: uint256[4] = rows._page(words, i)
                    if (page[0] | page[1] | page[2] | page[3]) & dated_rows.DATED_LANES != 0:
                        held.flags = DATED
                        return held
                    found: uint256[17] = staticcall rows.CLEARINGHOUSE.market_words(page)
                    rows._build_rows(page, found, status, base)
                    row = rows.rows[at]
                    underlying = (row >> 184) & 15
                    total = held.sums[underlying]
                held.gauge[underlying] = rows._widen(held.gauge[underlying], row)
                held.used |= 1 << underlying
                if total & M184 == 0:
                    total |= ZERO
                if (row >> 188) & 7 != KIND_PERP:
                    if (row >> 188) & 7 != KIND_SPOT:
                        held.flags = DATED
                        return held
                    spot: uint256 = convert(lots, uint256) * ((row >> 96) & M88)
                    held.sums[underlying] = total + spot
                    held.value_spot += convert(spot, int256)
                    haircut: uint256 = 0
                    initial: uint256 = 0
                    haircut, initial = self._haircuts(underlying, spot)
                    held.haircut += haircut
                    held.haircut_initial += initial
                    continue
                total = (total & M184) | (row & SHARED)
            # |lots| < 2**43 and notional_lot < 2**88: the product is below 2**131
            notional: int256 = unsafe_mul(
                lots, convert(convert((row >> 96) & M88, bytes32), int256)
            )
            held.sums[underlying] = unsafe_add(total, convert(convert(notional, bytes32), uint256))
            # |value_lot| < 2**95: the product is below 2**138
            value: int256 = unsafe_mul(lots, convert(convert(row << 160, bytes32), int256) >> 160)
            held.value_linear = unsafe_add(held.value_linear, value)
            if notional < 0:
                notional = unsafe_sub(0, notional)
            # a size below 2**131 times a rate below 2**16
            held.charges = unsafe_add(
                held.charges,
                unsafe_mul(convert(convert(notional, bytes32), uint256), (row >> 191) & M16),
            )
    return held


@internal
def _keep(whole: bytes32, base: uint256, held: Held):
    """@notice Keep the sums of a portfolio of perps alone for `_rest`."""
    self.kept = whole
    self.kept_base = base
    self.kept_linear = held.value_linear
    self.kept_charges = held.charges
    used: uint256 = held.used
    for u: uint256 in range(UNDERLYINGS_MAX):
        if used == 0:
            break
        if used & 1 == 1:
            self.kept_sums[u] = held.sums[u]
        used = used >> 1


@internal
@view
def _kept(whole: bytes32, base: uint256) -> bool:
    """@notice Whether the sums kept are of the words with this hash, at this round."""
    return self.kept == whole and self.kept_base == base


@internal
@view
def _rest(held: Held) -> Held:
    """
    @notice What the portfolio kept holds without `held`, a part of each of its positions: sums are
            linear in lots, charges in lots of one side.
    """
    rest: Held = held
    # bounds of `_gather`; a part's charges are at most the whole's
    rest.value_linear = unsafe_sub(self.kept_linear, held.value_linear)
    rest.charges = unsafe_sub(self.kept_charges, held.charges)
    used: uint256 = held.used
    for u: uint256 in range(UNDERLYINGS_MAX):
        if used == 0:
            break
        if used & 1 == 1:
            # (ZERO + a + b) - (ZERO + a) + ZERO, without the bits above
            part: uint256 = unsafe_sub(self.kept_sums[u] & M184, held.sums[u] & M184)
            rest.sums[u] = unsafe_add(part, ZERO)
        used = used >> 1
    return rest


@internal
@view
def _haircuts(underlying: uint256, spot: uint256) -> (uint256, uint256):
    """@notice Haircuts of spot collateral at maintenance and initial margin, each rounded up."""
    target: uint256 = 0
    old: uint256 = 0
    elapsed: uint256 = 0
    target, old, elapsed = risk_parameters.transition(underlying)
    maintenance: uint256 = risk_parameters.between_up(
        (old >> 140) & M20, (target >> 140) & M20, elapsed
    )
    initial: uint256 = risk_parameters.between_up(
        (old >> 160) & M20, (target >> 160) & M20, elapsed
    )
    initial = max(initial, (target >> 160) & M20)
    return units.ppm_up(spot, maintenance), units.ppm_up(spot, initial)


@internal
@view
def _total(held: Held) -> IRiskModel.Valuation:
    """@notice Both margins and the corrections over all underlyings held (docs/SPEC.md §4)."""
    v: IRiskModel.Valuation = empty(IRiskModel.Valuation)
    sums: charges.Charges = empty(charges.Charges)
    added: uint256 = unsafe_div(unsafe_add(held.charges, 99_999), 100_000)  # below 2**154
    used: uint256 = held.used
    for u: uint256 in range(UNDERLYINGS_MAX):
        if used == 0:
            break
        if used & 1 == 1:
            # a sum of 184 bits
            total: uint256 = held.sums[u] & M184
            delta: int256 = convert(convert(unsafe_sub(total, ZERO), bytes32), int256)
            # |delta| < 2**138
            size: uint256 = convert(convert(delta, bytes32), uint256)
            if delta < 0:
                size = unsafe_sub(0, size)
            word: uint256 = risk_parameters.parameters[u]
            # a time of 32 bits
            if block.timestamp < unsafe_add((word >> 40) & M32, risk_parameters.DAY_S) or word == 0:
                sums = charges._plus(sums, charges._of(u, word, size, delta))
            else:
                # sizes below 2**138, rates below 2**21, credits below 2**10, at most 16
                # underlyings: every sum is below 2**175
                product: uint256 = unsafe_mul(size, (word >> 20) & M20)
                scan: uint256 = unsafe_div(unsafe_add(product, 999_999), units.PPM)
                sums.scan = unsafe_add(sums.scan, scan)
                credit: uint256 = word >> 244
                sums.base = unsafe_add(sums.base, unsafe_div(unsafe_mul(credit, scan), 1000))
                credit = unsafe_mul(credit, (word >> 20) & M20)
                cross: int256 = unsafe_mul(convert(credit, int256), delta)
                sums.cross = unsafe_add(sums.cross, cross)
                # nothing up to the lower of two sizes, which are below 2**94
                if size > unsafe_mul((word >> 72) & M24, risk_parameters.THOUSAND_USD):
                    liquidity: uint256 = risk_parameters.liquidity(size, word)
                    sums.liquidity = unsafe_add(sums.liquidity, liquidity)
            gauge: uint256 = held.gauge[u]
            v.flags |= (gauge >> 72) & 1
            if gauge & M72 != 0:
                # rates of 24 bits
                product: uint256 = unsafe_mul(size, gauge & M24)
                up: uint256 = unsafe_div(unsafe_add(product, 999_999), units.PPM)
                added = unsafe_add(added, up)
                v.bonus = unsafe_add(v.bonus, unsafe_div(product, units.PPM))
                adverse: uint256 = (gauge >> 48) & M24
                if delta > 0:
                    adverse = (gauge >> 24) & M24
                if adverse > gauge & M24:
                    up = units.ppm_up(size, adverse)
                v.penalty = unsafe_add(v.penalty, up)
        used = used >> 1
    v.value_linear = held.value_linear
    v.value_spot = held.value_spot
    v.flags |= held.flags
    v.liquidity = sums.liquidity
    return self._with_margins(v, sums, added, held.haircut, held.haircut_initial)


@internal
@view
def _with_margins(
    valuation: IRiskModel.Valuation,
    sums: charges.Charges,
    added: uint256,
    haircut: uint256,
    haircut_initial: uint256,
) -> IRiskModel.Valuation:
    """@notice Both margins from what the underlyings add up to."""
    v: IRiskModel.Valuation = valuation
    cap: uint256 = 0
    cap_initial: uint256 = 0
    cap, cap_initial = risk_parameters.credit_caps()
    saving: uint256 = charges._saving(sums.base, sums.cross, cap)
    # a saving is at most the base, which is at most the scans; no term reaches 2**210
    initial: uint256 = unsafe_add(unsafe_add(sums.scan, added), sums.liquidity)
    scanned: uint256 = unsafe_sub(initial, saving)
    v.margin_maintenance = unsafe_add(scanned, haircut)
    more: uint256 = convert(convert(sums.more_base | sums.more_cross, bytes32), uint256)
    if more | sums.more_scan | sums.more_liquidity | (cap ^ cap_initial) != 0:
        # something ramps
        base: uint256 = convert(convert(sums.base, int256) + sums.more_base, uint256)
        saving = charges._saving(base, sums.cross + sums.more_cross, cap_initial)
        scanned = initial + sums.more_scan + sums.more_liquidity - saving
    v.margin_initial = units.ppm_up(scanned, risk_parameters.shared >> 232) + haircut_initial
    return v


@internal
@pure
def _delta(sum: uint256) -> int256:
    """@notice The linear delta of an underlying from its sum; 0 without positions."""
    if sum & M184 == 0:
        return 0
    # a sum of 184 bits
    return convert(convert(unsafe_sub(sum & M184, ZERO), bytes32), int256)
