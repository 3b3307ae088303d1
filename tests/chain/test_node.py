"""The local chain and its client: real transactions on a real node."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from novate.chain import node as node_module
from novate.chain.abi import Event
from novate.chain.client import CallReverted, Client, Log, RemoteContract, RpcFault
from novate.chain.compile import compile_contract
from novate.chain.node import (
    STATES_KEPT,
    LocalNode,
    NodeFault,
    NodeOptions,
    find_anvil,
    local_key,
)
from novate.engine.ahead import REORG_BLOCKS_MAX
from novate.errors import InsufficientCash, Rejected, ZeroAmount

CONTRACTS = Path(__file__).parent.parent / "contracts"
GENESIS_AT = 1_750_000_000
DEPLOYER = local_key("deployer")
TRADER = local_key("trader")
STRANGER = local_key("stranger")


@pytest.fixture(scope="module")
def node() -> Iterator[LocalNode]:
    with LocalNode(NodeOptions(chain_id=4242, timestamp=GENESIS_AT)) as running:
        yield running


@pytest.fixture
def client(node: LocalNode) -> Client:
    return node.client()


@pytest.fixture
def tally(client: Client) -> RemoteContract:
    return client.deploy(compile_contract("Tally", CONTRACTS), 10, key=DEPLOYER)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_chain_is_as_asked_for(client: Client) -> None:
    assert client.chain_id == 4242
    genesis = client.block(0)
    assert genesis.timestamp == GENESIS_AT
    assert genesis.gas_limit == NodeOptions().gas_limit
    assert client.block(genesis.number) == genesis
    with pytest.raises(RpcFault, match="no block"):
        client.block(10**6)


def test_blocks_are_mined_by_hand_at_the_given_time(client: Client) -> None:
    before = client.block()
    number = client.mine(before.timestamp + 3_600)
    after = client.block(number)
    assert number == before.number + 1
    assert after.timestamp == before.timestamp + 3_600
    with pytest.raises(RpcFault, match="Timestamp"):
        client.mine(before.timestamp)


def test_a_deployed_contract_is_read_and_written(client: Client, tally: RemoteContract) -> None:
    assert tally.call("total") == 10
    receipt = tally.transact("add", 5, key=TRADER)
    assert receipt.succeeded and 21_000 < receipt.gas_used < 80_000
    assert tally.call("total") == 15
    assert tally.call("total", block=receipt.block - 1) == 10
    assert client.receipt(receipt.transaction) == receipt


def test_an_event_is_decoded_from_receipt_and_logs(client: Client, tally: RemoteContract) -> None:
    receipt = tally.transact("add", 2**200, key=TRADER)
    other = client.deploy(compile_contract("Tally", CONTRACTS), 1, key=DEPLOYER)
    other.transact("add", 3, key=DEPLOYER)
    arguments = {"who": TRADER.address.lower(), "added": 2**200, "total": 2**200 + 10}
    expected = Event(tally.address, "Counted", arguments)
    assert [event for _, event in client.decode(receipt.logs)] == [expected]
    latest = client.block().number
    assert client.logs(receipt.block, latest, [tally.address]) == list(receipt.logs)
    both = client.decode(client.logs(receipt.block, latest))
    assert [(event.address, event.arguments["added"]) for _, event in both] == [
        (tally.address, 2**200),
        (other.address, 3),
    ]
    assert isinstance(both[0][0], Log) and both[0][0].transaction == receipt.transaction


def test_logs_of_a_contract_that_is_not_attached_are_left_out(
    node: LocalNode, tally: RemoteContract
) -> None:
    receipt = tally.transact("add", 1, key=TRADER)
    assert node.client().decode(receipt.logs) == []


def test_a_revert_of_a_transaction_is_its_registered_rejection(tally: RemoteContract) -> None:
    with pytest.raises(Rejected) as caught:
        tally.transact("add", 0, key=TRADER)
    assert caught.value.error is ZeroAmount
    assert tally.call("total") == 10


def test_a_revert_of_a_call_is_its_registered_rejection(tally: RemoteContract) -> None:
    assert tally.call("total_above", 9) == 10
    with pytest.raises(Rejected) as caught:
        tally.call("total_above", 10)
    assert caught.value.error is InsufficientCash


def test_a_revert_of_a_constructor_is_its_registered_rejection(client: Client) -> None:
    with pytest.raises(Rejected) as caught:
        client.deploy(compile_contract("Tally", CONTRACTS), 0, key=DEPLOYER)
    assert caught.value.error is ZeroAmount


def test_any_other_revert_is_told_apart(tally: RemoteContract) -> None:
    with pytest.raises(CallReverted):
        tally.transact("fail", key=TRADER)
    with pytest.raises(CallReverted, match="on purpose"):
        tally.call("fail")
    with pytest.raises(CallReverted):
        tally.transact("add", 2**256 - 1, key=TRADER)


def test_transactions_of_one_block_keep_the_order_they_were_sent_in(
    client: Client, tally: RemoteContract
) -> None:
    keys = [TRADER, STRANGER, TRADER, DEPLOYER, STRANGER, TRADER]
    sent = [tally.send("add", number + 1, key=key) for number, key in enumerate(keys)]
    assert client.receipts(sent) == [None] * len(sent)
    block = client.mine()
    receipts = client.receipts(sent)
    assert [receipt.block for receipt in receipts if receipt] == [block] * len(sent)
    added = [event.arguments["added"] for _, event in client.decode(client.logs(block, block))]
    assert added == [1, 2, 3, 4, 5, 6]


def test_many_signed_transactions_go_in_one_message(client: Client, tally: RemoteContract) -> None:
    data = tally.abi.encode_call("add", 1)
    signed = [client.sign(TRADER, tally.address, data, gas=100_000) for _ in range(50)]
    sent = client.send_raw(*signed)
    client.mine()
    receipts = client.receipts(sent)
    assert all(receipt is not None and receipt.succeeded for receipt in receipts)
    assert tally.call("total") == 60


def test_nonces_are_asked_anew_after_a_refusal(node: LocalNode, tally: RemoteContract) -> None:
    tally.transact("add", 1, key=TRADER)
    elsewhere = node.client().attach(tally.address, tally.abi, "Tally")
    elsewhere.transact("add", 1, key=TRADER)
    with pytest.raises(RpcFault, match="nonce"):
        tally.transact("add", 1, key=TRADER)
    tally.transact("add", 1, key=TRADER)
    assert tally.call("total") == 13


def test_value_and_balances_are_in_wei(client: Client) -> None:
    rich, poor = local_key("rich"), local_key("poor")
    client.set_balance(rich.address, 10**18)
    before = client.balance(poor.address)
    client.confirm(client.send(rich, poor.address.lower(), b"", gas=21_000, value=10**17))
    assert client.balance(poor.address) - before == 10**17
    assert client.balance(rich.address) == 9 * 10**17


def test_http_serves_the_same_chain(node: LocalNode, client: Client, tally: RemoteContract) -> None:
    over_http = Client.over_http(node.http_url, mines=True)
    same = over_http.attach(tally.address, tally.abi, "Tally")
    same.transact("add", 1, key=TRADER)
    assert tally.call("total") == same.call("total") == 11
    with pytest.raises(Rejected) as caught:
        same.transact("add", 0, key=TRADER)
    assert caught.value.error is ZeroAmount
    over_http.close()


def test_a_chain_that_mines_by_itself_is_waited_for(node: LocalNode, tally: RemoteContract) -> None:
    waiting = Client.over_ipc(node.ipc_path)
    sent = tally.send("add", 1, key=TRADER)
    assert waiting.receipt(sent) is None
    tally.client.mine()
    assert waiting.confirm(sent).succeeded
    waiting.close()
    assert waiting.chain_id == tally.client.chain_id and waiting.block().number > 0
    waiting.close()


def test_a_stopped_node_is_gone_with_its_folder() -> None:
    with LocalNode() as running:
        pid, folder = running.pid, running.ipc_path.parent
        running.client().mine()
        assert is_alive(pid) and folder.is_dir()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not is_alive(pid) and not folder.exists()
    with pytest.raises(RpcFault):
        Client.over_http(running.http_url)
    running.stop()


def test_states_of_old_blocks_are_dropped_and_never_written_to_disk() -> None:
    with LocalNode() as running:
        client = running.client()
        tally = client.deploy(compile_contract("Tally", CONTRACTS), 10, key=DEPLOYER)
        first = client.block().number
        client.request("anvil_mine", hex(600))  # by itself it would write a hundred by now
        assert tally.call("total", block=client.block().number - STATES_KEPT + 1) == 10
        with pytest.raises(RpcFault, match="BlockOutOfRange"):
            tally.call("total", block=first)
        written = [path for path in running.ipc_path.parent.rglob("*.json") if path.is_file()]
        assert written == []
        client.request("anvil_reorg", REORG_BLOCKS_MAX, [])
        assert tally.call("total") == 10


def test_two_nodes_run_side_by_side(node: LocalNode) -> None:
    with LocalNode() as other:
        assert other.port != node.port
        assert other.client().chain_id != node.client().chain_id


def test_a_missing_node_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOVATE_ANVIL", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(node_module, "ROOT", tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NodeFault, match="make setup"):
        LocalNode()
    monkeypatch.setenv("NOVATE_ANVIL", str(tmp_path / "nowhere"))
    with pytest.raises(NodeFault, match="NOVATE_ANVIL"):
        LocalNode()


def test_the_node_is_looked_for_in_the_repository_and_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOVATE_ANVIL", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setattr(node_module, "ROOT", tmp_path / "repository")
    monkeypatch.chdir(tmp_path)
    for folder in ("path", "repository/node_modules/.bin"):
        binary = tmp_path / folder / "anvil"
        binary.parent.mkdir(parents=True)
        binary.write_text("#!/bin/sh\n")
        binary.chmod(0o755)
        assert find_anvil() == binary


def test_a_node_that_does_not_start_reports_what_it_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "anvil"
    broken.write_text("#!/bin/sh\necho no luck >&2\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setenv("NOVATE_ANVIL", str(broken))
    with pytest.raises(NodeFault, match="no luck"):
        LocalNode()


def test_a_local_key_is_the_same_for_the_same_role() -> None:
    assert local_key("trader").address == TRADER.address != STRANGER.address
