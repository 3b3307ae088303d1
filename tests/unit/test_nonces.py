"""Nonces of clients: each given once, whoever asks from wherever."""

from __future__ import annotations

import multiprocessing
import resource
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from novate.sdk.nonces import BLOCK, CHANCE_BITS, LIMIT, Nonces, state_file

ACCOUNT = 0xACC
COUNT = 3_000


def test_each_is_given_once_over_threads_and_allocators(tmp_path: Path) -> None:
    allocators = [Nonces(tmp_path / "nonces") for _ in range(4)]
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda i: allocators[i % 4].take(), range(4_000)))
    assert len(set(taken)) == len(taken)


def _taken(account: int) -> list[int]:
    nonces = Nonces.of(account)
    return [nonces.take() for _ in range(COUNT)]


@pytest.mark.parametrize("writable", [True, False])
def test_two_processes_of_an_account_that_begin_at_once_never_meet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writable: bool
) -> None:
    """By default, with nothing said about a file; also where none can be written."""
    (tmp_path / "novate").write_text("") if not writable else None
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        first, second = pool.map(_taken, [ACCOUNT, ACCOUNT], chunksize=1)
    assert len({*first, *second}) == 2 * COUNT
    assert state_file(ACCOUNT).is_file() == writable
    for taken in (first, second):
        assert taken == sorted(taken) and taken[0] % BLOCK == 0
        assert len({nonce // BLOCK for nonce in taken}) == -(-COUNT // BLOCK), "words are filled"
        assert 0 < taken[0] < taken[-1] < LIMIT


def _child(nonces: Nonces, sent: multiprocessing.SimpleQueue[int]) -> None:
    sent.put(nonces.take())


def test_a_forked_process_claims_its_own(tmp_path: Path) -> None:
    for nonces in (Nonces(tmp_path / "nonces"), Nonces()):
        first = nonces.take()
        fork = multiprocessing.get_context("fork")
        sent = fork.SimpleQueue()
        child = fork.Process(target=_child, args=(nonces, sent))
        child.start()
        theirs = sent.get()
        child.join()
        assert nonces.take() == first + 1 and theirs // BLOCK != first // BLOCK


def test_they_ascend_with_time_and_from_what_was_claimed_before(tmp_path: Path) -> None:
    file = tmp_path / "nonces"
    assert Nonces().take() >> CHANCE_BITS + 8 == pytest.approx(time.time(), abs=5)
    older = time.time_ns() // 1_000  # as releases before began
    file.write_text(f"{older}\n")
    assert Nonces(file).take() > older
    claimed = Nonces(file).take() + 2**40
    file.write_text(f"{claimed}\n")
    assert Nonces(file).take() == -(-claimed // BLOCK) * BLOCK


def test_whoever_leaves_a_block_goes_on_elsewhere() -> None:
    nonces = Nonces()
    first = nonces.take()
    nonces.leave()
    assert nonces.take() // BLOCK != first // BLOCK


def test_a_damaged_file_and_the_end_of_all_nonces_are_refused(tmp_path: Path) -> None:
    for text, why in (("x17\n", "holds no nonce"), (f"{LIMIT - 1}\n", "end of all nonces")):
        (tmp_path / "nonces").write_text(text)
        with pytest.raises(ValueError, match=why):
            Nonces(tmp_path / "nonces").take()


def test_a_file_that_is_asked_for_must_be_there(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    with pytest.raises(OSError, match="plain"):
        Nonces(tmp_path / "plain" / "nonces").take()


def test_a_file_that_finds_no_room_keeps_what_was_claimed(tmp_path: Path) -> None:
    """What another machine's clock, or this one's, was ahead by is not forgotten."""
    file = tmp_path / "nonces"
    file.write_text(f"{2**62}\n")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
        with pytest.raises(OSError):
            Nonces(file).take()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert file.read_text() == f"{2**62}\n"
    assert Nonces(file).take() == 2**62
