"""Vertex (published code): the signature check was commented out, the health check returned true.

Source: RULES.md, incidents. What must hold: no test or deployment mode disables a check. Shown
without reading sources: on contracts compiled exactly as they are deployed, each check refuses what
it is there for, and no function or constructor takes a switch.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.clearing import BUYER, LIQUIDATOR, SELLER, Clearing, name_of_refusal
from support.core import NODE_KEYS, ORACLE_PER_USD, trader, word

from novate.chain.compile import CONTRACTS, compile_contract
from novate.chain.deployment import CONTRACT_OF
from novate.chain.harness import actor
from novate.model import ledger
from novate.model.oracle import Observation
from novate.units import PPM
from novate.wire.round import signed_round

POOR = trader("poor trader")
STRANGER = actor("stranger")


def round_by(core: Clearing, signers: list[int], forge: bool = False) -> str | None:
    """The outcome of a round signed by these nodes, or one whose price was changed after
    signing.
    """
    words = [Observation(0, 60_000 * ORACLE_PER_USD, 60_000 * ORACLE_PER_USD).pack()]
    keys = [(i, NODE_KEYS[i]) for i in signers]
    made = signed_round(core.domain, core.round + 1, core.chain.timestamp, words, keys)
    number, timestamp, observations, nodes, signatures = made.arguments()
    if forge:
        observations = [Observation(0, 1, 1).pack()]
    arguments = (number, timestamp, observations, nodes, signatures)
    return name_of_refusal(core.oracle, "post_round", *arguments, sender=STRANGER)


def unsigned(core: Clearing) -> str | None:
    core.advance(1)
    return round_by(core, [])


def forged(core: Clearing) -> str | None:
    core.advance(1)
    return round_by(core, [0, 1, 2], forge=True)


def too_few(core: Clearing) -> str | None:
    core.advance(1)
    return round_by(core, [0, 1])


def unfunded_trade(core: Clearing) -> str | None:
    return core.trade(POOR, SELLER, 1, 60_000)


def unfunded_maker(core: Clearing) -> str | None:
    return core.trade(SELLER, POOR, 1, 60_000)


def one_lot_too_many(core: Clearing) -> str | None:
    """8,888 lots are the most for 100,000 USD at 18.75 %."""
    assert core.trade(BUYER, SELLER, 8_888, 60_000) == "settled"
    return core.trade(BUYER, LIQUIDATOR, 1, 60_000)


def one_dollar_too_many(core: Clearing) -> str | None:
    found: str | None = core.pay_out(BUYER, 100_001)
    return found


def foreign_venue(core: Clearing) -> str | None:
    return name_of_refusal(core.clearinghouse, "novate", [], [], [], sender=STRANGER)


def foreign_custody(core: Clearing) -> str | None:
    return name_of_refusal(core.clearinghouse, "credit", word(BUYER), 0, 1, sender=STRANGER)


def poor_bidder(core: Clearing) -> str | None:
    core.trade(BUYER, SELLER, 1_000, 60_000)
    slice_of_all = (BUYER, POOR, PPM, 0, 0)
    found: str | None = core.run(
        "auctioneer", "transfer_slice", ledger.transfer_slice, *slice_of_all
    )
    return found


DEPLOYED = sorted(path.stem for path in CONTRACTS.glob("[A-Z]*.vy"))
CHECKS: list[tuple[Callable[[Clearing], str | None], str]] = [
    (unsigned, "QuorumNotReached"),
    (too_few, "QuorumNotReached"),
    (forged, "BadSignature"),
    (unfunded_trade, "InsufficientMargin"),
    (unfunded_maker, "InsufficientMargin"),
    (one_lot_too_many, "InsufficientMargin"),
    (one_dollar_too_many, "InsufficientCash"),
    (foreign_venue, "NotVenue"),
    (foreign_custody, "NotAuthorized"),
    (poor_bidder, "InsufficientMargin"),
]


@pytest.mark.parametrize(("attempt", "refusal"), CHECKS)
def test_every_check_refuses(attempt: Callable[[Clearing], str | None], refusal: str) -> None:
    core = Clearing()
    assert attempt(core) == refusal
    core.compare([BUYER, SELLER])


def test_what_the_checks_let_through_passes() -> None:
    """The same calls done right: a check that refuses everything would be none either."""
    core = Clearing()
    core.advance(1)
    assert round_by(core, [0, 1, 2]) is None
    assert core.trade(BUYER, SELLER, 1, 60_000) == "settled"
    assert core.pay_out(LIQUIDATOR, 100_000) is None


@pytest.mark.parametrize("name", DEPLOYED)
def test_no_constructor_takes_a_switch_and_only_these_functions_take_a_flag(name: str) -> None:
    """The only booleans that come in from outside: approve a venue or an executor, flag an auction,
    keep the sums of a valuation for the rest of the transaction. What a pure function is told (a
    call or a put) changes nothing.
    """
    allowed = {
        ("set_venue", "approved"),
        ("set_executor", "approved"),
        ("set_in_auction", "enabled"),
        ("evaluate", "keep"),
    }
    found = {
        (entry.get("name", "constructor"), item["name"])
        for entry in compile_contract(name).abi
        if entry["type"] in ("function", "constructor") and entry["stateMutability"] != "pure"
        for item in entry["inputs"]
        if item["type"] == "bool"
    }
    assert found <= allowed


def test_every_deployable_is_looked_at() -> None:
    assert set(DEPLOYED) >= set(CONTRACT_OF.values())
