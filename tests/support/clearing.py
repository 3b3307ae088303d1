"""Short forms of what tests do to the settlement core, on contract and model at once.

Prices are whole USD a base unit, cash in whole USD; an operation returns the model's value, or the
name of the rejection that both gave.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from novate.chain.harness import Contract
from novate.errors import Rejected
from novate.model import ledger, margin, oracle
from novate.model.account import account_of, gains
from novate.model.instrument import Terms
from novate.model.ledger import Check, Config
from novate.model.margin import RiskGlobals, RiskParameters
from novate.model.novation import Trade
from novate.model.oracle import Observation
from novate.units import WAD
from novate.wire.round import signed_round
from support.core import BTC, ETH, NODE_KEYS, ORACLE_PER_USD, Core, as_word, trader, word

HOUR_S = 3_600
DAY_S = 86_400
BUYER = trader("buyer")
SELLER = trader("seller")
LIQUIDATOR = trader("liquidator")
ACCOMPLICE = trader("accomplice")


class Clearing(Core):
    """The settlement core with three funded accounts, out of the grace, at the start of an
    epoch.
    """

    def __init__(self, cash_usd: int = 100_000) -> None:
        super().__init__()
        self.settle_in(400)
        for account in (BUYER, SELLER, LIQUIDATOR):
            self.fund(account, cash_usd)

    def run(
        self,
        role: str,
        function: str,
        model: Callable[..., Any],
        *given: Any,
        packed: tuple[Any, ...] = (),
    ) -> Any:
        """One operation by a role; accounts are given as integers."""
        arguments = packed or tuple(as_argument(item) for item in given)
        found = self.both(role, function, arguments, model, given)
        return self.refusal.name if self.refusal is not None else found

    def fund(self, account: int, usd: int) -> Any:
        """Custody credits cash."""
        return self.run("custody", "credit", ledger.credit, account, 0, usd * WAD)

    def pay_out(self, account: int, usd: int) -> Any:
        """Custody debits cash."""
        return self.run("custody", "debit", ledger.debit, account, 0, usd * WAD)

    def trade(
        self, buyer: int, seller: int, lots: int, usd: float, instrument: int = BTC, **terms: Any
    ) -> str:
        """One trade, the buyer taking: ``settled`` or the name of the rejection."""
        accounts = sorted({buyer, seller})
        price = int(usd * 100) * WAD // 100
        made = Trade(accounts.index(buyer), accounts.index(seller), 0, True, lots, price, **terms)
        return self.batch(accounts, [instrument], [made])[0]

    def batch(self, accounts: list[int], instruments: list[int], trades: list[Trade]) -> list[str]:
        """A batch by the venue: what became of each trade."""
        bitmap = self.novate(accounts, instruments, trades)
        if self.refusal is not None:
            return [self.refusal.name] * max(len(trades), 1)
        names = {bytes.fromhex(f"{e.selector:08x}"): e.name for e in known_errors()}
        skipped = {
            event.arguments["index"]: names[event.arguments["code"]]
            for event in self.chain.events()
            if event.name == "TradeSkipped"
        }
        found = [skipped.get(i, "settled") for i in range(len(trades))]
        assert bitmap == sum(1 << i for i, name in enumerate(found) if name == "settled")
        self.compare(accounts)
        return found

    def price(self, btc_usd: float, eth_usd: float = 3_000, seconds: int = 10, **more: Any) -> None:
        """A round ``seconds`` later; a far move takes several rounds of 5 %."""
        self.advance(seconds)
        self.post(int(btc_usd * ORACLE_PER_USD), int(eth_usd * ORACLE_PER_USD), **more)

    def price_one(self, feed: int, usd: float, mark_usd: float = 0) -> None:
        """A round now that carries one feed only."""
        words = [
            Observation(
                feed, int(usd * ORACLE_PER_USD), int((mark_usd or usd) * ORACLE_PER_USD)
            ).pack()
        ]
        self.round += 1
        signers = list(enumerate(NODE_KEYS))[:3]
        made = signed_round(self.domain, self.round, self.chain.timestamp, words, signers)
        self.oracle.call("post_round", *made.arguments())
        signed = made.signers(self.domain)
        oracle.post_round(self.world, self.round, self.chain.timestamp, words, signed)
        self.world.take_events()

    def walk(self, btc_usd: float) -> None:
        """Rounds every ten seconds until the price is there, confidence zero again."""
        for _ in range(40):
            self.price(btc_usd)
            if self.world.oracle.feeds[0].mark == int(btc_usd * ORACLE_PER_USD):
                break
        self.price(btc_usd)

    def settle_in(self, seconds: int, btc_usd: float = 60_000, eth_usd: float = 3_000) -> None:
        """Time passes with a round every 50 s, so that nothing is an outage."""
        for _ in range(seconds // 50):
            self.price(btc_usd, eth_usd, 50)

    def lots(self, account: int, instrument: int = BTC) -> int:
        """Lots held."""
        return dict(self.world.ledger.accounts[account].positions).get(instrument, 0)

    def health(self, account: int) -> Check:
        """The account's check, equal on both sides."""
        found: Check = self.check(account)
        return found

    def can_be_liquidated(self, account: int) -> bool:
        """Below maintenance margin at the best of the prices."""
        found = self.health(account)
        return found.equity + found.valuation.bonus < found.valuation.margin_maintenance

    def claims(self, *accounts: int) -> int:
        """Cash, gains and variation of accounts, and the fees (wad)."""
        rows = [self.world.ledger.accounts[account] for account in accounts]
        total = sum(row.cash + row.variation + gains(self.world, row) for row in rows)
        return total + self.world.ledger.pot.fees

    def layer(self, number: int) -> int:
        """A layer account of the waterfall."""
        return account_of(self.address["waterfall"], number)

    def list_instrument(self, instrument: int, terms: Terms, role: str = "timelock") -> Any:
        """Governance lists."""
        return self.run(
            role,
            "list_instrument",
            ledger.list_instrument,
            instrument,
            terms,
            packed=(instrument, terms.pack()),
        )

    def set_config(self, config: Config, role: str = "timelock") -> Any:
        """Governance changes the configuration."""
        return self.run(role, "set_config", ledger.set_config, config, packed=(config.pack(),))

    def set_parameters(self, underlying: int, new: RiskParameters, role: str = "timelock") -> Any:
        """Governance changes an underlying's parameters."""
        packed = (underlying, new.pack())
        return self.risky(role, "set_parameters", margin.set_parameters, packed, (underlying, new))

    def set_globals(self, new: RiskGlobals, role: str = "timelock") -> Any:
        """Governance changes the shared parameters."""
        packed = (new.initial_ratio_ppm, new.credit_cap, new.stale_drift_ppm_s)
        return self.risky(role, "set_globals", margin.set_globals, packed, (new,))

    def risky(
        self,
        role: str,
        function: str,
        model: Callable[..., Any],
        packed: tuple[Any, ...],
        given: tuple[Any, ...],
    ) -> Any:
        """One operation of the RiskModel on both: None, or the name of the rejection."""
        sender, refusal = self.address.get(role, role), None
        try:
            with self.world.store.transaction():
                model(self.world, sender, *given)
        except Rejected as rejected:
            refusal = rejected.error.name
        assert name_of_refusal(self.risk, function, *packed, sender=sender) == refusal
        expected = [(e.name, e.arguments) for e in self.world.take_events()]
        if refusal is None:
            assert [(e.name, e.arguments) for e in self.chain.events()] == expected
        return refusal

    def evaluate(self, positions: dict[int, int]) -> margin.Valuation:
        """A portfolio's valuation, equal on both sides."""
        expected = margin.evaluate(self.world, positions)
        found = self.risk.view("evaluate", pack_positions(positions))
        names = ("value_linear", "value_spot", "margin_maintenance", "margin_initial")
        rest = ("penalty", "bonus", "liquidity", "flags")
        assert found == tuple(getattr(expected, name) for name in names + rest)
        return expected

    def events_of(self, name: str) -> list[dict[str, int]]:
        """Arguments of the logs of that name in the last transaction."""
        logs = [event for event in self.chain.events() if event.name == name]
        return [{k: as_word(v) for k, v in event.arguments.items()} for event in logs]


def known_errors() -> list[Any]:
    """The registry."""
    from novate.errors import REGISTRY

    return list(REGISTRY.values())


def as_argument(item: Any) -> Any:
    """Accounts travel as bytes32, lists of them too."""
    if isinstance(item, list):
        return [as_argument(entry) for entry in item]
    return word(item) if isinstance(item, int) and item >> 160 else item


def name_of_refusal(contract: Contract, function: str, *arguments: Any, sender: str) -> str | None:
    """Name of the rejection of a call, or None if it passes."""
    try:
        contract.call(function, *arguments, sender=sender)
    except Rejected as rejected:
        return rejected.error.name
    return None


def pack_positions(positions: dict[int, int]) -> list[int]:
    """Position words as the ledger keeps them."""
    lanes = [instrument << 44 | lots + 2**43 for instrument, lots in positions.items()]
    return [
        sum(lane << 64 * k for k, lane in enumerate(lanes[i : i + 4]))
        for i in range(0, len(lanes), 4)
    ]


def dollars(amount: int) -> float:
    """A wad as dollars, for comparisons that do not need the wei."""
    return amount / WAD


def eth_trade(core: Clearing, buyer: int, seller: int, lots: int, usd: float = 3_000) -> str:
    """A trade in the ether perp."""
    return core.trade(buyer, seller, lots, usd, instrument=ETH)
