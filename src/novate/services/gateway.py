"""The gateway: what reaches the journal is signed by whom it says.

Owns: the check of an order's signature and of a cancel's, before either becomes a numbered command. Contract wallets are asked
through ``consents`` (ERC-1271); everything else the sequencer and the contracts check again.
"""

from __future__ import annotations

from collections.abc import Callable

from novate import errors
from novate.engine.sequencer import record_of
from novate.errors import require
from novate.model.order import Order
from novate.wire import eip712
from novate.wire.order import SignedOrder
from novate.wire.records import CancelRequested, OrderPlaced

Consents = Callable[[str, bytes, bytes], bool]


def nobody_consents(owner: str, digest: bytes, blob: bytes) -> bool:
    """Without a chain to ask, no contract wallet can be heard."""
    return False


class Gateway:
    """Turns signed messages into journal commands."""

    def __init__(self, separator: bytes, consents: Consents = nobody_consents) -> None:
        self._separator = separator
        self._consents = consents

    def order(self, signed: SignedOrder, received_ms: int, fill_or_kill: bool = False) -> OrderPlaced:
        """The command for an order signed by its owner or by a session key. Errors: ``BadSignature``, ``MalformedOrder``."""
        order = signed.order
        _require_ranges(order)
        digest = eip712.order_digest(self._separator, order)
        if signed.blob is not None:
            require(self._consents(order.owner, digest, signed.blob), errors.BadSignature)
            signer, signature = order.owner, signed.blob
        else:
            found = eip712.recover(digest, signed.r, signed.vs)
            require(found is not None, errors.BadSignature)
            assert found is not None
            signer = found
            signature = signed.r.to_bytes(32, "big") + signed.vs.to_bytes(32, "big")
        return OrderPlaced(
            digest=digest,
            order=record_of(order),
            signature=signature,
            signer=bytes.fromhex(signer[2:]),
            received_ms=received_ms,
            fill_or_kill=fill_or_kill,
        )

    def cancel(self, account: int, scope: str, value: int, signer: str, received_ms: int) -> CancelRequested:
        """The command for a cancel by the account's owner. Errors: ``NotOwner``."""
        require(account >> 96 == int(signer, 16), errors.NotOwner)
        return CancelRequested(
            account.to_bytes(32, "big"), scope, value, bytes.fromhex(signer[2:]), received_ms
        )


def _require_ranges(order: Order) -> None:
    fits = (
        0 < order.account < 1 << 256
        and 0 < order.instrument < 1 << 20
        and abs(order.lots) < 1 << 43
        and 0 <= order.price < 1 << 128
        and 0 <= order.max_fee < 1 << 128
        and 0 <= order.nonce < 1 << 64
        and 0 <= order.expiry < 1 << 40
        and 0 <= order.exclusive_until < 1 << 40
        and 0 <= order.revision < 1 << 16
    )
    require(fits, errors.MalformedOrder)
