"""An oracle node's duty to the volatility surface: propose one as leader, judge one before signing.

A proposal carries the surface that the leader's quotes show (the target) and the words to be
posted. A node signs only if the target agrees with its own quotes within a tolerance, and if the
words are exactly the step from the accepted surface, which the node reads itself, towards that
target (``step``). So the leader chooses within the tolerance of each signer and nothing else, and
what one round may stray does not add up over rounds. A round's number is its timestamp, so a
leader cannot burn the numbers to come; a node signs one surface an underlying and round. Time in
seconds and always an argument; tolerance in volatility points. Source: docs/SPEC.md §13.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from coincurve import PrivateKey

from novate import errors
from novate.errors import Rejected, require
from novate.model.oracle import quorum_of
from novate.model.surface import pack, unpack
from novate.model.surfaces import EXPIRIES_MAX
from novate.risk.quotes import Quotes
from novate.risk.surface import Fitted, agrees, approach, fitted
from novate.wire.eip712 import address_of, sign
from novate.wire.surfaces import Signature, SignedSurfaces, surfaces_digest


@dataclass(frozen=True, slots=True)
class SurfaceNetwork:
    """What all nodes agree on: signing domain, addresses in contract order, limits."""

    domain: bytes
    nodes: tuple[str, ...]
    tolerance_points: float = 2.0
    surface_age_s_max: int = 30

    @property
    def quorum(self) -> int:
        """2f+1."""
        return quorum_of(len(self.nodes))


@dataclass(frozen=True, slots=True)
class SurfaceProposal:
    """The leader's surface: what its quotes show, and the step there that is to be posted."""

    timestamp: int
    underlying: int
    target: tuple[int, ...]
    words: tuple[int, ...]


def step(stored: Sequence[int], target: Sequence[int], timestamp: int) -> tuple[int, ...]:
    """The one surface that follows from the accepted one and a target, seen at ``timestamp``.

    It is the furthest that gate and rate limit allow on the way to the target. An active expiry
    that the target lacks goes on as it was, aged. New ones join nearest first while there are slots
    for them; if they do not fit the others yet, they wait. Raises the last rejection when no step
    passes.
    """
    active = {s.expiry: word for word in stored if (s := unpack(word)).expiry > timestamp}
    wanted = {unpack(word).expiry: word for word in target}
    new = sorted(wanted.keys() - active.keys())[: EXPIRIES_MAX - len(active)]
    for expiry, word in active.items():
        wanted.setdefault(expiry, aged(word, timestamp))
    whole = [wanted[expiry] for expiry in sorted([*active, *new])]
    try:
        return approach(list(active.values()), whole)
    except Rejected:
        if not (active and new):
            raise
    return approach(list(active.values()), [wanted[expiry] for expiry in sorted(active)])


def aged(word: int, timestamp: int) -> int:
    """The same volatilities seen later: theta and psi times what is left of the tenor (down)."""
    old = unpack(word)
    left = old.expiry - timestamp
    theta, psi = old.theta * left // old.tenor, old.psi * left // old.tenor
    return pack(replace(old, theta=theta, psi=psi, timestamp=timestamp))


@dataclass
class SurfaceNode:
    """One node: its key, its place in the network, its quotes, what it fits to them and what it has
    signed.

    ``signed`` (the last timestamp and digest by underlying) must outlive the process.
    """

    key: PrivateKey
    network: SurfaceNetwork
    signed: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    quotes: dict[int, tuple[Quotes, ...]] = field(default_factory=dict)
    fits: dict[int, Fitted] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.index = self.network.nodes.index(address_of(self.key.public_key))

    def observe(
        self, quotes: Mapping[int, Sequence[Quotes]], fits: Mapping[int, Fitted] | None = None
    ) -> None:
        """Replace what the node sees, by underlying; one whose venue is silent is left out.

        ``fits`` are those of these quotes that are made already.
        """
        self.quotes = {underlying: tuple(each) for underlying, each in quotes.items()}
        self.fits = dict(fits or {})

    def own(self, underlying: int) -> Fitted:
        """The surface that this node's quotes show, fitted once. Errors: QuotesTooFew."""
        found = self.fits.get(underlying)
        if found is None:
            found = self.fits[underlying] = fitted(self.quotes.get(underlying, ()))
        return found

    def propose(self, underlying: int, stored: Sequence[int]) -> SurfaceProposal:
        """As leader: the step from the accepted surface towards what the own quotes show.

        Errors: QuotesTooFew, as ``step``.
        """
        target = self.own(underlying).words
        timestamp = unpack(target[0]).timestamp
        return SurfaceProposal(timestamp, underlying, target, step(stored, target, timestamp))

    def sign(
        self, proposal: SurfaceProposal, stored: Sequence[int], now: int
    ) -> tuple[int, Signature]:
        """Sign an honest proposal, one surface an underlying and round.

        ``stored`` is the accepted surface as this node reads it. Errors: as ``judge``,
        RoundAlreadySigned.
        """
        self.judge(proposal, stored, now)
        underlying, time = proposal.underlying, proposal.timestamp
        digest = surfaces_digest(self.network.domain, time, time, underlying, proposal.words)
        last = self.signed.get(underlying, (0, b""))
        require(time > last[0] or (time, digest) == last, errors.RoundAlreadySigned)
        self.signed[underlying] = (time, digest)
        return self.index, sign(self.key, digest)

    def judge(self, proposal: SurfaceProposal, stored: Sequence[int], now: int) -> None:
        """Refuse a target that is not what this node sees, or words that do not follow from it.

        Errors: FutureRound, StaleRound, SurfaceNotHonest, what ``agrees`` and ``step`` raise,
        ExpiryPassed.
        """
        timestamp, target = proposal.timestamp, proposal.target
        require(timestamp <= now, errors.FutureRound)
        require(now - timestamp <= self.network.surface_age_s_max, errors.StaleRound)
        seen = bool(self.quotes.get(proposal.underlying))
        require(seen, errors.SurfaceNotHonest, "no quotes of the underlying")
        in_time = all(unpack(word).timestamp == timestamp for word in target)
        require(bool(target) and in_time, errors.SurfaceNotHonest, "empty, or of another time")
        agrees(target, self.own(proposal.underlying), self.network.tolerance_points)
        follows = proposal.words == step(stored, target, timestamp)
        require(follows, errors.SurfaceNotHonest, "the words do not follow from the target")
        in_future = all(unpack(word).expiry > now for word in proposal.words)
        require(in_future, errors.ExpiryPassed)


def joint_surface(
    leader: SurfaceNode,
    nodes: Sequence[SurfaceNode],
    underlying: int,
    stored: Sequence[int],
    now: int,
) -> SignedSurfaces:
    """One surface among nodes in this process; nodes that refuse are passed over.

    Carries exactly 2f+1 signatures, the lowest indices first. Errors: as ``propose``,
    QuorumNotReached.
    """
    proposal = leader.propose(underlying, stored)
    signatures: dict[int, Signature] = {}
    for node in nodes:
        try:
            index, signature = node.sign(proposal, stored, now)
        except Rejected:
            continue
        signatures[index] = signature
    quorum = leader.network.quorum
    require(len(signatures) >= quorum, errors.QuorumNotReached)
    chosen = tuple(sorted(signatures.items()))[:quorum]
    time = proposal.timestamp
    return SignedSurfaces(time, time, underlying, proposal.words, chosen)
