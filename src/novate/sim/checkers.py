"""What must hold after every operation: stored words equal on both sides, invariants unbroken.

A table of readers says how a row of the model is read from the contracts. After an operation the
rows it wrote are compared; now and then every row is. ``custody.floor_*`` and the limits announced
have no view of their own: what follows from them (queue, requests) is compared.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from novate.model import custody as custody_model
from novate.model import fees, invariants, ledger, option_series, options, waterfall
from novate.model import fills as fill_state
from novate.model.account import borrow_index
from novate.model.invariants import Change
from novate.model.option_id import is_dated, is_option
from novate.model.order import ZERO_ADDRESS
from novate.sim.world import Difference, Result, Settlement, Step, same, word
from novate.units import div_down

CHEAP = {
    "I01": invariants.I01_custody_equals_claims,
    "I02": invariants.I02_lots_sum_to_zero,
    "I11": invariants.I11_layers_hold_money,
    "I15": invariants.I15_positions_bounded,
}
TRADING = ("settle", "novate")


class Checker:
    """Judges one settlement layer."""

    def __init__(self, settlement: Settlement, saver: int) -> None:
        self.settlement = settlement
        self.world = settlement.world
        self.saver = saver
        self.flows: dict[int, int] = {}
        self.filled: dict[tuple[int, bool, int], int] = {}
        self.readers: dict[str, Callable[[Any], None]] = {
            "ledger.accounts": self._account,
            "ledger.terms": self._market,
            "ledger.markets": self._market,
            "ledger.epochs": self._epoch,
            "ledger.borrow": self._borrow,
            "ledger.config": self._config,
            "ledger.pot": self._pot,
            "ledger.venues": self._venue,
            "oracle.status": self._status,
            "oracle.feeds": self._feed,
            "oracle.registered": self._registered,
            "oracle.nodes": self._node,
            "risk.parameters": self._parameters,
            "risk.earlier": self._parameters,
            "risk.shared": self._shared,
            "exchange.settings": self._settings,
            "exchange.executors": self._executor,
            "exchange.lanes": lambda key: self._order(key[0], key[2]),
            "exchange.immediates": lambda key: self._order(*key),
            "exchange.floors": self._floor,
            "exchange.keys": self._session_key,
            "exchange.sequences": self._sequence,
            "custody.tokens": self._token,
            "custody.limits_now": self._token,
            "custody.limits_next": self._token,
            "custody.requests": self._request,
            "liquidation.auctions": self._auction,
            "waterfall.limits": self._cover,
            "waterfall.insurance_paid": self._cover,
            "waterfall.pendings": self._deficit,
            "waterfall.uncovered": self._deficit,
            "options.grids": self._grid,
            "options.listed": lambda key: self._series(*key),
            "options.series": lambda key: self._series(*key),
            "options.limits": self._exposure,
            "options.epochs": self._epoch_of,
            "options.arrays": self._option,
            "options.infos": self._option,
            "options.vegas": self._option,
            "options.spreads": self._option,
            "options.interests": self._option,
            "surfaces.status": self._surfaces,
            "surfaces.words": lambda key: self._surface(*key),
            "surfaces.prints": lambda key: self._print(*key),
        }

    def after(self, step: Step, result: Result) -> None:
        """What one operation touched, and what is cheap to judge."""
        for table, key in result.change.rows:
            if reader := self.readers.get(table):
                reader(key)
        for name, predicate in CHEAP.items():
            if not predicate(self.world):
                raise Difference(f"{name} broken by {step.function}")
        if not result.accepted:
            return
        self._saver_keeps_its_own(result)
        if step.function == "settle":
            self._fills_keep_signed_terms(step, result.value)
        if step.function in TRADING:
            accounts = [key for table, key in result.change.rows if table == "ledger.accounts"]
            if not invariants.I03_funded_or_no_worse(self.world, result.change, accounts):
                raise Difference(f"I03 broken by {step.function}")
        if step.function == "withdraw":
            account = int.from_bytes(step.arguments[0], "big")
            if not invariants.I03_withdrawal_is_funded(self.world, account):
                raise Difference("I03 broken by a withdrawal")
        self._layers_pay_in_order(result)

    def _fills_keep_signed_terms(self, step: Step, settled: int) -> None:
        """I04 and I05, counted from what settled and not from what either side stored."""
        settings = self.world.exchange.settings
        for index, fill in enumerate(step.fills):
            if not settled >> index & 1:
                continue
            taker, maker = step.orders[fill.taker], step.orders[fill.maker]
            terms = self.world.ledger.terms_of(taker.instrument)
            forward = fees.forward_of(self.world, taker.instrument)
            charged = fees.of_fill(settings, terms, fill.lots, fill.price, forward)
            for order, fee in zip((taker, maker), charged, strict=True):
                key = order.account, order.immediate, order.nonce
                filled = self.filled[key] = self.filled.get(key, 0) + fill.lots
                if not invariants.I04_within_signed_lots(order, filled):
                    raise Difference(f"I04 broken: {filled} lots of {order}")
                if not invariants.I05_within_signed_terms(order, fill.price, fill.lots, fee):
                    raise Difference(f"I05 broken: {fill.price}, fee {fee}, {order}")

    def _saver_keeps_its_own(self, result: Result) -> None:
        """I10: an account that never traded holds what came in less what went out."""
        for event in result.events:
            sign = {"Deposited": 1, "Withdrawn": -1}.get(event.name, 0)
            if sign and event.arguments["account"] == self.saver:
                row = self.world.custody.tokens[event.arguments["token"]]
                amount = event.arguments["amount"] * 10 ** (18 - row.decimals)
                if row.instrument:
                    amount = div_down(event.arguments["amount"], row.lot_units)
                self.flows[row.instrument] = self.flows.get(row.instrument, 0) + sign * amount
        if not invariants.I10_only_own_flows(self.world.ledger.accounts[self.saver], self.flows):
            raise Difference(f"I10 broken: {self.flows}")

    def _layers_pay_in_order(self, result: Result) -> None:
        named = [e.arguments for e in result.events if e.name == "LayerPaid"]
        if named:
            paid = [(item["layer"], item["account"]) for item in named]
            left = waterfall.insurance_left(self.world)
            if not invariants.I11_layers_pay_in_order(paid, waterfall.layers(self.world), left):
                raise Difference(f"I11 broken: {paid}")

    def slice_kept_health(self, before: ledger.Check, account: int, change: Change) -> None:
        """I09 over a bid: what the account was worth against its margin did not fall."""
        with invariants.as_then(self.world, change):
            after = ledger.check(self.world, account)
        if not invariants.I09_health_kept(before, after):
            raise Difference(f"I09 broken: {before} became {after}")

    def everything(self) -> None:
        """Every row of every table, and every invariant of the state."""
        for name, reader in self.readers.items():
            for key, _ in self.world.store.tables[name].items():
                reader(key)
        for name, held in invariants.check_all(self.world).items():
            if not held:
                raise Difference(f"{name} broken")

    # Ledger

    def _account(self, account: int) -> None:
        row, house = self.world.ledger.accounts[account], self.settlement.clearinghouse
        same(("account", account), tuple(house.call("account", word(account))), row.slots())
        words = house.call("positions", word(account))
        same(("positions", account), unpack_positions(words), dict(row.positions))

    def _market(self, instrument: int) -> None:
        rows = self.world.ledger
        found = self.settlement.clearinghouse.call("market", instrument)
        terms = rows.terms[instrument]
        market = 0 if is_dated(instrument) else rows.markets[instrument].pack(terms)
        expected = terms.pack(), market, rows.config.pack()
        same(("market", instrument), tuple(found), expected)

    def _epoch(self, number: int) -> None:
        row = self.world.ledger.epochs[number]
        found = self.settlement.clearinghouse.call("epochs", number)
        same(("epoch", number), found, row.shares | row.cut << 128)

    def _borrow(self, _: str) -> None:
        found = self.settlement.clearinghouse.call("borrow_index")
        same("borrow index", found, borrow_index(self.world))

    def _config(self, _: str) -> None:
        self._market(1)

    def _pot(self, _: str) -> None:
        house, pot = self.settlement.clearinghouse, self.world.ledger.pot
        same("pot", tuple(house.call("pot")), (pot.fees, pot.debt))
        same("debt cap", house.call("debt_cap"), pot.debt_cap)

    def _venue(self, address: str) -> None:
        found = self.settlement.clearinghouse.call("venues", address)
        same(("venue", address), found, self.world.ledger.venues[address])

    # Prices and risk

    def _status(self, _: int) -> None:
        found = self.settlement.oracle.call("status")
        same("status", found, self.world.oracle.statuses[0].pack())

    def _feed(self, feed: int) -> None:
        found = self.settlement.oracle.call("feed", feed)
        same(("feed", feed), found, self.world.oracle.feeds[feed].pack())

    def _registered(self, feed: int) -> None:
        found = self.settlement.oracle.call("is_registered", feed)
        same(("registered", feed), found, self.world.oracle.registered[feed])

    def _node(self, index: int) -> None:
        found = self.settlement.oracle.call("nodes", index).lower()
        same(("node", index), found, self.world.oracle.nodes[index] or ZERO_ADDRESS)

    def _parameters(self, underlying: int) -> None:
        risk, rows = self.settlement.risk, self.world.risk
        expected = rows.parameters[underlying].pack()
        same(("parameters", underlying), risk.call("parameters", underlying), expected)
        earlier = rows.earlier[underlying].pack()
        same(("earlier", underlying), risk.call("earlier", underlying), earlier)

    def _shared(self, _: str) -> None:
        risk, row = self.settlement.risk, self.world.risk.globals
        same("initial ratio", risk.call("initial_ratio_ppm"), row.initial_ratio_ppm)
        same("credit cap", risk.call("credit_cap"), row.credit_cap)
        same("stale drift", risk.call("stale_drift_ppm_s"), row.stale_drift_ppm_s)

    # Options

    def _grid(self, underlying: int) -> None:
        found = self.settlement.options.call("grid", underlying)
        same(("grid", underlying), found, self.world.options.grids[underlying].pack())

    def _series(self, underlying: int, slot: int) -> None:
        contract, rows = self.settlement.options, self.world.options
        listed = tuple(contract.call("listed", underlying, slot))
        expected = rows.listed[underlying, slot]
        same(("listed", underlying, slot), listed, (expected.expiry, tuple(expected.strikes)))
        found = contract.call("series", underlying, slot)
        same(("series", underlying, slot), found, rows.series[underlying, slot].pack())

    def _exposure(self, underlying: int) -> None:
        found = self.settlement.options.call("limits", underlying)
        same(("limits", underlying), tuple(found), self.world.options.limits[underlying])

    def _epoch_of(self, underlying: int) -> None:
        found = self.settlement.options.call("epoch", underlying)
        same(("epoch of", underlying), found, self.world.options.epochs[underlying])

    def _option(self, id: int) -> None:
        contract = self.settlement.options
        interest = option_series.interest(self.world, id)
        same(("interest", id), contract.call("interest", id), interest)
        if is_option(id):
            stored = options.words(self.world, [id])[0]
            same(("option", id), tuple(contract.call("words", [id])[0]), stored)

    def _surfaces(self, underlying: int) -> None:
        found = self.settlement.surfaces.call("status_of", underlying)
        same(("surfaces", underlying), found, self.world.surfaces.statuses[underlying].pack())

    def _surface(self, underlying: int, slot: int) -> None:
        found = self.settlement.surfaces.call("surface", underlying, slot)
        same(("surface", underlying, slot), found, self.world.surfaces.words[underlying, slot])

    def _print(self, underlying: int, expiry: int) -> None:
        found = self.settlement.surfaces.call("settlement_price", underlying, expiry)
        same(("print", underlying, expiry), found, self.world.surfaces.prints[underlying, expiry])

    # Exchange

    def _settings(self, _: int) -> None:
        found = self.settlement.exchange.call("settings")
        same("settings", found, self.world.exchange.settings.pack())

    def _executor(self, executor: str) -> None:
        found = self.settlement.exchange.call("executors", executor)
        same(("executor", executor), found, self.world.exchange.executors[executor])

    def _order(self, account: int, nonce: int) -> None:
        rows = self.world.exchange
        found = self.settlement.exchange.call("order_state", word(account), nonce)
        resting, lane = rows.lanes[account, False, nonce], rows.lanes[account, True, nonce]
        flags = rows.immediates[account, nonce]
        expected = resting.pack(), resting.cancelled_from or 0, flags, lane.pack()
        same(("order", account, nonce), tuple(found), expected)

    def _floor(self, account: int) -> None:
        found = self.settlement.exchange.call("cancelled_below", word(account))
        same(("floor", account), found, fill_state.lowest(self.world, account))

    def _session_key(self, key: tuple[int, str]) -> None:
        found = self.settlement.exchange.call("session_key", word(key[0]), key[1])
        same(("session key", key), found, self.world.exchange.keys[key].pack())

    def _sequence(self, key: tuple[str, int]) -> None:
        found = self.settlement.exchange.call("sequence_settled", *key)
        same(("sequence", key), found, self.world.exchange.sequences[key])

    # Custody, auctions, waterfall

    def _token(self, token: str) -> None:
        sheet, row = self.settlement.custody, self.world.custody.tokens[token]
        expected = row.balance, row.cap, row.decimals, row.instrument, row.lot_units
        same(("token", token), tuple(sheet.call("token", token)), expected)
        queue = custody_model.queue(self.world, token)
        same(("queue", token), tuple(sheet.call("queue", token)), queue)
        if contract := self.settlement.tokens.get(token):
            held = contract.call("balanceOf", sheet.address)
            same(("balance", token), held, row.balance)

    def _request(self, key: tuple[int, str]) -> None:
        row = self.world.custody.requests[key]
        found = self.settlement.custody.call("request", word(key[0]), key[1])
        same(("request", key), tuple(found[:2]), (row.amount, row.eligible_at))

    def _auction(self, account: int) -> None:
        found = self.settlement.auctioneer.call("opened_at", word(account))[0]
        same(("auction", account), found, self.world.liquidation.auctions[account])

    def _cover(self, _: int) -> None:
        contract, row = self.settlement.waterfall, self.world.waterfall.limits[0]
        same("insurance", contract.call("insurance_left"), waterfall.insurance_left(self.world))
        same("event cap", contract.call("event_cap"), row.event_cap)
        same("haircut window", contract.call("haircut_window"), row.haircut_window)

    def _deficit(self, account: int) -> None:
        contract, rows = self.settlement.waterfall, self.world.waterfall
        pending = tuple(contract.call("pending", word(account)))
        same(("pending", account), pending, rows.pendings[account])
        found = contract.call("uncovered", word(account))
        same(("uncovered", account), found, rows.uncovered[account])


def unpack_positions(words: list[int]) -> dict[int, int]:
    """Instrument -> lots of packed words; lanes must be dense and lots never zero."""
    lanes = [(w >> shift) & (2**64 - 1) for w in words for shift in (0, 64, 128, 192)]
    used = [lane for lane in lanes if lane]
    found = {lane >> 44: (lane & (2**44 - 1)) - 2**43 for lane in used}
    dense = lanes[: len(used)] == used and len(found) == len(used) and all(found.values())
    if not dense:
        raise Difference(f"positions are not dense: {lanes}")
    return found
