"""Settlement prints of Surfaces.vy: posted by anyone with a quorum, once for good, each rejection
by name; contract and model judge the same messages alike."""

from __future__ import annotations

from typing import Any

import pytest
from eth_account.messages import encode_typed_data
from eth_utils.crypto import keccak

from novate.chain.harness import CHAIN_ID
from novate.errors import Rejected
from novate.model import settlement_prints as model
from novate.wire.surfaces import SignedSettlement, settlement_digest, signed_settlement
from tests.support.oracle import STRANGER
from tests.support.surfaces import BTC, DAY_S, ETH, SurfacesBench

PRICE = 61_234 * 10**10


class PrintsBench(SurfacesBench):
    """Contract and model, an expiry reached just now."""

    def __init__(self) -> None:
        super().__init__()
        self.advance(DAY_S)
        self.expiry = self.chain.timestamp
        self.logged: list[tuple[str, dict[str, Any]]] = []

    def signed_print(
        self,
        price: int = PRICE,
        expiry: int | None = None,
        signers: list[int] | None = None,
        underlying: int = BTC,
    ) -> SignedSettlement:
        """Signed by ``signers``, unless named the first quorum."""
        chosen = range(self.quorum) if signers is None else signers
        keys = [(i, self.keys[i]) for i in chosen]
        time = self.expiry if expiry is None else expiry
        return signed_settlement(self.surfaces_domain, underlying, time, price, keys)

    def print_outcome(self, made: SignedSettlement) -> str:
        """What contract and model make of it, the same: printed, ignored or a rejection's name."""
        name = self._outcome_in_model(made)
        try:
            accepted = self.surfaces.call("post_settlement", *made.arguments(), sender=STRANGER)
        except Rejected as rejection:
            found = rejection.error.name
            self.logged = []
        else:
            found = "printed" if accepted else "ignored"
            self.logged = [(event.name, event.arguments) for event in self.chain.events()]
        assert found == name
        assert self.logged == self.world.take_events()
        place = made.underlying, made.expiry
        price = self.surfaces.view("settlement_price", *place)
        assert price == model.settlement_price(self.world, *place)
        return found

    def _outcome_in_model(self, made: SignedSettlement) -> str:
        arguments = made.underlying, made.expiry, made.price
        try:
            with self.world.store.transaction():
                signers = made.signers(self.surfaces_domain)
                accepted = model.post_settlement(self.world, *arguments, signers)
        except Rejected as rejection:
            self.world.take_events()
            return rejection.error.name
        return "printed" if accepted else "ignored"


@pytest.fixture
def bench() -> PrintsBench:
    return PrintsBench()


def test_anyone_posts_what_a_quorum_signed(bench: PrintsBench) -> None:
    assert bench.surfaces.view("settlement_price", BTC, bench.expiry) == 0
    assert bench.print_outcome(bench.signed_print()) == "printed"
    arguments = {"underlying": BTC, "expiry": bench.expiry, "price": PRICE}
    assert bench.logged == [("SettlementPrinted", arguments)]
    assert bench.surfaces.view("settlement_price", BTC, bench.expiry) == PRICE


def test_a_print_is_for_good(bench: PrintsBench) -> None:
    """Whatever comes later is ignored, not even looked at."""
    assert bench.print_outcome(bench.signed_print()) == "printed"
    for later in (bench.signed_print(PRICE + 1), bench.signed_print(0, signers=[])):
        assert bench.print_outcome(later) == "ignored"
        arguments = {"underlying": BTC, "expiry": bench.expiry}
        assert bench.logged == [("SettlementIgnored", arguments)]
    assert bench.surfaces.view("settlement_price", BTC, bench.expiry) == PRICE


def test_each_underlying_and_expiry_has_a_print_of_its_own(bench: PrintsBench) -> None:
    assert bench.print_outcome(bench.signed_print()) == "printed"
    assert bench.print_outcome(bench.signed_print(PRICE // 20, underlying=ETH)) == "printed"
    assert (
        bench.print_outcome(bench.signed_print(PRICE + 5, expiry=bench.expiry - DAY_S)) == "printed"
    )
    found = [bench.surfaces.view("settlement_price", u, bench.expiry) for u in (BTC, ETH)]
    assert found == [PRICE, PRICE // 20]


@pytest.mark.parametrize("underlying", [2, 16, 2**200])
def test_an_unregistered_underlying_has_none(bench: PrintsBench, underlying: int) -> None:
    assert bench.print_outcome(bench.signed_print(underlying=underlying)) == "UnknownUnderlying"


def test_nothing_is_printed_ahead_of_its_expiry(bench: PrintsBench) -> None:
    for expiry in (bench.expiry + 1, 2**40, 2**256 - 1):
        assert bench.print_outcome(bench.signed_print(expiry=expiry)) == "ExpiryNotReached"


@pytest.mark.parametrize(
    ("price", "outcome"),
    [(0, "ZeroPrice"), (2**56, "OutOfBounds"), (1, "printed"), (2**56 - 1, "printed")],
)
def test_a_price_fits_its_field(bench: PrintsBench, price: int, outcome: str) -> None:
    assert bench.print_outcome(bench.signed_print(price)) == outcome


@pytest.mark.parametrize(
    ("signers", "outcome"),
    [
        ([0, 1, 2, 3], "QuorumNotReached"),
        ([], "QuorumNotReached"),
        ([0, 1, 2, 2, 3], "DuplicateSigner"),
        ([1, 0, 2, 3, 4], "DuplicateSigner"),
        ([2, 3, 4, 5, 6], "printed"),
        ([0, 1, 2, 3, 4, 5, 6], "printed"),
    ],
)
def test_a_quorum_of_distinct_nodes_signs(
    bench: PrintsBench, signers: list[int], outcome: str
) -> None:
    assert bench.print_outcome(bench.signed_print(signers=signers)) == outcome


def test_signatures_are_over_this_very_print(bench: PrintsBench) -> None:
    """Neither another price, expiry or underlying, nor another contract's domain."""
    signatures = bench.signed_print().signatures
    for place in (
        (ETH, bench.expiry, PRICE),
        (BTC, bench.expiry - 1, PRICE),
        (BTC, bench.expiry, PRICE + 1),
    ):
        assert bench.print_outcome(SignedSettlement(*place, signatures)) == "BadSignature"
    keys = [(i, bench.keys[i]) for i in range(bench.quorum)]
    foreign = signed_settlement(bench.domain, BTC, bench.expiry, PRICE, keys)
    assert bench.print_outcome(foreign) == "BadSignature"


def test_the_digest_is_typed_data(bench: PrintsBench) -> None:
    fields = {"underlying": BTC, "expiry": bench.expiry, "price": PRICE}
    signable = encode_typed_data(
        domain_data={
            "name": "Novate Surfaces",
            "version": "1",
            "chainId": CHAIN_ID,
            "verifyingContract": bench.surfaces.address,
        },
        message_types={"Settlement": [{"name": name, "type": "uint256"} for name in fields]},
        message_data=fields,
    )
    digest = keccak(b"\x19" + signable.version + signable.header + signable.body)
    found = settlement_digest(bench.surfaces_domain, BTC, bench.expiry, PRICE)
    assert found == digest
