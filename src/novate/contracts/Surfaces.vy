# pragma version 0.4.3
# pragma nonreentrancy on
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Surfaces: volatility surfaces and settlement prints by signed quorum (docs/SPEC.md §13)
@notice 2f+1 of the Oracle's 3f+1 nodes sign the slices of all active expiries of one underlying, so
        whoever posts them cannot choose among surfaces. An older round is ignored; a surface with
        an arbitrage in it, or one that jumps, is refused, whoever signed it. The same quorum signs,
        once, what an expiry settles at. Node set, quorum and staleness limit are the Oracle's.
        Twins: novate/model/surfaces.py, novate/model/settlement_prints.py.
@custom:kill Governance cannot stop surfaces or prints, only replace the Oracle's nodes. If no
    surface comes, the words grow old: the contracts that read this one judge their age. If no print
    comes, what has expired keeps its intrinsic value at the mark of the day until one does.
"""

from interfaces import INodes
from interfaces import ISurfaces
from lib import errors
from lib import signature
from snekmate.utils import eip712_domain_separator as eip712
import settlement_prints
import surface_slots

implements: ISurfaces
initializes: eip712
initializes: settlement_prints
initializes: surface_slots
exports: eip712.eip712Domain

event SurfacesPosted:
    underlying: indexed(uint256)
    round: indexed(uint256)
    timestamp: uint256
    generation: uint256
    slots: uint256
    digest: bytes32

event SurfacesIgnored:
    underlying: indexed(uint256)
    round: indexed(uint256)

SIGNATURES_MAX: constant(uint256) = 13
EXPIRIES_MAX: constant(uint256) = 16
UNDERLYINGS_MAX: constant(uint256) = 16

SURFACES_TYPE_HASH: constant(bytes32) = keccak256(
    "Surfaces(uint64 round,uint64 timestamp,uint256 underlying,uint256[] words)"
)
SETTLEMENT_TYPE_HASH: constant(bytes32) = keccak256(
    "Settlement(uint256 underlying,uint256 expiry,uint256 price)"
)

MASK_8: constant(uint256) = 2**8 - 1
MASK_16: constant(uint256) = 2**16 - 1
MASK_40: constant(uint256) = 2**40 - 1
MASK_64: constant(uint256) = 2**64 - 1
# [round 64 | timestamp 40 | generation 8 | count 8] of a status word is public.
STATUS_BITS: constant(uint256) = 120
# In the Oracle's status word.
STALE_AFTER_SHIFT: constant(uint256) = 144
NODE_COUNT_SHIFT: constant(uint256) = 200
QUORUM_SHIFT: constant(uint256) = 208

GOVERNOR: immutable(address)
ORACLE: immutable(INodes)

# Bit i: this transaction has posted a surface of underlying i.
_posted: transient(uint256)


@deploy
def __init__(governor: address, oracle: address):
    """@notice No underlying is registered until governance says so; the Oracle never changes."""
    eip712.__init__("Novate Surfaces", "1")
    GOVERNOR = governor
    ORACLE = INodes(oracle)


@external
def post_surfaces(
    round: uint64,
    timestamp: uint64,
    underlying: uint256,
    words: DynArray[uint256, EXPIRIES_MAX],
    nodes: uint256,
    signatures: DynArray[uint256[2], SIGNATURES_MAX],
) -> bool:
    """
    @notice Post one signed surface; anyone may. False if this round of the underlying or a later
        one is already here.
    @param words Packed slices (docs/SPEC.md §11) of all active expiries, ascending by expiry
    @param nodes The signing nodes' indices, one byte a signature, the first in the least
        significant byte, strictly ascending
    @param signatures (r, yParityAndS) over the EIP-712 digest of Surfaces(round, timestamp,
        underlying, words)
    """
    errors.require(underlying < UNDERLYINGS_MAX, errors.UnknownUnderlying)
    status: uint256 = surface_slots._statuses[underlying]
    errors.require(status & surface_slots.REGISTERED != 0, errors.UnknownUnderlying)
    number: uint256 = convert(round, uint256)
    time: uint256 = convert(timestamp, uint256)
    if number <= status & MASK_64:
        log SurfacesIgnored(underlying=underlying, round=number)
        return False

    settings: uint256 = staticcall ORACLE.status()
    errors.require(time <= block.timestamp, errors.FutureRound)
    # time <= block.timestamp
    age: uint256 = unsafe_sub(block.timestamp, time)
    fresh: bool = age <= (settings >> STALE_AFTER_SHIFT) & MASK_16
    errors.require(time > (status >> 64) & MASK_40 and fresh, errors.StaleRound)
    errors.require((self._posted >> underlying) & 1 == 0, errors.RoundAlreadyPosted)
    self._posted |= 1 << underlying

    digest: bytes32 = self._digest(round, timestamp, underlying, words)
    self._check_quorum(settings, digest, nodes, signatures)
    replaced: uint256 = surface_slots.replace(underlying, status, number, time, words)
    surface_slots._statuses[underlying] = replaced
    log SurfacesPosted(
        underlying=underlying,
        round=number,
        timestamp=time,
        generation=(replaced >> surface_slots.GENERATION_SHIFT) & MASK_8,
        slots=(replaced >> surface_slots.SLOTS_SHIFT) & MASK_64,
        digest=digest,
    )
    return True


@external
def post_settlement(
    underlying: uint256,
    expiry: uint256,
    price: uint256,
    nodes: uint256,
    signatures: DynArray[uint256[2], SIGNATURES_MAX],
) -> bool:
    """
    @notice Post what an expiry settles at, once it is reached; anyone may. False if it is printed
            already, whatever is posted.
    @param price Oracle units (1e8 wei a base unit)
    @param nodes As in `post_surfaces`
    @param signatures (r, yParityAndS) over the EIP-712 digest of Settlement(underlying, expiry,
        price)
    @custom:errors UnknownUnderlying, ExpiryNotReached, ZeroPrice, OutOfBounds, QuorumNotReached,
        DuplicateSigner, BadSignature
    """
    errors.require(self._is_registered(underlying), errors.UnknownUnderlying)
    if not settlement_prints.is_new(underlying, expiry, price):
        return False
    digest: bytes32 = eip712._hash_typed_data_v4(
        keccak256(abi_encode(SETTLEMENT_TYPE_HASH, underlying, expiry, price))
    )
    self._check_quorum(staticcall ORACLE.status(), digest, nodes, signatures)
    settlement_prints.keep(underlying, expiry, price)
    return True


@external
def register_underlying(underlying: uint256):
    """@notice Accept surfaces of `underlying` from now on; doing it twice changes nothing."""
    errors.require(msg.sender == GOVERNOR, errors.NotAuthorized)
    surface_slots.register(underlying)


@external
@view
@reentrant
def surface(underlying: uint256, slot: uint256) -> uint256:
    """@notice The word in a slot, 0 if it never held one. Errors: `OutOfBounds`."""
    errors.require(underlying < UNDERLYINGS_MAX and slot < EXPIRIES_MAX, errors.OutOfBounds)
    # both below 16
    return surface_slots._words[unsafe_add(unsafe_mul(underlying, EXPIRIES_MAX), slot)]


@external
@view
@reentrant
def surfaces(underlying: uint256) -> DynArray[uint256, EXPIRIES_MAX]:
    """@notice The words of the newest surface, nearest expiry first. Errors: `OutOfBounds`."""
    return surface_slots.newest(underlying)


@external
@view
@reentrant
def slot_of(underlying: uint256, expiry: uint256) -> uint256:
    """
    @notice The slot of an expiry of the newest surface. Errors: `OutOfBounds`, `MissingExpiry`.
    """
    return surface_slots.slot_of(underlying, expiry)


@external
@view
@reentrant
def status_of(underlying: uint256) -> uint256:
    """
    @notice [round 64 | timestamp 40 | generation 8 | count 8] of the newest surface; 0 before it.
        Errors: `OutOfBounds`.
    """
    return self._status(underlying)


@external
@view
@reentrant
def generation(underlying: uint256) -> uint256:
    """@notice Surfaces accepted so far, modulo 256. Errors: `OutOfBounds`."""
    return (self._status(underlying) >> surface_slots.GENERATION_SHIFT) & MASK_8


@external
@view
@reentrant
def settlement_price(underlying: uint256, expiry: uint256) -> uint256:
    """@notice What an expiry settles at, oracle units; 0: not printed yet."""
    return settlement_prints.price(underlying, expiry)


@external
@view
@reentrant
def is_registered(underlying: uint256) -> bool:
    """@notice Whether surfaces of `underlying` are accepted."""
    return self._is_registered(underlying)


@external
@view
@reentrant
def governor() -> address:
    """@notice Who may register underlyings."""
    return GOVERNOR


@external
@view
@reentrant
def oracle() -> address:
    """@notice Whose nodes sign, and whose staleness limit holds."""
    return ORACLE.address


@internal
@view
def _is_registered(underlying: uint256) -> bool:
    """@notice Whether surfaces and prints of `underlying` are accepted."""
    if underlying >= UNDERLYINGS_MAX:
        return False
    return surface_slots._statuses[underlying] & surface_slots.REGISTERED != 0


@internal
@view
def _status(underlying: uint256) -> uint256:
    """@notice The public fields of a status word."""
    errors.require(underlying < UNDERLYINGS_MAX, errors.OutOfBounds)
    return surface_slots._statuses[underlying] & ((1 << STATUS_BITS) - 1)


@internal
@view
def _digest(
    round: uint64, timestamp: uint64, underlying: uint256, words: DynArray[uint256, EXPIRIES_MAX]
) -> bytes32:
    """
    @notice EIP-712 digest; a uint256[] hashes as its words joined (abi_encode without offset and
        length).
    """
    joined: bytes32 = keccak256(slice(abi_encode(words), 64, 32 * len(words)))
    return eip712._hash_typed_data_v4(
        keccak256(abi_encode(SURFACES_TYPE_HASH, round, timestamp, underlying, joined))
    )


@internal
@view
def _check_quorum(
    settings: uint256,
    digest: bytes32,
    nodes: uint256,
    signatures: DynArray[uint256[2], SIGNATURES_MAX],
):
    """
    @notice At least a quorum of distinct nodes of the Oracle signed `digest`. `settings` is the
        Oracle's status word; before its first node set none passes.
    """
    count: uint256 = (settings >> NODE_COUNT_SHIFT) & MASK_8
    quorum: uint256 = settings >> QUORUM_SHIFT
    errors.require(quorum > 0 and len(signatures) >= quorum, errors.QuorumNotReached)
    indices: uint256 = nodes
    next: uint256 = 0  # the least index the next signature may name
    for item: uint256[2] in signatures:
        index: uint256 = indices & MASK_8
        indices = indices >> 8
        if index < next:
            errors.require(False, errors.DuplicateSigner)
        next = unsafe_add(index, 1)  # 8 bits
        if index >= count:
            errors.require(False, errors.BadSignature)
        # the Oracle's nodes are never empty, so a failed recovery matches none
        if signature.recover(digest, item[0], item[1]) != staticcall ORACLE.nodes(index):
            errors.require(False, errors.BadSignature)
