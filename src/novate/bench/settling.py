"""How fast matches settle: the settlement service and a local chain, every fill checked in full.

Owns: what is timed. Orders are signed and matched before: from a match on, everything is the real
thing: the durable journal, the settler (calldata, signature, write before send), the node, the
contracts with both signatures, limits, fees and both sides' margin, and the watcher that brings the
block's outcome back into the journal. A thread of its own has the node mine, as a validator would.
Rates come from full batches back to back; latencies from matches that fall due at a fixed rate,
whether or not the ones before are through (no coordinated omission). The matching engine is not
part of it. Times come from the machine's clock: nothing that decides a fill sees them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, sleep
from typing import Any

from novate.bench.venue import Trader, Venue, trader
from novate.chain.backend import ClientBackend
from novate.chain.client import Client
from novate.chain.node import LocalNode
from novate.config import Parameters
from novate.engine.journal import GENESIS_KIND, Journal
from novate.engine.orders import record_of
from novate.model.order import IMMEDIATE
from novate.services.settler import Settler
from novate.services.watch import Watcher
from novate.wire import eip712, records
from novate.wire.order import SignedOrder
from novate.wire.records import AnyRecord, BatchClosed, ChainTransaction, Matched, OrderPlaced

FILLS_PER_S_TARGET = 5_000
P99_MS_TARGET = 100
RATE = 1_000
FILLS = 20_000
SECONDS = 5
BATCH = 100
DELAY_S = 0.02
MAKERS = TAKERS = 10
LOTS = 1
IN_FLIGHT_MAX = 8
GROUP = 4
PAUSE_S = 0.0005
WARM_UP = 2
TEXT = (
    "10 makers' resting orders, each filled ten times a batch, by 100 immediate orders of 10 "
    "takers; four perps on two underlyings; 110 signatures, 20 accounts gated a batch of 100"
)


@dataclass(frozen=True, slots=True)
class SettleReport:
    """Rates, latencies in milliseconds, gas a fill, and where a batch's time goes."""

    fills_per_s: int
    chain_fills_per_s: int
    p50_ms: float
    p99_ms: float
    rate: int
    gas_per_fill: int
    stages_ms: dict[str, float]
    fills: int
    settled: int

    def document(self) -> dict[str, Any]:
        """The report as JSON."""
        return {
            "fills_per_s": self.fills_per_s,
            "p99_ms": round(self.p99_ms, 1),
            "p50_ms": round(self.p50_ms, 1),
            "at_fills_per_s": self.rate,
            "gas_per_fill": self.gas_per_fill,
            "targets": {"fills_per_s": FILLS_PER_S_TARGET, "p99_ms": P99_MS_TARGET},
            "chain_alone_fills_per_s": self.chain_fills_per_s,
            "ms_per_batch_of_100": {k: round(v, 2) for k, v in self.stages_ms.items()},
            "fills": self.fills,
            "settled": self.settled,
            "text": TEXT,
        }


@dataclass(frozen=True, slots=True)
class Batch:
    """Matches of one batch, with the orders that none before had."""

    placed: tuple[OrderPlaced, ...]
    matches: tuple[Matched, ...]
    closed: BatchClosed

    def records(self) -> Iterator[AnyRecord]:
        """As the engine writes them."""
        yield from self.placed
        yield from self.matches
        yield self.closed


class Desk:
    """Signed orders and their matches, ahead of the clock."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self.makers = [trader(f"settling maker {i}") for i in range(MAKERS)]
        self.takers = [trader(f"settling taker {i}") for i in range(TAKERS)]
        self.perps = venue.parameters.instruments[:4]
        self.sequence = 0
        self._turn = 0
        venue.fund([*self.makers, *self.takers])

    def batch(self, count: int) -> Batch:
        """A batch of ``count`` fills; takers buy and sell in turn, so positions stay small."""
        self._turn += 1
        sign = 1 if self._turn % 2 else -1
        width = min(MAKERS, count)
        resting = [self._order(self.makers[i], i, -sign * count * LOTS) for i in range(width)]
        first = self.sequence
        placed, matches = list(resting), []
        for number in range(count):
            place = number % width
            taker = self.takers[number % TAKERS]
            order = self._order(taker, place, sign * LOTS, IMMEDIATE)
            placed.append(order)
            matches.append(self._match(order, resting[place], first + number))
        self.sequence += count
        return Batch(tuple(placed), tuple(matches), BatchClosed(first, count, 0, 0))

    def _order(self, owner: Trader, place: int, lots: int, flags: int = 0) -> OrderPlaced:
        perp = self.perps[place % len(self.perps)]
        signed = self.venue.order(owner, perp, lots, self.venue.price_of(perp), flags)
        return placed_record(self.venue.separator, signed)

    def _match(self, taker: OrderPlaced, maker: OrderPlaced, sequence: int) -> Matched:
        order = maker.order
        return Matched(
            sequence=sequence,
            maker=maker.digest,
            taker=taker.digest,
            maker_account=order.account,
            taker_account=taker.order.account,
            instrument=order.instrument,
            taker_buys=taker.order.lots > 0,
            lots=LOTS,
            price=order.price,
            fee_maker="0",
            fee_taker="0",
            matched_at=0,
            receipt=bytes(64),
            oracle_round=0,
        )


def placed_record(separator: bytes, signed: SignedOrder) -> OrderPlaced:
    """The journal's record of a signed order."""
    return OrderPlaced(
        digest=eip712.order_digest(separator, signed.order),
        order=record_of(signed.order),
        signature=signed.r.to_bytes(32, "big") + signed.vs.to_bytes(32, "big"),
        signer=bytes.fromhex(signed.order.owner[2:]),
        received_ms=0,
    )


class Service:
    """Settler and watcher over one journal, on one thread."""

    def __init__(self, venue: Venue, node: LocalNode, journal: Journal) -> None:
        self.journal = journal
        self.client = node.client()
        self.settler = Settler(self.client, venue.deployment, venue.executor.key)
        head = self.client.block().number
        self.watcher = Watcher(self.client, venue.deployment, head + 1)
        self.spent: dict[str, float] = {}
        self.gas = 0
        self._exchange = bytes.fromhex(venue.addresses["exchange"][2:])
        self._abi = venue.abis["exchange"]

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add a stage's seconds up."""
        began = perf_counter()
        yield
        self.spent[stage] = self.spent.get(stage, 0.0) + perf_counter() - began

    def take(self, batches: Sequence[Batch]) -> None:
        """Records of batches are written, then planned, written down, made durable and sent."""
        with self.timed("journal: matches"):
            for record in chain.from_iterable(batch.records() for batch in batches):
                self.journal.append(*records.encode(record))
                self.settler.follow(record)
        with self.timed("calldata and signature"):
            planned = self.settler.plan(0)
        with self.timed("journal: before sending"):
            for submitted in planned:
                self.journal.append(*records.encode(submitted))
                self.settler.follow(submitted)
            self.journal.commit()
        with self.timed("send"):
            self.settler.transmit()

    def watch(self) -> list[tuple[int, int]]:
        """What has come back since: (first sequence, fills settled) of each batch."""
        found = []
        with self.timed("watch and journal"):
            for record in self.watcher.poll():
                self.journal.append(*records.encode(record))
                self.settler.follow(record)
                if isinstance(record, ChainTransaction) and record.contract == self._exchange:
                    found.append(self._outcome(record))
                    self.gas += record.gas_used
            if found:
                self.journal.commit()
        return found

    def _outcome(self, record: ChainTransaction) -> tuple[int, int]:
        """What its last event says."""
        _, topics, data = record.events[-1]
        event = self._abi.decode_event("", list(topics), data)
        assert event is not None and event.name == "BatchSettled", "a settlement ends with it"
        first, settled = event.arguments["first_sequence"], event.arguments["settled"]
        return first, int(settled).bit_count()


@contextmanager
def validator(node: LocalNode) -> Iterator[threading.Event]:
    """Somebody has the node mine whenever something is pending; the event asks for it."""
    client = Client.over_ipc(node.ipc_path)
    wanted, over = threading.Event(), threading.Event()

    def mine() -> None:
        while not over.is_set():
            if wanted.wait(0.05):
                wanted.clear()
                client.request("evm_mine")

    thread = threading.Thread(target=mine)
    thread.start()
    try:
        yield wanted
    finally:
        over.set()
        thread.join()
        client.close()


def throughput(service: Service, node: LocalNode, batches: Sequence[Batch]) -> tuple[float, int]:
    """Seconds for full batches back to back, and the fills that settled."""
    settled = sent = seen = 0
    with validator(node) as mine:
        began = perf_counter()
        while seen < len(batches):
            if sent < len(batches) and sent - seen <= IN_FLIGHT_MAX - GROUP:
                group = batches[sent : sent + GROUP]
                service.take(group)
                sent += len(group)
                mine.set()
                continue
            outcomes = service.watch()
            settled += sum(count for _, count in outcomes)
            seen += len(outcomes)
            if not outcomes:
                sleep(PAUSE_S)
        return perf_counter() - began, settled


def latencies(
    service: Service, node: LocalNode, batches: Sequence[Batch], rate: int
) -> tuple[list[float], int]:
    """Seconds from each match's due time until its outcome is in the journal, and how many settled.

    A batch is sent once its last match is due; the first has then waited ``DELAY_S``.
    """
    found: list[float] = []
    settled = sent = seen = 0
    first = batches[0].closed.first_sequence
    sizes = {batch.closed.first_sequence: batch.closed.count for batch in batches}
    ends = [b.closed.first_sequence + b.closed.count - first for b in batches]
    with validator(node) as mine:
        began = perf_counter()
        while seen < len(batches):
            due = sent
            while due < len(batches) and perf_counter() - began >= ends[due] / rate:
                due += 1  # division: seconds
            if due > sent:
                service.take(batches[sent:due])
                sent = due
                mine.set()
                continue
            outcomes = service.watch()
            now = perf_counter() - began
            for sequence, count in outcomes:
                places = [sequence - first + i for i in range(sizes[sequence])]
                found += [now - (i + 1) / rate for i in places]  # division: seconds
                settled += count
            seen += len(outcomes)
            if not outcomes:
                sleep(PAUSE_S)
    return found, settled


def chain_alone(service: Service, desk: Desk, count: int) -> float:
    """Seconds that the node needs to mine ``count`` full batches that it has been given."""
    settler = service.settler
    for _ in range(count):
        for record in desk.batch(BATCH).records():
            settler.follow(record)
    for submitted in settler.plan(0):
        settler.follow(submitted)
    settler.transmit()
    began = perf_counter()
    service.client.mine()
    return perf_counter() - began


def _fresh(venue: Venue, node: LocalNode, journal: Journal) -> Service:
    """A service behind fresh prices, which the venue's executor posts itself."""
    assert isinstance(venue.backend, ClientBackend)
    venue.backend.client.forget_nonces()
    venue.post()
    return Service(venue, node, journal)


def measure(parameters: Parameters, fills: int = FILLS, seconds: int = SECONDS) -> SettleReport:
    """Deploy on a chain of its own and measure. Errors: ``NodeFault`` without the local node."""
    with TemporaryDirectory(prefix="novate-settle-") as folder, LocalNode() as node:
        venue = Venue(ClientBackend(node.client()), parameters)
        desk = Desk(venue)
        warm = [desk.batch(BATCH) for _ in range(WARM_UP)]
        full = [desk.batch(BATCH) for _ in range(fills // BATCH)]  # division: whole batches
        small = int(RATE * DELAY_S)
        timed = [desk.batch(small) for _ in range(RATE * seconds // small)]  # division: whole
        with Journal.open(Path(folder) / "journal.bin", lambda: 0) as journal:
            journal.append(GENESIS_KIND, b"")
            throughput(_fresh(venue, node, journal), node, warm)
            service = _fresh(venue, node, journal)
            took, settled = throughput(service, node, full)
            waited, late = latencies(_fresh(venue, node, journal), node, timed, RATE)
        alone = chain_alone(_fresh(venue, node, journal), desk, WARM_UP * 10)
    waited.sort()
    batches = len(full)
    return SettleReport(
        fills_per_s=int(batches * BATCH / took),  # division: a rate
        chain_fills_per_s=int(WARM_UP * 10 * BATCH / alone),  # division: a rate
        p50_ms=1_000 * median(waited),
        p99_ms=1_000 * waited[len(waited) * 99 // 100],  # division: a rank
        rate=RATE,
        gas_per_fill=-(-service.gas // (batches * BATCH)),  # division: up
        stages_ms={k: 1_000 * s / batches for k, s in service.spent.items()},  # division: a mean
        fills=batches * BATCH + len(waited),
        settled=settled + late,
    )
