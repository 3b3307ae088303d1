"""The venue's own volatility index: what a surface comes to, and what is kept of it."""

from __future__ import annotations

import pytest
from eth_utils.crypto import keccak
from msgspec.structs import replace

from novate.api import volatility_index
from novate.api.volatility_index import KEPT_S, TENOR_S, VolatilityIndex, volatility_of
from novate.chain.backend import abi_of
from novate.model import surface
from novate.model.surface import ONE, YEAR_S, Slice
from novate.units import DAY_S, WAD
from novate.wire.records import BatchDue, ChainReorganised, ChainTransaction

NOW = 1_700_000_040  # a whole minute
SURFACES, OTHER = bytes([5]) * 20, bytes([6]) * 20
BTC, ETH = 1, 2


def word(days: float, volatility: float, at: int = NOW) -> int:
    """A slice of an expiry so many days ahead, of a volatility at the money."""
    tenor = int(days * DAY_S)
    theta = int(volatility**2 * ONE) * tenor // YEAR_S
    return surface.pack(Slice(theta, theta // 3, -5, at + tenor, at))


@pytest.mark.parametrize(
    ("slices", "expected"),
    [
        ([(30, 0.5)], 0.5),
        ([(7, 0.8)], 0.8),  # only sooner ones: the last one's
        ([(60, 0.4)], 0.4),
        ([(1, 0.9), (7, 0.8), (14, 0.7)], 0.7),
        ([(45, 0.6), (90, 0.5)], 0.6),
        ([(7, 0.6), (30, 0.5), (60, 0.9)], 0.5),
        # variance in proportion: (0.36 * 20 + 0.64 * 40) / 2 over 30 days
        ([(20, 0.6), (40, 0.8)], (16.4 / 30) ** 0.5),
    ],
)
def test_thirty_days_ahead(slices: list[tuple[float, float]], expected: float) -> None:
    found = volatility_of([word(*one) for one in slices])
    assert found / WAD == pytest.approx(expected, rel=1e-7)


def posted(at: int, volatility: float, underlying: int = BTC, number: int = 1) -> ChainTransaction:
    """A surface that reached the chain."""
    words = [word(7, volatility, at), word(60, volatility, at)]
    data = abi_of("Surfaces").encode_call("post_surfaces", number, at, underlying, words, 0, [])
    logs = [said("SurfacesPosted(uint256,uint256,uint256,uint256,uint256,bytes32)", underlying, at)]
    return ChainTransaction(
        number, at, 0, bytes(32), bytes(20), SURFACES, bytes(data), True, 0, logs
    )


def said(event: str, underlying: int, at: int) -> tuple[bytes, list[bytes], bytes]:
    """A log of the surfaces contract about its first round."""
    topics = [keccak(text=event), underlying.to_bytes(32, "big"), (1).to_bytes(32, "big")]
    return SURFACES, topics, at.to_bytes(32, "big") + bytes(96)


def percents(index: VolatilityIndex, step: int, since: int = 0, until: int = 2**40) -> list[object]:
    """Candles of BTC with volatilities in whole percent."""
    found = index.candles(BTC, since, until, step)
    return [(at, *(round(100 * value / WAD) for value in rest)) for at, *rest in found]


def test_candles_open_and_close_with_the_surfaces_in_them() -> None:
    index = VolatilityIndex(SURFACES)
    for seconds, volatility in ((0, 0.5), (20, 0.7), (40, 0.4), (59, 0.6), (61, 0.55), (300, 0.5)):
        index.follow(posted(NOW + seconds, volatility))
        index.follow(posted(NOW + seconds, 2.0, ETH))
    minute = NOW
    assert percents(index, 60) == [
        (minute, 50, 70, 40, 60),
        (minute + 60, 55, 55, 55, 55),
        (minute + 300, 50, 50, 50, 50),
    ]
    assert percents(index, DAY_S) == [(NOW - NOW % DAY_S, 50, 70, 40, 50)]
    assert percents(index, 60, since=minute + 1, until=minute + 299) == [
        (minute + 60, 55, 55, 55, 55)
    ]
    assert len(percents(index, 1)) == 6


def test_only_what_the_contract_took_counts() -> None:
    index = VolatilityIndex(SURFACES)
    good = posted(NOW, 0.5)
    for record in (
        BatchDue(1),
        replace(good, contract=OTHER),
        replace(good, succeeded=False),
        replace(good, calldata=b"\x01\x02\x03\x04"),
        replace(good, calldata=good.calldata[:40]),
    ):
        index.follow(record)
    assert percents(index, 60) == []
    for record in (good, good, posted(NOW - 30, 0.9)):  # again, and one that came too late
        index.follow(record)
    assert [row[1:] for row in percents(index, 1)] == [(50, 50, 50, 50)]  # type: ignore[index]
    assert VolatilityIndex(SURFACES).candles(BTC, 0, 2**40, 60) == []


def test_what_is_kept_and_shown_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    index = VolatilityIndex(SURFACES)
    assert KEPT_S == TENOR_S
    for seconds in (0, 60, KEPT_S + 60, KEPT_S + 120):
        index.follow(posted(NOW + seconds, 0.5))
    assert [at - NOW for at, *_ in index.candles(BTC, 0, 2**40, 1)] == [KEPT_S + 60, KEPT_S + 120]
    monkeypatch.setattr(volatility_index, "CANDLES_MAX", 1)
    assert [at - NOW for at, *_ in index.candles(BTC, 0, 2**40, 1)] == [KEPT_S + 120]


def test_a_strangers_post_that_the_contract_ignored_is_nothing() -> None:
    index = VolatilityIndex(SURFACES)
    index.follow(posted(NOW, 0.5))
    # of an old round the contract looks at nothing else: neither time, words nor signatures
    ignored = [said("SurfacesIgnored(uint256,uint256)", BTC, 0)]
    future, other = posted(2**39, 9.0), posted(NOW + 60, 9.0, ETH)
    empty = abi_of("Surfaces").encode_call("post_surfaces", 1, NOW + 60, BTC, [0], 0, [])
    for record in (
        replace(future, events=ignored),
        replace(future, events=[]),
        replace(future, events=posted(NOW, 0.5).events),
        replace(future, events=[(OTHER, *log[1:]) for log in future.events]),
        replace(posted(NOW + 60, 9.0), events=other.events),
        replace(posted(NOW + 60, 9.0), calldata=bytes(empty), events=ignored),
    ):
        index.follow(record)
    index.follow(posted(NOW + 120, 0.6))
    assert [row[1:] for row in percents(index, 1)] == [(50,) * 4, (60,) * 4]  # type: ignore[index]


def test_what_left_the_chain_was_never_there() -> None:
    index = VolatilityIndex(SURFACES)
    told = [posted(NOW + 60 * n, 0.5 + n / 10, number=n) for n in range(4)]
    others = [posted(NOW + 60 * n, 0.9, ETH, number=n) for n in range(4)]
    for record in (*told, *others):
        index.follow(record)
    index.follow(ChainReorganised(2))
    assert [row[1] for row in percents(index, 1)] == [50, 60]  # type: ignore[index]
    assert len(index.candles(ETH, 0, 2**40, 1)) == 2
    # an earlier one in a later block, and the same one again
    for record in (replace(posted(NOW + 90, 0.4), block=2), replace(told[2], block=3)):
        index.follow(record)
    assert [row[1] for row in percents(index, 1)] == [50, 60, 40, 70]  # type: ignore[index]
    index.follow(ChainReorganised(0))
    assert percents(index, 1) == index.candles(ETH, 0, 2**40, 1) == []
    index.follow(told[0])
    assert len(percents(index, 1)) == 1
