"""Following a channel from the command line: a line a message, until it is interrupted."""

from __future__ import annotations

import json
import queue
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import typer

from novate.cli import client as shared
from novate.sdk import Client, SigningKey

Count = Annotated[
    int | None, typer.Option(help="End after so many messages; none: until interrupted.", min=1)
]
Message = dict[str, Any]


def watch(
    url: str,
    key: SigningKey | None,
    channel: str,
    count: int | None,
    lines: Callable[[Message], Iterator[str]] | None,
) -> None:
    """Print a channel's messages: as ``lines`` says, or as JSON; it ends with exit code 0."""

    def work(client: Client) -> None:
        for _, message in zip(range(count or 2**62), messages(client, channel), strict=False):
            said = lines(message) if lines is not None else [json.dumps(message)]
            for line in said:
                typer.echo(line)

    try:
        shared.run(url, key, work)
    except KeyboardInterrupt:
        raise typer.Exit from None


def messages(client: Client, channel: str) -> Iterator[Message]:
    """What a channel tells, from its first message on."""
    told: queue.SimpleQueue[Message] = queue.SimpleQueue()
    client.follow(channel, lambda _, data: told.put(data))
    while True:
        yield told.get()


def first(client: Client, channel: str) -> Message:
    """What a channel begins with."""
    return next(messages(client, channel))
