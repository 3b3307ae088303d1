"""Names and units of what the rows mention: instruments, currencies, accounts, reasons."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sqlalchemy import Connection, select

from novate.errors import BY_CODE, BadQuery, UnknownInstrument, require
from novate.model.option_id import terms_key
from novate.store import schema

CASH = "USDC"
_ACCOUNT = re.compile(r"0x[0-9a-f]{64}")
_HASH = _ACCOUNT


@dataclass(frozen=True, slots=True)
class Listed:
    """An instrument's name and units."""

    instrument: int
    name: str
    lot_size: int
    feed: int


@dataclass(frozen=True, slots=True)
class Money:
    """A token's name and decimals."""

    name: str
    decimals: int


def instrument(connection: Connection, name: str) -> Listed:
    """An instrument by its name. Errors: ``UnknownInstrument``."""
    table = schema.instruments
    query = select(table).where(table.c.name == name)
    # what a database's text cannot hold names nothing
    plain = isinstance(name, str) and name.isascii() and name.isprintable()
    row = connection.execute(query).first() if plain else None
    require(row is not None, UnknownInstrument, str(name)[:64])
    assert row is not None
    return Listed(row.instrument, row.name, row.lot_size, row.feed)


class Instruments(dict[int, Listed]):
    """By number. A dated one is named by its number, which a later expiry may take over, and has
    the lot of its kind and underlying.
    """

    def __missing__(self, instrument: int) -> Listed:
        kind = dict.__getitem__(self, terms_key(instrument))
        return Listed(instrument, f"DATED-{instrument}", kind.lot_size, kind.feed)


def instruments(connection: Connection) -> Instruments:
    """All instruments by number."""
    rows = connection.execute(select(schema.instruments))
    return Instruments(
        {r.instrument: Listed(r.instrument, r.name, r.lot_size, r.feed) for r in rows}
    )


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
