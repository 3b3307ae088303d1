"""Quote files: which rows count, which are skipped under which code, and what ends the command."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from novate.cli import main as cli
from novate.errors import QuoteColumns, QuoteFileMissing, QuotesTooFew, Rejected
from novate.model.surface import YEAR_S
from novate.risk.quotes import call_value, implied_deviation, load_quotes

NOW = 1_705_262_471
EXPIRY = NOW + 30 * 86_400
HEADER = "ts,expiry,strike,cp,forward,bid_vol,ask_vol\n"
GOOD = [(K, "C" if K >= 100 else "P", 0.5, 0.6) for K in (80, 90, 100, 110, 120)]


def row(strike: object, side: str, bid: object, ask: object, expiry: object = EXPIRY) -> str:
    return f"{NOW},{expiry},{strike},{side},100,{bid},{ask}\n"


def write(folder: Path, *extra: str, header: str = HEADER) -> Path:
    """Five good quotes of one expiry, and more rows."""
    path = folder / "quotes.csv"
    path.write_text(header + "".join(row(*each) for each in GOOD) + "".join(extra))
    return path


def test_good_rows_become_one_expiry(tmp_path: Path) -> None:
    loaded = load_quotes(write(tmp_path))
    (quotes,) = loaded.expiries
    assert loaded.skipped == {}
    assert (quotes.expiry, quotes.timestamp, quotes.forward) == (EXPIRY, NOW, 100.0)
    assert quotes.years == 30 * 86_400 / YEAR_S
    assert quotes.k == pytest.approx(np.log([0.8, 0.9, 1.0, 1.1, 1.2]))
    assert quotes.volatility == pytest.approx(np.full(5, 0.55))


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (row("x", "C", 0.5, 0.6), "QuoteRowBad"),
        (row(-5, "C", 0.5, 0.6), "QuoteRowBad"),
        (row("inf", "C", 0.5, 0.6), "QuoteRowBad"),
        (row(1e9, "C", 0.5, 0.6), "QuoteRowBad"),
        (row(130, "X", 0.5, 0.6), "QuoteRowBad"),
        (row(130, "C", 0.5, 0.6, "soon"), "QuoteRowBad"),
        (row(130, "C", 0.5, 0.6, NOW), "QuoteRowBad"),
        (row(130, "C", 0.5, 0.6, NOW + 4 * YEAR_S), "QuoteRowBad"),
        (row(130, "C", "", 0.6), "QuoteOneSided"),
        (row(130, "C", 0, 0.6), "QuoteOneSided"),
        (row(130, "C", 0.5, ""), "QuoteOneSided"),
        (row(130, "C", 0.5, "inf"), "QuoteOneSided"),
        (row(130, "C", 0.7, 0.6), "QuoteCrossed"),
        (row(130, "C", 0.5, 9), "QuoteNoVolatility"),
        (row(130, "C", 0.5, 0.6, EXPIRY + 86_400), "QuotesTooFew"),
    ],
)
def test_a_bad_row_is_skipped_under_its_code(tmp_path: Path, bad: str, code: str) -> None:
    loaded = load_quotes(write(tmp_path, bad))
    assert loaded.skipped == {code: 1}
    assert [len(each.k) for each in loaded.expiries] == [5]


def test_options_in_the_money_are_not_used(tmp_path: Path) -> None:
    loaded = load_quotes(write(tmp_path, row(130, "P", 0.1, 0.2), row(70, "C", 0.1, 0.2)))
    assert len(loaded.expiries[0].k) == 5
    assert loaded.skipped == {}


def test_the_mark_is_held_within_bid_and_ask(tmp_path: Path) -> None:
    path = tmp_path / "marks.csv"
    lines = [HEADER.replace("\n", ",mark_vol\n")]
    for each, mark in zip(GOOD, (0.52, 0.4, 0.9, "", 0), strict=True):
        lines.append(row(*each).replace("\n", f",{mark}\n"))
    path.write_text("".join(lines))
    assert load_quotes(path).expiries[0].volatility == pytest.approx([0.52, 0.5, 0.6, 0.55, 0.55])


def test_prices_give_back_the_volatility_they_were_made_with(tmp_path: Path) -> None:
    """Calls at k and puts at -k in units of the underlying, near and far from the forward."""
    k = np.array([-0.9, -0.3, -0.02, 0.0, 0.05, 0.4, 1.1])
    deviation = np.array([0.4, 0.2, 0.1, 0.1, 0.12, 0.2, 0.5])
    value = np.minimum(1, np.exp(k)) * call_value(np.abs(k), deviation)
    years = (EXPIRY - NOW) / YEAR_S
    table = pd.DataFrame(
        {
            "ts": NOW,
            "expiry": EXPIRY,
            "strike": 100 * np.exp(k),
            "cp": np.where(k >= 0, "C", "P"),
            "forward": 100.0,
            "bid_price": value,
            "ask_price": value,
        }
    )
    table.to_csv(tmp_path / "prices.csv", index=False)
    (quotes,) = load_quotes(tmp_path / "prices.csv").expiries
    assert quotes.volatility == pytest.approx(deviation / np.sqrt(years), rel=1e-9)


def test_a_price_that_no_volatility_gives_has_none() -> None:
    k = np.array([0.1, 0.1, 0.1])
    found = implied_deviation(np.array([-0.1, 1.0, np.nan]), k)
    assert np.isnan(found).all()


@pytest.mark.parametrize("unit", [1, 10**3, 10**6, 10**9])
def test_times_are_read_as_epochs_of_any_unit_and_as_dates(tmp_path: Path, unit: int) -> None:
    text = write(tmp_path).read_text()
    epochs = text.replace(str(NOW), str(NOW * unit)).replace(str(EXPIRY), str(EXPIRY * unit))
    path = tmp_path / "times.csv"
    path.write_text(epochs)
    assert load_quotes(path).expiries[0].expiry == EXPIRY
    now, expiry = (datetime.fromtimestamp(each, UTC) for each in (NOW, EXPIRY))
    path.write_text(
        text.replace(str(NOW), now.isoformat()).replace(str(EXPIRY), f"{expiry:%F %TZ}")
    )
    assert load_quotes(path).expiries[0].timestamp == NOW
    assert load_quotes(path).expiries[0].expiry == EXPIRY


def test_parquet_is_read_like_csv(tmp_path: Path) -> None:
    pd.read_csv(write(tmp_path)).to_parquet(tmp_path / "quotes.parquet")
    ours, theirs = (load_quotes(tmp_path / f"quotes.{kind}") for kind in ("csv", "parquet"))
    assert ours.expiries[0].volatility.tolist() == theirs.expiries[0].volatility.tolist()


def refusal(path: Path) -> object:
    with pytest.raises(Rejected) as refused:
        load_quotes(path)
    return refused.value.error


def test_a_hopeless_file_is_one_rejection(tmp_path: Path) -> None:
    assert refusal(tmp_path / "absent.csv") is QuoteFileMissing
    assert refusal(tmp_path) is QuoteFileMissing
    path = tmp_path / "bad.csv"
    for content in (b"", b"PAR1 but no more", bytes(range(256)) * 9):
        path.write_bytes(content)
        assert refusal(path) in (QuoteFileMissing, QuoteColumns)
    path.write_text("ts,expiry,strike,cp,forward\n1,2,3,C,4\n")
    assert refusal(path) is QuoteColumns
    path.write_text(HEADER)
    assert refusal(path) is QuotesTooFew
    path.write_text(HEADER + row("x", "C", 1, 1))
    assert refusal(path) is QuotesTooFew
    path.write_text(HEADER + row(100, "C", 0.5, 0.6))
    assert refusal(path) is QuotesTooFew


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """One command line of ``novate surface``: exit code, output, errors."""

    def run_line(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stopped:
            cli.main(["surface", *map(str, arguments)])
        out, err = capsys.readouterr()
        return int(stopped.value.code or 0), out, err

    return run_line


def test_the_command_prints_the_fit(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    path = write(tmp_path, row(130, "C", 0.7, 0.6))
    code, out, err = run(path, "--json")
    document = json.loads(out)
    assert (code, err, document["rows_skipped"]) == (0, "", {"QuoteCrossed": 1})
    (expiry,) = document["expiries"]
    assert (expiry["expiry"], expiry["days"], expiry["quotes_used"]) == (EXPIRY, 30, 5)
    assert (expiry["gate"], document["expiries_left_out"]) == ("passed", 0)
    assert expiry["theta"] == pytest.approx(0.55**2 * 30 / 365, rel=1e-3)
    assert expiry["rmse_points"] < 0.1
    code, out, err = run(path)
    assert (code, err) == (0, "")
    assert "30.00" in out and "passed" in out and "QuoteCrossed 1" in out


def test_a_surface_outside_its_bounds_ends_with_exit_code_1(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    path = tmp_path / "wild.csv"
    path.write_text(HEADER + "".join(row(k, side, 7, 7.5) for k, side, _, _ in GOOD))
    code, out, _ = run(path, "--json")
    assert code == 1
    assert json.loads(out)["expiries"][0]["gate"] == "SurfaceOutOfBounds"


@pytest.mark.parametrize("content", [b"", b"\x00\xff" * 99, b"PAR1", b"a,b\n1,2\n", b"ts\n"])
def test_a_bad_file_ends_the_command_with_one_line(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "bad"
    path.write_bytes(content)
    code, out, err = run(path)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("error: Quote")
    assert run(tmp_path / "absent")[0] == 2
