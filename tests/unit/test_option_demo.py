"""The option traders of the demo and the pictures of their risk: decisions and figures as pure
functions.
"""

from __future__ import annotations

import math
import random
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from novate.chain.node import local_key
from novate.demo import option_actors, option_risk
from novate.demo.actors import BTC, ETH, USD, Actor, Desk, option_traders
from novate.demo.option_book import FutureView, OptionBook, OptionView
from novate.demo.option_market import expiries_for
from novate.demo.option_risk import Leg, change, exact_worst
from novate.lab.smiles import NOVEMBER, OCTOBER
from novate.model import arrays, pricing
from novate.model.account import account_of
from novate.model.instrument import FUTURE, OPTION, PERP, Terms
from novate.model.ledger import Check
from novate.model.margin import Valuation
from novate.model.option_id import OptionId, future_id
from novate.model.order import IMMEDIATE, REDUCE_ONLY
from novate.services.option_keeper import FAR_PERCENT, NEAR_PERCENT, strikes_for
from novate.units import WAD
from novate.wire.order import SignedOrder

NOW = 1_760_115_600
EXPIRIES = (NOW + 21_600, OCTOBER, NOVEMBER)
FORWARDS = {BTC: 118_000.0, ETH: 4_000.0}
UNITS = {BTC: 0.01, ETH: 0.1}


def terms(underlying: int, kind: int) -> Terms:
    lot = 10**16 if underlying == BTC else 10**17
    return Terms(lot, 5 * 10**17, 10**6, 10**6, underlying, 0, kind)


def book(now: int = NOW) -> OptionBook:
    options, futures, found = {}, {}, {}
    for underlying, forward in FORWARDS.items():
        for slot, expiry in enumerate(EXPIRIES):
            years = (expiry - NOW) / 31_536_000
            vega = 0.4 * forward * math.sqrt(years)
            for index in range(8):
                strike = forward * (0.8 + 0.05 * index)
                for is_put in (False, True):
                    id = OptionId(underlying, slot, index, is_put).pack()
                    mark = 0.02 * forward
                    delta = -0.5 if is_put else 0.5
                    place = (id, underlying, expiry, strike, is_put, mark, forward, delta, vega)
                    options[id] = OptionView(*place, UNITS[underlying], 0.5)
                    found[id] = terms(underlying, OPTION)
            id = future_id(underlying, slot)
            futures[id] = FutureView(id, underlying, expiry, forward, UNITS[underlying])
            found[id] = terms(underlying, FUTURE)
    return OptionBook(now, options, futures, found)


def person(kind: str, usd: int, weth: int = 0, instrument: int = BTC) -> Actor:
    key = local_key(f"test {kind}")
    account = account_of(key.address.lower())
    return Actor(kind, kind, key, account, usd * USD, weth * WAD, instrument, appetite=0.8)


def desk(actor: Actor, options: OptionBook, equity: int, held: dict[int, int]) -> Desk:
    perps = {BTC: terms(BTC, PERP), ETH: terms(ETH, PERP)}
    return Desk(
        now=NOW,
        separator=bytes(32),
        executor="0x" + "11" * 20,
        terms={**perps, **options.terms},
        marks=dict(FORWARDS),
        checks={actor.account: Check(equity * WAD, equity * WAD, len(held), False, Valuation())},
        positions={actor.account: held},
    )


def lots(orders: list[SignedOrder]) -> dict[int, int]:
    return {o.order.instrument: o.order.lots for o in orders}


# makers


def test_a_maker_quotes_both_sides_around_the_mark_inside_the_band() -> None:
    actor, options = person("option maker", 5_000_000), book()
    made = list(
        option_actors.quotes(actor, desk(actor, options, 5_000_000, {}), options, 0, chance())
    )
    assert {o.order.instrument >> 15 & 15 for o in made} == {BTC, ETH}
    assert {options.options[o.order.instrument].expiry for o in made} == set(EXPIRIES)
    for signed in made:
        option = options.options[signed.order.instrument]
        price, band = signed.order.price / WAD, 0.05 * (option.mark + option.forward / 8)
        assert 0 < abs(price - option.mark) < band
        assert (price < option.mark) == (signed.order.lots > 0)


def test_every_strike_gets_a_quote_in_turn() -> None:
    options = book()
    seen = {o.strike for turn in range(8) for o in option_actors.quoted(options, BTC, turn)}
    assert seen == {o.strike for o in options.options.values() if o.underlying == BTC}


def test_an_expiry_about_to_end_is_not_quoted() -> None:
    late = book(EXPIRIES[0] - 1_800)
    assert EXPIRIES[0] not in {o.expiry for o in option_actors.quoted(late, BTC, 0)}


def test_a_maker_leans_against_what_it_holds() -> None:
    actor, options = person("option maker", 5_000_000), book()
    id = next(option_actors.quoted(options, BTC, 0)).id

    def middle(held: int) -> float:
        seen = desk(actor, options, 5_000_000, {id: held})
        made = option_actors.quotes(actor, seen, options, 0, chance())
        prices = [o.order.price / WAD for o in made if o.order.instrument == id]
        return sum(prices) / 2

    assert middle(10**4) < middle(0) < middle(-(10**4))


# takers


def test_covered_calls_never_exceed_the_ether_held() -> None:
    actor, options = person("covered", 50_000, weth=100, instrument=ETH), book()
    sold = lots(
        list(
            option_actors.sell_covered(actor, desk(actor, options, 400_000, {}), options, chance())
        )
    )
    assert len(sold) == 1
    ((id, size),) = sold.items()
    option = options.options[id]
    assert option.underlying == ETH and not option.is_put and option.strike > option.forward
    assert -1_000 <= size < 0
    full = desk(actor, options, 400_000, {id: -1_000})
    assert list(option_actors.sell_covered(actor, full, options, chance())) == []


def test_a_straddle_is_a_call_and_a_put_of_one_strike() -> None:
    actor, options = person("straddle", 200_000), book()
    sold = lots(
        list(
            option_actors.sell_straddle(actor, desk(actor, options, 200_000, {}), options, chance())
        )
    )
    legs = [options.options[id] for id in sold]
    assert {leg.is_put for leg in legs} == {False, True}
    assert len({(leg.strike, leg.expiry) for leg in legs}) == 1
    assert len(set(sold.values())) == 1 and all(size < 0 for size in sold.values())


def test_a_buyer_spends_a_sixth_of_its_equity_at_most() -> None:
    actor, options = person("buyer", 50_000), book()
    for seed in range(20):
        made = list(
            option_actors.buy(actor, desk(actor, options, 50_000, {}), options, random.Random(seed))
        )
        for id, size in lots(made).items():
            option = options.options[id]
            assert option.out_of_the_money and size > 0
            assert size * option.mark * option.unit <= 7_500


def test_a_hedger_brings_the_delta_back_to_none() -> None:
    actor, options = person("gamma", 500_000), book()
    id = next(o.id for o in options.options.values() if o.underlying == BTC and not o.is_put)
    held = {id: 1_000, BTC: 100}  # 5 BTC of delta in calls, 1 BTC of perpetual
    made = lots(list(option_actors.hedge(actor, desk(actor, options, 500_000, held), options)))
    assert made == {BTC: -600}
    assert not list(option_actors.hedge(actor, desk(actor, options, 500_000, {BTC: 1}), options))


def test_what_a_keeper_took_over_is_only_reduced() -> None:
    actor, options = person("keeper", 500_000), book()
    ids = sorted(options.options)[:2]
    held = {ids[0]: 300, ids[1]: -1, BTC: 50}
    made = list(option_actors.unwind(actor, desk(actor, options, 500_000, held), options, 0.34))
    assert lots(made) == {ids[0]: -102, ids[1]: 1}
    assert all(o.order.flags == IMMEDIATE | REDUCE_ONLY for o in made)


def test_the_same_seed_gives_the_same_traders() -> None:
    first, again = option_traders(7, NOW), option_traders(7, NOW)
    assert [(a.name, a.usdc, a.enters_at) for a in first] == [
        (a.name, a.usdc, a.enters_at) for a in again
    ]
    kinds = {a.kind for a in first}
    assert kinds == {"option maker", *option_actors.OPENERS}


def chance() -> random.Random:
    return random.Random(1)


# what is listed


def test_expiries_are_of_the_evening_and_the_real_ones() -> None:
    assert expiries_for(NOW) == (NOW + 21_600, OCTOBER, NOVEMBER)


def test_another_file_gets_expiries_in_three_and_seven_weeks_at_eight() -> None:
    found = expiries_for(1_600_000_000)
    assert list(found) == sorted(found) and found[0] % 3_600 == 0
    assert all(expiry % 86_400 == 28_800 for expiry in found[1:])


@pytest.mark.parametrize("forward", [118_000 * 10**10, 3_999_999_999_999])
@pytest.mark.parametrize("percents", [NEAR_PERCENT, FAR_PERCENT])
def test_strikes_stand_on_the_grid_and_within_reach(
    forward: int, percents: tuple[int, ...]
) -> None:
    step = 10**13 if forward > 10**14 else 5 * 10**9
    found = strikes_for(forward, step, percents)
    assert len(found) == 8 and all(b > a for a, b in pairwise(found))
    assert all(s % step == 0 and forward <= 5 * s <= 25 * forward for s in found)


def test_a_price_below_the_step_has_no_strikes() -> None:
    assert strikes_for(10**10, 10**13, FAR_PERCENT) == []


# the pictures


def leg(units: float = 1.0, strike: float = 118_000.0, is_put: bool = False) -> Leg:
    return Leg(units, 118_000.0, strike, is_put, 0.45, 20 * 86_400)


def test_a_leg_is_worth_what_the_model_says() -> None:
    for each in (leg(), leg(strike=90_000.0, is_put=True), leg(-2.5, 140_000.0)):
        forward, strike, sigma = (int(x * WAD) for x in (each.forward, each.strike, each.sigma))
        greeks = pricing.black76(forward, strike, sigma, each.seconds, not each.is_put)
        value = each.value(np.array([each.forward]), np.array([each.sigma]))
        assert float(value[0]) == pytest.approx(each.units * greeks.price / WAD, rel=1e-9)


def test_a_short_straddle_loses_both_ways_and_gains_when_volatility_falls() -> None:
    legs = [leg(-1.0), leg(-1.0, is_put=True)]
    moved = change(legs, 0.0, np.array([-0.2, 0.0, 0.2]), np.array([0.0, -0.3]))
    assert moved[0][0] < 0 and moved[0][2] < 0
    assert moved[0][1] == pytest.approx(0.0, abs=1e-6) and moved[1][1] > 0


def test_linear_positions_move_with_spot_alone() -> None:
    moved = change([], 1_000.0, np.array([-0.1, 0.1]), np.array([0.5, 0.0]))
    assert moved.tolist() == [[-100.0, 100.0]] * 2
    assert exact_worst([], 1_000.0, 0.15) == pytest.approx(150.0)


def test_the_exact_grid_contains_the_lanes_within_the_scan_range() -> None:
    """On the lanes' own nodes both must agree, so the grid is never better than the inner lanes."""
    forward, strike, seconds, psr = 118_000 * 10**10, 125_000 * 10**10, 20 * 86_400, 150_000
    quantum = arrays.quantum_of(psr, forward)
    lanes = arrays.scenarios(forward, strike, int(0.45 * WAD), seconds, psr, quantum)
    worst_inner = -min(-gain for gain in lanes[:14]) * quantum / 10**10
    exact = exact_worst([leg(-1.0, 125_000.0)], 0.0, psr / 10**6)
    assert exact >= worst_inner - 2 * quantum / 10**10
    assert exact == pytest.approx(worst_inner, rel=0.02)


def test_a_sold_call_lessens_what_its_coin_can_lose() -> None:
    short = leg(-1.0, 125_000.0)
    assert exact_worst([short], 118_000.0, 0.15) < exact_worst([], 118_000.0, 0.15)
    assert exact_worst([replace(short, units=0.0)], 0.0, 0.15) == 0.0
    assert option_risk.SPOTS == 121 and option_risk.VOLS == 9
