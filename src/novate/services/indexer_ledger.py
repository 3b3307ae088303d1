"""What events do not say: funding, profit and loss, balances and margin, from the model's replica.

Owns: the rows that follow from executing each transaction again. A position is carried at a basis;
a trade, and a slice sold at mark, adds to it, and a sweep realises the difference to the mark. The
ledger's variation is minus the sum of all bases, which is checked at every write. Units: wad.
Exact: nothing here divides. An account's changes in ``account_log`` add up to its balance (cash
and gains not yet matured); what no event explains (interest, haircuts, roundings of gains) has a
line of its own. Where the replica cannot follow, these rows end there (``Stopped``) and the
events' rows go on.
"""

from __future__ import annotations

from typing import Any

from novate.engine import plain
from novate.errors import Rejected, SnapshotUnusable, require
from novate.model import account as accounts
from novate.model import fees, ledger, margin
from novate.model.account import Account
from novate.model.expiry import print_of
from novate.model.instrument import FUTURE, OPTION, PERP
from novate.model.option_id import is_dated, place_of
from novate.model.state import World
from novate.services.indexer_books import NO_BASIS, Books, Quote
from novate.services.indexer_chain import ChainRows, Decoded, FillEvent, small
from novate.services.indexer_journal import text
from novate.services.replica import Divergence, Replica
from novate.store import schema
from novate.units import ORACLE_UNIT, div_down

CHECKPOINT_TRANSACTIONS = 1_000
CARRIED = (PERP, FUTURE)  # kinds whose gains are variation
AUCTIONEER, CUSTODY = "auctioneer", "custody"


class Stopped(Exception):
    """The ledger's rows end before this transaction, for the reason given."""


class LedgerFold:
    """One replica with the books beside it."""

    def __init__(self, replica: Replica) -> None:
        self.replica = replica
        self.books = Books()
        self._rows: ChainRows | None = None
        self._decoded: Decoded | None = None

    @property
    def world(self) -> World:
        """The replica's world."""
        return self.replica.world

    def apply(self, decoded: Decoded, rows: ChainRows) -> None:
        """Execute one transaction and add its rows. Raises ``Stopped``; then use it no more."""
        if not decoded.record.succeeded:
            return
        self._decoded, self._rows = decoded, rows
        written: dict[tuple[str, Any], Any] = {}
        try:
            with self.world.store.transaction():
                self.replica.apply(decoded.record)
                for table, key, row, existed in self.world.store.undo or []:
                    written.setdefault((table.name, key), row if existed else table.default)
        except Divergence as reason:
            raise Stopped(str(reason)) from None
        self.books.applied += 1
        self._feeds(sorted(key for name, key in written if name == "oracle.feeds"))
        markets = {key: row for (name, key), row in written.items() if name == "ledger.markets"}
        self._markets(markets)
        touched = {key: row for (name, key), row in written.items() if name == "ledger.accounts"}
        fills = [FillEvent.of(e) for e in decoded.events if e.name == "Fill"]
        for account in sorted(touched):
            self._account(account, touched[account], fills)

    @property
    def _common(self) -> dict[str, Any]:
        assert self._decoded is not None
        record = self._decoded.record
        return {"timestamp": record.timestamp, "transaction": text(record.transaction)}

    def _keyed(self, table: Any, **row: Any) -> None:
        """A row whose third key is not a part but what it is about."""
        assert self._decoded is not None and self._rows is not None
        place = {"block": self._decoded.record.block, "position": self._decoded.record.position}
        self._rows.rows.setdefault(table, []).append(place | row)

    # Prices and funding

    def _feeds(self, feeds: list[int]) -> None:
        for feed in feeds:
            seen = self.world.oracle.feeds[feed]
            self._keyed(
                schema.feed_prices,
                feed=feed,
                round=self.world.oracle.statuses[0].round,
                timestamp=seen.timestamp,
                index_price=seen.index,
                mark_price=seen.mark,
                average=seen.average,
                confidence_ppm=seen.confidence_ppm,
            )

    def _markets(self, markets: dict[int, Any]) -> None:
        for instrument in sorted(markets):
            before = markets[instrument]
            terms, market, feed, _ = self.world.snapshot(instrument)
            if terms.kind != PERP:
                continue
            self._keyed(
                schema.funding,
                instrument=instrument,
                timestamp=self.world.now,
                rate_ppb=market.rate,
                open_interest=market.open_interest,
                index_price=feed.index,
                mark_price=feed.mark,
                funding_index=market.funding_index,
                longs_received=(before.funding_index - market.funding_index) * before.open_interest,
            )

    def _quote(self, instrument: int) -> Quote:
        if is_dated(instrument):
            mark, _ = margin.quoted(self.world, instrument)
            grid = self.world.options.grids[place_of(instrument)[0]]
            lot = self.world.ledger.terms_of(instrument).price_lot(mark)
            index = self.world.oracle.feeds[grid.feed].index
            return Quote(lot, 0, index, div_down(mark, ORACLE_UNIT))
        terms, market, feed, _ = self.world.snapshot(instrument)
        return Quote(terms.mark_lot(feed.mark), market.funding_index, feed.index, feed.mark)

    # Accounts

    def _account(self, account: int, before: Account, fills: list[FillEvent]) -> None:
        after = self.world.ledger.accounts[account]
        held = dict(before.positions)
        met = {i for i, _ in (*before.positions, *after.positions)}
        met |= {f.instrument for f in fills if account in (_number(f.maker), _number(f.taker))}
        swept = {i for i in met if self._kind(i) in CARRIED}
        swept |= self.books.bases.get(account, {}).keys()
        quotes = {i: self._quote(i) for i in sorted(swept)}
        lines = [*self._flows(account, held), *self._trades(account, fills, held, quotes)]
        lines += self._deliveries(account, held)
        lines += self._slices(account, after, held, quotes)
        lines += self._sweep(account, before, after, quotes)
        self._log(account, before, after, lines)
        self._margin(account)

    def _kind(self, instrument: int) -> int:
        return self.world.ledger.terms_of(instrument).kind

    def _carry(self, account: int, instrument: int, lots: int, value_lot: int, index: int) -> None:
        bases = self.books.bases.setdefault(account, {})
        basis, funding = bases.get(instrument, NO_BASIS)
        bases[instrument] = basis + lots * (value_lot - index), funding + lots * index

    def _flows(self, account: int, held: dict[int, int]) -> list[dict[str, Any]]:
        """Tokens in and out."""
        assert self._decoded is not None
        lines = []
        for event in self._decoded.events:
            if event.name not in ("Deposited", "Withdrawn"):
                continue
            if _number(event.arguments["account"]) != account:
                continue
            token = self.world.custody.tokens[event.arguments["token"].lower()]
            amount = event.arguments["amount"] * (1 if event.name == "Deposited" else -1)
            name = "deposit" if amount > 0 else "withdrawal"
            if token.instrument == 0:
                lines.append(_line(name, amount * 10 ** (18 - token.decimals)))
                continue
            sign = 1 if amount > 0 else -1
            lots = sign * (abs(amount) // token.lot_units)
            held[token.instrument] = held.get(token.instrument, 0) + lots
            line = _line(name, 0, instrument=token.instrument, lots=lots)
            lines.append(line | {"held": held[token.instrument]})
        return lines

    def _trades(
        self,
        account: int,
        fills: list[FillEvent],
        held: dict[int, int],
        quotes: dict[int, Quote],
    ) -> list[dict[str, Any]]:
        """The account's fills, each with its fee; both sides of a batch stand in one log."""
        lines, settings = [], self.world.exchange.settings
        for fill in fills:
            instrument = fill.instrument
            terms = self.world.ledger.terms_of(instrument)
            forward = fees.forward_of(self.world, instrument)
            each = fees.of_fill(settings, terms, abs(fill.lots), fill.price, forward)
            for side, lots, fee in (
                (fill.taker, fill.lots, each[0]),
                (fill.maker, -fill.lots, each[1]),
            ):
                if _number(side) != account:
                    continue
                price_lot = terms.price_lot(fill.price)
                held[instrument] = held.get(instrument, 0) + lots
                premium = lots * price_lot if terms.kind == OPTION else 0
                if terms.kind != OPTION:
                    index = quotes[instrument].funding_index
                    self._carry(account, instrument, lots, price_lot, index)
                line = _line("trade", -fee - premium, fee, instrument=instrument, lots=lots)
                line |= {
                    "held": held[instrument],
                    "price": fill.price,
                    "sequence": small(fill.sequence),
                }
                lines.append(line)
        return lines

    def _deliveries(self, account: int, held: dict[int, int]) -> list[dict[str, Any]]:
        """Positions of an expiry, paid at its print: a future's as its last carrying value."""
        assert self._decoded is not None
        lines = []
        for event in self._decoded.events:
            if event.name != "ExpirySettled" or _number(event.arguments["account"]) != account:
                continue
            place = event.arguments["underlying"], event.arguments["slot"]
            printed = print_of(self.world, *place)
            for instrument in [i for i in held if is_dated(i) and place_of(i) == place]:
                lots, paid = held.pop(instrument), printed.payoff(instrument)
                change = lots * paid
                if self._kind(instrument) == FUTURE:
                    self._carry(account, instrument, -lots, paid, 0)
                    change = 0
                line = _line("delivery", change, instrument=instrument, lots=-lots)
                lines.append(line | {"held": 0, "price": printed.price * ORACLE_UNIT})
        return lines

    def _slices(
        self, account: int, after: Account, held: dict[int, int], quotes: dict[int, Quote]
    ) -> list[dict[str, Any]]:
        """Positions that moved at mark: an auction's slice."""
        lines = []
        now = dict(after.positions)
        for instrument in sorted(held.keys() | now.keys()):
            lots = now.get(instrument, 0) - held.get(instrument, 0)
            if lots == 0:
                continue
            if is_dated(instrument):
                price = div_down(margin.quoted(self.world, instrument)[0], ORACLE_UNIT)
            else:
                price = self.world.oracle.feeds[self.world.ledger.terms[instrument].feed].mark
            if instrument in quotes:
                quote = quotes[instrument]
                self._carry(account, instrument, lots, quote.mark_lot, quote.funding_index)
            line = _line("liquidation", 0, instrument=instrument, lots=lots)
            line |= {"held": now.get(instrument, 0), "price": price * ORACLE_UNIT}
            lines.append(line)
        return lines

    def _sweep(
        self, account: int, before: Account, after: Account, quotes: dict[int, Quote]
    ) -> list[dict[str, Any]]:
        """Variation turned into cash, if it was: profit and loss of each position since the last
        time. Raises ``Stopped`` if the bases are not what the ledger carries."""
        assert self._rows is not None
        now, was = dict(after.positions), dict(before.positions)
        bases = self.books.bases.get(account, {})
        carried = {i: bases.get(i, NO_BASIS) for i in quotes}
        if after.variation == -sum(basis for basis, _ in carried.values()):
            return []
        if after.variation != -sum(now.get(i, 0) * q.carried for i, q in quotes.items()):
            raise Stopped(f"variation of {account:#066x} is not what its positions are carried at")
        lines = []
        for instrument, quote in quotes.items():
            basis, index = carried[instrument]
            lots = now.get(instrument, 0)
            profit = lots * quote.carried - basis
            bases[instrument] = lots * quote.carried, lots * quote.funding_index
            if lots == 0:
                del bases[instrument]
            if profit == 0:
                continue
            lines.append(_line("settlement", profit, instrument=instrument, held=lots))
            self._rows.add(
                schema.settlements,
                instrument=instrument,
                lots=was.get(instrument, 0),
                index_price=quote.index,
                mark_price=quote.mark,
                funding=index - lots * quote.funding_index,
                profit_loss=profit,
                account=_hex(account),
                **self._common,
            )
        return lines

    def _log(
        self, account: int, before: Account, after: Account, lines: list[dict[str, Any]]
    ) -> None:
        assert self._rows is not None and self._decoded is not None
        balance = self.books.balances.get(account)
        if balance is None:
            balance = before.cash + accounts.gains(self.world, before)
        final = after.cash + accounts.gains(self.world, after)
        rest = final - balance - sum(line["change"] for line in lines)
        if rest:
            lines = [*lines, _line(self._rest_is(), rest)]
        for line in lines:
            balance += line["change"]
            row = line | {"balance": balance, "account": _hex(account)}
            self._rows.add(schema.account_log, **row, **self._common)
        self.books.balances[account] = final

    def _rest_is(self) -> str:
        """What moved money that no line explains."""
        assert self._decoded is not None
        if self._decoded.contract == AUCTIONEER:
            return "liquidation"
        traded = (self._decoded.contract, self._decoded.function) == ("exchange", "settle")
        return "interest" if traded or self._decoded.contract == CUSTODY else "transfer"

    def _margin(self, account: int) -> None:
        """What the account holds and must hold, where all it holds has a price."""
        assert self._rows is not None
        row, _ = accounts.load(self.world, self.world.ledger.accounts[account])
        terms = self.world.ledger.terms
        plain = [i for i, _ in row.positions if not is_dated(i)]
        if any(self.world.oracle.feeds[terms[i].feed].mark == 0 for i in plain):
            return
        check = ledger.check_row(self.world, row)
        self._rows.add(
            schema.account_margins,
            in_auction=int(check.in_auction),
            cash=check.cash,
            equity=check.equity,
            margin_initial=check.valuation.margin_initial,
            margin_maintenance=check.valuation.margin_maintenance,
            account=_hex(account),
            **self._common,
        )

    # Checkpoints

    @property
    def checkpoint_is_due(self) -> bool:
        """Whether the state now should be kept: it depends on the chain alone."""
        return self.books.applied > 0 and self.books.applied % CHECKPOINT_TRANSACTIONS == 0

    def save(self) -> bytes:
        """Everything that decides what comes next."""
        tables = self.world.store.tables
        return plain.encode(
            {
                "now": self.world.now,
                "tables": {name: tables[name].rows for name in sorted(tables)},
                "applied": self.books.applied,
                "bases": self.books.bases,
                "balances": self.books.balances,
            }
        )

    def restore(self, data: bytes) -> None:
        """Go on from ``save``. Errors: ``SnapshotUnusable``; then use it no more."""
        state, tables = plain.decode(data), self.world.store.tables
        try:
            require(set(state["tables"]) == set(tables), SnapshotUnusable, "other tables")
            for name, rows in state["tables"].items():
                tables[name].replace_all(rows)
            self.world.now = state["now"]
            self.books = Books(state["applied"], state["bases"], state["balances"])
        except (KeyError, TypeError, AttributeError) as error:
            raise Rejected(SnapshotUnusable, f"checkpoint: {error!r}") from None


def _line(event: str, change: int, commission: int = 0, **more: Any) -> dict[str, Any]:
    empty = dict.fromkeys(("instrument", "lots", "held", "sequence", "price"))
    return empty | {"event": event, "change": change, "commission": commission} | more


def _number(account: bytes) -> int:
    return int.from_bytes(account, "big")


def _hex(account: int) -> str:
    return f"{account:#066x}"
