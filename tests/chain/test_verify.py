"""``novate verify`` passes on an honest run and names the first wrong record of a dishonest one.

Journals are forged here the way an operator would: with every hash computed again.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from novate import config
from novate.chain.backend import abi_of
from novate.chain.compile import compile_contract
from novate.chain.deployment import CONTRACT_OF, Deployment
from novate.chain.node import LocalNode, NodeOptions, local_key
from novate.cli.main import application, main
from novate.demo.run import Crash
from novate.engine.journal import Journal, Record, Scanner, remove
from novate.lab.prices import load_event
from novate.wire import records
from novate.wire.records import ChainTransaction, Matched

MINUTES = 12
Forge = Callable[[list[Record]], list[Record]]


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a short, honest demo."""
    folder = tmp_path_factory.mktemp("demo")
    crash = Crash(folder, config.load(), load_event(), 1, MINUTES)
    try:
        crash.run(lambda done, total, text: None)
    finally:
        crash.venue.close()
    return folder


@pytest.fixture
def copy(honest: Path, tmp_path: Path) -> Path:
    """The same folder, for a test to tamper with."""
    shutil.copytree(honest, tmp_path / "run")
    return tmp_path / "run"


def entries_of(folder: Path) -> list[Record]:
    return Scanner(folder / "journal.bin").run().records


def rewrite(folder: Path, forge: Forge, with_head: bool = True) -> None:
    """Replace the journal by a forged one with good hashes; and the published head, if so."""
    path = folder / "journal.bin"
    forged = forge(entries_of(folder))
    remove(path)
    clock = iter([entry.timestamp_ms for entry in forged])
    with Journal.open(path, lambda: next(clock)) as journal:
        for entry in forged:
            journal.append(entry.kind, entry.payload)
    if with_head:
        report(folder, journal_head=f"{journal.head.sequence}:{journal.head.hash.hex()}")


def report(folder: Path, **changes: Any) -> None:
    path = folder / "result.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def run_json(folder: Path, *more: str) -> tuple[int, dict[str, Any]]:
    """Exit code and answer of ``novate verify --json``."""
    done = CliRunner().invoke(application, ["verify", str(folder), "--json", *more])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, json.loads(done.stdout.splitlines()[-1])


def failed(answer: dict[str, Any]) -> list[str]:
    return [step["name"] for step in answer["steps"] if not step["passed"]]


def places(folder: Path, kind: str) -> list[int]:
    return [entry.sequence for entry in entries_of(folder) if entry.kind == kind]


def changed(entry: Record, **fields: Any) -> Record:
    """The entry with other fields in its record."""
    record = records.decode(entry.kind, entry.payload)
    _, payload = records.encode(msgspec.structs.replace(record, **fields))
    return msgspec.structs.replace(entry, payload=payload)


def with_changed(number: int, **fields: Any) -> Forge:
    return lambda e: [*e[:number], changed(e[number], **fields), *e[number + 1 :]]


def swapped(one: int, other: int) -> Forge:
    def forge(entries: list[Record]) -> list[Record]:
        made = list(entries)
        made[one], made[other] = made[other], made[one]
        made[one] = msgspec.structs.replace(made[one], timestamp_ms=entries[one].timestamp_ms)
        made[other] = msgspec.structs.replace(made[other], timestamp_ms=entries[other].timestamp_ms)
        return made

    return forge


def without(number: int) -> Forge:
    return lambda entries: [e for e in entries if e.sequence != number]


# Honest runs


def test_an_honest_run_passes_every_step(honest: Path) -> None:
    code, answer = run_json(honest)
    assert (code, answer["passed"], failed(answer)) == (0, True, [])
    assert answer["records"] == len(entries_of(honest))
    assert answer["invariants"] == {f"I{n:02}": True for n in range(1, 16)}
    assert len(answer["steps"]) == 9


def test_the_summary_is_for_people(honest: Path) -> None:
    done = CliRunner().invoke(application, ["verify", str(honest)])
    assert done.exit_code == 0
    assert "everything is as it must be" in done.stdout


def test_a_chain_behind_a_url_will_do(copy: Path) -> None:
    with LocalNode(NodeOptions(load_state=copy / "chain.json")) as node:
        moved = copy / "chain.json"
        moved.rename(copy / "elsewhere.json")
        code, answer = run_json(copy, "--rpc", node.http_url)
    assert (code, failed(answer)) == (0, [])


def test_what_a_stranger_does_to_the_back_office_itself_is_nothing_to_the_venue(
    copy: Path,
) -> None:
    """Anyone may call it, and it logs; neither the journal nor the Clearinghouse knows of it."""
    office = Deployment.load(copy / "deployment.json").addresses["back_office"]
    with LocalNode(NodeOptions(load_state=copy / "chain.json")) as node:
        (copy / "chain.json").unlink()
        client, stranger = node.client(), local_key("stranger")
        client.set_balance(stranger.address, 10**20)
        data = abi_of("BackOffice").encode_call("distribute_fees")
        receipt = client.confirm(client.send(stranger, office, data))
        assert [log.address for log in receipt.logs] == [office]
        code, answer = run_json(copy, "--rpc", node.http_url)
    assert (code, failed(answer)) == (0, [])


def test_without_a_result_there_is_no_witness_and_no_figure(copy: Path) -> None:
    (copy / "result.json").unlink()
    code, answer = run_json(copy)
    assert code == 0
    assert len(answer["steps"]) == 8


# Hashes


def test_a_flipped_byte_names_its_record(copy: Path) -> None:
    entries = entries_of(copy)
    target = entries[len(entries) // 2]
    path = copy / "journal.bin"
    data = bytearray(path.read_bytes())
    place = data.index(target.payload) + len(target.payload) // 2
    data[place] ^= 1
    path.write_bytes(bytes(data))
    code, answer = run_json(copy)
    assert (code, failed(answer)) == (1, ["hash chain"])
    assert answer["first_wrong_record"] == target.sequence


def test_a_dropped_record_breaks_the_hash_chain(copy: Path) -> None:
    entries = entries_of(copy)
    target = entries[100]
    path = copy / "journal.bin"
    data = path.read_bytes()
    frame = 8 + 49 + len(target.kind) + len(target.payload) + 32
    start = data.index(target.payload) - 49 - len(target.kind) - 8
    path.write_bytes(data[:start] + data[start + frame :])
    code, answer = run_json(copy)
    assert (code, failed(answer)) == (1, ["hash chain"])
    assert answer["first_wrong_record"] == 100


def test_a_file_that_ends_within_a_record_is_noticed(copy: Path) -> None:
    path = copy / "journal.bin"
    count = len(entries_of(copy))
    path.write_bytes(path.read_bytes()[:-5])
    code, answer = run_json(copy)
    assert (code, failed(answer), answer["first_wrong_record"]) == (1, ["hash chain"], count - 1)


def test_a_journal_cut_short_is_noticed_by_the_published_head(copy: Path) -> None:
    count = len(entries_of(copy))
    rewrite(copy, lambda entries: entries[:-1], with_head=False)
    code, answer = run_json(copy)
    assert code == 1
    assert "published head" in failed(answer)
    assert answer["first_wrong_record"] == count - 1


# Forgeries with good hashes


def test_two_fills_in_another_order_are_noticed(copy: Path) -> None:
    matched = places(copy, "Matched")
    one, other = matched[10], matched[11]
    rewrite(copy, swapped(one, other))
    code, answer = run_json(copy)
    assert code == 1
    assert failed(answer)[0] == "priority and margin of matches"
    assert answer["first_wrong_record"] == one


def test_the_same_without_new_hashes_breaks_the_hash_chain(copy: Path) -> None:
    matched = [e for e in entries_of(copy) if e.kind == "Matched"]
    one, other = next((a, b) for a, b in pairwise(matched) if len(a.payload) == len(b.payload))
    path = copy / "journal.bin"
    data = path.read_bytes()
    first, second = data.index(one.payload), data.index(other.payload)
    size = len(one.payload)
    middle = data[first + size : second]
    path.write_bytes(data[:first] + other.payload + middle + one.payload + data[second + size :])
    code, answer = run_json(copy)
    assert (code, failed(answer)) == (1, ["hash chain"])
    assert answer["first_wrong_record"] == one.sequence


def test_a_dropped_fill_is_noticed(copy: Path) -> None:
    target = places(copy, "Matched")[20]
    rewrite(copy, without(target))
    code, answer = run_json(copy)
    assert code == 1
    assert answer["first_wrong_record"] == target


def test_a_dropped_chain_transaction_is_noticed(copy: Path) -> None:
    target = places(copy, "ChainTransaction")[-3]
    rewrite(copy, without(target))
    code, answer = run_json(copy)
    assert code == 1
    assert "transactions on the chain" in failed(answer)
    step = next(s for s in answer["steps"] if s["name"] == "transactions on the chain")
    assert step["record"] == places(copy, "ChainTransaction")[-2]


def test_a_suppressed_last_transaction_is_noticed(copy: Path) -> None:
    target = places(copy, "ChainTransaction")[-1]
    rewrite(copy, without(target))
    code, answer = run_json(copy)
    assert code == 1
    assert "transactions on the chain" in failed(answer)
    assert answer["first_wrong_record"] is not None


def test_a_dropped_order_that_traded_is_noticed(copy: Path) -> None:
    entries = entries_of(copy)
    first = next(e for e in entries if e.kind == "Matched")
    match = records.decode(first.kind, first.payload)
    assert isinstance(match, Matched)
    target = next(
        e.sequence
        for e in entries
        if e.kind == "OrderPlaced"
        and getattr(records.decode(e.kind, e.payload), "digest", b"") == match.taker
    )
    rewrite(copy, without(target))
    code, answer = run_json(copy)
    assert code == 1
    assert failed(answer)[0] == "priority and margin of matches"
    assert answer["first_wrong_record"] == first.sequence - 1, "one record fewer before it"


def test_an_event_missing_at_the_end_is_noticed(copy: Path) -> None:
    target = places(copy, "OrderDone")[-1]
    rewrite(copy, without(target))
    code, answer = run_json(copy)
    assert code == 1
    assert "priority and margin of matches" in failed(answer)


def gas_of(entry: Record) -> int:
    record = records.decode(entry.kind, entry.payload)
    assert isinstance(record, ChainTransaction)
    return record.gas_used


def test_another_gas_figure_is_noticed(copy: Path) -> None:
    target = places(copy, "ChainTransaction")[5]
    gas = gas_of(entries_of(copy)[target])
    rewrite(copy, with_changed(target, gas_used=gas - 1))
    code, answer = run_json(copy)
    assert code == 1
    assert failed(answer) == ["transactions on the chain"]
    assert answer["first_wrong_record"] == target


def test_what_has_no_twin_in_the_model_is_named_with_its_record(copy: Path) -> None:
    """The chain says that a call succeeded which none of our contracts has."""
    target = places(copy, "ChainTransaction")[5]
    rewrite(copy, with_changed(target, calldata=b"\xde\xad\xbe\xef", succeeded=True))
    code, answer = run_json(copy)
    assert code == 1
    steps = {step["name"]: step for step in answer["steps"]}
    found = [s for s in steps.values() if "NoTwin (7021)" in str(s)]
    assert len(found) == 2, "both the engine and the auditor stop there"
    assert {step["record"] for step in found} == {target}


@pytest.mark.parametrize(
    "fields", [{"digest": bytes(32)}, {"signature": bytes(64)}, {"signer": bytes(20)}]
)
def test_an_order_nobody_signed_is_noticed(copy: Path, fields: dict[str, bytes]) -> None:
    target = places(copy, "OrderPlaced")[7]
    rewrite(copy, with_changed(target, **fields))
    code, answer = run_json(copy)
    assert code == 1
    assert "order signatures" in failed(answer)
    assert answer["first_wrong_record"] == target


def test_a_receipt_that_no_executor_signed_is_noticed(copy: Path) -> None:
    target = places(copy, "Matched")[3]
    rewrite(copy, with_changed(target, receipt=bytes(64)))
    code, answer = run_json(copy)
    assert (code, failed(answer)[0]) == (1, "priority and margin of matches")
    assert answer["first_wrong_record"] == target


def test_another_venues_genesis_is_noticed(copy: Path) -> None:
    rewrite(copy, with_changed(0, chain_id=1))
    code, answer = run_json(copy)
    assert (code, failed(answer)) == (1, ["genesis and parameters"])
    assert answer["first_wrong_record"] == 0


@pytest.mark.parametrize(
    ("name", "place", "sentence"),
    [
        ("clearinghouse", 1, "the clearinghouse was made with another back_office"),
        ("clearinghouse", 0, "the clearinghouse was made with another timelock"),
        ("back_office", 0, "the back_office was made with another timelock"),
        ("custody", 1, "the custody was made with another clearinghouse"),
        ("lens", None, "the code at the lens's address is not this repository's"),
    ],
)
def test_a_contract_made_with_another_peer_is_noticed(
    copy: Path, name: str, place: int | None, sentence: str
) -> None:
    """Its own code is as it must be: only the address it obeys, calls or runs is another."""
    contract = Deployment.load(copy / "deployment.json").addresses[name]
    with LocalNode(NodeOptions(load_state=copy / "chain.json")) as node:
        (copy / "chain.json").unlink()
        client = node.client()
        code = bytearray.fromhex(client.request("eth_getCode", contract, "latest")[2:])
        runtime = compile_contract(CONTRACT_OF[name]).runtime_size_bytes
        code[100 if place is None else runtime + 32 * place + 31] ^= 1
        client.request("anvil_setCode", contract, "0x" + code.hex())
        exit_code, answer = run_json(copy, "--rpc", node.http_url)
    step = next(step for step in answer["steps"] if step["name"] == "genesis and parameters")
    assert (exit_code, step["passed"]) == (1, False)
    assert sentence in str(step)


@pytest.mark.parametrize(
    "figure", [{"fills_matched": 1}, {"custody": "1"}, {"liquidations": 99}, {"solvency_gap": "-1"}]
)
def test_a_false_figure_is_noticed(copy: Path, figure: dict[str, Any]) -> None:
    report(copy, **figure)
    code, answer = run_json(copy)
    assert (code, failed(answer)) == (1, ["reported figures"])


# What is no run at all


def test_an_empty_folder_is_a_usage_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["verify", str(tmp_path)])
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("error: no journal.bin")


@pytest.mark.parametrize("name", ["deployment.json", "result.json"])
@pytest.mark.parametrize("text", ["{", '{"a":' + "[" * 200_000])
def test_garbage_beside_the_journal_is_one_line(
    copy: Path, name: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (copy / name).write_text(text)
    with pytest.raises(SystemExit) as ended:
        main(["verify", str(copy)])
    assert ended.value.code == 2
    assert f"{name}" in capsys.readouterr().err
