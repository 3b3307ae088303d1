"""Options against the margin gate: premiums to an accomplice, washes, caps, stale arrays."""

from __future__ import annotations

import pytest
from support.clearing import ACCOMPLICE, BUYER, LIQUIDATOR, SELLER
from support.core import trader
from support.expiries import BITCOIN, ETHER, Dated

from novate.model import ledger, option_series
from novate.model.novation import Trade
from novate.model.option_id import future_id
from novate.model.option_series import Interest
from novate.units import WAD

GAS_MAX = 1 << 24


@pytest.fixture
def core() -> Dated:
    return Dated()


def whole(core: Dated, id: int) -> int:
    return max(int(core.risk.view("quoted", id)[0] // WAD), 1)


def test_a_premium_to_an_accomplice_is_bounded_by_the_band_and_the_gate(core: Dated) -> None:
    """Mango: value moved to a friend by a trade far from the mark. The band bounds what a lot can
    move, and no trade leaves an account without initial margin: the debt stays with its maker.
    """
    core.fund(ACCOMPLICE, 1_000_000)
    slot, ids = core.list_all(BITCOIN, 0, (60_000, 65_000))
    core.refresh(BITCOIN, slot)
    cheap, near = ids[2], ids[0]
    for id in (cheap, near):
        exact = core.risk.view("quoted", id)[0]
        reach = (exact + 60_000 * WAD // 8) // 20
        outcome = core.trade(BUYER, ACCOMPLICE, 100, int((exact + reach) // WAD) + 1, id)
        assert outcome == "PriceOutOfBand"
    # at the edge of the band the victim is not ruined: it must keep initial margin
    price = int((core.risk.view("quoted", cheap)[0] + 60_000 * WAD // 160) // WAD)
    lots, equity = 100, core.health(BUYER).equity
    while core.trade(BUYER, ACCOMPLICE, lots, price, cheap) == "settled":
        lots *= 4
        found = core.health(BUYER)
        assert found.equity >= found.valuation.margin_initial
    assert core.trade(BUYER, ACCOMPLICE, lots, price, cheap) == "InsufficientMargin"
    assert 0 < core.health(BUYER).equity < equity
    core.compare([BUYER, ACCOMPLICE])
    core.compare_dated()


def test_a_wash_between_accounts_of_one_owner_is_a_self_match(core: Dated) -> None:
    slot, ids = core.list_all(BITCOIN, 0, (60_000,))
    other = trader("buyer", 5)
    core.fund(other, 1_000_000)
    for id in (*ids, future_id(BITCOIN, slot)):
        assert core.trade(BUYER, other, 1, whole(core, id), id) == "SelfMatch"
    assert core.world.options.series[BITCOIN, slot].open == 0


def test_one_account_s_failure_takes_only_its_own_trades_of_a_mixed_batch(core: Dated) -> None:
    """Premiums of what is skipped move nothing; the sums of the others are as if it never came."""
    slot, ids = core.list_all(BITCOIN, 0, (60_000,))
    core.refresh(BITCOIN, slot)
    call, poor = ids[0], trader("poor")
    accounts = sorted([BUYER, SELLER, poor])
    price = whole(core, call) * WAD
    a, b, c = (accounts.index(x) for x in (BUYER, SELLER, poor))
    trades = [
        Trade(a, b, 0, True, 5, price),
        Trade(c, a, 0, False, 5, price),  # the poor one sells what it cannot margin
        Trade(b, a, 0, False, 3, price),
    ]
    assert core.batch(accounts, [call], trades) == ["settled", "InsufficientMargin", "settled"]
    assert core.health(BUYER).cash == 10**6 * WAD - 8 * price // 100
    assert core.health(poor).cash == 0 and core.open_interest(call) == 8
    core.compare_dated()


def test_a_short_option_needs_margin_however_worthless_it_is(core: Dated) -> None:
    slot, ids = core.list_all(BITCOIN, 0, (100_000,))
    core.refresh(BITCOIN, slot)
    assert core.risk.view("quoted", ids[0])[0] < WAD
    assert core.trade(BUYER, SELLER, 1_000, 1, ids[0]) == "settled"
    required = core.health(SELLER).valuation.margin_maintenance
    assert required >= 10 * 60_000 * WAD * 5_000 // 10**6
    # long options are not charged beyond what they are worth
    value = core.health(BUYER).valuation
    assert value.margin_maintenance <= value.value_spot + 10 * WAD


def test_an_exposure_limit_cannot_be_passed_by_a_batch_or_a_refresh(core: Dated) -> None:
    slot, ids = core.list_all(BITCOIN, 0, (60_000,))
    core.refresh(BITCOIN, slot)
    core.limits(BITCOIN, 20, 0)
    call = ids[0]
    room = Interest.unpack(option_series.interest(core.world, call)).room
    assert 0 < room < 10**6
    two = sorted([BUYER, SELLER])
    half = room // 2 + 1
    trades = [Trade(0, 1, 0, True, half, whole(core, call) * WAD) for _ in range(2)]
    found = core.batch(two, [call], trades)
    assert found in (["OpenInterestCap"] * 2, ["settled", "OpenInterestCap"])
    core.refresh(BITCOIN, slot)
    assert core.trade(BUYER, SELLER, room + 10, whole(core, call), call) == "OpenInterestCap"
    core.compare_dated()


def test_a_valuation_never_fails_whatever_became_of_the_position(core: Dated) -> None:
    """Old surfaces, no surfaces, prices far from every strike, expired, printed: health is told,
    an account can be swept and sliced.
    """
    slot, ids = core.list_all(BITCOIN, 0, (30_000, 60_000, 120_000))
    ether, more = core.list_all(ETHER, 1, (3_000,))
    core.refresh(BITCOIN, slot)
    future = future_id(BITCOIN, slot)
    for at, id in enumerate((*ids, *more, future)):
        buyer, seller = (BUYER, SELLER) if at % 2 else (SELLER, BUYER)
        assert core.trade(buyer, seller, 40, 60_000 if id == future else whole(core, id), id) == (
            "settled"
        )

    def alive() -> None:
        for account in (BUYER, SELLER):
            assert core.health(account).valuation.margin_maintenance >= 0
        assert core.sweep([BUYER, SELLER]) is None
        slice_ = (SELLER, LIQUIDATOR, 10_000, 0, 0)
        core.run("auctioneer", "transfer_slice", ledger.transfer_slice, *slice_)
        core.compare([BUYER, SELLER, LIQUIDATOR])
        core.compare_dated()

    core.advance(61)  # old arrays, prices and surfaces
    alive()
    usd = 60_000.0
    for _ in range(30):  # far above every strike, without one surface since
        usd *= 1.045
        core.price(usd, 3_000, 30)
    alive()
    for _ in range(50):  # and far below
        usd /= 1.045
        core.price(usd, 3_000, 30)
    alive()
    core.advance(core.expiries[0] - core.world.now)  # expired, without a price of now
    alive()
    core.wait_until(core.world.now + 300)
    alive()
    assert core.print(BITCOIN, core.expiries[0], 41_000) is True
    alive()
    assert core.settle([BUYER, SELLER, LIQUIDATOR], BITCOIN, slot) is None
    core.compare([BUYER, SELLER, LIQUIDATOR])
    assert ether != slot or more


def test_an_account_of_128_options_can_be_liquidated_with_every_array_stale() -> None:
    """I15: the dearest bid there is fits a transaction, and everyone's health is found."""
    core = Dated(100_000_000)
    ids: list[int] = []
    chains = (BITCOIN, range(50_000, 66_000, 1_000)), (ETHER, range(2_600, 3_400, 50))
    for underlying, strikes in chains:
        for place in (0, 1):
            core.fresh()
            _, found = core.list_all(underlying, place, strikes)
            ids += found
    core.fresh()
    assert len(ids) == 128
    two = sorted([BUYER, SELLER])
    for start in range(0, 128, 16):
        part = sorted(ids)[start : start + 16]
        core.fresh()
        trades = [
            Trade(0, 1, at, bool(at % 2), 10, whole(core, id) * WAD) for at, id in enumerate(part)
        ]
        assert core.batch(two, part, trades) == ["settled"] * 16
    core.trade(LIQUIDATOR, BUYER, 1, whole(core, ids[0]), ids[0])
    for _ in range(2):
        core.fresh(40)  # nothing was ever refreshed: every array is built in the transaction
    slice_ = (SELLER, LIQUIDATOR, 500_000, 0, 0)
    core.run("auctioneer", "transfer_slice", ledger.transfer_slice, *slice_)
    assert core.refusal is None and core.chain.gas_used < GAS_MAX
    assert len(core.held(LIQUIDATOR)) == len(core.held(SELLER)) == 128
    core.compare([SELLER, LIQUIDATOR])
    core.compare_dated()
