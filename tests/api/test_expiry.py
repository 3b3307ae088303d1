"""A real venue, quiet: what is about to expire is matched while it can settle, and then no more."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from coincurve import PrivateKey
from eth_account import Account
from support.chaos import BTC, Up

from novate.chain.backend import abi_of
from novate.chain.client import Client as Node
from novate.chain.deployment import Deployment
from novate.limits import EXPIRY_ROOM_S
from novate.model.session import TRADE
from novate.sdk import ApiError, Client, SigningKey
from novate.wire import eip712

HELPER = PrivateKey(b"\x31" * 32)
LIVES_S = EXPIRY_ROOM_S + 6
BUDGET = 10**12


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    made = Up(tmp_path / "venue")
    made.start()
    yield made
    made.end()


def lend(up: Up, secret: str, until: int) -> SigningKey:
    """A session key of an account's, until a second."""
    deployment = Deployment.load(up.folder / "deployment.json")
    owner = Account.from_key(secret)
    account = int(owner.address, 16) << 96
    address = eip712.address_of(HELPER.public_key)
    with closing(Node.over_http(up.said["rpc"])) as node:
        exchange = node.attach(deployment.addresses["exchange"], abi_of("Exchange"), "Exchange")
        fields = address, until, TRADE, 0, BUDGET, BUDGET
        exchange.transact("set_session_key", account.to_bytes(32, "big"), *fields, key=owner)
    return SigningKey(HELPER.secret, account)


def outcome(client: Client, price: int) -> str:
    """What becomes of an immediate order at a price: filled, cancelled, or why it is refused."""
    try:
        found = client.create_order(BTC, "buy", "0.001", price, time_in_force="immediate_or_cancel")
    except ApiError as refused:
        return refused.name
    return str(found["order"]["order_state"])


def until_known(up: Up, owner: SigningKey) -> None:
    """The venue has seen the session key on the chain."""
    deadline = time.monotonic() + 20
    with Client(up.said["url"], owner) as client:
        while not client.call("private/list_session_keys"):
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_orders_and_session_keys_around_their_end_never_bust(up: Up) -> None:
    """Nothing else happens: rounds come every ten seconds, and tell the time no closer."""
    up.until(lambda health: health["ready"])
    maker, owner = (SigningKey(up.said["accounts"][n]["private_key"]) for n in (0, 1))
    until = int(time.time()) + LIVES_S
    key = lend(up, up.said["accounts"][1]["private_key"], until)
    until_known(up, owner)
    seen: list[tuple[float, str, str]] = []
    with (
        Client(up.said["url"], maker) as one,
        Client(up.said["url"], owner) as other,
        Client(up.said["url"], key) as helper,
    ):
        price = round(Decimal(one.fetch_ticker(BTC)["mark_price"]))
        one.create_order(BTC, "sell", "0.5", price + 10)
        one.create_order(BTC, "sell", "0.5", price, expiry=until)
        while (now := time.time()) < until + 3:
            seen.append((now, "order", outcome(other, price)))
            seen.append((now, "key", outcome(helper, price + 10)))
            time.sleep(0.3)
        trades: list[dict[str, Any]] = []
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            trades = one.fetch_trades(BTC, 1_000)
            if all(trade["settlement_state"] in ("settled", "busted") for trade in trades):
                break
            time.sleep(0.2)
    assert {trade["settlement_state"] for trade in trades} == {"settled"}, trades
    for kind, ended in (("order", "cancelled"), ("key", "BadSignature")):
        rows = [(now, state) for now, name, state in seen if name == kind]
        filled = [now for now, state in rows if state == "filled"]
        assert filled and max(filled) <= until - EXPIRY_ROOM_S + 2, rows
        assert {state for now, state in rows if now > max(filled)} == {ended}, rows
        assert max(filled) >= until - EXPIRY_ROOM_S - 1.5, rows
