"""The tables of the read side.

Owns: names, columns and keys, for SQLite and PostgreSQL alike; ``migrations.py`` makes them. Two
families never write each other's tables, so the content depends on how far each has come and not
on which came first:

* from the journal, keyed by what the engine numbers; rows of orders and candles change as it goes;
* from the chain, keyed by (block, position, part) and only ever added, so that a block that leaves
  the chain takes its rows with it and nothing else.

Units: money and prices in wad, lots signed (buy > 0) where a side is not stated, oracle prices in
1e8 wei, rates in ppb, times as the name says (``_ms``, else the chain's seconds). What may
exceed 63 bits is canonical decimal text (``Exact``), never a float. Accounts, digests, hashes and
addresses are lower-case 0x text. A sequence beyond 63 bits, which only a stranger uses, is null.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Dialect, MetaData, String, Table, Text
from sqlalchemy.types import TypeDecorator

from novate.wire.records import BIG_CHARACTERS_MAX, big, number

METADATA = MetaData()


class Exact(TypeDecorator[int]):
    """An integer of any size, as its canonical decimal text."""

    impl = String(BIG_CHARACTERS_MAX)
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Dialect) -> str | None:
        """To the database."""
        return None if value is None else big(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> int | None:
        """From the database. Errors: ``MalformedOrder`` for what was not written by this class."""
        return None if value is None else number(value)


def _table(name: str, keys: str, integers: str = "", exact: str = "", texts: str = "") -> Table:
    """A table: key columns first, ``name:text`` for a key that is text; ``name?`` may be null."""
    columns: list[Column[Any]] = []
    for key in keys.split():
        label, _, kind = key.partition(":")
        made = Text() if kind else BigInteger()
        columns.append(Column(label, made, primary_key=True, autoincrement=False))
    for names, kind_of in ((integers, BigInteger), (exact, Exact), (texts, Text)):
        for entry in names.split():
            label = entry.removesuffix("?")
            columns.append(Column(label, kind_of(), nullable=entry.endswith("?")))
    return Table(name, METADATA, *columns)


# What the database is about, and how far it has come

identity = _table("identity", "name:text", texts="value")
progress = _table("progress", "source:text", "position", texts="hash")

# What is traded; ``block`` is 0 for what the venue began with

instruments = _table(
    "instruments", "instrument", "block kind underlying feed", "lot_size tick", "name"
)
tokens = _table("tokens", "token:text", "block instrument decimals", "", "name")

# From the journal

orders = _table(
    "orders",
    "digest:text",
    "record instrument lots revision expiry flags fill_or_kill waiting placed_ms changed_ms"
    " lots_filled code",
    "nonce price max_fee notional fees",
    "account signer executor self_trade label client_order_id state",
)
order_events = _table(
    "order_events",
    "record part",
    "timestamp_ms lots code sequence?",
    "price?",
    "digest account event",
)
trades = _table(
    "trades",
    "sequence",
    "record timestamp_ms instrument trade_seq tick_direction taker_buys lots matched_at"
    " oracle_round batch?",
    "price fee_maker fee_taker",
    "maker taker maker_account taker_account receipt",
)
candles = _table(
    "candles",
    "resolution_s instrument start_ms",
    "lots trades",
    "open high low close notional",
)
batches = _table("batches", "first_sequence", "record size oracle_round judged_at closed_ms")
submissions = _table(
    "submissions", "record", "first_sequence size oracle_round submitted_ms", "", "transaction"
)
busts = _table("busts", "sequence", "record code given_up_ms")
rounds = _table(
    "rounds", "round feed", "record timestamp index_price mark_price confidence_ppm signatures"
)

# From the chain

_PLACE = "block position part"
blocks = _table("blocks", "block", "timestamp", texts="hash")
transactions = _table(
    "transactions",
    "block position",
    "timestamp succeeded gas_used",
    "",
    "transaction sender contract function raw",
)
outcomes = _table(
    "outcomes",
    _PLACE,
    "sequence? settled ours code instrument? lots?",
    "price?",
    "executor maker? taker? transaction",
)
settled_batches = _table(
    "settled_batches",
    _PLACE,
    "timestamp first_sequence? size settled gas_used ours",
    "",
    "executor transaction",
)
custody_events = _table(
    "custody_events", _PLACE, "timestamp eligible_at?", "amount", "event account token transaction"
)
auction_events = _table(
    "auction_events",
    _PLACE,
    "timestamp fraction_ppm? discount_ppm? layer?",
    "equity? margin? reward? fee? amount?",
    "event account bidder? transaction",
)
feed_prices = _table(
    "feed_prices",
    "block position feed",
    "round timestamp index_price mark_price average confidence_ppm",
)
funding = _table(
    "funding",
    "block position instrument",
    "timestamp rate_ppb open_interest index_price mark_price",
    "funding_index longs_received",
)
settlements = _table(
    "settlements",
    _PLACE,
    "timestamp instrument lots index_price mark_price",
    "funding profit_loss",
    "account transaction",
)
account_log = _table(
    "account_log",
    _PLACE,
    "timestamp instrument? lots? held? sequence?",
    "price? commission change balance",
    "account event transaction",
)
account_margins = _table(
    "account_margins",
    _PLACE,
    "timestamp in_auction",
    "cash equity margin_initial margin_maintenance",
    "account transaction",
)
dated = _table("dated", _PLACE, "timestamp instrument expiry feed", "strike lot_size", "name")
checkpoints = _table("checkpoints", "block position", texts="state")

CHAIN = (
    blocks,
    transactions,
    outcomes,
    settled_batches,
    custody_events,
    auction_events,
    feed_prices,
    funding,
    settlements,
    account_log,
    account_margins,
    dated,
    checkpoints,
)
# What block 0 holds of these two is the venue's beginning and stays.
LISTINGS = (instruments, tokens)
