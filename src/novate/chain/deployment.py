"""A venue's place on a chain: addresses, roles and what configured it, as one immutable record
(``deployment.json``)."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from novate.config import Parameters

CONTRACT_OF = {
    "timelock": "Timelock",
    "oracle": "Oracle",
    "back_office": "BackOffice",
    "clearinghouse": "Clearinghouse",
    "surfaces": "Surfaces",
    "array_builder": "ArrayBuilder",
    "options": "Options",
    "risk_model": "RiskModel",
    "custody": "Custody",
    "waterfall": "Waterfall",
    "auctioneer": "Auctioneer",
    "exchange": "Exchange",
    "lens": "Lens",
}
# code that another contract runs on its own storage: what is called on it directly is nothing to
# the venue
CODE_ONLY = frozenset({"back_office"})


class Roles(msgspec.Struct, frozen=True):
    """Who may do what; lower-case addresses. The governor schedules in the timelock and deploys."""

    governor: str
    guardian: str
    executors: tuple[str, ...]
    nodes: tuple[str, ...]


class Deployment(msgspec.Struct, frozen=True):
    """One configured venue. Times are those of the blocks: the Clearinghouse's, each configuration
    call's, the layers' deposits'."""

    chain_id: int
    block: int
    addresses: dict[str, str]
    tokens: dict[str, str]
    roles: Roles
    configuration: str
    deployed_at: int
    executed_at: tuple[int, ...]
    funded_at: tuple[int, ...]

    def acting(self) -> dict[str, str]:
        """Addresses of the contracts whose transactions and events move the venue."""
        return {n: a for n, a in self.addresses.items() if n not in CODE_ONLY}

    def save(self, path: Path) -> None:
        """Write the record as JSON."""
        path.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n")

    @staticmethod
    def load(path: Path) -> Deployment:
        """Read a record; raises ``OSError`` or ``msgspec.ValidationError``."""
        return msgspec.json.decode(path.read_bytes(), type=Deployment)


def configuration_hash(parameters: Parameters) -> str:
    """SHA-256 of the parameters in canonical JSON."""
    return hashlib.sha256(msgspec.json.encode(parameters, order="sorted")).hexdigest()
