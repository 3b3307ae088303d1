"""Every invariant holds on a good world and is broken by the tampering it exists to notice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from support.good_world import (
    ADDRESSES,
    BTC,
    ETH,
    HEDGER,
    INSURANCE,
    LONG,
    NOW,
    PARAMETERS,
    SAVER,
    SHORT,
    TERMS,
    WETH,
    good_world,
    price,
    trade,
)

from novate import limits
from novate.model import exact, invariants, ledger, margin
from novate.model.account import Epoch
from novate.model.instrument import Market
from novate.model.invariants import Change
from novate.model.ledger import Check
from novate.model.margin import Valuation
from novate.model.order import Order
from novate.model.state import World
from novate.units import WAD


@pytest.fixture
def world() -> World:
    return good_world()


def move_cash(world: World, account: int, wei: int) -> None:
    row = world.ledger.accounts[account]
    world.ledger.accounts[account] = replace(row, cash=row.cash + wei)


def give_lots(world: World, account: int, instrument: int, lots: int) -> None:
    row = world.ledger.accounts[account]
    world.ledger.accounts[account] = ledger.change_lots(row, instrument, lots)


def test_all_state_invariants_hold_on_a_good_world(world: World) -> None:
    found = invariants.check_all(world)
    assert found == dict.fromkeys(("I01", "I02", "I06", "I07", "I08", "I11", "I12", "I15"), True)
    assert world.ledger.accounts[LONG].gain_now > 0, "the example has gains"
    assert world.ledger.markets[BTC].funding_index != 0, "and funding"


TAMPERINGS: list[tuple[str, str, Callable[[World], None]]] = [
    ("I01", "a wei out of nothing", lambda w: move_cash(w, SAVER, 1)),
    ("I01", "a wei lost", lambda w: move_cash(w, SAVER, -1)),
    ("I02", "a lot out of nothing", lambda w: give_lots(w, SAVER, BTC, 1)),
    ("I02", "spot without tokens", lambda w: give_lots(w, SAVER, WETH, 1)),
    ("I06", "a lot out of nothing", lambda w: give_lots(w, SAVER, ETH, 1)),
    ("I11", "a layer below zero", lambda w: move_cash(w, INSURANCE, -200_000 * WAD)),
]


@pytest.mark.parametrize(("name", "how", "tamper"), TAMPERINGS)
def test_a_tampered_state_breaks_its_invariant(
    world: World, name: str, how: str, tamper: Callable[[World], None]
) -> None:
    tamper(world)
    assert not invariants.check_all(world)[name], how


def test_I01_allows_the_pool_only_the_dust_of_a_cut(world: World) -> None:
    move_cash(world, SAVER, -7)
    assert not invariants.I01_custody_equals_claims(world)
    world.ledger.epochs[5] = Epoch(0, 1)
    assert invariants.I01_custody_equals_claims(world)
    move_cash(world, SAVER, -invariants.CUT_DUST_PER_EPOCH)
    assert not invariants.I01_custody_equals_claims(world)


def test_I02_open_interest_is_the_long_side(world: World) -> None:
    market = world.ledger.markets[BTC]
    world.ledger.markets[BTC] = replace(market, open_interest=market.open_interest + 1)
    assert not invariants.I02_lots_sum_to_zero(world)


def change_of(world: World, accounts: tuple[int, ...]) -> Change:
    """What a transaction about to happen will have written."""
    rows = {("ledger.accounts", a): world.ledger.accounts[a] for a in accounts}
    markets = {("ledger.markets", i): world.ledger.markets[i] for i in TERMS}
    return Change({**rows, **markets, ("ledger.pot", "pot"): world.ledger.pot})


def test_I03_a_gated_trade_holds_and_a_forced_one_does_not(world: World) -> None:
    change = change_of(world, (LONG, HEDGER))
    trade(world, LONG, HEDGER, BTC, 200, 60_700)
    hash_before = world.state_hash()
    assert invariants.I03_funded_or_no_worse(world, change, [LONG, HEDGER])
    assert world.state_hash() == hash_before, "judging changes nothing"
    give_lots(world, LONG, BTC, 20_000)
    row = world.ledger.accounts[LONG]
    paid = 20_000 * margin.row(world, BTC).value_lot
    world.ledger.accounts[LONG] = replace(row, variation=row.variation - paid)
    assert not invariants.I03_funded_or_no_worse(world, change, [LONG, HEDGER])
    assert invariants.I03_funded_or_no_worse(world, change, [HEDGER])


def test_I03_reducing_below_initial_margin_is_no_worse(world: World) -> None:
    move_cash(world, LONG, -98_000 * WAD)
    check = ledger.check(world, LONG)
    assert check.equity < check.valuation.margin_initial
    change = change_of(world, (LONG, SHORT))
    trade(world, SHORT, LONG, BTC, 100, 60_700)
    assert invariants.I03_funded_or_no_worse(world, change, [LONG])


def test_I03_a_withdrawal_leaves_initial_margin(world: World) -> None:
    assert invariants.I03_withdrawal_is_funded(world, LONG)
    move_cash(world, LONG, -95_000 * WAD)
    assert not invariants.I03_withdrawal_is_funded(world, LONG)


def order(lots: int = 10, usd: int = 100, max_fee: int = 5) -> Order:
    return Order(LONG, BTC, lots, usd * WAD, max_fee, nonce=1, expiry=NOW)


def test_I04_lots_beyond_the_signed_are_noticed() -> None:
    assert invariants.I04_within_signed_lots(order(-10), 10)
    assert not invariants.I04_within_signed_lots(order(-10), 11)


@pytest.mark.parametrize(
    ("lots", "usd", "fee", "held"),
    [
        (10, 100, 15, True),
        (10, 101, 15, False),
        (10, 99, 15, True),
        (-10, 100, 15, True),
        (-10, 99, 15, False),
        (10, 100, 16, False),
        (10, 100, -1, False),
    ],
)
def test_I05_price_and_fee_within_what_was_signed(
    lots: int, usd: int, fee: int, held: bool
) -> None:
    assert invariants.I05_within_signed_terms(order(lots), usd * WAD, 3, fee) is held


def test_I07_a_margin_short_by_more_than_its_roundings_is_noticed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate = margin.evaluate
    for name, by in (
        ("margin_maintenance", -20 * WAD),
        ("margin_initial", -20 * WAD),
        ("penalty", -4),
        ("bonus", 4),
    ):

        def short(w: World, positions: dict[int, int], name: str = name, by: int = by) -> Valuation:
            value = evaluate(w, positions)
            return replace(value, **{name: getattr(value, name) + by})

        monkeypatch.setattr(margin, "evaluate", short)
        assert not invariants.I07_integer_margin_covers_exact(world), name
    monkeypatch.undo()
    assert invariants.I07_integer_margin_covers_exact(world)


def test_I07_integer_and_exact_margin_differ_by_wei_only(world: World) -> None:
    positions = dict(world.ledger.accounts[SHORT].positions)
    value, found = margin.evaluate(world, positions), exact.exact_margin(world, positions)
    assert value.margin_maintenance - found.maintenance >= 0
    charges_rounded = sum(abs(n) for n in positions.values()) * 61_000 * WAD // 10**5
    assert value.margin_maintenance - found.maintenance < charges_rounded
    assert value.liquidity > 0, "the example reaches the liquidity ramp"


def test_I07_holds_while_parameters_ramp(world: World) -> None:
    world.now += 86_400
    changed = replace(PARAMETERS[0], psr_target=155_001, liquidity_max=90_007, interest_max=4_999)
    margin.set_parameters(world, ADDRESSES["timelock"], 0, changed)
    for seconds in (1, 777, 43_201, 86_399):
        world.now = world.risk.parameters[0].psr_set_at + seconds
        price(world, 0, 60_701)
        price(world, 1, 2_949)
        assert invariants.I07_integer_margin_covers_exact(world)


def test_I08_a_portfolio_dearer_than_its_parts_is_noticed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert invariants.I08_netting_never_costs(world)
    evaluate = margin.evaluate

    def dear(w: World, positions: dict[int, int]) -> Valuation:
        value = evaluate(w, positions)
        more = 10**9 * WAD if len(positions) > 1 else 0
        return replace(value, margin_maintenance=value.margin_maintenance + more)

    monkeypatch.setattr(margin, "evaluate", dear)
    assert not invariants.I08_netting_never_costs(world)


def check(equity: int, required: int) -> Check:
    return Check(equity, equity, 1, True, Valuation(margin_maintenance=required))


def test_I09_health_never_falls_while_solvent() -> None:
    assert invariants.I09_health_kept(check(50, 100), check(45, 90))
    assert not invariants.I09_health_kept(check(50, 100), check(44, 90))
    assert invariants.I09_health_kept(check(-50, 100), check(-50, 90))
    assert not invariants.I09_health_kept(check(-50, 100), check(-51, 90))
    assert not invariants.I09_health_kept(check(0, 100), check(0, 101))


def test_I10_a_saver_keeps_deposits_less_withdrawals(world: World) -> None:
    row = world.ledger.accounts[SAVER]
    assert invariants.I10_only_own_flows(row, {0: 100_000 * WAD})
    assert not invariants.I10_only_own_flows(replace(row, cash=row.cash - 1), {0: 100_000 * WAD})
    assert not invariants.I10_only_own_flows(replace(row, gain_now=1), {0: 100_000 * WAD})
    holder = replace(row, positions=((WETH, 5),))
    assert invariants.I10_only_own_flows(holder, {0: 100_000 * WAD, WETH: 5})
    assert not invariants.I10_only_own_flows(holder, {0: 100_000 * WAD, WETH: 6})


def test_I11_layers_pay_in_order_and_only_after_those_before_are_empty() -> None:
    in_order = invariants.I11_layers_pay_in_order
    assert in_order([], (5, 5, 5, 5), 5)
    assert in_order([(1, LONG)], (5, 5, 5, 5), 5)
    assert in_order([(1, LONG), (2, LONG)], (0, 5, 5, 5), 5)
    assert in_order([(1, LONG), (2, LONG), (3, LONG)], (0, 5, 5, 5), 0), "insurance at its cap"
    assert in_order([(2, LONG), (2, SHORT)], (0, 5, 5, 5), 5), "two accounts are two payments"
    assert not in_order([(2, LONG), (1, LONG)], (0, 5, 5, 5), 5)
    assert not in_order([(2, LONG)], (1, 5, 5, 5), 5)
    assert not in_order([(3, LONG)], (0, 5, 5, 5), 5)
    assert not in_order([(4, LONG)], (0, 0, 0, 5), 5), "reserves never pay by themselves"


def test_I12_the_hash_depends_on_rows_not_on_their_history(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert invariants.I12_same_state_same_hash(world)
    monkeypatch.setattr(
        type(world.store),
        "state_hash",
        lambda store: repr([list(t.rows.items()) for t in store.tables.values()]),
    )
    assert not invariants.I12_same_state_same_hash(world)


def test_I13_the_hash_tells_a_rejected_command_that_left_a_trace(world: World) -> None:
    before = world.state_hash()
    assert invariants.I13_rejection_changes_nothing(before, world.state_hash())
    move_cash(world, SAVER, 1)
    assert not invariants.I13_rejection_changes_nothing(before, world.state_hash())


def test_I14_a_pause_may_refuse_increases_only() -> None:
    fair = invariants.I14_pause_refuses_increases_only
    assert fair([0, 0], [1, -1])
    assert fair([5, 0], [-6, 6]), "turning a position is no reduction"
    assert not fair([5, 0], [-5, 5])
    assert not fair([0, -3], [-1, 1])


def test_I15_positions_and_gas_are_bounded(world: World) -> None:
    most = tuple((i, 1) for i in range(1, limits.POSITIONS_PER_ACCOUNT_MAX + 2))
    row = world.ledger.accounts[SAVER]
    world.ledger.accounts[SAVER] = replace(row, positions=most[:-1])
    assert invariants.I15_positions_bounded(world)
    world.ledger.accounts[SAVER] = replace(row, positions=most)
    assert not invariants.I15_positions_bounded(world)
    assert invariants.I15_fits_in_a_transaction(1 << 24)
    assert not invariants.I15_fits_in_a_transaction((1 << 24) + 1)


def test_judging_as_then_restores_the_world(world: World) -> None:
    change = Change({("ledger.markets", BTC): Market(open_interest=1)})
    now = world.ledger.markets[BTC]
    with invariants.as_then(world, change):
        assert world.ledger.markets[BTC] == replace(now, open_interest=1)
    assert world.ledger.markets[BTC] == now
