"""The report page: the verdict first, every section present, nothing loaded from elsewhere, every
name escaped.
"""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from novate.web.charts import (
    Line,
    clock,
    compact,
    histogram,
    line_chart,
    per_minute,
    silences,
    ticks,
)
from novate.web.report import failures, render
from novate.web.report_data import INVARIANTS, ReportData
from novate.web.report_text import money
from tests.unit import report_example

VOID = {"meta", "br"}


class Outline(HTMLParser):
    """Checks that tags close in order and collects headings and text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.headings: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if {"h1", "h2", "h3"} & set(self.open[-2:]):
            self.headings.append(data.strip())


def outline(page: str) -> Outline:
    parser = Outline()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    return parser


@pytest.fixture(scope="module")
def page() -> str:
    return render(report_example.result(), report_example.series())


def test_every_section_and_chart_is_present(page: str) -> None:
    headings = outline(page).headings
    for wanted in (
        "What happened",
        "Prices",
        "BTC index by oracle node",
        "BTC mark by oracle node",
        "ETH index by oracle node",
        "ETH mark by oracle node",
        "Open interest",
        "Margin headroom",
        "Liquidations",
        "Recovery against mark",
        "Waterfall layers",
        "Solvency gap",
        "Fills and busts",
        "Gas per fill",
        "Invariants",
        "Oracle nodes",
        "Worst ten liquidations",
        "Cheats",
        "Parameters",
        "Findings in the price file",
        "Options: volatility surfaces",
        "BTC implied volatility on chain",
        "Options: Greeks ladder",
        "Worst account: spot × volatility",
        "Sixteen lanes against the exact grid",
        "Options: least covered by the lanes",
    ):
        assert wanted in headings, wanted


def test_key_figures_are_on_the_page(page: str) -> None:
    for figure in (
        "The clearing house stayed solvent",
        "0 of 9",
        "0 of 18,204",
        "15 of 15",
        "$12,345,678.90",
        "$48,211.07",
        "insurance fell by $48,211.07",
        "34,120 gas a fill",
        "gemini for 20 minutes",
        "ReceiptUsed",
        "0x" + "ab" * 32,
    ):
        assert figure in page, figure


def test_the_options_have_their_figures(page: str) -> None:
    for figure in (
        "96 options stood listed; 412 fills of them moved $1,834,210.55 of premium",
        "2 expiries (each asset has its own) settled at the mean of the nodes",
        "Against okx marks: 0.4 points at most.",
        "fall short in 1, by at most 3.2 bp",
        "11 of 11 are covered in full",
        "equity $48,000.00 against a maintenance margin of $51,000.00",
    ):
        assert figure in page, figure


def test_the_ladder_sums_each_expiry_and_each_asset(page: str) -> None:
    table = page.split("Options: Greeks ladder")[1].split("</table>")[0]
    rows = re.findall(r"<tr>(.*?)</tr>", table)[1:]
    cells = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in rows]
    assert len(cells) == 7
    for first, second, whole in (cells[:3], cells[3:6]):
        for place in (2, 3):
            added = float(first[place]) + float(second[place])
            assert float(whole[place]) == pytest.approx(added)
        assert whole[0] == first[0] + ", all"
    asset, numbers = (
        cells[6][0],
        [[float(row[k].replace(",", "")) for k in (2, 3, 4)] for row in cells],
    )
    assert asset == "BTC, all expiries"
    assert numbers[6] == pytest.approx([a + b for a, b in zip(numbers[2], numbers[5], strict=True)])


def test_a_cell_that_loses_more_than_the_equity_is_outlined(page: str) -> None:
    found = report_example.heat_map()
    lost = sum(-value > float(found["equity"]) for line in found["change"] for value in line)
    across, upright = page.split('<div class="across">')[1].split('<div class="upright">')
    for drawn in (across.split("</svg>")[0], upright.split("</svg>")[0]):
        assert drawn.count('class="cell lost"') == lost > 0
        assert drawn.count('class="cell') == 15


def test_on_a_telephone_the_heat_map_stands_upright_and_is_not_cut(page: str) -> None:
    upright = page.split('<div class="upright">')[1].split("</svg>")[0]
    right = float(re.findall(r'viewBox="0 0 (\d+) ', upright)[0])
    edges = [
        float(x) + float(width)
        for x, width in re.findall(
            r'<rect class="fill [^>]*x="([\d.]+)"[^>]*width="([\d.]+)"', upright
        )
    ]
    assert len(edges) == 15 and max(edges) <= right <= 400
    assert ".upright{display:none}" in page and ".wide .across{display:none}" in page


def test_the_waterfall_is_drawn_to_what_it_is_said_to_end_at() -> None:
    def chart() -> str:
        page = render(report_example.result(), series)
        return page.split("<h3>Waterfall layers")[1].split("</figure>")[0]

    series = report_example.series()
    assert ">2m<" in chart() and ">8m<" not in chart()
    end = series["ts"][-1] + 10
    series["waterfall_end"] = {"ts": end, "left": dict.fromkeys(series["waterfall"], 2e6)}
    assert ">8m<" in chart(), "the axis reaches the four layers' end"


def test_a_portfolio_that_the_charge_leaves_short_is_explained() -> None:
    series = report_example.series()
    assert "docs/decisions/0019" not in render(report_example.result(), series)
    series["grid"][0] |= {"scan": 100_000.0, "charged": 20_000.0, "hours": 1.75}
    page = render(report_example.result(), series)
    assert "10 of 11 are covered in full. The remaining 1 lack up to 303.2 bp, at most 20 %" in page
    assert "has 1.8 hours to run" in page and "docs/decisions/0019" in page
    row = page.split("least covered by the lanes</h2>")[1].split("<tbody>")[1].split("</tr>")[0]
    assert re.findall(r">([\d.,]+)</td>", row)[-3:] == ["503.2", "303.2", "1.8"]


def test_the_words_of_the_page_are_explained_on_it(page: str) -> None:
    words = page.split("<dl>")[1].split("</dl>")[0]
    for word in ("Slice", "Lane", "Scan", "Waterfall, layer", "Round", "Grid charge"):
        assert f"<dt>{word}</dt><dd>" in words
    assert "held to the gate" not in page


def test_codes_are_not_numbers_and_cheats_are_not_batches(page: str) -> None:
    assert "<td>8006</td>" in page and "8,006" not in page
    assert "24 more of the 421 settlement transactions were the cheating operator" in page
    assert "settled on chain in 397 batches" in page


def test_a_run_without_options_says_so() -> None:
    result, series = report_example.result(), report_example.series()
    result["options_listed"] = 0
    for key in ("surfaces", "ladder", "heat_map", "grid"):
        del series[key]  # type: ignore[misc]
    page = render(result, series)
    assert "No volatility surface was posted" in page and "stood listed" not in page


def test_the_low_names_the_silent_node(page: str) -> None:
    assert "with gemini silent at that moment" in page
    assert "gemini silent 20:55 to 21:08 UTC" in page


def test_liquidations_are_drawn_around_their_own_minutes(page: str) -> None:
    times = [row["ts"] for row in report_example.series()["liquidations"]]
    drawn = page.split('aria-label="Liquidations"')[1].split("</svg>")[0]
    shown = re.findall(r">(\d\d:\d\d)</text>", drawn)
    assert clock(min(times) - 900) <= shown[0] <= shown[-1] <= clock(max(times) + 900)
    assert ">UTC</text>" in drawn


def test_accounts_are_shortened_in_tables_and_whole_on_hover() -> None:
    series = report_example.series()
    account = "0xb55703754468b4b174d5613c02c53d43f9152b08"
    series["liquidations"][36]["account"] = f"{account}/0"
    page = render(report_example.result(), series)
    table = page.split("Worst ten liquidations")[1].split("</table>")[0]
    assert "0xb557…2b08/0" in table and account not in table and account in page


def test_the_page_loads_nothing_and_runs_nothing(page: str) -> None:
    assert not re.search(r"https?:|//[a-z]|url\(|@import|\bsrc=|\bhref=|javascript:", page)
    assert not {"script", "link", "iframe", "img", "object"} & set(outline(page).tags)
    assert "prefers-color-scheme:dark" in page and "@media print" in page
    assert len(page) < 1_500_000


def test_names_from_outside_are_escaped() -> None:
    hostile = '<script>alert("x")</script>&\'"'
    result, series = report_example.result(), report_example.series()
    result["event"] = result["journal_head"] = hostile
    result["invariants"][hostile] = True
    series["prices"] = {hostile: report_example.asset(100)}
    series["prices"][hostile]["index"][hostile] = [None] * report_example.MINUTES
    series["open_interest"] = {hostile: [1.0] * report_example.MINUTES}
    series["parameters"] = {hostile: hostile}
    series["sources"] = [hostile]
    series["liquidations"][36]["account"] = hostile
    series["liquidations"][36]["position"] = hostile
    series["nodes"][0]["name"] = hostile
    series["cheats"][0]["stopped_by"] = hostile
    series["surfaces"] = {hostile: {hostile: [40.0] * report_example.MINUTES}}
    series["heat_map"]["account"] = series["heat_map"]["holds"] = hostile
    series["grid"][0]["account"] = series["ladder"][0]["asset"] = hostile
    page = render(result, series)
    assert "<script" not in page and 'alert("' not in page
    outline(page)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"solvency_gap": "0.000000000000000001"},
            "claims exceed custody by $0.000000000000000001",
        ),
        ({"users_without_positions_loss": "12.5"}, "users without positions lost $12.50"),
        ({"cheats_succeeded": 1}, "1 cheat succeeded"),
        ({"fills_busted": 3}, "3 matched fills did not settle"),
        ({"fills_settled": 18_200}, "4 matched fills neither settled nor busted"),
        ({"invariants": {}}, "no invariant was checked"),
        ({"invariants": {"I01": False, "I02": True}}, "broken invariants: I01"),
    ],
)
def test_any_broken_promise_is_the_headline(change: dict[str, object], words: str) -> None:
    result = report_example.result()
    result["fills_settled"] -= int(str(change.get("fills_busted", 0)))
    result.update(change)  # type: ignore[typeddict-item]
    assert failures(result) == [words]
    page = render(result, report_example.series())
    assert "The clearing house did not keep every promise" in page
    assert "✗ broken" in page and words[1:] in page


def test_a_good_run_has_no_failures() -> None:
    assert failures(report_example.result()) == []


def test_each_invariant_is_explained_and_a_missing_one_is_not_called_held() -> None:
    result = report_example.result()
    del result["invariants"]["I07_rule"]
    page = render(result, report_example.series())
    assert page.count("✓ held") == 14 and page.count("not checked</td>") == 1
    assert "1 not checked in this run" in page
    assert len(INVARIANTS) == 15


def test_only_the_ten_worst_liquidations_are_listed_worst_first(page: str) -> None:
    table = page.split("Worst ten liquidations")[1].split("</table>")[0]
    kept = [float(text) for text in re.findall(r"([\d.]+) %</td>", table)]
    assert len(kept) == 10 and kept == sorted(kept) and kept[0] == pytest.approx(94.82)


def test_a_run_without_series_still_gives_a_page() -> None:
    page = render(report_example.result(), {})
    outline(page)
    assert "No prices were recorded." in page and "Nothing to show in this run." in page


def test_what_is_not_finite_is_drawn_as_silence() -> None:
    series = report_example.series()
    series["headroom_median_pct"] = [float("inf"), float("nan"), *[5.0] * 418]
    page = render(report_example.result(), series)
    drawn = page.split("Margin headroom", 1)[1].split("</figure>")[0]
    assert "median account: silent" in drawn
    assert not re.search(r"\b-?(nan|inf)\b", drawn)


def test_series_survive_json(page: str) -> None:
    series: ReportData = json.loads(json.dumps(report_example.series()))
    assert render(report_example.result(), series) == page


def test_ten_second_rounds_stay_small() -> None:
    series = report_example.series()
    count = 2_520
    series["ts"] = [report_example.START + 10 * k for k in range(count)]
    for prices in series["prices"].values():
        for nodes in (prices["index"], prices["mark"]):
            for name, column in nodes.items():
                nodes[name] = [column[k // 6] for k in range(count)]
        prices["chain_index"] = list(prices["index"]["binance"])
        prices["chain_mark"] = list(prices["mark"]["binance"])
    short: ReportData = {"ts": series["ts"], "prices": series["prices"]}
    assert len(render(report_example.result(), short)) < 1_000_000


# the small parts


def test_ticks_are_round_and_span_the_values() -> None:
    for low, high in ((0, 0), (5, 5), (-3, 17), (0.0001, 0.0002), (104_390, 118_400), (-1e9, 1e9)):
        marks = ticks(low, high)
        assert marks[0] <= low and marks[-1] >= high and 2 <= len(marks) <= 8
        steps = [b - a for a, b in pairwise(marks)]
        assert steps == pytest.approx([steps[0]] * len(steps))


def test_a_gap_that_is_always_zero_is_a_line_within_the_plot() -> None:
    drawn = line_chart([0, 60, 120], [Line("gap", [0, 0, 0], "s0")], label="gap", zero=True)
    assert [text for text in ("−1", "0", "1") if f">{text}</text>" in drawn] == ["−1", "0", "1"]


def test_labels_stay_inside_the_chart() -> None:
    for most in (1_190_000.0, 1_100_000.0, 990_000.0):
        drawn = histogram([0.0] * 50 + [most], label="gas", unit="gas a fill", width=560)
        labels = re.findall(r'<text x="([\d.]+)" y="[\d.]+" text-anchor="(\w+)">(.*?)<', drawn)
        reach = [float(x) + 6 * len(text) * (anchor == "middle") / 2 for x, anchor, text in labels]
        assert labels and max(reach) <= 560


def test_compact_numbers() -> None:
    assert [compact(v) for v in (0, 12, 0.25, 118_200, 1_250_000, -2e9)] == [
        "0",
        "12",
        "0.25",
        "118,200",
        "1.25m",
        "−2bn",
    ]


def test_money_shows_cents_and_writes_dust_out() -> None:
    assert money("1234567.891") == "$1,234,567.89"
    assert money("-0.5") == "−$0.50"
    assert money("0.000000000000000001") == "$0.000000000000000001"
    assert money("0") == "$0.00"


def test_silences_are_half_open_stretches() -> None:
    ts = [0, 60, 120, 180, 240]
    assert silences(ts, [1, None, None, 1, None]) == [(60, 180), (240, 240)]
    assert silences(ts, [1, 1, 1, 1, 1]) == []


def test_counts_are_summed_by_the_minute_and_quiet_minutes_are_zero() -> None:
    minutes, sums = per_minute([0, 10, 50, 60, 185], [[1, 2, None, 4, 8]])
    assert (minutes, sums) == ([0, 60, 120, 180], [[3, 4, 0, 8]])
