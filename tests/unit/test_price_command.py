"""``novate price``: what it prints, what it refuses and how it judges a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from novate.cli import main as cli
from novate.errors import VectorField

Run = Callable[..., tuple[int, str, str]]
OPTION = ("--forward", "100", "--strike", "110", "--vol", "0.5", "--seconds", "31536000")
# In the money and without time: every figure is known without computing.
CASE: dict[str, Any] = {
    "F": "3000000000000000000",
    "K": "2000000000000000000",
    "sigma": "500000000000000000",
    "T_sec": 0,
    "r": "0",
    "call": "1",
    "put": "0",
    "delta_call": "1",
    "delta_put": "0",
    "gamma": "0",
    "vega": "0",
    "theta_call": "0",
    "theta_put": "0",
}


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run ``novate price``; its exit code, output and errors in one line."""

    def run_line(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stopped:
            cli.main(["price", *arguments])
        out, err = capsys.readouterr()
        return int(stopped.value.code or 0), out, " ".join(err.replace("│", " ").split())

    return run_line


@pytest.fixture
def file(tmp_path: Path) -> Callable[[Any], str]:
    """Write a file of cases; its path."""

    def write(document: Any) -> str:
        path = tmp_path / "cases.json"
        path.write_text(document if isinstance(document, str) else json.dumps(document))
        return str(path)

    return write


def test_an_option_is_priced_in_decimals(run: Run) -> None:
    """By parity a put struck 10 above costs 10 more than the call."""
    code, out, _ = run(*OPTION, "--call", "--json")
    call = json.loads(out)
    assert code == 0
    assert list(call) == ["price", "delta", "gamma", "vega", "theta"]
    put = json.loads(run(*OPTION, "--put", "--json")[1])
    assert float(put["price"]) - float(call["price"]) == pytest.approx(10)
    assert call["price"].startswith("16.0956")
    assert put["delta"].startswith("-0.")


def test_without_json_every_figure_has_a_line(run: Run) -> None:
    code, out, _ = run(*OPTION, "--call")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == [
        "price",
        "delta",
        "gamma",
        "vega",
        "theta",
    ]


def test_interest_discounts(run: Run) -> None:
    plain = float(json.loads(run(*OPTION, "--call", "--json")[1])["price"])
    out = run(*OPTION, "--call", "--rate", "0.05", "--json")[1]
    assert float(json.loads(out)["price"]) == pytest.approx(plain * 0.951229424500714)


def test_what_is_missing_is_named(run: Run) -> None:
    code, out, err = run("--forward", "100", "--seconds", "60")
    assert (code, out) == (2, "")
    assert "missing --strike, --vol, --call or --put" in err


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("--forward", "ten", "'ten' is not a decimal"),
        ("--forward", "nan", "'nan' is not a decimal"),
        ("--strike", "1e999999999", "'1e999999999' is not a decimal"),
        ("--strike", "-1", "-1 is negative"),
        ("--vol", "1e-19", "1e-19 has more than 18 decimals"),
        ("--rate", "x", "'x' is not a decimal"),
    ],
)
def test_a_bad_number_is_a_usage_error(run: Run, option: str, value: str, sentence: str) -> None:
    code, out, err = run(*OPTION, "--call", option, value)
    assert (code, out) == (2, "")
    assert sentence in err and option in err


@pytest.mark.parametrize(
    ("option", "value"),
    [("--forward", "1e39"), ("--strike", "1e39"), ("--vol", "1e6"), ("--seconds", "4294967296")],
)
def test_a_number_beyond_its_bound_is_named_with_it(run: Run, option: str, value: str) -> None:
    code, _, err = run(*OPTION, "--call", option, value)
    assert code == 2
    assert option in err and "must be below" in err


def test_a_file_is_priced_on_chain_and_off(run: Run, file: Callable[[Any], str]) -> None:
    """A case with interest is for the model alone."""
    interest = CASE | {"r": "50000000000000000", "theta_call": "0.05"}
    code, out, _ = run("--vectors", file({"cases": [CASE, interest]}), "--json")
    found = json.loads(out)
    assert code == 0
    assert (found["cases"], found["skipped"]) == (2, 1)
    assert (found["chain"]["options"], found["model"]["options"]) == (2, 4)
    assert found["passed"] and found["chain_equals_model"]
    for name in ("price", "delta", "gamma", "vega", "theta"):
        assert found[f"{name}_error_max"] == 0


def test_a_file_is_judged_in_a_table_too(run: Run, file: Callable[[Any], str]) -> None:
    code, out, _ = run("--vectors", file({"cases": [CASE]}))
    assert code == 0
    assert "equal bit for bit" in out


@pytest.mark.parametrize("field", ["call", "put", "delta_call", "gamma", "vega", "theta_put"])
def test_a_figure_off_by_more_than_its_tolerance_is_exit_code_1(
    run: Run, file: Callable[[Any], str], field: str
) -> None:
    code, out, _ = run("--vectors", file({"cases": [CASE | {field: "1.1e-8"}]}), "--json")
    found = json.loads(out)
    assert code == 1
    assert not found["passed"]


def test_one_wei_is_no_error_but_three_are(run: Run, file: Callable[[Any], str]) -> None:
    """Where a wei is more than 1e-15 of the forward."""
    small = CASE | {"F": "3", "K": "2", "call": "2e-18"}
    assert run("--vectors", file({"cases": [small]}), "--json")[0] == 0
    code, out, _ = run("--vectors", file({"cases": [small | {"call": "4e-18"}]}), "--json")
    assert code == 1
    assert json.loads(out)["price_error_wei_max"] == 3


@pytest.mark.parametrize("field", list(CASE))
def test_a_missing_field_is_named_with_its_case(
    run: Run, file: Callable[[Any], str], field: str
) -> None:
    broken = {name: value for name, value in CASE.items() if name != field}
    code, out, err = run("--vectors", file({"cases": [CASE, broken]}), "--json")
    assert (code, out) == (2, "")
    assert err.startswith(f"error: VectorField ({VectorField.code})")
    assert f"case 1: field '{field}' is missing" in err


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("F", "-1"),
        ("F", "1.5"),
        ("K", None),
        ("K", True),
        ("sigma", "NaN"),
        ("T_sec", "1e99999999"),
        ("r", [1]),
        ("call", "much"),
        ("gamma", "Infinity"),
    ],
)
def test_a_field_that_is_no_number_is_named(
    run: Run, file: Callable[[Any], str], field: str, value: Any
) -> None:
    code, _, err = run("--vectors", file({"cases": [CASE | {field: value}]}))
    assert code == 2
    assert f"case 0: field '{field}' is {value!r}" in err


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ("{", "VectorFileMissing"),
        ("[" * 100_000, "VectorFileMissing"),
        ([], "field 'cases'"),
        ({}, "field 'cases'"),
        ({"cases": []}, "field 'cases'"),
        ({"cases": {}}, "field 'cases'"),
        ({"cases": [1]}, "case 0 is not an object"),
        ({"cases": [CASE | {"F": str(2**113)}]}, "OutOfBounds"),
    ],
)
def test_a_file_of_another_shape_is_refused(
    run: Run, file: Callable[[Any], str], document: Any, sentence: str
) -> None:
    code, out, err = run("--vectors", file(document))
    assert (code, out) == (2, "")
    assert sentence in err


def test_an_absent_file_is_refused(run: Run, tmp_path: Path) -> None:
    code, _, err = run("--vectors", str(tmp_path / "none.json"))
    assert code == 2
    assert err.startswith("error: VectorFileMissing (8020)")
