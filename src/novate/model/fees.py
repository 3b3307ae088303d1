"""Fees of fills: a share of the notional; of an option, of its underlying, at most one of its
premium (docs/SPEC.md §6).

Units: money and prices wad, rates ppm and bp. Every fee is rounded up, against the account. The
forward is that of the valuation: the mark of the expiry's feed. Twins: ``contracts/fees.vy``,
``contracts/trade.vy``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from novate.model import option_listing, oracle
from novate.model.instrument import OPTION, Terms
from novate.model.option_id import is_option, place_of
from novate.model.venue import Settings
from novate.units import BPS, ORACLE_UNIT, PPM, WAD, div_up, ppm_up

if TYPE_CHECKING:
    from novate.model.state import World

# what an order's maximum must leave beside an option's fee before the engine matches it, so that no
# match busts because the forward moved a step of the Oracle's before it settled
ROOM_PPM = 50_000


def forward_of(world: World, instrument: int) -> int:
    """The forward (wad) that an option's fee is a share of; 0 for what is no option."""
    if not is_option(instrument):
        return 0
    feed = option_listing.feed_of(world, *place_of(instrument))
    return oracle.feed(world, feed).mark * ORACLE_UNIT


def of_fill(
    settings: Settings, terms: Terms, lots: int, price: int, forward: int
) -> tuple[int, int]:
    """Taker's and maker's fee of one fill; ``forward`` is read of options alone."""
    if terms.kind == OPTION:
        fee = _of_option(settings, lots * terms.lot_size, lots * terms.lot_size * price, forward)
        return fee, fee
    notional = lots * price * terms.lot_size
    return (
        div_up(notional * settings.taker_ppm, WAD * PPM),
        div_up(notional * settings.maker_ppm, WAD * PPM),
    )


def at_most(settings: Settings, terms: Terms, lots: int, notional: int, forward: int) -> int:
    """What fills of ``lots`` for ``notional`` (wad, together) cost either side at most, however
    they are split, each rounded up.
    """
    if terms.kind == OPTION:
        return _of_option(settings, lots * terms.lot_size, notional * WAD, forward) + lots
    return ppm_up(notional, max(settings.taker_ppm, settings.maker_ppm)) + lots


def with_room(terms: Terms, fee: int) -> int:
    """A fee with what an option's may grow by until it is settled, rounded up."""
    return fee + ppm_up(fee, ROOM_PPM) if terms.kind == OPTION else fee


def _of_option(settings: Settings, size: int, premium: int, forward: int) -> int:
    """``size`` wad units of the underlying, ``premium`` wad * wad."""
    share = div_up(size * forward * settings.option_ppm, WAD * PPM)
    return min(share, div_up(premium * settings.option_cap_bps, WAD * BPS))
