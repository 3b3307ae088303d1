"""An oracle node and the joint round of the quorum.

A round has two steps. Each node signs its own observation; the leader then takes medians of at
least 2f+1 of them, and every node that finds the result honest signs that one vector. The leader
chooses which observations it collects and nothing else: it cannot invent one (they are signed) nor
change the result (every signer computes it again). A node signs one observation and one vector a
round. Prices in oracle units (1e8 wei), rates in ppm, time in seconds and always an argument.

Joint price: lower median of index and of mark, each on its own, over at least 2f+1 observations of
the feed; with at most f liars it lies between two honest prices. Joint confidence: the largest
deviation from the median, rounded up, among all but the f farthest observations, so that f liars
cannot widen it beyond what honest nodes differ by, and never below a floor. Source: DESIGN.md §4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from coincurve import PrivateKey

from novate import errors, limits
from novate.errors import Rejected, require
from novate.model.oracle import MASK_24, MASK_56, Observation, quorum_of
from novate.units import PPM, div_up
from novate.wire.round import (
    Signature,
    SignedRound,
    address_of,
    observation_digest,
    recover,
    round_digest,
    sign,
)


@dataclass(frozen=True, slots=True)
class NodePrice:
    """What one node sees of a feed."""

    index: int
    mark: int


@dataclass(frozen=True, slots=True)
class Network:
    """What all nodes of one oracle agree on: signing domain, addresses in contract order, rates."""

    domain: bytes
    nodes: tuple[str, ...]
    confidence_floor_ppm: int = 100
    tolerance_ppm: int = 10_000
    round_age_s_max: int = 30

    @property
    def quorum(self) -> int:
        """2f+1."""
        return quorum_of(len(self.nodes))

    @property
    def faulty(self) -> int:
        """f: how many nodes may lie or be silent."""
        return (len(self.nodes) - 1) // 3


@dataclass(frozen=True, slots=True)
class SignedObservation:
    """One node's prices for one round; confidence is zero, it belongs to the joint vector."""

    node: int
    round: int
    timestamp: int
    words: tuple[int, ...]
    signature: Signature


@dataclass(frozen=True, slots=True)
class Proposal:
    """The leader's vector and the observations it follows from."""

    round: int
    timestamp: int
    words: tuple[int, ...]
    observations: tuple[SignedObservation, ...]


@dataclass(slots=True)
class SigningMemory:
    """The last round a node signed an observation and a vector for; must outlive the process."""

    observed: tuple[int, bytes] = (0, b"")
    signed: tuple[int, bytes] = (0, b"")


def joint_vector(network: Network, observations: Sequence[SignedObservation]) -> tuple[int, ...]:
    """The one vector that follows from a set of observations.

    Feeds ascending; those with fewer than 2f+1 prices are left out.
    """
    seen: dict[int, list[NodePrice]] = {}
    for item in observations:
        for word in item.words:
            price = Observation.unpack(word)
            seen.setdefault(price.feed, []).append(NodePrice(price.index, price.mark))
    vector = [
        _joint(network, feed, prices).pack()
        for feed, prices in sorted(seen.items())
        if len(prices) >= network.quorum
    ]
    return tuple(vector[: limits.OBSERVATIONS_PER_ROUND_MAX])


def _joint(network: Network, feed: int, prices: Sequence[NodePrice]) -> Observation:
    index = lower_median([price.index for price in prices])
    mark = lower_median([price.mark for price in prices])
    deviations = sorted(
        max(deviation_ppm(price.index, index), deviation_ppm(price.mark, mark)) for price in prices
    )
    included = deviations[: len(deviations) - network.faulty]
    confidence = min(max(network.confidence_floor_ppm, included[-1]), MASK_24)
    return Observation(feed, index, mark, confidence)


def lower_median(values: Sequence[int]) -> int:
    """The middle value; of an even count the lower one, so that it is always somebody's price."""
    return sorted(values)[(len(values) - 1) // 2]


def deviation_ppm(price: int, reference: int) -> int:
    """Relative distance of a price from a reference, rounded up."""
    return div_up(abs(price - reference) * PPM, reference)


def check_observations(
    network: Network, round: int, timestamp: int, observations: Sequence[SignedObservation]
) -> None:
    """At least 2f+1 distinct nodes signed well-formed observations for this very round.

    Errors: QuorumNotReached, DuplicateSigner, then as ``check_observation``.
    """
    require(len(observations) >= network.quorum, errors.QuorumNotReached)
    nodes = [item.node for item in observations]
    require(len(set(nodes)) == len(nodes), errors.DuplicateSigner)
    for item in observations:
        check_observation(network, round, timestamp, item)


def check_observation(
    network: Network, round: int, timestamp: int, item: SignedObservation
) -> None:
    """One node signed this for this very round. Errors: StaleRound, BadSignature, check_words's."""
    require((item.round, item.timestamp) == (round, timestamp), errors.StaleRound)
    require(0 <= item.node < len(network.nodes), errors.BadSignature)
    digest = observation_digest(network.domain, round, timestamp, item.words)
    signer = recover(digest, *item.signature)
    require(signer == network.nodes[item.node], errors.BadSignature)
    check_words(item.words)


def usable_observations(
    network: Network, round: int, timestamp: int, observations: Sequence[SignedObservation]
) -> list[SignedObservation]:
    """What a leader may build on: the first good observation of each node, bad ones dropped."""
    usable: dict[int, SignedObservation] = {}
    for item in observations:
        try:
            check_observation(network, round, timestamp, item)
        except Rejected:
            continue
        usable.setdefault(item.node, item)
    return [usable[node] for node in sorted(usable)]


def check_words(words: Sequence[int]) -> None:
    """Feeds strictly ascending and known by form, prices positive.

    Errors: TooManyItems, FeedsNotAscending, UnknownFeed, ZeroPrice.
    """
    require(len(words) <= limits.OBSERVATIONS_PER_ROUND_MAX, errors.TooManyItems)
    following = 0
    for word in words:
        price = Observation.unpack(word)
        require(price.feed >= following, errors.FeedsNotAscending)
        require(price.feed < limits.FEEDS_MAX, errors.UnknownFeed)
        require(price.index > 0 and price.mark > 0, errors.ZeroPrice)
        following = price.feed + 1


@dataclass
class OracleNode:
    """One node: its key, its place in the network, what it sees, and what it has signed."""

    key: PrivateKey
    network: Network
    memory: SigningMemory = field(default_factory=SigningMemory)
    prices: dict[int, NodePrice] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.index = self.network.nodes.index(address_of(self.key.public_key))

    def observe(self, prices: Mapping[int, NodePrice]) -> None:
        """Replace what the node sees; a feed whose venue is silent is left out.

        Errors: ZeroPrice, OutOfBounds.
        """
        for feed, price in prices.items():
            require(price.index > 0 and price.mark > 0, errors.ZeroPrice)
            fits = price.index <= MASK_56 and price.mark <= MASK_56
            require(fits and 0 <= feed < limits.FEEDS_MAX, errors.OutOfBounds)
        require(len(prices) <= limits.OBSERVATIONS_PER_ROUND_MAX, errors.OutOfBounds)
        self.prices = dict(prices)

    def observation(self, round: int, timestamp: int, now: int) -> SignedObservation:
        """Sign what the node sees, once a round.

        Errors: FutureRound, StaleRound, RoundAlreadySigned.
        """
        self._check_time(timestamp, now)
        words = tuple(
            Observation(feed, price.index, price.mark).pack()
            for feed, price in sorted(self.prices.items())
        )
        digest = observation_digest(self.network.domain, round, timestamp, words)
        self.memory.observed = _once(self.memory.observed, round, digest)
        return SignedObservation(self.index, round, timestamp, words, sign(self.key, digest))

    def propose(
        self, round: int, timestamp: int, observations: Sequence[SignedObservation]
    ) -> Proposal:
        """As leader: the joint vector of the usable observations. Errors: QuorumNotReached.

        One bad observation is dropped, so that one node cannot stop the round.
        """
        usable = usable_observations(self.network, round, timestamp, observations)
        require(len(usable) >= self.network.quorum, errors.QuorumNotReached)
        words = joint_vector(self.network, usable)
        require(len(words) > 0, errors.QuorumNotReached)
        return Proposal(round, timestamp, words, tuple(usable))

    def sign(self, proposal: Proposal, now: int) -> tuple[int, Signature]:
        """Sign an honest proposal, one vector a round. Errors: as ``judge``, RoundAlreadySigned."""
        self.judge(proposal, now)
        digest = round_digest(
            self.network.domain, proposal.round, proposal.timestamp, proposal.words
        )
        self.memory.signed = _once(self.memory.signed, proposal.round, digest)
        return self.index, sign(self.key, digest)

    def judge(self, proposal: Proposal, now: int) -> None:
        """Refuse a vector that does not follow from signed observations or strays from what this
        node sees.

        Errors: FutureRound, StaleRound, as ``check_observations``, RoundNotHonest.
        """
        self._check_time(proposal.timestamp, now)
        check_observations(self.network, proposal.round, proposal.timestamp, proposal.observations)
        follows = proposal.words == joint_vector(self.network, proposal.observations)
        require(follows and len(proposal.words) > 0, errors.RoundNotHonest)
        for word in proposal.words:
            joint = Observation.unpack(word)
            own = self.prices.get(joint.feed)
            if own is not None:
                near = max(
                    deviation_ppm(joint.index, own.index), deviation_ppm(joint.mark, own.mark)
                )
                require(near <= self.network.tolerance_ppm, errors.RoundNotHonest)

    def _check_time(self, timestamp: int, now: int) -> None:
        require(timestamp <= now, errors.FutureRound)
        require(now - timestamp <= self.network.round_age_s_max, errors.StaleRound)


def _once(last: tuple[int, bytes], round: int, digest: bytes) -> tuple[int, bytes]:
    """Remember (round, digest): the same again passes, another digest or an earlier round not."""
    require(round > last[0] or (round, digest) == last, errors.RoundAlreadySigned)
    return round, digest


def joint_round(
    leader: OracleNode, nodes: Sequence[OracleNode], round: int, timestamp: int, now: int
) -> SignedRound:
    """One round among nodes in this process: observe, propose, sign; nodes that refuse are passed
    over.

    Carries exactly 2f+1 signatures, the lowest indices first. Errors: QuorumNotReached.
    """
    observations = []
    for node in nodes:
        try:
            observations.append(node.observation(round, timestamp, now))
        except Rejected:
            continue
    proposal = leader.propose(round, timestamp, observations)
    signatures: dict[int, Signature] = {}
    for node in nodes:
        try:
            index, signature = node.sign(proposal, now)
        except Rejected:
            continue
        signatures[index] = signature
    quorum = leader.network.quorum
    require(len(signatures) >= quorum, errors.QuorumNotReached)
    chosen = tuple(sorted(signatures.items()))[:quorum]
    return SignedRound(round, timestamp, proposal.words, chosen)
