"""What cancels for an account when its client, its connection or the venue is gone.

Owns: which accounts cancel on disconnect, and the dead man's switches. Part of the engine's state,
so that a restart, a snapshot and a standby know them as the writer did. What is due is decided
outside (``api/keeper.py``) and comes as a ``CancelRequested`` with its cause. Times in milliseconds
of the venue's clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from novate.wire.records import CancelRequested
from novate.wire.safeguard_records import DisconnectSet, SwitchSet

SWITCH = "switch"
ACCOUNT, CONNECTION = "account", "connection"


@dataclass(frozen=True, slots=True)
class Switch:
    """A dead man's switch, set at a time for so many seconds."""

    seconds: int
    set_ms: int
    signer: bytes

    @property
    def due_ms(self) -> int:
        """When the account's orders go."""
        return self.set_ms + self.seconds * 1_000


@dataclass(frozen=True, slots=True)
class Leaver:
    """Whose orders go with a connection: with any (``always``), or with one that has asked for it
    and was still there (``connected``).
    """

    always: bool
    connected: bool
    signer: bytes


@dataclass(slots=True)
class Safeguards:
    """Switches and leavers by account."""

    switches: dict[int, Switch] = field(default_factory=dict)
    leavers: dict[int, Leaver] = field(default_factory=dict)

    def set_switch(self, command: SwitchSet) -> None:
        """Set, renew or take back a switch."""
        account = int.from_bytes(command.account, "big")
        self.switches.pop(account, None)
        if command.seconds:
            self.switches[account] = Switch(command.seconds, command.received_ms, command.signer)

    def set_disconnect(self, command: DisconnectSet) -> None:
        """Say whose orders go; another scope means nothing."""
        account = int.from_bytes(command.account, "big")
        row = self.leavers.pop(account, Leaver(False, False, command.signer))
        if command.scope == ACCOUNT:
            row = replace(row, always=command.on, signer=command.signer)
        elif command.scope == CONNECTION:
            row = replace(row, connected=command.on, signer=command.signer)
        if row.always or row.connected:
            self.leavers[account] = row

    def fires(self, command: CancelRequested) -> bool:
        """Whether a cancel takes effect: a switch's only if it is due, and then it is over."""
        if command.cause != SWITCH:
            return True
        account = int.from_bytes(command.account, "big")
        switch = self.switches.get(account)
        if switch is None or command.received_ms < switch.due_ms:
            return False
        del self.switches[account]
        return True
