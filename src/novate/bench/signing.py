"""How fast orders are signed and checked, beside ``eth_account`` and the bare library.

Owns: what is timed. Rates of one core are orders by second of processor time, medians over runs;
that of all threads is by the clock. The checker recovers each signer, as the chain will, and knows
the addresses of their keys, as of accounts that trade. The ceiling is libsecp256k1 alone: signing,
recovering and (what would not see a wrong parity) verifying with a known key, on digests made
before. Every run's answers are checked.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter, process_time
from typing import Any

from btclib_secp256k1 import ffi, lib
from btclib_secp256k1.context import ctx
from coincurve import PrivateKey
from eth_account import Account
from eth_account.messages import encode_typed_data

from novate.model.bulk import ORDERS_MAX
from novate.model.order import Order
from novate.units import WAD
from novate.wire import eip712
from novate.wire.bulk import BulkOrders
from novate.wire.order import SignedOrder
from novate.wire.signing import Checker, Signer

TARGETS = {"client_per_s": 10_000, "verify_per_s": 28_000, "bulk_per_s": 200_000}
WHAT = {
    "client_per_s": "an order made from its fields, its digest, its compact signature",
    "verify_per_s": "an order's digest, its signer recovered; 64 signers, their addresses known",
    "verify_threads_per_s": "the same by the clock, in as many threads as there are cores",
    "bulk_per_s": "trees of 256 orders: every leaf, node and order digest made, each root's "
    "signer recovered",
    "bulk_client_per_s": "orders made from their fields, in trees of 256, each root signed",
}
BASELINE = "eth_account"
SIGNERS = 64
BASELINE_SHARE = 40  # eth_account gets one order in so many
DOMAIN = eip712.Domain(31_337, "0x" + "ab" * 20)
EXECUTOR = "0x" + "cd" * 20


@dataclass(frozen=True, slots=True)
class SignReport:
    """Orders a second: ours, eth_account's, the bare library's."""

    orders: int
    runs: int
    threads: int
    rates: dict[str, int]
    baseline: dict[str, int]
    ceiling: dict[str, int]

    def ratio(self, key: str) -> float | None:
        """How many times the baseline a figure is."""
        found = self.baseline.get(key)
        return round(self.rates[key] / found, 1) if found else None

    def document(self) -> dict[str, Any]:
        """The report as JSON: figures at the top."""
        return {
            **self.rates,
            "targets": TARGETS,
            "baseline": {"name": BASELINE, **self.baseline},
            "times_baseline": {key: self.ratio(key) for key in self.baseline},
            "libsecp256k1_alone": self.ceiling,
            "what": WHAT,
            "orders": self.orders,
            "runs": self.runs,
            "threads": self.threads,
        }


def measure(orders: int, runs: int) -> SignReport:
    """Time everything on the same orders."""
    separator = DOMAIN.separator()
    keys = [PrivateKey(eip712.keccak(b"signer %d" % i)) for i in range(SIGNERS)]
    owners = [eip712.address_of(key.public_key) for key in keys]
    signers = [Signer(key, separator) for key in keys]
    claimed = [owners[i % SIGNERS] for i in range(orders)]
    accounts = [int(owner, 16) << 96 for owner in claimed]
    threads = os.cpu_count() or 1

    def made() -> list[SignedOrder]:
        return [signers[i % SIGNERS].sign(_order(a, i)) for i, a in enumerate(accounts)]

    def made_in_trees() -> list[BulkOrders]:
        starts = range(0, orders, ORDERS_MAX)
        account = accounts[0]
        return [
            signers[0].sign_bulk(
                [_order(account, i) for i in range(at, min(at + ORDERS_MAX, orders))]
            )
            for at in starts
        ]

    signed, trees = made(), made_in_trees()
    rates = {
        "client_per_s": _rate(lambda: len(made()), runs),
        "bulk_client_per_s": _rate(lambda: sum(len(t.orders) for t in made_in_trees()), runs),
    }
    with Checker(separator, 1) as one, Checker(separator, threads) as many:
        many.check(signed, claimed)  # it meets the keys
        one.check(signed, claimed)
        rates["verify_per_s"] = _rate(lambda: sum(one.check(signed, claimed)), runs)
        rates["verify_threads_per_s"] = _rate(
            lambda: sum(many.check(signed, claimed)), runs, perf_counter
        )
    rates["bulk_per_s"] = _rate(lambda: _checked_trees(separator, trees, owners[0]), runs)
    some = signed[::BASELINE_SHARE]
    return SignReport(
        orders,
        runs,
        threads,
        {key: rates[key] for key in WHAT},
        _eth_account(some, keys, runs),
        _library_alone(signed[:1_000], keys[0], runs),
    )


def _order(account: int, nonce: int) -> Order:
    return Order(
        account=account,
        instrument=1 + nonce % 16,
        lots=-10 if nonce & 1 else 10,
        price=60_000 * WAD + nonce,
        max_fee=WAD,
        nonce=nonce,
        expiry=2**40 - 1,
        executor=EXECUTOR,
    )


def _rate(work: Callable[[], int], runs: int, clock: Callable[[], float] = process_time) -> int:
    """Orders a second of the median run; ``work`` answers how many orders it did."""
    seconds, done = [], set()
    for _ in range(runs):
        started = clock()
        done.add(work())
        seconds.append(clock() - started)
    assert len(done) == 1 and min(done) > 0, "every run does the same, and all of it"
    return round(done.pop() / median(seconds))  # division: a rate


def _checked_trees(separator: bytes, trees: list[BulkOrders], signer: str) -> int:
    """Check trees as they arrive, by a checker that saw none of their roots."""
    checker, count = Checker(separator), 0
    for tree in trees:
        arrived = BulkOrders(tree.orders, tree.r, tree.vs)
        assert checker.check_bulk(arrived, signer)
        count += len(arrived.order_digests(separator))
    return count


def _eth_account(orders: list[SignedOrder], keys: list[PrivateKey], runs: int) -> dict[str, int]:
    """What its users write: full typed data in, a signature or an address out."""
    secret = keys[0].secret
    data = [eip712.typed_data(DOMAIN, signed.order) for signed in orders]
    signatures = [(signed.vs >> 255, signed.r, signed.vs & eip712.S_MASK) for signed in orders]

    def sign() -> int:
        return len([Account.sign_typed_data(secret, full_message=d) for d in data])

    def recover() -> int:
        found = [
            Account.recover_message(encode_typed_data(full_message=d), vrs=(27 + v, r, s))
            for d, (v, r, s) in zip(data, signatures, strict=True)
        ]
        assert [address.lower() for address in found] == [s.order.owner for s in orders]
        return len(found)

    return {"client_per_s": _rate(sign, runs), "verify_per_s": _rate(recover, runs)}


def _library_alone(orders: list[SignedOrder], key: PrivateKey, runs: int) -> dict[str, int]:
    """libsecp256k1's own signing, recovering and verifying, digests and parsed signatures at
    hand."""
    separator, null, secret = DOMAIN.separator(), ffi.NULL, key.secret
    digests = [eip712.order_digest(separator, signed.order) for signed in orders]
    public, found = ffi.new("secp256k1_pubkey *"), ffi.new("secp256k1_pubkey *")
    assert lib.secp256k1_ec_pubkey_create(ctx, public, secret)
    made = [ffi.new("secp256k1_ecdsa_recoverable_signature *") for _ in digests]
    plain = [ffi.new("secp256k1_ecdsa_signature *") for _ in digests]

    def sign() -> int:
        call = lib.secp256k1_ecdsa_sign_recoverable
        return sum(
            [call(ctx, s, d, secret, null, null) for s, d in zip(made, digests, strict=True)]
        )

    def recover() -> int:
        call = lib.secp256k1_ecdsa_recover
        return sum([call(ctx, found, s, d) for s, d in zip(made, digests, strict=True)])

    def verify() -> int:
        call = lib.secp256k1_ecdsa_verify
        return sum([call(ctx, s, d, public) for s, d in zip(plain, digests, strict=True)])

    rates = {"sign_per_s": _rate(sign, runs), "recover_per_s": _rate(recover, runs)}
    for signature, recoverable in zip(plain, made, strict=True):
        lib.secp256k1_ecdsa_recoverable_signature_convert(ctx, signature, recoverable)
    return {**rates, "verify_known_key_per_s": _rate(verify, runs)}
