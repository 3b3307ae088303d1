"""Answer requests for quotes: price whatever package somebody asks for, around its marks.

    NOVATE_KEY=0x… python examples/take_an_rfq.py http://127.0.0.1:8080

Each request names legs; this maker offers to sell the package a little above its marks and to buy
it a little below, for ten seconds. Only who asked sees the offer; if it is accepted, all legs trade
at once, outside the book, or none does. Who asks is known to nobody before.
"""

from __future__ import annotations

import os
import queue
import sys
import time
from decimal import Decimal
from typing import Any

from novate.sdk import ApiError, Client, Rounding, SigningKey

WIDTH = Decimal("0.001")
VALUE_MAX = 250_000  # the largest package that is quoted, all legs together, in USD
LASTS = 10


def priced(client: Client, rfq: dict[str, Any], side: str) -> list[Decimal]:
    """A price for each leg: a maker who sells the package sells what is bought with it."""
    prices, value = [], Decimal(0)
    for leg in rfq["legs"]:
        mark = Decimal(client.fetch_ticker(leg["instrument_name"])["mark_price"])
        sells = (leg["direction"] == "sell") != (side == "sell")
        prices.append(mark * (1 + WIDTH if sells else 1 - WIDTH))
        value += mark * Decimal(leg["amount"])
    if value > VALUE_MAX:
        raise ValueError(f"a package of {value:,.0f} USD is too large")
    return prices


def quote(client: Client, rfq: dict[str, Any]) -> None:
    """Offer both sides."""
    for side in ("sell", "buy"):
        try:
            offer = client.quote_block_rfq(rfq, side, priced(client, rfq, side), lasts=LASTS)
        except (ApiError, ValueError) as refused:
            print("not quoted:", refused)
        else:
            print("offered to", side, "at", [leg["price"] for leg in offer["legs"]])


def main(url: str, seconds: float) -> None:
    """Answer until the time is over."""
    key, until = SigningKey(os.environ["NOVATE_KEY"]), time.monotonic() + seconds
    asked: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    with Client(url, key, rounding=Rounding.PASSIVE) as client:
        client.follow("block_rfq.maker.any", lambda _, rfq: asked.put(rfq))
        client.follow("block_rfq.maker.quotes.any", lambda _, mine: asked.put(mine))
        for rfq in client.fetch_block_rfqs(role="maker"):
            asked.put(rfq)
        while (left := until - time.monotonic()) > 0:
            try:
                news = asked.get(timeout=left)
            except queue.Empty:
                break
            if news.get("quote_state") == "filled":
                print("traded:", news["direction"], "for", news["total"], "USD")
            elif news.get("state") == "open" and not news["quotes"]:
                quote(client, news)
        print("quotes taken back:", client.call("private/cancel_all_block_rfq_quotes"))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 60)
