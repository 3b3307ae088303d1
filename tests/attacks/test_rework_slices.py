"""A bidder who holds nothing is taken at the sum of what both hold afterwards, without a valuation
before: money, lots and open interest come out to the wei as for any other bidder.
"""

from __future__ import annotations

import random
from collections import Counter

import pytest
from support.core import ETH, WETH, Core, word

from novate.chain.harness import actor
from novate.model import account as accounts_module
from novate.model import ledger
from novate.model.account import account_of
from novate.model.instrument import PERP, SPOT, Terms
from novate.model.novation import Trade
from novate.units import WAD

LOTS_MAX = 2**43 - 1
BITS_OF_BITCOIN = 40
PERPS = list(range(10, 19))
HOLDERS = sorted(account_of(actor(f"holder {i}"), 0) for i in range(4))
EMPTY = sorted(account_of(actor(f"newcomer {i}"), 0) for i in range(16))
ALL = HOLDERS + EMPTY


def market() -> Core:
    """Nine perps, two kinds of collateral, four who hold some and four who hold nothing."""
    core = Core()
    for _ in range(6):
        core.advance(50)
        core.post(60_000 * 10**10, 3_000 * 10**10)
    listed = {BITS_OF_BITCOIN: Terms(10**10, 10**8, LOTS_MAX, LOTS_MAX, 0, 0, SPOT)}
    for i, perp in enumerate(PERPS):
        exponent = (10, 13, 15)[i % 3]
        listed[perp] = Terms(10**exponent, 10**14, LOTS_MAX, LOTS_MAX, i % 2, i % 2, PERP)
    for instrument, terms in listed.items():
        packed = (instrument, terms.pack())
        core.both(
            "timelock", "list_instrument", packed, ledger.list_instrument, (instrument, terms)
        )
    for account in ALL:
        core.credit(account, 0, 10**12 * WAD)
    return core


def trade(core: Core, rng: random.Random) -> None:
    """A batch of the holders in all perps."""
    made = []
    for _ in range(30):
        taker, maker = rng.sample(range(len(HOLDERS)), 2)
        at = rng.randrange(len(PERPS))
        usd = 60_000 if core.world.ledger.terms[PERPS[at]].feed == 0 else 3_000
        lots = rng.choice((1, 2, 3, rng.randrange(1, 10**6)))
        made.append(Trade(taker, maker, at, rng.random() < 0.5, lots, usd * WAD))
    core.novate(HOLDERS, PERPS, made)


def transfer(core: Core, account: int, bidder: int, fraction: int, fee: int) -> str:
    """A slice on both sides; ``taken`` or the name of the refusal."""
    given = (account, bidder, fraction, 10**18 + 1, fee)
    packed = (word(account), word(bidder), *given[2:])
    core.both("auctioneer", "transfer_slice", packed, ledger.transfer_slice, given)
    return "taken" if core.refusal is None else core.refusal.name


def worth(core: Core) -> int:
    """All claims: equity of everybody, insurance and the fees (wad)."""
    insurance = account_of(core.address["waterfall"], 2)
    total = sum(ledger.check(core.world, account).equity for account in [*ALL, insurance])
    return int(total + core.world.ledger.pot.fees)


def compare(core: Core) -> None:
    """Both sides agree, perps net to zero and open interest is what is held long."""
    core.compare(ALL)
    held = [dict(core.world.ledger.accounts[account].positions) for account in ALL]
    for instrument in [*PERPS, BITS_OF_BITCOIN, WETH, ETH]:
        terms, found = core.world.ledger.terms[instrument], core.world.ledger.markets[instrument]
        assert core.clearinghouse.view("market", instrument)[1] == found.pack(terms)
        lots = [positions.get(instrument, 0) for positions in held]
        assert found.open_interest == sum(max(n, 0) for n in lots)
        assert terms.kind != PERP or sum(lots) == 0


@pytest.mark.parametrize("seed", range(4))
def test_slices_to_newcomers_and_holders_match_the_model_and_keep_all_money(seed: int) -> None:
    core, rng, outcomes = market(), random.Random(seed), Counter[tuple[str, bool]]()
    for account in HOLDERS:
        core.credit(account, WETH, rng.randrange(1, 10**6))
        core.credit(account, BITS_OF_BITCOIN, rng.randrange(1, 10**9))
    for _ in range(8):
        trade(core, rng)
        core.advance(rng.choice((1, 40, 55)))
        bitcoin = 60_000 * 10**10 + rng.randrange(10**12)
        core.post(bitcoin, 3_000 * 10**10 - rng.randrange(10**11), bitcoin + 10**11)
        for _ in range(4):
            account, bidder = rng.sample(HOLDERS, 2)
            if rng.random() < 0.5:
                bidder = rng.choice(EMPTY)
            fraction = rng.choice((1, 333_333, 999_999, 1_000_000, rng.randrange(1, 10**6)))
            new = not core.world.ledger.accounts[bidder].positions
            before = worth(core)
            outcomes[transfer(core, account, bidder, fraction, rng.choice((0, 10**17))), new] += 1
            # a gain's value is floored to 1e-6 USD and the rest is cash: nothing is lost
            assert worth(core) == before
        compare(core)
    assert min(outcomes["taken", True], outcomes["taken", False]) >= 3


def test_a_newcomer_gets_what_a_holder_of_something_else_gets() -> None:
    """The same slice, with and without the valuation before."""
    found = []
    for other_first in (False, True):
        core, rng = market(), random.Random(9)
        trade(core, rng)
        newcomer = EMPTY[0]
        if other_first:
            core.credit(newcomer, WETH, 1)
        core.advance(10)
        core.post(59_993 * 10**10 + 3, 3_000 * 10**10 + 1)
        assert transfer(core, HOLDERS[0], newcomer, 333_333, 10**17) == "taken"
        rows = [core.world.ledger.accounts[a] for a in (HOLDERS[0], newcomer)]
        gains = [accounts_module.gains(core.world, row) for row in rows]
        lots = [n for n in rows[1].positions if n[0] != WETH]
        found.append((rows[0], rows[1].cash, rows[1].variation, lots, gains))
        compare(core)
    assert found[0] == found[1]
