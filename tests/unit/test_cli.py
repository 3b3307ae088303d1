"""The command line: what it finds, what it prints, how it fails."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import pytest
import typer

from novate import __version__
from novate.cli import main as cli
from novate.errors import REGISTRY, Rejected, StalePrice


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run one command line; its exit code, output and errors."""

    def run_line(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stopped:
            cli.main(arguments)
        out, err = capsys.readouterr()
        return int(stopped.value.code or 0), out, err

    return run_line


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Register a subcommand that lives in a made-up module."""

    def install_module(name: str, **attributes: object) -> None:
        module = ModuleType(f"novate.cli.{name}")
        module.__spec__ = ModuleSpec(module.__name__, None)
        vars(module).update(attributes)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setitem(cli.COMMANDS, name, module.__name__)

    return install_module


def test_version(run: Callable[..., tuple[int, str, str]]) -> None:
    assert run("--version") == (0, f"novate {__version__}\n", "")


def test_python_runs_the_package_as_the_command() -> None:
    command = [sys.executable, "-m", "novate", "--version"]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"novate {__version__}\n", "")


def leaves(group: Any, above: str) -> Iterator[tuple[str, str]]:
    """Every command that does something: its name, and its help with that of its group."""
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        text = f"{command.help} {command.epilog or ''}"
        if hasattr(command, "list_commands"):
            for below, help_text in leaves(command, text):
                yield f"{name} {below}", help_text
        else:
            yield name, f"{above} {text}"


@pytest.mark.parametrize(
    "name, text", [pytest.param(*each, id=each[0]) for each in leaves(cli.Registry(), "")]
)
def test_every_command_is_explained_and_shown_by_an_example(name: str, text: str) -> None:
    assert "Example: " in text and f"novate {name.split()[0]} " in text


def test_help_lists_the_commands_that_exist_and_gives_examples(
    run: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(cli.COMMANDS, "unbuilt", "novate.cli.unbuilt")
    code, out, _ = run("--help")
    assert code == 0
    assert "Explain a rejection" in out
    assert "novate error StalePrice" in out
    assert "unbuilt" not in out


@pytest.mark.parametrize(("name", "table"), [("up", "[venue]"), ("signer", "[[key]]")])
def test_help_shows_the_tables_of_a_file_as_they_are_written(
    run: Callable[..., tuple[int, str, str]], name: str, table: str
) -> None:
    assert run(name, "--help")[1].count(table) == 2


def test_an_unknown_command_is_a_usage_error(run: Callable[..., tuple[int, str, str]]) -> None:
    code, _, err = run("conjure")
    assert code == 2
    assert "No such command 'conjure'" in err


def test_a_command_function_is_run_with_its_arguments(
    run: Callable[..., tuple[int, str, str]], install: Callable[..., None]
) -> None:
    def command(word: str, loud: bool = False) -> None:
        typer.echo(word.upper() if loud else word)

    install("say", command=command)
    assert run("say", "yes", "--loud") == (0, "YES\n", "")


def test_a_sub_application_brings_its_own_commands(
    run: Callable[..., tuple[int, str, str]], install: Callable[..., None]
) -> None:
    app = typer.Typer()
    app.command("one")(lambda: typer.echo("1"))
    app.command("two")(lambda: typer.echo("2"))
    install("count", app=app)
    assert run("count", "two") == (0, "2\n", "")


@pytest.mark.parametrize(
    ("raised", "line"),
    [
        (Rejected(StalePrice, "feed 1"), f"error: {Rejected(StalePrice, 'feed 1')}\n"),
        (
            FileNotFoundError(2, "No such file", "prices.csv"),
            "error: [Errno 2] No such file: 'prices.csv'\n",
        ),
        (ConnectionRefusedError("no node\nat this address"), "error: no node at this address\n"),
        (OSError("columns: a\x1b[31mb\x07"), "error: columns: a?[31mb?\n"),
    ],
)
def test_a_rejection_or_a_fault_is_one_line_and_exit_code_2(
    run: Callable[..., tuple[int, str, str]],
    install: Callable[..., None],
    raised: Exception,
    line: str,
) -> None:
    def command() -> None:
        raise raised

    install("fail", command=command)
    assert run("fail") == (2, "", line)


def test_debug_shows_the_traceback(install: Callable[..., None]) -> None:
    def command() -> None:
        raise Rejected(StalePrice)

    install("fail", command=command)
    with pytest.raises(Rejected):
        cli.main(["--debug", "fail"])


def test_a_bug_keeps_its_traceback(install: Callable[..., None]) -> None:
    def command() -> None:
        raise AssertionError("corrupt")

    install("fail", command=command)
    with pytest.raises(AssertionError, match="corrupt"):
        cli.main(["fail"])


@pytest.mark.parametrize(
    "query", ["StalePrice", "staleprice", "3009", f"{StalePrice.selector:#010x}"]
)
def test_a_rejection_is_explained_by_name_code_or_selector(
    run: Callable[..., tuple[int, str, str]], query: str
) -> None:
    code, out, _ = run("error", query)
    assert code == 0
    assert out.startswith(f"StalePrice (3009): {StalePrice.sentence}\n")


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("13020", ["UnknownInstrument"]),
        ("10009", ["InsufficientMargin", "InsufficientCash"]),
        ("-32602", ["InvalidField", "UnknownChannel"]),
    ],
)
def test_the_apis_number_finds_every_rejection_that_has_it(
    run: Callable[..., tuple[int, str, str]], query: str, names: list[str]
) -> None:
    code, out, _ = run("error", query)
    lines = out.splitlines()
    assert code == 0 and [line.split()[0] for line in lines[::2]] == names
    assert all(f"the API answers {query}, Deribit's number" in line for line in lines[1::2])
    rows = [json.loads(line) for line in run("error", query, "--json")[1].splitlines()]
    assert [(row["name"], row["api_code"]) for row in rows] == [(n, int(query)) for n in names]


def test_whole_revert_data_finds_its_rejection(run: Callable[..., tuple[int, str, str]]) -> None:
    code, out, _ = run("error", f"{StalePrice.selector:#010x}" + "00" * 32)
    assert (code, out.split()[0]) == (0, "StalePrice")


def test_every_rejection_explains_itself_as_json(run: Callable[..., tuple[int, str, str]]) -> None:
    for error in REGISTRY.values():
        _, out, _ = run("error", error.name, "--json")
        fields = json.loads(out)
        assert (fields["code"], fields["sentence"]) == (error.code, error.sentence)
        assert int(fields["selector"], 16) == error.selector


@pytest.mark.parametrize("query", ["StalPrice", "12", "0xzz", "0x00000001"])
def test_an_unknown_rejection_is_a_usage_error(
    run: Callable[..., tuple[int, str, str]], query: str
) -> None:
    code, out, err = run("error", query)
    assert (code, out) == (2, "")
    assert "no rejection" in err


def test_a_misspelt_rejection_names_the_near_ones(run: Callable[..., tuple[int, str, str]]) -> None:
    assert "StalePrice" in run("error", "StalPrice")[2]
