"""Gains: conserved through sweeps, rolls, losses; matured after one to two epochs; cut pro rata
(SPEC §5, I01, I10).
"""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st
from support.core import BTC, ETH, ORACLE_PER_USD, trader
from support.model import ADDRESS, ModelVenue

from novate.model import ledger
from novate.model.account import account_of, gains, load
from novate.units import WAD

EPOCH_S = 3_600
USD = ORACLE_PER_USD
TRADERS = [trader(f"trader {i}") for i in range(5)]
SAVER = trader("saver without positions")
TARGET = account_of(ADDRESS["waterfall"], 1)
EVERYONE = [*TRADERS, SAVER, TARGET]
STEP = st.one_of(
    st.tuples(st.just("price"), st.integers(-400, 400), st.integers(1, 5000)),
    st.tuples(st.just("trade"), st.integers(0, 19), st.integers(1, 500)),
    st.tuples(st.just("sweep"), st.integers(0, 4), st.just(0)),
    st.tuples(st.just("cut"), st.integers(1, 3000), st.just(0)),
)


def funded() -> ModelVenue:
    venue = ModelVenue()
    for account in (*TRADERS, SAVER):
        venue.fund(account, 100_000)
    return venue


def immature(venue: ModelVenue, account: int) -> int:
    """Value of the account's gains after its buckets rolled."""
    row, _ = load(venue.world, venue.world.ledger.accounts[account])
    return gains(venue.world, row)


def play(venue: ModelVenue, name: str, a: int, b: int) -> None:
    """One random event."""
    if name == "price":
        prices = [p * USD * (10_000 + a) // 10_000 for p in (60_000, 3_000)]
        venue.price(prices[0], prices[1], b)
    elif name == "trade":
        buyer, seller = TRADERS[a % 5], TRADERS[(a + 1 + a // 5) % 5]
        venue.trade(buyer, seller, b, BTC if a % 2 else ETH, fee=10**17)
    elif name == "sweep":
        venue.sweep([TRADERS[a], SAVER])
    else:
        ledger.cut_gains(venue.world, ADDRESS["waterfall"], TARGET, a * WAD)


@given(st.lists(STEP, min_size=1, max_size=40))
@settings(max_examples=120)
def test_claims_are_conserved_and_a_cut_creates_nothing(steps: list[tuple[str, int, int]]) -> None:
    """Σ cash + gains + variation changes by what is deposited only; shares and scales may leave wei
    behind.
    """
    venue = funded()
    start = venue.claims(EVERYONE)
    saver = venue.world.ledger.accounts[SAVER].cash
    for name, a, b in steps:
        before = venue.claims(EVERYONE)
        play(venue, name, a, b)
        after = venue.claims(EVERYONE)
        if name != "cut":
            # rolling floors each bucket as it did while immature: nothing appears, nothing vanishes
            assert after == before, name
        # a cut pays out at most what holders lose; its dust allowance stays in the venue
        assert before - 2 * 10**9 - 10 <= after <= before, name
        assert venue.world.ledger.accounts[SAVER].cash == saver
    assert venue.claims(EVERYONE) <= start


@given(st.lists(st.integers(1, 10**9), min_size=2, max_size=6), st.integers(1, 2 * 10**9))
def test_a_cut_is_pro_rata(amounts: list[int], loss: int) -> None:
    """Each gain loses loss / Σ gains of itself, whoever holds it (in micro-dollars; to the
    share).
    """
    venue = ModelVenue()
    holders = [trader(f"holder {i}") for i in range(len(amounts))]
    for holder, amount in zip(holders, amounts, strict=True):
        give_gain(venue, holder, amount * 10**12)
    total = sum(amounts)
    paid = ledger.cut_gains(venue.world, ADDRESS["waterfall"], TARGET, loss * 10**12)
    share = min(Fraction(loss, total), Fraction(99, 100))
    for holder, amount in zip(holders, amounts, strict=True):
        lost = amount * 10**12 - immature(venue, holder)
        assert abs(lost - share * amount * 10**12) <= amount + 1
    assert paid <= loss * 10**12
    assert share * total * 10**12 - paid <= 2 * 10**9 + 10 + total


def give_gain(venue: ModelVenue, account: int, wad: int) -> None:
    """A swept gain out of variation, as a trade at a good price leaves it."""
    from dataclasses import replace

    row = venue.world.ledger.accounts[account]
    venue.world.ledger.accounts[account] = replace(row, variation=row.variation + wad)
    venue.sweep([account])


@given(st.integers(0, EPOCH_S - 1), st.integers(0, 4 * EPOCH_S))
def test_a_gain_matures_after_one_to_two_epochs(into: int, wait: int) -> None:
    venue = ModelVenue()
    venue.world.now += into
    give_gain(venue, TRADERS[0], 1000 * WAD)
    assert immature(venue, TRADERS[0]) == 1000 * WAD
    venue.world.now += wait
    matured = immature(venue, TRADERS[0]) == 0
    assert matured == (into + wait >= 2 * EPOCH_S)
    if wait < EPOCH_S:
        assert not matured
    row, _ = load(venue.world, venue.world.ledger.accounts[TRADERS[0]])
    assert row.cash + gains(venue.world, row) == 1000 * WAD


@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_matured_gains_and_deposits_are_never_cut(loss: int, deposit: int) -> None:
    """Who gained nothing in the last two epochs pays nothing (I10)."""
    venue = ModelVenue()
    venue.fund(SAVER, deposit)
    give_gain(venue, TRADERS[0], 1000 * WAD)
    venue.world.now += 2 * EPOCH_S
    give_gain(venue, TRADERS[1], 10 * WAD)
    ledger.cut_gains(venue.world, ADDRESS["waterfall"], TARGET, loss * WAD)
    assert venue.equity(SAVER) == deposit * WAD
    assert venue.equity(TRADERS[0]) == 1000 * WAD
    assert venue.equity(TRADERS[1]) < 10 * WAD


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=8))
def test_a_scale_never_falls_below_one_percent(losses: list[int]) -> None:
    venue = ModelVenue()
    give_gain(venue, TRADERS[0], 1000 * WAD)
    for loss in losses:
        ledger.cut_gains(venue.world, ADDRESS["waterfall"], TARGET, loss * WAD)
        scale = venue.world.ledger.epochs[venue.world.now // EPOCH_S].scale
        assert WAD // 100 <= scale <= WAD
    assert immature(venue, TRADERS[0]) >= 10 * WAD - 1
    give_gain(venue, TRADERS[1], 10 * WAD)  # a later gain of the epoch enters at full value
    assert 10 * WAD - 10**12 <= venue.equity(TRADERS[1]) <= 10 * WAD


@given(st.integers(1, 10**15), st.integers(1, 10**15), st.integers(0, 10**6))
def test_a_loss_takes_the_newest_gain_first_and_cash_last(gain: int, loss: int, cut: int) -> None:
    venue = ModelVenue()
    venue.fund(TRADERS[0], 10**9)
    give_gain(venue, TRADERS[0], gain * 10**9)
    ledger.cut_gains(venue.world, ADDRESS["waterfall"], TARGET, cut * WAD)
    before = venue.equity(TRADERS[0])
    held = immature(venue, TRADERS[0])
    give_gain(venue, TRADERS[0], -loss * 10**9)
    assert venue.equity(TRADERS[0]) == before - loss * 10**9
    left = immature(venue, TRADERS[0])
    assert left <= held
    if loss * 10**9 <= held:
        assert 0 <= held - loss * 10**9 - left < 10**12  # up to a share too much, back in cash
    else:
        assert left == 0
