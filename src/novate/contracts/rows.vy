# pragma version 0.4.3
# pragma nonreentrancy on
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Rows: what a lot of each instrument is worth and is charged at this round (docs/SPEC.md §4;
        twin of novate/model/margin.py)
@notice Owns the transient caches of rows and of their feeds' quotes, keyed by the oracle's own
        round. Only the Clearinghouse's own words enter them.
"""

from interfaces import IClearinghouse
from interfaces import IOracle
from lib import errors
from lib import units
import funding
import risk_parameters

uses: risk_parameters

STALE_WIDENING_PPM_MAX: constant(uint256) = 200_000
KIND_SPOT: constant(uint256) = 4
# of a market word: what does not move (lot exponent, feed, underlying, kind)
TERMS: constant(uint256) = (2**28 - 1) * 2**44
INDEX_MAX: constant(int256) = funding.INDEX_MAX
THOUSAND_USD: constant(uint256) = 10**21
# where the second round of a transaction keeps its rows and quotes
SECOND_ROUND: constant(uint256) = 2**20
SECOND_FEEDS: constant(uint256) = 256
M16: constant(uint256) = 2**16 - 1
M20: constant(uint256) = 2**20 - 1
M24: constant(uint256) = 2**24 - 1
M31: constant(uint256) = 2**31 - 1
M32: constant(uint256) = 2**32 - 1
M40: constant(uint256) = 2**40 - 1
M44: constant(uint256) = 2**44 - 1
M56: constant(uint256) = 2**56 - 1
M64: constant(uint256) = 2**64 - 1
M88: constant(uint256) = 2**88 - 1
M96: constant(uint256) = 2**96 - 1
M112: constant(uint256) = 2**112 - 1

CLEARINGHOUSE: immutable(IClearinghouse)
ORACLE: immutable(IOracle)

# Caches of one transaction, which sees two rounds at most, as the oracle accepts one in each
first_round: transient(uint256)                # round + 1
rows: transient(uint256[2 * SECOND_ROUND])     # instrument -> row word
cached: transient(bool)                        # there is a row
# feed -> [index 56 | mark 56 | funding is charged until 32 | resumed_at 32 |
# funding target signed 31 | stale 1 | confidence 24 | deviation signed 24]
quotes: transient(uint256[2 * SECOND_FEEDS])
# feed -> [stale 1 | confidence 24 | deviation signed 24 | 1], for who needs no more of it
gauges: transient(uint256[2 * SECOND_FEEDS])


@deploy
def __init__(clearinghouse: address, oracle: address):
    CLEARINGHOUSE = IClearinghouse(clearinghouse)
    ORACLE = IOracle(oracle)


@external
@reentrant
def accrued(instrument: uint256, market: uint256, config: uint256) -> (uint256, uint256):
    """
    @notice Clearinghouse only, since its words enter the cache: the market word with funding up to
            now, and its mark (wad).
    """
    errors.require(msg.sender == CLEARINGHOUSE.address, errors.NotAuthorized)
    status: uint256 = staticcall ORACLE.status()
    base: uint256 = self._base(status)
    quote: uint256 = self._quote((market >> 52) & 255, status, base, config)
    # a lot of 1e10 to 1e19 wei at the index, in wad: exact, below 2**56 * 1e9 < 2**87
    lot: uint256 = unsafe_mul(quote & M56, pow_mod256(10, unsafe_sub((market >> 44) & 255, 10)))
    rate: int256 = 0
    index: int256 = 0
    rate, index = funding.step(market, quote, lot, config)
    word: uint256 = (market & M96) | (block.timestamp << 96) | (units.unsigned(rate, M32) << 128)
    word |= units.unsigned(index, M96) << 160
    if quote != 0 and self.rows[base | instrument] == 0:
        like: uint256 = 0
        row: uint256 = 0
        like, row = self._like(word, quote)
        if like != TERMS:
            row = self._row(row, like, word, rate, index)
        self.rows[base | instrument] = row
        self.cached = True
    return word, ((quote >> 56) & M56) * units.ORACLE_UNIT


@internal
def _base(status: uint256) -> uint256:
    """@notice Where this round's rows are kept: a transaction sees two rounds at most."""
    round: uint256 = unsafe_add(status & M64, 1)  # 64 bits
    if self.first_round == round:
        return 0
    if self.first_round != 0:
        return SECOND_ROUND
    self.first_round = round
    return 0


@internal
@view
def _silence(status: uint256) -> uint256:
    """@notice Flag 2: there was no round for longer than a price lasts, or the grace after it."""
    if block.timestamp > unsafe_add((status >> 64) & M40, (status >> 144) & M16):  # of 41 bits
        return 2
    if block.timestamp < unsafe_add((status >> 104) & M40, (status >> 160) & M16):
        return 2
    return 0


@internal
@pure
def _widen(gauge: uint256, row: uint256) -> uint256:
    """
    @notice The largest confidence (24 bits), fall (24) and rise (24) over the held instruments, and
            whether a feed is stale.
    """
    confidence: uint256 = max(gauge & M24, (row >> 208) & M24)
    fall: uint256 = (gauge >> 24) & M24
    rise: uint256 = (gauge >> 48) & M24
    deviation: uint256 = row >> 232
    if deviation >> 23 == 1:
        fall = max(fall, unsafe_sub(2**24, deviation))  # magnitude of 24 negative bits
    else:
        rise = max(rise, deviation)
    stale: uint256 = ((gauge >> 72) | (row >> 207)) & 1
    return confidence | (fall << 24) | (rise << 48) | (stale << 72)


@internal
@pure
def _page(words: DynArray[uint256, 32], start: uint256) -> uint256[4]:
    """@notice Up to four packed words from `start` (below 32) on."""
    page: uint256[4] = empty(uint256[4])
    for i: uint256 in range(4):
        at: uint256 = unsafe_add(start, i)  # below 36
        if at >= len(words):
            break
        page[i] = words[at]
    return page


@internal
def _build_rows(page: uint256[4], found: uint256[17], status: uint256, base: uint256):
    """@notice Rows (docs/SPEC.md §4) of a page of positions, from then on read from the cache."""
    any: bool = self.cached
    self.cached = True
    # by underlying, of the perp seen last: what `_like` says, and its feed's quote
    likes: uint256[16] = empty(uint256[16])
    starts: uint256[16] = empty(uint256[16])
    quotes: uint256[16] = empty(uint256[16])
    likes[0] = TERMS  # no instrument has such terms
    slope: int256 = convert((found[16] >> 120) & M32, int256)
    at: uint256 = 0
    for word: uint256 in page:
        rest: uint256 = word
        for lane: uint256 in range(4):
            if rest == 0:
                break
            key: uint256 = base | ((rest >> 44) & M20)
            rest = rest >> 64
            if any:
                if self.rows[key] != 0:
                    continue
            market: uint256 = found[unsafe_add(at, lane)]  # below 16
            u: uint256 = (market >> 60) & 15
            like: uint256 = likes[u]
            if (market ^ like) & TERMS != 0:
                quotes[u] = self._quote((market >> 52) & 255, status, base, found[16])
                like, starts[u] = self._like(market, quotes[u])
                likes[u] = like
                if like == TERMS:
                    self.rows[key] = starts[u]  # spot
                    continue
            # from here on `funding.step` and `_row` written out: their bounds and roundings
            index: int256 = convert(convert(market, bytes32), int256) >> 160
            rate: int256 = 0
            interest: uint256 = market & M44
            if interest != 0:
                quote: uint256 = quotes[u]
                rate = convert(convert(market << 96, bytes32), int256) >> 224
                start: uint256 = (market >> 96) & M32
                if start < (quote >> 144) & M32:
                    start = (quote >> 144) & M32
                end: uint256 = (quote >> 112) & M32
                if end > start:
                    seconds: int256 = convert(convert(unsafe_sub(end, start), bytes32), int256)
                    reach: int256 = unsafe_mul(slope, seconds)
                    target: int256 = convert(convert(quote << 49, bytes32), int256) >> 225
                    if unsafe_sub(target, rate) > reach:
                        target = unsafe_add(rate, reach)
                    elif unsafe_sub(rate, target) > reach:
                        target = unsafe_sub(rate, reach)
                    rate = target
                    paid: int256 = convert((like >> 72) & M88, int256)
                    paid = unsafe_mul(unsafe_mul(rate, paid), seconds)
                    index = unsafe_add(index, unsafe_div(paid, units.PPB * funding.PERIOD_S))
                    if convert(convert(unsafe_add(index, INDEX_MAX), bytes32), uint256) > 2 * 2**94:
                        index = max(-INDEX_MAX, min(INDEX_MAX, index))
            row: uint256 = starts[u]
            notional: uint256 = (row >> 96) & M88
            row |= unsafe_sub(notional, convert(convert(index, bytes32), uint256)) & M96
            if rate < 0:
                rate = unsafe_sub(0, rate)
            rate = unsafe_div(unsafe_add(rate, 9_999), 10_000)
            charge: uint256 = convert(convert(rate, bytes32), uint256)
            interest = unsafe_mul(interest, notional)
            if interest > like >> 160:
                charge = unsafe_add(charge, self._interest_charge(u, interest))
            if charge > M16:
                charge = M16
            self.rows[key] = row | (charge << 191)
        at = unsafe_add(at, 4)  # at most 16


@internal
def _quote(id: uint256, status: uint256, base: uint256, config: uint256) -> uint256:
    """@notice What all instruments of a feed have in common, asked for once in a transaction."""
    at: uint256 = id | (base >> 12)  # 8 bits; 0 or 256
    kept: uint256 = self.quotes[at]
    if kept != 0:
        return kept
    feed: uint256 = staticcall ORACLE.feed(id)
    if feed == 0:
        return 0  # no price yet; not kept
    end: uint256 = min(block.timestamp, unsafe_add((feed >> 192) & M32, (status >> 144) & M16))
    target: uint256 = units.unsigned(funding.target(feed, config), M31)
    quote: uint256 = (feed & M112) | (end << 112) | ((feed >> 224) << 144) | (target << 176)
    quote |= self._gauge(feed, status) << 207
    self.quotes[at] = quote
    return quote


@internal
@view
def _gauge(feed: uint256, status: uint256) -> uint256:
    """@notice [stale 1 | confidence 24 | deviation signed 24] of a feed word that has a price."""
    gauge: uint256 = 0
    confidence: uint256 = (feed >> 168) & M24
    # a time of 32 bits
    fresh_until: uint256 = unsafe_add((feed >> 192) & M32, (status >> 144) & M16)
    if block.timestamp > fresh_until:
        gauge = 1
        drift: uint256 = (block.timestamp - fresh_until) * risk_parameters.stale_drift_ppm_s
        confidence = min(confidence + min(drift, STALE_WIDENING_PPM_MAX), M24)
    deviation: uint256 = self._deviation((feed >> 56) & M56, (feed >> 112) & M56)
    return gauge | (confidence << 1) | (deviation << 25)


@internal
def _gauge_of(id: uint256, status: uint256, base: uint256) -> uint256:
    """@notice The gauge of a feed, asked for once in a transaction."""
    at: uint256 = id | (base >> 12)  # 8 bits; 0 or 256
    kept: uint256 = self.gauges[at]
    if kept == 0 and self.quotes[at] != 0:
        kept = self.quotes[at] >> 207
    elif kept == 0:
        feed: uint256 = staticcall ORACLE.feed(id)
        # a row of what has no price must not stay in the cache
        assert feed != 0
        kept = self._gauge(feed, status) | (1 << 49)
        self.gauges[at] = kept
    return kept & (2**49 - 1)


@internal
@view
def _like(market: uint256, quote: uint256) -> (uint256, uint256):
    """
    @notice What perps of the same terms have in common: [interest 94 up to which there is no charge
            for it, and 2 | lot_index 88 | the market word's TERMS | 44], and their rows but for
            value and charge. Of spot TERMS, and the row.
    """
    kind: uint256 = (market >> 68) & 15
    underlying: uint256 = (market >> 60) & 15
    # a lot is at least 1e10 wei: price * 1e8 * lot / 1e18 is exact and below 2**56 * 1e9 < 2**87
    scale: uint256 = pow_mod256(10, unsafe_sub((market >> 44) & 255, 10))
    lot_index: uint256 = unsafe_mul(quote & M56, scale)
    # listed and with a price: a row of anything else must not stay in the cache
    assert unsafe_mul(kind, lot_index) != 0  # a kind of 4 bits
    row: uint256 = ((quote >> 207) << 207) | (underlying << 184) | (kind << 188)
    if kind == KIND_SPOT:
        return TERMS, row | (lot_index << 96) | lot_index
    row |= unsafe_mul((quote >> 56) & M56, scale) << 96
    like: uint256 = (market & TERMS) | (lot_index << 72)
    parameters: uint256 = risk_parameters.parameters[underlying]
    # a time of 32 bits; while a change ramps any interest may be charged
    if block.timestamp < unsafe_add((parameters >> 40) & M32, risk_parameters.DAY_S):
        return like, row
    # below 2**94
    return like | (unsafe_mul((parameters >> 180) & M24, THOUSAND_USD) << 160), row


@internal
@view
def _row(start: uint256, like: uint256, market: uint256, rate: int256, index: int256) -> uint256:
    """@notice A perp's row (docs/SPEC.md §4) from what `_like` says, and its funding up to now."""
    notional: uint256 = (start >> 96) & M88
    # notional below 2**87, |index| at most 2**94 (funding.INDEX_MAX)
    value_lot: uint256 = unsafe_sub(notional, convert(convert(index, bytes32), uint256)) & M96
    # Open-interest rate plus eight hours of funding, in 1e-5, rounded up. A rate of 32 bits
    size: int256 = rate
    if size < 0:
        size = unsafe_sub(0, size)
    charge: uint256 = convert(convert(unsafe_add(size, 9_999), bytes32), uint256)
    charge = unsafe_div(charge, 10_000)
    interest: uint256 = unsafe_mul(market & M44, notional)  # below 2**131
    if interest > like >> 160:
        # 16 bits
        charge = unsafe_add(charge, self._interest_charge((market >> 60) & 15, interest))
    if charge > M16:
        charge = M16
    return start | value_lot | (charge << 191)


@internal
@view
def _interest_charge(underlying: uint256, interest: uint256) -> uint256:
    """@notice Charge on the open interest (wad) of a whole market or expiry, 1e-5, rounded up."""
    parameters: uint256 = risk_parameters.parameters[underlying]
    # a time of 32 bits
    if block.timestamp < unsafe_add((parameters >> 40) & M32, risk_parameters.DAY_S):
        return self._ramped_interest_rate(underlying, interest)
    return self._interest_rate(interest, parameters)


@internal
@view
def _ramped_interest_rate(underlying: uint256, interest: uint256) -> uint256:
    """@notice The open-interest rate while a change of parameters ramps, 1e-5, rounded up."""
    target: uint256 = 0
    old: uint256 = 0
    elapsed: uint256 = 0
    target, old, elapsed = risk_parameters.transition(underlying)
    rate: uint256 = self._interest_rate(interest, target)
    return risk_parameters.between_up(self._interest_rate(interest, old), rate, elapsed)


@internal
@pure
def _deviation(mark: uint256, average: uint256) -> uint256:
    """@notice (average - mark) / mark in ppm, away from zero, as 24 signed bits."""
    # prices of 56 bits, a gap of 23 in the end
    gap: uint256 = unsafe_sub(max(mark, average), min(mark, average))
    gap = min(units.div_up(unsafe_mul(gap, units.PPM), mark), M24 >> 1)
    return gap if average >= mark else unsafe_sub(2**24, gap)


@internal
@pure
def _interest_rate(interest: uint256, word: uint256) -> uint256:
    """
    @notice Charge on the whole market's open interest: a ramp between two notionals, 1e-5, rounded
            up.
    """
    low: uint256 = unsafe_mul((word >> 180) & M24, THOUSAND_USD)  # below 2**94
    if interest <= low:
        return 0
    high: uint256 = unsafe_mul((word >> 204) & M24, THOUSAND_USD)
    # both below 2**94, low < high (set_parameters), a rate of 16 bits
    span: uint256 = unsafe_sub(high, low)
    share: uint256 = unsafe_mul((word >> 228) & M16, unsafe_sub(min(interest, high), low))
    return unsafe_div(unsafe_add(share, unsafe_sub(span, 1)), span)
