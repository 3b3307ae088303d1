"""What the read side answers from its rows: candles, funding, delivery, orders, trades."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from typing import Any

import msgspec
import pytest
from sqlalchemy import Column, Connection, Table, Text
from support.index import MAKER, START_MS, TAKER, Pen, digest, index, matched, placed
from support.journals import rejection

from novate import errors
from novate.errors import BadQuery, UnknownInstrument
from novate.model.order import IMMEDIATE, POST_ONLY, REDUCE_ONLY
from novate.services.indexer_journal import text
from novate.store import accounts, database, history, schema, trades
from novate.store.database import Database
from novate.store.pages import Page
from novate.units import WAD
from novate.wire import records
from novate.wire.records import OracleRound, OrderDone, OrderRejected

BTC = "BTC-PERPETUAL"
ALL = Page(count=1000, sorting="asc")
MINUTE, HOUR_MS, DAY = 60_000, 3_600_000, 86_400
MIDNIGHT = START_MS // (1000 * DAY) * DAY


@pytest.fixture
def store(database_url: str) -> Iterator[Database]:
    with closing(Database.open(database_url)) as opened:
        yield opened


@pytest.fixture
def connection(store: Database) -> Iterator[Connection]:
    """A database that holds the venue's listings and nothing else."""
    index(store)
    with store.begin() as opened:
        yield opened


def put(connection: Connection, table: Table, **row: Any) -> None:
    """A row whose other columns are 0 or empty."""
    empty: dict[str, Any] = {}
    for column in table.columns:
        empty[column.name] = None if column.nullable else ("" if _is_text(column) else 0)
    database.add(connection, table, [empty | row])


def _is_text(column: Column[Any]) -> bool:
    return isinstance(column.type, Text)


# Candles


def minute(connection: Connection, start: int, *prices: int, lots: int = 1, base: int = 60) -> None:
    put(
        connection,
        schema.candles,
        resolution_s=base,
        instrument=1,
        start_ms=start,
        lots=lots,
        open=prices[0] * WAD,
        high=max(prices) * WAD,
        low=min(prices) * WAD,
        close=prices[-1] * WAD,
        notional=lots * prices[-1] * WAD,
    )


def test_candles_of_minutes_merge_and_silence_stands_at_the_close(connection: Connection) -> None:
    minute(connection, 0, 10, 12, 9, 11, lots=2)
    minute(connection, 2 * MINUTE, 20, 25)
    minute(connection, 9 * MINUTE, 30, 28, lots=5)
    minute(connection, 10 * MINUTE, 7)
    found = trades.get_tradingview_chart_data(connection, BTC, 0, 20 * MINUTE, "3")
    assert found.status == "ok"
    assert found.ticks == [0, 3 * MINUTE, 6 * MINUTE, 9 * MINUTE]
    assert found.open == ["10", "25", "25", "30"] and found.close == ["25", "25", "25", "7"]
    assert found.high == ["25", "25", "25", "30"] and found.low == ["9", "25", "25", "7"]
    assert found.volume == ["0.003", "0", "0", "0.006"]
    assert found.cost == ["0.047", "0", "0", "0.147"]
    later = trades.get_tradingview_chart_data(connection, BTC, 4 * MINUTE, 8 * MINUTE, "1")
    assert later.ticks == [n * MINUTE for n in (4, 5, 6, 7, 8)], "the close before it is known"
    assert set(later.close) == {"25"} and set(later.volume) == {"0"}


def test_a_time_before_the_first_trade_has_no_candles(connection: Connection) -> None:
    minute(connection, 5 * MINUTE, 10)
    found = trades.get_tradingview_chart_data(connection, BTC, 0, 4 * MINUTE, "1")
    assert (found.status, found.ticks, found.close) == ("no_data", [], [])
    some = trades.get_tradingview_chart_data(connection, BTC, 0, 9 * MINUTE, "1")
    assert some.ticks == [5 * MINUTE]
    nothing = trades.get_tradingview_chart_data(connection, "ETH-PERPETUAL", 0, 9 * MINUTE, "1")
    assert nothing.status == "no_data"


def test_every_resolution_covers_what_was_traded(store: Database) -> None:
    pen = Pen()
    pen.write(placed(1, -1000), placed(2, 1000, 200_000))
    for sequence in range(30):
        pen.time_ms += 47 * MINUTE
        pen.write(matched(sequence, 1, 2, 2, 100_000 + sequence % 7))
    index(store).take(pen.entries)
    for resolution, seconds in trades.RESOLUTIONS_S.items():
        with store.begin() as connection:
            ask = trades.get_tradingview_chart_data
            found = ask(connection, BTC, 0, 2**53, resolution)
        width = 1000 * seconds
        assert found.ticks == list(range(found.ticks[0], found.ticks[-1] + 1, width))
        assert found.ticks[0] == (START_MS + 47 * MINUTE) // width * width
        assert sum(round(1000 * float(volume)) for volume in found.volume) == 60
        assert found.open[0] == "100000" and found.close[-1] == "100001"
        assert (max(found.high), min(found.low)) == ("100006", "100000")


def test_at_most_5000_candles_and_those_are_the_newest(connection: Connection) -> None:
    minute(connection, 0, 10)
    minute(connection, 9_999 * MINUTE, 11)
    found = trades.get_tradingview_chart_data(connection, BTC, 0, 2**53, "1")
    assert len(found.ticks) == 5_000 and found.ticks[-1] == 9_999 * MINUTE
    assert found.close[0] == "10" and found.close[-1] == "11"


NONSENSE: list[tuple[Any, Any, Any, Any, errors.Error]] = [
    ("NO-SUCH", 0, 1, "1", UnknownInstrument),
    (7, 0, 1, "1", UnknownInstrument),
    ("' or 1=1 --", 0, 1, "1", UnknownInstrument),
    ("BTC\0", 0, 1, "1", UnknownInstrument),
    ("\ud800", 0, 1, "1", UnknownInstrument),
    (BTC, 0, 1, [], BadQuery),
    (BTC, 0, 1, "2", BadQuery),
    (BTC, 0, 1, "", BadQuery),
    (BTC, -1, 1, "1", BadQuery),
    (BTC, 2, 1, "1", BadQuery),
    (BTC, 0, 2**70, "1", BadQuery),
    (BTC, 0.5, 1, "1", BadQuery),
]


def test_candles_that_make_no_sense_are_refused(connection: Connection) -> None:
    for *asked, error in NONSENSE:
        ask = partial(trades.get_tradingview_chart_data, connection, *asked)
        assert rejection(ask)[0] is error, asked


# Trades


def test_a_trade_shows_prices_as_signed_until_the_chain_has_taken_them(store: Database) -> None:
    pen = Pen()
    word = 1 << 136 | 10 * 10**10 << 56 | 11 * 10**10
    pen.write(OracleRound(1, 1, [records.big(word)], "0", []))
    pen.write(placed(1, -5, label="quote"), placed(2, 5), matched(0, 1, 2, 5))
    index(store).take(pen.entries)
    with store.begin() as connection:
        (trade,) = trades.get_last_trades_by_instrument(connection, BTC, ALL).rows
        assert (trade.mark_price, trade.index_price) == ("10", "11")
        put(connection, schema.feed_prices, feed=1, round=1, index_price=13 * 10**10)
        (trade,) = trades.get_last_trades_by_instrument(connection, BTC, ALL).rows
        assert (trade.mark_price, trade.index_price) == ("0", "13")
        (mine,) = trades.get_user_trades_by_instrument(connection, text(MAKER), BTC, ALL).rows
        (other,) = trades.get_user_trades_by_instrument(connection, text(TAKER), BTC, ALL).rows
        for currency in ("BTC", "any", "USDC"):
            ask = trades.get_user_trades_by_currency
            assert ask(connection, text(MAKER), currency, ALL).rows == [mine]
        assert ask(connection, text(MAKER), "ETH", ALL).rows == []
    assert (mine.direction, mine.liquidity, mine.label) == ("sell", "M", "quote")
    assert (other.direction, other.liquidity, other.label) == ("buy", "T", "")
    assert (mine.fee, other.fee) == ("0.0000000000000001", "0.0000000000000004")
    assert mine.order_id == text(digest(1)) and mine.amount == "0.005" and mine.contracts == 5
    assert trade.direction == "buy"
    plain = msgspec.to_builtins(trade)
    assert "bust_reason" not in plain and plain["price"] == "100000"


def test_trades_by_their_number_in_the_instrument(store: Database) -> None:
    pen = Pen()
    pen.write(placed(1, -50), placed(2, 50), *(matched(n, 1, 2, 1) for n in range(9)))
    index(store).take(pen.entries)
    with store.begin() as connection:

        def numbers(**more: Any) -> list[int]:
            found = trades.get_last_trades_by_instrument(connection, BTC, ALL, **more)
            return [trade.trade_seq for trade in found.rows]

        assert numbers(start_seq=3, end_seq=5) == [3, 4, 5] and numbers(end_seq=0) == []
        for bad in (-1, 2**63, 1.5, "1", True):
            assert rejection(partial(numbers, start_seq=bad))[0] is BadQuery


# Orders


def test_the_history_of_orders_and_their_steps(store: Database) -> None:
    pen = Pen()
    pen.write(placed(1, -5, flags=POST_ONLY), placed(2, 3, flags=IMMEDIATE), matched(0, 1, 2, 3))
    pen.write(OrderDone(digest(2), "filled", 0, 0), OrderDone(digest(1), "evicted", 2002, 2))
    pen.write(placed(3, -1, flags=REDUCE_ONLY, fill_or_kill=True))
    pen.write(OrderRejected(digest(3), errors.ReduceOnly.code), placed(4, -1))
    index(store).take(pen.entries)
    with store.begin() as connection:
        ask = accounts.get_order_history_by_instrument
        (sold,) = ask(connection, text(MAKER), BTC, ALL).rows
        (bought,) = ask(connection, text(TAKER).upper().replace("0X", "0x"), BTC, ALL).rows
        every = ask(connection, text(MAKER), BTC, ALL, include_unfilled=True).rows
        of_all = accounts.get_order_history_by_currency
        assert of_all(connection, text(MAKER), "BTC", ALL).rows == [sold]
        assert of_all(connection, text(MAKER), "ETH", ALL).rows == []
        more = of_all(connection, text(MAKER), "any", ALL, include_unfilled=True).rows
        assert more == every
        steps = accounts.get_order_events(connection, text(digest(1)))
        assert accounts.get_order_events(connection, text(digest(9))) == []
        assert rejection(lambda: accounts.get_order_events(connection, "1"))[0] is BadQuery
    assert (sold.order_state, sold.reason) == ("cancelled", errors.BY_CODE[2002].name)
    assert (sold.amount, sold.filled_amount, sold.average_price) == ("0.005", "0.003", "100000")
    assert sold.post_only and not sold.reduce_only and sold.direction == "sell"
    assert (bought.order_state, bought.time_in_force) == ("filled", "immediate_or_cancel")
    assert [order.order_state for order in every] == ["cancelled", "rejected"]
    assert (every[1].time_in_force, every[1].reason) == ("fill_or_kill", "ReduceOnly")
    assert every[1].average_price == "0" and every[1].reduce_only
    assert [(s.event, s.amount, s.trade_id) for s in steps] == [
        ("placed", "0.005", None),
        ("maker", "0.003", "0"),
        ("evicted", "0.002", None),
    ]


# Settlements as they come


def test_settlements_after_a_place_come_in_order_and_of_their_accounts_alone(
    connection: Connection,
) -> None:
    mine, other = "0x" + "1" * 64, "0x" + "2" * 64
    nowhere = accounts.newest_settlement(connection)
    assert accounts.settlements_after(connection, [mine], nowhere, 9) == []
    places = [(5, 0, 0), (5, 0, 1), (5, 2, 0), (6, 0, 0), (10, 0, 0)]
    for number, (block, position, part) in enumerate(reversed(places)):
        put(
            connection,
            schema.settlements,
            block=block,
            position=position,
            part=part,
            account=other if number % 2 else mine,
            instrument=1,
            profit_loss=WAD * block,
        )

    def after(told: tuple[int, int, int], *who: str, most: int = 9) -> list[tuple[int, ...]]:
        found = accounts.settlements_after(connection, who, told, most)
        assert all(row.profit_loss == str(place[0]) for place, _, row in found)
        return [place for place, _, _ in found]

    assert accounts.newest_settlement(connection) == (10, 0, 0)
    assert after(nowhere, mine, other) == places
    assert after((5, 0, 1), mine, other) == places[2:]
    assert after((5, 0, 1), mine, other, most=2) == places[2:4]
    assert after(nowhere, mine) == places[::2] and after(nowhere, other) == places[1::2]
    assert after((10, 0, 0), mine, other) == [] == after(nowhere)


PRIVATE: list[Callable[..., Any]] = [
    lambda c, account, page: accounts.get_order_history_by_instrument(c, account, BTC, page),
    lambda c, account, page: accounts.get_settlement_history_by_instrument(c, account, BTC, page),
    lambda c, account, page: trades.get_user_trades_by_instrument(c, account, BTC, page),
    lambda c, account, page: accounts.get_order_history_by_currency(c, account, "BTC", page),
    lambda c, account, page: trades.get_user_trades_by_currency(c, account, "any", page),
    accounts.get_transaction_log,
    accounts.get_deposits,
    accounts.get_withdrawals,
    accounts.get_margin_history,
]


@pytest.mark.parametrize("query", PRIVATE)
def test_private_queries_answer_nothing_about_nobody_and_refuse_nonsense(
    query: Callable[..., Any],
) -> None:
    with closing(Database.open("sqlite://")) as store:
        index(store)
        with store.begin() as connection:
            assert query(connection, "0x" + "0" * 64, ALL).rows == []
            for bad in ("", "0x", "0x" + "g" * 64, "0x" + "0" * 63, "0" * 66, None, 7, b"0x"):
                assert rejection(partial(query, connection, bad, ALL))[0] is BadQuery
            nothing = Page(0)
            assert rejection(lambda: query(connection, "0x" + "0" * 64, nothing))[0] is BadQuery
            strange = "no type"
            log = accounts.get_transaction_log
            assert rejection(lambda: log(connection, "0x" + "0" * 64, ALL, strange))[0] is BadQuery


# Funding


def accrual(connection: Connection, place: int, time: int, index_: int, price: int = 100) -> None:
    put(
        connection,
        schema.funding,
        block=place,
        instrument=1,
        timestamp=time,
        index_price=price * 10**10,
        mark_price=price * 10**10,
        funding_index=index_,
        longs_received=-index_,
    )


def test_funding_by_hours_is_what_a_long_paid_of_the_index(connection: Connection) -> None:
    hour, lot = 3_600, WAD // 10  # a lot of 0.001 at 100 dollars is worth 0.1
    put(connection, schema.blocks, block=50, timestamp=12 * hour + 5)
    accrual(connection, 1, hour + 1, lot // 100)
    accrual(connection, 2, 2 * hour, 3 * lot // 100)
    accrual(connection, 3, 3 * hour + 7, 2 * lot // 100, price=50)
    accrual(connection, 4, 12 * hour + 1, 99 * lot)
    found = history.get_funding_rate_history(connection, BTC, 0, 2**53)
    assert [rate.timestamp // HOUR_MS for rate in found] == list(range(2, 13))
    by_hour = {rate.timestamp // HOUR_MS: rate for rate in found}
    assert by_hour[2].interest_1h == by_hour[2].interest_8h == "0.03"
    assert by_hour[3].interest_1h == "0" and by_hour[3].interest_8h == "0.03"
    assert (by_hour[4].interest_1h, by_hour[4].interest_8h) == ("-0.02", "0.04")
    assert (by_hour[4].index_price, by_hour[4].prev_index_price) == ("50", "100")
    assert (by_hour[10].interest_1h, by_hour[10].interest_8h) == ("0", "-0.02")
    assert by_hour[12].interest_8h == "0", "the hour that is not over yet does not count"
    middle = history.get_funding_rate_history(connection, BTC, 3 * HOUR_MS + 1, 5 * HOUR_MS - 1)
    assert middle == [by_hour[4]]
    assert history.get_funding_rate_history(connection, "ETH-PERPETUAL", 0, 2**53) == []
    ask = history.get_funding_rate_history
    assert rejection(lambda: ask(connection, BTC, 2, 1))[0] is BadQuery
    newest = history.get_last_settlements_by_instrument(connection, BTC, Page(1)).rows[0]
    assert newest.timestamp == (12 * hour + 1) * 1000 and newest.funding == "-9.9"


def test_at_most_a_month_of_funding(connection: Connection) -> None:
    put(connection, schema.blocks, block=50, timestamp=3_600 * 2_000)
    accrual(connection, 1, 60, 1)
    found = history.get_funding_rate_history(connection, BTC, 0, 2**53)
    assert len(found) == history.HOURS_MAX and found[-1].timestamp == 2_000 * HOUR_MS


# Delivery prices


def price(connection: Connection, place: int, time: int, value: int) -> None:
    put(
        connection,
        schema.feed_prices,
        block=place,
        feed=1,
        timestamp=time,
        index_price=value,
    )


def test_a_delivery_price_is_the_average_of_the_half_hour_before_eight(
    connection: Connection,
) -> None:
    eight = MIDNIGHT + 8 * 3_600
    put(connection, schema.blocks, block=99, timestamp=eight + DAY + 60)
    price(connection, 1, eight - 7_200, 100)  # stands when the window opens
    price(connection, 2, eight - 900, 200)
    price(connection, 3, eight - 899, 401)
    price(connection, 4, eight, 7)
    price(connection, 5, eight + 1, 9_999)
    found = history.get_delivery_prices(connection, "btc_usd")
    assert [row.date for row in found.rows] == ["2025-10-09"]
    average = (900 * 100 + 1 * 200 + 899 * 401) // 1_800
    assert found.rows[0].delivery_price == f"0.{average:010}".rstrip("0")
    price(connection, 6, eight + DAY - 10, 500)
    both = history.get_delivery_prices(connection, "btc_usd", 1)
    assert [row.date for row in both.rows] == ["2025-10-10"] and both.continuation == "1"
    assert history.get_delivery_prices(connection, "btc_usd", 5, 1).rows == found.rows
    assert history.get_delivery_prices(connection, "eth_usd").rows == []
    for bad in ("btc", "", "BTC_USD", None):
        assert rejection(partial(history.get_delivery_prices, connection, bad))[0] is BadQuery
    for count, offset in ((0, 0), (101, 0), (1, -1), (1.5, 0)):
        ask = partial(history.get_delivery_prices, connection, "btc_usd", count, offset)
        assert rejection(ask)[0] is BadQuery
