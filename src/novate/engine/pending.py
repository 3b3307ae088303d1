"""The open batch: matches judged exactly as the Clearinghouse will judge them when the batch
settles.

The contract nets a batch and gates each touched account once, at the batch's oracle round. So a
match is admitted iff both its accounts pass that gate with everything the batch holds for them so
far plus this match; the last judgement of an account in the batch is then the contract's own, and
no fill is skipped there.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace

from novate import errors
from novate.engine.admission import Budgets
from novate.engine.judge import Judge
from novate.errors import Error, Rejected, require
from novate.limits import POSITIONS_PER_ACCOUNT_MAX
from novate.model import ledger, novation
from novate.model.account import Account, load
from novate.model.novation import Batch, Net, Trade
from novate.model.state import World
from novate.wire import bulk


@dataclass(frozen=True, slots=True)
class Judgement:
    """Why a side fails, or nothing."""

    taker: Error | None = None
    maker: Error | None = None

    @property
    def admits(self) -> bool:
        """Whether the match stands."""
        return self.taker is None and self.maker is None


@dataclass(frozen=True, slots=True)
class Proposal:
    """A match before it is judged; price in wad, fees in wad, lots positive."""

    taker_account: int
    maker_account: int
    instrument: int
    taker_buys: bool
    lots: int
    price: int
    fee_taker: int
    fee_maker: int
    taker_reduce_only: bool
    maker_reduce_only: bool


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

    def row(self, world: World, account: int) -> Account:
        """An account as it is now: loaded, with what the batch holds for it."""
        if account not in self.batch.accounts:
            return load(world, world.ledger.accounts[account])[0]
        index = self.batch.accounts.index(account)
        return self.rows.get(index, self.batch.loaded[index][0])

    def keep(self, world: World, proposal: Proposal) -> None:
        """Take in a match that was admitted before."""
        trade = self._trade(world, proposal)
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

    def _trade(self, world: World, proposal: Proposal) -> Trade:
        batch = self.batch
        return Trade(
            taker=batch.add_account(world, proposal.taker_account),
            maker=batch.add_account(world, proposal.maker_account),
            instrument=batch.add_instrument(world, proposal.instrument),
            taker_buys=proposal.taker_buys,
            lots=proposal.lots,
            price=proposal.price,
            fee_taker=proposal.fee_taker,
            fee_maker=proposal.fee_maker,
            taker_reduce_only=proposal.taker_reduce_only,
            maker_reduce_only=proposal.maker_reduce_only,
        )

    def admit(self, judge: Judge, proposal: Proposal) -> Judgement:
        """Judge a match and, if both sides pass, keep it."""
        batch, world = self.batch, judge.world
        trade = self._trade(world, proposal)
        paused = world.now < world.ledger.config.paused_until
        found = novation.fault(batch, self.net, trade, paused)
        if found is not None:
            return self._blame(trade, found)
        signed = trade.lots if trade.taker_buys else -trade.lots
        risen = self._interest(trade.taker, trade.instrument, signed)
        risen += self._interest(trade.maker, trade.instrument, -signed)
        change = self.interest.get(trade.instrument, 0) + risen
        crowded = change > 0 and change > batch.listings[trade.instrument].room
        if crowded and not any(novation.reductions(batch, self.net, trade)):
            return Judgement(taker=errors.OpenInterestCap)
        alone = Net()
        novation.add_trade(batch, alone, trade)
        taker = self._after(judge, alone, trade, trade.taker, signed)
        maker = self._after(judge, alone, trade, trade.maker, -signed)
        if isinstance(taker, Account) and isinstance(maker, Account):
            self._take_in(trade, change, taker, maker)
            judge.filled(proposal.taker_account, proposal.instrument, signed, taker)
            judge.filled(proposal.maker_account, proposal.instrument, -signed, maker)
            return Judgement()
        return Judgement(
            None if isinstance(taker, Account) else taker,
            None if isinstance(maker, Account) else maker,
        )

    def _take_in(self, trade: Trade, interest: int, taker: Account, maker: Account) -> None:
        """The match stands: ``interest`` is what its instrument's open interest has risen by."""
        self.batch.trades.append(trade)
        novation.add_trade(self.batch, self.net, trade)
        self.interest[trade.instrument] = interest
        self.rows[trade.taker], self.rows[trade.maker] = taker, maker

    def _interest(self, index: int, position: int, lots: int) -> int:
        """What one side's lots more add to the open interest, which counts long lots."""
        instrument = self.batch.instruments[position]
        held = _held(self.batch.loaded[index][0], instrument)
        held += self.net.lots.get((index, position), 0)
        return max(held + lots, 0) - max(held, 0)

    def _after(
        self, judge: Judge, alone: Net, trade: Trade, index: int, lots: int
    ) -> Account | Error:
        """An account's row with one match more, which ``alone`` holds; or why it may not."""
        try:
            after = self._applied(alone, trade, index, lots)
        except Rejected as rejected:
            return rejected.error
        account, start = self.batch.accounts[index], self.batch.loaded[index][0]
        now, instrument = self.rows.get(index, start), self.batch.instruments[trade.instrument]
        passes = judge.passes(account, start, now, instrument, lots, after)
        return after if passes else errors.InsufficientMargin

    def _applied(self, alone: Net, trade: Trade, index: int, lots: int) -> Account:
        """``novation.applied`` with one match more: from the row before it, as nothing else of the
        account has changed; from the batch's beginning where the number of positions could matter,
        which depends on their order. Errors: those of ``novation.applied``.
        """
        start = self.batch.loaded[index][0]
        now = self.rows.get(index, start)
        if len(now.positions) + len(self.batch.instruments) > POSITIONS_PER_ACCOUNT_MAX:
            net = self.net
            trial = Net(dict(net.lots), dict(net.variation), dict(net.paid))
            novation.add_trade(self.batch, trial, trade)
            return novation.applied(self.batch, trial, index)
        require(not start.in_auction, errors.InAuction)
        position, instrument = trade.instrument, self.batch.instruments[trade.instrument]
        held, change = _held(start, instrument), self.net.lots.get((index, position), 0) + lots
        after = ledger.change_lots(now, instrument, lots)
        grows = abs(held + change) > abs(held)
        within = abs(held + change) <= self.batch.listings[position].terms.position_cap
        require(within or not grows, errors.PositionCap)
        cash = now.cash - alone.paid[index]
        return replace(after, cash=cash, variation=now.variation + alone.variation[index])

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


def _held(row: Account, instrument: int) -> int:
    """Lots of a position; 0 if there is none."""
    return next((lots for one, lots in row.positions if one == instrument), 0)


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
        if digest not in self.orders:
            self.orders.add(digest)
            roots, wallets = bulk.roots_and_wallets((signature,))
            self.roots |= roots
            self.wallets += wallets

    def blobs(self, signatures: Collection[bytes] = ()) -> int:
        """How many blobs its orders' signatures take, with these of others."""
        if not signatures:
            return bulk.blobs_of(len(self.roots), self.wallets)
        roots, wallets = bulk.roots_and_wallets(signatures)
        return bulk.blobs_of(len(self.roots | roots), self.wallets + wallets)
