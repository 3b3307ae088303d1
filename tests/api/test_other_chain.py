"""``novate up --rpc`` on another chain than a local one: with keys of one's own, or not at all."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from decimal import Decimal
from pathlib import Path

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils.crypto import keccak

from novate import config
from novate.api import up_config
from novate.chain.backend import ClientBackend, abi_of
from novate.chain.client import Client as ChainClient
from novate.chain.compile import LOCAL_CONTRACTS
from novate.chain.deploy import deploy
from novate.chain.deployment import Deployment, Roles
from novate.chain.node import LocalNode, NodeOptions, local_key
from novate.errors import InvalidParameter, Rejected
from novate.model.account import account_of
from novate.sdk import ApiError, Client, SigningKey
from novate.services import venue_keys

BTC = "BTC-PERPETUAL"
NAMES = ("executor", "upkeep", *(f"node-{i}" for i in range(4)))
TABLE = '[keys]\nexecutor = "executor.key"\nupkeep = "upkeep.key"\nnodes = [{}]\n'
NODES = [f'"node-{i}.key"' for i in range(4)]


def secret(name: str) -> LocalAccount:
    made: LocalAccount = Account.from_key(keccak(b"a key of this test alone: " + name.encode()))
    return made


def lower(name: str) -> str:
    return str(secret(name).address.lower())


def roles(executor: str | None = None) -> Roles:
    nodes = tuple(lower(f"node-{i}") for i in range(4))
    return Roles(lower("governor"), lower("guardian"), (executor or lower("executor"),), nodes)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in NAMES:
        file = tmp_path / f"{name}.key"
        file.touch(0o600)
        file.write_text("0x" + bytes(secret(name).key).hex() + "\n")
    (tmp_path / "venue.toml").write_text("[venue]\n" + TABLE.format(", ".join(NODES)))
    (tmp_path / "venue").mkdir()
    text = config.DEFAULT.read_text()
    brief = text.replace("restart_grace_seconds = 120", "restart_grace_seconds = 30")
    assert brief != text
    (tmp_path / "parameters.toml").write_text(brief)
    return tmp_path


@pytest.fixture
def chain(folder: Path) -> Iterator[tuple[LocalNode, Deployment]]:
    """Another chain that goes on by itself, with a venue of secret keys."""
    began = int(time.time()) - 7_200
    with LocalNode(NodeOptions(chain_id=4_242, timestamp=began)) as node:
        client = node.client()
        backend = ClientBackend(client, [secret("governor"), secret("guardian")])
        made = deploy(backend, config.load(folder / "parameters.toml"), roles())
        made.save(folder / "venue/deployment.json")
        fund(client, made)
        stop = threading.Event()

        def mine() -> None:
            while not stop.wait(0.3):
                client.mine(max(int(time.time()), client.block().timestamp))

        miner = threading.Thread(target=mine)
        miner.start()
        yield node, made
        stop.set()
        miner.join()


def fund(client: ChainClient, made: Deployment) -> None:
    usdc = client.attach(made.tokens["USDC"], abi_of("TestToken", LOCAL_CONTRACTS), "USDC")
    custody = client.attach(made.addresses["custody"], abi_of("Custody"), "Custody")
    for name in ("maker", "taker"):
        account = account_of(lower(name)).to_bytes(32, "big")
        usdc.transact("mint", lower(name), 10**12, key=secret("governor"))
        usdc.transact("approve", custody.address, 10**12, key=secret(name))
        custody.transact("deposit", usdc.address, account, 10**12, key=secret(name))


@contextmanager
def running(folder: Path, rpc: str) -> Iterator[str]:
    """A venue there; its URL."""
    command = [sys.executable, "-m", "novate", "up", "--folder", str(folder / "venue"), "--json"]
    command += ["--port", "0", "--rpc", rpc, "--config", str(folder / "venue.toml")]
    command += ["--parameters", str(folder / "parameters.toml")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        try:
            line = process.stdout.readline()
            assert line, process.stderr.read()
            yield json.loads(line)["url"]
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)


def settled(client: Client) -> bool:
    trades = client.fetch_trades(BTC)
    return bool(trades) and all(t["settlement_state"] == "settled" for t in trades)


def refused(folder: Path, rpc: str, *options: str) -> str:
    command = [sys.executable, "-m", "novate", "up", "--folder", str(folder / "venue")]
    command += ["--port", "0", "--rpc", rpc, *options]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2 and "Traceback" not in ended.stderr, ended.stderr
    return ended.stderr


def test_it_trades_and_settles_there_with_keys_of_its_own(
    folder: Path, chain: tuple[LocalNode, Deployment]
) -> None:
    url = chain[0].http_url
    assert "a key that anyone knows" in refused(folder, url)
    keys = [SigningKey("0x" + bytes(secret(name).key).hex()) for name in ("maker", "taker")]
    with (
        running(folder, url) as venue,
        Client(venue, keys[0]) as maker,
        Client(venue, keys[1]) as taker,
    ):
        deadline = time.monotonic() + 100
        while not taker.fetch_trades(BTC):
            assert time.monotonic() < deadline
            with suppress(ApiError):  # prices that have just begun take no risk for a while
                price = round(Decimal(maker.fetch_ticker(BTC)["mark_price"]))
                maker.create_order(BTC, "sell", "0.1", price + 20)
                force = "immediate_or_cancel"
                taker.create_order(BTC, "buy", "0.1", price + 40, time_in_force=force)
            time.sleep(0.5)
        while not settled(taker):
            assert time.monotonic() < deadline
            time.sleep(0.2)


def test_keys_that_are_open_or_not_those_of_the_roles_are_refused(folder: Path) -> None:
    settings = folder / "venue.toml"
    keys = up_config.load_keys(settings)
    assert keys is not None
    keys.require_secret(roles())
    keys.require_roles(roles())
    with pytest.raises(Rejected, match="no executor there"):
        keys.require_roles(roles(lower("another")))
    settings.write_text(TABLE.format(", ".join(reversed(NODES))))
    turned = up_config.load_keys(settings)
    assert turned is not None
    with pytest.raises(Rejected, match=r"keys\.nodes"):
        turned.require_roles(roles())
    (folder / "upkeep.key").chmod(0o640)
    with pytest.raises(Rejected, match="chmod 600") as caught:
        up_config.load_keys(settings)
    assert caught.value.error is InvalidParameter
    (folder / "upkeep.key").chmod(0o600)
    (folder / "upkeep.key").write_text("0x12 nothing")
    with pytest.raises(Rejected, match="no private key") as caught:
        up_config.load_keys(settings)
    assert "0x12" not in str(caught.value)


def test_keys_that_anyone_knows_are_for_a_local_chain_alone(folder: Path) -> None:
    ours = venue_keys.local_keys(4)
    with pytest.raises(Rejected, match="local executor's"):
        ours.require_secret(roles())
    secrets = venue_keys.VenueKeys(secret("executor"), secret("upkeep"), ())
    guardian = str(local_key("guardian").address.lower())
    with pytest.raises(Rejected, match="local guardian's"):
        secrets.require_secret(Roles(lower("governor"), guardian, (lower("executor"),), ()))
    first = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"
    with pytest.raises(Rejected, match="development node's account 0"):
        secrets.require_secret(roles(first))
    assert venue_keys.is_local(31_337, "http://127.0.0.1:8545")
    assert venue_keys.is_local(31_337, "http://localhost:8545")
    assert venue_keys.is_local(31_337, "http://[::1]:8545")
    assert not venue_keys.is_local(31_337, "http://10.0.0.8:8545")
    assert not venue_keys.is_local(31_337, "http://127.0.0.1.example.org:8545")
    assert not venue_keys.is_local(1, "http://127.0.0.1:8545")
