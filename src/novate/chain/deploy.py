"""Put a venue on a chain: contracts under the timelock, then every setting through it.

Nothing but the timelock ever governs; the deployer holds no power that a later governor would not
have. The stand-in tokens and
the clock that jumps over the delay are for local chains.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from novate.chain.backend import Backend, Call, abi_of
from novate.chain.compile import LOCAL_CONTRACTS
from novate.chain.deployment import CONTRACT_OF, Deployment, Roles, configuration_hash
from novate.chain.plan import (
    GovernanceCall,
    cash_token,
    config_of,
    governance_calls,
    layer_deposits,
)
from novate.config import Parameters
from novate.model.account import account_of


def deploy(backend: Backend, parameters: Parameters, roles: Roles) -> Deployment:
    """Deploy, configure and fund one venue on a local chain. Errors: InvalidParameter, and what a
    setter refuses."""
    addresses, deployed_at = _deploy_contracts(backend, parameters, roles)
    tokens = {
        token.name: backend.deploy(
            roles.governor,
            "TestToken",
            (token.name, token.name[:5], token.decimals),
            LOCAL_CONTRACTS,
        )
        for token in parameters.tokens
    }
    calls = governance_calls(parameters, addresses, tokens, roles)
    executed_at = govern(backend, addresses, roles.governor, calls)
    funded_at = _fund_layers(backend, parameters, addresses, tokens, roles.governor)
    return Deployment(
        chain_id=backend.chain_id,
        block=backend.number(),
        addresses=addresses,
        tokens=tokens,
        roles=roles,
        configuration=configuration_hash(parameters),
        deployed_at=deployed_at,
        executed_at=tuple(executed_at),
        funded_at=tuple(funded_at),
    )


def _deploy_contracts(
    backend: Backend, parameters: Parameters, roles: Roles
) -> tuple[dict[str, str], int]:
    """Addresses by name, and the time of the Clearinghouse's block, where its interest index
    starts."""
    made: dict[str, str] = {}

    def put(name: str, *arguments: object) -> None:
        made[name] = backend.deploy(roles.governor, CONTRACT_OF[name], arguments)

    delays = parameters.timelock_local
    put("timelock", roles.governor, roles.guardian, delays.delay_seconds, delays.window_seconds)
    timelock = made["timelock"]
    put("oracle", timelock)
    put("back_office", timelock)
    put("clearinghouse", timelock, config_of(parameters).pack(), made["back_office"])
    deployed_at = backend.now()
    house, oracle = made["clearinghouse"], made["oracle"]
    put("surfaces", timelock, oracle)
    put("array_builder")
    put("options", timelock, oracle, made["surfaces"], house, made["array_builder"])
    put("risk_model", timelock, house, oracle, made["options"])
    put("custody", timelock, house)
    put("waterfall", timelock, house)
    put("auctioneer", timelock, house, made["waterfall"], oracle)
    put("exchange", timelock, house, oracle)
    put("lens", house, made["custody"])
    return made, deployed_at


def govern(
    backend: Backend, addresses: Mapping[str, str], governor: str, calls: Sequence[GovernanceCall]
) -> list[int]:
    """Schedule all calls, let the longest delay among them pass, execute them in order; when each
    one ran."""
    timelock, abi = addresses["timelock"], abi_of("Timelock")
    operations = []
    for index, call in enumerate(calls):
        data = abi_of(CONTRACT_OF[call.contract]).encode_call(call.function, *call.arguments)
        salt = backend.number().to_bytes(16, "big") + index.to_bytes(16, "big")
        operations.append((addresses[call.contract], data, salt))
    backend.send(
        governor, [Call(timelock, abi.encode_call("schedule", *item)) for item in operations]
    )
    identities = [abi.encode_call("operation_id", *item) for item in operations]
    etas = [
        int.from_bytes(
            backend.view(
                Call(timelock, abi.encode_call("eta_of", backend.view(Call(timelock, data))))
            )
        )
        for data in identities
    ]
    backend.advance(max(max(etas) - backend.now(), 0))
    executions = [Call(timelock, abi.encode_call("execute", *item)) for item in operations]
    return [mined.time for mined in backend.send(governor, executions)]


def _fund_layers(
    backend: Backend,
    parameters: Parameters,
    addresses: Mapping[str, str],
    tokens: Mapping[str, str],
    funder: str,
) -> list[int]:
    """Deposit what the waterfall starts with, out of freshly minted stand-in cash."""
    cash = cash_token(parameters)
    token, custody = tokens[cash.name], addresses["custody"]
    deposits = layer_deposits(parameters, cash)
    total = sum(units for _, units in deposits)
    token_abi, custody_abi = abi_of("TestToken", LOCAL_CONTRACTS), abi_of("Custody")
    backend.send(
        funder,
        [
            Call(token, token_abi.encode_call("mint", funder, total)),
            Call(token, token_abi.encode_call("approve", custody, total)),
        ],
    )
    calls = []
    for layer, units in deposits:
        account = account_of(addresses["waterfall"], layer).to_bytes(32, "big")
        calls.append(Call(custody, custody_abi.encode_call("deposit", token, account, units)))
    return [mined.time for mined in backend.send(funder, calls)]
