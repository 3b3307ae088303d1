"""What keeps options alive on a chain: surfaces, listing, arrays, prints and the settlement of what
has expired.

Everything here is a transaction that anyone could send (a surface and a print carry the signatures
of the oracle's quorum); one key does, so that they stand in one block in the order sent. What is
sent comes back through the watcher like anybody's, and nothing here waits for it. Owns: the oracle
nodes' part in surfaces and prints, where they run in this process. Prices in oracle units of 1e8
wei a base unit, times in seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from coincurve import PrivateKey
from eth_account.signers.local import LocalAccount

from novate import limits
from novate.chain.backend import abi_of
from novate.chain.client import Client, RemoteContract
from novate.chain.deployment import CONTRACT_OF, Deployment
from novate.errors import Rejected
from novate.model.option_id import is_dated, place_of
from novate.model.settlement_prints import settlement_price
from novate.model.state import World
from novate.services.settlement_node import SettlementNode, joint_settlement
from novate.services.surface_node import SurfaceNetwork, SurfaceNode, joint_surface
from novate.wire import surfaces as wire
from novate.wire.surfaces import SignedSurfaces

# 25 bp: each node of a local venue or of the demo reads one venue, and those of a night of crashes
# stand further apart than the means of several that a node reads in service
PRINT_TOLERANCE_INVERSE = 400
# Strikes around the forward: for an expiry of the day or the next, and for later ones.
NEAR_PERCENT = (-8, -6, -4, -2, 0, 2, 4, 6)
FAR_PERCENT = (-20, -15, -10, -5, 0, 5, 10, 15)


def strikes_for(forward: int, step: int, percents: Iterable[int]) -> list[int]:
    """Multiples of the step nearest below each percentage of the forward, each once, within what
    may be listed (a fifth to five times the forward).
    """
    wanted = {forward * (100 + p) // 100 // step * step for p in percents}
    return sorted(s for s in wanted if s > 0 and forward <= 5 * s and s <= 5 * forward)


def holders(world: World, underlying: int, slot: int) -> list[int]:
    """Accounts with positions of an expiry."""
    return [
        account
        for account, row in world.ledger.accounts.items()
        if any(is_dated(i) and place_of(i) == (underlying, slot) for i, _ in row.positions)
    ]


def printed(world: World, underlying: int, slot: int) -> bool:
    """Whether what is listed in a slot has its settlement price."""
    expiry = world.options.listed[underlying, slot].expiry
    return settlement_price(world, underlying, expiry) != 0


def expired(world: World) -> list[tuple[int, int]]:
    """(underlying, slot) of what was listed and is over."""
    found = world.options.listed.items()
    return [place for place, listed in found if 0 < listed.expiry <= world.now]


@dataclass
class OptionKeeper:
    """One key and the oracle's nodes, over one venue's contracts."""

    client: Client
    deployment: Deployment
    key: LocalAccount
    node_keys: Sequence[PrivateKey]
    nodes: list[SurfaceNode] = field(init=False)
    settlers: list[SettlementNode] = field(init=False)
    turn: int = 0

    def __post_init__(self) -> None:
        place = self.deployment.chain_id, self.deployment.addresses["surfaces"]
        network = SurfaceNetwork(wire.domain_separator(*place), self.deployment.roles.nodes)
        self.nodes = [SurfaceNode(key, network) for key in self.node_keys]
        self.settlers = [
            SettlementNode(key, network, PRINT_TOLERANCE_INVERSE) for key in self.node_keys
        ]
        self.surfaces, self.options = self._attach("surfaces"), self._attach("options")
        self.clearinghouse = self._attach("clearinghouse")

    def _attach(self, name: str) -> RemoteContract:
        kind = CONTRACT_OF[name]
        return self.client.attach(self.deployment.addresses[name], abi_of(kind), kind)

    # Surfaces and arrays

    def agree(self, underlying: int, stored: Sequence[int], now: int) -> SignedSurfaces | None:
        """The surface that a quorum signs, from what the nodes have observed; None without one.
        Sends nothing.
        """
        able = [node for node in self.nodes if node.quotes.get(underlying)]
        if not able:
            return None
        leader = able[self.turn % len(able)]
        try:
            return joint_surface(leader, able, underlying, stored, now)
        except Rejected:
            return None

    def post(self, signed: SignedSurfaces) -> None:
        """Send a surface. Raises ``RpcFault``."""
        self.surfaces.send("post_surfaces", *signed.arguments(), key=self.key)

    def refresh(self, underlying: int, slot: int) -> None:
        """Have the arrays of an expiry built. Raises ``RpcFault``."""
        self.options.send("refresh", underlying, slot, key=self.key)

    # Listing

    def list_expiry(self, underlying: int, expiry: int) -> None:
        """List an expiry, which the newest surface has, and its future. Raises ``RpcFault``."""
        self.options.send("list_expiry", underlying, expiry, key=self.key)

    def list_strike(self, underlying: int, slot: int, strike: int) -> None:
        """List call and put of a strike. Raises ``RpcFault``."""
        self.options.send("list_strike", underlying, slot, strike, key=self.key)

    # What has expired

    def print_price(self, underlying: int, expiry: int, now: int) -> bool:
        """Send the print that a quorum signs; False without one (it is tried again). Raises
        ``RpcFault``.
        """
        try:
            signed = joint_settlement(self.settlers, underlying, expiry, now)
        except Rejected:
            return False
        self.surfaces.send("post_settlement", *signed.arguments(), key=self.key)
        return True

    def settle(self, underlying: int, slot: int, accounts: Sequence[int]) -> None:
        """Pay accounts what they hold of a printed expiry. Raises ``RpcFault``."""
        most = limits.ACCOUNTS_PER_BATCH_MAX
        for first in range(0, len(accounts), most):
            part = [account.to_bytes(32, "big") for account in accounts[first : first + most]]
            self.clearinghouse.send("settle_expiry", part, underlying, slot, key=self.key)
