"""Governance: calls that wait in public before they take effect, and setters held within compiled-
in bounds.

Owns: operations (eta by identity) and delays of targets, in seconds; the venue's addresses. The
calldata of an operation is opaque here; whoever executes it in the model passes the twin of the
call as ``action``. Source: RULES.md, Drift 2026-04-01. Twins: ``contracts/Timelock.vy``, and
``set_peers`` of ``contracts/markets.vy``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING

from eth_abi import encode
from eth_utils.crypto import keccak

from novate import errors
from novate.errors import require
from novate.model.store import Store

if TYPE_CHECKING:
    from novate.model.state import World

DATA_MAX = 4096
DELAY_BOUNDS_S = (1, 30 * 86_400)
WINDOW_BOUNDS_S = (60, 30 * 86_400)


def bounded(value: int, low: int, high: int) -> int:
    """``value`` if it lies within [low, high]. Errors: OutOfBounds."""
    require(low <= value <= high, errors.OutOfBounds)
    return value


class Timelock:
    """One timelock: immutable floor and window, tables for the rest; single rows under key 0."""

    def __init__(
        self,
        store: Store,
        address: str,
        governor: str,
        guardian: str,
        delay_floor: int,
        window: int,
    ) -> None:
        self.address = address.lower()
        self.delay_floor = bounded(delay_floor, *DELAY_BOUNDS_S)
        self.window = bounded(window, *WINDOW_BOUNDS_S)
        self.roles = store.table("timelock.roles", "")
        self.delays = store.table("timelock.delays", 0)
        self.longest = store.table("timelock.longest", delay_floor)
        self.etas = store.table("timelock.etas", 0)
        self.roles["governor"] = _address(governor)
        self.roles["guardian"] = _address(guardian)


class Addresses(MutableMapping[str, str]):
    """Who is who, by role: as the world was made, or where it moved since; lower case."""

    def __init__(self, store: Store, made: Mapping[str, str]) -> None:
        self._made = {role: address.lower() for role, address in made.items()}
        self._moved = store.table("governance.moved", "")

    def __getitem__(self, role: str) -> str:
        return self._moved[role] or self._made[role]

    def __setitem__(self, role: str, address: str) -> None:
        self._moved[role] = address.lower()

    def __delitem__(self, role: str) -> None:
        raise TypeError("a role may move, not vanish")

    def __iter__(self) -> Iterator[str]:
        return iter({**self._made, **self._moved.rows})

    def __len__(self) -> int:
        return len({**self._made, **self._moved.rows})


def operation_id(target: str, data: bytes, salt: bytes) -> bytes:
    """keccak256 of (target, keccak256(data), salt)."""
    assert len(data) <= DATA_MAX
    return bytes(keccak(encode(["address", "bytes32", "bytes32"], [target, keccak(data), salt])))


def delay_of(timelock: Timelock, target: str) -> int:
    """Seconds an operation scheduled now for ``target`` waits.

    For the timelock itself that is the longest delay any target has ever had.
    """
    if target.lower() == timelock.address:
        return timelock.longest[0]
    return max(timelock.delay_floor, timelock.delays[target.lower()])


def schedule(
    world: World, timelock: Timelock, caller: str, target: str, data: bytes, salt: bytes
) -> bytes:
    """Announce a call and return its identity.

    Errors: NotAuthorized, AlreadyScheduled (unless it expired).
    """
    require(caller == timelock.roles["governor"], errors.NotAuthorized)
    identity = operation_id(target, data, salt)
    last = timelock.etas[identity]
    require(last == 0 or world.now > last + timelock.window, errors.AlreadyScheduled)
    eta = world.now + delay_of(timelock, target)
    timelock.etas[identity] = eta
    world.emit(
        "OperationScheduled", id=identity, target=target.lower(), data=data, salt=salt, eta=eta
    )
    return identity


def execute(
    world: World,
    timelock: Timelock,
    target: str,
    data: bytes,
    salt: bytes,
    action: Callable[[], None],
) -> None:
    """Run a scheduled call; anyone may.

    Errors: UnknownOperation, NotYet, OperationExpired, the action's own.
    """
    identity = operation_id(target, data, salt)
    eta = timelock.etas[identity]
    require(eta != 0, errors.UnknownOperation)
    require(world.now >= eta, errors.NotYet)
    require(world.now <= eta + timelock.window, errors.OperationExpired)
    timelock.etas[identity] = 0
    world.emit("OperationExecuted", id=identity, target=target.lower())
    action()


def cancel(world: World, timelock: Timelock, caller: str, identity: bytes) -> None:
    """Drop a scheduled operation. Errors: NotAuthorized, UnknownOperation."""
    allowed = caller in (timelock.roles["governor"], timelock.roles["guardian"])
    require(allowed, errors.NotAuthorized)
    require(timelock.etas[identity] != 0, errors.UnknownOperation)
    timelock.etas[identity] = 0
    world.emit("OperationCancelled", id=identity)


def set_delay(world: World, timelock: Timelock, caller: str, target: str, delay: int) -> None:
    """Set the delay of a target's future operations. Errors: NotAuthorized, OutOfBounds."""
    require(caller == timelock.address, errors.NotAuthorized)
    bounded(delay, timelock.delay_floor, DELAY_BOUNDS_S[1])
    timelock.delays[target.lower()] = delay
    timelock.longest[0] = max(timelock.longest[0], delay)
    world.emit("DelaySet", target=target.lower(), delay=delay)


def set_governor(world: World, timelock: Timelock, caller: str, governor: str) -> None:
    """Replace the governor. Errors: NotAuthorized, OutOfBounds (the empty address)."""
    require(caller == timelock.address, errors.NotAuthorized)
    timelock.roles["governor"] = _address(governor)
    world.emit("GovernorSet", governor=governor.lower())


def set_guardian(world: World, timelock: Timelock, caller: str, guardian: str) -> None:
    """Replace the guardian. Errors: NotAuthorized, OutOfBounds (the empty address)."""
    require(caller == timelock.address, errors.NotAuthorized)
    timelock.roles["guardian"] = _address(guardian)
    world.emit("GuardianSet", guardian=guardian.lower())


def set_peers(
    world: World,
    caller: str,
    risk_model: str,
    custody: str,
    auctioneer: str,
    waterfall: str,
    guardian: str,
    options: str,
) -> None:
    """Who acts on the Clearinghouse's ledger. Errors: NotAuthorized."""
    require(caller == world.addresses["timelock"], errors.NotAuthorized)
    peers = {
        "risk_model": risk_model,
        "custody": custody,
        "auctioneer": auctioneer,
        "waterfall": waterfall,
        "guardian": guardian,
        "options": options,
    }
    world.addresses.update(peers)
    world.emit("PeersSet", **peers)


def _address(address: str) -> str:
    require(int(address, 16) != 0, errors.OutOfBounds)
    return address.lower()
