"""At what price positions were entered: the average of the trades that opened them.

Owns: lots and cost of each account's positions, folded from matches and from what the contracts say
of auctions and expiries; fed from the first record again, it is the same. Only a view: margin and
settlement never read it. A reduction leaves the average as it is; beyond zero a position begins
anew. Where a part came at no price of a trade (an auction's slice, a trade that was taken back) the
cost is unknown until the position is closed. Lots are signed; cost is lots × price in wad, cut off
toward zero at each reduction.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from novate.model.option_id import is_dated, place_of
from novate.units import PPM, WAD, div_up, div_zero
from novate.wire.eip712 import keccak
from novate.wire.records import ChainTransaction, Matched

SLICE_SOLD = keccak(b"SliceSold(bytes32,bytes32,uint256,uint256,uint256,uint256)")
EXPIRY_SETTLED = keccak(b"ExpirySettled(uint256,uint256,bytes32,int256)")
# Slices that are remembered in case their block leaves the chain.
SLICES_KEPT = 1_024

Key = tuple[int, int]  # account, instrument


@dataclass(frozen=True, slots=True)
class Entry:
    """A position; ``cost`` has the sign of its lots, None if it is not known."""

    lots: int = 0
    cost: int | None = 0

    def changed(self, lots: int, price: int | None) -> Entry:
        """With so many lots more, at a price (wad a unit), or at one that is not known."""
        after = self.lots + lots
        if after == 0:
            return NONE
        if self.lots * after <= 0:  # from zero, or beyond it
            return Entry(after, None if price is None else after * price)
        if self.cost is None or (price is None and self.lots * lots > 0):
            return Entry(after, None)
        if self.lots * lots > 0:
            assert price is not None
            return Entry(after, self.cost + lots * price)
        return Entry(after, div_zero(self.cost * abs(after), abs(self.lots)))

    def average(self, lots: int) -> int | None:
        """The average price (wad, toward zero) of a position of so many lots, if it is this one."""
        if self.cost is None or not lots or self.lots != lots:
            return None
        return div_zero(abs(self.cost), abs(lots))

    def gain(self, lots: int, mark: int, lot_size: int) -> int | None:
        """What it has gained at a mark (wad, down), fees and funding apart, if it is this one."""
        if self.cost is None or self.lots != lots:
            return None
        return (lots * mark - self.cost) * lot_size // WAD  # division: reported, floored


NONE = Entry()


@dataclass(slots=True)
class Entries:
    """Every position that came by trades; the addresses are those of the venue's contracts."""

    auctioneer: bytes = b""
    clearinghouse: bytes = b""
    held: dict[Key, Entry] = field(default_factory=dict)
    _by_account: dict[int, set[int]] = field(default_factory=dict)
    _slices: deque[tuple[int, Key, Key, int]] = field(
        default_factory=lambda: deque(maxlen=SLICES_KEPT)
    )

    def of(self, account: int, instrument: int) -> Entry:
        """An account's position in an instrument."""
        return self.held.get((account, instrument), NONE)

    def matched(self, match: Matched, price: int) -> None:
        """A trade, from its match on."""
        for account, lots in _sides(match):
            self._change((account, match.instrument), lots, price)

    def busted(self, match: Matched) -> None:
        """A trade that was taken back."""
        for account, lots in _sides(match):
            self._change((account, match.instrument), -lots, None)
            self._forget_cost((account, match.instrument))

    def follow(self, record: ChainTransaction) -> None:
        """What a transaction moved besides trades."""
        for address, topics, data in record.events:
            if address == self.auctioneer and topics[0] == SLICE_SOLD:
                account, bidder = (int.from_bytes(word, "big") for word in topics[1:3])
                self._slice(record.block, account, bidder, int.from_bytes(data[:32], "big"))
            elif address == self.clearinghouse and topics[0] == EXPIRY_SETTLED:
                place = int.from_bytes(topics[1], "big"), int.from_bytes(topics[2], "big")
                self._expired(int.from_bytes(topics[3], "big"), place)

    def leave(self, first_block: int) -> None:
        """Blocks from ``first_block`` on have left the chain, and their slices with them."""
        while self._slices and self._slices[-1][0] >= first_block:
            _, seller, buyer, lots = self._slices.pop()
            for key, change in ((seller, lots), (buyer, -lots)):
                self._change(key, change, None)
                self._forget_cost(key)

    def _slice(self, block: int, account: int, bidder: int, fraction_ppm: int) -> None:
        """A part of every position, away from zero, as ``ledger.transfer_slice`` moves it."""
        for instrument in sorted(self._by_account.get(account, ())):
            seller, buyer = (account, instrument), (bidder, instrument)
            lots = self.held[seller].lots
            moved = div_up(abs(lots) * fraction_ppm, PPM) * (1 if lots > 0 else -1)
            self._change(seller, -moved, None)
            self._change(buyer, moved, None)
            self._slices.append((block, seller, buyer, moved))

    def _expired(self, account: int, place: tuple[int, int]) -> None:
        """The positions of one expiry are paid and gone; their numbers will be others'."""
        for instrument in sorted(self._by_account.get(account, ())):
            if is_dated(instrument) and place_of(instrument) == place:
                self._store((account, instrument), NONE)

    def _change(self, key: Key, lots: int, price: int | None) -> None:
        self._store(key, self.held.get(key, NONE).changed(lots, price))

    def _forget_cost(self, key: Key) -> None:
        if key in self.held:
            self.held[key] = Entry(self.held[key].lots, None)

    def _store(self, key: Key, entry: Entry) -> None:
        account, instrument = key
        if entry.lots:
            self.held[key] = entry
            self._by_account.setdefault(account, set()).add(instrument)
            return
        self.held.pop(key, None)
        mine = self._by_account.get(account)
        if mine is not None:
            mine.discard(instrument)
            if not mine:
                del self._by_account[account]


def _sides(match: Matched) -> tuple[tuple[int, int], tuple[int, int]]:
    """Both accounts with the lots that they bought."""
    bought = match.lots if match.taker_buys else -match.lots
    taker = int.from_bytes(match.taker_account, "big")
    return (taker, bought), (int.from_bytes(match.maker_account, "big"), -bought)
