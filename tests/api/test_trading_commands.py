"""The trading commands against a running venue, as a person would type them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.venue_api import Trader, Venue, served_in_background, venue_of

from novate.cli.main import main
from novate.sdk import Client

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
    assert "not a multiple of 0.5" in err and "rounding" in err
    shown = said(
        capsys,
        *("order", "buy", "BTC-PERPETUAL", "0.3", "99000.3"),
        *("--rounding", "passive", "--dry-run"),
    )
    assert "99000" in shown and "signature" in shown
    assert said(capsys, "order", "list") == "no open orders\n"


def test_an_account_shows_what_it_may_use(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    row = json.loads(said(capsys, "account", "show", "--json"))
    assert float(row["equity"]) == pytest.approx(1_000_000, rel=0.01)
    assert "maintenance margin" in said(capsys, "account", "show")
    assert "instrument" in said(capsys, "venue", "instruments")
    said(capsys, "position", "list")


def test_a_venue_that_does_not_answer_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    err = refused(capsys, "venue", "instruments", "--venue", "http://127.0.0.1:9")
    assert err.startswith("error: ConnectionLost") and err.count("\n") == 1


def test_a_missing_key_says_how_to_give_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOVATE_KEY_FILE", raising=False)
    assert "NOVATE_KEY_FILE" in refused(capsys, "order", "list")
