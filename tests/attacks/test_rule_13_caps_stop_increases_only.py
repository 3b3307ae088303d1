"""Rule 13: caps stop increases only, measured net over the whole batch; never a close or a
liquidation.

Source: RULES.md, rule 13.
"""

from __future__ import annotations

import pytest
from support.clearing import BUYER, LIQUIDATOR, SELLER, Clearing
from support.core import BTC, trader

from novate.model import ledger
from novate.model.novation import Trade
from novate.units import PPM, WAD

NEWCOMER = trader("newcomer")
EVERYONE = sorted([BUYER, SELLER, LIQUIDATOR, NEWCOMER])
AT = {account: EVERYONE.index(account) for account in EVERYONE}


def set_caps(core: Clearing, open_interest: int, position: int) -> None:
    core.run("timelock", "set_caps", ledger.set_caps, BTC, open_interest, position)


def buy(buyer: int, seller: int, lots: int) -> Trade:
    return Trade(AT[buyer], AT[seller], 0, True, lots, 60_000 * WAD)


@pytest.fixture
def core() -> Clearing:
    """A hundred lots between buyer and seller, and that is the cap."""
    made = Clearing()
    made.fund(NEWCOMER, 100_000)
    assert made.trade(BUYER, SELLER, 100, 60_000) == "settled"
    set_caps(made, 100, 10**6)
    return made


def interest(core: Clearing) -> int:
    found: int = core.clearinghouse.view("market", BTC)[1] & (2**44 - 1)
    return found


def test_at_the_cap_an_increase_is_refused(core: Clearing) -> None:
    assert core.batch(EVERYONE, [BTC], [buy(LIQUIDATOR, NEWCOMER, 1)]) == ["OpenInterestCap"]


def test_at_the_cap_swapping_passes(core: Clearing) -> None:
    """A long passes its position on, then a short its own."""
    assert core.batch(EVERYONE, [BTC], [buy(LIQUIDATOR, BUYER, 40)]) == ["settled"]
    assert core.batch(EVERYONE, [BTC], [buy(SELLER, NEWCOMER, 30)]) == ["settled"]
    assert interest(core) == 100


def test_what_counts_is_the_net_of_the_batch(core: Clearing) -> None:
    """Sixty new lots and sixty closed in one batch, in either order."""
    new, close = buy(LIQUIDATOR, NEWCOMER, 60), buy(SELLER, BUYER, 60)
    assert core.batch(EVERYONE, [BTC], [new, close]) == ["settled", "settled"]
    assert interest(core) == 100
    rest = buy(SELLER, BUYER, 40), buy(NEWCOMER, LIQUIDATOR, 20)
    assert core.batch(EVERYONE, [BTC], [*rest, buy(BUYER, NEWCOMER, 60)]) == ["settled"] * 3
    assert interest(core) == 100


def test_over_the_cap_only_the_increases_of_the_batch_are_lost(core: Clearing) -> None:
    new, close = buy(LIQUIDATOR, NEWCOMER, 60), buy(SELLER, BUYER, 30)
    assert core.batch(EVERYONE, [BTC], [new, close]) == ["OpenInterestCap", "settled"]
    assert interest(core) == 70


def test_a_lowered_cap_closes_nothing_and_lets_everybody_out(core: Clearing) -> None:
    set_caps(core, 0, 0)
    assert core.batch(EVERYONE, [BTC], [buy(SELLER, BUYER, 99)]) == ["settled"]
    assert core.batch(EVERYONE, [BTC], [buy(BUYER, SELLER, 1)]) == ["PositionCap"]
    assert core.batch(EVERYONE, [BTC], [buy(SELLER, BUYER, 1)]) == ["settled"]
    assert interest(core) == 0


def test_the_position_cap_stops_growth_only(core: Clearing) -> None:
    set_caps(core, 10**6, 50)
    assert core.batch(EVERYONE, [BTC], [buy(BUYER, NEWCOMER, 1)]) == ["PositionCap"]
    assert core.batch(EVERYONE, [BTC], [buy(SELLER, BUYER, 20)]) == ["settled"]
    assert core.lots(BUYER) == 80  # still above, and allowed to be
    assert core.batch(EVERYONE, [BTC], [buy(LIQUIDATOR, NEWCOMER, 50)]) == ["settled"]
    assert core.batch(EVERYONE, [BTC], [buy(LIQUIDATOR, NEWCOMER, 1)]) == ["PositionCap"]


def test_no_cap_stops_a_liquidation(core: Clearing) -> None:
    set_caps(core, 0, 0)
    arguments = (BUYER, LIQUIDATOR, PPM, 0, 0)
    found = core.run("auctioneer", "transfer_slice", ledger.transfer_slice, *arguments)
    assert not isinstance(found, str)
    assert (core.lots(BUYER), core.lots(LIQUIDATOR)) == (0, 100)
