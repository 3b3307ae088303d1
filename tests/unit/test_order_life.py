"""An order on an option or a dated future ends with it: at entry, at the match, in the SDK."""

from __future__ import annotations

from decimal import Decimal

import pytest

from novate import errors
from novate.engine.admission import Signer, require_settles
from novate.errors import Rejected
from novate.model.option_id import OptionId, future_id
from novate.model.option_listing import Listed, ends_at
from novate.model.order import Order
from novate.model.state import World
from novate.naming import to_symbol
from novate.sdk.client import DAY_S, AsyncClient
from novate.sdk.signing import SigningKey, Terms
from novate.wire.eip712 import Domain

NOW, ENDS = 1_700_000_000, 1_700_003_600
PLACE = 2, 5
CALL = OptionId(*PLACE, 1, False).pack()
DATED = (CALL, CALL | 1, future_id(*PLACE))
OWNER = "0x" + "11" * 20


@pytest.fixture
def world() -> World:
    made = World(NOW, {})
    made.options.listed[PLACE] = Listed(ENDS, (1, 2))
    return made


def order(instrument: int, expiry: int) -> Order:
    return Order(int(OWNER, 16) << 96, instrument, 1, 10**18, 0, 1, expiry)


@pytest.mark.parametrize("instrument", DATED)
def test_what_outlives_its_instrument_is_not_taken(world: World, instrument: int) -> None:
    assert ends_at(world, instrument) == ENDS
    require_settles(world, order(instrument, ENDS), Signer(OWNER), world.now + 5)
    with pytest.raises(Rejected) as caught:
        require_settles(world, order(instrument, ENDS + 1), Signer(OWNER), world.now + 5)
    assert caught.value.error == errors.OutlivesInstrument
    # what takes its slot does not revive it
    world.now = ENDS + 1
    world.options.listed[PLACE] = Listed(ENDS + 86_400, (3,))
    with pytest.raises(Rejected) as caught:
        require_settles(world, order(instrument, ENDS), Signer(OWNER), world.now + 5)
    assert caught.value.error == errors.OrderExpired


def test_a_perp_and_an_unused_number_never_end(world: World) -> None:
    for instrument in (1, 2, CALL | 4):
        assert ends_at(world, instrument) is None
    require_settles(world, order(1, 2**40 - 1), Signer(OWNER), world.now + 5)


def test_where_nothing_is_listed_every_order_outlives(world: World) -> None:
    other = OptionId(2, 6, 0, True).pack()
    with pytest.raises(Rejected, match="OutlivesInstrument"):
        require_settles(world, order(other, NOW + 6), Signer(OWNER), world.now + 5)


def test_the_sdk_signs_until_a_day_or_the_instrument_s_own_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = AsyncClient("http://127.0.0.1:1", key=SigningKey(b"\x07" * 32))
    client._separator = Domain(1, "0x" + "22" * 20).separator()
    monkeypatch.setattr("novate.sdk.client.time.time", lambda: NOW)
    client._option_cap = Decimal("0.125")
    step = Decimal("0.001")
    for instrument, name, ends, until in (
        (1, "BTC-PERPETUAL", 2**40 - 1, NOW + DAY_S),
        (CALL, "BTC-27DEC26-60000-C", ENDS, ENDS),
    ):
        client.terms[name] = Terms(instrument, name, step, step)
        client.markets[to_symbol(name)] = {"expiration_timestamp": ends * 1000}
        _, params = client.sign_order(name, "buy", "0.001", "500")
        assert params["expiry"] == until
        # half more than what an option's fee is at most: 12.5 % of 0.50 USD
        assert params["max_fee"] == ("0.09375" if instrument == CALL else "0.000001")
