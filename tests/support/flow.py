"""Random flows of every kind of command through a sequencer, near the end of margin and limits."""

from __future__ import annotations

from random import Random

from novate.engine.book import FastBook
from novate.engine.ladder import MakeBook
from novate.model.order import IMMEDIATE, POST_ONLY, REDUCE_ONLY
from novate.units import WAD
from novate.wire import records
from tests.support.engine import BTC, ETH, Floor, account_of, address_of

ROLES = tuple(f"trader {number}" for number in range(6))
KINDS = {
    "place": 30,
    "take": 14,
    "kill": 6,
    "edit": 14,
    "quote": 10,
    "wait": 8,
    "cancel": 4,
    "protect": 2,
    "prices": 6,
    "close": 3,
    "drain": 3,
}


class Flow:
    """One flow; the same seed is the same flow."""

    def __init__(self, seed: int, make_book: MakeBook = FastBook) -> None:
        self.chance = Random(seed)
        self.floor = Floor(make_book=make_book)
        self.btc = 100_000
        for number, role in enumerate(ROLES):
            self.floor.deposit(role, 300 * 3**number)
        self.floor.deposit(ROLES[0], 200, number=1)

    def run(self, steps: int) -> Floor:
        """So many commands."""
        kinds = self.chance.choices(list(KINDS), list(KINDS.values()), k=steps)
        for kind in kinds:
            getattr(self, "_" + kind)(self.chance.choice(ROLES))
        self.floor.close()
        return self.floor

    def _lots(self) -> int:
        return self.chance.choice((-1, 1)) * self.chance.randint(1, 12)

    def _dollars(self) -> float:
        return self.btc + self.chance.randint(-24, 24) * 5 / 2

    def _fields(self, role: str) -> dict[str, object]:
        fields: dict[str, object] = {}
        if role == ROLES[0] and self.chance.random() < 0.3:
            fields["account"] = account_of(role, 1)
        if self.chance.random() < 0.2:
            fields["expiry"] = self.floor.now + self.chance.randint(1, 40)
        return fields

    def _mode(self) -> dict[str, object]:
        return {"self_trade": self.chance.choice(("cancel_maker", "reject_taker", "cancel_both"))}

    def _place(self, role: str) -> None:
        flags = self.chance.choice((0, 0, 0, POST_ONLY, POST_ONLY, REDUCE_ONLY))
        command = self._mode() | {"slides": self.chance.random() < 0.5}
        command["mmp"] = self.chance.random() < 0.2
        dollars, fields = self._dollars(), self._fields(role)
        if self.chance.random() < 0.15:
            dollars, fields = dollars // 25, fields | {"instrument": ETH}
        self.floor.place(role, self._lots(), dollars, flags=flags, command=command, **fields)

    def _take(self, role: str) -> None:
        flags = self.chance.choice((0, 0, REDUCE_ONLY))
        lots = self._lots() * 3
        dollars, fields = self._dollars(), self._fields(role)
        self.floor.take(role, lots, dollars, flags=flags, command=self._mode(), **fields)

    def _kill(self, role: str) -> None:
        command = self._mode() | {"fill_or_kill": True}
        flags = self.chance.choice((0, IMMEDIATE))
        dollars = self._dollars() + self.chance.choice((-40, 40))
        self.floor.place(role, self._lots(), dollars, flags=flags, command=command)

    def _edit(self, role: str) -> None:
        found = list(self.floor.sequencer.matcher.orders.by_number.values())
        if not found:
            return
        order = self.chance.choice(found)
        role = next(r for r in ROLES if account_of(r) >> 96 == order.owner)
        lots = order.terms.lots + self.chance.choice((-3, -1, 0, 0, 2))
        price = order.price_ticks / 2
        if self.chance.random() < 0.5:
            price += self.chance.randint(-8, 8) / 2
        command: dict[str, object] = {"slides": self.chance.random() < 0.5}
        if order.waits_for and self.chance.random() < 0.5:
            command |= {
                "trigger": order.placed.trigger,
                "trigger_price": order.placed.trigger_price,
            }
        fields = {"account": order.terms.account, "instrument": order.terms.instrument}
        if self.chance.random() < 0.1:
            fields["revision"] = order.terms.revision
        self.floor.edit(role, order.digest, lots, price, command=command, **fields)

    def _quote(self, role: str) -> None:
        legs = [(self._lots(), self._dollars()) for _ in range(self.chance.randint(1, 4))]
        command = {"slides": self.chance.random() < 0.5}
        self.floor.quote(role, legs, self.chance.choice(("", "far")), command=command)

    def _wait(self, role: str) -> None:
        price = records.big((self.btc + self.chance.randint(-6, 6) * 50) * WAD)
        command = {"trigger": self.chance.choice(("stop", "take")), "trigger_price": price}
        flags = self.chance.choice((0, IMMEDIATE, REDUCE_ONLY))
        self.floor.place(role, self._lots(), self._dollars(), flags=flags, command=command)

    def _cancel(self, role: str) -> None:
        scope, value = self.chance.choice((("all", 0), ("instrument", BTC), ("underlying", 2)))
        self.floor.cancel(role, scope, value, self.chance.random() < 0.5)

    def _protect(self, role: str) -> None:
        lot = WAD // 1000
        limits = self.chance.randint(0, 15) * lot, self.chance.randint(0, 10) * lot
        self.floor.protect(
            role, self.chance.choice((0, 5, 60)), self.chance.choice((0, 20)), *limits
        )
        signer = bytes.fromhex(address_of(role)[2:])
        if self.chance.random() < 0.5:
            account = account_of(role).to_bytes(32, "big")
            self.floor.feed(records.ProtectionReset(account, 1, signer, 0))

    def _prices(self, role: str) -> None:
        self.btc += self.chance.randint(-8, 8) * 50
        self.floor.prices(self.btc, later=self.chance.choice((1, 10)))

    def _close(self, role: str) -> None:
        self.floor.close()

    def _drain(self, role: str) -> None:
        """Its cash goes, whatever rests; or comes back."""
        self.floor.close()
        row = self.floor.world.ledger.accounts[account_of(role)]
        if not row.positions and row.cash > 0:
            self.floor.withdraw_all(role)
        elif row.cash < 100 * WAD:
            self.floor.deposit(role, 500)
