"""A bot written for Deribit, its address pointed at ``novate signer``: not a line of ours in it.

    novate signer --keys keys.toml --venue http://127.0.0.1:8080     # beside it, on this machine
    BOT_SECRET=… python examples/bot_through_signer.py ws://127.0.0.1:8081/ws/api/v2 bot

It logs in with an id and a secret, places an order, looks at it and takes it back. The signer knows
the session key and signs what the bot asks for; the secret never reaches the venue.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from typing import Any

import aiohttp

NUMBERS = itertools.count(1)


async def call(socket: aiohttp.ClientWebSocketResponse, method: str, **params: Any) -> Any:
    """One request of Deribit's API."""
    number = next(NUMBERS)
    body = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
    await socket.send_json(body)
    while True:
        reply = await socket.receive_json(timeout=10)
        if reply.get("id") == number:
            if "error" in reply:
                raise RuntimeError(reply["error"])
            return reply["result"]


async def main(url: str, client_id: str) -> None:
    """Log in, buy far below the mark, look, cancel."""
    secret = os.environ["BOT_SECRET"]
    async with aiohttp.ClientSession() as http, http.ws_connect(url) as socket:
        grant = {"grant_type": "client_credentials", "client_id": client_id}
        await call(socket, "public/auth", **grant, client_secret=secret)
        ticker = await call(socket, "public/ticker", instrument_name="BTC-PERPETUAL")
        price = int(float(ticker["mark_price"]) * 0.9)
        placed = await call(
            socket, "private/buy", instrument_name="BTC-PERPETUAL", amount=0.1, price=price
        )
        order_id = placed["order"]["order_id"]
        print("placed", order_id, placed["order"]["order_state"])
        state = await call(socket, "private/get_order_state", order_id=order_id)
        print("state", state["order_state"], "at", state["price"])
        print("then", (await call(socket, "private/cancel", order_id=order_id))["order_state"])


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
