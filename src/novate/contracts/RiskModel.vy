# pragma version 0.4.3
# pragma nonreentrancy on
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title RiskModel: what a portfolio is worth and what it must hold (docs/SPEC.md §4, MARGIN.md)
@notice Immutable formulas over bounded, speed-limited parameters. Every add-on rounds against the
        account. A linear position needs no stored array: its sixteen lanes are multiples of its
        dollar delta, so one accumulator an underlying carries them and the worst lane is the full
        scan range. Twin: novate/model/margin.py.
@custom:kill Governance points the Clearinghouse at another model after the timelock; this one holds
        nothing.
"""

from interfaces import IRiskModel
from lib import units
import risk_parameters
import rows

implements: IRiskModel
initializes: risk_parameters
initializes: rows[risk_parameters := risk_parameters]
exports: (
    rows.accrued,
    risk_parameters.set_parameters,
    risk_parameters.set_globals,
    risk_parameters.parameters,
    risk_parameters.earlier,
    risk_parameters.initial_ratio_ppm,
    risk_parameters.credit_cap,
    risk_parameters.stale_drift_ppm_s,
)

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

# Charges of one underlying; `more` is what the initial margin adds to them while a change ramps
struct Charges:
    scan: uint256
    base: uint256
    cross: int256
    liquidity: uint256
    more_scan: uint256
    more_base: int256
    more_cross: int256
    more_liquidity: uint256

UNDERLYINGS_MAX: constant(uint256) = 16
KIND_PERP: constant(uint256) = 1
KIND_SPOT: constant(uint256) = 4
THOUSAND_USD: constant(uint256) = 10**21
# of a row: underlying, kind and gauge, which instruments of one feed and kind have in common
SHARED: constant(uint256) = (2**7 - 1) * 2**184 + (2**49 - 1) * 2**207
NO_KIND: constant(uint256) = 7 * 2**188       # no row has it
ZERO: constant(uint256) = 2**183
# of packed positions: the four instruments
INSTRUMENTS: constant(uint256) = M20 * (2**44 + 2**108 + 2**172 + 2**236)
M16: constant(uint256) = 2**16 - 1
M20: constant(uint256) = 2**20 - 1
M24: constant(uint256) = 2**24 - 1
M32: constant(uint256) = 2**32 - 1
M44: constant(uint256) = 2**44 - 1
M72: constant(uint256) = 2**72 - 1
M88: constant(uint256) = 2**88 - 1
M184: constant(uint256) = 2**184 - 1
LOTS_OFFSET: constant(int256) = 2**43

@deploy
def __init__(governor: address, clearinghouse: address, oracle: address):
    risk_parameters.__init__(governor)
    rows.__init__(clearinghouse, oracle)


@external
@reentrant
def evaluate(words: DynArray[uint256, 32]) -> IRiskModel.Valuation:
    """
    @notice Value and requirements of the packed positions `words` at the current round.
    @dev Writes only the transient caches, keyed by the oracle's own round, so anybody may call it
         at any moment.
    """
    return self._value(words)


@external
@reentrant
def evaluate_slice(
    left: DynArray[uint256, 32], taken: DynArray[uint256, 32]
) -> (IRiskModel.Valuation, IRiskModel.Valuation):
    """
    @notice `evaluate` of two portfolios; in one pass where both hold the same perps lane by lane
            and this round has their rows.
    """
    if len(left) != len(taken) or len(left) == 0:
        return self._value(left), self._value(taken)
    status: uint256 = staticcall rows.ORACLE.status()
    base: uint256 = rows._base(status)
    held: Held = empty(Held)
    other: Held = empty(Held)
    held.sums[0] = NO_KIND
    for i: uint256 in range(len(left), bound=32):
        rest: uint256 = left[i]
        also: uint256 = taken[i]
        if (rest ^ also) & INSTRUMENTS != 0:
            return self._value(left), self._value(taken)
        # bounds of `_value`
        for _: uint256 in range(4):
            if rest == 0:
                break
            row: uint256 = rows.rows[base | ((rest >> 44) & M20)]
            underlying: uint256 = (row >> 184) & 15
            total: uint256 = held.sums[underlying]
            if (total ^ row) & SHARED != 0:
                if (row >> 188) & 7 != KIND_PERP:
                    return self._value(left), self._value(taken)
                held.gauge[underlying] = rows._widen(held.gauge[underlying], row)
                held.used |= 1 << underlying
                if total & M184 == 0:
                    total |= ZERO
                    other.sums[underlying] = ZERO
                total = (total & M184) | (row & SHARED)
            lot: int256 = convert(convert((row >> 96) & M88, bytes32), int256)
            charge: uint256 = (row >> 191) & M16
            value: int256 = convert(convert(row << 160, bytes32), int256) >> 160
            lots: int256 = unsafe_sub(convert(convert(rest & M44, bytes32), int256), LOTS_OFFSET)
            rest = rest >> 64
            held.value_linear = unsafe_add(held.value_linear, unsafe_mul(lots, value))
            lots = unsafe_mul(lots, lot)
            held.sums[underlying] = unsafe_add(total, convert(convert(lots, bytes32), uint256))
            if lots < 0:
                lots = unsafe_sub(0, lots)
            size: uint256 = convert(convert(lots, bytes32), uint256)
            held.charges = unsafe_add(held.charges, unsafe_mul(size, charge))
            lots = unsafe_sub(convert(convert(also & M44, bytes32), int256), LOTS_OFFSET)
            also = also >> 64
            other.value_linear = unsafe_add(other.value_linear, unsafe_mul(lots, value))
            lots = unsafe_mul(lots, lot)
            total = unsafe_add(other.sums[underlying], convert(convert(lots, bytes32), uint256))
            other.sums[underlying] = total
            if lots < 0:
                lots = unsafe_sub(0, lots)
            size = convert(convert(lots, bytes32), uint256)
            other.charges = unsafe_add(other.charges, unsafe_mul(size, charge))
    held.flags = rows._silence(status)
    other.flags = held.flags
    other.used = held.used
    other.gauge = held.gauge
    return self._total(held), self._total(other)


@internal
def _value(words: DynArray[uint256, 32]) -> IRiskModel.Valuation:
    """
    @notice Sums over the positions, and what they come to; rows are built where this transaction
            has none yet.
    """
    if len(words) == 0:
        return empty(IRiskModel.Valuation)
    status: uint256 = staticcall rows.ORACLE.status()
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
                    rows._build_rows(rows._page(words, i), status, base)
                    row = rows.rows[at]
                    underlying = (row >> 184) & 15
                    total = held.sums[underlying]
                held.gauge[underlying] = rows._widen(held.gauge[underlying], row)
                held.used |= 1 << underlying
                if total & M184 == 0:
                    total |= ZERO
                if (row >> 188) & 7 == KIND_SPOT:
                    held = self._add_spot(held, underlying, total, lots, row)
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
    held.flags = rows._silence(status)
    return self._total(held)


@internal
@pure
def _liquidity(size: uint256, word: uint256) -> uint256:
    """
    @notice What closing a dollar delta may cost beyond the mark: a ramp between two sizes, rounded
            up.
    """
    low: uint256 = unsafe_mul((word >> 72) & M24, THOUSAND_USD)  # below 2**94
    if size <= low:
        return 0
    high: uint256 = unsafe_mul((word >> 96) & M24, THOUSAND_USD)
    rate: uint256 = ((word >> 120) & M20) * (min(size, high) - low)
    return units.div_up(size * rate, (high - low) * units.PPM)


@internal
@view
def _charges_of(underlying: uint256, word: uint256, size: uint256, delta: int256) -> Charges:
    """
    @notice Scan, credit terms and liquidity of one underlying while a change of its parameters
            ramps into the maintenance margin, or before it has any; the initial margin takes the
            stricter end at once.
    """
    c: Charges = empty(Charges)
    target: uint256 = 0
    old: uint256 = 0
    elapsed: uint256 = 0
    target, old, elapsed = risk_parameters.transition(underlying)
    # sizes below 2**138, rates below 2**21, credits below 2**10: no product reaches 2**171
    credit: uint256 = risk_parameters.between_down(old >> 244, target >> 244, elapsed)
    psr: uint256 = risk_parameters.psr(target)
    c.scan = units.ppm_up(size, psr)
    c.base = unsafe_div(unsafe_mul(credit, c.scan), 1000)
    c.cross = unsafe_mul(convert(unsafe_mul(credit, psr), int256), delta)
    liquidity: uint256 = self._liquidity(size, target)
    c.liquidity = risk_parameters.between_up(self._liquidity(size, old), liquidity, elapsed)
    c.more_liquidity = max(c.liquidity, liquidity) - c.liquidity
    credit = min(credit, target >> 244)
    psr = max(psr, (target >> 20) & M20)
    scan: uint256 = units.ppm_up(size, psr)
    c.more_scan = scan - c.scan
    base: uint256 = unsafe_div(unsafe_mul(credit, scan), 1000)
    c.more_base = convert(base, int256) - convert(c.base, int256)
    c.more_cross = unsafe_mul(convert(unsafe_mul(credit, psr), int256), delta) - c.cross
    return c


@internal
@view
def _add_spot(held: Held, underlying: uint256, total: uint256, lots: int256, row: uint256) -> Held:
    """@notice Add a position of spot collateral and its haircuts, each rounded up."""
    h: Held = held
    spot: uint256 = convert(lots, uint256) * ((row >> 96) & M88)
    h.sums[underlying] = total + spot
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
    h.value_spot += convert(spot, int256)
    h.haircut += units.ppm_up(spot, maintenance)
    h.haircut_initial += units.ppm_up(spot, initial)
    return h


@internal
@pure
def _saving(base: uint256, cross: int256, cap: uint256) -> uint256:
    """@notice Capped correlation credit; the cross scan rounds up, so the credit rounds down."""
    joint: uint256 = units.div_up(units.magnitude(cross), 10**9)
    if joint >= base:
        return 0
    return min(base - joint, cap)


@internal
@view
def _total(held: Held) -> IRiskModel.Valuation:
    """@notice Both margins and the corrections over all underlyings held (docs/SPEC.md §4)."""
    v: IRiskModel.Valuation = empty(IRiskModel.Valuation)
    sums: Charges = empty(Charges)
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
            size: uint256 = convert(max(delta, unsafe_sub(0, delta)), uint256)
            word: uint256 = risk_parameters.parameters[u]
            # a time of 32 bits
            if block.timestamp < unsafe_add((word >> 40) & M32, risk_parameters.DAY_S) or word == 0:
                sums = self._plus(sums, self._charges_of(u, word, size, delta))
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
                sums.liquidity = unsafe_add(sums.liquidity, self._liquidity(size, word))
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
@pure
def _plus(a: Charges, b: Charges) -> Charges:
    """@notice The sum, field by field."""
    return Charges(
        scan=a.scan + b.scan,
        base=a.base + b.base,
        cross=a.cross + b.cross,
        liquidity=a.liquidity + b.liquidity,
        more_scan=a.more_scan + b.more_scan,
        more_base=a.more_base + b.more_base,
        more_cross=a.more_cross + b.more_cross,
        more_liquidity=a.more_liquidity + b.more_liquidity,
    )


@internal
@view
def _with_margins(
    valuation: IRiskModel.Valuation,
    sums: Charges,
    added: uint256,
    haircut: uint256,
    haircut_initial: uint256,
) -> IRiskModel.Valuation:
    v: IRiskModel.Valuation = valuation
    cap: uint256 = 0
    cap_initial: uint256 = 0
    cap, cap_initial = risk_parameters.credit_caps()
    saving: uint256 = self._saving(sums.base, sums.cross, cap)
    scanned: uint256 = sums.scan - saving + added + sums.liquidity
    v.margin_maintenance = scanned + haircut
    base: uint256 = convert(convert(sums.base, int256) + sums.more_base, uint256)
    saving_initial: uint256 = self._saving(base, sums.cross + sums.more_cross, cap_initial)
    initial: uint256 = scanned + saving + sums.more_scan + sums.more_liquidity - saving_initial
    v.margin_initial = units.ppm_up(initial, risk_parameters.shared >> 232) + haircut_initial
    return v
