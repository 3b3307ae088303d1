"""Rejections of the API itself (9xxx of the registry), and Deribit's number for every rejection.

Owns: what a client reads in ``error``: Deribit's code where one exists (so that existing bots react
as they do there), our registered code and name beside it, and what to do. Nothing here is on chain.
"""

from __future__ import annotations

from typing import Any

from novate import errors
from novate.errors import Error, Rejected
from novate.errors import register as _r

# JSON-RPC's own codes
PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32000

MalformedMessage = _r(
    9001, "MalformedMessage", 400, False, "The message is not a JSON-RPC request."
)
UnknownMethod = _r(9002, "UnknownMethod", 404, False, "There is no such method.")
InvalidField = _r(9003, "InvalidField", 400, False, "A parameter is missing or not allowed.")
NotAuthenticated = _r(
    9004, "NotAuthenticated", 401, False, "The method needs authentication first."
)
ScopeMissing = _r(
    9005, "ScopeMissing", 403, False, "The session's scope does not allow the method."
)
TooManyRequests = _r(
    9006, "TooManyRequests", 429, True, "The rate limit is used up; wait a moment."
)
UnknownChannel = _r(9007, "UnknownChannel", 404, False, "There is no such channel.")
OrderNotFound = _r(9008, "OrderNotFound", 404, False, "There is no such order of this account.")
OutcomeUnknown = _r(
    9009,
    "OutcomeUnknown",
    504,
    True,
    "The outcome is not known yet; ask for the order by its digest.",
)
Overloaded = _r(9010, "Overloaded", 503, True, "The venue sheds load; cancels are still taken.")
ClockSkew = _r(9011, "ClockSkew", 400, False, "The timestamp is too far from the venue's clock.")
MessageTooLarge = _r(9012, "MessageTooLarge", 413, False, "The message exceeds the bound.")
TooManyConnections = _r(
    9013, "TooManyConnections", 429, True, "The address has too many connections open."
)
SlowConsumer = _r(9014, "SlowConsumer", 429, True, "The client reads slower than it subscribed to.")
InternalFault = _r(9015, "InternalFault", 500, True, "The venue failed to answer; it is recorded.")

# https://docs.deribit.com/#rpc-error-codes: our name -> Deribit's number
_DERIBIT: dict[str, int] = {
    "MalformedMessage": PARSE_ERROR,
    "UnknownMethod": METHOD_NOT_FOUND,
    "InvalidField": INVALID_PARAMS,
    "NotAuthenticated": 13009,
    "BadSignature": 13004,
    "ScopeMissing": 13021,
    "TooManyRequests": 10028,
    "UnknownChannel": INVALID_PARAMS,
    "UnknownInstrument": 13020,
    "OrderNotFound": 10004,
    "OrderNotOpen": 11044,
    "InsufficientMargin": 10009,
    "InsufficientCash": 10009,
    "PostOnly": 11054,
    "ReduceOnly": 11030,
    "OutcomeUnknown": 13999,
    "Overloaded": 10047,
    "NotOwner": 13021,
    "ZeroLots": 10005,
    "OffTick": 11051,
    "OpenInterestCap": 10019,
    "PositionCap": 10020,
    "Paused": 11095,
    "InternalFault": INTERNAL_ERROR,
}


def deribit_code(error: Error) -> int:
    """Deribit's number for a rejection, or ours where it has none."""
    return _DERIBIT.get(error.name, error.code)


def error_object(rejected: Rejected) -> dict[str, Any]:
    """The ``error`` of a reply: number, name, and what our registry says."""
    error = rejected.error
    return {
        "code": deribit_code(error),
        "message": error.name,
        "data": {
            "code": error.code,
            "reason": error.sentence,
            "detail": rejected.detail,
            "retryable": error.retryable,
        },
    }


def bad(field: str, remedy: str) -> Rejected:
    """The rejection of a parameter, naming it and saying what it must be."""
    return Rejected(InvalidField, f"{field}: {remedy}")


def unknown_instrument(name: str) -> Rejected:
    """No instrument of that name."""
    return Rejected(errors.UnknownInstrument, f"instrument_name: {name[:64]}")
