"""A portfolio is never priced by two surfaces at once.

Rows of options are kept for a transaction, and anyone may fill them, and anyone may post the next
signed surface. Who prices the long leg of a spread by the old surface, posts one of a lower
volatility and then withdraws, must not have the short leg alone made cheaper.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from support.clearing import BUYER, SELLER, name_of_refusal, pack_positions
from support.core import NODE_KEYS, word
from support.expiries import BITCOIN, Dated
from support.surfaces import surface_of

from novate.chain.harness import CallReverted, Contract, actor
from novate.units import WAD
from novate.wire import surfaces as wire

CONTRACTS = Path(__file__).parents[1] / "contracts"
LOTS = 2_000


@pytest.fixture
def core() -> Dated:
    return Dated(1_000_000, days=(1, 60))


@pytest.fixture
def spread(core: Dated) -> tuple[int, int]:
    """The buyer is long a call and short the next one."""
    slot, ids = core.list_all(BITCOIN, 1, (60_000, 60_500))
    core.refresh(BITCOIN, slot)
    for account, other, id in ((BUYER, SELLER, ids[0]), (SELLER, BUYER, ids[2])):
        price = int(core.risk.view("quoted", id)[0] // WAD)
        assert core.trade(account, other, LOTS, price, id) == "settled"
    core.fresh(40)
    core.fresh(40)  # what is stored is too old
    return ids[0], ids[2]


@pytest.fixture
def wrapper(core: Dated) -> Contract:
    """A contract that is custody: what it may debit may leave."""
    made = core.chain.deploy("Wrapper", root=CONTRACTS)
    names = "auctioneer", "waterfall", "guardian", "options"
    peers = [core.risk.address, made.address, *(core.address[name] for name in names)]
    core.by("timelock", core.clearinghouse, "set_peers", *peers)
    core.advance(20)
    return made


def next_surface(core: Dated, percent: int) -> bytes:
    """Calldata of a signed surface of another volatility."""
    at = core.chain.timestamp
    words = surface_of(core.active(), at, percent)
    keys = list(enumerate(NODE_KEYS))[:3]
    number = core.surface_round + 1
    made = wire.signed_surfaces(core.surfaces_domain, number, at, BITCOIN, words, keys)
    return core.surfaces.abi.encode_call("post_surfaces", *made.arguments())


def free(core: Dated) -> int:
    """What the buyer may withdraw now."""
    found = core.clearinghouse.call("check", word(BUYER))
    equity, valuation = found[0], found[4]
    return int(equity - valuation[4] - valuation[3])


@pytest.mark.parametrize("percent", [57, 63])
@pytest.mark.parametrize("leg", [0, 1])
def test_two_legs_by_two_surfaces_release_nothing(
    core: Dated, spread: tuple[int, int], wrapper: Contract, percent: int, leg: int
) -> None:
    surface = next_surface(core, percent)
    evm, thief = core.chain.evm, actor("attacker")
    start = evm.snapshot()
    by_old = free(core)
    alone = [core.surfaces.address], [surface]
    assert name_of_refusal(wrapper, "run", *alone, sender=thief) is None
    by_new = free(core)
    evm.revert(start)
    prime = core.risk.abi.encode_call("evaluate", pack_positions({spread[leg]: 1}), False)
    targets = [core.risk.address, core.surfaces.address, core.clearinghouse.address]

    def debit(amount: int) -> bytes:
        return core.clearinghouse.abi.encode_call("debit", word(BUYER), 0, amount)

    calls = [prime, surface, debit(max(by_old, by_new) + 10 * WAD)]
    with pytest.raises(CallReverted):
        wrapper.call("run", targets, calls, sender=thief)
    # who had nothing priced before it is judged by the new surface, whatever the old one said
    calls[2] = debit(by_new + 10 * WAD)
    refusal = name_of_refusal(wrapper, "run", targets[1:], calls[1:], sender=thief)
    assert refusal == "InsufficientMargin"
    calls[2] = debit(by_new - 10 * WAD)
    assert name_of_refusal(wrapper, "run", targets[1:], calls[1:], sender=thief) is None


def test_a_whole_portfolio_priced_before_stays_priced_by_one_surface(
    core: Dated, spread: tuple[int, int], wrapper: Contract
) -> None:
    """As if the withdrawal had come first, which anyone may have it."""
    surface, thief = next_surface(core, 57), actor("attacker")
    most = free(core)
    words = pack_positions({spread[0]: 1, spread[1]: 1})
    prime = core.risk.abi.encode_call("evaluate", words, False)
    targets = [core.risk.address, core.surfaces.address, core.clearinghouse.address]
    for amount, expected in ((most + 10 * WAD, "InsufficientMargin"), (most - 10 * WAD, None)):
        debit = core.clearinghouse.abi.encode_call("debit", word(BUYER), 0, amount)
        calls = [prime, surface, debit]
        assert name_of_refusal(wrapper, "run", targets, calls, sender=thief) == expected
