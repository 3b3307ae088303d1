"""What can go wrong for a client, as types.

Owns: the errors the SDK raises. ``ApiError`` is the venue's answer and final; ``OutcomeUnknown``
means ask by the digest it carries; ``ConnectionLost`` means nothing was sent. ``Unfit`` and
``NotListed`` are faults of what the caller asked for, before anything is signed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

OUTCOME_UNKNOWN = 13999


class ClientFault(Exception):
    """Base of what the SDK raises."""


@dataclass
class ApiError(ClientFault):
    """The venue refused: Deribit's number, the registered name, what to do."""

    code: int
    name: str
    detail: str
    retryable: bool

    def __str__(self) -> str:
        return f"{self.name} ({self.code}): {self.detail}"


class ConnectionLost(ClientFault):
    """There was no connection; the request was not sent."""


@dataclass
class OutcomeUnknown(ClientFault):
    """A request was sent and its answer did not come: ``order_id`` is what to ask about, the first
    of ``order_ids``.
    """

    order_id: str = ""
    order_ids: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.order_ids = self.order_ids or (self.order_id,) * bool(self.order_id)
        self.order_id = self.order_id or "".join(self.order_ids[:1])

    def __str__(self) -> str:
        return f"the outcome is not known; ask for {self.order_id or 'it'} again"


class Unfit(ValueError):
    """A number that no order can have as it is: ``field`` says which one, ``why`` what is wrong.

    ``rounds``: another rounding mode would bring it to a step.
    """

    def __init__(self, field: str, why: str, rounds: bool = False) -> None:
        hint = "; pass rounding=Rounding.PASSIVE, DOWN or UP" if rounds else ""
        super().__init__(f"{field}: {why}{hint}" if field else f"{why}{hint}")
        self.field, self.why, self.rounds = field, why, rounds


class NotListed(ValueError):
    """There is no such instrument, as far as this client has loaded them."""

    def __init__(self, symbol: str) -> None:
        super().__init__(f"{symbol} is not listed; load_markets() brings what is new")
        self.symbol = symbol


def fault_of(error: dict[str, Any], order_id: str = "") -> ClientFault:
    """The fault behind an ``error`` object."""
    data = error.get("data") or {}
    if error["code"] == OUTCOME_UNKNOWN:
        return OutcomeUnknown(order_id, tuple(data.get("order_ids") or ()))
    detail = data.get("detail") or data.get("reason") or ""
    return ApiError(error["code"], error["message"], detail, bool(data.get("retryable")))
