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
from novate.wire.recover_many import Claim, recover_many, recover_one

KEYS = [PrivateKey(bytes([n + 1] * 32)) for n in range(5)]
PARITY = 1 << 255


def claims(count: int) -> list[Claim]:
    made = []
    for number in range(count):
        digest = eip712.keccak(number.to_bytes(4, "big"))
        made.append((digest, compact(*eip712.sign(KEYS[number % len(KEYS)], digest))))
    return made


def compact(r: int, vs: int) -> bytes:
    return r.to_bytes(32, "big") + vs.to_bytes(32, "big")


def alone(claim: Claim) -> str | None:
    """What ``ecrecover`` says, which the chain's answers are compared with."""
    digest, signature = claim
    return eip712.recover(
        digest, int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    )


def hostile() -> list[Claim]:
    """Signatures at and beyond every bound, and ones of nobody."""
    random = Random(5)
    digest = bytes(32)
    edges = (0, 1, HALF_ORDER - 1, HALF_ORDER, HALF_ORDER + 1, CURVE_ORDER - 1, CURVE_ORDER)
    edges += (CURVE_ORDER + 1, PARITY, PARITY - 1, 2**256 - 1)
    found = [(digest, compact(r, vs | high)) for r in edges for vs in edges for high in (0, PARITY)]
    found += [(digest, compact(r, vs | PARITY)) for r in (1, 5) for vs in (1, 5, HALF_ORDER)]
    found += [(digest, random.randbytes(64)) for _ in range(200)]
    return found


def test_many_are_recovered_as_each_is_alone_whatever_stands_between_them() -> None:
    asked = [claim for pair in zip(claims(300), hostile(), strict=False) for claim in pair]
    found = recover_many(asked)
    assert found == [alone(claim) for claim in asked] == [recover_one(claim) for claim in asked]
    assert None in found and eip712.address_of(KEYS[0].public_key) in found
    assert recover_many([]) == []


def asking(desk: Signatures, claim: Claim) -> asyncio.Future[str]:
    """The answer to a claim, or the fault."""
    told: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def heard(signer: str | BaseException) -> None:
        if isinstance(signer, BaseException):
            told.set_exception(signer)
        else:
            told.set_result(signer)

    desk.ask(claim, heard)
    return told


def test_signers_are_told_to_who_asked_alone_or_together() -> None:
    asked = [*claims(40), *hostile()[:20]]

    async def run() -> None:
        desk = Signatures()
        assert await asking(desk, asked[0]) == alone(asked[0])
        for come_meanwhile in (1, 5):
            waiting = [asking(desk, claim) for claim in asked]
            await asyncio.sleep(0)
            later = [asking(desk, claim) for claim in asked[:come_meanwhile]]
            told = await asyncio.gather(*waiting)
            assert told == [alone(claim) or "" for claim in asked]
            assert await asyncio.gather(*later) == [alone(c) for c in asked[:come_meanwhile]]

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
            waiting = [asking(desk, claim) for claim in asked]
            told = await asyncio.gather(*waiting, return_exceptions=True)
            assert all(isinstance(one, RuntimeError) for one in told)
        waiting = [asking(desk, claim) for claim in asked]
        assert await asyncio.gather(*waiting) == [alone(claim) for claim in asked]

    asyncio.run(run())
