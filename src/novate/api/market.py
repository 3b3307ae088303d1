"""The market as clients see it: instruments, books, tickers, computed from the engine's world.

Owns: names and ids of what is listed, and the shapes of Deribit's market data. Prices, sizes and
rates leave as decimal strings, exact; amounts in base units.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from novate.api import names
from novate.api.core import Core
from novate.api.names import Listed
from novate.api.numbers import decimal
from novate.api.orders import Orders, OrderState, Trade
from novate.api.rejections import bad, unknown_instrument
from novate.config import Parameters
from novate.model.instrument import PERP, SPOT
from novate.units import ORACLE_UNIT, PPB, WAD

DEPTH_MAX = 10_000
USDC = "USDC"


@dataclass(slots=True)
class Market:
    """Views over one core; ``parameters`` give names."""

    core: Core
    parameters: Parameters
    orders: Orders
    by_name: dict[str, Listed] = field(default_factory=dict)
    by_id: dict[int, Listed] = field(default_factory=dict)

    def __post_init__(self) -> None:
        currencies = {u.id: u.name for u in self.parameters.underlyings}
        for item in self.parameters.instruments:
            kind = "spot" if item.kind_code == SPOT else names.PERP
            self.enlist(
                Listed(
                    item.id,
                    item.name,
                    currencies[item.underlying],
                    kind,
                    item.lot_size_wad,
                    item.tick_wad,
                )
            )

    def enlist(self, item: Listed) -> None:
        """Take in an instrument; a name is one instrument's at a time."""
        self.by_name[item.name] = self.by_id[item.id] = item

    def named(self, name: str) -> Listed:
        """The instrument of a name. Errors: ``UnknownInstrument``."""
        found = self.by_name.get(name)
        if found is None:
            raise unknown_instrument(name)
        return found

    def of(self, currency: str, kind: str | None) -> list[Listed]:
        """Instruments of a currency ("any" for all) and kind. Errors: ``InvalidField``."""
        if currency not in {"any", USDC, *(u.name for u in self.parameters.underlyings)}:
            raise bad("currency", "must be one of " + ", ".join(self.currencies()))
        return [
            item
            for item in self.by_name.values()
            if currency in ("any", USDC, item.currency) and kind in (None, "any", item.kind)
        ]

    def currencies(self) -> list[str]:
        """Every underlying, and the currency of settlement."""
        return [*(u.name for u in self.parameters.underlyings), USDC]

    # Prices

    def prices(self, instrument: int) -> tuple[int, int]:
        """Mark and index in wad; zeros before the first round."""
        world = self.core.world
        feed = world.oracle.feeds[world.ledger.terms[instrument].feed]
        return feed.mark * ORACLE_UNIT, feed.index * ORACLE_UNIT

    def sides(self, item: Listed, depth: int) -> tuple[list[list[str]], list[list[str]]]:
        """Bids and asks as [price, amount], best first."""
        book = self.core.engine.book
        return tuple(
            [
                [decimal(ticks * item.tick), decimal(lots * item.lot_size)]
                for ticks, lots in book.depth(item.id, is_buy, depth)
            ]
            for is_buy in (True, False)
        )  # type: ignore[return-value]

    # Deribit's shapes

    def instrument(self, item: Listed) -> dict[str, Any]:
        """``get_instrument``."""
        found: dict[str, Any] = {
            "instrument_id": item.id,
            "instrument_name": item.name,
            "kind": item.kind,
            "instrument_type": "linear",
            "base_currency": item.currency,
            "quote_currency": USDC,
            "counter_currency": USDC,
            "settlement_currency": USDC,
            "settlement_period": "perpetual" if item.is_perpetual else "expiry",
            "contract_size": decimal(item.lot_size),
            "min_trade_amount": decimal(item.lot_size),
            "amount_step": decimal(item.lot_size),
            "tick_size": decimal(item.tick),
            "tick_size_steps": [],
            "maker_commission": decimal(self.parameters.fees.maker_ppm * WAD // 10**6),
            "taker_commission": decimal(self.parameters.fees.taker_ppm * WAD // 10**6),
            "is_active": True,
            "state": "open",
            "creation_timestamp": 0,
            "expiration_timestamp": item.expiry * 1000 or 32_503_708_800_000,
            "price_index": f"{item.currency.lower()}_usdc",
        }
        if item.kind == "option":
            found |= {
                "option_type": "call" if item.is_call else "put",
                "strike": decimal(item.strike),
            }
        return found

    def order_book(self, item: Listed, depth: int) -> dict[str, Any]:
        """``get_order_book``: ticker fields with both sides."""
        bids, asks = self.sides(item, depth)
        return self.ticker(item) | {"bids": bids, "asks": asks, "depth": depth}

    def ticker(self, item: Listed) -> dict[str, Any]:
        """``ticker``."""
        bids, asks = self.sides(item, 1)
        mark, index = self.prices(item.id)
        trades = self.orders.by_instrument.get(item.id)
        world = self.core.world
        found: dict[str, Any] = {
            "instrument_name": item.name,
            "timestamp": world.now * 1000,
            "state": "open",
            "mark_price": decimal(mark),
            "index_price": decimal(index),
            "last_price": decimal(trades[-1].price) if trades else None,
            "best_bid_price": bids[0][0] if bids else "0",
            "best_bid_amount": bids[0][1] if bids else "0",
            "best_ask_price": asks[0][0] if asks else "0",
            "best_ask_amount": asks[0][1] if asks else "0",
            "open_interest": decimal(world.ledger.markets[item.id].open_interest * item.lot_size),
            "stats": self.stats(trades or ()),
        }
        if world.ledger.terms[item.id].kind == PERP:
            rate = world.ledger.markets[item.id].rate
            found["current_funding"] = found["funding_8h"] = decimal(rate * WAD // PPB)
        return found

    def stats(self, trades: Iterable[Trade]) -> dict[str, Any]:
        """High, low and volume of the last day."""
        since = self.orders.now_ms - 86_400_000
        day = [t for t in trades if t.timestamp_ms >= since]
        size = {t.match.sequence: self.by_id[t.match.instrument].lot_size for t in day}
        volume = sum(t.match.lots * size[t.match.sequence] for t in day)
        turnover = sum(t.match.lots * size[t.match.sequence] * t.price // WAD for t in day)
        return {
            "high": decimal(max(t.price for t in day)) if day else None,
            "low": decimal(min(t.price for t in day)) if day else None,
            "volume": decimal(volume),
            "volume_usd": decimal(turnover),
            "price_change": None,
        }

    def trade(self, trade: Trade) -> dict[str, Any]:
        """One public trade."""
        match = trade.match
        item = self.by_id[match.instrument]
        return {
            "trade_id": str(match.sequence),
            "trade_seq": match.sequence,
            "instrument_name": item.name,
            "timestamp": trade.timestamp_ms,
            "price": decimal(trade.price),
            "amount": decimal(match.lots * item.lot_size),
            "contracts": match.lots,
            "direction": "buy" if match.taker_buys else "sell",
            "tick_direction": 0,
            "mark_price": decimal(trade.mark),
            "index_price": decimal(trade.index),
            "settlement_state": trade.settlement,
            "batch": trade.batch,
            "transaction": "0x" + trade.transaction.hex() if trade.transaction else None,
            "block": trade.block or None,
            "bust_reason": trade.reason or None,
            "block_rfq_id": "0x" + trade.rfq.hex() if trade.rfq else None,
        }

    def order(self, state: OrderState) -> dict[str, Any]:
        """One order as clients see it."""
        item = self.by_id[state.terms.instrument]
        average = state.cost // state.filled if state.filled else 0  # division: reported, floored
        return {
            "order_id": "0x" + state.digest.hex(),
            "order_state": state.state,
            "order_type": "limit",
            "instrument_name": item.name,
            "direction": "sell" if state.terms.sells else "buy",
            "price": decimal(state.terms.price),
            "amount": decimal(state.terms.size * item.lot_size),
            "filled_amount": decimal(state.filled * item.lot_size),
            "average_price": decimal(average),
            "time_in_force": state.time_in_force,
            "post_only": state.terms.post_only,
            "reduce_only": state.terms.reduce_only,
            "label": state.label,
            "creation_timestamp": state.created_ms,
            "last_update_timestamp": state.updated_ms,
            "cancel_reason": state.reason,
            "nonce": state.terms.nonce,
            "expiry": state.terms.expiry,
            "commission": decimal(state.fee),
            "api": True,
            "web": False,
            "replaced": False,
            "mmp": False,
        }
