"""Records of what cancels for an account once its client, its connection or the venue is gone.

Owns: the two commands by which that is said (part of ``records.AnyRecord``); what is then cancelled
is a ``CancelRequested`` with its cause. Times in milliseconds.
"""

from __future__ import annotations

from novate.wire.record_types import Account, Address, Base, Name, Unsigned


class DisconnectSet(Base, frozen=True):
    """Command: whether an account's orders go when a connection ends: any of its own (``scope``
    ``account``), or one that lives and has asked for it (``connection``).
    """

    account: Account
    scope: Name
    on: bool
    signer: Address
    received_ms: Unsigned


class SwitchSet(Base, frozen=True):
    """Command: an account's orders go ``seconds`` after ``received_ms`` unless it is set anew; 0
    takes it back.
    """

    account: Account
    seconds: Unsigned
    signer: Address
    received_ms: Unsigned


SAFEGUARDS = (DisconnectSet, SwitchSet)
