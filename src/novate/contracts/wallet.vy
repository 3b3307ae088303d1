# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Contract wallets: ERC-1271 signatures, asked again at every settlement
@notice The call is static, with capped gas and one returned word, so a hostile wallet harms nobody
        else. A wallet may change its mind: a match inside the notice after anyone had its consent
        confirmed settles all the same (RULES 6, 8).
"""

MAGIC: constant(bytes32) = 0x1626ba7e00000000000000000000000000000000000000000000000000000000
GAS_MAX: constant(uint256) = 150_000
BLOB_BYTES_MAX: constant(uint256) = 1024

# wallet -> digest -> second until which the consent stands unasked
confirmed: HashMap[address, HashMap[bytes32, uint256]]


@internal
@view
def consents(wallet: address, digest: bytes32, blob: Bytes[BLOB_BYTES_MAX]) -> bool:
    """@notice Whether the wallet's isValidSignature(bytes32,bytes) answers its magic value now."""
    success: bool = False
    answer: Bytes[32] = b""
    success, answer = raw_call(
        wallet,
        abi_encode(digest, blob, method_id=method_id("isValidSignature(bytes32,bytes)")),
        max_outsize=32,
        gas=GAS_MAX,
        is_static_call=True,
        revert_on_failure=False,
    )
    return success and len(answer) == 32 and convert(answer, bytes32) == MAGIC
