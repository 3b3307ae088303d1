"""The Clearinghouse's functions that are code of the BackOffice: one ledger, one lock, one face.

What each function does, and what it refuses, is tested through the Clearinghouse
(test_clearinghouse.py); here is what delegation could break.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from eth_utils.abi import function_abi_to_4byte_selector
from support.clearing import BUYER, SELLER, Clearing, name_of_refusal
from support.core import BTC, ROLES, TERMS, word
from support.rogue import (
    INSTRUMENT,
    ONE,
    REFUSED,
    THROUGH,
    VALUING,
    Rogue,
)

from novate import errors
from novate.chain import compile as compiler
from novate.chain.abi import Abi
from novate.chain.compile import CONTRACTS, compile_contract, layout_of
from novate.chain.harness import GAS_LIMIT, CallReverted, Contract, actor
from novate.model import ledger
from novate.model.ledger import Config
from novate.units import WAD

STRANGER = actor("stranger")
LOCK = "$.nonreentrant_key"
OTHER_CONFIG = Config(trade_band_ppm=10_000).pack()
# every function of the office, called as the role that may, so that it goes through
CALLS: list[tuple[Any, ...]] = [
    ("list_instrument", 2, TERMS[BTC].pack()),
    ("set_caps", INSTRUMENT, 5, 3),
    ("set_config", OTHER_CONFIG),
    ("set_debt_cap", 7),
    ("set_peers", *[actor(f"peer {i}") for i in range(6)]),
    ("set_venue", STRANGER, True),
    ("pause", 60),
    ("move_cash", bytes(32), word(ONE), 0),  # the source is filled in: an account of the waterfall
    ("cut_gains", word(ONE), 1),
    ("distribute_fees",),
    ("settle_expiry", [word(ONE)], 0, 0),
]
NAMES = [call[0] for call in CALLS]


@pytest.fixture
def core() -> Clearing:
    return Clearing()


@pytest.fixture
def rogue() -> Rogue:
    return Rogue()


def as_role(rogue: Rogue, call: tuple[Any, ...]) -> tuple[Any, ...]:
    """The call with a source that the peer, as the waterfall, owns."""
    if call[0] != "move_cash":
        return call
    return call[0], bytes.fromhex(rogue.peer.address[2:]) + bytes(12), *call[2:]


def own_abi(name: str) -> Abi:
    """What a contract declares itself, without what it runs of another's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiler, "DELEGATES", {})
        return Abi(compile_contract.__wrapped__(name).abi)


def raw(contract: Contract, data: bytes, sender: str, value: int = 0) -> str:
    """What a call that must revert reverts with, in hex."""
    chain = contract.chain
    chain.evm.reset_transient_storage()
    with pytest.raises(RuntimeError) as caught:
        chain.evm.message_call(sender, contract.address, calldata=data, value=value, gas=GAS_LIMIT)
    text = str(caught.value)
    return text.split("output: 0x")[1].split()[0].strip(",})") if "output: 0x" in text else ""


# One ledger


def differences(house: dict[str, dict[str, Any]], office: dict[str, dict[str, Any]]) -> list[str]:
    """Variables of the office that are not where the Clearinghouse has the same one."""
    found = []
    for area in ("storage_layout", "transient_storage_layout"):
        for module, held in office[area].items():
            if held != house[area].get(module):
                found.append(f"{area} {module}")
    return found


def test_every_variable_of_the_office_is_where_the_clearinghouse_has_it() -> None:
    house, office = layout_of("Clearinghouse"), layout_of("BackOffice")
    assert differences(house, office) == []
    # the whole ledger is compared, and the lock
    assert list(office["storage_layout"]) == ["ledger"]
    variables = set(office["storage_layout"]["ledger"])
    assert variables >= {"rows", "books", "epochs", "pot", "borrow", "config", "venues", "perps"}
    assert set(office["transient_storage_layout"]) == {LOCK}


def test_the_immutables_of_both_are_those_that_the_deployment_gives() -> None:
    """An immutable is the code's, so the office judges governance by its own."""
    assert set(layout_of("BackOffice")["code_layout"]) == {"ledger"}
    assert set(layout_of("BackOffice")["code_layout"]["ledger"]) == {"GOVERNOR"}
    assert set(layout_of("Clearinghouse")["code_layout"]) == {"ledger", "BACK_OFFICE"}


@pytest.mark.parametrize(
    ("name", "declared", "found"),
    [
        ("BackOffice", "own: uint256", ["storage_layout own", "storage_layout ledger"]),
        ("BackOffice", "own: transient(uint256)", ["transient_storage_layout own"]),
        ("Clearinghouse", "own: uint256", ["storage_layout ledger"]),
        ("Clearinghouse", "own: transient(uint256)", []),
    ],
)
def test_a_variable_before_the_ledger_is_noticed(
    tmp_path: Path, name: str, declared: str, found: list[str]
) -> None:
    """The lock has the first transient slot whatever else a contract declares."""
    folder = tmp_path / "contracts"
    shutil.copytree(CONTRACTS, folder)
    path = folder / f"{name}.vy"
    text = path.read_text()
    assert text.count("\ninitializes: ledger\n") == 1
    path.write_text(text.replace("\ninitializes: ledger\n", f"\n{declared}\ninitializes: ledger\n"))
    assert differences(layout_of("Clearinghouse", folder), layout_of("BackOffice", folder)) == found


def test_what_the_office_writes_the_clearinghouse_reads(core: Clearing) -> None:
    """One word of each variable that the office writes, read by a function of the other."""
    core.trade(BUYER, SELLER, 1_000, 60_000, fee_taker=5 * WAD)
    core.price(61_000)
    core.sweep([BUYER, SELLER])
    core.run("timelock", "set_debt_cap", ledger.set_debt_cap, 3 * WAD)
    core.run("timelock", "set_caps", ledger.set_caps, BTC, 1_001, 999)
    core.set_config(Config(trade_band_ppm=10_000))
    core.run("waterfall", "cut_gains", ledger.cut_gains, SELLER, 100 * WAD)
    core.run("venue", "distribute_fees", ledger.distribute_fees)
    insurance = core.layer(2)
    core.run("waterfall", "move_cash", ledger.move_cash, insurance, BUYER, WAD)
    assert core.clearinghouse.view("debt_cap") == 3 * WAD
    core.compare([BUYER, SELLER, insurance, core.layer(4)])
    core.price(61_000)
    assert core.trade(BUYER, SELLER, 1, 61_000) == "PositionCap"
    assert core.trade(BUYER, SELLER, 1, 62_000) == "PriceOutOfBand"


# One lock


@pytest.mark.parametrize("call", CALLS, ids=NAMES)
def test_the_office_is_closed_while_the_clearinghouse_runs(
    rogue: Rogue, call: tuple[Any, ...]
) -> None:
    """The same caller goes through a moment later: only the lock refused it."""
    rogue.chain.advance(8 * 86_400)
    inner = as_role(rogue, call)
    for outer in VALUING:
        assert rogue.during(outer, inner) == REFUSED, outer[0]
    rogue.run(*inner)


def test_every_valuing_call_does_call_back(rogue: Rogue) -> None:
    """A view that is open at any moment goes through in each of them."""
    for outer in VALUING:
        assert rogue.during(outer, ("market", INSTRUMENT)) == THROUGH, outer[0]


CLOSED: list[tuple[Any, ...]] = [
    *VALUING,
    ("credit", word(ONE), 0, 1),
    ("set_in_auction", word(ONE), True),
    ("pot",),
    ("account", word(ONE)),
    ("positions", word(ONE)),
    ("borrow_index",),
]


@pytest.mark.parametrize("inner", [*CLOSED, *CALLS], ids=lambda call: call[0])
def test_everything_is_closed_while_the_office_runs(rogue: Rogue, inner: tuple[Any, ...]) -> None:
    """The office asks for one thing, what funding has accrued before a new configuration; views
    that other contracts need in the middle of a call stay open.
    """
    rogue.chain.advance(8 * 86_400)
    asking = ("set_config", OTHER_CONFIG)
    assert rogue.during(asking, as_role(rogue, inner)) == REFUSED
    assert rogue.during(asking, ("market", INSTRUMENT)) == THROUGH
    assert rogue.during(asking, ("market_words", [0] * 4)) == THROUGH
    rogue.run(*as_role(rogue, inner))


def test_the_lock_opens_again_within_a_transaction(rogue: Rogue) -> None:
    """Both ways: a transient word lasts until the transaction ends."""
    office, house = rogue.payload("set_debt_cap", 5), rogue.payload("sweep", [word(ONE)])
    for first, second in ((office, office), (office, house), (house, office)):
        rogue.peer.call("run_both", rogue.clearinghouse.address, first, second)
    assert rogue.clearinghouse.view("debt_cap") == 5


# One face


def selectors(abi: Abi) -> dict[bytes, str]:
    functions = [entry for entry in abi.entries if entry["type"] == "function"]
    return {function_abi_to_4byte_selector(entry): entry["name"] for entry in functions}


def test_no_function_of_the_office_is_hidden_by_one_of_the_clearinghouse() -> None:
    house, office = own_abi("Clearinghouse"), own_abi("BackOffice")
    both = Abi(compile_contract("Clearinghouse").abi)
    assert not selectors(house).keys() & selectors(office).keys()
    assert selectors(both) == selectors(house) | selectors(office)
    assert sorted(selectors(office).values()) == sorted(NAMES)
    assert both._events.keys() == house._events.keys() | office._events.keys()


def test_the_office_returns_one_word_at_most() -> None:
    """More would be cut off by the delegation."""
    for entry in compile_contract("BackOffice").abi:
        if entry["type"] == "function":
            assert [output["type"] for output in entry["outputs"]] in ([], ["uint256"]), entry


def test_who_keeps_the_books_is_public(core: Clearing) -> None:
    assert core.clearinghouse.view("BACK_OFFICE") == core.office.address.lower()


def test_what_the_office_returns_comes_through_to_the_byte(core: Clearing) -> None:
    """One word where there is a value, none where there is not; as the model says."""
    core.trade(BUYER, SELLER, 1_000, 60_000, fee_taker=7 * WAD + 4)
    core.price(61_000)
    core.sweep([BUYER, SELLER])
    house, world = core.clearinghouse, core.world

    def output(role: str, function: str, *arguments: Any) -> bytes:
        data = house.abi.encode_call(function, *arguments)
        return core.chain.send(core.address[role], house.address, data)

    cut = ledger.cut_gains(world, core.address["waterfall"], SELLER, 250 * WAD)
    assert 0 < cut < 250 * WAD
    found = output("waterfall", "cut_gains", word(SELLER), 250 * WAD)
    assert found == cut.to_bytes(32, "big")
    assert output("guardian", "distribute_fees") == (7 * WAD + 4).to_bytes(32, "big")
    assert output("guardian", "distribute_fees") == bytes(32)
    assert output("timelock", "set_debt_cap", 7) == b""
    assert output("waterfall", "move_cash", word(core.layer(2)), word(BUYER), WAD) == b""


GUARDS: list[tuple[str, tuple[Any, ...], errors.Error]] = [
    ("timelock", ("list_instrument", 0, TERMS[BTC].pack()), errors.BadTerms),
    ("timelock", ("list_instrument", BTC, TERMS[BTC].pack()), errors.AlreadyListed),
    ("timelock", ("set_caps", 9, 1, 1), errors.UnknownInstrument),
    ("timelock", ("set_config", 0), errors.OutOfBounds),
    ("timelock", ("set_debt_cap", 10**27 + 1), errors.OutOfBounds),
    ("guardian", ("pause", 0), errors.OutOfBounds),
    ("waterfall", ("move_cash", word(BUYER), word(SELLER), 1), errors.NotOwner),
    ("venue", ("set_peers", *[STRANGER] * 6), errors.NotAuthorized),
    ("venue", ("set_venue", STRANGER, True), errors.NotAuthorized),
    ("venue", ("cut_gains", word(BUYER), 1), errors.NotAuthorized),
]


@pytest.mark.parametrize(("role", "call", "error"), GUARDS)
def test_a_refusal_of_the_office_is_its_code_and_nothing_else(
    core: Clearing, role: str, call: tuple[Any, ...], error: errors.Error
) -> None:
    data = core.clearinghouse.abi.encode_call(*call)
    assert raw(core.clearinghouse, data, core.address[role]) == f"{error.selector:08x}"


def test_events_of_the_office_are_the_clearinghouses(core: Clearing) -> None:
    core.by("timelock", core.clearinghouse, "set_debt_cap", 5)
    (event,) = core.chain.events()
    assert (event.name, event.arguments) == ("DebtCapSet", {"debt_cap": 5})
    assert event.address.lower() == core.clearinghouse.address.lower()


def test_what_nobody_declares_reverts(core: Clearing) -> None:
    for data in (b"", b"\x5e", b"\x5e\x84\x47", b"\xde\xad\xbe\xef", b"\xde\xad\xbe\xef" * 20):
        assert raw(core.clearinghouse, data, STRANGER) == "", data
        assert raw(core.office, data, STRANGER) == "", data


def test_arguments_that_do_not_decode_revert(core: Clearing) -> None:
    house, governor = core.clearinghouse, core.address["timelock"]
    whole = house.abi.encode_call("set_venue", STRANGER, True)
    for data in (whole[:-1], whole[:-1] + b"\x02", whole[:4]):
        assert raw(house, data, governor) == ""
    with pytest.raises(CallReverted):
        core.chain.send(governor, house.address, whole[:-1])
    assert not house.view("venues", STRANGER)


def test_no_ether_stays(core: Clearing) -> None:
    chain, house = core.chain, core.clearinghouse
    chain.evm.set_balance(STRANGER, 10**18)
    calls = [b"", house.abi.encode_call("distribute_fees"), house.abi.encode_call("sweep", [])]
    for contract in (house, core.office):
        for data in calls:
            assert raw(contract, data, STRANGER, value=1) == ""
        assert chain.evm.get_balance(contract.address) == 0
    assert chain.evm.get_balance(STRANGER) == 10**18


# The office by itself


def state(core: Clearing) -> list[Any]:
    """What the Clearinghouse shows."""
    view = core.clearinghouse.view
    names = ("pot", "debt_cap", "borrow_index", "risk_model", "custody", "auctioneer", "waterfall")
    found = [view(name) for name in (*names, "guardian")]
    found += [view("market", instrument) for instrument in (*TERMS, 9)]
    found += [view("venues", venue) for venue in (STRANGER, core.address["venue"])]
    accounts = BUYER, SELLER, core.layer(2), core.layer(4)
    return found + [view("account", word(account)) for account in accounts]


def test_called_directly_the_office_knows_no_peer(core: Clearing) -> None:
    for name, caller in {**{r: core.address[r] for r in ROLES}, "stranger": STRANGER}.items():
        for function, arguments in (
            ("move_cash", (word(core.layer(2)), word(BUYER), 0)),
            ("cut_gains", (word(BUYER), 1)),
            ("pause", (60,)),
        ):
            refusal = name_of_refusal(core.office, function, *arguments, sender=caller)
            assert refusal == "NotAuthorized", (function, name)


def test_called_directly_the_office_obeys_no_one_but_the_governor(core: Clearing) -> None:
    for call in CALLS[:6]:
        assert name_of_refusal(core.office, *call, sender=STRANGER) == "NotAuthorized", call[0]


def test_what_is_done_to_the_office_itself_is_nothing_to_the_clearinghouse(
    core: Clearing,
) -> None:
    core.trade(BUYER, SELLER, 1_000, 60_000, fee_taker=7 * WAD)
    core.price(61_000)
    core.sweep([BUYER, SELLER])
    before, office = state(core), core.office
    assert office.call("distribute_fees", sender=STRANGER) == 0
    assert {event.address.lower() for event in core.chain.events()} == {office.address.lower()}
    # its own ledger is empty, so that even the governor finds nothing there
    assert name_of_refusal(office, "set_caps", BTC, 1, 1, sender=core.address["timelock"]) == (
        "UnknownInstrument"
    )
    for call in (
        ("set_venue", STRANGER, True),
        ("set_peers", *[STRANGER] * 6),
        ("set_debt_cap", 1),
        ("list_instrument", 9, TERMS[BTC].pack()),
    ):
        core.by("timelock", office, *call)
    source = bytes.fromhex(STRANGER[2:]) + (2).to_bytes(12, "big")
    assert name_of_refusal(office, "move_cash", source, word(BUYER), 1, sender=STRANGER) == (
        "InsufficientCash"
    )
    assert state(core) == before
    core.compare([BUYER, SELLER])
    assert core.clearinghouse.call("distribute_fees") == 7 * WAD
