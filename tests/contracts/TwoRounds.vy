# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""@title TwoRounds: evaluate, let a round be posted, evaluate again, all in one transaction"""

from interfaces import IRiskModel

first: public(IRiskModel.Valuation)
second: public(IRiskModel.Valuation)


@external
def run(model: address, words: DynArray[uint256, 32], oracle: address, round: Bytes[4096]):
    self.first = extcall IRiskModel(model).evaluate(words)
    raw_call(oracle, round)
    self.second = extcall IRiskModel(model).evaluate(words)
