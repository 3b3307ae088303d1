"""The market as clients see it: instruments, books, tickers, computed from the engine's world.

Owns: names and ids of what is listed, and the shapes of Deribit's market data. Prices, sizes and
rates leave as decimal strings, exact; amounts in base units.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from novate.api.core import Core
from novate.api.listings import Listings
from novate.api.mark_history import MarkHistory
from novate.api.names import OPTION, Listed
from novate.api.numbers import decimal
from novate.api.option_views import OptionViews, cut, percent, quotient, scaled
from novate.api.orders import Orders, OrderState, Trade
from novate.api.rejections import bad
from novate.config import Parameters
from novate.model.instrument import PERP
from novate.model.marks import mark_and_index
from novate.model.option_id import place_of
from novate.naming import QUOTE, future_name
from novate.store.trades import RESOLUTIONS_S
from novate.units import ORACLE_UNIT, PPB, PPM, WAD, div_down, div_zero
from novate.wire import records
from novate.wire.records import Matched

DEPTH_MAX = 10_000
NEVER_MS = 32_503_708_800_000
IVS_KEPT = 20_000


@dataclass(slots=True)
class Market:
    """Views over one core; ``parameters`` give names."""

    core: Core
    parameters: Parameters
    orders: Orders
    listings: Listings = field(init=False)
    options: OptionViews = field(init=False)
    history: MarkHistory = field(init=False)
    ivs: dict[int, str | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.listings = Listings(self.core.world, self.parameters)
        self.options = OptionViews(self.core.world)
        self.history = MarkHistory(self.core.world)

    @property
    def by_name(self) -> dict[str, Listed]:
        """Every instrument there is or was."""
        return self.listings.by_name

    @property
    def by_id(self) -> dict[int, Listed]:
        """What each id is now."""
        return self.listings.by_id

    def named(self, name: str) -> Listed:
        """The instrument of a name. Errors: ``UnknownInstrument``."""
        return self.listings.named(name)

    def of(self, currency: str, kind: str | None, expired: bool = False) -> list[Listed]:
        """Instruments of a currency ("any" for all) and kind. Errors: ``InvalidField``."""
        return self.listings.of(currency, kind, expired)

    def currencies(self) -> list[str]:
        """Every underlying, and the currency of settlement."""
        return self.listings.currencies()

    # Prices

    def prices(self, instrument: int) -> tuple[int, int]:
        """Mark and index in wad; zeros before the first round."""
        item = self.by_id.get(instrument)
        if item is not None and item.is_option:
            return self.options.of(item).mark, self.index(item.underlying)
        return mark_and_index(self.core.world, instrument)

    def index(self, underlying: int) -> int:
        """The index of an underlying with options (wad)."""
        world = self.core.world
        return world.oracle.feeds[world.options.grids[underlying].feed].index * ORACLE_UNIT

    def index_of(self, index_name: str) -> int:
        """An index by its name, btc_usdc (wad). Errors: ``InvalidField``."""
        currency = index_name.removesuffix("_usdc").removesuffix("_usd").upper()
        for item in self.by_id.values():
            if item.currency == currency and not item.expiry:
                return self.prices(item.id)[1]
        raise bad("index_name", "must be an index such as btc_usdc")

    def exposure(self, item: Listed, amount: int) -> dict[str, str | None]:
        """What a position of ``amount`` base units (wad) moves by: Greeks, of what has any."""
        if not item.is_option:
            return {"delta": decimal(amount)}
        found = self.options.of(item).greeks
        if found is None:
            return dict.fromkeys(("delta", "gamma", "vega", "theta"))
        return {name: cut(div_zero(value * amount, WAD)) for name, value in scaled(found).items()}

    def open_interest(self, item: Listed) -> int:
        """Lots open of an instrument."""
        world = self.core.world
        if not item.expiry:
            return world.ledger.markets[item.id].open_interest
        if world.options.listed[place_of(item.id)].expiry != item.expiry:
            return 0  # its slot is another's
        return world.options.interests[item.id]

    def sides(self, item: Listed, depth: int) -> tuple[list[list[str]], list[list[str]]]:
        """Bids and asks as [price, amount], best first."""
        bids, asks = (self.levels(item, is_buy, depth) for is_buy in (True, False))
        return bids, asks

    def levels(self, item: Listed, is_buy: bool, depth: int) -> list[list[str]]:
        """One side as [price, amount], best first."""
        if self.by_id[item.id] is not item:
            return []  # its slot is another's
        book = self.core.engine.book
        return [
            [decimal(ticks * item.tick), decimal(lots * item.lot_size)]
            for ticks, lots in book.depth(item.id, is_buy, depth)
        ]

    # Deribit's shapes

    def instrument(self, item: Listed) -> dict[str, Any]:
        """``get_instrument``."""
        state = self.listings.state(item)
        fees = self.parameters.fees
        maker_ppm, taker_ppm = fees.maker_ppm, fees.taker_ppm
        if item.is_option:  # of the underlying
            maker_ppm = taker_ppm = fees.option_ppm
        found: dict[str, Any] = {
            "instrument_id": item.id,
            "instrument_name": item.name,
            "kind": item.kind,
            "instrument_type": "linear",
            "base_currency": item.currency,
            "quote_currency": QUOTE,
            "counter_currency": QUOTE,
            "settlement_currency": QUOTE,
            "settlement_period": "perpetual" if item.is_perpetual else "expiry",
            "contract_size": decimal(item.lot_size),
            "min_trade_amount": decimal(item.lot_size),
            "amount_step": decimal(item.lot_size),
            "tick_size": decimal(item.tick),
            "tick_size_steps": [],
            "maker_commission": decimal(maker_ppm * WAD // PPM),
            "taker_commission": decimal(taker_ppm * WAD // PPM),
            "is_active": state == "open",
            "state": state,
            "creation_timestamp": item.listed_at * 1000,
            "expiration_timestamp": item.expiry * 1000 or NEVER_MS,
            "price_index": f"{item.currency.lower()}_usdc",
        }
        if item.is_option:
            found |= {
                "option_type": "put" if item.is_put else "call",
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
        trades = self.trades(item)
        world = self.core.world
        found: dict[str, Any] = {
            "instrument_name": item.name,
            "timestamp": world.now * 1000,
            "state": self.listings.state(item),
            "mark_price": decimal(mark),
            "index_price": decimal(index),
            "last_price": decimal(trades[-1].price) if trades else None,
            "best_bid_price": bids[0][0] if bids else "0",
            "best_bid_amount": bids[0][1] if bids else "0",
            "best_ask_price": asks[0][0] if asks else "0",
            "best_ask_amount": asks[0][1] if asks else "0",
            "open_interest": decimal(self.open_interest(item) * item.lot_size),
            "stats": self.stats(trades),
        }
        if item.expiry:
            found |= self._dated(item, index)
        elif world.ledger.terms[item.id].kind == PERP:
            rate = world.ledger.markets[item.id].rate
            found["current_funding"] = found["funding_8h"] = decimal(rate * WAD // PPB)
        return found

    def _dated(self, item: Listed, index: int) -> dict[str, Any]:
        """What a ticker of an option or a dated future shows besides."""
        found: dict[str, Any] = {"estimated_delivery_price": decimal(index)}
        price = self.core.world.surfaces.prints[item.underlying, item.expiry]
        if price:
            settled = decimal(price * ORACLE_UNIT)
            found |= {"delivery_price": settled, "estimated_delivery_price": settled}
        if item.is_option:
            book = self.core.engine.book
            current = self.by_id[item.id] is item
            best = [book.depth(item.id, is_buy)[:1] if current else [] for is_buy in (True, False)]
            bid, ask = (side[0][0] * item.tick if side else 0 for side in best)
            found |= self.options.fields(item, bid, ask)
            found["underlying_index"] = future_name(item.currency, item.expiry)
        return found

    def summary(self, item: Listed) -> dict[str, Any]:
        """``get_book_summary_by_currency``: the ticker, and its figures under the names that
        Deribit uses there.
        """
        found = self.ticker(item)
        stats = found["stats"]
        middle = None
        if found["best_bid_price"] != "0" and found["best_ask_price"] != "0":
            bid, ask = (
                self.core.engine.book.depth(item.id, is_buy)[0][0] for is_buy in (True, False)
            )
            middle = decimal(div_down((bid + ask) * item.tick, 2))
        return found | {
            "bid_price": None if found["best_bid_price"] == "0" else found["best_bid_price"],
            "ask_price": None if found["best_ask_price"] == "0" else found["best_ask_price"],
            "mid_price": middle,
            "last": found["last_price"],
            "base_currency": item.currency,
            "quote_currency": QUOTE,
            "creation_timestamp": found["timestamp"],
            "price_change": stats["price_change"],
            **{name: stats[name] for name in ("high", "low", "volume", "volume_usd")},
        }

    def trades(self, item: Listed) -> list[Trade]:
        """Trades of an instrument that are remembered, oldest first."""
        held = self.orders.by_instrument.get(item.id, ())
        if not item.expiry:
            return list(held)
        return [t for t in held if self.listings.at(item.id, t.match.matched_at) is item]

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
            "price_change": quotient(day[-1].price, day[0].price) if day else None,
        }

    def candle(self, item: Listed, resolution: str) -> dict[str, Any]:
        """The candle that is open at an instrument's last trade, as ``chart.trades`` sends it."""
        held, width = self.trades(item), 1000 * RESOLUTIONS_S[resolution]
        start = held[-1].timestamp_ms // width * width  # division: down, to the candle
        inside = [t for t in held if t.timestamp_ms >= start]
        lots = sum(t.match.lots for t in inside)
        cost = sum(t.match.lots * item.lot_size * t.price // WAD for t in inside)  # division: down
        return {
            "tick": start,
            "open": decimal(inside[0].price),
            "high": decimal(max(t.price for t in inside)),
            "low": decimal(min(t.price for t in inside)),
            "close": decimal(inside[-1].price),
            "volume": decimal(lots * item.lot_size),
            "cost": decimal(cost),
        }

    def marks(self, currency: str) -> list[dict[str, Any]]:
        """Marks and volatilities (fractions) of a currency's options."""
        found = []
        for item in self.of(currency, OPTION):
            view = self.options.of(item)
            iv = None if view.sigma is None else cut(view.sigma)
            found.append({"instrument_name": item.name, "mark_price": decimal(view.mark), "iv": iv})
        return found

    def trade(self, trade: Trade) -> dict[str, Any]:
        """One public trade."""
        match = trade.match
        item = self.listings.at(match.instrument, match.matched_at)
        found = {
            "trade_id": str(match.sequence),
            "trade_seq": trade.number,
            "instrument_name": item.name,
            "timestamp": trade.timestamp_ms,
            "price": decimal(trade.price),
            "amount": decimal(match.lots * item.lot_size),
            "contracts": match.lots,
            "direction": "buy" if match.taker_buys else "sell",
            "tick_direction": trade.tick_direction,
            "mark_price": decimal(trade.mark),
            "index_price": decimal(trade.index),
            "settlement_state": trade.settlement,
            "batch": trade.batch,
            "transaction": "0x" + trade.transaction.hex() if trade.transaction else None,
            "block": trade.block or None,
            "bust_reason": trade.reason or None,
            "block_rfq_id": "0x" + trade.rfq.hex() if trade.rfq else None,
        }
        return found | {"iv": self.ivs.get(match.sequence)} if item.is_option else found

    def own_trade(self, trade: Trade, makes: bool) -> dict[str, Any]:
        """One trade as its maker, or its taker, sees it."""
        match = trade.match
        digest = match.maker if makes else match.taker
        state = self.orders.by_digest.get(digest)
        return self.trade(trade) | {
            "order_id": "0x" + digest.hex(),
            "direction": "buy" if match.taker_buys != makes else "sell",
            "liquidity": "M" if makes else "T",
            "fee": decimal(records.number(match.fee_maker if makes else match.fee_taker)),
            "fee_currency": QUOTE,
            "label": state.label if state is not None else "",
        }

    def judged(self, match: Matched) -> None:
        """Keep the volatility of an option's trade, at the forward of now."""
        item = self.by_id[match.instrument]
        if item.is_option:
            price = records.number(match.price)
            self.ivs[match.sequence] = percent(self.options.implied(item, price))
            while len(self.ivs) > IVS_KEPT:
                del self.ivs[next(iter(self.ivs))]

    def item_of(self, state: OrderState) -> Listed:
        """The instrument of an order: what its number was when the order came."""
        second = state.created_ms // 1000  # division: to seconds
        return self.listings.at(state.terms.instrument, second)

    def order(self, state: OrderState) -> dict[str, Any]:
        """One order as clients see it."""
        item, terms, placed = self.item_of(state), state.terms, state.placed
        lot, filled = item.lot_size, state.filled
        average = state.cost // filled if filled else 0  # division: reported, floored
        found = {
            "order_id": "0x" + state.digest.hex(),
            "order_state": state.state,
            "order_type": order_type(state),
            "instrument_name": item.name,
            "direction": "sell" if terms.lots < 0 else "buy",
            "price": decimal(state.resting_price),
            "signed_price": decimal(terms.price),
            "amount": decimal(state.size * lot),
            "signed_amount": decimal(abs(terms.lots) * lot),
            "filled_amount": decimal(filled * lot),
            "average_price": decimal(average),
            "time_in_force": state.time_in_force,
            "post_only": terms.post_only,
            "reduce_only": terms.reduce_only,
            "label": state.label,
            "client_order_id": placed.client_order_id if placed is not None else "",
            "signer": "0x" + placed.signer.hex() if placed is not None else None,
            "creation_timestamp": state.created_ms,
            "last_update_timestamp": state.updated_ms,
            "cancel_reason": state.reason,
            "nonce": terms.nonce,
            "expiry": terms.expiry,
            "commission": decimal(state.fee),
            "api": True,
            "web": False,
            "revision": terms.revision,
            "replaced": state.edits > 0,
            "mmp": placed is not None and placed.mmp,
        }
        if placed is not None and placed.trigger:
            found["trigger"] = "mark_price"
            found["trigger_price"] = decimal(records.number(placed.trigger_price))
            found["triggered"] = state.triggered
        return found


def order_type(state: OrderState) -> str:
    """Deribit's word for what an order is: limit, or what it waits for."""
    trigger = state.placed.trigger if state.placed is not None else ""
    if not trigger:
        return "limit"
    return f"{trigger}_{'market' if state.terms.immediate else 'limit'}"
