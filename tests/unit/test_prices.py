"""Price files: every defect is named, mended or skipped, and the rest goes on; feeds fall silent
where the venue did.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from novate.errors import Error, PriceFileColumns, PriceFileEmpty, PriceFileMissing, Rejected
from novate.lab.bars import PRICE_MAX, PRICE_MIN, Bar, PriceTable, underlying_of
from novate.lab.feeds import NODES, NOISE_PPM, PREMIUM_PPM_MAX, median, node_feeds, premium_ppm
from novate.lab.price_files import FINDINGS_KEPT, load_prices, parse_price, parse_time
from novate.lab.prices import load_event

HEADER = "ts,open,high,low,close"
START = 1_760_130_000
UNIT = 10**10


def write(tmp_path: Path, *lines: str, name: str = "venue.csv") -> Path:
    path = tmp_path / name
    path.write_text("\n".join(lines) + "\n")
    return path


def row(minute: int, price: int = 100) -> str:
    return f"{START + 60 * minute},{price},{price + 2},{price - 2},{price + 1}"


def bars_of(table: PriceTable) -> tuple[Bar, ...]:
    (series,) = table.series.values()
    return series.bars


def rejected(path: Path) -> Error:
    with pytest.raises(Rejected) as caught:
        load_prices(path)
    return caught.value.error


def at(clock: str) -> int:
    return int(datetime.fromisoformat(f"2025-10-10T{clock}+00:00").timestamp())


# hopeless files


def test_a_missing_file_and_a_folder_are_rejected(tmp_path: Path) -> None:
    assert rejected(tmp_path / "absent.csv") is PriceFileMissing
    assert rejected(tmp_path) is PriceFileMissing


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(Rejected) as caught:
        load_prices(write(tmp_path, "time,open,high,close", "1,2,3,4"))
    assert caught.value.error is PriceFileColumns
    assert "lacks low" in caught.value.detail


def test_a_file_without_header_lacks_columns(tmp_path: Path) -> None:
    assert rejected(write(tmp_path, row(0), row(1))) is PriceFileColumns


@pytest.mark.parametrize(
    "text", ["", "\n\n", "# only a note\n", HEADER + "\n", HEADER + "\nx,1,1,1,1\n"]
)
def test_a_file_with_no_usable_row_is_empty(tmp_path: Path, text: str) -> None:
    path = tmp_path / "empty.csv"
    path.write_text(text)
    assert rejected(path) is PriceFileEmpty


def test_broken_parquet_and_binary_rubbish_are_rejected(tmp_path: Path) -> None:
    torn = tmp_path / "torn.parquet"
    torn.write_bytes(b"PAR1" + bytes(range(256)))
    assert rejected(torn) is PriceFileMissing
    rubbish = tmp_path / "rubbish.csv"
    rubbish.write_bytes(bytes(range(256)) * 8)
    assert rejected(rubbish) is PriceFileColumns


def test_a_file_beyond_the_bounds_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, HEADER, *(row(i) for i in range(9)))
    monkeypatch.setattr("novate.lab.price_rows.ROWS_MAX", 5)
    assert rejected(path) is PriceFileMissing
    monkeypatch.setattr("novate.lab.price_rows.FILE_BYTES_MAX", 10)
    assert rejected(path) is PriceFileMissing


# defects of rows


@pytest.mark.parametrize("cell", ["0", "-1", "nan", "inf", "", "1,000", "abc", "1e99", "1e-99"])
@pytest.mark.parametrize("column", [1, 2, 3, 4])
def test_a_price_that_is_none_skips_its_row(tmp_path: Path, cell: str, column: int) -> None:
    cells = row(1).split(",")
    cells[column] = f'"{cell}"'
    table = load_prices(write(tmp_path, HEADER, row(0), ",".join(cells), row(2)))
    finding = table.findings[0]
    assert (finding.code, finding.name, finding.row) == (8003, "PriceNotPositive", 3)
    assert [bar.ts for bar in bars_of(table)] == [START, START + 120]


@pytest.mark.parametrize(
    "cell", ["", "yesterday", "-5", "0", "nan", "1e40", "2025-13-01", "10/10/2025"]
)
def test_an_unreadable_time_skips_its_row(tmp_path: Path, cell: str) -> None:
    table = load_prices(write(tmp_path, HEADER, row(0), f"{cell},1,1,1,1"))
    assert [(f.code, f.row) for f in table.findings] == [(8009, 3)]
    assert len(bars_of(table)) == 1


def test_unsorted_rows_are_sorted_and_reported(tmp_path: Path) -> None:
    table = load_prices(write(tmp_path, HEADER, row(2), row(0), row(1), row(3)))
    assert [(f.code, f.row) for f in table.findings] == [(8004, 3), (8004, 4)]
    assert [bar.ts for bar in bars_of(table)] == [START + 60 * i for i in range(4)]


def test_the_first_of_two_rows_at_one_time_counts(tmp_path: Path) -> None:
    table = load_prices(write(tmp_path, HEADER, row(0), row(1, 100), row(1, 200), row(2)))
    assert [(f.code, f.row) for f in table.findings] == [(8005, 4)]
    assert bars_of(table)[1].open == 100 * UNIT


def test_a_bar_inside_another_is_a_duplicate(tmp_path: Path) -> None:
    lines = [f"{START},1,1,1,1,900", f"{START + 60},1,1,1,1,60", f"{START + 900},1,1,1,1,60"]
    table = load_prices(write(tmp_path, HEADER + ",bar_s", *lines))
    assert [(f.code, f.row) for f in table.findings] == [(8005, 3)]
    assert [(b.ts - START, b.bar_s) for b in bars_of(table)] == [(0, 900), (900, 60)]


def test_a_gap_is_reported_and_the_node_is_silent_in_it(tmp_path: Path) -> None:
    table = load_prices(write(tmp_path, HEADER, row(0), row(1), row(2), row(8)))
    assert [(f.code, f.row) for f in table.findings] == [(8006, 5)]
    assert "no bar for 300 s" in table.findings[0].text
    node = node_feeds(table)[0]
    quote = node.price("BTC", START + 180 + 60)
    assert quote is not None and quote.age_s == 60 and quote.index_price == 101 * UNIT
    assert node.price("BTC", START + 180 + 61) is None
    assert node.price("BTC", START + 480) is not None


@pytest.mark.parametrize(
    "prices", ["100,99,98,98", "100,102,101,101", "100,102,99,103", "100,98,102,100"]
)
def test_contradictory_ranges_are_skipped(tmp_path: Path, prices: str) -> None:
    table = load_prices(write(tmp_path, HEADER, row(0), f"{START + 60},{prices}", row(2)))
    assert (table.findings[0].code, table.findings[0].row) == (8007, 3)
    assert len(bars_of(table)) == 2


def test_a_price_above_what_the_oracle_holds_is_skipped(tmp_path: Path) -> None:
    high = f"{START + 60},7e6,7e6,7e6,7e6"
    above = f"{START + 120},7000000.1,7000000.1,7e6,7e6"
    table = load_prices(write(tmp_path, HEADER, row(0), high, above))
    assert [bar.high for bar in bars_of(table)][1:] == [PRICE_MAX]
    assert [(f.code, f.row) for f in table.findings] == [(8007, 4)]
    assert table.findings[0].text.startswith("a price is above 7,000,000 USD")


def test_a_price_that_noise_could_take_to_zero_is_skipped(tmp_path: Path) -> None:
    least = f"{START + 60},1e-6,1e-6,1e-6,1e-6"
    below = f"{START + 120},1e-6,1e-6,9.999e-7,1e-6"
    table = load_prices(write(tmp_path, HEADER, row(0), least, below))
    assert [bar.low for bar in bars_of(table)][1:] == [PRICE_MIN]
    assert [(f.code, f.row) for f in table.findings] == [(8007, 4)]
    feeds = node_feeds(load_prices(write(tmp_path, HEADER, least, name="small.csv")))
    quotes = [feed.price("BTC", START + 60) for feed in feeds]
    assert all(quote is not None and quote.index_price > 0 for quote in quotes)


def test_findings_are_all_counted_and_kept_up_to_a_bound(tmp_path: Path) -> None:
    bad = [f"{START + 60 * i},0,0,0,0" for i in range(FINDINGS_KEPT + 50)]
    table = load_prices(write(tmp_path, HEADER, row(0), *bad))
    assert table.finding_counts == {"PriceNotPositive": FINDINGS_KEPT + 50}
    assert len(table.findings) == FINDINGS_KEPT


def test_short_rows_stray_quotes_and_blank_lines_do_not_stop_the_reader(tmp_path: Path) -> None:
    lines = [HEADER, row(0), "", f"{START + 60},1", '"' + row(2), "# a note", row(3)]
    table = load_prices(write(tmp_path, *lines))
    assert [bar.ts for bar in bars_of(table)] == [START, START + 180]
    assert {f.row for f in table.findings if f.code != 8006} == {4, 5}


# accepted shapes


@pytest.mark.parametrize(
    "cell",
    [
        "2025-10-10T21:20:00Z",
        "2025-10-10 21:20:00",
        "2025-10-10 21:20:00 UTC",
        "2025-10-10T23:20:00+02:00",
        "2025-10-10T21:20:00.999",
        "1760131200",
        "1760131200.5",
        "1760131200000",
        "1760131200000000",
        "1760131200000000000",
        1_760_131_200_000,
    ],
)
def test_every_kind_of_time_gives_the_same_second(cell: object) -> None:
    assert parse_time(cell) == 1_760_131_200


def test_prices_are_exact_and_round_to_the_nearest_unit() -> None:
    assert parse_price("102497.485134") == 1_024_974_851_340_000
    assert parse_price("0.00000000015") == 2  # 1.5 units, ties to even
    assert parse_price("0.00000000025") == 2
    assert parse_price("0.00000000004") is None
    assert parse_price(117060.44) == 1_170_604_400_000_000


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_columns_are_found_in_any_case_order_and_delimiter(tmp_path: Path, delimiter: str) -> None:
    header = ["Volume", "CLOSE", "Open", " High ", "low", "Timestamp", "Pair", "Exchange"]
    cells = ["7", "101", "100", "102", "98", str(START), "ETH-USD", "kraken"]
    table = load_prices(write(tmp_path, delimiter.join(header), delimiter.join(cells)))
    assert table.series["kraken", "ETH-USD"].bars == (
        Bar(START, 60, 100 * UNIT, 102 * UNIT, 98 * UNIT, 101 * UNIT),
    )
    assert table.underlyings == ("ETH",)


def test_bar_length_is_the_commonest_distance(tmp_path: Path) -> None:
    table = load_prices(write(tmp_path, HEADER, *(row(5 * i) for i in (0, 1, 2, 4, 5))))
    assert {bar.bar_s for bar in bars_of(table)} == {300}


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_parquet_with_real_timestamps(tmp_path: Path, unit: str) -> None:
    times = (
        pa.array([START, START + 60], pa.int64()).cast(pa.timestamp("s")).cast(pa.timestamp(unit))
    )
    columns = {name: pa.array([100.5, 100.25]) for name in ("Open", "High", "Low", "Close")}
    path = tmp_path / "bars.parquet"
    pq.write_table(pa.table({"Date": times, **columns}), path)
    first, second = bars_of(load_prices(path))
    assert (first.ts, second.ts, second.close) == (START, START + 60, 1_002_500_000_000)


def test_parquet_nulls_are_findings(tmp_path: Path) -> None:
    columns = {name: pa.array([100.5, None]) for name in ("open", "high", "low", "close")}
    path = tmp_path / "bars.parquet"
    pq.write_table(pa.table({"ts": pa.array([START, START + 60]), **columns}), path)
    assert [(f.code, f.row) for f in load_prices(path).findings] == [(8003, 2)]


@pytest.mark.parametrize(
    "note",
    [
        "# silence: venue,BTC,2025-10-10T21:00:00Z",
        "# silence: venue,BTC,x,y",
        "# silence: venue,BTC,1760130060,1760130000",
        "# silence: other,BTC,1760130000,1760130060",
        "# guide: venue,BTC,other,BTC",
        "# model: venue,BTC,venue,BTC,venue,BTC",
    ],
)
def test_a_note_that_cannot_be_used_is_a_finding(tmp_path: Path, note: str) -> None:
    table = load_prices(write(tmp_path, note, HEADER, row(0)))
    assert [(f.code, f.row) for f in table.findings] == [(8009, 1)]
    assert (table.silences, table.guides, table.modelled) == ((), (), ())


def test_symbols_name_their_asset() -> None:
    names = ["BTCUSD", "BTC-USDT-SWAP", "BTCUSD_PERP", "btc/usdc", "BTC", "BTC-PERP"]
    assert {underlying_of(name) for name in names} == {"BTC"}
    assert underlying_of("USDT") == "USDT"


# the shipped event


def test_the_shipped_event_reads_without_a_defect_but_its_gaps() -> None:
    table = load_event()
    assert table.rows <= 1_500
    assert set(table.finding_counts) == {"PriceGap"}
    assert table.venues == ("gemini", "binance", "binance_coinm")
    assert table.span == (at("17:00:00"), at("23:59:59") + 1)
    mark = table.series["binance_coinm", "BTCUSD_PERP"]
    lowest = min(mark.bars, key=lambda bar: bar.low)
    assert (lowest.ts, lowest.low) == (at("21:20:00"), 102_497_49 * 10**8)


def test_an_unknown_event_is_rejected() -> None:
    with pytest.raises(Rejected) as caught:
        load_event("no_such_crash")
    assert caught.value.error is PriceFileMissing


def test_gemini_is_silent_twice_across_the_low_to_the_second() -> None:
    gemini = node_feeds(load_event())[0]
    assert gemini.name == "gemini" and gemini.provenance["BTC"] == "measured"
    for start, end in (("20:54:26", "21:08:06"), ("21:13:57", "21:20:46")):
        first = gemini.price("BTC", at(start))
        assert first is not None and first.age_s == 0
        kept = gemini.price("BTC", at(start) + 60)
        assert kept is not None and kept.age_s == 60
        assert gemini.price("BTC", at(start) + 61) is None
        assert gemini.price("BTC", at(end) - 1) is None
        assert gemini.price("BTC", at(end)) is not None


def test_four_nodes_of_four_kinds_and_none_before_the_data() -> None:
    table = load_event()
    nodes = node_feeds(table, seed=3)
    assert [node.provenance["ETH"] for node in nodes] == [
        "measured",
        "bridged",
        "modelled",
        "synthetic",
    ]
    assert [node.price("ETH", at("16:59:59")) for node in nodes] == [None] * NODES
    assert nodes[0].price("DOGE", at("18:00:00")) is None


def test_a_mark_venue_serves_its_mark_and_the_others_a_bounded_premium() -> None:
    gemini, _, coinm, _ = node_feeds(load_event(), seed=5)
    for ts in range(at("17:00:00"), at("20:00:00"), 600):
        mark, trade = coinm.price("BTC", ts), gemini.price("BTC", ts)
        assert mark is not None and mark.index_price == mark.mark_price
        assert trade is not None
        premium = premium_ppm(5, "BTC", ts)
        assert abs(premium) <= PREMIUM_PPM_MAX
        assert trade.mark_price == trade.index_price * (10**6 + premium) // 10**6


def test_the_synthetic_node_is_the_median_within_its_noise() -> None:
    nodes = node_feeds(load_event(), seed=7)
    for ts in range(at("20:30:00"), at("22:30:00"), 60):
        real = [q.index_price for node in nodes[:3] if (q := node.price("BTC", ts))]
        quote = nodes[3].price("BTC", ts)
        assert quote is not None
        middle = median(real)
        assert abs(quote.index_price - middle) * 10**6 <= NOISE_PPM * middle + 10**6


def test_the_modelled_eth_mark_stays_inside_the_spot_bars() -> None:
    table = load_event()
    coinm = node_feeds(table)[2]
    for bar in table.series["binance", "ETHUSDT"].bars:
        quotes = [coinm.price("ETH", bar.ts + offset) for offset in range(0, 900, 30)]
        assert all(q is not None and bar.low <= q.index_price <= bar.high for q in quotes)
        assert quotes[0] is not None and abs(quotes[0].index_price - bar.open) <= 1


def test_feeds_repeat_for_a_seed_in_any_order_of_asking() -> None:
    times = list(range(at("21:00:00"), at("22:00:00"), 30))
    forward = node_feeds(load_event(), seed=11)
    backward = node_feeds(load_event(), seed=11)
    for mine, twin in zip(forward, backward, strict=True):
        ahead = [mine.price("ETH", ts) for ts in times]
        assert ahead == [twin.price("ETH", ts) for ts in reversed(times)][::-1]
    other = node_feeds(load_event(), seed=12)[3]
    assert any(other.price("ETH", ts) != forward[3].price("ETH", ts) for ts in times)


def test_a_file_of_one_venue_is_filled_up_with_labelled_nodes(tmp_path: Path) -> None:
    nodes = node_feeds(load_prices(write(tmp_path, HEADER, *(row(i) for i in range(9)))))
    assert [node.name for node in nodes] == ["venue", "synthetic-1", "synthetic-2", "synthetic-3"]
    quotes = [node.price("BTC", START + 90) for node in nodes]
    assert len({q.index_price for q in quotes if q}) == NODES


def clamped_rounds(step_s: int, bound_ppm: int = 50_000) -> dict[str, int]:
    """Rounds of the shipped event whose median moves further than the on-chain bound from the
    stored index.
    """
    table = load_event()
    nodes = node_feeds(table, seed=1)
    counts = {"BTC": 0, "ETH": 0}
    for asset in counts:
        stored = 0
        for ts in range(*table.span, step_s):
            quotes = [q.index_price for node in nodes if (q := node.price(asset, ts))]
            assert len(quotes) >= 3  # a quorum of four nodes, even across the low
            bound = stored * bound_ppm // 10**6
            fresh = median(quotes)
            held = max(stored - bound, min(fresh, stored + bound)) if stored else fresh
            counts[asset] += held != fresh
            stored = held
    return counts


def test_the_move_bound_never_binds_in_minute_rounds_and_once_in_ten_second_rounds() -> None:
    assert clamped_rounds(60) == {"BTC": 0, "ETH": 0}
    assert clamped_rounds(10) == {"BTC": 1, "ETH": 1}


def test_no_venue_prices_before_a_bar_ends_up_in_the_wrong_second() -> None:
    table = load_event()
    coinm = node_feeds(table)[2]
    for bar in table.series["binance_coinm", "BTCUSD_PERP"].bars:
        quote = coinm.price("BTC", bar.ts)
        assert quote is not None and quote.index_price == bar.open
    assert datetime.fromtimestamp(table.span[0], UTC).hour == 17
