"""Funding of perpetual futures as a cumulative index a lot.

Source: docs/SPEC.md §2. The index moves all holders of an instrument at once and lots sum to zero,
so funding conserves money exactly; the truncation is of the index itself. An outage is never
charged afterwards (rule 19). Twin: ``contracts/funding.vy``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from novate.model.instrument import PERP, Market, Terms
from novate.units import FUNDING_PERIOD_S, PPB, WAD, clamp, div_zero

if TYPE_CHECKING:
    from novate.model.ledger import Config
    from novate.model.oracle import Feed

ORACLE_TO_WAD = 10**8
# beyond any price a lot can have, so that a lot's value always fits its 96 bits
INDEX_MAX = 2**94


def project(
    market: Market,
    terms: Terms,
    feed: Feed,
    stale_after: int,
    config: Config,
    now: int,
) -> Market:
    """The market word as it stands at ``now``; applying it twice at one time changes nothing more.

    The feed's last outage, up to its ``resumed_at``, is not charged afterwards.
    """
    if terms.kind != PERP or market.open_interest == 0:
        return Market(market.funding_index, 0, now, market.open_interest)
    start = max(market.accrued_at, feed.resumed_at)
    end = min(now, feed.timestamp + stale_after)
    seconds = max(0, end - start)
    rate = funding_rate(market.rate, feed.index, feed.mark, seconds, config)
    numerator = rate * feed.index * ORACLE_TO_WAD * terms.lot_size * seconds
    step = div_zero(numerator, PPB * FUNDING_PERIOD_S * WAD)
    index = clamp(market.funding_index + step, -INDEX_MAX, INDEX_MAX)
    return Market(index, rate, now, market.open_interest)


def funding_rate(rate: int, index: int, mark: int, seconds: int, config: Config) -> int:
    """Next rate (ppb per 8 h): premium plus clamped interest, capped, moving at most ``slope`` a
    second from ``rate``.
    """
    if seconds == 0:
        return rate
    premium = div_zero((mark - index) * PPB, index)
    bound = config.funding_clamp_ppb
    target = premium + clamp(config.funding_interest_ppb - premium, -bound, bound)
    target = clamp(target, -config.funding_cap_ppb, config.funding_cap_ppb)
    step = config.funding_slope_ppb_s * seconds
    return clamp(target, rate - step, rate + step)
