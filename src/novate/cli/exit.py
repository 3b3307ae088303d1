"""``novate exit``: settle the last match, withdraw and leave, with no process of the venue's."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer
from eth_account import Account
from eth_account.signers.local import LocalAccount

from novate.chain.client import Client, RpcFault
from novate.services.fees import FeePolicy
from novate.services.leaving import Leaver, Step, wait_for
from novate.wire.exit_data import ExitData

KEY_VARIABLE = "NOVATE_KEY"
GWEI = 10**9


def command(
    match: Annotated[Path, typer.Argument(help="The match's document: receipt and both orders.")],
    rpc: Annotated[
        str, typer.Option(help="Any node of the chain: http(s)://… or a socket's path.")
    ],
    key_file: Annotated[
        Path | None,
        typer.Option(help=f"File with the owner's private key, instead of ${KEY_VARIABLE}."),
    ] = None,
    fee_max: Annotated[int, typer.Option(help="Most that a unit of gas may cost, in gwei.")] = 200,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Settle a match by its receipt, withdraw what is free, and leave.

    Needs nothing of the operator: the contracts check the receipt and pay the account's owner. It
    waits for the window after the match and for the notice of the withdrawal. It may be stopped and
    run again: what is done is not done twice.

    Example: NOVATE_KEY=0x… novate exit match.json --rpc https://rpc.example
    """
    data = ExitData.load(match)
    key = _key(key_file)
    try:
        client = Client.over_http(rpc) if "://" in rpc else Client.over_ipc(Path(rpc))
        base_fee = client.block().base_fee
        if base_fee:
            client.fees = FeePolicy(GWEI, fee_max * GWEI).first(base_fee)
        steps: list[Step] = []
        for step in Leaver(client, data, key, wait_for(client)).leave():
            steps.append(step)
            if not as_json:
                typer.echo(f"{step.name}: {step.text} {step.transaction}".rstrip())
        client.close()
    except RpcFault as fault:
        raise OSError(str(fault)) from fault
    if as_json:
        typer.echo(json.dumps({"steps": [_fields(step) for step in steps]}))


def _key(file: Path | None) -> LocalAccount:
    text = file.read_text().strip() if file else os.environ.get(KEY_VARIABLE, "")
    try:
        found: LocalAccount = Account.from_key(text)
    except Exception:  # whatever is wrong with a key, its text is not repeated
        source = str(file) if file else f"${KEY_VARIABLE}"
        raise typer.BadParameter(f"{source} holds no private key") from None
    return found


def _fields(step: Step) -> dict[str, str]:
    return {"name": step.name, "transaction": step.transaction, "text": step.text}
