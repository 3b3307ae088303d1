"""Edits, closings, mass quotes and protection for clients; everything signed here.

Owns: how a later revision of an order is made from what the venue says of it, and how many quotes
are signed at once: one signature over the tree of all their sides.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from novate.model.order import POST_ONLY, Order
from novate.sdk.faults import OutcomeUnknown
from novate.sdk.parts import Amount, ClientPart
from novate.sdk.rounding import Rounding, text, to_step
from novate.sdk.signing import wad
from novate.sdk.symbols import to_name
from novate.wire.eip712 import order_digest

# How far beyond the mark a closing order may trade, unless a price is given.
CLOSE_REACH = Decimal("0.04")
_KEPT = ("post_only", "reduce_only", "label", "mmp")


class MoreOrders(ClientPart):
    """Methods of ``AsyncClient`` about orders that are there already, and about many at once."""

    @abstractmethod
    async def fetch_order(self, order_id: str) -> dict[str, Any]:
        """One order's state."""

    @abstractmethod
    async def fetch_ticker(self, symbol: str) -> dict[str, Any]:
        """Best prices, mark, index."""

    @abstractmethod
    def sign_order(
        self, symbol: str, side: str, amount: Amount, price: Amount, **more: Any
    ) -> tuple[str, dict[str, Any]]:
        """An order's id and its request."""

    @abstractmethod
    async def send_order(self, side: str, order_id: str, params: dict[str, Any]) -> dict[str, Any]:
        """Send a signed order."""

    async def edit_order(
        self,
        order_id: str,
        amount: Amount | None = None,
        price: Amount | None = None,
        **instructions: Any,
    ) -> dict[str, Any]:
        """Change an open order: what is not named stays. ``amount`` is its whole life's, what is
        filled included. Its id is a new one; nothing has changed if this is refused.
        """
        order = await self.fetch_order(order_id)
        kept = {name: order[name] for name in _KEPT if order[name]}
        if order.get("trigger"):
            kept |= {"type": order["order_type"], "trigger_price": order["trigger_price"]}
        new_id, params = self.sign_order(
            order["instrument_name"],
            order["direction"],
            order["amount"] if amount is None else amount,
            order["signed_price"] if price is None else price,
            nonce=order["nonce"],
            revision=order["revision"] + 1,
            **(kept | instructions),
        )
        return await self.send_order("edit", new_id, params | {"order_id": order["order_id"]})

    async def close_position(
        self, symbol: str, price: Amount | None = None, amount: Amount | None = None
    ) -> dict[str, Any]:
        """Reduce a position to zero, or by ``amount``, at once: at ``price`` or better, or within
        four percent of the mark. Errors: ``ValueError`` without a position.
        """
        name = to_name(symbol)
        held = await self.call("private/get_position", instrument_name=name)
        size = Decimal(held["size"])
        if size == 0:
            raise ValueError(f"there is no position in {symbol}")
        sells = size > 0
        if price is None:
            mark = Decimal((await self.fetch_ticker(symbol))["mark_price"])
            reach = mark * (1 - CLOSE_REACH if sells else 1 + CLOSE_REACH)
            price = to_step(reach, self._terms(symbol).tick, Rounding.PASSIVE, up=sells)
        order_id, params = self.sign_order(
            symbol,
            "sell" if sells else "buy",
            abs(size) if amount is None else amount,
            price,
            reduce_only=True,
            time_in_force="immediate_or_cancel",
        )
        return await self.send_order("close_position", order_id, params)

    async def mass_quote(
        self, quotes: Sequence[dict[str, Any]], expiry: int | None = None, **more: Any
    ) -> dict[str, Any]:
        """Quote many instruments with one signature. Each quote: ``symbol``, ``bid`` and ``ask`` as
        (price, amount) or None, ``quote_set_id``; ``more`` are ``label``, ``reject_post_only``,
        ``self_trading``, ``detailed``. What is refused stands in the answer's ``errors``. Errors:
        ``OutcomeUnknown`` with the ids of all sides.
        """
        lives = [self._until(quote["symbol"]) for quote in quotes]
        until = min(lives, default=0) if expiry is None else expiry
        orders: list[Order] = []
        sent = []
        for quote in quotes:
            row: dict[str, Any] = {
                "instrument_name": to_name(quote["symbol"]),
                "quote_set_id": quote.get("quote_set_id", ""),
            }
            for name in ("bid", "ask"):
                if quote.get(name) is not None:
                    order, row[name] = self._side(quote["symbol"], name, quote[name], until)
                    orders.append(order)
            sent.append(row)
        signature = self._signing_key().bulk(self._separator, orders)
        method = "private/mass_quote"
        try:
            found: dict[str, Any] = await self.call(
                method, quotes=sent, signature=signature, expiry=until, **more
            )
        except OutcomeUnknown as unknown:
            digests = [order_digest(self._separator, order) for order in orders]
            ids = tuple("0x" + digest.hex() for digest in digests)
            raise OutcomeUnknown(order_ids=ids) from unknown
        return found

    def _side(
        self, symbol: str, name: str, side: tuple[Amount, Amount], until: int
    ) -> tuple[Order, dict[str, Any]]:
        terms, sells = self._terms(symbol), name == "ask"
        limit = to_step(side[0], terms.tick, self._rounding, up=sells, field=f"{name} price")
        size = to_step(side[1], terms.lot, self._rounding, up=False, field=f"{name} amount")
        fee, lots = self._fee(terms, limit), int(size / terms.lot)
        order = Order(
            account=self._signing_key().account,
            instrument=terms.id,
            lots=-lots if sells else lots,
            price=wad(limit),
            max_fee=wad(fee),
            nonce=self._nonces.take(),
            expiry=until,
            flags=POST_ONLY,
        )
        shown = {"price": text(limit), "amount": text(size), "max_fee": text(fee)}
        return order, shown | {"nonce": order.nonce}

    async def cancel_quotes(self, **which: Any) -> int:
        """Take quotes out: all, or by ``cancel_type`` with ``currency``, ``instrument_name`` or
        ``quote_set_id``; how many were open.
        """
        count: int = await self.call("private/cancel_quotes", **which)
        return count

    async def set_mmp(self, currency: str, interval: int, **limits: Any) -> dict[str, Any]:
        """Protect quotes in a currency: within ``interval`` seconds no more than ``quantity_limit``
        and ``delta_limit`` base units may fill, and ``vega_limit`` USD of vega a point; then all
        go, for ``frozen_time`` seconds.
        """
        more = {"frozen_time": 0} | limits
        method, index = "private/set_mmp_config", f"{currency.lower()}_usdc"
        found: dict[str, Any] = await self.call(method, index_name=index, interval=interval, **more)
        return found

    async def fetch_mmp(self, currency: str) -> dict[str, Any]:
        """The protection of a currency, and whether it is frozen."""
        method, index = "private/get_mmp_config", f"{currency.lower()}_usdc"
        found: dict[str, Any] = await self.call(method, index_name=index)
        return found

    async def reset_mmp(self, currency: str) -> str:
        """Quote again after a freeze."""
        method, index = "private/reset_mmp", f"{currency.lower()}_usdc"
        found: str = await self.call(method, index_name=index)
        return found
