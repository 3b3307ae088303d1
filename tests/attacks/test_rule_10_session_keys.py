"""Rule 10: a session key does what its scope says, as long and as much as it says, and no more.

Source: the 3Commas leak of API keys (2022-12-28): keys held by a third party traded their owners'
accounts off-market against the thief; a loss budget bounds what such fills can take.
"""

from __future__ import annotations

from typing import Any

import pytest

from novate import errors
from novate.chain.harness import actor
from novate.errors import Rejected
from novate.model.order import POST_ONLY
from novate.units import WAD
from novate.wire.order import SignedFill
from tests.support.exchange import BTC, ETH, PRICE, Desk, account_of, address_of, as_bytes

TRADE, QUOTE, CANCEL = 1, 2, 4
PLENTY = 10**12
LOT_CENTS = 60 * 100


@pytest.fixture
def desk() -> Desk:
    return Desk()


def grant(desk: Desk, scope: int = TRADE, **limits: Any) -> None:
    """Let ``helper`` sign for the maker."""
    chosen = {"expiry": desk.now + 3_600, "underlyings": 0, "notional": PLENTY, "loss": PLENTY}
    chosen |= limits
    words = chosen["expiry"], scope, chosen["underlyings"], chosen["notional"], chosen["loss"]
    key = as_bytes(account_of("maker")), address_of("helper")
    desk.exchange.call("set_session_key", *key, *words, sender=address_of("maker"))


def helped(desk: Desk, lots: int = 1, price: int = PRICE, **fields: Any) -> SignedFill:
    """The maker's order signed by ``helper``, taken by somebody at ``price``."""
    fields = {"price": price, **fields}
    maker = desk.signed("maker", -100, signer="helper", **fields)
    taken = {k: v for k, v in fields.items() if k == "instrument"}
    return SignedFill(desk.signed("taker", 100, price=2 * PRICE, **taken), maker, lots, price)


def outcome(desk: Desk, fill: SignedFill) -> str:
    return "settled" if desk.settle(fill) else desk.codes()[0]


def left(desk: Desk) -> tuple[int, int]:
    """Notional and loss the key may still spend, in cents."""
    word = desk.exchange.view("session_key", as_bytes(account_of("maker")), address_of("helper"))
    return word >> 64 & (2**64 - 1), word >> 128 & (2**64 - 1)


def test_a_key_nobody_set_signs_nothing(desk: Desk) -> None:
    assert outcome(desk, helped(desk)) == "BadSignature"


def test_a_key_signs_only_for_the_account_it_was_set_for(desk: Desk) -> None:
    grant(desk)
    maker = desk.signed("maker", -10, signer="helper", account=account_of("maker", 1))
    fill = SignedFill(desk.signed("taker", 10), maker, 1, PRICE)
    assert outcome(desk, fill) == "BadSignature"


def test_a_key_is_dead_after_its_expiry(desk: Desk) -> None:
    grant(desk, expiry=desk.now + 10)
    fill = helped(desk)
    desk.chain.advance(10)
    assert outcome(desk, fill) == "settled"
    desk.chain.advance(1)
    assert outcome(desk, fill) == "BadSignature"


@pytest.mark.parametrize(
    ("scope", "flags", "expected"),
    [
        (TRADE, 0, "settled"),
        (TRADE, POST_ONLY, "settled"),
        (QUOTE, POST_ONLY, "settled"),
        (QUOTE, 0, "SessionKeyScope"),
        (CANCEL, POST_ONLY, "SessionKeyScope"),
    ],
)
def test_scope_decides_what_is_signed(desk: Desk, scope: int, flags: int, expected: str) -> None:
    grant(desk, scope)
    assert outcome(desk, helped(desk, flags=flags)) == expected


def test_underlyings_outside_the_mask_are_refused(desk: Desk) -> None:
    grant(desk, underlyings=0b10)
    assert outcome(desk, helped(desk)) == "SessionKeyScope"
    assert outcome(desk, helped(desk, instrument=ETH, nonce=2)) == "settled"


def test_the_notional_budget_ends_to_the_cent(desk: Desk) -> None:
    grant(desk, notional=3 * LOT_CENTS - 1)
    fill = helped(desk)
    assert [outcome(desk, fill) for _ in range(3)] == ["settled", "settled", "SessionKeyBudget"]
    assert left(desk) == (LOT_CENTS - 1, PLENTY)


def test_an_off_market_fill_takes_no_more_than_the_loss_budget(desk: Desk) -> None:
    """A thief with the key sells to an accomplice a tenth below the mark: 6 USD lost a lot."""
    grant(desk, loss=2_000)
    fill = helped(desk, lots=4, price=PRICE * 9 // 10)
    assert outcome(desk, fill) == "SessionKeyBudget"
    fill = helped(desk, lots=3, price=PRICE * 9 // 10)
    assert [outcome(desk, fill) for _ in range(2)] == ["settled", "SessionKeyBudget"]
    assert left(desk)[1] == 200


def test_a_fill_better_than_the_mark_costs_no_loss_and_budgets_round_up(desk: Desk) -> None:
    grant(desk)
    assert outcome(desk, helped(desk, price=PRICE + WAD // 2)) == "settled"
    assert left(desk) == (PLENTY - LOT_CENTS - 1, PLENTY)
    assert outcome(desk, helped(desk, price=PRICE - WAD // 2, nonce=2)) == "settled"
    assert left(desk) == (PLENTY - 2 * LOT_CENTS - 1, PLENTY - 1)


def test_the_takers_key_pays_for_buying_above_the_mark(desk: Desk) -> None:
    grant(desk)
    taker = desk.signed("maker", 10, signer="helper", price=2 * PRICE)
    fill = SignedFill(taker, desk.signed("taker", -10), 1, PRICE + 10 * WAD)
    assert outcome(desk, fill) == "settled"
    assert left(desk) == (PLENTY - LOT_CENTS - 1, PLENTY - 1)


def test_a_refused_fill_costs_the_key_nothing(desk: Desk) -> None:
    grant(desk)
    desk.ledger.call("set_refused", 1)
    assert desk.settle(helped(desk, lots=2, price=PRICE - WAD)) == 0
    assert left(desk) == (PLENTY, PLENTY)


def test_budgets_run_within_a_batch_and_come_back_when_refused(desk: Desk) -> None:
    grant(desk, notional=2 * LOT_CENTS)
    fill = helped(desk)
    desk.ledger.call("set_refused", 0b01)
    assert desk.settle(fill, fill, fill) == 0b010
    assert desk.codes() == {2: "SessionKeyBudget"}
    assert left(desk)[0] == LOT_CENTS


def test_when_one_side_cannot_pay_neither_does(desk: Desk) -> None:
    grant(desk)
    other = as_bytes(account_of("taker")), address_of("intern")
    limits = desk.now + 3_600, TRADE, 0, 1, PLENTY
    desk.exchange.call("set_session_key", *other, *limits, sender=address_of("taker"))
    intern = desk.signed("taker", 10, signer="intern")
    for taker, maker in (("intern", "helper"), ("helper", "intern")):
        if taker == "intern":
            fill = SignedFill(intern, desk.signed("maker", -10, signer="helper"), 1, PRICE)
        else:
            selling = desk.signed("taker", -10, signer=maker, nonce=2)
            fill = SignedFill(desk.signed("maker", 10, signer=taker, nonce=2), selling, 1, PRICE)
        assert outcome(desk, fill) == "SessionKeyBudget"
        assert left(desk) == (PLENTY, PLENTY)


def test_only_a_key_with_the_cancel_scope_cancels(desk: Desk) -> None:
    maker, helper = as_bytes(account_of("maker")), address_of("helper")
    grant(desk, TRADE | QUOTE)
    for function in ("cancel", "cancel_below"):
        with pytest.raises(Rejected, match=errors.SessionKeyScope.name):
            desk.exchange.call(function, maker, 1, sender=helper)
    grant(desk, TRADE | QUOTE | CANCEL)
    desk.exchange.call("cancel", maker, 1, sender=helper)
    desk.exchange.call("cancel_below", maker, 1, sender=helper)
    desk.chain.advance(3_601)
    with pytest.raises(Rejected, match=errors.NotOwner.name):
        desk.exchange.call("cancel", maker, 2, sender=helper)


def test_a_key_never_sets_or_removes_keys(desk: Desk) -> None:
    grant(desk, TRADE | QUOTE | CANCEL)
    maker, helper = as_bytes(account_of("maker")), address_of("helper")
    limits = desk.now + 9_999, 7, 0, PLENTY, PLENTY
    with pytest.raises(Rejected, match=errors.NotOwner.name):
        desk.exchange.call("set_session_key", maker, actor("thief"), *limits, sender=helper)
    with pytest.raises(Rejected, match=errors.NotOwner.name):
        desk.exchange.call("remove_session_key", maker, helper, sender=helper)


def test_setting_and_removing_a_key_is_logged(desk: Desk) -> None:
    maker, helper = as_bytes(account_of("maker")), address_of("helper")
    grant(desk, TRADE, underlyings=3, notional=5, loss=6)
    word = (desk.now + 3_600) | 1 << 40 | 3 << 48 | 5 << 64 | 6 << 128
    assert desk.chain.events()[0].arguments["word"] == word
    assert desk.exchange.view("session_key", maker, helper) == word
    desk.exchange.call("remove_session_key", maker, helper, sender=address_of("maker"))
    assert desk.chain.events()[0].arguments["removed_at"] == desk.now + 60
    with pytest.raises(Rejected, match=errors.NoRequest.name):
        desk.exchange.call("remove_session_key", maker, helper, sender=address_of("maker"))
    with pytest.raises(Rejected, match=errors.NotYet.name):
        grant(desk, TRADE)
    desk.chain.advance(60)
    assert outcome(desk, helped(desk)) == "BadSignature"
    grant(desk, TRADE)
    assert outcome(desk, helped(desk)) == "settled"


@pytest.mark.parametrize(
    "limits",
    [
        {"expiry": 1},
        {"expiry": 2**40},
        {"scope": 0},
        {"scope": 8},
        {"underlyings": 2**16},
        {"notional": 2**64},
        {"loss": 2**64},
    ],
)
def test_limits_out_of_range_are_refused(desk: Desk, limits: dict[str, int]) -> None:
    with pytest.raises(Rejected, match=errors.OutOfBounds.name):
        grant(desk, **limits)


def test_neither_the_owner_nor_the_zero_address_is_a_session_key(desk: Desk) -> None:
    limits = desk.now + 9_999, TRADE, 0, 1, 1
    maker, owner = as_bytes(account_of("maker")), address_of("maker")
    for key in (owner, "0x" + "00" * 20):
        with pytest.raises(Rejected, match=errors.OutOfBounds.name):
            desk.exchange.call("set_session_key", maker, key, *limits, sender=owner)


def test_the_owner_spends_no_budget(desk: Desk) -> None:
    grant(desk, notional=0, loss=0)
    fill = SignedFill(desk.signed("taker", 10), desk.signed("maker", -10), 1, PRICE)
    assert outcome(desk, fill) == "settled"
    assert (left(desk), fill.taker.order.instrument) == ((0, 0), BTC)
