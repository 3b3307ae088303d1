"""Option arrays: the stored words of listed options, brought up to date by anyone.

Owns: the epochs of the underlyings (quantum and scan range that all their arrays share) and the
rules of refreshing and using arrays; the tables stand in ``option_listing.OptionsState``. A refresh
also sums up what the open interest of the expiry amounts to. Units:
prices and the quantum in oracle units of 1e8 wei a base unit, psr in ppm. Rounding: the quantum up,
marks and Greeks down. Source: docs/SPEC.md §14. Twin: ``contracts/option_arrays.vy``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isqrt
from typing import TYPE_CHECKING

from novate import errors
from novate.errors import require
from novate.model import oracle, packed, pricing, surface, surfaces
from novate.model.arrays import (
    DELTA_BITS,
    PSR_MAX,
    VEGA_BITS,
    Info,
    Option,
    build_expiry,
    quantum_of,
    same_epoch,
)
from novate.model.option_id import OptionId, is_option
from novate.model.option_listing import Series, feed_of, fresh_mark, ids_of, live, terms
from novate.units import DAY_S, ORACLE_UNIT, WAD, div_down

if TYPE_CHECKING:
    from novate.model.state import World

IDS_MAX = 16
GENERATIONS = 256
SUM_BITS = 20
EPOCH_BITS = (("quantum", 56), ("reference", 56), ("psr", 20), ("started_at", 40), ("count", 8))


@dataclass(frozen=True, slots=True)
class Epoch:
    """What all arrays of an underlying share; ``count`` of epochs so far, modulo 256."""

    quantum: int = 0
    reference: int = 0
    psr: int = 0
    started_at: int = 0
    count: int = 0

    def pack(self) -> int:
        """The epoch word."""
        return packed.pack(self, EPOCH_BITS)

    @staticmethod
    def unpack(word: int) -> Epoch:
        """Read the epoch word."""
        return Epoch(**packed.unpack(word, EPOCH_BITS))


def refresh(world: World, underlying: int, slot: int) -> int:
    """Build the arrays of all options of one expiry at the forward and the surface of now; their
    open interest stays. Returns how many words were written.

    Errors: UnknownInstrument, StalePrice, StaleSurface, StalePrice of the reference.
    """
    listed = live(world, underlying, slot)
    forward = fresh_mark(world, feed_of(world, underlying, slot))
    word = _fresh_surface(world, underlying, slot, listed.expiry)
    epoch = _begin(world, underlying)
    stamp = generation(world, underlying)
    seconds = listed.expiry - world.now
    built = build_expiry(forward, seconds, word, epoch.psr, epoch.quantum, listed.strikes)
    words = [option for pair in built for option in pair]
    delta = vega = 0
    for id, option in zip(ids_of(underlying, slot, len(built)), words, strict=True):
        held = Info.unpack(world.options.infos[id]).open_interest
        info = replace(Info.unpack(option.info), generation=stamp, open_interest=held)
        world.options.arrays[id] = option.array
        world.options.infos[id] = info.pack()
        delta_lot, vega_lot = amounts_of(info)
        delta, vega = delta + held * delta_lot, vega + held * vega_lot
    held = world.options.series[underlying, slot].open
    world.options.series[underlying, slot] = Series(delta, vega, held)
    written = 2 * len(words)
    world.emit(
        "ArraysRefreshed",
        underlying=underlying,
        slot=slot,
        generation=stamp,
        forward=forward,
        words=written,
    )
    return written


def amounts_of(info: Info) -> tuple[int, int]:
    """|delta| and vega as they are summed up by expiry, in 2**-20, rounded down."""
    return abs(info.delta) >> DELTA_BITS - SUM_BITS, info.vega >> VEGA_BITS - SUM_BITS


def words(world: World, ids: Sequence[int]) -> list[Option]:
    """Both words of each option as stored; info 0: not listed, or never refreshed.

    Errors: UnknownInstrument for what is no option's id.
    """
    assert len(ids) <= IDS_MAX
    for id in ids:
        require(is_option(id), errors.UnknownInstrument)
    return [Option(world.options.arrays[id], world.options.infos[id]) for id in ids]


def usable(world: World, id: int) -> bool:
    """Whether the stored array may be used now: not expired, at most 60 s old, the forward within
    25 bp of its own, surface and epoch the same, and the epoch one that a refresh would leave in
    force.
    """
    if not is_option(id):
        return False
    option = OptionId.unpack(id)
    word = world.options.infos[id]
    expiry = world.options.listed[option.underlying, option.slot].expiry
    if world.now >= expiry:
        return False
    if world.options.epochs[option.underlying] != epoch_now(world, option.underlying):
        return False
    forward = oracle.feed(world, feed_of(world, option.underlying, option.slot)).mark
    return Info.unpack(word).usable(forward, world.now, generation(world, option.underlying))


def generation(world: World, underlying: int) -> int:
    """Surfaces and epochs so far, modulo 256: what a usable array is stamped with."""
    epoch = Epoch.unpack(world.options.epochs[underlying])
    return (surfaces.status_of(world, underlying).generation + epoch.count) % GENERATIONS


def greeks(world: World, id: int) -> pricing.Greeks:
    """Price and Greeks of a base unit, wad, at the forward and the surface of now.

    Errors: UnknownInstrument, StalePrice, StaleSurface.
    """
    expiry, strike = terms(world, id)
    require(world.now < expiry, errors.UnknownInstrument)
    option = OptionId.unpack(id)
    forward = fresh_mark(world, feed_of(world, option.underlying, option.slot))
    word = _fresh_surface(world, option.underlying, option.slot, expiry)
    seconds = expiry - world.now
    sigma = volatility(word, strike, forward, seconds, world.now)
    wei = forward * ORACLE_UNIT, strike * ORACLE_UNIT
    return pricing.black76(*wei, sigma, seconds, not option.is_put)


def volatility(word: int, strike: int, forward: int, seconds: int, now: int) -> int:
    """What a surface word says of a strike, ``seconds`` (above 0) before its expiry: wad, down."""
    variance = surface.total_variance_at(word, pricing.log_ratio(strike, forward), now)
    return isqrt(div_down(variance * pricing.YEAR_S * WAD * WAD, seconds) >> 96)


def scan_range(world: World, underlying: int) -> int:
    """The scan range (ppm) of arrays: the target, or while a change ramps in the larger end; the
    widest that arrays take while there are no parameters.

    Never less than what stands now or is to come, as one array serves both margins; and constant
    over the ramp, as every other range is another epoch.
    """
    parameters = world.risk.parameters[underlying]
    if parameters.psr_target == 0:
        return PSR_MAX
    if world.now - parameters.psr_set_at >= DAY_S:
        return parameters.psr_target
    return max(parameters.psr_from, parameters.psr_target)


def epoch_now(world: World, underlying: int) -> int:
    """The epoch word in force, or the one that a refresh would begin now, at the last price even if
    it is old; 0 before any price. A new one begins once the mark of the grid's feed, which all
    expiries share, has left a tenth around its reference, or the scan range has changed.
    """
    word: int = world.options.epochs[underlying]
    reference = oracle.feed(world, world.options.grids[underlying].feed).mark
    if reference == 0:
        return word
    psr = scan_range(world, underlying)
    old = Epoch.unpack(word)
    if same_epoch(reference, old.reference) and psr == old.psr:
        return word
    count = (old.count + 1) % GENERATIONS
    return Epoch(quantum_of(psr, reference), reference, psr, world.now, count).pack()


def _begin(world: World, underlying: int) -> Epoch:
    """The epoch in force, which begins now if it must. Errors: StalePrice."""
    fresh_mark(world, world.options.grids[underlying].feed)
    word = epoch_now(world, underlying)
    if word != world.options.epochs[underlying]:
        world.options.epochs[underlying] = word
        world.emit("EpochStarted", underlying=underlying, word=word)
    return Epoch.unpack(word)


def _fresh_surface(world: World, underlying: int, slot: int, expiry: int) -> int:
    """The surface word of a slot. Errors: StaleSurface, if old or of another expiry."""
    word = surfaces.surface_word(world, underlying, slot)
    seen = surface.unpack(word)
    fresh = world.now <= seen.timestamp + oracle.status(world).stale_after
    require(seen.expiry == expiry and fresh, errors.StaleSurface)
    return word
