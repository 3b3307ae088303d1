"""dYdX, 2025-10-10, eight hours of halt: a pool paid a winner before insurance had paid in, went
negative, and the chain panicked.

The vector: a pool of 149; insurance pays 51 in, then 200 leaves; the short ends with 0, the long
with 200.
"""

from __future__ import annotations

from support.bench import (
    GOVERNOR,
    LIQUIDATOR,
    STRANGER,
    TRADER,
    USD,
    WAD,
    Bench,
    account,
)

SHORT, LONG = account(TRADER), account(LIQUIDATOR)
INSURED = 60


def at_a_loss() -> Bench:
    """The short deposited 49, the long 100, insurance 60; the mark went from 100 to 200 on one
    lot.
    """
    bench = Bench()
    bench.list_token(bench.usd)
    bench.custody.call("set_limits", bench.usd.address, 1000 * USD, 0, 60, sender=GOVERNOR)
    bench.ledger.call("set_mark", 1, 100 * WAD)
    bench.deposit(bench.usd, TRADER, 49 * USD)
    bench.deposit(bench.usd, LIQUIDATOR, 100 * USD)
    bench.fund(bench.usd, STRANGER, INSURED * USD)
    insurance = ("deposit", bench.usd.address, bench.layer(2), INSURED * USD)
    bench.custody.call(*insurance, sender=STRANGER)
    bench.ledger.call("set_lots", SHORT, 1, -1)
    bench.ledger.call("set_lots", LONG, 1, 1)
    bench.ledger.call("set_mark", 1, 200 * WAD)
    return bench


def equity(bench: Bench, of: bytes) -> int:
    found: int = bench.ledger.view("check", of)[0]
    return found


def gap(bench: Bench) -> tuple[int, int, int]:
    accounts = sorted([SHORT, LONG, bench.layer(2)])
    assets, claims, difference, _ = bench.lens.view("solvency", accounts, [bench.usd.address])
    return assets, claims, difference


def test_insurance_pays_in_before_the_winner_is_paid() -> None:
    bench = at_a_loss()
    assert (equity(bench, SHORT), equity(bench, LONG)) == (-51 * WAD, 200 * WAD)
    assert equity(bench, SHORT) + equity(bench, LONG) == 149 * WAD
    bench.ledger.call("settle", SHORT)
    bench.ledger.call("settle", LONG)

    bench.auctioneer.call("write_off", SHORT, sender=STRANGER)
    assert bench.event("LayerPaid") == {"layer": 2, "account": SHORT, "amount": 51 * WAD}
    assert gap(bench) == (209 * WAD, 209 * WAD, 0)

    arguments = (LONG, bench.usd.address, 200 * USD)
    bench.custody.call("request_withdrawal", *arguments, sender=LIQUIDATOR)
    bench.chain.advance(60)
    bench.custody.call("withdraw", LONG, bench.usd.address, sender=STRANGER)
    assert equity(bench, SHORT) == 0
    assert bench.usd.view("balanceOf", LIQUIDATOR) == 200 * USD
    assert bench.cash(bench.layer(2)) == 9 * WAD
    assert gap(bench) == (9 * WAD, 9 * WAD, 0)


def test_insurance_that_has_not_the_money_pays_only_what_it_has() -> None:
    """Nothing goes negative on the way: the rest of the deficit waits, recorded, and nobody's cash
    is touched.
    """
    bench = at_a_loss()
    bench.ledger.call("settle", SHORT)
    bench.ledger.call("settle", LONG)
    bench.ledger.call("set_money", bench.layer(2), 20 * WAD, 0)
    bench.auctioneer.call("write_off", SHORT, sender=STRANGER)
    assert bench.cash(bench.layer(2)) == 0
    assert equity(bench, SHORT) == -31 * WAD
    assert bench.waterfall.view("pending", SHORT)[0] == 31 * WAD
    assert bench.cash(LONG) == 200 * WAD
