"""The open batch: matches judged exactly as the Clearinghouse will judge them when the batch
settles.

The contract nets a batch and gates each touched account once, at the batch's oracle round. So a
match is admitted iff both its accounts pass that gate with everything the batch holds for them so
far plus this match; the last judgement of an account in the batch is then the contract's own, and
no fill is skipped there.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from novate import errors
from novate.engine.admission import Budgets
from novate.engine.judge import Judge
from novate.errors import Error, Rejected, require
from novate.limits import POSITIONS_PER_ACCOUNT_MAX
from novate.model import novation
from novate.model.account import Account, changed_positions, load
from novate.model.novation import Batch, Net, Side, Trade
from novate.model.option_series import ROOM_MAX
from novate.model.order import REDUCE_ONLY, Order
from novate.model.state import World
from novate.wire import bulk
from novate.wire.bulk import COMPACT_BYTES


@dataclass(frozen=True, slots=True)
class Judgement:
    """Why a side fails, or nothing."""

    taker: Error | None = None
    maker: Error | None = None

    @property
    def admits(self) -> bool:
        """Whether the match stands."""
        return self.taker is None and self.maker is None


@dataclass(slots=True)
class PendingBatch:
    """Matches of the open batch over the world it began in; ``rows`` are its accounts, by index,
    with all that the batch holds for them, where it holds anything; ``interest`` is what the open
    interest of its instruments, by index, has risen by.
    """

    batch: Batch = field(default_factory=Batch)
    net: Net = field(default_factory=Net)
    rows: dict[int, Account] = field(default_factory=dict)
    interest: dict[int, int] = field(default_factory=dict)

    def keep(self, trade: Trade) -> None:
        """Take in a match that was admitted before."""
        novation.add_trade(self.batch, self.net, trade)
        self.batch.trades.append(trade)
        for index in (trade.taker, trade.maker):
            self.rows[index] = novation.applied(self.batch, self.net, index)
        self.recount()

    def recount(self) -> None:
        """Count again by what the open interest has risen."""
        self.interest = {}
        for (index, position), lots in self.net.lots.items():
            held = _held(self.batch.loaded[index][0], self.batch.instruments[position])
            risen = max(held + lots, 0) - max(held, 0)
            self.interest[position] = self.interest.get(position, 0) + risen

    def trade(
        self, rows: Rows, taker: Order, maker: Order, lots: int, price: int, paid: tuple[int, int]
    ) -> Trade:
        """The trade of two orders as this batch has it, whose ``rows`` those are; ``paid``: the
        taker's and the maker's fee. Price and fees in wad, lots positive.
        """
        return Trade(
            rows.added(taker.account),
            rows.added(maker.account),
            self.batch.add_instrument(rows.world, taker.instrument),
            taker.lots > 0,
            lots,
            price,
            *paid,
            bool(taker.flags & REDUCE_ONLY),
            bool(maker.flags & REDUCE_ONLY),
        )

    def admit(self, judge: Judge, trade: Trade) -> Judgement:
        """Judge a match and, if both sides pass, keep it."""
        batch, world, position = self.batch, judge.world, trade.instrument
        paused = world.now < world.ledger.config.paused_until
        found = novation.fault(batch, self.net, trade, paused)
        if found is not None:
            return self._blame(trade, found)
        listing, instrument = batch.listings[position], batch.instruments[position]
        both = novation.sides(listing, trade)
        change = self.interest.get(position, 0)
        for index, lots, _, _ in both:
            held = _held(self.row(index), instrument)
            change += max(held + lots, 0) - max(held, 0)  # open interest counts long lots
        crowded = change > 0 and change > listing.room
        if not crowded and listing.shared < ROOM_MAX:
            crowded = position in novation.crowded(batch, {**self.interest, position: change})
        if crowded and not any(novation.reductions(batch, self.net, trade)):
            return OVER_INTEREST
        taker, maker = self._after(judge, trade, both[0]), self._after(judge, trade, both[1])
        if not isinstance(taker, Account) or not isinstance(maker, Account):
            return Judgement(
                None if isinstance(taker, Account) else taker,
                None if isinstance(maker, Account) else maker,
            )
        batch.trades.append(trade)
        novation.add_sides(self.net, position, both)
        self.interest[position] = change
        for (index, lots, _, _), after in zip(both, (taker, maker), strict=True):
            judge.filled(batch.accounts[index], instrument, lots, self.row(index), after)
            self.rows[index] = after
        return ADMITTED

    def row(self, index: int) -> Account:
        """An account with all that the batch holds for it."""
        found = self.rows.get(index)
        return self.batch.loaded[index][0] if found is None else found

    def _after(self, judge: Judge, trade: Trade, side: Side) -> Account | Error:
        """An account's row with one match more; or why it may not."""
        index, lots, _, _ = side
        try:
            after = self._applied(trade, side)
        except Rejected as rejected:
            return rejected.error
        account, start = self.batch.accounts[index], self.batch.loaded[index][0]
        instrument = self.batch.instruments[trade.instrument]
        passes = judge.passes(account, start, self.row(index), instrument, lots, after)
        return after if passes else errors.InsufficientMargin

    def _applied(self, trade: Trade, side: Side) -> Account:
        """``novation.applied`` with one match more: from the row before it, as nothing else of the
        account has changed; from the batch's beginning where the number of positions could matter,
        which depends on their order. Errors: those of ``novation.applied``.
        """
        index, lots, variation, paid = side
        batch, now = self.batch, self.row(index)
        if len(now.positions) + len(batch.instruments) > POSITIONS_PER_ACCOUNT_MAX:
            net = self.net
            trial = Net(dict(net.lots), dict(net.variation), dict(net.paid))
            novation.add_trade(batch, trial, trade)
            return novation.applied(batch, trial, index)
        start, instrument = batch.loaded[index][0], batch.instruments[trade.instrument]
        require(not start.in_auction, errors.InAuction)
        positions = changed_positions(now.positions, instrument, lots)
        after = _held(now, instrument) + lots
        if abs(after) > batch.listings[trade.instrument].terms.position_cap:
            require(abs(after) <= abs(_held(start, instrument)), errors.PositionCap)
        return Account(
            now.cash - paid,
            now.variation + variation,
            now.checkpoint,
            now.gain_now,
            now.gain_previous,
            now.epoch,
            now.flags,
            positions,
        )

    def _blame(self, trade: Trade, found: Error) -> Judgement:
        """A faulty match is the maker's doing only where its own reduce-only order no longer
        reduces.
        """
        if found is errors.ReduceOnly and (trade.taker_reduce_only or trade.maker_reduce_only):
            taker, maker = novation.reductions(self.batch, self.net, trade)
            return Judgement(
                None if taker or not trade.taker_reduce_only else found,
                None if maker or not trade.maker_reduce_only else found,
            )
        if found is errors.PriceOutOfBand:
            return Judgement(maker=found)
        return Judgement(taker=found)


class Rows:
    """Accounts as they are now, found by their number; nothing that is not in world and batch. One
    that nothing was written to is the same object again.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self._loaded: dict[int, Account] = {}  # those that the batch has not
        self._version = self._second = -1
        self.begin(PendingBatch())

    def begin(self, pending: PendingBatch) -> None:
        """This is the open batch now."""
        self._pending, self._accounts = pending, pending.batch.accounts
        self._places: dict[int, int] = {}  # of its accounts

    def place(self, account: int) -> int | None:
        """The index of an account in the batch, if it has one."""
        places, accounts = self._places, self._accounts
        for index in range(len(places), len(accounts)):
            places[accounts[index]] = index
        return places.get(account)

    def added(self, account: int) -> int:
        """The index of an account in the batch, which takes it in on first sight."""
        index = self.place(account)
        if index is None:
            index = self._pending.batch.add_account(self.world, account)
        return index

    def row(self, account: int) -> Account:
        """An account, loaded, with what the open batch holds for it."""
        index = self.place(account)
        if index is not None:
            return self._pending.row(index)
        world = self.world
        if self._version != world.store.version or self._second != world.now:
            self._version, self._second = world.store.version, world.now
            self._loaded.clear()
        found = self._loaded.get(account)
        if found is None:
            found = self._loaded[account] = load(world, world.ledger.accounts[account])[0]
        return found


ADMITTED, OVER_INTEREST = Judgement(), Judgement(taker=errors.OpenInterestCap)


def _held(row: Account, instrument: int) -> int:
    """Lots of a position; 0 if there is none."""
    for one, lots in row.positions:
        if one == instrument:
            return lots
    return 0


@dataclass(slots=True)
class OpenBatch:
    """The open batch and what it holds; ``roots`` and ``wallets`` are what its orders' signatures
    take blobs for.
    """

    pending: PendingBatch = field(default_factory=PendingBatch)
    first_sequence: int = 0
    count: int = 0
    orders: set[bytes] = field(default_factory=set)
    fills: list[tuple[bytes, bytes, int, int]] = field(default_factory=list)
    budgets: Budgets = field(default_factory=Budgets)
    roots: set[bytes] = field(default_factory=set)
    wallets: int = 0

    def add(self, digest: bytes, signature: bytes) -> None:
        """One order more, unless it is there."""
        if digest in self.orders:
            return
        self.orders.add(digest)
        if len(signature) != COMPACT_BYTES:
            roots, wallets = bulk.roots_and_wallets((signature,))
            self.roots |= roots
            self.wallets += wallets

    def blobs(self, signatures: Collection[bytes] = ()) -> int:
        """How many blobs its orders' signatures take, with these of others."""
        others = [signature for signature in signatures if len(signature) != COMPACT_BYTES]
        if not others:
            return bulk.blobs_of(len(self.roots), self.wallets)
        roots, wallets = bulk.roots_and_wallets(others)
        return bulk.blobs_of(len(self.roots | roots), self.wallets + wallets)
