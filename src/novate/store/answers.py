"""What queries answer with: Deribit's field names where one exists.

Prices, amounts and money are decimal text, times milliseconds; what a venue without numbers of its
own cannot say (an implied volatility of a perpetual) is left out, not made up.
"""

from __future__ import annotations

import msgspec


class Trade(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A trade as everybody sees it.

    ``settlement_state``: ``matched``, ``batched`` (with ``batch``), ``settled`` (with transaction
    and block) or ``busted`` (with the name of the reason).
    """

    trade_id: str
    trade_seq: int
    timestamp: int
    instrument_name: str
    direction: str
    price: str
    amount: str
    contracts: int
    tick_direction: int
    settlement_state: str
    mark_price: str | None = None
    index_price: str | None = None
    batch: int | None = None
    transaction: str | None = None
    block: int | None = None
    bust_reason: str | None = None


class UserTrade(Trade, frozen=True, kw_only=True, omit_defaults=True):
    """A trade as one of its sides sees it; ``direction`` is that side's."""

    order_id: str
    liquidity: str
    fee: str
    fee_currency: str
    label: str


class Order(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An order and what became of it; ``reason`` names what rejected or ended it."""

    order_id: str
    order_state: str
    order_type: str
    instrument_name: str
    direction: str
    price: str
    amount: str
    filled_amount: str
    average_price: str
    commission: str
    time_in_force: str
    post_only: bool
    reduce_only: bool
    label: str
    client_order_id: str
    nonce: str
    revision: int
    creation_timestamp: int
    last_update_timestamp: int
    reason: str | None = None


class OrderEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One step in an order's life; ``record`` is the journal's."""

    record: int
    timestamp: int
    event: str
    amount: str
    price: str | None = None
    trade_id: str | None = None
    reason: str | None = None


class Candles(msgspec.Struct, frozen=True, kw_only=True):
    """Columns of equal length; ``status`` is ``ok`` or ``no_data``."""

    status: str
    ticks: list[int]
    open: list[str]
    high: list[str]
    low: list[str]
    close: list[str]
    volume: list[str]
    cost: list[str]


class FundingRate(msgspec.Struct, frozen=True, kw_only=True):
    """Funding of the hour that ended at ``timestamp``, and of the eight; fractions of the index."""

    timestamp: int
    index_price: str
    prev_index_price: str
    interest_1h: str
    interest_8h: str


class PublicSettlement(msgspec.Struct, frozen=True, kw_only=True):
    """One accrual of an instrument; ``funding`` is what longs received (negative: paid)."""

    type: str
    timestamp: int
    instrument_name: str
    position: str
    mark_price: str
    index_price: str
    funding: str


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """Profit and loss of a position turned into cash, ``funding`` being a part of it."""

    type: str
    timestamp: int
    instrument_name: str
    position: str
    mark_price: str
    index_price: str
    funding: str
    profit_loss: str
    transaction: str


class LogEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One change of an account's balance; the changes add up to the balance."""

    id: str
    timestamp: int
    type: str
    change: str
    balance: str
    commission: str
    currency: str
    transaction: str
    block: int
    instrument_name: str | None = None
    side: str | None = None
    amount: str | None = None
    price: str | None = None
    position: str | None = None
    trade_id: str | None = None


class Transfer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A deposit or a withdrawal; the latter with the time its place in the queue comes up."""

    id: str
    currency: str
    amount: str
    state: str
    created_timestamp: int
    updated_timestamp: int
    transaction_id: str
    confirmed_timestamp: int | None = None


class DeliveryPrice(msgspec.Struct, frozen=True, kw_only=True):
    """A day's delivery price of an index."""

    date: str
    delivery_price: str


class Batch(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Matches that settle together; ``state``: closed, submitted, settled, or partly_settled."""

    batch: int
    count: int
    state: str
    timestamp: int
    oracle_round: int
    settled: int
    transaction: str | None = None
    block: int | None = None


class BatchDetail(Batch, frozen=True, kw_only=True, omit_defaults=True):
    """A batch with its trades."""

    trades: list[Trade]


class Bust(msgspec.Struct, frozen=True, kw_only=True):
    """A trade that settlement refused; ``state``: ``refused`` (it is tried again), ``given_up``."""

    trade_id: str
    timestamp: int
    instrument_name: str
    reason: str
    transaction: str
    block: int
    state: str


class AuctionEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One step of a liquidation or of what covered it."""

    id: str
    timestamp: int
    event: str
    account: str
    transaction: str
    bidder: str | None = None
    equity: str | None = None
    maintenance_margin: str | None = None
    fraction_ppm: int | None = None
    discount_ppm: int | None = None
    reward: str | None = None
    fee: str | None = None
    amount: str | None = None
    layer: int | None = None


class MarginPoint(msgspec.Struct, frozen=True, kw_only=True):
    """What an account held and had to hold after a transaction that changed it."""

    timestamp: int
    cash: str
    equity: str
    initial_margin: str
    maintenance_margin: str
    in_auction: bool
    transaction: str
