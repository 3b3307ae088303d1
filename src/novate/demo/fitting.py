"""What the oracle nodes see of the volatilities, and the surfaces fitted to it, in a process
of its own.

Owns: that a minute's quotes and fits are made while the minute before it trades. They follow from
prices, curves and the seed alone, so it changes nothing but when they are ready; without the
process they are made here.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from novate.errors import Rejected
from novate.lab.prices import Quote
from novate.lab.smiles import SmileTable
from novate.risk.quotes import Quotes
from novate.risk.surface import Fitted, fitted
from novate.units import ORACLE_UNIT, WAD

# what each node's venue shows, by asset
Seen = Sequence[Mapping[str, Quote]]


@dataclass(frozen=True, slots=True)
class Desk:
    """One node's quotes of each underlying, and the fits that there are to them."""

    quotes: dict[int, list[Quotes]]
    fits: dict[int, Fitted]


@dataclass(frozen=True, slots=True)
class Curves:
    """The volatilities of one run: table, expiries, seed, and the assets by underlying."""

    smiles: SmileTable
    expiries: tuple[int, ...]
    seed: int
    assets: dict[int, str]

    def desks(self, seen: Seen, ts: int) -> list[Desk]:
        """What each node sees at ``ts``; a silent one has no volatilities either."""
        return [self._desk(node, quotes, ts) for node, quotes in enumerate(seen)]

    def _desk(self, node: int, seen: Mapping[str, Quote], ts: int) -> Desk:
        quotes: dict[int, list[Quotes]] = {}
        fits = {}
        for underlying, asset in self.assets.items():
            if asset not in seen:
                continue
            mark = seen[asset].mark_price * ORACLE_UNIT / WAD
            quotes[underlying] = [
                self.smiles.quotes(asset, expiry, ts, mark, node, self.seed)
                for expiry in self.expiries
                if expiry > ts
            ]
            try:
                fits[underlying] = fitted(quotes[underlying])
            except Rejected:  # the node says so when it is asked
                continue
        return Desk(quotes, fits)


class Fitting:
    """The child and the pipe to it, once started; it ends at the latest with this process."""

    def __init__(self, curves: Curves) -> None:
        self._curves = curves
        self._asked: list[tuple[Seen, int]] = []
        self._context = multiprocessing.get_context("spawn")
        self._pipe, self._theirs = self._context.Pipe()
        self.process: BaseProcess | None = None

    def start(self) -> None:
        """Begin the child."""
        arguments = self._theirs, self._curves
        self.process = self._context.Process(target=_fit, args=arguments, daemon=True)
        self.process.start()
        self._theirs.close()

    def begin(self, seen: Seen, ts: int) -> None:
        """Have a time's desks made, for whoever asks next."""
        if self.process is not None:
            with suppress(OSError):
                self._pipe.send((seen, ts))
                self._asked.append((seen, ts))

    def desks(self, seen: Seen, ts: int) -> list[Desk]:
        """A time's desks, from the process if it was asked for just these."""
        made: list[Desk] | None = None
        with suppress(EOFError, OSError):
            for question in self._asked:
                answer = self._pipe.recv()
                made = answer if question == (seen, ts) else made
        self._asked.clear()
        return self._curves.desks(seen, ts) if made is None else made

    def close(self) -> None:
        """End the child."""
        if self.process is not None:
            self.process.terminate()
            self.process.join()
        self._pipe.close()


def _fit(pipe: Connection, curves: Curves) -> None:
    """Answer until the run ends. A key pressed to stop the run is the run's."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        try:
            pipe.send(curves.desks(*pipe.recv()))
        except (EOFError, OSError):
            return
