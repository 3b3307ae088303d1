"""The demo's loop: six hours and more of 2025-10-10, a minute a step, and what comes out of it.

Each minute: the oracle nodes observe and sign a round and a volatility surface; both stand on
chain, and the options' arrays are built on them, before anybody trades; makers quote, traders
trade; the batch settles a second later; then keepers open auctions, and bid some seconds later.
What expires is printed and paid. At set times the operator tries to cheat. Nothing is decided
here that a contract does not decide again.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from novate.chain.node import local_key
from novate.config import Parameters
from novate.demo import actors, cheats, option_cheats
from novate.demo.actors import BTC, ETH, Actor
from novate.demo.fitting import Curves
from novate.demo.liquidations import BID_AFTER_S, Liquidations, Totals
from novate.demo.option_market import OptionMarket, expiries_for
from novate.demo.option_recorder import OptionRecorder
from novate.demo.recorder import Recorder, claims, custody_cash, solvency_gap, told, usd
from novate.demo.second import SecondEngine
from novate.demo.trading import Trading
from novate.demo.venue import Venue
from novate.engine import journal
from novate.errors import PriceFileEmpty, PriceRowTime, require
from novate.lab.prices import NodeFeed, PriceTable, Quote, node_feeds
from novate.lab.smiles import SmileTable
from novate.model import invariants, waterfall
from novate.model.account import account_of
from novate.services.keeper import Keeper
from novate.services.oracle_node import NodePrice
from novate.services.replica import Outcome
from novate.units import DAY_S
from novate.web.report import render
from novate.web.report_data import Result

STEP_S = 60
FEEDS = {"BTC": BTC, "ETH": ETH}
# what an asset that the price file does not hold stands at throughout (oracle units)
STANDING = {"BTC": Quote(10**15, 10**15, 0), "ETH": Quote(4 * 10**13, 4 * 10**13, 0)}
CHEAT_MINUTES = (120, 262, 380)
LOOK_FROM_MINUTE, LOOK_FALL = 60, 0.99  # a picture of the risk at the low, and on the way there
Progress = Callable[[int, int, str], None]


class Crash:
    """One run of the demo."""

    def __init__(
        self,
        folder: Path,
        parameters: Parameters,
        table: PriceTable,
        seed: int,
        minutes: int | None = None,
        event: str = "crash of 2025-10-10",
        smiles: SmileTable | None = None,
        evening: int | None = None,
    ) -> None:
        known = [asset for asset in FEEDS if asset in table.underlyings]
        require(bool(known), PriceFileEmpty, "it holds neither BTC nor ETH")
        self.event = event
        folder.mkdir(parents=True, exist_ok=True)
        journal.remove(folder / "journal.bin")
        for name in ("chain.json", "deployment.json"):
            (folder / name).unlink(missing_ok=True)
        self.folder, self.parameters, self.table = folder, parameters, table
        self.chance = random.Random(seed)
        start, end = table.span
        self.start = -(-start // STEP_S) * STEP_S
        self.steps = (end - self.start) // STEP_S
        if minutes is not None:
            self.steps = min(self.steps, minutes)
        require(self.start >= DAY_S, PriceRowTime, "the file begins before 2 January 1970")
        self.feeds: tuple[NodeFeed, ...] = node_feeds(table, seed=seed)
        self.venue = Venue(folder, parameters, self.start - 7200)
        self.people = actors.population(seed, self.start)
        self.by_account = {a.account: a for a in self.people}
        self.keepers = [
            Keeper(a.key, a.account, edge_ppm=15_000 + 5_000 * i)
            for i, a in enumerate(p for p in self.people if p.kind == "keeper")
        ]
        self.operator, self.accomplice = self._operators()
        self.totals = Totals()
        self._build_options(smiles or SmileTable(), seed, evening)
        self.recorder = Recorder(self.feeds, self.market)
        self.liquidations = Liquidations(self.venue, self.keepers, self.recorder, self.totals)
        self.savers = {a.account: 0 for a in self.people if a.kind == "saver"}
        self.withdrawals: dict[int, int] = {}
        self.trading = Trading(self.venue, self.people, self.chance, self.totals)
        self.looked_at = float("inf")
        self.loot: cheats.Loot | None = None
        self.insurance_start = 0

    def _build_options(self, smiles: SmileTable, seed: int, evening: int | None) -> None:
        assets, expiries = {number: a for a, number in FEEDS.items()}, expiries_for(self.start)
        if evening is not None:
            expiries = evening, *expiries[1:]
        self.market = OptionMarket(self.venue, Curves(smiles, expiries, seed, assets))
        self.options = OptionRecorder(smiles, assets, expiries)

    def _operators(self) -> tuple[Actor, Actor]:
        made = []
        for name in ("operator", "accomplice"):
            key = local_key(name)
            made.append(
                Actor(name, "operator", key, account_of(key.address.lower()), 50_000 * actors.USD)
            )
        return made[0], made[1]

    # Set-up

    def fund(self) -> None:
        """Tokens for everybody, and their deposits: real transactions by each owner."""
        venue = self.venue
        everyone = [*self.people, self.operator, self.accomplice]
        usdc, weth = venue.tokens["USDC"], venue.tokens["WETH"]
        custody = venue.deployment.addresses["custody"]
        governor = local_key("governor")
        for actor in everyone:
            usdc.send("mint", actor.address, actor.usdc, key=governor)
            usdc.send("approve", custody, 2**256 - 1, key=actor.key)
            if actor.weth:
                weth.send("mint", actor.address, actor.weth, key=governor)
                weth.send("approve", custody, 2**256 - 1, key=actor.key)
        venue.mine(venue.now + 12)
        for actor in everyone:
            account = actor.account.to_bytes(32, "big")
            venue.custody.send("deposit", usdc.address, account, actor.usdc, key=actor.key)
            if actor.weth:
                venue.custody.send("deposit", weth.address, account, actor.weth, key=actor.key)
        outcomes = venue.mine(venue.now + 12)
        assert all(o.succeeded for o in outcomes), "every deposit goes through"
        self.insurance_start = waterfall.layers(venue.replica.world)[1]
        for actor in self.people:
            if actor.kind == "saver":
                self.savers[actor.account] = actor.usdc * 10**12

    # One minute

    def quotes(self, ts: int) -> list[dict[str, Quote]]:
        """What each node's venue shows."""
        seen, held = [], self.table.underlyings
        for feed in self.feeds:
            row = {a: feed.price(a, ts) if a in held else STANDING[a] for a in FEEDS}
            seen.append({asset: q for asset, q in row.items() if q is not None})
        return seen

    def minute(self, step: int) -> None:
        """One step of the loop."""
        venue, ts = self.venue, self.start + step * STEP_S
        seen = self.quotes(ts)
        self._open(seen, ts)
        if step + 1 < self.steps:
            self.market.fitting.begin(self.quotes(ts + STEP_S), ts + STEP_S)
        if not self._priced():
            return  # ether is held and nobody can be valued: the venue opens with its first prices
        self.market.list_all()
        before = venue.sequencer.next_sequence
        venue.open_trading(venue.now + 1)
        self.trading.minute(step)
        outcomes = venue.settle(venue.now)
        settled = self._count(outcomes, venue.sequencer.next_sequence - before)
        self._look(step)
        self.liquidations.step(ts)
        if step in CHEAT_MINUTES:
            self._cheat(ts)
        self._savers(step, ts)
        self.liquidations.pay_fees(step)
        self.recorder.round(venue, seen, settled, 0)
        self.options.round(venue.replica.world, venue.now)

    def _priced(self) -> bool:
        """Whether every feed has had a price."""
        feeds = self.venue.replica.world.oracle.feeds
        return all(feeds[number].mark for number in FEEDS.values())

    def _open(self, seen: list[dict[str, Quote]], ts: int) -> None:
        """What a minute begins with, in one block: round, surfaces, arrays, what has expired."""
        prices = {
            i: {FEEDS[a]: NodePrice(q.index_price, q.mark_price) for a, q in row.items()}
            for i, row in enumerate(seen)
        }
        self.market.observe(seen, ts)
        self.market.watch(self.quotes, ts)
        if not self.venue.post_prices(prices, ts):
            self.totals.skipped_rounds += 1
        self.venue.send_round()
        self.market.post(ts)
        self.market.expire(ts)
        self.options.opened(self.venue.mine(ts))

    def _look(self, step: int) -> None:
        """A picture of the options' risk whenever the price has fallen to a new low, or at last."""
        mark, last = self.trading.marks[BTC][-1], step == self.steps - 1
        fell = step >= LOOK_FROM_MINUTE and mark < LOOK_FALL * self.looked_at
        if fell or (last and not self.options.moment):
            self.looked_at = mark
            self.options.look(self.venue.replica.world, self.people, self.venue.now)

    def _count(self, outcomes: list[Outcome], matched: int) -> int:
        settled = 0
        for outcome in outcomes:
            for event in outcome.events:
                if event.name == "BatchSettled" and (outcome.contract, outcome.function) == (
                    "exchange",
                    "settle",
                ):
                    settled += int(event.arguments["settled"]).bit_count()
        for record in self.venue.take_settlements():
            fills = [e for e in self.venue.replica.decode(record).events if e.name == "Fill"]
            self.totals.batches += 1
            for event in fills:
                self.options.fill(event, self.venue.replica.world)
            if fills:
                self.totals.gas.append(record.gas_used // len(fills))
                self.recorder.gas_per_fill.append(record.gas_used / len(fills))
        self.totals.matched += matched
        self.totals.settled += settled
        self.totals.busted += matched - settled
        return settled

    # Cheats and savers

    def _cheat(self, ts: int) -> None:
        venue = self.venue
        loot = venue.loot()
        if loot is None:
            return
        victim = next(a for a in self.people if a.kind == "saver")
        match, maker, taker = loot
        sequence = 2**40 + 100 * len(self.recorder.verdicts)
        stolen, pair = cheats.Loot(match, maker, taker), (self.operator, self.accomplice)
        tried = [
            *cheats.attempts(venue, *pair, victim, stolen, sequence),
            *option_cheats.attempts(venue, *pair, sequence),
        ]
        for attempt in tried:
            address = venue.deployment.addresses[attempt.contract]
            venue.client.forget_nonces()  # the settler sends with the operator's key, too
            transaction = venue.client.send(attempt.key, address, attempt.calldata)
            outcome = venue.mine(max(venue.now, ts + BID_AFTER_S + 5))[-1]
            why = venue.reason(transaction) if not outcome.succeeded else ""
            self.recorder.verdicts.append(cheats.judge(attempt, outcome, why))
        cheating = len(venue.take_settlements())
        self.recorder.cheat_settlements += cheating
        self.totals.batches += cheating

    def _savers(self, step: int, ts: int) -> None:
        """Some savers leave in the middle of the fall; nobody can keep them."""
        if step not in (250, 252):
            return
        usdc = self.venue.tokens["USDC"].address
        leaving = [a for a in self.people if a.kind == "saver"][:8]
        for actor in leaving:
            account = actor.account.to_bytes(32, "big")
            if step == 250:
                amount = min(actor.usdc // 2, 9_000 * actors.USD)
                self.withdrawals[actor.account] = amount * 10**12
                self.venue.custody.send("request_withdrawal", account, usdc, amount, key=actor.key)
            else:
                self.venue.custody.send("withdraw", account, usdc, key=actor.key)
        outcomes = self.venue.mine(ts + BID_AFTER_S + 10)
        assert all(o.succeeded for o in outcomes), "savers leave without asking the operator"

    # The end

    def run(self, progress: Progress) -> Result:
        """All minutes, then the books are balanced and everything is written down."""
        venue = self.venue
        second = SecondEngine(
            venue.journal.path, venue.deployment, venue.parameters, venue.genesis_time
        )
        self.market.fitting.start()
        try:
            return self._run(progress, second)
        finally:
            second.close()
            self.market.fitting.close()

    def _run(self, progress: Progress, second: SecondEngine) -> Result:
        began = time.monotonic()
        progress(0, self.steps, f"funding {len(self.people) + 2} accounts")
        self.fund()
        for step in range(self.steps):
            self.minute(step)
            progress(step + 1, self.steps, self._state(step))
        missing = "no minute of it gives the oracle nodes a quorum of prices for BTC and ETH"
        require(self._priced(), PriceFileEmpty, missing)
        progress(self.steps, self.steps, "balancing the books, replaying the journal")
        self._finish_auctions()
        self.liquidations.pay_last_fees()
        result = self._result(began, second)
        self._write(result)
        progress(
            self.steps, self.steps, f"{self.totals.skipped_rounds} minutes without an oracle quorum"
        )
        return result

    def _state(self, step: int) -> str:
        clock = time.strftime("%H:%M", time.gmtime(self.start + step * STEP_S))
        if not self._priced():
            return f"{clock} · no quorum of prices yet"
        marks = f"BTC {self.trading.marks[BTC][-1]:,.0f} · ETH {self.trading.marks[ETH][-1]:,.0f}"
        done = f"{self.totals.settled} fills · {len(self.totals.liquidated)} liquidated"
        return f"{clock} · {marks} · {done}"

    def _finish_auctions(self) -> None:
        for _ in range(20):
            if not any(self.venue.replica.world.liquidation.auctions.rows.values()):
                return
            ts = self.venue.now + STEP_S - (self.venue.now - self.start) % STEP_S
            step = (ts - self.start) // STEP_S - 1
            seen = self.quotes(self.start + min(step, self.steps - 1) * STEP_S)
            self._open(seen, ts)
            self.venue.open_trading(ts + 1)
            self.venue.settle(ts + 1)
            self.liquidations.step(ts)

    def saver_loss(self) -> int:
        """What users without positions lost: deposits minus withdrawals minus cash (wad)."""
        world = self.venue.replica.world
        loss = 0
        for account, deposited in self.savers.items():
            kept = world.ledger.accounts[account].cash + self.withdrawals.get(account, 0)
            loss += deposited - kept
        return loss

    def _result(self, began: float, second: SecondEngine) -> Result:
        venue, totals = self.venue, self.totals
        judged = {**invariants.check_all(venue.replica.world), **venue.auditor.verdicts()}
        judged["I01"] = judged["I01"] and claims(venue) == custody_cash(venue)
        judged["I10"] = judged["I10"] and self.saver_loss() == 0
        judged["I12"] = replay_matches(venue, second)
        found = dict(sorted(judged.items()))
        head = venue.journal.head
        return {
            "event": self.event,
            "accounts": len(self.people) + 2,
            "orders": totals.orders,
            "fills_matched": totals.matched,
            "fills_settled": totals.settled,
            "fills_busted": totals.busted,
            "batches": totals.batches,
            "liquidations": len(totals.liquidated),
            "auctions_insolvent": totals.insolvent,
            "bad_debt": usd(totals.bad_debt),
            "insurance_start": usd(self.insurance_start),
            "insurance_end": usd(waterfall.layers(venue.replica.world)[1]),
            "users_without_positions_loss": usd(self.saver_loss()),
            "custody": usd(custody_cash(venue)),
            "claims": usd(claims(venue)),
            "solvency_gap": usd(solvency_gap(venue)),
            "cheats_attempted": len(self.recorder.verdicts),
            "cheats_succeeded": sum(v.succeeded for v in self.recorder.verdicts),
            "gas_per_fill_median": int(median(totals.gas)) if totals.gas else 0,
            "options_listed": self.market.listed,
            "option_fills": self.options.fills,
            "option_premium": usd(self.options.premium),
            "option_fees": usd(self.options.fees),
            "surfaces_posted": self.options.surfaces_posted,
            "array_refreshes": self.options.refreshes,
            "expiries_settled": self.market.settled(),
            "accounts_paid": self.options.accounts_paid,
            "paid_at_expiry": usd(self.options.paid),
            "scan_shortfall_bp": self.options.shortfall(),
            "invariants": found,
            "journal_head": f"{head.sequence}:{head.hash.hex()}",
            "wall_s": round(time.monotonic() - began, 1),
        }

    def _write(self, result: Result) -> None:
        standing = [
            f"{a}: not in the file, held still" for a in FEEDS if a not in self.table.underlyings
        ]
        sources = [*self.table.sources, *standing, *self.market.curves.smiles.sources]
        data = self.recorder.data(told(self.parameters), sources)
        self.options.add_to(data)
        data["findings"] = [
            {"code": f.code, "name": f.name, "row": f.row, "text": f.text}
            for f in self.table.findings
        ]
        (self.folder / "result.json").write_text(json.dumps(result, indent=2) + "\n")
        (self.folder / "report.html").write_text(render(result, data))


def replay_matches(venue: Venue, second: SecondEngine) -> bool:
    """An engine that knows the journal alone ends in the same state (I12)."""
    head = venue.journal.durable.sequence
    assert venue.cursor == head + 1, "everything is pumped"
    return second.state_hash(head) == venue.sequencer.world.state_hash()
