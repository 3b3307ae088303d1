"""Every order that was taken and may still be asked for: by its digest.

Owns: how long an order is known. A digest that is known is refused when it is sent again; a batch
settles, and settles again after a reorganisation, from the orders as they were signed. An order
that has expired settles no more, and its nonce is never free again (``Entry.nonces``): once no
batch on its way or that may come back holds it, nothing asks for it. Those are forgotten by the
hour. Times in seconds.
"""

from __future__ import annotations

from collections.abc import Container

from novate.wire.records import OrderPlaced

HOUR_S = 3_600


class Placed:
    """The orders of one venue; all but ``orders`` follows from it, and is made again after a
    start.
    """

    def __init__(self) -> None:
        self.orders: dict[bytes, OrderPlaced] = {}
        self._by_hour: dict[int, list[bytes]] = {}  # of their expiries

    def restore(self, orders: dict[bytes, OrderPlaced]) -> None:
        """Know these orders and no others."""
        self.orders, self._by_hour = {}, {}
        for placed in orders.values():
            self.keep(placed)

    def keep(self, placed: OrderPlaced) -> None:
        """An order was taken."""
        self.orders[placed.digest] = placed
        hour = placed.order.expiry // HOUR_S  # division: whole hours
        found = self._by_hour.get(hour)
        if found is None:
            self._by_hour[hour] = [placed.digest]
        else:
            found.append(placed.digest)

    def forget(self, now: int, needed: Container[bytes]) -> None:
        """Forget the orders that expired in an hour before this one, but for the ``needed``."""
        this = now // HOUR_S  # division: whole hours
        for hour in [hour for hour in self._by_hour if hour < this]:
            kept = []
            for digest in self._by_hour.pop(hour):
                if digest in needed:
                    kept.append(digest)
                else:
                    self.orders.pop(digest, None)
            if kept:
                self._by_hour[hour] = kept
