"""Short scenarios that each notice one kind of bug; all pass on the contracts as they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

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
from support.core import BTC, NODE_KEYS, ORACLE_PER_USD, PARAMETERS, WETH
from support.exchange import PRICE, Desk
from support.rogue import REFUSED, VALUING, Rogue
from support.venue import DOLLAR, STRANGER, Venue

from novate.chain.harness import Chain, actor
from novate.model import custody, ledger
from novate.model.account import account_of
from novate.model.ledger import Config
from novate.model.novation import Trade
from novate.model.oracle import Observation
from novate.units import PPM, WAD
from novate.wire.order import SignedFill
from novate.wire.round import signed_round

TEST_CONTRACTS = Path(__file__).parents[1] / "contracts"


def round_call(core: Clearing, number: int, usd: int) -> bytes:
    """Calldata of a signed round with one bitcoin price, stamped now."""
    words = [Observation(0, usd * ORACLE_PER_USD, usd * ORACLE_PER_USD).pack()]
    keys = list(enumerate(NODE_KEYS))[:3]
    made = signed_round(core.domain, number, core.chain.timestamp - 10 + number % 10, words, keys)
    return core.oracle.abi.encode_call("post_round", *made.arguments())


def a_liquidatable_account_gives_nothing_away() -> None:
    core = Clearing(cash_usd=12_500)
    core.fund(ACCOMPLICE, 10**6)
    assert core.trade(BUYER, SELLER, 1000, 60_000) == "settled"
    core.walk(48_000)
    assert core.trade(ACCOMPLICE, BUYER, 500, 46_000) == "InsufficientMargin"
    assert core.trade(ACCOMPLICE, BUYER, 500, 48_000) == "settled"


def gains_mature_in_their_time() -> None:
    core = Clearing()
    core.trade(BUYER, SELLER, 1000, 60_000)
    core.price(61_000)
    core.sweep([BUYER, SELLER])
    core.trade(SELLER, BUYER, 1000, 61_000)
    for wait, refusal in ((0, "InsufficientCash"), (HOUR_S, "InsufficientCash"), (HOUR_S, None)):
        core.advance(wait)
        assert core.pay_out(BUYER, 100_500) == refusal


def a_random_history() -> None:
    """Trades, prices, sweeps and checks of contract and model side by side."""
    import random

    draw = random.Random(5)
    core = Clearing(cash_usd=20_000)
    accounts = sorted([BUYER, SELLER, LIQUIDATOR])
    usd = 60_000.0
    for _ in range(8):
        trades = []
        for _ in range(3):
            taker, maker = draw.sample(range(3), 2)
            price = int(usd) * WAD
            trades.append(Trade(taker, maker, 0, True, draw.randint(1, 300), price))
        core.batch(accounts, [BTC], trades)
        usd *= draw.uniform(0.99, 1.01)
        core.price(usd, seconds=draw.randint(1, 50), confidence=draw.choice([0, 500]))
        core.sweep(accounts)
        for account in accounts:
            core.check(account)
    core.compare(accounts)


def siblings_cannot_match() -> None:
    core = Clearing()
    core.fund(BUYER + 1, 1000)
    assert core.trade(BUYER, BUYER + 1, 1, 60_000) == "SelfMatch"


def a_new_rate_is_not_retroactive() -> None:
    core = Clearing()
    core.trade(BUYER, SELLER, 500, 60_000)
    core.price(60_000, seconds=50, btc_mark=60_300 * ORACLE_PER_USD)
    core.set_config(replace(Config(), funding_cap_ppb=0, funding_slope_ppb_s=1_000_000))
    core.compare([BUYER, SELLER])


def debt_bears_interest() -> None:
    core = Clearing()
    core.run("custody", "credit", ledger.credit, BUYER, WETH, 30 * 10**6)
    assert core.pay_out(BUYER, 100_000) is None
    assert core.trade(BUYER, SELLER, 1000, 60_000, fee_taker=1000 * WAD) == "settled"
    core.advance(DAY_S)
    assert core.health(BUYER).cash < -1000 * WAD


def the_office_keeps_the_books() -> None:
    """Fees shared out, and a layer's cash moved, on the Clearinghouse's own storage."""
    core = Clearing()
    assert core.trade(BUYER, SELLER, 1, 60_000, fee_taker=5 * WAD) == "settled"
    assert core.run("venue", "distribute_fees", ledger.distribute_fees) == 5 * WAD
    move = ("waterfall", "move_cash", ledger.move_cash, core.layer(2), BUYER)
    assert core.run(*move, WAD + 1) == "InsufficientCash"
    assert core.run(*move, WAD) is None
    core.compare([BUYER, core.layer(2), core.layer(4)])


def the_office_waits_its_turn() -> None:
    rogue = Rogue()
    source = bytes.fromhex(rogue.peer.address[2:]) + bytes(12)
    for outer in VALUING:
        assert rogue.during(outer, ("move_cash", source, source, 0)) == REFUSED


def an_outage_is_not_charged() -> None:
    core = Clearing()
    core.trade(BUYER, SELLER, 500, 60_000)
    core.advance(HOUR_S)
    core.check(BUYER)


def two_rounds_in_one_transaction() -> None:
    core = Clearing()
    twice = core.chain.deploy("TwoRounds", root=TEST_CONTRACTS)
    core.advance(10)
    call = round_call(core, core.round + 1, 61_000)
    twice.call("run", core.risk.address, pack_positions({BTC: 1}), core.oracle.address, call)
    assert twice.view("first")[0] < twice.view("second")[0]


def a_parameter_change_ramps() -> None:
    core = Clearing()
    core.advance(DAY_S)
    core.set_parameters(0, replace(PARAMETERS[0], psr_target=165_000))
    core.evaluate({BTC: 1000})


def one_round_a_transaction() -> None:
    core = Clearing()
    poster = core.chain.deploy("RoundPoster", root=TEST_CONTRACTS)
    core.advance(20)
    while core.round % 10:
        core.round += 1  # so that the two stamps rise
    calls = [round_call(core, core.round + n, 60_000) for n in (1, 2)]
    refusal = name_of_refusal(poster, "twice", core.oracle.address, *calls, sender=STRANGER)
    assert refusal == "RoundAlreadyPosted"


def prices_keep_their_bound() -> None:
    core = Clearing()
    core.price(70_000)
    assert core.oracle.view("feed", 0) == core.world.oracle.feeds[0].pack()


def funded_venue() -> Venue:
    """A long of one bitcoin with 12,000 USD, its other side and a liquidator; no grace."""
    venue = Venue()
    prices(venue, 60_000, 5)
    for account, usd in ((BUYER, 12_000), (SELLER, 50_000), (LIQUIDATOR, 50_000)):
        venue.deposit(account, venue.usd, usd * DOLLAR)
    assert venue.trade(BUYER, SELLER, BTC, 1000, 60_000) == 1
    return venue


def prices(venue: Venue, usd: int, count: int) -> None:
    """Rounds twenty seconds apart."""
    for _ in range(count):
        venue.advance(20)
        venue.post(usd * ORACLE_PER_USD, 3_000 * ORACLE_PER_USD)


def withdrawals_wait() -> None:
    venue = funded_venue()
    token = venue.usd.address.lower()
    owner = actor("seller")
    request = ("request_withdrawal", custody.request_withdrawal, SELLER, token, 1_000 * DOLLAR)
    assert venue.act(venue.custody, owner, *request) is True
    assert venue.act(venue.custody, STRANGER, "withdraw", custody.withdraw, SELLER, token) is None
    prices(venue, 60_000, 4)
    assert venue.act(venue.custody, STRANGER, "withdraw", custody.withdraw, SELLER, token) is True
    venue.compare_all([SELLER])


def no_bid_in_the_block_of_the_start() -> None:
    venue = funded_venue()
    for usd in (57_500, 55_000):
        prices(venue, usd, 2)
    assert venue.start(BUYER) is True
    assert venue.bid(BUYER, LIQUIDATOR, PPM) is None


def an_auction() -> None:
    """Start, quote and bid; the sheet covers all claims exactly."""
    venue = funded_venue()
    for usd in (57_500, 55_000):
        prices(venue, usd, 2)
    assert venue.start(BUYER) is True
    prices(venue, 55_000, 1)
    venue.quote(BUYER)
    assert venue.bid(BUYER, LIQUIDATOR, PPM // 10) is True
    accounts = [BUYER, SELLER, LIQUIDATOR]
    venue.compare_all(accounts)
    assert 0 <= venue.gap(accounts) < 10**6


def an_insolvency() -> None:
    """The layers pay in order: first loss, then insurance."""
    venue = funded_venue()
    layers = [account_of(venue.address["waterfall"], number) for number in (1, 2)]
    for layer in layers:
        venue.deposit(layer, venue.usd, 1_500 * DOLLAR)
    for usd in (57_500, 55_000, 52_500, 50_000, 48_000, 46_000):
        prices(venue, usd, 1)
    assert venue.start(BUYER) is True
    prices(venue, 46_000, 1)
    assert venue.bid(BUYER, LIQUIDATOR, PPM) is True
    venue.compare_all([BUYER, LIQUIDATOR])
    assert venue.waterfall.view("layers")[0] == 0 < venue.waterfall.view("layers")[1]


def governance_waits() -> None:
    chain = Chain()
    governor = actor("governor")
    timelock = chain.deploy("Timelock", governor, actor("guardian"), 3_600, 86_400)
    data = timelock.abi.encode_call("set_governor", actor("thief"))
    timelock.call("schedule", timelock.address, data, bytes(32), sender=governor)
    chain.advance(3_599)
    arguments = (timelock.address, data, bytes(32))
    assert name_of_refusal(timelock, "execute", *arguments, sender=STRANGER) == "NotYet"
    chain.advance(1)
    assert name_of_refusal(timelock, "execute", *arguments, sender=STRANGER) is None


def an_order_fills_once() -> None:
    desk = Desk()
    fill = desk.pair(lots=6)
    assert desk.settle(fill) == 1
    assert desk.settle(fill) == 0
    assert desk.codes() == {0: "OverFilled"}


def limits_hold() -> None:
    desk = Desk()
    cheap = desk.pair(price=PRICE - 10**18)
    assert desk.settle(cheap) == 0
    assert desk.codes() == {0: "LimitPrice"}


def a_tree_binds_only_its_owner() -> None:
    desk = Desk()
    orders = [desk.order("maker", -10, nonce=n) for n in range(2)]
    taker = desk.signed("taker", 10)
    for signer, settled in (("thief", 0), ("maker", 1)):
        maker = desk.signed_in_bulk(*orders, signer=signer)[0]
        assert desk.settle(SignedFill(taker, maker, 5, PRICE)) == settled
