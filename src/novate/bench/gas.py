"""Gas figures: measure every scenario on a fresh local chain; the targets, and what others need for
the same.

Targets and baselines are the design's (what good looks like), not parameters of a venue. Gas is
what the receipts of real transactions say, with cold storage.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from novate.bench.catalogue import SCENARIOS
from novate.bench.venue import Venue
from novate.chain.backend import ClientBackend
from novate.chain.compile import compile_contract
from novate.chain.deployment import CONTRACT_OF
from novate.chain.node import LocalNode
from novate.config import Parameters

TARGETS = {
    "trade_single": 200_000,
    "fill_batch_100": 35_000,
    "fill_market_maker": 16_000,
    "deposit_again": 60_000,
    "withdraw_16": 200_000,
    "oracle_16x5": 130_000,
    "liquidation_bid_16": 330_000,
    "array_refresh": 34_000,
    "expiry_refresh_32": 2_200_000,
    "margin_view_16": 130_000,
    "margin_view_64": 480_000,
    "check_128": 900_000,
    "trade_16": 350_000,
    "trade_64": 850_000,
    "expiry_position": 3_000,
    "liquidation_step_128": 16_700_000,
    "liquidation_step_128_stale": 16_700_000,
}
BASELINES = {
    "trade_single": ("Derive v2", 1_060_000),
    "fill_batch_100": ("Derive v2", 608_000),
    "oracle_16x5": ("Derive v2, 86 k a feed", 16 * 86_000),
    "liquidation_bid_16": ("Derive v2", 4_100_000),
}


class ContractSize(msgspec.Struct, frozen=True):
    """Runtime bytecode of one contract."""

    name: str
    bytes: int


class GasReport(msgspec.Struct, frozen=True):
    """Gas by scenario, and the contracts it was measured on."""

    figures: dict[str, int]
    contracts: tuple[ContractSize, ...]

    def document(self) -> dict[str, object]:
        """The report as one JSON object: figures at the top, then contracts, then what was
        measured."""
        return {
            **self.figures,
            "contracts": msgspec.to_builtins(self.contracts),
            "scenario": {scenario.key: scenario.text for scenario in SCENARIOS},
        }

    def save(self, path: Path) -> None:
        """Write the figures as the committed snapshot."""
        path.write_bytes(msgspec.json.format(msgspec.json.encode(self.figures), indent=2) + b"\n")


def measure(parameters: Parameters) -> GasReport:
    """Deploy on a chain of its own and measure everything. Errors: ``NodeFault`` without the local
    node."""
    with LocalNode() as node:
        venue = Venue(ClientBackend(node.client()), parameters)
        figures = {scenario.key: scenario.measure(venue) for scenario in SCENARIOS}
    sizes = [
        ContractSize(name, compile_contract(name).runtime_size_bytes)
        for name in CONTRACT_OF.values()
    ]
    return GasReport(figures, tuple(sizes))
