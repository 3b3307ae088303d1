"""A sequencer without a chain: a mirrored venue, commands through the journal's own encoding."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from coincurve import PrivateKey
from eth_utils.crypto import keccak

from novate import errors
from novate.chain.backend import HarnessBackend, abi_of
from novate.chain.deploy import deploy
from novate.chain.deployment import CONTRACT_OF, Deployment
from novate.chain.harness import Chain
from novate.chain.node import local_key
from novate.config import Parameters, load
from novate.engine.ahead import Pending
from novate.engine.book import FastBook
from novate.engine.ladder import MakeBook
from novate.engine.orders import record_of, terms_of
from novate.engine.sequencer import Sequencer
from novate.model.account import account_of as account_at
from novate.model.oracle import Observation
from novate.model.order import IMMEDIATE, POST_ONLY, Order
from novate.services import batch_call, settle_call
from novate.services.boot import build_sequencer
from novate.services.local_venue import local_roles, node_keys
from novate.units import WAD
from novate.wire import eip712, records
from novate.wire import round as wire_round
from novate.wire.order import SignedFill
from novate.wire.records import (
    AnyRecord,
    BatchClosed,
    BatchDue,
    CancelRequested,
    ChainTransaction,
    Matched,
    OracleRound,
    OrderDone,
    OrderPlaced,
    OrderRejected,
    QuotesPlaced,
)

BTC, ETH, WETH = 1, 2, 3
USD = WAD
ORACLE_PER_USD = 10**10
EXECUTOR = local_key("executor")
NODE_KEYS = node_keys(4)


@cache
def deployed() -> tuple[Deployment, Parameters, int]:
    """One venue on the in-memory chain, its parameters and its time."""
    backend = HarnessBackend(Chain())
    parameters = load()
    made = deploy(backend, parameters, local_roles(len(NODE_KEYS)))
    return made, parameters, backend.now()


def key_of(role: str) -> PrivateKey:
    """The role's key."""
    return PrivateKey(keccak(b"trader: " + role.encode()))


def address_of(role: str) -> str:
    """The role's address."""
    return eip712.address_of(key_of(role).public_key)


def account_of(role: str, number: int = 0) -> int:
    """The role's account."""
    return account_at(address_of(role), number)


class Floor:
    """A sequencer that has seen a first round, with everything it was told and said."""

    def __init__(
        self, btc: int = 100_000, eth: int = 4_000, make_book: MakeBook = FastBook
    ) -> None:
        self.deployment, parameters, now = deployed()
        self.sequencer: Sequencer = build_sequencer(
            self.deployment, parameters, EXECUTOR, now, make_book
        )
        self.separator = settle_call.separator(self.deployment)
        self.commands: list[tuple[str, bytes]] = []
        self.events: list[AnyRecord] = []
        self.nonce = self.round = self.block = 0
        self.chain_follows = True
        for later in (1, 50, 50, 50):  # past the grace after the first round
            self.prices(btc, eth, later)

    @property
    def world(self) -> Any:
        """The sequencer's world."""
        return self.sequencer.world

    @property
    def now(self) -> int:
        """The world's second."""
        return int(self.world.now)

    def feed(self, command: AnyRecord) -> list[AnyRecord]:
        """One command; then the chain takes in, in the same second, what the engine is ahead by."""
        made = self.tell(command)
        for step in list(self.sequencer.ahead.state.steps) if self.chain_follows else ():
            made += self.tell(self.arrival(step.what))
        return made

    def arrival(self, what: OracleRound | Pending) -> ChainTransaction:
        """The transaction by which a round or a batch of ours reaches the chain."""
        if isinstance(what, OracleRound):
            calldata = batch_call.round_calldata(what)
            return self.transaction(EXECUTOR.address.lower(), "oracle", calldata)
        fills = [
            SignedFill(
                *(batch_call.signed(self.sequencer.placed[d]) for d in (taker, maker)), *rest
            )
            for taker, maker, *rest in what.fills
        ]
        calldata = batch_call.settle_calldata(b"", fills, what.first_sequence)
        return self.transaction(EXECUTOR.address.lower(), "exchange", calldata)

    def tell(self, command: AnyRecord) -> list[AnyRecord]:
        """One command, as the journal would give it back."""
        kind, payload = records.encode(command)
        self.commands.append((kind, payload))
        made = self.sequencer.handle(records.decode(kind, payload))
        self.events += made
        return made

    def replayed(self) -> tuple[list[AnyRecord], str]:
        """Events and state hash of a second sequencer given the same commands."""
        deployment, parameters, now = deployed()
        again = build_sequencer(deployment, parameters, EXECUTOR, now)
        made: list[AnyRecord] = []
        for kind, payload in self.commands:
            made += again.handle(records.decode(kind, payload))
        return made, again.world.state_hash()

    def prices(self, btc: int, eth: int = 4_000, later: int = 10) -> list[AnyRecord]:
        """A signed round some seconds later (dollars)."""
        self.round += 1
        domain = wire_round.domain_separator(
            self.deployment.chain_id, self.deployment.addresses["oracle"]
        )
        dollars = {BTC: btc, ETH: eth}
        words = [
            Observation(f, p * ORACLE_PER_USD, p * ORACLE_PER_USD).pack()
            for f, p in dollars.items()
        ]
        keys = list(enumerate(NODE_KEYS))[:3]
        signed = wire_round.signed_round(domain, self.round, self.now + later, words, keys)
        number, time, _, nodes, signatures = signed.arguments()
        packed = [r.to_bytes(32, "big") + vs.to_bytes(32, "big") for r, vs in signatures]
        big = [records.big(word) for word in words]
        return self.feed(OracleRound(number, time, big, records.big(nodes), packed))

    def transact(self, sender: str, contract: str, function: str, *arguments: Any) -> None:
        """A transaction that the chain accepted."""
        calldata = abi_of(CONTRACT_OF[contract]).encode_call(function, *arguments)
        self.feed(self.transaction(sender, contract, calldata))

    def transaction(self, sender: str, contract: str, calldata: bytes) -> ChainTransaction:
        """A transaction in a block of its own, now."""
        self.block += 1
        return ChainTransaction(
            block=self.block,
            timestamp=self.now,
            position=0,
            transaction=self.block.to_bytes(32, "big"),
            sender=bytes.fromhex(sender[2:]),
            contract=bytes.fromhex(self.deployment.addresses[contract][2:]),
            calldata=calldata,
            succeeded=True,
            gas_used=0,
            events=[],
        )

    def deposit(self, role: str, dollars: int, number: int = 0) -> int:
        """Cash for a role's account."""
        account = account_of(role, number)
        token = self.deployment.tokens["USDC"]
        raw = account.to_bytes(32, "big")
        self.transact(address_of(role), "custody", "deposit", token, raw, dollars * 10**6)
        return account

    def withdraw_all(self, role: str) -> None:
        """Take a role's cash away, as custody would after its notice."""
        account = account_of(role)
        cash = self.world.ledger.accounts[account].cash
        custody = self.deployment.addresses["custody"]
        self.transact(custody, "clearinghouse", "debit", account.to_bytes(32, "big"), 0, cash)

    def order(self, role: str, lots: int, dollars: int | float, **fields: Any) -> Order:
        """An order with a fresh nonce that lets it trade."""
        self.nonce += 1
        chosen = {
            "account": account_of(role),
            "instrument": BTC,
            "lots": lots,
            "price": int(dollars * 100) * WAD // 100,
            "max_fee": USD,
            "nonce": self.nonce,
            "expiry": self.now + 3_600,
            "executor": EXECUTOR.address.lower(),
        }
        return Order(**{**chosen, **fields})

    def place(
        self,
        role: str,
        lots: int,
        dollars: int | float,
        signer: str | None = None,
        command: dict[str, Any] | None = None,
        **fields: Any,
    ) -> list[AnyRecord]:
        """Sign and place; the events."""
        order = self.order(role, lots, dollars, **fields)
        return self.feed(self.command(order, signer or role, **(command or {})))

    def take(self, role: str, lots: int, dollars: int | float, **fields: Any) -> list[AnyRecord]:
        """The same, immediate-or-cancel."""
        return self.place(role, lots, dollars, flags=IMMEDIATE | fields.pop("flags", 0), **fields)

    def edit(
        self, role: str, digest: bytes, lots: int, dollars: int, **fields: Any
    ) -> list[AnyRecord]:
        """The role's open order with other lots and price, one revision on."""
        command = {"amends": True, **fields.pop("command", {})}
        old = terms_of(self.sequencer.placed[digest].order)
        chosen = {"nonce": old.nonce, "revision": old.revision + 1, "flags": old.flags, **fields}
        return self.place(role, lots, dollars, command=command, **chosen)

    def quote(
        self, role: str, legs: list[tuple[int, int]], name: str = "", **fields: Any
    ) -> list[AnyRecord]:
        """A mass quote of (lots, dollars)."""
        more = fields.pop("command", {})
        flags = fields.pop("flags", POST_ONLY)
        quotes = []
        for lots, dollars in legs:
            placed = self.command(self.order(role, lots, dollars, flags=flags, **fields), role)
            quotes.append(records.Quote(placed.digest, placed.order, placed.signature, name))
        account, signer = account_of(role).to_bytes(32, "big"), bytes.fromhex(address_of(role)[2:])
        return self.feed(QuotesPlaced(account, signer, self.now * 1000, quotes, **more))

    def protect(
        self, role: str, window: int, frozen: int, quantity: int = 0, delta: int = 0
    ) -> list[AnyRecord]:
        """Protection of a role's quotes in BTC; limits in wad base units."""
        account, signer = account_of(role).to_bytes(32, "big"), bytes.fromhex(address_of(role)[2:])
        limits = records.big(quantity), records.big(delta)
        return self.feed(records.ProtectionSet(account, 1, window, frozen, *limits, signer, 0))

    @property
    def last(self) -> bytes:
        """The digest of the order placed last."""
        return next(reversed(self.sequencer.placed))

    def command(self, order: Order, signer: str, **more: Any) -> OrderPlaced:
        """The journal's record of a signed order."""
        digest = eip712.order_digest(self.separator, order)
        r, vs = eip712.sign(key_of(signer), digest)
        return OrderPlaced(
            digest=digest,
            order=record_of(order),
            signature=r.to_bytes(32, "big") + vs.to_bytes(32, "big"),
            signer=bytes.fromhex(address_of(signer)[2:]),
            received_ms=self.now * 1000,
            **more,
        )

    def cancel(
        self, role: str, scope: str = "all", value: int = 0, *quotes: Any
    ) -> list[AnyRecord]:
        """The role stops its orders."""
        account = account_of(role).to_bytes(32, "big")
        signer = bytes.fromhex(address_of(role)[2:])
        return self.feed(CancelRequested(account, scope, value, signer, self.now * 1000, *quotes))

    def close(self) -> list[AnyRecord]:
        """The settler asks for the batch."""
        return self.feed(BatchDue(self.now * 1000))

    def held(self, role: str, instrument: int = BTC) -> int:
        """Lots of a role's position."""
        positions = dict(self.world.ledger.accounts[account_of(role)].positions)
        return int(positions.get(instrument, 0))


def rejection(events: list[AnyRecord]) -> str:
    """The name of the only event's rejection."""
    (event,) = events
    assert isinstance(event, OrderRejected), event
    return errors.BY_CODE[event.code].name


def matches(events: list[AnyRecord]) -> list[Matched]:
    """The matches among events."""
    return [event for event in events if isinstance(event, Matched)]


def ends(events: list[AnyRecord]) -> list[tuple[str, str]]:
    """(how, why) of the orders that left the book; why is empty without a rejection."""
    found = [event for event in events if isinstance(event, OrderDone)]
    return [(e.end, errors.BY_CODE[e.code].name if e.code else "") for e in found]


def batches(events: list[AnyRecord]) -> list[BatchClosed]:
    """The closed batches among events."""
    return [event for event in events if isinstance(event, BatchClosed)]


def floor_of(*roles: str) -> Any:
    """A fixture: a floor on which each role has a million USD."""

    @pytest.fixture
    def floor() -> Floor:
        made = Floor()
        for role in roles:
            made.deposit(role, 1_000_000)
        return made

    return floor
