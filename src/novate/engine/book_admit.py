"""What an order of the fast book is refused for, in the order of ``model/book_checks.py``.

Owns: the checks of a new order's fields, and of what it would meet: post-only, reduce-only,
fill-or-kill. No check changes what the state hash covers, so a refused command changes nothing.
"""

from __future__ import annotations

import numpy as np

from novate.engine.book_index import (
    account_row,
    find,
    level_row,
    next_above,
    next_below,
    owner_of,
    pointer,
)
from novate.engine.book_kernel import count_fill, room
from novate.engine.book_layout import (
    ACCEPTED,
    ACCOUNT,
    ACCOUNT_WALK,
    ACCOUNTS_AT,
    ACCOUNTS_MAX,
    ACCOUNTS_SEEN,
    BEST_ASK,
    BEST_BID,
    COUNTS,
    EXPIRY,
    FILL_OR_KILL,
    FIRST,
    FORCE_BITS,
    FROZEN,
    IMMEDIATE,
    KILLS,
    LAST,
    LEVEL,
    LEVELS_MAX,
    LOTS,
    LOTS_LEFT,
    LOTS_MAX,
    LOTS_OUT_OF_RANGE,
    LOTS_TOTAL,
    MALFORMED,
    MARKET,
    NEXT,
    NONE,
    NOW,
    OPTION_MASK,
    OPTIONS,
    ORDER_EXISTS,
    ORDER_EXPIRED,
    OWNER,
    OWNER_SHIFT,
    OWNERS_MAX,
    OWNERS_SEEN,
    POSITION,
    POSITION_LOTS_MAX,
    POST_BITS,
    POST_ONLY,
    POST_SHIFT,
    PRICE,
    PRICE_BASE,
    PRICE_OUT_OF_LADDER,
    PRICE_TRIGGER_MAX,
    QUOTED,
    REDUCE_ONLY,
    REDUCES_ONLY,
    SELF_MATCH,
    SELF_TRADE_BITS,
    SELL,
    SLIDES,
    TERMS,
    TRIAL_COUNTS,
    TRIAL_POSITION,
    TRIGGER,
    TRIGGER_BITS,
    TRIGGER_SHIFT,
    UNKNOWN_ACCOUNT,
    WALK,
    WALKS,
    ZERO_LOTS,
    U,
    Word,
    Words,
    compiled,
    inlined,
)

_ACCOUNT_ROW_SHIFT = U(2)
_NEVER = np.int64(3)  # the option value that no field has


@inlined
def is_within(value: Word, bound: Word) -> bool:
    """Whether 0 <= value < bound; a negative value is a huge unsigned one."""
    return bool(np.uint64(value) < np.uint64(bound))


@inlined
def check_parties(state: Words, owner: Word, account: Word) -> Word:
    """UnknownAccount, or 0; remembers the highest owner and account seen."""
    if not (is_within(owner, state[OWNERS_MAX]) and is_within(account, state[ACCOUNTS_MAX])):
        return UNKNOWN_ACCOUNT
    if owner >= state[OWNERS_SEEN]:
        state[OWNERS_SEEN] = owner + 1
    if account >= state[ACCOUNTS_SEEN]:
        state[ACCOUNTS_SEEN] = account + 1
    return ACCEPTED


@inlined
def check_lots(lots: Word) -> Word:
    """ZeroLots, LotsOutOfRange, or 0."""
    if lots == 0:
        return ZERO_LOTS
    return ACCEPTED if -LOTS_MAX <= lots <= LOTS_MAX else LOTS_OUT_OF_RANGE


@inlined
def check_price(state: Words, price: Word) -> Word:
    """PriceOutOfLadder, or 0. The difference may wrap; it is in range only if the price is."""
    in_ladder = is_within(price - state[PRICE_BASE], state[LEVELS_MAX])
    return ACCEPTED if in_ladder else PRICE_OUT_OF_LADDER


@compiled
def _are_sound(options: Word, price: Word, trigger: Word, expiry: Word) -> bool:
    """Whether the options fit each other, the price, the trigger and the expiry."""
    if options & ~OPTION_MASK:
        return False
    force, post = options & FORCE_BITS, (options & POST_BITS) >> POST_SHIFT
    kind = (options & TRIGGER_BITS) >> TRIGGER_SHIFT
    if force == _NEVER or post == _NEVER or kind == _NEVER:
        return False
    if options & SELF_TRADE_BITS == SELF_TRADE_BITS:
        return False
    is_market = options & MARKET != 0
    if post != 0 and (force != 0 or is_market):
        return False
    if is_market and (force == 0 or price != 0):
        return False
    if kind == 0 and trigger != 0:
        return False
    if kind != 0 and not 0 < trigger <= PRICE_TRIGGER_MAX:
        return False
    return bool(expiry >= 0)


@inlined
def check_order(state: Words, commands: Words, at: np.uint64, identity: Word) -> Word:
    """The code a new order is refused with for what it says, or 0."""
    if identity <= 0:
        return MALFORMED
    account, options = commands[at + ACCOUNT], commands[at + OPTIONS]
    code = check_parties(state, commands[at + OWNER], account)
    if code == ACCEPTED:
        code = check_lots(commands[at + LOTS])
    if code != ACCEPTED:
        return code
    expiry, trigger, price = commands[at + EXPIRY], commands[at + TRIGGER], commands[at + PRICE]
    is_plain = is_within(options, IMMEDIATE + 1) and expiry == 0 and trigger == 0
    if not is_plain and not _are_sound(options, price, trigger, expiry):
        return MALFORMED
    if options & MARKET == 0 and check_price(state, price) != ACCEPTED:
        return PRICE_OUT_OF_LADDER
    code = check_account(state, account, expiry)
    if code == ACCEPTED and find(state, identity) != NONE:
        return ORDER_EXISTS
    return code


@inlined
def check_account(state: Words, account: Word, expiry: Word) -> Word:
    """OrderExpired, LotsOutOfRange, or 0: the position stays below 2^63 whatever rests and fills.

    All resting orders together have at most ORDERS * LOTS_MAX < 2^60 lots.
    """
    if expiry != 0 and expiry <= state[NOW]:
        return ORDER_EXPIRED
    position = state[ACCOUNTS_AT + (np.uint64(account) << _ACCOUNT_ROW_SHIFT) + POSITION]
    return ACCEPTED if -POSITION_LOTS_MAX < position < POSITION_LOTS_MAX else LOTS_OUT_OF_RANGE


# What an order would meet


@inlined
def _best_without(state: Words, is_sell: bool, ignored: np.uint64) -> Word:
    """The best level of the asks (or of the bids), as if one order were not there."""
    best = state[BEST_ASK] if is_sell else state[BEST_BID]
    if ignored == NONE or not is_within(best, state[LEVELS_MAX]):
        return best
    at = level_row(best)
    if pointer(state, at + FIRST) != ignored or pointer(state, at + LAST) != ignored:
        return best
    return next_above(state, np.uint64(best)) if is_sell else next_below(state, np.uint64(best))


@inlined
def posted(state: Words, level: Word, is_sell: bool, options: Word, ignored: np.uint64) -> Word:
    """The level at which a post-only order does not take; -1 if it is to be refused."""
    best = _best_without(state, not is_sell, ignored)
    if (best < level) if is_sell else (best > level):
        return level
    if (options & POST_BITS) >> POST_SHIFT != SLIDES:
        return np.int64(-1)
    slid = best + 1 if is_sell else best - 1
    return slid if is_within(slid, state[LEVELS_MAX]) else np.int64(-1)


@compiled
def admit(state: Words, row: np.uint64, ignored: np.uint64) -> Word:
    """Fit an order to the position and the book: ReduceOnly, PostOnly, SelfMatch, FillOrKill or 0.

    Only the order's own row changes, which is not in the book yet; ``ignored`` leaves it before.
    """
    order_terms = state[row + TERMS]
    if order_terms & REDUCE_ONLY:
        left = state[row + LOTS_LEFT]
        space = room(state[account_row(order_terms) + POSITION], order_terms)
        if space == 0 or (space < left and order_terms & FORCE_BITS == KILLS):
            return REDUCES_ONLY
        cut = left - min(left, space)
        state[row + LOTS_LEFT] -= cut
        state[row + LOTS_TOTAL] -= cut
    if order_terms & POST_BITS:
        is_sell = order_terms & SELL != 0
        level = posted(state, state[row + LEVEL], is_sell, order_terms, ignored)
        if level < 0:
            return POST_ONLY
        state[row + LEVEL] = level
    if order_terms & FORCE_BITS == KILLS:
        return _try_to_fill(state, row, ignored)
    return ACCEPTED


@inlined
def _trial_position(state: Words, account: np.uint64, walk: Word) -> Word:
    return (
        state[account + TRIAL_POSITION]
        if state[account + ACCOUNT_WALK] == walk
        else state[account + POSITION]
    )


@inlined
def _move_trial(state: Words, account: np.uint64, walk: Word, lots: Word) -> None:
    state[account + TRIAL_POSITION] = _trial_position(state, account, walk) + lots
    state[account + ACCOUNT_WALK] = walk


@inlined
def _is_pulled(state: Words, owner: np.uint64, walk: Word) -> bool:
    """Whether the trial has tripped the protection of an owner; begins its counts."""
    if state[owner + WALK] != walk:
        state[owner + WALK] = walk
        for column in range(4):
            counts = U(column)
            state[owner + TRIAL_COUNTS + counts] = state[owner + COUNTS + counts]
    return bool(state[owner + TRIAL_COUNTS + FROZEN] != 0)


@inlined
def _try_maker(state: Words, taker_terms: Word, maker: np.uint64, left: Word, walk: Word) -> Word:
    """How many lots a maker would trade after all that the trial did before."""
    maker_terms = state[maker + TERMS]
    owner = owner_of(maker_terms)
    if maker_terms & QUOTED and _is_pulled(state, owner, walk):
        return np.int64(0)
    account = account_row(maker_terms)
    lots = min(left, state[maker + LOTS_LEFT])
    if maker_terms & REDUCE_ONLY:
        lots = min(lots, room(_trial_position(state, account, walk), maker_terms))
    if lots == 0:
        return lots
    signed = -lots if taker_terms & SELL else lots
    _move_trial(state, account_row(taker_terms), walk, signed)
    _move_trial(state, account, walk, -signed)
    if maker_terms & QUOTED and count_fill(state, owner, owner + TRIAL_COUNTS, lots, state[NOW]):
        state[owner + TRIAL_COUNTS + FROZEN] = 1
    return lots


@compiled
def _try_to_fill(state: Words, row: np.uint64, ignored: np.uint64) -> Word:
    """Walk what the order would meet without changing it: SelfMatch, FillOrKill or 0."""
    state[WALKS] += 1
    walk, taker_terms, left = state[WALKS], state[row + TERMS], state[row + LOTS_LEFT]
    is_sell, limit = taker_terms & SELL != 0, state[row + LEVEL]
    level = state[BEST_BID] if is_sell else state[BEST_ASK]
    while (level >= limit) if is_sell else (level <= limit):
        maker = pointer(state, level_row(level) + FIRST)
        while maker != NONE:
            is_own = state[maker + TERMS] >> OWNER_SHIFT == taker_terms >> OWNER_SHIFT
            if maker != ignored and is_own:
                if taker_terms & SELF_TRADE_BITS:
                    return SELF_MATCH
            elif maker != ignored:
                left -= _try_maker(state, taker_terms, maker, left, walk)
                if left == 0:
                    return ACCEPTED
            maker = pointer(state, maker + NEXT)
        at = np.uint64(level)
        level = next_below(state, at) if is_sell else next_above(state, at)
    return FILL_OR_KILL
