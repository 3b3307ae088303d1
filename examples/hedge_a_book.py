"""Bring an account's delta in one currency back to zero with its perpetual.

    NOVATE_KEY=0x… python examples/hedge_a_book.py http://127.0.0.1:8080 BTC

Sums what all positions of the currency weigh, and trades the opposite: immediate-or-cancel, at most
half a percent worse than the mark, again until less than one lot is left or nobody takes the rest.
"""

from __future__ import annotations

import os
import sys
from decimal import Decimal

from novate.sdk import Client, Rounding, SigningKey

SLIPPAGE = Decimal("0.005")
ATTEMPTS = 5


def delta(client: Client, currency: str) -> Decimal:
    """What the account's positions gain if the currency gains one dollar."""
    own = [p for p in client.fetch_positions() if p["instrument_name"].startswith(currency)]
    return sum((Decimal(p["delta"]) for p in own), Decimal(0))


def main(url: str, currency: str) -> None:
    """Hedge."""
    perpetual = f"{currency}-PERPETUAL"
    key = SigningKey(os.environ["NOVATE_KEY"])
    with Client(url, key, rounding=Rounding.PASSIVE) as client:
        lot = Decimal(
            client.call("public/get_instrument", instrument_name=perpetual)["contract_size"]
        )
        for _ in range(ATTEMPTS):
            open_delta = delta(client, currency)
            print("delta", open_delta)
            if abs(open_delta) < lot:
                return
            side, sign = ("sell", -1) if open_delta > 0 else ("buy", 1)
            mark = Decimal(client.fetch_ticker(perpetual)["mark_price"])
            limit = mark * (1 + sign * SLIPPAGE)
            done = client.create_order(
                perpetual, side, abs(open_delta), limit, time_in_force="immediate_or_cancel"
            )["order"]
            print(side, done["filled_amount"], "at", done["average_price"])
        sys.exit(f"a delta of {delta(client, currency)} is left")


if __name__ == "__main__":
    main(*sys.argv[1:])
