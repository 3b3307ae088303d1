"""A small venue on a real node: funded actors, one minute at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from novate.chain.backend import abi_of
from novate.chain.client import RemoteContract
from novate.chain.node import local_key
from novate.config import load
from novate.demo.actors import USD, Actor
from novate.demo.venue import NODES, Venue
from novate.model.account import account_of
from novate.model.order import IMMEDIATE
from novate.services.oracle_node import NodePrice
from novate.services.replica import Outcome
from novate.wire import records
from novate.wire.records import AnyRecord, Busted

GENESIS = 1_760_000_000
ORACLE_PER_USD = 10**10
BTC, ETH = 1, 2


class Market:
    """A venue with two traders, past the grace after the first prices."""

    def __init__(self, folder: Path, **funds: int) -> None:
        self.venue = Venue(folder, load(), GENESIS)
        self.actors: dict[str, Actor] = {}
        for name, dollars in funds.items():
            key = local_key(name)
            account = account_of(key.address.lower())
            self.actors[name] = Actor(name, "user", key, account, dollars * USD)
        self._fund()
        self.ts = self.venue.now + 60
        for _ in range(4):
            self.round(100_000)

    def _fund(self) -> None:
        venue, usdc = self.venue, self.venue.tokens["USDC"]
        for actor in self.actors.values():
            usdc.send("mint", actor.address, actor.usdc, key=local_key("governor"))
            usdc.send("approve", venue.deployment.addresses["custody"], actor.usdc, key=actor.key)
            raw = actor.account.to_bytes(32, "big")
            venue.custody.send("deposit", usdc.address, raw, actor.usdc, key=actor.key)
        assert all(o.succeeded for o in venue.mine(venue.now + 12))

    def post(self, btc: int, eth: int = 4_000) -> None:
        """The next prices reach the engine, not yet the chain."""
        self.ts = max(self.ts, self.venue.now) + 50
        dollars = {BTC: btc, ETH: eth}
        seen = {f: NodePrice(p * ORACLE_PER_USD, p * ORACLE_PER_USD) for f, p in dollars.items()}
        assert self.venue.post_prices(dict.fromkeys(range(NODES), seen), self.ts)

    def round(self, btc: int, eth: int = 4_000) -> None:
        """The next prices, on the chain."""
        self.post(btc, eth)
        self.venue.settle(self.ts)

    def order(self, name: str, lots: int, dollars: float, flags: int = IMMEDIATE) -> None:
        """Sign and hand in."""
        self.venue.place(self.actors[name].order(self.venue.desk({}), BTC, lots, dollars, flags))

    def records(self) -> list[AnyRecord]:
        """All records of the journal."""
        self.venue.journal.commit()
        return [records.decode(e.kind, e.payload) for e in self.venue.journal.read(1)]

    def busts(self) -> list[Busted]:
        """The matches that were given up."""
        return [record for record in self.records() if isinstance(record, Busted)]

    def exchange(self) -> RemoteContract:
        """The Exchange."""
        address = self.venue.deployment.addresses["exchange"]
        return self.venue.client.attach(address, abi_of("Exchange"), "Exchange")

    def held(self, name: str) -> int:
        """Lots of BTC that the chain books for an actor."""
        lots: Any = dict(self.account(name).positions).get(BTC, 0)
        return int(lots)

    def account(self, name: str) -> Any:
        """The actor's row as followed from the chain."""
        return self.venue.replica.world.ledger.accounts[self.actors[name].account]


def happened(outcomes: list[Outcome], name: str) -> list[dict[str, Any]]:
    """Arguments of the events of that name."""
    return [e.arguments for o in outcomes for e in o.events if e.name == name]


def market_of(**funds: int) -> Any:
    """A fixture: a market of these traders, by their USD."""

    @pytest.fixture
    def market(tmp_path: Path) -> Iterator[Market]:
        made = Market(tmp_path, **funds)
        try:
            yield made
        finally:
            made.venue.close()

    return market
