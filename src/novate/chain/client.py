"""A thin typed client of an EVM chain over one connection (``connection.py``).

Owns: sending signed transactions (local keys, nonces, explicit gas), calls, receipts, logs, and
what only a local chain can do (mining by hand, the clock). A revert that carries a registered
rejection raises ``Rejected``, any other ``CallReverted``; whatever else goes wrong is an
``RpcFault``. Addresses are lower-case 0x strings, hashes 32 raw bytes, amounts wei, time seconds.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from eth_account.signers.local import LocalAccount
from web3 import HTTPProvider
from web3.providers.base import JSONBaseProvider

from novate.chain.abi import Abi, Event
from novate.chain.compile import Artifact
from novate.chain.connection import CallReverted, Connection, RpcFault, reverted
from novate.chain.ipc import SocketProvider
from novate.chain.rows import (
    Block,
    Fees,
    Log,
    Receipt,
    hexed,
    integer,
    log_of,
    raw_bytes,
    receipt_of,
)

__all__ = [
    "Block",
    "CallReverted",
    "Client",
    "Fees",
    "Log",
    "Receipt",
    "RemoteContract",
    "RpcFault",
    "hexed",
    "integer",
    "raw_bytes",
]

TRANSACTION_GAS = 16_000_000
REQUEST_SECONDS_MAX = 120
RECEIPT_SECONDS_MAX = 120
POLL_SECONDS = 0.25
NOBODY = "0x" + "00" * 20


class Client(Connection):
    """One connection to one chain; ``mines`` on a local chain whose blocks are mined by hand."""

    def __init__(
        self, provider: JSONBaseProvider, mines: bool = False, fees: Fees | None = None
    ) -> None:
        super().__init__(provider)
        self._nonces: dict[str, int] = {}
        self.mines = mines
        self.fees = fees or Fees()
        self.contracts: dict[str, RemoteContract] = {}
        self.chain_id = integer(self.request("eth_chainId"))

    @classmethod
    def over_ipc(
        cls,
        path: Path,
        mines: bool = False,
        fees: Fees | None = None,
        seconds: int = REQUEST_SECONDS_MAX,
    ) -> Client:
        """Connect to a node's socket; a request that takes longer than ``seconds`` is a fault."""
        return cls(SocketProvider(path, seconds), mines, fees)

    @classmethod
    def over_http(
        cls,
        url: str,
        mines: bool = False,
        fees: Fees | None = None,
        seconds: int = REQUEST_SECONDS_MAX,
    ) -> Client:
        """Connect to a node's HTTP endpoint; a request is never repeated by itself."""
        options = {"timeout": seconds}
        return cls(HTTPProvider(url, options, exception_retry_configuration=None), mines, fees)

    # Blocks

    def block(self, number: int | str = "latest") -> Block:
        """A block's header by number or tag. Errors: ``RpcFault`` if there is none."""
        tag = hex(number) if isinstance(number, int) else number
        found = self.request("eth_getBlockByNumber", tag, False)
        if found is None:
            raise RpcFault(f"no block {number}")
        return Block(
            number=integer(found["number"]),
            hash=raw_bytes(found["hash"]),
            timestamp=integer(found["timestamp"]),
            gas_used=integer(found["gasUsed"]),
            gas_limit=integer(found["gasLimit"]),
            base_fee=integer(found.get("baseFeePerGas") or "0x0"),
        )

    def balance(self, address: str) -> int:
        """An address's wei."""
        return integer(self.request("eth_getBalance", address, "latest"))

    def call(
        self, to: str, data: bytes, sender: str = NOBODY, block: int | str = "latest"
    ) -> bytes:
        """Output of a call whose effects are thrown away. Errors: as the contract rejects."""
        tag = hex(block) if isinstance(block, int) else block
        message = {"from": sender, "to": to, "data": hexed(data)}
        return raw_bytes(self.request("eth_call", message, tag))

    # Transactions

    def sign(
        self,
        key: LocalAccount,
        to: str | None,
        data: bytes,
        gas: int = TRANSACTION_GAS,
        value: int = 0,
    ) -> bytes:
        """A raw transaction with the sender's next nonce, which is then taken."""
        sender = key.address.lower()
        if sender not in self._nonces:
            count = self.request("eth_getTransactionCount", sender, "pending")
            self._nonces[sender] = integer(count)
        nonce = self._nonces[sender]
        raw = self.sign_at(nonce, self.fees, key, to, data, gas, value)
        self._nonces[sender] += 1
        return raw

    def sign_at(
        self,
        nonce: int,
        fees: Fees,
        key: LocalAccount,
        to: str | None,
        data: bytes,
        gas: int,
        value: int = 0,
    ) -> bytes:
        """A raw transaction; the same arguments always make the same bytes."""
        fields: dict[str, Any] = {
            "type": 2,
            "chainId": self.chain_id,
            "nonce": nonce,
            "gas": gas,
            "value": value,
            "data": data,
            "maxFeePerGas": fees.maximum,
            "maxPriorityFeePerGas": fees.priority,
        }
        if to is not None:
            fields["to"] = bytes.fromhex(to[2:])
        return bytes(key.sign_transaction(fields).raw_transaction)

    def send_raw(self, *raw: bytes) -> list[bytes]:
        """Hand signed transactions over; their hashes. After a refusal nonces are asked anew."""
        try:
            if len(raw) == 1:
                return [raw_bytes(self.request("eth_sendRawTransaction", hexed(raw[0])))]
            rows = [(hexed(item),) for item in raw]
            return [raw_bytes(found) for found in self.request_many("eth_sendRawTransaction", rows)]
        except Exception:
            self.forget_nonces()
            raise

    def forget_nonces(self) -> None:
        """Ask the node again: somebody else has sent with a key of ours."""
        self._nonces.clear()

    def send(
        self,
        key: LocalAccount,
        to: str | None,
        data: bytes,
        gas: int = TRANSACTION_GAS,
        value: int = 0,
    ) -> bytes:
        """Sign and hand over one transaction; its hash."""
        return self.send_raw(self.sign(key, to, data, gas, value))[0]

    def receipt(self, transaction: bytes) -> Receipt | None:
        """A transaction's receipt, or None while it is not in a block."""
        found = self.request("eth_getTransactionReceipt", hexed(transaction))
        return None if found is None else receipt_of(found)

    def receipts(self, transactions: Sequence[bytes]) -> list[Receipt | None]:
        """Many receipts, in order, in as few messages as allowed."""
        rows = [(hexed(item),) for item in transactions]
        found = self.request_many("eth_getTransactionReceipt", rows)
        return [None if item is None else receipt_of(item) for item in found]

    def confirm(self, transaction: bytes) -> Receipt:
        """Wait for (or mine) a transaction and raise what it reverted with, if it did.

        Errors: ``Rejected``, ``CallReverted``; ``RpcFault`` when it is not mined in time.
        """
        if self.mines:
            self.mine()
        deadline = time.monotonic() + RECEIPT_SECONDS_MAX
        while (found := self.receipt(transaction)) is None:
            if self.mines or time.monotonic() > deadline:
                raise RpcFault(f"transaction {transaction.hex()} is not in a block")
            time.sleep(POLL_SECONDS)
        if not found.succeeded:
            raise self.why(found)
        return found

    def why(self, failed: Receipt) -> Exception:
        """The rejection behind a failed transaction (its receipt does not carry it)."""
        options = {"tracer": "callTracer", "tracerConfig": {"onlyTopCall": True}}
        trace = self.request("debug_traceTransaction", hexed(failed.transaction), options)
        return reverted(trace.get("output") or "0x", str(trace.get("error", "")))

    # Contracts and logs

    def attach(self, address: str, abi: Abi, name: str) -> RemoteContract:
        """A contract that is already there; its logs are decoded from now on."""
        made = RemoteContract(self, address.lower(), abi, name)
        self.contracts[made.address] = made
        return made

    def deploy(
        self, artifact: Artifact, *arguments: Any, key: LocalAccount, gas: int = TRANSACTION_GAS
    ) -> RemoteContract:
        """Deploy and wait. Errors: as the constructor rejects."""
        abi = Abi(artifact.abi)
        code = artifact.bytecode + abi.encode_constructor(*arguments)
        receipt = self.confirm(self.send(key, None, code, gas))
        assert receipt.contract is not None
        return self.attach(receipt.contract, abi, artifact.name)

    def logs(
        self, first_block: int, last_block: int, addresses: Iterable[str] | None = None
    ) -> list[Log]:
        """Raw logs of some contracts (all attached ones by default), both blocks included."""
        chosen = list(self.contracts if addresses is None else addresses)
        query = {"fromBlock": hex(first_block), "toBlock": hex(last_block), "address": chosen}
        return [log_of(row) for row in self.request("eth_getLogs", query)]

    def decode(self, logs: Iterable[Log]) -> list[tuple[Log, Event]]:
        """Events behind the logs of attached contracts; other logs are left out."""
        found = []
        for log in logs:
            contract = self.contracts.get(log.address)
            if contract is not None:
                event = contract.abi.decode_event(log.address, list(log.topics), log.data)
                if event is not None:
                    found.append((log, event))
        return found

    # Local chains only

    def mine(self, timestamp: int | None = None) -> int:
        """Mine one block with all pending transactions, at ``timestamp`` if given; its number."""
        if timestamp is not None:
            self.set_next_timestamp(timestamp)
        self.request("evm_mine")
        return integer(self.request("eth_blockNumber"))

    def set_next_timestamp(self, timestamp: int) -> None:
        """The next block's time. Errors: ``RpcFault`` if before the last block's."""
        self.request("evm_setNextBlockTimestamp", timestamp)

    def set_balance(self, address: str, wei: int) -> None:
        """Give an address its wei."""
        self.request("anvil_setBalance", address, hex(wei))


class RemoteContract:
    """A deployed contract: ``call`` reads, ``transact`` sends and waits, ``send`` only sends."""

    def __init__(self, client: Client, address: str, abi: Abi, name: str) -> None:
        self.client = client
        self.address = address
        self.abi = abi
        self.name = name

    def call(
        self, function: str, *arguments: Any, sender: str = NOBODY, block: int | str = "latest"
    ) -> Any:
        """Value of a view. Errors: as the contract rejects."""
        data = self.abi.encode_call(function, *arguments)
        output = self.client.call(self.address, data, sender, block)
        return self.abi.decode_result(function, len(arguments), output)

    def send(
        self, function: str, *arguments: Any, key: LocalAccount, gas: int = TRANSACTION_GAS
    ) -> bytes:
        """Hand a transaction over; its hash."""
        data = self.abi.encode_call(function, *arguments)
        return self.client.send(key, self.address, data, gas)

    def transact(
        self, function: str, *arguments: Any, key: LocalAccount, gas: int = TRANSACTION_GAS
    ) -> Receipt:
        """Send, wait and check. Errors: as the contract rejects."""
        return self.client.confirm(self.send(function, *arguments, key=key, gas=gas))
