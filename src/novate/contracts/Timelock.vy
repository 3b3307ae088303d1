# pragma version 0.4.3
# pragma nonreentrancy on
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Timelock: every change of the venue waits in public before it takes effect
@notice The governor schedules calls, anyone executes them once their target's delay has passed and
        before they expire, the guardian or the governor cancels. Delays change only through a
        scheduled call and never fall below the floor of the deployment. A call to this contract
        itself waits the longest delay that any target has ever had, so lowering the delay of a
        target takes at least as long as the delay that protects it. Times are seconds. Source:
        RULES.md, Drift 2026-04-01. Twin: novate/model/governance.py.
@custom:kill Nothing runs without the governor; the guardian can cancel all that is scheduled, and
    can do no more.
"""

from lib import errors

event OperationScheduled:
    id: indexed(bytes32)
    target: indexed(address)
    data: Bytes[DATA_MAX]
    salt: bytes32
    eta: uint256

event OperationExecuted:
    id: indexed(bytes32)
    target: indexed(address)

event OperationCancelled:
    id: indexed(bytes32)

event DelaySet:
    target: indexed(address)
    delay: uint256

event GovernorSet:
    governor: indexed(address)

event GuardianSet:
    guardian: indexed(address)

DATA_MAX: constant(uint256) = 4096
# What is kept of a failed call's revert data.
REVERT_DATA_MAX: constant(uint256) = 1024
DELAY_MIN_S: constant(uint256) = 1
DELAY_MAX_S: constant(uint256) = 30 * 86400
WINDOW_MIN_S: constant(uint256) = 60
WINDOW_MAX_S: constant(uint256) = 30 * 86400

DELAY_FLOOR: immutable(uint256)
WINDOW: immutable(uint256)

_governor: address
_guardian: address
# 0: the floor applies
_delays: HashMap[address, uint256]
# The longest delay any target has ever had; binds calls to this contract.
_delay_longest: uint256
# 0: not scheduled
_etas: HashMap[bytes32, uint256]


@deploy
def __init__(governor: address, guardian: address, delay_floor: uint256, window: uint256):
    """
    @param delay_floor Least delay of every target, seconds
    @param window How long after its eta an operation may still be executed, seconds
    """
    errors.require(
        DELAY_MIN_S <= delay_floor and delay_floor <= DELAY_MAX_S, errors.OutOfBounds
    )
    errors.require(WINDOW_MIN_S <= window and window <= WINDOW_MAX_S, errors.OutOfBounds)
    DELAY_FLOOR = delay_floor
    WINDOW = window
    self._delay_longest = delay_floor
    self._set_governor(governor)
    self._set_guardian(guardian)


@external
def schedule(target: address, data: Bytes[DATA_MAX], salt: bytes32) -> bytes32:
    """
    @notice Announce a call; only the governor. The same call and salt again only after it ran, fell
        or expired.
    """
    errors.require(msg.sender == self._governor, errors.NotAuthorized)
    id: bytes32 = self._id(target, data, salt)
    last: uint256 = self._etas[id]
    errors.require(last == 0 or block.timestamp > last + WINDOW, errors.AlreadyScheduled)
    eta: uint256 = block.timestamp + self._delay_of(target)
    self._etas[id] = eta
    log OperationScheduled(id=id, target=target, data=data, salt=salt, eta=eta)
    return id


@external
def execute(target: address, data: Bytes[DATA_MAX], salt: bytes32):
    """
    @notice Make a scheduled call at or after its eta and within the window; anyone may. Passes on
        its revert.
    """
    id: bytes32 = self._id(target, data, salt)
    eta: uint256 = self._etas[id]
    errors.require(eta != 0, errors.UnknownOperation)
    errors.require(block.timestamp >= eta, errors.NotYet)
    errors.require(block.timestamp <= eta + WINDOW, errors.OperationExpired)
    errors.require(target.is_contract, errors.CallFailed)
    self._etas[id] = 0
    log OperationExecuted(id=id, target=target)

    success: bool = False
    response: Bytes[REVERT_DATA_MAX] = b""
    success, response = raw_call(
        target, data, max_outsize=REVERT_DATA_MAX, revert_on_failure=False
    )
    if not success:
        errors.require(len(response) > 0, errors.CallFailed)
        raw_revert(response)


@external
def cancel(id: bytes32):
    """@notice Drop a scheduled operation; only the governor or the guardian."""
    errors.require(
        msg.sender == self._governor or msg.sender == self._guardian, errors.NotAuthorized
    )
    errors.require(self._etas[id] != 0, errors.UnknownOperation)
    self._etas[id] = 0
    log OperationCancelled(id=id)


# Reached only through `execute`, which holds the lock and has finished its own effects by then.
@external
@reentrant
def set_delay(target: address, delay: uint256):
    """@notice Set the delay of a target's future operations, between the floor and 30 days."""
    self._only_self()
    errors.require(DELAY_FLOOR <= delay and delay <= DELAY_MAX_S, errors.OutOfBounds)
    self._delays[target] = delay
    self._delay_longest = max(self._delay_longest, delay)
    log DelaySet(target=target, delay=delay)


@external
@reentrant
def set_governor(governor: address):
    """@notice Replace the governor."""
    self._only_self()
    self._set_governor(governor)


@external
@reentrant
def set_guardian(guardian: address):
    """@notice Replace the guardian."""
    self._only_self()
    self._set_guardian(guardian)


@external
@view
@reentrant
def governor() -> address:
    """@notice Who schedules."""
    return self._governor


@external
@view
@reentrant
def guardian() -> address:
    """@notice Who, besides the governor, cancels."""
    return self._guardian


@external
@view
@reentrant
def delay_floor() -> uint256:
    """@notice Least delay of every target, seconds."""
    return DELAY_FLOOR


@external
@view
@reentrant
def window() -> uint256:
    """@notice Seconds after its eta in which an operation may be executed."""
    return WINDOW


@external
@view
@reentrant
def delay_of(target: address) -> uint256:
    """@notice Seconds that an operation scheduled now for `target` would wait."""
    return self._delay_of(target)


@external
@view
@reentrant
def eta_of(id: bytes32) -> uint256:
    """@notice When an operation may first be executed; 0 if it is not scheduled."""
    return self._etas[id]


@external
@pure
@reentrant
def operation_id(target: address, data: Bytes[DATA_MAX], salt: bytes32) -> bytes32:
    """@notice Identity of an operation: keccak256 of (target, keccak256(data), salt)."""
    return self._id(target, data, salt)


@internal
@pure
def _id(target: address, data: Bytes[DATA_MAX], salt: bytes32) -> bytes32:
    return keccak256(abi_encode(target, keccak256(data), salt))


@internal
@view
def _delay_of(target: address) -> uint256:
    if target == self:
        return self._delay_longest
    return max(DELAY_FLOOR, self._delays[target])


@internal
@view
def _only_self():
    errors.require(msg.sender == self, errors.NotAuthorized)


@internal
def _set_governor(governor: address):
    errors.require(governor != empty(address), errors.OutOfBounds)
    self._governor = governor
    log GovernorSet(governor=governor)


@internal
def _set_guardian(guardian: address):
    errors.require(guardian != empty(address), errors.OutOfBounds)
    self._guardian = guardian
    log GuardianSet(guardian=guardian)
