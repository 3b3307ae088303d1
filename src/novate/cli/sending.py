"""Sending what the venue has prepared for an account's owner: its transactions, on the chain.

Owns: the option ``--rpc``. Without it transactions are only printed; with it they are signed with
the key of ``--key`` and sent one after the other, each once the chain's clock has come to its time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from eth_account import Account
from eth_account.signers.local import LocalAccount

from novate.chain.client import Client, RpcFault
from novate.cli import client as shared
from novate.errors import NotYet, Rejected
from novate.services.fees import FeePolicy
from novate.services.leaving import wait_for

GWEI = 10**9
Rpc = Annotated[
    str | None,
    typer.Option(
        help="Send the transactions through this node (http(s)://…); without it they are shown."
    ),
]
FeeMax = Annotated[int, typer.Option(help="Most that a unit of gas may cost, in gwei.")]
STEPS = (
    ("name", "call"),
    ("to", "to"),
    ("not_before", "not before"),
    ("transaction", "transaction"),
    ("data", "data"),
)


def send(
    transactions: list[dict[str, Any]], key_file: Path, rpc: str | None, fee_max: int
) -> list[dict[str, Any]]:
    """The transactions; with an RPC each as it was sent, with its hash.

    Errors: as the contracts reject; raises ``OSError``, ``typer.BadParameter``.
    """
    if rpc is None:
        return transactions
    key: LocalAccount = Account.from_key(key_file.read_text(encoding="utf-8").strip())
    for made in transactions:
        if made["from"] != key.address.lower():
            raise typer.BadParameter(f"--key: only the owner, {made['from']}, may send this")
    try:
        return _sent(transactions, key, rpc, fee_max)
    except RpcFault as fault:
        raise OSError(f"{rpc}: {fault}") from fault


def _sent(
    transactions: list[dict[str, Any]], key: LocalAccount, rpc: str, fee_max: int
) -> list[dict[str, Any]]:
    client = Client.over_http(rpc)
    found = []
    try:
        base_fee = client.block().base_fee
        if base_fee:
            client.fees = FeePolicy(GWEI, fee_max * GWEI).first(base_fee)
        wait = wait_for(client)
        for made in transactions:
            wait(made["not_before"])
            data = bytes.fromhex(made["data"][2:])
            while not _passes(client, made["to"], data, key.address):
                wait(client.block().timestamp + 1)
            receipt = client.confirm(client.send(key, made["to"], data))
            found.append(made | {"transaction": "0x" + receipt.transaction.hex()})
    finally:
        client.close()
    return found


def _passes(client: Client, to: str, data: bytes, sender: str) -> bool:
    """Whether a call would pass now; False if its time, which counts from the block that held the
    one before it, has not come. Errors: as the contract rejects.
    """
    try:
        client.call(to, data, sender)
    except Rejected as rejected:
        if rejected.error is not NotYet:
            raise
        return False
    return True


def show(transactions: list[dict[str, Any]]) -> None:
    """Print transactions, a block of lines each."""
    for made in transactions:
        wanted = [f for f in STEPS if made.get(f[0])]
        if "transaction" in made:
            wanted = [f for f in wanted if f[0] in ("name", "transaction")]
        shared.show_one(made, wanted, False)
