"""The oracle twice: contract on an in-memory chain and model, fed the same signed rounds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from coincurve import PrivateKey

from novate.chain.harness import CHAIN_ID, Chain, actor
from novate.errors import Rejected
from novate.model import oracle as model
from novate.model.oracle import Feed, Observation, OracleState, Status
from novate.model.store import Store
from novate.wire.round import SignedRound, address_of, domain_separator, signed_round

GOVERNOR = actor("timelock")
STRANGER = actor("stranger")
FEEDS = 8
USD = 10**10


def node_keys(count: int) -> list[PrivateKey]:
    """Keys of the first ``count`` nodes."""
    return [PrivateKey((9_000 + i).to_bytes(32, "big")) for i in range(count)]


class OracleWorld:
    """As much of the model's world as the oracle and governance need."""

    def __init__(self, now: int, addresses: dict[str, str]) -> None:
        self.now = now
        self.addresses = addresses
        self.store = Store()
        self.oracle = OracleState(self.store)
        self.events: list[tuple[str, dict[str, Any]]] = []

    def emit(self, name: str, **arguments: Any) -> None:
        """Record an event."""
        self.events.append((name, arguments))

    def take_events(self) -> list[tuple[str, dict[str, Any]]]:
        """Events since the last call."""
        taken, self.events = self.events, []
        return taken


class OracleBench:
    """Contract and model with one node set and the first eight feeds registered."""

    def __init__(self, node_count: int = 7) -> None:
        self.chain = Chain()
        self.contract = self.chain.deploy("Oracle", GOVERNOR)
        self.world: Any = OracleWorld(self.chain.timestamp, {"timelock": GOVERNOR})
        self.domain = domain_separator(CHAIN_ID, self.contract.address)
        self.keys = node_keys(node_count)
        self.addresses = [address_of(key.public_key) for key in self.keys]
        self.contract.call("set_nodes", self.addresses, sender=GOVERNOR)
        model.set_nodes(self.world, GOVERNOR, self.addresses)
        for feed in range(FEEDS):
            self.contract.call("register_feed", feed, sender=GOVERNOR)
            model.register_feed(self.world, GOVERNOR, feed)
        self.world.take_events()

    @property
    def quorum(self) -> int:
        """2f+1."""
        return self.status().quorum

    def advance(self, seconds: int) -> None:
        """Move both clocks."""
        self.chain.advance(seconds)
        self.world.now = self.chain.timestamp

    def status(self) -> Status:
        """The contract's status."""
        return Status.unpack(self.contract.view("status"))

    def feed(self, feed: int) -> Feed:
        """The contract's feed."""
        return Feed.unpack(self.contract.view("feed", feed))

    def signed(
        self,
        round: int,
        words: Sequence[int],
        timestamp: int | None = None,
        signers: Iterable[int] | None = None,
    ) -> SignedRound:
        """A round signed by ``signers`` (unless named the first quorum of nodes), stamped now."""
        chosen = range(self.quorum) if signers is None else signers
        time = self.chain.timestamp if timestamp is None else timestamp
        return signed_round(self.domain, round, time, words, [(i, self.keys[i]) for i in chosen])

    def post(self, made: SignedRound, sender: str = STRANGER) -> bool:
        """Post to the contract alone."""
        accepted: bool = self.contract.call("post_round", *made.arguments(), sender=sender)
        return accepted

    def price(self, round: int, feed: int, index: int, mark: int | None = None) -> bool:
        """Post one price."""
        word = Observation(feed, index, index if mark is None else mark).pack()
        return self.post(self.signed(round, [word]))

    def outcome(self, made: SignedRound) -> str:
        """What the contract makes of a round: ``accepted``, ``ignored`` or the rejection's name."""
        try:
            return "accepted" if self.post(made) else "ignored"
        except Rejected as rejection:
            return rejection.error.name

    def outcome_in_model(self, made: SignedRound) -> str:
        """What the model makes of the same round."""
        world = self.world
        try:
            with world.store.transaction():
                accepted = model.post_round(
                    world,
                    made.round,
                    made.timestamp,
                    made.observations,
                    made.signers(self.domain),
                )
        except Rejected as rejection:
            world.take_events()
            return rejection.error.name
        return "accepted" if accepted else "ignored"
