"""``novate demo`` end to end, short: a sum that adds up, options that expire, a report that stands
alone, bad files.
"""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from novate.chain.deployment import Deployment
from novate.cli import demo
from novate.cli import main as cli
from novate.config import load
from novate.demo.run import Crash
from novate.demo.second import SecondEngine
from novate.lab.prices import PriceTable, load_event
from novate.lab.smiles import load_smiles
from novate.web.report_data import Result

MINUTES = 48
START = 1_760_116_500  # 17:15 UTC
EVENING = 1_760_119_200  # 18:00 UTC; the last half hour before it is for reductions only


def late(table: PriceTable) -> PriceTable:
    """The event from START on."""
    series = {
        key: replace(each, bars=tuple(bar for bar in each.bars if bar.ts >= START))
        for key, each in table.series.items()
    }
    return replace(table, series=series)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    folder = tmp_path_factory.mktemp("demo")
    prices, smiles = late(load_event()), load_smiles()
    crash = Crash(folder, load(), prices, 1, MINUTES, smiles=smiles, evening=EVENING)
    try:
        return folder, crash.run(lambda done, total, text: None)
    finally:
        crash.venue.close()


def test_the_result_is_complete_and_written(ran: tuple[Path, Result]) -> None:
    folder, result = ran
    assert set(result) == set(Result.__annotations__)
    assert json.loads((folder / "result.json").read_text()) == result


def test_nothing_is_lost_and_nothing_is_busted(ran: tuple[Path, Result]) -> None:
    _, result = ran
    assert result["solvency_gap"] == "0" and result["custody"] == result["claims"]
    assert result["fills_busted"] == 0
    assert result["fills_matched"] == result["fills_settled"] > 0
    assert result["users_without_positions_loss"] == "0"
    assert result["invariants"] and all(result["invariants"].values())
    assert demo.sound(result)


def test_a_second_engine_knows_the_journal_alone(ran: tuple[Path, Result], tmp_path: Path) -> None:
    folder, result = ran
    last = int(result["journal_head"].split(":")[0])
    data = bytearray((folder / "journal.bin").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "journal.bin").write_bytes(data)
    deployment = Deployment.load(folder / "deployment.json")
    first = max(deployment.executed_at + deployment.funded_at)
    answers = []
    for journal in (folder, tmp_path):
        second = SecondEngine(journal / "journal.bin", deployment, load(), first)
        answers.append(second.state_hash(last))
        second.close()
    assert len(answers[0]) == 64 and answers[1] == "", "it stops where the journal is damaged"


def test_the_summary_fits_one_screen_and_names_what_is_broken(ran: tuple[Path, Result]) -> None:
    folder, result = ran
    text = io.StringIO()
    demo.summary(Console(file=text, width=100), result, folder)
    assert "nothing was lost" in text.getvalue() and "15 of 15 hold" in text.getvalue()
    assert text.getvalue().count("\n") < 40 and result["journal_head"] in text.getvalue()
    broken = {**result["invariants"], "I06": False}
    demo.summary(Console(file=text, width=100), {**result, "invariants": broken}, folder)
    assert "a promise was broken" in text.getvalue() and "broken: I06" in text.getvalue()


def test_options_trade_and_the_evening_is_printed_and_paid(ran: tuple[Path, Result]) -> None:
    _, result = ran
    assert (
        result["options_listed"] == 96
    )  # two assets, three expiries, eight strikes, calls and puts
    assert result["option_fills"] > 0 and float(result["option_premium"]) > 0
    assert 0 < float(result["option_fees"]) <= 0.25 * float(result["option_premium"])
    assert result["surfaces_posted"] == 2 * MINUTES
    assert result["expiries_settled"] == 2 and result["accounts_paid"] > 0
    assert float(result["paid_at_expiry"]) > 0
    assert 0 <= result["scan_shortfall_bp"] < 60


def test_the_report_shows_the_options(ran: tuple[Path, Result]) -> None:
    page = (ran[0] / "report.html").read_text()
    for heading in ("Greeks ladder", "Worst account", "Sixteen lanes against the exact grid"):
        assert heading in page, heading
    assert "(modelled)" in page and "Against the measured marks" in page


def test_the_report_needs_nothing_from_elsewhere(ran: tuple[Path, Result]) -> None:
    page = (ran[0] / "report.html").read_text()
    loaded = re.findall(r"""(?:src|href)\s*=\s*["']([^"'#][^"']*)|url\(([^)]*)\)|@import""", page)
    assert loaded == []
    assert ran[1]["event"] in page and page.rstrip().endswith("</html>")


def test_the_folder_holds_what_verify_reads(ran: tuple[Path, Result]) -> None:
    for name in ("journal.bin", "chain.json", "deployment.json", "result.json", "report.html"):
        assert (ran[0] / name).stat().st_size > 0


def bad_rows() -> list[str]:
    """An hour of minutes with a gap, a duplicate, a zero, a negative and two rows out of order."""
    rows = []
    for minute in range(60):
        if 20 <= minute < 24:
            continue
        price = 100_000 + 10 * (minute % 7)
        rows.append(f"{1_760_000_040 + 60 * minute},{price},{price + 20},{price - 20},{price + 5}")
    start = 1_760_000_040
    rows.insert(6, rows[5])
    rows[30] = f"{start + 60 * 33},0,0,0,0"
    rows[40] = f"{start + 60 * 43},-5,-1,-9,-5"
    rows[50], rows[51] = rows[51], rows[50]
    return rows


def test_a_bad_price_file_runs_and_every_defect_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prices, out = tmp_path / "mine.csv", tmp_path / "out"
    prices.write_text("\n".join(["timestamp,open,high,low,close", *bad_rows()]) + "\n")
    with pytest.raises(SystemExit) as stopped:
        cli.main(["demo", "--prices", str(prices), "--minutes", "5", "--out", str(out), "--json"])
    printed = capsys.readouterr()
    assert stopped.value.code in (0, None), printed.err[-500:]
    result = json.loads(printed.out)
    assert result["event"] == "mine" and result["solvency_gap"] == "0"
    for name in ("PriceGap", "PriceRowDuplicate", "PriceNotPositive", "PriceRowUnsorted"):
        assert name in printed.err, name
        assert name in (out / "report.html").read_text(), name
    *_, last = told = printed.err.splitlines()
    assert any("2 PriceNotPositive" in line and "the report lists" in line for line in told)
    assert last.startswith("100 %"), "progress is told where there is no terminal, too"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nothing here\n",
        "timestamp,open,high,low,close\n",
        "a,b\n1,2\n",
        "timestamp,symbol,open,high,low,close\n1760000040,DOGEUSD,1,1,1,1\n",
    ],
)
def test_a_hopeless_price_file_ends_in_one_line_and_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    prices = tmp_path / "bad.csv"
    prices.write_text(text)
    with pytest.raises(SystemExit) as stopped:
        cli.main(["demo", "--prices", str(prices), "--out", str(tmp_path / "out")])
    printed = capsys.readouterr()
    assert stopped.value.code == 2
    assert printed.err.count("\n") == 1 and printed.err.startswith("error: ")
    assert not (tmp_path / "out").exists()


def test_a_missing_price_file_ends_in_one_line_and_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["demo", "--prices", str(tmp_path / "none.csv"), "--out", str(tmp_path / "o")])
    assert stopped.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
