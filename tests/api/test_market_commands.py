"""``novate oracle``, ``auction``, ``governance`` and an account's money, as a person types them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from support.venue_api import PRICES, Trader, Venue, open_venue, post, served_in_background

from novate.chain.backend import abi_of
from novate.chain.node import local_key
from novate.cli import oracle
from novate.cli.main import main
from novate.model import session
from novate.model.order import IMMEDIATE, Order
from novate.services.indexer import BY_JOURNAL, Indexer
from novate.store.database import Database
from novate.units import CENT, WAD
from novate.wire import eip712
from novate.wire.order import SignedOrder

DEEP, LIQUIDATOR, OWNER = (Trader(f"command {name}") for name in ("deep", "liquidator", "owner"))
NAME = f"0x{DEEP.account:064x}"
Say = Callable[..., str]


def place(venue: Venue, trader: Trader, lots: int, immediate: bool) -> None:
    order = Order(
        account=trader.account,
        instrument=1,
        lots=lots,
        price=100_000 * WAD,
        max_fee=WAD,
        nonce=1,
        expiry=2**32,
        flags=IMMEDIATE * immediate,
    )
    r, vs = eip712.sign(trader.secret, eip712.order_digest(venue.separator, order))
    venue.place(SignedOrder(order, r, vs))


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
    """One account below its margin, one key, one change announced."""
    folder: Path = tmp_path_factory.mktemp("venue")
    made = open_venue(folder, [DEEP, LIQUIDATOR, OWNER])
    place(made, DEEP, 40_000, False)
    place(made, LIQUIDATOR, -40_000, True)
    made.settle(made.now + 12)
    with pytest.MonkeyPatch.context() as patch:
        for dollars in (95_000, 90_000, 86_000, 82_000, 80_000):
            patch.setitem(PRICES, 1, dollars)
            for _ in range(2):
                post(made, made.now + 30)
        announce(made)
        made.mine(made.now + 6)
        post(made, made.now + 6)
    yield made
    made.close()


def announce(venue: Venue) -> None:
    """A governor's change and an owner's session key on the chain."""
    parameters = venue.sequencer.world.risk.parameters[1]
    data = abi_of("RiskModel").encode_call("set_parameters", 1, parameters.pack())
    address = venue.deployment.addresses["timelock"]
    timelock = venue.client.attach(address, abi_of("Timelock"), "Timelock")
    call = venue.deployment.addresses["risk_model"], data, bytes(32)
    timelock.send("schedule", *call, key=local_key("governor"))
    key = local_key("command session").address
    word = 2**31, session.TRADE, 0, 10**6 * WAD // CENT, 10**3 * WAD // CENT
    raw = OWNER.account.to_bytes(32, "big")
    venue.attach("exchange").send("set_session_key", raw, key, *word, key=OWNER.key)


@pytest.fixture
def say(
    venue: Venue,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Say]:
    """Runs a command line that must succeed, by the owner's key; its output."""
    for name, trader in (("owner", OWNER), ("liquidator", LIQUIDATOR)):
        (tmp_path / f"{name}.key").write_text(bytes(trader.key.key).hex() + "\n")
    monkeypatch.setenv("NOVATE_KEY_FILE", str(tmp_path / "owner.key"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        out, err = capsys.readouterr()
        assert ended.value.code in (0, None), err
        return out

    with closing(Database.open(f"sqlite:///{tmp_path / 'index.db'}")) as store:
        Indexer(store, venue.deployment, venue.parameters, BY_JOURNAL).take(venue.journal.read())
        with served_in_background(venue, store) as url:
            monkeypatch.setenv("NOVATE_VENUE", url)
            yield run


@contextmanager
def mining(venue: Venue) -> Iterator[None]:
    """Blocks come, as on a chain that is nobody's."""
    stop, client = threading.Event(), venue.node.client()

    def mine() -> None:
        while not stop.wait(0.1):
            client.mine(client.block().timestamp + 1)

    thread = threading.Thread(target=mine)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        client.close()


def test_the_oracle_shows_its_feeds_and_follows_rounds(say: Say) -> None:
    shown = say("oracle", "show")
    assert "btc_usdc" in shown and "80000" in shown and "3 of 4 nodes needed" in shown
    found = json.loads(say("oracle", "show", "--json"))
    assert {row["index_name"] for row in found["feeds"]} == {"btc_usdc", "eth_usdc"}
    assert all(row["age"] >= 0 for row in found["feeds"])
    found |= {"signers": ["0xaa", "0xbb", "0xcc"]}
    said = list(oracle.notes(found, found["timestamp"] + found["stale_after"]))
    assert said[0].endswith("signed by 3 (3 of 4 nodes needed)") and len(said) == 4
    assert list(oracle.notes(found, found["timestamp"] + 61))[-1].startswith("stale")
    assert "eth_usdc 4000" in say("oracle", "watch", "--count", "1")
    [line] = say("oracle", "watch", "--count", "1", "--json").splitlines()
    assert json.loads(line)["type"] == "snapshot"


def test_governance_shows_what_is_in_force_its_bounds_and_what_waits(say: Say) -> None:
    shown = say("governance", "show")
    assert "0.15" in shown and "scan range step" in shown and "1.1" in shown
    assert "risk_model.set_parameters(underlying=1" in shown and "waiting" in shown
    found = json.loads(say("governance", "show", "--json"))
    [change] = found["pending_changes"]
    assert change["arguments"]["word"]["psr_target"] == 150_000
    assert change["announced_at"] < change["executable_at"] < change["expires_at"]
    assert found["bounds"]["credit"] == ["0", "1"]


def test_a_liquidator_lists_shows_and_starts_an_auction(
    venue: Venue, say: Say, tmp_path: Path
) -> None:
    [row] = json.loads(say("auction", "list", "--json"))
    assert (row["account"], row["event"]) == (NAME, "may_start")
    assert NAME in say("auction", "list") and "may start" in say("auction", "show", NAME)
    other = "0x" + "1" * 64
    assert say("auction", "show", other).startswith("not in auction")
    assert json.loads(say("auction", "show", other, "--json")) == {"now": [], "past": []}
    key = ("--key", str(tmp_path / "liquidator.key"))
    made = json.loads(say("auction", "bid", NAME, *key, "--json"))
    assert made["step"] == "start" and made["transactions"][0]["name"] == "auctioneer.start"
    shown = say("auction", "bid", NAME, *key)
    assert made["transactions"][0]["data"] in shown and "largest share" in shown
    assert "nothing is on sale" in say("auction", "watch", "--count", "1")


def test_with_an_rpc_the_transaction_is_sent(venue: Venue, say: Say, tmp_path: Path) -> None:
    rpc = ("--rpc", venue.node.http_url)
    key = ("--key", str(tmp_path / "liquidator.key"))
    with mining(venue):
        done = json.loads(say("auction", "bid", NAME, *key, *rpc, "--json"))
        [sent] = done["transactions"]
        assert venue.client.receipt(bytes.fromhex(sent["transaction"][2:])).succeeded
    raw = DEEP.account.to_bytes(32, "big")
    assert venue.auctioneer.call("quote", raw)[0] > 0
    venue.watch()
    post(venue, venue.now + 6)
    venue.watch()


def test_an_open_auction_is_listed_at_its_terms_and_has_a_past(venue: Venue, say: Say) -> None:
    [row] = json.loads(say("auction", "list", "--json"))
    assert (row["account"], row["event"]) == (NAME, "open") and row["discount_ppm"] > 0
    assert "open" in say("auction", "list") and " %" in say("auction", "list")
    found = json.loads(say("auction", "show", NAME, "--json"))
    assert [row["event"] for row in found["past"]] == ["started"]
    shown = say("auction", "show", NAME)
    assert "started" in shown and "open" in shown
    assert NAME in say("auction", "watch", "--count", "1")


def test_an_account_shows_its_past_its_money_and_its_keys(say: Say) -> None:
    [row] = json.loads(say("account", "history", "--json"))
    assert (row["type"], row["change"]) == ("deposit", "1000000")
    assert "deposit" in say("account", "history")
    [row] = json.loads(say("account", "deposits", "--json"))
    assert (row["currency"], row["amount"], row["state"]) == ("USDC", "1000000", "completed")
    assert "completed" in say("account", "deposits")
    assert say("account", "withdrawals") == "no withdrawals\n"
    [row] = json.loads(say("account", "keys", "--json"))
    assert (row["scope"], row["live"]) == ("trade", True)
    shown = say("account", "keys")
    assert row["key"] in shown and "BTC ETH" in shown and "2038" in shown


def test_a_withdrawal_is_shown_or_sent(venue: Venue, say: Say) -> None:
    shown = say("account", "withdraw", "100")
    assert "custody.request_withdrawal" in shown and "eligible (UTC)" in shown
    usdc = venue.tokens["USDC"]
    before = usdc.call("balanceOf", OWNER.address)
    with mining(venue):
        made = json.loads(say("account", "withdraw", "100", "--rpc", venue.node.http_url, "--json"))
    assert [row["name"] for row in made["transactions"]] == [
        "custody.request_withdrawal",
        "custody.withdraw",
    ]
    assert usdc.call("balanceOf", OWNER.address) == before + 100 * 10**6


def failed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    return capsys.readouterr().err


def test_a_stranger_s_key_sends_nothing(
    venue: Venue, say: Say, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    given = ("--account", f"0x{OWNER.account:064x}", "--key", str(tmp_path / "liquidator.key"))
    err = failed(capsys, "account", "withdraw", "1", *given, "--rpc", venue.node.http_url)
    assert "BadSignature" in err or "NotOwner" in err
    err = failed(capsys, "account", "withdraw", "1", "--rpc", "http://127.0.0.1:9")
    assert err.startswith("error: ") and err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("oracle", "show"),
        ("oracle", "watch"),
        ("auction", "list"),
        ("auction", "show", NAME),
        ("auction", "watch"),
        ("governance", "show"),
    ],
    ids=" ".join,
)
def test_without_a_venue_there_is_one_line(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    err = failed(capsys, *arguments, "--venue", "http://127.0.0.1:9")
    assert err.startswith("error: ") and err.count("\n") == 1


@pytest.mark.parametrize("name", ["history", "deposits", "withdrawals", "keys", "withdraw"])
def test_an_account_s_commands_need_a_key(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOVATE_KEY_FILE", raising=False)
    more = ["1"] if name == "withdraw" else []
    assert "NOVATE_KEY_FILE" in failed(capsys, "account", name, *more)
