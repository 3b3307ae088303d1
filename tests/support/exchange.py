"""The Exchange on pyrevm with a mock ledger and oracle, and traders who sign by role."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from coincurve import PrivateKey
from eth_utils.crypto import keccak

from novate.chain.harness import CHAIN_ID, Chain, actor
from novate.errors import BY_SELECTOR
from novate.model.instrument import OPTION, PERP, Terms
from novate.model.option_id import OptionId, place_of
from novate.model.order import ZERO_ADDRESS, Order
from novate.units import WAD
from novate.wire import eip712
from novate.wire.bulk import sign_bulk
from novate.wire.order import SignedFill, SignedOrder, pack, receipt_words

MOCKS = Path(__file__).parent.parent / "contracts"
BTC, ETH = 1, 2
PRICE = 60_000 * WAD
TERMS = {
    BTC: Terms(10**15, 5 * 10**17, 10_000_000, 2_000_000, 0, 0, PERP),
    ETH: Terms(10**16, 5 * 10**16, 10_000_000, 3_000_000, 1, 1, PERP),
}
# an option of each, in slots of their own: its forward is its perp's mark
BTC_CALL = OptionId(0, 3, 1, False).pack()
ETH_PUT = OptionId(1, 5, 2, True).pack()
OPTION_TERMS = {
    BTC_CALL: Terms(10**15, 10**16, 10_000_000, 2_000_000, 0, 0, OPTION),
    ETH_PUT: Terms(10**16, 10**16, 10_000_000, 3_000_000, 1, 0, OPTION),
}
MARKS_USD = {0: 60_000, 1: 3_000}


def key_of(role: str) -> PrivateKey:
    """A deterministic private key for a role."""
    return PrivateKey(keccak(b"key of " + role.encode()))


def address_of(role: str) -> str:
    """Address of the role's key."""
    return eip712.address_of(key_of(role).public_key)


def account_of(role: str, number: int = 0) -> int:
    """The role's account."""
    return int(address_of(role), 16) << 96 | number


def as_bytes(account: int) -> bytes:
    """An account as the contract takes it."""
    return account.to_bytes(32, "big")


class Desk:
    """One Exchange: its approved executor is the role ``engine``, its governor ``timelock``."""

    def __init__(self) -> None:
        self.chain = Chain()
        self.governor = actor("timelock")
        self.engine = address_of("engine")
        self.ledger = self.chain.deploy("MockClearinghouse", root=MOCKS)
        self.oracle = self.chain.deploy("MockRoundOracle", root=MOCKS)
        peers = self.ledger.address, self.oracle.address
        self.exchange = self.chain.deploy("Exchange", self.governor, *peers)
        for instrument, terms in TERMS.items():
            self.ledger.call("set_terms", instrument, terms.pack())
            mark = MARKS_USD[terms.feed] * 10**10
            self.oracle.call("set_feed", terms.feed, mark << 56)
        for instrument, terms in OPTION_TERMS.items():
            self.ledger.call("set_terms", instrument, terms.pack())
            self.set_expiry(instrument, terms.underlying)
        self.govern("set_executor", self.engine, True)
        self.govern("set_fees", 400, 100)
        self.govern("set_option_fees", 300, 1_250)
        self.domain = eip712.Domain(CHAIN_ID, self.exchange.address)
        self.separator = self.domain.separator()
        self.sequence = 1

    def set_expiry(self, instrument: int, feed: int, seconds: int = 86_400) -> None:
        """When an option expires, and whose mark is its forward."""
        given = *place_of(instrument), self.now + seconds, MARKS_USD[feed] * 10**10
        self.ledger.call("set_expiry", *given)

    def govern(self, function: str, *arguments: Any) -> None:
        """Call a governance setter as the governor."""
        self.exchange.call(function, *arguments, sender=self.governor)

    @property
    def now(self) -> int:
        """Second of the current block."""
        return self.chain.timestamp

    def order(self, role: str, lots: int, **fields: Any) -> Order:
        """An order of the role's account with fields that let it trade."""
        chosen = {
            "account": account_of(role),
            "instrument": BTC,
            "lots": lots,
            "price": PRICE,
            "max_fee": WAD,
            "nonce": 1,
            "expiry": self.now + 3_600,
            "executor": self.engine,
        }
        return Order(**{**chosen, **fields})

    def signed(self, role: str, lots: int, signer: str | None = None, **fields: Any) -> SignedOrder:
        """An order of the role, signed by it or by ``signer``."""
        return self.sign(self.order(role, lots, **fields), signer or role)

    def sign(self, order: Order, signer: str) -> SignedOrder:
        """The order with the signer's signature."""
        digest = eip712.order_digest(self.separator, order)
        return SignedOrder(order, *eip712.sign(key_of(signer), digest))

    def signed_in_bulk(self, *orders: Order, signer: str) -> list[SignedOrder]:
        """The orders, each with its share of the signer's one signature."""
        made = sign_bulk(key_of(signer), self.separator, orders)
        return [SignedOrder(order, bulk=made.signature(i)) for i, order in enumerate(orders)]

    def pair(self, lots: int = 5, price: int = PRICE, **both: Any) -> SignedFill:
        """A buying taker and a selling maker of ten lots each, matched for ``lots``."""
        taker, maker = self.signed("taker", 10, **both), self.signed("maker", -10, **both)
        return SignedFill(taker, maker, lots, price)

    def settle(self, *fills: SignedFill, caller: str = "engine", round_call: bytes = b"") -> int:
        """Settle as the caller's own matches, with the next sequences; returns the bitmap."""
        batch = pack(fills)
        first, self.sequence = self.sequence, self.sequence + len(fills)
        lists = batch.accounts, batch.instruments, batch.orders, batch.fills
        arguments = (round_call, *lists, first, batch.blobs)
        return self.send(address_of(caller), batch.proofs, *arguments)

    def send(self, sender: str, proofs: bytes, *arguments: Any) -> int:
        """Call settle with the proofs of bulk orders behind the encoded call."""
        data = self.exchange.abi.encode_call("settle", *arguments) + proofs
        output = self.chain.send(sender, self.exchange.address, data)
        result: int = self.exchange.abi.decode_result("settle", len(arguments), output)
        return result

    def settle_by_receipt(
        self,
        *fills: SignedFill,
        matched_at: int,
        caller: str = "stranger",
        signer: str = "engine",
        sequence: int | None = None,
        executor: str | None = None,
    ) -> int:
        """Settle with the signer's receipts, one a fill, with the next sequences."""
        batch = pack(fills)
        first = self.sequence if sequence is None else sequence
        self.sequence = max(self.sequence, first + len(fills))
        proofs = [self.receipt(fill, first + i, matched_at, signer) for i, fill in enumerate(fills)]
        lists = batch.accounts, batch.instruments, batch.orders, batch.fills
        arguments = (b"", *lists, 0, batch.blobs, executor or self.engine, proofs)
        return self.send(address_of(caller), batch.proofs, *arguments)

    def receipt(
        self, fill: SignedFill, sequence: int, matched_at: int, signer: str = "engine"
    ) -> tuple[int, int, int]:
        """The executor's receipt for a fill."""
        maker = eip712.order_digest(self.separator, fill.maker.order)
        taker = eip712.order_digest(self.separator, fill.taker.order)
        match = eip712.Match(maker, taker, fill.lots, fill.price, sequence, matched_at)
        signature = eip712.sign(key_of(signer), eip712.match_digest(self.separator, match))
        return receipt_words(sequence, matched_at, *signature)

    def codes(self) -> dict[int, str]:
        """Names of the codes of the fills the last transaction skipped, by index."""
        found = {}
        for event in self.chain.events():
            if event.name == "FillSkipped":
                code = int.from_bytes(event.arguments["code"], "big")
                found[event.arguments["index"]] = BY_SELECTOR[code].name
        return found

    def filled(self, role: str, nonce: int = 1) -> int:
        """Lots of the role's resting order that have settled."""
        lane: int = self.exchange.view("order_state", as_bytes(account_of(role)), nonce)[0]
        return lane & (2**44 - 1)

    def trades(self) -> list[tuple[int, int]]:
        """Trade words of the last call of the ledger."""
        count = self.ledger.view("trade_count")
        return [
            (self.ledger.view("trades", i, 0), self.ledger.view("trades", i, 1))
            for i in range(count)
        ]


def open_to_anyone() -> dict[str, Any]:
    """Fields of an order that anyone may settle now."""
    return {"executor": ZERO_ADDRESS}
