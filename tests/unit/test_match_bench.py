"""The matching benchmark: what it reports, and a recording turned back into orders."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from novate import errors
from novate.bench import matching
from novate.bench.flows import MADE, Flow
from novate.bench.recorded import recorded
from novate.cli.main import main
from novate.engine.book import FastBook
from novate.errors import Rejected
from novate.model.book_terms import Kind

# (kind, side, price, size): a snapshot, a level that grows, one that shrinks, one that goes, a
# trade, a best price (repeats a level) and a price far off the ladder
ROWS = [
    (0, 1, 100.0, 0.005),
    (0, 1, 99.9, 0.007),
    (0, -1, 100.1, 0.004),
    (1, 1, 100.0, 0.009),
    (1, 1, 100.0, 0.003),
    (1, 1, 99.9, 0.0),
    (3, 1, 100.1, 0.001),
    (2, 1, 100.0, 0.003),
    (1, -1, 90_000.0, 1.0),
]


def write(path: Path, names: tuple[str, ...] = ("kind", "side", "px", "qty")) -> Path:
    columns = list(zip(*ROWS, strict=True))
    pq.write_table(pa.table({name: columns[i] for i, name in enumerate(names)}), path)
    return path


def test_a_recording_becomes_orders_that_make_the_same_book(tmp_path: Path) -> None:
    flow = recorded(write(tmp_path / "book.parquet"))
    assert len(flow.seed) == 3 and (flow.seed[:, 0] == Kind.PLACE).all()
    kinds = [Kind(kind).name for kind in flow.timed[:, 0].tolist()]
    assert kinds == ["PLACE", "CANCEL", "AMEND", "CANCEL", "PLACE"]
    book = FastBook(flow.capacity)
    assert not book.apply(flow.seed).results.any() and not book.apply(flow.timed).results.any()
    assert book.depth(True) == [(1_000, 3)] and book.depth(False) == [(1_001, 3)]


def test_a_recording_that_cannot_be_read_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(Rejected) as caught:
        recorded(tmp_path / "none.parquet")
    assert caught.value.error is errors.PriceFileMissing
    with pytest.raises(Rejected) as caught:
        recorded(write(tmp_path / "book.parquet", ("kind", "side", "price", "qty")))
    assert caught.value.error is errors.PriceFileColumns


@pytest.mark.parametrize("make", MADE, ids=lambda make: str(make.__name__))
def test_a_workload_is_the_same_every_time(make: object) -> None:
    assert callable(make)
    one, other = make(1_000), make(1_000)
    assert np.array_equal(one.seed, other.seed) and np.array_equal(one.timed, other.timed)


def thinned(make: Callable[[int], Flow]) -> Callable[[int], Flow]:
    """A workload on a book of a twentieth of the orders: the reference takes its time to seed."""

    def made(count: int) -> Flow:
        flow = make(count)
        return replace(flow, seed=flow.seed[: len(flow.seed) // 20])

    return made


def test_the_command_reports_every_workload_and_that_the_books_agree(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matching, "MADE", tuple(thinned(make) for make in MADE))
    path = write(tmp_path / "book.parquet")
    wanted = ["bench", "match", "--json", "--commands", "1000", "--runs", "1", "--flow", str(path)]
    with pytest.raises(SystemExit) as stopped:
        main(wanted)
    assert not stopped.value.code
    report = json.loads(capsys.readouterr().out)
    assert report["hash_equal"] is True and report["worst_commands_per_s"] > 0
    assert list(report["workloads"]) == ["steady", "deep", "swing", "flash_crash", "recorded"]
    assert all(workload["hash_equal"] for workload in report["workloads"].values())


def test_the_command_names_a_missing_recording(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["bench", "match", "--flow", "none.parquet"])
    assert stopped.value.code == 2 and "PriceFileMissing" in capsys.readouterr().err
