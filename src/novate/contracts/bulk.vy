# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Bulk orders: one signature over the root of a tree of up to 256 orders (docs/SPEC.md §6)
@notice Signed is the EIP-712 struct BulkOrders(Order[2]...[2] tree), an array as deep as the tree
        is high. A leaf is the struct hash of an order (of 384 bytes), a node the hash of its two
        children (of 64), so neither can pass for the other. Word 0 of an order in a tree has its
        place in bits that are zero otherwise: [height 4 | index 8 | proof 10] from HEIGHT up; bit i
        of the index says that the path is a right child on level i. The siblings, from the leaves
        up, stand behind the encoded call, `proof` words before the end of the calldata, where no
        bound has to be kept for them in memory. The root's signature (r, vs) begins at byte word 3
        of the blob that word 2 names; a transaction recovers it once.
        Twins: novate/model/bulk.py, novate/wire/bulk.py.
"""

from lib import signature
import order

HEIGHT: constant(uint256) = 153
INDEX: constant(uint256) = 157
PROOF: constant(uint256) = 165
M4: constant(uint256) = 2**4 - 1
M10: constant(uint256) = 2**10 - 1
HEIGHT_MAX: constant(uint256) = 8

# BulkOrders(Order[2]...[2] tree)Order(...), by height
TYPES: constant(bytes32[HEIGHT_MAX]) = [
    keccak256(
        "BulkOrders(Order[2] tree)"
        "Order(bytes32 account,uint256 instrument,int256 lots,uint256 price,uint256 maxFee,"
        "uint64 nonce,uint16 revision,uint40 expiry,uint40 exclusiveUntil,uint8 flags,"
        "address executor)"
    ),
    keccak256(
        "BulkOrders(Order[2][2] tree)"
        "Order(bytes32 account,uint256 instrument,int256 lots,uint256 price,uint256 maxFee,"
        "uint64 nonce,uint16 revision,uint40 expiry,uint40 exclusiveUntil,uint8 flags,"
        "address executor)"
    ),
    keccak256(
        "BulkOrders(Order[2][2][2] tree)"
        "Order(bytes32 account,uint256 instrument,int256 lots,uint256 price,uint256 maxFee,"
        "uint64 nonce,uint16 revision,uint40 expiry,uint40 exclusiveUntil,uint8 flags,"
        "address executor)"
    ),
    keccak256(
        "BulkOrders(Order[2][2][2][2] tree)"
        "Order(bytes32 account,uint256 instrument,int256 lots,uint256 price,uint256 maxFee,"
        "uint64 nonce,uint16 revision,uint40 expiry,uint40 exclusiveUntil,uint8 flags,"
        "address executor)"
    ),
    keccak256(
        "BulkOrders(Order[2][2][2][2][2] tree)"
        "Order(bytes32 account,uint256 instrument,int256 lots,uint256 price,uint256 maxFee,"
        "uint64 nonce,uint16 revision,uint40 expiry,uint40 exclusiveUntil,uint8 flags,"
        "address executor)"
    ),
    keccak256(
        "BulkOrders(Order[2][2][2][2][2][2] tree)"
        "Order(bytes32 account,uint256 instrument,int256 lots,uint256 price,uint256 maxFee,"
        "uint64 nonce,uint16 revision,uint40 expiry,uint40 exclusiveUntil,uint8 flags,"
        "address executor)"
    ),
    keccak256(
        "BulkOrders(Order[2][2][2][2][2][2][2] tree)"
        "Order(bytes32 account,uint256 instrument,int256 lots,uint256 price,uint256 maxFee,"
        "uint64 nonce,uint16 revision,uint40 expiry,uint40 exclusiveUntil,uint8 flags,"
        "address executor)"
    ),
    keccak256(
        "BulkOrders(Order[2][2][2][2][2][2][2][2] tree)"
        "Order(bytes32 account,uint256 instrument,int256 lots,uint256 price,uint256 maxFee,"
        "uint64 nonce,uint16 revision,uint40 expiry,uint40 exclusiveUntil,uint8 flags,"
        "address executor)"
    ),
]

# hash of a root and a signature -> whom it recovers to, as far as this transaction has seen
signers: transient(HashMap[bytes32, address])


@internal
def signer(words: uint256[4], root: bytes32, separator: bytes32) -> address:
    """
    @notice Who signed, by words 2 and 3, the tree of this root, as high as word 0 says; or the
            empty address.
    """
    height: uint256 = (words[0] >> HEIGHT) & M4
    if height > HEIGHT_MAX:
        return empty(address)
    signed: bytes32 = keccak256(abi_encode(root, words[2], words[3]))
    found: address = self.signers[signed]
    if found == empty(address):
        struct_hash: bytes32 = keccak256(abi_encode(TYPES[height - 1], root))
        digest: bytes32 = keccak256(concat(order.TYPED, separator, struct_hash))
        found = signature.recover(digest, words[2], words[3])
        self.signers[signed] = found
    return found


@internal
@view
def root(leaf: bytes32, word: uint256) -> bytes32:
    """
    @notice The root that a leaf and its siblings make, of no more than the highest tree's; reverts
            if they are not in the calldata.
    """
    node: bytes32 = leaf
    path: uint256 = word >> INDEX
    at: uint256 = len(msg.data) - ((word >> PROOF) & M10) * 32
    height: uint256 = min((word >> HEIGHT) & M4, HEIGHT_MAX)
    for i: uint256 in range(height, bound=HEIGHT_MAX):
        sibling: bytes32 = convert(slice(msg.data, at, 32), bytes32)
        if path & 1 == 0:
            node = keccak256(abi_encode(node, sibling))
        else:
            node = keccak256(abi_encode(sibling, node))
        path >>= 1
        at = unsafe_add(at, 32)  # at most the length of the calldata, or slice has reverted
    return node


@internal
@pure
def leaf(
    word: uint256, limits: uint256, account: bytes32, instrument: uint256, executor: address
) -> bytes32:
    """
    @notice The struct hash that order.digest makes before the domain comes in. Written out again:
            a function shared with it would cost every order that is signed alone.
    """
    lots: uint256 = word & order.M44
    if word & order.SELL != 0:
        lots = unsafe_sub(0, lots)  # two's complement of lots < 2**44
    named: address = executor
    if word & order.EXECUTOR_OPEN != 0:
        named = empty(address)
    return keccak256(
        abi_encode(
            order.ORDER_TYPE,
            account,
            instrument,
            lots,
            limits & order.M128,
            limits >> 128,
            (word >> order.NONCE) & order.M64,
            (word >> order.REVISION) & order.M16,
            (word >> order.EXPIRY) & order.M40,
            (word >> order.EXCLUSIVE_UNTIL) & order.M40,
            ((word >> 148) & 3) | ((word >> 245) & 4),
            named,
        )
    )
