"""Signatures in a journal, checked by whoever trusts nobody: of orders, and of consents to blocks.

Each check says what is wrong, or nothing: a record's digest is that of its terms, its signature
that of the signer it names. Whether that signer had the right, as the owner or as a session key
at that moment, only a fold of the journal knows: the engine asks it of each order
(``engine/admission.py``). A contract wallet's signature is the chain's to judge.
"""

from __future__ import annotations

from novate.engine.orders import terms_of
from novate.wire import block, bulk, eip712
from novate.wire.bulk import COMPACT_BYTES
from novate.wire.exit_data import halves
from novate.wire.records import BlockAccepted, OrderPlaced


def fault_of_order(separator: bytes, record: OrderPlaced) -> str:
    """The digest is that of the terms, and the signer that the record names signed it."""
    terms, signer = terms_of(record.order), "0x" + record.signer.hex()
    if eip712.order_digest(separator, terms) != record.digest:
        return "the digest is not that of the order's terms"
    share = bulk.decode(record.signature)
    if len(record.signature) == COMPACT_BYTES:
        if eip712.recover(record.digest, *halves(record.signature)) != signer:
            return "the signature is not the signer's"
    elif share is not None:
        if share.signer(separator, terms) != signer:
            return "the signature of its tree is not the signer's"
    elif signer != terms.owner:
        return f"signed by the contract wallet {signer}, not by the account's owner"
    return ""


def is_by_wallet(record: OrderPlaced) -> bool:
    """Whether a contract wallet signed, which only the chain can ask."""
    return len(record.signature) != COMPACT_BYTES and bulk.decode(record.signature) is None


def fault_of_consents(separator: bytes, record: BlockAccepted) -> str:
    """Both parties signed for this block: its request, their own orders, the other side's."""
    made, taken = (block.orders_hash(p.digest for p in s) for s in (record.maker, record.taker))
    for placed, own, counter, signature in (
        (record.maker[0], made, block.NOBODY, record.maker_consent),
        (record.taker[0], taken, made, record.taker_consent),
    ):
        account = int.from_bytes(placed.order.account, "big")
        consent = block.Consent(account, record.rfq, own, counter, record.expiry)
        digest = block.consent_digest(separator, consent)
        if eip712.recover(digest, *halves(signature)) != "0x" + placed.signer.hex():
            return "a block that one side did not sign for"
    return ""
