"""The risk arrays of the contracts and of the model are the same words, sums and rejections."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from novate import errors
from novate.chain.compile import compile_contract
from novate.chain.harness import Chain, Contract
from novate.errors import Rejected
from novate.model import arrays as model
from novate.model import pricing, surface
from novate.model.arrays import PRICE_MAX, PSR_MAX, Info, Totals, quantum_of
from novate.units import DAY_S, WAD
from tests.support.smile import NOW

CONTRACTS = Path(__file__).parent.parent / "contracts"
OPTIONS = 2_500
USD = 10**10


@pytest.fixture(scope="module")
def builder() -> Contract:
    return Chain().deploy("ArrayBuilder")


@pytest.fixture(scope="module")
def library() -> Contract:
    """The libraries behind external functions."""
    return Chain().deploy("ArrayMath", root=CONTRACTS)


Terms = tuple[int, int, int, int, int, int]


def ordinary(draw: random.Random) -> Terms:
    """A strike as markets list them, near the money or far."""
    forward = int(10 ** draw.uniform(6, 15))
    strike = max(int(forward * 2.718 ** draw.gauss(0, 0.5)), 1)
    sigma = int(draw.uniform(0.05, 3) * WAD)
    seconds = int(10 ** draw.uniform(1, 7.9))
    psr = draw.randint(10_000, PSR_MAX)
    quantum = quantum_of(psr, forward) * draw.randint(91, 110) // 100 + 1
    return forward, strike, sigma, seconds, psr, quantum


def anywhere(draw: random.Random, high: int) -> int:
    """1..high, of any order of magnitude, from either end."""
    step = draw.randrange(high) >> draw.randrange(high.bit_length())
    return 1 + step if draw.random() < 0.5 else high - step


def wild(draw: random.Random) -> Terms:
    """Anything within the bounds."""
    return (
        anywhere(draw, PRICE_MAX),
        anywhere(draw, PRICE_MAX),
        anywhere(draw, pricing.VOLATILITY_MAX + 1) - 1,
        anywhere(draw, pricing.SECONDS_MAX + 1) - 1,
        anywhere(draw, PSR_MAX),
        anywhere(draw, PRICE_MAX),
    )


def test_the_words_of_a_strike_are_the_models(builder: Contract) -> None:
    draw = random.Random(1)
    clipped = 0
    for _ in range(OPTIONS):
        terms = ordinary(draw)
        found = model.build(*terms)
        assert tuple(builder.view("build", *terms)) == found, terms
        clipped += Info.unpack(found.info).clip != 0
    assert 0 < clipped < OPTIONS // 4


def test_the_scenarios_of_any_option_are_the_models(builder: Contract) -> None:
    """Extreme inputs; where sixteen bits cannot hold a lane by far, both refuse to pack it."""
    draw = random.Random(2)
    edges: list[Terms] = [
        (forward, strike, sigma, seconds, psr, quantum)
        for forward, strike in ((1, 1), (1, PRICE_MAX), (PRICE_MAX, 1), (PRICE_MAX, PRICE_MAX))
        for sigma, seconds in ((0, 0), (0, DAY_S), (pricing.VOLATILITY_MAX, pricing.SECONDS_MAX))
        for psr, quantum in ((1, 1), (PSR_MAX, PRICE_MAX), (PSR_MAX, 1))
    ]
    refused = 0
    for terms in edges + [wild(draw) for _ in range(OPTIONS // 2)]:
        assert list(builder.view("scenarios", *terms)) == model.scenarios(*terms), terms
        try:
            expected = model.build(*terms)
        except Rejected:
            refused += 1
            with pytest.raises(Rejected, match="OutOfBounds"):
                builder.view("build", *terms)
        else:
            assert tuple(builder.view("build", *terms)) == expected
    assert 100 < refused < OPTIONS // 2


def test_what_is_out_of_bounds_is_refused_alike(builder: Contract) -> None:
    good: Terms = (65_000 * USD, 60_000 * USD, WAD // 2, DAY_S, 150_000, 10**10)
    assert tuple(builder.view("build", *good)) == model.build(*good)
    for place, values in (
        (0, (0, PRICE_MAX + 1)),
        (1, (0, PRICE_MAX + 1)),
        (2, (pricing.VOLATILITY_MAX + 1,)),
        (3, (pricing.SECONDS_MAX + 1,)),
        (4, (0, PSR_MAX + 1)),
        (5, (0, PRICE_MAX + 1)),
    ):
        for value in values:
            terms = (*good[:place], value, *good[place + 1 :])
            for call in (
                lambda terms=terms: builder.view("build", *terms),
                lambda terms=terms: builder.view("scenarios", *terms),
                lambda terms=terms: model.build(*terms),
                lambda terms=terms: model.scenarios(*terms),
            ):
                with pytest.raises(Rejected, match="OutOfBounds"):
                    call()


def slice_word(volatility: float, tenor: int, rho: float, share: float) -> int:
    """A surface word within the gate: ``share`` of the steepest smile."""
    theta = volatility**2 * tenor / pricing.YEAR_S
    psi = share * min(4 / (1 + abs(rho)), 2 * (theta / (1 + abs(rho))) ** 0.5)
    fields = int(theta * surface.ONE) + 1, int(psi * surface.ONE), int(rho * surface.RHO_ONE)
    return surface.pack(surface.Slice(*fields, NOW + tenor, NOW))


def test_an_expiry_is_the_models(builder: Contract) -> None:
    draw = random.Random(3)
    for _ in range(40):
        tenor = int(10 ** draw.uniform(1, 7.9))
        word = slice_word(draw.uniform(0.06, 4), tenor, draw.uniform(-0.9, 0.9), draw.random() / 2)
        forward, *_, psr, quantum = ordinary(draw)
        seconds = draw.choice([0, tenor, draw.randint(0, tenor)])
        strikes = [anywhere(draw, PRICE_MAX), forward]
        strikes += [max(int(forward * 2.718 ** draw.gauss(0, 0.3)), 1) for _ in range(6)]
        found = builder.view("build_expiry", forward, seconds, word, psr, quantum, strikes)
        expected = model.build_expiry(forward, seconds, word, psr, quantum, strikes)
        assert [tuple(words) for words in found] == expected


def test_an_expiry_is_that_of_its_strikes_at_the_volatility_of_the_surface() -> None:
    tenor = 30 * DAY_S
    word = slice_word(0.6, tenor, -0.3, 0.4)
    forward, quantum = 65_000 * USD, quantum_of(150_000, 65_000 * USD)
    seconds = tenor - 50
    strikes = [forward * percent // 100 for percent in (60, 90, 100, 110, 160)]
    found = model.build_expiry(forward, seconds, word, 150_000, quantum, strikes)
    for strike, words in zip(strikes, found, strict=True):
        k = pricing.log_ratio(strike, forward)
        variance = surface.total_variance_at(word, k, NOW + 50)
        sigma = pricing.sqrt(variance * WAD * pricing.YEAR_S // seconds >> 96)
        alone = model.build(forward, strike, sigma, seconds, 150_000, quantum)
        assert alone.array == words.array
        info = Info.unpack(words.info)
        assert (info.timestamp, info.generation, info.unused) == (NOW + 50, 0, 0)
        assert abs(info.mark - Info.unpack(alone.info).mark) <= 1


def test_an_expiry_refuses_a_bad_surface_time_or_strike(builder: Contract) -> None:
    tenor = 7 * DAY_S
    word = slice_word(0.6, tenor, -0.3, 0.4)
    steep = word | 1 << 122 | 1 << 123
    good = (65_000 * USD, tenor, word, 150_000, 12 * 10**9, [65_000 * USD])
    assert len(builder.view("build_expiry", *good)) == len(model.build_expiry(*good)) == 1
    for place, value, error in (
        (0, 0, errors.OutOfBounds),
        (1, tenor + 1, errors.OutOfBounds),
        (2, word | 1 << 240, errors.SurfaceOutOfBounds),
        (2, steep, errors.ButterflyArbitrage),
        (3, 0, errors.OutOfBounds),
        (4, 0, errors.OutOfBounds),
        (5, [65_000 * USD, 0], errors.OutOfBounds),
        (5, [PRICE_MAX + 1], errors.OutOfBounds),
    ):
        changed = (*good[:place], value, *good[place + 1 :])
        for call in (
            lambda changed=changed: builder.view("build_expiry", *changed),
            lambda changed=changed: model.build_expiry(*changed),
        ):
            with pytest.raises(Rejected, match=error.name):
                call()


def test_the_option_ratio_in_one_function_is_that_of_pricing(library: Contract) -> None:
    """At both cuts, at no variance, on either side of the money, and with wild inputs."""
    draw = random.Random(7)
    one, tail = pricing.ONE, pricing.TAIL
    edges = [(k, v) for k in (0, 1, -1, one, -128 * one) for v in (0, 1, one, 2**127 - 1)]
    edges += [(0, 2 * (tail + step)) for step in (-2, -1, 0, 1)]
    cut = [(z * one >> 96, one) for z in range(tail + one // 2 - 2, tail + one // 2 + 2)]
    market = [
        (int(draw.gauss(0, 1) * one), int(10 ** draw.uniform(-4, 1) * one)) for _ in range(800)
    ]
    far = [
        (anywhere(draw, 128 * one) * draw.choice([-1, 1]), anywhere(draw, 2**127 - 1))
        for _ in range(300)
    ]
    for k, v in edges + cut + market + far:
        assert library.view("ratio", k, v) == pricing.otm_ratio(k, v), (k, v)


def test_multipliers_are_the_models(library: Contract) -> None:
    draw = random.Random(4)
    edges = [0, 1, DAY_S - 1, DAY_S, DAY_S + 1, 30 * DAY_S, 30 * DAY_S + 1, pricing.SECONDS_MAX]
    for seconds in edges + [anywhere(draw, pricing.SECONDS_MAX) for _ in range(300)]:
        assert tuple(library.view("multipliers", seconds)) == model.multipliers(seconds)


def test_a_lane_is_cut_at_sixteen_bits_alike(library: Contract) -> None:
    """At the last lane that fits, the first that does not, and every power of two of the cut."""
    cuts = [0, 1, 127, 128, 129, 2**21 - 1, 2**21, 2**21 + 1]
    cuts += [2**n + step for n in range(7, 21) for step in (-1, 0, 1)]
    for cut in cuts:
        for lane in (32_767 + cut, -32_768 - cut):
            raw = [5] * 16
            raw[cut % 16] = lane
            if cut > model.CLIPPED_MAX:
                with pytest.raises(Rejected, match="OutOfBounds"):
                    library.view("pack", raw)
                with pytest.raises(Rejected, match="OutOfBounds"):
                    model.pack(raw)
                continue
            word, clip = model.pack(raw)
            assert tuple(library.view("pack", raw)) == (word, clip)
            info = Info(0, 0, 0, clip=clip)
            assert library.view("clipped", info.pack()) == info.clipped
            assert cut <= info.clipped <= max(2 * cut, 128 if cut else 0)
            inside = max(-32_768, min(32_767, lane))
            assert model.unpack(word) == [*raw[: cut % 16], inside, *raw[cut % 16 + 1 :]]


def portfolio(draw: random.Random) -> tuple[list[int], list[int], list[int]]:
    """Words, cuts and lots of a random account, full lanes and full lots among them."""
    size = draw.randint(0, 12)
    edges = [0, 2**256 - 1, draw.getrandbits(256)]
    words = [draw.choice([*edges, draw.getrandbits(256)]) for _ in range(size)]
    cuts = [draw.choice([0, 0, 128, 2**21]) for _ in words]
    return words, cuts, [draw.choice([-1, 1]) * anywhere(draw, 2**43 - 1) for _ in words]


def test_sums_are_the_models_and_exact(library: Contract) -> None:
    draw = random.Random(5)
    for _ in range(150):
        words, cuts, lots = portfolio(draw)
        linear = draw.choice([0, draw.choice([-1, 1]) * anywhere(draw, 2**138)])
        unit, psr = anywhere(draw, 2**86), anywhere(draw, PSR_MAX)
        totals = Totals()
        for word, cut, q in zip(words, cuts, lots, strict=True):
            totals = model.accumulate(totals, word, cut, q)
        naive = [
            sum(q * model.unpack(word)[lane] for q, word in zip(lots, words, strict=True))
            for lane in range(16)
        ]
        assert model.lane_sums(totals) == naive
        expected = model.profit(totals, unit, linear, psr)
        assert list(library.view("profit", words, cuts, lots, unit, linear, psr)) == expected
        found = library.view("scan", words, cuts, lots, unit, linear, psr)
        assert tuple(found) == (
            model.scan(totals, unit, linear, psr),
            model.rounding(totals, unit),
        )


def test_more_lots_than_lanes_can_sum_are_refused(library: Contract) -> None:
    """2**47 − 1 lots of the largest lanes are still exact."""
    most = [2**43 - 1] * 16 + [15]
    for word, sign, lane in ((2**256 - 1, 1, 32_767), (0, -1, -32_768), (2**256 - 1, -1, 32_767)):
        lots = [sign * each for each in most]
        words, cuts = [word] * 17, [0] * 17
        found = library.view("profit", words, cuts, lots, 1, 0, 1)
        assert list(found) == [sign * (2**47 - 1) * lane] * 16
        with pytest.raises(Rejected, match="LotsOutOfRange"):
            library.view("profit", [*words, word], [*cuts, 0], [*lots, -sign], 1, 0, 1)
        totals = Totals(gross=2**47)
        with pytest.raises(Rejected, match="LotsOutOfRange"):
            model.lane_sums(totals)


def test_values_and_freshness_are_the_models(library: Contract) -> None:
    draw = random.Random(6)
    fresh = 0
    for _ in range(300):
        forward = anywhere(draw, PRICE_MAX)
        delta = draw.randint(0, 2**30)
        info = Info(
            mark=anywhere(draw, PRICE_MAX),
            forward=forward,
            delta=delta,
            put_mark=anywhere(draw, PRICE_MAX),
            timestamp=NOW,
            generation=draw.randrange(256),
            clip=draw.randrange(16),
        )
        word = info.pack()
        assert Info.unpack(word) == info
        step = forward // 400
        near = max(1, min(forward + draw.randint(-step - 1, step + 1), PRICE_MAX))
        put = info.of(True)
        assert library.view("of_put", word) == put.pack()
        assert (put.mark, put.delta) == (info.put_mark, delta - 2**30)
        assert library.view("value", word, near) == info.value(near)
        assert library.view("value", put.pack(), near) == put.value(near)
        now = NOW + draw.choice([-1, 0, 60, 61, draw.randint(0, 60)])
        generation = info.generation + draw.choice([0, 0, 1, 256])
        found = info.usable(near, now, generation)
        assert library.view("usable", word, near, now, generation) == found
        fresh += found
    assert 50 < fresh < 250


def test_the_freshness_rule_at_its_edges(library: Contract) -> None:
    info = Info(mark=1, forward=400_000, delta=0, timestamp=NOW, generation=255)
    cases = [
        (400_000, NOW, 255, True),
        (401_000, NOW + 60, 511, True),
        (399_000, NOW + 60, 255, True),
        (401_001, NOW, 255, False),
        (398_999, NOW, 255, False),
        (400_000, NOW + 61, 255, False),
        (400_000, NOW - 1, 255, False),
        (400_000, NOW, 0, False),
    ]
    for forward, now, generation, expected in cases:
        assert info.usable(forward, now, generation) is expected
        assert library.view("usable", info.pack(), forward, now, generation) is expected


def test_gas_and_size(builder: Contract, library: Contract) -> None:
    """Pure code: what this EVM counts is what a transaction pays."""
    forward, quantum = 65_000 * USD, quantum_of(150_000, 65_000 * USD)
    tenor = 30 * DAY_S
    terms = forward, forward, 6 * 10**17, tenor, 150_000, quantum
    framing, strike = library.view("gas_of_build", *terms)
    assert framing <= 15_500 and strike <= 38_500
    array = model.build(*terms).array
    position, scan = library.view("gas_of_accumulate", array, -37)
    assert position <= 700 and scan <= 4_000
    strikes = [forward * (84 + i) // 100 for i in range(32)]
    word = slice_word(0.6, tenor, -0.3, 0.4)
    builder.view("build_expiry", forward, tenor, word, 150_000, quantum, strikes)
    assert builder.chain.gas_used <= 1_300_000
    assert compile_contract("ArrayBuilder").runtime_size_bytes <= 11_000
