"""What a wallet is shown of a match, a cancel and a tree of orders (eth_signTypedData_v4), so that
``eth_account`` can say what their digests must be; orders at random.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from novate.model import bulk as tree
from novate.model.order import ZERO_ADDRESS, Order
from novate.wire import bulk, eip712


def typed_match(domain: eip712.Domain, match: eip712.Match) -> dict[str, Any]:
    """The match as an executor's wallet is asked to sign it."""
    members = (match.maker, match.taker, match.lots, match.price, match.sequence, match.matched_at)
    return eip712.envelope(domain, "Match", _named("Match", members))


def typed_cancel(domain: eip712.Domain, cancel: eip712.Cancel) -> dict[str, Any]:
    """The cancel as a wallet is asked to sign it."""
    scope = eip712.CANCEL_SCOPES.index(cancel.scope)
    members = (cancel.account.to_bytes(32, "big"), scope, cancel.value, cancel.expiry)
    return eip712.envelope(domain, "Cancel", _named("Cancel", members))


def typed_bulk(domain: eip712.Domain, orders: Sequence[Order]) -> dict[str, Any]:
    """The orders as a wallet is asked to sign them: all of them, in the shape of the tree."""
    height = tree.height_of(len(orders))
    blanks = [bulk.BLANK] * ((1 << height) - len(orders))
    nodes: list[Any] = [eip712.order_members(order) for order in (*orders, *blanks)]
    while len(nodes) > 2:
        each = iter(nodes)
        nodes = [list(pair) for pair in zip(each, each, strict=True)]
    types = {
        bulk.NAME: [{"type": bulk.tree_type(height), "name": "tree"}],
        "Order": eip712.fields("Order"),
    }
    return eip712.envelope(domain, bulk.NAME, {"tree": nodes}, types)


def _named(name: str, members: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip((member for _, member in eip712.TYPES[name]), members, strict=True))


def random_order(rng: random.Random, executor: str | None = None) -> Order:
    """Any order; for anybody, or for ``executor`` (None: a random one)."""
    named = executor or f"0x{rng.getrandbits(160):040x}"
    return Order(
        account=rng.getrandbits(256),
        instrument=rng.getrandbits(20),
        lots=rng.choice((1, -1)) * rng.randrange(1, 2**43),
        price=rng.getrandbits(128),
        max_fee=rng.getrandbits(128),
        nonce=rng.getrandbits(64),
        expiry=rng.getrandbits(40),
        revision=rng.getrandbits(16),
        exclusive_until=rng.getrandbits(40),
        flags=rng.getrandbits(3),
        executor=rng.choice((ZERO_ADDRESS, named)),
    )
