"""Session keys: what an account's helpers may sign, how long and for how much (RULES 10).

Budgets in cents, spent rounded up; underlyings a bit each, none set means all. No scope withdraws.
A live key is narrowed only by removing it, a notice ahead. Twin: ``contracts/session.vy``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from novate import errors
from novate.errors import require
from novate.model import venue
from novate.model.order import ZERO_ADDRESS, Order, owner_address

if TYPE_CHECKING:
    from novate.model.state import World

TRADE = 1
QUOTE = 2
CANCEL = 4
U16_MAX = 2**16 - 1
U40_MAX = 2**40 - 1
U64_MAX = 2**64 - 1


@dataclass(frozen=True, slots=True)
class SessionKey:
    """One key's word; the default is no key."""

    expiry: int = 0
    scope: int = 0
    underlyings: int = 0
    notional_left: int = 0
    loss_left: int = 0
    removed_at: int = 0

    def pack(self) -> int:
        """The stored word (docs/SPEC.md §6)."""
        word = self.expiry | self.scope << 40 | self.underlyings << 48 | self.notional_left << 64
        return word | self.loss_left << 128 | self.removed_at << 192

    def live(self, now: int) -> bool:
        """Whether it signs at second ``now``."""
        return now <= self.expiry and (self.removed_at == 0 or now < self.removed_at)

    def at_least(self, old: SessionKey) -> bool:
        """Whether it allows all that ``old`` does, and ``old`` is not being removed."""
        all_underlyings = self.underlyings == 0
        covered = old.underlyings != 0 and not old.underlyings & ~self.underlyings
        return (
            old.removed_at == 0
            and self.expiry >= old.expiry
            and not old.scope & ~self.scope
            and (all_underlyings or covered)
            and self.notional_left >= old.notional_left
            and self.loss_left >= old.loss_left
        )


def owner(account: int) -> str:
    """Address in the account's first 20 bytes."""
    return owner_address(account)


def require_may_sign(world: World, order: Order, signer: str, underlying: int) -> None:
    """Reject a signer that is no live key (``BadSignature``) or outside its scope."""
    key = world.exchange.keys[order.account, signer]
    require(key.live(world.now), errors.BadSignature)
    allowed = TRADE | QUOTE if order.post_only else TRADE
    covered = key.underlyings == 0 or bool(key.underlyings >> underlying & 1)
    require(bool(key.scope & allowed) and covered, errors.SessionKeyScope)


def require_may_cancel(world: World, account: int, caller: str) -> None:
    """Reject a caller but the owner and its live session keys with the cancel scope."""
    if caller == owner(account):
        return
    key = world.exchange.keys[account, caller]
    require(key.live(world.now), errors.NotOwner)
    require(bool(key.scope & CANCEL), errors.SessionKeyScope)


def charge(world: World, account: int, signer: str, notional: int, loss: int) -> None:
    """Spend both budgets of a key, or reject (``SessionKeyBudget``) and spend nothing."""
    key = world.exchange.keys[account, signer]
    enough = notional <= key.notional_left and loss <= key.loss_left
    require(enough, errors.SessionKeyBudget)
    refund(world, account, signer, -notional, -loss)


def refund(world: World, account: int, signer: str, notional: int, loss: int) -> None:
    """Give back what ``charge`` took."""
    key = world.exchange.keys[account, signer]
    world.exchange.keys[account, signer] = replace(
        key, notional_left=key.notional_left + notional, loss_left=key.loss_left + loss
    )


def set_session_key(world: World, caller: str, account: int, key: str, word: SessionKey) -> None:
    """Owner only: let ``key`` sign; narrowing a live key would void matches made (``NotYet``)."""
    require(caller == owner(account), errors.NotOwner)
    require(key not in (ZERO_ADDRESS, caller), errors.OutOfBounds)
    require(world.now <= word.expiry <= U40_MAX, errors.OutOfBounds)
    require(0 < word.scope <= TRADE | QUOTE | CANCEL, errors.OutOfBounds)
    require(0 <= word.underlyings <= U16_MAX, errors.OutOfBounds)
    fits = 0 <= word.notional_left <= U64_MAX and 0 <= word.loss_left <= U64_MAX
    require(fits and word.removed_at == 0, errors.OutOfBounds)
    old = world.exchange.keys[account, key]
    require(not old.live(world.now) or word.at_least(old), errors.NotYet)
    world.exchange.keys[account, key] = word
    world.emit("SessionKeySet", account=account, key=key, word=word.pack())


def remove_session_key(world: World, caller: str, account: int, key: str) -> None:
    """Owner only: the key signs no more once the notice has passed."""
    require(caller == owner(account), errors.NotOwner)
    old = world.exchange.keys[account, key]
    require(old.live(world.now) and old.removed_at == 0, errors.NoRequest)
    removed_at = venue.after_notice(world)
    world.exchange.keys[account, key] = replace(old, removed_at=removed_at)
    world.emit("SessionKeyRemoved", account=account, key=key, removed_at=removed_at)
