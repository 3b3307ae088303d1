"""What feeds an index: a journal that another process writes, and a node, if one is named.

Owns: catching up and following. The journal comes first; a node that does not answer holds up the
chain's rows (and the next poll, for as long as the client waits): the fault is handed back.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from novate.chain.client import RpcFault
from novate.engine.journal_scan import Tail
from novate.errors import IndexForeign, require
from novate.services.indexer import Indexer
from novate.services.indexer_blocks import Chain


@dataclass(frozen=True, slots=True)
class Taken:
    """What one poll brought; ``fault`` is what the node failed with."""

    records: int
    blocks: int
    fault: RpcFault | None = None


class Feed:
    """One journal and, where the index has one, one chain."""

    def __init__(self, indexer: Indexer, journal: Path, chain: Chain | None = None) -> None:
        if not journal.is_file():
            raise FileNotFoundError(f"no journal {journal}")
        self._indexer, self._chain = indexer, chain
        self._tail = Tail(journal)
        self._seen = False

    def poll(self) -> Taken:
        """Take in what is new. Errors: those of ``Indexer.take`` and ``follow``, but no fault."""
        entries = self._tail.poll()
        if not self._seen:
            known, head = self._indexer.place().position, self._tail.head.sequence
            require(
                head >= known, IndexForeign, f"the journal ends at {head}, the index at {known}"
            )
            self._seen = True
        records = self._indexer.take(entries)
        self._tail.records.clear()  # they are in the database
        if self._chain is None:
            return Taken(records, 0)
        try:
            return Taken(records, self._indexer.follow(self._chain))
        except RpcFault as fault:
            return Taken(records, 0, fault)
