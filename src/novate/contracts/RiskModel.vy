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

from interfaces import IClearinghouse
from interfaces import IOracle
from interfaces import IRiskModel
from lib import errors
from lib import units
import funding
import risk_parameters

implements: IRiskModel
initializes: risk_parameters
exports: (
    risk_parameters.set_parameters,
    risk_parameters.set_globals,
    risk_parameters.parameters,
    risk_parameters.earlier,
    risk_parameters.initial_ratio_ppm,
    risk_parameters.credit_cap,
    risk_parameters.stale_drift_ppm_s,
)

struct Sums:
    scan: uint256
    scan_initial: uint256
    base: uint256
    base_initial: uint256
    cross: int256
    cross_initial: int256
    added: uint256
    haircut: uint256
    haircut_initial: uint256
    penalty: uint256
    bonus: uint256
    liquidity: uint256
    liquidity_initial: uint256

UNDERLYINGS_MAX: constant(uint256) = 16
STALE_WIDENING_PPM_MAX: constant(uint256) = 200_000
KIND_PERP: constant(uint256) = 1
KIND_SPOT: constant(uint256) = 4
THOUSAND_USD: constant(uint256) = 10**21
M16: constant(uint256) = 2**16 - 1
M20: constant(uint256) = 2**20 - 1
M24: constant(uint256) = 2**24 - 1
M32: constant(uint256) = 2**32 - 1
M40: constant(uint256) = 2**40 - 1
M44: constant(uint256) = 2**44 - 1
M64: constant(uint256) = 2**64 - 1
M80: constant(uint256) = 2**80 - 1
M96: constant(uint256) = 2**96 - 1
LOTS_OFFSET: constant(int256) = 2**43

CLEARINGHOUSE: immutable(IClearinghouse)
ORACLE: immutable(IOracle)

rows: transient(HashMap[uint256, uint256])                # round << 20 | instrument -> row word


@deploy
def __init__(governor: address, clearinghouse: address, oracle: address):
    risk_parameters.__init__(governor)
    CLEARINGHOUSE = IClearinghouse(clearinghouse)
    ORACLE = IOracle(oracle)


@external
@reentrant
def evaluate(words: DynArray[uint256, 32]) -> IRiskModel.Valuation:
    """
    @notice Value and requirements of the packed positions `words` at the current round.
    @dev Writes only the transient row cache, keyed by the oracle's own round, so anybody may call
            it at any moment.
    """
    if len(words) == 0:
        return empty(IRiskModel.Valuation)
    status: uint256 = staticcall ORACLE.status()
    valuation: IRiskModel.Valuation = empty(IRiskModel.Valuation)
    silent: bool = block.timestamp > ((status >> 64) & M40) + ((status >> 144) & M16)
    if silent or block.timestamp < ((status >> 104) & M40) + ((status >> 160) & M16):
        valuation.flags = 2
    delta: int256[UNDERLYINGS_MAX] = empty(int256[UNDERLYINGS_MAX])
    spot: uint256[UNDERLYINGS_MAX] = empty(uint256[UNDERLYINGS_MAX])
    gauge: uint256[UNDERLYINGS_MAX] = empty(uint256[UNDERLYINGS_MAX])
    used: uint256 = 0
    charges: uint256 = 0
    # Bounds of the sums over at most 128 positions: notionals below 2**130, linear values below
    # 2**145, charges below 2**139
    for word: uint256 in words:
        rest: uint256 = word
        for _: uint256 in range(4):
            if rest == 0:
                break
            row: uint256 = self._row((rest >> 44) & M20, status)
            # a lane holds 44 bits, so the difference stays within +-2**43
            lots: int256 = unsafe_sub(convert(rest & M44, int256), LOTS_OFFSET)
            rest = rest >> 64
            underlying: uint256 = (row >> 176) & 4095
            # |lots| < 2**43 and notional_lot < 2**80: the product is below 2**123
            notional: int256 = unsafe_mul(lots, convert((row >> 96) & M80, int256))
            delta[underlying] = unsafe_add(delta[underlying], notional)
            if row >> 208 != 0:
                gauge[underlying] = self._widen(gauge[underlying], row)
            used |= 1 << underlying
            if (row >> 188) & 7 == KIND_SPOT:
                spot[underlying] += convert(notional, uint256)
                valuation.value_spot += notional
            else:
                # |value_lot| < 2**95: the product is below 2**138
                value_lot: int256 = convert(convert(row << 160, bytes32), int256) >> 160
                valuation.value_linear = unsafe_add(
                    valuation.value_linear, unsafe_mul(lots, value_lot)
                )
                if notional < 0:
                    notional = unsafe_sub(0, notional)
                # a size below 2**123 times a rate below 2**16, rounded up
                charge: uint256 = unsafe_mul(convert(notional, uint256), (row >> 192) & M16)
                charges = unsafe_add(charges, unsafe_div(unsafe_add(charge, 99_999), 100_000))
            valuation.flags |= (row >> 191) & 1
    sums: Sums = empty(Sums)
    for underlying: uint256 in range(UNDERLYINGS_MAX):
        if used == 0:
            break
        if used & 1 == 1:
            sums = self._add(
                sums, underlying, delta[underlying], spot[underlying], gauge[underlying]
            )
        used = used >> 1
    return self._total(valuation, sums, charges)


@external
@view
@reentrant
def accrued(instrument: uint256) -> (uint256, uint256):
    """@notice The market word of an instrument with funding up to now, and its mark (wad)."""
    terms: uint256 = 0
    market: uint256 = 0
    config: uint256 = 0
    terms, market, config = staticcall CLEARINGHOUSE.market(instrument)
    feed: uint256 = staticcall ORACLE.feed((terms >> 240) & 255)
    mark: uint256 = ((feed >> 64) & M64) * units.ORACLE_UNIT
    return self._project(market, terms, feed, staticcall ORACLE.status(), config), mark


@internal
@view
def _project(
    market: uint256, terms: uint256, feed: uint256, status: uint256, config: uint256
) -> uint256:
    """
    @notice The market word with funding up to now; when it is already there, the oracle need not be
            asked.
    """
    resumed_at: uint256 = 0
    if (market >> 168) & M40 != block.timestamp:
        resumed_at = staticcall ORACLE.resumed_at((terms >> 240) & 255)
    return funding.project(market, terms, feed, resumed_at, (status >> 144) & M16, config)


@internal
@pure
def _widen(gauge: uint256, row: uint256) -> uint256:
    """
    @notice Keep the largest confidence (24 bits), fall (24) and rise (24) over the held
            instruments.
    """
    confidence: uint256 = max(gauge & M24, (row >> 208) & M24)
    fall: uint256 = (gauge >> 24) & M24
    rise: uint256 = gauge >> 48
    deviation: uint256 = row >> 232
    if deviation >> 23 == 1:
        fall = max(fall, unsafe_sub(2**24, deviation))  # magnitude of 24 negative bits
    else:
        rise = max(rise, deviation)
    return confidence | (fall << 24) | (rise << 48)


@internal
def _row(instrument: uint256, status: uint256) -> uint256:
    """
    @notice One instrument's row at this round: built on first use in a transaction, then read from
            transient storage.
    """
    key: uint256 = ((status & M64) << 20) | instrument
    row: uint256 = self.rows[key]
    if row == 0:
        row = self._build_row(instrument, status)
        self.rows[key] = row
    return row


@internal
@view
def _build_row(instrument: uint256, status: uint256) -> uint256:
    terms: uint256 = 0
    market: uint256 = 0
    config: uint256 = 0
    terms, market, config = staticcall CLEARINGHOUSE.market(instrument)
    feed: uint256 = staticcall ORACLE.feed((terms >> 240) & 255)
    market = self._project(market, terms, feed, status, config)
    kind: uint256 = terms >> 248
    underlying: uint256 = (terms >> 232) & 255
    price: uint256 = (feed >> 64) & M64
    if kind == KIND_SPOT:
        price = feed & M64
    notional: uint256 = price * units.ORACLE_UNIT * (terms & M64) // units.WAD
    assert notional <= M80 and notional != 0
    value_lot: int256 = convert(notional, int256)
    charge: uint256 = 0
    if kind == KIND_PERP:
        value_lot -= units.signed(market, 128, 128)
        charge = self._charge(
            underlying, (market >> 208) * notional, units.magnitude(units.signed(market, 88, 216))
        )
    assert value_lot < 2**95 and value_lot >= -(2**95)
    row: uint256 = units.unsigned(value_lot, M96) | (notional << 96) | (underlying << 176)
    row |= (kind << 188) | (charge << 192)
    age: uint256 = block.timestamp - (feed >> 224)
    stale_after: uint256 = (status >> 144) & M16
    confidence: uint256 = (feed >> 192) & M32
    if age > stale_after:
        row |= 1 << 191
        confidence += min(
            (age - stale_after) * risk_parameters.stale_drift_ppm_s, STALE_WIDENING_PPM_MAX
        )
    row |= min(confidence, M24) << 208
    return row | (self._deviation((feed >> 64) & M64, (feed >> 128) & M64) << 232)


@internal
@pure
def _deviation(mark: uint256, average: uint256) -> uint256:
    """@notice (average - mark) / mark in ppm, away from zero, as 24 signed bits."""
    if average >= mark:
        return min(units.div_up((average - mark) * units.PPM, mark), M24 >> 1)
    gap: uint256 = min(units.div_up((mark - average) * units.PPM, mark), M24 >> 1)
    return (M24 - gap + 1) & M24


@internal
@view
def _charge(underlying: uint256, interest: uint256, rate_ppb: uint256) -> uint256:
    """@notice Open-interest rate plus eight hours of funding, in 1e-5, rounded up."""
    target: uint256 = 0
    old: uint256 = 0
    elapsed: uint256 = 0
    target, old, elapsed = risk_parameters.transition(underlying)
    rate: uint256 = self._interest_rate(interest, target)
    if old != target:
        rate = risk_parameters.between_up(self._interest_rate(interest, old), rate, elapsed)
    return min(rate + units.div_up(rate_ppb, 10_000), M16)


@internal
@pure
def _interest_rate(interest: uint256, word: uint256) -> uint256:
    """
    @notice Charge on the whole market's open interest: a ramp between two notionals, 1e-5, rounded
            up.
    """
    low: uint256 = ((word >> 180) & M24) * THOUSAND_USD
    if interest <= low:
        return 0
    high: uint256 = ((word >> 204) & M24) * THOUSAND_USD
    return units.div_up(((word >> 228) & M16) * (min(interest, high) - low), high - low)


@internal
@pure
def _liquidity(size: uint256, word: uint256) -> uint256:
    """
    @notice What closing a dollar delta may cost beyond the mark: a ramp between two sizes, rounded
            up.
    """
    low: uint256 = ((word >> 72) & M24) * THOUSAND_USD
    if size <= low:
        return 0
    high: uint256 = ((word >> 96) & M24) * THOUSAND_USD
    rate: uint256 = ((word >> 120) & M20) * (min(size, high) - low)
    return units.div_up(size * rate, (high - low) * units.PPM)


@internal
@view
def _add(sums: Sums, underlying: uint256, delta: int256, spot: uint256, gauge: uint256) -> Sums:
    """
    @notice Add one underlying's scan, credit terms, liquidity, confidence and haircuts.
    @dev A change ramps into the maintenance margin; the initial margin takes the stricter end at
            once.
    """
    s: Sums = sums
    target: uint256 = 0
    old: uint256 = 0
    elapsed: uint256 = 0
    target, old, elapsed = risk_parameters.transition(underlying)
    size: uint256 = units.magnitude(delta)
    credit: uint256 = risk_parameters.between_down(old >> 244, target >> 244, elapsed)
    psr: uint256 = risk_parameters.psr(target)
    # sizes below 2**130, rates below 2**21, credits below 2**10, at most 16 underlyings: every sum
    # is below 2**165
    scan: uint256 = units.ppm_up(size, psr)
    base: uint256 = unsafe_div(unsafe_mul(credit, scan), 1000)
    cross: int256 = unsafe_mul(convert(unsafe_mul(credit, psr), int256), delta)
    s.scan = unsafe_add(s.scan, scan)
    s.base = unsafe_add(s.base, base)
    s.cross = unsafe_add(s.cross, cross)
    if elapsed < risk_parameters.DAY_S:
        credit = min(credit, target >> 244)
        psr = max(psr, (target >> 20) & M20)
        scan = units.ppm_up(size, psr)
        base = unsafe_div(unsafe_mul(credit, scan), 1000)
        cross = unsafe_mul(convert(unsafe_mul(credit, psr), int256), delta)
    s.scan_initial = unsafe_add(s.scan_initial, scan)
    s.base_initial = unsafe_add(s.base_initial, base)
    s.cross_initial = unsafe_add(s.cross_initial, cross)
    liquidity: uint256 = self._liquidity(size, target)
    s.liquidity_initial += liquidity
    if old != target:
        ramped: uint256 = risk_parameters.between_up(self._liquidity(size, old), liquidity, elapsed)
        s.liquidity_initial += max(ramped, liquidity) - liquidity
        liquidity = ramped
    s.liquidity += liquidity
    confidence: uint256 = gauge & M24
    if gauge != 0:
        s.added += units.ppm_up(size, confidence)
        s.bonus += units.ppm_down(size, confidence)
        adverse: uint256 = gauge >> 48
        if delta > 0:
            adverse = (gauge >> 24) & M24
        s.penalty += units.ppm_up(size, max(confidence, adverse))
    if spot != 0:
        maintenance: uint256 = risk_parameters.between_up(
            (old >> 140) & M20, (target >> 140) & M20, elapsed
        )
        initial: uint256 = risk_parameters.between_up(
            (old >> 160) & M20, (target >> 160) & M20, elapsed
        )
        s.haircut += units.ppm_up(spot, maintenance)
        s.haircut_initial += units.ppm_up(spot, max(initial, (target >> 160) & M20))
    return s


@internal
@view
def _saving(base: uint256, cross: int256, cap: uint256) -> uint256:
    """@notice Capped correlation credit; the cross scan rounds up, so the credit rounds down."""
    joint: uint256 = units.div_up(units.magnitude(cross), 10**9)
    if joint >= base:
        return 0
    return min(base - joint, cap)


@internal
@view
def _total(valuation: IRiskModel.Valuation, sums: Sums, charges: uint256) -> IRiskModel.Valuation:
    v: IRiskModel.Valuation = valuation
    cap: uint256 = 0
    cap_initial: uint256 = 0
    cap, cap_initial = risk_parameters.credit_caps()
    added: uint256 = sums.added + charges
    v.margin_maintenance = sums.scan - self._saving(sums.base, sums.cross, cap) + added
    v.margin_maintenance += sums.liquidity + sums.haircut
    initial: uint256 = sums.scan_initial - self._saving(
        sums.base_initial, sums.cross_initial, cap_initial
    ) + added
    initial += sums.liquidity_initial
    v.margin_initial = units.ppm_up(initial, risk_parameters.shared >> 232) + sums.haircut_initial
    v.penalty = sums.penalty
    v.bonus = sums.bonus
    v.liquidity = sums.liquidity
    return v
