"""The auditor: watches a replica apply the chain's transactions and judges what each one changed.

It holds what needs a before and an after (I03 to I05, I09 to I11, I13 to I15); predicates are those
of ``model/invariants.py``. A transaction costs in proportion to the rows it wrote, but for a failed
one, which must have written none. The replica's own failures (``Divergence``) pass through. Reverts
that the model cannot explain are listed, and are no finding: anybody can send too little gas.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from novate import errors
from novate.model import fees, invariants, ledger, waterfall
from novate.model.account import Account, load, owner_of
from novate.model.instrument import SPOT
from novate.model.invariants import Change
from novate.model.ledger import Check
from novate.model.order import Order
from novate.model.settlement import Fill
from novate.services import settle_call
from novate.services.replica import Outcome, Replica
from novate.services.routed import parts
from novate.wire.records import ChainTransaction

JUDGED = ("I03", "I04", "I05", "I09", "I10", "I11", "I13", "I14", "I15")
PAUSED = errors.Paused.selector.to_bytes(4, "big")


@dataclass(frozen=True, slots=True)
class Finding:
    """One broken invariant: its id, the transaction that broke it, and how."""

    invariant: str
    transaction: bytes
    text: str


@dataclass(slots=True)
class _Batch:
    """A settlement's calldata, unpacked: orders, fills, which of them settled."""

    orders: list[Order]
    fills: list[Fill]
    settled: int

    def settled_fills(self) -> list[Fill]:
        """The fills that settled, in order."""
        return [fill for i, fill in enumerate(self.fills) if self.settled >> i & 1]


@dataclass(slots=True)
class _Book:
    """What the auditor remembers: lots by (account, immediate, nonce), flows, who ever traded."""

    filled: dict[tuple[int, bool, int], int] = field(default_factory=dict)
    flows: dict[int, dict[int, int]] = field(default_factory=dict)
    traders: set[int] = field(default_factory=set)


class Auditor:
    """Judges every transaction that goes through ``apply``."""

    def __init__(self, replica: Replica) -> None:
        self.replica = replica
        self.findings: list[Finding] = []
        self.unexplained: list[bytes] = []  # reverted, but not for a reason that the model knows
        self.transactions = 0
        self._book = _Book()
        self._record: ChainTransaction | None = None
        self._house = int(replica.world.addresses["waterfall"], 16)

    def verdicts(self) -> dict[str, bool]:
        """Each transition invariant, and whether it held so far."""
        broken = {finding.invariant for finding in self.findings}
        return {name: name not in broken for name in JUDGED}

    def apply(self, record: ChainTransaction) -> Outcome:
        """Have the replica execute a transaction, and judge it; one that reached us through others'
        contracts call by call, of which the last is told. Raises ``Divergence``.
        """
        if record.calls:
            return [self.apply(part) for part in parts(record)][-1]
        self._record = record
        self.transactions += 1
        if not record.succeeded:
            return self._rejected(record)
        world = self.replica.world
        before = self._check_of_bid(record)
        with world.store.transaction():
            outcome = self.replica.apply(record)
            written: dict[tuple[str, Any], Any] = {}
            for table, key, row, existed in world.store.undo or []:
                written.setdefault((table.name, key), row if existed else table.default)
        change = Change(written)
        key = outcome.contract, outcome.function
        if key == ("exchange", "settle"):
            self._settlement(outcome, change)
        elif key == ("clearinghouse", "novate"):
            self._novation(change)
        elif key == ("custody", "withdraw"):
            self._withdrawal(outcome)
        if before is not None:
            self._after_bid(outcome, change, before)
        self._flows(outcome, change)
        self._layers(outcome)
        return outcome

    def _judge(self, invariant: str, held: bool, text: str) -> None:
        if not held:
            assert self._record is not None
            self.findings.append(Finding(invariant, self._record.transaction, text))

    # Failed transactions

    def _rejected(self, record: ChainTransaction) -> Outcome:
        """I13: nothing is written. I14: the same call is refused without the pause, too."""
        world = self.replica.world
        before = {name: dict(table.rows) for name, table in world.store.tables.items()}
        outcome = self.replica.apply(record)
        after = {name: table.rows for name, table in world.store.tables.items()}
        self._judge("I13", before == after, "a failed transaction changed the state")
        self._gas(outcome, record)
        if outcome.unexplained:
            self.unexplained.append(record.transaction)
            return outcome
        config = world.ledger.config
        trades = ("settle", "novate")
        if world.now < config.paused_until and outcome.function not in trades:
            stopped = False
            with suppress(_Undo), world.store.transaction():
                world.ledger.configs["config"] = replace(config, paused_until=0)
                stopped = self.replica.would_accept(record)
                raise _Undo
            self._judge(
                "I14", not stopped, f"the pause stopped {outcome.contract}.{outcome.function}"
            )
        return outcome

    # Settlements

    def _settlement(self, outcome: Outcome, change: Change) -> None:
        batch = self._batch(outcome)
        traders: set[int] = set()
        agreed = 0
        for fill in batch.settled_fills():
            taker, maker = batch.orders[fill.taker], batch.orders[fill.maker]
            traders |= {taker.account, maker.account}
            self._count(taker, fill.lots)
            self._count(maker, fill.lots)
            agreed += self._terms(taker, maker, fill)
        self._gate(change, sorted(traders))
        self._fees(change, agreed)
        self._book.traders |= traders
        self._pause(outcome, change, batch)

    def _batch(self, outcome: Outcome) -> _Batch:
        assert self._record is not None
        _, raw_accounts, instruments, words, fills = outcome.arguments[:5]
        named = len(outcome.arguments) > 7
        executor = outcome.arguments[7].lower() if named else "0x" + self._record.sender.hex()
        accounts = [int.from_bytes(account, "big") for account in raw_accounts]
        orders = [settle_call.unpack_order(w, accounts, instruments, executor) for w in words]
        settled = [e.arguments["settled"] for e in outcome.events if e.name == "BatchSettled"]
        unpacked = [Fill(f & 255, f >> 8 & 255, f >> 16 & (2**44 - 1), f >> 60) for f in fills]
        return _Batch(orders, unpacked, settled[0] if settled else 0)

    def _count(self, order: Order, lots: int) -> None:
        """I04: resting orders share one count over their revisions, immediate ones settle once."""
        key = (order.account, order.immediate, order.nonce)
        filled = self._book.filled[key] = self._book.filled.get(key, 0) + lots
        held = invariants.I04_within_signed_lots(order, filled)
        self._judge("I04", held, f"{filled} lots filled of {order.size}")

    def _terms(self, taker: Order, maker: Order, fill: Fill) -> int:
        """I05 for both sides; the fees of the fill."""
        world = self.replica.world
        terms, forward = (
            world.ledger.terms_of(taker.instrument),
            fees.forward_of(world, taker.instrument),
        )
        each = fees.of_fill(world.exchange.settings, terms, fill.lots, fill.price, forward)
        total = 0
        for order, fee in zip((taker, maker), each, strict=True):
            held = invariants.I05_within_signed_terms(order, fill.price, fill.lots, fee)
            self._judge("I05", held, f"filled at {fill.price}, fee {fee}")
            total += fee
        return total

    def _fees(self, change: Change, agreed: int) -> None:
        """I05: the pot grew by the fees of the fills and the interest owed, by nothing else."""
        world = self.replica.world
        rows = change.before("ledger.accounts").values()
        owed = sum(load(world, row)[1] for row in rows)
        for pot in change.before("ledger.pot").values():
            charged = world.ledger.pot.fees - pot.fees
            self._judge("I05", charged == agreed + owed, f"{charged} charged, {agreed} agreed")

    def _gate(self, change: Change, accounts: Sequence[int]) -> None:
        held = invariants.I03_funded_or_no_worse(self.replica.world, change, accounts)
        self._judge("I03", held, "an account was left below its initial margin")

    def _novation(self, change: Change) -> None:
        accounts = sorted(change.before("ledger.accounts"))
        self._gate(change, accounts)
        self._book.traders |= set(accounts)

    def _pause(self, outcome: Outcome, change: Change, batch: _Batch) -> None:
        """I14: of the trades refused for the pause none reduces what a side held at the start.

        Judged where nothing earlier in the batch touched either side's position.
        """
        index = [e.arguments["index"] for e in outcome.events if e.name == "TradeSkipped"]
        codes = [e.arguments["code"] for e in outcome.events if e.name == "TradeSkipped"]
        barred = {e.arguments["index"] for e in outcome.events if e.name == "FillSkipped"}
        sent = [i for i in range(len(batch.fills)) if i not in barred]
        refused = {sent[i] for i, code in zip(index, codes, strict=True) if code == PAUSED}
        seen: set[tuple[int, int]] = set()
        for i in sent:
            fill = batch.fills[i]
            sides = [batch.orders[fill.taker], batch.orders[fill.maker]]
            keys = {(o.account, o.instrument) for o in sides}
            if i in refused and not keys & seen:
                held = [self._held_before(change, o) for o in sides]
                changes = [-fill.lots if o.sells else fill.lots for o in sides]
                fair = invariants.I14_pause_refuses_increases_only(held, changes)
                self._judge("I14", fair, "the pause stopped a reduction")
            elif i not in refused:
                seen |= keys

    def _held_before(self, change: Change, order: Order) -> int:
        rows = self.replica.world.ledger.accounts
        row: Account = change.rows.get(("ledger.accounts", order.account), rows[order.account])
        return dict(row.positions).get(order.instrument, 0)

    # Withdrawals, auctions, the waterfall

    def _withdrawal(self, outcome: Outcome) -> None:
        account = int.from_bytes(outcome.arguments[0], "big")
        held = invariants.I03_withdrawal_is_funded(self.replica.world, account)
        self._judge("I03", held, "a withdrawal took margin")

    def _check_of_bid(self, record: ChainTransaction) -> Check | None:
        """An account's check just before a bid on it."""
        outcome = self.replica.decode(record)
        if (outcome.contract, outcome.function) != ("auctioneer", "bid"):
            return None
        self.replica.world.now = record.timestamp
        return ledger.check(self.replica.world, int.from_bytes(outcome.arguments[0], "big"))

    def _after_bid(self, outcome: Outcome, change: Change, before: Check) -> None:
        assert self._record is not None
        world = self.replica.world
        account, bidder = (int.from_bytes(a, "big") for a in outcome.arguments[:2])
        with invariants.as_then(world, change):
            after = ledger.check(world, account)
        self._judge("I09", invariants.I09_health_kept(before, after), "a slice worsened health")
        self._gate(change, [bidder])
        self._book.traders |= {account, bidder}
        self._gas(outcome, self._record)

    def _gas(self, outcome: Outcome, record: ChainTransaction) -> None:
        if (outcome.contract, outcome.function) == ("auctioneer", "bid"):
            held = invariants.I15_fits_in_a_transaction(record.gas_used)
            self._judge("I15", held, f"a bid used {record.gas_used} gas")

    def _flows(self, outcome: Outcome, change: Change) -> None:
        """I10: accounts that never traded hold their deposits less their withdrawals."""
        world, book = self.replica.world, self._book
        for event in outcome.events:
            if event.name in ("Deposited", "Withdrawn"):
                sign = 1 if event.name == "Deposited" else -1
                token = world.custody.tokens[event.arguments["token"].lower()]
                amount = event.arguments["amount"] * 10 ** (18 - token.decimals)
                if token.instrument:
                    amount = event.arguments["amount"] // token.lot_units
                account = int.from_bytes(event.arguments["account"], "big")
                flows = book.flows.setdefault(account, {})
                flows[token.instrument] = flows.get(token.instrument, 0) + sign * amount
        for account in change.before("ledger.accounts"):
            row = world.ledger.accounts[account]
            kinds = {world.ledger.terms_of(i).kind for i, _ in row.positions}
            if kinds - {SPOT} or owner_of(account) == self._house:
                book.traders.add(account)
            if account not in book.traders:
                held = invariants.I10_only_own_flows(row, book.flows.get(account, {}))
                self._judge("I10", held, f"account {account:#066x} lost or gained without trading")

    def _layers(self, outcome: Outcome) -> None:
        """I11: layers pay in order, and none below zero."""
        paid = [
            (e.arguments["layer"], int.from_bytes(e.arguments["account"], "big"))
            for e in outcome.events
            if e.name == "LayerPaid"
        ]
        world = self.replica.world
        cash = waterfall.layers(world)
        self._judge("I11", min(cash) >= 0, "a layer is below zero")
        if paid:
            left = waterfall.insurance_left(world)
            held = invariants.I11_layers_pay_in_order(paid, cash, left)
            self._judge("I11", held, "layers paid out of order")


class _Undo(Exception):
    """Takes a trial back."""
