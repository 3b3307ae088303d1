"""The demo's loop: six hours and more of 2025-10-10, a minute a step, and what comes out of it.

Each minute: the oracle nodes observe and sign a round; makers quote, traders trade; the batch
settles in a block at that time; then keepers open auctions, and bid some seconds later. At set
times the operator tries to cheat. Nothing is decided here that a contract does not decide again.
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
from novate.demo import actors, cheats
from novate.demo.actors import BTC, ETH, Actor
from novate.demo.liquidations import BID_AFTER_S, Liquidations, Totals
from novate.demo.recorder import Recorder, claims, custody_cash, solvency_gap, usd
from novate.demo.venue import Venue
from novate.engine import journal
from novate.errors import PriceFileEmpty, require
from novate.lab.prices import NodeFeed, PriceTable, Quote, node_feeds
from novate.model import invariants, ledger, waterfall
from novate.model.account import account_of
from novate.services.keeper import Keeper
from novate.services.oracle_node import NodePrice
from novate.services.replica import Outcome
from novate.web.report import render
from novate.web.report_data import Result
from novate.wire.order import SignedOrder

STEP_S = 60
FEEDS = {"BTC": BTC, "ETH": ETH}
# what an asset that the price file does not hold stands at throughout (oracle units)
STANDING = {"BTC": Quote(10**15, 10**15, 0), "ETH": Quote(4 * 10**13, 4 * 10**13, 0)}
CHEAT_MINUTES = (120, 262, 380)
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
        self.feeds: tuple[NodeFeed, ...] = node_feeds(table, seed=seed)
        self.venue = Venue(folder, parameters, self.start - 7200)
        self.people = actors.population(seed, self.start)
        self.by_account = {a.account: a for a in self.people}
        self.keepers = [
            Keeper(a.key, a.account, edge_ppm=15_000 + 5_000 * i)
            for i, a in enumerate(p for p in self.people if p.kind == "keeper")
        ]
        self.operator, self.accomplice = self._operators()
        self.recorder = Recorder(self.feeds)
        self.totals = Totals()
        self.liquidations = Liquidations(self.venue, self.keepers, self.recorder, self.totals)
        self.savers = {a.account: 0 for a in self.people if a.kind == "saver"}
        self.withdrawals: dict[int, int] = {}
        self.marks: dict[int, list[float]] = {BTC: [], ETH: []}
        self.loot: cheats.Loot | None = None
        self.insurance_start = 0

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
        prices = {
            i: {FEEDS[a]: NodePrice(q.index_price, q.mark_price) for a, q in row.items()}
            for i, row in enumerate(seen)
        }
        if not venue.post_prices(prices, ts):
            self.totals.skipped_rounds += 1
        before = venue.sequencer.next_sequence
        self._trade(step)
        outcomes = venue.settle(ts)
        settled = self._count(outcomes, venue.sequencer.next_sequence - before)
        self.liquidations.step(ts)
        if step in CHEAT_MINUTES:
            self._cheat(ts)
        self._savers(step, ts)
        self.recorder.round(venue, seen, settled, 0)

    def _desk(self) -> actors.Desk:
        world = self.venue.sequencer.world
        checks = {a.account: ledger.check(world, a.account) for a in self.people}
        desk = self.venue.desk(checks)
        for instrument in (BTC, ETH):
            self.marks[instrument].append(desk.marks[instrument])
        recent = self.marks[BTC][-4:]
        desk.speed = abs(recent[-1] / recent[0] - 1)
        return desk

    def _trade(self, step: int) -> None:
        desk, chance, venue = self._desk(), self.chance, self.venue
        live = [a for a in self.people if not desk.checks[a.account].in_auction]
        for actor in live:
            if actor.kind == "maker":
                venue.cancel_all(actor.account, actor.address)
                for signed in actors.quotes(actor, desk, chance):
                    self._place(signed)
        waiting = [
            a for a in live if a.kind in ("long", "short", "hedger") and a.enters_at <= venue.now
        ]
        calm = desk.speed < 0.004
        for actor in chance.sample(waiting, min(len(waiting), 26 if calm else 10)):
            opening = actors.enter(actor, desk, chance)
            if opening is not None and (calm or chance.random() < 0.3):
                self._place(opening)
        if not calm:
            # the cautious sell into the fall; most leveraged longs hold on
            cautious = [a for a in waiting if a.kind == "short" or a.appetite < 0.7]
            for actor in chance.sample(cautious, min(len(cautious), 4)):
                if desk.checks[actor.account].positions and actor.kind != "hedger":
                    actor.enters_at = venue.now + 60 * chance.randint(20, 90)
                    for signed in actors.reduce(actor, desk, 0.6):
                        self._place(signed)
        for actor in chance.sample(waiting, min(len(waiting), 14 if calm else 0)):
            for signed in actors.adjust(actor, desk, chance):
                self._place(signed)
        for actor in live:
            if actor.kind == "keeper" and desk.positions[actor.account]:
                for signed in actors.reduce(actor, desk, 0.34):
                    self._place(signed)

    def _place(self, signed: SignedOrder) -> None:
        self.totals.orders += 1
        self.venue.place(signed)

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
            done = sum(e.name == "Fill" for e in self.venue.replica.decode(record).events)
            self.totals.batches += 1
            if done:
                self.totals.gas.append(record.gas_used // done)
                self.recorder.gas_per_fill.append(record.gas_used / done)
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
        tried = list(
            cheats.attempts(
                venue,
                self.operator,
                self.accomplice,
                victim,
                cheats.Loot(match, maker, taker),
                sequence,
            )
        )
        for attempt in tried:
            address = venue.deployment.addresses[attempt.contract]
            transaction = venue.client.send(attempt.key, address, attempt.calldata)
            outcome = venue.mine(max(venue.now, ts + BID_AFTER_S + 5))[-1]
            why = venue.reason(transaction) if not outcome.succeeded else ""
            self.recorder.verdicts.append(cheats.judge(attempt, outcome, why))

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
        began = time.monotonic()
        progress(0, self.steps, "funding 318 accounts")
        self.fund()
        for step in range(self.steps):
            self.minute(step)
            clock = time.strftime("%H:%M", time.gmtime(self.start + step * STEP_S))
            marks = f"BTC {self.marks[BTC][-1]:,.0f} · ETH {self.marks[ETH][-1]:,.0f}"
            done = f"{self.totals.settled} fills · {len(self.totals.liquidated)} liquidated"
            text = f"{clock} · {marks} · {done}"
            progress(step + 1, self.steps, text)
        self._finish_auctions()
        self.venue.clearinghouse.send("distribute_fees", key=self.keepers[0].key)
        self.venue.mine(self.venue.now + 10)
        result = self._result(time.monotonic() - began)
        self._write(result)
        progress(
            self.steps, self.steps, f"{self.totals.skipped_rounds} minutes without an oracle quorum"
        )
        return result

    def _finish_auctions(self) -> None:
        for _ in range(20):
            if not any(self.venue.replica.world.liquidation.auctions.rows.values()):
                return
            ts = self.venue.now + STEP_S - (self.venue.now - self.start) % STEP_S
            step = (ts - self.start) // STEP_S - 1
            seen = self.quotes(self.start + min(step, self.steps - 1) * STEP_S)
            prices = {
                i: {FEEDS[a]: NodePrice(q.index_price, q.mark_price) for a, q in row.items()}
                for i, row in enumerate(seen)
            }
            self.venue.post_prices(prices, ts)
            self.venue.settle(ts)
            self.liquidations.step(ts)

    def saver_loss(self) -> int:
        """What users without positions lost: deposits minus withdrawals minus cash (wad)."""
        world = self.venue.replica.world
        loss = 0
        for account, deposited in self.savers.items():
            kept = world.ledger.accounts[account].cash + self.withdrawals.get(account, 0)
            loss += deposited - kept
        return loss

    def _result(self, wall: float) -> Result:
        venue, totals = self.venue, self.totals
        judged = {**invariants.check_all(venue.replica.world), **venue.auditor.verdicts()}
        judged["I01"] = judged["I01"] and claims(venue) == custody_cash(venue)
        judged["I10"] = judged["I10"] and self.saver_loss() == 0
        judged["I12"] = replay_matches(venue)
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
            "invariants": found,
            "journal_head": f"{head.sequence}:{head.hash.hex()}",
            "wall_s": round(wall, 1),
        }

    def _write(self, result: Result) -> None:
        parameters = {
            "scan range BTC / ETH": "15 % / 18 %",
            "initial over maintenance margin": f"{self.parameters.margin.initial_ratio_ppm / 1e6}",
            "taker fee": f"{self.parameters.fees.taker_ppm} ppm of notional",
            "maker fee": f"{self.parameters.fees.maker_ppm} ppm of notional",
        }
        standing = [
            f"{a}: not in the file, held still" for a in FEEDS if a not in self.table.underlyings
        ]
        data = self.recorder.data(parameters, [*self.table.sources, *standing])
        data["findings"] = [
            {"code": f.code, "name": f.name, "row": f.row, "text": f.text}
            for f in self.table.findings
        ]
        (self.folder / "result.json").write_text(json.dumps(result, indent=2) + "\n")
        (self.folder / "report.html").write_text(render(result, data))


def replay_matches(venue: Venue) -> bool:
    """A second sequencer fed the journal from its first record ends in the same state (I12)."""
    return venue.rebuilt_sequencer().world.state_hash() == venue.sequencer.world.state_hash()
