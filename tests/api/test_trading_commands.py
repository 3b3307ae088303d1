"""The trading commands against a running venue, as a person would type them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from support.venue_api import Trader, Venue, served_in_background, venue_of

from novate.cli import client as shared
from novate.cli.main import main
from novate.sdk import Client, OutcomeUnknown

TRADER, OTHER = Trader("cli trader"), Trader("cli other")
venue = venue_of(TRADER, OTHER)


@pytest.fixture
def url(venue: Venue, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    key = tmp_path / "trader.key"
    key.write_text(bytes(TRADER.key.key).hex() + "\n")
    monkeypatch.setenv("NOVATE_KEY_FILE", str(key))
    monkeypatch.setenv("HOME", str(tmp_path))
    with served_in_background(venue) as found:
        monkeypatch.setenv("NOVATE_VENUE", found)
        yield found


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 0
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    return capsys.readouterr().err


def test_an_order_is_placed_shown_filled_and_cancelled(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    placed = json.loads(said(capsys, "order", "buy", "BTC-PERPETUAL", "0.3", "99000", "--json"))
    order_id = placed["order"]["order_id"]
    assert "99000" in said(capsys, "venue", "book", "BTC-PERPETUAL")
    with Client(url, OTHER.signing_key) as other:
        other.create_order(
            "BTC-PERPETUAL", "sell", "0.1", 99_000, time_in_force="immediate_or_cancel"
        )
    [row] = json.loads(said(capsys, "order", "list", "--json"))
    assert (row["order_id"], row["filled_amount"]) == (order_id, "0.1")
    assert "0.1" in said(capsys, "order", "show", order_id)
    assert "cancelled" in said(capsys, "order", "cancel", order_id)
    assert said(capsys, "order", "list") == "no open orders\n"


def test_an_order_is_edited_and_a_position_closed(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    btc = "BTC-PERPETUAL"
    placed = json.loads(said(capsys, "order", "buy", btc, "0.3", "99000", "--json"))
    changed = ("order", "edit", placed["order"]["order_id"], "--price", "99500", "--json")
    edited = json.loads(said(capsys, *changed))["order"]
    assert (edited["price"], edited["amount"], edited["replaced"]) == ("99500", "0.3", True)
    assert "--price" in refused(capsys, "order", "edit", edited["order_id"])
    with Client(url, OTHER.signing_key) as other:
        other.create_order(btc, "sell", "0.3", 99_500, time_in_force="immediate_or_cancel")
        held = float(json.loads(said(capsys, "position", "list", "--json"))[0]["size"])
        other.create_order(btc, "buy", "1", 99_400)
        shown = said(capsys, "position", "close", btc, "--amount", "0.1")
        assert "99400" in shown and "filled" in shown
        rows = json.loads(said(capsys, "position", "list", "--json"))
        assert float(rows[0]["size"]) == pytest.approx(held - 0.1)
        other.cancel_all_orders()


def test_what_does_not_fit_is_refused_before_it_is_sent(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    err = refused(capsys, "order", "buy", "BTC-PERPETUAL", "0.3", "99000.3")
    assert "price: 99000.3 is not a multiple of 0.5" in err and "--rounding down" in err
    shown = said(
        capsys,
        *("order", "buy", "BTC-PERPETUAL", "0.3", "99000.3"),
        *("--rounding", "passive", "--dry-run"),
    )
    assert "99000" in shown and "signature" in shown
    assert said(capsys, "order", "list") == "no open orders\n"


def test_a_close_names_no_option_that_it_does_not_have(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    btc = "BTC-PERPETUAL"
    with Client(url, OTHER.signing_key) as other, Client(url, TRADER.signing_key) as trader:
        other.create_order(btc, "sell", "0.1", 99_000)
        trader.create_order(btc, "buy", "0.1", 99_000)
    err = refused(capsys, "position", "close", btc, "--price", "1.3")
    assert err == "error: price: 1.3 is not a multiple of 0.5\n"


@pytest.mark.parametrize(
    ("typed", "field"),
    [
        (("order", "buy", "BTC-PERPETUAL", "-1", "99000"), "'amount': -1"),
        (("order", "sell", "BTC-PERPETUAL", "1", "-99000.5"), "'price': -99000.5"),
        (("order", "edit", "0x00", "--price", "-1"), "'--price': -1"),
        (("position", "close", "BTC-PERPETUAL", "--amount", "-.5"), "'--amount': -.5"),
    ],
)
def test_a_negative_number_is_named_with_its_field_and_what_to_do(
    url: str, capsys: pytest.CaptureFixture[str], typed: tuple[str, ...], field: str
) -> None:
    err = refused(capsys, *typed)
    assert field in err and "not above zero" in err and "novate order sell" in err


def test_an_option_that_is_not_known_is_still_one(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    err = refused(capsys, "order", "buy", "BTC-PERPETUAL", "1", "1", "--post-olny")
    assert "No such option" in err


def test_zero_is_refused_by_its_field(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    err = refused(capsys, "order", "buy", "BTC-PERPETUAL", "0", "99000")
    assert err == "error: amount: 0 is not above zero\n"


def test_what_is_not_listed_is_said_in_the_commands_own_words(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    err = refused(capsys, "order", "buy", "DOGE-PERPETUAL", "1", "1")
    assert err == (
        "error: DOGE-PERPETUAL is not listed; `novate venue instruments` shows what is\n"
    )
    assert "novate venue instruments" in refused(capsys, "venue", "ticker", "DOGE-PERPETUAL")


def test_an_account_without_money_learns_where_some_is(
    url: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    key = tmp_path / "poor.key"
    key.write_text("12" * 32)
    err = refused(capsys, "order", "buy", "BTC-PERPETUAL", "1", "99000", "--key", str(key))
    assert err.startswith("error: InsufficientMargin (10009)") and err.count("\n") == 1
    assert "has no collateral yet" in err and "trader-1.key" in err
    err = refused(capsys, "order", "buy", "BTC-PERPETUAL", "500", "99000")
    assert "USDC of the account are free" in err and "no collateral" not in err


def test_a_price_out_of_range_is_refused_with_the_range(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    err = refused(capsys, "order", "buy", "BTC-PERPETUAL", "0.1", "99000000")
    found = re.search(r"price: must be from (\S+) to (\S+), around the mark", err)
    assert "PriceOutOfLadder" in err and found is not None
    low, high = found.groups()
    said(capsys, "order", "buy", "BTC-PERPETUAL", "0.001", low)
    said(capsys, "order", "sell", "BTC-PERPETUAL", "0.001", high)
    beyond = str(Decimal(high) + Decimal("0.5"))
    assert "PriceOutOfLadder" in refused(capsys, "order", "sell", "BTC-PERPETUAL", "0.001", beyond)
    said(capsys, "order", "cancel", "--all")


def test_no_id_is_cut_in_a_narrow_terminal(
    url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    placed = said(capsys, "order", "buy", "BTC-PERPETUAL", "0.3", "98000", "--json")
    order_id = json.loads(placed)["order"]["order_id"]
    for columns in ("40", "80", "200"):
        monkeypatch.setenv("COLUMNS", columns)
        assert order_id in said(capsys, "order", "list").split()
    said(capsys, "order", "cancel", order_id)


def test_a_position_shows_its_entry_and_what_it_has_gained(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    eth = "ETH-PERPETUAL"
    with Client(url, OTHER.signing_key) as other, Client(url, TRADER.signing_key) as trader:
        mark = round(Decimal(trader.fetch_ticker(eth)["mark_price"]))
        for price in (mark - 10, mark + 20):
            other.create_order(eth, "sell", "1", price)
            trader.create_order(eth, "buy", "1", price)
        for client, sign in ((trader, 1), (other, -1)):
            [held] = [p for p in client.fetch_positions() if p["instrument_name"] == eth]
            assert Decimal(held["average_price"]) == mark + 5
            gained = sign * 2 * (Decimal(held["mark_price"]) - (mark + 5))
            assert Decimal(held["floating_profit_loss"]) == gained
        shown = said(capsys, "position", "list")
        assert "entry" in shown and f"{mark + 5}.00" in shown
        trader.create_order(eth, "sell", "2", mark)
        other.create_order(eth, "buy", "2", mark)
        held = trader.call("private/get_position", instrument_name=eth)
        assert (held["size"], held["average_price"]) == ("0", None)


def test_an_account_shows_what_it_may_use(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    row = json.loads(said(capsys, "account", "show", "--json"))
    assert float(row["equity"]) == pytest.approx(1_000_000, rel=0.01)
    assert "maintenance margin" in said(capsys, "account", "show")
    assert "instrument" in said(capsys, "venue", "instruments")
    said(capsys, "position", "list")


def test_a_venue_that_does_not_answer_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    err = refused(capsys, "venue", "instruments", "--venue", "http://127.0.0.1:9")
    assert err.startswith("error: no venue answers at http://127.0.0.1:9;")
    assert "novate up" in err and "--venue" in err and err.count("\n") == 1


def test_a_wrong_key_or_account_is_named_and_not_repeated(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    key = tmp_path / "bad.key"
    key.write_text("not a key at all")

    def words(*arguments: str) -> str:  # out of their frame
        return " ".join(refused(capsys, *arguments).replace("│", " ").split())

    err = words("order", "list", "--key", str(key))
    assert "holds no private key" in err and "not a key at all" not in err
    assert "No such file" in words("order", "list", "--key", str(tmp_path / "none"))
    key.write_text("12" * 32)
    err = words("order", "list", "--key", str(key), "--account", "mine")
    assert "--account must be 0x" in err


def test_a_venue_is_found_without_the_scheme_of_its_address(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = said(capsys, "venue", "instruments", "--venue", url.removeprefix("http://"))
    assert "BTC-PERPETUAL" in shown


def test_a_lost_answer_says_where_to_look() -> None:
    words = shared._words("", OutcomeUnknown("0xab"), False)
    assert "novate order show 0xab" in words


def test_a_missing_key_says_how_to_give_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOVATE_KEY_FILE", raising=False)
    err = refused(capsys, "order", "list")
    assert "NOVATE_KEY_FILE" in err and "trader-1.key" in err
