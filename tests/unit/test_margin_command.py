"""``novate margin``: what it prints, both file formats, and every bad input by its code."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from novate.cli import main as cli
from novate.cli.margin import CSV_EXAMPLE, JSON_EXAMPLE, MARKET_EXAMPLE
from novate.model import surface
from novate.model.surface import Slice
from novate.risk.portfolio_file import plain
from novate.units import DAY_S, WAD

ROOT = Path(__file__).parent.parent.parent
Run = Callable[..., tuple[int, str, str]]
Write = Callable[..., str]
PERP_ONLY = "instrument,quantity\nBTC-PERPETUAL,1\n"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run ``novate margin``; its exit code, output and errors in one line."""

    def run_line(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stopped:
            cli.main(["margin", *arguments])
        out, err = capsys.readouterr()
        return int(stopped.value.code or 0), out, " ".join(err.replace("│", " ").split())

    return run_line


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file; its path."""

    def write_file(content: Any, name: str = "portfolio.txt") -> str:
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(path)

    return write_file


@pytest.fixture
def margin(run: Run, write: Write) -> Callable[..., dict[str, Any]]:
    """The JSON document of a portfolio, given as the file's content."""

    def document(content: Any, *arguments: str) -> dict[str, Any]:
        code, out, err = run(write(content), *arguments, "--json")
        assert code == 0, err
        found: dict[str, Any] = json.loads(out)
        return found

    return document


Margin = Callable[..., dict[str, Any]]

# formats


def test_one_perpetual_needs_its_scan_range_and_a_quarter_more(margin: Margin) -> None:
    """15 % of 65,000, 3 bp of confidence and 1 bp of funding."""
    found = margin(PERP_ONLY)
    assert found["margin_maintenance"] == plain(9_776 * WAD)
    assert found["margin_initial"] == "12220"
    assert "equity" not in found
    part = found["underlyings"]["BTC"]
    assert (part["scan"], part["confidence"], part["funding"]) == ("9750", "19.5", "6.5")
    assert len(part["scenarios"]) == 16
    moves = [each["move_percent"] for each in part["scenarios"]]
    assert moves[:6] == ["0", "0", "2.25", "2.25", "-2.25", "-2.25"] and moves[14:] == [
        "200",
        "-66",
    ]
    assert part["scenarios"][part["worst"]]["profit"] == "-9750"


def test_csv_and_json_say_the_same(margin: Margin) -> None:
    first, second = margin(CSV_EXAMPLE), margin(JSON_EXAMPLE)
    assert first == second
    assert first["cash"] == "25000"
    assert {row["instrument"] for row in first["positions"]} == {
        "BTC-PERPETUAL",
        "BTC-27DEC24-70000-C",
    }


def test_a_bare_list_comments_case_and_blank_lines_are_read(margin: Margin) -> None:
    rows = [{"instrument": "btc-perpetual", "quantity": "1"}]
    text = "# mine\nInstrument, Quantity\n\n btc-perpetual , 1 \n"
    assert margin(rows) == margin(text) == margin(PERP_ONLY)


def test_names_of_days_have_one_spelling(margin: Margin) -> None:
    found = margin([{"instrument": "BTC-06DEC24", "quantity": 1}])
    assert found["positions"][0]["instrument"] == "BTC-6DEC24"


def test_spot_is_collateral_with_a_haircut_and_offsets_the_short(margin: Margin) -> None:
    text = "instrument,quantity\nETH-PERPETUAL,-5\nETH,5\n"
    found = margin(text)
    assert found["scan"] == "0" and found["haircut_maintenance"] == "1500"
    assert found["haircut_initial"] == "2250"
    assert Decimal(found["margin_initial"]) == Decimal(found["margin_maintenance"]) - 1500 + (
        2250 + (Decimal(found["margin_maintenance"]) - 1500) / 4
    )


def test_equity_is_cash_options_at_the_mark_and_gains_since_entry(margin: Margin) -> None:
    found = margin(CSV_EXAMPLE)
    option = next(row for row in found["positions"] if row["kind"] == "option")
    assert Decimal(found["equity"]) == 25_000 + 1_000 + Decimal(option["value"])
    assert Decimal(found["free"]) == Decimal(found["equity"]) - Decimal(found["margin_initial"])
    ratio = Decimal(found["equity"]) / Decimal(found["margin_maintenance"])
    assert 0 <= ratio - Decimal(found["health"]) < Decimal("1e-17")


def test_greeks_add_up_by_underlying(margin: Margin) -> None:
    found = margin(CSV_EXAMPLE)
    for key in ("delta", "gamma", "vega_point", "theta_day"):
        rows = sum(Decimal(row[key]) for row in found["positions"])
        assert abs(rows - Decimal(found["greeks"]["BTC"][key])) < Decimal("1e-16")
    assert Decimal(found["greeks"]["BTC"]["vega_point"]) < 0


# markets


def test_the_market_of_the_help_is_read(margin: Margin, write: Write) -> None:
    path = write(MARKET_EXAMPLE, "market.toml")
    found = margin(CSV_EXAMPLE, "--market", path)
    perp, option = (
        next(row for row in found["positions"] if row["kind"] == kind)
        for kind in ("perp", "option")
    )
    assert (perp["mark"], option["forward"], option["volatility"]) == ("65010", "65300", "0.62")
    assert found["underlyings"]["BTC"]["funding"] == "0"
    assert found["now"] == "2024-11-27T08:00:00Z"


def test_a_json_market_with_only_an_index_serves_perpetuals(margin: Margin, write: Write) -> None:
    path = write({"underlyings": {"BTC": {"index": 65000}}}, "market.json")
    assert margin(PERP_ONLY, "--market", path)["margin_maintenance"] == "9750"


def test_an_underlying_without_parameters_gets_a_range_of_40_percent(
    margin: Margin, write: Write
) -> None:
    path = write({"underlyings": {"SOL": {"index": 200}}}, "market.json")
    found = margin([{"instrument": "SOL-PERPETUAL", "quantity": 1}], "--market", path)
    assert found["margin_maintenance"] == "80"


def test_volatility_is_the_options_own_else_the_surface_else_the_expirys(
    margin: Margin, write: Write
) -> None:
    now, expiry = 1_732_694_400, 1_735_286_400
    theta = (1 << 56) * 49 // 100 * 30 // 365
    word = surface.pack(Slice(theta, (1 << 56) // 20, 0, expiry, now))

    def volatility(btc: dict[str, Any]) -> Decimal:
        tree = {"now": now, "underlyings": {"BTC": {"index": 65000, "volatility": 0.5} | btc}}
        path = write(tree, "market.json")
        rows = [{"instrument": "BTC-27DEC24-65000-C", "quantity": 1}]
        found = margin(rows, "--market", path)
        return Decimal(found["positions"][0]["volatility"])

    own = {"volatilities": {"BTC-27DEC24-65000-C": 0.8}}
    by_surface = {"expiries": {"27DEC24": {"surface": hex(word), "volatility": 0.6}}}
    assert volatility({}) == Decimal("0.5")
    assert volatility({"expiries": {"27DEC24": {"volatility": 0.6}}}) == Decimal("0.6")
    assert abs(volatility(by_surface) - Decimal("0.7")) < Decimal("1e-9")
    assert volatility(by_surface | own) == Decimal("0.8")
    assert expiry - now == 30 * DAY_S


# what if, compare, books, tables


@pytest.mark.parametrize(
    ("trades", "said"),
    [
        ((), "Equity covers the initial margin"),
        (("+1 BTC-PERPETUAL",), "short of initial margin: only what reduces risk settles."),
        (("+3 BTC-PERPETUAL",), "below maintenance: it is auctioned."),
    ],
)
def test_the_table_says_what_the_venue_makes_of_the_account(
    run: Run, write: Write, trades: tuple[str, ...], said: str
) -> None:
    asked = [word for each in trades for word in ("--what-if", each)]
    code, out, _ = run(write(CSV_EXAMPLE), *asked)
    assert code == 0 and said in out


def test_a_trade_at_the_mark_leaves_equity_and_one_above_it_costs(margin: Margin) -> None:
    option = "+10 BTC-27DEC24-70000-C"
    fair = margin(CSV_EXAMPLE, "--what-if", option)
    assert abs(Decimal(fair["what_if"]["equity"]) - Decimal(fair["equity"])) < Decimal("1e-16")
    row = next(each for each in fair["positions"] if each["kind"] == "option")
    dear = margin(CSV_EXAMPLE, "--what-if", f"{option}@3000")
    lost = Decimal(dear["equity"]) - Decimal(dear["what_if"]["equity"])
    assert abs(lost - 10 * (3000 - Decimal(row["mark"]))) < Decimal("1e-16")
    assert Decimal(dear["what_if"]["cash"]) == 25_000 - 30_000


def test_trades_net_with_what_is_held(margin: Margin) -> None:
    found = margin(
        CSV_EXAMPLE, "--what-if", "-1 BTC-PERPETUAL@66000", "--what-if", "2 BTC-27DEC24-70000-C"
    )
    after = found["what_if"]
    assert after["positions"] == [] and after["margin_initial"] == "0"
    assert after["health"] is None
    gained = Decimal(after["equity"]) - Decimal(found["equity"])
    assert abs(gained - 1000) < Decimal("1e-16")


def test_other_venues_come_with_the_date_of_their_rules(margin: Margin) -> None:
    found = margin(PERP_ONLY, "--compare")["compare"]
    by_venue = {each["venue"]: each for each in found["venues"]}
    assert found["as_of"] == "autumn 2026" and len(by_venue) == 6
    assert by_venue["deribit_portfolio"]["initial"] == pytest.approx(11_050)
    assert by_venue["hyperliquid"]["maintenance"] == pytest.approx(812.5)
    assert by_venue["derive_portfolio"]["initial"] is None and by_venue["derive_portfolio"]["note"]


def test_the_eleven_books_as_json_and_as_a_table(run: Run) -> None:
    code, out, _ = run("--books", "--json")
    found = json.loads(out)
    assert code == 0 and len(found["books"]) == 11 and found["differences"] == []
    for book in found["books"]:
        cell = book["novate"]
        assert abs(cell["initial"] - cell["published_initial"]) <= 1
    code, out, _ = run("--books")
    assert code == 0
    for text in ("11,951 / 9,561", "14,300 / 11,310 *", "autumn 2026", "11,965 / 9,572"):
        assert text in out


def test_without_json_everything_has_its_table(run: Run, write: Write) -> None:
    trade = "+1 BTC-27DEC24-75000-C"
    code, out, _ = run(write(CSV_EXAMPLE), "--compare", "--what-if", trade)
    assert code == 0
    for text in (
        "margin initial",
        "change",
        "health",
        "worst scenario",
        "calendar, vega",
        "+15.00 %",
        "-66.00 %",
        "vega a point",
        "BTC-27DEC24-75000-C",
        "Paradex PM",
        "autumn 2026",
        "1.25 times",
    ):
        assert text in out, text


def test_the_help_shows_the_formats(run: Run) -> None:
    code, out, _ = run("--help")
    assert code == 0
    for example in (CSV_EXAMPLE, JSON_EXAMPLE, MARKET_EXAMPLE):
        assert example.splitlines()[1].split("#")[0].strip() in out


def test_vectors_are_judged_by_contract_and_model(run: Run, shared_folder: Path) -> None:
    path = str(shared_folder / "vectors" / "scenario_margin.json")
    code, out, _ = run("--vectors", path, "--json")
    found = json.loads(out)
    assert code == 0 and found["passed"] and found["chain_equals_model"]
    code, out, _ = run("--vectors", path)
    assert code == 0 and "passed" in out


# bad input


def option_row(quantity: Any = 1, **more: Any) -> list[dict[str, Any]]:
    return [{"instrument": "BTC-27DEC24-70000-C", "quantity": quantity, **more}]


@pytest.mark.parametrize(
    ("content", "name", "text"),
    [
        ("", "PortfolioFileMissing", "is empty"),
        (" \n\n", "PortfolioFileMissing", "is empty"),
        ("{broken", "PortfolioFileMissing", "not JSON"),
        ("[" * 100_000, "PortfolioFileMissing", "nested too deeply"),
        ("instrument,quantity\n", "PortfolioField", "holds no position"),
        ("instrument,quantity\nUSD,5\n", "PortfolioField", "holds no position"),
        ([], "PortfolioField", "holds no position"),
        ({"positions": 5}, "PortfolioField", "must be a list"),
        ({"position": []}, "PortfolioField", "unknown field position"),
        ([5], "PortfolioField", "row 1 is not an object"),
        ([{"instrument": "BTC"}], "PortfolioField", "'quantity' is missing"),
        ("name,size\nBTC,1\n", "PortfolioField", "not 'name, size'"),
        ("instrument,quantity,quantity\nBTC,1,2\n", "PortfolioField", "the first line"),
        ("instrument,quantity\nBTC-PERPETUAL\n", "PortfolioField", "'quantity' is missing"),
        ("instrument,quantity\nBTC-PERPETUAL,1,2,3\n", "PortfolioField", "unknown field"),
        ("instrument,quantity\nBTC-PERPETUAL,ten\n", "PortfolioField", "'ten' is not a number"),
        ('instrument,quantity\n"BTC\n', "PortfolioField", "row 1"),
        (option_row("1e400"), "PortfolioField", "beyond"),
        (option_row("1e999999999"), "PortfolioField", "beyond"),
        (option_row("-1e999999999"), "PortfolioField", "beyond"),
        (option_row("nan"), "PortfolioField", "not a number"),
        (option_row("Infinity"), "PortfolioField", "not a number"),
        (option_row(True), "PortfolioField", "not a number"),
        (option_row(None), "PortfolioField", "not a number"),
        (option_row([1]), "PortfolioField", "not a number"),
        (option_row("9" * 100), "PortfolioField", "not a number"),
        (option_row("1e-19"), "PortfolioField", "more than 18 decimals"),
        (option_row(0), "PortfolioField", "is zero"),
        (option_row(1, entry=-5), "PortfolioField", "too small"),
        (option_row(1, entry="x"), "PortfolioField", "entry"),
        (option_row(1, price=5), "PortfolioField", "unknown field price"),
        ({"cash": "much", "positions": option_row()}, "PortfolioField", "cash"),
        ([{"instrument": "BTC", "quantity": -1}], "PortfolioField", "sold short"),
        (PERP_ONLY + "BTC-PERPETUAL,2\n", "PortfolioDuplicate", "BTC-PERPETUAL"),
        (PERP_ONLY + "USD,2\nUSD,3\n", "PortfolioDuplicate", "USD"),
        (
            "instrument,quantity\nBTC-6DEC24,1\nbtc-06dec24,1\n",
            "PortfolioDuplicate",
            "BTC-6DEC24",
        ),
        ([{"instrument": "", "quantity": 1}], "UnknownInstrument", "Names are like"),
        ([{"instrument": "BTC-SOON", "quantity": 1}], "UnknownInstrument", "BTC-SOON"),
        ([{"instrument": 7, "quantity": 1}], "UnknownInstrument", "'7'"),
        ([{"instrument": "BTC-31FEB25", "quantity": 1}], "UnknownInstrument", "31FEB25"),
        ([{"instrument": "BTC-10XYZ25", "quantity": 1}], "UnknownInstrument", "10XYZ25"),
        ([{"instrument": "BTC-27DEC24-7-X", "quantity": 1}], "UnknownInstrument", "27DEC24-7-X"),
        ([{"instrument": "BTC-PERPETUAL-7-C", "quantity": 1}], "UnknownInstrument", "PERPETUAL-7"),
        ([{"instrument": "BTC-27DEC23", "quantity": 1}], "UnknownInstrument", "has expired"),
        ([{"instrument": "BTC-27DEC48", "quantity": 1}], "UnknownInstrument", "over 3 years"),
        ([{"instrument": "BTC-27DEC24-0-C", "quantity": 1}], "PortfolioField", "too small"),
        ([{"instrument": "XRP-PERPETUAL", "quantity": 1}], "MarketIncomplete", "XRP"),
    ],
)
def test_a_bad_portfolio_is_named_and_coded(
    run: Run, write: Write, content: Any, name: str, text: str
) -> None:
    code, out, err = run(write(content))
    assert (code, out) == (2, "")
    assert re.match(rf"error: {name} \(\d{{4}}\): ", err), err
    assert text in err, err
    assert "Traceback" not in err


def test_too_many_positions_and_a_file_that_is_not_there_or_not_text(
    run: Run, write: Write, tmp_path: Path
) -> None:
    rows = [{"instrument": f"BTC-27DEC24-{k}-C", "quantity": 1} for k in range(1, 130)]
    code, _, err = run(write(rows))
    assert code == 2 and "PortfolioField" in err and "over 128" in err
    missing = str(tmp_path / "missing.csv")
    code, _, err = run(missing)
    assert code == 2 and "PortfolioFileMissing" in err
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00")
    for path in (str(tmp_path / "bytes.csv"), str(tmp_path)):
        code, _, err = run(path)
        assert code == 2 and "PortfolioFileMissing" in err
    (tmp_path / "large.csv").write_bytes(b" " * (2**22 + 1))
    assert "above 4 MiB" in run(str(tmp_path / "large.csv"))[2]
    assert run()[0] == 2


BTC = {"index": 65000, "volatility": 0.6}
WORD = surface.pack(Slice((1 << 56) // 25, (1 << 56) // 20, 0, 1_735_286_400, 1_732_694_400))


@pytest.mark.parametrize(
    ("market", "name", "text"),
    [
        ("index = = 5", "PortfolioFileMissing", "neither JSON nor TOML"),
        ("{}", "PortfolioField", "must be a table"),
        ('{"a":' * 100_000, "PortfolioFileMissing", "nested too deeply"),
        ("a = " + "[" * 100_000, "PortfolioFileMissing", "nested too deeply"),
        ({"underlyings": {}}, "PortfolioField", "no underlying"),
        ({"underlyings": 5}, "PortfolioField", "must be a table"),
        ({"underlying": {}}, "PortfolioField", "unknown field underlying"),
        ({"underlyings": {"BTC": 5}}, "PortfolioField", "must be a table"),
        ({"underlyings": {"BTC": {}}}, "MarketIncomplete", "no index"),
        ({"underlyings": {"BTC": {"index": "high"}}}, "PortfolioField", "not a number"),
        ({"underlyings": {"BTC": {"index": 0}}}, "PortfolioField", "too small"),
        ({"underlyings": {"BTC": {"index": 8_000_000}}}, "PortfolioField", "beyond"),
        ({"underlyings": {"BTC": {"index": 1.12345678901}}}, "PortfolioField", "10 decimals"),
        ({"underlyings": {"BTC": BTC | {"vol": 1}}}, "PortfolioField", "unknown field vol"),
        ({"underlyings": {"BTC": BTC | {"volatility": -1}}}, "PortfolioField", "too small"),
        (
            {"underlyings": {"BTC": BTC | {"volatilities": {"FOO": 1}}}},
            "PortfolioField",
            "FOO is no option on BTC",
        ),
        (
            {"underlyings": {"BTC": BTC | {"volatilities": {"ETH-27DEC24-3000-C": 1}}}},
            "PortfolioField",
            "is no option on BTC",
        ),
        ({"underlyings": {"BTC": BTC | {"volatility": 1e-9}}}, "PortfolioField", "too small"),
        ({"underlyings": {"BTC": BTC | {"psr_ppm": 0}}}, "PortfolioField", "positive"),
        ({"underlyings": {"BTC": BTC | {"gap_ppm": -1}}}, "PortfolioField", "gap_ppm"),
        ({"underlyings": {"BTC": BTC | {"gap_ppm": 1.5}}}, "PortfolioField", "whole number"),
        ({"now": "noon", "underlyings": {"BTC": BTC}}, "PortfolioField", "no time"),
        ({"now": -1, "underlyings": {"BTC": BTC}}, "PortfolioField", "now"),
        (
            {"underlyings": {"BTC": BTC | {"expiries": {"soon": {}}}}},
            "UnknownInstrument",
            "27DEC24",
        ),
        (
            {"underlyings": {"BTC": BTC | {"expiries": {"27DEC24": {"surface": "xyz"}}}}},
            "PortfolioField",
            "256-bit",
        ),
        (
            {"underlyings": {"BTC": BTC | {"expiries": {"28DEC24": {"surface": hex(WORD)}}}}},
            "PortfolioField",
            "another expiry",
        ),
        (
            {"underlyings": {"BTC": BTC | {"expiries": {"27DEC24": {"surface": 1}}}}},
            "SurfaceOutOfBounds",
            "surface",
        ),
        (
            {"underlyings": {"BTC": BTC | {"expiries": {"27DEC24": {"surface": "0x0"}}}}},
            "SurfaceOutOfBounds",
            "surface",
        ),
        (
            {"now": 1_732_694_400, "underlyings": {"BTC": {"index": 65000}}},
            "MarketIncomplete",
            "no volatility for BTC-27DEC24-70000-C",
        ),
    ],
)
def test_a_bad_market_is_named_and_coded(
    run: Run, write: Write, market: Any, name: str, text: str
) -> None:
    path = write(market, "market.txt")
    code, out, err = run(write(option_row()), "--market", path)
    assert (code, out) == (2, "")
    assert re.match(rf"error: {name} \(\d{{4}}\): ", err), err
    assert text in err, err


@pytest.mark.parametrize(
    ("trade", "name"),
    [
        ("BTC-PERPETUAL", "PortfolioField"),
        ("+1", "PortfolioField"),
        ("+x BTC-PERPETUAL", "PortfolioField"),
        ("0 BTC-PERPETUAL", "PortfolioField"),
        ("1 BTC-PERPETUAL@free", "PortfolioField"),
        ("1 BTC-PERPETUAL@0", "PortfolioField"),
        ("1.2.3 BTC-PERPETUAL", "PortfolioField"),
        ("1 NONE-SUCH", "UnknownInstrument"),
        ("1 XRP-PERPETUAL", "MarketIncomplete"),
        ("-1 BTC", "PortfolioField"),
    ],
)
def test_a_bad_trade_is_named_and_coded(run: Run, write: Write, trade: str, name: str) -> None:
    code, out, err = run(write(PERP_ONLY), "--what-if", trade)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {name} ("), err


# the page


def test_the_worked_example_of_the_page_comes_out(run: Run, write: Write) -> None:
    """Every figure of docs/concepts/margin.md's table, from its own portfolio."""
    page = (ROOT / "docs" / "concepts" / "margin.md").read_text()
    found = re.search(r"```csv\n(.*?)```", page, re.DOTALL)
    assert found is not None
    code, out, _ = run(write(found[1]), "--json")
    assert code == 0
    document = json.loads(out)
    figures = document["underlyings"]["BTC"] | document
    rows = re.findall(r"^\| `(\w+)` \|.*\| (-?[\d,]+\.\d\d) \|$", page, re.MULTILINE)
    assert len(rows) == 16
    for key, text in rows:
        assert f"{Decimal(figures[key]):,.2f}" == text, key
