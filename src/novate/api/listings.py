"""What is listed: names and ids, from the venue's parameters and from what the chain has listed.

Owns: which instrument a name is, which one an id is now, and which one it was: the id of an option
is its place on the grid, and a slot whose expiry is over is taken over by another. What the chain
lists appears with the record that lists it; blocks that leave the chain take their listings with
them. Times in seconds.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from novate import naming
from novate.api.names import FUTURE, OPTION, SPOT, Listed
from novate.api.rejections import bad, unknown_instrument
from novate.chain.abi import Abi
from novate.chain.backend import abi_of
from novate.config import Parameters
from novate.model.instrument import SPOT as SPOT_KIND
from novate.model.option_id import OptionId, future_id, place_of
from novate.model.settlement_prints import settlement_price
from novate.model.state import World
from novate.units import ORACLE_UNIT
from novate.wire.records import AnyRecord, ChainReorganised, ChainTransaction, OracleRound

USDC = naming.QUOTE
CREATED, CLOSED, SETTLED = "created", "closed", "settled"


@dataclass(slots=True)
class Listings:
    """Instruments by name, and by id; ``changes`` are (state, instrument) not told yet."""

    world: World
    parameters: Parameters
    by_name: dict[str, Listed] = field(default_factory=dict)
    by_id: dict[int, Listed] = field(default_factory=dict)
    changes: list[tuple[str, Listed]] = field(default_factory=list)
    _past: dict[int, list[tuple[int, Listed]]] = field(default_factory=dict)
    _expiries: dict[tuple[int, int], int] = field(default_factory=dict)
    _open: set[int] = field(default_factory=set)
    _currencies: dict[int, str] = field(init=False)
    _abi: Abi = field(init=False)

    def __post_init__(self) -> None:
        self._abi = abi_of("Options")
        self._currencies = {u.id: u.name for u in self.parameters.underlyings}
        for item in self.parameters.instruments:
            kind = SPOT if item.kind_code == SPOT_KIND else FUTURE
            currency = self._currencies[item.underlying]
            made = Listed(
                item.id,
                item.name,
                currency,
                kind,
                item.lot_size_wad,
                item.tick_wad,
                item.underlying,
            )
            self._enlist(made)
        self._read()
        self.take_changes()

    # Asked

    def named(self, name: str) -> Listed:
        """The instrument of a name. Errors: ``UnknownInstrument``."""
        found = self.by_name.get(name)
        if found is None:
            raise unknown_instrument(name)
        return found

    def at(self, id: int, second: int) -> Listed:
        """The instrument that an id was at some time: the first that had not expired before."""
        for expiry, item in self._past.get(id, ()):
            if second <= expiry:
                return item
        return self.by_id[id]

    def of(self, currency: str, kind: str | None, expired: bool = False) -> list[Listed]:
        """Instruments of a currency ("any" for all) and kind, live ones or those that are over.

        Errors: ``InvalidField``.
        """
        if currency not in {"any", *self.currencies()}:
            raise bad("currency", "must be one of " + ", ".join(self.currencies()))
        return [
            item
            for item in self.by_name.values()
            if currency in ("any", USDC, item.currency)
            and kind in (None, "any", item.kind)
            and item.over(self.world.now) is expired
        ]

    def expiry(self, underlying: int, expiry: int) -> list[Listed]:
        """What is listed of one expiry of an underlying."""
        found = self.by_name.values()
        return [i for i in found if i.expiry == expiry and i.underlying == underlying]

    def currencies(self) -> list[str]:
        """Every underlying, and the currency of settlement."""
        return [*self._currencies.values(), USDC]

    def state(self, item: Listed) -> str:
        """``open``, ``closed`` from its expiry on, ``settled`` once that has its price."""
        if not item.over(self.world.now):
            return "open"
        price = settlement_price(self.world, item.underlying, item.expiry)
        return "settled" if price else "closed"

    # Followed

    def recall(self, held: Iterable[ChainTransaction]) -> None:
        """After a restart: what was listed before, and when, from the journal; nobody is told."""
        for record in held:
            self.follow(record)
        self.take_changes()

    def follow(self, record: AnyRecord) -> None:
        """Take in what a durable record lists or takes back, and what is over meanwhile."""
        match record:
            case OracleRound():
                over = {e for e in self._open if e <= self.world.now}
                self._open -= over
                self.changes += [(CLOSED, i) for i in self.by_name.values() if i.expiry in over]
            case ChainTransaction():
                for address, topics, data in record.events:
                    self._event("0x" + address.hex(), topics, data, record.timestamp)
            case ChainReorganised():
                self._forget()
                self._read()
            case _:
                pass

    def take_changes(self) -> list[tuple[str, Listed]]:
        """What was listed or settled since the last call."""
        taken, self.changes = self.changes, []
        return taken

    def _event(self, address: str, topics: list[bytes], data: bytes, at: int) -> None:
        if address == self.world.addresses["options"]:
            event = self._abi.decode_event(address, topics, data)
            if event is not None and event.name == "ExpiryListed":
                self._expiry(event.arguments, at)
            elif event is not None and event.name == "StrikeListed":
                self._strike(event.arguments, at)
        elif address == self.world.addresses["surfaces"]:
            event = abi_of("Surfaces").decode_event(address, topics, data)
            if event is not None and event.name == "SettlementPrinted":
                found = event.arguments["underlying"], event.arguments["expiry"]
                self.changes += [(SETTLED, item) for item in self.expiry(*found)]

    def _expiry(self, arguments: dict[str, Any], at: int) -> None:
        place, expiry = (arguments["underlying"], arguments["slot"]), arguments["expiry"]
        self._expiries[place] = expiry
        if place[0] in self._currencies:
            self._dated(future_id(*place), expiry, 0, at)

    def _strike(self, arguments: dict[str, Any], at: int) -> None:
        place = arguments["underlying"], arguments["slot"]
        if place[0] in self._currencies:
            for is_put in (0, 1):
                id, strike = arguments["id"] | is_put, arguments["strike"]
                self._dated(id, self._expiries[place], strike, at)

    def _read(self) -> None:
        """Take in what the world lists now."""
        for place, listed in self.world.options.listed.items():
            if place[0] not in self._currencies or not listed.expiry:
                continue
            self._expiries[place] = listed.expiry
            self._dated(future_id(*place), listed.expiry, 0, 0)
            for index, strike in enumerate(listed.strikes):
                for is_put in (False, True):
                    id = OptionId(place[0], place[1], index, is_put).pack()
                    self._dated(id, listed.expiry, strike, 0)

    def _forget(self) -> None:
        """Blocks have left the chain: forget what lives and is listed no more."""
        listed = self.world.options.listed
        for item in list(self.by_name.values()):
            if not item.expiry or item.over(self.world.now):
                continue
            expiry, strikes = listed[place_of(item.id)]
            # division: a strike is a whole number of oracle units
            there = not item.is_option or item.strike // ORACLE_UNIT in strikes
            if expiry != item.expiry or not there:
                del self.by_name[item.name]

    def _dated(self, id: int, expiry: int, strike: int, at: int) -> None:
        """Take in an option (``strike`` in oracle units) or a future, once."""
        currency, terms = self._currencies[place_of(id)[0]], self.world.ledger.terms_of(id)
        if terms.kind == 0:
            return  # without terms nothing of it can be traded
        name, strike_wad, is_put = naming.future_name(currency, expiry), strike * ORACLE_UNIT, False
        if strike:
            is_put = OptionId.unpack(id).is_put
            name = naming.option_name(currency, expiry, strike_wad, is_put)
        known = self.by_name.get(name)
        if known is not None and (known.listed_at or not at):
            return
        kind = OPTION if strike else FUTURE
        self._enlist(
            Listed(
                id,
                name,
                currency,
                kind,
                terms.lot_size,
                terms.tick,
                place_of(id)[0],
                expiry,
                strike_wad,
                is_put,
                at,
            )
        )
        if known is None:
            self.changes.append((CREATED, self.by_name[name]))

    def _enlist(self, item: Listed) -> None:
        self.by_name[item.name] = item
        if item.expiry:
            held = self._past.get(item.id, ())
            self._past[item.id] = [pair for pair in held if pair[0] != item.expiry]
            insort(self._past[item.id], (item.expiry, item), key=lambda pair: pair[0])
            if not item.over(self.world.now):
                self._open.add(item.expiry)
            # the one that expires last: a slot is taken over by what is yet to come
            item = self._past[item.id][-1][1]
        self.by_id[item.id] = item
