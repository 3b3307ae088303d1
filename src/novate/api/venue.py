"""What a method works with: the core, the market's views, the orders, the feeds, the gateway.

Owns: the set-up of one venue's API over a core. Methods reach it through their session.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from novate.api.account_feeds import AccountFeeds
from novate.api.core import Core
from novate.api.feeds import Feeds
from novate.api.keeper import Keeper
from novate.api.market import Market
from novate.api.metrics import Part
from novate.api.orders import Orders
from novate.api.rfq_room import Room
from novate.api.session import Limits
from novate.api.signatures import Signatures
from novate.api.tokens import Tokens
from novate.api.volatility_index import VolatilityIndex
from novate.chain.deployment import Deployment
from novate.config import Parameters
from novate.services.gateway import Gateway
from novate.store.database import Database
from novate.wire.records import AnyRecord, Matched, OracleRound, OrderDone, OrderPlaced

# Of an order alone: nothing is listed by it, nor priced.
_ORDERS = (OrderPlaced, OrderDone)
# What a figure says, the name of its label, and its values.
Figure = tuple[str, str, Mapping[str, float]]


@dataclass(slots=True)
class VenueApi:
    """One venue behind the API; ``executor`` settles, ``separator`` is the Exchange's domain."""

    core: Core
    parameters: Parameters
    gateway: Gateway
    separator: bytes
    chain_id: int
    exchange: str
    executor: str
    testnet: bool = True
    store: Database | None = None
    deployment: Deployment | None = None
    orders: Orders = field(default_factory=Orders)
    market: Market = field(init=False)
    feeds: Feeds = field(init=False)
    rfqs: Room = field(init=False)
    keeper: Keeper = field(init=False)
    account_feeds: AccountFeeds = field(init=False)
    volatility: VolatilityIndex = field(init=False)
    tokens: Tokens = field(default_factory=Tokens)
    limits: Limits = field(default_factory=Limits)
    placing: dict[bytes, asyncio.Future[Any]] = field(default_factory=dict)
    signatures: Signatures = field(default_factory=Signatures)
    cut_off: Counter[str] = field(default_factory=Counter)
    faults: int = 0
    requests: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    parts: list[Callable[[], Part]] = field(default_factory=list)
    figures: Callable[[], dict[str, Figure]] = dict

    def __post_init__(self) -> None:
        self.market = Market(self.core, self.parameters, self.orders)
        self.feeds = Feeds(self.market)
        self.keeper = Keeper(self.core)
        self.rfqs = Room(self.market, self.feeds.followers)
        self.account_feeds = AccountFeeds(self.market, self.feeds.followers, self.feeds.kinds)
        surfaces = self.deployment.addresses["surfaces"] if self.deployment else "0x"
        self.volatility = VolatilityIndex(bytes.fromhex(surfaces[2:]))
        self.core.listeners.append(self.follow)
        self.core.engine.book.warm()

    def follow(self, record: AnyRecord) -> None:
        """Take in one durable record, then tell who follows it."""
        prices = (0, 0)
        if isinstance(record, Matched):
            prices = self.market.prices(record.instrument)
            self.market.judged(record)
        elif not isinstance(record, _ORDERS):
            self.market.listings.follow(record)
            self.keeper.follow(record)
            if isinstance(record, OracleRound):
                self.market.history.sample(self.market.by_id.values())
        self.orders.follow(record, prices)
        self.feeds.follow(record)
        self.account_feeds.follow(record)
        self.rfqs.follow(record)
        self.volatility.follow(record)

    @property
    def now_ms(self) -> int:
        """The venue's clock."""
        return max(self.orders.now_ms, self.core.world.now * 1000)
