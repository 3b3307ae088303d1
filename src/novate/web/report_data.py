"""What the report page is made from: two plain dictionaries that survive JSON.

``Result`` is the summary of one replay: money as decimal strings in USD, counts as integers.
``ReportData`` is what changed over time. Its ``ts`` (Unix seconds, ascending, one entry a round) is
the common time axis: every ``Column`` has exactly ``len(ts)`` entries, floats, or None where there
is nothing to show (a silent node, no account with positions). Counts in columns belong to the
interval that begins at their time. Any key of ``ReportData`` may be absent: its chart or table then
says so.

- ``ts``: list[int].
- ``prices``: asset -> ``AssetPrices``, USD a unit: each node's index and mark, and what the chain
  stored after median and move bound (``chain_index``, ``chain_mark``; may be empty lists).
- ``open_interest``: instrument -> Column, USD at mark.
- ``headroom_median_pct``, ``headroom_worst_pct``: Column, (equity / maintenance margin - 1) in
  percent, of the median and the worst account with positions.
- ``waterfall``: layer -> Column, USD left, in the order the layers pay.
- ``waterfall_end``: the same once the last fees were paid in, after the last round.
- ``solvency_gap``: Column, USD, claims - custody; above zero somebody cannot be paid.
- ``fills``, ``busts``: Column, fills settled, and fills matched but refused on chain.
- ``gas_per_fill``: list[float], one entry a batch, gas of the batch / its fills.
- ``liquidations``: list of ``Liquidation``, one a slice.
- ``nodes``: list of ``NodeStats``; ``cheats``: list of ``Cheat``, one a kind of attempt.
- ``parameters``: name -> value, both text; ``sources``: where the prices come from, texts.
- ``findings``: list of ``FindingRow``, the defects of the price file.
- ``cheat_settlements``: int, how many of ``batches`` were attempts to cheat.
- ``surfaces``: asset -> curve -> Column, implied volatility on chain in percent a year.
- ``surface_check``: how far the surface on chain stood from measured series, a sentence.
- ``option_moment``: ts, when ``ladder``, ``heat_map`` and ``grid`` were taken.
- ``ladder``: list of ``LadderRow``, by asset, expiry and strike; ``heat_map``: ``HeatMap``.
- ``grid``: list of ``GridRow``, one an account and underlying with options.
"""

from __future__ import annotations

from typing import TypedDict

Column = list[float | None]

INVARIANTS = {
    "I01": "Custody holds exactly what the ledger owes: cash, open variation, pool reserves.",
    "I02": "For every derivative, long and short lots cancel; spot lots equal tokens held.",
    "I03": "No account that increased its risk was left below its initial margin.",
    "I04": "No order was filled beyond the lots its owner signed.",
    "I05": "No fill was worse than the signed limit price or fee.",
    "I06": "Funding paid and received cancel, but for rounding in the pool's favour.",
    "I07": "Margin in integers is never below exact margin.",
    "I08": "Netting positions never costs margin.",
    "I09": "No liquidation step worsened the health of a solvent account.",
    "I10": "No loss reached a user without positions.",
    "I11": "Loss layers paid in their order, and money came in before it went out.",
    "I12": "The same journal gives the same state on every machine.",
    "I13": "A rejected command changed nothing.",
    "I14": "No pause stopped a reduction, a liquidation or a place in the withdrawal queue.",
    "I15": "Every account due for liquidation fits into one block's gas.",
}


class Result(TypedDict):
    """Summary of one replay; money as decimal strings in USD."""

    event: str
    accounts: int
    orders: int
    fills_matched: int
    fills_settled: int
    fills_busted: int
    batches: int
    liquidations: int
    auctions_insolvent: int
    bad_debt: str
    insurance_start: str
    insurance_end: str
    users_without_positions_loss: str
    custody: str
    claims: str
    solvency_gap: str
    cheats_attempted: int
    cheats_succeeded: int
    gas_per_fill_median: int
    options_listed: int
    option_fills: int
    option_premium: str
    option_fees: str
    surfaces_posted: int
    array_refreshes: int
    expiries_settled: int
    accounts_paid: int
    paid_at_expiry: str
    scan_shortfall_bp: float
    invariants: dict[str, bool]
    journal_head: str
    wall_s: float


class AssetPrices(TypedDict):
    """Prices of one asset: node name -> column for index and mark, and what the chain stored."""

    index: dict[str, Column]
    mark: dict[str, Column]
    chain_index: Column
    chain_mark: Column


class Liquidation(TypedDict):
    """One auction slice; ``recovery_pct`` is what the account kept of the slice's value at mark, in
    percent.
    """

    ts: int
    account: str
    bidder: str
    position: str
    notional: str
    recovery_pct: float
    equity_before: str
    maintenance_before: str


class NodeStats(TypedDict):
    """What one oracle node did; deviations of its index from the chain's, in basis points."""

    name: str
    source: str
    provenance: str
    rounds_signed: int
    rounds_total: int
    silent_minutes: float
    deviation_median_bp: float
    deviation_max_bp: float


class Cheat(TypedDict):
    """One kind of cheating tried during the replay; ``stopped_by`` names the rejection or rule that
    stopped it.
    """

    name: str
    who: str
    attempts: int
    succeeded: int
    stopped_by: str


class FindingRow(TypedDict):
    """One defect of the price file."""

    code: int
    name: str
    row: int
    text: str


class Greeks(TypedDict):
    """Sums in USD: ``delta`` at the forward, ``gamma`` of delta for 1 % of the forward, ``vega``
    for a volatility point, ``theta`` a day.
    """

    delta: float
    gamma: float
    vega: float
    theta: float


class LadderRow(TypedDict):
    """Call and put of one strike: open interest in units of the asset, what their longs hold in all
    (``gross``; the shorts hold the opposite) and the market makers' share of it (``makers``).
    """

    asset: str
    expiry: int
    strike: float
    calls: float
    puts: float
    gross: Greeks
    makers: Greeks


class HeatMap(TypedDict):
    """Change of one account's equity, USD, by move of all spot prices (columns, percent) and of all
    volatilities (rows, percent of themselves).
    """

    account: str
    holds: str
    equity: str
    maintenance: str
    spots: list[float]
    vols: list[float]
    change: list[list[float]]


class WaterfallEnd(TypedDict):
    """USD left in each layer at a time after the last round."""

    ts: int
    left: dict[str, float]


class GridRow(TypedDict):
    """One account's options and linear positions of one underlying, USD: the worst of the sixteen
    lanes (with the extremes' weights), the worst of the exact 121 x 9 grid, and gross notional of
    its options; ``hours`` until the first of them expires.
    """

    account: str
    kind: str
    asset: str
    options: int
    notional: float
    scan: float
    exact: float
    charged: float
    hours: float


class ReportData(TypedDict, total=False):
    """Everything over time; see the list above."""

    ts: list[int]
    prices: dict[str, AssetPrices]
    open_interest: dict[str, Column]
    headroom_median_pct: Column
    headroom_worst_pct: Column
    waterfall: dict[str, Column]
    waterfall_end: WaterfallEnd
    solvency_gap: Column
    fills: Column
    busts: Column
    gas_per_fill: list[float]
    liquidations: list[Liquidation]
    nodes: list[NodeStats]
    cheats: list[Cheat]
    parameters: dict[str, str]
    findings: list[FindingRow]
    sources: list[str]
    cheat_settlements: int
    surfaces: dict[str, dict[str, Column]]
    surface_check: str
    option_moment: int
    ladder: list[LadderRow]
    heat_map: HeatMap
    grid: list[GridRow]
