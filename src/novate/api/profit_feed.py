"""``user.settlement``'s second half: profit and loss as it becomes an account's cash.

Owns: when the read side is asked for it. What a sweep realised is worked out by the index, a moment
behind the chain; so while somebody follows, and for a few seconds after each block, it is asked
once a second, on a thread, for what is new of all accounts that follow. Rows are those of
``get_settlement_history_by_instrument``. When blocks leave the chain, every follower is told from
which one on what he was told is void; what replaces it comes anew, and not before the index has let
go of what left: a row from there on counts only if its transaction has been seen again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import takewhile

import msgspec

from novate.api.market import Market
from novate.api.outlet import Data, Outlet
from novate.engine.ahead import REORG_BLOCKS_MAX
from novate.errors import Rejected
from novate.store import accounts as read_side
from novate.store.accounts import Place
from novate.store.answers import Settlement
from novate.store.database import Database
from novate.wire.records import AnyRecord, ChainReorganised, ChainTransaction

OWN = "user.settlement"
POLL_S, POLLS = 1.0, 5
ROWS_MAX = 1_000
Row = tuple[Place, str, Settlement]


@dataclass(slots=True)
class ProfitFeed:
    """``seen`` is the place behind which rows are new, None before the first look; ``told``: the
    last block that an account was told of.
    """

    market: Market
    outlet: Outlet
    store: Callable[[], Database | None]
    seen: Place | None = None
    told: dict[int, int] = field(default_factory=dict)
    left: int = 0
    # behind a reorganisation: its first block, and the transactions that came since
    first: int | None = None
    again: set[tuple[int, str]] = field(default_factory=set)
    asking: asyncio.Task[None] | None = field(default=None)

    def greet(self, channel: str) -> None:
        """Somebody follows: tell what comes after this."""
        if channel == OWN:
            self._ask()

    def follow(self, record: AnyRecord) -> None:
        """The chain has moved: what it brought is soon in the index."""
        if not self.outlet.is_followed(OWN):
            self.seen, self.told = None, {}
            return
        if isinstance(record, ChainReorganised):
            first = record.first_block
            self.first = first if self.first is None else min(self.first, first)
            self.again = {seen for seen in self.again if seen[0] < first}
            self.seen = None if self.seen is None else min(self.seen, (first, -1, -1))
            for account in [a for a, block in self.told.items() if block >= first]:
                del self.told[account]
                self._tell(account, {"reorganised_from": first, "settlements": []})
        elif isinstance(record, ChainTransaction) and self.first is not None:
            self.again.add((record.block, "0x" + record.transaction.hex()))
            if record.block > self.first + REORG_BLOCKS_MAX:
                self.first, self.again = None, set()
        if isinstance(record, ChainReorganised | ChainTransaction):
            self._ask()

    def _ask(self) -> None:
        self.left = POLLS
        if self.asking is None or self.asking.done():
            self.asking = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        """Ask until nothing has moved for a while, or nobody follows; an index that is away is
        asked again when the chain has moved.
        """
        while self.left and self.outlet.is_followed(OWN):
            self.left -= 1
            try:
                await self._once()
            except Rejected:
                return
            await asyncio.sleep(POLL_S)

    async def _once(self) -> None:
        store, seen = self.store(), self.seen
        if store is None:
            return
        accounts = {f"0x{a:064x}": a for a in self.outlet.accounts(OWN)}

        def work() -> tuple[Place, list[Row]]:
            with store.begin() as connection:
                if seen is None:
                    return read_side.newest_settlement(connection), []
                found = read_side.settlements_after(connection, list(accounts), seen, ROWS_MAX)
                return found[-1][0] if found else seen, found

        newest, found = await asyncio.to_thread(work)
        if self.seen != seen:
            return  # blocks have left the chain meanwhile
        known = list(takewhile(self._stands, found))
        self.seen = newest if len(known) == len(found) else known[-1][0] if known else seen
        rows: dict[str, list[Settlement]] = {}
        for place, account, row in known:
            rows.setdefault(account, []).append(row)
            self.told[accounts[account]] = place[0]
        for account, own in rows.items():
            self._tell(accounts[account], {"settlements": msgspec.to_builtins(own)})

    def _stands(self, row: Row) -> bool:
        """Whether a row is of a block that has not left the chain, as far as we have seen."""
        block = row[0][0]
        return self.first is None or block < self.first or (block, row[2].transaction) in self.again

    def _tell(self, account: int, data: Data) -> None:
        timed = {"timestamp": self.market.core.world.now * 1000}
        self.outlet.tell(OWN, timed | data, account)
