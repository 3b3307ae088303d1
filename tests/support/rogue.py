"""A Clearinghouse whose every peer, its governor too, is one contract that calls back into it
(tests/contracts/RoguePeer.vy).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from novate.chain.harness import Chain
from novate.model.instrument import PERP, Terms
from novate.model.ledger import Config
from novate.model.novation import Trade
from novate.units import WAD
from support.core import trader, word

TEST_CONTRACTS = Path(__file__).parents[1] / "contracts"
NONE, REFUSED, THROUGH = 0, 1, 2
INSTRUMENT = 1
TERMS = Terms(10**15, 10**15, 2**40, 2**40, 0, 0, PERP)
ONE, OTHER = sorted([trader("one"), trader("other")])
NOBODY = "0x" + "00" * 20


class Rogue:
    """Two funded accounts, a perp, and a peer that may call all there is."""

    def __init__(self) -> None:
        self.chain = Chain()
        self.peer = self.chain.deploy("RoguePeer", root=TEST_CONTRACTS)
        self.office = self.chain.deploy("BackOffice", self.peer.address)
        self.clearinghouse = self.chain.deploy(
            "Clearinghouse", self.peer.address, Config().pack(), self.office.address
        )
        self.run("set_peers", *[self.peer.address] * 6)
        self.run("set_venue", self.peer.address, True)
        self.run("list_instrument", INSTRUMENT, TERMS.pack())
        self.run("set_debt_cap", WAD)
        for account in (ONE, OTHER):
            self.run("credit", word(account), 0, 10**6 * WAD)

    def payload(self, function: str, *arguments: Any) -> bytes:
        """Calldata for the Clearinghouse."""
        return self.clearinghouse.abi.encode_call(function, *arguments)

    def run(self, function: str, *arguments: Any) -> None:
        """The peer calls the Clearinghouse."""
        self.peer.call("run", self.clearinghouse.address, self.payload(function, *arguments))

    def during(self, outer: tuple[Any, ...], inner: tuple[Any, ...]) -> int:
        """What became of the call ``inner`` while the peer's call ``outer`` asked for a value."""
        self.peer.call("arm", self.clearinghouse.address, self.payload(*inner))
        self.run(*outer)
        outcome: int = self.peer.view("outcome")
        self.peer.call("arm", NOBODY, b"")
        return outcome


# every function of the Clearinghouse itself that asks the risk model for a value
VALUING: list[tuple[Any, ...]] = [
    ("sweep", [word(ONE)]),
    ("check", word(ONE)),
    ("debit", word(ONE), 0, 1),
    (
        "novate",
        [word(ONE), word(OTHER)],
        [INSTRUMENT],
        [list(Trade(0, 1, 0, True, 1, WAD).words())],
    ),
    ("transfer_slice", word(ONE), word(OTHER), 10**6, 0, 0),
]
