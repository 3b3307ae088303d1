"""A venue deployed through its timelock: on the in-memory chain, on a real node, and mirrored in
the model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from novate.chain.backend import Backend, Call, ClientBackend, HarnessBackend, abi_of
from novate.chain.deploy import deploy
from novate.chain.deployment import CONTRACT_OF, Deployment, Roles
from novate.chain.harness import Chain, actor
from novate.chain.mirror import mirror_world
from novate.chain.node import LocalNode, local_key
from novate.config import Parameters, load
from novate.errors import InvalidParameter, NotAuthorized, Rejected
from novate.model import custody
from novate.model.account import borrow_index
from novate.model.state import World
from novate.model.waterfall import layer_account

GOVERNOR = local_key("governor")
ROLES = Roles(
    governor=GOVERNOR.address.lower(),
    guardian=actor("guardian"),
    executors=(actor("executor"),),
    nodes=tuple(actor(f"node {i}") for i in range(4)),
)
View = Callable[..., Any]


@pytest.fixture(scope="module")
def parameters() -> Parameters:
    return load()


def viewer(backend: Backend, deployment: Deployment) -> View:
    """``view(contract, function, *arguments)`` on the deployed venue."""

    def view(contract: str, function: str, *arguments: Any) -> Any:
        abi = abi_of(CONTRACT_OF[contract])
        output = backend.view(
            Call(deployment.addresses[contract], abi.encode_call(function, *arguments))
        )
        return abi.decode_result(function, len(arguments), output)

    return view


def compare(view: View, world: World, deployment: Deployment, parameters: Parameters) -> None:
    """Every configuration word, and the layers' accounts."""
    for instrument in parameters.instruments:
        terms = world.ledger.terms[instrument.id]
        words = (
            terms.pack(),
            world.ledger.markets[instrument.id].pack(terms),
            world.ledger.config.pack(),
        )
        assert view("clearinghouse", "market", instrument.id) == words
        assert (
            view("oracle", "is_registered", instrument.feed)
            is world.oracle.registered[instrument.feed]
        )
    for underlying in parameters.underlyings:
        word = world.risk.parameters[underlying.id].pack()
        assert view("risk_model", "parameters", underlying.id) == word
    shared = world.risk.globals
    assert view("risk_model", "initial_ratio_ppm") == shared.initial_ratio_ppm
    assert view("risk_model", "credit_cap") == shared.credit_cap
    assert view("risk_model", "stale_drift_ppm_s") == shared.stale_drift_ppm_s
    assert view("oracle", "status") == world.oracle.statuses[0].pack()
    nodes = [view("oracle", "nodes", i) for i in range(len(deployment.roles.nodes))]
    assert (
        nodes == [world.oracle.nodes[i] for i in range(len(nodes))] == list(deployment.roles.nodes)
    )
    pot = world.ledger.pot
    assert view("clearinghouse", "pot") == (pot.fees, pot.debt)
    assert view("clearinghouse", "debt_cap") == pot.debt_cap
    assert view("clearinghouse", "borrow_index") == borrow_index(world) > 0
    exchange = deployment.addresses["exchange"]
    assert view("clearinghouse", "venues", exchange) is world.ledger.venues[exchange] is True
    compare_money(view, world, deployment)


def compare_money(view: View, world: World, deployment: Deployment) -> None:
    """Fees, tokens, queues, cover limits and the layers."""
    assert view("exchange", "settings") == world.exchange.settings.pack()
    for executor in deployment.roles.executors:
        assert view("exchange", "executors", executor) is world.exchange.executors[executor] is True
    for token in deployment.tokens.values():
        row = world.custody.tokens[token]
        sheet = row.balance, row.cap, row.decimals, row.instrument, row.lot_units
        assert view("custody", "token", token) == sheet
        assert view("custody", "queue", token) == custody.queue(world, token)
    cover = world.waterfall.limits[0]
    assert view("waterfall", "event_cap") == cover.event_cap
    assert view("waterfall", "haircut_window") == cover.haircut_window
    for layer in range(1, 5):
        account = layer_account(world, layer)
        slots = view("clearinghouse", "account", account.to_bytes(32, "big"))
        assert slots == world.ledger.accounts[account].slots(), layer


def compare_peers(view: View, world: World) -> None:
    """The roles that the model keeps as addresses."""
    for role in ("custody", "auctioneer", "waterfall", "guardian", "risk_model"):
        assert view("clearinghouse", role) == world.addresses[role]
    assert view("waterfall", "auctioneer") == world.addresses["auctioneer"]


def test_the_model_starts_in_the_same_state_as_the_contracts(parameters: Parameters) -> None:
    backend = HarnessBackend(Chain())
    deployment = deploy(backend, parameters, ROLES)
    world = mirror_world(deployment, parameters, backend.now())
    view = viewer(backend, deployment)
    compare(view, world, deployment, parameters)
    compare_peers(view, world)


def test_a_venue_deploys_by_signed_transactions_on_a_real_node(
    parameters: Parameters, tmp_path: Path
) -> None:
    with LocalNode() as node:
        backend = ClientBackend(node.client(), [GOVERNOR])
        deployment = deploy(backend, parameters, ROLES)
        world = mirror_world(deployment, parameters, backend.now())
        compare(viewer(backend, deployment), world, deployment, parameters)
    path = tmp_path / "deployment.json"
    deployment.save(path)
    assert Deployment.load(path) == deployment


def test_nobody_but_the_timelock_governs(parameters: Parameters) -> None:
    backend = HarnessBackend(Chain())
    deployment = deploy(backend, parameters, ROLES)
    data = abi_of("Exchange").encode_call("set_fees", 0, 0)
    with pytest.raises(Rejected) as caught:
        backend.send(ROLES.governor, [Call(deployment.addresses["exchange"], data)])
    assert caught.value.error == NotAuthorized


def test_custody_waits_longer_once_the_venue_stands(parameters: Parameters) -> None:
    backend = HarnessBackend(Chain())
    deployment = deploy(backend, parameters, ROLES)
    view, delays = viewer(backend, deployment), parameters.timelock_local
    assert (
        view("timelock", "delay_of", deployment.addresses["custody"])
        == delays.custody_delay_seconds
    )
    assert view("timelock", "delay_of", deployment.addresses["exchange"]) == delays.delay_seconds


def test_a_node_count_that_the_roles_do_not_fill_is_refused(parameters: Parameters) -> None:
    seven = replace(parameters, oracle=replace(parameters.oracle, node_count=7))
    with pytest.raises(Rejected) as caught:
        deploy(HarnessBackend(Chain()), seven, ROLES)
    assert caught.value.error == InvalidParameter


def test_a_mirror_needs_the_parameters_of_its_deployment(parameters: Parameters) -> None:
    backend = HarnessBackend(Chain())
    deployment = deploy(backend, parameters, ROLES)
    other = replace(
        parameters, fees=replace(parameters.fees, taker_ppm=parameters.fees.taker_ppm + 1)
    )
    with pytest.raises(Rejected) as caught:
        mirror_world(deployment, other, backend.now())
    assert caught.value.error == InvalidParameter
