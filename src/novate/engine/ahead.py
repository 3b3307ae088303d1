"""What the engine's world holds beyond the chain, and how it is rebased.

The world of a sequencer is the chain's confirmed state plus what is still on its way there: oracle
rounds and closed batches, in the order in which the engine took them. Owns: that order, and the
writes each part made. When the chain moves (our batch, or anybody's transaction) the writes on top
are taken back, the transaction is applied to exactly the state that the chain applied it to, and
what is still on its way is applied again: a fill that the chain would now skip is skipped here too.
When blocks leave the chain, their writes are taken back as well, what they had confirmed is on its
way once more, and what they had refused counts no longer. Nobody else's transaction can therefore
stop the engine, and none can make it believe that a batch has settled: that is read from the
sequences which the Exchange has marked.

Costs are proportional to the writes on top of the chain, not to the state. Time in seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from novate import errors
from novate.errors import require
from novate.model.state import World
from novate.model.store import Write
from novate.wire.records import AnyRecord, BatchClosed, Busted, ChainTransaction, OracleRound

REORG_BLOCKS_MAX = 64
REVERTS_MAX = 3
SKIPS_MAX = 16
PATIENCE_S = 300  # longer than an outage's staleness and the grace after it
# What no later round and no other block cures.
FINAL = frozenset(
    error.code
    for error in (
        errors.OrderExpired,
        errors.OrderCancelled,
        errors.OutlivesInstrument,
        errors.NonceUsed,
        errors.StaleRevision,
        errors.OverFilled,
        errors.BatchReverted,
    )
)


@dataclass(frozen=True, slots=True)
class Pending:
    """A closed batch: (taker, maker, lots, price) of its matches; the blocks in which the chain has
    skipped them, and those in which it has reverted the whole transaction.
    """

    first_sequence: int
    fills: tuple[tuple[bytes, bytes, int, int], ...]
    skips: tuple[int, ...] = ()
    reverts: tuple[int, ...] = ()

    def without(self, first_block: int) -> Pending:
        """The same where blocks from ``first_block`` on have not been."""
        return replace(
            self,
            skips=tuple(block for block in self.skips if block < first_block),
            reverts=tuple(block for block in self.reverts if block < first_block),
        )


@dataclass(frozen=True, slots=True)
class Parked:
    """A fill that the chain has skipped and that would not settle now either: the block that
    skipped it first since it was sent last, and that block's second.
    """

    batch: Pending
    block: int
    since: int


@dataclass(frozen=True, slots=True)
class Step:
    """Something on its way to the chain, and the engine's second when it was applied."""

    now: int
    what: OracleRound | Pending


@dataclass(frozen=True, slots=True)
class Past:
    """What one transaction of the chain wrote, which steps arrived with it, and what was parked
    until it settled that: by its receipt, by anybody.
    """

    block: int
    now_before: int
    writes: tuple[Write, ...]
    arrived: tuple[Step, ...]
    released: tuple[Parked, ...]


@dataclass(slots=True)
class Lifted:
    """The steps are off the world while the chain moves: the rows they had written, the second, and
    what the chain has written since.
    """

    rows: dict[tuple[str, Any], Any]
    now: int
    told: list[Write] = field(default_factory=list)


@dataclass(slots=True)
class AheadState:
    """All that a snapshot must hold: the chain's second, steps with their writes, recent past.

    No block up to ``floor`` can be taken back any more. ``parked`` is by sequence. ``lifted``: in
    the middle of a block.
    """

    now: int = 0
    steps: list[Step] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)
    past: list[Past] = field(default_factory=list)
    floor: int = 0
    parked: dict[int, Parked] = field(default_factory=dict)
    lifted: Lifted | None = None


# (taker, maker, lots, price) settle from a sequence on: bitmap of the settled, code of a skip.
Settle = Callable[[Pending], tuple[int, int]]
ApplyRound = Callable[[World, OracleRound], None]
ApplyTransaction = Callable[[World, ChainTransaction], None]
# The (first sequence, count) of a batch that our executor sent; None for anything else.
ReadSent = Callable[[ChainTransaction], tuple[int, int] | None]


class Ahead:
    """The steps that a world is ahead of its chain."""

    def __init__(
        self,
        world: World,
        executor: str,
        apply_round: ApplyRound,
        apply_transaction: ApplyTransaction,
        settle: Settle,
    ) -> None:
        self.world = world
        self.state = AheadState(now=world.now)
        self._executor = executor
        self._apply_round = apply_round
        self._apply_transaction = apply_transaction
        self._settle = settle

    # The engine's own

    def add_round(self, record: OracleRound) -> None:
        """Apply a round that is not on the chain yet. Errors: those of the oracle."""
        with self.world.store.recorded() as writes:
            self._apply_round(self.world, record)
        self.state.writes += writes
        self.state.steps.append(Step(self.world.now, record))
        self.world.take_events()

    def add_batch(self, batch: Pending) -> int:
        """Apply a closed batch as the contract will; the bitmap of what settles."""
        with self.world.store.recorded() as writes:
            settled, _ = self._settle(batch)
        self.state.writes += writes
        self.state.steps.append(Step(self.world.now, batch))
        return settled

    # The chain's

    def follow(
        self, record: ChainTransaction, sent: tuple[int, int] | None
    ) -> tuple[bool, list[AnyRecord]]:
        """Take in the chain's next transaction; behind the last of its block, ``rest``."""
        state, world = self.state, self.world
        lifted = self._lift()
        with world.store.recorded() as writes:
            self._apply_transaction(world, record)
        world.take_events()
        lifted.told += writes
        arrived, unsettled = self._arrivals(sent, record)
        released = self._released()
        state.past.append(
            Past(record.block, state.now, tuple(writes), tuple(arrived), tuple(released))
        )
        state.now = record.timestamp
        self._forget(record.block)
        for batch in unsettled:
            new = Parked(batch, record.block, record.timestamp)
            old = state.parked.get(batch.first_sequence, new)
            state.parked[batch.first_sequence] = replace(old, batch=batch)
        return (False, []) if record.more else self.rest()

    def rest(self) -> tuple[bool, list[AnyRecord]]:
        """Put the steps on the world again: whether anything is otherwise than the world held it
        before, and the events of ``retry``. Once a block, so that one full of our batches costs
        each step's application once.
        """
        lifted = self.state.lifted
        if lifted is None:
            return False, []
        self.state.lifted = None
        self._apply_again()
        self.world.now = max(lifted.now, self.state.now)
        events = self.retry()
        return self._moved(lifted), events

    def retry(self) -> list[AnyRecord]:
        """Judge the parked fills again: batches of one for those that would settle now, and what is
        given up because it waited too long, failed too often, or can settle no more.
        """
        parked, self.state.parked = self.state.parked, {}
        events: list[AnyRecord] = []
        for sequence, held in parked.items():
            if self.world.exchange.sequences[self._executor, sequence]:
                continue  # on its way in another batch
            error = self._judge_again(held.batch)
            if error is None:
                number = self.world.oracle.statuses[0].round
                events.append(BatchClosed(sequence, 1, number, self.world.now))
            elif error in FINAL or self.world.now - held.since > PATIENCE_S:
                events.append(Busted(sequence, error))
            else:
                self.state.parked[sequence] = held
        return events

    def leave(self, first_block: int) -> tuple[bool, list[AnyRecord]]:
        """Blocks from ``first_block`` on have left the chain; as ``rest``. What they left out is no
        longer parked: its batch is on its way again. Errors: ReorgTooDeep.
        """
        world, state = self.world, self.state
        require(first_block > state.floor, errors.ReorgTooDeep)
        lifted = self._lift()
        told = {(name, key) for name, key, *_ in lifted.told}
        arrived: list[Step] = []
        parked = list(state.parked.values())
        while state.past and state.past[-1].block >= first_block:
            past = state.past.pop()
            for name, key, *_ in past.writes:
                if (name, key) not in told:
                    lifted.rows.setdefault((name, key), world.store.tables[name][key])
            world.store.revert(past.writes)
            arrived = [*past.arrived, *arrived]
            parked = [*past.released, *parked]
            state.now = past.now_before
        state.steps = [_without(step, first_block) for step in arrived + state.steps]
        state.parked = {
            held.batch.first_sequence: replace(held, batch=held.batch.without(first_block))
            for held in parked
            if held.block < first_block
        }
        return self.rest()

    def orders_held(self) -> set[bytes]:
        """The digests of what is on its way, may come back, or is parked."""
        state = self.state
        arrived = (step for past in state.past for step in past.arrived)
        batches = [step.what for step in (*state.steps, *arrived) if isinstance(step.what, Pending)]
        batches += [held.batch for past in state.past for held in past.released]
        batches += [held.batch for held in state.parked.values()]
        return {digest for batch in batches for fill in batch.fills for digest in fill[:2]}

    def confirmed_hash(self) -> str:
        """The state hash of the chain's own state, without the steps."""
        writes = list(self.state.writes)
        try:
            with self.world.store.transaction():
                self.world.store.revert(writes)
                found = self.world.store.state_hash()
                raise _Measured(found)
        except _Measured as measured:
            return measured.found

    # Parts

    def _lift(self) -> Lifted:
        """Take the steps' writes back: the world is the chain's own, at its own second."""
        if self.state.lifted is None:
            tables, writes = self.world.store.tables, self.state.writes
            rows = {(name, key): tables[name][key] for name, key, *_ in writes}
            self.state.lifted = Lifted(rows, self.world.now)
            self.world.store.revert(writes)
            self.state.writes = []
            self.world.now = self.state.now
        return self.state.lifted

    def _apply_again(self) -> None:
        """Apply the steps on what the chain holds now; what it would refuse has no effect."""
        steps, self.state.steps = self.state.steps, []
        for step in steps:
            self.world.now = max(step.now, self.state.now)
            if isinstance(step.what, Pending):
                self.add_batch(step.what)
            else:
                self._round_again(step.what)
            self.state.steps[-1] = step

    def _round_again(self, record: OracleRound) -> None:
        try:
            self.add_round(record)
        except errors.Rejected:  # the nodes or limits changed: the chain will refuse it, too
            self.state.steps.append(Step(self.world.now, record))

    def _arrivals(
        self, sent: tuple[int, int] | None, record: ChainTransaction
    ) -> tuple[list[Step], list[Pending]]:
        """Take the steps out that the chain holds now; fills of the batch that did not settle.

        After a reorganisation a batch and what was resent of it may both be on their way: one
        arrival is that of all with its number and count.
        """
        known = self.world.oracle.statuses[0].round
        arrived: list[Step] = []
        kept: list[Step] = []
        unsettled: dict[int, Pending] = {}
        for step in self.state.steps:
            what = step.what
            if isinstance(what, OracleRound):
                (arrived if what.round <= known else kept).append(step)
                continue
            open_fills = self._unsettled(what, record)
            if sent == (what.first_sequence, len(what.fills)):
                arrived.append(step)
                unsettled |= {one.first_sequence: one for one in open_fills}
            else:
                (kept if open_fills else arrived).append(step)
        self.state.steps = kept
        return arrived, list(unsettled.values())

    def _unsettled(self, batch: Pending, record: ChainTransaction) -> list[Pending]:
        """The fills that the Exchange has not marked, one by one, as they would be sent again."""
        marked = self.world.exchange.sequences
        skips, reverts = batch.skips, batch.reverts
        if record.succeeded:
            skips += (record.block,)
        else:
            reverts += (record.block,)
        return [
            Pending(batch.first_sequence + index, (fill,), skips, reverts)
            for index, fill in enumerate(batch.fills)
            if not marked[self._executor, batch.first_sequence + index]
        ]

    def _released(self) -> list[Parked]:
        """Take out of what is parked what the chain has settled meanwhile."""
        marked, parked = self.world.exchange.sequences, self.state.parked
        found = [number for number in parked if marked[self._executor, number]]
        return [parked.pop(number) for number in found]

    def _judge_again(self, batch: Pending) -> int | None:
        """Apply a single fill if it would settle now; else the code of what bars it."""
        if len(batch.reverts) > REVERTS_MAX or len(batch.skips) > SKIPS_MAX:
            return errors.BatchReverted.code
        with self.world.store.recorded() as writes:
            settled, code = self._settle(batch)
        if settled:
            self.state.writes += writes
            self.state.steps.append(Step(self.world.now, batch))
            return None
        self.world.store.revert(writes)
        return code

    def _forget(self, block: int) -> None:
        """Drop the past that no reorganisation reaches."""
        past = self.state.past
        while past and past[0].block <= block - REORG_BLOCKS_MAX:
            self.state.floor = past.pop(0).block

    def _moved(self, lifted: Lifted) -> bool:
        """Whether a row or the second differs from what the world held before it was lifted."""
        tables = self.world.store.tables
        held = dict(lifted.rows)
        for name, key, row, existed in [*lifted.told, *self.state.writes]:
            held.setdefault((name, key), row if existed else tables[name].default)
        changed = any(tables[name][key] != row for (name, key), row in held.items())
        return changed or self.world.now != lifted.now


def _without(step: Step, first_block: int) -> Step:
    if isinstance(step.what, Pending):
        return replace(step, what=step.what.without(first_block))
    return step


class _Measured(Exception):
    """Ends a look at the confirmed state."""

    def __init__(self, found: str) -> None:
        super().__init__()
        self.found = found
