"""JSON-RPC 2.0: requests in, replies out, and the registry of methods.

Owns: the envelope (``usIn``, ``usOut``, ``usDiff`` in microseconds), reading untrusted bytes, and
the way a method is found and its parameters are typed. A method is an async function of a ``Call``
and a ``msgspec.Struct`` of parameters; what it raises as ``Rejected`` becomes the reply's
``error``, and anything else is logged under a number of its own and answered without a traceback.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any

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


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a method: who asks, when it came (unix microseconds)."""

    session: Session
    us_in: int


Handler = Callable[[Call, Any], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Method:
    """A method: its name, parameters, the scope it needs ("" for none), and its cost in credits."""

    name: str
    parameters: type[Parameters]
    handler: Handler
    scope: str
    cost: int


METHODS: dict[str, Method] = {}
_DECODER = msgspec.json.Decoder(Request)
_ENCODER = msgspec.json.Encoder()


def method(
    name: str, parameters: type[Parameters], scope: str = "", cost: int = 1
) -> Callable[[Handler], Handler]:
    """Register the function below as a method."""

    def keep(handler: Handler) -> Handler:
        assert name not in METHODS, name
        METHODS[name] = Method(name, parameters, handler, scope, cost)
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


async def answer(session: Session, request: Request, us_in: int | None = None) -> bytes:
    """Carry out a request and encode its reply."""
    start = us_in if us_in is not None else now_us()
    reply = await outcome(session, request.method, request.params, start)
    return finish(session, {"jsonrpc": "2.0", "id": request.id} | reply, start)


async def outcome(session: Session, name: str, params: object, us_in: int) -> dict[str, Any]:
    """The result of a method, or its error; of a fault of ours nothing but that there was one."""
    began = time.perf_counter()
    try:
        return {"result": await dispatch(session, name, params, us_in)}
    except Rejected as rejected:
        return {"error": error_object(rejected)}
    except Exception:
        session.venue.faults += 1
        _LOG.exception("method %s failed", name[:64])
        return {"error": error_object(Rejected(InternalFault))}
    finally:
        label = name if name in METHODS else "unknown"
        session.venue.requests[label] += 1
        session.venue.seconds[label] += time.perf_counter() - began


async def dispatch(session: Session, name: str, params: object, us_in: int) -> Any:
    """The result of a method. Errors: its own, ``UnknownMethod``, ``NotAuthenticated``,
    ``ScopeMissing``, ``BadSignature``, ``TooManyRequests``.
    """
    found = METHODS.get(name)
    if found is None:
        raise Rejected(UnknownMethod, name[:64])
    session.spend(found)
    if found.scope:
        require(session.account != 0, NotAuthenticated)
        require(found.scope in session.scopes, ScopeMissing, found.scope)
        # a session key may have expired or been removed since the login
        session.venue.gateway.require_signs_for(session.account, session.signer)
    return await found.handler(Call(session, us_in), typed(params, found.parameters))


def finish(session: Session, reply: dict[str, Any], us_in: int) -> bytes:
    """The bytes of a reply, with its times and whether this is a test venue."""
    out = now_us()
    reply |= {"usIn": us_in, "usOut": out, "usDiff": out - us_in, "testnet": session.testnet}
    return _ENCODER.encode(reply)


def refused(session: Session, rejected: Rejected, us_in: int) -> bytes:
    """The reply to what was no request."""
    return finish(session, {"jsonrpc": "2.0", "id": None, "error": error_object(rejected)}, us_in)


def notification(channel: str, data: object) -> bytes:
    """A message of a subscription."""
    params = {"channel": channel, "data": data}
    return _ENCODER.encode({"jsonrpc": "2.0", "method": "subscription", "params": params})


def heartbeat(kind: str) -> bytes:
    """A ``heartbeat``, or a ``test_request`` that any request answers."""
    return _ENCODER.encode({"jsonrpc": "2.0", "method": "heartbeat", "params": {"type": kind}})


def now_us() -> int:
    """Unix time in microseconds."""
    return time.time_ns() // 1_000  # division: to microseconds
