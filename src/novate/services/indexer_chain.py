"""The chain's share of the read side: what events say, as rows of the tables ``schema.CHAIN``.

Owns: which logs become which rows. Whoever sends a transaction chooses its calldata and, as an
executor of its own, its sequence numbers; so only what our executors settled belongs to our trades,
and a refusal counts only in a batch that one of them sent itself (``ours`` says both): anybody may
present our receipts with nonsense, and a fill settled before is refused as ``ReceiptUsed``.
Every row carries its place (block, position, part) and is only ever added.
"""

from __future__ import annotations

import base64
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace
from sqlalchemy import Connection, Table, select

from novate.chain.abi import Event
from novate.chain.backend import abi_of
from novate.chain.deployment import CONTRACT_OF, Deployment
from novate.errors import BY_SELECTOR, ReceiptUsed
from novate.model.instrument import Terms
from novate.services.calldata import Reader, Unreadable
from novate.services.indexer_journal import text
from novate.store import schema
from novate.wire import records
from novate.wire.records import ChainTransaction

SEQUENCE_BITS, INSTRUMENT_BITS, LOTS_BITS = 64, 20, 44
RECEIPTS_ARGUMENT = 8
CUSTODY_EVENTS = {
    "Deposited": "deposited",
    "WithdrawalRequested": "requested",
    "WithdrawalCancelled": "cancelled",
    "Withdrawn": "withdrawn",
}
AUCTION_EVENTS = {
    "AuctionStarted": "started",
    "SliceSold": "slice_sold",
    "AuctionEnded": "ended",
    "WrittenOff": "written_off",
    "LayerPaid": "layer_paid",
    "HaircutOpened": "haircut_opened",
    "HaircutExecuted": "haircut_executed",
    "DeficitUncovered": "deficit_uncovered",
}
_AUCTION_COLUMNS = ("fraction_ppm", "discount_ppm", "layer", "equity", "margin", "reward", "fee")

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class FillEvent:
    """A fill that settled; ``lots`` are the taker's, signed."""

    maker: bytes
    taker: bytes
    sequence: int
    instrument: int
    lots: int
    price: int

    @staticmethod
    def of(event: Event) -> FillEvent:
        """Read the packed word (docs/SPEC.md §6)."""
        word = event.arguments["word"]
        sequence = word & (1 << SEQUENCE_BITS) - 1
        word >>= SEQUENCE_BITS
        instrument = word & (1 << INSTRUMENT_BITS) - 1
        word >>= INSTRUMENT_BITS
        lots = word & (1 << LOTS_BITS) - 1
        lots -= (lots >> LOTS_BITS - 1) << LOTS_BITS
        price = word >> LOTS_BITS
        arguments = event.arguments
        return FillEvent(arguments["maker"], arguments["taker"], sequence, instrument, lots, price)


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a transaction was: the contract's role or its address, function, arguments, events."""

    record: ChainTransaction
    contract: str
    function: str
    arguments: tuple[Any, ...]
    events: tuple[Event, ...]


class Contracts:
    """Reads calls and logs of one venue's contracts; anything else reads as nothing."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.names = {address: name for name, address in deployment.acting().items()}
        self._abis = {a: abi_of(CONTRACT_OF[n]) for a, n in self.names.items()}
        self._readers = {address: Reader(abi) for address, abi in self._abis.items()}
        self.executors = frozenset(deployment.roles.executors)

    def decode(self, record: ChainTransaction) -> Decoded:
        """A transaction in words."""
        address = text(record.contract)
        name, function, arguments = self.names.get(address, address), "", ()
        if address in self._readers:
            with suppress(Unreadable):
                function, arguments = self._readers[address].read(record.calldata)
        events = [self._event(*log) for log in record.events] if record.succeeded else []
        return Decoded(record, name, function, arguments, tuple(e for e in events if e))

    def _event(self, address: bytes, topics: list[bytes], data: bytes) -> Event | None:
        abi = self._abis.get(text(address))
        return abi.decode_event(text(address), list(topics), data) if abi else None


class ChainRows:
    """The rows of some consecutive transactions, as far as events tell them."""

    def __init__(self, contracts: Contracts) -> None:
        self._contracts = contracts
        self.rows: dict[Table, list[Row]] = {}
        self._place = (-1, -1)
        self._parts: dict[Table, int] = {}
        self._record: ChainTransaction | None = None

    def add(self, table: Table, **row: Any) -> None:
        """A row in the place of the current transaction."""
        part = self._parts.get(table, 0)
        self._parts[table] = part + 1
        place = {"block": self._place[0], "position": self._place[1], "part": part}
        self.rows.setdefault(table, []).append(place | row)

    def apply(self, decoded: Decoded) -> None:
        """The rows of one more transaction."""
        record = self._record = decoded.record
        self._place, self._parts = (record.block, record.position), {}
        self._transaction(decoded)
        self._settled(decoded)
        for event in decoded.events:
            arguments = event.arguments
            if event.name in CUSTODY_EVENTS:
                self._custody(CUSTODY_EVENTS[event.name], arguments)
            elif event.name in AUCTION_EVENTS:
                self._auction(AUCTION_EVENTS[event.name], arguments)

    @property
    def _common(self) -> Row:
        assert self._record is not None
        record = self._record
        return {"timestamp": record.timestamp, "transaction": text(record.transaction)}

    def _transaction(self, decoded: Decoded) -> None:
        record = decoded.record
        # whether another one of its block follows is the journal's affair
        raw = base64.b64encode(records.encode(replace(record, more=False))[1]).decode("ascii")
        row = {
            "block": record.block,
            "position": record.position,
            "succeeded": int(record.succeeded),
            "gas_used": record.gas_used,
            "sender": text(record.sender),
            "contract": decoded.contract,
            "function": decoded.function,
            "raw": raw,
        }
        self.rows.setdefault(schema.transactions, []).append(row | self._common)

    # Settlement

    def _settled(self, decoded: Decoded) -> None:
        """Fills and refusals; the event that names the executor comes last in its batch."""
        fills: list[FillEvent] = []
        barred: dict[int, int] = {}
        skipped: dict[int, int] = {}
        for event in decoded.events:
            arguments = event.arguments
            if event.name == "Fill":
                fills.append(FillEvent.of(event))
            elif event.name == "FillSkipped":
                barred[arguments["index"]] = _code(arguments["code"])
            elif event.name == "TradeSkipped":
                skipped[arguments["index"]] = _code(arguments["code"])
            elif event.name == "BatchSettled":
                self._batch(decoded, arguments, fills, barred | _moved(skipped, barred, arguments))
                fills, barred, skipped = [], {}, {}

    def _batch(
        self, decoded: Decoded, batch: Row, fills: list[FillEvent], codes: dict[int, int]
    ) -> None:
        executor = batch["executor"].lower()
        ours = executor in self._contracts.executors
        own, settled = ours and self._sent_by(decoded, executor), int(batch["settled"])
        self.add(
            schema.settled_batches,
            first_sequence=small(batch["first_sequence"]),
            size=batch["count"],
            settled=settled.bit_count(),
            gas_used=decoded.record.gas_used,
            ours=int(own),
            executor=executor,
            **self._common,
        )
        for fill in fills:
            self._outcome(fill.sequence, executor, int(ours), 0, fill)
        for index in range(batch["count"] if own else 0):
            code = codes.get(index, 0)
            if not settled >> index & 1 and code != ReceiptUsed.code:
                self._outcome(batch["first_sequence"] + index, executor, int(ours), code, None)

    def _sent_by(self, decoded: Decoded, executor: str) -> bool:
        """Whether the executor itself sent the batch, as its own and without receipts."""
        arguments = decoded.arguments
        direct = (decoded.contract, decoded.function) == ("exchange", "settle")
        receipts = len(arguments) > RECEIPTS_ARGUMENT and bool(arguments[RECEIPTS_ARGUMENT])
        return direct and text(decoded.record.sender) == executor and not receipts

    def _outcome(
        self, sequence: int, executor: str, ours: int, code: int, fill: FillEvent | None
    ) -> None:
        assert self._record is not None
        self.add(
            schema.outcomes,
            sequence=small(sequence),
            settled=int(fill is not None),
            ours=ours,
            code=code,
            instrument=fill.instrument if fill else None,
            lots=fill.lots if fill else None,
            price=fill.price if fill else None,
            executor=executor,
            maker=text(fill.maker) if fill else None,
            taker=text(fill.taker) if fill else None,
            transaction=text(self._record.transaction),
        )

    # Custody, auctions

    def _custody(self, name: str, arguments: Row) -> None:
        self.add(
            schema.custody_events,
            event=name,
            account=text(arguments["account"]),
            token=arguments["token"].lower(),
            amount=arguments["amount"],
            eligible_at=arguments.get("eligible_at"),
            **self._common,
        )

    def _auction(self, name: str, arguments: Row) -> None:
        bidder = arguments.get("bidder")
        self.add(
            schema.auction_events,
            event=name,
            account=text(arguments["account"]),
            bidder=text(bidder) if bidder else None,
            amount=arguments.get("amount", arguments.get("deficit")),
            **{column: arguments.get(column) for column in _AUCTION_COLUMNS},
            **self._common,
        )


def listings(connection: Connection, decoded: list[Decoded]) -> dict[Table, list[Row]]:
    """Rows of instruments and tokens that these transactions listed for the first time."""
    instruments: dict[int, Row] = {}
    tokens: dict[str, Row] = {}
    for item in decoded:
        block = item.record.block
        for event in item.events:
            arguments = event.arguments
            if event.name == "InstrumentListed":
                number = arguments["instrument"]
                row = instrument_row(number, f"INSTRUMENT-{number}", arguments["terms"], block)
                instruments.setdefault(number, row)
            elif event.name == "TokenListed":
                token = arguments["token"].lower()
                row = {"token": token, "block": block, "instrument": arguments["instrument"]}
                row |= {"decimals": arguments["decimals"], "name": token}
                tokens.setdefault(token, row)
    if not instruments and not tokens:
        return {}
    known = set(connection.scalars(select(schema.instruments.c.instrument)))
    held = set(connection.scalars(select(schema.tokens.c.token)))
    return {
        schema.instruments: [row for key, row in instruments.items() if key not in known],
        schema.tokens: [row for key, row in tokens.items() if key not in held],
    }


def instrument_row(number: int, name: str, word: int, block: int) -> Row:
    """An instrument from its terms word; what the terms do not say is its name."""
    terms = Terms.unpack(word)
    return {
        "instrument": number,
        "block": block,
        "kind": terms.kind,
        "underlying": terms.underlying,
        "feed": terms.feed,
        "lot_size": terms.lot_size,
        "tick": terms.tick,
        "name": name,
    }


def small(sequence: int) -> int | None:
    """A sequence as the tables hold it: ours all fit, a stranger's need not."""
    return sequence if sequence < 1 << 63 else None


def _code(selector: bytes) -> int:
    """The registered code behind an error's selector; 0 for one that is not ours."""
    found = BY_SELECTOR.get(int.from_bytes(selector, "big"))
    return found.code if found else 0


def _moved(skipped: dict[int, int], barred: dict[int, int], batch: Row) -> dict[int, int]:
    """The ledger counts the trades it was sent; the batch counts all its fills."""
    sent = [index for index in range(batch["count"]) if index not in barred]
    return {sent[index]: code for index, code in skipped.items() if index < len(sent)}
