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
import linear_margin
import option_risk
import risk_parameters
import rows

implements: IRiskModel
initializes: risk_parameters
initializes: charges[risk_parameters := risk_parameters]
initializes: rows[risk_parameters := risk_parameters]
initializes: dated_rows[risk_parameters := risk_parameters, rows := rows]
initializes: linear_margin[
    charges := charges, risk_parameters := risk_parameters, rows := rows
]
initializes: option_risk[
    dated_rows := dated_rows, risk_parameters := risk_parameters, rows := rows
]
exports: (
    rows.accrued,
    dated_rows.quoted,
    option_risk.with_rows,
    risk_parameters.set_parameters,
    risk_parameters.set_globals,
    risk_parameters.parameters,
    risk_parameters.earlier,
    risk_parameters.initial_ratio_ppm,
    risk_parameters.credit_cap,
    risk_parameters.stale_drift_ppm_s,
)

# Gains of all underlyings by lane, each times its credit, and the credit's other terms; `more` is
# what initial margin adds to them while a change of parameters ramps
struct Together:
    gains: int256[16]
    more: int256[16]
    base: uint256
    more_base: int256
    more_scan: uint256
    ramped: bool

UNDERLYINGS_MAX: constant(uint256) = 16
M24: constant(uint256) = 2**24 - 1


@deploy
def __init__(governor: address, clearinghouse: address, oracle: address, options: address):
    risk_parameters.__init__(governor)
    rows.__init__(clearinghouse, oracle)
    dated_rows.__init__(options)


@external
@reentrant
def evaluate(words: DynArray[uint256, 32], keep: bool = False) -> IRiskModel.Valuation:
    """
    @notice Value and requirements of the packed positions `words` at the current round.
    @dev Writes only the transient caches, keyed by the oracle's own round, so anybody may call it
         at any moment.
    @param keep Whether to keep the sums of perps alone for `evaluate_slice`.
    """
    if len(words) == 0:
        return empty(IRiskModel.Valuation)
    status: uint256 = staticcall rows.ORACLE.status()
    held: linear_margin.Held = linear_margin._gather(words, status)
    if held.flags == linear_margin.DATED:
        return extcall IRiskModel(self).evaluate_dated(words)
    if keep and held.value_spot == 0:
        linear_margin._keep(keccak256(abi_encode(words)), rows._base(status), held)
    held.flags = rows._silence(status)
    return linear_margin._total(held)


@external
@reentrant
def evaluate_slice(
    whole: bytes32, taken: DynArray[uint256, 32]
) -> (bool, IRiskModel.Valuation, IRiskModel.Valuation):
    """
    @notice Whether this transaction valued the words with the hash `whole` at this round
            last of those to keep, and they are perps alone; if so, what stays of them without
            `taken`, and `taken`.
    @param taken Of each of its positions a part, lane by lane, and less than all: the caller's
           word.
    """
    status: uint256 = staticcall rows.ORACLE.status()
    if not linear_margin._kept(whole, rows._base(status)):
        return False, empty(IRiskModel.Valuation), empty(IRiskModel.Valuation)
    held: linear_margin.Held = linear_margin._gather(taken, status)
    held.flags = rows._silence(status)
    return True, linear_margin._total(linear_margin._rest(held)), linear_margin._total(held)


@external
@reentrant
def evaluate_dated(words: DynArray[uint256, 32]) -> IRiskModel.Valuation:
    """
    @notice What `evaluate` says of positions with options or dated futures among them. It calls
            here, so that the memory which this takes costs nothing to a valuation without them.
    """
    linear: DynArray[uint256, 32] = []
    dated: uint256 = 0
    linear, dated = dated_rows._linear_of(words)
    status: uint256 = staticcall rows.ORACLE.status()
    base: uint256 = rows._base(status)
    held: linear_margin.Held = empty(linear_margin.Held)
    if len(linear) != 0:
        held = linear_margin._gather(linear, status)
    v: IRiskModel.Valuation = empty(IRiskModel.Valuation)
    v.value_linear = held.value_linear
    v.value_spot = held.value_spot
    v.flags = rows._silence(status)
    sums: charges.Charges = empty(charges.Charges)
    together: Together = empty(Together)
    added: uint256 = 0
    minimum: uint256 = 0
    used: uint256 = held.used | dated
    alone: bool = used & unsafe_sub(used, 1) == 0  # without any it wraps, and is alone too
    for u: uint256 in range(UNDERLYINGS_MAX):
        if used >> u == 0:
            break
        if (used >> u) & 1 == 0:
            continue
        delta: int256 = linear_margin._delta(held.sums[u])
        part: option_risk.Part = (
            option_risk.part(words, u, status, base, held.gauge[u], delta)
            if (dated >> u) & 1 == 1 else option_risk.linear_part(delta, held.gauge[u])
        )
        # Bounds over sixteen underlyings: values and add-ons below 2**180, scans below 2**200
        v.value_linear = unsafe_add(v.value_linear, part.value_linear)
        v.value_spot = unsafe_add(v.value_spot, part.value_spot)
        held.charges = unsafe_add(held.charges, part.interest)
        minimum = unsafe_add(minimum, part.minimum)
        v.flags |= (part.gauge >> 72) & 1
        confidence: uint256 = part.gauge & M24
        adverse: uint256 = (part.gauge >> 24) & M24 if part.delta > 0 else part.gauge >> 48 & M24
        v.bonus = unsafe_add(v.bonus, units.ppm_down(part.size, confidence))
        v.penalty = unsafe_add(v.penalty, units.ppm_up(part.size, max(confidence, adverse)))
        added = unsafe_add(added, unsafe_add(part.added, units.ppm_up(part.size, confidence)))
        rates: option_risk.Rates = option_risk.rates(u, part.psr, part.size, part.vega)
        gains: int256[16] = lanes.profit(part.totals, part.quantum_lot, part.linear, rates.psr)
        scan: uint256 = lanes.loss(gains)
        sums.scan = unsafe_add(sums.scan, scan)
        sums.liquidity = unsafe_add(sums.liquidity, rates.liquidity)
        # the initial one is the larger
        more: uint256 = unsafe_sub(rates.liquidity_initial, rates.liquidity)
        sums.more_liquidity = unsafe_add(sums.more_liquidity, more)
        # of one alone the credit is nothing
        if not alone or rates.psr_initial != rates.psr:
            together = self._join(together, part, rates, gains, scan)
    if not alone:
        sums = self._credit(sums, together)
    sums.more_scan = together.more_scan
    v.liquidity = sums.liquidity
    added = unsafe_add(added, units.div_up(held.charges, 100_000))
    v = linear_margin._with_margins(v, sums, added, held.haircut, held.haircut_initial)
    # short options need so much at least, beside the haircuts
    v.margin_maintenance = max(v.margin_maintenance, minimum + held.haircut)
    least: uint256 = units.ppm_up(minimum, risk_parameters.shared >> 232)
    v.margin_initial = max(v.margin_initial, least + held.haircut_initial)
    return v


@internal
@pure
def _join(
    given: Together,
    part: option_risk.Part,
    rates: option_risk.Rates,
    gains: int256[16],
    scan: uint256,
) -> Together:
    """@notice Add an underlying's gains at maintenance, and what initial margin adds to them."""
    t: Together = given
    # credits below 2**10, scans below 2**193, those of initial margin by signed differences
    base: uint256 = unsafe_div(unsafe_mul(rates.credit, scan), 1000)
    t.base = unsafe_add(t.base, base)
    t.gains = option_risk.joined(t.gains, gains, convert(convert(rates.credit, bytes32), int256))
    if rates.psr_initial != rates.psr or rates.credit_initial != rates.credit:
        t.ramped = True
        t.more = option_risk.joined(t.more, gains, -convert(convert(rates.credit, bytes32), int256))
        initial: int256[16] = lanes.profit(
            part.totals, part.quantum_lot, part.linear, rates.psr_initial
        )
        weight: int256 = convert(convert(rates.credit_initial, bytes32), int256)
        t.more = option_risk.joined(t.more, initial, weight)
        scan_initial: uint256 = lanes.loss(initial)
        # a wider scan range is never kinder
        t.more_scan += scan_initial - scan
        base_initial: uint256 = unsafe_div(unsafe_mul(rates.credit_initial, scan_initial), 1000)
        base = unsafe_sub(base_initial, base)
        t.more_base = unsafe_add(t.more_base, convert(convert(base, bytes32), int256))
    return t


@internal
@pure
def _credit(given: charges.Charges, together: Together) -> charges.Charges:
    """@notice The terms of the credit: a loss below 2**208 in thousandths, in 1e-9."""
    sums: charges.Charges = given
    sums.base = together.base
    sums.more_base = together.more_base
    sums.cross = convert(lanes.loss(together.gains) * units.PPM, int256)
    if together.ramped:
        joint: int256[16] = option_risk.joined(together.gains, together.more, 1)
        sums.more_cross = convert(lanes.loss(joint) * units.PPM, int256) - sums.cross
    return sums
