"""An oracle node's duty at an expiry: what options and futures of it settle at.

A node keeps the indices it sees; the print of an expiry is about their mean over the last half hour
before it. The proposal is the lower median of the nodes' means, and a node signs what strays from
its own mean by no more than ten basis points, so that no minority moves a print, and whoever
gathers the signatures chooses within that of every signer. Prices in oracle units of 1e8 wei, means
rounded down; time in seconds and always an argument. Source: docs/SPEC.md §13.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from coincurve import PrivateKey

from novate import errors
from novate.errors import Rejected, require
from novate.services.surface_node import SurfaceNetwork
from novate.units import div_down
from novate.wire.eip712 import address_of, sign
from novate.wire.surfaces import Signature, SignedSettlement, settlement_digest

WINDOW_S = 1_800
KEPT_S = 2 * WINDOW_S  # so that a node that asks late still has the whole window
TOLERANCE_INVERSE = 1_000  # ten basis points


@dataclass
class SettlementNode:
    """One node: its key, its place in the network, and the indices it has seen, by underlying as
    (time, price) in the order of time.
    """

    key: PrivateKey
    network: SurfaceNetwork
    tolerance_inverse: int = TOLERANCE_INVERSE
    seen: dict[int, list[tuple[int, int]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.index = self.network.nodes.index(address_of(self.key.public_key))

    def observe(self, now: int, indices: Mapping[int, int]) -> None:
        """Keep the indices of now, by underlying; what is older than an hour is dropped."""
        for underlying, price in indices.items():
            kept = self.seen.setdefault(underlying, [])
            assert price > 0 and (not kept or kept[-1][0] <= now)
            kept.append((now, price))
            while kept[0][0] <= now - KEPT_S:
                kept.pop(0)

    def mean(self, underlying: int, expiry: int) -> int:
        """The mean index over the half hour that ends at the expiry, which it includes.

        Errors: SettlementNotHonest if the node saw none.
        """
        window = [
            price
            for time, price in self.seen.get(underlying, ())
            if expiry - WINDOW_S < time <= expiry
        ]
        require(bool(window), errors.SettlementNotHonest, "no index of that half hour")
        return div_down(sum(window), len(window))

    def sign(self, underlying: int, expiry: int, price: int, now: int) -> tuple[int, Signature]:
        """Sign a price that the own mean agrees with, once the expiry is reached.

        Errors: ExpiryNotReached, as ``mean``, SettlementNotHonest.
        """
        require(expiry <= now, errors.ExpiryNotReached)
        own = self.mean(underlying, expiry)
        near = abs(price - own) * self.tolerance_inverse <= own
        require(near, errors.SettlementNotHonest)
        digest = settlement_digest(self.network.domain, underlying, expiry, price)
        return self.index, sign(self.key, digest)


def proposal(nodes: Sequence[SettlementNode], underlying: int, expiry: int) -> int:
    """The lower median of the means of those nodes that have one. Errors: QuorumNotReached."""
    means = []
    for node in nodes:
        try:
            means.append(node.mean(underlying, expiry))
        except Rejected:
            continue
    require(bool(means), errors.QuorumNotReached)
    return sorted(means)[div_down(len(means) - 1, 2)]


def joint_settlement(
    nodes: Sequence[SettlementNode], underlying: int, expiry: int, now: int
) -> SignedSettlement:
    """One print among nodes in this process; nodes that refuse are passed over.

    Carries exactly 2f+1 signatures, the lowest indices first. Errors: QuorumNotReached.
    """
    price = proposal(nodes, underlying, expiry)
    signatures: dict[int, Signature] = {}
    for node in nodes:
        try:
            index, signature = node.sign(underlying, expiry, price, now)
        except Rejected:
            continue
        signatures[index] = signature
    quorum = nodes[0].network.quorum
    require(len(signatures) >= quorum, errors.QuorumNotReached)
    chosen = tuple(sorted(signatures.items()))[:quorum]
    return SignedSettlement(underlying, expiry, price, chosen)
