"""A venue on a local chain: who holds its roles, and its deployment. Anyone can derive the keys."""

from __future__ import annotations

from coincurve import PrivateKey

from novate.chain.backend import ClientBackend
from novate.chain.client import Client
from novate.chain.compile import compile_all, missing
from novate.chain.deploy import deploy
from novate.chain.deployment import Deployment, Roles
from novate.chain.node import local_key
from novate.config import Parameters
from novate.services.boot import coincurve_key
from novate.wire.eip712 import address_of


def node_keys(count: int) -> list[PrivateKey]:
    """The keys of the oracle nodes, in the order of their indices."""
    return [coincurve_key(local_key(f"oracle node {index}")) for index in range(count)]


def local_roles(node_count: int) -> Roles:
    """The governor, the guardian, one executor and the oracle nodes."""
    return Roles(
        governor=local_key("governor").address.lower(),
        guardian=local_key("guardian").address.lower(),
        executors=(local_key("executor").address.lower(),),
        nodes=tuple(address_of(key.public_key) for key in node_keys(node_count)),
    )


def deploy_local(client: Client, parameters: Parameters) -> Deployment:
    """Deploy and configure a venue for those roles, its contracts compiled first where they are
    not. Errors: those of ``deploy``.
    """
    if absent := missing():
        compile_all(absent)
    backend = ClientBackend(client, [local_key("governor"), local_key("guardian")])
    return deploy(backend, parameters, local_roles(parameters.oracle.node_count))
