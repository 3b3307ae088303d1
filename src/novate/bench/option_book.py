"""A venue with options to measure on: two underlyings, two expiries of each, sixteen strikes, calls
and puts; 128 options in all, and one expiry of an hour or two whenever one is asked for.

Fresh: prices, surfaces and stored arrays of now. Stale: prices and surfaces moved on, so that a
valuation builds every array anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from math import isqrt

from novate.bench.venue import SIGNERS, Trader, Venue
from novate.model.option_id import OptionId
from novate.model.order import IMMEDIATE
from novate.model.surface import ONE, RHO_ONE, YEAR_S, Slice, pack
from novate.units import DAY_S, ORACLE_UNIT, WAD, div_down
from novate.wire.order import SignedFill
from novate.wire.surfaces import domain_separator, signed_settlement, signed_surfaces

UNDERLYINGS = (1, 2)
DAYS = (30, 60)
STRIKES = 16
STEP_USD = 1_000
HOUR_S = 3_600
VOLATILITY_PERCENT = 60
LOTS = 10
DEPOSIT_USD = 1_000_000
FILLS = 16
MOVE_PPM = 500


class OptionBook:
    """Listed options of one venue, and what keeps them priced."""

    def __init__(self, venue: Venue) -> None:
        self.venue, self.round = venue, 0
        surfaces = venue.addresses["surfaces"]
        self.domain = domain_separator(venue.deployment.chain_id, surfaces)
        hour = div_down(venue.backend.now(), HOUR_S) + 1
        far = [(hour + 24 * day) * HOUR_S for day in DAYS]
        self.expiries = {underlying: list(far) for underlying in UNDERLYINGS}
        self.slots: dict[tuple[int, int], int] = {}
        venue.start_again()
        self.see()
        for underlying in UNDERLYINGS:
            for expiry in far:
                self.add(underlying, expiry)

    def add(self, underlying: int, expiry: int) -> list[int]:
        """List an expiry with sixteen strikes around the first price; its options."""
        venue = self.venue
        venue.send(venue.executor, "options", "list_expiry", underlying, expiry)
        slot = venue.view("surfaces", "slot_of", underlying, expiry)
        self.slots[underlying, expiry] = slot
        middle = div_down(venue.prices[underlying], STEP_USD * WAD)
        step = STEP_USD * WAD // ORACLE_UNIT  # division: exact
        for place in range(STRIKES):
            if place % 8 == 0:
                self.see()
            strike = (middle - STRIKES // 2 + place) * step  # division: half of them
            venue.send(venue.executor, "options", "list_strike", underlying, slot, strike)
        return self.ids(underlying, expiry)

    def ids(self, underlying: int, expiry: int) -> list[int]:
        """Calls and puts of an expiry, strike by strike."""
        slot = self.slots[underlying, expiry]
        return [
            OptionId(underlying, slot, place, put).pack()
            for place in range(STRIKES)
            for put in (False, True)
        ]

    def near(self, underlying: int) -> tuple[int, list[int]]:
        """An expiry in one to two hours, and its options."""
        expiry = (div_down(self.venue.backend.now(), HOUR_S) + 2) * HOUR_S
        self.expiries[underlying] = [expiry, *self.expiries[underlying]]
        self.see()
        return expiry, self.add(underlying, expiry)

    def far(self, count: int) -> list[int]:
        """``count`` of the 128 options: as many of each underlying, expiry, call and put."""
        series = [self.ids(u, e) for u in UNDERLYINGS for e in self.expiries[u][-len(DAYS) :]]
        each = div_down(count, len(series))
        return sorted(id for ids in series for id in ids[:each])

    def see(self, move_ppm: int = 0) -> None:
        """A round of prices and surfaces of now: what is stored becomes stale."""
        venue = self.venue
        venue.post(move_ppm)
        now = venue.backend.now()
        keys = [(i, node.signer) for i, node in enumerate(venue.nodes[:SIGNERS])]
        self.round += 1
        for underlying in UNDERLYINGS:
            active = [expiry for expiry in self.expiries[underlying] if expiry > now]
            words = [_word(expiry, now) for expiry in active]
            made = signed_surfaces(self.domain, self.round, now, underlying, words, keys)
            venue.send(venue.executor, "surfaces", "post_surfaces", *made.arguments())

    def refresh(self) -> None:
        """Store every array of now."""
        for (underlying, expiry), slot in self.slots.items():
            if expiry > self.venue.backend.now():
                self.venue.send(self.venue.executor, "options", "refresh", underlying, slot)

    def fresh(self, move_ppm: int = 0) -> None:
        """First prices again, moved by ``move_ppm``, and everything stored at them."""
        self.venue.start_again(move_ppm)
        self.venue.backend.advance(1)
        self.see()
        self.refresh()

    def stale(self) -> None:
        """Prices and surfaces move on; no array of before may be used."""
        self.venue.backend.advance(1)
        self.see(MOVE_PPM)

    def print(self, underlying: int, expiry: int) -> None:
        """The quorum prints the last price."""
        venue = self.venue
        price = div_down(venue.prices[underlying], ORACLE_UNIT)
        keys = [(i, node.signer) for i, node in enumerate(venue.nodes[:SIGNERS])]
        made = signed_settlement(self.domain, underlying, expiry, price, keys)
        venue.send(venue.executor, "surfaces", "post_settlement", *made.arguments())

    # Trades

    def crossing(self, taker: Trader, maker: Trader, id: int, lots: int) -> SignedFill:
        """A taker's immediate order and a maker's resting one on an option, about at its mark."""
        mark: int = self.venue.view("risk_model", "quoted", id)[0]
        tick = self.venue.parameters.options[0].tick_wad
        price = max(mark - mark % tick, tick)
        option = replace(self.venue.parameters.instruments[0], id=id)
        return SignedFill(
            taker=self.venue.order(taker, option, lots, price, IMMEDIATE),
            maker=self.venue.order(maker, option, -lots, price),
            lots=abs(lots),
            price=price,
        )

    def pair(
        self, taker: Trader, maker: Trader, ids: Sequence[int], usd: int = DEPOSIT_USD
    ) -> None:
        """Fund two accounts and let them trade each option: the taker buys every other one."""
        self.venue.deposit(maker, DEPOSIT_USD)
        self.venue.deposit(taker, usd)
        for start in range(0, len(ids), FILLS):
            self.fresh()
            part = list(enumerate(ids))[start : start + FILLS]
            self.venue.settle(
                [self.crossing(taker, maker, id, LOTS if at % 2 else -LOTS) for at, id in part]
            )
        assert sorted(self.venue.positions(taker)) == sorted(ids)


def _word(expiry: int, now: int) -> int:
    """A slice of one volatility."""
    theta = div_down(VOLATILITY_PERCENT**2 * (expiry - now) * ONE, 10_000 * YEAR_S)
    psi = div_down(isqrt(theta * ONE) * 2, 5)
    return pack(Slice(theta, psi, -div_down(RHO_ONE, 4), expiry, now))


@cache
def option_book(venue: Venue) -> OptionBook:
    """The book of a venue, listed when first asked for."""
    assert max(DAYS) * DAY_S <= venue.parameters.options[0].tenor_max_seconds
    return OptionBook(venue)
