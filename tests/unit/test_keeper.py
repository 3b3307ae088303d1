"""The keeper: finds who is under water, bids what pays and what it can carry, and only that."""

from __future__ import annotations

from typing import Any

import pytest

from novate.chain.node import local_key
from novate.model import ledger, liquidation
from novate.model.account import account_of as account_at
from novate.services.keeper import Bid, Keeper
from tests.support.engine import Floor, account_of, matches

KEY = local_key("keeper")
MINE = account_at(KEY.address.lower())


@pytest.fixture
def floor() -> Floor:
    made = Floor()
    made.deposit("maker", 1_000_000)
    made.deposit("long", 20_000)
    token = made.deployment.tokens["USDC"]
    raw = MINE.to_bytes(32, "big")
    made.transact(KEY.address.lower(), "custody", "deposit", token, raw, 1_000_000 * 10**6)
    made.place("maker", -900, 100_000)
    assert len(matches(made.take("long", 900, 100_000))) == 1
    made.close()
    return made


def fall(floor: Floor) -> None:
    for btc in (96_000, 92_500, 89_000):
        floor.prices(btc)


def start(floor: Floor) -> Any:
    """Open the auction of the account under water and let a few seconds pass."""
    fall(floor)
    world = floor.world
    with world.store.transaction():
        liquidation.start(world, KEY.address.lower(), account_of("long"))
    world.now += 30
    return world


def test_nobody_is_liquidatable_while_all_are_healthy(floor: Floor) -> None:
    assert Keeper(KEY, MINE).liquidatable(floor.world) == []


def test_an_account_below_its_maintenance_margin_is_found_until_its_auction_is_open(
    floor: Floor,
) -> None:
    fall(floor)
    keeper = Keeper(KEY, MINE)
    assert keeper.liquidatable(floor.world) == [account_of("long")]
    liquidation.start(floor.world, KEY.address.lower(), account_of("long"))
    assert keeper.liquidatable(floor.world) == []


def test_a_chosen_bid_is_one_the_model_accepts_and_judging_it_changes_nothing(
    floor: Floor,
) -> None:
    world = start(floor)
    keeper = Keeper(KEY, MINE, edge_ppm=0)
    before = world.state_hash()
    bid = keeper.choose(world, account_of("long"))
    assert bid is not None and world.state_hash() == before and world.take_events() == []
    arguments = bid.account, MINE, bid.fraction_ppm, bid.health_min_ppm, bid.reward_min
    liquidation.bid(world, KEY.address.lower(), *arguments)
    assert dict(world.ledger.accounts[MINE].positions)[1] > 0


def test_a_keeper_waits_until_the_discount_pays(floor: Floor) -> None:
    world = start(floor)
    assert Keeper(KEY, MINE, edge_ppm=999_999).choose(world, account_of("long")) is None


def test_a_keeper_bids_no_more_than_its_budget_carries(floor: Floor) -> None:
    world = start(floor)
    assert Keeper(KEY, MINE, edge_ppm=0, budget_ppm=0).choose(world, account_of("long")) is None
    bid = Keeper(KEY, MINE, edge_ppm=0).choose(world, account_of("long"))
    assert bid is not None
    margin = ledger.check(world, account_of("long")).valuation.margin_initial
    room = ledger.check(world, MINE).equity // 2
    assert margin * bid.fraction_ppm // 10**6 <= room


def test_a_keeper_never_bids_for_its_own_account(floor: Floor) -> None:
    world = start(floor)
    own = Keeper(KEY, account_of("long", 1))
    assert own.choose(world, account_of("long")) is None


def test_a_bid_the_model_refuses_is_not_accepted(floor: Floor) -> None:
    world = start(floor)
    before = world.state_hash()
    assert not Keeper(KEY, MINE).accepts(world, Bid(account_of("maker"), 10**6, 0, 0))
    assert not Keeper(KEY, MINE).accepts(world, Bid(account_of("long"), 0, 0, 0))
    assert world.state_hash() == before
