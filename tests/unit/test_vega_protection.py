"""Market-maker protection by vega: what options fill, long or short, in volatility's own money."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from novate import errors
from novate.engine.protection import vega_of
from novate.errors import Rejected
from novate.model import options
from novate.model.option_id import OptionId, future_id
from novate.units import DAY_S, WAD
from novate.wire import records
from novate.wire import surfaces as wire_surfaces
from novate.wire.records import AnyRecord, ProtectionTriggered
from tests.support.engine import (
    BTC,
    NODE_KEYS,
    ORACLE_PER_USD,
    Floor,
    account_of,
    address_of,
    deployed,
    ends,
    matches,
    rejection,
)
from tests.support.surfaces import surface_of

CALL = OptionId(BTC, 0, 0, False).pack()
PUT = CALL + 1
ONE = 100  # lots of a base unit


@pytest.fixture
def floor() -> Floor:
    """A month's options of strike 100,000, with arrays, at a volatility of 60 %."""
    made = Floor()
    for role in ("maker", "taker"):
        made.deposit(role, 10_000_000)
    deployment, parameters, _ = deployed()
    market = next(one for one in parameters.options if one.underlying == BTC)
    period = market.period_seconds
    expiry = (made.now + 30 * DAY_S) // period * period
    domain = wire_surfaces.domain_separator(deployment.chain_id, deployment.addresses["surfaces"])
    seen = wire_surfaces.signed_surfaces(
        domain, 1, made.now, BTC, surface_of([expiry], made.now), list(enumerate(NODE_KEYS))[:3]
    )
    stranger = address_of("stranger")
    made.transact(stranger, "surfaces", "post_surfaces", *seen.arguments())
    made.transact(stranger, "options", "list_expiry", BTC, expiry)
    made.transact(stranger, "options", "list_strike", BTC, 0, 100_000 * ORACLE_PER_USD)
    made.transact(stranger, "options", "refresh", BTC, 0)
    return made


def protect(floor: Floor, vega: int, **limits: int) -> None:
    """At most so much vega (wad of USD a point) within a minute; frozen until reset."""
    account, signer = (
        account_of("maker").to_bytes(32, "big"),
        bytes.fromhex(address_of("maker")[2:]),
    )
    quantity, delta = limits.get("quantity", 0), limits.get("delta", 0)
    texts = (records.big(one) for one in (quantity, delta))
    floor.feed(records.ProtectionSet(account, 1, 60, 0, *texts, signer, 0, records.big(vega)))


def quote(floor: Floor, instrument: int, lots: int, dollars: int, name: str = "") -> None:
    made = floor.quote(
        "maker", [(lots, dollars)], name=name, instrument=instrument, max_fee=9 * WAD
    )
    assert made == []


def take(floor: Floor, instrument: int, lots: int, dollars: int) -> list[AnyRecord]:
    return floor.take("taker", lots, dollars, instrument=instrument, max_fee=9 * WAD)


def tripped(events: list[AnyRecord]) -> bool:
    return any(isinstance(event, ProtectionTriggered) for event in events)


def vega(floor: Floor, instrument: int, lots: int) -> int:
    """What so many lots count, to the wei."""
    return -(-options.greeks(floor.world, instrument).vega * lots // ONE // 100)


def test_vega_is_the_models_and_calls_and_puts_have_the_same(floor: Floor) -> None:
    exact = options.greeks(floor.world, CALL).vega
    assert 100 * WAD < exact // 100 < 120 * WAD, "0.4 F sqrt(T) a point, at the money"
    assert vega_of(floor.world, CALL) == exact == vega_of(floor.world, PUT)
    assert vega_of(floor.world, BTC) == vega_of(floor.world, future_id(BTC, 0)) == 0


def test_a_sweep_trips_by_vega_in_its_middle(floor: Floor) -> None:
    protect(floor, vega=vega(floor, CALL, 15))
    for place, name in enumerate("abc"):
        quote(floor, CALL, -10, 7_000 + 10 * place, name)
    quote(floor, BTC, 10, 99_000, "d")
    events = take(floor, CALL, 30, 7_100)
    assert [m.lots for m in matches(events)] == [10, 10]
    assert tripped(events)
    assert ends(events).count(("evicted", "QuotesFrozen")) == 2
    assert ends(events)[-1] == ("unfilled", "")
    again = floor.quote("maker", [(-1, 7_000)], instrument=CALL, max_fee=9 * WAD)
    assert rejection(again) == "QuotesFrozen"
    assert floor.replayed() == (floor.events, floor.world.state_hash())


def test_the_limit_itself_trips_and_a_wei_less_does_not(floor: Floor) -> None:
    for less, trips in ((1, True), (0, True), (-1, False)):
        protect(floor, vega=vega(floor, CALL, 10) - less)
        quote(floor, CALL, -10, 7_000)
        assert tripped(take(floor, CALL, 10, 7_000)) is trips
        signer = bytes.fromhex(address_of("maker")[2:])
        account = account_of("maker").to_bytes(32, "big")
        floor.feed(records.ProtectionReset(account, 1, signer, 0))


def test_what_is_bought_takes_back_what_was_sold(floor: Floor) -> None:
    """Calls and puts alike: both are long volatility for who buys them."""
    protect(floor, vega=vega(floor, CALL, 15))
    for _ in range(3):
        quote(floor, CALL, -10, 7_000)
        assert not tripped(take(floor, CALL, 10, 7_000))
        quote(floor, PUT, 10, 6_500)
        assert not tripped(take(floor, PUT, -10, 6_500))
    quote(floor, PUT, 10, 6_500)
    assert not tripped(take(floor, PUT, -10, 6_500))
    quote(floor, PUT, 10, 6_500)
    assert tripped(take(floor, PUT, -10, 6_500)), "long of vega, too"


def test_perpetuals_have_no_vega(floor: Floor) -> None:
    protect(floor, vega=1)
    quote(floor, BTC, -10, 100_000)
    assert not tripped(take(floor, BTC, 10, 100_000))
    quote(floor, CALL, -1, 7_000)
    assert tripped(take(floor, CALL, 1, 7_000))


def test_the_window_and_the_other_limits_go_on_beside_it(floor: Floor) -> None:
    protect(floor, vega=vega(floor, CALL, 15))
    quote(floor, CALL, -10, 7_000)
    assert not tripped(take(floor, CALL, 10, 7_000))
    floor.prices(100_000, later=50)
    floor.prices(100_000, later=10)
    quote(floor, CALL, -10, 7_000)
    assert not tripped(take(floor, CALL, 10, 7_000)), "another window"
    protect(floor, vega=10**30, quantity=WAD // 10)
    quote(floor, CALL, -10, 7_000)
    assert tripped(take(floor, CALL, 10, 7_000))


def test_without_a_surface_it_is_the_most_it_may_be(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stale(*_: Any) -> None:
        raise Rejected(errors.StaleSurface)

    exact = vega_of(floor.world, CALL)
    monkeypatch.setattr(options, "greeks", stale)
    assert exact < vega_of(floor.world, CALL) < exact * 101 // 100
    floor.world.now = floor.world.options.listed[BTC, 0].expiry
    assert vega_of(floor.world, CALL) <= 2 * WAD, "nothing is left of its life"


def test_a_protection_of_before_has_no_vega_limit(floor: Floor) -> None:
    """Its record ends with the time; a malformed limit has no effect."""
    account, signer = account_of("maker").to_bytes(32, "big"), bytes(20)
    new = records.ProtectionSet(account, 1, 5, 6, "7", "8", signer, 9)
    kind, payload = records.encode(new)
    fields = msgspec.msgpack.decode(payload)
    assert fields[-1] == "0"
    assert records.decode(kind, msgspec.msgpack.encode(fields[:-1])) == new
    floor.feed(new)
    before = floor.sequencer.protection(account_of("maker"), BTC)
    assert (before.quantity_limit, before.delta_limit, before.vega_limit) == (7, 8, 0)
    for text in ("x", "-1"):
        assert floor.feed(msgspec.structs.replace(new, interval_s=1, vega_limit=text)) == []
    assert floor.sequencer.protection(account_of("maker"), BTC) == before


def test_an_order_that_takes_counts_as_well(floor: Floor) -> None:
    protect(floor, vega=vega(floor, CALL, 15))
    floor.place("taker", -40, 7_000, instrument=CALL, max_fee=9 * WAD)
    guarded = {"mmp": True}
    events = floor.place("maker", 20, 7_000, instrument=CALL, max_fee=9 * WAD, command=guarded)
    assert tripped(events) and [m.lots for m in matches(events)] == [20]
