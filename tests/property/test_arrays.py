"""Risk arrays against the same sixteen scenarios in real numbers, and what any scan must satisfy.

Exact means mpmath at 40 digits: Black-76, the shocks' power and the weights, nothing rounded.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from itertools import pairwise

import mpmath
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mpf

from novate.model import arrays
from novate.model.arrays import Info, Totals
from novate.model.pricing import ONE
from novate.units import DAY_S, WAD

USD = 10**10
LOT_SIZE = 10**16
LOTS_PER_UNIT = 100


@dataclass(frozen=True)
class Held:
    """A position: an option and its lots."""

    strike: int
    sigma: int
    seconds: int
    is_call: bool
    lots: int


@dataclass(frozen=True)
class Account:
    """Options of one underlying and a linear position (wad dollars)."""

    forward: int
    psr: int
    linear: int
    held: tuple[Held, ...]

    @property
    def quantum(self) -> int:
        return arrays.quantum_of(self.psr, self.forward)

    @property
    def unit(self) -> int:
        return arrays.quantum_lot(self.quantum, LOT_SIZE)

    @property
    def moved(self) -> int:
        """What gains as the forward does, wad: a put gains that less than the call of its lanes."""
        return self.linear + sum(map(self.parity, self.held))

    def parity(self, option: Held) -> int:
        return 0 if option.is_call else -option.lots * self.forward * 10**8 // LOTS_PER_UNIT

    def words(self, option: Held) -> tuple[int, Info]:
        terms = (self.forward, option.strike, option.sigma, option.seconds)
        built = arrays.build(*terms, self.psr, self.quantum)
        return built.array, Info.unpack(built.info).of(not option.is_call)

    def lane_by_parity(self, option: Held, lane: int) -> mpf:
        """A lane of the option, in quanta: of a put the call's less what the forward gains."""
        found = mpf(arrays.unpack(self.words(option)[0])[lane])
        if option.is_call:
            return found
        return found - mpf(self.forward) * self.psr * arrays.LINEAR[lane] / (10**8 * self.quantum)

    def totals(self) -> Totals:
        totals = Totals()
        for option in self.held:
            array, info = self.words(option)
            totals = arrays.accumulate(totals, array, info.clipped, option.lots)
        return totals

    def scan(self) -> int:
        return arrays.scan(self.totals(), self.unit, self.moved, self.psr)

    def margin(self) -> int:
        """Scan and rounding, wad."""
        return self.scan() + arrays.rounding(self.totals(), self.unit)

    def exact(self) -> mpf:
        """The scan in real numbers, USD."""
        worst = mpf(0)
        forward = mpf(self.forward) / USD
        gains = [[mpf(0)] * 16] + [
            [g * option.lots / LOTS_PER_UNIT for g in exact_gains(forward, self.psr, option)]
            for option in self.held
        ]
        for lane in range(16):
            linear = mpf(self.linear) * self.psr * arrays.LINEAR[lane] / (WAD * 10**8)
            worst = min(worst, linear + sum(gain[lane] for gain in gains))
        return -worst


def exact_value(forward: mpf, strike: mpf, v: mpf, is_call: bool) -> mpf:
    """Black-76."""
    if v == 0:
        return max(forward - strike if is_call else strike - forward, mpf(0))
    d = mpmath.log(forward / strike) / v + v / 2
    side = 1 if is_call else -1
    return side * (forward * mpmath.ncdf(side * d) - strike * mpmath.ncdf(side * (d - v)))


def exact_multipliers(seconds: int) -> tuple[mpf, mpf]:
    days = mpf(seconds) / DAY_S
    power = mpf("0.3") if days <= 30 else mpf("0.13")
    m = (30 / max(days, mpf(1))) ** power
    return 1 + m / 2, max(1 - 3 * m / 10, mpf("0.05"))


def exact_gains(forward: mpf, psr: int, option: Held) -> list[mpf]:
    """Gains of a long base unit in all scenarios, USD."""
    with mpmath.workdps(40):
        up, down = exact_multipliers(option.seconds)
        strike, sigma = mpf(option.strike) / USD, mpf(option.sigma) / WAD
        root = mpmath.sqrt(mpf(option.seconds) / (365 * DAY_S))
        shocked = max(sigma * up, mpf("0.4")) * root, sigma * down * root
        today = exact_value(forward, strike, sigma * root, option.is_call)
        scan = mpf(psr) / 10**6
        found = [
            exact_value(forward * (1 + scan * node / 100), strike, v, option.is_call) - today
            for node in (0, 15, -15, 50, -50, 100, -100)
            for v in shocked
        ]
        for move in (mpf(2), mpf("-0.66")):
            moved = exact_value(forward * (1 + move), strike, shocked[0], option.is_call)
            found.append((moved - today) * scan / abs(move))
        return found


@st.composite
def accounts(draw: st.DrawFn, psr_max: int = 900_000) -> Account:
    forward = draw(st.integers(USD // 100, 100_000 * USD))
    held = []
    for _ in range(draw(st.integers(0, 5))):
        percent = draw(st.one_of(st.integers(5, 500), st.integers(85, 115)))
        held.append(
            Held(
                strike=max(forward * percent // 100 + draw(st.integers(-9, 9)), 1),
                sigma=draw(st.integers(WAD // 20, 5 * WAD)),
                seconds=draw(
                    st.one_of(st.integers(0, 2 * DAY_S), st.integers(DAY_S, 1095 * DAY_S))
                ),
                is_call=draw(st.booleans()),
                lots=draw(st.integers(-10_000, 10_000)),
            )
        )
    notional = forward * 10**8 * 100
    linear = draw(st.one_of(st.just(0), st.integers(-notional, notional)))
    psr = draw(st.integers(10_000, psr_max))
    return Account(forward, psr, linear, tuple(held))


@settings(max_examples=100)
@given(accounts())
def test_margin_is_never_below_that_of_real_numbers_nor_more_than_a_quantum_above(
    account: Account,
) -> None:
    """Lanes that were cut are charged in full, so they only lift the upper bound."""
    with mpmath.workdps(40):
        exact = account.exact() * WAD
        found = account.margin()
        assert found >= exact - mpf(10) ** -9  # wei: what forty digits lose
        totals = account.totals()
        slack = account.unit * (totals.gross + 3 * totals.cut) * (1 + mpf(2) ** -20)
        assert found <= exact + slack + 10


@settings(max_examples=100)
@given(accounts())
def test_a_lane_is_within_half_a_quantum(account: Account) -> None:
    """Of a call as stored, of a put by parity, from the real scenarios of each; cut lanes further
    off, and charged for both.
    """
    for option in account.held:
        for each in (option, replace(option, is_call=not option.is_call)):
            info = account.words(each)[1]
            with mpmath.workdps(40):
                exact = exact_gains(mpf(account.forward) / USD, account.psr, each)
                for lane, gain in enumerate(exact):
                    error = abs(account.lane_by_parity(each, lane) - gain * USD / account.quantum)
                    assert error <= mpf("0.5") + mpf(2) ** -20 + info.clipped


@given(st.integers(0, 2**32 - 1))
def test_multipliers_are_those_of_real_numbers(seconds: int) -> None:
    with mpmath.workdps(40):
        for found, exact in zip(
            arrays.multipliers(seconds), exact_multipliers(seconds), strict=True
        ):
            assert abs(found - exact * ONE) <= 2**22


def test_multipliers_at_known_tenors() -> None:
    """m is one at 30 days, 30^0.3 at a day and less, and falls with time on both sides of 30."""
    tenors = [0, DAY_S - 1, DAY_S, DAY_S + 1, 30 * DAY_S - 1, 30 * DAY_S, 30 * DAY_S + 1]
    found = [arrays.multipliers(seconds) for seconds in tenors]
    assert found[5] == (ONE + ONE // 2, ONE - 3 * ONE // 10)
    assert found[0] == found[1] == found[2]
    assert all(a[0] > b[0] and a[1] < b[1] for a, b in pairwise(found[2:]))
    assert found[2][0] * 1000 // ONE == 2387  # 1 + 30^0.3 / 2


@given(accounts(), st.randoms(use_true_random=False), st.integers(-(10**6), 10**6))
def test_order_and_splitting_change_nothing(
    account: Account, order: random.Random, part: int
) -> None:
    shuffled = list(account.held)
    order.shuffle(shuffled)
    assert Account(account.forward, account.psr, account.linear, tuple(shuffled)).totals() == (
        account.totals()
    )
    if not account.held:
        return
    first, *rest = account.held
    array, info = account.words(first)
    other = Account(account.forward, account.psr, account.linear, tuple(rest)).totals()
    for lots in (part, first.lots - part):
        other = arrays.accumulate(other, array, info.clipped, lots)
    assert arrays.lane_sums(other) == arrays.lane_sums(account.totals())


@given(accounts(), st.integers(0, 1000))
def test_the_scan_is_homogeneous(account: Account, times: int) -> None:
    """To the wei that the linear part of each may round."""
    held = tuple(
        Held(o.strike, o.sigma, o.seconds, o.is_call, o.lots * times) for o in account.held
    )
    larger = Account(account.forward, account.psr, account.linear * times, held)
    assert 0 <= account.scan() * times - larger.scan() <= times


@given(accounts(), accounts())
def test_the_scan_is_subadditive(one: Account, other: Account) -> None:
    forward, psr = one.forward, one.psr
    other = Account(forward, psr, other.linear, other.held)
    both = Account(forward, psr, one.linear + other.linear, one.held + other.held)
    assert both.scan() <= one.scan() + other.scan()


@given(accounts(psr_max=660_000), st.booleans(), st.integers(5, 500), st.integers(1, 1095))
def test_a_long_option_never_raises_the_scan_by_more_than_its_mark(
    account: Account, is_call: bool, percent: int, days: int
) -> None:
    """For a scan range of up to 66 %: beyond, the weight of the extreme fall is above one."""
    strike = max(account.forward * percent // 100, 1)
    bought = Held(strike, WAD * 6 // 10, days * DAY_S, is_call, LOTS_PER_UNIT)
    array, info = account.words(bought)
    totals = account.totals()
    after = arrays.accumulate(totals, array, info.clipped, bought.lots)
    moved = account.moved + account.parity(bought)
    scans = [
        arrays.scan(totals, account.unit, account.moved, account.psr),
        arrays.scan(after, account.unit, moved, account.psr),
    ]
    rounding = account.unit * LOTS_PER_UNIT * (1 + info.clipped)
    assert scans[1] - scans[0] <= (info.mark + 1) * 10**8 + rounding


@given(st.integers(USD // 100, 10**5 * USD), st.integers(10_000, 900_000), st.integers(40, 300))
def test_a_put_and_a_call_differ_by_the_forward(forward: int, psr: int, percent: int) -> None:
    """Marks and deltas by parity; call and put of a strike less the forward gain nothing at all."""
    account = Account(forward, psr, 0, ())
    strike = max(forward * percent // 100, 1)
    call, put = (
        account.words(Held(strike, WAD // 2, 20 * DAY_S, is_call, 1)) for is_call in (True, False)
    )
    assert call[1].mark - put[1].mark == forward - strike
    assert call[1].delta - put[1].delta == 2**30
    assert call[1].clip == put[1].clip
    pair = (
        Held(strike, WAD // 2, 20 * DAY_S, True, -LOTS_PER_UNIT),
        Held(strike, WAD // 2, 20 * DAY_S, False, LOTS_PER_UNIT),
    )
    assert Account(forward, psr, forward * 10**8, pair).scan() == 0


@given(accounts(), st.integers(-25, 25))
def test_the_mark_carried_on_by_delta_is_close_and_never_above_by_more_than_its_rounding(
    account: Account, tenth_bp: int
) -> None:
    """An option is convex in the forward, so its tangent lies below it."""
    moved = account.forward + account.forward * tenth_bp // 10_000
    for option in account.held:
        _, info = account.words(option)
        with mpmath.workdps(40):
            v = mpf(option.sigma) / WAD * mpmath.sqrt(mpf(option.seconds) / (365 * DAY_S))
            strike = mpf(option.strike) / USD
            exact = exact_value(mpf(moved) / USD, strike, v, option.is_call) * USD
        rounding = 2 + abs(moved - account.forward) / mpf(2) ** 30 + mpf(account.forward) / 10**15
        assert 0 <= info.value(moved) <= exact + rounding
        assert exact - info.value(moved) <= mpf(account.forward) * 25 / 10_000 + rounding
