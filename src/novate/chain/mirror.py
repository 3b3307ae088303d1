"""The model's World in exactly the state of a freshly deployed venue: the same calls at the same
times, through their twins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from novate.chain.deployment import Deployment, configuration_hash
from novate.chain.plan import (
    cash_token,
    config_of,
    dated_terms_of,
    governance_calls,
    layer_deposits,
    terms_of,
)
from novate.config import Parameters
from novate.errors import InvalidParameter, require
from novate.model import (
    custody,
    ledger,
    margin,
    option_listing,
    option_series,
    oracle,
    surfaces,
    venue,
    waterfall,
)
from novate.model.account import BorrowIndex, account_of
from novate.model.margin import RiskGlobals, RiskParameters
from novate.model.state import World

Twin = Callable[..., Any]


def mirror_world(deployment: Deployment, parameters: Parameters, now: int) -> World:
    """The venue's World at ``now``, before anybody but the layers deposited. Errors:
    InvalidParameter (other parameters)."""
    same = configuration_hash(parameters) == deployment.configuration
    require(same, InvalidParameter, "these are not the parameters of the deployment")
    world = World(
        deployment.deployed_at, {**deployment.addresses, "guardian": deployment.roles.guardian}
    )
    world.ledger.configs["config"] = config_of(parameters)
    world.ledger.borrow["index"] = BorrowIndex(0, deployment.deployed_at)
    calls = governance_calls(parameters, deployment.addresses, deployment.tokens, deployment.roles)
    twins = _twins(parameters)
    for call, time in zip(calls, deployment.executed_at, strict=True):
        world.now = time
        twins[call.contract, call.function](
            world, deployment.addresses["timelock"], *call.arguments
        )
    cash = cash_token(parameters)
    deposits = layer_deposits(parameters, cash)
    for (layer, units), time in zip(deposits, deployment.funded_at, strict=True):
        world.now = time
        account = account_of(deployment.addresses["waterfall"], layer)
        custody.deposit(
            world, deployment.roles.governor, deployment.tokens[cash.name], account, units
        )
    world.now = now
    world.take_events()
    return world


def _twins(parameters: Parameters) -> dict[tuple[str, str], Twin]:
    """(contract, function) -> its twin, called with (world, caller, *arguments)."""
    terms = {instrument.id: terms_of(instrument) for instrument in parameters.instruments}
    for market in parameters.options:
        terms |= dated_terms_of(market)

    def list_instrument(world: World, caller: str, instrument: int, word: int) -> None:
        assert terms[instrument].pack() == word
        ledger.list_instrument(world, caller, instrument, terms[instrument])

    def set_parameters(world: World, caller: str, underlying: int, word: int) -> None:
        margin.set_parameters(world, caller, underlying, RiskParameters.unpack(word))

    def set_globals(world: World, caller: str, *values: int) -> None:
        margin.set_globals(world, caller, RiskGlobals(*values))

    def set_venue(world: World, caller: str, venue: str, approved: bool) -> None:
        world.ledger.venues[venue] = approved

    def by_address(world: World, caller: str, *arguments: object) -> None:
        """Peers and delays live in ``world.addresses`` and in the timelock, not in a table."""

    return {
        ("oracle", "set_nodes"): oracle.set_nodes,
        ("oracle", "set_limits"): oracle.set_limits,
        ("oracle", "register_feed"): oracle.register_feed,
        ("clearinghouse", "set_peers"): by_address,
        ("clearinghouse", "set_venue"): set_venue,
        ("clearinghouse", "set_debt_cap"): ledger.set_debt_cap,
        ("clearinghouse", "list_instrument"): list_instrument,
        ("risk_model", "set_globals"): set_globals,
        ("risk_model", "set_parameters"): set_parameters,
        ("surfaces", "register_underlying"): surfaces.register_underlying,
        ("options", "set_grid"): option_listing.set_grid,
        ("options", "set_exposure_limits"): option_series.set_exposure_limits,
        ("exchange", "set_fees"): venue.set_fees,
        ("exchange", "set_option_fees"): venue.set_option_fees,
        ("exchange", "set_windows"): venue.set_windows,
        ("exchange", "set_executor"): venue.set_executor,
        ("waterfall", "set_auctioneer"): by_address,
        ("waterfall", "set_limits"): waterfall.set_limits,
        ("custody", "set_token"): custody.set_token,
        ("custody", "set_deposit_cap"): custody.set_deposit_cap,
        ("custody", "set_limits"): custody.set_limits,
        ("timelock", "set_delay"): by_address,
    }
