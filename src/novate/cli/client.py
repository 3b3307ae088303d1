"""What the trading commands share: the venue's address, the key, output as a table or JSON.

Owns: reading a key file (never an argument: other users see those), and turning the SDK's faults
into one line, in the command line's own words, and exit code 2.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Annotated, Any

import typer

from novate.cli import listing
from novate.cli.listing import Fields
from novate.sdk import Client, NotListed, Rounding, SigningKey, Unfit
from novate.sdk.faults import ApiError, ClientFault, ConnectionLost, OutcomeUnknown

DEFAULT_URL = "http://127.0.0.1:8080"
LOCAL_CHAIN = 31_337
_CENT = Decimal("0.01")

Url = Annotated[str, typer.Option("--venue", envvar="NOVATE_VENUE", help="The venue's address.")]
KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--key", envvar="NOVATE_KEY_FILE", help="File with the private key, in hexadecimal."
    ),
]
AccountId = Annotated[
    str | None,
    typer.Option(
        "--account",
        envvar="NOVATE_ACCOUNT",
        help="Account (0x and 64 digits); the key's own first.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def read_key(file: Path | None, account: str | None) -> SigningKey:
    """The key in a file. Raises ``typer.BadParameter`` that says what to do."""
    if file is None:
        raise typer.BadParameter(
            "a key is needed: --key FILE, or NOVATE_KEY_FILE (`novate up` writes some to try: "
            "out/venue/trader-1.key)"
        )
    try:
        number = int(account, 16) if account else None
    except ValueError:
        raise typer.BadParameter("--account must be 0x and 64 hexadecimal digits") from None
    try:
        return SigningKey(file.read_text(encoding="utf-8").strip(), number)
    except OSError as error:
        raise typer.BadParameter(f"--key {file}: {error.strerror}") from None
    except ValueError:  # the text of a key is not repeated, whatever it is
        raise typer.BadParameter(
            f"--key {file} holds no private key: 64 hexadecimal digits, with or without 0x"
        ) from None


def run(
    url: str,
    key: SigningKey | None,
    work: Callable[[Client], Any],
    rounding: Rounding | None = None,
    dry_run: bool = False,
) -> Any:
    """Do some work with a connected client; a fault ends the command with exit code 2.

    ``rounding`` is None where a command has no such option, and then exact.
    """
    mode = rounding or Rounding.EXACT
    url = url if "://" in url else f"http://{url}"
    try:
        with Client(url, key, rounding=mode, dry_run=dry_run) as client:
            try:
                return work(client)
            except ApiError as fault:
                text = _joined(str(fault), _hint(client, fault))
    except (ClientFault, ValueError) as fault:
        text = _words(url, fault, rounding is not None)
    typer.echo(f"error: {text}", err=True)
    raise typer.Exit(2)


def _words(url: str, fault: Exception, rounds: bool) -> str:
    """What is wrong, for whoever typed a command and wrote no program."""
    if isinstance(fault, Unfit):
        option = "; --rounding down, up or passive takes it to the next one"
        return f"{fault.field}: {fault.why}{option if fault.rounds and rounds else ''}"
    if isinstance(fault, NotListed):
        return f"{fault.symbol} is not listed; `novate venue instruments` shows what is"
    if isinstance(fault, ConnectionLost):
        return f"no venue answers at {url}; `novate up` starts one, --venue names another ({fault})"
    if isinstance(fault, OutcomeUnknown) and fault.order_id:
        return f"the answer was lost; `novate order show {fault.order_id}` tells what became of it"
    return str(fault)


def _joined(text: str, hint: str) -> str:
    if not hint:
        return text
    return f"{text}{'' if text.endswith('.') else ';'} {hint}"


def _hint(client: Client, fault: ApiError) -> str:
    """What to do about a refusal, where this command knows."""
    if fault.name == "UnknownInstrument":
        return "`novate venue instruments` shows what is listed"
    if fault.name != "InsufficientMargin":
        return ""
    try:
        held = client.fetch_balance()
        chain = client.call("public/get_domain")["chain_id"]
    except ClientFault:
        return ""
    if Decimal(held["equity"]) or held["positions"]:
        return f"{held['available_funds']} USDC of the account are free (`novate account show`)"
    how = "its owner deposits USDC through the custody contract"
    if chain == LOCAL_CHAIN:
        how = (
            "on this test venue, use one of the accounts that `novate up` has funded: "
            "--key trader-1.key, in its folder"
        )
    return f"Account {held['account']} has no collateral yet: {how}"


def show(rows: list[dict[str, Any]], fields: Fields, as_json: bool, nothing: str) -> None:
    """Print rows: as they came, or the named fields under their headings."""
    if as_json:
        typer.echo(json.dumps(rows, default=str))
        return
    typer.echo("\n".join(listing.lines(rows, fields, listing.width_shown())) if rows else nothing)


def show_one(row: Mapping[str, Any], fields: Fields, as_json: bool) -> None:
    """Print one record: as it came, or a line a field."""
    typer.echo(json.dumps(row, default=str) if as_json else "\n".join(listing.block(row, fields)))


def cents(amount: str | None) -> str | None:
    """US dollars as one reads them, to the cent (ties to even)."""
    if amount is None:
        return None
    # not -0.00
    return str(Decimal(amount).quantize(_CENT, ROUND_HALF_EVEN) + Decimal(0))
