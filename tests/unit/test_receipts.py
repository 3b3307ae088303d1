"""Receipts: made beside the fold, many at once, and the same bytes as one by one."""

from __future__ import annotations

from pathlib import Path

import pytest
from coincurve import PrivateKey
from msgspec.structs import replace

from novate.engine import receipts as receipts_module
from novate.engine.journal import GENESIS_KIND, Journal
from novate.engine.receipts import UNSEALED, digest_of
from novate.engine.recovery import Follower
from novate.errors import Rejected
from novate.services.boot import build_sequencer
from novate.wire import eip712, records
from novate.wire.records import AnyRecord, Matched
from novate.wire.sign_many import sign_many
from tests.support.engine import EXECUTOR, Floor, deployed, floor_of, matches

floor = floor_of("maker", "taker")
KEYS = [PrivateKey(bytes([n]) * 32) for n in (1, 2, 0x7F, 0xFE)]


def packed(key: PrivateKey, digest: bytes) -> bytes:
    r, vs = eip712.sign(key, digest)
    return r.to_bytes(32, "big") + vs.to_bytes(32, "big")


def test_many_are_signed_as_each_is_alone() -> None:
    digests = [eip712.keccak(n.to_bytes(4, "big")) for n in range(200)]
    digests += [bytes(32), b"\xff" * 32]
    for key in KEYS:
        made = sign_many(key, digests)
        assert made == [packed(key, digest) for digest in digests]
        assert {one[32] >> 7 for one in made} == {0, 1}, "both parities"
        assert sign_many(key, digests[7:8]) == made[7:8] and sign_many(key, []) == []


def test_a_digest_of_another_length_is_not_signed() -> None:
    with pytest.raises(AssertionError):
        sign_many(KEYS[0], [bytes(31), bytes(32)])


def traded(floor: Floor) -> list[AnyRecord]:
    floor.place("maker", -2, 100_000)
    floor.place("maker", -3, 100_010)
    return floor.take("taker", 5, 100_010)


def test_the_fold_signs_nothing(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    traded(floor)
    deployment, parameters, now = deployed()
    again = build_sequencer(deployment, parameters, EXECUTOR, now)

    def fails(*_: object) -> None:
        raise AssertionError("a signature")

    with monkeypatch.context() as patched:
        patched.setattr(receipts_module, "sign_many", fails)
        made = [e for k, p in floor.commands for e in again.fold(records.decode(k, p))]
    found = matches(made)
    assert [m.receipt for m in found] == [UNSEALED] * 2
    assert again.world.state_hash() == floor.world.state_hash()
    assert again.sealed(made) == floor.events


def test_sealing_signs_what_lacks_it_and_nothing_else(floor: Floor) -> None:
    made = traded(floor)
    first, second = matches(made)
    old = bytes(range(64))
    mixed = [replace(e, receipt=old) if e is first else e for e in made]
    mixed = [replace(e, receipt=UNSEALED) if e is second else e for e in mixed]
    sealed = floor.sequencer.sealed(mixed)
    assert [m.receipt for m in matches(sealed)] == [old, second.receipt]
    assert [e for e in sealed if not isinstance(e, Matched)] == [
        e for e in made if not isinstance(e, Matched)
    ]
    digest = digest_of(floor.separator, second)
    halves = (int.from_bytes(second.receipt[at : at + 32], "big") for at in (0, 32))
    assert eip712.recover(digest, *halves) == EXECUTOR.address.lower()


def test_no_journal_is_read_that_holds_a_match_without_receipt(floor: Floor) -> None:
    bare = replace(matches(traded(floor))[0], receipt=UNSEALED)
    with pytest.raises(Rejected, match="JournalCorrupt"):
        records.decode(*records.encode(bare))


def test_matches_that_a_killed_writer_owed_are_written_with_their_receipts(
    floor: Floor, tmp_path: Path
) -> None:
    """The writer had told the first of two matches; the rest is completed, byte for byte."""
    traded(floor)
    whole = [records.encode(event) for event in floor.events]
    told = floor.events.index(matches(floor.events)[1])
    deployment, parameters, now = deployed()
    again = build_sequencer(deployment, parameters, EXECUTOR, now)
    with Journal.open(tmp_path / "journal.bin", lambda: 0) as journal:
        journal.append(GENESIS_KIND, b"")
        for entry in floor.commands:
            journal.append(*entry)
        for entry in whole[:told]:
            journal.append(*entry)
        journal.commit()
        follower = Follower(again)
        follower.follow(journal.read(1))
        assert any(type(event) is Matched for event in follower.pending)
        assert follower.complete(journal) == len(whole) - told and not follower.pending
        written = [(entry.kind, entry.payload) for entry in journal.read(1)]
    assert written[len(floor.commands) :] == whole
