"""Random operations drawn from a seed: trading, money, prices, liquidation, governance, strangers.

``KINDS`` names each kind of operation, how often it is drawn, and which outcomes it can have.
Traders take as much as their margin allows, so that crashes leave something to liquidate.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from typing import Any

from novate.errors import BY_SELECTOR
from novate.model import custody, ledger, oracle
from novate.model.account import account_of
from novate.model.novation import Trade, novate
from novate.model.state import World
from novate.sim.checkers import Checker
from novate.sim.desk import UNLISTED, Desk, Person, person
from novate.sim.world import (
    BTC,
    DOLLAR,
    ETH,
    ETHER_LOT,
    STALE_AFTER_S,
    TERMS,
    WETH,
    Result,
    Settlement,
    Step,
    word,
)
from novate.units import PPM, WAD, div_down

ACCEPTED, REJECTED = "accepted", "rejected"
BOTH = (ACCEPTED, REJECTED)
KINDS: dict[str, tuple[int, tuple[str, ...]]] = {
    "settle": (44, BOTH),
    "lever": (14, BOTH),
    "by_receipt": (5, BOTH),
    "replay": (3, (ACCEPTED,)),
    "cancel": (4, BOTH),
    "cancel_below": (1, BOTH),
    "session_key": (4, BOTH),
    "remove_session_key": (2, BOTH),
    "novate": (8, BOTH),
    "deposit": (7, BOTH),
    "request": (6, BOTH),
    "cancel_request": (2, BOTH),
    "withdraw": (6, BOTH),
    "round": (14, BOTH),
    "crash": (3, (ACCEPTED,)),
    "quiet": (1, (ACCEPTED,)),
    "sweep": (4, (ACCEPTED,)),
    "start": (7, BOTH),
    "bid": (13, BOTH),
    "end": (3, BOTH),
    "write_off": (4, BOTH),
    "haircut": (3, BOTH),
    "retry": (3, BOTH),
    "distribute": (2, (ACCEPTED,)),
    "look": (4, (ACCEPTED,)),
    "govern": (5, BOTH),
    "pause": (1, BOTH),
    "intrude": (4, (REJECTED,)),
}
PRICES_USD = {BTC: (500, 200_000), ETH: (25, 10_000)}


@dataclass(slots=True)
class Tally:
    """What happened: operations by kind and outcome, rejections and skips by name, events."""

    outcomes: Counter[tuple[str, str]]
    codes: Counter[str]
    events: Counter[str]

    def add(self, other: Tally) -> None:
        """Count another run's, too."""
        self.outcomes.update(other.outcomes)
        self.codes.update(other.codes)
        self.events.update(other.events)


class Workload:
    """One run; every draw comes from the seed."""

    kinds = KINDS

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.both = Settlement()
        self.world = self.both.world
        self.checker = Checker(self.both, person("saver").account)
        self.tally = Tally(Counter(), Counter(), Counter())
        self.operations = 0
        self.price = {BTC: 60_000.0, ETH: 3_000.0}
        self.levered = [person(f"levered {number}") for number in range(5)]
        self.deep = [person(f"deep {number}") for number in range(3)] + [person("deep 0", 1)]
        self.people = self.levered + self.deep
        self.saver = person("saver")
        self.desk = Desk(self.random, self.both, self.people)
        self.layers = [account_of(self.both.address["waterfall"], n) for n in (1, 2, 3, 4)]
        self.stranger = self.both.address["stranger"]
        self.round()
        self.both.advance(200)
        self.round()
        for who in self.levered:
            self.pay_in(who.account, self.random.randint(2_000, 40_000))
        for who in (*self.deep, self.saver):
            self.pay_in(who.account, 5_000_000)
        for layer, amount in zip(self.layers, (500, 3_000, 500, 1_000), strict=True):
            self.pay_in(layer, amount)

    def run(self, kind: str, step: Step) -> Result:
        """One operation on both sides, judged."""
        result = self.both.perform(step)
        self.operations += 1
        self.tally.outcomes[kind, ACCEPTED if result.accepted else REJECTED] += 1
        if result.error:
            self.tally.codes[result.error.name] += 1
        for event in result.events:
            self.tally.events[event.name] += 1
            if event.name in ("FillSkipped", "TradeSkipped"):
                code = event.arguments["code"]
                number = int.from_bytes(code, "big") if isinstance(code, bytes) else code
                self.tally.codes[BY_SELECTOR[number].name] += 1
        self.checker.after(step, result)
        return result

    def act(self, kind: str, contract: Any, sender: str, twin: Any, *given: Any) -> Result:
        """An operation whose model function carries the contract's name."""
        return self.run(kind, self.both.step(contract, sender, twin, *given))

    def draw(self) -> None:
        """One random kind of operation (some are several transactions)."""
        names = list(self.kinds)
        name = self.random.choices(names, [weight for weight, _ in self.kinds.values()])[0]
        getattr(self, name)()

    def anyone(self) -> Person:
        """Any trader, or the saver, who never trades."""
        return self.random.choice([*self.people, self.saver])

    # Trading

    def settle(self) -> None:
        """A batch of the engine, now and then with a round; sometimes it only leaves receipts."""
        fills = self.desk.batch(self.random.choice([1, 1, 2, 4, 8]))
        if not fills:
            return
        if self.random.random() < 0.15:
            self.desk.give_receipts(fills)
            return
        carried = self.carried_round() if self.random.random() < 0.1 else None
        self.run("settle", self.desk.settle(fills, carried))

    def lever(self) -> None:
        """A levered trader takes about as much of its side as its margin lets it."""
        index = self.random.randrange(len(self.levered))
        who = self.levered[index]
        if self.world.ledger.accounts[who.account].in_auction:
            return
        buys = (index + (self.random.random() < 0.15)) % 2 == 0
        instrument = self.random.choice([BTC, ETH])
        found = ledger.check(self.world, who.account)
        free = found.equity - found.valuation.penalty - found.valuation.margin_initial
        lot = div_down(self.desk.mark(instrument) * TERMS[instrument].lot_size, WAD)
        lots = max(1, min(div_down(max(free, 0) * 5, lot), 40_000))
        for _ in range(3):
            maker = self.random.choice(self.deep)
            fill = self.desk.fill(who, maker, instrument, lots, buys)
            if self.run("lever", self.desk.settle([fill])).value:
                return
            lots = max(1, div_down(lots * 2, 3))

    def by_receipt(self) -> None:
        """A stranger settles by receipts, mostly once the window has passed."""
        self.both.advance(self.random.choice([0, 5, 35]))
        if step := self.desk.settle_by_receipt():
            self.run("by_receipt", step)

    def replay(self) -> None:
        """A batch again."""
        if step := self.desk.replay():
            self.run("replay", step)

    def cancel(self) -> None:
        """An order is cancelled."""
        self.run("cancel", self.desk.cancel())

    def cancel_below(self) -> None:
        """Orders are cancelled by nonce."""
        self.run("cancel_below", self.desk.cancel_below())

    def session_key(self) -> None:
        """A session key is set."""
        self.run("session_key", self.desk.session_key())

    def remove_session_key(self) -> None:
        """A session key is removed."""
        self.run("remove_session_key", self.desk.remove_session_key())

    def novate(self) -> None:
        """Another venue brings wild trades."""
        r = self.random
        accounts = sorted(p.account for p in r.sample(self.people, r.randint(2, 6)))
        instruments = sorted(r.sample(self.traded_wildly(), r.randint(1, 3)))
        trades = []
        for _ in range(r.choice([1, 1, 3, 12])):
            taker, maker = r.sample(range(len(accounts)), 2)
            at = r.randrange(len(instruments))
            terms = self.desk.terms(instruments[at])
            price = self.some_price(instruments[at], terms.tick) + r.choice([0] * 30 + [1])
            lots = r.choice([0, 1, r.randint(1, 300), r.randint(1, 3_000), r.randint(1, 40_000)])
            reduce_only = r.random() < 0.05, r.random() < 0.05
            fees = r.randint(0, WAD), r.randint(0, WAD)
            buys = r.random() < 0.5
            trades.append(Trade(taker, maker, at, buys, lots, price, *fees, *reduce_only))
        sender = self.both.address["venue"] if r.random() < 0.95 else self.stranger
        if r.random() < 0.02:
            accounts.reverse()
        arguments = [word(a) for a in accounts], instruments, [list(t.words()) for t in trades]

        def twin(world: World) -> int:
            return novate(world, sender, accounts, instruments, trades)

        self.run("novate", Step(self.both.clearinghouse, "novate", sender, arguments, twin))

    def traded_wildly(self) -> list[int]:
        """Instruments that the other venue tries."""
        return [BTC, ETH, WETH, UNLISTED]

    def some_price(self, instrument: int, tick: int) -> int:
        """At the mark, off it, or the last tick within the band and the first beyond."""
        r, mark = self.random, self.desk.mark(instrument)
        rate = r.choice([0, 0, 4_000, -10_000, 200_000])
        if r.random() < 0.3:
            rate = r.choice([1, -1]) * self.world.ledger.config.trade_band_ppm
        price = div_down(mark * (PPM + rate), PPM)
        return max(price - price % tick + r.choice([0, 0, tick, -tick]), 0)

    # Money

    def pay_in(self, account: int, amount: int, unit: int = DOLLAR, token: Any = None) -> None:
        """Anyone deposits for an account."""
        chosen = token or self.both.usd
        units = amount * unit
        chosen.call("mint", self.stranger, units)
        chosen.call("approve", self.both.custody.address, units, sender=self.stranger)
        address = chosen.address.lower()
        self.act(
            "deposit", self.both.custody, self.stranger, custody.deposit, address, account, units
        )

    def deposit(self) -> None:
        """Dollars or ether, mostly for the levered; sometimes nothing or half a lot."""
        r = self.random
        if r.random() < 0.6:
            self.pay_in(r.choice(self.levered).account, r.randint(0, 8_000))
        elif r.random() < 0.1:
            self.pay_in(self.anyone().account, 2 * 10**15 + 1, 1, self.both.ether)
        else:
            self.pay_in(self.anyone().account, r.randint(0, 3_000_000), ETHER_LOT, self.both.ether)

    def token(self) -> str:
        """The address of a token, mostly dollars."""
        return self.random.choice([self.both.usd, self.both.usd, self.both.ether]).address.lower()

    def request(self) -> None:
        """A withdrawal is asked for."""
        self.ask(self.anyone().account, self.token())

    def ask(self, account: int, token: str) -> None:
        """An account's withdrawal of some amount is asked for, mostly by its owner."""
        sender = self.random.choice([f"0x{account >> 96:040x}"] * 4 + [self.stranger])
        amount = self.random.choice([0, 1, 900, 20_000, 2_000_000]) * DOLLAR
        given = account, token, amount
        self.act("request", self.both.custody, sender, custody.request_withdrawal, *given)

    def cancel_request(self) -> None:
        """A withdrawal is given up."""
        account, token = self.requested()
        sender = self.random.choice([f"0x{account >> 96:040x}"] * 4 + [self.stranger])
        given = account, token
        self.act("cancel_request", self.both.custody, sender, custody.cancel_withdrawal, *given)

    def requested(self) -> tuple[int, str]:
        """Mostly an account and token with an open request."""
        pairs = [(who.account, self.token()) for who in [*self.people, self.saver]]
        rows = self.world.custody.requests
        return self.random.choice([pair for pair in pairs if rows[pair].amount] or pairs)

    def withdraw(self) -> None:
        """Anyone executes a withdrawal, now or at the first or last second of its window."""
        r, (account, token) = self.random, self.requested()
        wait, now = r.choice([0, 0, 60]), self.world.now
        eligible_at = self.world.custody.requests[account, token].eligible_at
        if eligible_at and r.random() < 0.1:
            wait = max(0, eligible_at - now - r.choice([0, 1]))
        elif eligible_at and r.random() < 0.05:
            wait = max(0, eligible_at + custody.EXECUTION_WINDOW_S - now + r.choice([0, 1]))
            self.both.advance(wait)
            self.ask(account, token)
            wait = 0
        self.both.advance(wait)
        self.act("withdraw", self.both.custody, self.stranger, custody.withdraw, account, token)

    # Prices and time

    def words(self, spread: float, drift: float = 0) -> list[int]:
        """Observations after a random move; the oracle clamps what is too far."""
        r, rows = self.random, {}
        for instrument, (low, high) in PRICES_USD.items():
            moved = self.price[instrument] * (1 + drift + r.gauss(0, spread))
            self.price[instrument] = min(max(moved, low), high)
            index = int(self.price[instrument] * 10**10)
            basis = int(index * (1 + r.gauss(0, 0.001)))
            rows[TERMS[instrument].feed] = (index, basis, r.choice([0, 0, 500, 20_000]))
        return self.both.observations(rows)

    def signed_round(self, spread: float, drift: float, faulty: bool) -> tuple[Any, Any, list[int]]:
        """Arguments of the next round, the model's view of its signers, and its words."""
        r, now = self.random, self.world.now
        words, number, at = self.words(spread, drift), self.both.round + 1, now
        signers, stray = sorted(r.sample(range(4), 3)), -1
        fault = r.randrange(7) if faulty else -1
        if fault == 0:
            at = now + 1
        elif fault == 1:
            at = now - STALE_AFTER_S - 400
        elif fault == 2:
            signers = signers[:2]
        elif fault == 3:
            stray = signers[1]
        elif fault == 4:
            words.reverse()
        elif fault == 5:
            words = [words[0] & ~(2**64 - 1), words[1]]
        elif fault == 6:
            signers = [signers[0], signers[0], signers[2]]
        else:
            self.both.round = number
        arguments, seen = self.both.round_call(words, at, signers, number, stray)
        return arguments, seen, words

    def post(
        self, spread: float, drift: float = 0, faulty: bool = False, kind: str = "round"
    ) -> None:
        """Post a round, sometimes a bad or an old one."""
        arguments, seen, words = self.signed_round(spread, drift, faulty)

        def twin(world: World) -> bool:
            return oracle.post_round(world, arguments[0], arguments[1], words, seen)

        self.run(kind, Step(self.both.oracle, "post_round", self.stranger, arguments, twin))

    def carried_round(self) -> Any:
        """A round inside a settlement: its call, and its twin."""
        self.both.advance(self.random.choice([1, 5, 10]))
        arguments, seen, words = self.signed_round(0.005, 0, False)
        call = self.both.oracle.abi.encode_call("post_round", *arguments)
        return call, lambda world: oracle.post_round(world, arguments[0], arguments[1], words, seen)

    def round(self) -> None:
        """Time passes and prices come; after an outage now and then."""
        self.both.advance(self.random.choice([1, 5, 12, 30, 60, 60, 300]))
        self.post(0.01, faulty=self.random.random() < 0.08)

    def quiet(self) -> None:
        """Ten seconds to hours and more without a price; then prices again, mostly."""
        self.both.advance(self.random.choice([10, 200, 301, 1_800, 4_000, 9_000]))
        if self.random.random() < 0.9:
            self.post(0.005, kind="quiet")
