"""Price files that do not begin with a quorum: the venue opens late, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from novate.config import load
from novate.demo.run import Crash
from novate.errors import Rejected
from novate.lab.prices import load_prices
from novate.web.report_data import Result

HEADER = "venue,symbol,ts,open,high,low,close"
START = 1_760_115_600  # 17:00 UTC
MINUTES = 6


def prices(folder: Path, ether_from: int, start: int = START) -> Path:
    """A venue that shows bitcoin in each of ten minutes, ether from minute ``ether_from`` on."""
    rows = [f"x,BTCUSD,{start + 60 * k},60000,60005,59995,60001" for k in range(10)]
    rows += [f"x,ETHUSD,{start + 60 * k},3000,3005,2995,3001" for k in range(ether_from, 10)]
    path = folder / "prices.csv"
    path.write_text("\n".join([HEADER, *rows]) + "\n")
    return path


def ran(folder: Path, path: Path) -> tuple[Result, Crash]:
    crash = Crash(folder / "out", load(), load_prices(path), 1, MINUTES)
    try:
        return crash.run(lambda done, total, text: None), crash
    finally:
        crash.venue.close()


def test_a_venue_opens_with_its_first_prices_though_ether_is_held_before(tmp_path: Path) -> None:
    result, crash = ran(tmp_path, prices(tmp_path, 3))
    held = crash.venue.replica.world.ledger.accounts.rows.values()
    assert any(dict(row.positions).get(3) for row in held)
    assert 0 < len(crash.recorder.ts) < MINUTES
    assert result["solvency_gap"] == "0" and all(result["invariants"].values())
    assert (tmp_path / "out" / "report.html").exists()


def test_a_file_that_never_gives_a_quorum_is_named(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match=r"PriceFileEmpty.*quorum"):
        ran(tmp_path, prices(tmp_path, 9))


def test_a_file_from_before_any_chain_is_named(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="PriceRowTime"):
        ran(tmp_path, prices(tmp_path, 0, start=60))
