"""``novate price``: Black-76 of one option, or of a file of reference cases held against it.

A file is priced twice: by the contract ``Pricer`` on an in-memory EVM, where no interest applies,
and by the integer model, with it. Figures of the file are decimals of any length, its inputs
integers in wad and seconds. Errors are exact decimals; one unit of the last place (1e-18), which
rounding down may cost, counts as none, but for delta.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, InvalidOperation, localcontext
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from novate.chain.harness import Chain
from novate.errors import Rejected, VectorField, VectorFileMissing, require
from novate.model.pricing import Greeks, black76, black76_discounted
from novate.units import WAD
from novate.wire import json_text

FILE_BYTES_MAX = 2**26
# More digits than any figure within the bounds of pricing needs.
EXACT = Context(prec=150, Emin=MIN_EMIN, Emax=MAX_EMAX)
INPUTS = ("F", "K", "sigma", "T_sec", "r")
NAMES = tuple(Greeks.__dataclass_fields__)
TOLERANCE = {
    "price": Decimal("1e-15"),
    "delta": Decimal("1e-12"),
    "gamma": Decimal("1e-10"),
    "vega": Decimal("1e-10"),
    "theta": Decimal("1e-10"),
}
MEASURE = {
    "price": "of the larger of forward and strike",
    "delta": "absolute",
    "gamma": "relative",
    "vega": "relative",
    "theta": "relative",
}


def command(
    forward: Annotated[str | None, typer.Option(help="Forward price, USD.")] = None,
    strike: Annotated[str | None, typer.Option(help="Strike, USD.")] = None,
    vol: Annotated[str | None, typer.Option(help="Volatility; 0.6 is 60 % a year.")] = None,
    seconds: Annotated[int | None, typer.Option(min=0, help="Seconds to expiry.")] = None,
    is_call: Annotated[bool | None, typer.Option("--call/--put", help="Call or put.")] = None,
    rate: Annotated[str, typer.Option(help="Interest a year, continuous.")] = "0",
    vectors: Annotated[
        Path | None, typer.Option(help="Price a JSON file of cases, on chain and off.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Price an option on a forward by Black-76, or judge the pricing by a file of known cases.

    Exit code 0, or 1 if a case is off by more than the tolerance or contract and model differ.

    Example: novate price --forward 65000 --strike 70000 --vol 0.6 --seconds 604800 --call
    """
    if vectors is not None:
        passed = _file(vectors, as_json)
        raise typer.Exit(0 if passed else 1)
    inputs = {"--forward": forward, "--strike": strike, "--vol": vol}
    missing = [name for name, text in inputs.items() if text is None]
    missing += ["--seconds"] if seconds is None else []
    missing += ["--call or --put"] if is_call is None else []
    if missing:
        raise typer.BadParameter(f"missing {', '.join(missing)} (or --vectors)")
    assert seconds is not None and is_call is not None
    f, k, sigma = (_wad(name, str(text)) for name, text in inputs.items())
    for name, value, bound in (
        ("--forward", f, 2**112),
        ("--strike", k, 2**112),
        ("--vol", sigma, 2**70),
        ("--seconds", seconds * WAD, 2**32 * WAD),
    ):
        if value >= bound:
            raise typer.BadParameter(f"must be below {bound / WAD:.6g}", param_hint=name)
    greeks = black76_discounted(f, k, sigma, seconds, is_call, _wad("--rate", rate, signed=True))
    figures = {name: _text(value) for name, value in asdict(greeks).items()}
    if as_json:
        typer.echo(json.dumps(figures))
        return
    for name, text in figures.items():
        typer.echo(f"{name:6} {text}")


def _wad(name: str, text: str, signed: bool = False) -> int:
    """A decimal of at most 18 places, below 1e40, as an integer."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if len(text) > 60 or not number.is_finite() or number.adjusted() >= 40:
        raise typer.BadParameter(f"{text!r} is not a decimal below 1e40", param_hint=name)
    if number < 0 and not signed:
        raise typer.BadParameter(f"{text} is negative", param_hint=name)
    scaled = EXACT.multiply(number, Decimal(WAD))
    if scaled != scaled.to_integral_value(context=EXACT):
        raise typer.BadParameter(f"{text} has more than 18 decimals", param_hint=name)
    return int(scaled)


def _text(value: int) -> str:
    sign = "-" if value < 0 else ""
    return f"{sign}{abs(value) // WAD}.{abs(value) % WAD:018}"


@dataclass(frozen=True, slots=True)
class Case:
    """One option of the file: what it asks, wad and seconds, and what is known of it."""

    forward: int
    strike: int
    sigma: int
    seconds: int
    rate: int
    is_call: bool
    known: dict[str, Decimal]

    @property
    def terms(self) -> tuple[int, int, int, int, bool]:
        """Arguments of the pricing functions."""
        return self.forward, self.strike, self.sigma, self.seconds, self.is_call


def load(path: Path) -> list[tuple[Case, Case]]:
    """Call and put of every case. Errors: ``VectorFileMissing``, ``VectorField`` with the case and
    the field.
    """
    try:
        require(path.stat().st_size <= FILE_BYTES_MAX, VectorFileMissing, "It is above 64 MiB.")
        document = json_text.parse(path.read_text(encoding="utf-8"), parse_float=str)
    except (OSError, ValueError) as error:
        raise Rejected(VectorFileMissing, f"{path}: {error}") from None
    cases = document.get("cases") if isinstance(document, dict) else None
    require(isinstance(cases, list) and bool(cases), VectorField, f"{path}: field 'cases'")
    return [_options(f"case {index}", case) for index, case in enumerate(cases or [])]


def _options(where: str, case: Any) -> tuple[Case, Case]:
    require(isinstance(case, dict), VectorField, f"{where} is not an object")
    f, k, sigma, seconds, rate = (_integer(where, case, name) for name in INPUTS)

    def known(side: str) -> dict[str, Decimal]:
        fields = (side, f"delta_{side}", "gamma", "vega", f"theta_{side}")
        return {
            name: _number(where, case, field) for name, field in zip(NAMES, fields, strict=True)
        }

    call, put = (
        Case(f, k, sigma, seconds, rate, side == "call", known(side)) for side in ("call", "put")
    )
    return call, put


def _number(where: str, case: dict[str, Any], field: str) -> Decimal:
    require(field in case, VectorField, f"{where}: field {field!r} is missing")
    try:
        number = Decimal(str(case[field]))
    except InvalidOperation:
        number = Decimal("NaN")
    require(number.is_finite(), VectorField, f"{where}: field {field!r} is {case[field]!r}")
    return number


def _integer(where: str, case: dict[str, Any], field: str) -> int:
    number = _number(where, case, field)
    # Python's own integer of a text like 1e99999999 would fill the memory
    sane = number.adjusted() < 80 and number == number.to_integral_value(context=EXACT)
    bounded = sane and (number >= 0 or field == "r")
    require(bounded, VectorField, f"{where}: field {field!r} is {case[field]!r}")
    return int(number)


class Errors:
    """The largest error of each figure over many options."""

    def __init__(self) -> None:
        self.options = 0
        self.largest = dict.fromkeys(NAMES, Decimal(0))
        self.wei_max = Decimal(0)

    def add(self, case: Case, found: Greeks) -> None:
        """Compare one option's figures with what is known."""
        self.options += 1
        with localcontext(EXACT):
            for name, known in case.known.items():
                exact = known * WAD
                wei = abs(getattr(found, name) - exact)
                error = wei / WAD
                if name == "price":
                    self.wei_max = max(self.wei_max, wei)
                    error = wei / max(case.forward, case.strike, 1) if wei > 1 else Decimal(0)
                elif name != "delta":
                    error = wei / abs(exact) if wei > 1 and exact else max(wei - 1, Decimal(0))
                self.largest[name] = max(self.largest[name], error)

    @property
    def passed(self) -> bool:
        """Whether every figure is within its tolerance."""
        return all(self.largest[name] <= TOLERANCE[name] for name in NAMES)

    def fields(self) -> dict[str, float]:
        """The figures for JSON."""
        found = {f"{name}_error_max": float(error) for name, error in self.largest.items()}
        return found | {"price_error_wei_max": float(self.wei_max)}


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a file says about the pricing."""

    cases: int
    skipped: int
    chain: Errors
    model: Errors
    chain_equals_model: bool

    @property
    def passed(self) -> bool:
        """Within every tolerance, on chain and off, and both the same."""
        return self.chain.passed and self.model.passed and self.chain_equals_model

    def document(self) -> dict[str, Any]:
        """One flat object with the worse of both, and each by itself."""
        chain, model = self.chain.fields(), self.model.fields()
        return {
            "passed": self.passed,
            "cases": self.cases,
            "skipped": self.skipped,
            "chain_equals_model": self.chain_equals_model,
            **{name: max(chain[name], model[name]) for name in chain},
            "tolerance": {name: float(bound) for name, bound in TOLERANCE.items()},
            "chain": {"options": self.chain.options, **chain},
            "model": {"options": self.model.options, **model},
        }


def judge(cases: list[tuple[Case, Case]]) -> Judgement:
    """Price every case off chain and, without interest, by the contract."""
    pricer = Chain().deploy("Pricer")
    chain, model = Errors(), Errors()
    equal, skipped = True, 0
    for number, pair in enumerate(cases):
        skipped += pair[0].rate != 0
        for case in pair:
            try:
                model.add(case, black76_discounted(*case.terms, case.rate))
                if case.rate == 0:
                    found = Greeks(*pricer.view("price", *case.terms))
                    chain.add(case, found)
                    equal = equal and found == black76(*case.terms)
            except Rejected as rejected:
                raise Rejected(rejected.error, f"case {number}") from None
    return Judgement(len(cases), skipped, chain, model, equal)


def _file(path: Path, as_json: bool) -> bool:
    judgement = judge(load(path))
    if as_json:
        typer.echo(json.dumps(judgement.document()))
        return judgement.passed
    table = Table("figure", "on chain", "off chain", "tolerance", "", title="Largest errors")
    for name in NAMES:
        chain, model = judgement.chain.largest[name], judgement.model.largest[name]
        table.add_row(
            name, f"{float(chain):.2e}", f"{float(model):.2e}", str(TOLERANCE[name]), MEASURE[name]
        )
    console = Console(soft_wrap=True)
    console.print(table)
    same = "equal bit for bit" if judgement.chain_equals_model else "[red]not equal[/]"
    console.print(
        f"{judgement.cases} cases, {judgement.skipped} with interest and so off chain only; "
        f"contract and model are {same}.",
        highlight=False,
    )
    return judgement.passed
