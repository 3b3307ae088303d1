"""Options and dated futures in the Clearinghouse: terms, trades, slices, expiry (SPEC §5)."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from support.clearing import BUYER, DAY_S, HOUR_S, LIQUIDATOR, SELLER, name_of_refusal
from support.core import BTC, ORACLE_PER_USD, word
from support.expiries import BITCOIN, ETHER, Dated, key_of, option_terms

from novate.chain.harness import actor
from novate.model import ledger, session
from novate.model.instrument import DATED_LOTS_MAX, FUTURE, PERP, SPOT
from novate.model.novation import Trade
from novate.model.option_id import future_id
from novate.model.session import SessionKey
from novate.sim.dated import DatedSimulation
from novate.sim.world import Step
from novate.units import WAD
from novate.wire import eip712
from novate.wire.order import SignedFill, SignedOrder

TWO = sorted([BUYER, SELLER])
STRANGER = actor("stranger")
STRIKES = (55_000, 60_000, 65_000)


@pytest.fixture
def core() -> Dated:
    return Dated()


def at_money(core: Dated) -> tuple[int, int, int]:
    """Slot, call and put at 60,000, with arrays of now."""
    slot, ids = core.list_all(BITCOIN, 0, STRIKES)
    core.refresh(BITCOIN, slot)
    return slot, ids[2], ids[3]


def mark(core: Dated, id: int) -> int:
    """The mark in whole dollars, rounded down to the tick."""
    return int(core.risk.view("quoted", id)[0] // WAD)


def expire(core: Dated, slot: int, usd: float, underlying: int = BITCOIN) -> None:
    """The first expiry is reached and printed."""
    core.wait_until(core.expiries[0])
    assert core.print(underlying, core.expiries[0], usd) is True


# Terms


def test_terms_stand_under_the_key_for_every_id_of_the_underlying(core: Dated) -> None:
    slot, call, put = at_money(core)
    word = option_terms(BITCOIN).pack()
    for id in (key_of(BITCOIN), call, put):
        assert core.clearinghouse.view("market", id)[:2] == (word, 0)
    futures = option_terms(BITCOIN, FUTURE).pack()
    assert core.clearinghouse.view("market", future_id(BITCOIN, slot))[:2] == (futures, 0)


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": FUTURE},
        {"kind": PERP},
        {"kind": SPOT},
        {"underlying": ETHER},
        {"feed": 1},
        {"lot_size": 10**15},
        {"open_interest_cap": DATED_LOTS_MAX + 1},
        {"position_cap": DATED_LOTS_MAX + 1},
    ],
)
def test_terms_that_do_not_fit_their_key_are_bad(core: Dated, changes: dict[str, int]) -> None:
    terms = replace(option_terms(BITCOIN), **changes)
    assert core.list_terms(key_of(BITCOIN), terms) == "BadTerms"


def test_terms_under_an_id_that_is_no_key_are_bad(core: Dated) -> None:
    key = key_of(BITCOIN)
    for other in (key | 1, key | 1 << 6, key | 1 << 11, key | 4):
        assert core.list_terms(other, option_terms(BITCOIN)) == "BadTerms"
    # an underlying without a grid has no lot
    assert core.list_terms(key_of(5), replace(option_terms(BITCOIN), underlying=5)) == "BadTerms"


def test_other_instruments_have_ids_below_the_dated_ones(core: Dated) -> None:
    perp = replace(option_terms(BITCOIN), kind=PERP)
    assert core.list_terms(2**19 - 1, perp) is None
    assert core.list_terms(2**19 + 4, perp) == "BadTerms"


def test_caps_of_a_key_are_bounded_and_hold_for_each_id(core: Dated) -> None:
    _, call, put = at_money(core)
    key = key_of(BITCOIN)
    for caps in ((DATED_LOTS_MAX + 1, 0), (0, DATED_LOTS_MAX + 1)):
        assert core.run("timelock", "set_caps", ledger.set_caps, key, *caps) == "BadTerms"
    assert core.run("timelock", "set_caps", ledger.set_caps, key, 10, 6) is None
    assert core.trade(BUYER, SELLER, 7, mark(core, call), call) == "PositionCap"
    assert core.trade(BUYER, SELLER, 6, mark(core, call), call) == "settled"
    assert core.trade(LIQUIDATOR, SELLER, 6, mark(core, put), put) == "settled"
    assert core.trade(LIQUIDATOR, BUYER, 5, mark(core, call), call) == "settled"
    assert core.run("timelock", "set_caps", ledger.set_caps, key, 6, 60) is None
    assert core.trade(LIQUIDATOR, SELLER, 1, mark(core, call), call) == "OpenInterestCap"
    core.compare_dated()


# Trades


def test_a_premium_moves_in_cash_at_once_and_fees_go_to_the_pot(core: Dated) -> None:
    _, call, _ = at_money(core)
    price = mark(core, call)
    outcome = core.trade(BUYER, SELLER, 10, price, call, fee_taker=5 * WAD, fee_maker=3 * WAD)
    assert outcome == "settled"
    # ten lots of a hundredth of a bitcoin
    assert core.health(BUYER).cash == (10**6 * 10 - price) * WAD // 10 - 5 * WAD
    assert core.health(SELLER).cash == (10**6 * 10 + price) * WAD // 10 - 3 * WAD
    assert core.world.ledger.accounts[BUYER].variation == 0
    assert core.world.ledger.pot.fees == 8 * WAD
    assert (core.held(BUYER), core.held(SELLER)) == ({call: 10}, {call: -10})
    assert core.open_interest(call) == 10
    core.compare_dated()


def test_an_option_is_worth_its_mark_to_both_sides(core: Dated) -> None:
    _, call, _ = at_money(core)
    core.trade(BUYER, SELLER, 10, mark(core, call), call)
    quoted = core.risk.view("quoted", call)[0]
    value = core.health(BUYER).valuation
    assert (value.value_spot, value.value_linear) == (quoted // 10, 0)
    assert core.health(SELLER).valuation.value_spot == -(quoted // 10)


def test_a_future_is_booked_as_a_perp_without_funding(core: Dated) -> None:
    slot, *_ = at_money(core)
    future = future_id(BITCOIN, slot)
    assert core.trade(BUYER, SELLER, 10, 60_100, future) == "settled"
    assert core.health(BUYER).equity == (10**6 - 10) * WAD
    core.fresh(3_600, btc=60_600)
    assert core.health(BUYER).equity == (10**6 + 50) * WAD
    core.sweep([BUYER, SELLER])
    core.compare([BUYER, SELLER])
    core.compare_dated()


def test_a_batch_mixes_perps_options_and_futures(core: Dated) -> None:
    slot, call, put = at_money(core)
    instruments = [BTC, *sorted([call, put, future_id(BITCOIN, slot)])]
    prices = [60_000 if i == BTC or i & 2 else mark(core, i) for i in instruments]
    taker, maker = TWO.index(BUYER), TWO.index(SELLER)
    trades = [
        Trade(taker, maker, at, bool(at % 2), 4, price * WAD, WAD, 2 * WAD)
        for at, price in enumerate(prices)
    ]
    assert core.batch(TWO, instruments, trades) == ["settled"] * 4
    assert core.world.ledger.pot.fees == 12 * WAD
    core.compare_dated()


def test_a_trade_of_what_is_not_listed_is_skipped(core: Dated) -> None:
    slot, call, _ = at_money(core)
    for id in (call | 9 << 6, call | 4, call + (1 << 11), future_id(5, 0)):
        assert core.trade(BUYER, SELLER, 1, 700, id) == "UnknownInstrument"
    # listed, but neither seen nor priced: no surface
    core.limits(BITCOIN, 0, 0)
    assert core.trade(BUYER, SELLER, 1, 60_000, future_id(BITCOIN, slot + 1)) == (
        "UnknownInstrument"
    )


def test_an_option_s_band_is_a_share_of_its_mark_and_a_tenth_of_its_forward(core: Dated) -> None:
    slot, ids = core.list_all(BITCOIN, 0, STRIKES)
    core.refresh(BITCOIN, slot)
    for id in (ids[2], ids[4]):  # at the money, and a call worth four dollars
        exact = core.risk.view("quoted", id)[0]
        reach = (exact + 60_000 * WAD // 10) * 5 // 100
        highest = int((exact + reach) // WAD)
        assert core.trade(BUYER, SELLER, 1, highest + 1, id) == "PriceOutOfBand"
        assert core.trade(BUYER, SELLER, 1, highest, id) == "settled"
        lowest = max(-(-(exact - reach) // WAD), 1)
        assert core.trade(BUYER, SELLER, 1, lowest - 1, id) == "PriceOutOfBand"
        assert core.trade(BUYER, SELLER, 1, lowest, id) == "settled"
    assert core.trade(BUYER, SELLER, 1, 0, ids[4]) == "PriceOutOfBand"
    assert core.trade(BUYER, SELLER, 1, 3.5, ids[4]) == "OffTick"


def test_a_premium_beyond_86_bits_is_out_of_range(core: Dated) -> None:
    _, call, _ = at_money(core)
    assert core.trade(BUYER, SELLER, 2**43 - 1, mark(core, call), call) == "LotsOutOfRange"
    lots = -(-(2**86) // (mark(core, call) * 10**16))
    assert core.trade(BUYER, SELLER, lots, mark(core, call), call) == "LotsOutOfRange"
    assert core.trade(BUYER, SELLER, lots - 1, mark(core, call), call) == "InsufficientMargin"


def test_the_last_half_hour_is_for_reductions(core: Dated) -> None:
    slot, call, _ = at_money(core)
    assert core.trade(BUYER, SELLER, 10, mark(core, call), call) == "settled"
    core.wait_until(core.expiries[0] - 1_800 - 200)
    assert core.trade(BUYER, SELLER, 1, max(mark(core, call), 1), call) == "settled"
    core.wait_until(core.expiries[0] - 1_800)
    price = max(mark(core, call), 1)
    assert core.trade(BUYER, SELLER, 1, price, call) == "ReduceOnly"
    assert core.trade(BUYER, SELLER, 1, 60_000, future_id(BITCOIN, slot)) == "ReduceOnly"
    assert core.trade(SELLER, BUYER, 4, price, call) == "settled"
    # a side that closes may hand over to one that opens
    assert core.trade(LIQUIDATOR, BUYER, 2, price, call) == "settled"
    assert core.trade(SELLER, BUYER, 8, price, call) == "ReduceOnly"
    core.compare_dated()


def test_an_old_surface_is_for_reductions_and_no_initial_margin(core: Dated) -> None:
    _, call, _ = at_money(core)
    price = mark(core, call)
    assert core.trade(BUYER, SELLER, 10, price, call) == "settled"
    core.advance(50)
    core.post(60_000 * ORACLE_PER_USD, 3_000 * ORACLE_PER_USD)
    core.advance(20)
    core.post(60_000 * ORACLE_PER_USD, 3_000 * ORACLE_PER_USD)
    assert core.trade(BUYER, SELLER, 1, price, call) == "ReduceOnly"
    assert core.trade(SELLER, BUYER, 10, price, call) == "settled"
    core.compare_dated()


def test_exposure_limits_close_an_instrument_to_increases_only(core: Dated) -> None:
    _, call, _ = at_money(core)
    price = mark(core, call)
    assert core.trade(BUYER, SELLER, 100, price, call) == "settled"
    assert core.limits(BITCOIN, 1, 0) is None
    room = core.options.view("interest", call) >> 44 & (2**44 - 1)
    assert core.trade(BUYER, SELLER, room + 1, price, call) == "OpenInterestCap"
    assert core.trade(SELLER, BUYER, 50, price, call) == "settled"
    assert core.limits(BITCOIN, 10**6, 0) is None
    assert core.trade(BUYER, SELLER, 1, price, call) == "settled"
    core.compare_dated()


# Expiry


def test_an_expired_option_is_not_traded(core: Dated) -> None:
    slot, call, _ = at_money(core)
    core.wait_until(core.expiries[0])
    assert core.trade(BUYER, SELLER, 1, 700, call) == "ExpiryPassed"
    assert core.trade(BUYER, SELLER, 1, 60_000, future_id(BITCOIN, slot)) == "ExpiryPassed"


def test_settlement_needs_a_listed_expiry_its_time_and_its_print(core: Dated) -> None:
    slot, call, _ = at_money(core)
    core.trade(BUYER, SELLER, 10, mark(core, call), call)
    assert core.settle([BUYER], BITCOIN, 9) == "UnknownInstrument"
    assert core.settle([BUYER], 16, 0) == "UnknownInstrument"
    assert core.settle([BUYER], BITCOIN, slot) == "ExpiryNotReached"
    core.wait_until(core.expiries[0])
    assert core.settle([BUYER], BITCOIN, slot) == "MissingPrint"
    core.compare([BUYER, SELLER])


def test_calls_puts_and_futures_are_paid_at_the_print(core: Dated) -> None:
    slot, call, put = at_money(core)
    future = future_id(BITCOIN, slot)
    bought = {call: mark(core, call), put: mark(core, put), future: 60_000}
    for id, price in bought.items():
        assert core.trade(BUYER, SELLER, 100, price, id) == "settled"
    expire(core, slot, 61_500)
    assert core.settle([BUYER], BITCOIN, slot) is None
    paid = core.events_of("ExpirySettled")
    amount = 100 * (1_500 + 61_500) * WAD // 100  # the put is worthless
    assert paid == [{"underlying": BITCOIN, "slot": slot, "account": BUYER, "amount": amount}]
    assert core.held(BUYER) == {} and core.held(SELLER) != {}
    premium = bought[call] + bought[put]
    assert core.health(BUYER).equity == (10**6 - premium + 1_500 + 1_500) * WAD
    # a payout matures like any gain; a loss leaves cash at once
    assert core.health(BUYER).cash == (10**6 - premium) * WAD
    assert core.settle([SELLER, LIQUIDATOR], BITCOIN, slot) is None
    assert core.health(SELLER).cash == (10**6 + premium - 3_000) * WAD
    core.compare([BUYER, SELLER])
    core.compare_dated()


def test_before_it_is_settled_an_expired_position_is_worth_its_print(core: Dated) -> None:
    slot, call, put = at_money(core)
    for id in (call, put):
        core.trade(BUYER, SELLER, 100, mark(core, id), id)
    core.wait_until(core.expiries[0])
    core.fresh(10, btc=62_000)
    # no print yet: what it is in the money by at the mark of now
    assert core.health(BUYER).valuation.value_spot == 2_000 * WAD
    assert core.print(BITCOIN, core.expiries[0], 58_000) is True
    for account, sign in ((BUYER, 1), (SELLER, -1)):
        found = core.health(account).valuation
        assert (found.value_spot, found.margin_maintenance) == (sign * 2_000 * WAD, 0)
    before = core.health(BUYER).equity
    core.settle([BUYER, SELLER], BITCOIN, slot)
    assert core.health(BUYER).equity == before
    core.compare([BUYER, SELLER])


def test_settling_twice_or_someone_without_positions_does_nothing(core: Dated) -> None:
    slot, call, _ = at_money(core)
    core.trade(BUYER, SELLER, 10, mark(core, call), call)
    expire(core, slot, 61_000)
    assert core.settle([BUYER, SELLER, BUYER, LIQUIDATOR], BITCOIN, slot) is None
    assert len(core.events_of("ExpirySettled")) == 2
    before = core.world.state_hash()
    assert core.settle([BUYER, SELLER], BITCOIN, slot) is None
    assert core.world.state_hash() == before and core.chain.events() == []
    assert core.settle([], BITCOIN, slot) is None


def test_other_positions_stay_and_are_swept(core: Dated) -> None:
    slot, ids = core.list_all(BITCOIN, 0, STRIKES)
    later, other = core.list_all(BITCOIN, 1, (60_000,))
    assert core.trade(BUYER, SELLER, 50, 60_000) == "settled"
    for id in (*ids, *other):
        assert core.trade(BUYER, SELLER, 10, max(mark(core, id), 1), id) == "settled"
    expire(core, slot, 63_000)
    assert core.settle([BUYER, SELLER], BITCOIN, slot) is None
    assert core.held(BUYER) == {BTC: 50, other[0]: 10, other[1]: 10}
    linear = core.health(BUYER).valuation.value_linear
    assert core.world.ledger.accounts[BUYER].variation == -linear < -2_999 * WAD
    core.compare([BUYER, SELLER])
    core.compare_dated()
    assert later != slot


def test_a_slot_is_free_once_both_sides_are_settled(core: Dated) -> None:
    slot, call, _ = at_money(core)
    core.trade(BUYER, SELLER, 10, mark(core, call), call)
    core.trade(LIQUIDATOR, SELLER, 5, mark(core, call), call)
    expire(core, slot, 61_000)
    core.expiries[0] = core.world.now // HOUR_S * HOUR_S + DAY_S
    core.expiries.sort()
    core.fresh()
    assert core.expiry(BITCOIN, 0) == "SlotInUse"
    # both longs are settled, the short is not: its position must not pass to the next expiry
    assert core.settle([BUYER, LIQUIDATOR], BITCOIN, slot) is None
    assert core.expiry(BITCOIN, 0) == "SlotInUse"
    assert core.settle([SELLER], BITCOIN, slot) is None
    assert core.expiry(BITCOIN, 0) == slot
    assert core.options.view("series", BITCOIN, slot) == 0
    # short side first, next time
    call = core.strike(BITCOIN, slot, 60_000)
    assert core.trade(BUYER, SELLER, 10, max(mark(core, call), 1), call) == "settled"
    expire(core, slot, 61_000)
    assert core.settle([SELLER], BITCOIN, slot) is None
    assert core.options.view("series", BITCOIN, slot) >> 160 == 10
    assert core.settle([BUYER], BITCOIN, slot) is None
    assert core.options.view("series", BITCOIN, slot) >> 160 == 0


def test_settlement_runs_during_an_auction(core: Dated) -> None:
    slot, call, _ = at_money(core)
    core.trade(BUYER, SELLER, 10, mark(core, call), call)
    flag = (SELLER, True)
    assert core.run("auctioneer", "set_in_auction", ledger.set_in_auction, *flag) is None
    expire(core, slot, 61_000)
    assert core.settle([BUYER, SELLER], BITCOIN, slot) is None
    assert core.held(SELLER) == {} and core.health(SELLER).in_auction
    core.compare([BUYER, SELLER])


# Slices and the Lens


def test_a_slice_moves_options_at_their_mark(core: Dated) -> None:
    slot, call, put = at_money(core)
    future = future_id(BITCOIN, slot)
    core.trade(BUYER, SELLER, 100, mark(core, call), call)
    core.trade(SELLER, BUYER, 31, mark(core, put), put)
    core.trade(BUYER, SELLER, 7, 60_000, future)
    before = {a: core.health(a).equity for a in (BUYER, LIQUIDATOR)}
    slice_ = (BUYER, LIQUIDATOR, 300_000, 5 * WAD, WAD)
    assert not isinstance(
        core.run("auctioneer", "transfer_slice", ledger.transfer_slice, *slice_), str
    )
    assert core.held(LIQUIDATOR) == {call: 30, put: -10, future: 3}
    assert core.held(BUYER) == {call: 70, put: -21, future: 4}
    assert core.health(BUYER).equity == before[BUYER] - 6 * WAD
    assert core.health(LIQUIDATOR).equity == before[LIQUIDATOR] + 5 * WAD
    core.compare([BUYER, LIQUIDATOR])
    core.compare_dated()


def test_open_interest_falls_where_the_bidder_held_the_other_side(core: Dated) -> None:
    _, call, put = at_money(core)
    for id in (call, put):
        core.trade(BUYER, SELLER, 100, mark(core, id), id)
    core.trade(SELLER, LIQUIDATOR, 40, mark(core, call), call)
    assert core.open_interest(call) == 100
    slice_ = (BUYER, LIQUIDATOR, 500_000, 0, 0)
    core.run("auctioneer", "transfer_slice", ledger.transfer_slice, *slice_)
    assert core.held(LIQUIDATOR) == {call: 10, put: 50}
    assert core.open_interest(call) == 60 and core.open_interest(put) == 100
    core.compare_dated()


def test_greeks_of_an_account_add_up_in_dollars(core: Dated) -> None:
    lens = core.chain.deploy("Lens", core.clearinghouse.address, core.address["custody"])
    slot, call, put = at_money(core)
    other, (ether_call, _) = core.list_all(ETHER, 1, (3_000,))
    future = future_id(BITCOIN, slot)
    for id, lots in ((call, 10), (put, 4), (future, 3)):
        core.trade(BUYER, SELLER, lots, 60_000 if id == future else mark(core, id), id)
    core.trade(SELLER, BUYER, 20, mark(core, ether_call), ether_call)
    one, two, third = (core.options.view("greeks", id) for id in (call, put, ether_call))
    bitcoin, ether = lens.view("greeks", word(BUYER))
    size = Fraction(1, 100)  # bitcoin a lot
    delta = size * 60_000 * (10 * one[1] + 4 * two[1] + 3 * WAD)
    gamma = size * 60_000**2 * (10 * one[2] + 4 * two[2]) / 100
    vega = size * (10 * one[3] + 4 * two[3]) / 100
    theta = size * (10 * one[4] + 4 * two[4]) / 365
    assert bitcoin[0] == BITCOIN and ether[0] == ETHER
    for found, exact in zip(bitcoin[1:], (delta, gamma, vega, theta), strict=True):
        assert abs(found - exact) <= 10**7
    assert abs(ether[1] + Fraction(20 * 3_000, 10) * third[1]) <= 10**7
    short = lens.view("greeks", word(SELLER))
    assert all(abs(a + b) <= 10 for a, b in zip(short[0][1:], bitcoin[1:], strict=True))
    assert lens.view("greeks", word(LIQUIDATOR)) == ()
    # what is over has none
    expire(core, slot, 60_000)
    assert lens.view("greeks", word(SELLER))[0] == (BITCOIN, 0, 0, 0, 0)
    core.advance(100)
    assert name_of_refusal(lens, "greeks", word(SELLER), sender=STRANGER) == "StalePrice"
    assert other != slot


# Signed orders


def test_signed_orders_of_an_option_settle_through_the_exchange() -> None:
    """All that the Exchange knows of an option is what its fee is a share of."""
    simulation = DatedSimulation(6)
    for _ in range(4):  # out of any grace
        simulation.both.advance(40)
        simulation.post(0)
    simulation.surface()
    both, (buyer, seller, *_) = simulation.both, simulation.deep
    for id in simulation.instruments()[:3]:
        before = dict(simulation.world.ledger.accounts[buyer.account].positions).get(id, 0)
        fill = simulation.desk.fill(buyer, seller, id, 3, True)
        fees = simulation.world.ledger.pot.fees
        result = both.perform(simulation.desk.settle([fill]))
        assert result.value == 1, result
        logged = next(event.arguments["word"] for event in result.events if event.name == "Fill")
        assert logged >> 64 & (2**20 - 1) == id and id >= 2**19
        after = dict(both.world.ledger.accounts[buyer.account].positions)[id]
        assert after == before + 3
        assert both.world.ledger.pot.fees > fees
        simulation.checker.everything()


def test_a_session_key_s_loss_is_measured_against_the_option_s_own_mark() -> None:
    """Not against the mark of feed 0, which its terms name: a buyer above the mark loses."""
    simulation = DatedSimulation(2)
    for _ in range(4):
        simulation.both.advance(40)
        simulation.post(0)
    simulation.surface()
    both, (buyer, seller, *_) = simulation.both, simulation.deep
    desk, key = simulation.desk, simulation.desk.helper_addresses[0]
    id = next(i for i in simulation.instruments() if not i & 2)
    exact, budget = desk.mark(id), 10**9
    row = SessionKey(both.world.now + 10**6, 1, 0, budget, budget)
    given = word(buyer.account), key, row.expiry, row.scope, row.underlyings, budget, budget
    both.perform(
        Step(
            both.exchange,
            "set_session_key",
            buyer.address,
            given,
            lambda world: session.set_session_key(world, buyer.address, buyer.account, key, row),
        )
    )
    tick = simulation.desk.terms(id).tick
    price = exact - exact % tick + 50 * tick
    taken = replace(
        desk.order(buyer, id, 10, price), executor=desk.engine, nonce=10**6, flags=0, revision=0
    )
    made = replace(
        desk.order(seller, id, -10, price), executor=desk.engine, nonce=10**6, flags=0, revision=0
    )
    taken, made = (
        replace(o, max_fee=WAD, expiry=both.world.now + 60, exclusive_until=0, lots=n)
        for o, n in ((taken, 10), (made, -10))
    )
    digest = eip712.order_digest(both.separator, taken)
    signed = SignedOrder(taken, *eip712.sign(desk.helpers[0], digest))
    other = SignedOrder(made, *eip712.sign(seller.key, eip712.order_digest(both.separator, made)))
    result = both.perform(desk.settle([SignedFill(signed, other, 10, price)]))
    assert result.value == 1, result.events
    size = 10 * simulation.desk.terms(id).lot_size
    left = both.world.exchange.keys[buyer.account, key]
    cent = 10**16
    assert budget - left.notional_left == -(-price * size // (WAD * cent))
    assert budget - left.loss_left == -(-(price - exact) * size // (WAD * cent))
    simulation.checker.everything()
