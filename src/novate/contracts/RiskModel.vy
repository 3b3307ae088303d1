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
from lib import lanes
from lib import units
import charges
import dated_rows
import option_risk
import risk_parameters
import rows

implements: IRiskModel
initializes: risk_parameters
initializes: charges[risk_parameters := risk_parameters]
initializes: rows[risk_parameters := risk_parameters]
initializes: dated_rows[rows := rows]
initializes: option_risk[
    dated_rows := dated_rows, risk_parameters := risk_parameters, rows := rows
]
exports: (
    rows.accrued,
    dated_rows.quoted,
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
    delta: int256[UNDERLYINGS_MAX]     # sum of lots * notional_lot
    gauge: uint256[UNDERLYINGS_MAX]    # what _widen returns, below the gauge seen last (SEEN)
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
SEEN: constant(uint256) = 2**49               # above the 49 bits of a row's gauge
M16: constant(uint256) = 2**16 - 1
M20: constant(uint256) = 2**20 - 1
M24: constant(uint256) = 2**24 - 1
M32: constant(uint256) = 2**32 - 1
M40: constant(uint256) = 2**40 - 1
M44: constant(uint256) = 2**44 - 1
M72: constant(uint256) = 2**72 - 1
M88: constant(uint256) = 2**88 - 1
LOTS_OFFSET: constant(int256) = 2**43

@deploy
def __init__(governor: address, clearinghouse: address, oracle: address, options: address):
    risk_parameters.__init__(governor)
    rows.__init__(clearinghouse, oracle)
    dated_rows.__init__(options)


@external
@reentrant
def evaluate(words: DynArray[uint256, 32]) -> IRiskModel.Valuation:
    """
    @notice Value and requirements of the packed positions `words` at the current round.
    @dev Writes only the transient caches, keyed by the oracle's own round, so anybody may call it
         at any moment.
    """
    if len(words) == 0:
        return empty(IRiskModel.Valuation)
    status: uint256 = staticcall rows.ORACLE.status()
    held: Held = self._gather(words, status)
    silent: bool = block.timestamp > ((status >> 64) & M40) + ((status >> 144) & M16)
    if silent or block.timestamp < ((status >> 104) & M40) + ((status >> 160) & M16):
        held.flags |= 2
    if held.flags >= DATED:
        return self._pass_on(words, held.flags ^ DATED)
    return self._total(held)


@external
@reentrant
def evaluate_dated(words: DynArray[uint256, 32]) -> IRiskModel.Valuation:
    """
    @notice What `evaluate` says of positions with options or dated futures among them, but for the
            flag of silence and grace. It calls here, so that the memory which this takes costs
            nothing to a valuation without them.
    """
    linear: DynArray[uint256, 32] = []
    dated: uint256 = 0
    linear, dated = dated_rows._linear_of(words)
    status: uint256 = staticcall rows.ORACLE.status()
    held: Held = self._gather(linear, status)
    return self._total_dated(words, dated, held, status)


@internal
def _pass_on(words: DynArray[uint256, 32], flags: uint256) -> IRiskModel.Valuation:
    """@notice The valuation with dated positions, and what `evaluate` knows of the round."""
    v: IRiskModel.Valuation = extcall IRiskModel(self).evaluate_dated(words)
    v.flags |= flags
    return v


@internal
def _gather(words: DynArray[uint256, 32], status: uint256) -> Held:
    """@notice Sums over the positions; rows are built where this transaction has none yet."""
    held: Held = empty(Held)
    base: uint256 = rows._base(status)
    # Bounds of the sums over at most 128 positions: notionals below 2**138, linear values below
    # 2**145, charges below 2**154
    for i: uint256 in range(len(words), bound=32):
        rest: uint256 = words[i]
        for _: uint256 in range(4):
            if rest == 0:
                break
            at: uint256 = base | ((rest >> 44) & M20)
            row: uint256 = rows.rows[at]
            if row == 0:
                page: uint256[4] = rows._page(words, i)
                if (page[0] | page[1] | page[2] | page[3]) & dated_rows.DATED_LANES != 0:
                    held.flags = DATED
                    return held
                rows._build_rows(page, status, base)
                row = rows.rows[at]
            # a lane holds 44 bits, so the difference stays within +-2**43
            lots: int256 = unsafe_sub(convert(convert(rest & M44, bytes32), int256), LOTS_OFFSET)
            rest = rest >> 64
            underlying: uint256 = (row >> 184) & 15
            # |lots| < 2**43 and notional_lot < 2**88: the product is below 2**131
            notional: int256 = unsafe_mul(
                lots, convert(convert((row >> 96) & M88, bytes32), int256)
            )
            held.delta[underlying] = unsafe_add(held.delta[underlying], notional)
            # instruments of one feed carry the same gauge, so most are seen at once
            seen: uint256 = (row >> 207) | SEEN
            if seen != held.gauge[underlying] >> 80:
                held.gauge[underlying] = rows._widen(held.gauge[underlying], row) | (seen << 80)
                held.used |= 1 << underlying
            if (row >> 188) & 7 != KIND_PERP:
                if (row >> 188) & 7 != KIND_SPOT:
                    held.flags = DATED
                    return held
                held = self._add_spot(held, underlying, notional)
                continue
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
@view
def _add_spot(held: Held, underlying: uint256, notional: int256) -> Held:
    """@notice Add a position of spot collateral and its haircuts, each rounded up."""
    h: Held = held
    spot: uint256 = convert(notional, uint256)
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
    h.value_spot += notional
    h.haircut += units.ppm_up(spot, maintenance)
    h.haircut_initial += units.ppm_up(spot, initial)
    return h


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
            delta: int256 = held.delta[u]
            # |delta| < 2**138
            size: uint256 = convert(max(delta, unsafe_sub(0, delta)), uint256)
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
                sums.liquidity = unsafe_add(sums.liquidity, risk_parameters.liquidity(size, word))
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
def _total_dated(
    words: DynArray[uint256, 32], dated: uint256, held: Held, status: uint256
) -> IRiskModel.Valuation:
    """@notice The same with options or dated futures of some underlyings (docs/SPEC.md §4)."""
    v: IRiskModel.Valuation = empty(IRiskModel.Valuation)
    v.value_linear = held.value_linear
    v.value_spot = held.value_spot
    sums: charges.Charges = empty(charges.Charges)
    interest: uint256 = held.charges
    added: uint256 = 0
    minimum: uint256 = 0
    joint: int256[16] = empty(int256[16])        # gains by lane, times credits
    more: int256[16] = empty(int256[16])         # what initial margin adds
    ramped: bool = False
    base: uint256 = rows._base(status)
    used: uint256 = held.used | dated
    for u: uint256 in range(UNDERLYINGS_MAX):
        if (used >> u) & 1 == 0:
            continue
        part: option_risk.Part = empty(option_risk.Part)
        if (dated >> u) & 1 == 1:
            delta: int256 = held.delta[u]
            part = option_risk.part(words, u, status, base, delta, held.gauge[u])
        else:
            part = option_risk.linear_part(held.delta[u], held.gauge[u])
        v.value_linear += part.value_linear
        v.value_spot += part.value_spot
        interest += part.interest
        minimum += part.minimum
        added += part.added
        v = self._add_doubt(v, part.gauge, part.size, part.delta > 0)
        added += units.ppm_up(part.size, part.gauge & M24)

        rates: option_risk.Rates = option_risk.rates(u, part.psr, part.size, part.vega)
        gains: int256[16] = lanes.profit(part.totals, part.quantum_lot, part.linear, rates.psr)
        c: charges.Charges = empty(charges.Charges)
        c.scan = lanes.loss(gains)
        c.liquidity = rates.liquidity
        c.more_liquidity = rates.liquidity_initial - rates.liquidity
        if used & unsafe_sub(used, 1) != 0:  # of one alone the credit is nothing
            c.base = rates.credit * c.scan // 1000
            joint = option_risk.joined(joint, gains, convert(rates.credit, int256))
        if rates.psr_initial != rates.psr or rates.credit_initial != rates.credit:
            ramped = True
            more = option_risk.joined(more, gains, -convert(rates.credit, int256))
            gains = lanes.profit(part.totals, part.quantum_lot, part.linear, rates.psr_initial)
            more = option_risk.joined(more, gains, convert(rates.credit_initial, int256))
            scan: uint256 = lanes.loss(gains)
            c.more_scan = scan - c.scan
            base_initial: uint256 = rates.credit_initial * scan // 1000
            c.more_base = convert(base_initial, int256) - convert(c.base, int256)
        sums = charges._plus(sums, c)
    if used & unsafe_sub(used, 1) == 0:
        sums.more_base = 0
    else:
        # a loss below 2**208 in thousandths; `_saving` takes what joins in 1e-9
        together: int256 = convert(lanes.loss(joint) * units.PPM, int256)
        sums.cross = together
        if ramped:
            joint = option_risk.joined(joint, more, 1)
            sums.more_cross = convert(lanes.loss(joint) * units.PPM, int256) - together
    v.liquidity = sums.liquidity
    added += units.div_up(interest, 100_000)
    v = self._with_margins(v, sums, added, held.haircut, held.haircut_initial)
    # short options need so much at least, beside the haircuts
    v.margin_maintenance = max(v.margin_maintenance, minimum + held.haircut)
    least: uint256 = units.ppm_up(minimum, risk_parameters.shared >> 232)
    v.margin_initial = max(v.margin_initial, least + held.haircut_initial)
    return v


@internal
@pure
def _add_doubt(
    given: IRiskModel.Valuation, gauge: uint256, size: uint256, long: bool
) -> IRiskModel.Valuation:
    """@notice Add the corrections of one underlying, and whether one of its feeds is stale."""
    v: IRiskModel.Valuation = given
    v.flags |= (gauge >> 72) & 1
    adverse: uint256 = (gauge >> 24) & M24 if long else (gauge >> 48) & M24
    v.bonus += units.ppm_down(size, gauge & M24)
    v.penalty += units.ppm_up(size, max(gauge & M24, adverse))
    return v


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
    scanned: uint256 = sums.scan - saving + added + sums.liquidity
    v.margin_maintenance = scanned + haircut
    base: uint256 = convert(convert(sums.base, int256) + sums.more_base, uint256)
    saving_initial: uint256 = charges._saving(base, sums.cross + sums.more_cross, cap_initial)
    initial: uint256 = scanned + saving + sums.more_scan + sums.more_liquidity - saving_initial
    v.margin_initial = units.ppm_up(initial, risk_parameters.shared >> 232) + haircut_initial
    return v
