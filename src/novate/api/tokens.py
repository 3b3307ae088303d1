"""Access tokens: what a session shows after it has logged in.

Owns: tokens (256 random bits, from the system), what each allows and until when, and the logins
seen, so that none is used twice. Bounded: the oldest go first. Times in unix milliseconds.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from dataclasses import dataclass, field

from novate.errors import ClockSkew, NotAuthenticated, require

LIFE_MS = 3_600_000
SKEW_MS = 60_000
TOKENS_MAX = 100_000


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token allows."""

    account: int
    signer: str
    scopes: frozenset[str]
    until_ms: int


@dataclass(slots=True)
class Tokens:
    """All live tokens, and refresh tokens, by their text."""

    grants: OrderedDict[str, Grant] = field(default_factory=OrderedDict)
    seen: OrderedDict[bytes, int] = field(default_factory=OrderedDict)

    def issue(self, account: int, signer: str, scopes: frozenset[str], now_ms: int) -> str:
        """A new token."""
        token = secrets.token_urlsafe(32)
        self.grants[token] = Grant(account, signer, scopes, now_ms + LIFE_MS)
        while len(self.grants) > TOKENS_MAX:
            self.grants.popitem(last=False)
        return token

    def grant(self, token: str, now_ms: int) -> Grant:
        """What a token allows. Errors: ``NotAuthenticated``."""
        found = self.grants.get(token)
        require(found is not None and now_ms < found.until_ms, NotAuthenticated)
        assert found is not None
        return found

    def require_fresh(self, digest: bytes, timestamp_ms: int, now_ms: int) -> None:
        """A login counts once, and near its time. Errors: ``ClockSkew``, ``NotAuthenticated``."""
        near = abs(timestamp_ms - now_ms) <= SKEW_MS
        require(near, ClockSkew, f"timestamp: the venue's clock reads {now_ms}")
        require(digest not in self.seen, NotAuthenticated, "this login was used before")
        self.seen[digest] = now_ms
        while self.seen and next(iter(self.seen.values())) < now_ms - 2 * SKEW_MS:
            self.seen.popitem(last=False)
