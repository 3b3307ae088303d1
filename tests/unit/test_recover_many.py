"""Signers of many digests at once: the answers of one at a time, in their order."""

from __future__ import annotations

import asyncio
from random import Random

import pytest
from coincurve import PrivateKey

from novate.api import signatures
from novate.api.signatures import Signatures
from novate.wire import eip712
from novate.wire.ecrecover import CURVE_ORDER, HALF_ORDER
from novate.wire.recover_many import Claim, recover_many

KEYS = [PrivateKey(bytes([n + 1] * 32)) for n in range(5)]
PARITY = 1 << 255


def claims(count: int) -> list[Claim]:
    made = []
    for number in range(count):
        digest = eip712.keccak(number.to_bytes(4, "big"))
        made.append((digest, *eip712.sign(KEYS[number % len(KEYS)], digest)))
    return made


def hostile() -> list[Claim]:
    """Signatures at and beyond every bound, and ones of nobody."""
    random = Random(5)
    digest = bytes(32)
    edges = (0, 1, HALF_ORDER, HALF_ORDER + 1, CURVE_ORDER - 1, CURVE_ORDER, PARITY, 2**256, -1)
    found = [(digest, r, vs) for r in edges for vs in edges]
    found += [(digest, r, vs | PARITY) for r in (1, 5, HALF_ORDER) for vs in (1, HALF_ORDER)]
    found += [(digest, random.getrandbits(256), random.getrandbits(256)) for _ in range(200)]
    return found


def test_many_are_recovered_as_each_is_alone_whatever_stands_between_them() -> None:
    asked = [claim for pair in zip(claims(300), hostile(), strict=False) for claim in pair]
    found = recover_many(asked)
    assert found == [eip712.recover(*claim) for claim in asked]
    assert None in found and eip712.address_of(KEYS[0].public_key) in found
    assert recover_many([]) == []


def test_signers_are_told_to_who_asked_alone_or_together_and_to_nobody_who_left() -> None:
    asked = [*claims(40), *hostile()[:20]]

    async def run() -> None:
        desk = Signatures()
        assert await desk.signer(*asked[0]) == eip712.recover(*asked[0])
        waiting = [desk.signer(*claim) for claim in asked]
        waiting[3].cancel()
        await asyncio.sleep(0)
        later = desk.signer(*asked[1])
        told = await asyncio.gather(*(one for one in waiting if not one.cancelled()))
        assert told == [eip712.recover(*c) or "" for c in (*asked[:3], *asked[4:])]
        assert await later == eip712.recover(*asked[1])

    asyncio.run(run())


def test_a_fault_reaches_everybody_who_waits_and_the_next_ones_are_served(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(_: object) -> list[str | None]:
        raise RuntimeError("as a test wants it")

    async def run() -> None:
        desk, asked = Signatures(), claims(3)
        with monkeypatch.context() as patch:
            patch.setattr(signatures, "recover_many", broken)
            waiting = [desk.signer(*claim) for claim in asked]
            told = await asyncio.gather(*waiting, return_exceptions=True)
            assert all(isinstance(one, RuntimeError) for one in told)
        waiting = [desk.signer(*claim) for claim in asked]
        assert await asyncio.gather(*waiting) == [eip712.recover(*claim) for claim in asked]

    asyncio.run(run())
