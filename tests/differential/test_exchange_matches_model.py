"""The Exchange and its model, fed the same random batches, hold the same state and log the same.

The ledger is a mock that refuses a random set of trades. Orders are signed by owners, live, removed
and unknown session keys, thieves and contract wallets; alone, or in trees whose proofs may lie.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from novate.chain.harness import CallReverted, Contract, actor
from novate.errors import Rejected
from novate.model import fills as model_fills
from novate.model import margin, novation, session, settlement, venue
from novate.model.novation import Trade
from novate.model.option_id import place_of, terms_key
from novate.model.option_listing import Listed
from novate.model.oracle import Feed
from novate.model.order import IMMEDIATE, POST_ONLY, REDUCE_ONLY, ZERO_ADDRESS, Order
from novate.model.settlement import Fill, Presented, Receipt
from novate.model.state import World
from novate.units import WAD
from novate.wire import bulk, eip712
from novate.wire.order import SignedOrder, fill_word, order_words
from tests.support.exchange import (
    BTC,
    BTC_CALL,
    ETH,
    ETH_PUT,
    MARKS_USD,
    MOCKS,
    OPTION_TERMS,
    PRICE,
    TERMS,
    Desk,
    account_of,
    address_of,
    as_bytes,
    key_of,
)

OWNERS = ("alice", "bob", "carol", "dave")
KEYS = ("key 0", "key 1", "key 2")
NONCES = 24
INSTRUMENTS = (BTC, ETH, BTC_CALL, ETH_PUT)
PREMIUM = PRICE + 5 * WAD // 100
NOBODY = "0x" + "9" * 40
BATCHES_A_SEED = 60
COMPARED = {"Fill", "FillSkipped", "BatchSettled"}


def set_session_key(world: World, caller: str, account: int, key: str, *fields: int) -> None:
    """The model's, with the arguments of the contract's."""
    session.set_session_key(world, caller, account, key, session.SessionKey(*fields))


class Twins:
    """One desk and one world in step."""

    def __init__(self, seed: int, patch: pytest.MonkeyPatch) -> None:
        self.rng = random.Random(seed)
        self.desk = Desk()
        self.world = World(self.desk.now, {"timelock": actor("timelock"), "exchange": "0xe"})
        self.refused = 0
        self.sent: list[tuple[int, int]] = []
        self.settled = 0
        self.codes: set[bytes] = set()
        patch.setattr(novation, "novate", self.novate)
        for id, option in OPTION_TERMS.items():
            self.world.ledger.terms[terms_key(id)] = option
            self.world.options.forward_feeds[place_of(id)] = option.underlying + 1
            self.ends(id, 86_400)
            self.desk.ledger.call("set_mark", id, PREMIUM)
        patch.setattr(margin, "quoted", lambda world, id: (PREMIUM, 0))
        for instrument, terms in TERMS.items():
            self.world.ledger.terms[instrument] = terms
            self.world.oracle.feeds[terms.feed] = Feed(mark=MARKS_USD[terms.feed] * 10**10)
        self.wallet: Contract = self.desk.chain.deploy("MockWallet", root=MOCKS)
        self.agrees = False
        self.accounts = sorted(account_of(role) for role in OWNERS)
        self.accounts.append(int(self.wallet.address, 16) << 96 | 1)
        self.accounts.sort()
        self.govern(venue.set_executor, self.desk.engine, True)
        self.govern(venue.set_fees, 400, 100)
        self.govern(venue.set_option_fees, 300, 1_250)
        for role in OWNERS:
            for key, budgets in (("key 0", (10**9, 10**8)), ("key 1", (20_000, 10_000))):
                limits = self.desk.now + 2_000, 1, 0, *budgets
                owner = address_of(role), set_session_key, account_of(role)
                self.both(*owner, address_of(key), *limits)

    def novate(
        self, world: World, caller: str, accounts: Any, instruments: Any, trades: list[Trade]
    ) -> int:
        """The model's ledger: the mock's twin."""
        assert caller == "0xe"
        self.sent = [trade.words() for trade in trades]
        return (1 << len(trades)) - 1 & ~self.refused

    def ends(self, id: int, seconds: int) -> None:
        """The expiry of an option, on both."""
        self.desk.set_expiry(id, OPTION_TERMS[id].underlying, seconds)
        self.world.options.listed[place_of(id)] = Listed(self.desk.now + seconds)

    def govern(self, function: Any, *arguments: Any) -> None:
        function(self.world, actor("timelock"), *arguments)
        self.desk.govern(function.__name__, *arguments)

    def both(self, caller: str, function: Any, account: int, *arguments: Any) -> None:
        """Run an owner's act on both; both accept it or reject it with the same error."""
        outcomes = []
        try:
            with self.world.store.transaction():
                function(self.world, caller, account, *arguments)
            outcomes.append("")
        except Rejected as rejected:
            outcomes.append(rejected.error.name)
        call = self.desk.exchange.call
        try:
            call(function.__name__, as_bytes(account), *arguments, sender=caller)
            outcomes.append("")
        except Rejected as rejected:
            outcomes.append(rejected.error.name)
        assert outcomes[0] == outcomes[1], function.__name__

    def advance(self) -> None:
        seconds = self.rng.choice((1, 5, 20, 40))
        self.desk.chain.advance(seconds)
        self.world.now += seconds

    def act(self) -> None:
        """A random cancel, session key change or change of the wallet's mind."""
        rng, role = self.rng, self.rng.choice(OWNERS)
        account, key = account_of(role), address_of(rng.choice(KEYS))
        caller = rng.choice((address_of(role), address_of(role), key))
        nonce = rng.randrange(NONCES)
        chosen = rng.randrange(6)
        if chosen == 0 and rng.random() < 0.3:
            self.both(caller, model_fills.cancel, account, nonce)
        elif chosen == 1 and rng.random() < 0.1:
            self.both(caller, model_fills.cancel_below, account, nonce // 2)
        elif chosen in (2, 3):
            budget = rng.choice((0, 20_000, 10**8)), rng.choice((0, 100, 10**7))
            lived = self.desk.now + rng.choice((-1, 100, 1_000))
            limits = lived, rng.choice((1, 2, 3, 7, 7, 8)), rng.randrange(4), *budget
            self.both(caller, set_session_key, account, key, *limits)
        elif chosen == 4:
            self.both(caller, session.remove_session_key, account, key)
        else:
            self.agrees = rng.random() < 0.8
            self.wallet.call("set_mode", int(self.agrees))

    def order(self, key: tuple[int, bool, int]) -> Order:
        rng = self.rng
        account, immediate, nonce = key
        flags = rng.choice((*[0] * 12, REDUCE_ONLY, POST_ONLY)) | immediate * IMMEDIATE
        sizes = (1, 2, 2, 3, 10) if immediate else (3, *[10] * 40, 40, 2**43)
        return Order(
            account=account,
            instrument=rng.choice((*[BTC] * 5, ETH, *[BTC_CALL] * 3, *[ETH_PUT] * 2)),
            lots=rng.choice((-1, 1)) * rng.choice(sizes),
            price=PRICE + rng.choice((-1, *[0] * 20, 1)) * WAD,
            max_fee=rng.choice((*[WAD] * 24, 24 * WAD // 1000, WAD // 1000)),
            nonce=nonce,
            expiry=self.desk.now + rng.choice((*[500] * 30, 0, -1)),
            revision=rng.choice((*[1] * 12, 0, 2)),
            exclusive_until=self.desk.now + rng.choice((0, 0, 0, 0, 50)),
            flags=flags,
            executor=rng.choice((*[self.desk.engine] * 30, *[ZERO_ADDRESS] * 8, NOBODY)),
        )

    def present(self, order: Order, executor: str) -> tuple[SignedOrder, Presented]:
        """The order signed by somebody, and what the model is told of the signature."""
        if order.owner == self.wallet.address.lower():
            signed = SignedOrder(order, blob=b"blob")
            asked = order if order.executor == ZERO_ADDRESS else replace(order, executor=executor)
            return signed, Presented(asked, contract_wallet=True, consents=self.agrees)
        role = next(role for role in OWNERS if address_of(role) == order.owner)
        signer = self.rng.choice((role,) * 8 + KEYS[:2] * 2 + KEYS[2:] + ("thief",))
        seen = order if order.executor == ZERO_ADDRESS else replace(order, executor=executor)
        if self.rng.random() < 0.3:
            return self.present_in_tree(order, seen, signer)
        signed = self.desk.sign(order, signer)
        digest = eip712.order_digest(self.desk.separator, seen)
        recovered = eip712.recover(digest, signed.r, signed.vs) or ""
        return signed, Presented(order, recovered)

    def present_in_tree(
        self, order: Order, seen: Order, signer: str
    ) -> tuple[SignedOrder, Presented]:
        """The order somewhere in a signed tree, or in a wrong place of it."""
        rng = self.rng
        others = [replace(order, nonce=1_000 + i) for i in range(rng.choice((0, 1, 2, 6)))]
        index = rng.randrange(len(others) + 1)
        listed = (*others[:index], order, *others[index:])
        made = bulk.sign_bulk(key_of(signer), self.desk.separator, listed)
        share = made.signature(index)
        if rng.random() < 0.1:
            share = replace(share, index=share.index ^ 1)
        if rng.random() < 0.05:
            share = replace(share, siblings=(share.siblings * 9)[:15])
        signer_found = share.signer(self.desk.separator, seen) or ""
        return SignedOrder(order, bulk=share), Presented(seen, signer_found)

    def batch(self) -> None:
        """One random batch on both; compares result, log, trades and fill state."""
        rng = self.rng
        keys = {
            (rng.choice(self.accounts), rng.random() < 0.3, rng.randrange(NONCES))
            for _ in range(rng.randrange(2, 12))
        }
        orders = [self.order(key) for key in sorted(keys)]
        by_receipt = rng.random() < 0.3
        caller = rng.choice((*[self.desk.engine] * 9, address_of("stranger")))
        executor = self.desk.engine if by_receipt else caller
        both = [self.present(order, executor) for order in orders]
        fills = [self.fill(orders) for _ in range(rng.randrange(1, 9))]
        if rng.random() < 0.2:
            rates = rng.choice((0, 300, 2_000)), rng.choice((0, 1, 3, 1_250, 2_500))
            self.govern(venue.set_option_fees, *rates)
        self.ends(ETH_PUT, rng.choice((499, 500, 600)))
        self.refused = rng.getrandbits(9) & rng.getrandbits(9)
        self.desk.ledger.call("set_refused", self.refused)
        first = rng.randrange(250, 500)
        proofs = self.proofs([s for s, _ in both], fills, executor) if by_receipt else []
        words, blobs, calldata_end = self.words([s for s, _ in both])
        outcomes = [
            self.on_model(caller, [p for _, p in both], fills, first, executor, proofs),
            self.on_contract(caller, words, fills, first, executor, proofs, blobs, calldata_end),
        ]
        assert outcomes[0] == outcomes[1]
        self.settled += outcomes[0][0].bit_count()
        self.codes |= {arguments["code"] for _, arguments in outcomes[0][1] if "code" in arguments}

    def words(self, signed: list[SignedOrder]) -> tuple[list[Any], list[bytes], bytes]:
        """Words of the orders, blobs and proofs: the wallet's blob first, then all signatures."""
        shares = [s.bulk for s in signed if s.bulk]
        left = sum(len(share.siblings) for share in shares)
        words, place = [], 0
        for item in signed:
            indices = (
                self.accounts.index(item.order.account),
                INSTRUMENTS.index(item.order.instrument),
            )
            where = (0, 0, 0) if item.bulk is None else (1, 64 * place, left)
            words.append(order_words(item, *indices, *where))
            if item.bulk is not None:
                place, left = place + 1, left - len(item.bulk.siblings)
        pairs = [word.to_bytes(32, "big") for share in shares for word in (share.r, share.vs)]
        siblings = [sibling for share in shares for sibling in share.siblings]
        return words, [b"blob", b"".join(pairs)], b"".join(siblings)

    def fill(self, orders: list[Order]) -> Fill:
        rng = self.rng
        taker = rng.randrange(len(orders))
        crossing = [
            i
            for i, order in enumerate(orders)
            if order.sells != orders[taker].sells and order.instrument == orders[taker].instrument
        ]
        pick = crossing if crossing and rng.random() < 0.95 else range(len(orders))
        price = PRICE + rng.choice((*[0] * 20, WAD, -WAD))
        return Fill(taker, rng.choice(pick), rng.choice((0, 1, 1, 2, 2, 2, 2, 3, 9)), price)

    def proofs(
        self, orders: list[SignedOrder], fills: list[Fill], executor: str
    ) -> list[tuple[tuple[int, int, int], Receipt]]:
        rng, made = self.rng, []
        sequences = sorted(rng.sample(range(250, 510), len(fills)))
        for sequence, fill in zip(sequences, fills, strict=True):
            matched_at = self.desk.now - rng.choice((29, 30, 31, 60))
            taker, maker = orders[fill.taker], orders[fill.maker]
            digests = [
                eip712.order_digest(
                    self.desk.separator,
                    s.order
                    if s.order.executor == ZERO_ADDRESS
                    else replace(s.order, executor=executor),
                )
                for s in (maker, taker)
            ]
            match = eip712.Match(*digests, fill.lots, fill.price, sequence, matched_at)
            signer = rng.choice(("engine", "engine", "engine", "thief"))
            digest = eip712.match_digest(self.desk.separator, match)
            r, vs = eip712.sign(key_of(signer), digest)
            receipt = Receipt(sequence, matched_at, address_of(signer))
            made.append(((sequence | matched_at << 64, r, vs), receipt))
        return made

    def on_model(
        self, caller: str, orders: Any, fills: Any, first: int, executor: str, proofs: Any
    ) -> Any:
        self.sent = []
        self.world.take_events()
        receipts = [receipt for _, receipt in proofs]
        lists = self.accounts, INSTRUMENTS, orders, fills
        with self.world.store.transaction():
            result = settlement.settle(self.world, caller, *lists, first, executor, receipts)
        logged = [(e.name, comparable(e.arguments)) for e in self.world.take_events()]
        return result, logged, self.sent, self.state_of_model()

    def on_contract(
        self,
        caller: str,
        words: Any,
        fills: Any,
        first: int,
        executor: str,
        proofs: Any,
        blobs: list[bytes],
        calldata_end: bytes,
    ) -> Any:
        accounts = [as_bytes(account) for account in self.accounts]
        packed = [fill_word(f.taker, f.maker, f.lots, f.price) for f in fills]
        arguments: list[Any] = [b"", accounts, list(INSTRUMENTS), words, packed, first, blobs]
        if proofs:
            arguments += [executor, [proof for proof, _ in proofs]]
        calls = self.desk.ledger.view("calls")
        result = self.desk.send(caller, calldata_end, *arguments)
        events = [e for e in self.desk.chain.events() if e.name in COMPARED]
        logged = [(e.name, comparable(e.arguments)) for e in events]
        sent = self.desk.trades() if self.desk.ledger.view("calls") > calls else []
        return result, logged, sent, self.state_of_contract()

    def state_of_model(self) -> list[Any]:
        exchange = self.world.exchange
        found: list[Any] = []
        for account in self.accounts:
            for nonce in range(NONCES):
                lane = exchange.lanes[account, False, nonce]
                immediate = exchange.lanes[account, True, nonce].pack()
                flags = exchange.immediates[account, nonce]
                found.append((lane.pack(), lane.cancelled_from or 0, flags, immediate))
            found.append(model_fills.lowest(self.world, account))
            found += [exchange.keys[account, address_of(key)].pack() for key in KEYS]
        for executor in (self.desk.engine, address_of("stranger")):
            found.append([exchange.sequences[executor, s] for s in range(250, 520)])
        return found

    def state_of_contract(self) -> list[Any]:
        view = self.desk.exchange.view
        found: list[Any] = []
        for account in self.accounts:
            name = as_bytes(account)
            found += [tuple(view("order_state", name, nonce)) for nonce in range(NONCES)]
            found.append(view("cancelled_below", name))
            found += [view("session_key", name, address_of(key)) for key in KEYS]
        for executor in (self.desk.engine, address_of("stranger")):
            found.append([view("sequence_settled", executor, s) for s in range(250, 520)])
        return found


def comparable(arguments: dict[str, Any]) -> dict[str, Any]:
    """Accounts as integers and addresses in lower case, as the model has them."""
    plain = {}
    for name, value in arguments.items():
        if name in ("maker", "taker") and isinstance(value, bytes):
            value = int.from_bytes(value, "big")
        plain[name] = value.lower() if isinstance(value, str) else value
    return plain


@pytest.mark.parametrize("seed", range(6))
def test_random_batches_match_the_model(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    twins = Twins(seed, monkeypatch)
    for _ in range(BATCHES_A_SEED):
        twins.act()
        twins.advance()
        twins.batch()
    assert twins.settled >= 10
    assert len(twins.codes) > 10, twins.codes


def test_both_refuse_an_order_listed_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    twins = Twins(0, monkeypatch)
    order = twins.order((twins.accounts[0], False, 1))
    presented = [Presented(order), Presented(order)]
    words = [order_words(SignedOrder(order), 0, 0)] * 2
    with pytest.raises(Rejected, match="NotAscending"):
        twins.on_model(twins.desk.engine, presented, [], 1, twins.desk.engine, [])
    with pytest.raises((Rejected, CallReverted), match="NotAscending"):
        twins.on_contract(twins.desk.engine, words, [], 1, twins.desk.engine, [], [], b"")
