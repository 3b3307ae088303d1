"""Numbered channels: who follows, the number of each message, what a subscription begins with.

Owns: the sequences of the channels that are told here. Every message has a ``type`` (``snapshot``:
all there is; ``change``) and a ``sequence``, one more than that of the message before; the snapshot
that a subscription begins with carries the number of the last message to the others. Who sees a gap
subscribes anew. A private channel counts for each account by itself. Numbers go on while the venue
runs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from novate.api.rpc import notification

if TYPE_CHECKING:
    from novate.api.session import Session

SEQUENCES_MAX = 10_000
Data = dict[str, Any]


@dataclass(slots=True)
class Outlet:
    """The followers of a venue's channels (``Feeds.followers``), and how many messages they had."""

    followers: dict[str, dict[int, Session]]
    sequences: dict[tuple[str, int], int] = field(default_factory=dict)

    def is_followed(self, channel: str) -> bool:
        """Whether anybody follows a channel."""
        return channel in self.followers

    def accounts(self, channel: str) -> set[int]:
        """The accounts that follow a private channel."""
        return {session.account for session in self.followers.get(channel, {}).values()}

    def is_alone(self, session: Session, channel: str, account: int = 0) -> bool:
        """Whether nobody else (of an account) follows a channel that a session follows."""
        others = self.followers.get(channel, {}).values()
        return not any(s is not session and account in (0, s.account) for s in others)

    def greet(self, session: Session, channel: str, data: Data, account: int = 0) -> None:
        """Begin a subscription with what there is now."""
        if session.send is not None:
            head = {"type": "snapshot", "sequence": self.sequences.get((channel, account), 0)}
            session.tell(channel, notification(channel, head | data))

    def tell(self, channel: str, data: Data, account: int = 0, kind: str = "change") -> None:
        """Send to all who follow a channel, or to one account's of them (0: all)."""
        followers = self.followers.get(channel, {}).values()
        meant = [s for s in followers if s.send is not None and account in (0, s.account)]
        if not meant:
            return
        number = self.sequences.get((channel, account), 0) + 1
        if (channel, account) not in self.sequences:
            self._make_room()
        self.sequences[channel, account] = number
        message = notification(channel, {"type": kind, "sequence": number} | data)
        for session in meant:
            session.tell(channel, message)

    def _make_room(self) -> None:
        """Forget the numbers of accounts that follow no more, the oldest first."""
        if len(self.sequences) < SEQUENCES_MAX:
            return
        followed = {(name, a) for name in self.followers for a in (0, *self.accounts(name))}
        for key in [key for key in self.sequences if key not in followed]:
            del self.sequences[key]
