"""Deribit's number for every rejection, and the error object of a reply.

Owns: what a client reads in ``error``: Deribit's code where one exists (so that existing bots react
as they do there), our registered code and name beside it, and what to do. Nothing here is on chain.
"""

from __future__ import annotations

from typing import Any

from novate import errors
from novate.api.outcomes import UnknownOutcome
from novate.errors import Error, InvalidField, Rejected

# JSON-RPC's own codes
PARSE_ERROR = -32700
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32000

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
    """The ``error`` of a reply: number, name, what our registry says, and what to ask about."""
    error = rejected.error
    data: dict[str, Any] = {
        "code": error.code,
        "reason": error.sentence,
        "detail": rejected.detail,
        "retryable": error.retryable,
    }
    if isinstance(rejected, UnknownOutcome):
        data["order_ids"] = rejected.order_ids
    return {"code": deribit_code(error), "message": error.name, "data": data}


def bad(field: str, remedy: str) -> Rejected:
    """The rejection of a parameter, naming it and saying what it must be."""
    return Rejected(InvalidField, f"{field}: {remedy}")


def unknown_instrument(name: str) -> Rejected:
    """No instrument of that name."""
    return Rejected(errors.UnknownInstrument, f"instrument_name: {name[:64]}")
