# pragma version 0.4.3
# pragma nonreentrancy on
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Lens: what a stranger needs to check the venue (docs/SPEC.md §5, §7)
@notice Owns nothing and may do nothing. Functions that value accounts are not views, since
        valuation fills a transient cache; they are meant for eth_call. Money in wad, spot in lots,
        tokens in their own units.
"""

from ethereum.ercs import IERC20
from interfaces import IClearinghouse
from interfaces import ICustody
from interfaces import IRiskModel
from lib import errors
from lib import option_id

# price, delta, gamma, vega (per 1.00) and theta (per year) of a base unit, wad (docs/SPEC.md §14)
interface IGreeks:
    def greeks(id: uint256) -> (uint256, int256, uint256, uint256, int256): view
    def interest(id: uint256) -> uint256: view

struct Portfolio:
    cash: int256
    variation: int256
    gain_now: uint256        # shares of 1e-6 USD in the account's epoch, and in the one before
    gain_previous: uint256
    epoch: uint256
    in_auction: bool
    instruments: DynArray[uint256, 128]
    lots: DynArray[int256, 128]

struct Margin:
    equity: int256
    cash: int256
    margin_initial: uint256
    margin_maintenance: uint256
    penalty: uint256
    bonus: uint256
    health_ppm: uint256      # within [0, 2**128); 2**128 - 1 without a requirement
    flags: uint256           # 1 a held feed is stale, 2 restart grace
    in_auction: bool

# What options and dated futures of one underlying add up to, wad of USD, each position rounded
# toward zero
struct Greeks:
    underlying: uint256
    delta: int256            # for a move of 100 %: lots times forward for a future
    gamma: int256            # change of delta for a move of 1 %
    vega: int256             # for one volatility point
    theta: int256            # for a day

struct Sheet:
    token: address
    instrument: uint256
    booked: uint256          # custody's own sheet
    held: uint256            # what the token says custody holds
    backing: uint256         # the sheet as the ledger counts it: wad of cash, lots of spot
    claimed: int256          # spot: lots of the page's accounts

struct Solvency:
    assets: uint256          # cash tokens on the sheet, wad
    claims: int256           # cash, immature gains and unsettled variation of the page, wad
    gap: int256              # assets - claims: fees not yet distributed and rounding; over all
                             # accounts never below zero, but for what positions of an expiry that
                             # is being settled still pay
    sheets: DynArray[Sheet, 16]

UNDERLYINGS_MAX: constant(uint256) = 16
PHASE_EXPIRED: constant(uint256) = 3
WAD: constant(int256) = 10**18
MASK_64: constant(uint256) = 2**64 - 1
MASK_44: constant(uint256) = 2**44 - 1
UNBOUNDED: constant(uint256) = 2**128 - 1

CLEARINGHOUSE: immutable(IClearinghouse)
CUSTODY: immutable(ICustody)


@deploy
def __init__(clearinghouse: address, custody: address):
    CLEARINGHOUSE = IClearinghouse(clearinghouse)
    CUSTODY = ICustody(custody)


@external
@view
def portfolio(account: bytes32) -> Portfolio:
    """@notice An account as stored: before interest, maturing and sweeping."""
    slots: (uint256, uint256) = staticcall CLEARINGHOUSE.account(account)
    found: Portfolio = empty(Portfolio)
    found.cash = convert(convert(slots[0] << 136, bytes32), int256) >> 136
    found.variation = convert(convert(slots[0] << 16, bytes32), int256) >> 136
    found.gain_now = (slots[1] >> 64) & MASK_64
    found.gain_previous = (slots[1] >> 128) & MASK_64
    found.epoch = (slots[1] >> 192) & (2**32 - 1)
    found.in_auction = (slots[0] >> 248) & 1 == 1
    words: DynArray[uint256, 32] = staticcall CLEARINGHOUSE.positions(account)
    for word: uint256 in words:
        for lane: uint256 in range(4):
            position: uint256 = (word >> (64 * lane)) & MASK_64
            if position != 0:
                found.instruments.append(position >> 44)
                found.lots.append(convert(position & MASK_44, int256) - 2**43)
    return found


@external
def margin(account: bytes32) -> Margin:
    """@notice Equity, both margins, the corrections and health (rounded down) now."""
    check: IClearinghouse.Check = extcall CLEARINGHOUSE.check(account)
    required: uint256 = check.valuation.margin_maintenance
    health_ppm: uint256 = 0
    if required == 0 and check.equity >= 0:
        health_ppm = UNBOUNDED
    elif check.equity > 0:
        health_ppm = min(convert(check.equity, uint256) * 10**6 // required, UNBOUNDED)
    return Margin(
        equity=check.equity,
        cash=check.cash,
        margin_initial=check.valuation.margin_initial,
        margin_maintenance=required,
        penalty=check.valuation.penalty,
        bonus=check.valuation.bonus,
        health_ppm=health_ppm,
        flags=check.valuation.flags,
        in_auction=check.in_auction,
    )


@external
def greeks(account: bytes32) -> DynArray[Greeks, UNDERLYINGS_MAX]:
    """
    @notice Greeks of an account's options and dated futures at the forwards and surfaces of now,
            underlyings ascending; what has expired is left out. A perp or spot adds to delta what
            its lots are worth, and nothing else.
    @custom:errors StalePrice, StaleSurface
    """
    sums: Greeks[UNDERLYINGS_MAX] = empty(Greeks[UNDERLYINGS_MAX])
    held: uint256 = 0
    words: DynArray[uint256, 32] = staticcall CLEARINGHOUSE.positions(account)
    for word: uint256 in words:
        for lane: uint256 in range(4):
            position: uint256 = (word >> (64 * lane)) & MASK_64
            if position != 0 and option_id.is_dated(position >> 44):
                u: uint256 = option_id.underlying(position >> 44)
                lots: int256 = convert(position & MASK_44, int256) - 2**43
                sums[u] = self._add_greeks(sums[u], position >> 44, lots)
                held |= 1 << u
    found: DynArray[Greeks, UNDERLYINGS_MAX] = []
    for u: uint256 in range(UNDERLYINGS_MAX):
        if (held >> u) & 1 == 1:
            sums[u].underlying = u
            found.append(sums[u])
    return found


@internal
def _add_greeks(sums: Greeks, instrument: uint256, lots: int256) -> Greeks:
    """@notice The sums with one position more."""
    options: IGreeks = IGreeks(staticcall CLEARINGHOUSE.options())
    if (staticcall options.interest(instrument)) >> 88 == PHASE_EXPIRED:
        return sums
    risk: IRiskModel = staticcall CLEARINGHOUSE.risk_model()
    mark: uint256 = 0
    quoted: uint256 = 0
    mark, quoted = extcall risk.quoted(instrument)
    forward: int256 = convert(quoted, int256)
    lot_size: uint256 = (staticcall CLEARINGHOUSE.market(instrument))[0] & MASK_64
    size: int256 = lots * convert(lot_size, int256)
    total: Greeks = sums
    if option_id.is_future(instrument):
        total.delta += size * forward // WAD
        return total
    price: uint256 = 0
    delta: int256 = 0
    gamma: uint256 = 0
    vega: uint256 = 0
    theta: int256 = 0
    price, delta, gamma, vega, theta = staticcall options.greeks(instrument)
    total.delta += size * delta // WAD * forward // WAD
    bent: int256 = convert(gamma, int256) * forward // WAD * forward // WAD
    total.gamma += size * bent // (100 * WAD)
    total.vega += size * convert(vega, int256) // (100 * WAD)
    total.theta += size * theta // (365 * WAD)
    return total


@external
def solvency(accounts: DynArray[bytes32, 256], tokens: DynArray[address, 16]) -> Solvency:
    """
    @notice Assets on the sheet against the claims of a page of accounts. Over several pages add up
            the claims.
    @param accounts Strictly ascending, so that none is counted twice.
    @custom:errors NotAscending, UnknownToken
    """
    found: Solvency = empty(Solvency)
    last: uint256 = 0
    for account: bytes32 in accounts:
        errors.require(convert(account, uint256) > last, errors.NotAscending)
        last = convert(account, uint256)
        check: IClearinghouse.Check = extcall CLEARINGHOUSE.check(account)
        found.claims += check.equity - check.valuation.value_linear - check.valuation.value_spot
    for token: address in tokens:
        sheet: Sheet = self._sheet(token)
        if sheet.instrument == 0:
            found.assets += sheet.backing
        else:
            for account: bytes32 in accounts:
                sheet.claimed += self._lots(account, sheet.instrument)
        found.sheets.append(sheet)
    found.gap = convert(found.assets, int256) - found.claims
    return found


@internal
@view
def _sheet(token: address) -> Sheet:
    """
    @notice Custody's sheet of a token; `backing` rounds down (exact for what custody accepts).
    """
    booked: uint256 = 0
    cap: uint256 = 0
    decimals: uint256 = 0
    instrument: uint256 = 0
    lot_units: uint256 = 0
    booked, cap, decimals, instrument, lot_units = staticcall CUSTODY.token(token)
    errors.require(decimals != 0, errors.UnknownToken)
    backing: uint256 = booked * 10 ** (18 - decimals)
    if instrument != 0:
        backing = booked // lot_units  # exact
    held: uint256 = staticcall IERC20(token).balanceOf(CUSTODY.address)
    return Sheet(
        token=token, instrument=instrument, booked=booked, held=held, backing=backing, claimed=0
    )


@internal
@view
def _lots(account: bytes32, instrument: uint256) -> int256:
    """@notice Lots of an instrument that an account holds."""
    words: DynArray[uint256, 32] = staticcall CLEARINGHOUSE.positions(account)
    for word: uint256 in words:
        for lane: uint256 in range(4):
            position: uint256 = (word >> (64 * lane)) & MASK_64
            if position >> 44 == instrument:
                return convert(position & MASK_44, int256) - 2**43
    return 0
