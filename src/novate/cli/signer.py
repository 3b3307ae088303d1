"""``novate signer``: a loopback server that signs for bots written for Deribit."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Annotated

import typer

from novate.cli.client import DEFAULT_URL, Url
from novate.sdk.signer import Signer
from novate.sdk.signer_keys import KeyFault, load


def command(
    keys: Annotated[Path, typer.Option(help=r"TOML file with [\[key]] tables (see below).")],
    venue: Url = DEFAULT_URL,
    port: Annotated[int, typer.Option(help="Port on the loopback interface; 0: any free one.")] = (
        8081
    ),
) -> None:
    """Take Deribit's key and secret, sign with a session key, hand on to the venue.

    The keys file:  [\\[key]]  id = "bot"  secret = "at least sixteen characters"
    private_key_file = "bot.key"  (hexadecimal; beside the file)  account = "0x…"  (if not the
    key's own)  scope = "read trade".

    Example:  novate signer --keys keys.toml --venue http://127.0.0.1:8080
    """
    try:
        keyring = load(keys)
    except KeyFault as fault:
        raise typer.BadParameter(str(fault)) from None
    asyncio.run(_serve(Signer(venue, keyring), port))


async def _serve(signer: Signer, port: int) -> None:
    """Serve until interrupted."""
    done = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, done.set)
    found = await signer.start(port)
    ids = ", ".join(signer.keyring.keys)
    typer.echo(f"signing for {ids} on http://127.0.0.1:{found} towards {signer.url}")
    await done.wait()
    await signer.stop()
