# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""@title TwoPortfolios: evaluate two portfolios one by one, then at once, in one transaction"""

from interfaces import IRiskModel

alone: public(IRiskModel.Valuation[2])
together: public(IRiskModel.Valuation[2])


@external
def run(model: address, left: DynArray[uint256, 32], taken: DynArray[uint256, 32], rows: bool):
    """@param rows Whether the rows are there already when both are valued at once."""
    if rows:
        self._alone(model, left, taken)
    first: IRiskModel.Valuation = empty(IRiskModel.Valuation)
    second: IRiskModel.Valuation = empty(IRiskModel.Valuation)
    first, second = extcall IRiskModel(model).evaluate_slice(left, taken)
    self.together = [first, second]
    if not rows:
        self._alone(model, left, taken)


@internal
def _alone(model: address, left: DynArray[uint256, 32], taken: DynArray[uint256, 32]):
    self.alone = [
        extcall IRiskModel(model).evaluate(left), extcall IRiskModel(model).evaluate(taken)
    ]
