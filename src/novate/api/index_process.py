"""The read side's own process: begun with the venue, begun again when it ends, stopped with it.

Owns: the child that runs ``novate index`` over the venue's journal and chain, and the database that
queries read. What the child says goes to ``index.log`` in the venue's folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from dataclasses import dataclass
from pathlib import Path

from novate.store import names
from novate.store.database import Database

STOP_SECONDS = 10
BEGINS_SECONDS_MAX = 30
_LOG = logging.getLogger("novate.host")


@dataclass(slots=True)
class IndexProcess:
    """``novate index run`` as a child."""

    folder: Path
    url: str
    rpc: str | None
    child: asyncio.subprocess.Process | None = None

    def open(self) -> Database:
        """The database, brought to this release's schema before the child writes to it."""
        return Database.open(self.url)

    async def run(self) -> None:
        """Keep the child until it ends; raises if it failed."""
        command = ["-m", "novate", "index", "run", "--journal", str(self.folder / "journal.bin")]
        command += ["--database", self.url, "--json", "--while-stdin"]
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
