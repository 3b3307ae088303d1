"""A running venue under load, and what may befall its processes."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from contextlib import suppress
from decimal import Decimal
from io import StringIO
from pathlib import Path
from random import Random
from typing import Any

import msgspec
from rich.console import Console

from novate import config
from novate.cli import verify
from novate.engine.journal import Scanner
from novate.sdk import Client, SigningKey
from novate.sdk.faults import ApiError, ConnectionLost, OutcomeUnknown
from novate.wire import records
from novate.wire.records import Busted, Matched, OrderPlaced

BTC = "BTC-PERPETUAL"
SETTINGS = "[venue]\nbatch_ms = 100\nblock_ms = 200\nsnapshot_minutes = 1\n"
FOREVER = resource.RLIM_INFINITY


class Up:
    """``novate up`` in a folder, killed and begun again; ``acknowledged`` is what clients know."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.options = options
        self.settings = folder.with_suffix(".toml")
        self.settings.write_text(SETTINGS)
        self.process: subprocess.Popen[str]
        self.said: dict[str, Any] = {}
        self.acknowledged: list[str] = []
        self.refusals: Counter[str] = Counter()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin the process; returns once it has said where it listens."""
        command = [sys.executable, "-m", "novate", "up", "--folder", str(self.folder), "--json"]
        port = self.said["url"].rsplit(":", 1)[1] if self.said else "0"
        command += ["--config", str(self.settings), "--port", port, *self.options]
        errors = self.folder.with_suffix(".err").open("a")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        errors.close()
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.folder.with_suffix(".err").read_text()[-3_000:]
        self.said = json.loads(line)

    def health(self) -> dict[str, Any]:
        """What ``/health`` says, ready or not."""
        try:
            with urllib.request.urlopen(f"{self.said['url']}/health", timeout=5) as reply:
                return dict(json.load(reply))
        except urllib.error.HTTPError as refused:
            return dict(json.load(refused))

    def until(self, ready: Any, seconds: float = 40) -> dict[str, Any]:
        """Wait until a state of health has come."""
        deadline = time.monotonic() + seconds
        found: dict[str, Any] = {}
        while time.monotonic() < deadline:
            with suppress(OSError):
                found = self.health()
                if ready(found):
                    return found
            time.sleep(0.1)
        raise AssertionError(found)

    def last_trade(self) -> int:
        """How many matches there have been."""
        path = f"/api/v1/public/get_last_trades_by_instrument?instrument_name={BTC}&count=1"
        with urllib.request.urlopen(self.said["url"] + path, timeout=5) as reply:
            trades = json.load(reply)["result"]["trades"]
        return int(trades[0]["trade_id"]) if trades else -1

    def trades_on(self) -> None:
        """Everything is ready, and there are new trades."""
        self.until(lambda health: health["ready"])
        before, deadline = self.last_trade(), time.monotonic() + 30
        while self.last_trade() < before + 5:
            assert time.monotonic() < deadline, (self.refusals, self.health())
            time.sleep(0.2)

    # What befalls it

    def kill_venue(self) -> None:
        """The venue dies; its node and its index are left behind, and it is begun again."""
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.start()

    def kill_part(self, part: str) -> None:
        """One child dies, and the venue begins it again."""
        before = self.until(lambda h: h["parts"][part]["pid"])["parts"][part]
        os.kill(before["pid"], signal.SIGKILL)
        self.until(lambda h: h["parts"][part]["restarts"] > before["restarts"])

    def freeze_chain(self, seconds: float) -> None:
        """The node hangs for a while."""
        pid = self.health()["parts"]["chain"]["pid"]
        os.kill(pid, signal.SIGSTOP)
        time.sleep(seconds)
        os.kill(pid, signal.SIGCONT)

    def fill_disk(self, seconds: float) -> None:
        """No file may grow or be written behind its first page for a while."""
        before = resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (4_096, FOREVER))
        self.until(lambda h: "engine" in h["not_ready"])
        time.sleep(seconds)
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, before)
        self.until(lambda h: "engine" not in h["not_ready"])

    def befall(self, what: str) -> None:
        """One of the above by its name."""
        match what:
            case "venue":
                self.kill_venue()
            case "frozen":
                self.freeze_chain(2)
            case "full disk":
                self.fill_disk(2)
            case part:
                self.kill_part(part)

    # Load

    def load(self) -> None:
        """Two clients trade, whatever happens, until ``rest``."""
        for number in (0, 1):
            thread = threading.Thread(target=self._trade, args=(number,), daemon=True)
            thread.start()
            self._threads.append(thread)

    def _trade(self, number: int) -> None:
        random = Random(number)
        key = SigningKey(self.said["accounts"][number]["private_key"])
        while not self._stop.is_set():
            try:
                with Client(self.said["url"], key) as client:
                    self._session(client, random)
            except (ApiError, ConnectionLost, OutcomeUnknown) as fault:
                self.refusals[type(fault).__name__] += 1
                time.sleep(0.2)

    def _session(self, client: Client, random: Random) -> None:
        price = round(Decimal(client.fetch_ticker(BTC)["mark_price"]))
        while not self._stop.is_set():
            side = random.choice(("buy", "sell"))
            limit = price + random.randrange(-8, 9)
            force = random.choice(("good_til_cancelled", "immediate_or_cancel"))
            try:
                placed = client.create_order(BTC, side, "0.01", limit, time_in_force=force)
            except ApiError as fault:
                self.refusals[fault.name] += 1
            else:
                self.acknowledged.append(placed["order"]["order_id"])
            if random.random() < 0.02:
                client.call("private/cancel_all")
            time.sleep(0.005)

    def rest(self) -> None:
        """No more orders; wait until everything is settled; stop in order."""
        self._stop.set()
        for thread in self._threads:
            thread.join(30)
        key = SigningKey(self.said["accounts"][0]["private_key"])
        with Client(self.said["url"], key) as client:
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                states = Counter(t["settlement_state"] for t in client.fetch_trades(BTC, 1_000))
                if set(states) <= {"settled"}:
                    break
                time.sleep(0.2)
            assert set(states) <= {"settled"}, states
        self.end()

    def end(self) -> None:
        """Stop in order, if it runs."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        assert self.process.wait(60) == 0
        assert self.process.stdout is not None
        self.process.stdout.close()

    # Judgement

    def judge(self) -> dict[str, int]:
        """Nothing acknowledged is lost, nothing is there or settled twice, nothing busted, and
        everything verifies; counts of what there was.
        """
        scanner = Scanner(self.folder / "journal.bin")
        scanner.run()
        held = [records.decode(r.kind, r.payload) for r in scanner.records]
        placed = Counter("0x" + r.digest.hex() for r in held if isinstance(r, OrderPlaced))
        assert max(placed.values()) == 1
        lost = set(self.acknowledged) - set(placed)
        assert not lost, f"{len(lost)} acknowledged orders lost"
        assert not any(isinstance(r, Busted) for r in held)
        matches = [r.sequence for r in held if isinstance(r, Matched)]
        assert matches == list(range(len(matches)))
        with verify._opened(self.folder, None, config.load()) as case:
            verdicts = verify.run(case, None, Console(file=StringIO()))
            assert all(v.passed for v in verdicts), [v for v in verdicts if not v.passed]
            counts = verify.recount(case)
        assert counts["fills_settled"] == counts["fills_matched"] == len(matches)
        log = (self.folder / "log.jsonl").read_bytes().splitlines()
        lines = [msgspec.json.decode(line) for line in log]
        failed = [line for line in lines if line["message"].startswith(("core failed", "method"))]
        assert not failed, failed[0]
        return {
            "acknowledged": len(self.acknowledged),
            "matches": len(matches),
            "records": len(held),
        }
