"""Surfaces twice: contract and oracle on an in-memory chain, and model, fed the same words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from math import isqrt
from typing import Any

import numpy as np

from novate.chain.harness import CHAIN_ID
from novate.errors import Rejected
from novate.model import surfaces as model
from novate.model.surface import ONE, RHO_ONE, YEAR_S, Slice, pack, unpack
from novate.model.surfaces import SurfacesState
from novate.risk.quotes import Quotes
from novate.wire.surfaces import SignedSurfaces, domain_separator, signed_surfaces
from tests.support.oracle import GOVERNOR, STRANGER, OracleBench
from tests.support.smile import essvi

BTC, ETH = 0, 1
DAY_S = 86_400
DAYS = (1, 2, 7, 14, 30, 60, 90, 180)


def slice_of(expiry: int, now: int, volatility_percent: int = 60) -> Slice:
    """A slice of a surface that is free of arbitrage for any expiries, the same for all of them."""
    theta = volatility_percent**2 * (expiry - now) * ONE // (10_000 * YEAR_S)
    return Slice(theta, isqrt(theta * ONE) * 2 // 5, -RHO_ONE // 4, expiry, now)


def surface_of(expiries: Iterable[int], now: int, volatility_percent: int = 60) -> list[int]:
    """Words at one volatility."""
    return [pack(slice_of(expiry, now, volatility_percent)) for expiry in expiries]


def quotes_of(
    expiries: Iterable[int], now: int, volatility_percent: float = 60, count: int = 21
) -> list[Quotes]:
    """What a venue quotes that shows the very surface of ``surface_of``."""
    made = []
    for expiry in expiries:
        years = (expiry - now) / YEAR_S
        theta = volatility_percent**2 / 10_000 * years
        k = np.linspace(-3, 3, count) * np.sqrt(theta)
        fields = (theta, -0.25, 0.4 * np.sqrt(theta))
        at_money, rho, psi = (np.array([field]) for field in fields)
        variance = essvi(at_money, rho, psi, k)[0]
        made.append(Quotes(expiry, now, 60_000.0, k, np.sqrt(variance / years)))
    return made


def changed(words: Sequence[int], place: int, **fields: int) -> list[int]:
    """The words with fields of one of them changed."""
    word = pack(replace(unpack(words[place]), **fields))
    return [*words[:place], word, *words[place + 1 :]]


class SurfacesBench(OracleBench):
    """An oracle bench with Surfaces on top, for BTC and ETH; expiries count from its start."""

    def __init__(self, node_count: int = 7) -> None:
        super().__init__(node_count)
        self.start = self.chain.timestamp
        self.surfaces = self.chain.deploy("Surfaces", GOVERNOR, self.contract.address)
        self.surfaces_domain = domain_separator(CHAIN_ID, self.surfaces.address)
        self.world.surfaces = SurfacesState(self.world.store)
        for underlying in (BTC, ETH):
            self.surfaces.call("register_underlying", underlying, sender=GOVERNOR)
            model.register_underlying(self.world, GOVERNOR, underlying)
        self.world.take_events()

    def expiries(self, *days: int) -> list[int]:
        """Expiries so many days from the bench's start."""
        return [self.start + day * DAY_S for day in days]

    def words(self, *days: int, volatility_percent: int = 60) -> list[int]:
        """A good surface of these expiries, seen now."""
        expiries = self.expiries(*(days or DAYS))
        return surface_of(expiries, self.chain.timestamp, volatility_percent)

    def signed_surface(
        self,
        round: int,
        words: Sequence[int],
        timestamp: int | None = None,
        signers: Iterable[int] | None = None,
        underlying: int = BTC,
    ) -> SignedSurfaces:
        """Signed by ``signers`` (unless named the first quorum of nodes), stamped now."""
        chosen = range(self.quorum) if signers is None else signers
        time = self.chain.timestamp if timestamp is None else timestamp
        keys = [(i, self.keys[i]) for i in chosen]
        return signed_surfaces(self.surfaces_domain, round, time, underlying, words, keys)

    def post_surface(self, made: SignedSurfaces) -> bool:
        """Post to the contract alone."""
        accepted: bool = self.surfaces.call("post_surfaces", *made.arguments(), sender=STRANGER)
        return accepted

    def surface_outcome(self, made: SignedSurfaces) -> str:
        """What the contract makes of it: ``accepted``, ``ignored`` or the rejection's name."""
        try:
            return "accepted" if self.post_surface(made) else "ignored"
        except Rejected as rejection:
            return rejection.error.name

    def surface_outcome_in_model(self, made: SignedSurfaces) -> str:
        """What the model makes of the same."""
        world: Any = self.world
        try:
            with world.store.transaction():
                accepted = model.post_surfaces(
                    world,
                    made.round,
                    made.timestamp,
                    made.underlying,
                    made.words,
                    made.signers(self.surfaces_domain),
                )
        except Rejected as rejection:
            world.take_events()
            return rejection.error.name
        return "accepted" if accepted else "ignored"

    def stored(self, underlying: int = BTC) -> list[int]:
        """The newest surface of the contract."""
        words: list[int] = list(self.surfaces.view("surfaces", underlying))
        return words
