"""An exposure limit is the expiry's: what one batch opens in several of its options counts together
(docs/SPEC.md §5, §14).
"""

from __future__ import annotations

import pytest
from support.clearing import BUYER, SELLER
from support.expiries import BITCOIN, Dated

from novate.engine.judge import Judge
from novate.engine.open_orders import OpenOrders
from novate.engine.pending import PendingBatch, Rows
from novate.model import novation, option_series
from novate.model.novation import Trade
from novate.model.option_id import future_id
from novate.model.option_series import Interest
from novate.model.order import Order
from novate.units import WAD

STRIKES = (59_000, 60_000, 61_000)


@pytest.fixture
def core() -> Dated:
    return Dated(100_000_000)


def room(core: Dated, id: int) -> int:
    return Interest.unpack(option_series.interest(core.world, id)).room


def whole(core: Dated, id: int) -> int:
    return max(int(core.risk.view("quoted", id)[0] // WAD), 1)


def attempt(core: Dated, ids: list[int], lots: list[int]) -> list[str]:
    """Buy so many lots of each in one batch."""
    trades = [
        Trade(0, 1, at, True, size, whole(core, id) * WAD)
        for at, (id, size) in enumerate(zip(ids, lots, strict=True))
    ]
    found: list[str] = core.batch(sorted([BUYER, SELLER]), ids, trades)
    core.compare_dated()
    return found


@pytest.mark.parametrize("limits", [(20, 0), (0, 20), (20, 20)])
def test_options_of_an_expiry_share_its_limits_within_a_batch(
    core: Dated, limits: tuple[int, int]
) -> None:
    """Each of them alone has room for these lots; together they would be six times the limit."""
    slot, ids = core.list_all(BITCOIN, 0, STRIKES)
    core.refresh(BITCOIN, slot)
    core.limits(BITCOIN, *limits)
    rooms = [room(core, id) for id in ids]
    assert attempt(core, ids, rooms) == ["OpenInterestCap"] * 6
    # call and put of one strike are no exception, and one lot is too many
    half = rooms[0] // 2 + 1
    assert attempt(core, ids[:2], [half, half]) == ["OpenInterestCap"] * 2
    assert attempt(core, ids, [size // 6 for size in rooms]) == ["settled"] * 6
    used = core.world.options.series[BITCOIN, slot].vega
    assert all(room(core, id) < 20 for id in ids)
    # of what is left, what is given up in one makes no room for another within the batch
    assert attempt(core, ids, [size // 6 for size in rooms]) == ["OpenInterestCap"] * 6
    assert core.world.options.series[BITCOIN, slot].vega == used


def test_limits_of_one_expiry_do_not_close_another(core: Dated) -> None:
    """Nor the future beside its options, which has no vega."""
    slot, ids = core.list_all(BITCOIN, 0, STRIKES[:1])
    later, more = core.list_all(BITCOIN, 1, STRIKES[:1])
    for place in (slot, later):
        core.refresh(BITCOIN, place)
    core.limits(BITCOIN, 20, 0)
    rooms = {id: room(core, id) for id in (*ids, *more)}
    future = future_id(BITCOIN, slot)
    traded = sorted([*ids, future, *more])
    lots = [rooms[id] if id in ids else 5 if id == future else rooms[id] // 2 for id in traded]
    prices = {id: whole(core, id) for id in traded}
    trades = [
        Trade(0, 1, at, True, size, prices[id] * WAD)
        for at, (id, size) in enumerate(zip(traded, lots, strict=True))
    ]
    found = core.batch(sorted([BUYER, SELLER]), traded, trades)
    core.compare_dated()
    barred = {id: word for id, word in zip(traded, found, strict=True) if word != "settled"}
    assert barred == dict.fromkeys(ids, "OpenInterestCap")


def test_the_engine_matches_no_more_than_settles(core: Dated) -> None:
    """A match beyond the shared limit is refused when it would be made, not skipped on chain."""
    slot, ids = core.list_all(BITCOIN, 0, STRIKES[:1])
    core.refresh(BITCOIN, slot)
    core.limits(BITCOIN, 20, 0)
    pending, judge = PendingBatch(), Judge(core.world, OpenOrders(core.world))
    half, rows = room(core, ids[0]) // 2, Rows(core.world)
    rows.begin(pending)

    def match(id: int, lots: int) -> bool:
        price, end = whole(core, id) * WAD, core.world.now + 60
        taker, maker = (
            Order(account, id, size, price, WAD, 1, end)
            for account, size in ((BUYER, lots), (SELLER, -lots))
        )
        trade = pending.trade(rows, taker, maker, lots, price, (0, 0))
        return pending.admit(judge, trade).admits

    assert match(ids[0], half)
    assert not match(ids[1], half + 2)
    assert match(ids[1], half)
    assert not match(ids[0], 2) and not match(ids[1], 2)
    assert novation.over_cap(pending.batch, pending.net) == []
    order = sorted(pending.batch.accounts)
    trades = [
        t._replace(taker=order.index(BUYER), maker=order.index(SELLER))
        for t in pending.batch.trades
    ]
    assert core.batch(order, ids, trades) == ["settled"] * 2
