"""How fast matches settle: the settlement service and a local chain, every fill checked in full.

Owns: what is timed. Orders are signed and matched before: from a match on, everything is the real
thing: the durable journal, the settlement loop (calldata, signature, write before send), the node,
the contracts with both signatures, limits, fees and both sides' margin, and the watcher that brings
the block's outcome back into the journal. A process of its own has the node mine
(``bench/validator.py``). Rates come from full batches back to back; latencies from matches that
fall due at a fixed rate, whether or not the ones before are through (no coordinated omission).
Beside them, in each run: what the node alone does with such transactions, which is the bound, and
the baseline, matches that settle one after the other, each in a transaction of its own. The
matching engine is not part of it. Times come from the machine's clock: nothing that decides a fill
sees them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Any

from novate.bench.desk import Batch, Desk
from novate.bench.validator import validator
from novate.bench.venue import Venue
from novate.chain.backend import ClientBackend
from novate.chain.ipc import Subscription
from novate.chain.node import LocalNode
from novate.config import Parameters
from novate.engine.journal import GENESIS_KIND, Journal
from novate.services.flights import BatchTimer
from novate.services.post import Background
from novate.services.reader import Reader
from novate.services.settlement_loop import SettlementLoop
from novate.services.settler import Settler
from novate.services.steady import steady
from novate.services.watch import Watcher
from novate.wire import records
from novate.wire.records import AnyRecord, ChainTransaction

FILLS_PER_S_TARGET = 5_000
P99_MS_TARGET = 100
RATE = 1_000
FILLS = 10_000
SECONDS = 5
RUNS = 3
BATCH = 100
DELAY_S = 0.02
IN_FLIGHT_MAX = 16
GROUP = 4
IDLE_S = 0.05
WARM_UP = 2
ALONE = 20
SINGLES = 50
BASELINE = "one match after the other, each in a transaction of its own"
TEXT = (
    "10 makers' resting orders, each filled ten times a batch, by 100 immediate orders of 10 "
    "takers; four perps on two underlyings; 110 signatures, 20 accounts gated a batch of 100"
)


@dataclass(slots=True)
class Run:
    """Rates, latencies in milliseconds, gas a fill, and where the loop's thread spends a batch."""

    fills_per_s: float
    chain_fills_per_s: float
    baseline_fills_per_s: float
    p50_ms: float
    p99_ms: float
    gas_per_fill: int
    stages_ms: dict[str, float]
    service_cpu_ms: float
    fills: int
    settled: int


@dataclass(frozen=True, slots=True)
class SettleReport:
    """Medians of several runs."""

    runs: list[Run]
    rate: int

    def median(self, read: Callable[[Run], float]) -> float:
        """The median of a figure."""
        return median(map(read, self.runs))

    @property
    def fills_per_s(self) -> int:
        """Fully checked fills a second."""
        return int(self.median(lambda run: run.fills_per_s))

    @property
    def chain_fills_per_s(self) -> int:
        """What the node alone does."""
        return int(self.median(lambda run: run.chain_fills_per_s))

    @property
    def p50_ms(self) -> float:
        """From match to settled, half of them."""
        return self.median(lambda run: run.p50_ms)

    @property
    def p99_ms(self) -> float:
        """From match to settled, all but the slowest hundredth."""
        return self.median(lambda run: run.p99_ms)

    @property
    def gas_per_fill(self) -> int:
        """Gas of a fill in a full batch."""
        return self.runs[0].gas_per_fill

    @property
    def times_baseline(self) -> float:
        """The median of the runs' own ratios."""
        return self.median(
            lambda run: run.fills_per_s / run.baseline_fills_per_s
        )  # division: ratio

    @property
    def share_of_chain(self) -> float:
        """How much of what the node alone does, by the runs' own ratios."""
        return self.median(lambda run: run.fills_per_s / run.chain_fills_per_s)  # division: a ratio

    @property
    def stages_ms(self) -> dict[str, float]:
        """Milliseconds of the loop's thread for a batch of 100."""
        return {
            stage: median(run.stages_ms[stage] for run in self.runs)
            for stage in self.runs[0].stages_ms
        }

    @property
    def service_cpu_ms(self) -> float:
        """Processor time of the service's process for a batch of 100."""
        return self.median(lambda run: run.service_cpu_ms)

    @property
    def fills(self) -> int:
        """Fills of all runs."""
        return sum(run.fills for run in self.runs)

    @property
    def settled(self) -> int:
        """How many of them settled."""
        return sum(run.settled for run in self.runs)

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
            "share_of_chain_alone": round(self.share_of_chain, 2),
            "baseline": {
                "name": BASELINE,
                "fills_per_s": int(self.median(lambda run: run.baseline_fills_per_s)),
            },
            "times_baseline": round(self.times_baseline, 1),
            "runs": [
                {"fills_per_s": int(run.fills_per_s), "p99_ms": round(run.p99_ms, 1)}
                for run in self.runs
            ],
            "ms_per_batch_of_100": {k: round(v, 2) for k, v in self.stages_ms.items()},
            "processor_ms_per_batch_of_100": round(self.service_cpu_ms, 2),
            "fills": self.fills,
            "settled": self.settled,
            "text": TEXT,
        }


class Service:
    """The settlement loop over one journal, with its reader and its post."""

    def __init__(self, venue: Venue, journal: Journal, parts: ExitStack, path: Path) -> None:
        assert isinstance(venue.backend, ClientBackend)
        self.journal = journal
        self.client = venue.backend.client
        self.wake = threading.Event()
        self.found: list[tuple[int, int]] = []
        self.gas = 0
        own = [type(self.client).over_ipc(path) for _ in range(2)]
        heads = Subscription(path, "newHeads")
        parts.callback(heads.close)
        parts.callback(own[0].close)
        watcher = Watcher(own[0], venue.deployment, self.client.block().number + 1)
        post = parts.enter_context(Background(own[1], self.wake.set))
        reader = parts.enter_context(Reader(watcher, heads, self.wake.set))
        settler = Settler(self.client, venue.deployment, venue.executor.key, post=post)
        self.loop = SettlementLoop(settler, reader, BatchTimer(), self._write)
        steady()
        self.began = perf_counter()
        self._exchange = bytes.fromhex(venue.addresses["exchange"][2:])
        self._abi = venue.abis["exchange"]

    def take(self, batches: Sequence[Batch]) -> None:
        """What the engine writes of batches; it is made durable with what follows from it."""
        began = perf_counter()
        for batch in batches:
            for record in batch.records():
                self.journal.append(*records.encode(record))
                self.loop.follow(record)
        self.loop.seconds["journal"] += perf_counter() - began

    def turn(self) -> list[tuple[int, int]]:
        """A turn of the loop; what it brought back: (first sequence, fills settled) of batches."""
        self.found = []
        self.wake.clear()
        self.loop.turn(int(1_000 * (perf_counter() - self.began)))
        return self.found

    def rest(self, seconds: float) -> None:
        """Wait until there is something to do, or for so long."""
        with self.loop.timed("idle"):
            self.wake.wait(seconds)

    def _write(self, made: Sequence[AnyRecord]) -> None:
        for record in made:
            self.journal.append(*records.encode(record))
            self.loop.follow(record)
            if isinstance(record, ChainTransaction) and record.contract == self._exchange:
                self.found.append(self._outcome(record))
                self.gas += record.gas_used
        self.journal.commit()

    def _outcome(self, record: ChainTransaction) -> tuple[int, int]:
        """What its last event says."""
        _, topics, data = record.events[-1]
        event = self._abi.decode_event("", list(topics), data)
        assert event is not None and event.name == "BatchSettled", "a settlement ends with it"
        first, settled = event.arguments["first_sequence"], event.arguments["settled"]
        return first, int(settled).bit_count()


@dataclass(slots=True)
class Stand:
    """A venue on a chain of its own, and the journal."""

    venue: Venue
    node: LocalNode
    journal: Journal
    desk: Desk = field(init=False)

    def __post_init__(self) -> None:
        self.desk = Desk(self.venue)

    @contextmanager
    def service(self, mining: bool = True) -> Iterator[Service]:
        """A service behind fresh prices, which the venue's executor posts itself; on a slow machine
        the last ones are an outage old."""
        assert isinstance(self.venue.backend, ClientBackend)
        self.venue.backend.client.forget_nonces()
        self.venue.calm()
        path = self.node.ipc_path
        with ExitStack() as parts:
            made = Service(self.venue, self.journal, parts, path)
            if mining:
                parts.enter_context(validator(path))
            yield made


def throughput(service: Service, batches: Sequence[Batch]) -> tuple[float, int]:
    """Seconds for full batches back to back, and the fills that settled."""
    settled = sent = seen = 0
    began = perf_counter()
    while seen < len(batches):
        if sent < len(batches) and sent - seen <= IN_FLIGHT_MAX - GROUP:
            group = batches[sent : sent + GROUP]
            service.take(group)
            sent += len(group)
        outcomes = service.turn()
        settled += sum(count for _, count in outcomes)
        seen += len(outcomes)
        if sent == len(batches) or sent - seen > IN_FLIGHT_MAX - GROUP:
            service.rest(IDLE_S)
    return perf_counter() - began, settled


def latencies(service: Service, batches: Sequence[Batch], rate: int) -> tuple[list[float], int]:
    """Seconds from each match's due time until its outcome is in the journal, and how many settled.

    A batch is sent once its last match is due; the first has then waited ``DELAY_S``.
    """
    found: list[float] = []
    settled = sent = seen = 0
    first = batches[0].closed.first_sequence
    sizes = {batch.closed.first_sequence: batch.closed.count for batch in batches}
    ends = [(b.closed.first_sequence + b.closed.count - first) / rate for b in batches]  # division:
    began = perf_counter()  # seconds
    while seen < len(batches):
        due = sent
        while due < len(batches) and perf_counter() - began >= ends[due]:
            due += 1
        service.take(batches[sent:due])
        sent = due
        outcomes = service.turn()
        now = perf_counter() - began
        for sequence, count in outcomes:
            places = [sequence - first + i for i in range(sizes[sequence])]
            found += [now - (i + 1) / rate for i in places]  # division: seconds
            settled += count
        seen += len(outcomes)
        until = ends[sent] - (perf_counter() - began) if sent < len(batches) else IDLE_S
        service.rest(max(0.0, min(until, IDLE_S)))
    return found, settled


def one_by_one(service: Service, batches: Sequence[Batch]) -> float:
    """Seconds for batches of which each is awaited before the next is sent: the baseline."""
    began = perf_counter()
    for batch in batches:
        service.take([batch])
        while not service.turn():
            service.rest(IDLE_S)
    return perf_counter() - began


def chain_alone(service: Service, desk: Desk, count: int) -> float:
    """Seconds that the node needs to take and mine full batches, in blocks of ``GROUP``."""
    settler, took = service.loop.settler, 0.0
    for _ in range(count // GROUP):  # division: whole blocks
        for batch in [desk.batch(BATCH) for _ in range(GROUP)]:
            for record in batch.records():
                settler.follow(record)
        planned = settler.plan(0)
        for submitted in planned:
            settler.follow(submitted)
        raw = [settler.raw(submitted) for submitted in planned]
        began = perf_counter()
        service.client.send_raw(*raw)
        service.client.mine()
        took += perf_counter() - began
    return took


def one_run(stand: Stand, fills: int, seconds: int) -> Run:
    """Measure everything once."""
    desk = stand.desk
    full = [desk.batch(BATCH) for _ in range(fills // BATCH)]  # division: whole batches
    small = int(RATE * DELAY_S)
    timed = [desk.batch(small) for _ in range(RATE * seconds // small)]  # division: whole
    single = [desk.batch(1) for _ in range(SINGLES)]
    with stand.service() as service:
        began = process_time()
        took, settled = throughput(service, full)
        busy = process_time() - began
        gas, spent = service.gas, dict(service.loop.seconds)
    with stand.service() as service:
        waited, late = latencies(service, timed, RATE)
    with stand.service() as service:
        slow = one_by_one(service, single)
    with stand.service(mining=False) as service:
        alone = chain_alone(service, desk, ALONE)
    waited.sort()
    batches = len(full)
    return Run(
        fills_per_s=batches * BATCH / took,  # division: a rate
        chain_fills_per_s=ALONE * BATCH / alone,  # division: a rate
        baseline_fills_per_s=SINGLES / slow,  # division: a rate
        p50_ms=1_000 * median(waited),
        p99_ms=1_000 * waited[len(waited) * 99 // 100],  # division: a rank
        gas_per_fill=-(-gas // (batches * BATCH)),  # division: up
        stages_ms={k: 1_000 * s / batches for k, s in spent.items()},  # division: a mean
        service_cpu_ms=1_000 * busy / batches,  # division: a mean
        fills=batches * BATCH + len(waited),
        settled=settled + late,
    )


def measure(
    parameters: Parameters, fills: int = FILLS, seconds: int = SECONDS, runs: int = RUNS
) -> SettleReport:
    """Deploy on a chain of its own and measure. Errors: ``NodeFault`` without the local node."""
    with TemporaryDirectory(prefix="novate-settle-") as folder, LocalNode() as node:
        venue = Venue(ClientBackend(node.client()), parameters)
        with Journal.open(Path(folder) / "journal.bin", lambda: 0) as journal:
            journal.append(GENESIS_KIND, b"")
            stand = Stand(venue, node, journal)
            with stand.service() as service:
                throughput(service, [stand.desk.batch(BATCH) for _ in range(WARM_UP)])
            return SettleReport([one_run(stand, fills, seconds) for _ in range(runs)], RATE)
