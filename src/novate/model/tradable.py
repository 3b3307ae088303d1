"""What a batch trades: terms, price band and room of each instrument, read once (docs/SPEC.md §5).

Units: prices wad a base unit, sizes lots. Rounding: the band inwards. Perps are priced by their
feed, dated instruments by the risk model; which of the latter exist, and by how many lots their
open interest may rise, Options says. Twin: ``contracts/tradable.vy``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from novate.model import ledger, margin, option_series, oracle
from novate.model.instrument import OPTION, PERP, Market, Terms
from novate.model.option_id import is_dated
from novate.model.option_series import Interest
from novate.units import ORACLE_UNIT, PPM, div_down, ppm_down, ppm_up

if TYPE_CHECKING:
    from novate.model.state import World

PREMIUM_LIMIT = 2**86  # a hundred of them and of fees fit 96 bits


@dataclass(frozen=True, slots=True)
class Listing:
    """What a batch needs of one instrument; without terms it cannot be traded.

    ``room``: lots by which open interest may rise; ``reducing``: open to reductions only;
    ``shared``: what of ``room`` is by the limits that the options of an expiry share.
    """

    terms: Terms
    market: Market
    lowest: int
    highest: int
    room: int
    reducing: bool = False
    expired: bool = False
    shared: int = option_series.ROOM_MAX


NOT_LISTED = Listing(ledger.NO_TERMS, Market(), 0, 0, 0)


def listing(world: World, instrument: int) -> Listing:
    """An instrument as it is now; stores nothing."""
    terms = world.ledger.terms_of(instrument)
    if is_dated(instrument):
        return _dated(world, instrument, terms)
    mark = oracle.feed(world, terms.feed).mark * ORACLE_UNIT
    if terms.kind != PERP or mark == 0:
        return NOT_LISTED
    market = world.snapshot(instrument)[1]
    room = terms.open_interest_cap - market.open_interest
    return Listing(terms, market, *_band(world, mark), room)


def _band(world: World, mark: int) -> tuple[int, int]:
    band = world.ledger.config.trade_band_ppm
    return ppm_up(mark, PPM - band), ppm_down(mark, PPM + band)


def _dated(world: World, instrument: int, terms: Terms) -> Listing:
    """An option or a dated future. An option's band is that share of its mark and a tenth of its
    forward, which a cheap option moves by as well; no price is zero.
    """
    interest = Interest.unpack(option_series.interest(world, instrument))
    if terms.kind == 0 or interest.phase == option_series.NONE:
        return NOT_LISTED
    if interest.phase == option_series.OVER:
        return Listing(terms, Market(), 0, 0, 0, expired=True)
    mark, forward = interest.mark * ORACLE_UNIT, interest.forward * ORACLE_UNIT
    if forward == 0:
        mark, forward = margin.quoted(world, instrument)
    if forward == 0:
        return NOT_LISTED
    room = min(max(terms.open_interest_cap - interest.open_interest, 0), interest.room)
    lowest, highest = _band(world, mark)
    if terms.kind == OPTION:
        reach = ppm_down(mark + div_down(forward, 10), world.ledger.config.trade_band_ppm)
        lowest, highest = max(mark - reach, 1), mark + reach
    reducing = interest.phase == option_series.REDUCTIONS_ONLY
    return Listing(terms, Market(), lowest, highest, room, reducing, shared=interest.room)
