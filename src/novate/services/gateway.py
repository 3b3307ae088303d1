"""The gateway: what reaches the journal is signed by whom it says.

Owns: the check of an order's signature and of a cancel's, before either becomes a numbered command.
Contract wallets are asked through ``consents`` (ERC-1271); everything else the sequencer and the
contracts check again.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from novate import errors
from novate.engine.matching import SelfTrade
from novate.engine.orders import record_of
from novate.errors import require
from novate.limits import SIGNATURE_BLOB_BYTES_MAX
from novate.model.order import ZERO_ADDRESS, Order, owner_address
from novate.wire import bulk, eip712
from novate.wire.bulk import COMPACT_BYTES, BulkOrders
from novate.wire.eip712 import address_bytes
from novate.wire.order import SignedOrder
from novate.wire.records import CancelRequested, OrderPlaced

Consents = Callable[[str, bytes, bytes], bool]
MaySign = Callable[[Order, str], bool]
IsKey = Callable[[int, str], bool]
SCOPES = ("nonce", "below", "instrument", "all")
WORD = 1 << 256
_ADDRESS = re.compile("0x[0-9a-f]{40}")


def nobody_consents(owner: str, digest: bytes, blob: bytes) -> bool:
    """Without a chain to ask, no contract wallet can be heard."""
    return False


def no_keys(account: int, signer: str) -> bool:
    """Without a world to ask, no account has session keys."""
    return False


def no_session_keys(order: Order, signer: str) -> bool:
    """Without a world to ask, only owners sign."""
    return False


class Gateway:
    """Turns signed messages into journal commands."""

    def __init__(
        self,
        separator: bytes,
        consents: Consents = nobody_consents,
        may_sign: MaySign = no_session_keys,
        is_key: IsKey = no_keys,
        may_cancel: IsKey = no_keys,
    ) -> None:
        self._separator = separator
        self._consents = consents
        self._may_sign = may_sign
        self._is_key = is_key
        self._may_cancel = may_cancel

    def order(
        self,
        signed: SignedOrder,
        received_ms: int,
        fill_or_kill: bool = False,
        self_trade: str = SelfTrade.CANCEL_MAKER,
        label: str = "",
    ) -> OrderPlaced:
        """The command for an order signed by its owner or by a session key; what follows the
        signed order instructs the engine.

        Errors: ``BadSignature`` (also for another chain or contract), ``MalformedOrder``.
        """
        digest = self.digest(signed.order)
        signer = self._signer(signed, digest)
        return self.verified(signed, digest, signer, received_ms, fill_or_kill, self_trade, label)

    def digest(self, order: Order) -> bytes:
        """What an order's signature is over. Errors: ``MalformedOrder``."""
        _require_ranges(order)
        return eip712.order_digest(self._separator, order)

    def _signer(self, signed: SignedOrder, digest: bytes) -> str:
        """Who signed an order; "" if nobody can have. Errors: ``MalformedOrder``,
        ``BadSignature`` of a contract wallet.
        """
        if signed.blob is not None:
            # 64 bytes are a compact signature; a record holds no fewer and no more than the bound
            fits = COMPACT_BYTES < len(signed.blob) <= SIGNATURE_BLOB_BYTES_MAX
            require(fits and not bulk.is_bulk(signed.blob), errors.MalformedOrder)
            owner = signed.order.owner
            require(self._consents(owner, digest, signed.blob), errors.BadSignature)
            return owner
        if signed.bulk is not None:
            return signed.bulk.signer(self._separator, signed.order) or ""
        return eip712.recover(digest, signed.r, signed.vs) or ""

    def verified(
        self,
        signed: SignedOrder,
        digest: bytes,
        signer: str,
        received_ms: int,
        fill_or_kill: bool = False,
        self_trade: str = SelfTrade.CANCEL_MAKER,
        label: str = "",
    ) -> OrderPlaced:
        """The command for an order of this ``digest`` that ``signer`` ("": nobody) has signed.

        Errors: ``BadSignature`` unless that is its owner or a session key.
        """
        require(signer != "", errors.BadSignature)  # whose words may not even fit
        if signed.blob is not None:
            signature = signed.blob
        elif signed.bulk is not None:
            signature = signed.bulk.encode()
        else:
            signature = signed.r.to_bytes(32, "big") + signed.vs.to_bytes(32, "big")
        said = received_ms, fill_or_kill, self_trade, label
        return self.placed(signed.order, digest, signature, signer, *said)

    def placed(
        self,
        order: Order,
        digest: bytes,
        signature: bytes,
        signer: str,
        received_ms: int,
        fill_or_kill: bool = False,
        self_trade: str = SelfTrade.CANCEL_MAKER,
        label: str = "",
    ) -> OrderPlaced:
        """The same of a signature as a record carries it."""
        self._require_known(order, signer)
        return OrderPlaced(
            digest=digest,
            order=record_of(order),
            signature=signature,
            signer=address_bytes(signer),
            received_ms=received_ms,
            fill_or_kill=fill_or_kill,
            self_trade=self_trade,
            label=label,
        )

    def tree(self, signed: BulkOrders, received_ms: int, label: str = "") -> list[OrderPlaced]:
        """The commands for orders under one signature over their tree, by an owner or a session key
        of all of them. Errors: ``BadSignature``, ``MalformedOrder``.
        """
        for order in signed.orders:
            _require_ranges(order)
        share = signed.signature(0)
        signer = share.signer(self._separator, signed.orders[0]) or ""
        owned = int(signer or "0x0", 16)  # whose accounts need no session key
        for order in signed.orders:
            if not owned or order.account >> 96 != owned:
                self._require_known(order, signer)
        raw = bytes.fromhex(signer[2:])
        digests = signed.order_digests(self._separator)
        return [
            OrderPlaced(digest, record_of(order), signature, raw, received_ms, label=label)
            for order, digest, signature in zip(
                signed.orders, digests, signed.encoded(), strict=True
            )
        ]

    def require_signs_for(self, account: int, signer: str) -> None:
        """The owner, or a live session key of any scope. Errors: ``BadSignature``."""
        known = signer == owner_address(account) or self._is_key(account, signer)
        require(known, errors.BadSignature)

    def cancels_all_of(self, account: int, signer: str) -> bool:
        """Whether a signer may cancel every order of an account: its owner, or a live session key
        with the cancel scope. Other keys cancel what they have signed themselves.
        """
        return signer == owner_address(account) or self._may_cancel(account, signer)

    def _require_known(self, order: Order, signer: str) -> None:
        known = signer != "" and (signer == order.owner or self._may_sign(order, signer))
        require(known, errors.BadSignature)

    def cancel(
        self, account: int, scope: str, value: int, signer: str, received_ms: int
    ) -> CancelRequested:
        """The command for a cancel by the account's owner. Errors: ``NotOwner``,
        ``MalformedOrder``.
        """
        fits = 0 < account < WORD and 0 <= value < 1 << 64 and 0 <= received_ms < 1 << 64
        require(fits and scope in SCOPES, errors.MalformedOrder)
        require(is_address(signer), errors.NotOwner)
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
        and 0 <= order.flags < 1 << 8
        and (order.executor == ZERO_ADDRESS or is_address(order.executor))
    )
    require(fits, errors.MalformedOrder)


def is_address(text: str) -> bool:
    """Whether a text is a lower-case address."""
    return _ADDRESS.fullmatch(text) is not None
