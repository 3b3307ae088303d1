"""Listing is open to anyone: what a spammer can and cannot do with it (docs/decisions/0018)."""

from __future__ import annotations

import pytest
from support.clearing import ACCOMPLICE, BUYER, SELLER
from support.core import trader
from support.expiries import BITCOIN, ETHER, Dated

from novate.model import ledger, option_series
from novate.model.option_series import Interest
from novate.units import DAY_S, WAD

REFRESH_GAS_MAX = 2_300_000


@pytest.fixture
def core() -> Dated:
    return Dated()


def whole(core: Dated, id: int) -> int:
    return max(int(core.risk.view("quoted", id)[0] // WAD), 1)


def test_only_expiries_of_the_quorum_s_surface_are_listed(core: Dated) -> None:
    """A spammer cannot fill the slots: it makes no expiry, and each is listed once."""
    for hours in range(2, 40):
        core.expiries.append(core.expiries[0] + hours * 3_600)
        assert core.expiry(BITCOIN, len(core.expiries) - 1) == "MissingExpiry"
        core.expiries.pop()
    assert core.expiry(BITCOIN, 0) == 0
    assert core.expiry(BITCOIN, 0) == "AlreadyListed"


def test_what_is_listed_first_stays_whatever_a_spammer_adds(core: Dated) -> None:
    """The venue lists its strikes in the block of the surface that brings the expiry; the places
    that are left can be filled with rubbish, which costs gas and no one else anything.
    """
    slot, ids = core.list_all(BITCOIN, 0, range(58_000, 63_000, 1_000))
    core.refresh(BITCOIN, slot)
    spent = []
    for place in range(27):
        core.strike(BITCOIN, slot, 12_000 + 500 * place)
        spent.append(core.chain.gas_used)
    assert core.strike(BITCOIN, slot, 64_000) == "TooManyItems"
    assert min(spent) > 20_000
    assert core.trade(BUYER, SELLER, 10, whole(core, ids[0]), ids[0]) == "settled"
    core.fresh()
    core.refresh(BITCOIN, slot)
    assert core.chain.gas_used < 2 * REFRESH_GAS_MAX
    # neither the next expiry nor another underlying has less room
    assert core.list_all(BITCOIN, 1, (60_000,))[1]
    assert core.list_all(ETHER, 0, (3_000,))[1]
    core.compare_dated()


def test_a_spammed_expiry_is_clean_when_its_slot_is_taken_over(core: Dated) -> None:
    slot = core.expiry(BITCOIN, 0)
    for place in range(32):
        core.strike(BITCOIN, slot, 12_000 + 500 * place)
    core.wait_until(core.expiries[0])
    core.expiries[0] += 3 * DAY_S
    core.expiries.sort()
    core.fresh()
    assert core.expiry(BITCOIN, 0) == slot
    assert core.strike(BITCOIN, slot, 60_000) not in ("TooManyItems", "AlreadyListed")


def test_a_listed_strike_that_nobody_holds_weighs_on_nobody(core: Dated) -> None:
    slot, ids = core.list_all(BITCOIN, 0, (60_000,))
    core.refresh(BITCOIN, slot)
    assert core.trade(BUYER, SELLER, 10, whole(core, ids[0]), ids[0]) == "settled"
    before = core.health(SELLER)
    for place in range(20):
        core.strike(BITCOIN, slot, 12_000 + 500 * place)
    assert core.health(SELLER) == before


def test_exposure_limits_hold_however_a_position_is_handed_on(core: Dated) -> None:
    """At the limit, a slice moves and a swap trades; what is open does not rise by either."""
    slot, ids = core.list_all(BITCOIN, 0, (60_000,))
    core.refresh(BITCOIN, slot)
    call = ids[0]
    assert core.trade(BUYER, SELLER, 100, whole(core, call), call) == "settled"
    core.limits(BITCOIN, 1, 1)
    core.fund(ACCOMPLICE, 1_000_000)
    assert Interest.unpack(option_series.interest(core.world, call)).room == 0
    slice_ = (SELLER, ACCOMPLICE, 500_000, 0, 0)
    core.run("auctioneer", "transfer_slice", ledger.transfer_slice, *slice_)
    assert core.open_interest(call) == 100
    assert core.trade(ACCOMPLICE, SELLER, 1, whole(core, call), call) == "settled"
    core.fund(trader("stranger"), 1_000_000)
    for buyer, seller in ((BUYER, ACCOMPLICE), (trader("stranger"), SELLER)):
        assert core.trade(buyer, seller, 1, whole(core, call), call) == "OpenInterestCap"
    core.compare_dated()


def test_a_liquidatable_account_deals_itself_no_premium_within_the_band(core: Dated) -> None:
    """The band of a cheap option is a tenth of its forward wide: room to pay an accomplice. Below
    its margin an account loses by a trade at most what keeps its health where it is, and nothing at
    all by one that adds risk.
    """
    poor, friend = trader("poor"), trader("friend")
    core.fund(poor, 8_000)
    core.fund(friend, 1_000_000)
    slot, ids = core.list_all(BITCOIN, 0, (60_000, 66_000))
    core.refresh(BITCOIN, slot)
    call, cheap = ids[0], ids[2]
    assert core.trade(BUYER, poor, 60, whole(core, call), call) == "settled"
    usd = 60_000.0
    while core.health(poor).equity >= core.health(poor).valuation.margin_maintenance:
        usd *= 1.02
        core.fresh(30, btc=usd)

    def edge(id: int, sign: int) -> int:
        exact = core.risk.view("quoted", id)[0]
        reach = (exact + int(usd) * WAD // 10) // 20
        return max((exact + sign * reach) // WAD + (sign < 0), 1)

    outcomes = []
    for lots in (3, 2, 1):
        held = core.health(poor)
        assert held.equity < held.valuation.margin_initial
        assert core.trade(friend, poor, lots, edge(cheap, -1), cheap) == "InsufficientMargin"
        assert core.trade(friend, poor, lots, edge(call, -1), call) == "InsufficientMargin"
        for id in (cheap, call):
            before = core.health(poor)
            outcomes.append(core.trade(poor, friend, lots, edge(id, 1), id))
            after = core.health(poor)
            required = after.valuation.margin_maintenance, before.valuation.margin_maintenance
            assert after.equity * required[1] >= before.equity * required[0]
    assert "settled" in outcomes  # a way down is open
    assert core.health(poor).equity > 0
