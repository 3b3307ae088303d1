"""Rule 4: staleness depends on the action; one old feed never freezes liquidation; nothing new
during an outage or its grace.

Source: RULES.md, rule 4. The matrix: action × what the oracle does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.clearing import BUYER, LIQUIDATOR, SELLER, Clearing
from support.core import ETH, trader

from novate.model import ledger
from novate.units import PPM, WAD

SAVER = trader("saver without positions")
REFUSED = "InsufficientMargin"


def fresh(core: Clearing) -> None:
    core.price(60_000)


def one_old_feed(core: Clearing) -> None:
    """Bitcoin is silent for ten minutes, ether goes on."""
    for _ in range(12):
        core.advance(50)
        core.price_one(1, 3_000)


def silent(core: Clearing) -> None:
    core.advance(600)


def grace(core: Clearing) -> None:
    """An outage, then prices for less than the grace."""
    core.advance(600)
    core.price(60_000)
    core.price(60_000, seconds=50)


def increase(core: Clearing) -> Any:
    return core.trade(BUYER, SELLER, 10, 60_000)


def reduce(core: Clearing) -> Any:
    return core.trade(SELLER, BUYER, 10, 60_000)


def increase_elsewhere(core: Clearing) -> Any:
    """Ether, between two accounts that hold no bitcoin."""
    return core.trade(LIQUIDATOR, SAVER, 10, 3_000, instrument=ETH)


def withdraw(core: Clearing) -> Any:
    return core.pay_out(BUYER, 1)


def withdraw_savings(core: Clearing) -> Any:
    return core.pay_out(SAVER, 1)


def deposit(core: Clearing) -> Any:
    return core.fund(BUYER, 1)


def sweep(core: Clearing) -> Any:
    return core.sweep([BUYER, SELLER])


def liquidate(core: Clearing) -> Any:
    """A bidder with money and no position takes half of the buyer's."""
    found = core.run(
        "auctioneer", "transfer_slice", ledger.transfer_slice, BUYER, LIQUIDATOR, PPM // 2, 0, 0
    )
    return found if isinstance(found, str) else None


MATRIX: list[tuple[Callable[[Clearing], Any], list[str | None]]] = [
    # fresh, one old feed, silent, grace
    (increase, ["settled", REFUSED, REFUSED, REFUSED]),
    (increase_elsewhere, ["settled", "settled", REFUSED, REFUSED]),
    (reduce, ["settled"] * 4),
    (withdraw, [None, "StalePrice", "StalePrice", "RestartGrace"]),
    (withdraw_savings, [None] * 4),
    (deposit, [None] * 4),
    (sweep, [None] * 4),
    (liquidate, [None, None, REFUSED, REFUSED]),
]
STATES = [fresh, one_old_feed, silent, grace]


@pytest.mark.parametrize("action", [action for action, _ in MATRIX])
@pytest.mark.parametrize("state", STATES)
def test_the_matrix(action: Callable[[Clearing], Any], state: Callable[[Clearing], None]) -> None:
    core = Clearing()
    core.fund(SAVER, 100_000)
    assert core.trade(BUYER, SELLER, 1000, 60_000) == "settled"
    state(core)
    expected = dict(MATRIX)[action][STATES.index(state)]
    assert action(core) == expected


def test_liquidation_at_an_old_price_costs_the_bidder_its_doubt() -> None:
    """The longer a feed is silent, the more a bidder must hold, and the sooner the liquidated has
    the benefit.
    """
    core = Clearing()
    core.trade(BUYER, SELLER, 1000, 60_000)
    before = core.health(BUYER).valuation
    one_old_feed(core)
    after = core.health(BUYER).valuation
    assert (before.flags, after.flags) == (0, 1)
    doubt = 60_000 * WAD * 100 * (600 - 60) // PPM
    assert after.bonus == doubt
    funding = after.margin_maintenance - before.margin_maintenance - doubt
    assert 0 <= funding < 10 * WAD
