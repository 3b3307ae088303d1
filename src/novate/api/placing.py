"""One signed order on its way: read, its signer recovered, entered, and what became of it.

Owns: the path from ``private/buy``'s parameters to its answer, as calls that follow one another: no
coroutine waits in between, and no task. A signed order enters once, however often and from how many
connections it is sent; until its signer is known, whoever sent it may leave and it does not enter.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from novate.api.core import Answer
from novate.api.orders import OrderState
from novate.api.outcomes import about
from novate.api.refusals import refusal
from novate.api.rpc import Call, Told
from novate.api.signed_orders import PlaceOrder, instructed, order_of, signature_bytes
from novate.errors import BadSignature, Rejected, require
from novate.wire.records import AnyRecord

if TYPE_CHECKING:
    from novate.api.venue import VenueApi


class Placing:
    """An order under way; ``told`` gets what became of it, or the exception, unless cancelled."""

    __slots__ = ("_amends", "_call", "_digest", "_order", "_params", "_signature", "_told")

    def __init__(
        self, call: Call, params: PlaceOrder, told: Told, sells: bool, amends: bool = False
    ) -> None:
        """Read the order and ask who signed it. Errors: ``InvalidField``, those of names."""
        venue = call.session.venue
        self._call, self._params, self._amends = call, params, amends
        self._told: Told | None = told
        self._order = order_of(call, params, sells)
        self._signature = signature_bytes("signature", params.signature)
        self._digest = venue.gateway.digest(self._order)
        venue.signatures.ask((self._digest, self._signature), self._recovered)

    def cancel(self) -> None:
        """Nobody waits for it any more."""
        self._told = None

    def _recovered(self, signer: str | BaseException) -> None:
        """Enter it, unless it has been before."""
        told, venue = self._told, self._call.session.venue
        if told is None:
            return
        try:
            if isinstance(signer, BaseException):
                raise signer
            command = self._command(signer)
            known = venue.orders.by_digest.get(self._digest)
            if known is None:
                enter(venue, self._digest, command, self._entered)
                return
            outcome: object = outcome_of(venue, known, self._digest)
        except Exception as refused:
            outcome = about(refused, (self._digest,))
        told(outcome)

    def _command(self, signer: str) -> AnyRecord:
        """What enters the journal. Errors: those of the gateway, ``InvalidField``."""
        call, params = self._call, self._params
        venue = call.session.venue
        require(not params.signer or params.signer.lower() == signer, BadSignature)
        command = venue.gateway.placed(
            self._order,
            self._digest,
            self._signature,
            signer,
            call.us_in // 1_000,  # division: to milliseconds
            params.time_in_force == "fill_or_kill",
            params.self_trading,
            params.label,
        )
        command = instructed(command, params, venue.market.named(params.instrument_name).tick)
        return replace(command, amends=True) if self._amends else command

    def _entered(self, answer: Answer) -> None:
        """It is durable, or was refused."""
        told, venue = self._told, self._call.session.venue
        answer.exception()  # it was heard, though nobody may wait any more
        if told is None:
            return
        try:
            require_entered(answer)
            known = venue.orders.by_digest[self._digest]
            outcome: object = outcome_of(venue, known, self._digest)
        except Exception as refused:
            outcome = about(refused, (self._digest,))
        told(outcome)


async def place(
    call: Call, params: PlaceOrder, sells: bool, amends: bool = False
) -> dict[str, Any]:
    """Verify, enter, and say what became of it; ``amends``: in place of the open order of its
    nonce. Errors: those of the gateway and the engine.
    """
    found: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

    def told(outcome: Any) -> None:
        if found.done():
            return  # who asked has left
        if isinstance(outcome, Exception):
            found.set_exception(outcome)
        else:
            found.set_result(outcome)

    placing = Placing(call, params, told, sells, amends)
    try:
        return await found
    finally:
        placing.cancel()


def outcome_of(venue: VenueApi, known: OrderState, digest: bytes) -> dict[str, Any]:
    """An order's state and the trades it took. Errors: why it was rejected."""
    if known.state == "rejected":
        raise refusal(venue.market, known)
    trades = taken_by(venue, known, digest) if known.filled else []
    return {"order": venue.market.order(known), "trades": trades}


def taken_by(venue: VenueApi, state: OrderState, digest: bytes) -> list[dict[str, Any]]:
    """The trades that an order took, oldest first; none is older than the order itself."""
    newest_first = reversed(venue.orders.by_instrument[state.terms.instrument])
    since = takewhile(lambda trade: trade.timestamp_ms >= state.created_ms, newest_first)
    found = [venue.market.trade(trade) for trade in since if trade.match.taker == digest]
    return found[::-1]


def enter(
    venue: VenueApi, digest: bytes, command: AnyRecord, told: Callable[[Answer], None]
) -> None:
    """The one entry of what a digest names, whose answer all are told who send it meanwhile; it is
    under way until it is durable or refused, whoever still waits.
    """
    under_way = venue.placing.get(digest)
    if under_way is not None:
        under_way.add_done_callback(told)
        return

    def over(answer: Answer) -> None:
        del venue.placing[digest]
        told(answer)

    under_way = venue.placing[digest] = venue.core.begin([command])
    under_way.add_done_callback(over)


def require_entered(answer: Answer) -> None:
    """Errors: why what was entered was not."""
    found = answer.result()
    if found and isinstance(found[0], Rejected):
        raise found[0]


async def entered(venue: VenueApi, digest: bytes, command: AnyRecord) -> None:
    """Enter what a digest names, and wait until it is durable. Errors: why it is not."""
    heard: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    def told(answer: Answer) -> None:
        answer.exception()  # it was heard, though nobody may wait any more
        if not heard.done():
            heard.set_result(answer)

    enter(venue, digest, command, told)
    require_entered(await heard)
