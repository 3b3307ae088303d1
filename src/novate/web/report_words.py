"""What the words of the report mean, for whoever has not met them: folded away, at the top."""

from __future__ import annotations

from html import escape

WORDS = {
    "Round": "One vector of prices that a quorum of the oracle nodes has signed.",
    "Index, mark": (
        "The index is what spot venues pay for the coin; the mark is what positions are valued at."
    ),
    "Fill, batch, bust": (
        "A fill is a matched pair of orders; a batch settles many in one transaction; a bust is a "
        "match that the chain refused."
    ),
    "Initial, maintenance margin": (
        "What an account must hold to take more risk, and below which it is liquidated."
    ),
    "Slice": (
        "The same fraction of everything that a liquidated account holds, sold at auction to one "
        "bidder."
    ),
    "Waterfall, layer": (
        "The order in which money pays for what a default leaves unpaid; each pot in it is a layer."
    ),
    "Surface": "The implied volatility of every strike and expiry, as the nodes have signed it.",
    "Expiry": "All options of one asset that end at one moment.",
    "Lane": (
        "One of sixteen scenarios, each a move of price and volatility. The chain stores what each "
        "option gains in each of them."
    ),
    "Scan": "The worst loss of a portfolio over the sixteen lanes: the core of its margin.",
    "Scan range": "The largest move of the price that the lanes count in full.",
    "Grid charge": (
        "What margin adds to the scan for prices between two lanes: 15 bp of option notional, for "
        "a bought option its value at most."
    ),
    "bp": "A basis point, a hundredth of a percent.",
}


def section() -> str:
    """The list of words, closed until it is asked for."""
    rows = "".join(f"<dt>{escape(w)}</dt><dd>{escape(text)}</dd>" for w, text in WORDS.items())
    return f"<details><summary>What the words mean</summary><dl>{rows}</dl></details>"
