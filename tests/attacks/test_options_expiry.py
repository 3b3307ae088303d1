"""Options at and after expiry: nothing is paid twice, early, or to whom it does not belong.

Deribit and every venue with a settlement window were gamed around the fixing; here the window only
lets positions shrink, the print is the quorum's, and settling is open, exact and repeatable.
"""

from __future__ import annotations

import pytest
from support.clearing import ACCOMPLICE, BUYER, LIQUIDATOR, SELLER
from support.expiries import BITCOIN, Dated

from novate.model import invariants, ledger
from novate.units import WAD

ALL = (BUYER, SELLER, LIQUIDATOR)


@pytest.fixture
def core() -> Dated:
    return Dated()


def positions(core: Dated) -> tuple[int, list[int]]:
    """A listed expiry in which each of three accounts is long and short something."""
    slot, ids = core.list_all(BITCOIN, 0, (58_000, 60_000, 62_000))
    core.refresh(BITCOIN, slot)
    future = 2**19 | slot << 11 | 2
    for at, id in enumerate((*ids, future)):
        buyer, seller = ALL[at % 3], ALL[(at + 1) % 3]
        price = 60_000 if id == future else max(int(core.risk.view("quoted", id)[0] // WAD), 1)
        assert core.trade(buyer, seller, 10 + at, price, id) == "settled"
    return slot, [*ids, future]


def printed(core: Dated, usd: float = 61_234.5) -> None:
    core.wait_until(core.expiries[0])
    assert core.print(BITCOIN, core.expiries[0], usd) is True


def equities(core: Dated) -> list[int]:
    return [core.health(account).equity for account in ALL]


def test_the_order_of_settling_changes_nobody_s_money() -> None:
    found = set()
    for order in (ALL, ALL[::-1]):
        core = Dated()
        slot, _ = positions(core)
        printed(core)
        for account in order:
            assert core.settle([account], BITCOIN, slot) is None
        core.compare(list(ALL))
        core.compare_dated()
        found.add(tuple(equities(core)))
    assert len(found) == 1


def test_an_expiry_is_not_paid_twice(core: Dated) -> None:
    slot, _ = positions(core)
    printed(core)
    assert core.settle([*ALL, *ALL, BUYER], BITCOIN, slot) is None
    before = equities(core)
    for accounts in ([BUYER], list(ALL), [BUYER, BUYER]):
        assert core.settle(accounts, BITCOIN, slot) is None
    assert equities(core) == before


def test_settling_moves_money_between_positions_only(core: Dated) -> None:
    """What is paid is what is lost, to the wei, whoever is settled and whoever is not yet."""
    slot, _ = positions(core)
    claims = invariants.claims(core.world)
    printed(core)
    assert invariants.printed_payouts(core.world) == 0
    for account in ALL:
        core.settle([account], BITCOIN, slot)
        owed = invariants.claims(core.world) + invariants.printed_payouts(core.world)
        assert owed == claims
        assert invariants.I02_lots_sum_to_zero(core.world)
        assert invariants.I06_funding_sums_to_zero(core.world)
    assert invariants.printed_payouts(core.world) == 0


def test_nothing_is_paid_before_the_print_nor_at_another_price(core: Dated) -> None:
    slot, _ = positions(core)
    assert core.settle([BUYER], BITCOIN, slot) == "ExpiryNotReached"
    core.wait_until(core.expiries[0])
    assert core.settle([BUYER], BITCOIN, slot) == "MissingPrint"
    assert core.print(BITCOIN, core.expiries[0], 61_000) is True
    # a second print is ignored, whatever it says
    assert core.print(BITCOIN, core.expiries[0], 90_000) is False
    before = equities(core)
    core.fresh(10, btc=62_500)  # nor does the mark of later matter
    assert core.settle(list(ALL), BITCOIN, slot) is None
    assert equities(core) == before


def test_a_payout_cannot_leave_before_it_has_matured(core: Dated) -> None:
    """Vertex, Paradex: a gain of a wrong price is haircut before it is gone."""
    slot, ids = positions(core)
    printed(core, 80_000)
    before = core.health(BUYER).cash
    assert core.settle(list(ALL), BITCOIN, slot) is None
    [paid] = [e for e in core.events_of("ExpirySettled") if e["account"] == BUYER]
    assert paid["amount"] > 0 and core.health(BUYER).cash <= before
    assert core.pay_out(BUYER, int(before // WAD) + 1_000) == "InsufficientCash"
    assert ids


def test_a_short_side_left_alone_keeps_its_slot(core: Dated) -> None:
    """Were the slot taken over, the short would wake up in another option."""
    slot, _ = positions(core)
    printed(core)
    core.expiries[0] += 3 * 86_400
    core.expiries.sort()
    core.fresh()
    for account in ALL[:2]:
        assert core.settle([account], BITCOIN, slot) is None
        assert core.expiry(BITCOIN, 0) == "SlotInUse"
        assert core.held(LIQUIDATOR) != {}
    assert core.settle([LIQUIDATOR], BITCOIN, slot) is None
    assert core.expiry(BITCOIN, 0) == slot


def test_an_account_in_auction_is_paid_and_may_be_released(core: Dated) -> None:
    slot, _ = positions(core)
    core.run("auctioneer", "set_in_auction", ledger.set_in_auction, BUYER, True)
    printed(core)
    assert core.settle(list(ALL), BITCOIN, slot) is None
    assert core.held(BUYER) == {} and core.health(BUYER).in_auction
    assert core.health(BUYER).valuation.margin_maintenance == 0


def test_the_window_before_the_print_is_for_reductions(core: Dated) -> None:
    """Nobody builds a position in the half hour over which the price is averaged."""
    _, ids = positions(core)
    core.wait_until(core.expiries[0] - 1_799)
    for id in ids:
        price = 60_000 if id & 2 else max(int(core.risk.view("quoted", id)[0] // WAD), 1)
        assert core.trade(ACCOMPLICE, BUYER, 100, price, id) == "ReduceOnly"
    core.compare_dated()


def test_what_is_over_or_was_never_listed_is_not_traded(core: Dated) -> None:
    slot, ids = positions(core)
    assert core.trade(BUYER, SELLER, 1, 700, ids[0] | 20 << 6) == "UnknownInstrument"
    core.wait_until(core.expiries[0])
    for id in ids:
        assert core.trade(BUYER, SELLER, 1, 60_000, id) == "ExpiryPassed"
    printed(core)
    for id in ids:
        assert core.trade(BUYER, SELLER, 1, 60_000, id) == "ExpiryPassed"
    core.settle(list(ALL), BITCOIN, slot)
    assert core.trade(BUYER, SELLER, 1, 60_000, ids[0]) == "ExpiryPassed"
