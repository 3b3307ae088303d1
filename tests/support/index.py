"""Records, logs and chains made up for the read side; databases to put them in; tables compared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from eth_abi import encode
from eth_utils.crypto import keccak
from sqlalchemy import Connection, Table, select

from novate.chain.backend import abi_of
from novate.chain.deployment import CONTRACT_OF, Deployment
from novate.config import Parameters
from novate.engine.journal_frame import EMPTY, Record, frame
from novate.services.indexer import BY_JOURNAL, Indexer
from novate.services.indexer_blocks import Block
from novate.store import schema
from novate.store.database import Database
from novate.units import WAD
from novate.wire import records
from novate.wire.records import (
    AnyRecord,
    ChainTransaction,
    Genesis,
    Matched,
    Order,
    OrderPlaced,
)
from support.engine import address_of, deployed

START_MS = 1_760_000_000_000
Log = tuple[bytes, list[bytes], bytes]
DEPLOYMENT, PARAMETERS, NOW = deployed()
MAKER, TAKER = (bytes.fromhex(address_of(n)[2:]) + bytes(12) for n in ("maker", "taker"))
EXECUTOR = DEPLOYMENT.roles.executors[0]
STRANGER = address_of("stranger")


def venue() -> tuple[Deployment, Parameters]:
    """A deployment that stands on no chain, and its parameters."""
    return DEPLOYMENT, PARAMETERS


def index(store: Database, source: str = BY_JOURNAL, **options: int) -> Indexer:
    """An indexer of the made-up venue."""
    return Indexer(store, DEPLOYMENT, PARAMETERS, source, **options)


# The journal


class Pen:
    """Writes records as a journal would; ``entries`` are all so far."""

    def __init__(self) -> None:
        self.entries: list[Record] = []
        self.time_ms = START_MS
        contracts = {n: bytes.fromhex(a[2:]) for n, a in DEPLOYMENT.addresses.items()}
        self.write(Genesis(DEPLOYMENT.chain_id, contracts, bytes(32)))

    def write(self, *found: AnyRecord) -> list[Record]:
        """Append records; returns them as entries."""
        return [self.raw(*records.encode(record)) for record in found]

    def raw(self, kind: str, payload: bytes) -> Record:
        """Append whatever claims to be a record."""
        last = self.entries[-1].hash if self.entries else EMPTY.hash
        _, digest = frame(len(self.entries), self.time_ms, kind, payload, last, False)
        made = Record(len(self.entries), self.time_ms, kind, payload, last, digest)
        self.entries.append(made)
        return made


def digest(number: int) -> bytes:
    return sha256(b"order %d" % number).digest()


def placed(
    number: int, lots: int, price: int = 100_000, account: bytes = b"", **more: Any
) -> OrderPlaced:
    """An order for ``lots`` (buy > 0) of the BTC perpetual at a price in dollars."""
    owner = account or (TAKER if lots > 0 else MAKER)
    terms = Order(
        account=owner,
        instrument=1,
        lots=lots,
        price=records.big(price * WAD),
        max_fee="1",
        nonce=number,
        revision=0,
        expiry=2**39,
        exclusive_until=0,
        flags=more.pop("flags", 0),
        executor=bytes(20),
    )
    return OrderPlaced(digest(number), terms, bytes(64), owner[:20], START_MS, **more)


def matched(sequence: int, maker: int, taker: int, lots: int, price: int = 100_000) -> Matched:
    """A trade of two orders: the taker buys."""
    return Matched(
        sequence=sequence,
        maker=digest(maker),
        taker=digest(taker),
        maker_account=MAKER,
        taker_account=TAKER,
        instrument=1,
        taker_buys=True,
        lots=lots,
        price=records.big(price * WAD),
        fee_maker="100",
        fee_taker="400",
        matched_at=START_MS // 1000,
        receipt=bytes(64),
        oracle_round=1,
    )


# The chain


def log(contract: str, name: str, **arguments: Any) -> Log:
    """An event as a contract of the venue logs it."""
    abi = abi_of(CONTRACT_OF[contract])
    entry = next(e for e in abi.entries if e["type"] == "event" and e["name"] == name)
    types = [i["type"] for i in entry["inputs"]]
    topics = [bytes(keccak(f"{name}({','.join(types)})".encode()))]
    plain = []
    for item in entry["inputs"]:
        value = arguments[item["name"]]
        if item["indexed"]:
            topics.append(encode([item["type"]], [value]))
        else:
            plain.append((item["type"], value))
    data = encode([kind for kind, _ in plain], [value for _, value in plain])
    return bytes.fromhex(DEPLOYMENT.addresses[contract][2:]), topics, data


def fill_log(sequence: int, lots: int, price: int = 100_000) -> Log:
    """A settled fill: the taker buys."""
    word = sequence | 1 << 64 | lots << 84 | price * WAD << 128
    return log("exchange", "Fill", maker=MAKER, taker=TAKER, word=word)


def batch_log(first: int, count: int, settled: int, executor: str = EXECUTOR) -> Log:
    """The end of a settlement."""
    return log(
        "exchange",
        "BatchSettled",
        executor=executor,
        first_sequence=first,
        count=count,
        settled=settled,
    )


def skipped_log(place: int, selector: int) -> Log:
    """A fill that the Exchange barred."""
    return log("exchange", "FillSkipped", index=place, code=selector.to_bytes(4, "big"))


def settle_calldata(receipts: int = 0, executor: str = EXECUTOR) -> bytes:
    """Calldata of a settlement without orders; with receipts it names its executor."""
    arguments: list[Any] = [b"", [], [], [], [], 0, []]
    if receipts:
        arguments += [executor, [[0, 0, 0]] * receipts]
    return abi_of("Exchange").encode_call("settle", *arguments)


def transaction(
    block: int,
    logs: Iterable[Log] = (),
    position: int = 0,
    sender: str = EXECUTOR,
    contract: str = "exchange",
    calldata: bytes | None = None,
    succeeded: bool = True,
) -> ChainTransaction:
    """A transaction in a block; a settlement by our executor unless said otherwise."""
    to = DEPLOYMENT.addresses.get(contract, contract)
    return ChainTransaction(
        block=block,
        timestamp=NOW + block,
        position=position,
        transaction=sha256(f"{block} {position} {contract}".encode()).digest(),
        sender=bytes.fromhex(sender[2:]),
        contract=bytes.fromhex(to[2:]),
        calldata=settle_calldata() if calldata is None else calldata,
        succeeded=succeeded,
        gas_used=21_000,
        events=list(logs),
    )


class Branches:
    """A chain whose newest blocks can be replaced; it may also be asked by a node that lags."""

    def __init__(self) -> None:
        self.base = DEPLOYMENT.block
        self.blocks = [Block(self.base, _name("base"), _name("before"), NOW, ())]
        self.lag = 0

    def head(self) -> int:
        return self.blocks[-1].number - self.lag

    def hash_of(self, number: int) -> str | None:
        found = self.block(number)
        return found.hash if found else None

    def block(self, number: int) -> Block | None:
        place = number - self.base
        return self.blocks[place] if 0 <= place <= self.head() - self.base else None

    def mine(self, *logs: Log, branch: str = "a", **more: Any) -> int:
        """A block with one transaction, if there are logs; its number."""
        last = self.blocks[-1]
        number = last.number + 1
        found = (transaction(number, logs, **more),) if logs else ()
        name = _name(f"{branch} {number} {last.hash}")
        self.blocks.append(Block(number, name, last.hash, NOW + number, found))
        return number

    def drop(self, count: int) -> None:
        """Take the newest blocks off the chain."""
        del self.blocks[-count:]

    def rename(self, number: int, parent: str) -> None:
        """Make a block claim another parent."""
        place = number - self.base
        self.blocks[place] = replace(self.blocks[place], parent=parent)


def _name(text: str) -> str:
    return "0x" + sha256(text.encode()).hexdigest()


# Tables


def rows_of(connection: Connection) -> dict[str, list[tuple[Any, ...]]]:
    """Every row by table, in key order; checkpoints only save time and are left out."""
    found = {}
    for name, table in schema.METADATA.tables.items():
        if table is not schema.checkpoints:
            query = select(table).order_by(*table.primary_key)
            found[name] = [tuple(row) for row in connection.execute(query)]
    return found


def contents(store: Database) -> dict[str, list[tuple[Any, ...]]]:
    """``rows_of`` in a transaction of its own."""
    with store.begin() as connection:
        return rows_of(connection)


@pytest.fixture
def store_of_each_kind(database_url: str) -> Iterator[Database]:
    with closing(Database.open(database_url)) as opened:
        yield opened


@pytest.fixture
def store_in_memory() -> Iterator[Database]:
    with closing(Database.open("sqlite://")) as opened:
        yield opened


def rows(store: Database, table: Table) -> list[dict[str, Any]]:
    """A table's rows by its key."""
    with store.begin() as connection:
        found = connection.execute(select(table).order_by(*table.primary_key))
        return [dict(row._mapping) for row in found]
