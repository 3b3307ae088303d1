"""Journal records as calldata: a batch of matches for ``Exchange.settle``, a round for the Oracle.

Owns: the writing side of ``settle_call.py``. The same records always give the same bytes, so that a
transaction can be made again from the journal.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from novate.chain.backend import abi_of
from novate.chain.deployment import Deployment
from novate.engine.orders import terms_of
from novate.wire import bulk, records
from novate.wire.bulk import COMPACT_BYTES
from novate.wire.eip712 import keccak
from novate.wire.exit_data import ExitData, exit_order, halves
from novate.wire.order import SignedFill, SignedOrder, pack
from novate.wire.records import Matched, OracleRound, OrderPlaced

SETTLE = keccak(b"settle(bytes,bytes32[],uint256[],uint256[4][],uint256[],uint256,bytes[])")[:4]


def signed(placed: OrderPlaced) -> SignedOrder:
    """The order of a record as a batch carries it; who signed it the gateway has recovered."""
    terms, signature = terms_of(placed.order), placed.signature
    if len(signature) == COMPACT_BYTES:
        return SignedOrder(terms, *halves(signature))
    share = bulk.decode(signature)
    if share is not None:
        return SignedOrder(terms, bulk=share)
    return SignedOrder(terms, blob=signature)


def settle_calldata(posted: bytes, fills: Sequence[SignedFill], first_sequence: int) -> bytes:
    """The executor's own settlement, behind the round it carries. Errors: those of ``pack``.

    Words are put side by side here: an ABI encoder that checks each takes ten times as long.
    """
    packed = pack(fills)
    tails = (
        _bytes(posted),
        _word(len(packed.accounts)) + b"".join(packed.accounts),
        _words(packed.instruments),
        _word(len(packed.orders)) + b"".join(map(_word, chain.from_iterable(packed.orders))),
        _words(packed.fills),
        None,
        _blobs(packed.blobs),
    )
    heads, offset = [], 32 * len(tails)
    for tail in tails:
        heads.append(_word(first_sequence if tail is None else offset))
        offset += len(tail or b"")
    return SETTLE + b"".join([*heads, *(tail for tail in tails if tail), packed.proofs])


def _word(value: int) -> bytes:
    return value.to_bytes(32, "big")


def _words(values: Sequence[int]) -> bytes:
    return _word(len(values)) + b"".join(map(_word, values))


def _bytes(data: bytes) -> bytes:
    return _word(len(data)) + data + bytes(-len(data) % 32)


def _blobs(blobs: Sequence[bytes]) -> bytes:
    tails = [_bytes(blob) for blob in blobs]
    offset, heads = 32 * len(blobs), []
    for tail in tails:
        heads.append(_word(offset))
        offset += len(tail)
    return _word(len(blobs)) + b"".join(heads + tails)


def forced_calldata(fill: SignedFill, executor: str, words: tuple[int, int, int]) -> bytes:
    """Anybody's settlement of one match, by the words of the executor's receipt."""
    packed = pack([fill])
    call = abi_of("Exchange").encode_call(
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
    return call + packed.proofs


def round_arguments(carried: OracleRound) -> tuple[int, int, list[int], int, list[list[int]]]:
    """The arguments of ``Oracle.post_round`` for a round."""
    return (
        carried.round,
        carried.timestamp,
        [records.number(word) for word in carried.observations],
        records.number(carried.nodes),
        [list(halves(signature)) for signature in carried.signatures],
    )


def round_calldata(carried: OracleRound) -> bytes:
    """``Oracle.post_round`` of a round."""
    return abi_of("Oracle").encode_call("post_round", *round_arguments(carried))


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
