"""The invariants I01 to I15 as predicates over the World (DESIGN.md §6), one function each.

State predicates take a World and are what ``check_all`` runs. Transition predicates also take what
a transaction wrote (``Change``) or what it was asked to do; ``services/audit.py`` collects those.
All arithmetic is in integers or exact fractions; nothing here changes a World for good.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from novate import limits
from novate.errors import Rejected
from novate.model import ledger, margin
from novate.model.account import Account, gains, load, owner_of
from novate.model.exact import exact_margin
from novate.model.expiry import Print, print_of
from novate.model.instrument import SPOT, Market
from novate.model.ledger import Check, Pot
from novate.model.option_id import is_dated, is_future, place_of
from novate.model.order import Order
from novate.model.store import Store

if TYPE_CHECKING:
    from novate.model.state import World

# A cut of gains leaves the pool at most about 1e9 wei an epoch (``ledger.GAIN_CUT_DUST``); this is
# room for a thousand cuts of one epoch: a millionth of a dollar.
CUT_DUST_PER_EPOCH = 10**12
TRANSACTION_GAS_MAX = 1 << 24


@dataclass(frozen=True, slots=True)
class Change:
    """What a transaction wrote: each touched row as it was before, by (table name, key)."""

    rows: Mapping[tuple[str, Any], Any]

    def before(self, table: str) -> dict[Any, Any]:
        """Earlier rows of one table."""
        return {key: row for (name, key), row in self.rows.items() if name == table}


def claims(world: World) -> int:
    """All that the ledger owes in cash: cash, gains, variation, fees to distribute (wad)."""
    total = world.ledger.pot.fees
    for row in world.ledger.accounts.rows.values():
        total += row.cash + row.variation + gains(world, row)
    return total


def custody_cash(world: World) -> int:
    """The cash tokens on custody's sheet (wad)."""
    rows = world.custody.tokens.rows.values()
    sheets = [t.balance * 10 ** (18 - t.decimals) for t in rows if t.decimals and not t.instrument]
    return sum(sheets)


def printed_payouts(world: World, futures_only: bool = False) -> int:
    """What positions of printed expiries still pay, over all accounts (wad).

    Zero until the first of them is settled, as lots cancel; then what the settled ones have had.
    """
    prints: dict[tuple[int, int], Print | None] = {}
    total = 0
    for row in world.ledger.accounts.rows.values():
        for instrument, lots in row.positions:
            if is_dated(instrument) and (is_future(instrument) or not futures_only):
                place = place_of(instrument)
                if place not in prints:
                    prints[place] = _print_of(world, place)
                printed = prints[place]
                total += lots * printed.payoff(instrument) if printed else 0
    return total


def _print_of(world: World, place: tuple[int, int]) -> Print | None:
    try:
        return print_of(world, *place)
    except Rejected:
        return None


def dust_allowed(world: World) -> int:
    """Wei that cuts of gains may have left in the pool; zero before the first cut."""
    return CUT_DUST_PER_EPOCH * sum(1 for e in world.ledger.epochs.rows.values() if e.cut)


def lots_by_instrument(world: World) -> dict[int, list[int]]:
    """Every position's lots, by instrument."""
    found: dict[int, list[int]] = {i: [] for i in world.ledger.terms.rows}
    for row in world.ledger.accounts.rows.values():
        for instrument, lots in row.positions:
            found.setdefault(instrument, []).append(lots)
    return found


def I01_custody_equals_claims(world: World) -> bool:
    """Custody's cash is the sum of all claims to the wei; cuts may leave the pool some dust more.

    Interest and funding not booked yet are in nobody's row, or cancel between rows (I06). Premiums
    cancel; while an expiry is being settled, what its open positions still pay completes the sum.
    """
    owed = claims(world) + printed_payouts(world)
    return 0 <= custody_cash(world) - owed <= dust_allowed(world)


def I02_lots_sum_to_zero(world: World) -> bool:
    """Perps: lots cancel and open interest is the long side. Spot: lots are the tokens held.
    Dated: lots cancel until the print, and what is open in an expiry is its longer side.
    """
    tokens: dict[int, int] = {}
    for token in world.custody.tokens.rows.values():
        if token.instrument:
            held, rest = divmod(token.balance, token.lot_units)  # division: whole lots and a rest
            if rest:
                return False
            tokens[token.instrument] = tokens.get(token.instrument, 0) + held
    held_by = lots_by_instrument(world)
    if not _dated_lots_cancel(world, {i: lots for i, lots in held_by.items() if is_dated(i)}):
        return False
    for instrument, lots in held_by.items():
        if is_dated(instrument):
            continue
        terms, market = world.ledger.terms[instrument], world.ledger.markets[instrument]
        if market.open_interest != sum(max(n, 0) for n in lots):
            return False
        expected = tokens.get(instrument, 0) if terms.kind == SPOT else 0
        if sum(lots) != expected or (terms.kind == SPOT and min(lots, default=0) < 0):
            return False
    return True


def _dated_lots_cancel(world: World, held: Mapping[int, Sequence[int]]) -> bool:
    longs: dict[tuple[int, int], int] = {}
    shorts: dict[tuple[int, int], int] = {}
    for instrument, lots in held.items():
        place = place_of(instrument)
        long = sum(max(n, 0) for n in lots)
        longs[place] = longs.get(place, 0) + long
        shorts[place] = shorts.get(place, 0) + long - sum(lots)
        if sum(lots) != 0 and _print_of(world, place) is None:
            return False
    rows = world.options.series
    return all(
        max(longs.get(place, 0), shorts.get(place, 0)) == rows[place].open
        for place in {**longs, **rows.rows}
    )


class _Undo(Exception):
    """Takes a trial back."""


@contextmanager
def as_then(world: World, change: Change) -> Iterator[None]:
    """The World with open interest and debt as before the transaction, as its gate saw them."""
    try:
        with world.store.transaction():
            for instrument, market in change.before("ledger.markets").items():
                now: Market = world.ledger.markets[instrument]
                then = replace(now, open_interest=market.open_interest)
                world.ledger.markets[instrument] = then
            for table in ("options.interests", "options.series"):
                for key, row in change.before(table).items():
                    world.store.tables[table][key] = row
            for pot in change.before("ledger.pot").values():
                earlier: Pot = pot
                world.ledger.set_pot(replace(world.ledger.pot, debt=earlier.debt))
            yield
            raise _Undo
    except _Undo:
        pass


def I03_funded_or_no_worse(world: World, change: Change, accounts: Sequence[int]) -> bool:
    """Each account passes the gate now: initial margin at the worst prices, or no worse than then.

    Judged at the transaction's own round, against the loaded row from before its trades.
    """
    written = change.before("ledger.accounts")
    with as_then(world, change):
        for account in accounts:
            if account in written:
                before, _ = load(world, written[account])
                after = ledger.check(world, account)
                if not ledger.passes_gate(world, before, after):
                    return False
    return True


def I03_withdrawal_is_funded(world: World, account: int) -> bool:
    """After a withdrawal cash is not below zero and initial margin holds at the worst prices."""
    found = ledger.check(world, account)
    value = found.valuation
    return found.cash >= 0 and found.equity - value.penalty >= value.margin_initial


def I04_within_signed_lots(order: Order, filled: int) -> bool:
    """What was ever filled of an order, over all its revisions, is not above what it signed."""
    return 0 <= filled <= order.size


def I05_within_signed_terms(order: Order, price: int, lots: int, fee: int) -> bool:
    """The price is no worse than the order's limit, the fee no more than its maximum a lot."""
    good = price >= order.price if order.sells else price <= order.price
    return good and 0 <= fee <= order.max_fee * lots


def I06_funding_sums_to_zero(world: World) -> bool:
    """What perps and futures are worth to all holders together, funding included, is zero; but for
    what futures still pay while their expiry is being settled.

    Funding moves one index a lot for everybody; it is the index that is truncated, never a payment.
    """
    value = sum(_valuation(world, row).value_linear for row in _held(world))
    return value == printed_payouts(world, futures_only=True)


def I07_integer_margin_covers_exact(world: World) -> bool:
    """Margins and penalty in integers are at or above the exact ones, the bonus at or below.

    Portfolios with options or dated futures are held to exact ones by properties of their own.
    """
    for row in _undated(world):
        value, exact = _valuation(world, row), exact_margin(world, dict(row.positions))
        safe = (
            value.margin_maintenance >= exact.maintenance
            and value.margin_initial >= exact.initial
            and value.penalty >= exact.penalty
            and value.bonus <= exact.bonus
        )
        if not safe:
            return False
    return True


def I08_netting_never_costs(world: World) -> bool:
    """Maintenance without liquidity of a portfolio is at most the sum over its single positions.

    The singles carry the largest confidence of their underlying, as the whole does. Each of a
    portfolio's roundings may cost one wei. Only without options and dated futures: a calendar of
    expiries costs what single ones do not.
    """
    for row in _undated(world):
        value = _valuation(world, row)
        whole = value.margin_maintenance - value.liquidity
        if whole > _singles(world, dict(row.positions)) + 4 * len(row.positions):
            return False
    return True


def _singles(world: World, positions: Mapping[int, int]) -> int:
    """Sum over single positions of maintenance without liquidity, at one confidence."""
    lines = {i: margin.row(world, i) for i in positions}
    widest: dict[int, int] = {}
    for line in lines.values():
        widest[line.underlying] = max(widest.get(line.underlying, 0), line.confidence)
    total = Fraction(0)
    for instrument, lots in positions.items():
        alone, line = margin.evaluate(world, {instrument: lots}), lines[instrument]
        total += alone.margin_maintenance - alone.liquidity
        wider = widest[line.underlying] - line.confidence
        total += Fraction(abs(lots) * line.notional_lot * wider, 10**6)
    return -(-total.numerator // total.denominator)  # division: up, to whole wei


def I09_health_kept(before: Check, after: Check) -> bool:
    """Solvent: equity over maintenance did not fall. Else: no more deficit, no more margin."""
    required = before.valuation.margin_maintenance
    required_after = after.valuation.margin_maintenance
    if before.equity > 0:
        return after.equity * required >= before.equity * required_after
    return after.equity >= before.equity and required_after <= required


def I10_only_own_flows(row: Account, flows: Mapping[int, int]) -> bool:
    """An account that never traded holds what came in less what went out (instrument -> amount)."""
    spot = {i: n for i, n in flows.items() if i and n}
    clean = row.variation == 0 and row.gain_now == 0 and row.gain_previous == 0
    return clean and row.cash == flows.get(0, 0) and dict(row.positions) == spot


def I11_layers_hold_money(world: World) -> bool:
    """No layer of the waterfall is below zero: money came in before it went out."""
    waterfall = int(world.addresses["waterfall"], 16)
    rows = world.ledger.accounts.rows.items()
    return all(row.cash >= 0 for account, row in rows if owner_of(account) == waterfall)


def I11_layers_pay_in_order(
    paid: Sequence[tuple[int, int]], cash: Sequence[int], insurance_left: int
) -> bool:
    """Payments (layer, account) of one transaction came in order, each layer used up first.

    ``cash`` is what the layers hold afterwards; insurance counts as used up at its hourly cap.
    """
    for (layer, account), (following, other) in pairwise(paid):
        if account == other and following <= layer:
            return False
    last = max((layer for layer, _ in paid), default=0)
    empty = (cash[0] == 0, min(cash[1], insurance_left) == 0)
    return last <= 3 and all(empty[: max(last - 1, 0)])


def I12_same_state_same_hash(world: World) -> bool:
    """The state hash depends on the rows alone, not on the order in which they were written."""
    again = Store()
    for name, table in reversed(world.store.tables.items()):
        copy: Any = again.table(name, table.default)
        copy.rows = dict(reversed(table.rows.items()))
    return again.state_hash() == world.store.state_hash()


def I13_rejection_changes_nothing(before: str, after: str) -> bool:
    """The state hash is the same on both sides of a rejected command."""
    return before == after


def I14_pause_refuses_increases_only(held: Sequence[int], changes: Sequence[int]) -> bool:
    """A trade refused for the pause reduced neither side (held lots and change, by side)."""
    pairs = zip(held, changes, strict=True)
    return not any(lots * change < 0 and abs(change) <= abs(lots) for lots, change in pairs)


def I15_positions_bounded(world: World) -> bool:
    """No account holds more positions than can be valued and sold in one transaction."""
    rows = world.ledger.accounts.rows.values()
    return all(len(row.positions) <= limits.POSITIONS_PER_ACCOUNT_MAX for row in rows)


def I15_fits_in_a_transaction(gas_used: int) -> bool:
    """A bid used no more gas than one transaction may on mainnet (2**24, EIP-7825)."""
    return gas_used <= TRANSACTION_GAS_MAX


def _held(world: World) -> list[Account]:
    return [row for row in world.ledger.accounts.rows.values() if row.positions]


def _undated(world: World) -> list[Account]:
    return [row for row in _held(world) if not any(is_dated(i) for i, _ in row.positions)]


def _valuation(world: World, row: Account) -> margin.Valuation:
    return margin.evaluate(world, dict(row.positions))


STATE: dict[str, Callable[[World], bool]] = {
    "I01": I01_custody_equals_claims,
    "I02": I02_lots_sum_to_zero,
    "I06": I06_funding_sums_to_zero,
    "I07": I07_integer_margin_covers_exact,
    "I08": I08_netting_never_costs,
    "I11": I11_layers_hold_money,
    "I12": I12_same_state_same_hash,
    "I15": I15_positions_bounded,
}


def check_all(world: World) -> dict[str, bool]:
    """Every invariant that a state alone can break; the others are judged on transitions."""
    return {name: predicate(world) for name, predicate in STATE.items()}
