"""A volatility index, of the venue's own making: at the money, thirty days ahead.

Each surface that the oracle's quorum signed says the total variance of each expiry at the money;
between the two expiries around thirty days it is taken in proportion to the time, beyond the last
one (or before the first) its volatility is taken as it is. That is not Deribit's DVOL, which sums
over strikes. Made from the journal alone, where a round that reached the chain stands until its
block leaves it, so a restart comes to the same. Kept for thirty days. Volatilities in wad, rounded
down; times in seconds.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from itertools import pairwise
from math import isqrt

from novate.chain.backend import abi_of
from novate.model import surface
from novate.model.surface import VARIANCE_BITS, YEAR_S
from novate.services.calldata import Reader, Unreadable
from novate.units import DAY_S, WAD
from novate.wire.records import AnyRecord, ChainReorganised, ChainTransaction

TENOR_S = 30 * DAY_S
KEPT_S = 30 * DAY_S
CANDLES_MAX = 1_000
Candle = tuple[int, int, int, int, int]  # begins at; open, high, low, close


def volatility_of(words: Sequence[int]) -> int:
    """The volatility (wad) at the money, thirty days ahead, of a surface; nearest expiry first."""
    slices = [surface.unpack(word) for word in words]
    variance = slices[0].theta * TENOR_S // slices[0].tenor  # division: down, 2**-56
    if slices[-1].tenor <= TENOR_S:
        variance = slices[-1].theta * TENOR_S // slices[-1].tenor  # division: down
    for near, far in pairwise(slices):
        if near.tenor <= TENOR_S < far.tenor:
            grown = (far.theta - near.theta) * (TENOR_S - near.tenor)
            variance = near.theta + grown // (far.tenor - near.tenor)  # division: down
    yearly = (variance * YEAR_S * WAD * WAD) >> VARIANCE_BITS
    return isqrt(yearly // TENOR_S)  # division: down


class VolatilityIndex:
    """The index of each underlying, as the surfaces contract at an address took them."""

    def __init__(self, contract: bytes) -> None:
        self._contract = contract
        self._abi = abi_of("Surfaces")
        self._reader = Reader(self._abi)
        # by underlying: second, volatility, block; the first and the last ascend
        self._seen: defaultdict[int, deque[tuple[int, int, int]]] = defaultdict(deque)

    def follow(self, record: AnyRecord) -> None:
        """Take in one durable record."""
        if isinstance(record, ChainReorganised):
            for held in self._seen.values():
                while held and held[-1][2] >= record.first_block:
                    held.pop()
            return
        if not isinstance(record, ChainTransaction) or record.contract != self._contract:
            return
        try:
            name, arguments = self._reader.read(record.calldata)
        except Unreadable:
            return
        if name == "post_surfaces" and record.succeeded:
            _, timestamp, underlying, words, *_ = arguments
            if not self._took(record, underlying, timestamp):
                return
            held = self._seen[underlying]
            if words and (not held or held[-1][0] < timestamp):
                held.append((timestamp, volatility_of(words), record.block))
                while held[0][0] < timestamp - KEPT_S:
                    held.popleft()

    def _took(self, record: ChainTransaction, underlying: int, timestamp: int) -> bool:
        """Whether the contract says that it took a surface: of one whose round it knows it ignores
        all the rest, which may be anything, and the transaction succeeds.
        """
        for address, topics, data in record.events:
            if address == self._contract:
                event = self._abi.decode_event("0x" + address.hex(), topics, data)
                if event is not None and event.name == "SurfacesPosted":
                    said = event.arguments["underlying"], event.arguments["timestamp"]
                    if said == (underlying, timestamp):
                        return True
        return False

    def candles(self, underlying: int, since: int, until: int, step: int) -> list[Candle]:
        """The index in candles of ``step`` seconds that begin within a span, oldest first; at most
        the newest ``CANDLES_MAX``.
        """
        found: deque[Candle] = deque(maxlen=CANDLES_MAX)
        for at, value, _ in self._seen.get(underlying, ()):
            begins = at - at % step
            if not since <= begins <= until:
                continue
            if found and found[-1][0] == begins:
                _, first, high, low, _ = found.pop()
                found.append((begins, first, max(high, value), min(low, value), value))
            else:
                found.append((begins, value, value, value, value))
        return list(found)
