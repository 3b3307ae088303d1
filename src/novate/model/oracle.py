"""Prices by signed quorum: feed words, the clamp to the move bound, the running average, round
acceptance.

Owns: the layout of feed, status and observation words. Units: prices in 1e8 wei (1e-10 USD),
confidence and bounds in ppm, time in seconds. Rounding: the move bound down (a price moves less,
never more), the widened confidence up, the average's step toward zero. Signatures are recovered
outside (they depend on chain and contract); this twin judges who signed. Source: docs/SPEC.md §3.
Twin: ``contracts/Oracle.vy``, ``contracts/oracle_feed.vy``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from novate import errors, limits
from novate.errors import require
from novate.model import packed
from novate.model.governance import bounded
from novate.model.store import Store
from novate.units import PPM, clamp, div_down, div_up, div_zero, ppm_down

if TYPE_CHECKING:
    from novate.model.state import World

STALE_AFTER_BOUNDS_S = (10, 600)
RESTART_GRACE_BOUNDS_S = (30, 3600)
MOVE_BOUND_BOUNDS_PPM = (1_000, 200_000)
MASK_24 = 2**24 - 1
MASK_56 = 2**56 - 1

STATUS_BITS = (
    ("round", 64),
    ("timestamp", 40),
    ("restarted_at", 40),
    ("stale_after", 16),
    ("restart_grace", 16),
    ("move_bound_ppm", 24),
    ("node_count", 8),
    ("quorum", 8),
)
FEED_BITS = (
    ("index", 56),
    ("mark", 56),
    ("average", 56),
    ("confidence_ppm", 24),
    ("timestamp", 32),
    ("resumed_at", 32),
)
OBSERVATION_BITS = (("index", 56), ("mark", 56), ("confidence_ppm", 24), ("feed", 8))


@dataclass(frozen=True, slots=True)
class Feed:
    """One feed's prices; all zero before the first.

    ``resumed_at`` is when it came back after its last outage (longer than stale_after); 0: never.
    """

    index: int = 0
    mark: int = 0
    average: int = 0
    confidence_ppm: int = 0
    timestamp: int = 0
    resumed_at: int = 0

    def pack(self) -> int:
        """The feed word."""
        return packed.pack(self, FEED_BITS)

    @staticmethod
    def unpack(word: int) -> Feed:
        """Read the feed word."""
        return Feed(**packed.unpack(word, FEED_BITS))


@dataclass(frozen=True, slots=True)
class Status:
    """The last accepted round and the oracle's settings; the defaults are the constructor's."""

    round: int = 0
    timestamp: int = 0
    restarted_at: int = 0
    stale_after: int = 60
    restart_grace: int = 120
    move_bound_ppm: int = 50_000
    node_count: int = 0
    quorum: int = 0

    def pack(self) -> int:
        """The status word."""
        return packed.pack(self, STATUS_BITS)

    @staticmethod
    def unpack(word: int) -> Status:
        """Read the status word."""
        return Status(**packed.unpack(word, STATUS_BITS))


@dataclass(frozen=True, slots=True)
class Observation:
    """One feed's prices as a round carries them."""

    feed: int
    index: int
    mark: int
    confidence_ppm: int = 0

    def pack(self) -> int:
        """The observation word; a price beyond 56 bits cannot be expressed."""
        return packed.pack(self, OBSERVATION_BITS)

    @staticmethod
    def unpack(word: int) -> Observation:
        """Read an observation word.

        Bits above the feed's eight stay in ``feed`` and so make it an unknown one.
        """
        fields = packed.unpack(word, OBSERVATION_BITS)
        return Observation(word >> 136, fields["index"], fields["mark"], fields["confidence_ppm"])


class OracleState:
    """Tables of the oracle; single rows stand under key 0."""

    def __init__(self, store: Store) -> None:
        self.statuses = store.table("oracle.status", Status())
        self.feeds = store.table("oracle.feeds", Feed())
        self.registered = store.table("oracle.registered", False)
        self.nodes = store.table("oracle.nodes", "")


@dataclass(frozen=True, slots=True)
class NodeSignature:
    """Which node is said to have signed, and who the signature recovers to (None: nobody)."""

    index: int
    signer: str | None


def status(world: World) -> Status:
    """The oracle's status."""
    return world.oracle.statuses[0]


def feed(world: World, id: int) -> Feed:
    """The prices of feed ``id``; all zero before its first."""
    return world.oracle.feeds[id]


def quorum_of(node_count: int) -> int:
    """2f+1 of 3f+1 nodes."""
    return 2 * div_down(node_count - 1, 3) + 1


def post_round(
    world: World,
    round: int,
    timestamp: int,
    observations: Sequence[int],
    nodes: Sequence[NodeSignature],
    already_posted: bool = False,
) -> bool:
    """Accept a signed round of observation words; False when it or a later one is already here.

    ``already_posted`` says that the same transaction has accepted a round before. Errors, in order:
    FutureRound, StaleRound, RoundAlreadyPosted, QuorumNotReached, then by signature
    DuplicateSigner, BadSignature, then by observation FeedsNotAscending, ZeroPrice, UnknownFeed.
    """
    assert len(observations) <= limits.OBSERVATIONS_PER_ROUND_MAX
    assert len(nodes) <= limits.SIGNATURES_PER_ROUND_MAX
    stored = status(world)
    if round <= stored.round:
        world.emit("RoundIgnored", round=round)
        return False
    require(timestamp <= world.now, errors.FutureRound)
    fresh = timestamp > stored.timestamp and world.now - timestamp <= stored.stale_after
    require(fresh, errors.StaleRound)
    require(not already_posted, errors.RoundAlreadyPosted)
    check_quorum(world, nodes)
    _store_feeds(world, observations, timestamp, stored)
    resumed = stored.timestamp == 0 or timestamp - stored.timestamp > stored.stale_after
    restarted_at = timestamp if resumed else stored.restarted_at
    world.oracle.statuses[0] = replace(
        stored, round=round, timestamp=timestamp, restarted_at=restarted_at
    )
    world.emit("RoundPosted", round=round, timestamp=timestamp)
    return True


def check_quorum(world: World, nodes: Sequence[NodeSignature]) -> None:
    """At least a quorum of distinct nodes signed.

    Errors, in order: QuorumNotReached, then by signature DuplicateSigner, BadSignature.
    """
    stored = status(world)
    enough = stored.quorum > 0 and len(nodes) >= stored.quorum
    require(enough, errors.QuorumNotReached)
    following = 0
    for item in nodes:
        require(item.index >= following, errors.DuplicateSigner)
        following = item.index + 1
        require(item.index < stored.node_count, errors.BadSignature)
        known = item.signer is not None and item.signer == world.oracle.nodes[item.index]
        require(known, errors.BadSignature)


def _store_feeds(
    world: World, observations: Sequence[int], timestamp: int, settings: Status
) -> None:
    following = 0
    for word in observations:
        seen = Observation.unpack(word)
        require(seen.feed >= following, errors.FeedsNotAscending)
        following = seen.feed + 1
        require(seen.index > 0 and seen.mark > 0, errors.ZeroPrice)
        require(world.oracle.registered[seen.feed], errors.UnknownFeed)
        last = world.oracle.feeds[seen.feed]
        moved = advance(last, seen, timestamp, settings)
        for is_mark, raw, stored in (
            (False, seen.index, moved.index),
            (True, seen.mark, moved.mark),
        ):
            if raw != stored:
                world.emit("PriceClamped", feed=seen.feed, is_mark=is_mark, raw=raw, clamped=stored)
        world.oracle.feeds[seen.feed] = moved


def advance(last: Feed, seen: Observation, timestamp: int, settings: Status) -> Feed:
    """The next row of a feed: prices held to the move bound, confidence widened by what was cut."""
    if last == Feed():
        return Feed(seen.index, seen.mark, seen.mark, seen.confidence_ppm, timestamp)
    index = bounded_move(last.index, seen.index, settings.move_bound_ppm)
    mark = bounded_move(last.mark, seen.mark, settings.move_bound_ppm)
    reach_index = div_up(abs(seen.index - index) * PPM, index)
    reach_mark = div_up(abs(seen.mark - mark) * PPM, mark)
    confidence = max(seen.confidence_ppm, min(max(reach_index, reach_mark), MASK_24))
    silent = timestamp - last.timestamp
    elapsed = min(silent, limits.AVERAGE_WINDOW_S)
    step = div_zero((mark - last.average) * elapsed, limits.AVERAGE_WINDOW_S)
    resumed_at = timestamp if silent > settings.stale_after else last.resumed_at
    return Feed(index, mark, last.average + step, confidence, timestamp, resumed_at)


def bounded_move(last: int, raw: int, move_bound_ppm: int) -> int:
    """``raw`` held within ``last`` ± the bound, which is rounded down."""
    bound = ppm_down(last, move_bound_ppm)
    return clamp(raw, last - bound, last + bound)


def set_nodes(world: World, caller: str, nodes: Sequence[str]) -> None:
    """Replace the node set: 3f+1 distinct addresses, 4 to 19.

    Errors: NotAuthorized, OutOfBounds, DuplicateSigner.
    """
    _only_governor(world, caller)
    count = len(nodes)
    assert count <= limits.ORACLE_NODES_MAX
    require(count >= 4 and count % 3 == 1, errors.OutOfBounds)
    table = world.oracle.nodes
    lowered = [node.lower() for node in nodes]
    for index, node in enumerate(lowered):
        require(int(node, 16) != 0, errors.OutOfBounds)
        require(node not in lowered[:index], errors.DuplicateSigner)
        table[index] = node
    for index in range(count, limits.ORACLE_NODES_MAX):
        table[index] = ""
    world.oracle.statuses[0] = replace(status(world), node_count=count, quorum=quorum_of(count))
    world.emit("NodesSet", nodes=tuple(lowered), quorum=quorum_of(count))


def register_feed(world: World, caller: str, id: int) -> None:
    """Accept prices for feed ``id`` from now on. Errors: NotAuthorized, OutOfBounds."""
    _only_governor(world, caller)
    bounded(id, 0, limits.FEEDS_MAX - 1)
    world.oracle.registered[id] = True
    world.emit("FeedRegistered", feed=id)


def set_limits(
    world: World, caller: str, stale_after: int, restart_grace: int, move_bound_ppm: int
) -> None:
    """Set all three limits within their compiled-in bounds. Errors: NotAuthorized, OutOfBounds."""
    _only_governor(world, caller)
    changed = replace(
        status(world),
        stale_after=bounded(stale_after, *STALE_AFTER_BOUNDS_S),
        restart_grace=bounded(restart_grace, *RESTART_GRACE_BOUNDS_S),
        move_bound_ppm=bounded(move_bound_ppm, *MOVE_BOUND_BOUNDS_PPM),
    )
    world.oracle.statuses[0] = changed
    world.emit(
        "LimitsSet",
        stale_after=stale_after,
        restart_grace=restart_grace,
        move_bound_ppm=move_bound_ppm,
    )


def _only_governor(world: World, caller: str) -> None:
    require(caller == world.addresses.get("timelock"), errors.NotAuthorized)
