"""What the demo remembers for its report: one column entry a round, one row a liquidation, one
verdict a cheat.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from novate.config import Parameters
from novate.demo.cheats import Verdict
from novate.demo.option_market import OptionMarket
from novate.demo.option_recorder import name_of, open_notional
from novate.demo.venue import NODES, Venue
from novate.lab.prices import NodeFeed, Quote
from novate.model import ledger, margin, waterfall
from novate.model.account import gains
from novate.model.option_id import is_dated, place_of
from novate.model.state import World
from novate.services.replica import Outcome
from novate.units import WAD, ppm_up
from novate.web.report_data import Cheat, Column, Liquidation, NodeStats, ReportData, WaterfallEnd

ORACLE_PER_USD = 10**10
ASSETS = {"BTC": 1, "ETH": 2}
LAYERS = ("own first loss", "insurance", "second own tranche", "reserves")


def usd(wad: int) -> str:
    """Money as a decimal string, exact."""
    sign, size = ("-" if wad < 0 else ""), abs(wad)
    return f"{sign}{size // WAD}.{size % WAD:018d}".rstrip("0").rstrip(".") or "0"


@dataclass(slots=True)
class _Node:
    index: dict[str, Column] = field(default_factory=lambda: {a: [] for a in ASSETS})
    mark: dict[str, Column] = field(default_factory=lambda: {a: [] for a in ASSETS})
    deviations: list[float] = field(default_factory=list)
    signed: int = 0
    silent: int = 0


class Recorder:
    """Columns over the rounds of one run."""

    def __init__(self, feeds: tuple[NodeFeed, ...], market: OptionMarket) -> None:
        self.feeds, self.market = feeds, market
        self.cheat_settlements = 0
        self.ts: list[int] = []
        self.nodes = [_Node() for _ in range(NODES)]
        self.chain: dict[str, tuple[Column, Column]] = {a: ([], []) for a in ASSETS}
        self.open_interest: dict[str, Column] = {
            f"{a}{kind}": [] for kind in ("-PERPETUAL", " options") for a in ASSETS
        }
        self.headroom: tuple[Column, Column] = ([], [])
        self.layers: dict[str, Column] = {name: [] for name in LAYERS}
        self.left: WaterfallEnd | None = None
        self.gap: Column = []
        self.fills: Column = []
        self.busts: Column = []
        self.gas_per_fill: list[float] = []
        self.liquidations: list[Liquidation] = []
        self.verdicts: list[Verdict] = []
        self.clamps = 0

    def round(
        self, venue: Venue, quotes: list[dict[str, Quote]], settled: int, busted: int
    ) -> None:
        """One minute after its settlement."""
        self.ts.append(venue.now)
        self.fills.append(float(settled))
        self.busts.append(float(busted))
        world = venue.replica.world
        options = open_notional(world, self.market)
        for asset, feed_id in ASSETS.items():
            feed = world.oracle.feeds[feed_id]
            self.chain[asset][0].append(feed.index / ORACLE_PER_USD)
            self.chain[asset][1].append(feed.mark / ORACLE_PER_USD)
            market, terms = world.ledger.markets[feed_id], world.ledger.terms[feed_id]
            notional = market.open_interest * terms.mark_lot(feed.mark) / WAD
            self.open_interest[f"{asset}-PERPETUAL"].append(notional)
            self.open_interest[f"{asset} options"].append(options[f"{asset} options"])
            for node, seen in zip(self.nodes, quotes, strict=True):
                quote = seen.get(asset)
                node.index[asset].append(quote.index_price / ORACLE_PER_USD if quote else None)
                node.mark[asset].append(quote.mark_price / ORACLE_PER_USD if quote else None)
                if quote:
                    node.deviations.append(1e4 * abs(quote.index_price / feed.index - 1))
        for node, seen in zip(self.nodes, quotes, strict=True):
            node.signed += bool(seen)
            node.silent += len(seen) < len(ASSETS)
        self._headroom(venue)
        for name, cash in zip(LAYERS, waterfall.layers(world), strict=True):
            self.layers[name].append(cash / WAD)
        self.gap.append(float(solvency_gap(venue)) / WAD)

    def end(self, venue: Venue) -> None:
        """What stands in the layers once the last fees were paid in."""
        found = zip(LAYERS, waterfall.layers(venue.replica.world), strict=True)
        self.left = {"ts": venue.now, "left": {name: cash / WAD for name, cash in found}}

    def _headroom(self, venue: Venue) -> None:
        world, found = venue.replica.world, []
        for account, row in world.ledger.accounts.items():
            if row.positions and any(i != 3 for i, _ in row.positions):
                check = ledger.check(world, account)
                required = check.valuation.margin_maintenance
                if required:
                    found.append(100 * (check.equity / required - 1))
        self.headroom[0].append(median(found) if found else None)
        self.headroom[1].append(min(found) if found else None)

    def liquidation(
        self,
        venue: Venue,
        account: int,
        outcome: Outcome,
        before: ledger.Check,
        held: Sequence[tuple[int, int]],
    ) -> None:
        """One auction slice that was sold, of the positions ``held`` before; at mark."""
        sold = next(e for e in outcome.events if e.name == "SliceSold")
        share = sold.arguments["fraction_ppm"]
        world, notional, parts = venue.replica.world, 0, []
        for instrument, lots in held:
            moved = ppm_up(abs(lots), share)
            notional += moved * self._notional_lot(world, instrument)
            size = moved * world.ledger.terms_of(instrument).lot_size / WAD
            parts.append(f"{size if lots > 0 else -size:+.3f} {self._name(venue, instrument)}")
        paid = sold.arguments["reward"] + sold.arguments["fee"]
        self.liquidations.append(
            {
                "ts": venue.now,
                "account": f"0x{account >> 96:040x}/{account & (2**96 - 1)}",
                "bidder": "0x" + sold.arguments["bidder"].hex()[:40],
                "position": ", ".join(parts),
                "notional": f"{notional / WAD:.2f}",
                "recovery_pct": 100 * (1 - paid / notional),
                "equity_before": usd(before.equity),
                "maintenance_before": usd(before.valuation.margin_maintenance),
            }
        )

    def _notional_lot(self, world: World, id: int) -> int:
        """Wad of a lot at the mark, of an option at its forward."""
        if not is_dated(id):
            return margin.row(world, id).notional_lot
        feed = world.options.grids[place_of(id)[0]].feed
        return world.ledger.terms_of(id).mark_lot(world.oracle.feeds[feed].mark)

    def _name(self, venue: Venue, id: int) -> str:
        if is_dated(id):
            return name_of(venue.replica.world, id, self.market.assets)
        return next(item.name for item in venue.parameters.instruments if item.id == id)

    def data(self, parameters: dict[str, str], sources: list[str]) -> ReportData:
        """Everything as the report page takes it."""
        names = [feed.name for feed in self.feeds]
        data: ReportData = {
            "ts": self.ts,
            "prices": {
                asset: {
                    "index": {
                        n: node.index[asset] for n, node in zip(names, self.nodes, strict=True)
                    },
                    "mark": {
                        n: node.mark[asset] for n, node in zip(names, self.nodes, strict=True)
                    },
                    "chain_index": self.chain[asset][0],
                    "chain_mark": self.chain[asset][1],
                }
                for asset in ASSETS
            },
            "open_interest": self.open_interest,
            "headroom_median_pct": self.headroom[0],
            "headroom_worst_pct": self.headroom[1],
            "waterfall": self.layers,
            "solvency_gap": self.gap,
            "fills": self.fills,
            "busts": self.busts,
            "gas_per_fill": self.gas_per_fill,
            "liquidations": self.liquidations,
            "nodes": self._node_stats(),
            "cheats": self._cheats(),
            "cheat_settlements": self.cheat_settlements,
            "parameters": parameters,
            "sources": sources,
        }
        if self.left is not None:
            data["waterfall_end"] = self.left
        return data

    def _node_stats(self) -> list[NodeStats]:
        rows: list[NodeStats] = []
        for feed, node in zip(self.feeds, self.nodes, strict=True):
            rows.append(
                {
                    "name": feed.name,
                    "source": "; ".join(f"{a}: {feed.note[a]}" for a in feed.note),
                    "provenance": ", ".join(sorted(set(feed.provenance.values()))),
                    "rounds_signed": node.signed,
                    "rounds_total": len(self.ts),
                    "silent_minutes": float(node.silent),
                    "deviation_median_bp": median(node.deviations) if node.deviations else 0.0,
                    "deviation_max_bp": max(node.deviations, default=0.0),
                }
            )
        return rows

    def _cheats(self) -> list[Cheat]:
        tried = Counter(v.name for v in self.verdicts)
        worked = Counter(v.name for v in self.verdicts if v.succeeded)
        stopped = {v.name: v.stopped_by for v in self.verdicts}
        return [
            {
                "name": name,
                "who": "operator",
                "attempts": count,
                "succeeded": worked[name],
                "stopped_by": stopped[name],
            }
            for name, count in tried.items()
        ]


def claims(venue: Venue) -> int:
    """Everything the ledger owes in cash: cash, immature gains, open variation, fees not yet paid
    out (wad).
    """
    world = venue.replica.world
    total = world.ledger.pot.fees
    for _, row in world.ledger.accounts.items():
        total += row.cash + row.variation + gains(world, row)
    return total


def custody_cash(venue: Venue) -> int:
    """The cash token that the custody contract really holds, by the token's own books (wad)."""
    token = venue.deployment.tokens["USDC"]
    held: int = venue.tokens["USDC"].call("balanceOf", venue.deployment.addresses["custody"])
    assert token
    return held * 10**12


def solvency_gap(venue: Venue) -> int:
    """Claims minus custody (wad): above zero somebody cannot be paid."""
    return claims(venue) - custody_cash(venue)


def told(parameters: Parameters) -> dict[str, str]:
    """What a reader of the report should know of the parameters in force."""
    fees, ratio = parameters.fees, parameters.margin.initial_ratio_ppm
    return {
        **{
            f"scan range {asset.name}": f"{asset.scan_range_ppm / 1e4:g} % up and down"
            for asset in parameters.underlyings
        },
        "initial margin": f"{ratio / 1e6:g} times maintenance margin",
        "taker fee": f"{fees.taker_ppm / 1e4:g} % of notional",
        "maker fee": f"{fees.maker_ppm / 1e4:g} % of notional",
        "option fee, each side": f"{fees.option_ppm / 1e4:g} % of the underlying, at "
        f"most {fees.option_cap_bps / 100:g} % of the premium",
    }
