"""How a trader signs the legs of a block and its consent, without any of our client code."""

from __future__ import annotations

import time
from typing import Any

from novate.api.venue import VenueApi
from novate.model.order import BLOCK_REVISION, IMMEDIATE, Order
from novate.units import WAD
from novate.wire import block, eip712
from novate.wire.block import Consent
from support.venue_api import Trader

BTC, ETH = "BTC-PERPETUAL", "ETH-PERPETUAL"
LEGS = [
    {"instrument_name": BTC, "amount": "0.1", "direction": "buy"},
    {"instrument_name": ETH, "amount": "2", "direction": "sell"},
]
PRICES = ("100010", "3999")


def leg(
    api: VenueApi, trader: Trader, asked: dict[str, Any], price: str, sign: int, **fields: Any
) -> tuple[bytes, dict[str, Any]]:
    """One signed leg: its order's digest and what is sent; ``sign`` -1 trades against it."""
    item = api.market.named(asked["instrument_name"])
    trader.nonce += 1
    size = round(float(asked["amount"]) * WAD / item.lot_size) * sign
    chosen: dict[str, Any] = {
        "account": trader.account,
        "instrument": item.id,
        "lots": size if asked["direction"] == "buy" else -size,
        "price": round(float(price) * 1000) * WAD // 1000,
        "max_fee": WAD,
        "nonce": trader.nonce,
        "expiry": 2**32,
        "revision": BLOCK_REVISION,
        "flags": IMMEDIATE,
        "executor": api.executor,
    }
    digest = eip712.order_digest(api.separator, Order(**(chosen | fields)))
    return digest, {
        "instrument_name": item.name,
        "price": price,
        "max_fee": "1",
        "nonce": trader.nonce,
        "expiry": 2**32,
        "signature": trader.signed(digest),
    }


def quote(
    api: VenueApi,
    trader: Trader,
    rfq: dict[str, Any],
    direction: str = "sell",
    prices: tuple[str, ...] = PRICES,
    lasts_s: int = 20,
    **fields: Any,
) -> dict[str, Any]:
    """Parameters of ``private/add_block_rfq_quote``."""
    sign = 1 if direction == "buy" else -1
    made = [
        leg(api, trader, asked, price, sign, **fields)
        for asked, price in zip(rfq["legs"], prices, strict=True)
    ]
    until = int(time.time()) + lasts_s
    rfq_id = bytes.fromhex(rfq["block_rfq_id"][2:])
    own = block.orders_hash(digest for digest, _ in made)
    consent = Consent(trader.account, rfq_id, own, block.NOBODY, until)
    return {
        "block_rfq_id": rfq["block_rfq_id"],
        "direction": direction,
        "legs": [sent for _, sent in made],
        "expiry": until,
        "consent": trader.signed(block.consent_digest(api.separator, consent)),
    }


def acceptance(
    api: VenueApi,
    trader: Trader,
    rfq: dict[str, Any],
    quoted: dict[str, Any],
    direction: str = "buy",
    **fields: Any,
) -> dict[str, Any]:
    """Parameters of ``private/accept_block_rfq`` for a quote as the taker sees it."""
    sign = 1 if direction == "buy" else -1
    prices = [leg["price"] for leg in quoted["legs"]]
    made = [
        leg(api, trader, asked, price, sign, **fields)
        for asked, price in zip(rfq["legs"], prices, strict=True)
    ]
    own = block.orders_hash(digest for digest, _ in made)
    rfq_id, counter = (
        bytes.fromhex(quoted[name][2:]) for name in ("block_rfq_id", "block_rfq_quote_id")
    )
    consent = Consent(trader.account, rfq_id, own, counter, quoted["expiry"])
    return {
        "block_rfq_id": rfq["block_rfq_id"],
        "block_rfq_quote_id": quoted["block_rfq_quote_id"],
        "direction": direction,
        "legs": [sent for _, sent in made],
        "consent": trader.signed(block.consent_digest(api.separator, consent)),
    }
