"""The open batch: matches judged exactly as the Clearinghouse will judge them when the batch
settles.

The contract nets a batch and gates each touched account once, at the batch's oracle round. So a
match is admitted iff both its accounts pass that gate with everything the batch holds for them so
far plus this match; the last judgement of an account in the batch is then the contract's own, and
no fill is skipped there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from novate import errors
from novate.engine.admission import Budgets
from novate.engine.judge import Judge
from novate.errors import Error, Rejected
from novate.model import novation
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
    with all that the batch holds for them, where it holds anything.
    """

    batch: Batch = field(default_factory=Batch)
    net: Net = field(default_factory=Net)
    rows: dict[int, Account] = field(default_factory=dict)

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
        reductions = any(novation.reductions(batch, self.net, trade))
        trial = Net(dict(self.net.lots), dict(self.net.variation), dict(self.net.paid))
        novation.add_trade(batch, trial, trade)
        if not reductions and trade.instrument in novation.over_cap(batch, trial):
            return Judgement(taker=errors.OpenInterestCap)
        signed = trade.lots if trade.taker_buys else -trade.lots
        taker = self._after(judge, trial, trade.taker, proposal.instrument, signed)
        maker = self._after(judge, trial, trade.maker, proposal.instrument, -signed)
        if isinstance(taker, Account) and isinstance(maker, Account):
            batch.trades.append(trade)
            self.net = trial
            self.rows[trade.taker], self.rows[trade.maker] = taker, maker
            judge.filled(proposal.taker_account, proposal.instrument, signed, taker)
            judge.filled(proposal.maker_account, proposal.instrument, -signed, maker)
            return Judgement()
        return Judgement(
            None if isinstance(taker, Account) else taker,
            None if isinstance(maker, Account) else maker,
        )

    def _after(
        self, judge: Judge, net: Net, index: int, instrument: int, lots: int
    ) -> Account | Error:
        """An account's row with one match more, which ``net`` holds; or why it may not have it."""
        try:
            after = novation.applied(self.batch, net, index)
        except Rejected as rejected:
            return rejected.error
        account, start = self.batch.accounts[index], self.batch.loaded[index][0]
        now = self.rows.get(index, start)
        passes = judge.passes(account, start, now, instrument, lots, after)
        return after if passes else errors.InsufficientMargin

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

    def blobs(self, signatures: Iterable[bytes] = ()) -> int:
        """How many blobs its orders' signatures take, with these of others."""
        roots, wallets = bulk.roots_and_wallets(signatures)
        return bulk.blobs_of(len(self.roots | roots), self.wallets + wallets)
