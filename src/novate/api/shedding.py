"""Which commands are shed first under load: new orders, then reductions, cancels last.

Owns: the class of what a client asks for at once. It is the strictest of its parts: one reduction
does not carry a tree of new orders past what refuses a new order.
"""

from __future__ import annotations

from collections.abc import Sequence

from novate.model.order import REDUCE_ONLY
from novate.wire.records import AnyRecord, CancelRequested, OrderPlaced
from novate.wire.safeguard_records import SAFEGUARDS

NEW, REDUCE, CANCEL = "new", "reduce", "cancel"
_PROTECTIVE = (CancelRequested, *SAFEGUARDS)


def class_of(commands: Sequence[AnyRecord]) -> str:
    """The class of commands that enter together."""
    found = CANCEL
    for command in commands:
        if isinstance(command, OrderPlaced) and command.order.flags & REDUCE_ONLY:
            found = REDUCE
        elif not isinstance(command, _PROTECTIVE):
            return NEW
    return found
