# pragma version 0.4.3
# pragma nonreentrancy on
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Orders: the packed words of a batch and their EIP-712 digests (docs/SPEC.md §6)
@notice Word 0, from the least significant bit: [lots 44 | expiry 40 | exclusive_until 40 |
        revision 16 | instrument index 8 | reduce_only 1 | post_only 1 | sell 1 | executor_open 1 |
        contract_wallet 1 | place in a tree 22 (bulk.vy) | zero 8 | nonce 64 | immediate 1 |
        account index 8]. The bits from KEY up name the fill state: strictly ascending keys are
        distinct orders. Word 1: [price 128 | max_fee 128], wad a base unit and wad a lot. Words 2
        and 3: the compact signature (r, vs), or in word 2 the index of the blob of a contract
        wallet's or a tree's signature.
        Twins: novate/wire/order.py, novate/wire/eip712.py.
"""

EXPIRY: constant(uint256) = 44
EXCLUSIVE_UNTIL: constant(uint256) = 84
REVISION: constant(uint256) = 124
INSTRUMENT: constant(uint256) = 140
NONCE: constant(uint256) = 183
KEY: constant(uint256) = 183
PAIRS: constant(uint256) = 190  # the bits from here up name the 128 immediate nonces of a word
IMMEDIATE: constant(uint256) = 1 << 247
ACCOUNT: constant(uint256) = 248

INSTRUMENT_BITS: constant(uint256) = 255 << 140
POST_ONLY: constant(uint256) = 1 << 149
SELL: constant(uint256) = 1 << 150
EXECUTOR_OPEN: constant(uint256) = 1 << 151
CONTRACT_WALLET: constant(uint256) = 1 << 152
BY_BLOB: constant(uint256) = 31 << 152  # this, or in a tree: the signature is in a blob

M8: constant(uint256) = 2**8 - 1
M16: constant(uint256) = 2**16 - 1
M40: constant(uint256) = 2**40 - 1
M44: constant(uint256) = 2**44 - 1
M56: constant(uint256) = 2**56 - 1
M64: constant(uint256) = 2**64 - 1
M128: constant(uint256) = 2**128 - 1
LOTS_ABOVE: constant(uint256) = 1 << 43  # the bit of the lots' field that may not be set

DOMAIN_TYPE: constant(bytes32) = keccak256(
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)
ORDER_TYPE: constant(bytes32) = keccak256(
    "Order(bytes32 account,uint256 instrument,int256 lots,uint256 price,uint256 maxFee,"
    "uint64 nonce,uint16 revision,uint40 expiry,uint40 exclusiveUntil,uint8 flags,address executor)"
)
MATCH_TYPE: constant(bytes32) = keccak256(
    "Match(bytes32 maker,bytes32 taker,uint64 lots,uint256 price,"
    "uint64 sequence,uint40 matchedAt)"
)
TYPED: constant(bytes2) = 0x1901  # EIP-712: a typed struct follows
NAME: constant(bytes32) = keccak256("Novate Exchange")
VERSION: constant(bytes32) = keccak256("1")

CHAIN_ID: immutable(uint256)
DOMAIN: immutable(bytes32)


@deploy
def __init__():
    CHAIN_ID = chain.id
    DOMAIN = keccak256(abi_encode(DOMAIN_TYPE, NAME, VERSION, chain.id, self))


@internal
@view
def domain() -> bytes32:
    """@notice The domain separator; made anew after a fork, so no signature lives on both sides."""
    if chain.id == CHAIN_ID:
        return DOMAIN
    return keccak256(abi_encode(DOMAIN_TYPE, NAME, VERSION, chain.id, self))


@internal
@pure
def digest(
    word: uint256,
    limits: uint256,
    account: bytes32,
    instrument: uint256,
    executor: address,
    separator: bytes32,
) -> bytes32:
    """
    @notice What the account signed under this domain separator; an open order names the zero
            address as its executor.
    """
    lots: uint256 = word & M44
    if word & SELL != 0:
        lots = unsafe_sub(0, lots)  # two's complement of lots < 2**44
    named: address = executor
    if word & EXECUTOR_OPEN != 0:
        named = empty(address)
    struct_hash: bytes32 = keccak256(
        abi_encode(
            ORDER_TYPE,
            account,
            instrument,
            lots,
            limits & M128,
            limits >> 128,
            (word >> NONCE) & M64,
            (word >> REVISION) & M16,
            (word >> EXPIRY) & M40,
            (word >> EXCLUSIVE_UNTIL) & M40,
            ((word >> 148) & 3) | ((word >> 245) & 4),
            named,
        )
    )
    return keccak256(concat(TYPED, separator, struct_hash))


@internal
@pure
def match_digest(
    maker: bytes32,
    taker: bytes32,
    lots: uint256,
    price: uint256,
    receipt: uint256,
    separator: bytes32,
) -> bytes32:
    """@notice What the executor signed; `receipt` is [sequence 64 | matched_at 40]."""
    struct_hash: bytes32 = keccak256(
        abi_encode(MATCH_TYPE, maker, taker, lots, price, receipt & M64, (receipt >> 64) & M40)
    )
    return keccak256(concat(TYPED, separator, struct_hash))


@external
@view
def domain_separator() -> bytes32:
    """@notice EIP-712 domain separator on this chain."""
    return self.domain()


@external
@view
def order_digest(
    word: uint256, limits: uint256, account: bytes32, instrument: uint256, executor: address
) -> bytes32:
    """@notice What the account signs for an order of these two words (docs/SPEC.md §6)."""
    return self.digest(word, limits, account, instrument, executor, self.domain())
