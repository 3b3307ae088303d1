"""The replica follows what moves the venue, whatever anybody sends; what it cannot follow stops it
by name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from eth_utils.crypto import keccak
from support.engine import NODE_KEYS, ORACLE_PER_USD, address_of, deployed
from support.surfaces import surface_of

from novate import errors
from novate.chain.backend import abi_of
from novate.chain.deployment import CONTRACT_OF
from novate.chain.mirror import mirror_world
from novate.model.account import Account, account_of, gains
from novate.model.option_id import OptionId
from novate.model.oracle import Observation
from novate.model.settlement import Fill
from novate.services import settle_call
from novate.services.calldata import LENGTH_MAX, Reader, Unreadable, _signed
from novate.services.replica import PEERS, Divergence, NotFollowed, Replica
from novate.services.twins import CHANGES_NOTHING, twins
from novate.units import WAD
from novate.wire import round as wire_round
from novate.wire import surfaces as wire_surfaces
from novate.wire.records import ChainTransaction

Log = tuple[bytes, list[bytes], bytes]


def replica() -> Replica:
    deployment, parameters, now = deployed()
    return Replica(mirror_world(deployment, parameters, now), deployment)


def transaction(
    follower: Replica, contract: str, function: str, *arguments: Any, logs: tuple[Log, ...] = ()
) -> ChainTransaction:
    """A transaction of the trader's that the chain accepted."""
    return ChainTransaction(
        block=1,
        timestamp=follower.world.now,
        position=0,
        transaction=bytes(32),
        sender=bytes.fromhex(address_of("trader")[2:]),
        contract=bytes.fromhex(follower.deployment.addresses[contract][2:]),
        calldata=abi_of(CONTRACT_OF[contract]).encode_call(function, *arguments),
        succeeded=True,
        gas_used=0,
        events=list(logs),
    )


def test_a_governance_call_on_the_office_itself_moves_nothing() -> None:
    follower = replica()
    data = abi_of("BackOffice").encode_call("set_debt_cap", 1)
    before = follower.world.state_hash()
    office = follower.deployment.addresses["back_office"]
    follower.apply(transaction(follower, "timelock", "execute", office, data, bytes(32)))
    assert follower.world.state_hash() == before
    house = follower.deployment.addresses["clearinghouse"]
    follower.apply(transaction(follower, "timelock", "execute", house, data, bytes(32)))
    assert follower.world.ledger.pot.debt_cap == 1


def test_an_event_of_the_office_itself_is_none_of_the_venues() -> None:
    """A token that calls the office in the middle of a deposit leaves such a log."""
    follower = replica()
    addresses, token = follower.deployment.addresses, follower.deployment.tokens["USDC"]
    account = account_of(address_of("trader"))
    raw = account.to_bytes(32, "big")

    def log(contract: str, signature: str, topics: list[bytes], *words: int) -> Log:
        data = b"".join(word.to_bytes(32, "big") for word in words)
        topic = bytes(keccak(signature.encode()))
        return bytes.fromhex(addresses[contract][2:]), [topic, *topics], data

    foreign = log("back_office", "FeesDistributed(uint256,uint256)", [], 0, 0)
    deposited = log("custody", "Deposited(bytes32,address,uint256)", [raw], int(token, 16), 10**6)
    record = transaction(
        follower, "custody", "deposit", token, raw, 10**6, logs=(foreign, deposited)
    )
    outcome = follower.apply(record)
    assert [found.name for found in outcome.events] == ["Deposited"]
    assert follower.world.ledger.accounts[account].cash == WAD


def test_the_office_is_deployed_but_does_not_act() -> None:
    deployment = replica().deployment
    assert deployment.addresses.keys() - deployment.acting().keys() == {"back_office"}


# Anybody may send anything

ACCOUNT = account_of(address_of("trader")).to_bytes(32, "big")
SWEEP = abi_of("Clearinghouse").encode_call("sweep", [ACCOUNT])


def sent(follower: Replica, contract: str, calldata: bytes, succeeded: bool) -> ChainTransaction:
    """A transaction with such calldata."""
    made = transaction(follower, "clearinghouse", "distribute_fees")
    address = bytes.fromhex(follower.deployment.addresses[contract][2:])
    return msgspec.structs.replace(made, contract=address, calldata=calldata, succeeded=succeeded)


@pytest.mark.parametrize("calldata", [b"", b"\xde\xad", b"\xde\xad\xbe\xef", SWEEP[:35], SWEEP[:4]])
def test_what_no_function_accepts_reverts_and_changes_nothing(calldata: bytes) -> None:
    follower = replica()
    before = follower.world.state_hash()
    for contract in follower.deployment.acting():
        outcome = follower.apply(sent(follower, contract, calldata, succeeded=False))
        assert (outcome.function, outcome.unexplained) == ("", False)
    assert follower.world.state_hash() == before


def test_a_view_sent_as_a_transaction_changes_nothing() -> None:
    follower = replica()
    before = follower.world.state_hash()
    for contract, function, *arguments in (
        ("clearinghouse", "pot"),
        ("clearinghouse", "check", ACCOUNT),
        ("risk_model", "evaluate", []),
        ("lens", "margin", ACCOUNT),
        ("timelock", "governor"),
    ):
        assert follower.apply(transaction(follower, contract, function, *arguments)).succeeded
    assert follower.world.state_hash() == before


def test_a_revert_that_the_model_cannot_explain_stops_nothing() -> None:
    """The tokens were not approved: nothing that the model knows."""
    follower = replica()
    before = follower.world.state_hash()
    token = follower.deployment.tokens["USDC"]
    deposit = abi_of("Custody").encode_call("deposit", token, ACCOUNT, 10**6)
    assert follower.apply(sent(follower, "custody", deposit, succeeded=False)).unexplained
    nothing = abi_of("Custody").encode_call("deposit", token, ACCOUNT, 0)
    assert not follower.apply(sent(follower, "custody", nothing, succeeded=False)).unexplained
    assert follower.world.state_hash() == before


def test_a_world_that_runs_ahead_cannot_say_what_the_chain_must_accept() -> None:
    deployment, parameters, now = deployed()
    ahead = Replica(mirror_world(deployment, parameters, now), deployment, check_events=False)
    assert not ahead.apply(sent(ahead, "clearinghouse", SWEEP, succeeded=False)).unexplained


def test_an_operation_executed_too_early_changes_nothing() -> None:
    follower = replica()
    before = follower.world.state_hash()
    house = follower.deployment.addresses["clearinghouse"]
    data = abi_of("BackOffice").encode_call("set_debt_cap", 1)
    call = abi_of("Timelock").encode_call("execute", house, data, bytes(32))
    follower.apply(sent(follower, "timelock", call, succeeded=False))
    assert follower.world.state_hash() == before


# Calldata as the contracts read it


def words(*items: int) -> bytes:
    return b"".join((item % 2**256).to_bytes(32, "big") for item in items)


def sweep_of(body: bytes) -> list[bytes]:
    name, arguments = Reader(abi_of("Clearinghouse")).read(SWEEP[:4] + body)
    assert name == "sweep"
    return list(arguments[0])


def test_arrays_stand_where_the_offset_points_and_end_in_zeros() -> None:
    assert sweep_of(words(32, 1, 7)) == [words(7)]
    assert sweep_of(words(32, 1, 7) + b"more") == [words(7)]
    assert sweep_of(words(0)) == [], "the offset is the length"
    assert sweep_of(words(64, 99, 1, 7)) == [words(7)]
    assert sweep_of(words(32, 1)) == [words(0)]
    assert sweep_of(words(32, 1) + b"\x07") == [words(7 << 248)]
    assert sweep_of(words(2**255)) == []
    assert sweep_of(words(-32, 5)) == [], "a word before the first is beyond the end"


def test_bytes_have_any_padding_and_words_must_fit_their_type() -> None:
    reader = Reader(abi_of("Timelock"))
    honest = abi_of("Timelock").encode_call("execute", "0x" + "11" * 20, b"abc", bytes(32))
    assert reader.read(honest) == ("execute", ("0x" + "11" * 20, b"abc", bytes(32)))
    assert reader.read(honest[:-1] + b"\x01") == reader.read(honest)
    with pytest.raises(Unreadable):
        reader.read(honest[:4] + words(2**160) + honest[36:])
    with pytest.raises(Unreadable):
        sweep_of(words(32, LENGTH_MAX + 1))


def test_a_signed_word_is_its_two_s_complement_within_its_bits() -> None:
    """Options.move_interest: only the Clearinghouse may, but anybody may try."""
    reader = Reader(abi_of("Options"))
    for change in (-5, 2**255 - 1):
        made = abi_of("Options").encode_call("move_interest", 1, change)
        assert reader.read(made) == ("move_interest", (1, change))
    assert _signed("int8", 2**256 - 128) == -128
    for word in (128, 2**256 - 129, 2**255):
        with pytest.raises(Unreadable, match="is no int8"):
            _signed("int8", word)


# What cannot be followed


def governed(follower: Replica, contract: str, data: bytes) -> ChainTransaction:
    """An operation on a contract that the timelock executed."""
    target = follower.deployment.addresses[contract]
    return transaction(follower, "timelock", "execute", target, data, bytes(32))


def peers(follower: Replica, **moved: str) -> bytes:
    held = {role: follower.world.addresses[role] for role in PEERS} | moved
    return abi_of("BackOffice").encode_call("set_peers", *held.values())


def test_another_guardian_is_followed_and_the_old_one_is_none() -> None:
    follower = replica()
    old, new = follower.world.addresses["guardian"], address_of("trader")
    follower.apply(governed(follower, "clearinghouse", peers(follower, guardian=new)))
    assert follower.world.addresses["guardian"] == new
    follower.apply(transaction(follower, "clearinghouse", "pause", 60))
    assert follower.world.ledger.config.paused_until == follower.world.now + 60
    pause = transaction(follower, "clearinghouse", "pause", 60)
    with pytest.raises(Divergence, match="ReplicaDiverged"):
        follower.apply(msgspec.structs.replace(pause, sender=bytes.fromhex(old[2:])))


def test_where_a_guardian_moved_is_undone_and_hashed_with_the_world() -> None:
    world = replica().world
    before, old = world.state_hash(), world.addresses["guardian"]
    with pytest.raises(KeyError), world.store.transaction():
        world.addresses["guardian"] = "0x" + "AB" * 20
        assert world.addresses["guardian"] == "0x" + "ab" * 20
        assert world.state_hash() != before
        raise KeyError
    assert (world.state_hash(), world.addresses["guardian"]) == (before, old)
    with pytest.raises(TypeError):
        del world.addresses["guardian"]
    assert len(world.addresses) == len(list(world.addresses))


@pytest.mark.parametrize("role", [role for role in PEERS if role != "guardian"])
def test_a_peer_with_other_code_stops_the_replica(role: str) -> None:
    follower = replica()
    before = follower.world.state_hash()
    record = governed(follower, "clearinghouse", peers(follower, **{role: "0x" + "11" * 20}))
    with pytest.raises(NotFollowed, match=rf"NoTwin \(7021\).*becomes the {role}"):
        follower.apply(record)
    assert follower.world.state_hash() == before


def test_what_governs_the_timelock_itself_is_nothing_to_the_world() -> None:
    follower = replica()
    before = follower.world.state_hash()
    target = follower.deployment.addresses["custody"]
    for data in (
        abi_of("Timelock").encode_call("set_delay", target, 86_400),
        abi_of("Timelock").encode_call("set_governor", address_of("trader")),
        abi_of("Timelock").encode_call("governor"),
    ):
        follower.apply(governed(follower, "timelock", data))
    assert follower.world.state_hash() == before


def test_an_operation_elsewhere_must_leave_the_venue_alone() -> None:
    follower = replica()
    addresses, token = follower.deployment.addresses, follower.deployment.tokens["USDC"]
    record = transaction(follower, "timelock", "execute", token, b"", bytes(32))
    follower.apply(record)
    topic = bytes(keccak(b"FeesDistributed(uint256,uint256)"))
    log = (bytes.fromhex(addresses["clearinghouse"][2:]), [topic], bytes(64))
    with pytest.raises(NotFollowed, match="it moved"):
        follower.apply(msgspec.structs.replace(record, events=[log]))


def unknown_selector(follower: Replica) -> ChainTransaction:
    return sent(follower, "clearinghouse", b"\xde\xad\xbe\xef", succeeded=True)


def governed_garbage(follower: Replica) -> ChainTransaction:
    return governed(follower, "custody", b"")


def no_twin(follower: Replica) -> ChainTransaction:
    return transaction(follower, "waterfall", "set_auctioneer", "0x" + "11" * 20)


def not_ours(follower: Replica) -> ChainTransaction:
    record = transaction(follower, "waterfall", "layers")
    return msgspec.structs.replace(record, contract=bytes(20))


@pytest.mark.parametrize("made", [unknown_selector, governed_garbage, no_twin, not_ours])
def test_what_succeeded_without_a_twin_stops_the_replica_by_name(
    made: Callable[[Replica], ChainTransaction],
) -> None:
    follower = replica()
    before, now = follower.world.state_hash(), follower.world.now
    record = msgspec.structs.replace(made(follower), timestamp=now + 5)
    with pytest.raises(NotFollowed, match="NoTwin") as stopped:
        follower.apply(record)
    assert stopped.value.error is errors.NoTwin
    assert (follower.world.state_hash(), follower.world.now) == (before, now)
    with pytest.raises(NotFollowed):
        follower.apply(transaction(follower, "clearinghouse", "pot"))


def test_every_function_of_the_venue_is_followed_or_changes_nothing() -> None:
    """A function that is new here needs a twin, a word in CHANGES_NOTHING, or a reason below."""
    replicas_own = {
        ("oracle", "post_round"),
        ("surfaces", "post_surfaces"),
        ("surfaces", "post_settlement"),
        ("exchange", "settle"),
    }
    once_at_genesis = {("waterfall", "set_auctioneer")}
    known = twins().keys() | CHANGES_NOTHING | replicas_own | once_at_genesis
    for contract in replica().deployment.acting().keys() - {"timelock"}:
        for name, functions in abi_of(CONTRACT_OF[contract]).functions.items():
            view = all(f["stateMutability"] in ("view", "pure") for f in functions)
            assert view or (contract, name) in known, f"{contract}.{name}"


def test_what_the_chain_accepted_and_the_model_does_not_stops_the_replica() -> None:
    follower = replica()
    token = follower.deployment.tokens["USDC"]
    with pytest.raises(Divergence, match=r"ReplicaDiverged \(7020\).*NoRequest"):
        follower.apply(transaction(follower, "custody", "withdraw", ACCOUNT, token))
    assert follower.stopped is not None and follower.stopped.error is errors.ReplicaDiverged


# Contract wallets: only the chain asked them


def test_a_consent_that_anyone_had_confirmed_is_followed() -> None:
    follower = replica()
    wallet, digest = "0x" + "22" * 20, b"\x05" * 32
    follower.apply(transaction(follower, "exchange", "confirm_wallet", wallet, digest, b"x"))
    assert follower.world.exchange.confirmed[wallet, digest] > follower.world.now
    record = transaction(follower, "exchange", "confirm_wallet", wallet, digest, b"x")
    assert not follower.apply(msgspec.structs.replace(record, succeeded=False)).unexplained


SIGNATURE, USED = errors.BadSignature.selector, errors.ReceiptUsed.selector
PRICE, EXPIRED = errors.LimitPrice.selector, errors.OrderExpired.selector


@pytest.mark.parametrize(
    ("barred", "consents"),
    [
        ({}, [True, True, True]),
        ({0: SIGNATURE, 1: SIGNATURE}, [False, False, False]),
        ({0: SIGNATURE}, [True, False, True]),
        ({1: SIGNATURE}, [True, True, False]),
        ({0: SIGNATURE, 1: PRICE}, [True, False, True]),
        ({0: SIGNATURE, 1: EXPIRED}, [True, False, True]),
        ({0: SIGNATURE, 1: USED}, [False, False, True]),
    ],
)
def test_a_wallet_consented_unless_its_signature_barred_all_that_got_so_far(
    barred: dict[int, int], consents: list[bool]
) -> None:
    """Order 0 takes from orders 1 and 2."""
    fills = [Fill(0, 1, 5, 1), Fill(0, 2, 5, 1)]
    assert [settle_call.consented(place, fills, barred) for place in range(3)] == consents


# Options and dated futures


def test_an_expiry_is_followed_from_its_surface_to_its_settlement() -> None:
    """What anybody sends of signed rounds, surfaces and prints, by calldata alone."""
    deployment, parameters, now = deployed()
    follower = Replica(mirror_world(deployment, parameters, now), deployment, check_events=False)
    world, keys = follower.world, list(enumerate(NODE_KEYS))[:3]
    domains = [
        module.domain_separator(deployment.chain_id, deployment.addresses[name])
        for module, name in ((wire_round, "oracle"), (wire_surfaces, "surfaces"))
    ]

    def send(contract: str, function: str, *arguments: Any) -> None:
        assert follower.apply(transaction(follower, contract, function, *arguments)).succeeded

    btc = next(market for market in parameters.options if market.underlying == 1)
    price = 100_000 * ORACLE_PER_USD
    words = [Observation(btc.feed, price, price).pack()]
    made = wire_round.signed_round(domains[0], 1, world.now, words, keys)
    send("oracle", "post_round", *made.arguments())
    expiry = world.now // btc.period_seconds * btc.period_seconds + 30 * btc.period_seconds
    slices = surface_of([expiry], world.now)
    seen = wire_surfaces.signed_surfaces(domains[1], 1, world.now, 1, slices, keys)
    send("surfaces", "post_surfaces", *seen.arguments())
    assert world.surfaces.words[1, 0] == slices[0]
    send("options", "list_expiry", 1, expiry)
    send("options", "list_strike", 1, 0, price)
    send("options", "refresh", 1, 0)
    call = OptionId(1, 0, 0, False).pack()
    assert world.options.listed[1, 0] == (expiry, (price,)) and world.options.arrays[call]
    world.now = expiry
    printed = wire_surfaces.signed_settlement(domains[1], 1, expiry, price + 7, keys)
    send("surfaces", "post_settlement", *printed.arguments())
    assert world.surfaces.prints[1, expiry] == price + 7
    account = account_of(address_of("trader"))
    world.ledger.accounts[account] = Account(positions=((call, 3),))
    world.options.series[1, 0] = world.options.series[1, 0]._replace(open=3)
    send("clearinghouse", "settle_expiry", [account.to_bytes(32, "big")], 1, 0)
    row = world.ledger.accounts[account]
    assert row.positions == () and world.ledger.unpaired[1, 0] == 3
    # seven oracle units, three lots of a hundredth of a bitcoin: a gain, in shares of 1e12 wei
    assert row.cash + gains(world, row) == 7 * 10**8 * 3 // 100
