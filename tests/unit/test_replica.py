"""The replica follows what moves the venue; what is done to the back office itself does not."""

from __future__ import annotations

from typing import Any

from eth_utils.crypto import keccak
from support.engine import address_of, deployed

from novate.chain.backend import abi_of
from novate.chain.deployment import CONTRACT_OF
from novate.chain.mirror import mirror_world
from novate.model.account import account_of
from novate.services.replica import Replica
from novate.units import WAD
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
