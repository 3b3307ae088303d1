"""The keys that a running venue signs with: its executor's, its oracle nodes', and its upkeep's.

Owns: where they come from (files that only their owner may read), and the refusal of keys that
anyone knows, the ones of ``local_key`` and those that development nodes fund, wherever the chain is
not a local one: there whoever has them settles what he likes, and signs any price.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from coincurve import PrivateKey
from eth_account import Account
from eth_account.signers.local import LocalAccount

from novate.chain.deployment import Roles
from novate.chain.node import NodeOptions, local_key
from novate.errors import InvalidParameter, Rejected, require
from novate.services.boot import coincurve_key
from novate.services.local_venue import node_keys
from novate.wire.eip712 import address_of

# Accounts that anvil, hardhat and ganache begin with.
DEVELOPMENT_PHRASE = "test test test test test test test test test test test junk"
DEVELOPMENT_KEYS = 20
LOCAL_ROLES = ("governor", "guardian", "executor", "upkeep")
NODES_MAX = 19
TRADERS_MAX = 100


@dataclass(frozen=True, slots=True)
class VenueKeys:
    """``nodes`` in the order of their indices; ``upkeep`` sends what anyone could send."""

    executor: LocalAccount
    upkeep: LocalAccount
    nodes: tuple[PrivateKey, ...]

    def require_roles(self, roles: Roles) -> None:
        """Errors: ``InvalidParameter`` if a deployment has given its roles to other addresses."""
        executor = self.executor.address.lower()
        known = executor in roles.executors
        require(known, InvalidParameter, f"keys.executor: {executor} is no executor there")
        nodes = tuple(address_of(key.public_key) for key in self.nodes)
        same = nodes == roles.nodes
        require(same, InvalidParameter, "keys.nodes: other addresses, or another order, than there")

    def require_secret(self, roles: Roles) -> None:
        """Errors: ``InvalidParameter`` if anyone can know one of the keys, or that of a role."""
        held = [self.executor.address.lower(), self.upkeep.address.lower()]
        held += [address_of(key.public_key) for key in self.nodes]
        held += [roles.governor, roles.guardian, *roles.executors, *roles.nodes]
        for address in held:
            role = known_keys().get(address)
            require(
                role is None,
                InvalidParameter,
                f"keys: {address} is {role}, a key that anyone knows; on a chain that is not local "
                "name files with keys of your own, in the table [keys] of --config",
            )


@cache
def local_keys(node_count: int) -> VenueKeys:
    """The keys of a local venue; anyone can derive them."""
    return VenueKeys(local_key("executor"), local_key("upkeep"), tuple(node_keys(node_count)))


def load(files: Mapping[str, Path | tuple[Path, ...]]) -> VenueKeys:
    """The keys in the files of a table [keys]. Errors: ``InvalidParameter``, ``OSError``."""
    executor, upkeep, nodes = files["executor"], files["upkeep"], files["nodes"]
    assert isinstance(executor, Path) and isinstance(upkeep, Path) and isinstance(nodes, tuple)
    made = tuple(coincurve_key(read(path)) for path in nodes)
    return VenueKeys(read(executor), read(upkeep), made)


def read(path: Path) -> LocalAccount:
    """The key in a file that nobody else may read. Errors: ``InvalidParameter``, ``OSError``."""
    open_to_others = path.stat().st_mode & 0o077
    require(not open_to_others, InvalidParameter, f"{path}: others may read it: chmod 600 {path}")
    try:
        made: LocalAccount = Account.from_key(path.read_text(encoding="ascii").strip())
    except Exception:  # whatever is wrong with it: what it holds is not to be shown
        raise Rejected(InvalidParameter, f"{path}: holds no private key in hex") from None
    return made


def is_local(chain_id: int, url: str) -> bool:
    """Whether a chain is a development chain of this machine."""
    host = urlsplit(url).hostname or ""
    try:
        loopback = ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost"
    return loopback and chain_id == NodeOptions().chain_id


@cache
def known_keys() -> dict[str, str]:
    """What anyone can sign with: whose it is, by lower-case address."""
    found = {_address(local_key(role)): f"the local {role}'s" for role in _local_roles()}
    Account.enable_unaudited_hdwallet_features()
    for number in range(DEVELOPMENT_KEYS):
        place = f"m/44'/60'/0'/0/{number}"
        key = Account.from_mnemonic(DEVELOPMENT_PHRASE, account_path=place)
        found[_address(key)] = f"a development node's account {number}"
    return found


def _local_roles() -> Iterable[str]:
    yield from LOCAL_ROLES
    yield from (f"oracle node {number}" for number in range(NODES_MAX))
    yield from (f"trader {number}" for number in range(TRADERS_MAX))


def _address(key: LocalAccount) -> str:
    address: str = key.address.lower()
    return address
