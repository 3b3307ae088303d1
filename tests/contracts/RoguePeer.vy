# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title A peer of the Clearinghouse that calls back when it is asked for a value
@notice `arm` names the contract and the call; the best outcome of a callback since is kept (0 none,
        1 refused, 2 went through). `run` calls in its own name, so that it may hold every role.
"""

from interfaces import IRiskModel

target: public(address)
payload: public(Bytes[516])
outcome: public(uint256)


@external
def arm(target: address, payload: Bytes[516]):
    self.target = target
    self.payload = payload
    self.outcome = 0


@external
def run(target: address, payload: Bytes[516]):
    raw_call(target, payload)


@external
def run_both(target: address, first: Bytes[516], second: Bytes[516]):
    """@notice Two calls in one transaction."""
    raw_call(target, first)
    raw_call(target, second)


@internal
def _call_back():
    if self.target != empty(address):
        success: bool = raw_call(self.target, self.payload, revert_on_failure=False)
        self.outcome = max(self.outcome, 2 if success else 1)


@external
def evaluate(words: DynArray[uint256, 32], keep: bool = False) -> IRiskModel.Valuation:
    """@notice Nothing is worth anything, nor needs margin."""
    self._call_back()
    return empty(IRiskModel.Valuation)


@external
def evaluate_slice(
    whole: bytes32, taken: DynArray[uint256, 32]
) -> (bool, IRiskModel.Valuation, IRiskModel.Valuation):
    """@notice The same of two portfolios."""
    self._call_back()
    return True, empty(IRiskModel.Valuation), empty(IRiskModel.Valuation)


@external
def accrued(instrument: uint256, market: uint256, config: uint256) -> (uint256, uint256):
    """@notice The market word as it is, and a mark of one."""
    self._call_back()
    return market, 10**18


@external
@view
def settlement(
    underlying: uint256, slot: uint256
) -> (uint256, uint256, uint256, DynArray[uint256, 32]):
    """@notice Any expiry is over, at a price of one."""
    strikes: DynArray[uint256, 32] = []
    return 1, 1, 10, strikes
