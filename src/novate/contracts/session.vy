# pragma version 0.4.3
# pragma nonreentrancy on
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Session keys: what an account's helpers may sign, how long and for how much (RULES 10)
@notice Word: [expiry 40 | scope 8 | underlyings 16 | notional_left 64 | loss_left 64 |
        removed_at 40] (docs/SPEC.md §6). Scope bits: 1 trade, 2 quote (post-only orders), 4 cancel;
        no scope withdraws. Underlyings: a bit each, none set means all. Budgets in cents, spent
        rounded up. A live key is narrowed only by removing it, a notice ahead.
        Twin: novate/model/session.py.
"""

from lib import errors
import order
import trade
import venue

uses: venue

event SessionKeySet:
    account: indexed(bytes32)
    key: indexed(address)
    word: uint256

event SessionKeyRemoved:
    account: indexed(bytes32)
    key: indexed(address)
    removed_at: uint256

SCOPE: constant(uint256) = 40
UNDERLYINGS: constant(uint256) = 48
NOTIONAL: constant(uint256) = 64
LOSS: constant(uint256) = 128
REMOVED_AT: constant(uint256) = 192
SCOPE_TRADE: constant(uint256) = 1
SCOPE_QUOTE: constant(uint256) = 2
SCOPE_CANCEL: constant(uint256) = 4
SCOPE_ALL: constant(uint256) = 7

keys: HashMap[bytes32, HashMap[address, uint256]]  # account -> key -> word
# order in its batch (its state >> order.KEY) -> the key that signed it, where its state is KEYED
signers: transient(HashMap[uint256, address])


@internal
@pure
def owner(account: bytes32) -> address:
    """@notice The owner is the account's first 20 bytes, so it never changes."""
    return convert(convert(account, uint256) >> 96, address)


@internal
def admit(state: uint256, word: uint256, account: bytes32, key: address, terms: uint256) -> uint256:
    """@notice The state (trade.vy) of an order signed by `key`, or the code that bars the key."""
    keyed: uint256 = self.keys[account][key]
    if not self._live(keyed):
        return convert(errors.BadSignature, uint256)
    scope: uint256 = (keyed >> SCOPE) & order.M8
    allowed: uint256 = SCOPE_TRADE
    if word & order.POST_ONLY != 0:
        allowed = SCOPE_TRADE | SCOPE_QUOTE
    mask: uint256 = (keyed >> UNDERLYINGS) & order.M16
    if scope & allowed == 0 or (mask != 0 and (mask >> ((terms >> 232) & order.M8)) & 1 == 0):
        return convert(errors.SessionKeyScope, uint256)
    self.signers[word >> order.KEY] = key
    return state | trade.KEYED


@internal
def spend(
    fill: uint256,
    taker: uint256,
    maker: uint256,
    account_taker: bytes32,
    account_maker: bytes32,
    terms: uint256,
    mark: uint256,
) -> bool:
    """@notice Charge the keys behind the fill; False, and nothing charged, if a budget is short."""
    notional: uint256 = 0
    loss_taker: uint256 = 0
    loss_maker: uint256 = 0
    notional, loss_taker, loss_maker = trade.costs(fill, taker & order.SELL != 0, terms, mark)
    if not self._charge(taker, account_taker, notional, loss_taker):
        return False
    if not self._charge(maker, account_maker, notional, loss_maker):
        self._refund(taker, account_taker, notional, loss_taker)
        return False
    return True


@internal
def give_back(
    fill: uint256,
    taker: uint256,
    maker: uint256,
    account_taker: bytes32,
    account_maker: bytes32,
    terms: uint256,
    mark: uint256,
):
    """@notice Undo `spend` in the same transaction, hence at the same mark."""
    notional: uint256 = 0
    loss_taker: uint256 = 0
    loss_maker: uint256 = 0
    notional, loss_taker, loss_maker = trade.costs(fill, taker & order.SELL != 0, terms, mark)
    self._refund(taker, account_taker, notional, loss_taker)
    self._refund(maker, account_maker, notional, loss_maker)


@internal
def _charge(state: uint256, account: bytes32, notional: uint256, loss: uint256) -> bool:
    if state & trade.KEYED == 0:
        return True
    key: address = self.signers[state >> order.KEY]
    word: uint256 = self.keys[account][key]
    if notional > (word >> NOTIONAL) & order.M64 or loss > (word >> LOSS) & order.M64:
        return False
    self.keys[account][key] = word - (notional << NOTIONAL) - (loss << LOSS)
    return True


@internal
def _refund(state: uint256, account: bytes32, notional: uint256, loss: uint256):
    if state & trade.KEYED != 0:
        key: address = self.signers[state >> order.KEY]
        self.keys[account][key] += (notional << NOTIONAL) + (loss << LOSS)


@internal
@view
def may_cancel(account: bytes32, caller: address):
    """@notice Reject a caller but the owner and its live session keys with the cancel scope."""
    if caller == self.owner(account):
        return
    word: uint256 = self.keys[account][caller]
    errors.require(self._live(word), errors.NotOwner)
    errors.require((word >> SCOPE) & SCOPE_CANCEL != 0, errors.SessionKeyScope)


@external
def set_session_key(
    account: bytes32,
    key: address,
    expiry: uint256,
    scope: uint256,
    underlyings: uint256,
    notional: uint256,
    loss: uint256,
):
    """@notice Owner only. Narrowing a live key would void matches already made (`NotYet`)."""
    errors.require(msg.sender == self.owner(account), errors.NotOwner)
    errors.require(key != empty(address) and key != msg.sender, errors.OutOfBounds)
    errors.require(block.timestamp <= expiry and expiry <= order.M40, errors.OutOfBounds)
    errors.require(0 < scope and scope <= SCOPE_ALL, errors.OutOfBounds)
    errors.require(underlyings <= order.M16, errors.OutOfBounds)
    errors.require(notional <= order.M64 and loss <= order.M64, errors.OutOfBounds)
    word: uint256 = expiry | (scope << SCOPE) | (underlyings << UNDERLYINGS)
    word |= (notional << NOTIONAL) | (loss << LOSS)
    old: uint256 = self.keys[account][key]
    errors.require(not self._live(old) or self._at_least(word, old), errors.NotYet)
    self.keys[account][key] = word
    log SessionKeySet(account=account, key=key, word=word)


@external
def remove_session_key(account: bytes32, key: address):
    """@notice Owner only: the key signs no more after the notice; a second call is refused."""
    errors.require(msg.sender == self.owner(account), errors.NotOwner)
    word: uint256 = self.keys[account][key]
    errors.require(self._live(word) and word >> REMOVED_AT == 0, errors.NoRequest)
    removed_at: uint256 = venue.after_notice()
    self.keys[account][key] = word | (removed_at << REMOVED_AT)
    log SessionKeyRemoved(account=account, key=key, removed_at=removed_at)


@external
@view
def session_key(account: bytes32, key: address) -> uint256:
    """@notice The key's word."""
    return self.keys[account][key]


@internal
@view
def _live(word: uint256) -> bool:
    removed_at: uint256 = word >> REMOVED_AT
    return block.timestamp <= word & order.M40 and (removed_at == 0 or block.timestamp < removed_at)


@internal
@pure
def _at_least(word: uint256, old: uint256) -> bool:
    """@notice Whether `word` allows all that `old` does and `old` is not being removed."""
    if old >> REMOVED_AT != 0 or word & order.M40 < old & order.M40:
        return False
    if (old >> SCOPE) & order.M8 & ~(word >> SCOPE) != 0:
        return False
    mask: uint256 = (word >> UNDERLYINGS) & order.M16
    mask_old: uint256 = (old >> UNDERLYINGS) & order.M16
    if mask != 0 and (mask_old == 0 or mask_old & ~mask != 0):
        return False
    enough: bool = (word >> NOTIONAL) & order.M64 >= (old >> NOTIONAL) & order.M64
    return enough and (word >> LOSS) & order.M64 >= (old >> LOSS) & order.M64
