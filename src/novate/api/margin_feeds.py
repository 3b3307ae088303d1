"""Channels about margin: ``margin.watch`` (accounts close to liquidation) and ``user.margin``.

Owns: when accounts are looked at, and for how long at a time. A look costs the exact model's
valuation, so accounts are looked at in turns of ``TURN_S``, with a pause between them in which
others are served: however many accounts there are, a tenth of the time. ``margin.watch`` goes
through all accounts with positions once a round, or as often as that takes; ``user.margin`` looks
at an account at most once a tenth of a second, when a batch with trades of it closes and at each
round. Without followers nothing is looked at. In the middle of a block (its transactions come one
by one) nobody's margin is judged.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from novate.api import risk_views
from novate.api.market import Market
from novate.api.numbers import decimal
from novate.api.outlet import Data, Outlet
from novate.model import ledger
from novate.services.flights import span_of
from novate.units import PPM, WAD
from novate.wire.records import (
    AnyRecord,
    BatchClosed,
    ChainReorganised,
    ChainTransaction,
    OracleRound,
)

if TYPE_CHECKING:
    from novate.api.session import Session

WATCH, OWN = "margin.watch", "user.margin"
# Watched is whose maintenance margin takes up this share of its equity, or more.
CLOSE_PPM = 900_000
WATCHED_MAX = 100
TURN_S, PAUSE_S = 0.001, 0.01
INTERVAL_S = 0.1
Row = tuple[int, Data]
_LOG = logging.getLogger("novate.api")


@dataclass(slots=True)
class Turns:
    """Work on accounts, a little at a time: ``look`` at each, then ``done``. ``ready`` says whether
    the world may be looked at now.
    """

    ready: Callable[[], bool]
    look: Callable[[int], None]
    done: Callable[[], None]
    waiting: deque[int] = field(default_factory=deque)
    running: bool = False

    def begin(self, accounts: list[int], after_s: float) -> None:
        """Look at these, unless others are being looked at."""
        if not self.running:
            self.waiting.extend(accounts)
            self._again(after_s)

    def _again(self, after_s: float) -> None:
        self.running = True
        asyncio.get_running_loop().call_later(after_s, self._turn)

    def _turn(self) -> None:
        end = time.perf_counter() + TURN_S
        while self.waiting and self.ready():
            self._one(self.waiting.popleft())
            if time.perf_counter() >= end:
                break
        if self.waiting:
            self._again(PAUSE_S)
        else:
            self.running = False
            self.done()

    def _one(self, account: int) -> None:
        """Whatever is wrong with one account keeps nobody from looking at the others."""
        try:
            self.look(account)
        except Exception:
            _LOG.exception("the margin of 0x%064x cannot be told", account)


@dataclass(slots=True)
class MarginFeeds:
    """Both channels over one market."""

    market: Market
    outlet: Outlet
    midway: bool = False
    # margin.watch: what was told, what is found on the way, and whether all is told anew
    watched: dict[int, Data] = field(default_factory=dict)
    known: bool = False
    again: bool = False
    found: list[Row] = field(default_factory=list)
    scan: Turns = field(init=False)
    # user.margin: what was told to each account, whom to look at
    told: dict[int, Data] = field(default_factory=dict)
    dirty: set[int] = field(default_factory=set)
    own: Turns = field(init=False)

    def __post_init__(self) -> None:
        self.scan = Turns(self._ready, self._look, self._scanned)
        self.own = Turns(self._ready, self._margin, self._next)

    def _ready(self) -> bool:
        return not self.midway

    # Subscriptions

    def greet(self, session: Session, channel: str) -> None:
        """Begin a subscription: with what the others were told, or once it is known."""
        if channel == OWN:
            account = session.account
            alone = self.outlet.is_alone(session, channel, account)
            known = None if alone else self.told.get(account)
            data = self.told[account] = known or self._margins(account)
            self.outlet.greet(session, channel, self._timed(data), account)
        elif channel == WATCH and self.known:
            self.outlet.greet(session, channel, self._watch(list(self.watched.values()), []))
        elif channel == WATCH:
            self._begin()

    # Records

    def follow(self, record: AnyRecord) -> None:
        """Look again at whom a durable record concerns."""
        if isinstance(record, ChainTransaction):
            self.midway = record.more
        if not self.outlet.is_followed(WATCH):
            self.watched, self.known = {}, False
        elif isinstance(record, OracleRound):
            self._begin()
        if not self.outlet.is_followed(OWN):
            self.told, self.dirty = {}, set()
        elif isinstance(record, BatchClosed):
            self._concerns(self._traded(record) & self.outlet.accounts(OWN))
        elif isinstance(record, OracleRound | ChainReorganised):
            self._concerns(self.outlet.accounts(OWN))

    # margin.watch

    def _begin(self) -> None:
        """Go through everybody who has positions, unless that is being done; then once more."""
        if self.scan.running:
            self.again = True
            return
        accounts = self.market.core.world.ledger.accounts.rows
        self.scan.begin([a for a, row in accounts.items() if row.positions], 0)

    def _look(self, account: int) -> None:
        check = ledger.check(self.market.core.world, account)
        margin = check.valuation.margin_maintenance
        if margin * PPM >= check.equity * CLOSE_PPM and margin:
            self.found.append((margin - check.equity, risk_views.liquidatable(account, check)))

    def _scanned(self) -> None:
        """Everybody was looked at: tell what is new, and who is watched no more."""
        found, self.found = self.found, []
        again, self.again = self.again, False
        if not self.outlet.is_followed(WATCH):
            return
        found.sort(key=lambda row: row[0], reverse=True)
        now = {int(row["account"], 16): row for _, row in found[:WATCHED_MAX]}
        changed = [row for account, row in now.items() if self.watched.get(account) != row]
        gone = [f"0x{account:064x}" for account in self.watched if account not in now]
        if not self.known:
            self.outlet.tell(WATCH, self._watch(list(now.values()), []), kind="snapshot")
        elif changed or gone:
            self.outlet.tell(WATCH, self._watch(changed, gone))
        self.watched, self.known = now, True
        if again:
            self._begin()

    def _watch(self, rows: list[Data], gone: list[str]) -> Data:
        threshold = decimal(CLOSE_PPM * WAD // PPM)  # division: exact
        return self._timed({"threshold": threshold, "accounts": rows, "gone": gone})

    def _timed(self, data: Data) -> Data:
        world = self.market.core.world
        return {"timestamp": world.now * 1000, "round": world.oracle.statuses[0].round} | data

    # user.margin

    def _traded(self, record: BatchClosed) -> set[int]:
        """The accounts whose trades are in the world from this batch on."""
        held = self.market.orders.trades
        matches = [held[sequence].match for sequence in span_of(record) if sequence in held]
        sides = {raw for match in matches for raw in (match.maker_account, match.taker_account)}
        return {int.from_bytes(raw, "big") for raw in sides}

    def _margins(self, account: int) -> Data:
        return risk_views.margins(account, ledger.check(self.market.core.world, account))

    def _concerns(self, accounts: set[int]) -> None:
        self.dirty |= accounts
        self._next()

    def _next(self) -> None:
        if self.dirty and not self.own.running:
            accounts, self.dirty = sorted(self.dirty), set()
            self.own.begin(accounts, INTERVAL_S)

    def _margin(self, account: int) -> None:
        """Look at an account that somebody follows, and tell what is another than before."""
        if account not in self.outlet.accounts(OWN):
            self.told.pop(account, None)
            return
        data = self._margins(account)
        if data != self.told.get(account):
            self.told[account] = data
            self.outlet.tell(OWN, self._timed(data), account)
