"""Quote both sides of an instrument around its mark, for a minute.

    NOVATE_KEY=0x… python examples/quote_both_sides.py http://127.0.0.1:8080 BTC-PERPETUAL

Two orders at a time, each a tenth of a percent from the mark; both move when the mark has moved by
a twentieth. An order that would trade at once is refused (`post_only`), never taken. If this
program or its machine dies, the venue's dead man's switch takes both orders out of the book.
"""

from __future__ import annotations

import os
import sys
import time
from decimal import Decimal

from novate.sdk import ApiError, Client, Rounding, SigningKey

AMOUNT = Decimal("0.1")
WIDTH = Decimal("0.001")
STEP = Decimal("0.0005")


def quote(client: Client, name: str, mark: Decimal) -> None:
    """Take the old pair out and put a new one in."""
    client.cancel_all_orders(name)
    for side, price in (("buy", mark * (1 - WIDTH)), ("sell", mark * (1 + WIDTH))):
        try:
            placed = client.create_order(name, side, AMOUNT, price, post_only=True)
        except ApiError as refused:  # say it, and quote the other side anyway
            print(side, refused)
        else:
            print(side, AMOUNT, "at", placed["order"]["price"])


def main(url: str, name: str, seconds: float) -> None:
    """Quote until the time is over."""
    key, until = SigningKey(os.environ["NOVATE_KEY"]), time.monotonic() + seconds
    with Client(url, key, rounding=Rounding.PASSIVE) as client:
        quoted = Decimal(0)
        while time.monotonic() < until:
            client.call("private/schedule_cancel", timeout=10)
            mark = Decimal(client.fetch_ticker(name)["mark_price"])
            if abs(mark - quoted) > quoted * STEP:
                quote(client, name, mark)
                quoted = mark
            time.sleep(0.5)
        print("open orders taken out:", client.cancel_all_orders(name))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]) if len(sys.argv) > 3 else 60)
