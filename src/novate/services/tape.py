"""The tape: what a trade is called among those of its instrument.

Owns: its number, from 1, and its tick direction as Deribit counts it. The read side and the API's
own fold count with the same function, so a trade is the same from both, also after a restart. The
option that takes over another's place on the grid goes on from there.
"""

from __future__ import annotations

# Of an instrument's newest trade: number, price (wad), tick direction.
Tape = tuple[int, int, int]


def ticked(before: Tape | None, price: int) -> Tape:
    """The trade behind ``before``; directions: 0 up, 1 level after up, 2 down, 3 level after
    down. The first trade of all is level after up.
    """
    count, last, direction = before or (0, price, 0)
    if price == last:
        return count + 1, price, direction | 1
    return count + 1, price, 0 if price > last else 2
