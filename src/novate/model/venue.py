"""Venue: what governance sets of the Exchange, within compiled-in bounds (docs/SPEC.md §6).

Fees in ppm of notional, of options in ppm of the underlying and at most so many bp of the premium;
times in seconds. Twin: ``contracts/venue.vy``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from novate import errors
from novate.errors import require
from novate.model.order import ZERO_ADDRESS

if TYPE_CHECKING:
    from novate.model.state import World

FEE_PPM_MAX = 2_000
OPTION_CAP_BPS_MAX = 2_500


@dataclass(frozen=True, slots=True)
class Settings:
    """Fees and windows; the defaults are the constructor's."""

    taker_ppm: int = 0
    maker_ppm: int = 0
    exclusive_window: int = 30
    notice: int = 60
    option_ppm: int = 0
    option_cap_bps: int = 0

    def pack(self) -> int:
        """The stored word."""
        fees = self.taker_ppm | self.maker_ppm << 16
        windows = self.exclusive_window << 32 | self.notice << 48
        return fees | windows | self.option_ppm << 64 | self.option_cap_bps << 80


def after_notice(world: World) -> int:
    """The second from which a unilateral act of now holds."""
    return world.now + world.exchange.settings.notice


def _require_governor(world: World, caller: str) -> None:
    require(caller == world.addresses.get("timelock"), errors.NotAuthorized)


def set_fees(world: World, caller: str, taker_ppm: int, maker_ppm: int) -> None:
    """Governance: fees but of options; an order's signed maximum holds all the same."""
    _require_governor(world, caller)
    fits = min(taker_ppm, maker_ppm) >= 0 and max(taker_ppm, maker_ppm) <= FEE_PPM_MAX
    require(fits, errors.OutOfBounds)
    settings = replace(world.exchange.settings, taker_ppm=taker_ppm, maker_ppm=maker_ppm)
    world.exchange.set_settings(settings)
    world.emit("FeesSet", taker_ppm=taker_ppm, maker_ppm=maker_ppm)


def set_option_fees(world: World, caller: str, option_ppm: int, option_cap_bps: int) -> None:
    """Governance: what each side of an option's fill pays; a signed maximum holds all the same."""
    _require_governor(world, caller)
    require(0 <= option_ppm <= FEE_PPM_MAX, errors.OutOfBounds)
    require(0 <= option_cap_bps <= OPTION_CAP_BPS_MAX, errors.OutOfBounds)
    settings = world.exchange.settings
    settings = replace(settings, option_ppm=option_ppm, option_cap_bps=option_cap_bps)
    world.exchange.set_settings(settings)
    world.emit("OptionFeesSet", option_ppm=option_ppm, option_cap_bps=option_cap_bps)


def set_windows(world: World, caller: str, exclusive_window: int, notice: int) -> None:
    """Governance: half of the notice or more stays for receipts, so they move together."""
    _require_governor(world, caller)
    require(5 <= exclusive_window <= 300, errors.OutOfBounds)
    require(30 <= notice <= 600, errors.OutOfBounds)
    require(2 * exclusive_window <= notice, errors.OutOfBounds)
    settings = world.exchange.settings
    world.exchange.set_settings(replace(settings, exclusive_window=exclusive_window, notice=notice))
    world.emit("WindowsSet", exclusive_window=exclusive_window, notice=notice)


def set_executor(world: World, caller: str, executor: str, approved: bool) -> None:
    """Governance: approve an engine, or withdraw the approval with all its receipts."""
    _require_governor(world, caller)
    require(executor != ZERO_ADDRESS, errors.OutOfBounds)
    world.exchange.executors[executor] = approved
    world.emit("ExecutorSet", executor=executor, approved=approved)
