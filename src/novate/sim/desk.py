"""Signed orders by real keys through ``Exchange.settle``: honest batches, and every known fault.

A desk remembers open orders, batches settled and receipts given, so that partial fills, replays
and settlements by strangers follow naturally. Faults are drawn a few in a hundred each.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any

from coincurve import PrivateKey

from novate.model import fills as fill_state
from novate.model import margin, option_listing, oracle, session, settlement
from novate.model.instrument import Terms
from novate.model.option_id import is_dated
from novate.model.order import IMMEDIATE, POST_ONLY, REDUCE_ONLY, ZERO_ADDRESS, Order
from novate.model.settlement import Fill, Presented, Receipt
from novate.model.state import World
from novate.sim.world import BTC, ETH, TERMS, WETH, Settlement, Step, key_of, word
from novate.units import ORACLE_UNIT, WAD
from novate.wire import eip712
from novate.wire.order import SignedFill, SignedOrder, pack, receipt_words, sort_key

UNLISTED = 9
NOBODY = "0x" + "9" * 40
BUDGET_CENTS = 10**11
FAULT = 0.01


@dataclass(frozen=True, slots=True)
class Person:
    """A trader: a key and its account."""

    name: str
    account: int

    @property
    def key(self) -> PrivateKey:
        """The owner's key."""
        return key_of(self.name)

    @property
    def address(self) -> str:
        """The owner's address."""
        return f"0x{self.account >> 96:040x}"


def person(name: str, number: int = 0) -> Person:
    """The trader of that name with its account of that number."""
    address = eip712.address_of(key_of(name).public_key)
    return Person(name, int(address, 16) << 96 | number)


@dataclass(frozen=True, slots=True)
class Batch:
    """Fills as the executor matched them, their first sequence, and when."""

    fills: tuple[SignedFill, ...]
    first: int
    matched_at: int


class Desk:
    """Makes settlement steps for the traders; the engine's key signs receipts."""

    def __init__(self, seeded: random.Random, settlement_layer: Settlement, people: list[Person]):
        self.random = seeded
        self.both = settlement_layer
        self.world = settlement_layer.world
        self.people = people
        self.helpers = [key_of(f"helper {number}") for number in range(3)]
        self.helper_addresses = [eip712.address_of(key.public_key) for key in self.helpers]
        self.engine = settlement_layer.address["engine"]
        self.nonces = {p.account: 0 for p in people}
        self.sequence = 0
        self.open: list[SignedOrder] = []
        self.batches: list[Batch] = []
        self.receipts: list[Batch] = []

    def chance(self, probability: float = FAULT) -> bool:
        """Whether a fault is drawn."""
        return self.random.random() < probability

    def mark(self, instrument: int) -> int:
        """The mark in wad."""
        if is_dated(instrument):
            return margin.quoted(self.world, instrument)[0]
        terms = TERMS.get(instrument, TERMS[BTC])
        return oracle.feed(self.world, terms.feed).mark * ORACLE_UNIT

    def terms(self, instrument: int) -> Terms:
        """Terms, of something listed if it is not."""
        found = self.world.ledger.terms_of(instrument)
        return found if found.kind else TERMS[BTC]

    # Orders

    def order(self, who: Person, instrument: int, lots: int, price: int, **fields: Any) -> Order:
        """An order that lets the engine settle it, but for the faults drawn."""
        r, now = self.random, self.world.now
        self.nonces[who.account] += 1
        nonce = self.nonces[who.account]
        if self.chance():
            nonce = r.randrange(nonce)
        chosen: dict[str, Any] = {
            "account": who.account,
            "instrument": instrument,
            "lots": lots,
            "price": price,
            "max_fee": r.randrange(3) if self.chance() else r.choice([WAD, 10 * WAD, 100 * WAD]),
            "nonce": nonce,
            "expiry": self._until(instrument) if not self.chance() else now - 1,
            "revision": r.choice([0, 0, 0, 1, 2]),
            "flags": r.choice([0, 0, 0, IMMEDIATE]),
            "executor": r.choice([self.engine, self.engine, ZERO_ADDRESS]),
        }
        if self.chance():
            chosen["flags"] |= REDUCE_ONLY
        if self.chance(0.01):
            chosen["flags"] |= POST_ONLY
        if self.chance(0.05):
            chosen["exclusive_until"] = now + 30
        if self.chance(0.005):
            chosen["lots"] = r.choice([1, -1]) * 2**43
        if self.chance(0.005):
            chosen["executor"] = NOBODY
        return Order(**{**chosen, **fields})

    def _until(self, instrument: int) -> int:
        """An expiry of an order; of a dated instrument's seldom beyond its own."""
        until = self.world.now + self.random.choice([60, 3_600, 10**6])
        ends = option_listing.ends_at(self.world, instrument)
        return until if not ends or self.chance() else min(until, ends)

    def sign(self, order: Order, who: Person) -> SignedOrder:
        """Signed by the owner, now and then by a helper's session key, seldom by a thief."""
        key = who.key
        chosen = self.random.randrange(len(self.helpers))
        held = self.world.exchange.keys[order.account, self.helper_addresses[chosen]]
        if self.chance(0.3 if held.live(self.world.now) else FAULT):
            key = self.helpers[chosen]
        elif self.chance(0.01):
            key = key_of("thief")
        digest = eip712.order_digest(self.both.separator, order)
        r, vs = eip712.sign(key, digest)
        if self.chance(0.005):
            r = eip712.CURVE_ORDER - r
        return SignedOrder(order, r, vs)

    def fill(
        self, taker: Person, maker: Person, instrument: int, lots: int, buys: bool
    ) -> SignedFill:
        """Two orders that cross at a price near the mark, and their match."""
        r = self.random
        terms = self.terms(instrument)
        price = int(self.mark(instrument) * r.choice([1, 1, 1, 1.002, 0.998, 1.03, 0.97]))
        if self.chance():
            price = int(price * r.choice([0.8, 1.3]))
        price = max(price - price % terms.tick, terms.tick)
        if self.chance(0.01):
            price += 1
        sign = 1 if buys else -1
        slack = sign * r.choice([0, 0, 1, 100]) * terms.tick
        if self.chance():
            slack = -sign * terms.tick
        size = lots * r.choice([1, 1, 2, 5])
        other = instrument if not self.chance(0.01) else r.choice([BTC, ETH])
        opposite = -sign if not self.chance(0.01) else sign
        taken = self.order(taker, instrument, sign * size, max(price + slack, 0))
        made = self.order(maker, other, opposite * lots * r.choice([1, 1, 3]), price)
        matched = lots if not self.chance() else r.choice([0, lots * 7])
        return SignedFill(self.sign(taken, taker), self.sign(made, maker), matched, price)

    def some_fill(self) -> SignedFill:
        """A fill of random traders."""
        r = self.random
        taker, maker = r.sample(self.people, 2)
        instrument = r.choice([BTC, ETH])
        if self.chance():
            instrument = r.choice([WETH, UNLISTED])
        lots = r.choice([1, r.randint(1, 300), r.randint(1, 3_000), r.randint(1, 40_000)])
        return self.fill(taker, maker, instrument, lots, r.random() < 0.5)

    def refill(self) -> SignedFill | None:
        """A resting order met again, as far as it may still be open."""
        if not self.open:
            return None
        resting = self.random.choice(self.open)
        if self.chance(0.3):
            self.open.remove(resting)
        order = resting.order
        takers = [p for p in self.people if p.account != order.account]
        taker, lots = self.random.choice(takers), self.random.randint(1, max(1, order.size))
        signed = lots if order.sells else -lots
        taken = self.order(taker, order.instrument, signed, order.price)
        return SignedFill(self.sign(taken, taker), resting, lots, order.price)

    # Steps

    def batch(self, count: int) -> list[SignedFill]:
        """Fills whose orders share no fill state with another order of the batch."""
        made: list[SignedFill] = []
        keys: dict[Any, SignedOrder] = {}
        for _ in range(count):
            fill = (self.refill() if self.chance(0.2) else None) or self.some_fill()
            orders = {sort_key(s.order): s for s in (fill.taker, fill.maker)}
            if len(orders) == 2 and all(keys.get(k, s) == s for k, s in orders.items()):
                keys.update(orders)
                made.append(fill)
        return made

    def settle(self, fills: list[SignedFill], round_call: Any = None) -> Step:
        """The engine settles its matches; seldom a stranger presents them as its own."""
        start = self.sequence
        self.sequence += len(fills)
        made = Batch(tuple(fills), start, self.world.now)
        self.batches = [*self.batches[-30:], made]
        resting = [s for f in fills for s in (f.taker, f.maker) if not s.order.immediate]
        self.open = [*self.open[-60:], *resting]
        caller = self.engine if not self.chance(0.04) else self.both.address["stranger"]
        executor = caller
        if self.chance(0.01):
            executor = self.engine if caller != self.engine else NOBODY
        start = 2**63 if self.chance(0.005) else start
        return self._step(made.fills, caller, executor, start, [], round_call)

    def replay(self) -> Step | None:
        """A batch once more, with its own sequences or with new ones."""
        if not self.batches:
            return None
        old = self.random.choice(self.batches)
        first = old.first if self.chance(0.5) else self.sequence
        self.sequence = max(self.sequence, first + len(old.fills))
        return self._step(old.fills, self.engine, self.engine, first, [])

    def give_receipts(self, fills: list[SignedFill]) -> None:
        """The engine matches but does not settle: it leaves receipts."""
        self.receipts = [*self.receipts[-20:], Batch(tuple(fills), self.sequence, self.world.now)]
        self.sequence += len(fills)

    def settle_by_receipt(self) -> Step | None:
        """A stranger settles the engine's matches with its receipts, or tries to."""
        if not self.receipts:
            return None
        given = self.random.choice(self.receipts)
        signer = self.both.engine_key if not self.chance(0.05) else key_of("thief")
        proofs = []
        for index, fill in enumerate(given.fills):
            stated = fill if not self.chance() else replace(fill, lots=fill.lots + 1)
            proofs.append(self._proof(stated, given.first + index, given.matched_at, signer))
        if self.chance(0.03):
            proofs = proofs[:-1] or [*proofs, *proofs]
        elif self.chance() and len(proofs) > 1:
            proofs.reverse()
        executor = self.engine if not self.chance() else NOBODY
        return self._step(given.fills, self.both.address["stranger"], executor, 0, proofs)

    def _proof(
        self, fill: SignedFill, sequence: int, matched_at: int, signer: PrivateKey
    ) -> tuple[int, int, int]:
        maker, taker = (self._digest(s.order, self.engine) for s in (fill.maker, fill.taker))
        match = eip712.Match(maker, taker, fill.lots, fill.price, sequence, matched_at)
        r, vs = eip712.sign(signer, eip712.match_digest(self.both.separator, match))
        return receipt_words(sequence, matched_at, r, vs)

    def _digest(self, order: Order, executor: str) -> bytes:
        """What the contract will hash: an order names nobody or the batch's executor."""
        return eip712.order_digest(self.both.separator, self._seen(order, executor))

    def _seen(self, order: Order, executor: str) -> Order:
        return order if order.executor == ZERO_ADDRESS else replace(order, executor=executor)

    def _step(
        self,
        fills: tuple[SignedFill, ...],
        caller: str,
        executor: str,
        first: int,
        proofs: list[tuple[int, int, int]],
        round_call: Any = None,
    ) -> Step:
        packed = pack(fills)
        signed = {sort_key(s.order): s for f in fills for s in (f.taker, f.maker)}
        keys = sorted(signed)
        presented = []
        for key in keys:
            item = signed[key]
            seen = self._seen(item.order, executor)
            digest = eip712.order_digest(self.both.separator, seen)
            presented.append(Presented(seen, eip712.recover(digest, item.r, item.vs) or ""))
        place = {key: index for index, key in enumerate(keys)}
        sides = [(place[sort_key(f.taker.order)], place[sort_key(f.maker.order)]) for f in fills]
        matched = [Fill(*side, f.lots, f.price) for side, f in zip(sides, fills, strict=True)]
        receipts = [
            self._receipt(words, fills[min(index, len(fills) - 1)], executor)
            for index, words in enumerate(proofs)
        ]
        accounts = [int.from_bytes(account, "big") for account in packed.accounts]
        call, apply = round_call or (b"", None)
        lists = [packed.accounts, packed.instruments, packed.orders, packed.fills]
        arguments: list[Any] = [call, *lists, first, []]
        if proofs or executor != caller:
            arguments += [executor, proofs]

        def twin(world: World) -> int:
            if apply:
                apply(world)
            given = accounts, packed.instruments, presented, matched, first
            return settlement.settle(world, caller, *given, executor, receipts)

        orders = tuple(item.order for item in presented)
        exchange = self.both.exchange
        return Step(exchange, "settle", caller, tuple(arguments), twin, orders, tuple(matched))

    def _receipt(self, words: tuple[int, int, int], fill: SignedFill, executor: str) -> Receipt:
        """Who a receipt's signature recovers to over the fill beside it."""
        sequence, matched_at = words[0] & (2**64 - 1), words[0] >> 64
        maker, taker = (self._digest(s.order, executor) for s in (fill.maker, fill.taker))
        match = eip712.Match(maker, taker, fill.lots, fill.price, sequence, matched_at)
        digest = eip712.match_digest(self.both.separator, match)
        return Receipt(sequence, matched_at, eip712.recover(digest, words[1], words[2]) or "")

    # Cancels and session keys

    def caller(self, who: Person) -> str:
        """The owner, a helper, or a stranger."""
        helper = self.random.choice(self.helper_addresses)
        return self.random.choice([who.address, who.address, who.address, helper, NOBODY])

    def cancel(self) -> Step:
        """A resting order is cancelled."""
        who = self.random.choice(self.people)
        nonce = self.random.randint(0, self.nonces[who.account] + 3)
        nonce = 2**64 if self.chance(0.01) else nonce
        return self.both.step(
            self.both.exchange, self.caller(who), fill_state.cancel, who.account, nonce
        )

    def cancel_below(self) -> Step:
        """All orders below a nonce are cancelled."""
        who = self.random.choice(self.people)
        nonce = max(0, self.nonces[who.account] - self.random.randint(0, 20))
        return self.both.step(
            self.both.exchange, self.caller(who), fill_state.cancel_below, who.account, nonce
        )

    def session_key(self) -> Step:
        """A helper is allowed to sign."""
        r, who = self.random, self.random.choice(self.people)
        sender = who.address if not self.chance(0.1) else NOBODY
        key = r.choice(self.helper_addresses)
        key = who.address if self.chance() else key
        expiry = self.world.now + r.choice([600, 7_200, 10**6]) - (10**6 + 1) * self.chance()
        scope = r.choice([1, 1, 2, 3, 4, 5, 7, 7, 7, 0, 8])
        budgets = r.choice([0, 10**6, BUDGET_CENTS]), r.choice([0, 10**5, BUDGET_CENTS])
        fields = expiry, scope, r.choice([0, 0, 1, 2, 3]), *budgets
        account, row = who.account, session.SessionKey(*fields)
        return Step(
            self.both.exchange,
            "set_session_key",
            sender,
            (word(account), key, *fields),
            lambda world: session.set_session_key(world, sender, account, key, row),
        )

    def remove_session_key(self) -> Step:
        """A helper's key is removed."""
        who = self.random.choice(self.people)
        key = self.random.choice(self.helper_addresses)
        sender = who.address if not self.chance(0.1) else NOBODY
        return self.both.step(
            self.both.exchange, sender, session.remove_session_key, who.account, key
        )
