"""A thin typed client of an EVM chain over web3's transports.

Owns: sending signed transactions (local keys, nonces, explicit gas), calls, receipts, logs, and
what only a local chain can do (mining by hand, the clock). A revert that carries a registered
rejection raises ``Rejected``, any other ``CallReverted``; whatever else goes wrong is an
``RpcFault``. Addresses are lower-case 0x strings, hashes 32 raw bytes, amounts wei, time seconds.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from eth_account.signers.local import LocalAccount
from web3 import HTTPProvider, IPCProvider
from web3.providers.base import JSONBaseProvider
from web3.types import RPCEndpoint

from novate.chain.abi import Abi, Event, decode_revert
from novate.chain.compile import Artifact
from novate.errors import Rejected

TRANSACTION_GAS = 16_000_000
REQUEST_SECONDS_MAX = 120
RECEIPT_SECONDS_MAX = 120
POLL_SECONDS = 0.25
BATCH_MAX = 1_000
NOBODY = "0x" + "00" * 20


class RpcFault(Exception):
    """The node refused a request or did not answer."""


class CallReverted(Exception):
    """A call reverted without a registered rejection (a bug, or a checked-arithmetic guard)."""


@dataclass(frozen=True, slots=True)
class Fees:
    """What a transaction offers for a unit of gas, in wei."""

    maximum: int = 0
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Block:
    """A block's header."""

    number: int
    hash: bytes
    timestamp: int
    gas_used: int
    gas_limit: int


@dataclass(frozen=True, slots=True)
class Log:
    """A raw log and its place."""

    block: int
    index: int
    transaction: bytes
    address: str
    topics: tuple[bytes, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a transaction."""

    transaction: bytes
    block: int
    succeeded: bool
    gas_used: int
    contract: str | None
    logs: tuple[Log, ...]


class Client:
    """One connection to one chain; ``mines`` on a local chain whose blocks are mined by hand."""

    def __init__(
        self, provider: JSONBaseProvider, mines: bool = False, fees: Fees | None = None
    ) -> None:
        self._provider = provider
        self._nonces: dict[str, int] = {}
        self.mines = mines
        self.fees = fees or Fees()
        self.contracts: dict[str, RemoteContract] = {}
        self.chain_id = _integer(self.request("eth_chainId"))

    @classmethod
    def over_ipc(cls, path: Path, mines: bool = False, fees: Fees | None = None) -> Client:
        """Connect to a node's socket."""
        return cls(IPCProvider(path, timeout=REQUEST_SECONDS_MAX), mines, fees)

    @classmethod
    def over_http(cls, url: str, mines: bool = False, fees: Fees | None = None) -> Client:
        """Connect to a node's HTTP endpoint; a request is never repeated by itself."""
        options = {"timeout": REQUEST_SECONDS_MAX}
        return cls(HTTPProvider(url, options, exception_retry_configuration=None), mines, fees)

    def close(self) -> None:
        """Close the connection, which web3 leaves open; the next request reopens it."""
        if isinstance(self._provider, IPCProvider):
            connection: Any = self._provider._socket
            if connection.sock is not None:
                connection.sock.close()
                connection.sock = None
        elif isinstance(self._provider, HTTPProvider):
            sessions = self._provider._request_session_manager.session_cache
            for _, session in sessions.items():
                session.close()

    # Requests

    def request(self, method: str, *parameters: Any) -> Any:
        """One request's result. Errors: ``Rejected``, ``CallReverted``, ``RpcFault``."""
        try:
            response = self._provider.make_request(RPCEndpoint(method), parameters)
        except Exception as error:  # each transport raises its own; all of them are faults
            raise RpcFault(f"{method}: {error!r}") from error
        return _result(method, cast(dict[str, Any], response))

    def request_many(self, method: str, parameters: Sequence[Sequence[Any]]) -> list[Any]:
        """The results of one method for many parameters, in as few messages as allowed."""
        found: list[Any] = []
        for start in range(0, len(parameters), BATCH_MAX):
            part = parameters[start : start + BATCH_MAX]
            try:
                responses = self._provider.make_batch_request(
                    [(RPCEndpoint(method), list(row)) for row in part]
                )
            except Exception as error:
                raise RpcFault(f"{method}: {error!r}") from error
            if not isinstance(responses, list):
                responses = [responses]
            found += [_result(method, cast(dict[str, Any], response)) for response in responses]
        return found

    def block(self, number: int | str = "latest") -> Block:
        """A block's header by number or tag. Errors: ``RpcFault`` if there is none."""
        tag = hex(number) if isinstance(number, int) else number
        found = self.request("eth_getBlockByNumber", tag, False)
        if found is None:
            raise RpcFault(f"no block {number}")
        return Block(
            number=_integer(found["number"]),
            hash=_bytes(found["hash"]),
            timestamp=_integer(found["timestamp"]),
            gas_used=_integer(found["gasUsed"]),
            gas_limit=_integer(found["gasLimit"]),
        )

    def balance(self, address: str) -> int:
        """An address's wei."""
        return _integer(self.request("eth_getBalance", address, "latest"))

    def call(
        self, to: str, data: bytes, sender: str = NOBODY, block: int | str = "latest"
    ) -> bytes:
        """Output of a call whose effects are thrown away. Errors: as the contract rejects."""
        tag = hex(block) if isinstance(block, int) else block
        message = {"from": sender, "to": to, "data": _hex(data)}
        return _bytes(self.request("eth_call", message, tag))

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
            self._nonces[sender] = _integer(count)
        fields: dict[str, Any] = {
            "type": 2,
            "chainId": self.chain_id,
            "nonce": self._nonces[sender],
            "gas": gas,
            "value": value,
            "data": data,
            "maxFeePerGas": self.fees.maximum,
            "maxPriorityFeePerGas": self.fees.priority,
        }
        if to is not None:
            fields["to"] = bytes.fromhex(to[2:])
        raw = bytes(key.sign_transaction(fields).raw_transaction)
        self._nonces[sender] += 1
        return raw

    def send_raw(self, *raw: bytes) -> list[bytes]:
        """Hand signed transactions over; their hashes. After a refusal nonces are asked anew."""
        try:
            if len(raw) == 1:
                return [_bytes(self.request("eth_sendRawTransaction", _hex(raw[0])))]
            rows = [(_hex(item),) for item in raw]
            return [_bytes(found) for found in self.request_many("eth_sendRawTransaction", rows)]
        except Exception:
            self._nonces.clear()
            raise

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
        found = self.request("eth_getTransactionReceipt", _hex(transaction))
        return None if found is None else _receipt(found)

    def receipts(self, transactions: Sequence[bytes]) -> list[Receipt | None]:
        """Many receipts, in order, in as few messages as allowed."""
        rows = [(_hex(item),) for item in transactions]
        found = self.request_many("eth_getTransactionReceipt", rows)
        return [None if item is None else _receipt(item) for item in found]

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
        trace = self.request("debug_traceTransaction", _hex(failed.transaction), options)
        return _reverted(trace.get("output") or "0x", str(trace.get("error", "")))

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
        return [_log(row) for row in self.request("eth_getLogs", query)]

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
        return _integer(self.request("eth_blockNumber"))

    def set_next_timestamp(self, timestamp: int) -> None:
        """The next block's time. Errors: ``RpcFault`` unless later than the last block's."""
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


def _integer(text: str) -> int:
    return int(text, 16)


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


def _result(method: str, response: dict[str, Any]) -> Any:
    error = response.get("error")
    if error is None:
        return response["result"]
    text = str(error.get("message", error))
    data = error.get("data")
    if error.get("code") == 3 or "revert" in text:
        raise _reverted(data if isinstance(data, str) else "0x", text)
    raise RpcFault(f"{method}: {text}")


def _reverted(output: str, text: str) -> Exception:
    found = decode_revert(_bytes(output))
    return Rejected(found) if found is not None else CallReverted(f"{text} {output}".strip())


def _log(row: dict[str, Any]) -> Log:
    return Log(
        block=_integer(row["blockNumber"]),
        index=_integer(row["logIndex"]),
        transaction=_bytes(row["transactionHash"]),
        address=row["address"].lower(),
        topics=tuple(_bytes(topic) for topic in row["topics"]),
        data=_bytes(row["data"]),
    )


def _receipt(row: dict[str, Any]) -> Receipt:
    contract = row.get("contractAddress")
    return Receipt(
        transaction=_bytes(row["transactionHash"]),
        block=_integer(row["blockNumber"]),
        succeeded=_integer(row["status"]) == 1,
        gas_used=_integer(row["gasUsed"]),
        contract=contract.lower() if contract else None,
        logs=tuple(_log(log) for log in row["logs"]),
    )
