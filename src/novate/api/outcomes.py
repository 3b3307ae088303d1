"""What a client asks about when the outcome of its orders is not known.

Owns: ``OutcomeUnknown`` with the digests of the orders that may yet take effect; ``error.data`` of
the reply lists them as ``order_ids``, in the order in which they were sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from novate.errors import OutcomeUnknown, Rejected


class UnknownOutcome(Rejected):
    """``OutcomeUnknown`` of these orders."""

    def __init__(self, digests: Iterable[bytes]) -> None:
        super().__init__(OutcomeUnknown)
        self.order_ids = ["0x" + digest.hex() for digest in digests]


def about(fault: Exception, digests: Iterable[bytes]) -> Exception:
    """The same fault; if it is an unknown outcome, with the digests to ask about."""
    unknown = isinstance(fault, Rejected) and fault.error is OutcomeUnknown
    return UnknownOutcome(digests) if unknown else fault


@contextmanager
def orders_of(*digests: bytes) -> Iterator[None]:
    """Entering these orders: whose outcome is not known says which they are."""
    try:
        yield
    except Rejected as rejected:
        raise about(rejected, digests) from None
