"""How many orders a venue takes over its API, and how long each waits, with everything on.

Owns: what is timed, and the load. The venue is a process of its own (``api_host.py``); the load is
this one, on the same cores. Orders are signed and framed before the clock runs; the venue verifies
every signature, judges margin, and answers only what its journal has synced. Throughput: each of
the connections sends its next request when its last is answered, one order each, or a tree of 256
under one signature. Latency: requests leave at their intended times whatever was answered
(open loop), and the wait is counted from that time on, so a venue that stalls is not spared.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from coincurve import PrivateKey

from novate.api import event_loop
from novate.bench.api_host import PRICES_USD, TRADERS
from novate.bench.api_line import Line, frame
from novate.chain.node import local_key
from novate.model.account import account_of
from novate.model.bulk import ORDERS_MAX
from novate.model.order import IMMEDIATE, Order
from novate.services.boot import coincurve_key
from novate.units import WAD
from novate.wire import eip712
from novate.wire.login import login_digest
from novate.wire.signing import Signer

CONNECTIONS = 4 * TRADERS
SECONDS = 30
ORDERS_PER_RUN_MAX = 60_000
RATE = 2_000
TARGETS = {"orders_per_s": 20_000, "bulk_orders_per_s": 40_000, "p50_us": 500, "p99_us": 1_500}
TEXT = (
    "orders signed and framed before the clock runs; 64 connections of 16 accounts "
    "(trees: one each); 60 % rest, "
    "20 % are immediate and meet nobody, 20 % are immediate and trade; every signature verified, "
    "margin on, answered once the journal is synced; credit limits lifted, nothing settled; the "
    "load generator runs on the same cores"
)


@dataclass(frozen=True, slots=True)
class ApiReport:
    """Orders a second, and microseconds from the intended time of sending to the answer."""

    orders_per_s: int
    bulk_orders_per_s: int
    p50_us: int
    p99_us: int
    rate: int
    sent: int
    refused: int
    seconds: float
    cpu_us: int
    cpu_bulk_us: int
    load_us: int
    load_bulk_us: int

    def document(self) -> dict[str, Any]:
        """The report as JSON."""
        return {
            "orders_per_s": self.orders_per_s,
            "bulk_orders_per_s": self.bulk_orders_per_s,
            "p50_us": self.p50_us,
            "p99_us": self.p99_us,
            "venue_cpu_us_an_order": self.cpu_us,
            "venue_cpu_us_an_order_in_bulk": self.cpu_bulk_us,
            "load_cpu_us_an_order": self.load_us,
            "load_cpu_us_an_order_in_bulk": self.load_bulk_us,
            "latency_at_orders_per_s": self.rate,
            "targets": TARGETS,
            "orders": self.sent,
            "refused": self.refused,
            "seconds_each": self.seconds,
            "what": TEXT,
        }


@dataclass(slots=True)
class Maker:
    """Makes signed orders of the traders, the same in every run."""

    separator: bytes
    now: int
    random: Random = field(default_factory=lambda: Random(7))
    nonce: int = 0
    keys: list[PrivateKey] = field(default_factory=list)
    signers: list[Signer] = field(default_factory=list)
    accounts: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.keys = [coincurve_key(local_key(f"bench trader {n}")) for n in range(TRADERS)]
        self.signers = [Signer(key, self.separator) for key in self.keys]
        self.accounts = [account_of(eip712.address_of(key.public_key)) for key in self.keys]

    def login(self, trader: int, number: int) -> bytes:
        """The frame that logs in."""
        account, stamp = self.accounts[trader], time.time_ns() // 10**6
        digest = login_digest(self.separator, account, stamp, number, "read trade")
        r, vs = eip712.sign(self.keys[trader], digest)
        params = {
            "grant_type": "signature",
            "account": f"0x{account:064x}",
            "timestamp": stamp,
            "nonce": number,
            "scope": "read trade",
            "signature": f"0x{r:064x}{vs:064x}",
        }
        return _request("public/auth", params)

    def order(self, trader: int) -> Order:
        """An order that rests, meets nobody, or trades."""
        draw, side, mark = self.random.random(), self.random.choice((-1, 1)), PRICES_USD[1]
        if draw < 0.6:
            price = mark - side * 5 * self.random.randint(1, 200)
        else:
            price = mark - side * 1_500 if draw < 0.8 else mark + side * 1_000
        self.nonce += 1
        return Order(
            account=self.accounts[trader],
            instrument=1,
            lots=side * self.random.randint(1, 3),
            price=price * WAD,
            max_fee=WAD,
            nonce=self.nonce,
            expiry=self.now + 86_400,
            flags=0 if draw < 0.6 else IMMEDIATE,
        )

    def one(self, trader: int) -> bytes:
        """The frame of one order."""
        signed = self.signers[trader].sign(self.order(trader))
        params = _fields(signed.order) | {"signature": f"0x{signed.r:064x}{signed.vs:064x}"}
        return _request("private/sell" if signed.order.sells else "private/buy", params)

    def many(self, trader: int) -> bytes:
        """The frame of a tree of orders."""
        signed = self.signers[trader].sign_bulk([self.order(trader) for _ in range(ORDERS_MAX)])
        orders = [
            _fields(order) | {"direction": "sell" if order.sells else "buy"}
            for order in signed.orders
        ]
        params = {"orders": orders, "signature": f"0x{signed.r:064x}{signed.vs:064x}"}
        return _request("private/place_orders", params)


def _fields(order: Order) -> dict[str, Any]:
    """An order as the API takes it; a lot is a thousandth."""
    found: dict[str, Any] = {
        "instrument_name": "BTC-PERPETUAL",
        "amount": f"0.{order.size:03d}",
        "price": str(order.price // WAD),  # division: whole dollars
        "max_fee": "1",
        "nonce": order.nonce,
        "expiry": order.expiry,
    }
    return found | ({"time_in_force": "immediate_or_cancel"} if order.immediate else {})


def _request(name: str, params: dict[str, Any]) -> bytes:
    body = {"jsonrpc": "2.0", "id": 1, "method": name, "params": params}
    return frame(json.dumps(body, separators=(",", ":")).encode())


class Load:
    """The connections, and what they were answered."""

    def __init__(self, maker: Maker) -> None:
        self.maker = maker
        self.lines: list[Line] = []
        self.answered: list[Callable[[bytes], None]] = []
        self.refused = 0

    async def connect(self, port: int) -> None:
        """Open and log in all connections."""
        loop = asyncio.get_running_loop()
        for number in range(CONNECTIONS):
            self.answered.append(lambda _: None)
            _, line = await loop.create_connection(partial(self._line, number), "127.0.0.1", port)
            await line.open
            reply = loop.create_future()
            self.answered[number] = reply.set_result
            line.send(self.maker.login(number % TRADERS, number + 1))
            assert b"access_token" in await reply
            self.lines.append(line)

    async def close(self) -> None:
        """Leave."""
        for line in self.lines:
            line.transport.close()
        await asyncio.sleep(0.1)

    def _line(self, number: int) -> Line:
        return Line(lambda message: self.answered[number](message))

    async def closed(
        self, frames: list[list[bytes]], orders: int, seconds: float
    ) -> tuple[float, int]:
        """Orders taken a second, and how many in all, each connection sending its next request when
        its last is answered. What was refused counts for nothing.
        """
        left, finished = len(frames), asyncio.Event()
        begun = time.perf_counter()
        until, count, last = begun + seconds, 0, begun

        def next_on(number: int) -> None:
            nonlocal left, count, last
            queue, line = frames[number], self.lines[number]

            def answered(message: bytes) -> None:
                nonlocal left, count, last
                last = time.perf_counter()
                self.refused += message.count(b'"error"')
                if b'"result"' in message:
                    count += orders
                if queue and last < until:
                    line.send(queue.pop())
                    return
                left -= 1
                if left == 0:
                    finished.set()

            self.answered[number] = answered
            line.send(queue.pop())

        for number in range(len(frames)):
            next_on(number)
        await finished.wait()
        return count / (last - begun), count

    async def open_loop(self, frames: list[list[bytes]], rate: int) -> list[float]:
        """Seconds from each request's intended time to its answer."""
        total = sum(map(len, frames))
        waits: list[float] = []
        due: list[deque[float]] = [deque() for _ in self.lines]
        finished = asyncio.Event()

        def listener(number: int) -> Callable[[bytes], None]:
            def answered(message: bytes) -> None:
                self.refused += message.count(b'"error"')
                waits.append(time.perf_counter() - due[number].popleft())
                if len(waits) == total:
                    finished.set()

            return answered

        for number in range(len(self.lines)):
            self.answered[number] = listener(number)
        begun = time.perf_counter() + 0.05
        files = [line.transport.get_extra_info("socket").fileno() for line in self.lines]

        def send_all() -> None:
            """Each request at its time; a loop's timers know no microseconds."""
            for sent in range(total):
                number, at = sent % len(files), begun + sent / rate
                while (left := at - time.perf_counter()) > 0:
                    time.sleep(left)
                due[number].append(at)
                data = frames[number].pop()
                assert os.write(files[number], data) == len(data), "a socket is full"

        await asyncio.to_thread(send_all)
        await asyncio.wait_for(finished.wait(), 60)
        return sorted(waits)


def _processor(process: int) -> float:
    """Seconds of processor that a process has used."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _run(
    said: dict[str, Any], process: int, seconds: int, orders: int, rate: int
) -> ApiReport:
    maker = Maker(bytes.fromhex(said["separator"]), said["now"])
    load = Load(maker)
    await load.connect(said["port"])
    each = -(-orders // CONNECTIONS)  # division: rounded up
    timed = -(-min(rate * seconds, orders) // CONNECTIONS)
    # one connection an account: 64 trees at once would be more than waits before load is shed
    trees = max(-(-orders // TRADERS // ORDERS_MAX), 1)

    def frames(
        make: Callable[[int], bytes], count: int, lines: int = CONNECTIONS
    ) -> list[list[bytes]]:
        return [[make(n % TRADERS) for _ in range(count)] for n in range(lines)]

    await load.closed(frames(maker.one, 4), 1, 5)  # warm
    waits = await load.open_loop(frames(maker.one, timed), rate)
    parts = []
    alone, bulk_of = (maker.one, each, CONNECTIONS), (maker.many, trees, TRADERS)
    for (make, count, lines), size in ((alone, 1), (bulk_of, ORDERS_MAX)):
        made = frames(make, count, lines)
        used, own = _processor(process), time.process_time()
        rates, done = await load.closed(made, size, seconds)
        own, used = time.process_time() - own, _processor(process) - used
        parts.append((rates, 1e6 * used / done, 1e6 * own / done))
    (single, cpu, load_us), (bulk, cpu_bulk, load_bulk) = parts
    await load.close()
    return ApiReport(
        orders_per_s=round(single),
        bulk_orders_per_s=round(bulk),
        p50_us=round(1e6 * waits[len(waits) // 2]),  # division: a place
        p99_us=round(1e6 * waits[len(waits) * 99 // 100]),  # division: a place
        rate=rate,
        sent=maker.nonce,
        refused=load.refused,
        seconds=seconds,
        cpu_us=round(cpu),
        cpu_bulk_us=round(cpu_bulk),
        load_us=round(load_us),
        load_bulk_us=round(load_bulk),
    )


def measure(
    seconds: int = SECONDS, orders: int = ORDERS_PER_RUN_MAX, rate: int = RATE
) -> ApiReport:
    """Start a venue in a folder of its own, load it, end it."""
    command = [sys.executable, "-m", "novate.bench.api_host"]
    with (
        TemporaryDirectory(prefix="novate-api-") as folder,
        subprocess.Popen(
            [*command, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as venue,
    ):
        assert venue.stdout is not None and venue.stdin is not None
        try:
            line = venue.stdout.readline()
            assert line, "the venue did not start"
            return event_loop.run(_run(json.loads(line), venue.pid, seconds, orders, rate))
        finally:
            venue.stdin.close()
            try:
                venue.wait(20)
            except subprocess.TimeoutExpired:
                venue.kill()
