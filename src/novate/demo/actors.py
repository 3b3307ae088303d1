"""Who trades in the demo: market makers, hedgers, leveraged longs and shorts, savers. Seeded; keys
are derived, signatures real.

Decisions use floats (they are opinions, not money); what is signed are integers on the tick and
whole lots.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from coincurve import PrivateKey
from eth_account.signers.local import LocalAccount

from novate.chain.node import local_key
from novate.model import fees
from novate.model.account import account_of
from novate.model.instrument import Terms
from novate.model.ledger import Check
from novate.model.option_id import is_option, place_of
from novate.model.order import IMMEDIATE, REDUCE_ONLY, Order
from novate.model.venue import Settings
from novate.units import WAD
from novate.wire import eip712
from novate.wire.order import SignedOrder

BTC, ETH = 1, 2
USD = 10**6
ORDER_LIFE_S = 86_400
NO_FEES = Settings()
FEE_ROOM = 2  # a sale above its limit pays its fee on the better price


@dataclass(slots=True)
class Actor:
    """One user with one account."""

    name: str
    kind: str
    key: LocalAccount
    account: int
    usdc: int
    weth: int = 0
    instrument: int = BTC
    appetite: float = 0.0
    enters_at: int = 0
    nonces: dict[bool, int] = field(default_factory=lambda: {True: 0, False: 0})
    signer: PrivateKey | None = None

    def __post_init__(self) -> None:
        self.signer = PrivateKey(bytes(self.key.key))

    @property
    def address(self) -> str:
        """Lower-case address of the owner."""
        return self.key.address.lower()

    def order(
        self, venue: Desk, instrument: int, lots: int, price: float, flags: int = IMMEDIATE
    ) -> SignedOrder:
        """A signed order; the price is moved to the tick, away from the other side."""
        terms = venue.terms[instrument]
        ticks = int(price * WAD) // terms.tick
        wad = max(ticks + (1 if lots > 0 else 0), 1) * terms.tick
        immediate = bool(flags & IMMEDIATE)
        nonce = self.nonces[immediate]
        self.nonces[immediate] += 1
        order = Order(
            account=self.account,
            instrument=instrument,
            lots=lots,
            price=wad,
            max_fee=venue.fee_lot(instrument, wad) * FEE_ROOM,
            nonce=nonce,
            expiry=min(venue.now + ORDER_LIFE_S, venue.ends.get(instrument, 2**40 - 1)),
            flags=flags,
            executor=venue.executor,
        )
        assert self.signer is not None
        r, vs = eip712.sign(self.signer, eip712.order_digest(venue.separator, order))
        return SignedOrder(order, r, vs)


@dataclass(slots=True)
class Desk:
    """What a trader sees when it decides: time, marks in USD, its own check and positions."""

    now: int
    separator: bytes
    executor: str
    terms: Mapping[int, Terms]
    marks: dict[int, float]
    checks: dict[int, Check]
    positions: dict[int, dict[int, int]]
    ends: Mapping[int, int] = field(default_factory=dict)  # when dated instruments expire
    settings: Settings = NO_FEES
    speed: float = 0.0

    def fee_lot(self, instrument: int, price: int) -> int:
        """Fee of a lot at ``price`` (wad); an option's forward is near its perp's mark."""
        forward = 0
        if is_option(instrument):
            forward = int(self.marks[place_of(instrument)[0]] * WAD)
        return max(fees.of_fill(self.settings, self.terms[instrument], 1, price, forward))

    def lot_usd(self, instrument: int) -> float:
        """Dollars of one lot at the mark."""
        return self.marks[instrument] * self.terms[instrument].lot_size / WAD


def population(seed: int, start: int) -> list[Actor]:
    """The users of the crash; the two accounts of the cheating operator are made elsewhere."""
    chance = random.Random(seed)
    made: list[Actor] = []

    def add(
        kind: str,
        number: int,
        usdc: float,
        weth: int = 0,
        instrument: int = BTC,
        appetite: float = 0.0,
        enters_at: int = 0,
    ) -> None:
        name = f"{kind} {number}"
        key = local_key(name)
        account = account_of(key.address.lower())
        made.append(
            Actor(
                name,
                kind,
                key,
                account,
                int(usdc) * USD,
                weth=weth,
                instrument=instrument,
                appetite=appetite,
                enters_at=enters_at,
            )
        )

    for i in range(6):
        add("maker", i, 6_000_000)
    for i in range(40):
        weth = chance.randint(20, 250)
        enters = start + 60 * chance.randint(5, 150)
        add("hedger", i, 20_000 + 200 * weth, weth=weth * WAD, instrument=ETH, enters_at=enters)
    for i in range(190):
        size = round(5_000 * 20 ** chance.random())
        enters = start + 60 * chance.randint(3, 215)
        side = BTC if chance.random() < 0.55 else ETH
        add("long", i, size, instrument=side, appetite=chance.uniform(0.6, 1.0), enters_at=enters)
    for i in range(50):
        size = round(8_000 * 15 ** chance.random())
        enters = start + 60 * chance.randint(3, 230)
        side = BTC if chance.random() < 0.5 else ETH
        add("short", i, size, instrument=side, appetite=chance.uniform(0.4, 0.95), enters_at=enters)
    for i in range(22):
        add("saver", i, chance.randint(1_000, 50_000))
    for i in range(8):
        add("keeper", i, 2_000_000)
    return [*made, *option_traders(seed, start)]


def option_traders(seed: int, start: int) -> list[Actor]:
    """Makers of options, sellers of covered calls and of straddles, buyers of protection, traders
    of gamma, and carriers of dated futures against perpetuals.
    """
    chance = random.Random(f"options {seed}")
    made: list[Actor] = []

    def add(kind: str, number: int, usdc: float, weth: int = 0, side: int = ETH) -> None:
        key = local_key(f"{kind} {number}")
        actor = Actor(
            f"{kind} {number}", kind, key, account_of(key.address.lower()), int(usdc) * USD
        )
        actor.weth, actor.instrument = weth * WAD, side
        actor.appetite = chance.uniform(0.6, 0.97)
        actor.enters_at = start + 60 * chance.randint(4, 150)
        made.append(actor)

    def side() -> int:
        return BTC if chance.random() < 0.6 else ETH

    for i in range(4):
        add("option maker", i, 5_000_000)
    for i in range(16):
        weth = chance.randint(40, 300)
        add("covered", i, 10_000 + 150 * weth, weth)
    for i in range(20):
        add("straddle", i, round(30_000 * 10 ** chance.random()), side=side())
    for i in range(26):
        add("buyer", i, round(10_000 * 8 ** chance.random()), side=side())
    for i in range(6):
        add("gamma", i, chance.randint(300_000, 800_000), side=side())
    for i in range(5):
        add("carry", i, chance.randint(100_000, 400_000), side=side())
    return made


def quotes(actor: Actor, desk: Desk, chance: random.Random) -> Iterator[SignedOrder]:
    """A maker's two sides on both books, leaning against inventory, wider when the market runs."""
    equity = desk.checks[actor.account].equity / WAD
    for instrument in (BTC, ETH):
        mark, lot = desk.marks[instrument], desk.lot_usd(instrument)
        held = desk.positions[actor.account].get(instrument, 0) * lot
        lean = max(-1.0, min(1.0, held / (equity + 1)))
        width = 0.0004 + 0.15 * desk.speed + 0.0003 * chance.random()
        middle = mark * (1 - 0.0015 * lean)
        size = int(max(equity, 0) * 0.08 * (0.7 + 0.6 * chance.random()) / lot)
        if size > 0:
            yield actor.order(desk, instrument, size, middle * (1 - width), 0)
            yield actor.order(desk, instrument, -size, middle * (1 + width), 0)


def enter(actor: Actor, desk: Desk, chance: random.Random) -> SignedOrder | None:
    """Open or top up towards the leverage the actor wants, as far as the gate should allow."""
    check = desk.checks[actor.account]
    lot = desk.lot_usd(actor.instrument)
    if actor.kind == "hedger":
        wanted = -actor.weth * desk.marks[ETH] / WAD
        reach = abs(wanted)
    else:
        scan = 0.15 if actor.instrument == BTC else 0.18
        reach = actor.appetite * check.equity / WAD / (1.25 * scan + 0.004)
        wanted = reach if actor.kind == "long" else -reach
    held = desk.positions[actor.account].get(actor.instrument, 0) * lot
    missing = wanted - held
    if abs(missing) < 0.04 * reach or abs(missing) < 200:
        return None
    lots = int(missing / lot * chance.choice((0.5, 1.0, 1.0)))
    if lots == 0:
        return None
    price = desk.marks[actor.instrument] * (1.012 if lots > 0 else 0.988)
    return actor.order(desk, actor.instrument, lots, price)


def reduce(actor: Actor, desk: Desk, share: float) -> Iterator[SignedOrder]:
    """Trade a share of every perp position away."""
    for instrument in (BTC, ETH):
        held = desk.positions[actor.account].get(instrument, 0)
        lots = -int(held * share) or (-held if abs(held) * desk.lot_usd(instrument) < 2_000 else 0)
        if lots:
            price = desk.marks[instrument] * (1.02 if lots > 0 else 0.98)
            yield actor.order(desk, instrument, lots, price, IMMEDIATE | REDUCE_ONLY)


def adjust(actor: Actor, desk: Desk, chance: random.Random) -> Iterator[SignedOrder]:
    """Trim a position a little, to come back to it later: the everyday flow."""
    held = desk.positions[actor.account].get(actor.instrument, 0)
    lots = -int(held * chance.uniform(0.05, 0.25))
    if lots:
        price = desk.marks[actor.instrument] * (1.01 if lots > 0 else 0.99)
        yield actor.order(desk, actor.instrument, lots, price, IMMEDIATE | REDUCE_ONLY)
