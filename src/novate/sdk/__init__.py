"""The client: typed, sync and async, shaped like ccxt.

``AsyncClient`` (``sdk/client.py``) does the work; ``Client`` (``sdk/sync.py``) is the same without
``await``. Keys never leave the process: orders are signed here.
"""

from __future__ import annotations

from novate.sdk.client import AsyncClient
from novate.sdk.faults import ApiError, ConnectionLost, NotListed, OutcomeUnknown, Unfit
from novate.sdk.rounding import Rounding
from novate.sdk.signing import SigningKey
from novate.sdk.sync import Client

__all__ = [
    "ApiError",
    "AsyncClient",
    "Client",
    "ConnectionLost",
    "NotListed",
    "OutcomeUnknown",
    "Rounding",
    "SigningKey",
    "Unfit",
]
