"""The scenarios of options and dated futures; contract and model run side by side in most."""

from __future__ import annotations

from support.clearing import ACCOMPLICE, BUYER, SELLER
from support.core import word
from support.exchange import BTC_CALL, Desk
from support.expiries import BITCOIN, Dated
from support.surfaces import BTC, DAY_S, SurfacesBench

from novate.errors import Rejected
from novate.model import margin, option_series
from novate.model.novation import Trade
from novate.model.option_id import future_id
from novate.model.option_series import Interest
from novate.units import ORACLE_UNIT, WAD
from novate.wire.order import SignedFill
from novate.wire.surfaces import signed_settlement


def _open(strikes: tuple[int, ...] = (60_000,)) -> tuple[Dated, int, list[int]]:
    """Call and put of each strike traded, buyer to seller, and the future."""
    core = Dated()
    slot, ids = core.list_all(BITCOIN, 0, strikes)
    core.refresh(BITCOIN, slot)
    for at, id in enumerate(ids):
        price = max(int(core.risk.view("quoted", id)[0] // WAD), 1)
        assert core.trade(BUYER, SELLER, 10 + at, price, id) == "settled"
    assert core.trade(BUYER, SELLER, 10, 60_000, future_id(BITCOIN, slot)) == "settled"
    return core, slot, ids


def an_option_trades_near_its_mark() -> None:
    core, _, ids = _open()
    exact = core.risk.view("quoted", ids[0])[0]
    outside = int((exact + (exact + 6_000 * WAD) // 20) // WAD) + 1
    assert core.trade(BUYER, SELLER, 1, outside, ids[0]) == "PriceOutOfBand"
    core.compare([BUYER, SELLER])


def the_last_half_hour_only_reduces() -> None:
    core, _, ids = _open()
    core.wait_until(core.expiries[0] - 1_799)
    price = max(int(core.risk.view("quoted", ids[0])[0] // WAD), 1)
    assert core.trade(ACCOMPLICE, BUYER, 100, price, ids[0]) == "ReduceOnly"
    assert core.trade(SELLER, BUYER, 1, price, ids[0]) == "settled"


def an_expiry_s_options_share_its_limits() -> None:
    core, _, ids = _open()
    core.limits(BITCOIN, 20, 0)
    words = [Interest.unpack(option_series.interest(core.world, id)) for id in ids]
    prices = [int(word.mark * ORACLE_UNIT // WAD) * WAD for word in words]
    trades = [Trade(0, 1, at, True, words[at].room, prices[at]) for at in range(2)]
    found = core.batch(sorted([BUYER, SELLER]), ids, trades)
    assert found == ["OpenInterestCap"] * 2


def an_expiry_is_paid_once_and_both_sides_free_the_slot() -> None:
    core, slot, _ = _open((58_000, 62_000))
    core.wait_until(core.expiries[0])
    assert core.print(BITCOIN, core.expiries[0], 61_000) is True
    core.expiries[0] += 3 * DAY_S
    core.expiries.sort()
    core.fresh()
    assert core.settle([BUYER], BITCOIN, slot) is None
    core.compare([BUYER, SELLER])
    assert core.expiry(BITCOIN, 0) == "SlotInUse"
    assert core.settle([SELLER, BUYER], BITCOIN, slot) is None
    core.compare([BUYER, SELLER])
    assert core.expiry(BITCOIN, 0) == slot
    core.compare_dated()


def nothing_of_an_old_expiry_serves_the_next() -> None:
    core, slot, ids = _open()
    assert core.strike(BITCOIN, slot, 60_000) == "AlreadyListed"
    core.wait_until(core.expiries[0])
    core.print(BITCOIN, core.expiries[0], 61_000)
    core.settle([BUYER, SELLER], BITCOIN, slot)
    core.expiries[0] += 3 * DAY_S
    core.expiries.sort()
    core.fresh()
    assert core.expiry(BITCOIN, 0) == slot
    assert core.strike(BITCOIN, slot, 61_000) == ids[0]
    assert core.options.view("words", [ids[0]])[0][1] == 0


def a_put_gains_what_its_call_does_less_the_forward() -> None:
    """By stored arrays, and once they are stale by such as are built in their place."""
    core, slot, _ = _open((58_000, 62_000))
    core.compare_dated()
    for usd in (60_000, 61_000):
        core.price(usd, 3_000, 10)
        if usd == 60_000:
            core.refresh(BITCOIN, slot)
        for account in (BUYER, SELLER):
            held = core.clearinghouse.view("positions", word(account))
            found = core.risk.call("evaluate", list(held))
            expected = margin.evaluate(core.world, core.held(account))
            names = ("value_linear", "value_spot", "margin_maintenance", "margin_initial")
            assert found[:4] == tuple(getattr(expected, name) for name in names)


def exposure_limits_stop_increases() -> None:
    core, slot, ids = _open()
    core.limits(BITCOIN, 1, 0)
    core.refresh(BITCOIN, slot)
    core.compare_dated()
    price = max(int(core.risk.view("quoted", ids[0])[0] // WAD), 1)
    assert core.trade(BUYER, SELLER, 70, price, ids[0]) == "OpenInterestCap"


def a_print_is_for_good_and_in_its_time() -> None:
    bench = SurfacesBench()
    expiry = bench.start + DAY_S

    def printed(usd: int) -> bool:
        keys = [(i, bench.keys[i]) for i in range(bench.quorum)]
        made = signed_settlement(bench.surfaces_domain, BTC, expiry, usd * 10**10, keys)
        try:
            return bool(bench.surfaces.call("post_settlement", *made.arguments()))
        except Rejected:
            return False

    bench.advance(DAY_S - 1)
    assert not printed(60_000)
    bench.advance(1)
    assert printed(60_000)
    assert not printed(61_000)
    assert bench.surfaces.view("settlement_price", BTC, expiry) == 60_000 * 10**10


def a_surface_follows_the_last() -> None:
    bench = SurfacesBench()
    assert bench.post_surface(bench.signed_surface(1, bench.words(1, 7, 30)))
    for number, days in enumerate(((1, 7), (7, 30)), start=2):
        bench.advance(60)
        try:
            bench.post_surface(bench.signed_surface(number, bench.words(*days)))
        except Rejected as rejected:
            assert rejected.error.name == "MissingExpiry"
        else:
            raise AssertionError("an expiry was left out")
    bench.advance(60)
    leap = bench.words(1, 7, 30, volatility_percent=120)
    try:
        bench.post_surface(bench.signed_surface(9, leap))
    except Rejected as rejected:
        assert rejected.error.name == "SurfaceJump"
    else:
        raise AssertionError("a surface leapt")


def an_option_s_fee_is_the_smaller_share() -> None:
    """Of a lot of 0.001: 3 bp of 60,000 USD, or 12.5 % of a premium of 8 USD."""
    desk = Desk()
    for nonce, (usd, fee) in enumerate(((500, 18 * WAD // 1_000), (8, WAD // 1_000)), start=1):
        fields = {"price": usd * WAD, "instrument": BTC_CALL, "nonce": nonce}
        for taker_max, maker_max, settled in ((fee - 1, WAD, 0), (WAD, fee - 1, 0), (fee, fee, 1)):
            taker = desk.signed("taker", 1, max_fee=taker_max, **fields)
            maker = desk.signed("maker", -1, max_fee=maker_max, **fields)
            assert desk.settle(SignedFill(taker, maker, 1, usd * WAD)) == settled
        assert desk.trades()[0][1] == fee * (1 + 2**128)


def an_order_ends_with_its_option() -> None:
    desk = Desk()
    desk.set_expiry(BTC_CALL, 0, 500)
    fields = {"price": 500 * WAD, "instrument": BTC_CALL}
    for taker_s, maker_s, settled in ((501, 500, 0), (500, 501, 0), (500, 500, 1)):
        taker = desk.signed("taker", 1, expiry=desk.now + taker_s, **fields)
        maker = desk.signed("maker", -1, expiry=desk.now + maker_s, **fields)
        assert desk.settle(SignedFill(taker, maker, 1, 500 * WAD)) == settled, desk.codes()
