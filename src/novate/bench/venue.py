"""A venue on its own local chain to measure on: deployed, priced, past the restart grace, with
funded accounts.

Every transaction is signed and mined; every one that is measured has its effect asserted by its
scenario.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from coincurve import PrivateKey
from eth_account.signers.local import LocalAccount

from novate.chain.backend import Backend, Call, abi_of
from novate.chain.compile import LOCAL_CONTRACTS
from novate.chain.deploy import deploy
from novate.chain.deployment import CONTRACT_OF, Roles
from novate.chain.node import local_key
from novate.chain.plan import cash_token
from novate.config import Instrument, Parameters
from novate.model.account import account_of
from novate.model.bulk import ORDERS_MAX
from novate.model.option_id import is_dated, place_of
from novate.model.oracle import Observation
from novate.model.order import IMMEDIATE, Order
from novate.units import DAY_S, ORACLE_UNIT, WAD
from novate.wire.bulk import sign_bulk
from novate.wire.eip712 import Domain, order_digest, sign
from novate.wire.order import SignedFill, SignedOrder, pack
from novate.wire.round import SignedRound, domain_separator, signed_round

NODES = 7
SIGNERS = 5
FEEDS = 8
PERPS = 16
MAIN = range(PERPS)  # perps on two underlyings and feeds
WIDE = range(PERPS, 2 * PERPS)  # perps on eight
DEPOSIT_USD = 1_000_000
DEPOSIT_CAP_USD = 1_000_000_000  # all scenarios share one venue
EXPIRY = 2**40 - 1
FEE_MAX_LOT = WAD
UNLIMITED = 2**256 - 1


def bench_parameters(parameters: Parameters) -> Parameters:
    """The venue's parameters with seven nodes, sixteen perps on two underlyings and feeds, and
    sixteen more on eight."""
    underlying, perp = parameters.underlyings[0], parameters.instruments[0]
    return replace(
        parameters,
        oracle=replace(parameters.oracle, node_count=NODES),
        underlyings=tuple(replace(underlying, id=i, name=f"U{i}") for i in range(FEEDS)),
        instruments=tuple(
            replace(perp, id=i + 1, name=f"U{u}-{i}", underlying=u, feed=u)
            for i, u in [(i, i % 2) for i in MAIN] + [(i, i % FEEDS) for i in WIDE]
        ),
        tokens=(replace(cash_token(parameters), deposit_cap_tokens=DEPOSIT_CAP_USD),),
    )


@dataclass(frozen=True, slots=True)
class Trader:
    """An owner with a key, and the account it trades from."""

    key: LocalAccount
    signer: PrivateKey
    account: int

    @property
    def address(self) -> str:
        """The owner, lower-case."""
        return self.key.address.lower()

    @property
    def word(self) -> bytes:
        """The account as bytes32."""
        return self.account.to_bytes(32, "big")


def trader(role: str, number: int = 0) -> Trader:
    """The account ``number`` of an owner named by role."""
    key = local_key(role)
    return Trader(key, PrivateKey(key.key), account_of(key.address, number))


def first_prices() -> list[int]:
    """Prices by feed (wad) before anything moves."""
    return [(10_000 + 5_000 * feed) * WAD for feed in range(FEEDS)]


class Venue:
    """One deployed venue and the keys to act on it."""

    def __init__(self, backend: Backend, parameters: Parameters) -> None:
        self.governor, self.executor = trader("governor"), trader("executor")
        self.nodes = [trader(f"node {i}") for i in range(NODES)]
        self.backend = backend
        backend.know(self.governor.key)
        self.parameters = bench_parameters(parameters)
        self.cash = cash_token(self.parameters)
        roles = Roles(
            governor=self.governor.address,
            guardian=local_key("guardian").address.lower(),
            executors=(self.executor.address,),
            nodes=tuple(node.address for node in self.nodes),
        )
        self.deployment = deploy(self.backend, self.parameters, roles)
        self.addresses = {
            **self.deployment.addresses,
            "token": self.deployment.tokens[self.cash.name],
        }
        self.abis = {name: abi_of(contract) for name, contract in CONTRACT_OF.items()}
        self.abis["token"] = abi_of("TestToken", LOCAL_CONTRACTS)
        self.separator = Domain(self.deployment.chain_id, self.addresses["exchange"]).separator()
        self.oracle_domain = domain_separator(self.deployment.chain_id, self.addresses["oracle"])
        self.round = self.sequence = 0
        self.prices = first_prices()
        self._nonces: dict[tuple[int, bool], int] = {}
        self.calm()
        self._provide_cash()

    def calm(self) -> None:
        """A day without events: parameters have ramped in, averages meet the prices, and the
        restart grace is over."""
        self.backend.advance(DAY_S)
        grace = self.parameters.oracle.restart_grace_seconds
        step = self.parameters.oracle.stale_after_seconds // 2  # division: half of the limit
        for _ in range(grace // step + 2):  # division: rounds inside the grace, and two more
            self.post()
            self.backend.advance(step)
        self.post()

    def _provide_cash(self) -> None:
        """Cash tokens of the governor, who may deposit them for anyone."""
        self.send(self.governor, "token", "mint", self.governor.address, self.cash.units(10**9))
        self.send(self.governor, "token", "approve", self.addresses["custody"], UNLIMITED)

    # Transactions and views

    def call(self, contract: str, function: str, *arguments: Any) -> Call:
        """Calldata for one of the venue's contracts, or for its cash token."""
        return Call(self.addresses[contract], self.abis[contract].encode_call(function, *arguments))

    def send(self, sender: Trader, contract: str, function: str, *arguments: Any) -> int:
        """One transaction in its own block; its gas."""
        self.backend.know(sender.key)
        return self.backend.send(sender.address, [self.call(contract, function, *arguments)])[
            0
        ].gas_used

    def view(self, contract: str, function: str, *arguments: Any) -> Any:
        """What a function returns now."""
        output = self.backend.view(self.call(contract, function, *arguments))
        return self.abis[contract].decode_result(function, len(arguments), output)

    # Prices

    def signed_round(self, move_ppm: int = 0) -> SignedRound:
        """The next round of every feed's index and mark, moved by ``move_ppm``, signed by the
        quorum."""
        self.prices = [
            price + price * move_ppm // 1_000_000 for price in self.prices
        ]  # division: down
        words = [
            Observation(
                feed, price // ORACLE_UNIT, price // ORACLE_UNIT
            ).pack()  # division: exact for whole dollars
            for feed, price in enumerate(self.prices)
        ]
        self.round += 1
        signers = [(i, node.signer) for i, node in enumerate(self.nodes[:SIGNERS])]
        return signed_round(self.oracle_domain, self.round, self.backend.now(), words, signers)

    def post(self, move_ppm: int = 0) -> int:
        """Post the next round; its gas."""
        return self.send(
            self.executor, "oracle", "post_round", *self.signed_round(move_ppm).arguments()
        )

    def start_again(self, move_ppm: int = 0) -> None:
        """Post the first prices again, moved by ``move_ppm``."""
        self.prices = first_prices()
        self.post(move_ppm)

    # Accounts

    def fund(self, traders: Sequence[Trader], usd: int = DEPOSIT_USD) -> None:
        """Deposit cash for each account."""
        for owner in traders:
            self.deposit(owner, usd)

    def deposit(self, owner: Trader, usd: int) -> int:
        """The governor deposits cash for an account; the gas."""
        arguments = self.addresses["token"], owner.word, self.cash.units(usd)
        return self.send(self.governor, "custody", "deposit", *arguments)

    def positions(self, owner: Trader) -> dict[int, int]:
        """Instrument -> lots of an account."""
        words = self.view("clearinghouse", "positions", owner.word)
        lanes = [(word >> shift) & (2**64 - 1) for word in words for shift in (0, 64, 128, 192)]
        return {lane >> 44: (lane & (2**44 - 1)) - 2**43 for lane in lanes if lane}

    def sweep(self, owners: Sequence[Trader]) -> int:
        """Settle the accounts' variation at the last prices; the gas."""
        return self.send(self.executor, "clearinghouse", "sweep", [o.word for o in owners])

    # Orders

    def price_of(self, instrument: Instrument) -> int:
        """The mark of an instrument rounded down to its tick."""
        mark = self.prices[instrument.feed]
        return mark - mark % instrument.tick_wad

    def order(
        self, owner: Trader, instrument: Instrument, lots: int, price: int, flags: int = 0
    ) -> SignedOrder:
        """A signed order of the account's next nonce of its kind."""
        order = self.unsigned(owner, instrument, lots, price, flags)
        r, vs = sign(owner.signer, order_digest(self.separator, order))
        return SignedOrder(order, r, vs)

    def unsigned(
        self, owner: Trader, instrument: Instrument, lots: int, price: int, flags: int = 0
    ) -> Order:
        """An order of the account's next nonce of its kind."""
        kind = owner.account, bool(flags & IMMEDIATE)
        nonce = self._nonces[kind] = self._nonces.get(kind, -1) + 1
        return Order(
            account=owner.account,
            instrument=instrument.id,
            lots=lots,
            price=price,
            max_fee=FEE_MAX_LOT,
            nonce=nonce,
            expiry=self.until(instrument.id),
            flags=flags,
            executor=self.executor.address,
        )

    def until(self, instrument: int) -> int:
        """The latest expiry of an order: a dated instrument's own."""
        if not is_dated(instrument):
            return EXPIRY
        found: int = self.view("options", "expiry_of", *place_of(instrument))[0]
        return found

    def in_tree(self, owner: Trader, orders: Sequence[Order]) -> list[SignedOrder]:
        """The orders in a tree as high as there is, each with its proof."""
        others = [replace(orders[0], nonce=2**63 + i) for i in range(ORDERS_MAX - len(orders))]
        tree = sign_bulk(owner.signer, self.separator, [*orders, *others])
        return [SignedOrder(order, bulk=tree.signature(i)) for i, order in enumerate(orders)]

    def settle(self, fills: Sequence[SignedFill], with_round: bool = False) -> int:
        """Settle a batch as the executor; asserts that every fill settled; the gas."""
        packed = pack(fills)
        posted = b""
        if with_round:
            arguments = self.signed_round().arguments()
            posted = self.abis["oracle"].encode_call("post_round", *arguments)
        first = self.sequence
        lists = packed.accounts, packed.instruments, packed.orders, packed.fills
        call = self.call("exchange", "settle", posted, *lists, first, packed.blobs)
        self.backend.know(self.executor.key)
        whole = Call(call.to, call.data + packed.proofs)
        gas = self.backend.send(self.executor.address, [whole])[0].gas_used
        self.sequence += len(fills)
        settled = [
            self.view("exchange", "sequence_settled", self.executor.address, first + i)
            for i in range(len(fills))
        ]
        assert all(settled), f"{settled.count(False)} of {len(fills)} fills did not settle"
        return gas
