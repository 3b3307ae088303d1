"""Names of channels: what each is about.

Owns: their grammar; every part of a name is looked at, so that a channel which could never send
anything is refused.
"""

from __future__ import annotations

from dataclasses import dataclass

from novate.api.aggregate import INTERVALS
from novate.api.book_feed import DEPTHS, GROUPS
from novate.api.listings import Listings
from novate.api.names import FUTURE, OPTION, SPOT, Listed
from novate.errors import Rejected, UnknownChannel
from novate.store.trades import RESOLUTIONS_S

KINDS = (FUTURE, OPTION, SPOT, "any")
# What concerns the venue as a whole, and one account's share of it (``venue_feeds.py``,
# ``margin_feeds.py``).
VENUE_CHANNELS = (
    "auctions",
    "insurance",
    "margin.watch",
    "oracle.feeds",
    "risk_parameters",
    "settlement.batches",
    "trade_busts",
)
ACCOUNT_CHANNELS = ("user.margin", "user.settlement")


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel: its instrument, if it is about one, and what else its name says."""

    name: str
    kind: str
    item: Listed | None = None
    interval: str = ""
    group: str = ""
    depth: str = ""
    resolution: str = ""


def parse(listings: Listings, name: str, account: int) -> Channel:
    """What a channel is; ``account`` is 0 before a login. Errors: ``UnknownChannel``, those of
    names.
    """
    match name.split("."):
        case ["book" | "ticker" | "trades" | "perpetual" as kind, item, interval] if (
            interval in INTERVALS
        ):
            return Channel(name, kind, listings.named(item), interval)
        case ["quote", item]:
            return Channel(name, "quote", listings.named(item))
        case ["book", item, group, depth, interval] if (
            group in GROUPS and depth in DEPTHS and interval in INTERVALS
        ):
            return Channel(name, "grouped", listings.named(item), interval, group, depth)
        case ["chart", "trades", item, resolution] if resolution in RESOLUTIONS_S:
            return Channel(name, "chart", listings.named(item), resolution=resolution)
        case ["trades", kind, currency, interval] if (
            _scope(listings, kind, currency) and interval in INTERVALS
        ):
            return Channel(name, "trades", interval=interval)
        case ["instrument", "state", kind, currency] if _scope(listings, kind, currency):
            return Channel(name, "state")
        case ["user", "orders" | "trades" | "changes", *about, interval] if (
            account != 0 and interval in INTERVALS and _about(listings, about)
        ):
            return Channel(name, "user", interval=interval)
        case ["user", "portfolio", "any" | "usdc" | "USDC"] if account != 0:
            return Channel(name, "user")
        case ["user", "mmp_trigger", index] if account != 0 and (
            index == "any" or _index(listings, index)
        ):
            return Channel(name, "user")
        case ["block_rfq", "trades", currency] if currency in ("any", *listings.currencies()):
            return Channel(name, "block_rfq")
        case ["block_rfq", "maker" | "taker", currency] | [
            "block_rfq",
            "maker",
            "quotes",
            currency,
        ] if account != 0 and currency in ("any", *listings.currencies()):
            return Channel(name, "block_rfq")
        case ["markprice", "options", index] if _index(listings, index):
            return Channel(name, "markprice")
        case ["price_index" | "deribit_price_index", index] if _index(listings, index):
            return Channel(name, "index")
        case ["platform_state"]:
            return Channel(name, "platform_state")
        case _ if name in VENUE_CHANNELS or (name in ACCOUNT_CHANNELS and account != 0):
            return Channel(name, "numbered")
        case _:
            raise Rejected(UnknownChannel, name[:96])


def _scope(listings: Listings, kind: str, currency: str) -> bool:
    return kind in KINDS and currency in ("any", *listings.currencies())


def _index(listings: Listings, index: str) -> bool:
    return index in {f"{name.lower()}_usdc" for name in listings.currencies() if name != "USDC"}


def _about(listings: Listings, about: list[str]) -> bool:
    """Of an instrument, of everything, or of a kind in a currency. Errors: those of names."""
    match about:
        case ["any"]:
            return True
        case [item]:
            return listings.named(item) is not None
        case [kind, currency]:
            return _scope(listings, kind, currency)
        case _:
            return False
