"""Records of market-maker protection: its limits, and what reaching one does.

Owns: three records (part of ``records.AnyRecord``). Limits are in wad, intervals in seconds.
"""

from __future__ import annotations

from novate.wire.record_types import Account, Address, Base, Big, Unsigned


class ProtectionSet(Base, frozen=True):
    """Command: limits on what an account's protected orders in an underlying may fill within
    ``interval_s`` (0: protection off); over them they are pulled for ``frozen_s`` (0: until reset).

    ``quantity_limit`` bounds base units filled, ``delta_limit`` their net, ``vega_limit`` the net
    vega of options, in USD a point of volatility; all in wad (0: none).
    """

    account: Account
    underlying: Unsigned
    interval_s: Unsigned
    frozen_s: Unsigned
    quantity_limit: Big
    delta_limit: Big
    signer: Address
    received_ms: Unsigned
    vega_limit: Big = "0"


class ProtectionReset(Base, frozen=True):
    """Command: protection counts anew, and the account may quote again."""

    account: Account
    underlying: Unsigned
    signer: Address
    received_ms: Unsigned


class ProtectionTriggered(Base, frozen=True):
    """Event: a limit was reached; ``frozen_until`` in seconds (0: until reset)."""

    account: Account
    underlying: Unsigned
    frozen_until: Unsigned
