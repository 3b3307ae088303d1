"""Names and units of what the rows mention: instruments, currencies, accounts, reasons."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, select, true

from novate.errors import BY_CODE, BadQuery, UnknownInstrument, require
from novate.store import schema

CASH = "USDC"
FOREVER = 2**40  # seconds
_ACCOUNT = re.compile(r"0x[0-9a-f]{64}")
_HASH = _ACCOUNT


@dataclass(frozen=True, slots=True)
class Listed:
    """An instrument's name and units. A dated one has its id from second ``since`` to ``until``,
    before another takes the id over; ``is_option``: its feed is not its mark.
    """

    instrument: int
    name: str
    lot_size: int
    feed: int
    since: int = 0
    until: int = FOREVER
    is_option: bool = False

    def within(self, column: Any, per_second: int = 1) -> Any:
        """That a row is of this instrument's time, by a column of seconds, or of milliseconds."""
        return column.between(self.since * per_second, self.until * per_second - 1)


@dataclass(frozen=True, slots=True)
class Money:
    """A token's name and decimals."""

    name: str
    decimals: int


def instrument(connection: Connection, name: str) -> Listed:
    """An instrument by its name. Errors: ``UnknownInstrument``."""
    table, dated = schema.instruments, schema.dated
    # what a database's text cannot hold names nothing
    plain = isinstance(name, str) and name.isascii() and name.isprintable()
    row = connection.execute(select(table).where(table.c.name == name)).first() if plain else None
    if row is not None:
        return Listed(row.instrument, row.name, row.lot_size, row.feed)
    query = select(dated.c.instrument).where(dated.c.name == name)
    id = connection.execute(query.limit(1)).scalar_one_or_none() if plain else None
    found = next((one for one in _dated(connection, id).get(id, ()) if one.name == name), None)
    require(found is not None, UnknownInstrument, str(name)[:64])
    assert found is not None
    return found


def _dated(connection: Connection, id: int | None = None) -> dict[int | None, list[Listed]]:
    """What dated instruments were, of one id or of all, oldest first."""
    table = schema.dated
    query = select(table).order_by(table.c.block, table.c.position, table.c.part)
    if id is not None:
        query = query.where(table.c.instrument == id)
    made: dict[int | None, list[Listed]] = {}
    for row in connection.execute(query):
        earlier = made.setdefault(row.instrument, [])
        if earlier:
            earlier[-1] = replace(earlier[-1], until=row.timestamp)
        terms = row.instrument, row.name, row.lot_size, row.feed
        earlier.append(Listed(*terms, row.timestamp, is_option=row.strike > 0))
    return made


class Instruments(dict[int, Listed]):
    """By number, those that never expire; ``at`` knows the others, too."""

    def __init__(self, lasting: dict[int, Listed], dated: dict[int | None, list[Listed]]) -> None:
        super().__init__(lasting)
        self._dated = dated

    def __missing__(self, instrument: int) -> Listed:
        return self._dated[instrument][-1]

    def at(self, instrument: int, second: int) -> Listed:
        """What a number was at some time."""
        held = self._dated.get(instrument)
        if not held:
            return self[instrument]
        return next((one for one in held if second < one.until), held[-1])

    def of(self, currency: str, column: Any) -> Any:
        """That a column is an instrument of a currency ("any" and the cash's for all)."""
        if currency in ("any", CASH):
            return true()
        stem = f"{currency}-"
        ids = {one.instrument for one in self.values() if one.name.startswith(stem)}
        dated = self._dated.items()
        ids |= {id for id, held in dated if id is not None and held[-1].name.startswith(stem)}
        return column.in_(sorted(ids))


def instruments(connection: Connection) -> Instruments:
    """All instruments by number."""
    rows = connection.execute(select(schema.instruments))
    lasting = {r.instrument: Listed(r.instrument, r.name, r.lot_size, r.feed) for r in rows}
    return Instruments(lasting, _dated(connection))


def tokens(connection: Connection) -> dict[str, Money]:
    """All tokens by address."""
    rows = connection.execute(select(schema.tokens))
    return {row.token: Money(row.name, row.decimals) for row in rows}


def cash(connection: Connection) -> str:
    """The name of the token that is cash."""
    table = schema.tokens
    query = select(table.c.name).where(table.c.instrument == 0).order_by(table.c.block)
    return connection.execute(query.limit(1)).scalar_one_or_none() or CASH


def feed_of_index(connection: Connection, index_name: str) -> int:
    """The feed behind an index, as ``btc_usd``. Errors: ``BadQuery``."""
    table = schema.instruments
    for row in connection.execute(select(table).order_by(table.c.instrument)):
        if index_name == row.name.split("-")[0].lower() + "_usd":
            return int(row.feed)
    require(False, BadQuery, f"index_name: there is no {str(index_name)[:64]}")
    raise AssertionError


def account(value: str) -> str:
    """An account as the tables hold it. Errors: ``BadQuery``."""
    sound = isinstance(value, str) and _ACCOUNT.fullmatch(value.lower())
    require(bool(sound), BadQuery, "account: is 0x and 64 hexadecimal digits")
    return value.lower()


def digest(value: str) -> str:
    """An order's digest as the tables hold it. Errors: ``BadQuery``."""
    sound = isinstance(value, str) and _HASH.fullmatch(value.lower())
    require(bool(sound), BadQuery, "order_id: is 0x and 64 hexadecimal digits")
    return value.lower()


def reason(code: int) -> str | None:
    """The registered name behind a code; None for 0."""
    found = BY_CODE.get(code)
    return found.name if found else (None if code == 0 else str(code))
