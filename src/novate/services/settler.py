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
from the sequencer as batches of one. Nothing is lost: a nonce may still go to what it was given
before (a node had kept that), and then what it was given since is queued again. Rounds are sent in
order, none left out while it is fresh, since averages depend on every one; a round goes with the
batch that was judged by it, and one that is sent again with the round it needs by then. One key,
one lane of nonces: the Exchange takes a batch only from the executor that its orders name.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from eth_account.signers.local import LocalAccount
from msgspec.structs import replace

from novate.chain.client import Client
from novate.chain.connection import CallReverted, RpcFault
from novate.chain.deployment import Deployment
from novate.chain.rows import Fees, counted, hexed, integer
from novate.engine.ahead import REORG_BLOCKS_MAX
from novate.errors import NodeLied, NodeOnWrongChain, Rejected
from novate.services import batch_call
from novate.services.blocks import read
from novate.services.flights import (
    Flight,
    SettlerOptions,
    carries,
    is_known,
    load_of,
    moved_from,
    queued,
    settled_by,
    span_of,
)
from novate.services.held import Held
from novate.services.post import Direct, Post
from novate.services.rounds import Rounds, rounds_of
from novate.wire import records
from novate.wire.eip712 import keccak
from novate.wire.order import SignedFill
from novate.wire.records import (
    AnyRecord,
    BatchClosed,
    BatchSubmitted,
    Busted,
    ChainReorganised,
    ChainTransaction,
    Matched,
    OracleRound,
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
        post: Post | None = None,
    ) -> None:
        self.client = client
        self.post: Post = post or Direct(client)
        self.deployment = deployment
        self.key = key
        self.options = options or SettlerOptions()
        self.held = Held()
        self.rounds = Rounds(deployment.addresses["oracle"], self.options.stale_after_s)
        self.waiting: list[OracleRound | BatchClosed] = []
        self.flights: dict[int, Flight] = {}
        self.faults: Counter[str] = Counter()
        self._by_hash: dict[bytes, int] = {}
        self._tried: dict[int, dict[bytes, BatchSubmitted]] = {}  # all that a nonce was given
        self._raw: dict[bytes, bytes] = {}
        self._sender = key.address.lower()

    # The journal

    def follow(self, record: AnyRecord) -> None:
        """Take note of one journal record."""
        self.held.follow(record)
        match record:
            case Busted():
                if not self._carried(record.sequence, record.sequence + 1):
                    self.held.release(record.sequence)
            case OracleRound():
                if self.rounds.take(record):
                    self.waiting.append(record)
            case BatchClosed():
                self.waiting = queued(self.waiting, record)
            case BatchSubmitted():
                self._submitted(record)
            case ChainTransaction():
                self.rounds.follow(record)
                self._arrived(record)
            case ChainReorganised():
                self.rounds.follow(record)
                for flight in self.flights.values():
                    if flight.leave(record.first_block):
                        self.held.given_up.difference_update(span_of(flight.first))
                self._rounds_again()
            case _:
                pass

    def _submitted(self, record: BatchSubmitted) -> None:
        flight = self.flights.get(record.nonce)
        if flight is not None and load_of(flight.first) != load_of(record):
            self._again(self.flights.pop(record.nonce).last)
            flight = None
        if flight is None:
            self.flights.pop(moved_from(self.flights, record), None)
            flight = self.flights[record.nonce] = Flight(record.nonce, record, [])
        flight.attempts.append(record)
        flight.sent, flight.asked_ms = False, record.submitted_ms
        self._tried.setdefault(record.nonce, {})[record.transaction] = record
        self._by_hash[record.transaction] = record.nonce
        self.waiting = [item for item in self.waiting if not carries(record, item)]

    def _again(self, unsent: BatchSubmitted) -> None:
        """Its nonce went to something else: back into the queue with it."""
        self._rounds_again()
        if unsent.count:
            batch = BatchClosed(unsent.first_sequence, unsent.count, unsent.oracle_round, 0)
            self.waiting = queued(self.waiting, batch)

    def _rounds_again(self) -> None:
        """Back into the queue with the rounds that nothing brings to the chain any more."""
        for one in self.rounds.uncarried(self.flights.values(), self.waiting):
            self.waiting = queued(self.waiting, one)

    def _arrived(self, record: ChainTransaction) -> None:
        nonce = self._by_hash.get(record.transaction)
        if nonce is not None:
            mined = self._tried[nonce][record.transaction]
            given = self.flights.get(nonce)
            flight = given if given and mined in given.attempts else Flight(nonce, mined, [mined])
            self.flights[nonce] = flight
            flight.block, flight.settled = record.block, settled_by(record)
            if given is not None and given is not flight:
                self._again(given.last)
            elif mined is not flight.last:
                self._rounds_again()
            self.waiting = [item for item in self.waiting if not carries(mined, item)]
        reached = record.block - REORG_BLOCKS_MAX
        for old in [f for f in self.flights.values() if f.block is not None and f.block <= reached]:
            self._forget(old)

    def _forget(self, flight: Flight) -> None:
        """No reorganisation reaches it: drop what only this flight needed. What it carried and did
        not settle may be sent again much later.
        """
        del self.flights[flight.nonce]
        tried = self._tried.pop(flight.nonce)
        for transaction in tried:
            self._by_hash.pop(transaction, None)
            self._raw.pop(transaction, None)
        self.rounds.release(rounds_of(tried.values()), self.flights.values(), self.waiting)
        span = span_of(flight.first)
        others = self._carried(span.start, span.stop)
        for sequence in span:
            over = sequence in flight.settled or sequence in self.held.given_up
            if over and not any(sequence in other for other in others):
                self.held.release(sequence)

    def _carried(self, start: int, stop: int) -> list[range]:
        """What carries or will carry some of these sequences."""
        parts: list[BatchSubmitted | BatchClosed] = [f.first for f in self.flights.values()]
        parts += [item for item in self.waiting if isinstance(item, BatchClosed)]
        return [s for s in map(span_of, parts) if s.start < stop and start < s.stop]

    # Planning

    def plan(self, now_ms: int) -> list[BatchSubmitted]:
        """What to send next, for the journal. Raises ``RpcFault`` where the node must be asked."""
        if not self.waiting:
            return []
        unmined = sum(flight.block is None for flight in self.flights.values())
        self.waiting, stale = self.rounds.fresh(self.waiting)
        self.rounds.release(stale, self.flights.values(), self.waiting)
        made: list[BatchSubmitted] = []
        # whether others send with the key is asked where we do not wait; else ``check`` finds it
        nonce = self._behind if unmined else self._nonce()
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
            posted = batch_call.round_calldata(self.rounds.by_number[intent.oracle_round])
        to, data = self.deployment.addresses["oracle"], posted
        if intent.count:
            to = self.deployment.addresses["exchange"]
            fills = self._fills([self.held.matches[sequence] for sequence in span_of(intent)])
            data = batch_call.settle_calldata(posted, fills, intent.first_sequence)
        fees = Fees(records.number(intent.fee_maximum), records.number(intent.fee_priority))
        return self.client.sign_at(intent.nonce, fees, self.key, to, data, intent.gas)

    def _fills(self, matches: list[Matched]) -> list[SignedFill]:
        """The signed orders of matches, each made once, with what was agreed."""
        digests = {digest for match in matches for digest in (match.taker, match.maker)}
        orders = {digest: batch_call.signed(self.held.placed[digest]) for digest in digests}
        return [
            SignedFill(orders[m.taker], orders[m.maker], m.lots, records.number(m.price))
            for m in matches
        ]

    def _nonce(self) -> int:
        """The nonce behind those in flight and those that the chain has seen used."""
        return max(self._used("latest"), self._behind)

    def _used(self, block: str) -> int:
        """How many nonces were used up to a block, by the node's word. Raises ``RpcFault``."""
        found = self.client.request("eth_getTransactionCount", self._sender, block)
        return read("nonces", lambda: counted(found))

    @property
    def _behind(self) -> int:
        """The nonce behind those in flight."""
        return max(self.flights, default=-1) + 1

    def _base_fee(self) -> int:
        return read("fee", self.client.block).base_fee if self.options.fees.maximum else 0

    # Sending

    def transmit(self) -> None:
        """Send what the journal holds and the node has not been given. A fault is counted; what it
        concerns is asked about, and sent again if the node does not have it (``check``): a node
        that refuses is not offered the same at each turn.
        """
        fresh = [f for _, f in sorted(self.flights.items()) if f.block is None and not f.sent]
        for flight in fresh:
            flight.sent = True
        if fresh:
            self.post.offer([(f.last.transaction, self._bytes(f.last)) for f in fresh])
        for hashes, answers in self.post.replies():
            if isinstance(answers, RpcFault):
                self.count(answers)
                continue
            for transaction, answer in zip(hashes, answers, strict=True):
                self._answered(transaction, answer)

    def _answered(self, transaction: bytes, answer: Any) -> None:
        if isinstance(answer, Exception):
            if not is_known(answer):
                self.count(answer)
        elif str(answer).lower() != hexed(transaction):
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
        named = read("chain", lambda: integer(self.client.request("eth_chainId")))
        if named != self.deployment.chain_id:
            raise RpcFault("another chain answers", NodeOnWrongChain)
        used = self._used(hex(watched_block))
        rows = [(hexed(flight.last.transaction),) for flight in late]
        known = self.client.request_many("eth_getTransactionByHash", rows)
        if any(n >= used for n, f in self.flights.items() if f.block is not None):
            return []  # blocks have left the chain, and the watcher has yet to say so
        unmined = [f for _, f in sorted(self.flights.items()) if f.block is None]
        if unmined[0].nonce > used:
            return self._elsewhere(unmined, used, now_ms)  # a nonce is missing before them all
        made: list[BatchSubmitted] = []
        lost: list[Flight] = []
        for flight, found in zip(late, known, strict=True):
            flight.asked_ms = now_ms
            if flight.nonce < used:
                lost.append(flight)  # mined, but not as one of ours
            else:
                made += self._offered_again(flight, found is None, now_ms)
        return made + self._elsewhere(lost, self._nonce(), now_ms)

    def _offered_again(self, flight: Flight, dropped: bool, now_ms: int) -> list[BatchSubmitted]:
        """What is stuck at a higher fee, as far as the bound allows; else what the node has dropped
        as it was, but for a stale round.
        """
        last = flight.last
        stuck = now_ms - last.submitted_ms >= self.options.stuck_after_ms
        if not stuck and not dropped:
            return []
        again, fees = self.rounds.renewed(last), None
        if stuck:
            offered = Fees(records.number(last.fee_maximum), records.number(last.fee_priority))
            fees = self.options.fees.bumped(offered, self._base_fee())
        if fees is not None:
            most, tip = records.big(fees.maximum), records.big(fees.priority)
            again = replace(again, fee_maximum=most, fee_priority=tip)
        elif again == last or not dropped:  # the node takes no other at the same fee
            flight.sent = False
            return []
        return [self._made(replace(again, submitted_ms=now_ms))]

    def _elsewhere(self, lost: list[Flight], nonce: int, now_ms: int) -> list[BatchSubmitted]:
        """What some nonces carried, under others that are free."""
        return [
            self._made(replace(one, nonce=nonce + place, submitted_ms=now_ms))
            for place, one in enumerate(self.rounds.renewed(flight.last) for flight in lost)
        ]
