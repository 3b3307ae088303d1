"""Paradex trade busts: chain and engine rounded differently, and trades that one had made the other
undid.

Source: RULES.md, incidents. What must hold: identical integers on both sides; what does not settle
is an explicit event with a reason; of what both accept nothing is undone.
"""

from __future__ import annotations

import random

import pytest
from support.clearing import Clearing
from support.core import BTC, ETH, ORACLE_PER_USD, TERMS, trader

from novate.model.novation import Trade
from novate.units import WAD

TRADERS = sorted(trader(f"trader {i}") for i in range(4))


@pytest.mark.parametrize("seed", range(3))
def test_the_model_predicts_every_outcome_to_the_wei(seed: int) -> None:
    """Odd prices, marks, doubts, sizes and fees; ``batch`` compares bitmap, events and every stored
    word.
    """
    draw = random.Random(seed)
    core = Clearing()
    for account in TRADERS:
        core.fund(account, draw.randint(2_000, 20_000))
    outcomes: dict[str, int] = {}
    usd = {BTC: 60_000.0, ETH: 3_000.0}
    for _ in range(25):
        for key in usd:
            usd[key] *= draw.uniform(0.985, 1.015)
        marks = {
            key: int(price * draw.uniform(0.999, 1.001) * ORACLE_PER_USD)
            for key, price in usd.items()
        }
        core.price(
            usd[BTC],
            usd[ETH],
            seconds=draw.randint(1, 55),
            btc_mark=marks[BTC],
            eth_mark=marks[ETH],
            confidence=draw.choice([0, 137, 2_011]),
        )
        trades = []
        for _ in range(draw.randint(1, 8)):
            taker, maker = draw.sample(range(4), 2)
            at = draw.randrange(2)
            price = int(usd[(BTC, ETH)[at]] * draw.uniform(0.97, 1.03) * WAD)
            price -= price % TERMS[(BTC, ETH)[at]].tick
            fees = draw.randint(0, 10**17), draw.randint(0, 10**16)
            trades.append(
                Trade(taker, maker, at, draw.random() < 0.5, draw.randint(1, 400), price, *fees)
            )
        found = core.batch(TRADERS, [BTC, ETH], trades)
        for name in found:
            outcomes[name] = outcomes.get(name, 0) + 1
    assert outcomes["settled"] >= 10 and outcomes.get("InsufficientMargin", 0) >= 5


def test_every_trade_that_does_not_settle_says_why_once() -> None:
    core = Clearing()
    core.fund(TRADERS[0], 10_000)
    core.fund(TRADERS[1], 10_000)
    good = Trade(0, 1, 0, True, 1, 60_000 * WAD)
    odd = Trade(0, 1, 0, True, 1, 60_000 * WAD + 1)
    far = Trade(1, 0, 0, True, 1, 70_000 * WAD)
    large = Trade(2, 3, 0, True, 1_000, 60_000 * WAD)
    bitmap = core.novate(TRADERS, [BTC], [good, odd, far, large, good])
    events = core.events_of("TradeSkipped")
    assert bitmap == 0b10001
    assert sorted(event["index"] for event in events) == [1, 2, 3]
    assert all(event["code"] for event in events)
