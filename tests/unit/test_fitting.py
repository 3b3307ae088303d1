"""The volatilities of the demo's nodes are the same, whoever makes them, and whenever."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from novate.demo.fitting import Curves, Desk, Fitting
from novate.lab.prices import Quote
from novate.lab.smiles import NOVEMBER, OCTOBER, SmileTable
from novate.risk.surface import fitted

TS = 1_760_130_000
CURVES = Curves(SmileTable(), (TS - 60, OCTOBER, NOVEMBER), 3, {0: "BTC", 1: "ETH"})
SEEN = [
    {"BTC": Quote(12 * 10**14, 12 * 10**14 + node, 0), "ETH": Quote(4 * 10**13, 4 * 10**13, 0)}
    for node in range(3)
] + [{}]


@pytest.fixture
def fitting() -> Iterator[Fitting]:
    made = Fitting(CURVES)
    made.start()
    yield made
    made.close()


def plain(desks: list[Desk]) -> list[object]:
    """What may be compared: arrays as lists."""
    return [
        (
            {
                u: [
                    (q.expiry, q.timestamp, q.forward, q.k.tolist(), q.volatility.tolist())
                    for q in each
                ]
                for u, each in desk.quotes.items()
            },
            {u: fit.words for u, fit in desk.fits.items()},
        )
        for desk in desks
    ]


def test_a_desk_has_live_expiries_alone_and_fits_of_its_own_quotes() -> None:
    desks = CURVES.desks(SEEN, TS)
    assert [sorted(desk.quotes) for desk in desks] == [[0, 1]] * 3 + [[]]
    for desk in desks:
        for underlying, quotes in desk.quotes.items():
            assert [each.expiry for each in quotes] == [OCTOBER, NOVEMBER]
            assert desk.fits[underlying].words == fitted(quotes).words
    assert desks[0].fits[0].words != desks[1].fits[0].words, "each node sees something else"


def test_quotes_too_few_to_fit_have_no_fit() -> None:
    over = replace(CURVES, expiries=(TS - 60,))
    assert plain(over.desks(SEEN[:1], TS)) == [({0: [], 1: []}, {})]


def test_what_was_begun_is_what_would_be_made_here(fitting: Fitting) -> None:
    fitting.begin(SEEN, TS)
    assert plain(fitting.desks(SEEN, TS)) == plain(CURVES.desks(SEEN, TS))


@pytest.mark.parametrize(("seen", "ts"), [(SEEN, TS + 60), (SEEN[1:], TS)])
def test_another_question_than_the_one_begun_is_answered(
    fitting: Fitting, seen: list[dict[str, Quote]], ts: int
) -> None:
    fitting.begin(SEEN, TS)
    assert plain(fitting.desks(seen, ts)) == plain(CURVES.desks(seen, ts))
    for at in (TS, TS + 60, TS + 120):
        fitting.begin(SEEN, at)
    assert plain(fitting.desks(SEEN, TS + 60)) == plain(CURVES.desks(SEEN, TS + 60))
    fitting.begin(SEEN, TS)
    assert plain(fitting.desks(SEEN, TS)) == plain(CURVES.desks(SEEN, TS))


@pytest.mark.parametrize("begun", [True, False])
def test_without_the_process_desks_are_made_here(fitting: Fitting, begun: bool) -> None:
    if begun:
        fitting.begin(SEEN, TS)
    assert fitting.process is not None
    fitting.process.kill()
    fitting.process.join()
    if not begun:
        fitting.begin(SEEN, TS)
    assert plain(fitting.desks(SEEN, TS)) == plain(CURVES.desks(SEEN, TS))


def test_before_the_process_is_started_desks_are_made_here() -> None:
    idle = Fitting(CURVES)
    idle.begin(SEEN, TS)
    assert plain(idle.desks(SEEN, TS)) == plain(CURVES.desks(SEEN, TS))
    idle.close()
