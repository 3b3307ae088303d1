"""Which calls of others' contracts a trace shows, and what it must not be believed."""

from __future__ import annotations

from typing import Any

import pytest
from support.journals import rejection

from novate.errors import NoTwin
from novate.services.routed import calls_of, parts
from novate.wire.records import ChainTransaction

OURS = {f"0x{n:040x}" for n in (1, 2)}
ONE, TWO, ROUTER, TOKEN = (f"0x{n:040x}" for n in (1, 2, 8, 9))
Frame = dict[str, Any]


def log(address: str, index: int) -> Frame:
    return {"address": address, "index": hex(index), "topics": ["0x" + "11" * 32], "data": "0x"}


def frame(to: str, *calls: Frame, logs: tuple[Frame, ...] = (), **more: Any) -> Frame:
    base = {"type": "CALL", "from": ROUTER, "to": to, "input": f"0x{to[-2:]}", "gasUsed": "0x7"}
    return {**base, "calls": list(calls), "logs": list(logs), **more}


def events(*addresses: str) -> list[tuple[bytes, list[bytes], bytes]]:
    return [(bytes.fromhex(a[2:]), [b"\x11" * 32], b"") for a in addresses]


def entered(trace: Frame, *logged: str) -> list[tuple[str, int, int]]:
    """(contract, first event, events) of each call found."""
    found = calls_of(trace, events(*logged), OURS)
    return [("0x" + c.contract.hex(), c.first_event, c.events) for c in found]


def refused(trace: Frame, *logged: str) -> None:
    assert rejection(lambda: calls_of(trace, events(*logged), OURS))[0] is NoTwin


def test_calls_are_found_at_any_depth_in_their_order_with_their_logs() -> None:
    first = frame(ONE, frame(TOKEN, logs=(log(TOKEN, 1),)), logs=(log(ONE, 2),))
    second = frame(ROUTER, frame(TWO, frame(ONE, logs=(log(ONE, 4),))))
    trace = frame(ROUTER, first, second, logs=(log(ROUTER, 0), log(ROUTER, 3)))
    assert entered(trace, ROUTER, TOKEN, ONE, ROUTER, ONE) == [(ONE, 1, 2), (TWO, 4, 1)]


def test_what_reverted_or_only_read_did_nothing() -> None:
    reverted = frame(ROUTER, frame(TWO, logs=(log(TWO, 0),)), error="execution reverted")
    reading = frame(TWO, type="STATICCALL")
    trace = frame(ROUTER, reverted, reading, frame(ONE, logs=(log(ONE, 0),)))
    assert entered(trace, ONE) == [(ONE, 0, 1)]


def test_our_code_run_in_anothers_place_is_not_us() -> None:
    borrowed = frame(TWO, type="DELEGATECALL", logs=(log(ROUTER, 0),))
    assert entered(frame(ROUTER, borrowed, frame(ONE)), ROUTER) == [(ONE, 0, 0)]


@pytest.mark.parametrize("between", ["CALL", "CREATE", "CREATE2"])
def test_others_who_come_back_into_our_contracts_are_not_followed(between: str) -> None:
    back = frame(TOKEN, frame(TWO), type=between)
    refused(frame(ROUTER, frame(ONE, back)))
    only_read = frame(TOKEN, frame(TWO, type="STATICCALL"), type=between)
    assert entered(frame(ROUTER, frame(ONE, only_read))) == [(ONE, 0, 0)]


def test_our_own_libraries_are_no_others() -> None:
    inside = frame(TWO, frame(TOKEN, type="DELEGATECALL"), type="DELEGATECALL")
    assert entered(frame(ROUTER, frame(ONE, inside, frame(TWO)))) == [(ONE, 0, 0)]


def test_a_trace_must_have_the_receipts_logs_and_say_their_order() -> None:
    trace = frame(ROUTER, frame(ONE, logs=(log(ONE, 0),)))
    assert entered(trace, ONE) == [(ONE, 0, 1)]
    refused(trace)
    refused(trace, TWO)
    refused(trace, ONE, ONE)
    unordered = {k: v for k, v in log(ONE, 0).items() if k != "index"}
    refused(frame(ROUTER, frame(ONE, logs=(unordered,))), ONE)


def test_a_trace_must_say_who_called_us() -> None:
    refused(frame(ROUTER))
    refused(frame(ROUTER, frame(TWO), logs=(log(ONE, 0),)), ONE)
    held = frame(ONE, logs=(log(ONE, 0), log(ONE, 2)))
    refused(frame(ROUTER, held, logs=(log(ROUTER, 1),)), ONE, ROUTER, ONE)


def test_a_routed_transaction_comes_apart_into_its_calls() -> None:
    trace = frame(ROUTER, frame(ONE, logs=(log(ONE, 0),)), frame(TWO, logs=(log(TWO, 1),)))
    told = events(ONE, TWO)
    whole = ChainTransaction(
        3, 4, 5, bytes(32), bytes(20), bytes.fromhex(ROUTER[2:]), b"route", True, 99, told, True
    )
    assert parts(whole) == [whole]
    routed = ChainTransaction(
        3,
        4,
        5,
        bytes(32),
        bytes(20),
        bytes.fromhex(ROUTER[2:]),
        b"route",
        True,
        99,
        told,
        True,
        calls_of(trace, told, OURS),
    )
    first, second = parts(routed)
    assert (first.contract.hex(), first.calldata, first.events) == (ONE[2:], b"\1", told[:1])
    assert (second.contract.hex(), second.calldata, second.events) == (TWO[2:], b"\2", told[1:])
    assert first.sender.hex() == second.sender.hex() == ROUTER[2:] and first.gas_used == 7
    assert first.calls == [] and (first.block, first.position, first.more) == (3, 5, True)
