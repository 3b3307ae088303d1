"""One minute of trading in the demo: who acts, in which order, on what each sees.

Makers quote first; then traders in perpetuals, then those in options. Nothing is decided here that
a contract does not decide again.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field

from novate.demo import actors, option_actors
from novate.demo.actors import BTC, ETH, Actor, Desk
from novate.demo.liquidations import Totals
from novate.demo.option_book import OptionBook, read_book
from novate.demo.venue import Venue
from novate.model import ledger
from novate.wire.order import SignedOrder

CALM = 0.004  # of the price in three minutes
HEDGE_MINUTES = 3
KEEPER_SHARE = 0.34


@dataclass(slots=True)
class Trading:
    """The crowd at work, over one run."""

    venue: Venue
    people: list[Actor]
    chance: random.Random
    totals: Totals
    marks: dict[int, list[float]] = field(default_factory=lambda: {BTC: [], ETH: []})

    def minute(self, step: int) -> None:
        """Everybody's orders of one minute."""
        book = read_book(self.venue.sequencer.world)
        desk = self._desk(book)
        live = [a for a in self.people if not desk.checks[a.account].in_auction]
        self._makers(live, desk, book, step)
        self._perpetuals(live, desk)
        self._options(live, desk, book, step)
        for actor in live:
            if actor.kind == "keeper" and desk.positions[actor.account]:
                self._place_all(actors.reduce(actor, desk, KEEPER_SHARE))
                self._place_all(option_actors.unwind(actor, desk, book, KEEPER_SHARE))

    def _desk(self, book: OptionBook) -> Desk:
        world = self.venue.sequencer.world
        checks = {a.account: ledger.check(world, a.account) for a in self.people}
        desk = self.venue.desk(checks, book.terms, book.ends())
        for instrument in (BTC, ETH):
            self.marks[instrument].append(desk.marks[instrument])
        recent = self.marks[BTC][-4:]
        desk.speed = abs(recent[-1] / recent[0] - 1)
        return desk

    def _makers(self, live: list[Actor], desk: Desk, book: OptionBook, step: int) -> None:
        for actor in live:
            if actor.kind == "maker":
                self.venue.cancel_all(actor.account, actor.address)
                self._place_all(actors.quotes(actor, desk, self.chance))
        makers = [a for a in live if a.kind == "option maker"]
        for place, actor in enumerate(makers):
            self.venue.cancel_all(actor.account, actor.address)
            if (step + place) % len(makers) == 0:
                self._place_all(option_actors.quotes(actor, desk, book, step, self.chance))
                self._place_all(option_actors.future_quotes(actor, desk, book))

    def _perpetuals(self, live: list[Actor], desk: Desk) -> None:
        chance, now = self.chance, self.venue.now
        waiting = [a for a in live if a.kind in ("long", "short", "hedger") and a.enters_at <= now]
        calm = desk.speed < CALM
        for actor in chance.sample(waiting, min(len(waiting), 26 if calm else 10)):
            opening = actors.enter(actor, desk, chance)
            if opening is not None and (calm or chance.random() < 0.3):
                self._place(opening)
        if not calm:
            # the cautious sell into the fall; most leveraged longs hold on
            cautious = [a for a in waiting if a.kind == "short" or a.appetite < 0.7]
            for actor in chance.sample(cautious, min(len(cautious), 4)):
                if desk.checks[actor.account].positions and actor.kind != "hedger":
                    actor.enters_at = now + 60 * chance.randint(20, 90)
                    self._place_all(actors.reduce(actor, desk, 0.6))
        for actor in chance.sample(waiting, min(len(waiting), 14 if calm else 0)):
            self._place_all(actors.adjust(actor, desk, chance))

    def _options(self, live: list[Actor], desk: Desk, book: OptionBook, step: int) -> None:
        chance, now = self.chance, self.venue.now
        if not book.options:
            return
        waiting = [a for a in live if a.kind in option_actors.OPENERS and a.enters_at <= now]
        for actor in chance.sample(waiting, min(len(waiting), 8 if desk.speed < CALM else 2)):
            orders = list(option_actors.OPENERS[actor.kind](actor, desk, book, chance))
            actor.enters_at = now + 60 * chance.randint(25, 100)
            self._place_all(orders)
        hedgers = [a for a in live if a.kind in ("option maker", "gamma")]
        for place, actor in enumerate(hedgers):
            if (step + place) % HEDGE_MINUTES == 0:
                self._place_all(option_actors.hedge(actor, desk, book))

    def _place_all(self, orders: Iterable[SignedOrder]) -> None:
        for signed in orders:
            self._place(signed)

    def _place(self, signed: SignedOrder) -> None:
        self.totals.orders += 1
        self.venue.place(signed)
