"""What a deployment needs of a chain, with its two implementations: the in-memory chain, and a
JSON-RPC client.

Addresses are lower-case hex everywhere; a sender is an address whose key the backend knows. Times
are seconds of the block.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from eth_account.signers.local import LocalAccount

from novate.chain.abi import Abi
from novate.chain.client import Client, Receipt
from novate.chain.compile import CONTRACTS, compile_contract
from novate.chain.harness import CHAIN_ID, Chain


@dataclass(frozen=True, slots=True)
class Call:
    """Calldata for one contract."""

    to: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Mined:
    """A transaction that succeeded: the time of its block, and the gas it used."""

    time: int
    gas_used: int


class Backend(Protocol):
    """A chain that runs transactions of known senders."""

    @property
    def chain_id(self) -> int:
        """EIP-155 id."""
        ...

    def know(self, key: LocalAccount) -> None:
        """From now on this key's address may send."""
        ...

    def now(self) -> int:
        """Time of the last block."""
        ...

    def number(self) -> int:
        """Number of the last block."""
        ...

    def deploy(
        self, sender: str, name: str, arguments: Sequence[Any], root: Path = CONTRACTS
    ) -> str:
        """Deploy ``root/name.vy`` and return its address."""
        ...

    def send(self, sender: str, calls: Sequence[Call]) -> list[Mined]:
        """One transaction a call, in order. Raises ``Rejected`` when one reverts."""
        ...

    def view(self, call: Call) -> bytes:
        """What a call would return now; changes nothing."""
        ...

    def advance(self, seconds: int) -> None:
        """Let time pass. A local chain moves its clock."""
        ...


class HarnessBackend:
    """The in-memory chain; any address may send."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain

    @property
    def chain_id(self) -> int:
        """The harness's id."""
        return CHAIN_ID

    def know(self, key: LocalAccount) -> None:
        """Nothing to do: transactions are not signed here."""

    def now(self) -> int:
        """The settable clock."""
        return self.chain.timestamp

    def number(self) -> int:
        """The current block."""
        return self.chain.number

    def deploy(
        self, sender: str, name: str, arguments: Sequence[Any], root: Path = CONTRACTS
    ) -> str:
        """Deploy a contract."""
        return self.chain.deploy(name, *arguments, root=root, sender=sender).address.lower()

    def send(self, sender: str, calls: Sequence[Call]) -> list[Mined]:
        """All in the current block. The gas is not that of a transaction: slots stay warm."""
        mined = []
        for call in calls:
            self.chain.send(sender, call.to, call.data)
            mined.append(Mined(self.chain.timestamp, self.chain.gas_used))
        return mined

    def view(self, call: Call) -> bytes:
        """Call and undo."""
        checkpoint = self.chain.evm.snapshot()
        try:
            return self.chain.send("0x" + "00" * 20, call.to, call.data)
        finally:
            self.chain.evm.revert(checkpoint)

    def advance(self, seconds: int) -> None:
        """Move the clock by one block."""
        self.chain.advance(seconds)


class ClientBackend:
    """A chain behind JSON-RPC, with the keys of its senders. A block mined by hand comes a second
    after the last one."""

    def __init__(self, client: Client, keys: Iterable[LocalAccount] = ()) -> None:
        self.client = client
        self.keys = {key.address.lower(): key for key in keys}

    @property
    def chain_id(self) -> int:
        """The node's answer."""
        return self.client.chain_id

    def know(self, key: LocalAccount) -> None:
        """Keep the key to sign with."""
        self.keys[key.address.lower()] = key

    def now(self) -> int:
        """Time of the last block."""
        return self.client.block().timestamp

    def number(self) -> int:
        """Number of the last block."""
        return self.client.block().number

    def deploy(
        self, sender: str, name: str, arguments: Sequence[Any], root: Path = CONTRACTS
    ) -> str:
        """Deploy a contract."""
        self._next_second()
        artifact = compile_contract(name, root)
        return self.client.deploy(artifact, *arguments, key=self.keys[sender]).address

    def send(self, sender: str, calls: Sequence[Call]) -> list[Mined]:
        """All in one block where blocks are mined by hand."""
        key = self.keys[sender]
        hashes = self.client.send_raw(
            *(self.client.sign(key, call.to, call.data) for call in calls)
        )
        self._next_second()
        receipts = self._confirmed(hashes)
        times = {
            number: self.client.block(number).timestamp for number in {r.block for r in receipts}
        }
        return [Mined(times[receipt.block], receipt.gas_used) for receipt in receipts]

    def _confirmed(self, hashes: Sequence[bytes]) -> list[Receipt]:
        first = self.client.confirm(hashes[0])
        if not self.client.mines:
            return [first, *(self.client.confirm(item) for item in hashes[1:])]
        found = self.client.receipts(hashes[1:])
        return [
            first,
            # a receipt that is missing or failed: confirm again, which says why
            *(
                r if r and r.succeeded else self.client.confirm(h)
                for r, h in zip(found, hashes[1:], strict=True)
            ),
        ]

    def view(self, call: Call) -> bytes:
        """An eth_call."""
        return self.client.call(call.to, call.data)

    def advance(self, seconds: int) -> None:
        """Mine an empty block that much later (local chains only)."""
        self.client.mine(self.now() + max(seconds, 1))

    def _next_second(self) -> None:
        if self.client.mines:
            self.client.set_next_timestamp(self.now() + 1)


def abi_of(name: str, root: Path = CONTRACTS) -> Abi:
    """Interface of ``root/name.vy``."""
    return Abi(compile_contract(name, root).abi)
