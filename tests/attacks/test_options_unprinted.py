"""Between an expiry and its print: what it will pay is fixed, what it shows still moves.

A short of a deep call owes what the average said. If the price falls after the expiry and the print
is late, its account shows a gain that is none: whoever could withdraw on it would leave the debt to
the pool (dYdX's YFI, 2023: profit that was only a mark, taken out before it was gone).
"""

from __future__ import annotations

import pytest
from support.clearing import ACCOMPLICE, BUYER, LIQUIDATOR, SELLER
from support.expiries import BITCOIN, Dated

from novate.model import ledger
from novate.model.option_id import future_id
from novate.units import WAD


@pytest.fixture
def core() -> Dated:
    return Dated(60_000)


def whole(core: Dated, id: int) -> int:
    return max(int(core.risk.view("quoted", id)[0] // WAD), 1)


def fall_after_expiry(core: Dated) -> tuple[int, list[int]]:
    """A short call, deep in the money when it expires; then the price falls, without a print."""
    slot, ids = core.list_all(BITCOIN, 0, (45_000, 60_000))
    core.refresh(BITCOIN, slot)
    assert core.trade(BUYER, SELLER, 300, whole(core, ids[0]), ids[0]) == "settled"
    core.wait_until(core.expiries[0])
    usd = 60_000.0
    for _ in range(7):
        usd *= 0.96
        core.fresh(40, btc=usd)
    return slot, ids


def test_a_gain_after_the_expiry_cannot_be_withdrawn_before_the_print(core: Dated) -> None:
    slot, _ = fall_after_expiry(core)
    shown = core.health(SELLER)
    assert shown.equity > shown.valuation.margin_initial + 10_000 * WAD  # by the mark of now
    for usd in (10_000, 1):
        assert core.pay_out(SELLER, usd) == "StalePrice"
    assert core.pay_out(BUYER, 1) == "StalePrice"  # nor by the other side
    assert core.print(BITCOIN, core.expiries[0], 60_000) is True
    owed = core.health(SELLER)
    assert owed.equity < shown.equity - 30_000 * WAD
    assert core.settle([SELLER, BUYER], BITCOIN, slot) is None
    assert core.health(SELLER).equity >= 0 and core.health(SELLER).valuation.margin_maintenance == 0
    core.compare([BUYER, SELLER])


def test_nor_be_the_margin_of_new_risk(core: Dated) -> None:
    slot, _ = fall_after_expiry(core)
    _, later = core.list_all(BITCOIN, 1, (45_000,))
    core.refresh(BITCOIN, 1 - slot)
    core.fund(ACCOMPLICE, 1_000_000)
    price = whole(core, later[0])
    assert core.trade(ACCOMPLICE, SELLER, 1, price, later[0]) == "InsufficientMargin"
    assert core.trade(SELLER, ACCOMPLICE, 1, price, later[0]) == "settled"  # this one hedges
    # who holds nothing that waits for its print trades as ever
    core.fund(LIQUIDATOR, 1_000_000)
    assert core.trade(LIQUIDATOR, ACCOMPLICE, 1, whole(core, later[0]), later[0]) == "settled"


def test_the_print_lifts_it_before_anybody_is_settled(core: Dated) -> None:
    fall_after_expiry(core)
    assert core.print(BITCOIN, core.expiries[0], 47_000) is True
    assert core.pay_out(SELLER, 10_000) is None
    core.compare([SELLER])


def test_a_future_that_waits_for_its_print_is_no_margin_either(core: Dated) -> None:
    slot, _ = core.list_all(BITCOIN, 0, (60_000,))
    future = future_id(BITCOIN, slot)
    assert core.trade(BUYER, SELLER, 100, 60_000, future) == "settled"
    core.wait_until(core.expiries[0])
    for usd in (62_000, 64_000, 66_000):
        core.fresh(40, btc=usd)
    assert core.pay_out(BUYER, 1) == "StalePrice"
    assert core.print(BITCOIN, core.expiries[0], 60_000) is True
    assert core.pay_out(BUYER, 1) is None


def test_the_late_print_does_not_stop_a_liquidation(core: Dated) -> None:
    """Only increases and withdrawals wait: a slice is sold and the bidder may hold it."""
    fall_after_expiry(core)
    core.fund(LIQUIDATOR, 1_000_000)
    slice_ = (BUYER, LIQUIDATOR, 100_000, 0, 0)
    core.run("auctioneer", "transfer_slice", ledger.transfer_slice, *slice_)
    assert core.refusal is None
    core.compare([BUYER, LIQUIDATOR])
