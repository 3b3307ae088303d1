"""Novation: the clearing house steps between both sides of a batch of trades (docs/SPEC.md §5).

One pass: check each trade, net them by account, gate every touched account once, store. An account
that fails loses all its trades of the batch and the rest is judged again, until none fails; so one
bad actor never poisons a batch (I13 within a batch). Twin: ``contracts/novation.vy``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from novate import errors, limits
from novate.errors import Error, Rejected, require
from novate.model import account as accounts_module
from novate.model import ledger, margin, tradable
from novate.model.account import Account, changed_positions, load, owner_of
from novate.model.instrument import OPTION, PERP
from novate.model.option_id import SLOT_SHIFT, is_dated
from novate.model.option_series import ROOM_MAX
from novate.model.tradable import PREMIUM_LIMIT, Listing
from novate.units import div_up

if TYPE_CHECKING:
    from novate.model.state import World


class Trade(NamedTuple):
    """One fill between two listed accounts (indices), price in wad a base unit, fees in wad."""

    taker: int
    maker: int
    instrument: int
    taker_buys: bool
    lots: int
    price: int
    fee_taker: int = 0
    fee_maker: int = 0
    taker_reduce_only: bool = False
    maker_reduce_only: bool = False

    def words(self) -> tuple[int, int]:
        """The two packed words of the trade."""
        flags = self.taker_buys | self.taker_reduce_only << 1 | self.maker_reduce_only << 2
        first = self.taker | self.maker << 8 | self.instrument << 16 | flags << 24 | self.lots << 32
        return first | self.price << 76, self.fee_taker | self.fee_maker << 128


@dataclass(slots=True)
class Net:
    """Netted effect of the trades still standing: lots by (account, instrument) index, variation
    and cash paid (fees and premiums) by account.
    """

    lots: dict[tuple[int, int], int] = field(default_factory=dict)
    variation: dict[int, int] = field(default_factory=dict)
    paid: dict[int, int] = field(default_factory=dict)

    def touched(self) -> list[int]:
        """Account indices with a trade, ascending."""
        return sorted(self.variation)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One account after its netted trades, before sweeping."""

    row: Account
    cash_before: int
    interest_owed: int
    valuation: margin.Valuation
    paid: int


@dataclass(slots=True)
class Batch:
    """Accounts and instruments of a batch as they were when it began, its trades, and what was
    decided about them.

    ``loaded`` holds, by account index, the row after interest and maturing, the cash before, and
    the interest owed. Skipped trades and instruments closed to increases are indices.
    """

    accounts: list[int] = field(default_factory=list)
    instruments: list[int] = field(default_factory=list)
    trades: list[Trade] = field(default_factory=list)
    listings: list[Listing] = field(default_factory=list)
    loaded: list[tuple[Account, int, int]] = field(default_factory=list)
    skipped: set[int] = field(default_factory=set)
    closed: set[int] = field(default_factory=set)

    def add_account(self, world: World, account: int) -> int:
        """Index of an account, loaded on first sight."""
        if account in self.accounts:
            return self.accounts.index(account)
        self.accounts.append(account)
        stored = world.ledger.accounts[account]
        row, owed = load(world, stored)
        self.loaded.append((row, stored.cash, owed))
        return len(self.accounts) - 1

    def add_instrument(self, world: World, instrument: int) -> int:
        """Index of an instrument, accrued on first sight."""
        if instrument not in self.instruments:
            self.instruments.append(instrument)
            self.listings.append(tradable.listing(world, instrument))
        return self.instruments.index(instrument)


def novate(
    world: World,
    caller: str,
    accounts: Sequence[int],
    instruments: Sequence[int],
    trades: Sequence[Trade],
) -> int:
    """Settle what can be settled; returns the bitmap of settled trades."""
    require(world.ledger.venues[caller], errors.NotVenue)
    _require_ascending(accounts, limits.ACCOUNTS_PER_BATCH_MAX)
    _require_ascending(instruments, limits.INSTRUMENTS_PER_BATCH_MAX)
    require(len(trades) <= limits.TRADES_PER_BATCH_MAX, errors.TooManyItems)
    batch = Batch(trades=list(trades))
    for instrument in instruments:
        batch.add_instrument(world, instrument)
        if world.ledger.terms[instrument].kind == PERP:
            ledger.accrue(world, instrument)
    for account in accounts:
        batch.add_account(world, account)
    while True:
        net = _net(world, batch)
        outcomes, failed = _gate_all(world, batch, net)
        if failed:
            _skip_accounts(world, batch, failed)
            continue
        crowded = over_cap(batch, net)
        if crowded:
            batch.closed.update(crowded)
            continue
        break
    _store(world, batch, net, outcomes)
    return sum(1 << i for i in range(len(trades)) if i not in batch.skipped)


def _require_ascending(items: Sequence[int], bound: int) -> None:
    require(len(items) <= bound, errors.TooManyItems)
    require(all(a < b for a, b in zip([0, *items], items, strict=False)), errors.NotAscending)


def _net(world: World, batch: Batch) -> Net:
    """Check each standing trade in order and add it up; those that are bad in themselves are
    skipped.
    """
    net = Net()
    paused = world.now < world.ledger.config.paused_until
    for index, trade in enumerate(batch.trades):
        if index in batch.skipped:
            continue
        error = fault(batch, net, trade, paused)
        if error is not None:
            _skip(world, batch, index, error)
            continue
        add_trade(batch, net, trade)
    return net


# An account's index, and what one trade books there: lots, variation, cash paid.
Side = tuple[int, int, int, int]


def sides(listing: Listing, trade: Trade) -> tuple[Side, Side]:
    """What taker and maker book: lots, variation or for an option cash, fees."""
    signed = trade.lots if trade.taker_buys else -trade.lots
    value = signed * (listing.terms.price_lot(trade.price) - listing.market.funding_index)
    premium = 0
    if listing.terms.kind == OPTION:
        premium, value = value, 0
    return (
        (trade.taker, signed, -value, premium + trade.fee_taker),
        (trade.maker, -signed, value, trade.fee_maker - premium),
    )


def add_trade(batch: Batch, net: Net, trade: Trade) -> None:
    """Add up what one trade books."""
    add_sides(net, trade.instrument, sides(batch.listings[trade.instrument], trade))


def add_sides(net: Net, position: int, both: tuple[Side, Side]) -> None:
    """The same of its sides; ``position``: the instrument's index."""
    for side, lots, variation, paid in both:
        key = (side, position)
        net.lots[key] = net.lots.get(key, 0) + lots
        net.variation[side] = net.variation.get(side, 0) + variation
        net.paid[side] = net.paid.get(side, 0) + paid


def fault(batch: Batch, net: Net, trade: Trade, paused: bool) -> Error | None:
    """The first reason why a trade cannot settle by itself, in the contract's order."""
    if trade.lots == 0:
        return errors.ZeroLots
    if owner_of(batch.accounts[trade.taker]) == owner_of(batch.accounts[trade.maker]):
        return errors.SelfMatch
    listing = batch.listings[trade.instrument]
    if listing.terms.kind == 0:
        return errors.UnknownInstrument
    if listing.expired:
        return errors.ExpiryPassed
    if trade.price % listing.terms.tick:
        return errors.OffTick
    if not listing.lowest <= trade.price <= listing.highest:
        return errors.PriceOutOfBand
    premium = trade.lots * listing.terms.price_lot(trade.price)
    if listing.terms.kind == OPTION and premium >= PREMIUM_LIMIT:
        return errors.LotsOutOfRange
    return _reduction_fault(batch, net, trade, listing, paused)


def _reduction_fault(
    batch: Batch, net: Net, trade: Trade, listing: Listing, paused: bool
) -> Error | None:
    """Pause, reduce-only (of the instrument, then of an order) and caps."""
    closed = trade.instrument in batch.closed
    only = trade.taker_reduce_only or trade.maker_reduce_only
    if paused or closed or listing.reducing or only:
        taker, maker = reductions(batch, net, trade)
        if paused and not (taker or maker):
            return errors.Paused
        if listing.reducing and not (taker or maker):
            return errors.ReduceOnly
        if (trade.taker_reduce_only and not taker) or (trade.maker_reduce_only and not maker):
            return errors.ReduceOnly
        if closed and not (taker or maker):
            return errors.OpenInterestCap
    return None


def reductions(batch: Batch, net: Net, trade: Trade) -> tuple[bool, bool]:
    """Whether the trade reduces the taker's and the maker's running position without turning it."""
    signed = trade.lots if trade.taker_buys else -trade.lots
    found = []
    for side, change in ((trade.taker, signed), (trade.maker, -signed)):
        held = dict(batch.loaded[side][0].positions).get(batch.instruments[trade.instrument], 0)
        held += net.lots.get((side, trade.instrument), 0)
        found.append(held * change < 0 and abs(change) <= abs(held))
    return found[0], found[1]


def _gate_all(world: World, batch: Batch, net: Net) -> tuple[dict[int, Outcome], dict[int, Error]]:
    """Apply and judge every touched account; those that fail are returned with their reason."""
    outcomes, failed = {}, {}
    for index in net.touched():
        try:
            outcomes[index] = gate(world, batch, net, index)
        except Rejected as rejected:
            failed[index] = rejected.error
    return outcomes, failed


def gate(world: World, batch: Batch, net: Net, index: int) -> Outcome:
    """One account with its netted trades: caps, then the margin gate. Errors: those of ``applied``,
    InsufficientMargin.
    """
    row, cash_before, owed = batch.loaded[index]
    after = applied(batch, net, index)
    judged = ledger.check_row(world, after)
    require(ledger.passes_gate(world, row, judged), errors.InsufficientMargin)
    return Outcome(after, cash_before, owed, judged.valuation, net.paid[index])


def applied(batch: Batch, net: Net, index: int) -> Account:
    """One account's row with its netted trades, before the margin gate. Errors: InAuction,
    PositionCap, range.
    """
    row = batch.loaded[index][0]
    require(not row.in_auction, errors.InAuction)
    positions, before = row.positions, dict(row.positions)
    for position, instrument in enumerate(batch.instruments):
        change = net.lots.get((index, position), 0)
        if change == 0:
            continue
        held = before.get(instrument, 0)
        positions = changed_positions(positions, instrument, change)
        grows = abs(held + change) > abs(held)
        within = abs(held + change) <= batch.listings[position].terms.position_cap
        require(within or not grows, errors.PositionCap)
    return Account(
        row.cash - net.paid[index],
        row.variation + net.variation[index],
        row.checkpoint,
        row.gain_now,
        row.gain_previous,
        row.epoch,
        row.flags,
        positions,
    )


def over_cap(batch: Batch, net: Net) -> list[int]:
    """Instrument indices that close to increases, as their open interest would rise too far."""
    positions = range(len(batch.listings))
    return crowded(batch, {at: _interest_change(batch, net, at) for at in positions})


def crowded(batch: Batch, changes: Mapping[int, int]) -> list[int]:
    """Those of the instrument indices whose open interest would rise above its cap, or with that of
    others of its expiry above the limits that they share: each uses a part of its own room under
    them (2**-44, rounded up), together no more than all.
    """
    rises = {at: change for at, change in changes.items() if change > 0}
    found = {at for at, rise in rises.items() if rise > batch.listings[at].room}
    used: dict[int, dict[int, int]] = {}
    for at, rise in rises.items():
        shared = batch.listings[at].shared
        if 0 < shared < ROOM_MAX:
            part = used.setdefault(batch.instruments[at] >> SLOT_SHIFT, {})
            part[at] = div_up(rise << 44, shared)
    found.update(*(part for part in used.values() if sum(part.values()) > 1 << 44))
    return sorted(found)


def _interest_change(batch: Batch, net: Net, position: int) -> int:
    change = 0
    for (index, traded), lots in net.lots.items():
        if traded == position:
            held = dict(batch.loaded[index][0].positions).get(batch.instruments[position], 0)
            change += max(held + lots, 0) - max(held, 0)
    return change


def _skip(world: World, batch: Batch, index: int, error: Error) -> None:
    batch.skipped.add(index)
    world.emit("TradeSkipped", index=index, code=error.selector.to_bytes(4, "big"))


def _skip_accounts(world: World, batch: Batch, failed: dict[int, Error]) -> None:
    for index, trade in enumerate(batch.trades):
        if index not in batch.skipped:
            error = failed.get(trade.taker) or failed.get(trade.maker)
            if error is not None:
                _skip(world, batch, index, error)


def _store(world: World, batch: Batch, net: Net, outcomes: dict[int, Outcome]) -> None:
    """Write every touched account swept at the new value, open interest, and the fee pot."""
    collected = 0  # premiums cancel
    for index, outcome in sorted(outcomes.items()):
        row = accounts_module.sweep(world, outcome.row, outcome.valuation.value_linear)
        accounts_module.store(world, batch.accounts[index], row, outcome.cash_before)
        collected += outcome.paid + outcome.interest_owed
    dated: dict[int, int] = {}
    for position, instrument in enumerate(batch.instruments):
        change = _interest_change(batch, net, position)
        if change and is_dated(instrument):
            dated[instrument] = change
        elif change:
            market = world.ledger.markets[instrument]
            world.ledger.markets[instrument] = replace(
                market, open_interest=market.open_interest + change
            )
    ledger.move_dated(world, dated)
    if collected:
        pot = world.ledger.pot
        world.ledger.set_pot(replace(pot, fees=pot.fees + collected))
