"""What a running venue is told: one TOML file, every field of it optional.

Owns: the fields of ``novate up`` and their bounds. Times in milliseconds or seconds, as the name
says.
"""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from novate.api.door import CONNECTIONS_MAX, CONNECTIONS_PER_ADDRESS_MAX
from novate.api.session import Limits
from novate.config.reader import Section, invalid, number, text
from novate.services import venue_keys
from novate.services.fees import FeePolicy
from novate.services.venue_keys import VenueKeys

COST_MAX = 20  # of the dearest method: with fewer credits nobody could call it
GWEI = 10**9
UNSET = "index.db in the folder"


@dataclass(frozen=True, slots=True)
class UpConfig:
    """How a venue runs."""

    host: str = text()
    port: int = number(0, 65_535)
    batch_ms: int = number(10, 60_000)
    block_ms: int = number(50, 60_000)
    confirmations: int = number(0, 64)
    snapshot_minutes: int = number(1, 1_440)
    traders: int = number(0, 100)
    trader_usdc: int = number(1, 10_000_000)
    database: str = text()
    connections: int = number(1, 100_000)
    connections_of_an_address: int = number(1, 100_000)
    request_credits: int = number(COST_MAX, 1_000_000)
    requests_per_second: int = number(1, 1_000_000)
    cancel_credits: int = number(COST_MAX, 1_000_000)
    cancels_per_second: int = number(1, 1_000_000)
    anonymous_credits: int = number(COST_MAX, 1_000_000)
    anonymous_per_second: int = number(1, 1_000_000)
    fee_max_gwei: int = number(0, 1_000_000)

    @property
    def limits(self) -> Limits:
        """Credits of an account, and of an address that has not logged in."""
        return Limits(
            (self.request_credits, self.requests_per_second),
            (self.cancel_credits, self.cancels_per_second),
            (self.anonymous_credits, self.anonymous_per_second),
        )

    @property
    def fees(self) -> FeePolicy:
        """What is paid for gas on a chain that is not ours."""
        most = self.fee_max_gwei * GWEI
        return FeePolicy(min(GWEI, most), most)


DEFAULTS = UpConfig(
    host="127.0.0.1",
    port=8080,
    batch_ms=250,
    block_ms=1_000,
    confirmations=0,
    snapshot_minutes=10,
    traders=4,
    trader_usdc=1_000_000,
    database="",
    connections=CONNECTIONS_MAX,
    connections_of_an_address=CONNECTIONS_PER_ADDRESS_MAX,
    request_credits=1_000,
    requests_per_second=500,
    cancel_credits=2_000,
    cancels_per_second=1_000,
    anonymous_credits=4_000,
    anonymous_per_second=2_000,
    fee_max_gwei=0,
)


def load(path: Path | None) -> UpConfig:
    """Read ``[venue]``; what it does not say is as in ``DEFAULTS``.

    Errors: ``InvalidParameter``, naming the field and what it may hold; ``OSError``.
    """
    if path is None:
        return DEFAULTS
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise invalid(path.name, f"is not TOML: {error}") from None
    top = Section("", document)
    top.read_names.add("keys")  # see load_keys
    table = top.section("venue")
    values = asdict(DEFAULTS) | {"database": UNSET} | table.values
    filled = Section("venue", values).fill(UpConfig)
    if filled.database == UNSET:
        filled = replace(filled, database="")
    top.finish()
    return filled


def load_keys(path: Path | None) -> VenueKeys | None:
    """Read the files that ``[keys]`` names: ``executor``, ``upkeep`` and the list ``nodes``; None
    without that table. Paths are relative to the file.

    Errors: ``InvalidParameter``, naming the field or the key's file; ``OSError``.
    """
    if path is None:
        return None
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    if "keys" not in document:
        return None
    table = Section("", document).section("keys")
    table.read_names |= {"executor", "upkeep", "nodes"}
    table.finish()
    files: dict[str, Path | tuple[Path, ...]] = {}
    for name in ("executor", "upkeep"):
        value = table.values.get(name)
        if not isinstance(value, str) or not value:
            raise invalid(table.path(name), "is to name a file")
        files[name] = path.parent / value
    nodes = table.values.get("nodes")
    if not isinstance(nodes, list) or not all(isinstance(n, str) and n for n in nodes):
        raise invalid(table.path("nodes"), "is to be a list of files, a node's each")
    files["nodes"] = tuple(path.parent / each for each in nodes)
    return venue_keys.load(files)
