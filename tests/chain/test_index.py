"""The read side over a real node: what traders did, to the wei, through reorganisation and kill."""

from __future__ import annotations

import os
import shutil
import signal
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.index import contents, rows
from support.journals import child
from support.market import Market, market_of

from novate.chain.client import Client, RpcFault
from novate.chain.compile import compile_contract
from novate.chain.deployment import Deployment
from novate.chain.node import local_key
from novate.config import load
from novate.demo.run import Crash
from novate.engine.journal_scan import Tail
from novate.lab.prices import load_event
from novate.model import ledger
from novate.services.indexer import BY_JOURNAL, BY_NODE, JOURNAL, LEDGER, Indexer
from novate.services.indexer_blocks import NodeChain
from novate.services.indexer_feed import Feed
from novate.store import database, schema
from novate.store.accounts import get_deposits, get_transaction_log
from novate.store.answers import Trade
from novate.store.database import NOWHERE, Database
from novate.store.history import chain_time, get_funding_rate_history
from novate.store.pages import Page
from novate.store.trades import get_batches, get_last_trades_by_instrument

CONTRACTS = Path(__file__).parent.parent / "contracts"
MINUTES = 20
ALL = Page(count=1000, sorting="asc")
# What a node adds to what the journal tells: every block, and its hash.
ABOUT_BLOCKS = ("blocks", "progress", "identity")


# A run of many


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crash]:
    """A run that has ended, its node still there."""
    crash = Crash(tmp_path_factory.mktemp("run"), load(), load_event(), seed=5, minutes=MINUTES)
    try:
        crash.run(lambda done, total, text: None)
        yield crash
    finally:
        crash.venue.close()


@pytest.fixture(scope="module")
def grown(ran: Crash, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """An index of the run by its node."""
    url = f"sqlite:///{tmp_path_factory.mktemp('index') / 'index.db'}"
    with closing(Database.open(url)) as store:
        venue = ran.venue
        indexer = Indexer(store, venue.deployment, load(), BY_NODE)
        indexer.take(venue.journal.read())
        indexer.follow(NodeChain(venue.client, venue.deployment))
        yield store


def test_every_match_of_the_engine_is_a_settled_trade(ran: Crash, grown: Database) -> None:
    trades = rows(grown, schema.trades)
    assert len(trades) == ran.totals.matched == ran.totals.settled > 100
    settled = [r for r in rows(grown, schema.outcomes) if r["settled"]]
    assert sorted(r["sequence"] for r in settled) == [t["sequence"] for t in trades]
    for trade, outcome in zip(trades, sorted(settled, key=lambda r: r["sequence"]), strict=True):
        lots = trade["lots"] if trade["taker_buys"] else -trade["lots"]
        assert (outcome["lots"], outcome["price"]) == (lots, trade["price"])
        assert (outcome["maker"], outcome["taker"]) == (
            trade["maker_account"],
            trade["taker_account"],
        )
    with grown.begin() as connection:
        found = get_batches(connection, ALL).rows
    assert found and all(batch.state == "settled" for batch in found)


def test_an_index_by_the_journal_alone_holds_the_same_rows(
    ran: Crash, grown: Database, database_url: str
) -> None:
    with closing(Database.open(database_url)) as store:
        Indexer(store, ran.venue.deployment, load(), BY_JOURNAL).take(ran.venue.journal.read())
        mine, other = contents(store), contents(grown)
    for name in mine:
        if name not in ABOUT_BLOCKS:
            assert mine[name] == other[name], name
    assert len(other["blocks"]) > len(mine["blocks"]) > MINUTES


def test_an_index_that_grew_by_small_steps_equals_one_made_at_once(
    ran: Crash, grown: Database, database_url: str
) -> None:
    venue, entries = ran.venue, list(ran.venue.journal.read())
    chain = NodeChain(venue.client, venue.deployment)
    with closing(Database.open(database_url)) as store:
        for end in range(500, len(entries) + 500, 500):
            # a new process every time: nothing is remembered but the rows
            indexer = Indexer(store, venue.deployment, load(), BY_NODE)
            indexer.take(entries[:end])
            if end % 1000 == 0 or end >= len(entries):
                indexer.follow(chain)
        assert contents(store) == contents(grown)


def test_the_log_adds_up_to_every_balance_to_the_wei(ran: Crash, grown: Database) -> None:
    world = ran.venue.replica.world
    balances: dict[str, int] = defaultdict(int)
    layers = {f"{int(world.addresses['waterfall'], 16) << 96 | n:#066x}" for n in (1, 2, 3, 4)}
    for entry in rows(grown, schema.account_log):
        if entry["account"] in layers:
            continue
        balances[entry["account"]] += entry["change"]
        assert balances[entry["account"]] == entry["balance"], entry
        assert entry["event"] != "interest", "nobody owed any: every wei has a name"
    accounts = [a for a in world.ledger.accounts.rows if f"{a:#066x}" in balances]
    assert len(accounts) > 300
    for account in accounts:
        row = world.ledger.accounts[account]
        worth = row.cash + ledger.accounts_module.gains(world, row)
        assert balances[f"{account:#066x}"] == worth


def test_profit_and_loss_and_funding_are_those_of_the_ledger(ran: Crash, grown: Database) -> None:
    world = ran.venue.replica.world
    assert rows(grown, schema.funding)[-1]["timestamp"] <= world.now
    for instrument in (1, 2):
        last = [r for r in rows(grown, schema.funding) if r["instrument"] == instrument][-1]
        market = world.ledger.markets[instrument]
        assert (last["funding_index"], last["rate_ppb"]) == (market.funding_index, market.rate)
        assert last["open_interest"] == market.open_interest
    paid = sum(r["funding"] for r in rows(grown, schema.settlements))
    assert paid != 0, "an account's funding is paid when it is touched, so the sum need not be 0"
    by_account = defaultdict(int)
    for row in rows(grown, schema.settlements):
        by_account[row["account"]] += row["profit_loss"]
    logged = defaultdict(int)
    for entry in rows(grown, schema.account_log):
        if entry["event"] == "settlement":
            logged[entry["account"]] += entry["change"]
    assert by_account == logged


def test_margins_are_those_of_the_model_at_the_end(ran: Crash, grown: Database) -> None:
    world = ran.venue.replica.world
    last = {row["account"]: row for row in rows(grown, schema.account_margins)}
    newest = max(row["block"] for row in last.values())
    checked = 0
    for account, row in last.items():
        if row["block"] == newest and row["timestamp"] == world.now:
            check = ledger.check(world, int(account, 16))
            assert row["margin_maintenance"] == check.valuation.margin_maintenance
            checked += 1
    assert all(row["margin_initial"] >= row["margin_maintenance"] for row in last.values())
    assert checked or newest < ran.venue.client.block().number


def test_funding_of_an_hour_is_what_its_accruals_say(grown: Database) -> None:
    with grown.begin() as connection:
        end = chain_time(connection) * 1000
        found = get_funding_rate_history(connection, "BTC-PERPETUAL", 0, end)
    assert all(rate.timestamp % 3_600_000 == 0 for rate in found)


def test_a_checkpoint_is_used_and_changes_nothing(
    ran: Crash, grown: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("novate.services.indexer_ledger.CHECKPOINT_TRANSACTIONS", 50)
    venue = ran.venue
    entries = list(venue.journal.read())
    with closing(Database.open("sqlite://")) as store:
        for end in (len(entries) // 2, len(entries)):
            Indexer(store, venue.deployment, load(), BY_JOURNAL).take(entries[:end])
        assert len(rows(store, schema.checkpoints)) > 3
        mine, other = contents(store), contents(grown)
        assert mine["account_log"] == other["account_log"]
        assert mine["settlements"] == other["settlements"]
        with store.begin() as connection:
            broken = {"block": 10**6, "position": 0, "state": "AAAA"}
            database.add(connection, schema.checkpoints, [broken])
        indexer = Indexer(store, venue.deployment, load(), BY_JOURNAL)
        with store.begin() as connection:
            made = indexer._open_ledger(connection)
            assert made is not None, "a checkpoint that does not hold costs time and nothing else"
            assert made.world.ledger.markets[1] == venue.replica.world.ledger.markets[1]


SCRIPT = """
import sys
from pathlib import Path
from novate.chain.client import Client, RpcFault
from novate.chain.compile import compile_contract
from novate.chain.deployment import Deployment
from novate.config import load
from novate.services.indexer import Indexer
from novate.services.indexer_feed import Feed
from novate.store import database
from novate.store.database import Database
advance = database.advance
def told(*arguments):
    advance(*arguments)
    print(arguments[1], arguments[3].position, flush=True)
database.advance = told
folder, url = Path(sys.argv[1]), sys.argv[2]
store = Database.open(url)
indexer = Indexer(store, Deployment.load(folder / "deployment.json"), load(), group=40)
Feed(indexer, folder / "journal.bin").poll()
"""


def test_killed_again_and_again_it_ends_with_the_rows_of_one_run(
    ran: Crash, grown: Database, database_url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("journal.bin", "deployment.json"):
        shutil.copy(ran.folder / name, folder / name)
    places = []
    for lines in (3, 7, 12):
        process = child(SCRIPT, folder, database_url)
        assert process.stdout is not None and process.stderr is not None
        said = [process.stdout.readline() for _ in range(lines)]
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL and all(said)
        with closing(Database.open(database_url)) as store, store.begin() as connection:
            places.append(database.place(connection, JOURNAL).position)
    assert 0 < places[0] < places[1] < places[2] < ran.venue.journal.head.sequence
    with closing(Database.open(database_url)) as store:
        indexer = Indexer(store, Deployment.load(folder / "deployment.json"), load())
        feed = Feed(indexer, folder / "journal.bin")
        assert feed.poll().records == Tail(folder / "journal.bin").poll()[-1].sequence - places[2]
        assert feed.poll().records == 0
        mine, other = contents(store), contents(grown)
    for name in mine:
        if name not in ABOUT_BLOCKS:
            assert mine[name] == other[name], name


# A market of two, and a node that changes its mind
market = market_of(maker=1_000_000, taker=20_000)


def trades(store: Database) -> list[Trade]:
    with store.begin() as connection:
        return get_last_trades_by_instrument(connection, "BTC-PERPETUAL", ALL).rows


def test_a_real_reorganisation_takes_trades_back_and_settles_them_once(
    market: Market, database_url: str
) -> None:
    venue, client = market.venue, market.venue.client
    chain = NodeChain(client, venue.deployment)
    market.order("maker", -20, 100_000, flags=0)
    market.order("taker", 10, 100_000)
    with closing(Database.open(database_url)) as store:
        indexer = Indexer(store, venue.deployment, load(), BY_NODE)
        venue.pump()
        indexer.take(venue.journal.read())
        indexer.follow(chain)
        assert [t.settlement_state for t in trades(store)] == ["matched"]
        venue.settle(market.ts)
        indexer.take(venue.journal.read())
        assert [t.settlement_state for t in trades(store)] == ["batched"]
        indexer.follow(chain)
        (trade,) = trades(store)
        assert trade.settlement_state == "settled" and trade.mark_price == "100000"
        raw = client.request("eth_getRawTransactionByHash", trade.transaction)
        client.request("anvil_rollback", 1)
        client.mine(market.ts + 3)
        client.mine(market.ts + 4)
        indexer.follow(chain)
        (back,) = trades(store)
        assert back.settlement_state == "batched" and back.block is None
        with store.begin() as connection:
            log = get_transaction_log(connection, taker(market), ALL, "trade").rows
        assert log == [], "its fee and its position went with the block"
        client.send_raw(bytes.fromhex(raw[2:]))
        client.mine(market.ts + 5)
        indexer.follow(chain)
        (again,) = trades(store)
        assert again.settlement_state == "settled"
        assert again.transaction == trade.transaction
        assert (again.block or 0) > (trade.block or 0)
        assert len([r for r in rows(store, schema.outcomes) if r["settled"]]) == 1
        with store.begin() as connection:
            log = get_transaction_log(connection, taker(market), ALL, "trade").rows
        assert [entry.position for entry in log] == ["0.01"]
        assert indexer.place(LEDGER) == NOWHERE
        with closing(Database.open("sqlite://")) as other:
            fresh = Indexer(other, venue.deployment, load(), BY_NODE)
            fresh.take(venue.journal.read())
            fresh.follow(chain)
            assert contents(store) == contents(other)


def taker(market: Market) -> str:
    return f"{market.actors['taker'].account:#066x}"


class Blind:
    """A node without traces."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.chain_id = client.chain_id

    def request(self, method: str, *parameters: Any) -> Any:
        if method == "debug_traceTransaction":
            raise RpcFault("the method does not exist")
        return self._client.request(method, *parameters)


def test_a_call_through_somebody_elses_contract_is_followed_where_the_node_traces_it(
    market: Market,
) -> None:
    venue, client = market.venue, market.venue.client
    key, usdc = local_key("somebody"), venue.tokens["USDC"]
    router = client.deploy(compile_contract("Wrapper", CONTRACTS), key=key)
    venue.mine(venue.now + 5)
    usdc.send("mint", router.address, 10**9, key=local_key("governor"))
    venue.mine(venue.now + 5)
    calls = [
        usdc.abi.encode_call("approve", venue.custody.address, 10**9),
        venue.custody.abi.encode_call("deposit", usdc.address, bytes.fromhex(taker(market)[2:]), 7),
    ]
    sent = router.send("run", [usdc.address, venue.custody.address], calls, key=key)
    venue.mine(venue.now + 5)
    with closing(Database.open("sqlite://")) as store:
        indexer = Indexer(store, venue.deployment, load(), BY_NODE)
        indexer.follow(NodeChain(client, venue.deployment))
        with store.begin() as connection:
            newest = get_deposits(connection, taker(market), Page(count=1)).rows[0]
        assert (newest.amount, newest.transaction_id) == ("0.000007", "0x" + sent.hex())
        assert indexer.place(LEDGER) == NOWHERE, "the ledger's rows go on"
    with closing(Database.open("sqlite://")) as store:
        indexer = Indexer(store, venue.deployment, load(), BY_NODE)
        indexer.follow(NodeChain(Blind(client), venue.deployment))  # type: ignore[arg-type]
        with store.begin() as connection:
            newest = get_deposits(connection, taker(market), Page(count=1)).rows[0]
        assert newest.amount == "0.000007", "events tell of it all the same"
        assert "NoTwin" in indexer.place(LEDGER).hash
