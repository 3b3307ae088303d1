"""The settler: closed batches and rounds become transactions of the executor, each exactly once.

Owns: the way from the journal to the chain. It reads the journal and appends to it; what it does
follows from what stands there, so a settler that was killed at any point goes on where the journal
ends. ``plan`` says what to send next; only once that is in the journal, with its nonce and hash,
does ``transmit`` send it. ``check`` asks the node about what is not in a block: what it does not
know is sent again, what it keeps too long is replaced at a higher fee, and where somebody else has
used the nonce up the batch gets another one. Whether a batch settled the settler reads from the
watcher's records, never from an answer of the node's to itself.

Twice is impossible: a nonce settles once, and a match that two transactions carry settles by the
first of them, since the Exchange marks its sequence. What did not settle in its batch comes back
from the sequencer as batches of one. Rounds are sent in order, none left out while it is fresh,
since averages depend on every one; a round goes with the batch that was judged by it. One key, one
lane of nonces: the Exchange takes a batch only from the executor that its orders name.
"""

from __future__ import annotations

from collections import Counter

from eth_account.signers.local import LocalAccount
from eth_utils.crypto import keccak
from msgspec.structs import replace

from novate.chain.client import Client
from novate.chain.connection import CallReverted, RpcFault
from novate.chain.deployment import Deployment
from novate.chain.rows import Fees, hexed, integer, raw_bytes
from novate.engine.ahead import REORG_BLOCKS_MAX
from novate.errors import NodeLied, NodeOnWrongChain, Rejected
from novate.services import batch_call
from novate.services.flights import (
    Flight,
    SettlerOptions,
    carries,
    is_known,
    load_of,
    settled_by,
    span_of,
)
from novate.wire import records
from novate.wire.order import SignedFill
from novate.wire.records import (
    AnyRecord,
    BatchClosed,
    BatchSubmitted,
    BlockAccepted,
    ChainReorganised,
    ChainTransaction,
    Matched,
    OracleRound,
    OrderPlaced,
    QuotesPlaced,
)

GAS_BASE = 1_000_000
GAS_PER_FILL = 450_000
GAS_MAX = 60_000_000


class Settler:
    """One executor's settler."""

    def __init__(
        self,
        client: Client,
        deployment: Deployment,
        key: LocalAccount,
        options: SettlerOptions | None = None,
    ) -> None:
        self.client = client
        self.deployment = deployment
        self.key = key
        self.options = options or SettlerOptions()
        self.placed: dict[bytes, OrderPlaced] = {}
        self.matches: dict[int, Matched] = {}
        self.rounds: dict[int, OracleRound] = {}
        self.waiting: list[OracleRound | BatchClosed] = []
        self.flights: dict[int, Flight] = {}
        self.faults: Counter[str] = Counter()
        self._by_hash: dict[bytes, int] = {}
        self._raw: dict[bytes, bytes] = {}
        self._sender = key.address.lower()

    # The journal

    def follow(self, record: AnyRecord) -> None:
        """Take note of one journal record."""
        match record:
            case OrderPlaced() | QuotesPlaced() | BlockAccepted():
                self.placed |= {placed.digest: placed for placed in records.orders_in(record)}
            case Matched():
                self.matches[record.sequence] = record
            case OracleRound():
                self.rounds[record.round] = record
                self.waiting.append(record)
            case BatchClosed():
                self._queue(record)
            case BatchSubmitted():
                self._submitted(record)
            case ChainTransaction():
                self._arrived(record)
            case ChainReorganised():
                for flight in self.flights.values():
                    if flight.block is not None and flight.block >= record.first_block:
                        flight.block, flight.sent, flight.settled = None, False, frozenset()
            case _:
                pass

    def _queue(self, batch: BatchClosed) -> None:
        """A batch goes before the rounds that came after those it was judged by."""
        place = len(self.waiting)
        while place:
            before = self.waiting[place - 1]
            if isinstance(before, BatchClosed) or before.round <= batch.oracle_round:
                break
            place -= 1
        self.waiting.insert(place, batch)

    def _submitted(self, record: BatchSubmitted) -> None:
        load = load_of(record)
        for old in list(self.flights.values()):
            if old.nonce != record.nonce and old.block is None and load_of(old.first) == load:
                del self.flights[old.nonce]  # its nonce was used up: this one replaces it
        flight = self.flights.get(record.nonce)
        if flight is None:
            flight = self.flights[record.nonce] = Flight(record.nonce, record, [])
        flight.attempts.append(record)
        flight.sent, flight.asked_ms = False, record.submitted_ms
        self._by_hash[record.transaction] = record.nonce
        carried = record.oracle_round if record.carries_round else None
        self.waiting = [item for item in self.waiting if not carries(record, carried, item)]

    def _arrived(self, record: ChainTransaction) -> None:
        nonce = self._by_hash.get(record.transaction)
        if nonce is not None and nonce in self.flights:
            self.flights[nonce].block = record.block
            self.flights[nonce].settled = settled_by(record)
        for old in [
            f
            for f in self.flights.values()
            if f.block is not None and f.block <= record.block - REORG_BLOCKS_MAX
        ]:
            self._forget(old)

    def _forget(self, flight: Flight) -> None:
        """No reorganisation reaches it: drop what only this flight needed. What it carried and did
        not settle may be sent again much later.
        """
        del self.flights[flight.nonce]
        for attempt in flight.attempts:
            self._by_hash.pop(attempt.transaction, None)
            self._raw.pop(attempt.transaction, None)
        if flight.first.carries_round:
            self.rounds.pop(flight.first.oracle_round, None)
        spans: list[BatchSubmitted | BatchClosed] = [f.first for f in self.flights.values()]
        spans += [item for item in self.waiting if isinstance(item, BatchClosed)]
        for sequence in flight.settled:
            if not any(sequence in span_of(other) for other in spans):
                self.matches.pop(sequence, None)

    # Planning

    def plan(self, now_ms: int) -> list[BatchSubmitted]:
        """What to send next, for the journal. Raises ``RpcFault`` where the node must be asked."""
        if not self.waiting:
            return []
        unmined = sum(flight.block is None for flight in self.flights.values())
        self._refresh()
        made: list[BatchSubmitted] = []
        nonce = self._nonce()
        fees = self.options.fees.first(self._base_fee())
        place = 0
        while place < len(self.waiting) and unmined + len(made) < self.options.in_flight_max:
            item = self.waiting[place]
            after = self.waiting[place + 1] if place + 1 < len(self.waiting) else None
            place += 1
            carried = item if isinstance(item, OracleRound) else None
            batch = item if isinstance(item, BatchClosed) else None
            if carried and isinstance(after, BatchClosed) and after.oracle_round == carried.round:
                batch = after
                place += 1
            made.append(self._attempt(nonce + len(made), fees, carried, batch, now_ms))
        return made

    def _refresh(self) -> None:
        """Behind an outage: what is stale by the newest round's time is worth nothing any more.
        Such rounds are left out, and their batches go behind the newest.
        """
        times = [item.timestamp for item in self.waiting if isinstance(item, OracleRound)]
        if not times:
            return
        oldest = max(times) - self.options.stale_after_s
        fresh: list[OracleRound | BatchClosed] = []
        late: list[BatchClosed] = []
        for item in self.waiting:
            if isinstance(item, OracleRound):
                if item.timestamp >= oldest:
                    fresh.append(item)
                else:
                    del self.rounds[item.round]
                continue
            judged = self.rounds.get(item.oracle_round)
            if judged is None or judged.timestamp < oldest:
                late.append(item)
            else:
                fresh.append(item)
        self.waiting = [*fresh, *late]

    def _attempt(
        self,
        nonce: int,
        fees: Fees,
        carried: OracleRound | None,
        batch: BatchClosed | None,
        now_ms: int,
    ) -> BatchSubmitted:
        count = batch.count if batch else 0
        number = carried.round if carried else batch.oracle_round if batch else 0
        return self._made(
            BatchSubmitted(
                transaction=bytes(32),
                first_sequence=batch.first_sequence if batch else 0,
                count=count,
                oracle_round=number,
                submitted_ms=now_ms,
                nonce=nonce,
                gas=min(GAS_MAX, GAS_BASE + GAS_PER_FILL * count),
                fee_maximum=records.big(fees.maximum),
                fee_priority=records.big(fees.priority),
                carries_round=carried is not None,
            )
        )

    def _made(self, intent: BatchSubmitted) -> BatchSubmitted:
        """The intent with the hash of its transaction, which is kept."""
        raw = self.raw(intent)
        named = replace(intent, transaction=keccak(raw))
        self._raw[named.transaction] = raw
        return named

    def raw(self, intent: BatchSubmitted) -> bytes:
        """The signed transaction of an intent: from the journal alone, always the same bytes."""
        posted = b""
        if intent.carries_round:
            posted = batch_call.round_calldata(self.rounds[intent.oracle_round])
        to, data = self.deployment.addresses["oracle"], posted
        if intent.count:
            to = self.deployment.addresses["exchange"]
            fills = self._fills([self.matches[sequence] for sequence in span_of(intent)])
            data = batch_call.settle_calldata(posted, fills, intent.first_sequence)
        fees = Fees(records.number(intent.fee_maximum), records.number(intent.fee_priority))
        return self.client.sign_at(intent.nonce, fees, self.key, to, data, intent.gas)

    def _fills(self, matches: list[Matched]) -> list[SignedFill]:
        """The signed orders of matches, each made once, with what was agreed."""
        digests = {digest for match in matches for digest in (match.taker, match.maker)}
        orders = {digest: batch_call.signed(self.placed[digest]) for digest in digests}
        return [
            SignedFill(orders[m.taker], orders[m.maker], m.lots, records.number(m.price))
            for m in matches
        ]

    def _nonce(self) -> int:
        """The nonce behind those in flight and those that the chain has seen used."""
        used = integer(self.client.request("eth_getTransactionCount", self._sender, "latest"))
        return max(used, max(self.flights, default=-1) + 1)

    def _base_fee(self) -> int:
        return self.client.block().base_fee if self.options.fees.maximum else 0

    # Sending

    def transmit(self) -> None:
        """Send what the journal holds and the node has not been given. A fault is counted; what it
        concerns is sent at the next call.
        """
        fresh = [f for _, f in sorted(self.flights.items()) if f.block is None and not f.sent]
        if not fresh:
            return
        try:
            rows = [(hexed(self._bytes(flight.last)),) for flight in fresh]
            answers = self.client.request_each("eth_sendRawTransaction", rows)
        except RpcFault as fault:
            self.count(fault)
            return
        for flight, answer in zip(fresh, answers, strict=True):
            if isinstance(answer, Exception):
                flight.sent = is_known(answer)
                if not flight.sent:
                    self.count(answer)
            elif raw_bytes(answer) == flight.last.transaction:
                flight.sent = True
            else:
                self.count(RpcFault("another hash than the transaction's", NodeLied))

    def _bytes(self, attempt: BatchSubmitted) -> bytes:
        raw = self._raw.get(attempt.transaction)
        if raw is None:
            raw = self._raw[attempt.transaction] = self.raw(attempt)
            assert keccak(raw) == attempt.transaction, "the journal makes the same transaction"
        return raw

    def count(self, fault: Exception) -> None:
        """Remember a fault by its name."""
        error = getattr(fault, "error", None)
        self.faults[error.name if error else type(fault).__name__] += 1

    # Asking

    def check(self, now_ms: int, watched_block: int) -> list[BatchSubmitted]:
        """Ask about what is in no block up to ``watched_block``, the last that the watcher has
        read. Returns replacements, for the journal; faults are counted.
        """
        late = [
            flight
            for _, flight in sorted(self.flights.items())
            if flight.block is None and now_ms - flight.asked_ms >= self.options.ask_after_ms
        ]
        if not late:
            return []
        try:
            return self._ask(late, now_ms, watched_block)
        except (RpcFault, CallReverted, Rejected) as fault:
            self.count(fault)
            return []

    def _ask(self, late: list[Flight], now_ms: int, watched_block: int) -> list[BatchSubmitted]:
        if integer(self.client.request("eth_chainId")) != self.deployment.chain_id:
            raise RpcFault("another chain answers", NodeOnWrongChain)
        used = integer(
            self.client.request("eth_getTransactionCount", self._sender, hex(watched_block))
        )
        rows = [(hexed(flight.last.transaction),) for flight in late]
        known = self.client.request_many("eth_getTransactionByHash", rows)
        if min(n for n, f in self.flights.items() if f.block is None) > used:
            return self._elsewhere(late, used, now_ms)  # a nonce is missing before them all
        made: list[BatchSubmitted] = []
        lost: list[Flight] = []
        for flight, found in zip(late, known, strict=True):
            flight.asked_ms = now_ms
            if flight.nonce < used:
                lost.append(flight)  # mined, but not as one of ours
            elif now_ms - flight.last.submitted_ms >= self.options.stuck_after_ms:
                made += self._replacement(flight, now_ms)
            elif found is None:
                flight.sent = False  # dropped
        return made + self._elsewhere(lost, self._nonce(), now_ms)

    def _replacement(self, flight: Flight, now_ms: int) -> list[BatchSubmitted]:
        """The same at a higher fee, as far as the bound allows."""
        last = flight.last
        offered = Fees(records.number(last.fee_maximum), records.number(last.fee_priority))
        fees = self.options.fees.bumped(offered, self._base_fee())
        if fees is None:
            flight.sent = False  # at the bound: only offered again
            return []
        return [
            self._made(
                replace(
                    last,
                    submitted_ms=now_ms,
                    fee_maximum=records.big(fees.maximum),
                    fee_priority=records.big(fees.priority),
                )
            )
        ]

    def _elsewhere(self, lost: list[Flight], nonce: int, now_ms: int) -> list[BatchSubmitted]:
        """What some nonces carried, under others that are free."""
        return [
            self._made(replace(flight.last, nonce=nonce + place, submitted_ms=now_ms))
            for place, flight in enumerate(lost)
        ]
