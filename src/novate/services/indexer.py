"""The indexer: follows the journal and the chain into the read side's database.

Owns: transactions of the database. A group of records or blocks, the rows that follow from it and
the place it ends at are written together or not at all, so a process killed anywhere goes on where
the last group ended. The content is a function of the two places: an index that is rebuilt from
nothing holds the same rows as one that grew (``checkpoints`` aside, which only save time).

The chain is read from a node, block by block with its hashes; a block that leaves it takes its rows
along, and the trades it settled are ``batched`` again until another block settles them. Without a
node the chain is what the journal's watcher wrote down, and then it cannot change.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

import msgspec
from sqlalchemy import Connection, delete, select

from novate.chain.deployment import Deployment
from novate.chain.mirror import mirror_world
from novate.chain.plan import terms_of
from novate.config import Parameters
from novate.engine.journal_frame import Record
from novate.errors import (
    IndexForeign,
    IndexInconsistent,
    IndexOutOfOrder,
    Rejected,
    SnapshotUnusable,
    require,
)
from novate.services import indexer_journal
from novate.services.indexer_blocks import Block, Chain
from novate.services.indexer_chain import ChainRows, Contracts, instrument_row, listings
from novate.services.indexer_dated import dated_rows
from novate.services.indexer_journal import JournalFold, text
from novate.services.indexer_ledger import LedgerFold, Stopped
from novate.services.replica import Replica
from novate.store import database, schema
from novate.store.database import NOWHERE, Database, Place
from novate.wire import records
from novate.wire.records import ChainTransaction, Genesis

RECORDS_PER_GROUP = 4_000
BLOCKS_PER_GROUP = 100
JOURNAL, CHAIN, LEDGER = "journal", "chain", "ledger"
BY_JOURNAL, BY_NODE = "journal", "node"


class Indexer:
    """One index of one venue; the only writer of its database.

    ``chain_source`` says who tells of the chain: ``journal`` or ``node``. An index is bound to the
    one it began with. Errors: ``IndexForeign``, ``InvalidParameter`` (other parameters).
    """

    def __init__(
        self,
        store: Database,
        deployment: Deployment,
        parameters: Parameters,
        chain_source: str = BY_JOURNAL,
        group: int = RECORDS_PER_GROUP,
    ) -> None:
        self._store, self._group = store, group
        self._deployment, self._parameters = deployment, parameters
        self._contracts = Contracts(deployment)
        self._source = chain_source
        self._ledger: LedgerFold | None = None
        self._new_ledger()  # other parameters are refused before anything is written
        with store.begin() as connection:
            database.identify(connection, self._facts())
            if connection.execute(select(schema.tokens.c.token).limit(1)).first() is None:
                self._begin(connection)

    def _facts(self) -> dict[str, str]:
        deployment = self._deployment
        addresses = msgspec.json.encode(deployment.addresses, order="sorted")
        return {
            "chain_id": str(deployment.chain_id),
            "contracts": hashlib.sha256(addresses).hexdigest(),
            "configuration": deployment.configuration,
            "chain_source": self._source,
        }

    def _begin(self, connection: Connection) -> None:
        """What the venue was deployed with, and the last block before its own."""
        made = self._parameters.instruments
        rows = [instrument_row(i.id, i.name, terms_of(i).pack(), 0) for i in made]
        database.add(connection, schema.instruments, rows)
        addresses = self._deployment.tokens
        listed = [
            {
                "token": addresses[token.name].lower(),
                "block": 0,
                "instrument": token.instrument,
                "decimals": token.decimals,
                "name": token.name,
            }
            for token in self._parameters.tokens
        ]
        database.add(connection, schema.tokens, listed)

    def place(self, source: str = JOURNAL) -> Place:
        """How far the index has come."""
        with self._store.begin() as connection:
            return database.place(connection, source)

    # The journal

    def take(self, entries: Iterable[Record]) -> int:
        """Take journal records in, in order and in groups; how many were new.

        Records that stand in the index already are compared with it and passed over. Errors:
        ``IndexForeign`` (another journal), ``IndexOutOfOrder``, ``IndexInconsistent``,
        ``UnknownRecord``, ``JournalCorrupt``: the index then ends before that record's group.
        """
        known, count = self.place(), 0
        waiting = iter(entries)
        while group := list(islice(waiting, self._group)):
            fresh = [e for e in group if self._is_new(e, known)]
            if fresh:
                known = self._take_group(fresh, known)
                count += len(fresh)
        return count

    def _is_new(self, entry: Record, known: Place) -> bool:
        if entry.sequence == known.position:
            same = text(entry.hash) == known.hash
            require(same, IndexForeign, f"record {entry.sequence} is another in the journal")
        return entry.sequence > known.position

    def _take_group(self, group: Sequence[Record], known: Place) -> Place:
        decoded = [(entry, indexer_journal.decode(entry)) for entry in group]
        _require_chained(group, known)
        last = Place(group[-1].sequence, text(group[-1].hash))
        with self._writing() as connection:
            database.advance(connection, JOURNAL, known, last)
            if known == NOWHERE:
                self._require_genesis(decoded[0][1])
            fold = JournalFold(connection)
            fold.apply(decoded)
            fold.write()
            if self._source == BY_JOURNAL:
                told = [r for _, r in decoded if isinstance(r, ChainTransaction)]
                self._told(connection, told)
        return last

    def _require_genesis(self, record: object) -> None:
        deployment = self._deployment
        require(isinstance(record, Genesis), IndexForeign, "the journal has no genesis")
        assert isinstance(record, Genesis)
        contracts = {name: text(address) for name, address in record.contracts.items()}
        same = record.chain_id == deployment.chain_id and contracts == deployment.addresses
        require(same, IndexForeign, "the journal is of another venue than the deployment")

    def _told(self, connection: Connection, told: Sequence[ChainTransaction]) -> None:
        """Transactions as the journal's watcher saw them."""
        if not told:
            return
        before = database.place(connection, CHAIN)
        heads = {t.block: t.timestamp for t in told if t.block > before.position}
        rows = [{"block": b, "timestamp": t, "hash": ""} for b, t in heads.items()]
        database.add(connection, schema.blocks, rows)
        self._transactions(connection, told)
        after = Place(told[-1].block, "")
        if after != before:
            database.advance(connection, CHAIN, before, after)

    # The chain

    def follow(self, chain: Chain) -> int:
        """Take in the blocks that are new, and let go of those that left; how many were taken.

        Errors: ``IndexForeign`` if the node's chain is another from its beginning; ``RpcFault``.
        """
        assert self._source == BY_NODE, "this index follows the journal's watcher"
        count, head = 0, chain.head()
        known = self._on_chain(chain, head)
        while known.position < head:
            end = min(head, known.position + BLOCKS_PER_GROUP)
            group = _linked(chain, range(known.position + 1, end + 1), known.hash)
            if not group:
                break
            known = self._take_blocks(group, known)
            count += len(group)
        return count

    def _on_chain(self, chain: Chain, head: int) -> Place:
        """Where to go on: the last of our blocks that the node has, too."""
        known = self.place(CHAIN)
        if known == NOWHERE:
            first = chain.hash_of(self._deployment.block)
            require(first is not None, IndexForeign, "the node does not have the venue's block")
            return Place(self._deployment.block, str(first))
        if head >= known.position and chain.hash_of(known.position) == known.hash:
            return known
        ancestor = self._ancestor(chain, min(head, known.position))
        if head < known.position and ancestor.position == head:
            return known  # the node lags behind on the same branch
        self.retract(ancestor)
        return ancestor

    def _ancestor(self, chain: Chain, top: int) -> Place:
        table = schema.blocks
        query = select(table.c.block, table.c.hash).where(table.c.block <= top)
        with self._store.begin() as connection:
            held = connection.execute(query.order_by(table.c.block.desc())).all()
        for row in held:
            if chain.hash_of(row.block) == row.hash:
                return Place(row.block, row.hash)
        raise Rejected(IndexForeign, f"the node has no block of this index, {len(held)} compared")

    def _take_blocks(self, group: Sequence[Block], known: Place) -> Place:
        last = Place(group[-1].number, group[-1].hash)
        with self._writing() as connection:
            before = database.place(connection, CHAIN)
            rows = [{"block": b.number, "timestamp": b.timestamp, "hash": b.hash} for b in group]
            if before == NOWHERE:
                rows = [{"block": known.position, "timestamp": 0, "hash": known.hash}, *rows]
            database.advance(connection, CHAIN, before, last)
            database.add(connection, schema.blocks, rows)
            self._transactions(connection, [t for block in group for t in block.transactions])
        return last

    def retract(self, ancestor: Place) -> None:
        """Let go of every block above ``ancestor``, with its rows."""
        with self._writing() as connection:
            database.advance(connection, CHAIN, database.place(connection, CHAIN), ancestor)
            for table in (*schema.CHAIN, *schema.LISTINGS):
                connection.execute(delete(table).where(table.c.block > ancestor.position))
            stopped = schema.progress
            later = stopped.c.position > ancestor.position
            connection.execute(delete(stopped).where(stopped.c.source == LEDGER, later))
        self._ledger = None

    # Transactions, by whomever they were told

    def _transactions(self, connection: Connection, found: Sequence[ChainTransaction]) -> None:
        """Their rows. Errors: ``IndexOutOfOrder``."""
        table = schema.transactions.c
        newest = select(table.block, table.position).order_by(
            table.block.desc(), table.position.desc()
        )
        row = connection.execute(newest.limit(1)).first()
        last = (row.block, row.position) if row else (self._deployment.block, -1)
        decoded, rows = [], ChainRows(self._contracts)
        ledger = self._open_ledger(connection)
        for record in found:
            place = record.block, record.position
            require(place > last, IndexOutOfOrder, f"transaction {text(record.transaction)}")
            last = place
            decoded.append(self._contracts.decode(record))
            rows.apply(decoded[-1])
            if ledger is not None:
                try:
                    ledger.apply(decoded[-1], rows)
                except Stopped as reason:
                    self._stop(connection, record, str(reason))
                    ledger = None
                else:
                    self._keep(ledger, record, rows)
        for listed, made in listings(connection, decoded).items():
            database.add(connection, listed, made)
        database.add(connection, schema.dated, dated_rows(connection, self._parameters, decoded))
        for filled, made in rows.rows.items():
            database.add(connection, filled, made)

    def _keep(self, ledger: LedgerFold, record: ChainTransaction, rows: ChainRows) -> None:
        if record.succeeded and ledger.checkpoint_is_due:
            state = base64.b64encode(ledger.save()).decode("ascii")
            row = {"block": record.block, "position": record.position, "state": state}
            rows.rows.setdefault(schema.checkpoints, []).append(row)

    def _stop(self, connection: Connection, record: ChainTransaction, reason: str) -> None:
        self._ledger = None
        at = Place(record.block, reason)
        database.advance(connection, LEDGER, NOWHERE, at)

    def _new_ledger(self) -> LedgerFold:
        deployment = self._deployment
        began = max(deployment.funded_at, default=deployment.deployed_at)
        world = mirror_world(deployment, self._parameters, began)
        return LedgerFold(Replica(world, deployment))

    def _open_ledger(self, connection: Connection) -> LedgerFold | None:
        """The ledger in the state of the rows: at hand, or executed again from them."""
        if self._ledger is None and database.place(connection, LEDGER) == NOWHERE:
            ledger = self._new_ledger()
            after = self._restore(connection, ledger)
            if after is None:
                ledger, after = self._new_ledger(), (-1, -1)
            for record in stored_transactions(connection, after):
                decoded = self._contracts.decode(record)
                try:
                    ledger.apply(decoded, ChainRows(self._contracts))
                except Stopped as reason:
                    raise Rejected(IndexInconsistent, f"executed again: {reason}") from None
            self._ledger = ledger
        return self._ledger

    def _restore(self, connection: Connection, ledger: LedgerFold) -> tuple[int, int] | None:
        """The place of the newest checkpoint, loaded; None if it cannot be used."""
        table = schema.checkpoints
        newest = select(table).order_by(table.c.block.desc(), table.c.position.desc()).limit(1)
        row = connection.execute(newest).first()
        if row is None:
            return -1, -1
        try:
            ledger.restore(base64.b64decode(row.state))
        except Rejected as rejected:
            assert rejected.error is SnapshotUnusable
            return None
        return row.block, row.position

    def _writing(self) -> Writing:
        return Writing(self._store, self._forget)

    def _forget(self) -> None:
        self._ledger = None


class Writing:
    """A transaction of the database; if it fails, what was executed ahead of it is forgotten."""

    def __init__(self, store: Database, forget: Callable[[], None]) -> None:
        self._context = store.begin()
        self._forget = forget

    def __enter__(self) -> Connection:
        return self._context.__enter__()

    def __exit__(self, *failure: object) -> None:
        done = False
        try:
            self._context.__exit__(*failure)  # type: ignore[arg-type]
            done = failure[0] is None
        finally:
            if not done:
                self._forget()


def stored_transactions(
    connection: Connection, after: tuple[int, int] = (-1, -1)
) -> Iterable[ChainTransaction]:
    """Transactions as the index holds them, in chain order, behind a place."""
    table = schema.transactions
    query = select(table.c.block, table.c.position, table.c.raw)
    query = query.where(table.c.block >= after[0]).order_by(table.c.block, table.c.position)
    for row in connection.execute(query):
        if (row.block, row.position) > after:
            record = records.decode("ChainTransaction", base64.b64decode(row.raw))
            assert isinstance(record, ChainTransaction)
            yield record


def _require_chained(group: Sequence[Record], known: Place) -> None:
    """Each record follows the one before. Errors: ``IndexOutOfOrder``."""
    sequence, digest = known.position, known.hash
    for entry in group:
        expected = sequence + 1
        follows = entry.sequence == expected and digest in ("", text(entry.previous_hash))
        require(follows, IndexOutOfOrder, f"record {entry.sequence}, not {expected}")
        sequence, digest = entry.sequence, text(entry.hash)


def _linked(chain: Chain, numbers: range, parent: str) -> list[Block]:
    """Blocks that follow one another; it ends early where the node changed its branch."""
    found: list[Block] = []
    for number in numbers:
        block = chain.block(number)
        if block is None or block.parent != parent:
            break
        found.append(block)
        parent = block.hash
    return found
