"""Leaving without the operator: settle the last match, take the money, go.

Owns: what a trader does with a match's document, an RPC and a key, when no process of the venue
answers any more. Nothing here is trusted but the chain: the Exchange checks both signatures and the
receipt, Custody pays the account's owner after its notice. Money in token units, time in the
chain's seconds. With open positions the requirement and a twentieth of it stay behind.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from eth_account.signers.local import LocalAccount

from novate.chain.backend import abi_of
from novate.chain.client import Client, RemoteContract
from novate.chain.connection import RpcFault
from novate.chain.rows import Receipt
from novate.errors import BY_SELECTOR, BadSignature, NodeOnWrongChain, NotOwner, Rejected, require
from novate.model.account import owner_of
from novate.services.batch_call import forced_calldata, settle_calldata
from novate.units import PPM, WAD, mul_div_down, ppm_up
from novate.wire import eip712, records
from novate.wire.exit_data import ExitData, halves
from novate.wire.order import SignedFill, SignedOrder, receipt_words

SETTLE_GAS = 3_000_000
CALL_GAS = 1_500_000
KEPT_PPM = PPM + PPM // 20  # division: a twentieth above the requirement
POLL_SECONDS = 1.0
WAIT_SECONDS_MAX = 86_400
INITIAL = 3  # place of the initial margin in a valuation

# Waits until the chain's time has come; a local chain may be told to go there instead.
Wait = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Step:
    """Something done: what, its transaction (empty: none was needed), and how it ended."""

    name: str
    transaction: str
    text: str


def wait_for(client: Client) -> Wait:
    """Wait for the chain's own clock. Raises ``RpcFault`` if it does not come there in a day."""

    def wait(timestamp: int) -> None:
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while client.block().timestamp < timestamp:
            if time.monotonic() > deadline:
                raise RpcFault(f"the chain has not come to {timestamp} in a day")
            time.sleep(POLL_SECONDS)

    return wait


class Leaver:
    """One trader on the way out."""

    def __init__(self, client: Client, data: ExitData, key: LocalAccount, wait: Wait) -> None:
        self._client = client
        self._data = data
        self._key = key
        self._wait = wait
        self._taker, self._maker = data.taker.signed(), data.maker.signed()
        self.account = self._own().order.account
        self._exchange = client.attach(data.exchange, abi_of("Exchange"), "Exchange")
        self._house = client.attach(data.clearinghouse, abi_of("Clearinghouse"), "Clearinghouse")

    def _own(self) -> SignedOrder:
        owner = int(self._key.address, 16)
        own = [s for s in (self._taker, self._maker) if owner_of(s.order.account) == owner]
        require(len(own) == 1, NotOwner, "the key owns neither order")
        return own[0]

    def leave(self) -> Iterator[Step]:
        """Settle, then withdraw of every token what may go. Errors: the first rejection."""
        self.require_genuine()
        yield self.settle()
        for token in self._data.tokens:
            yield from self.withdraw(token)

    def require_genuine(self) -> None:
        """The document speaks of this chain, and of the exchange that the trader signed for.

        Errors: ``NodeOnWrongChain``, ``BadSignature``, ``NotOwner``.
        """
        data = self._data
        require(self._client.chain_id == data.chain_id, NodeOnWrongChain)
        for address in (data.exchange, data.clearinghouse):
            code = self._client.request("eth_getCode", address, "latest")
            require(code != "0x", BadSignature, f"there is no contract at {address}")
        domain = eip712.Domain(data.chain_id, data.exchange).separator()
        own = self._own()
        if own.blob is None:
            signer = eip712.recover(eip712.order_digest(domain, own.order), own.r, own.vs) or ""
            key = own.order.account.to_bytes(32, "big"), signer
            known = signer == own.order.owner or (
                signer != "" and self._exchange.call("session_key", *key) != 0
            )
            require(known, BadSignature, "another chain or exchange was signed for")
        approved = self._house.call("venues", data.exchange)
        require(approved, BadSignature, "the clearinghouse knows no such exchange")

    # The match

    def settle(self) -> Step:
        """Settle the match as soon as anybody may. Errors: what the Exchange skips it for."""
        data = self._data
        fill = SignedFill(self._taker, self._maker, data.lots, records.number(data.price))
        if not data.receipt:
            orders = (self._taker.order, self._maker.order)
            self._wait(max(order.exclusive_until for order in orders))
            sequence = own_sequence(self._taker, self._maker)
            return self._settled(settle_calldata(b"", [fill], sequence))
        if self._exchange.call("sequence_settled", data.executor, data.sequence):
            return Step("settle", "", "the match had been settled already")
        window = (self._exchange.call("settings") >> 32) & 0xFFFF
        self._wait(data.matched_at + window)
        proof = halves(bytes.fromhex(data.receipt.removeprefix("0x")))
        words = receipt_words(data.sequence, data.matched_at, *proof)
        return self._settled(forced_calldata(fill, data.executor, words))

    def _settled(self, calldata: bytes) -> Step:
        receipt = self._send(self._exchange, calldata, SETTLE_GAS)
        events = [event for _, event in self._client.decode(receipt.logs)]
        for event in events:
            if event.name in ("FillSkipped", "TradeSkipped"):
                raise Rejected(BY_SELECTOR[int.from_bytes(event.arguments["code"], "big")])
        cents = mul_div_down(records.number(self._data.price), 100, WAD)
        text = f"{self._data.lots} lots at {cents // 100}.{cents % 100:02}"  # division: two places
        return Step("settle", "0x" + receipt.transaction.hex(), text)

    # The money

    def withdraw(self, token: str) -> Iterator[Step]:
        """Ask for what may go, wait for the notice, take it. Errors: those of Custody."""
        custody = self._client.attach(self._house.call("custody"), abi_of("Custody"), "Custody")
        raw = self.account.to_bytes(32, "big")
        amount, eligible_at, until = custody.call("request", raw, token)
        now = self._client.block().timestamp
        if amount == 0 or now > until:
            amount = self.free(custody, token)
            if amount == 0:
                return
            receipt = self._call(custody, "request_withdrawal", raw, token, amount)
            amount, eligible_at, _ = custody.call("request", raw, token)
            text = f"{amount} units of {token} from {eligible_at} on"
            yield Step("request_withdrawal", "0x" + receipt.transaction.hex(), text)
        self._wait(eligible_at)
        receipt = self._call(custody, "withdraw", raw, token)
        text = f"{amount} units of {token} to {self._key.address}"
        yield Step("withdraw", "0x" + receipt.transaction.hex(), text)

    def free(self, custody: RemoteContract, token: str) -> int:
        """Units of a token that the account may take now, rounded down."""
        raw = self.account.to_bytes(32, "big")
        _, _, decimals, instrument, lot_units = custody.call("token", token)
        if instrument:
            return max(0, self._positions().get(instrument, 0)) * int(lot_units)
        check = self._house.call("check", raw)
        equity, cash, _, _, valuation = check
        if self._derivatives():
            cash = min(cash, equity - ppm_up(valuation[INITIAL], KEPT_PPM))
        return mul_div_down(max(0, int(cash)), 10**decimals, WAD)

    def _positions(self) -> dict[int, int]:
        words = self._house.call("positions", self.account.to_bytes(32, "big"))
        lanes = [(word >> 64 * lane) & (2**64 - 1) for word in words for lane in range(4)]
        return {lane >> 44: (lane & (2**44 - 1)) - 2**43 for lane in lanes if lane}

    def _derivatives(self) -> dict[int, int]:
        """Open positions that are no collateral."""
        custody = self._client.attach(self._house.call("custody"), abi_of("Custody"), "Custody")
        spot = {custody.call("token", token)[3] for token in self._data.tokens}
        return {i: lots for i, lots in self._positions().items() if i not in spot}

    # Transactions

    def _call(self, contract: RemoteContract, function: str, *arguments: object) -> Receipt:
        return self._send(contract, contract.abi.encode_call(function, *arguments), CALL_GAS)

    def _send(self, contract: RemoteContract, calldata: bytes, gas: int) -> Receipt:
        """Try it without effect first, so that a refusal costs nothing; then send and wait."""
        self._client.call(contract.address, calldata, self._key.address)
        sent = self._client.send(self._key, contract.address, calldata, gas)
        return self._client.confirm(sent)


def own_sequence(taker: SignedOrder, maker: SignedOrder) -> int:
    """A sequence of the trader's own for two open orders: the same two give the same number."""
    both = f"{taker.order.account}:{taker.order.nonce}:{maker.order.account}:{maker.order.nonce}"
    return int.from_bytes(eip712.keccak(both.encode())[:7], "big")
