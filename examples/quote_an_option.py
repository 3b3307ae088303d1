"""Quote both sides of an option in volatility, for a minute.

    NOVATE_KEY=0x… python examples/quote_an_option.py http://127.0.0.1:8080 BTC

It takes the call next to the forward of the first expiry that is two days away or more, and bids
and offers a volatility point around the venue's own (`mark_iv`): a point is worth `vega` dollars a
coin. What it holds moves both prices by up to a point, so that it would rather trade back. If this
program or its machine dies, the venue's dead man's switch takes the orders out of the book.
"""

from __future__ import annotations

import os
import sys
import time
from decimal import Decimal
from typing import Any

from novate.sdk import ApiError, Client, Rounding, SigningKey

AMOUNT = Decimal("0.2")
POINTS = Decimal(1)
HELD_MAX = 10 * AMOUNT
TWO_DAYS_MS = 2 * 86_400_000


def chosen(client: Client, currency: str) -> str:
    """The call next to the forward of the first expiry that is not too near."""
    soonest = time.time() * 1000 + TWO_DAYS_MS
    found = [
        item
        for item in client.fetch_option_chain(currency).values()
        if item["option_type"] == "call" and item["expiration_timestamp"] > soonest
    ]
    expiry = min(item["expiration_timestamp"] for item in found)
    calls = [item for item in found if item["expiration_timestamp"] == expiry]
    forward = Decimal(client.fetch_ticker(calls[0]["instrument_name"])["underlying_price"])
    nearest = min(calls, key=lambda item: abs(Decimal(item["strike"]) - forward))
    return str(nearest["instrument_name"])


def quote(client: Client, name: str, seen: dict[str, Any], held: Decimal) -> None:
    """Take the old pair out and put a new one in, around the mark less what is held."""
    client.cancel_all_orders(name)
    mark, point = Decimal(seen["mark_price"]), Decimal(seen["greeks"]["vega"])
    lean = max(-POINTS, min(POINTS, held / HELD_MAX)) * point
    for side, width in (("buy", -POINTS), ("sell", POINTS)):
        price = mark + width * point - lean
        try:
            placed = client.create_order(name, side, AMOUNT, price, post_only=True)
        except (ApiError, ValueError) as refused:  # say it, and quote the other side anyway
            print(side, refused)
        else:
            iv = Decimal(seen["mark_iv"]) + width
            print(side, AMOUNT, "at", placed["order"]["price"], f"({iv:.1f} % volatility)")


def main(url: str, currency: str, seconds: float) -> None:
    """Quote until the time is over."""
    key, until = SigningKey(os.environ["NOVATE_KEY"]), time.monotonic() + seconds
    with Client(url, key, rounding=Rounding.PASSIVE) as client:
        name, quoted = chosen(client, currency), None
        while time.monotonic() < until:
            client.call("private/schedule_cancel", timeout=10)
            seen = client.fetch_ticker(name)
            position = client.call("private/get_position", instrument_name=name)
            state = seen["mark_price"], position["size"]
            if state != quoted and seen["greeks"] is not None:
                quote(client, name, seen, Decimal(position["size"]))
                quoted = state
            time.sleep(0.5)
        print("open orders taken out:", client.cancel_all_orders(name))
        held = client.call("private/get_position", instrument_name=name)
        print("held:", held["size"], name, "delta:", held["delta"])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]) if len(sys.argv) > 3 else 60)
