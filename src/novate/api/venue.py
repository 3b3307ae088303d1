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
from novate.api.margin_feeds import MarginFeeds
from novate.api.market import Market
from novate.api.metrics import Part
from novate.api.orders import Orders
from novate.api.outlet import Outlet
from novate.api.pending_changes import PendingChanges
from novate.api.profit_feed import ProfitFeed
from novate.api.rfq_room import Room
from novate.api.session import Limits, Session
from novate.api.settlement_fold import Settlements
from novate.api.signatures import Signatures
from novate.api.tokens import Tokens
from novate.api.venue_feeds import VenueFeeds
from novate.api.volatility_index import VolatilityIndex
from novate.chain.deployment import Deployment
from novate.config import Parameters
from novate.services.gateway import Gateway
from novate.services.indexer_chain import Contracts
from novate.store.database import Database
from novate.wire.records import (
    AnyRecord,
    BatchClosed,
    BatchSubmitted,
    Busted,
    ChainReorganised,
    ChainTransaction,
    Matched,
    OracleRound,
    OrderDone,
    OrderPlaced,
)

# Of an order alone: nothing is listed by it, nor priced.
_ORDERS = frozenset({OrderPlaced, OrderDone})
# What moves the venue as a whole: prices, settlement, the chain.
_OF_VENUE = frozenset(
    (OracleRound, BatchClosed, BatchSubmitted, Busted, ChainTransaction, ChainReorganised)
)
_OF_CHAIN = frozenset((ChainTransaction, ChainReorganised))
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
    pending_changes: PendingChanges = field(init=False)
    venue_feeds: VenueFeeds = field(init=False)
    margin_feeds: MarginFeeds = field(init=False)
    profit_feed: ProfitFeed = field(init=False)
    tokens: Tokens = field(default_factory=Tokens)
    limits: Limits = field(default_factory=Limits)
    placing: dict[bytes, asyncio.Future[Any]] = field(default_factory=dict)
    signatures: Signatures = field(default_factory=Signatures)
    cut_off: Counter[str] = field(default_factory=Counter)
    faults: int = 0
    outbox_bytes: int = 0  # that wait for clients who read slowly
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
        if self.deployment is not None:
            addresses = self.deployment.addresses
            self.orders.entries.auctioneer = bytes.fromhex(addresses["auctioneer"][2:])
            self.orders.entries.clearinghouse = bytes.fromhex(addresses["clearinghouse"][2:])
        self._number_feeds()
        surfaces = self.deployment.addresses["surfaces"] if self.deployment else "0x"
        self.volatility = VolatilityIndex(bytes.fromhex(surfaces[2:]))
        self.core.listeners.append(self.follow)
        self.core.engine.book.warm()

    def _number_feeds(self) -> None:
        """The channels whose messages are numbered."""
        outlet, deployment = Outlet(self.feeds.followers), self.deployment
        contracts = Contracts(deployment) if deployment is not None else None
        window = self.parameters.timelock_local.window_seconds
        self.pending_changes = PendingChanges(deployment, window)
        settlements = Settlements(self.orders, contracts)
        self.venue_feeds = VenueFeeds(self.market, outlet, settlements, self.pending_changes)
        self.margin_feeds = MarginFeeds(self.market, outlet)
        self.profit_feed = ProfitFeed(self.market, outlet, lambda: self.store)

    def greet(self, session: Session, channel: str) -> None:
        """Begin a subscription to a channel whose messages are numbered."""
        self.venue_feeds.greet(session, channel)
        self.margin_feeds.greet(session, channel)
        self.profit_feed.greet(channel)

    def recall(self, record: AnyRecord) -> None:
        """Take in a record from before the start; nobody is told."""
        self.orders.follow(record)
        self.volatility.follow(record)
        if type(record) in _OF_VENUE:
            self.venue_feeds.recall(record)

    def follow(self, record: AnyRecord) -> None:
        """Take in one durable record, then tell who follows it."""
        kind = type(record)
        if kind not in _ORDERS:
            self._take_in(record)
        self.orders.follow(record)
        if self.feeds.followers:
            self.feeds.follow(record)
            self.account_feeds.follow(record)
        if self.rfqs.desk.pending:
            self.rfqs.follow(record)
        if kind in _OF_VENUE:
            self.venue_feeds.follow(record)
            self.margin_feeds.follow(record)
            self.profit_feed.follow(record)
        if kind in _OF_CHAIN:
            self.volatility.follow(record)

    def _take_in(self, record: AnyRecord) -> None:
        """What is listed and priced by a record."""
        if isinstance(record, Matched):
            self.market.judged(record)
            return
        self.market.listings.follow(record)
        self.keeper.follow(record)
        if isinstance(record, OracleRound):
            self.market.history.sample(self.market.by_id.values())

    @property
    def now_ms(self) -> int:
        """The venue's clock."""
        return max(self.orders.now_ms, self.core.world.now * 1000)
