"""A liquidation keeper: watches margins with the model, opens auctions, bids with its own money.

Anyone can run one. It bids when the reward is worth the risk it takes over: the discount must beat
``edge_ppm`` of the slice's maintenance margin, and the slice must leave it within ``budget_ppm`` of
its equity. What it bought it trades away afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass

from eth_account.signers.local import LocalAccount

from novate.errors import Rejected
from novate.model import ledger, liquidation
from novate.model.account import owner_of
from novate.model.state import World
from novate.units import PPM


@dataclass(frozen=True, slots=True)
class Bid:
    """A bid to send."""

    account: int
    fraction_ppm: int
    health_min_ppm: int
    reward_min: int


@dataclass(slots=True)
class Keeper:
    """One keeper with one account."""

    key: LocalAccount
    account: int
    edge_ppm: int = 20_000
    budget_ppm: int = 500_000

    def liquidatable(self, world: World) -> list[int]:
        """Accounts below their maintenance margin at the best prices, with no auction open, worst
        first.
        """
        found = []
        waterfall = int(world.addresses["waterfall"], 16)
        for account, row in world.ledger.accounts.items():
            if not row.positions or row.in_auction or owner_of(account) == waterfall:
                continue
            check = ledger.check(world, account)
            short = check.valuation.margin_maintenance - check.equity - check.valuation.bonus
            if short > 0:
                found.append((short, account))
        return [account for _, account in sorted(found, reverse=True)]

    def choose(self, world: World, account: int) -> Bid | None:
        """A bid for an open auction that pays, that the keeper can carry, and that the model
        accepts.
        """
        if owner_of(account) == owner_of(self.account):
            return None
        equity, margin, discount, fraction, _ = liquidation.quote(world, account)
        if equity > 0 and discount < min(self.edge_ppm, PPM):
            return None
        mine = ledger.check(world, self.account)
        room = mine.equity * self.budget_ppm // PPM - mine.valuation.margin_initial
        needed = margin * 5 // 4
        if room <= 0 or needed <= 0:
            return None
        share = min(fraction, room * PPM // needed)
        while share >= min(fraction, liquidation.FRACTION_PPM_MIN):
            bid = Bid(account, share, 0, 0)
            if self.accepts(world, bid):
                return bid
            share = share // 2
        return None

    def accepts(self, world: World, bid: Bid) -> bool:
        """Whether the model would let the bid through now."""
        try:
            with world.store.transaction():
                liquidation.bid(
                    world,
                    self.key.address.lower(),
                    bid.account,
                    self.account,
                    bid.fraction_ppm,
                    bid.health_min_ppm,
                    bid.reward_min,
                )
                raise _Undo
        except _Undo:
            return True
        except Rejected:
            return False
        finally:
            world.take_events()


class _Undo(Exception):
    """Takes a trial back."""
