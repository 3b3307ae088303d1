"""Gas of refreshing the stored arrays of an expiry: the options' contracts beside the venue's
oracle and risk model, with a real surface signed by the quorum.

Source of what is measured: docs/SPEC.md §14. The contracts are the governor's own here, beside the
venue's, which take governance by its timelock only.
"""

from __future__ import annotations

from typing import Any

from novate.bench.venue import SIGNERS, Venue
from novate.chain.backend import Call, abi_of
from novate.model.arrays import STRIKES_MAX
from novate.model.option_listing import Grid
from novate.model.surface import ONE, RHO_ONE, YEAR_S, Slice, pack
from novate.units import DAY_S, ORACLE_UNIT, div_down, div_up
from novate.wire.surfaces import domain_separator, signed_surfaces

UNDERLYING = FEED = 0
DAYS = 30
HOUR_S = 3_600
WORDS_EACH = 2  # options of a strike
VOLATILITY_PERCENT = 60
MOVE_PPM = 2_000  # between the two refreshes: less than the epoch lasts, more than arrays do
WAIT_S = 2


class OptionVenue:
    """Options, Surfaces and ArrayBuilder at one venue, with 32 strikes of one expiry listed from
    70 % to 132 % of the price."""

    def __init__(self, venue: Venue) -> None:
        self.venue, self.round = venue, 0
        venue.start_again()
        governor, oracle = venue.governor.address, venue.addresses["oracle"]
        self.addresses = {"Surfaces": self._deploy("Surfaces", governor, oracle)}
        builder = self._deploy("ArrayBuilder")
        self.addresses["Options"] = self._deploy(
            "Options",
            governor,
            oracle,
            self.addresses["Surfaces"],
            venue.addresses["clearinghouse"],
            builder,
        )
        self.domain = domain_separator(venue.deployment.chain_id, self.addresses["Surfaces"])
        hours = div_down(venue.backend.now(), HOUR_S) + 24 * DAYS
        self.expiry = hours * HOUR_S
        self.step = div_down(venue.prices[FEED], 50 * ORACLE_UNIT)  # 2 % of the price
        self._list()

    def _deploy(self, name: str, *arguments: Any) -> str:
        return self.venue.backend.deploy(self.venue.governor.address, name, arguments)

    def send(self, contract: str, function: str, *arguments: Any) -> int:
        """One transaction of the governor; its gas."""
        data = abi_of(contract).encode_call(function, *arguments)
        call = Call(self.addresses[contract], data)
        return self.venue.backend.send(self.venue.governor.address, [call])[0].gas_used

    def view(self, function: str, *arguments: Any) -> Any:
        """What a function of Options returns now."""
        abi = abi_of("Options")
        call = Call(self.addresses["Options"], abi.encode_call(function, *arguments))
        return abi.decode_result(function, len(arguments), self.venue.backend.view(call))

    def _list(self) -> None:
        grid = Grid(self.step, 3 * DAYS * DAY_S, HOUR_S, 0, 16, FEED, True)
        self.send("Options", "set_grid", UNDERLYING, grid.pack())
        self.send("Surfaces", "register_underlying", UNDERLYING)
        self.see()
        self.send("Options", "list_expiry", UNDERLYING, self.expiry)
        for place in range(STRIKES_MAX):
            self.send("Options", "list_strike", UNDERLYING, 0, (35 + place) * self.step)

    def see(self, move_ppm: int = 0) -> None:
        """A round of prices and a surface of now, each signed by its quorum."""
        self.venue.post(move_ppm)
        now = self.venue.backend.now()
        variance = VOLATILITY_PERCENT**2 * (self.expiry - now) * ONE
        theta = div_down(variance, 10_000 * YEAR_S)
        word = pack(Slice(theta, theta, div_down(RHO_ONE, 4), self.expiry, now))
        keys = [(i, node.signer) for i, node in enumerate(self.venue.nodes[:SIGNERS])]
        self.round += 1
        made = signed_surfaces(self.domain, self.round, now, UNDERLYING, [word], keys)
        self.send("Surfaces", "post_surfaces", *made.arguments())


def expiry_refresh_32(venue: Venue) -> int:
    """The whole transaction that refreshes an expiry of 32 strikes whose words are in use."""
    options = OptionVenue(venue)
    options.send("Options", "refresh", UNDERLYING, 0)
    venue.backend.advance(WAIT_S)
    options.see(MOVE_PPM)
    last = int(options.view("listed", UNDERLYING, 0)[1][-1])
    assert last == (34 + STRIKES_MAX) * options.step
    first = 2**19
    assert not options.view("usable", first), "prices and surface have moved on"
    gas = options.send("Options", "refresh", UNDERLYING, 0)
    ids = [first | place << 6 | put for place in (0, STRIKES_MAX - 1) for put in (0, 1)]
    assert all(options.view("usable", id) for id in ids)
    return gas


def array_refresh(venue: Venue) -> int:
    """The same an option, rounded up."""
    return div_up(expiry_refresh_32(venue), STRIKES_MAX * WORDS_EACH)
