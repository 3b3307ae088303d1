"""The watcher: every transaction that reached our contracts comes back into the journal, in chain
order.

It reads whole blocks with their receipts (``blocks.py``), so deposits, rounds, batches, auctions
and attempts that failed are all seen; what others' contracts do among themselves is left out. Each
block must name the one before it: where the chain has replaced blocks, that is told first, then
what came in their place. The node is not believed blindly: what its answers contradict of each
other is ``NodeLied``, and the same is asked again at the next poll. It goes no further than a
transaction whose calls into our contracts it cannot learn (``NoTwin``): what the journal does not
have, the engine must not build upon.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from novate.chain.client import Client
from novate.chain.deployment import Deployment
from novate.chain.rows import integer
from novate.engine.ahead import REORG_BLOCKS_MAX
from novate.errors import NodeOnWrongChain, ReorgTooDeep, require
from novate.services.blocks import BlockReader, read
from novate.wire.records import AnyRecord, ChainReorganised, ChainTransaction


class Watcher:
    """Follows one venue's contracts from a block on, ``confirmations`` blocks behind the head."""

    def __init__(
        self, client: Client, deployment: Deployment, next_block: int, confirmations: int = 0
    ) -> None:
        self._client = client
        self._blocks = BlockReader(client, deployment)
        self._chain_id = deployment.chain_id
        self._confirmations = confirmations
        self._hashes: dict[int, str] = {}
        self.first_block = self.next_block = next_block

    def poll(self) -> list[ChainTransaction | ChainReorganised]:
        """What happened since the last poll.

        Errors: ``NodeOnWrongChain``, ``NoTwin``, ``ReorgTooDeep``; raises ``RpcFault``. Then
        nothing is lost: the next poll begins where this one ended.
        """
        chain_id = read("eth_chainId", lambda: integer(self._client.request("eth_chainId")))
        require(chain_id == self._chain_id, NodeOnWrongChain, f"it says {chain_id}")
        found: list[ChainTransaction | ChainReorganised] = [*self._replaced()]
        try:
            head = self._blocks.head() - self._confirmations
            while self.next_block <= head:
                rows = self._read(self.next_block)
                if rows is None:
                    break  # replaced while we read: told at the next poll
                found += rows
                self.next_block += 1
        except Exception:
            if not found:
                raise
        return found

    def resume(self, held: Iterable[AnyRecord]) -> list[ChainReorganised]:
        """Go on behind the transactions that a journal holds.

        Where the chain no longer has its newest ones that is told, as by ``poll``. Errors: those of
        ``poll``.
        """
        blocks = [
            (number, list(rows))
            for number, rows in groupby(canonical(held), key=lambda record: record.block)
        ]
        gone: int | None = None
        for depth, (number, rows) in enumerate(reversed(blocks)):
            require(depth <= REORG_BLOCKS_MAX, ReorgTooDeep)
            self.next_block = number
            if self._read(number, linked=False) == rows:
                self.next_block = number + 1
                # what leaves the chain from now on may reach further back than this block
                name = self._hashes[number]
                self._hashes |= self._blocks.before(number, name, REORG_BLOCKS_MAX)
                break
            gone = number
            self._hashes.clear()
        return [] if gone is None else [ChainReorganised(gone)]

    def _replaced(self) -> list[ChainReorganised]:
        """Step back behind blocks that are no longer the chain's. Until they are told nothing is
        forgotten: whoever asks again after a fault comes to the same.
        """
        number = self.next_block - 1
        while number in self._hashes and self._blocks.hash_of(number) != self._hashes[number]:
            number -= 1
        if number == self.next_block - 1:
            return []
        require(number in self._hashes or number < self.first_block, ReorgTooDeep)
        for gone in range(number + 1, self.next_block):
            del self._hashes[gone]
        self.next_block = number + 1
        return [ChainReorganised(self.next_block)]

    def _read(self, number: int, linked: bool = True) -> list[ChainTransaction] | None:
        """Our transactions of a block; None if there is none, or it follows another than ours."""
        block = self._blocks.block(number, self._hashes.get(number - 1) if linked else None)
        if block is None:
            return None
        self._hashes[number] = block.hash
        self._hashes.pop(number - REORG_BLOCKS_MAX - 1, None)
        return list(block.transactions)


def canonical(held: Iterable[AnyRecord]) -> list[ChainTransaction]:
    """The chain's transactions as a journal has them in the end, without those that left it."""
    found: list[ChainTransaction] = []
    for record in held:
        if isinstance(record, ChainTransaction):
            found.append(record)
        elif isinstance(record, ChainReorganised):
            while found and found[-1].block >= record.first_block:
                found.pop()
    return found
