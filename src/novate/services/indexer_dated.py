"""What the chain lists of options and dated futures, as rows of the table ``dated``.

Owns: their names on the read side. An id is a place on a grid, which a later expiry may take over;
so each listing is a row of its own, and what an id was at some time is the last one before it.
Underlyings that the venue's parameters do not name have no rows. Strikes in wad.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, select

from novate import naming
from novate.config import Parameters
from novate.model.option_id import future_id, place_of
from novate.services.indexer_chain import Decoded, Row
from novate.store import schema
from novate.units import ORACLE_UNIT


def dated_rows(
    connection: Connection, parameters: Parameters, decoded: Sequence[Decoded]
) -> list[Row]:
    """Rows of what these transactions listed."""
    markets = {market.underlying: market for market in parameters.options}
    currencies = {u.id: u.name for u in parameters.underlyings}
    expiries: dict[tuple[int, int], int] = {}
    rows: list[Row] = []
    for item in decoded:
        part = 0
        for place, id, strike, expiry in _listed(connection, item, expiries):
            expiries[place] = expiry
            market = markets.get(place[0])
            if market is None:
                continue
            currency = currencies[place[0]]
            name = naming.future_name(currency, expiry)
            if strike:
                name = naming.option_name(currency, expiry, strike, bool(id & 1))
            rows.append(
                {
                    "block": item.record.block,
                    "position": item.record.position,
                    "part": part,
                    "timestamp": item.record.timestamp,
                    "instrument": id,
                    "expiry": expiry,
                    "feed": market.feed,
                    "strike": strike,
                    "lot_size": market.lot_size_wad,
                    "name": name,
                }
            )
            part += 1
    return rows


Found = tuple[tuple[int, int], int, int, int]


def _listed(
    connection: Connection, item: Decoded, expiries: dict[tuple[int, int], int]
) -> Iterator[Found]:
    """(place, id, strike, expiry) of each instrument that a transaction listed; strike 0: the
    future.
    """
    for event in item.events:
        arguments = event.arguments
        if event.name == "ExpiryListed":
            place = arguments["underlying"], arguments["slot"]
            yield place, future_id(*place), 0, arguments["expiry"]
        elif event.name == "StrikeListed":
            place = place_of(arguments["id"])
            expiry = expiries.get(place) or _expiry(connection, future_id(*place))
            for is_put in (0, 1):
                yield place, arguments["id"] | is_put, arguments["strike"] * ORACLE_UNIT, expiry


def _expiry(connection: Connection, future: int) -> int:
    """The expiry of the last future listed under an id."""
    table = schema.dated
    query = select(table.c.expiry).where(table.c.instrument == future)
    newest = query.order_by(table.c.block.desc(), table.c.position.desc()).limit(1)
    return connection.execute(newest).scalar_one_or_none() or 0
