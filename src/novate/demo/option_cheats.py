"""What a dishonest operator tries with options: margin and marks that are not so, surfaces and
prints that no quorum signed, an expiry before its time.
"""

from __future__ import annotations

from collections.abc import Iterator

from novate.demo.actors import BTC, Actor
from novate.demo.cheats import Attempt, accepted, call, pair, settled_anything, settlement
from novate.demo.option_book import OptionBook, OptionView, read_book
from novate.demo.venue import Venue
from novate.model import surfaces
from novate.model.option_id import place_of
from novate.services.replica import Outcome
from novate.units import WAD
from novate.wire import surfaces as wire

HUGE = 30_000  # lots: three hundred BTC of options


def printed(outcome: Outcome) -> bool:
    """A settlement print was accepted."""
    return any(e.name == "SettlementPrinted" for e in outcome.events)


def attempts(venue: Venue, operator: Actor, accomplice: Actor, sequence: int) -> Iterator[Attempt]:
    """All cheats with BTC options at this moment; ``sequence`` as in ``cheats.attempts``."""
    book = read_book(venue.sequencer.world)
    open_expiries = book.expiries(BTC)
    if not open_expiries:
        return
    option = book.chain(BTC, open_expiries[-1])[0]
    yield from _trades(venue, operator, accomplice, book, option, sequence)
    underlying, slot = place_of(option.id)
    mine = operator.account.to_bytes(32, "big")
    yield Attempt(
        "settle an expiry before its time",
        "clearinghouse",
        call("clearinghouse", "settle_expiry", [mine], underlying, slot),
        venue.executor,
        accepted,
    )
    yield from _signatures(venue, option)


def _trades(
    venue: Venue,
    operator: Actor,
    accomplice: Actor,
    book: OptionBook,
    option: OptionView,
    sequence: int,
) -> Iterator[Attempt]:
    desk, id = venue.desk({}, book.terms, book.ends()), option.id
    tick = book.terms[id].tick
    at_mark = int(option.mark * WAD) // tick * tick
    low = int(option.mark * 0.2 * WAD) // tick * tick
    trades = (
        ("sell options far beyond the margin", pair(desk, accomplice, operator, id, HUGE, at_mark)),
        (
            "sell an option to an accomplice far below its mark",
            pair(desk, accomplice, operator, id, 10, low),
        ),
    )
    for place, (name, fill) in enumerate(trades):
        data = settlement([fill], sequence + 10 + place)
        yield Attempt(name, "exchange", data, venue.executor, settled_anything)


def _signatures(venue: Venue, option: OptionView) -> Iterator[Attempt]:
    """One bribed node: its key signs a surface and a print, as often as the quorum asks."""
    deployment, keys = venue.deployment, [(0, venue.node_keys[0])] * 3
    domain = wire.domain_separator(deployment.chain_id, deployment.addresses["surfaces"])
    words, now = surfaces.newest(venue.replica.world, BTC), venue.now + 1
    surface = wire.signed_surfaces(domain, now, now, BTC, words, keys)
    yield Attempt(
        "post a surface with one signature thrice",
        "surfaces",
        call("surfaces", "post_surfaces", *surface.arguments()),
        venue.executor,
        accepted,
    )
    expired = [
        found.expiry
        for place, found in venue.replica.world.options.listed.items()
        if place[0] == BTC and found.expiry <= now
    ]
    expiry = expired[0] if expired else option.expiry
    settled = wire.signed_settlement(domain, BTC, expiry, 10**10, keys)
    yield Attempt(
        "print a settlement price of a dollar",
        "surfaces",
        call("surfaces", "post_settlement", *settled.arguments()),
        venue.executor,
        printed,
    )
