"""Hostile messages: no crash, no trace to the peer, an error that names the field, memory flat, and
the venue trades on.
"""

from __future__ import annotations

import asyncio
import gc
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from support.hostile import Hostile
from support.venue_api import Trader, Venue, served, venue_of

from novate.api import rpc
from novate.api.session import Limits, Session
from novate.api.venue import VenueApi
from novate.errors import Rejected
from novate.store.database import Database

MALLORY, ALICE, BOB = Trader("fuzz mallory"), Trader("fuzz alice"), Trader("fuzz bob")
BTC = "BTC-PERPETUAL"
NAMES_A_FIELD = re.compile(r"\A.{1,80}?: ")
venue = venue_of(MALLORY, ALICE, BOB)


def session_of(api: VenueApi, trader: Trader, *scopes: str) -> tuple[Session, list[bytes]]:
    pushed: list[bytes] = []

    def push(message: bytes) -> None:
        pushed[:] = [message]

    session = Session(api, push, address="fuzz")
    session.account, session.signer = trader.account, trader.address
    session.scopes = frozenset(scopes)
    return session, pushed


def good_of(api: VenueApi) -> dict[str, dict[str, Any]]:
    """Parameters that would be taken, so that what is wrong lies deeper."""
    item = {"instrument_name": BTC}
    span = item | {"start_timestamp": 1_700_000_000_000, "end_timestamp": 1_700_000_360_000}
    order = MALLORY.order(api, "0.1", "50000")
    common = {"amount": "1", "price": "100000", "currency": "BTC", "index_name": "btc_usdc"}
    common |= {"order_id": "0x" + "ab" * 32, "label": "x", "timeout": 0, "interval": 60}
    common |= {"simulated_positions": {BTC: "1"}, "resolution": "1", "scope": "connection"}
    good = dict.fromkeys(rpc.METHODS, common | span)
    return good | {
        "private/buy": order,
        "private/sell": MALLORY.order(api, "0.1", "150000", sells=True),
        "public/get_order_digest": order | {"account": f"0x{MALLORY.account:064x}"},
        "public/auth": MALLORY.login(api.separator),
        "public/subscribe": {"channels": [f"book.{BTC}.raw", f"ticker.{BTC}.raw"]},
    }


def check(reply: dict[str, Any], sent: object, seen: Counter[str]) -> None:
    """One answer: a result, or an error with a name, a sentence and, for a field, its name."""
    if "result" in reply:
        seen["result"] += 1
        return
    error = reply["error"]
    seen[error["message"]] += 1
    assert error["message"] != "InternalFault", sent
    assert "Traceback" not in json.dumps(reply) and "novate/" not in json.dumps(reply), sent
    assert isinstance(error["code"], int) and error["data"]["reason"], sent
    if error["message"] in ("InvalidField", "BadQuery"):
        assert NAMES_A_FIELD.search(error["data"]["detail"]), (error, sent)


def resident() -> int:
    """Bytes of memory this process holds."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


async def send(session: Session, message: bytes) -> dict[str, Any]:
    try:
        request = rpc.read(message)
    except Rejected as rejected:
        return json.loads(rpc.refused(session, rejected, 0))
    return json.loads(await rpc.answer(session, request))


async def trades_still(api: VenueApi) -> bool:
    """Alice and Bob trade as if nothing had been."""
    for trader, sells in ((ALICE, True), (BOB, False)):
        session, _ = session_of(api, trader, "read", "trade")
        order = trader.order(api, "0.1", "100100", sells=sells)
        side = "sell" if sells else "buy"
        body = {"jsonrpc": "2.0", "id": 1, "method": f"private/{side}", "params": order}
        reply = await send(session, json.dumps(body).encode())
    return reply["result"]["order"]["order_state"] == "filled"


async def flood(venue: Venue, folder: Path, count: int, seed: int) -> Counter[str]:
    seen: Counter[str] = Counter()
    async with served(venue) as (api, _):
        plenty = (10**9, 10**9)
        api.limits = Limits(requests=plenty, cancels=plenty, anonymous=plenty)
        api.store = Database.open(f"sqlite:///{folder / 'fuzz.db'}")
        hostile = Hostile(seed, good_of(api))
        sessions = [
            session_of(api, MALLORY, "read", "trade")[0],
            session_of(api, MALLORY, "read")[0],
            Session(api, address="fuzz"),
        ]
        at_first = 0
        for number, message in enumerate(hostile.messages(count)):
            if number == count // 4:
                at_first = resident()
            session = sessions[number % len(sessions)]
            before = session.account, session.scopes
            check(await send(session, message), message, seen)
            session.account, session.scopes = before
            if number % 20 == 0:
                name, query = hostile.query()
                check(await rpc.outcome(session, name, query, 0), (name, query), seen)
        assert resident() - at_first < 24 << 20, "memory grows with what is refused"
        assert api.faults == 0 and len(api.feeds.followers) < 100
        await api.keeper.stop()
        assert await trades_still(api)
        api.store.close()
    return seen


def test_ten_thousand_hostile_messages(venue: Venue, tmp_path: Path) -> None:
    seen = asyncio.run(flood(venue, tmp_path, 10_000, seed=1))
    # the stream reaches into the methods, and is refused for many reasons
    assert sum(seen.values()) == 10_500 and seen["result"] > 500 and len(seen) >= 10


@pytest.mark.nightly
def test_two_hundred_thousand_hostile_messages(venue: Venue, tmp_path: Path) -> None:
    seen = asyncio.run(flood(venue, tmp_path, 200_000, seed=2))
    assert sum(seen.values()) == 210_000 and len(seen) >= 10
