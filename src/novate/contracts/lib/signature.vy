# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Signature: who signed a digest, from a compact signature (r, yParityAndS) as in EIP-2098
@notice One signature has one form: s in the upper half of the curve's order is refused, so nobody
        can turn a signature into a second valid one. A refused or invalid signature recovers the
        empty address, which no caller may take for a signer.
"""

# Half of the order of secp256k1, rounded down: the largest s accepted.
HALF_ORDER: constant(uint256) = (
    57896044618658097711785492504343953926418782139537452191302581570759080747168
)
LOW_255_BITS: constant(uint256) = 2**255 - 1


@internal
@pure
def recover(digest: bytes32, r: uint256, y_parity_and_s: uint256) -> address:
    """@notice The signer of `digest`, or the empty address if there is none."""
    s: uint256 = y_parity_and_s & LOW_255_BITS
    if s > HALF_ORDER:
        return empty(address)
    # 27 or 28: the shifted parity bit is at most 1.
    return ecrecover(digest, unsafe_add(27, y_parity_and_s >> 255), r, s)
