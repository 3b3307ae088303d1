# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""@title TwoPortfolios: evaluate a whole, what leaves it and what stays, in one transaction"""

from interfaces import IRiskModel

alone: public(IRiskModel.Valuation[2])
together: public(IRiskModel.Valuation[2])
known: public(bool)
after: DynArray[uint256, 32]


@external
def set_after(words: DynArray[uint256, 32]):
    """@notice Another portfolio to keep after the whole; none if it is empty."""
    self.after = words


@external
def run(
    model: address,
    whole: DynArray[uint256, 32],
    left: DynArray[uint256, 32],
    taken: DynArray[uint256, 32],
    keep: bool,
):
    """@param keep Whether the whole is valued to be kept."""
    value: IRiskModel.Valuation = extcall IRiskModel(model).evaluate(whole, keep)
    if len(self.after) != 0:
        value = extcall IRiskModel(model).evaluate(self.after, True)
    first: IRiskModel.Valuation = empty(IRiskModel.Valuation)
    second: IRiskModel.Valuation = empty(IRiskModel.Valuation)
    self.known, first, second = extcall IRiskModel(model).evaluate_slice(
        keccak256(abi_encode(whole)), taken
    )
    self.together = [first, second]
    first = extcall IRiskModel(model).evaluate(left)
    second = extcall IRiskModel(model).evaluate(taken)
    self.alone = [first, second]
