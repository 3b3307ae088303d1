"""The ledger: signed cash and positions, the margin gate, and every movement that is not a trade
(trades: novation.py).

Units: wad and lots. Rounding: docs/SPEC.md §5, always against the account and in favour of the
pool. Holds I01, I02, I03, I10. Twin: ``contracts/Clearinghouse.vy``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from novate import errors, limits
from novate.errors import require
from novate.model import account as accounts_module
from novate.model import margin, option_series
from novate.model.account import (
    IN_AUCTION,
    Account,
    BorrowIndex,
    account_of,
    changed_positions,
    gains,
    load,
    owner_of,
)
from novate.model.instrument import PERP, SPOT, Market, Terms, check_terms, with_caps
from novate.model.ledger_state import NO_TERMS as NO_TERMS
from novate.model.ledger_state import Check as Check
from novate.model.ledger_state import Config as Config
from novate.model.ledger_state import LedgerState as LedgerState
from novate.model.ledger_state import Pot as Pot
from novate.model.margin import GRACE, STALE, Valuation
from novate.model.option_id import is_dated, place_of
from novate.units import PPB, PPM, WAD, div_up, ppm_down

if TYPE_CHECKING:
    from novate.model.state import World

INSURANCE_NUMBER = 2
RESERVES_NUMBER = 4
INSURANCE_SHARE_PPM = 200_000
# division: exact; cuts leave 1 % of an epoch, so that its shares fit 64 bits
GAIN_SCALE_MIN = WAD // 100  # division: exact
GAIN_CUT_DUST = PPB  # a wei for each of up to 1e9 holders, whose values are floored one by one


def only(world: World, caller: str, *roles: str) -> None:
    """Reject a caller that holds none of the roles (``NotAuthorized``)."""
    require(any(caller == world.addresses.get(role) for role in roles), errors.NotAuthorized)


def loaded(world: World, account: int) -> tuple[Account, int]:
    """An account after interest and maturing; owed interest is booked to the fee pot."""
    row = world.ledger.accounts[account]
    after, owed = load(world, row)
    if owed:
        pot = world.ledger.pot
        world.ledger.set_pot(replace(pot, fees=pot.fees + owed))
    return after, row.cash


def equity_of(world: World, row: Account, valuation: Valuation) -> int:
    """Cash, immature gains, variation and positions at the current round."""
    return (
        row.cash + gains(world, row) + row.variation + valuation.value_linear + valuation.value_spot
    )


def check(world: World, account: int) -> Check:
    """Equity and valuation of an account now; changes nothing."""
    row, _ = load(world, world.ledger.accounts[account])
    return check_row(world, row)


def check_row(world: World, row: Account) -> Check:
    """Equity and valuation of a loaded row."""
    valuation = margin.evaluate(world, dict(row.positions))
    return Check(
        equity_of(world, row, valuation), row.cash, len(row.positions), row.in_auction, valuation
    )


def passes_gate(world: World, before: Account, after: Check, refused: int = STALE | GRACE) -> bool:
    """MARGIN.md §3: initial margin at the worst prices without the flags ``refused``, or no worse
    than ``before`` (loaded).
    """
    value, equity = after.valuation, after.equity
    funded = equity - value.penalty >= value.margin_initial and not value.flags & refused
    pot = world.ledger.pot
    if funded and (equity - value.value_spot >= 0 or pot.debt <= pot.debt_cap):
        return True
    earlier = check_row(world, before)
    required = earlier.valuation.margin_maintenance
    return no_worse(earlier.equity, required, equity, value.margin_maintenance)


def no_worse(equity: int, required: int, equity_after: int, required_after: int) -> bool:
    """``MM′ ≤ MM`` and ``E′ ≥ E − clamp(E/MM, 0, 1)·(MM − MM′)``, without division."""
    if required_after > required:
        return False
    released = required - required_after
    if equity >= required:
        return equity_after >= equity - released
    if equity <= 0:
        return equity_after >= equity
    return (equity - equity_after) * required <= equity * released


def change_lots(row: Account, instrument: int, change: int) -> Account:
    """The row with ``change`` lots more of an instrument."""
    return replace(row, positions=changed_positions(row.positions, instrument, change))


def credit(world: World, caller: str, account: int, instrument: int, amount: int) -> None:
    """Custody: cash in wad (instrument 0), or whole lots of a spot instrument."""
    only(world, caller, "custody")
    if instrument == 0:
        _add_cash(world, account, amount)
        return
    row, cash_before = loaded(world, account)
    row = _move_spot(world, row, instrument, amount)
    accounts_module.store(world, account, row, cash_before)


def _move_spot(world: World, row: Account, instrument: int, change: int) -> Account:
    terms = world.ledger.terms[instrument]
    require(terms.kind == SPOT, errors.UnknownInstrument)
    after = change_lots(row, instrument, change)
    require(dict(after.positions).get(instrument, 0) >= 0, errors.InsufficientCash)
    market = world.ledger.markets[instrument]
    interest = market.open_interest + change
    world.ledger.markets[instrument] = replace(market, open_interest=interest)
    require(change < 0 or interest <= terms.open_interest_cap, errors.OpenInterestCap)
    return after


def debit(world: World, caller: str, account: int, instrument: int, amount: int) -> None:
    """Custody: pay out free collateral; judged at initial margin and the worst prices, cash stays
    at or above zero.
    """
    only(world, caller, "custody")
    row, cash_before = loaded(world, account)
    require(not row.in_auction, errors.InAuction)
    if instrument == 0:
        row = replace(row, cash=row.cash - amount)
    else:
        row = _move_spot(world, row, instrument, -amount)
    value = margin.evaluate(world, dict(row.positions))
    row = accounts_module.sweep(world, row, value.value_linear)
    require(row.cash >= 0, errors.InsufficientCash)
    require(not value.flags & STALE, errors.StalePrice)
    require(not value.flags & GRACE, errors.RestartGrace)
    funded = equity_of(world, row, value) - value.penalty >= value.margin_initial
    require(funded, errors.InsufficientMargin)
    accounts_module.store(world, account, row, cash_before)


def sweep(world: World, caller: str, accounts: Sequence[int]) -> None:
    """Anyone: settle variation of the given accounts into cash and gains."""
    require(len(accounts) <= limits.ACCOUNTS_PER_BATCH_MAX, errors.TooManyItems)
    for account in accounts:
        row, cash_before = loaded(world, account)
        value = margin.evaluate(world, dict(row.positions))
        row = accounts_module.sweep(world, row, value.value_linear)
        accounts_module.store(world, account, row, cash_before)


def set_in_auction(world: World, caller: str, account: int, value: bool) -> None:
    """Auctioneer: mark an account as in auction, or release it."""
    only(world, caller, "auctioneer")
    row = world.ledger.accounts[account]
    flags = row.flags | IN_AUCTION if value else row.flags & ~IN_AUCTION
    world.ledger.accounts[account] = replace(row, flags=flags)


def transfer_slice(
    world: World, caller: str, account: int, bidder: int, fraction_ppm: int, reward: int, fee: int
) -> Check:
    """Auctioneer: move a fraction of every position at mark; the account pays reward to the bidder
    and fee to insurance.

    Lots round away from zero (the bidder takes more, never less). The bidder must pass the gate.
    """
    only(world, caller, "auctioneer")
    require(0 < fraction_ppm <= PPM, errors.BadFraction)
    require(owner_of(account) != owner_of(bidder), errors.OwnAccount)
    row, cash_row = loaded(world, account)
    other, cash_other = loaded(world, bidder)
    require(not other.in_auction, errors.InAuction)
    value = margin.evaluate(world, dict(row.positions))
    row = accounts_module.sweep(world, row, value.value_linear)
    before, original = other, row
    for instrument, lots in original.positions:
        moved = div_up(abs(lots) * fraction_ppm, PPM) * (1 if lots > 0 else -1)
        row, other = change_lots(row, instrument, -moved), change_lots(other, instrument, moved)
    left = margin.evaluate(world, dict(row.positions))
    linear, spot = value.value_linear - left.value_linear, value.value_spot - left.value_spot
    row = replace(row, cash=row.cash + spot - reward - fee, variation=row.variation + linear)
    other = replace(other, cash=other.cash - spot + reward, variation=other.variation - linear)
    # a stale feed widens its confidence but does not stop a liquidation
    passes = passes_gate(world, before, check_row(world, other), GRACE)
    require(passes, errors.InsufficientMargin)
    checked = check_row(world, row)
    if checked.equity >= checked.valuation.margin_maintenance:  # healthy again: no auction
        row = replace(row, flags=row.flags & ~IN_AUCTION)
        checked = replace(checked, in_auction=False)
    _move_open_interest(world, original, row, world.ledger.accounts[bidder], other)
    accounts_module.store(world, account, row, cash_row)
    accounts_module.store(world, bidder, other, cash_other)
    if fee:
        _add_cash(world, account_of(world.addresses["waterfall"], INSURANCE_NUMBER), fee)
    return checked


def _move_open_interest(
    world: World,
    row_before: Account,
    row_after: Account,
    other_before: Account,
    other_after: Account,
) -> None:
    held = [dict(r.positions) for r in (row_before, other_before, row_after, other_after)]
    dated: dict[int, int] = {}
    for instrument, _ in row_before.positions:
        lots = [max(h.get(instrument, 0), 0) for h in held]
        change = lots[2] + lots[3] - lots[0] - lots[1]
        if change and is_dated(instrument):
            dated[instrument] = change
        elif change:
            market = accrue(world, instrument)
            interest = market.open_interest + change
            world.ledger.markets[instrument] = replace(market, open_interest=interest)
    move_dated(world, dated)


def move_dated(world: World, changes: Mapping[int, int]) -> None:
    """Tell Options how the open interest of dated instruments changed."""
    for instrument, change in changes.items():
        house = world.addresses["clearinghouse"]
        option_series.move_interest(world, house, instrument, change)


def _add_cash(world: World, account: int, amount: int) -> None:
    """Add cash; an account that owes no interest is neither charged nor rolled."""
    stored = world.ledger.accounts[account]
    if stored.cash >= 0:
        world.ledger.accounts[account] = replace(stored, cash=stored.cash + amount)
        return
    row, cash_before = loaded(world, account)
    accounts_module.store(world, account, replace(row, cash=row.cash + amount), cash_before)


def move_cash(world: World, caller: str, source: int, target: int, amount: int) -> None:
    """Waterfall: pay from one of its own accounts; money is there before it leaves."""
    only(world, caller, "waterfall")
    require(owner_of(source) == int(caller, 16), errors.NotOwner)
    row, cash_before = loaded(world, source)
    require(row.cash >= amount, errors.InsufficientCash)
    accounts_module.store(world, source, replace(row, cash=row.cash - amount), cash_before)
    _add_cash(world, target, amount)
    world.emit("CashMoved", source=source, target=target, amount=amount)


def cut_gains(world: World, caller: str, target: int, amount: int) -> int:
    """Waterfall: cut the gains of this epoch and the one before pro rata; returns what reached
    ``target`` (down).
    """
    only(world, caller, "waterfall")
    epoch_now = world.now // world.ledger.config.epoch_seconds  # division: calendar epoch
    epochs = world.ledger.epochs
    pair = [(number, epochs[number]) for number in (epoch_now, epoch_now - 1)]
    total = sum(accounts_module.gain_value(e.shares, e.scale) for _, e in pair)
    paid = 0
    if total > 0:
        cut = div_up(min(amount, total) * WAD, total)
        for number, epoch in pair:
            scale = max(div_up(epoch.scale * (WAD - cut), WAD), GAIN_SCALE_MIN)
            taken = accounts_module.gain_value(epoch.shares, epoch.scale)
            taken -= div_up(epoch.shares * scale, PPM) + GAIN_CUT_DUST
            paid += max(taken, 0)
            epochs[number] = replace(epoch, cut=WAD - scale)
        paid = min(paid, amount)
        _add_cash(world, target, paid)
    world.emit("GainsCut", target=target, amount=amount, paid=paid)
    return paid


def distribute_fees(world: World, caller: str) -> int:
    """Anyone: pay collected fees to insurance (20 %, down) and reserves (the rest)."""
    pot = world.ledger.pot
    waterfall = world.addresses["waterfall"]
    insurance = ppm_down(pot.fees, INSURANCE_SHARE_PPM)
    world.ledger.set_pot(replace(pot, fees=0))
    _add_cash(world, account_of(waterfall, INSURANCE_NUMBER), insurance)
    _add_cash(world, account_of(waterfall, RESERVES_NUMBER), pot.fees - insurance)
    world.emit("FeesDistributed", insurance=insurance, reserves=pot.fees - insurance)
    return pot.fees


def list_instrument(world: World, caller: str, instrument: int, terms: Terms) -> None:
    """Governance: list an instrument, once; or the terms of all options, or all futures, of an
    underlying under their key (``option_id.terms_key``). Which of those exist, Options says.
    """
    only(world, caller, "timelock")
    check_terms(instrument, terms, _grid_exponent(world, instrument))
    require(instrument not in world.ledger.terms, errors.AlreadyListed)
    if terms.kind == PERP:
        perps = sum(other.kind == PERP for _, other in world.ledger.terms.items())
        require(perps < limits.PERPS_MAX, errors.TooManyItems)
    world.ledger.terms[instrument] = terms
    if not is_dated(instrument):  # whose open interest is Options', and which has no funding
        world.ledger.markets[instrument] = Market(accrued_at=world.now)
    world.emit("InstrumentListed", instrument=instrument, terms=terms.pack())


def _grid_exponent(world: World, instrument: int) -> int:
    """Lot exponent of the options grid of a dated instrument's underlying; 0: none."""
    return world.options.grids[place_of(instrument)[0]].lot_exponent


def set_caps(
    world: World, caller: str, instrument: int, open_interest_cap: int, position_cap: int
) -> None:
    """Governance: new caps; they stop increases only."""
    only(world, caller, "timelock")
    terms = world.ledger.terms[instrument]
    require(terms.kind != 0, errors.UnknownInstrument)
    changed = with_caps(terms, open_interest_cap, position_cap)
    check_terms(instrument, changed, _grid_exponent(world, instrument))
    world.ledger.terms[instrument] = changed
    world.emit("InstrumentListed", instrument=instrument, terms=changed.pack())


def accrue(world: World, instrument: int) -> Market:
    """Bring an instrument's funding to now and store it."""
    _, market, _, _ = world.snapshot(instrument)
    world.ledger.markets[instrument] = market
    return market


def set_config(world: World, caller: str, new: Config) -> None:
    """Governance: bounded parameters; every perp accrues first, so a change is never retroactive
    (rule 2).

    The epoch length and the pause stay as they are.
    """
    only(world, caller, "timelock")
    in_bounds = (
        5_000 <= new.trade_band_ppm <= 200_000
        and new.funding_interest_ppb <= 1_000_000
        and new.funding_clamp_ppb <= 5_000_000
        and new.funding_cap_ppb <= 10_000_000
        and 0 < new.funding_slope_ppb_s <= 1_000_000
        and new.borrow_rate_wad_s < 1 << 32
    )
    require(in_bounds, errors.OutOfBounds)
    for instrument, terms in world.ledger.terms.items():
        if terms.kind == PERP:
            accrue(world, instrument)
    world.ledger.borrow["index"] = BorrowIndex(accounts_module.borrow_index(world), world.now)
    old = world.ledger.config
    kept = replace(new, paused_until=old.paused_until, epoch_seconds=old.epoch_seconds)
    world.ledger.configs["config"] = kept
    world.emit("ConfigSet", config=kept.pack())


def set_debt_cap(world: World, caller: str, debt_cap: int) -> None:
    """Governance: how far cash below zero may grow in total before risk increases stop."""
    only(world, caller, "timelock")
    require(debt_cap <= 1_000_000_000 * WAD, errors.OutOfBounds)
    world.ledger.set_pot(replace(world.ledger.pot, debt_cap=debt_cap))
    world.emit("DebtCapSet", debt_cap=debt_cap)


PAUSE_SECONDS_MAX = 7 * 86_400


def pause(world: World, caller: str, seconds: int) -> None:
    """Guardian: stop trades in which neither side reduces, at most 7 days, not twice in a row
    (I14).
    """
    only(world, caller, "guardian")
    require(0 < seconds <= PAUSE_SECONDS_MAX, errors.OutOfBounds)
    config = world.ledger.config
    require(world.now >= config.paused_until + PAUSE_SECONDS_MAX, errors.TooFast)
    world.ledger.configs["config"] = replace(config, paused_until=world.now + seconds)
    world.emit("Paused", until=world.now + seconds)
