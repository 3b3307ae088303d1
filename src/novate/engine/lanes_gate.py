"""The gate, in float64: initial margin at the worst prices, or no worse (``model/ledger.py``).

Each answer is PASSES, FAILS, or TOO_CLOSE for the error that ``lanes_layout.py`` bounds.
"""

from __future__ import annotations

from novate.engine.lanes_kernel import (
    U,
    inlined,
    sign,
)
from novate.engine.lanes_layout import (
    EQUITY,
    FAILS,
    FLAGS,
    INITIAL,
    MAINTENANCE,
    PASSES,
    PENALTY,
    SPOT,
    TOLERANCE,
    TOO_CLOSE,
    Reals,
)


@inlined
def funded(after: Reals, debt_allowed: bool) -> int:
    """Whether an account holds its initial margin at the worst prices, and prices are fresh."""
    if after[U(FLAGS)] != 0.0:
        return FAILS
    room = after[U(EQUITY)] - after[U(PENALTY)] - after[U(INITIAL)]
    answer = sign(room, after[U(TOLERANCE)])
    if answer == FAILS or debt_allowed:
        return answer
    covered = sign(after[U(EQUITY)] - after[U(SPOT)], after[U(TOLERANCE)])
    return answer if covered == PASSES else covered


@inlined
def passes(before: Reals, after: Reals, debt_allowed: bool) -> int:
    """``ledger.passes_gate`` of two standings."""
    answer = funded(after, debt_allowed)
    if answer == PASSES:
        return answer
    better = no_worse(before, after)
    return answer if better == FAILS else better


@inlined
def no_worse(before: Reals, after: Reals) -> int:
    """``ledger.no_worse`` of two standings."""
    error = before[U(TOLERANCE)] + after[U(TOLERANCE)]
    required, equity = before[U(MAINTENANCE)], before[U(EQUITY)]
    released = required - after[U(MAINTENANCE)]
    lost = equity - after[U(EQUITY)]
    lower = sign(released, error)
    if lower != PASSES:
        return lower
    whole = sign(equity - required, before[U(TOLERANCE)])
    if whole == PASSES:
        return sign(released - lost, 2 * error)
    if whole == TOO_CLOSE:
        return TOO_CLOSE
    positive = sign(equity, before[U(TOLERANCE)])
    if positive == TOO_CLOSE:
        return TOO_CLOSE
    if positive == FAILS:
        return sign(-lost, error)
    # each factor errs by at most ``error``: a product by that times the sum of both, and itself
    sizes = abs(lost) + abs(required) + abs(equity) + abs(released) + 2 * error
    return sign(equity * released - lost * required, 2 * error * sizes)
