"""One client's connection: who it is, what it may, what it follows, how fast it may ask.

Owns: authentication state, scopes, the two credit buckets of an account (cancels have their own, so
that they are never refused for others' sake), and the bounds of a connection. Credits refill with
time; a request takes its method's cost. Times in microseconds.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from novate.api.rpc import Method, now_us
from novate.errors import Rejected, TooManyRequests

if TYPE_CHECKING:
    from novate.api.venue import VenueApi

SCOPES = ("read", "trade", "quote", "withdraw")
OUTBOX_MAX = 4_096
OUTBOX_BYTES_MAX = 4 << 20
# What may wait for all clients together, beyond which none has more than the share of a few.
OUTBOXES_BYTES_MAX = 256 << 20
OUTBOX_BYTES_LEAST = 64 << 10
CHANNELS_MAX = 1_000
BUCKETS_MAX = 100_000


@dataclass(slots=True)
class Bucket:
    """A bucket of credits: at most ``size``, ``rate`` more a second."""

    size: int
    rate: int
    level: float = -1.0
    at_us: int = 0

    def take(self, cost: int, now: int) -> bool:
        """Take credits, if they are there."""
        if self.level < 0:
            self.level, self.at_us = float(self.size), now
        gained = (now - self.at_us) * self.rate / 1_000_000
        self.level, self.at_us = min(float(self.size), self.level + gained), now
        if self.level < cost:
            return False
        self.level -= cost
        return True


@dataclass(slots=True)
class Credits:
    """What an account, or a connection that has not logged in, may ask for."""

    requests: Bucket
    cancels: Bucket


@dataclass(slots=True)
class Limits:
    """Sizes and refill rates of the buckets, and the buckets: all connections of an account share
    one pair, and so do those of an address that have not logged in. Bounded: the oldest go first.
    ``frames`` is each connection's own, of whatever it sends: who sends faster is read later.
    """

    requests: tuple[int, int] = (1_000, 500)
    cancels: tuple[int, int] = (2_000, 1_000)
    anonymous: tuple[int, int] = (4_000, 2_000)
    frames: tuple[int, int] = (4_000, 4_000)
    held: OrderedDict[int | str, Credits] = field(default_factory=OrderedDict)

    def of(self, who: int | str) -> Credits:
        """The buckets of an account, or of an address."""
        found = self.held.get(who)
        if found is None:
            sizes = self.requests if isinstance(who, int) else self.anonymous
            found = self.held[who] = Credits(Bucket(*sizes), Bucket(*self.cancels))
            if len(self.held) > BUCKETS_MAX:
                self.held.popitem(last=False)
        return found


@dataclass(slots=True)
class Session:
    """One connection, or one HTTP request's token; ``send`` is None where nothing can be pushed."""

    venue: VenueApi
    send: Callable[[bytes], None] | None = None
    account: int = 0
    signer: str = ""
    scopes: frozenset[str] = frozenset()
    subscriptions: set[str] = field(default_factory=set)
    told: dict[str, int] = field(default_factory=dict)  # messages, of each channel that is followed
    guarded: set[int] = field(default_factory=set)  # accounts whose orders go with it
    spared: set[int] = field(default_factory=set)  # and those whose stay, whatever else they say
    heartbeat_s: int = 0
    address: str = ""

    @property
    def testnet(self) -> bool:
        """Whether the venue's money is play money."""
        return self.venue.testnet

    @property
    def cancels_at_end(self) -> bool:
        """Whether the account's orders go with this connection."""
        if self.account in self.guarded or self.account in self.spared:
            return self.account in self.guarded
        return self.venue.keeper.cancels_always(self.account)

    def tell(self, channel: str, opened: bytes) -> None:
        """Send a message of a channel that is followed, under its number here: from 1, one more
        than the message before.
        """
        if self.send is not None:
            number = self.told[channel] = self.told.get(channel, 0) + 1
            self.send(b"%b%d}}" % (opened, number))

    def spend(self, method: Method, more: int | None = None) -> None:
        """Take a method's cost, or what it has found to cost ``more``. Errors:
        ``TooManyRequests``.
        """
        limits, who = self.venue.limits, self.account or self.address
        credits = limits.held.get(who) or limits.of(who)
        bucket = credits.cancels if method.is_cancel else credits.requests
        if not bucket.take(method.cost if more is None else more, now_us()):
            raise Rejected(TooManyRequests, method.name)
