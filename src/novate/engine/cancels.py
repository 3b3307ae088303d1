"""What a cancel takes out: the open orders of an account that it covers.

Owns: what each scope means. A cancel is never refused; one that covers nothing has no effect.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from novate.engine.entry import Nonce
from novate.engine.matching import Matcher
from novate.engine.open_orders import OpenOrder
from novate.model.state import World
from novate.wire.records import AnyRecord, CancelRequested


def cancelled(
    matcher: Matcher, nonces: Mapping[Nonce, bytes], command: CancelRequested
) -> list[AnyRecord]:
    """Take out what a cancel covers, the oldest first; the records of their ends."""
    inside = _scope(command, matcher.world)
    found = _meant(matcher, nonces, command)
    return [matcher.take_out(order, "cancelled") for order in found if inside(order)]


def _meant(
    matcher: Matcher, nonces: Mapping[Nonce, bytes], command: CancelRequested
) -> list[OpenOrder]:
    """An account's open orders, the oldest first; of a nonce only those that it knows."""
    orders, account = matcher.orders, int.from_bytes(command.account, "big")
    if command.scope != "nonce":
        return orders.of(account)
    digests = (nonces.get((account, now, command.value)) for now in (False, True))
    found = [orders.by_digest[d] for d in digests if d is not None and d in orders.by_digest]
    return sorted(found, key=lambda order: order.number)


def _scope(command: CancelRequested, world: World) -> Callable[[OpenOrder], bool]:
    """Which orders a cancel covers."""
    scope, value = command.scope, command.value
    quotes = command.quotes or command.quote_set != ""

    def covers(order: OpenOrder) -> bool:
        terms = order.terms
        if quotes and order.quote_set is None:
            return False
        if command.quote_set and order.quote_set != command.quote_set:
            return False
        if command.own and order.placed.signer != command.signer:
            return False
        match scope:
            case "nonce":
                return terms.nonce == value
            case "below":
                return terms.nonce < value
            case "instrument":
                return terms.instrument == value
            case "underlying":
                return world.ledger.terms_of(terms.instrument).underlying == value
            case _:
                return scope == "all"

    return covers
