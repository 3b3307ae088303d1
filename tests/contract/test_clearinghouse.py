"""Every external function of the Clearinghouse: happy path, each rejection by name, events; all of
it also in the model.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from support.clearing import (
    ACCOMPLICE,
    BUYER,
    DAY_S,
    HOUR_S,
    LIQUIDATOR,
    SELLER,
    Clearing,
    name_of_refusal,
    pack_positions,
)
from support.core import BTC, ETH, ORACLE_PER_USD, ROLES, TERMS, WETH, trader, word

from novate.chain.harness import CallReverted, actor
from novate.model import ledger
from novate.model.instrument import LOT_EXPONENTS, PERP, Market, Terms
from novate.model.ledger import Config
from novate.model.novation import Trade
from novate.units import PPM, WAD

STRANGER = actor("stranger")
POOR = trader("poor trader")
NEW_PERP = Terms(10**15, 10**15, 1_000, 100, 0, 0, PERP)
TWO = sorted([BUYER, SELLER])
AT = {account: TWO.index(account) for account in TWO}


@pytest.fixture
def core() -> Clearing:
    return Clearing()


PROTECTED: list[tuple[str, tuple[Any, ...], str]] = [
    ("credit", (word(BUYER), 0, 1), "custody"),
    ("debit", (word(BUYER), 0, 1), "custody"),
    ("set_in_auction", (word(BUYER), True), "auctioneer"),
    ("transfer_slice", (word(BUYER), word(LIQUIDATOR), PPM, 0, 0), "auctioneer"),
    ("move_cash", (word(BUYER), word(SELLER), 1), "waterfall"),
    ("cut_gains", (word(BUYER), 1), "waterfall"),
    ("list_instrument", (9, NEW_PERP.pack()), "timelock"),
    ("set_caps", (BTC, 1, 1), "timelock"),
    ("set_config", (Config().pack(),), "timelock"),
    ("set_debt_cap", (1,), "timelock"),
    ("set_peers", (STRANGER,) * 6, "timelock"),
    ("set_venue", (STRANGER, True), "timelock"),
    ("pause", (60,), "guardian"),
]


def test_each_protected_function_obeys_one_role_only(core: Clearing) -> None:
    callers = {**{role: core.address[role] for role in ROLES}, "stranger": STRANGER}
    for function, arguments, role in PROTECTED:
        for name, caller in callers.items():
            if name != role:
                refusal = name_of_refusal(core.clearinghouse, function, *arguments, sender=caller)
                assert refusal == "NotAuthorized", (function, name)
    refusal = name_of_refusal(core.clearinghouse, "novate", [], [], [], sender=STRANGER)
    assert refusal == "NotVenue"
    core.compare([BUYER, SELLER])


# novate


def test_novate_books_both_sides_sweeps_and_collects_fees(core: Clearing) -> None:
    made = Trade(AT[BUYER], AT[SELLER], 0, True, 1000, 60_100 * WAD, 7 * WAD, 3 * WAD)
    assert core.batch(TWO, [BTC], [made]) == ["settled"]
    assert (core.lots(BUYER), core.lots(SELLER)) == (1000, -1000)
    # one bitcoin bought 100 USD above the mark: the loss is cash at once, the gain a share
    assert core.health(BUYER).cash == (100_000 - 100 - 7) * WAD
    assert core.health(SELLER).cash == (100_000 - 3) * WAD
    assert core.health(SELLER).equity == (100_000 + 100 - 3) * WAD
    assert core.clearinghouse.view("pot") == (10 * WAD, 0)
    assert core.clearinghouse.view("market", BTC)[1] & (2**44 - 1) == 1000


def test_an_empty_batch_settles_nothing(core: Clearing) -> None:
    assert core.novate([], [], []) == 0


@pytest.mark.parametrize(
    ("error", "change"),
    [
        ("ZeroLots", {"lots": 0}),
        ("OffTick", {"price": 60_000 * WAD + 1}),
        ("PriceOutOfBand", {"price": 63_001 * WAD}),
        ("PriceOutOfBand", {"price": 56_999 * WAD}),
        ("UnknownInstrument", {"instrument": 1}),
        ("UnknownInstrument", {"instrument": 2}),
        ("ReduceOnly", {"taker_reduce_only": True}),
        ("ReduceOnly", {"maker_reduce_only": True}),
        ("PositionCap", {"lots": 2_000_001}),
        ("InsufficientMargin", {"lots": 20_000}),
    ],
)
def test_a_bad_trade_is_skipped_by_name_and_the_good_one_settles(
    core: Clearing, error: str, change: dict[str, Any]
) -> None:
    good = Trade(AT[BUYER], AT[SELLER], 0, True, 10, 60_000 * WAD)
    bad = good._replace(**change)
    found = core.batch(TWO, [BTC, WETH, 9], [bad, good])
    # an account that fails its gate loses all its trades of the batch
    rest = error if error in ("PositionCap", "InsufficientMargin") else "settled"
    assert found == [error, rest]


def test_prices_on_the_edges_of_the_band_settle(core: Clearing) -> None:
    for usd in (63_000, 57_000):
        assert core.trade(BUYER, SELLER, 1, usd) == "settled"


def test_subaccounts_of_one_owner_cannot_trade(core: Clearing) -> None:
    sibling = BUYER + 5
    core.fund(sibling, 1000)
    assert core.trade(sibling, BUYER, 1, 60_000) == "SelfMatch"


def test_one_failing_account_does_not_poison_the_others(core: Clearing) -> None:
    accounts = sorted([BUYER, SELLER, POOR])
    buyer, seller, poor = (accounts.index(a) for a in (BUYER, SELLER, POOR))
    trades = [
        Trade(poor, seller, 0, True, 10, 60_000 * WAD),
        Trade(buyer, seller, 0, True, 10, 60_000 * WAD),
    ]
    assert core.batch(accounts, [BTC], trades) == ["InsufficientMargin", "settled"]


def test_the_whole_batch_counts_not_each_leg(core: Clearing) -> None:
    """Thirty bitcoins through an account that holds none of them in the end."""
    accounts = sorted([BUYER, SELLER, POOR])
    buyer, seller, poor = (accounts.index(a) for a in (BUYER, SELLER, POOR))
    core.fund(POOR, 1)
    through = [
        Trade(poor, seller, 0, True, 5_000, 60_000 * WAD),
        Trade(buyer, poor, 0, True, 5_000, 60_000 * WAD),
    ]
    assert core.batch(accounts, [BTC], through) == ["settled", "settled"]
    assert core.lots(POOR) == 0


def test_lists_must_ascend_strictly(core: Clearing) -> None:
    for accounts, instruments in (
        ([TWO[1], TWO[0]], [BTC]),
        ([TWO[0], TWO[0]], [BTC]),
        (TWO, [ETH, BTC]),
        (TWO, [0]),
    ):
        core.novate(accounts, instruments, [])
        assert core.refusal is not None and core.refusal.name == "NotAscending"


def test_an_account_in_auction_cannot_trade(core: Clearing) -> None:
    core.run("auctioneer", "set_in_auction", ledger.set_in_auction, BUYER, True)
    assert core.trade(BUYER, SELLER, 1, 60_000) == "InAuction"
    assert core.trade(SELLER, BUYER, 1, 60_000) == "InAuction"
    core.run("auctioneer", "set_in_auction", ledger.set_in_auction, BUYER, False)
    assert core.trade(BUYER, SELLER, 1, 60_000) == "settled"


def test_a_position_leaves_its_lane_to_the_last_one(core: Clearing) -> None:
    for instrument in range(10, 16):
        core.list_instrument(instrument, NEW_PERP)
        assert core.trade(BUYER, SELLER, instrument, 60_000, instrument=instrument) == "settled"
    for instrument in (10, 15, 12, 14, 11, 13):
        assert core.trade(SELLER, BUYER, instrument, 60_000, instrument=instrument) == "settled"
    assert core.clearinghouse.view("positions", word(BUYER)) == ()


# credit, debit


def test_credit_and_debit_of_cash(core: Clearing) -> None:
    core.fund(BUYER, 5)
    assert core.health(BUYER).cash == 100_005 * WAD
    core.pay_out(BUYER, 100_005)
    assert core.health(BUYER).cash == 0
    assert core.pay_out(BUYER, 1) == "InsufficientCash"


def test_spot_is_credited_and_debited_in_whole_lots(core: Clearing) -> None:
    core.run("custody", "credit", ledger.credit, BUYER, WETH, 2 * 10**6)
    found = core.health(BUYER)
    assert found.valuation.value_spot == 2 * 3000 * WAD
    assert core.clearinghouse.view("market", WETH)[1] & (2**44 - 1) == 2 * 10**6
    core.run("custody", "debit", ledger.debit, BUYER, WETH, 10**6)
    assert core.lots(BUYER, WETH) == 10**6
    too_much = core.run("custody", "debit", ledger.debit, BUYER, WETH, 10**6 + 1)
    assert too_much == "InsufficientCash"
    core.compare([BUYER])


def test_only_listed_spot_is_credited_and_only_up_to_its_cap(core: Clearing) -> None:
    for instrument in (BTC, 9):
        found = core.run("custody", "credit", ledger.credit, BUYER, instrument, 1)
        assert found == "UnknownInstrument"
    core.run("timelock", "set_caps", ledger.set_caps, WETH, 100, 1)
    assert core.run("custody", "credit", ledger.credit, BUYER, WETH, 101) == "OpenInterestCap"
    assert core.run("custody", "credit", ledger.credit, BUYER, WETH, 100) is None
    core.run("timelock", "set_caps", ledger.set_caps, WETH, 0, 0)
    assert core.run("custody", "debit", ledger.debit, BUYER, WETH, 60) is None


def test_a_withdrawal_needs_fresh_prices_initial_margin_and_no_auction(core: Clearing) -> None:
    core.trade(BUYER, SELLER, 4_000, 60_000)
    required = core.health(BUYER).valuation.margin_initial // WAD
    assert core.pay_out(BUYER, 100_000 - required + 1) == "InsufficientMargin"
    core.advance(61)
    assert core.pay_out(BUYER, 1) == "StalePrice"
    core.price(60_000)
    assert core.pay_out(BUYER, 1) == "RestartGrace"
    core.settle_in(150)
    assert core.pay_out(BUYER, 1) is None
    core.run("auctioneer", "set_in_auction", ledger.set_in_auction, BUYER, True)
    assert core.pay_out(BUYER, 1) == "InAuction"
    assert core.fund(BUYER, 1) is None


def test_a_withdrawal_is_judged_at_the_worst_of_mark_and_average(core: Clearing) -> None:
    core.trade(BUYER, SELLER, 3_000, 60_000)
    core.price(62_000)
    found = core.health(BUYER)
    valuation = found.valuation
    assert valuation.penalty >= 3 * 1_900 * WAD
    free = (found.equity - valuation.penalty - valuation.margin_initial) // WAD
    assert core.pay_out(BUYER, free + 1) == "InsufficientMargin"
    assert core.pay_out(BUYER, free) is None


def test_unmatured_gains_do_not_leave(core: Clearing) -> None:
    core.trade(BUYER, SELLER, 100, 60_000)
    core.price(61_000)
    core.sweep([BUYER, SELLER])
    core.trade(SELLER, BUYER, 100, 61_000)
    assert core.health(BUYER).equity > 100_090 * WAD
    assert core.pay_out(BUYER, 100_090) == "InsufficientCash"
    core.advance(2 * HOUR_S)
    assert core.pay_out(BUYER, 100_090) is None


# sweep, check, set_in_auction


def test_anyone_sweeps_and_equity_stays(core: Clearing) -> None:
    core.trade(BUYER, SELLER, 1000, 60_000)
    core.price(59_000)
    before = core.health(BUYER), core.health(SELLER)
    core.sweep([BUYER, SELLER])
    after = core.health(BUYER), core.health(SELLER)
    assert [c.equity for c in before] == [c.equity for c in after]
    assert 999 * WAD < before[0].cash - after[0].cash < 1001 * WAD  # and ten seconds of funding
    assert 0 <= after[1].cash - before[1].cash < 10**12  # less than a share
    core.compare([BUYER, SELLER])


def test_a_gain_of_less_than_a_share_is_cash_and_leaves_the_epoch(core: Clearing) -> None:
    """Marks one oracle unit apart: a hundred thousand wei a lot, far below 1e-6 USD."""
    core.set_config(Config(funding_interest_ppb=0))
    core.trade(BUYER, SELLER, 1, 60_000)
    for step, wei in ((1, 10**5), (3, 3 * 10**5), (2, 2 * 10**5)):
        core.advance(10)
        core.post(60_000 * ORACLE_PER_USD + step, 3_000 * ORACLE_PER_USD)
        core.sweep([BUYER, SELLER])
        core.compare([BUYER, SELLER])
        assert core.health(BUYER).cash == 100_000 * WAD + wei
        assert core.health(SELLER).cash == 100_000 * WAD - wei
    for account in TWO:
        assert core.clearinghouse.view("account", word(account))[1] == 0


def test_the_second_slot_is_used_only_while_there_are_gains_or_debt(core: Clearing) -> None:
    """Its flag stands in slot 0; out of use it keeps the epoch alone."""

    def slots(account: int) -> tuple[bool, int, int]:
        first, second = core.clearinghouse.view("account", word(account))
        return bool(first >> 249 & 1), second & (2**192 - 1), second >> 192

    core.trade(BUYER, SELLER, 100, 60_000)
    core.price(61_000)
    core.sweep([BUYER, SELLER])
    core.trade(SELLER, BUYER, 100, 61_000)
    epoch = core.chain.timestamp // HOUR_S
    assert slots(SELLER) == (False, 0, 0)
    flag, gains, entered = slots(BUYER)
    assert (flag, entered) == (True, epoch) and gains > 0
    core.advance(3 * HOUR_S)
    core.sweep([BUYER])
    assert slots(BUYER) == (False, 0, epoch + 3)
    core.advance(HOUR_S)
    core.settle_in(200, btc_usd=61_000)
    core.run("custody", "credit", ledger.credit, BUYER, WETH, 30 * 10**6)
    core.pay_out(BUYER, core.health(BUYER).cash // WAD)
    core.trade(BUYER, SELLER, 1, 61_000, fee_taker=10 * WAD)
    flag, checkpoint, entered = slots(BUYER)
    assert (flag, entered) == (True, epoch + 3)
    assert checkpoint == core.clearinghouse.view("borrow_index") > 0
    core.fund(BUYER, 100)
    assert slots(BUYER) == (False, 0, epoch + 3)
    core.compare([BUYER, SELLER])


def test_check_writes_nothing(core: Clearing) -> None:
    core.trade(BUYER, SELLER, 1000, 60_000)
    core.price(59_000, seconds=2 * HOUR_S)
    stored = core.clearinghouse.view("account", word(BUYER))
    found = core.health(BUYER)
    assert (found.positions, found.in_auction) == (1, False)
    assert core.clearinghouse.view("account", word(BUYER)) == stored


# transfer_slice


@pytest.fixture
def sliced(core: Clearing) -> Clearing:
    core.trade(BUYER, SELLER, 1001, 60_000)
    core.run("custody", "credit", ledger.credit, BUYER, WETH, 10**6)
    core.run("auctioneer", "set_in_auction", ledger.set_in_auction, BUYER, True)
    return core


def transfer(core: Clearing, *arguments: Any) -> Any:
    return core.run("auctioneer", "transfer_slice", ledger.transfer_slice, *arguments)


def test_a_slice_moves_at_mark_and_pays_reward_and_fee(sliced: Clearing) -> None:
    before = [sliced.health(a) for a in (BUYER, LIQUIDATOR)]
    after = transfer(sliced, BUYER, LIQUIDATOR, 500_000, 100 * WAD, 10 * WAD)
    # half of 1001 rounded away from zero
    assert (sliced.lots(BUYER), sliced.lots(LIQUIDATOR)) == (500, 501)
    assert (sliced.lots(BUYER, WETH), sliced.lots(LIQUIDATOR, WETH)) == (500_000, 500_000)
    assert after.equity == before[0].equity - 110 * WAD
    assert sliced.health(LIQUIDATOR).equity == before[1].equity + 100 * WAD
    assert sliced.health(sliced.layer(2)).cash == 10 * WAD
    sliced.compare([BUYER, LIQUIDATOR, sliced.layer(2)])


def test_a_slice_to_the_other_side_closes_open_interest(sliced: Clearing) -> None:
    transfer(sliced, BUYER, SELLER, PPM, 0, 0)
    assert sliced.lots(SELLER) == 0
    assert sliced.clearinghouse.view("market", BTC)[1] & (2**44 - 1) == 0
    sliced.compare([BUYER, SELLER])


def test_what_a_slice_rejects(sliced: Clearing) -> None:
    for fraction in (0, PPM + 1):
        assert transfer(sliced, BUYER, LIQUIDATOR, fraction, 0, 0) == "BadFraction"
    assert transfer(sliced, BUYER, BUYER + 1, PPM, 0, 0) == "OwnAccount"
    assert transfer(sliced, BUYER, POOR, PPM, 0, 0) == "InsufficientMargin"
    sliced.run("auctioneer", "set_in_auction", ledger.set_in_auction, LIQUIDATOR, True)
    assert transfer(sliced, BUYER, LIQUIDATOR, PPM, 0, 0) == "InAuction"


# waterfall


def test_the_waterfall_moves_its_own_cash_and_only_what_is_there(core: Clearing) -> None:
    insurance = core.layer(2)
    core.fund(insurance, 50)
    move = ("waterfall", "move_cash", ledger.move_cash)
    assert core.run(*move, insurance, BUYER, 20 * WAD) is None
    assert core.events_of("CashMoved") == [
        {"source": insurance, "target": BUYER, "amount": 20 * WAD}
    ]
    assert core.run(*move, insurance, BUYER, 31 * WAD) == "InsufficientCash"
    assert core.run(*move, BUYER, insurance, 1) == "NotOwner"
    core.compare([insurance, BUYER])


def test_gains_are_cut_for_the_target_and_never_more_than_asked(core: Clearing) -> None:
    core.trade(BUYER, SELLER, 1000, 60_000)
    core.price(61_000)
    core.sweep([BUYER, SELLER])
    before = core.health(BUYER)
    paid = core.run("waterfall", "cut_gains", ledger.cut_gains, SELLER, 250 * WAD)
    assert 249 * WAD < paid <= 250 * WAD
    assert core.events_of("GainsCut") == [{"target": SELLER, "amount": 250 * WAD, "paid": paid}]
    after = core.health(BUYER)
    assert after.cash == before.cash
    assert paid <= before.equity - after.equity <= 250 * WAD + 10**6
    core.compare([BUYER, SELLER])


def test_without_gains_nothing_is_cut(core: Clearing) -> None:
    assert core.run("waterfall", "cut_gains", ledger.cut_gains, SELLER, 250 * WAD) == 0
    assert core.health(SELLER).cash == 100_000 * WAD


def test_fees_go_to_insurance_and_reserves(core: Clearing) -> None:
    core.trade(BUYER, SELLER, 1, 60_000, fee_taker=7 * WAD + 4)
    assert core.run("venue", "distribute_fees", ledger.distribute_fees) == 7 * WAD + 4
    insurance = 7 * WAD // 5
    assert core.events_of("FeesDistributed") == [
        {"insurance": insurance, "reserves": 7 * WAD + 4 - insurance}
    ]
    assert core.health(core.layer(2)).cash == insurance
    assert core.health(core.layer(4)).cash == 7 * WAD + 4 - insurance
    assert core.clearinghouse.view("pot") == (0, 0)


def test_debt_is_counted_bears_interest_and_the_interest_is_a_fee(core: Clearing) -> None:
    core.run("custody", "credit", ledger.credit, BUYER, WETH, 30 * 10**6)
    core.pay_out(BUYER, 100_000)
    core.trade(BUYER, SELLER, 1000, 60_000, fee_taker=1000 * WAD)
    assert core.clearinghouse.view("pot") == (1000 * WAD, 1000 * WAD)
    core.advance(DAY_S)
    rate = Config().borrow_rate_wad_s
    owed = -(-(1000 * WAD) * rate * DAY_S // WAD)
    assert core.health(BUYER).cash == -1000 * WAD - owed
    core.fund(BUYER, 2000)
    assert core.clearinghouse.view("pot") == (1000 * WAD + owed, 0)
    core.compare([BUYER])


def test_beyond_the_debt_cap_only_accounts_without_debt_increase(core: Clearing) -> None:
    core.run("custody", "credit", ledger.credit, BUYER, WETH, 30 * 10**6)
    core.pay_out(BUYER, 100_000)
    core.trade(BUYER, SELLER, 100, 60_000, fee_taker=1000 * WAD)
    core.run("timelock", "set_debt_cap", ledger.set_debt_cap, 999 * WAD)
    assert core.trade(BUYER, SELLER, 1, 60_000) == "InsufficientMargin"
    assert core.trade(LIQUIDATOR, SELLER, 1, 60_000) == "settled"
    assert core.trade(SELLER, BUYER, 1, 60_000) == "settled"


# governance and guardian


def test_an_instrument_is_listed_once(core: Clearing) -> None:
    core.list_instrument(9, NEW_PERP)
    assert core.events_of("InstrumentListed") == [{"instrument": 9, "terms": NEW_PERP.pack()}]
    terms, market, _ = core.clearinghouse.view("market", 9)
    assert (terms, market) == (NEW_PERP.pack(), Market(0, 0, core.chain.timestamp).pack(NEW_PERP))
    core.compare([])
    assert core.list_instrument(9, NEW_PERP) == "AlreadyListed"


@pytest.mark.parametrize(
    ("instrument", "change"),
    [
        (0, {}),
        (2**20, {}),
        (9, {"kind": 0}),
        (9, {"kind": 2}),
        (9, {"kind": 3}),
        (9, {"lot_size": 0}),
        (9, {"lot_size": 1, "tick": 10**18}),
        (9, {"lot_size": 10**9, "tick": 10**18}),
        (9, {"lot_size": 2 * 10**15}),
        (9, {"lot_size": 10**15 + 1, "tick": 10**18}),
        (9, {"lot_size": 10**19 - 1, "tick": 10**18}),
        (9, {"tick": 0}),
        (9, {"tick": 10**15 - 1}),
        (9, {"underlying": 16}),
        (9, {"open_interest_cap": 2**43}),
        (9, {"position_cap": 2**43}),
    ],
)
def test_inconsistent_terms_are_refused(
    core: Clearing, instrument: int, change: dict[str, int]
) -> None:
    assert core.list_instrument(instrument, replace(NEW_PERP, **change)) == "BadTerms"


@pytest.mark.parametrize("exponent", LOT_EXPONENTS)
def test_lots_of_every_power_of_ten_between_the_ends_are_valued(
    core: Clearing, exponent: int
) -> None:
    terms = replace(NEW_PERP, lot_size=10**exponent, tick=10**18)
    assert core.list_instrument(9, terms) is None
    core.compare([])
    held = core.evaluate({9: 7})
    assert held.value_linear == 7 * 60_000 * 10**exponent


def test_sixty_four_perps_are_the_bound_of_what_a_change_accrues(core: Clearing) -> None:
    for instrument in range(10, 72):
        assert core.list_instrument(instrument, NEW_PERP) is None
    assert core.list_instrument(72, NEW_PERP) == "TooManyItems"
    assert core.list_instrument(72, replace(NEW_PERP, kind=4)) is None
    assert core.set_config(Config()) is None


def test_caps_change_alone(core: Clearing) -> None:
    core.run("timelock", "set_caps", ledger.set_caps, BTC, 5, 3)
    changed = replace(TERMS[BTC], open_interest_cap=5, position_cap=3).pack()
    assert core.events_of("InstrumentListed") == [{"instrument": BTC, "terms": changed}]
    assert core.clearinghouse.view("market", BTC)[0] == changed
    caps = ("timelock", "set_caps", ledger.set_caps)
    assert core.run(*caps, 9, 5, 3) == "UnknownInstrument"
    assert core.run(*caps, BTC, 2**43, 3) == "BadTerms"
    assert core.run(*caps, BTC, 5, 2**43) == "BadTerms"


@pytest.mark.parametrize(
    "change",
    [
        {"trade_band_ppm": 4_999},
        {"trade_band_ppm": 200_001},
        {"funding_interest_ppb": 1_000_001},
        {"funding_clamp_ppb": 5_000_001},
        {"funding_cap_ppb": 10_000_001},
        {"funding_slope_ppb_s": 0},
        {"funding_slope_ppb_s": 1_000_001},
    ],
)
def test_a_configuration_out_of_bounds_is_refused(core: Clearing, change: dict[str, int]) -> None:
    assert core.set_config(replace(Config(), **change)) == "OutOfBounds"


def test_a_configuration_keeps_the_epoch_length_and_the_pause(core: Clearing) -> None:
    core.run("guardian", "pause", ledger.pause, 100)
    until = core.chain.timestamp + 100
    wanted = Config(trade_band_ppm=10_000, epoch_seconds=600, paused_until=0)
    core.set_config(wanted)
    kept = replace(wanted, epoch_seconds=3600, paused_until=until)
    assert core.events_of("ConfigSet") == [{"config": kept.pack()}]
    assert core.clearinghouse.view("market", BTC)[2] == kept.pack()


@pytest.mark.parametrize("epoch_seconds", [0, 599, 86_401])
def test_no_clearinghouse_begins_with_a_strange_epoch(core: Clearing, epoch_seconds: int) -> None:
    config = replace(Config(), epoch_seconds=epoch_seconds).pack()
    with pytest.raises(RuntimeError, match="Revert"):
        core.chain.deploy("Clearinghouse", STRANGER, config, STRANGER)
    with pytest.raises(RuntimeError, match="Revert"):
        paused = Config(paused_until=1).pack()
        core.chain.deploy("Clearinghouse", STRANGER, paused, STRANGER)


def test_the_debt_cap_is_bounded(core: Clearing) -> None:
    assert core.run("timelock", "set_debt_cap", ledger.set_debt_cap, 10**27) is None
    assert core.events_of("DebtCapSet") == [{"debt_cap": 10**27}]
    assert core.clearinghouse.view("debt_cap") == 10**27
    assert core.run("timelock", "set_debt_cap", ledger.set_debt_cap, 10**27 + 1) == "OutOfBounds"


def test_peers_and_venues_are_set_by_governance(core: Clearing) -> None:
    peers = [actor(f"peer {i}") for i in range(6)]
    core.by("timelock", core.clearinghouse, "set_peers", *peers)
    names = ("risk_model", "custody", "auctioneer", "waterfall", "guardian", "options")
    event = core.chain.events()[0]
    assert event.name == "PeersSet" and event.arguments == dict(zip(names, peers, strict=True))
    assert [core.clearinghouse.view(name) for name in names] == peers
    core.by("timelock", core.clearinghouse, "set_venue", STRANGER, True)
    event = core.chain.events()[0]
    assert event.name == "VenueSet" and event.arguments == {"venue": STRANGER, "approved": True}
    assert core.clearinghouse.view("venues", STRANGER)
    assert core.clearinghouse.call("novate", [], [], [], sender=STRANGER) == 0
    core.by("timelock", core.clearinghouse, "set_venue", STRANGER, False)
    assert not core.clearinghouse.view("venues", STRANGER)


def test_a_pause_stops_increases_for_a_week_at_most_and_not_twice_in_a_row(core: Clearing) -> None:
    core.trade(BUYER, SELLER, 10, 60_000)
    pause = ("guardian", "pause", ledger.pause)
    assert core.run(*pause, 0) == "OutOfBounds"
    assert core.run(*pause, 7 * DAY_S + 1) == "OutOfBounds"
    assert core.run(*pause, DAY_S) is None
    assert core.events_of("Paused") == [{"until": core.chain.timestamp + DAY_S}]
    assert core.run(*pause, DAY_S) == "TooFast"
    assert core.trade(BUYER, SELLER, 1, 60_000) == "Paused"
    assert core.trade(SELLER, BUYER, 10, 60_000) == "settled"
    assert core.pay_out(BUYER, 1) is None and core.fund(BUYER, 1) is None
    core.advance(8 * DAY_S - 1)
    assert core.run(*pause, DAY_S) == "TooFast"
    core.advance(1)
    assert core.run(*pause, 7 * DAY_S) is None


# views and bounds


def test_the_views_give_the_stored_words(core: Clearing) -> None:
    core.trade(BUYER, SELLER, 10, 60_000)
    core.settle_in(100)
    core.sweep([BUYER, SELLER])
    core.compare([BUYER, SELLER])
    elapsed = core.chain.timestamp - core.world.ledger.borrow["index"].at
    assert core.clearinghouse.view("borrow_index") == elapsed * Config().borrow_rate_wad_s
    epoch = core.chain.timestamp // HOUR_S
    shares = core.world.ledger.epochs[epoch].shares
    assert core.clearinghouse.view("epochs", epoch) == shares


def test_market_words_stand_lane_by_lane_with_the_configuration_last(core: Clearing) -> None:
    core.trade(BUYER, SELLER, 10, 60_000)
    core.trade(BUYER, SELLER, 20, 3_000, instrument=ETH)
    core.run("custody", "credit", ledger.credit, BUYER, WETH, 7)
    word_of = {i: core.clearinghouse.view("market", i)[1] for i in TERMS}
    assert len(set(word_of.values())) == len(TERMS)
    (full,) = pack_positions({WETH: 1, BTC: -1, ETH: 2**43 - 1, 9: 1})  # 9 is not listed
    (short,) = pack_positions({ETH: -(2**43), BTC: 1})
    found = core.clearinghouse.view("market_words", [short, full, 0, short << 128])
    lanes = [word_of[ETH], word_of[BTC], 0, 0, word_of[WETH], word_of[BTC], word_of[ETH], 0]
    lanes += [0] * 6 + [word_of[ETH], word_of[BTC]]
    assert list(found) == [*lanes, core.world.ledger.config.pack()]
    assert list(core.clearinghouse.view("market_words", [0] * 4))[:16] == [0] * 16


def test_a_market_word_carries_the_terms_that_a_valuation_needs(core: Clearing) -> None:
    core.trade(BUYER, SELLER, 10, 60_000)
    core.price(60_000, btc_mark=60_100 * ORACLE_PER_USD, seconds=50)
    core.set_config(Config(trade_band_ppm=10_000))  # accrues
    market = core.clearinghouse.view("market", BTC)[1]
    terms, row = TERMS[BTC], core.world.ledger.markets[BTC]
    assert row.funding_index > 0 < row.rate
    fields = (44, 10), (8, 15), (8, terms.feed), (8, terms.underlying), (4, PERP), (24, 0)
    fields += (32, core.chain.timestamp), (32, row.rate), (96, row.funding_index)
    for bits, value in fields:
        assert market & ((1 << bits) - 1) == value
        market >>= bits
    assert market == 0


def test_more_than_the_stated_number_of_items_does_not_decode(core: Clearing) -> None:
    too_many = [word(n) for n in range(1, 34)]
    for arguments in (("sweep", too_many), ("novate", too_many, [], [])):
        with pytest.raises(CallReverted):
            core.clearinghouse.call(*arguments, sender=core.address["venue"])
    assert ACCOMPLICE not in core.world.ledger.accounts
