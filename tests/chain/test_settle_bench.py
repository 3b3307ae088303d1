"""``novate bench settle``, small: every fill settles, and the figures are there."""

from __future__ import annotations

import json

import pytest

from novate.bench import settling
from novate.cli import main as cli


def test_every_fill_of_the_benchmark_settles(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(settling, "WARM_UP", 1)
    monkeypatch.setattr(settling, "ALONE", 4)
    monkeypatch.setattr(settling, "SINGLES", 5)
    with pytest.raises(SystemExit) as ended:
        cli.main(["bench", "settle", "--json", "--fills", "200", "--seconds", "1", "--runs", "1"])
    assert ended.value.code == 0
    found = json.loads(capsys.readouterr().out)
    assert found["fills"] == found["settled"] == 1_200
    assert found["fills_per_s"] > 0 and found["p99_ms"] >= found["p50_ms"] > 0
    assert 0 < found["gas_per_fill"] < 35_000
    assert set(found["targets"]) == {"fills_per_s", "p99_ms"}
    assert found["chain_alone_fills_per_s"] > 0 and found["ms_per_batch_of_100"]["plan"] > 0
    assert found["times_baseline"] > 1 and len(found["runs"]) == 1
