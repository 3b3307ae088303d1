"""``Exchange.settle`` calldata as the model takes it: words unpacked, signatures recovered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from novate import errors
from novate.chain.backend import abi_of
from novate.chain.deployment import Deployment
from novate.model import novation, settlement
from novate.model.novation import Trade
from novate.model.order import IMMEDIATE, POST_ONLY, REDUCE_ONLY, ZERO_ADDRESS, Order
from novate.model.settlement import Fill, Presented, Receipt
from novate.model.state import World
from novate.services.calldata import Reader, Unreadable
from novate.wire import eip712
from novate.wire.order import recovered
from novate.wire.records import ChainTransaction

USED = errors.ReceiptUsed.selector
# what bars a fill only once both of its orders stand
AFTER_SIGNATURES = frozenset(
    error.selector
    for error in (
        errors.ZeroLots,
        errors.SameSide,
        errors.InstrumentMismatch,
        errors.PostOnly,
        errors.LimitPrice,
        errors.OverFilled,
        errors.BadReceipt,
        errors.FeeAboveMax,
        errors.SessionKeyBudget,
    )
)


def separator(deployment: Deployment) -> bytes:
    """The Exchange's EIP-712 domain separator."""
    return eip712.Domain(deployment.chain_id, deployment.addresses["exchange"]).separator()


def unpack_order(
    words: Sequence[int], accounts: Sequence[int], instruments: Sequence[int], executor: str
) -> Order:
    """The order behind words 0 and 1 of a batch."""
    word, limit = words[0], words[1]
    lots = word & (2**44 - 1)
    flags = (word >> 148 & 1) * REDUCE_ONLY | (word >> 149 & 1) * POST_ONLY
    flags |= (word >> 247 & 1) * IMMEDIATE
    return Order(
        account=accounts[word >> 248],
        instrument=instruments[word >> 140 & 255],
        lots=-lots if word >> 150 & 1 else lots,
        price=limit & (2**128 - 1),
        max_fee=limit >> 128,
        nonce=word >> 183 & (2**64 - 1),
        expiry=word >> 44 & (2**40 - 1),
        revision=word >> 124 & (2**16 - 1),
        exclusive_until=word >> 84 & (2**40 - 1),
        flags=flags,
        executor=ZERO_ADDRESS if word >> 151 & 1 else executor,
    )


def run(
    world: World,
    domain: bytes,
    sender: str,
    arguments: tuple[Any, ...],
    post_round: Callable[[bytes], bool],
    calldata: bytes,
    barred: Mapping[int, int] | None = None,
) -> int:
    """Execute a settlement in the model.

    ``calldata`` is the whole call: behind the arguments stand the proofs of bulk orders. ``barred``
    are the fills that the chain skipped, with their codes: only the chain asked the contract
    wallets, and this is their answer. Without it no wallet consents.
    """
    round_call, raw_accounts, instruments, orders, fills, first_sequence, blobs = arguments[:7]
    executor = arguments[7].lower() if len(arguments) > 7 else sender
    proofs = arguments[8] if len(arguments) > 8 else []
    if round_call:
        post_round(round_call)
    accounts = [int.from_bytes(a, "big") for a in raw_accounts]
    unpacked = [Fill(f & 255, f >> 8 & 255, f >> 16 & (2**44 - 1), f >> 60) for f in fills]
    presented = []
    for place, words in enumerate(orders):
        order = unpack_order(words, accounts, instruments, executor)
        digest = eip712.order_digest(domain, order)
        wallet = bool(words[0] >> 152 & 1)
        signer = "" if wallet else recovered(domain, order, words, blobs, calldata)
        agrees = wallet and barred is not None and consented(place, unpacked, barred)
        presented.append(Presented(order, signer, wallet, agrees, digest))
    receipts = [
        _receipt(domain, presented, fill, proof)
        for fill, proof in zip(unpacked, proofs, strict=False)
    ]
    return settlement.settle(
        world,
        sender,
        accounts,
        list(instruments),
        presented,
        unpacked,
        first_sequence,
        executor,
        receipts,
    )


def consented(place: int, fills: Sequence[Fill], barred: Mapping[int, int]) -> bool:
    """Whether a contract wallet's order had its consent, by what became of the order's fills.

    A fill names the first thing that bars it: a receipt used before, then the taker's order, then
    the maker's, then the rest. So an order was refused by its wallet if a fill of it was barred by
    a signature and none got further than that. Where no fill tells, nothing depends on it.
    """
    signature = errors.BadSignature.selector
    refused = False
    for index, fill in enumerate(fills):
        if place not in (fill.taker, fill.maker):
            continue
        code = barred.get(index)
        if code == signature:
            refused = True
        elif code is None or (code in AFTER_SIGNATURES or (place == fill.taker and code != USED)):
            return True
    return not refused


def _receipt(
    domain: bytes, presented: Sequence[Presented], fill: Fill, proof: Sequence[int]
) -> Receipt:
    sequence, matched_at = proof[0] & (2**64 - 1), proof[0] >> 64 & (2**40 - 1)
    maker, taker = presented[fill.maker].digest, presented[fill.taker].digest
    match = eip712.Match(maker, taker, fill.lots, fill.price, sequence, matched_at)
    signer = eip712.recover(eip712.match_digest(domain, match), proof[1], proof[2]) or ""
    return Receipt(sequence, matched_at, signer)


def read_sent(
    deployment: Deployment, executor: str
) -> Callable[[ChainTransaction], tuple[int, int] | None]:
    """Which batch of ours a transaction carried, by its calldata: first sequence and count.

    Only what the executor itself sent counts: anybody may settle by receipts, or under a sequence
    of his own, whatever number he writes there.
    """
    exchange = bytes.fromhex(deployment.addresses["exchange"][2:])
    sender = bytes.fromhex(executor[2:])
    reader = Reader(abi_of("Exchange"))

    def read(record: ChainTransaction) -> tuple[int, int] | None:
        if record.contract != exchange or record.sender != sender:
            return None
        try:
            function, arguments = reader.read(record.calldata)
        except Unreadable:
            return None
        if function != "settle" or (len(arguments) > 8 and arguments[8]):
            return None
        return arguments[5], len(arguments[4])

    return read


def novate(
    world: World, caller: str, accounts: list[int], instruments: list[int], trades: list[list[int]]
) -> int:
    """Execute a venue's novation in the model."""
    return novation.novate(world, caller, accounts, instruments, [unpack_trade(t) for t in trades])


def unpack_trade(words: Sequence[int]) -> Trade:
    """The trade behind its two words."""
    first, second = words
    flags = first >> 24 & 255
    return Trade(
        taker=first & 255,
        maker=first >> 8 & 255,
        instrument=first >> 16 & 255,
        taker_buys=bool(flags & 1),
        lots=first >> 32 & (2**44 - 1),
        price=first >> 76 & (2**128 - 1),
        fee_taker=second & (2**128 - 1),
        fee_maker=second >> 128,
        taker_reduce_only=bool(flags & 2),
        maker_reduce_only=bool(flags & 4),
    )
