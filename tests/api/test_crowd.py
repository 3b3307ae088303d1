"""Thousands of connected clients that ask nothing: what they cost, and who comes too late."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from statistics import median

import pytest
from support.chaos import BTC, SETTINGS, Up
from support.crowd import Crowd

from novate.api.door import FILES_KEPT, room_for
from novate.sdk import Client, ConnectionLost, SigningKey

MANY, SOME, TOO_MANY, SPARE = 10_000, 1_500, 100, 5
PING_S = 50  # a ping every 30 s, and 15 s to answer it
BYTES_EACH = 64 << 10


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    made = Up(tmp_path / "venue")
    yield made
    if made.process.poll() is None:
        made.end()


def memory(up: Up) -> int:
    """The process's bytes in memory."""
    pages = Path(f"/proc/{up.process.pid}/statm").read_text().split()[1]
    return int(pages) * resource.getpagesize()


def worked(client: Client, count: int = 100) -> float:
    """Seconds that an order takes, half of them."""
    price = round(Decimal(client.fetch_ticker(BTC)["mark_price"])) - 50
    took = []
    for _ in range(count):
        began = time.perf_counter()
        placed = client.create_order(BTC, "buy", "0.01", price)
        took.append(time.perf_counter() - began)
        client.cancel_order(placed["order"]["order_id"])
    return median(took)


def is_served(up: Up, key: SigningKey) -> bool:
    """Whether somebody who comes now may trade."""
    try:
        with Client(up.said["url"], key) as later:
            worked(later, 1)
    except ConnectionLost:
        time.sleep(0.2)
        return False
    return True


def stand(up: Up, count: int, seconds: float) -> None:
    """So many stand there for so long, and more want to."""
    up.settings.write_text(f"{SETTINGS}connections = {count + SPARE}\n")
    up.start()
    key, port = SigningKey(up.said["accounts"][0]["private_key"]), int(up.said["url"].split(":")[2])
    up.until(lambda health: health["ready"])
    with Client(up.said["url"], key) as active:
        alone, before = worked(active), memory(up)
        with Crowd(port, count + TOO_MANY) as crowd:
            held, refused = crowd.first["held"], crowd.first["refused"]
            assert count <= held < count + SPARE and set(refused) == {"429"}, crowd.first
            assert held + refused["429"] == count + TOO_MANY
            assert (memory(up) - before) / held < BYTES_EACH
            with pytest.raises(ConnectionLost, match="429"):
                Client(up.said["url"]).__enter__()
            assert worked(active) < max(0.05, 5 * alone)
            time.sleep(seconds)
            assert crowd.lives() == held
            assert worked(active) < max(0.05, 5 * alone)
        deadline = time.monotonic() + 30
        while not is_served(up, key):  # once the others' ends are seen
            assert time.monotonic() < deadline


def test_some_thousand_idle_clients_hold_nobody_up_and_the_next_is_refused(up: Up) -> None:
    stand(up, SOME, 1)


@pytest.mark.nightly
def test_ten_thousand_idle_clients_hold_nobody_up(up: Up) -> None:
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    most = files - FILES_KEPT - SPARE - TOO_MANY
    if most < MANY:
        pytest.skip(f"the system allows a process {files} files: ulimit -Hn 10700 or more")
    stand(up, MANY, PING_S)


@pytest.mark.parametrize(
    ("soft", "hard", "raised", "room"),
    [
        (1_024, 20_000, 10_512, 10_000),
        (1_024, 4_096, 4_096, 3_584),
        (256, 256, None, 1),
        (1_024, resource.RLIM_INFINITY, 10_512, 10_000),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, None, 10_000),
        (65_536, 65_536, None, 10_000),
    ],
)
def test_files_are_kept_for_the_venue_itself(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, raised: int | None, room: int
) -> None:
    set_to: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, both: set_to.append(both))
    assert room_for(10_000) == room
    if raised is not None:
        assert set_to == [(raised, hard)]
    else:
        assert set(set_to) <= {(soft, hard)}


def test_a_system_that_grants_less_than_it_says_is_taken_at_its_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_: int, both: tuple[int, int]) -> None:
        raise ValueError("current limit exceeds maximum limit")

    monkeypatch.setattr(resource, "getrlimit", lambda _: (2_048, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert room_for(10_000) == 2_048 - FILES_KEPT
