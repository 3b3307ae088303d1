"""JSON-RPC 2.0: requests in, replies out, and the registry of methods.

Owns: the envelope (``usIn``, ``usOut``, ``usDiff`` in microseconds), reading untrusted bytes, and
the way a method is found and its parameters are typed. A method is an async function of a ``Call``
and a ``msgspec.Struct`` of parameters; what it raises as ``Rejected`` becomes the reply's
``error``, and anything else is logged under a number of its own and answered without a traceback.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Protocol

import msgspec

from novate.api.rejections import error_object
from novate.errors import (
    InternalFault,
    InvalidField,
    MalformedMessage,
    NotAuthenticated,
    Rejected,
    ScopeMissing,
    UnknownMethod,
    require,
)

if TYPE_CHECKING:
    from novate.api.session import Session

MESSAGE_BYTES_MAX = 65_536
# More brackets than this cannot nest deeper than the parser's own bound, nor are they a request.
BRACKETS_MAX = 1_024
ID_CHARACTERS_MAX = 64
_AT = re.compile(r" - at `\$\.?([^`]+)`\Z")
_OBJECT = re.compile(r"\AObject (?:missing required|contains unknown) field `([^`]+)`\Z", re.DOTALL)
_SHORT = msgspec.Meta(max_length=ID_CHARACTERS_MAX)
_SMALL = msgspec.Meta(ge=-(2**63), le=2**63 - 1)
_LOG = logging.getLogger("novate.api")


class Request(msgspec.Struct):
    """One request; ``id`` comes back as it was sent."""

    method: str
    jsonrpc: str = "2.0"
    id: Annotated[int, _SMALL] | Annotated[str, _SHORT] | None = None
    params: msgspec.Raw = msgspec.Raw(b"{}")


class Parameters(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Base of every method's parameters: an unknown one is refused by its name."""


class Call(NamedTuple):
    """One call of a method: who asks, when it came (unix microseconds)."""

    session: Session
    us_in: int


class Cancellable(Protocol):
    """What is under way for somebody, until he leaves."""

    def cancel(self) -> object:
        """He has left: he is told nothing more."""
        ...


Told = Callable[[object], None]  # is told a result, or the exception instead of it, once
Handler = Callable[[Call, Any], Coroutine[Any, Any, Any]]
Begin = Callable[[Call, Any, Told], Cancellable]


@dataclass(frozen=True, slots=True)
class Method:
    """A method: its name, parameters, the scope it needs ("" for none), and its cost in credits.

    ``begin`` does what ``handler`` does, without a task of its own to wait in.
    """

    name: str
    parameters: type[Parameters]
    handler: Handler
    scope: str
    cost: int
    begin: Begin | None = None
    is_cancel: bool = False  # it has credits of its own
    of_quotes: bool = False  # a login for quotes alone may call it, too


METHODS: dict[str, Method] = {}
QUOTE = "quote"  # the scope of logins for quotes alone
_DECODER = msgspec.json.Decoder(Request)
_ENCODER = msgspec.json.Encoder()


def method(
    name: str,
    parameters: type[Parameters],
    scope: str = "",
    cost: int = 1,
    begin: Begin | None = None,
    of_quotes: bool = False,
) -> Callable[[Handler], Handler]:
    """Register the function below as a method."""

    def keep(handler: Handler) -> Handler:
        assert name not in METHODS, name
        is_cancel = name.startswith(("private/cancel", "private/disable_cancel"))
        given = scope, cost, begin, is_cancel, of_quotes
        METHODS[name] = Method(name, parameters, handler, *given)
        return handler

    return keep


def read(data: bytes | str) -> Request:
    """The request in some untrusted bytes. Errors: ``MalformedMessage``."""
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    if raw.count(b"[") + raw.count(b"{") > BRACKETS_MAX:
        raise Rejected(MalformedMessage, f"more than {BRACKETS_MAX} brackets")
    try:
        request = _DECODER.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Rejected(MalformedMessage, str(error)[:200]) from None
    sound = request.jsonrpc == "2.0"
    require(sound, MalformedMessage, 'jsonrpc: must be "2.0"')
    return request


def typed(params: object, kind: type[Parameters]) -> Parameters:
    """Parameters as their type. Errors: ``InvalidField``, naming the field."""
    try:
        if isinstance(params, msgspec.Raw):
            found = _decoder(kind).decode(params)
        else:
            # a query string: every value is text
            found = msgspec.convert(params, kind, strict=False)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Rejected(InvalidField, named(str(error))[:200]) from None
    return found


@lru_cache(None)  # as many as there are methods
def _decoder(kind: type[Parameters]) -> msgspec.json.Decoder[Parameters]:
    return msgspec.json.Decoder(kind)


def named(text: str) -> str:
    """What is wrong with a parameter, its name first."""
    found = _AT.search(text) or _OBJECT.search(text)
    if found is None:
        return f"params: {text}"
    rest = text[: found.start()] if found.re is _AT else text
    name = "".join(c if c.isprintable() else "?" for c in found[1][:64])
    return f"{name}: {rest.partition(' `')[0] if found.re is _OBJECT else rest}"


class Reply(msgspec.Struct):
    """What a request that succeeded gets; times in microseconds."""

    jsonrpc: str
    id: int | str | None
    result: Any
    usIn: int
    usOut: int
    usDiff: int
    testnet: bool


@dataclass(slots=True)
class Asked:
    """One request under way; ``reply`` gets the bytes of its answer."""

    session: Session
    request: Request
    us_in: int
    reply: Callable[[bytes], None]
    began: float

    def over(self, outcome: object) -> None:
        """Answer with the result, or with the error behind an exception."""
        session, request, us_in = self.session, self.request, self.us_in
        count(session, request.method, self.began)
        if not isinstance(outcome, Exception):
            out = now_us()
            times = us_in, out, out - us_in
            done = Reply("2.0", request.id, outcome, *times, session.testnet)
            try:
                reply = _ENCODER.encode(done)
            except (TypeError, ValueError, OverflowError) as fault:
                outcome = fault  # a result that is no JSON
            else:
                self.reply(reply)
                return
        error = error_of(session, request.method, outcome)
        self.reply(finish(session, {"jsonrpc": "2.0", "id": request.id, "error": error}, us_in))

    def ended(self, task: asyncio.Task[Any]) -> None:
        """The same of a task; one that was cancelled has nobody to answer."""
        if not task.cancelled():
            self.over(task.exception() or task.result())


def begin(
    session: Session, request: Request, us_in: int, reply: Callable[[bytes], None]
) -> Cancellable | None:
    """Carry out a request: ``reply`` is called once, now or later, with the bytes of the answer,
    unless what is returned has been cancelled.
    """
    asked = Asked(session, request, us_in, reply, time.perf_counter())
    try:
        found = admitted(session, request.method)
        params = typed(request.params, found.parameters)
        if found.begin is not None:
            return found.begin(Call(session, us_in), params, asked.over)
        task = asyncio.ensure_future(found.handler(Call(session, us_in), params))
    except Exception as refused:
        asked.over(refused)
        return None
    task.add_done_callback(asked.ended)
    return task


async def answer(session: Session, request: Request, us_in: int | None = None) -> bytes:
    """Carry out a request; the bytes of its answer."""
    told: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    start = us_in if us_in is not None else now_us()

    def tell(reply: bytes) -> None:
        if not told.done():
            told.set_result(reply)

    under_way = begin(session, request, start, tell)
    try:
        return await told
    finally:
        if under_way is not None:
            under_way.cancel()  # who asked may have left; of what is done, this changes nothing


async def outcome(session: Session, name: str, params: object, us_in: int) -> dict[str, Any]:
    """The result of a method, or its error."""
    began = time.perf_counter()
    try:
        found = admitted(session, name)
        return {
            "result": await found.handler(Call(session, us_in), typed(params, found.parameters))
        }
    except Exception as refused:
        return {"error": error_of(session, name, refused)}
    finally:
        count(session, name, began)


def error_of(session: Session, name: str, fault: Exception) -> dict[str, Any]:
    """The error that is answered; of a fault of ours nothing but that there was one."""
    if isinstance(fault, Rejected):
        return error_object(fault)
    session.venue.faults += 1
    _LOG.error("method %s failed", name[:64], exc_info=fault)
    return error_object(Rejected(InternalFault))


def count(session: Session, name: str, began: float) -> None:
    """Figures of a request that is answered."""
    label = name if name in METHODS else "unknown"
    session.venue.requests[label] += 1
    session.venue.seconds[label] += time.perf_counter() - began


def admitted(session: Session, name: str) -> Method:
    """The method of a name, paid for. Errors: ``UnknownMethod``, ``NotAuthenticated``,
    ``ScopeMissing``, ``BadSignature``, ``TooManyRequests``.
    """
    found = METHODS.get(name)
    if found is None:
        raise Rejected(UnknownMethod, name[:64])
    session.spend(found)
    if found.scope:
        if session.account == 0:
            raise Rejected(NotAuthenticated)
        if found.scope not in session.scopes and not (found.of_quotes and QUOTE in session.scopes):
            raise Rejected(ScopeMissing, found.scope)
        # a session key may have expired or been removed since the login
        session.venue.gateway.require_signs_for(session.account, session.signer)
    return found


def finish(session: Session, reply: dict[str, Any], us_in: int) -> bytes:
    """The bytes of a reply, with its times and whether this is a test venue."""
    out = now_us()
    reply |= {"usIn": us_in, "usOut": out, "usDiff": out - us_in, "testnet": session.testnet}
    return _ENCODER.encode(reply)


def refused(session: Session, rejected: Rejected, us_in: int) -> bytes:
    """The reply to what was no request."""
    return finish(session, {"jsonrpc": "2.0", "id": None, "error": error_object(rejected)}, us_in)


def notification(channel: str, data: object) -> bytes:
    """A message of a subscription, encoded once for all its followers, up to the number that it has
    for each of them: ``Session.tell`` ends it.
    """
    params = {"channel": channel, "data": data, "sequence": 0}
    found = _ENCODER.encode({"jsonrpc": "2.0", "method": "subscription", "params": params})
    return found[: -len(b"0}}")]


def heartbeat(kind: str) -> bytes:
    """A ``heartbeat``, or a ``test_request`` that any request answers."""
    return _ENCODER.encode({"jsonrpc": "2.0", "method": "heartbeat", "params": {"type": kind}})


def now_us() -> int:
    """Unix time in microseconds."""
    return time.time_ns() // 1_000  # division: to microseconds
