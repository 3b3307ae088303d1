"""What the settler offers for gas, and how much more when a transaction is stuck (EIP-1559).

Amounts are wei a unit of gas. Nothing is ever offered above the operator's bound.
"""

from __future__ import annotations

from dataclasses import dataclass

from novate.chain.rows import Fees
from novate.units import PPM, mul_div_up

BUMP_PPM = 125_000  # nodes take a replacement from a tenth more on; this leaves room for rounding


@dataclass(frozen=True, slots=True)
class FeePolicy:
    """The tip, and the most that is ever paid: with a bound of zero a local chain's nothing."""

    priority: int = 0
    maximum: int = 0

    def first(self, base_fee: int) -> Fees:
        """An offer that stands while the base fee doubles (six full blocks)."""
        maximum = min(self.maximum, 2 * base_fee + self.priority)
        return Fees(maximum, min(self.priority, maximum))

    def bumped(self, offered: Fees, base_fee: int) -> Fees | None:
        """An offer that replaces another, or None where the bound does not leave room for one."""
        least, tip = (_more(amount) for amount in (offered.maximum, offered.priority))
        maximum = min(self.maximum, max(least, 2 * base_fee + tip))
        if maximum < max(least, tip):
            return None
        return Fees(maximum, tip)


def _more(amount: int) -> int:
    return mul_div_up(amount, PPM + BUMP_PPM, PPM) + (amount == 0)
