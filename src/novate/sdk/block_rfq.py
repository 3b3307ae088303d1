"""Block RFQ for clients: ask for a package, quote it, accept a quote; everything signed here.

Owns: how orders and consents of blocks are made. They are signed for blocks alone
(``BLOCK_REVISION``, the venue as executor), so nothing signed here can end in the book, and no part
of a package can be traded by itself. Quotes and acceptances may be sent again as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from novate.model.order import BLOCK_REVISION
from novate.sdk.faults import ConnectionLost, OutcomeUnknown
from novate.sdk.parts import Amount, ClientPart
from novate.sdk.rounding import text, to_step
from novate.sdk.symbols import to_name
from novate.wire import block
from novate.wire.block import Consent

QUOTE_SECONDS = 20
# An order may outlive its quote a little: clocks differ.
ORDER_SECONDS = 60
_SENT = ("instrument_name", "price", "max_fee", "nonce", "expiry", "signature")


class BlockRfqs(ClientPart):
    """Methods of ``AsyncClient`` about blocks."""

    async def create_block_rfq(
        self, legs: Sequence[tuple[str, str, Amount]], valid_for: int = 60, **more: Any
    ) -> dict[str, Any]:
        """Ask everybody for prices of legs (symbol, side, amount); ``more`` are ``label``,
        ``disclosed``, ``makers``, ``nonce``.
        """
        asked = []
        for symbol, side, amount in legs:
            lot = self._terms(symbol).lot
            size = to_step(amount, lot, self._rounding, up=False, field="amount")
            name = to_name(symbol)
            asked.append({"instrument_name": name, "direction": side, "amount": text(size)})
        method = "private/create_block_rfq"
        found: dict[str, Any] = await self.call(method, legs=asked, valid_for=valid_for, **more)
        return found

    async def fetch_block_rfqs(self, **which: Any) -> list[dict[str, Any]]:
        """Requests, newest first: by ``role``, ``state``, ``block_rfq_id``."""
        found: list[dict[str, Any]] = await self.call("private/get_block_rfqs", **which)
        return found

    async def cancel_block_rfq(self, rfq_id: str) -> dict[str, Any]:
        """Ask no more."""
        found: dict[str, Any] = await self.call("private/cancel_block_rfq", block_rfq_id=rfq_id)
        return found

    async def quote_block_rfq(
        self,
        rfq: dict[str, Any],
        side: str,
        prices: Sequence[Amount],
        lasts: int = QUOTE_SECONDS,
        label: str = "",
    ) -> dict[str, Any]:
        """Buy or sell a request's package at these prices, leg by leg, for so many seconds."""
        if len(prices) != len(rfq["legs"]):
            raise ValueError(f"a price for each of {len(rfq['legs'])} legs")
        until = self._venue_s() + lasts
        sides = [(leg["direction"] == "sell") != (side == "sell") for leg in rfq["legs"]]
        made = [
            self._leg(leg, sells, price, until)
            for leg, sells, price in zip(rfq["legs"], sides, prices, strict=True)
        ]
        rfq_id = rfq["block_rfq_id"]
        params = {
            "block_rfq_id": rfq_id,
            "direction": side,
            "legs": [sent for _, sent in made],
            "expiry": until,
            "consent": self._consent(rfq_id, made, block.NOBODY, until),
            "label": label,
        }
        return await self._twice("private/add_block_rfq_quote", params)

    async def cancel_block_rfq_quote(self, quote_id: str) -> dict[str, Any]:
        """Take a quote back."""
        method = "private/cancel_block_rfq_quote"
        found: dict[str, Any] = await self.call(method, block_rfq_quote_id=quote_id)
        return found

    async def accept_block_rfq(self, quote: dict[str, Any], label: str = "") -> dict[str, Any]:
        """Trade a quote of an own request, all legs or none. Errors: ``ApiError`` says why not."""
        until = quote["expiry"]
        made = [
            self._leg(leg, leg["direction"] == "buy", leg["price"], until) for leg in quote["legs"]
        ]
        counter = bytes.fromhex(quote["block_rfq_quote_id"][2:])
        params = {
            "block_rfq_id": quote["block_rfq_id"],
            "block_rfq_quote_id": quote["block_rfq_quote_id"],
            "direction": "sell" if quote["direction"] == "buy" else "buy",
            "legs": [sent for _, sent in made],
            "consent": self._consent(quote["block_rfq_id"], made, counter, until),
            "label": label,
        }
        return await self._twice("private/accept_block_rfq", params)

    async def _twice(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Sent once more as it is if its answer was lost: what is signed counts once."""
        try:
            found: dict[str, Any] = await self.call(method, **params)
        except (OutcomeUnknown, ConnectionLost):
            found = await self.call(method, **params)
        return found

    def _leg(
        self, leg: dict[str, Any], sells: bool, price: Amount, until: int
    ) -> tuple[bytes, dict[str, Any]]:
        """A signed order for one leg: its digest, and what is sent of it."""
        terms, key = self._terms(leg["instrument_name"]), self._signing_key()
        limit = to_step(price, terms.tick, self._rounding, up=sells, field="price")
        order_id, params = key.order(
            self._separator,
            terms,
            Decimal(leg["amount"]),
            limit,
            sells,
            self._fee(terms, limit),
            self._nonces.take(),
            min(until + ORDER_SECONDS, self._until(leg["instrument_name"])),
            time_in_force="immediate_or_cancel",
            revision=BLOCK_REVISION,
            executor=self.executor,
        )
        params["price"] = text(limit)
        return bytes.fromhex(order_id[2:]), {name: params[name] for name in _SENT}

    def _consent(
        self, rfq_id: str, made: list[tuple[bytes, dict[str, Any]]], counter: bytes, until: int
    ) -> str:
        key = self._signing_key()
        own = block.orders_hash(digest for digest, _ in made)
        rfq = bytes.fromhex(rfq_id[2:])
        return key.consent(self._separator, Consent(key.account, rfq, own, counter, until))
