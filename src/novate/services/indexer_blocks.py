"""Blocks of a node, as the read side takes them in: with their hashes, so that a change shows.

Owns: which chain is read. Blocks and the venue's transactions in them are ``blocks.py``'s; where
the node cannot say how others' contracts reached ours, the rows that follow from events go on
without it.
"""

from __future__ import annotations

from typing import Protocol

from novate.chain.client import Client
from novate.chain.deployment import Deployment
from novate.errors import IndexForeign, require
from novate.services.blocks import Block, BlockReader

__all__ = ["Block", "Chain", "NodeChain"]


class Chain(Protocol):
    """A chain that can be read block by block. Each raises ``RpcFault``."""

    def head(self) -> int:
        """Number of the newest block."""
        ...

    def hash_of(self, number: int) -> str | None:
        """A block's hash; None where there is no such block."""
        ...

    def block(self, number: int) -> Block | None:
        """A whole block; None where there is no such block (any more)."""
        ...


class NodeChain:
    """The chain behind a JSON-RPC client."""

    def __init__(self, client: Client, deployment: Deployment) -> None:
        same = client.chain_id == deployment.chain_id
        require(same, IndexForeign, f"the node's chain is {client.chain_id}")
        self._reader = BlockReader(client, deployment, traced=False)

    def head(self) -> int:
        """Number of the newest block."""
        return self._reader.head()

    def hash_of(self, number: int) -> str | None:
        """A block's hash."""
        return self._reader.hash_of(number)

    def block(self, number: int) -> Block | None:
        """A whole block with the receipts that belong to it."""
        return self._reader.block(number)
