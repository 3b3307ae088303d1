"""Timelock.vy and its model twin: every function, each rejection in its order, each event."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from novate import errors
from novate.chain.compile import CONTRACTS, compile_contract
from novate.chain.harness import Chain, Contract, actor
from novate.errors import Error, Rejected
from novate.model import governance
from tests.support.oracle import OracleBench, OracleWorld

TEST_CONTRACTS = CONTRACTS.parents[2] / "tests" / "contracts"
GOVERNOR, GUARDIAN, STRANGER = actor("governor"), actor("guardian"), actor("stranger")
FLOOR, WINDOW, CUSTODY_DELAY = 60, 600, 900
SALT = b"\x01" * 32
EMPTY = "0x" + "00" * 20


class TimelockBench:
    """A timelock and a target that obeys it."""

    def __init__(self) -> None:
        self.chain = Chain()
        self.contract = self.chain.deploy("Timelock", GOVERNOR, GUARDIAN, FLOOR, WINDOW)
        self.target = self.chain.deploy("GovernedTarget", root=TEST_CONTRACTS)

    def schedule(
        self, target: Contract, function: str, *arguments: Any, salt: bytes = SALT
    ) -> tuple[str, bytes, bytes]:
        """Schedule a call as the governor; returns what execute needs."""
        data = target.abi.encode_call(function, *arguments)
        self.contract.call("schedule", target.address, data, salt, sender=GOVERNOR)
        return target.address, data, salt

    def run(self, target: Contract, function: str, *arguments: Any, wait: int = FLOOR) -> None:
        """Schedule, wait and execute."""
        call = self.schedule(target, function, *arguments)
        self.chain.advance(wait)
        self.contract.call("execute", *call, sender=STRANGER)


@pytest.fixture
def bench() -> TimelockBench:
    return TimelockBench()


def refused(error: Error, call: Callable[..., Any], *arguments: Any, **named: Any) -> None:
    with pytest.raises(Rejected) as caught:
        call(*arguments, **named)
    assert caught.value.error == error


def test_size_is_within_the_soft_limit() -> None:
    assert compile_contract("Timelock").runtime_size_bytes <= 22_000


def test_construction_states_roles_floor_and_window(bench: TimelockBench) -> None:
    view = bench.contract.view
    assert (view("governor"), view("guardian")) == (GOVERNOR, GUARDIAN)
    assert (view("delay_floor"), view("window")) == (FLOOR, WINDOW)
    assert view("delay_of", bench.target.address) == FLOOR
    assert view("delay_of", bench.contract.address) == FLOOR


@pytest.mark.parametrize(
    "arguments",
    [
        (GOVERNOR, GUARDIAN, 0, WINDOW),
        (GOVERNOR, GUARDIAN, 30 * 86_400 + 1, WINDOW),
        (GOVERNOR, GUARDIAN, FLOOR, 59),
        (GOVERNOR, GUARDIAN, FLOOR, 30 * 86_400 + 1),
        (EMPTY, GUARDIAN, FLOOR, WINDOW),
        (GOVERNOR, EMPTY, FLOOR, WINDOW),
    ],
)
def test_construction_outside_the_bounds_fails(arguments: tuple[Any, ...]) -> None:
    selector = f"{errors.OutOfBounds.selector:08x}"
    with pytest.raises(Exception, match=selector):
        Chain().deploy("Timelock", *arguments)


def test_a_call_waits_in_public_and_anyone_executes_it(bench: TimelockBench) -> None:
    data = bench.target.abi.encode_call("set_setting", 7)
    call = (bench.target.address, data, SALT)
    identity = bench.contract.call("schedule", *call, sender=GOVERNOR)
    eta = bench.chain.timestamp + FLOOR
    (scheduled,) = bench.chain.events()
    assert scheduled.name == "OperationScheduled"
    assert scheduled.arguments == {
        "id": identity,
        "target": bench.target.address.lower(),
        "data": data,
        "salt": SALT,
        "eta": eta,
    }
    assert bench.contract.view("operation_id", *call) == identity
    assert governance.operation_id(*call) == identity
    assert bench.contract.view("eta_of", identity) == eta
    bench.chain.advance(FLOOR - 1)
    refused(errors.NotYet, bench.contract.call, "execute", *call, sender=STRANGER)
    bench.chain.advance(1)
    bench.contract.call("execute", *call, sender=STRANGER)
    (executed,) = bench.chain.events()
    assert (executed.name, executed.arguments["id"]) == ("OperationExecuted", identity)
    assert bench.target.view("setting") == 7
    assert bench.contract.view("eta_of", identity) == 0
    refused(errors.UnknownOperation, bench.contract.call, "execute", *call)


def test_only_the_governor_schedules(bench: TimelockBench) -> None:
    data = bench.target.abi.encode_call("set_setting", 7)
    for sender in (GUARDIAN, STRANGER):
        refused(
            errors.NotAuthorized,
            bench.contract.call,
            "schedule",
            bench.target.address,
            data,
            SALT,
            sender=sender,
        )


def test_a_pending_call_is_not_scheduled_twice_but_another_salt_is_another_call(
    bench: TimelockBench,
) -> None:
    bench.schedule(bench.target, "set_setting", 7)
    refused(errors.AlreadyScheduled, bench.schedule, bench.target, "set_setting", 7)
    bench.schedule(bench.target, "set_setting", 7, salt=b"\x02" * 32)
    bench.schedule(bench.target, "set_setting", 8)


def test_an_executed_call_can_be_scheduled_again(bench: TimelockBench) -> None:
    bench.run(bench.target, "set_setting", 7)
    bench.run(bench.target, "set_setting", 7)
    assert bench.target.view("setting") == 7


def test_an_operation_expires_after_its_window_and_can_then_be_scheduled_anew(
    bench: TimelockBench,
) -> None:
    call = bench.schedule(bench.target, "set_setting", 7)
    bench.chain.advance(FLOOR + WINDOW)
    refused(errors.AlreadyScheduled, bench.schedule, bench.target, "set_setting", 7)
    bench.chain.advance(1)
    refused(errors.OperationExpired, bench.contract.call, "execute", *call)
    bench.schedule(bench.target, "set_setting", 7)
    refused(errors.NotYet, bench.contract.call, "execute", *call)
    bench.chain.advance(FLOOR + WINDOW)
    bench.contract.call("execute", *call)
    assert bench.target.view("setting") == 7


@pytest.mark.parametrize("canceller", [GOVERNOR, GUARDIAN])
def test_governor_and_guardian_cancel(bench: TimelockBench, canceller: str) -> None:
    call = bench.schedule(bench.target, "set_setting", 7)
    identity = bench.contract.view("operation_id", *call)
    refused(errors.NotAuthorized, bench.contract.call, "cancel", identity, sender=STRANGER)
    bench.contract.call("cancel", identity, sender=canceller)
    (event,) = bench.chain.events()
    assert (event.name, event.arguments) == ("OperationCancelled", {"id": identity})
    bench.chain.advance(FLOOR)
    refused(errors.UnknownOperation, bench.contract.call, "execute", *call)
    refused(errors.UnknownOperation, bench.contract.call, "cancel", identity, sender=canceller)


def test_the_target_s_own_rejection_comes_through_and_the_operation_stays(
    bench: TimelockBench,
) -> None:
    call = bench.schedule(bench.target, "refuse")
    bench.chain.advance(FLOOR)
    refused(errors.OutOfBounds, bench.contract.call, "execute", *call)
    assert bench.contract.view("eta_of", bench.contract.view("operation_id", *call)) > 0


def test_a_failure_without_data_is_named(bench: TimelockBench) -> None:
    call = bench.schedule(bench.target, "fail_silently")
    bench.chain.advance(FLOOR)
    refused(errors.CallFailed, bench.contract.call, "execute", *call)


def test_a_target_without_code_is_refused(bench: TimelockBench) -> None:
    call = (STRANGER, b"\x01\x02\x03\x04", SALT)
    bench.contract.call("schedule", *call, sender=GOVERNOR)
    bench.chain.advance(FLOOR)
    refused(errors.CallFailed, bench.contract.call, "execute", *call)


def test_an_operation_cannot_run_itself_again(bench: TimelockBench) -> None:
    inner = bench.schedule(bench.target, "set_setting", 7)
    again = bench.contract.abi.encode_call("execute", *inner)
    outer = bench.schedule(bench.target, "run_again", bench.contract.address, again)
    bench.chain.advance(FLOOR)
    # the lock has no data of its own, so the target passes on an empty revert
    refused(errors.CallFailed, bench.contract.call, "execute", *outer)
    assert bench.target.view("setting") == 0


def test_delays_change_only_through_the_timelock_itself(bench: TimelockBench) -> None:
    target = bench.target.address
    for function, arguments in (
        ("set_delay", (target, CUSTODY_DELAY)),
        ("set_governor", (STRANGER,)),
        ("set_guardian", (STRANGER,)),
    ):
        for sender in (GOVERNOR, GUARDIAN, STRANGER):
            refused(errors.NotAuthorized, bench.contract.call, function, *arguments, sender=sender)
    bench.run(bench.contract, "set_delay", target, CUSTODY_DELAY)
    executed, changed = bench.chain.events()
    assert executed.name == "OperationExecuted"
    assert (changed.name, changed.arguments["delay"]) == ("DelaySet", CUSTODY_DELAY)
    assert bench.contract.view("delay_of", target) == CUSTODY_DELAY
    call = bench.schedule(bench.target, "set_setting", 7)
    bench.chain.advance(CUSTODY_DELAY - 1)
    refused(errors.NotYet, bench.contract.call, "execute", *call)
    bench.chain.advance(1)
    bench.contract.call("execute", *call)


@pytest.mark.parametrize("delay", [0, FLOOR - 1, 30 * 86_400 + 1])
def test_a_delay_never_leaves_its_bounds(bench: TimelockBench, delay: int) -> None:
    refused(errors.OutOfBounds, bench.run, bench.contract, "set_delay", bench.target.address, delay)


def test_lowering_a_delay_waits_as_long_as_the_longest_delay(bench: TimelockBench) -> None:
    target = bench.target.address
    bench.run(bench.contract, "set_delay", target, CUSTODY_DELAY)
    assert bench.contract.view("delay_of", bench.contract.address) == CUSTODY_DELAY
    call = bench.schedule(bench.contract, "set_delay", target, FLOOR)
    bench.chain.advance(CUSTODY_DELAY - 1)
    refused(errors.NotYet, bench.contract.call, "execute", *call)
    bench.chain.advance(1)
    bench.contract.call("execute", *call)
    assert bench.contract.view("delay_of", target) == FLOOR
    assert bench.contract.view("delay_of", bench.contract.address) == CUSTODY_DELAY


def test_governor_and_guardian_are_replaced_by_a_scheduled_call(bench: TimelockBench) -> None:
    bench.run(bench.contract, "set_guardian", STRANGER)
    assert bench.chain.events()[1].name == "GuardianSet"
    bench.run(bench.contract, "set_governor", STRANGER)
    assert bench.chain.events()[1].name == "GovernorSet"
    assert bench.contract.view("governor") == bench.contract.view("guardian") == STRANGER
    refused(errors.NotAuthorized, bench.schedule, bench.target, "set_setting", 7)


@pytest.mark.parametrize("function", ["set_governor", "set_guardian"])
def test_no_role_is_left_empty(bench: TimelockBench, function: str) -> None:
    refused(errors.OutOfBounds, bench.run, bench.contract, function, EMPTY)


def test_the_oracle_obeys_a_timelock() -> None:
    bench = TimelockBench()
    oracle = bench.chain.deploy("Oracle", bench.contract.address)
    nodes = [actor(f"node {i}") for i in range(4)]
    refused(errors.NotAuthorized, oracle.call, "set_nodes", nodes, sender=GOVERNOR)
    bench.run(oracle, "set_nodes", nodes)
    assert oracle.view("nodes", 3) == nodes[3]


# The twin: the same story against the model, with the same outcomes.


@pytest.fixture
def twin() -> tuple[Any, governance.Timelock]:
    world = OracleWorld(1_000, {})
    address = actor("timelock")
    return world, governance.Timelock(world.store, address, GOVERNOR, GUARDIAN, FLOOR, WINDOW)


def test_the_twin_has_the_same_identities_times_and_rejections(
    twin: tuple[Any, governance.Timelock],
) -> None:
    world, timelock = twin
    call = (actor("target"), b"\x01", SALT)
    done: list[int] = []

    def act() -> None:
        done.append(world.now)

    refused(errors.NotAuthorized, governance.schedule, world, timelock, GUARDIAN, *call)
    identity = governance.schedule(world, timelock, GOVERNOR, *call)
    refused(errors.AlreadyScheduled, governance.schedule, world, timelock, GOVERNOR, *call)
    refused(errors.NotYet, governance.execute, world, timelock, *call, act)
    world.now += FLOOR
    governance.execute(world, timelock, *call, act)
    assert done == [1_000 + FLOOR]
    refused(errors.UnknownOperation, governance.execute, world, timelock, *call, act)
    governance.schedule(world, timelock, GOVERNOR, *call)
    refused(errors.NotAuthorized, governance.cancel, world, timelock, STRANGER, identity)
    governance.cancel(world, timelock, GUARDIAN, identity)
    refused(errors.UnknownOperation, governance.cancel, world, timelock, GUARDIAN, identity)
    governance.schedule(world, timelock, GOVERNOR, *call)
    world.now += FLOOR + WINDOW + 1
    refused(errors.OperationExpired, governance.execute, world, timelock, *call, act)
    assert done == [1_000 + FLOOR]
    assert [name for name, _ in world.take_events()] == [
        "OperationScheduled",
        "OperationExecuted",
        "OperationScheduled",
        "OperationCancelled",
        "OperationScheduled",
    ]


def test_the_twin_keeps_delays_and_roles(twin: tuple[Any, governance.Timelock]) -> None:
    world, timelock = twin
    target = actor("target")
    refused(
        errors.NotAuthorized, governance.set_delay, world, timelock, GOVERNOR, target, CUSTODY_DELAY
    )
    refused(errors.OutOfBounds, governance.set_delay, world, timelock, timelock.address, target, 59)
    governance.set_delay(world, timelock, timelock.address, target, CUSTODY_DELAY)
    governance.set_delay(world, timelock, timelock.address, target, FLOOR)
    assert governance.delay_of(timelock, target) == FLOOR
    assert governance.delay_of(timelock, timelock.address) == CUSTODY_DELAY
    refused(errors.OutOfBounds, governance.set_governor, world, timelock, timelock.address, EMPTY)
    governance.set_governor(world, timelock, timelock.address, STRANGER)
    governance.set_guardian(world, timelock, timelock.address, STRANGER)
    refused(errors.NotAuthorized, governance.schedule, world, timelock, GOVERNOR, target, b"", SALT)
    refused(errors.NotAuthorized, governance.cancel, world, timelock, GUARDIAN, SALT)


def test_the_oracle_s_twin_bounds_its_limits_as_the_contract_does() -> None:
    bench = OracleBench(node_count=4)
    refused(errors.OutOfBounds, governance.bounded, 9, 10, 600)
    assert governance.bounded(600, 10, 600) == 600
    assert bench.status() == bench.world.oracle.statuses[0]
