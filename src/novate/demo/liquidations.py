"""What the demo's keepers do each minute: open auctions of who is short, bid for what is open; and
each hour: pay the fees into insurance and reserves, as anybody may.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from novate.demo.recorder import Recorder
from novate.demo.venue import Venue
from novate.model import ledger
from novate.services.keeper import Bid, Keeper
from novate.services.replica import Outcome

AUCTION_AFTER_S = 5
BID_AFTER_S = 30
FEES_EVERY = 60  # minutes
# account, its check and its positions when the transaction was sent
Sent = tuple[int, ledger.Check, tuple[tuple[int, int], ...]]


@dataclass(slots=True)
class Totals:
    """Counts of one run."""

    orders: int = 0
    matched: int = 0
    settled: int = 0
    busted: int = 0
    batches: int = 0
    liquidated: set[int] = field(default_factory=set)
    insolvent: int = 0
    bad_debt: int = 0
    skipped_rounds: int = 0
    gas: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Liquidations:
    """The keepers at work, over one run."""

    venue: Venue
    keepers: list[Keeper]
    recorder: Recorder
    totals: Totals

    def pay_fees(self, step: int) -> None:
        """Once an hour, in a block of its own."""
        if step % FEES_EVERY == FEES_EVERY - 1:
            self._distribute(self.venue.now + 1)

    def pay_last_fees(self) -> None:
        """What has come in since, once everything has settled."""
        self._distribute(self.venue.now + 10)
        self.recorder.end(self.venue)

    def _distribute(self, ts: int) -> None:
        self.venue.clearinghouse.send("distribute_fees", key=self.keepers[0].key)
        self.venue.mine(ts)

    def step(self, ts: int) -> None:
        """Open auctions some seconds after the round, bid in a later block, and record both."""
        venue, world = self.venue, self.venue.replica.world
        world.now = ts + AUCTION_AFTER_S
        opened = self.keepers[0].liquidatable(world)
        for turn, account in enumerate(opened):
            keeper = self.keepers[turn % len(self.keepers)]
            venue.auctioneer.send("start", account.to_bytes(32, "big"), key=keeper.key)
        if opened:
            venue.mine(ts + AUCTION_AFTER_S)
            self.totals.liquidated |= set(opened)
            self.totals.insolvent += sum(ledger.check(world, a).equity <= 0 for a in opened)
        world.now = ts + BID_AFTER_S
        open_auctions = [a for a, at in world.liquidation.auctions.items() if at]
        sent: list[Sent] = []
        for turn, account in enumerate(open_auctions):
            check = ledger.check(world, account)
            if check.equity >= check.valuation.margin_maintenance:
                venue.auctioneer.send("end", account.to_bytes(32, "big"), key=self.keepers[0].key)
                sent.append((account, check, ()))
                continue
            for offset in range(len(self.keepers)):
                keeper = self.keepers[(turn + offset) % len(self.keepers)]
                bid = keeper.choose(world, account)
                if bid is None:
                    continue
                self._bid(keeper, account, bid)
                held = world.ledger.accounts[account].positions
                sent.append((account, check, held))
                break
        if sent:
            outcomes = venue.mine(ts + BID_AFTER_S)
            self._record_bids(outcomes, sent)

    def _bid(self, keeper: Keeper, account: int, bid: Bid) -> None:
        self.venue.auctioneer.send(
            "bid",
            account.to_bytes(32, "big"),
            keeper.account.to_bytes(32, "big"),
            bid.fraction_ppm,
            bid.health_min_ppm,
            bid.reward_min,
            key=keeper.key,
        )

    def _record_bids(self, outcomes: list[Outcome], sent: list[Sent]) -> None:
        for outcome, (account, check, held) in zip(outcomes, sent, strict=True):
            if outcome.function == "bid" and outcome.succeeded:
                self.recorder.liquidation(self.venue, account, outcome, check, held)
            for event in outcome.events:
                if event.name == "WrittenOff":
                    self.totals.bad_debt += event.arguments["deficit"]
