"""Calls that reach our contracts through somebody else's: which, by whom, with what.

Owns: reading them from a node's trace of the transaction, and checking that against its receipt.
A transaction's receipt says what our contracts logged, not what they were called with; a trace
does. Followed is what others' code calls in ours, each call as if it were a transaction of that
code, in their order; what reverted inside has done nothing. What the trace cannot explain is
``NoTwin``: that others' code, called by ours, calls ours again, or that the logs are not those of
the receipt. A node that lies in a trace makes the model diverge from the receipt's events. Depth
and number of the calls are the chain's to bound (gas).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from novate.chain.rows import hexed, integer, raw_bytes
from novate.errors import NoTwin, require
from novate.wire.record_types import RoutedCall
from novate.wire.records import ChainTransaction

TRACER = {"tracer": "callTracer", "tracerConfig": {"withLog": True}}

Frame = dict[str, Any]
Event = tuple[bytes, list[bytes], bytes]


def parts(record: ChainTransaction) -> list[ChainTransaction]:
    """A routed transaction's calls as transactions of their own; any other as it is."""
    return [
        replace(
            record,
            sender=call.sender,
            contract=call.contract,
            calldata=call.calldata,
            gas_used=call.gas_used,
            events=record.events[call.first_event : call.first_event + call.events],
            calls=[],
        )
        for call in record.calls
    ] or [record]


def calls_of(trace: Frame, events: Sequence[Event], ours: set[str]) -> list[RoutedCall]:
    """The calls of a transaction that succeeded, from its ``callTracer`` trace with logs.

    Errors: ``NoTwin``.
    """
    logs = _logs(trace)
    told = [(raw_bytes(log["address"]), _topics(log), raw_bytes(log["data"])) for _, log in logs]
    require(told == list(events), NoTwin, "the trace's logs are not the receipt's")
    places = {index: place for place, (index, _) in enumerate(logs)}
    found: list[RoutedCall] = []
    left = [trace]
    while left:
        frame = left.pop()
        if not _acts(frame):
            continue
        if frame["type"] == "CALL" and frame["to"].lower() in ours:
            _require_no_return(frame, ours)
            held = sorted(places[index] for index, _ in _logs(frame))
            first = held[0] if held else 0
            require(held == list(range(first, first + len(held))), NoTwin, "scattered logs")
            found.append(
                RoutedCall(
                    sender=raw_bytes(frame["from"]),
                    contract=raw_bytes(frame["to"]),
                    calldata=raw_bytes(frame["input"]),
                    gas_used=integer(frame["gasUsed"]),
                    first_event=first,
                    events=len(held),
                )
            )
        else:
            left += reversed(frame.get("calls", ()))
    known = {call.first_event + i for call in found for i in range(call.events)}
    missed = [p for p, event in enumerate(events) if hexed(event[0]) in ours and p not in known]
    require(bool(found) and not missed, NoTwin, "the trace does not say who called our contracts")
    return found


def _acts(frame: Frame) -> bool:
    """Whether a frame may have changed anything."""
    return not frame.get("error") and frame["type"] != "STATICCALL"


def _logs(frame: Frame) -> list[tuple[int, Any]]:
    """The logs of a frame and of all below it, by their places in the transaction."""
    found, left = [], [frame]
    while left:
        one = left.pop()
        if _acts(one):
            for log in one.get("logs", ()):
                require("index" in log, NoTwin, "the trace does not say in which order it logged")
                found.append((integer(log["index"]), log))
            left += one.get("calls", ())
    return sorted(found, key=lambda pair: pair[0])


def _require_no_return(entry: Frame, ours: set[str]) -> None:
    """What our code has called must not have called ours."""
    left = [(frame, False) for frame in entry.get("calls", ())]
    while left:
        frame, outside = left.pop()
        if not _acts(frame):
            continue
        # code that runs by DELEGATECALL runs in its caller's place
        called = frame["type"] == "CALL"
        inside = frame.get("to", "").lower() in ours
        require(not (outside and called and inside), NoTwin, "our contracts were entered again")
        beyond = not inside if called else outside or frame["type"].startswith("CREATE")
        left += [(below, outside or beyond) for below in frame.get("calls", ())]


def _topics(log: Any) -> list[bytes]:
    return [raw_bytes(topic) for topic in log["topics"]]
