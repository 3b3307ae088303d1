"""The settler: closed batches become transactions, one each, the first after a new oracle round
carrying that round.

It follows the journal and remembers signed orders and matches until their batch is sent. It never
decides what settles: the sequencer judged it and the contracts judge it again.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from eth_account.signers.local import LocalAccount

from novate.chain.backend import abi_of
from novate.chain.client import Client
from novate.chain.deployment import Deployment
from novate.engine.orders import terms_of
from novate.wire import bulk, eip712, records
from novate.wire.bulk import COMPACT_BYTES
from novate.wire.order import SignedFill, SignedOrder, pack
from novate.wire.records import (
    AnyRecord,
    BatchClosed,
    BatchSubmitted,
    Matched,
    OracleRound,
    OrderPlaced,
)

SETTLE_GAS = 60_000_000


@dataclass(slots=True)
class Settler:
    """One executor's settler."""

    client: Client
    deployment: Deployment
    key: LocalAccount
    placed: dict[bytes, OrderPlaced] = field(default_factory=dict)
    matches: dict[int, Matched] = field(default_factory=dict)
    rounds: dict[int, OracleRound] = field(default_factory=dict)
    queue: list[BatchClosed] = field(default_factory=list)
    round_sent: int = 0

    def follow(self, record: AnyRecord) -> None:
        """Take note of one journal record."""
        match record:
            case OrderPlaced():
                self.placed[record.digest] = record
            case Matched():
                self.matches[record.sequence] = record
            case OracleRound():
                self.rounds[record.round] = record
            case BatchClosed():
                self.queue.append(record)
            case BatchSubmitted():
                self.queue = [b for b in self.queue if b.first_sequence != record.first_sequence]
                self.round_sent = max(self.round_sent, record.oracle_round)
            case _:
                pass

    def submit(self, now_ms: int) -> list[BatchSubmitted]:
        """Send every queued batch; without one, the newest unsent round goes alone."""
        sent = []
        for batch in list(self.queue):
            transaction = self._send(batch)
            sent.append(
                BatchSubmitted(
                    transaction, batch.first_sequence, batch.count, batch.oracle_round, now_ms
                )
            )
            for sequence in range(batch.first_sequence, batch.first_sequence + batch.count):
                del self.matches[sequence]
        self.queue = []
        newest = max(self.rounds, default=0)
        if newest > self.round_sent:
            address = self.deployment.addresses["oracle"]
            self.client.send(self.key, address, self._round_calldata(newest))
            self.round_sent = newest
        self.rounds = {n: r for n, r in self.rounds.items() if n > self.round_sent}
        return sent

    def _send(self, batch: BatchClosed) -> bytes:
        calldata = b""
        if batch.oracle_round > self.round_sent and batch.oracle_round in self.rounds:
            calldata = self._round_calldata(batch.oracle_round)
            self.round_sent = batch.oracle_round
        span = range(batch.first_sequence, batch.first_sequence + batch.count)
        packed = pack([self.fill(self.matches[sequence]) for sequence in span])
        data = abi_of("Exchange").encode_call(
            "settle",
            calldata,
            packed.accounts,
            packed.instruments,
            packed.orders,
            packed.fills,
            batch.first_sequence,
            packed.blobs,
        )
        exchange = self.deployment.addresses["exchange"]
        return self.client.send(self.key, exchange, data + packed.proofs, SETTLE_GAS)

    def fill(self, match: Matched) -> SignedFill:
        """The two signed orders of a match, with what was agreed."""
        price = records.number(match.price)
        taker, maker = (signed_order(self.placed[d]) for d in (match.taker, match.maker))
        return SignedFill(taker, maker, match.lots, price)

    def _round_calldata(self, number: int) -> bytes:
        carried = self.rounds[number]
        signatures = [
            [int.from_bytes(s[:32], "big"), int.from_bytes(s[32:], "big")]
            for s in carried.signatures
        ]
        return abi_of("Oracle").encode_call(
            "post_round",
            carried.round,
            carried.timestamp,
            [records.number(word) for word in carried.observations],
            records.number(carried.nodes),
            signatures,
        )


def signed_order(placed: OrderPlaced) -> SignedOrder:
    """The order of a record as a batch carries it; a compact signature with its right parity."""
    terms, signature = terms_of(placed.order), placed.signature
    if len(signature) == COMPACT_BYTES:
        r, vs = (int.from_bytes(signature[i : i + 32], "big") for i in (0, 32))
        right = eip712.canonical(placed.digest, r, vs, "0x" + placed.signer.hex())
        return SignedOrder(terms, r, vs if right is None else right)
    share = bulk.decode(signature)
    if share is not None:
        return SignedOrder(terms, bulk=share)
    return SignedOrder(terms, blob=signature)
