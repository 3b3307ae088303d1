# pragma version 0.4.3
# pragma nonreentrancy on
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Oracle: index and mark prices by signed quorum (docs/SPEC.md §3)
@notice 2f+1 of 3f+1 nodes sign one vector of prices a round, so whoever posts it cannot choose
        among prices. An older round is ignored; a price beyond the move bound is clamped to it and
        its confidence widened, so that a real gap is followed in steps and a false one cannot move
        the venue at once. Twin: novate/model/oracle.py.
@custom:kill Governance cannot stop rounds, only replace the nodes. If no round comes, prices go
    stale: increases and withdrawals are then refused by the contracts that read this one;
    reductions go on.
"""

from interfaces import IOracle
from lib import errors
from lib import signature
from snekmate.utils import eip712_domain_separator as eip712
import oracle_feed

implements: IOracle
initializes: eip712
initializes: oracle_feed
exports: eip712.eip712Domain

event RoundPosted:
    round: indexed(uint256)
    timestamp: uint256
    digest: bytes32

event RoundIgnored:
    round: indexed(uint256)

event NodesSet:
    nodes: DynArray[address, NODES_MAX]
    quorum: uint256

event LimitsSet:
    stale_after: uint256
    restart_grace: uint256
    move_bound_ppm: uint256

NODES_MAX: constant(uint256) = 19
SIGNATURES_MAX: constant(uint256) = 13
OBSERVATIONS_MAX: constant(uint256) = 32

STALE_AFTER_MIN: constant(uint256) = 10
STALE_AFTER_MAX: constant(uint256) = 600
RESTART_GRACE_MIN: constant(uint256) = 30
RESTART_GRACE_MAX: constant(uint256) = 3600
MOVE_BOUND_PPM_MIN: constant(uint256) = 1_000
MOVE_BOUND_PPM_MAX: constant(uint256) = 200_000

ROUND_TYPE_HASH: constant(bytes32) = keccak256(
    "Round(uint64 round,uint64 timestamp,uint256[] observations)"
)

MASK_8: constant(uint256) = 2**8 - 1
MASK_16: constant(uint256) = 2**16 - 1
MASK_24: constant(uint256) = 2**24 - 1
MASK_40: constant(uint256) = 2**40 - 1
MASK_64: constant(uint256) = 2**64 - 1
# Status fields above `restarted_at`: limits, node count, quorum.
SETTINGS_SHIFT: constant(uint256) = 144
LIMITS_BITS: constant(uint256) = 56

GOVERNOR: immutable(address)

# [round 64 | timestamp 40 | restarted_at 40 | stale_after 16 | restart_grace 16 |
#  move_bound_ppm 24 | node_count 8 | quorum 8]
_status: uint256
# Entries at and above node_count are former nodes and count for nothing.
_nodes: address[NODES_MAX]
_posted: transient(bool)


@deploy
def __init__(governor: address):
    """
    @notice No node, no feed; stale after 60 s, grace 120 s, move bound 5 % until governance says
        otherwise.
    """
    eip712.__init__("Novate Oracle", "1")
    GOVERNOR = governor
    self._store_limits(60, 120, 50_000)


# No call leaves this function, so it needs no lock.
@external
@reentrant
def post_round(
    round: uint64,
    timestamp: uint64,
    observations: DynArray[uint256, OBSERVATIONS_MAX],
    nodes: uint256,
    signatures: DynArray[uint256[2], SIGNATURES_MAX],
) -> bool:
    """
    @notice Post one signed round; anyone may. False if this round or a later one is already here.
    @param observations [index 56 | mark 56 | confidence_ppm 24 | feed 8] each, feeds strictly
        ascending
    @param nodes The signing nodes' indices, one byte a signature, the first in the least
        significant byte, strictly ascending
    @param signatures (r, yParityAndS) over the EIP-712 digest of Round(round, timestamp,
        observations)
    """
    status: uint256 = self._status
    number: uint256 = convert(round, uint256)
    time: uint256 = convert(timestamp, uint256)
    if number <= status & MASK_64:
        log RoundIgnored(round=number)
        return False

    stored: uint256 = (status >> 64) & MASK_40
    stale_after: uint256 = (status >> 144) & MASK_16
    errors.require(time <= block.timestamp, errors.FutureRound)
    # time <= block.timestamp
    fresh: bool = unsafe_sub(block.timestamp, time) <= stale_after
    errors.require(time > stored and fresh, errors.StaleRound)
    errors.require(not self._posted, errors.RoundAlreadyPosted)
    self._posted = True

    digest: bytes32 = self._digest(round, timestamp, observations)
    self._check_quorum(status >> 200, digest, nodes, signatures)
    oracle_feed.store(observations, time, stale_after, (status >> 176) & MASK_24)

    restarted_at: uint256 = (status >> 104) & MASK_40
    # time > stored
    if stored == 0 or unsafe_sub(time, stored) > stale_after:
        restarted_at = time
    self._status = (
        ((status >> SETTINGS_SHIFT) << SETTINGS_SHIFT)
        | number
        | (time << 64)
        | (restarted_at << 104)
    )
    log RoundPosted(round=number, timestamp=time, digest=digest)
    return True


@external
def set_nodes(nodes: DynArray[address, NODES_MAX]):
    """
    @notice Replace the node set: 3f+1 distinct addresses, 4 to 19, of which 2f+1 make a quorum.
    """
    self._only_governor()
    count: uint256 = len(nodes)
    errors.require(count >= 4 and count % 3 == 1, errors.OutOfBounds)
    for i: uint256 in range(count, bound=NODES_MAX):
        errors.require(nodes[i] != empty(address), errors.OutOfBounds)
        for j: uint256 in range(i, bound=NODES_MAX):
            errors.require(nodes[i] != nodes[j], errors.DuplicateSigner)
        self._nodes[i] = nodes[i]
    quorum: uint256 = 2 * (count // 3) + 1
    self._status = (self._status & (2**200 - 1)) | (count << 200) | (quorum << 208)
    log NodesSet(nodes=nodes, quorum=quorum)


@external
def register_feed(feed: uint256):
    """@notice Accept prices for `feed` from now on; doing it twice changes nothing."""
    self._only_governor()
    oracle_feed.register(feed)


@external
def set_limits(stale_after: uint256, restart_grace: uint256, move_bound_ppm: uint256):
    """
    @notice Set all three limits (seconds, seconds, ppm a round) within their compiled-in bounds.
    """
    self._only_governor()
    errors.require(
        STALE_AFTER_MIN <= stale_after and stale_after <= STALE_AFTER_MAX, errors.OutOfBounds
    )
    errors.require(
        RESTART_GRACE_MIN <= restart_grace and restart_grace <= RESTART_GRACE_MAX,
        errors.OutOfBounds,
    )
    errors.require(
        MOVE_BOUND_PPM_MIN <= move_bound_ppm and move_bound_ppm <= MOVE_BOUND_PPM_MAX,
        errors.OutOfBounds,
    )
    self._store_limits(stale_after, restart_grace, move_bound_ppm)


@external
@view
@reentrant
def status() -> uint256:
    """@notice The status word."""
    return self._status


@external
@view
@reentrant
def feed(id: uint256) -> uint256:
    """@notice The feed word; 0 before its first price."""
    return oracle_feed._words[id]


@external
@view
@reentrant
def nodes(index: uint256) -> address:
    """@notice The node at `index`, empty at and above the node count."""
    if index >= (self._status >> 200) & MASK_8:
        return empty(address)
    return self._nodes[index]


@external
@view
@reentrant
def is_registered(feed: uint256) -> bool:
    """@notice Whether rounds may carry `feed`."""
    return (oracle_feed._registered >> feed) & 1 == 1


@external
@view
@reentrant
def governor() -> address:
    """@notice Who may change nodes, feeds and limits."""
    return GOVERNOR


@internal
@view
def _only_governor():
    errors.require(msg.sender == GOVERNOR, errors.NotAuthorized)


@internal
@view
def _digest(
    round: uint64, timestamp: uint64, observations: DynArray[uint256, OBSERVATIONS_MAX]
) -> bytes32:
    """
    @notice EIP-712 digest; a uint256[] hashes as its words joined (abi_encode without offset and
        length).
    """
    words: bytes32 = keccak256(slice(abi_encode(observations), 64, 32 * len(observations)))
    return eip712._hash_typed_data_v4(
        keccak256(abi_encode(ROUND_TYPE_HASH, round, timestamp, words))
    )


@internal
@view
def _check_quorum(
    quorum_and_count: uint256,
    digest: bytes32,
    nodes: uint256,
    signatures: DynArray[uint256[2], SIGNATURES_MAX],
):
    """
    @notice At least `quorum` distinct nodes signed `digest`. Before the first node set the quorum
        is 0: none passes.
    """
    count: uint256 = quorum_and_count & MASK_8
    quorum: uint256 = quorum_and_count >> 8
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
        # stored nodes are never empty, so a failed recovery matches none
        if signature.recover(digest, item[0], item[1]) != self._nodes[index]:
            errors.require(False, errors.BadSignature)


@internal
def _store_limits(stale_after: uint256, restart_grace: uint256, move_bound_ppm: uint256):
    """
    @notice Put the limits into bits 144 to 199 of the status word; each fits its field by its
        bound.
    """
    kept: uint256 = self._status & ~(((1 << LIMITS_BITS) - 1) << SETTINGS_SHIFT)
    limits: uint256 = stale_after | (restart_grace << 16) | (move_bound_ppm << 32)
    self._status = kept | (limits << SETTINGS_SHIFT)
    log LimitsSet(
        stale_after=stale_after, restart_grace=restart_grace, move_bound_ppm=move_bound_ppm
    )
