"""What a command of the full book is refused for before the book is touched, cheapest check first.

Owns: the order of the checks, which the fast book repeats. Nothing here changes anything.
"""

from __future__ import annotations

from novate import errors
from novate.errors import require
from novate.limits import LOTS_MAX
from novate.model.book_state import BookState
from novate.model.book_terms import (
    POSITION_LOTS_MAX,
    PRICE_TRIGGER_MAX,
    Capacity,
    Command,
    Options,
    PostOnly,
    TimeInForce,
    Trigger,
)


def within(value: int, low: int, high: int, error: errors.Error) -> None:
    """Reject with the error unless low <= value <= high."""
    require(low <= value <= high, error)


def check_parties(capacity: Capacity, owner: int, account: int) -> None:
    """Errors: ``UnknownAccount``."""
    within(owner, 0, capacity.owners - 1, errors.UnknownAccount)
    within(account, 0, capacity.accounts - 1, errors.UnknownAccount)


def check_price(capacity: Capacity, price: int) -> None:
    """Errors: ``PriceOutOfLadder``."""
    top = capacity.price_base + capacity.levels - 1
    within(price, capacity.price_base, top, errors.PriceOutOfLadder)


def check_lots(lots: int) -> None:
    """Errors: ``ZeroLots``, ``LotsOutOfRange``."""
    require(lots != 0, errors.ZeroLots)
    within(lots, -LOTS_MAX, LOTS_MAX, errors.LotsOutOfRange)


def check_order(book: BookState, identity: int, command: Command) -> Options:
    """The options of a sound new order.

    Errors, in this order: ``MalformedOrder`` (identity), ``UnknownAccount``, ``ZeroLots``,
    ``LotsOutOfRange``, ``MalformedOrder`` (options), ``PriceOutOfLadder``, ``OrderExpired``,
    ``LotsOutOfRange`` (position), ``OrderExists``.
    """
    require(identity > 0, errors.MalformedOrder)
    check_parties(book.capacity, command.owner, command.account)
    check_lots(command.lots)
    options = Options.unpacked(command.options)
    if options is None or not _is_sound(options, command):
        raise errors.Rejected(errors.MalformedOrder)
    if not options.market:
        check_price(book.capacity, command.price)
    _check_account(book, command)
    require(book.order(identity) is None, errors.OrderExists)
    return options


def _is_sound(options: Options, command: Command) -> bool:
    """Whether the options fit each other, the price, the trigger and the expiry."""
    rests = options.time_in_force is TimeInForce.GOOD_TIL_CANCELLED
    takes = options.post_only is PostOnly.NO
    triggered = options.trigger is not Trigger.NONE
    return (
        (takes or (rests and not options.market))
        and (not options.market or (not rests and command.price == 0))
        and (0 < command.trigger <= PRICE_TRIGGER_MAX if triggered else command.trigger == 0)
        and command.expiry >= 0
    )


def _check_account(book: BookState, command: Command) -> None:
    """The expiry, and room for the position: it stays below 2^63 whatever rests and fills."""
    require(command.expiry == 0 or command.expiry > book.now, errors.OrderExpired)
    require(abs(book.position(command.account)) < POSITION_LOTS_MAX, errors.LotsOutOfRange)


def check_quote(book: BookState, command: Command) -> Options:
    """The options of a sound two-sided quote.

    Errors, in this order: ``MalformedOrder`` (identity), ``UnknownAccount``, ``LotsOutOfRange``,
    ``MalformedOrder`` (options: post-only and good till cancelled, nothing else),
    ``PriceOutOfLadder``, ``MalformedOrder`` (crossed), ``OrderExpired``, ``LotsOutOfRange``
    (position), ``QuotesFrozen``.
    """
    require(0 < command.order < 2**62, errors.MalformedOrder)
    check_parties(book.capacity, command.owner, command.account)
    within(command.lots, 0, LOTS_MAX, errors.LotsOutOfRange)
    within(command.trigger, 0, LOTS_MAX, errors.LotsOutOfRange)
    options = Options.unpacked(command.options)
    if options is None or options.post_only is PostOnly.NO or command.expiry < 0:
        raise errors.Rejected(errors.MalformedOrder)
    plain = Options(post_only=options.post_only, self_trade=options.self_trade)
    require(options == plain, errors.MalformedOrder)
    if command.lots:
        check_price(book.capacity, command.price)
    if command.trigger:
        check_price(book.capacity, command.target)
    both = command.lots and command.trigger
    require(not both or command.price < command.target, errors.MalformedOrder)
    _check_account(book, command)
    require(not book.protection(command.owner).frozen, errors.QuotesFrozen)
    return options
