"""Journal records as calldata: a batch of matches for ``Exchange.settle``, a round for the Oracle.

Owns: the writing side of ``settle_call.py``. The same records always give the same bytes, so that a
transaction can be made again from the journal.
"""

from __future__ import annotations

from collections.abc import Sequence

from novate.chain.backend import abi_of
from novate.chain.deployment import Deployment
from novate.engine.admission import COMPACT_BYTES
from novate.engine.orders import terms_of
from novate.wire import records
from novate.wire.exit_data import ExitData, exit_order, halves
from novate.wire.order import SignedFill, SignedOrder, pack, receipt_words
from novate.wire.records import Matched, OracleRound, OrderPlaced


def signed(placed: OrderPlaced) -> SignedOrder:
    """The signed order behind its record."""
    terms = terms_of(placed.order)
    if len(placed.signature) == COMPACT_BYTES:
        return SignedOrder(terms, *halves(placed.signature))
    return SignedOrder(terms, blob=placed.signature)


def settle_calldata(posted: bytes, fills: Sequence[SignedFill], first_sequence: int) -> bytes:
    """The executor's own settlement, behind the round it carries. Errors: those of ``pack``."""
    packed = pack(fills)
    return abi_of("Exchange").encode_call(
        "settle",
        posted,
        packed.accounts,
        packed.instruments,
        packed.orders,
        packed.fills,
        first_sequence,
        packed.blobs,
    )


def receipt_calldata(
    match: Matched, taker: SignedOrder, maker: SignedOrder, executor: str
) -> bytes:
    """Anybody's settlement of one match, by the executor's receipt."""
    fill = SignedFill(taker, maker, match.lots, records.number(match.price))
    words = receipt_words(match.sequence, match.matched_at, *halves(match.receipt))
    return forced_calldata(fill, executor, words)


def forced_calldata(fill: SignedFill, executor: str, words: tuple[int, int, int]) -> bytes:
    """The same from its parts."""
    packed = pack([fill])
    return abi_of("Exchange").encode_call(
        "settle",
        b"",
        packed.accounts,
        packed.instruments,
        packed.orders,
        packed.fills,
        0,
        packed.blobs,
        executor,
        [words],
    )


def round_calldata(carried: OracleRound) -> bytes:
    """``Oracle.post_round`` of a round."""
    return abi_of("Oracle").encode_call(
        "post_round",
        carried.round,
        carried.timestamp,
        [records.number(word) for word in carried.observations],
        records.number(carried.nodes),
        [list(halves(signature)) for signature in carried.signatures],
    )


def exit_data(
    deployment: Deployment, match: Matched, taker: OrderPlaced, maker: OrderPlaced, executor: str
) -> ExitData:
    """What each side of a match is given, to settle and leave without the operator."""
    return ExitData(
        chain_id=deployment.chain_id,
        exchange=deployment.addresses["exchange"],
        clearinghouse=deployment.addresses["clearinghouse"],
        tokens=sorted(deployment.tokens.values()),
        taker=exit_order(taker),
        maker=exit_order(maker),
        lots=match.lots,
        price=match.price,
        executor=executor.lower(),
        sequence=match.sequence,
        matched_at=match.matched_at,
        receipt="0x" + match.receipt.hex(),
    )
