"""Rule 6: nobody chooses among valid prices: one round a transaction, older ones ignored, no act on
an older round's arrays.

Source: RULES.md, rule 6: a wrapper that settles, posts a round and withdraws on old arrays.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from support.clearing import BUYER, SELLER, Clearing, name_of_refusal
from support.core import BTC, NODE_KEYS, ORACLE_PER_USD, word

from novate.chain.harness import Contract, actor
from novate.model.novation import Trade
from novate.model.oracle import Feed, Observation
from novate.units import WAD
from novate.wire.round import signed_round

CONTRACTS = Path(__file__).parents[1] / "contracts"


def round_call(core: Clearing, number: int, usd: int, timestamp: int) -> bytes:
    """Calldata of a signed round of both prices."""
    btc, eth = usd * ORACLE_PER_USD, 3_000 * ORACLE_PER_USD
    words = [Observation(0, btc, btc).pack(), Observation(1, eth, eth).pack()]
    signers = list(enumerate(NODE_KEYS))[:3]
    made = signed_round(core.domain, number, timestamp, words, signers)
    return core.oracle.abi.encode_call("post_round", *made.arguments())


@pytest.fixture
def core() -> Clearing:
    made = Clearing()
    made.advance(20)
    return made


@pytest.fixture
def wrapper(core: Clearing) -> Contract:
    """A contract that is venue and custody at once."""
    made = core.chain.deploy("Wrapper", root=CONTRACTS)
    peers = [
        core.risk.address,
        made.address,
        *(core.address[r] for r in ("auctioneer", "waterfall")),
    ]
    others = core.address["guardian"], core.address["options"]
    core.by("timelock", core.clearinghouse, "set_peers", *peers, *others)
    core.by("timelock", core.clearinghouse, "set_venue", made.address, True)
    return made


def settle_then(core: Clearing, wrapper: Contract, *rounds: bytes) -> str | None:
    """In one transaction: buy a bitcoin, post rounds, withdraw."""
    pair = sorted([BUYER, SELLER])
    trade = Trade(pair.index(BUYER), pair.index(SELLER), 0, True, 1000, 60_000 * WAD)
    encode = core.clearinghouse.abi.encode_call
    novate = encode("novate", [word(a) for a in pair], [BTC], [list(trade.words())])
    debit = encode("debit", word(BUYER), 0, (100_000 - 11_250) * WAD)
    ledger = core.clearinghouse.address
    targets = [ledger, *(core.oracle.address for _ in rounds), ledger]
    calls = [novate, *rounds, debit]
    return name_of_refusal(wrapper, "run", targets, calls, sender=actor("attacker"))


def test_what_may_leave_at_the_round_in_force_leaves(core: Clearing, wrapper: Contract) -> None:
    assert settle_then(core, wrapper) is None


def test_a_round_in_between_is_what_the_withdrawal_is_judged_by(
    core: Clearing, wrapper: Contract
) -> None:
    now = core.chain.timestamp
    lower = round_call(core, core.round + 1, 59_900, now)
    assert settle_then(core, wrapper, lower) == "InsufficientMargin"


def test_two_rounds_in_one_transaction_are_refused(core: Clearing, wrapper: Contract) -> None:
    now = core.chain.timestamp
    up = round_call(core, core.round + 1, 60_500, now - 5)
    down = round_call(core, core.round + 2, 59_900, now)
    assert settle_then(core, wrapper, up, down) == "RoundAlreadyPosted"


def test_an_older_round_is_ignored_and_changes_no_price(core: Clearing, wrapper: Contract) -> None:
    """Kept back to be shown when it suits: the newest posted one wins."""
    older = round_call(core, core.round + 1, 62_900, core.chain.timestamp)
    core.round += 1
    core.price(60_000)
    before = core.health(BUYER)
    assert settle_then(core, wrapper, older) is None
    assert Feed.unpack(core.oracle.view("feed", 0)).index == 60_000 * ORACLE_PER_USD
    assert before.equity == 100_000 * WAD
