"""Words that carry several numbers at once: sums of lots in 64-bit lanes, variation beside fees,
owners as bytes, order states with marks. Numbers at the ends of their fields spill nowhere, and
bits that nobody signed count for nothing.
"""

from __future__ import annotations

import random
from collections import Counter

import pytest
from support.clearing import known_errors
from support.core import Core, word
from support.exchange import Desk, address_of

from novate.chain.harness import CallReverted, actor
from novate.model import ledger
from novate.model.account import account_of
from novate.model.instrument import PERP, Terms
from novate.model.novation import Trade
from novate.model.order import IMMEDIATE
from novate.units import WAD
from novate.wire.order import SignedFill, pack

LOTS_MAX = 2**43 - 1
FEE_MAX = 2**88 - 1
PERPS = list(range(10, 26))
USD_OF_FEED = {0: 60_000, 1: 3_000}
# eleven owners, three accounts each: neighbours in the batch are often siblings
ACCOUNTS = sorted(account_of(actor(f"owner {i}"), n) for i in range(11) for n in range(3))[:32]
HEIGHT = range(153, 157)  # of the tree that an order is in
UNSIGNED = (2**26 - 1) << 157


def crowd(cash_usd: int) -> Core:
    """Thirty-two funded accounts and sixteen perps of lots from 1e10 to 1e15 wei."""
    core = Core()
    for _ in range(6):
        core.advance(50)
        core.post(60_000 * 10**10, 3_000 * 10**10)
    for i, instrument in enumerate(PERPS):
        exponent = (10, 12, 15)[i % 3]
        feed = 0 if i % 3 == 0 else 1
        tick = 10 ** (18 - exponent)
        terms = Terms(10**exponent, tick, LOTS_MAX, LOTS_MAX, feed, feed, PERP)
        packed = (instrument, terms.pack())
        core.both(
            "timelock", "list_instrument", packed, ledger.list_instrument, (instrument, terms)
        )
    for account in ACCOUNTS:
        core.credit(account, 0, cash_usd * WAD)
    return core


def any_trade(core: Core, rng: random.Random, accounts: list[int], listed: list[int]) -> Trade:
    """A trade with lots, price and fees at the ends of their ranges."""
    taker, maker = rng.sample(range(len(accounts)), 2)
    at = rng.randrange(len(listed))
    usd = USD_OF_FEED[core.world.ledger.terms[listed[at]].feed]
    price = usd * WAD * rng.choice((95, 100, 100, 105, 106)) // 100 + rng.choice((0, 0, 0, 1))
    most = rng.choice((10, 10**9, 2**44))
    return Trade(
        taker,
        maker,
        at,
        rng.random() < 0.5,
        rng.choice((1, rng.randrange(most), most - 1)),
        price,
        rng.choice((0, 1, FEE_MAX)),
        rng.choice((0, 7, FEE_MAX)),
        rng.random() < 0.1,
        rng.random() < 0.1,
    )


def compare(core: Core) -> None:
    """Accounts and markets of both sides, and that every perp nets to zero."""
    core.compare(ACCOUNTS)
    held = [dict(core.world.ledger.accounts[account].positions) for account in ACCOUNTS]
    for perp in PERPS:
        terms, market = core.world.ledger.terms[perp], core.world.ledger.markets[perp]
        assert core.clearinghouse.view("market", perp)[1] == market.pack(terms)
        lots = [positions.get(perp, 0) for positions in held]
        assert (sum(lots), sum(max(n, 0) for n in lots)) == (0, market.open_interest)


@pytest.mark.parametrize("cash_usd", [10**6, 10**10, 10**13])
def test_batches_at_the_ends_of_all_fields_match_the_model(cash_usd: int) -> None:
    core, rng, codes = crowd(cash_usd), random.Random(cash_usd), Counter[bytes]()
    for _ in range(20):
        accounts = sorted(rng.sample(ACCOUNTS, rng.choice((4, 32))))
        listed = sorted(rng.sample([3, *PERPS, 4_000], rng.choice((2, 16))))
        size = rng.choice((5, 40, 100))
        made = [any_trade(core, rng, accounts, listed) for _ in range(size)]
        core.novate(accounts, listed, made)
        codes.update(e.arguments["code"] for e in core.chain.events() if e.name == "TradeSkipped")
        compare(core)
        capped = (rng.choice(PERPS), rng.choice((0, 1_000, LOTS_MAX)), LOTS_MAX)
        core.both("timelock", "set_caps", capped, ledger.set_caps, capped)
        core.advance(40)
        core.post(60_000 * 10**10, 3_000 * 10**10, 60_500 * 10**10)
    names = {e.name for e in known_errors() if e.selector.to_bytes(4, "big") in codes}
    assert names >= {"PriceOutOfBand", "SelfMatch", "OffTick", "UnknownInstrument"}


def test_a_hundred_of_the_largest_fees_are_all_collected() -> None:
    """Fees sit above the variation in one word; here one side loses and both pay the most."""
    core = crowd(10**13)
    pair = [ACCOUNTS[0], ACCOUNTS[-1]]
    trades = [
        Trade(0, 1, i % 16, i % 2 == 0, 10**6, usd * WAD * 105 // 100, FEE_MAX, FEE_MAX)
        for i in range(100)
        for usd in (USD_OF_FEED[core.world.ledger.terms[PERPS[i % 16]].feed],)
    ]
    assert core.novate(pair, PERPS, trades) == 2**100 - 1
    compare(core)
    assert core.world.ledger.pot.fees == 200 * FEE_MAX


@pytest.mark.parametrize(
    "position", [0, 8, 16], ids=["taker's index", "maker's index", "instrument's index"]
)
@pytest.mark.parametrize("beyond", [2, 31, 32, 64, 255])
def test_an_index_beyond_its_list_moves_nothing(position: int, beyond: int) -> None:
    """Lots of account a and instrument k stand at 4 a + k // 4: no index reaches another's."""
    core = crowd(10**6)
    trade, fees = Trade(0, 1, 0, True, 10, 60_000 * WAD).words()
    bent = trade & ~(255 << position) | beyond << position
    pair = [word(ACCOUNTS[0]), word(ACCOUNTS[-1])]
    venue, before = core.address["venue"], core.clearinghouse.view("account", pair[0])
    try:
        given = (pair, PERPS[:2], [[bent, fees]])
        assert core.clearinghouse.call("novate", *given, sender=venue) == 0
        assert position == 16
        assert core.chain.events()[-1].name == "TradeSkipped"
    except CallReverted:
        assert position != 16 or beyond >= 16
    assert core.clearinghouse.view("account", pair[0]) == before


@pytest.mark.parametrize("bit", [88, 127, 216, 255])
def test_a_fee_of_more_than_88_bits_is_not_taken(bit: int) -> None:
    core = crowd(10**6)
    trade = Trade(0, 1, 0, True, 10, 60_000 * WAD).words()[0]
    pair = [word(ACCOUNTS[0]), word(ACCOUNTS[-1])]
    given = (pair, PERPS[:1], [[trade, 1 << bit]])
    with pytest.raises(CallReverted):
        core.clearinghouse.call("novate", *given, sender=core.address["venue"])


Outcome = tuple[int, dict[int, str], list[object], list[object]]


def outcome(desk: Desk, fills: list[SignedFill], forged: int, above_price: int = 0) -> Outcome:
    """What an engine's batch comes to that sets bits of its words that nobody signed: the bitmap,
    the codes, the logs, and what is booked.
    """
    batch = pack(fills)
    orders = [[first | forged, *rest] for first, *rest in batch.orders]
    words = [fill | above_price << 188 for fill in batch.fills]
    given = (b"", batch.accounts, batch.instruments, orders, words, desk.sequence, batch.blobs)
    checkpoint = desk.chain.evm.snapshot()
    bitmap = desk.exchange.call("settle", *given, sender=address_of("engine"))
    codes = desk.codes()
    logs: list[object] = [(e.name, str(e.arguments)) for e in desk.chain.events()]
    booked: list[object] = [
        desk.exchange.view("order_state", account, nonce)
        for account in batch.accounts
        for nonce in range(1, 4)
    ]
    booked += desk.trades()
    desk.chain.evm.revert(checkpoint)
    return bitmap, codes, logs, booked


def test_bits_of_an_order_that_nobody_signed_count_for_nothing() -> None:
    """Some of them are, in an order's state, the marks admitted, counted, keyed and traded."""
    desk = Desk()
    maker = desk.signed("maker", -10)
    thief = desk.signed("thief", 5, signer="stranger", nonce=3)
    spent = desk.signed("taker", 5, nonce=1, flags=IMMEDIATE)
    late = desk.signed("taker", 5, nonce=2, expiry=desk.now - 1)
    price = maker.order.price
    desk.settle(SignedFill(spent, maker, 5, price))
    fills = [SignedFill(taker, maker, 2, price) for taker in (spent, late, thief)]
    fills.append(SignedFill(desk.signed("taker", 5, nonce=3), maker, 5, price))
    plain = outcome(desk, fills, 0)
    assert plain[:2] == (0b1000, {0: "NonceUsed", 1: "OrderExpired", 2: "BadSignature"})
    assert outcome(desk, fills, UNSIGNED) == plain
    for bit in range(HEIGHT.stop, 183):
        assert outcome(desk, fills, 1 << bit) == plain, bit
    for bit in HEIGHT:  # the order is said to be in a tree, and no blob has its signature
        with pytest.raises(CallReverted):
            outcome(desk, fills, 1 << bit)


@pytest.mark.parametrize("above_price", [1, 2**67])
def test_a_price_beyond_its_field_is_beyond_every_limit(above_price: int) -> None:
    desk = Desk()
    assert outcome(desk, [desk.pair(5)], 0, above_price)[:2] == (0, {0: "LimitPrice"})
