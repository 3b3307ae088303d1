"""What a node answers, whoever runs it: a result, a refusal by name, or a fault; nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from web3.providers.base import JSONBaseProvider

from novate.chain.connection import CallReverted, Connection, RpcFault
from novate.errors import BY_SELECTOR, NodeLied, Rejected

STALE = next(e for e in BY_SELECTOR.values() if e.name == "StaleRound")


class Provider(JSONBaseProvider):
    """Answers what it is told to, under the number of the question."""

    def __init__(self, **answer: Any) -> None:
        super().__init__()
        self.answer = answer

    def make_request(self, method: Any, params: Any) -> Any:
        return {"id": next(self.request_counter), **self.answer}

    def make_batch_request(self, requests: Any) -> Any:
        return [self.make_request(*request) for request in requests]


@pytest.mark.parametrize(
    "error",
    [
        "no",
        7,
        ["no"],
        {},
        {"message": None},
        {"message": ["revert"]},
        {"code": 3},
        {"code": 3, "message": "revert", "data": "0xzz"},
        {"code": 3, "message": "revert", "data": "0x123"},
        {"code": 3, "message": "revert", "data": 5},
        {"code": 3, "message": "revert", "data": {"data": "0x"}},
        {"code": [], "message": "revert"},
    ],
)
def test_a_malformed_refusal_is_a_fault_or_a_revert_without_a_name(error: Any) -> None:
    connection = Connection(Provider(error=error))
    with pytest.raises((RpcFault, CallReverted)):
        connection.request("eth_call")
    [found] = connection.request_each("eth_call", [()])
    assert isinstance(found, RpcFault | CallReverted)


def test_a_revert_with_a_registered_rejection_has_its_name() -> None:
    data = "0x" + STALE.selector.to_bytes(4, "big").hex()
    with pytest.raises(Rejected) as refused:
        Connection(Provider(error={"code": 3, "message": "no", "data": data})).request("eth_call")
    assert refused.value.error is STALE


@pytest.mark.parametrize("answer", [{}, {"id": None}, {"id": 99, "result": 1}, {"id": "1"}])
def test_an_answer_to_nothing_is_a_lie(answer: dict[str, Any]) -> None:
    with pytest.raises(RpcFault) as lied:
        Connection(Provider(**answer)).request("eth_call")
    assert lied.value.error is NodeLied
