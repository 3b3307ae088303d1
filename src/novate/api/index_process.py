"""The read side's own process: begun with the venue, begun again when it ends, stopped with it.

Owns: the child that runs ``novate index`` over the venue's journal and chain, and the database that
queries read. What the child says goes to ``index.log`` in the venue's folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from novate.services.indexer import JOURNAL
from novate.store import names
from novate.store.database import Database, place

STOP_SECONDS = 10
LOOK_SECONDS = 1.0
BEGINS_SECONDS_MAX = 30
_LOG = logging.getLogger("novate.host")


@dataclass(slots=True)
class IndexProcess:
    """``novate index run`` as a child."""

    folder: Path
    url: str
    rpc: str | None
    parameters: Path
    child: asyncio.subprocess.Process | None = None
    position: int = -1  # of the journal, up to which it has read
    moved_at: float = field(default_factory=time.monotonic)

    def open(self) -> Database:
        """The database, brought to this release's schema before the child writes to it."""
        return Database.open(self.url)

    async def run(self) -> None:
        """Keep the child until it ends; raises if it failed."""
        command = ["-m", "novate", "index", "run", "--journal", str(self.folder / "journal.bin")]
        command += ["--database", self.url, "--json", "--while-stdin"]
        command += ["--parameters", str(self.parameters)]
        if self.rpc is not None:
            command += ["--rpc", self.rpc]
        with (self.folder / "index.log").open("ab") as log:
            self.child = await asyncio.create_subprocess_exec(
                sys.executable,
                *command,
                stdin=asyncio.subprocess.PIPE,  # held open for as long as this process lives
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            try:
                code = await self.child.wait()
            except asyncio.CancelledError:
                await self._end()
                raise
        raise RuntimeError(f"the index ended with code {code}; see {self.folder}/index.log")

    async def watch(self, store: Database) -> None:
        """See how far it has read, again and again."""

        def read() -> int:
            with store.begin() as connection:
                return place(connection, JOURNAL).position

        while True:
            found = await asyncio.to_thread(read)
            if found != self.position:
                self.position, self.moved_at = found, time.monotonic()
            await asyncio.sleep(LOOK_SECONDS)

    def lag(self, head: int) -> tuple[int, float]:
        """How many records of a journal that ends at ``head`` it has not read, and for how many
        seconds it has not moved although there were some.
        """
        behind = max(head - self.position, 0)
        if behind == 0:
            self.moved_at = time.monotonic()
        return behind, time.monotonic() - self.moved_at

    async def _end(self) -> None:
        assert self.child is not None
        with contextlib.suppress(ProcessLookupError):
            self.child.terminate()
            try:
                await asyncio.wait_for(self.child.wait(), STOP_SECONDS)
            except TimeoutError:
                self.child.kill()
                await self.child.wait()


async def until_begun(store: Database) -> None:
    """Wait until the read side knows the venue, as long as it takes it to begin."""

    def known() -> bool:
        with store.begin() as connection:
            return bool(names.instruments(connection))

    for _ in range(BEGINS_SECONDS_MAX * 10):
        if await asyncio.to_thread(known):
            return
        await asyncio.sleep(0.1)
    _LOG.warning("the index has not begun; its methods answer later")
