"""An in-memory EVM (pyrevm) that deploys and calls the real contracts: the test bed of tests,
simulation and replay.

Every call is its own transaction as far as state goes: transient storage is reset before it. Gas
seen here is not transaction gas (slots stay warm); gas figures come from anvil.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pyrevm

from novate.chain.abi import Abi, Event, decode_revert
from novate.chain.compile import CONTRACTS, compile_contract
from novate.errors import Error, Rejected

CHAIN_ID = 31_337
GAS_LIMIT = 5 * 10**9


class CallReverted(Exception):
    """A call reverted without a registered rejection (a bug, or a checked-arithmetic guard)."""


class Chain:
    """One in-memory chain with a settable clock.

    ``folders`` names, by contract, another contracts folder to compile it from (mutation tests).
    """

    folders: ClassVar[dict[str, Path]] = {}

    def __init__(self, timestamp: int = 1_760_000_000) -> None:
        environment = pyrevm.Env(cfg=pyrevm.CfgEnv(chain_id=CHAIN_ID))
        self.evm = pyrevm.EVM(environment, spec_id="PRAGUE", gas_limit=GAS_LIMIT * 100)
        self.timestamp = timestamp
        self.number = 1
        self.contracts: dict[str, Contract] = {}
        self.gas_used = 0
        self._apply_block()

    def _apply_block(self) -> None:
        self.evm.set_block_env(
            pyrevm.BlockEnv(
                number=self.number, timestamp=self.timestamp, gas_limit=GAS_LIMIT * 100, basefee=0
            )
        )

    def advance(self, seconds: int, blocks: int = 1) -> None:
        """Move the clock and the block number forward."""
        self.timestamp += seconds
        self.number += blocks
        self._apply_block()

    def deploy(
        self, name: str, *arguments: Any, root: Path = CONTRACTS, sender: str | None = None
    ) -> Contract:
        """Deploy ``root/name.vy``."""
        artifact = compile_contract(name, root, self.folders.get(name, CONTRACTS))
        abi = Abi(artifact.abi)
        deployer = sender or actor("deployer")
        self.evm.reset_transient_storage()
        self.evm.set_balance(deployer, 10**24)
        code = artifact.bytecode + abi.encode_constructor(*arguments)
        address = self.evm.deploy(deployer, code, gas=GAS_LIMIT)
        made = Contract(self, address, abi, name)
        self.contracts[address.lower()] = made
        return made

    def send(self, sender: str, to: str, data: bytes, static: bool = False) -> bytes:
        """One transaction (or eth_call when ``static``); returns its output; raises ``Rejected`` or
        ``CallReverted``.
        """
        self.evm.reset_transient_storage()
        try:
            output: bytes = self.evm.message_call(
                sender, to, calldata=data, gas=GAS_LIMIT, is_static=static
            )
        except RuntimeError as error:
            raise self._translate(error) from None
        result = self.evm.result
        assert result is not None
        self.gas_used = result.gas_used
        return output

    def _translate(self, error: RuntimeError) -> Exception:
        text = str(error)
        marker = "output: 0x"
        if marker in text:
            payload = text.split(marker, 1)[1].split()[0].strip(",})")
            found: Error | None = decode_revert(bytes.fromhex(payload))
            if found is not None:
                return Rejected(found)
        return CallReverted(text)

    def events(self) -> list[Event]:
        """Decoded logs of the last transaction, of the contracts deployed here."""
        result = self.evm.result
        assert result is not None
        found = []
        for log in result.logs:
            contract = self.contracts.get(log.address.lower())
            if contract is None:
                continue
            topics = [bytes.fromhex(t[2:]) for t in log.topics]
            data = log.data[1] if isinstance(log.data, tuple) else log.data
            event = contract.abi.decode_event(log.address, topics, bytes(data))
            if event is not None:
                found.append(event)
        return found


class Contract:
    """A deployed contract; ``contract.name(args)`` sends as the deployer, ``sender=`` names another
    caller.
    """

    def __init__(self, chain: Chain, address: str, abi: Abi, name: str) -> None:
        self.chain = chain
        self.address = address
        self.abi = abi
        self.name = name

    def call(self, function: str, *arguments: Any, sender: str | None = None) -> Any:
        """Send a transaction calling ``function``."""
        data = self.abi.encode_call(function, *arguments)
        output = self.chain.send(sender or actor("deployer"), self.address, data)
        return self.abi.decode_result(function, len(arguments), output)

    def view(self, function: str, *arguments: Any, sender: str | None = None) -> Any:
        """Call and throw the effects away (eth_call)."""
        checkpoint = self.chain.evm.snapshot()
        try:
            return self.call(function, *arguments, sender=sender)
        finally:
            self.chain.evm.revert(checkpoint)


def actor(role: str) -> str:
    """A deterministic address for a test actor named by role (no key behind it)."""
    from eth_utils.crypto import keccak

    return "0x" + keccak(role.encode())[-20:].hex()
