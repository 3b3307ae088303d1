# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""@title The pure libraries of risk arrays, callable by tests"""

from lib import lanes
from lib import option_ratio
from lib import risk_array


@internal
@pure
def total(
    arrays: DynArray[uint256, 128], clipped: DynArray[uint256, 128], lots: DynArray[int256, 128]
) -> lanes.Totals:
    totals: lanes.Totals = empty(lanes.Totals)
    for i: uint256 in range(len(arrays), bound=128):
        size: uint256 = convert(abs(lots[i]), uint256)
        totals.sums = lanes.added(totals.sums, arrays[i], lots[i])
        totals.net += lots[i]
        totals.gross += size
        totals.cut += size * clipped[i]
    return totals


@external
@pure
def profit(
    arrays: DynArray[uint256, 128],
    clipped: DynArray[uint256, 128],
    lots: DynArray[int256, 128],
    quantum_lot: uint256,
    linear: int256,
    psr: uint256,
) -> int256[16]:
    return lanes.profit(self.total(arrays, clipped, lots), quantum_lot, linear, psr)


@external
@pure
def scan(
    arrays: DynArray[uint256, 128],
    clipped: DynArray[uint256, 128],
    lots: DynArray[int256, 128],
    quantum_lot: uint256,
    linear: int256,
    psr: uint256,
) -> (uint256, uint256):
    totals: lanes.Totals = self.total(arrays, clipped, lots)
    scan: uint256 = lanes.loss(lanes.profit(totals, quantum_lot, linear, psr))
    return scan, lanes.rounding(totals, quantum_lot)


@external
@pure
def pack(raw: int256[16]) -> (uint256, uint256):
    word: uint256 = 0
    clip: uint256 = 0
    word, clip = lanes.pack(raw)
    return word, clip


@external
@pure
def clipped(info: uint256) -> uint256:
    return lanes.clipped(info)


@external
@pure
def value(info: uint256, forward: uint256) -> uint256:
    return lanes.value(info, forward)


@external
@pure
def of_put(info: uint256) -> uint256:
    return lanes.of_put(info)


@external
@pure
def usable(info: uint256, forward: uint256, now: uint256, generation: uint256) -> bool:
    return lanes.usable(info, forward, now, generation)


@external
@pure
def multipliers(seconds: uint256) -> (int256, int256):
    up: int256 = 0
    down: int256 = 0
    up, down = risk_array.multipliers(seconds)
    return up, down


@external
@pure
def ratio(k: int256, v: int256) -> int256:
    return option_ratio.ratio(k, v)


@external
@view
def gas_of_accumulate(array: uint256, lots: int256) -> (uint256, uint256):
    """@notice Gas of one position, and of the scan of the totals."""
    totals: lanes.Totals = empty(lanes.Totals)
    before: uint256 = msg.gas
    totals.sums = lanes.added(totals.sums, array, lots)
    totals.net += lots
    totals.gross += convert(abs(lots), uint256)
    spent: uint256 = before - msg.gas
    before = msg.gas
    worst: uint256 = lanes.loss(lanes.profit(totals, 10**15, 10**18, 150_000))
    return spent, before - msg.gas


@external
@view
def gas_of_build(
    forward: uint256,
    strike: uint256,
    sigma: uint256,
    seconds: uint256,
    psr: uint256,
    quantum: uint256,
) -> (uint256, uint256):
    """@notice Gas of what an expiry shares, and of one strike."""
    before: uint256 = msg.gas
    shared: risk_array.Frame = risk_array.frame(forward, seconds, psr, quantum)
    framing: uint256 = before - msg.gas
    before = msg.gas
    words: uint256[3] = risk_array.words(shared, risk_array.call_at(shared, strike, sigma))
    return framing, before - msg.gas
