"""``novate index``: builds, follows, builds again, answers, and says in one line why it stops."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection
from support.index import DEPLOYMENT, EXECUTOR, Pen, contents, matched, placed
from support.journals import SEGMENT, child, clock

from novate.cli import index_show
from novate.cli import main as cli
from novate.engine.journal import Journal
from novate.store import database
from novate.store.database import Database
from novate.wire.records import BatchClosed

Run = Callable[..., tuple[int, str, str]]
FOLLOW = "import sys; from novate.cli.main import main; main(sys.argv[1:])"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run_line(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stopped:
            cli.main(["index", *map(str, arguments)])
        out, err = capsys.readouterr()
        return int(stopped.value.code or 0), out, err

    return run_line


def append(path: Path, pen: Pen, first: int = 0) -> None:
    """Put a pen's entries into a journal on disk."""
    with Journal.open(path, clock) as journal:
        for entry in pen.entries[first:]:
            journal.append(entry.kind, entry.payload)
            journal.commit()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A venue's folder: two orders and a trade."""
    pen = Pen()
    pen.write(placed(1, -5), placed(2, 5), matched(0, 1, 2, 3))
    append(tmp_path / "journal.bin", pen)
    DEPLOYMENT.save(tmp_path / "deployment.json")
    return tmp_path


def url(folder: Path) -> str:
    return f"sqlite:///{folder / 'index.db'}"


def test_run_once_then_show(run: Run, folder: Path) -> None:
    code, out, _ = run("run", "--journal", folder / "journal.bin", "--once", "--json")
    assert code == 0
    assert json.loads(out) == {"records": 4, "blocks": 0, "journal": 3, "chain": -1}
    code, out, _ = run("show", "trades", "--database", url(folder), "--json")
    (trade,) = json.loads(out)["rows"]
    assert code == 0 and trade["settlement_state"] == "matched" and trade["amount"] == "0.003"
    code, out, _ = run("show", "--database", url(folder), "--json")
    assert json.loads(out)["rows"]["orders"] == 2
    code, out, _ = run("show", "trades", "--database", url(folder), "--count", 1)
    assert code == 0 and "trade_id" in out


def test_rebuild_makes_the_same_rows(run: Run, folder: Path, database_url: str) -> None:
    common = ("--journal", folder / "journal.bin", "--database", database_url)
    assert run("run", *common, "--once")[0] == 0
    with closing(Database.open(database_url)) as store:
        before = contents(store)
    code, out, _ = run("rebuild", *common, "--json")
    assert code == 0 and json.loads(out)["records"] == 4
    with closing(Database.open(database_url)) as store:
        assert contents(store) == before


def test_until_a_rebuild_is_complete_readers_have_what_was_there(
    run: Run, folder: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    common = ("--journal", folder / "journal.bin", "--database", database_url)
    assert run("run", *common, "--once")[0] == 0
    replace, seen = database.replace, []
    with closing(Database.open(database_url)) as reader:
        before = contents(reader)

        def watched(source: Connection, target: Connection) -> None:
            replace(source, target)
            seen.append(contents(reader))

        monkeypatch.setattr(database, "replace", watched)
        assert run("rebuild", *common)[0] == 0
        assert seen == [before] and contents(reader) == before


def test_a_rebuild_that_fails_leaves_the_index_and_nothing_beside_it(
    run: Run, folder: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    common = ("--journal", folder / "journal.bin", "--database", database_url)
    assert run("run", *common, "--once")[0] == 0
    with closing(Database.open(database_url)) as store:
        before = contents(store)
    replace = database.replace

    def half(source: Connection, target: Connection) -> None:
        replace(source, target)
        raise OSError("the machine stops")

    monkeypatch.setattr(database, "replace", half)
    assert run("rebuild", *common)[0] == 2
    with closing(Database.open(database_url)) as store:
        assert contents(store) == before
    assert not [path for path in folder.iterdir() if path.name.startswith(".index")]


@pytest.mark.parametrize("what", index_show.QUESTIONS)
def test_every_question_has_an_answer(run: Run, folder: Path, what: str) -> None:
    run("run", "--journal", folder / "journal.bin", "--once")
    account = "0x" + EXECUTOR[2:] + "00" * 12
    order = "0x" + "00" * 32
    asked = ("--database", url(folder), "--account", account, "--order", order)
    code, out, _ = run("show", what, *asked, "--json")
    assert code == 0
    json.loads(out)
    assert run("show", what, *asked)[0] == 0


def failures(folder: Path) -> dict[str, tuple[Any, ...]]:
    journal, base = folder / "journal.bin", url(folder)
    return {
        "no journal": ("run", "--journal", folder / "none.bin", "--once"),
        "no deployment": ("run", "--journal", journal, "--deployment", folder / "none.json"),
        "no deployment's text": ("rebuild", "--journal", journal, "--deployment", journal),
        "no database": ("run", "--journal", journal, "--database", "nonsense", "--once"),
        "no server": ("run", "--journal", journal, "--database", "postgresql://127.0.0.1:1/x"),
        "no node": ("run", "--journal", journal, "--rpc", "http://127.0.0.1:1", "--once"),
        "no index": ("show", "--database", f"sqlite:///{folder}/none.db"),
        "no question": ("show", "secrets", "--database", base),
        "no account": ("show", "log", "--database", base),
        "no page": ("show", "trades", "--database", base, "--count", 0),
    }


@pytest.mark.parametrize("name", failures(Path("nowhere")))
def test_a_failure_is_one_line_and_exit_code_2(run: Run, folder: Path, name: str) -> None:
    run("run", "--journal", folder / "journal.bin", "--once")
    code, out, err = run(*failures(folder)[name])
    assert code == 2 and out == "" and err.startswith("error: ") and err.count("\n") == 1


def test_a_damaged_journal_stops_by_name(run: Run, folder: Path) -> None:
    journal = folder / "journal.bin"
    data = bytearray(journal.read_bytes())
    data[len(data) // 2] ^= 1
    journal.write_bytes(data)
    code, _, err = run("run", "--journal", journal, "--once")
    assert code == 2 and "JournalCorrupt (7001)" in err


def test_a_journal_with_a_gap_stops_by_name(run: Run, folder: Path) -> None:
    journal = folder / "gap" / "journal.bin"
    journal.parent.mkdir()
    DEPLOYMENT.save(journal.with_name("deployment.json"))
    pen = Pen()
    pen.write(*(placed(n, -5) for n in range(1, 200)))
    with Journal.open(journal, clock, segment_bytes=SEGMENT) as writer:
        for entry in pen.entries:
            writer.append(entry.kind, entry.payload)
            writer.commit()
    _, middle, *rest = sorted(journal.parent.glob("journal.bin.0*"))
    assert rest
    middle.unlink()
    code, _, err = run("run", "--journal", journal, "--once")
    assert code == 2 and "JournalCorrupt (7001)" in err


def test_a_journal_that_lost_its_end_is_refused(run: Run, folder: Path) -> None:
    journal = folder / "journal.bin"
    shorter = Pen()
    shorter.write(placed(1, -5))
    assert run("run", "--journal", journal, "--once")[0] == 0
    for file in folder.glob("journal.bin*"):
        file.unlink()
    append(journal, shorter)
    code, _, err = run("run", "--journal", journal, "--once")
    assert code == 2 and "IndexForeign (7032)" in err and "the journal ends at 1" in err


def test_it_follows_until_it_is_told_to_stop(folder: Path) -> None:
    journal = folder / "journal.bin"
    process = child(FOLLOW, "index", "run", "--journal", journal, "--interval", 0.05, "--json")
    assert process.stdout is not None
    try:
        assert json.loads(process.stdout.readline())["records"] == 4
        pen = Pen()
        pen.write(placed(1, -5), placed(2, 5), matched(0, 1, 2, 3), BatchClosed(0, 1, 1, 1))
        append(journal, pen, first=4)
        assert json.loads(process.stdout.readline())["journal"] == 4
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
    finally:
        process.kill()
        process.wait()
