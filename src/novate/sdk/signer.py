"""The local signer: Deribit's key and secret in, orders signed by a session key out.

Owns: a server on the loopback interface that speaks Deribit's HTTP and WebSocket dialect, so that a
bot written for Deribit trades here without changing a line. Public calls and reads are handed on;
``buy``, ``sell``, ``edit`` and ``close_position`` are rounded (prices away from the market, amounts
down), numbered, signed here, and sent. A market order is an immediate-or-cancel limit at the mark
± 4 %, or that far beyond its trigger. Secrets and keys never leave this process.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import aiohttp
import msgspec
from aiohttp import WSMsgType, web

from novate.sdk.client import AsyncClient
from novate.sdk.faults import ApiError, ClientFault, ConnectionLost, OutcomeUnknown
from novate.sdk.rounding import Rounding
from novate.sdk.signer_keys import KeyFault, Keyring, SignerKey
from novate.sdk.signer_outbox import Outbox
from novate.sdk.transport import now_ms

BODY_BYTES_MAX = 65_536
MARKET_REACH = Decimal("0.04")
INVALID_PARAMS, UNAUTHORIZED, INTERNAL = -32602, 13004, -32000
AWAY = 502  # HTTP's status of a venue that does not answer
VENUE_SECONDS = 15.0
_LOG = logging.getLogger("novate.signer")
PASSED_ON = ("post_only", "reduce_only", "time_in_force", "label", "reject_post_only", "mmp")
FLAGS = ("post_only", "reduce_only", "reject_post_only", "mmp")
SIGNED = ("buy", "sell", "edit", "close_position")
TRIGGERS = ("stop_limit", "take_limit", "stop_market", "take_market")
TRUE = ("true", "True", "1", True)


@dataclass(slots=True)
class Signer:
    """One signer in front of one venue (``url``, http or https)."""

    url: str
    keyring: Keyring
    clients: dict[str, AsyncClient] = field(default_factory=dict)
    runner: web.AppRunner | None = None
    http: aiohttp.ClientSession | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def start(self, port: int = 0) -> int:
        """Listen on the loopback interface; returns the port."""
        timeout = aiohttp.ClientTimeout(total=VENUE_SECONDS)
        self.http = aiohttp.ClientSession(timeout=timeout)
        app = web.Application(client_max_size=BODY_BYTES_MAX, middlewares=[_named])
        for version in ("v1", "v2"):
            app.router.add_get(f"/ws/api/{version}", self.websocket)
            app.router.add_get(f"/api/{version}/public/{{name}}", self.public)
            app.router.add_get(f"/api/{version}/private/{{name}}", self.private)
            app.router.add_post(f"/api/{version}", self.post)
        self.runner = web.AppRunner(app, access_log=None)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", port).start()
        return int(self.runner.addresses[0][1])

    async def stop(self) -> None:
        """Stop listening and log out."""
        if self.runner is not None:
            await self.runner.cleanup()
        for client in self.clients.values():
            await client.__aexit__(None, None, None)
        if self.http is not None:
            await self.http.close()

    async def client_of(self, key: SignerKey) -> AsyncClient:
        """The logged-in connection of a key, made when first asked for."""
        async with self.lock:
            if key.id not in self.clients:
                made = AsyncClient(self.url, key.key, key.scope, rounding=Rounding.PASSIVE)
                await made.__aenter__()
                self.clients[key.id] = made
        return self.clients[key.id]

    # HTTP

    async def public(self, request: web.Request) -> web.Response:
        """Handed on as it is."""
        return await self._forward(request, {})

    async def private(self, request: web.Request) -> web.Response:
        """Orders are signed; the rest is handed on with the session's token."""
        path = request.path_qs
        header = request.headers.get("Authorization", "")
        try:
            key = self.keyring.by_header(header, request.method, path, "", now_ms())
        except KeyFault as fault:
            return _refusal(UNAUTHORIZED, "unauthorized", str(fault), 401)
        try:
            client = await self.client_of(key)
            name = request.match_info["name"]
            if name in SIGNED:
                return web.json_response(_reply(await signed(client, name, dict(request.query))))
        except ValueError as fault:
            return _refusal(INVALID_PARAMS, "Invalid params", str(fault), 400)
        return await self._forward(request, {"Authorization": f"Bearer {client.token}"})

    async def _forward(self, request: web.Request, headers: dict[str, str]) -> web.Response:
        assert self.http is not None
        base = self.url.rstrip("/")
        async with self.http.get(f"{base}{request.path_qs}", headers=headers) as reply:
            body = await reply.read()
            return web.Response(body=body, status=reply.status, content_type="application/json")

    async def post(self, request: web.Request) -> web.Response:
        """A JSON-RPC body; basic authorization with id and secret for private methods."""
        try:
            message = msgspec.json.decode(await request.read(), type=Message)
            if not message.method.startswith("private/"):
                return await self._passed(message)
            key = self.keyring.by_basic(request.headers.get("Authorization", ""))
        except msgspec.DecodeError as fault:
            return _refusal(-32700, "Parse error", str(fault), 400)
        except (KeyFault, ValueError) as fault:
            return _refusal(UNAUTHORIZED, "unauthorized", str(fault), 401)
        try:
            client = await self.client_of(key)
        except ClientFault as fault:
            return web.json_response(_error(fault, message.id), status=_status(fault))
        return web.json_response(await _carry_out(client, message))

    async def _passed(self, message: Message) -> web.Response:
        assert self.http is not None
        body = msgspec.json.encode(message)
        try:
            async with self.http.post(f"{self.url.rstrip('/')}/api/v1", data=body) as reply:
                return web.Response(body=await reply.read(), content_type="application/json")
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            fault = ConnectionLost(str(error))
            return web.json_response(_error(fault, message.id), status=AWAY)

    # WebSocket

    async def websocket(self, request: web.Request) -> web.StreamResponse:
        """A bot's connection, with a connection of its own to the venue, made when first needed."""
        socket = web.WebSocketResponse(max_msg_size=BODY_BYTES_MAX)
        await socket.prepare(request)
        outbox, client = Outbox(socket), AsyncClient(self.url)
        client.listen_all(outbox.push)
        try:
            await outbox.serve(request, asyncio.create_task(self._read(socket, outbox, client)))
        finally:
            await client.__aexit__(None, None, None)
        return socket

    async def _read(
        self, socket: web.WebSocketResponse, outbox: Outbox, client: AsyncClient
    ) -> None:
        """Answer requests in their order; what fails is answered by its name."""
        opened = False
        async for frame in socket:
            if frame.type is not WSMsgType.TEXT:
                return
            try:
                message = msgspec.json.decode(frame.data, type=Message)
            except msgspec.DecodeError as error:
                outbox.reply(_fault(None, -32700, "Parse error", str(error)))
                continue
            try:
                if not opened:
                    await client.__aenter__()
                    opened = True
                outbox.reply(await self._answer(client, message))
            except ClientFault as fault:
                outbox.reply(_error(fault, message.id))
            except Exception:
                outbox.reply(_internal(message.id))

    async def _answer(self, client: AsyncClient, message: Message) -> dict[str, Any]:
        """Errors: ``ClientFault``."""
        if message.method != "public/auth":
            return await _carry_out(client, message)
        reply, key = self._login(message)
        if key is not None:
            client.assume(key.key, key.scope, Rounding.PASSIVE)
            await client.login()
        return reply

    def _login(self, message: Message) -> tuple[dict[str, Any], SignerKey | None]:
        params = {name: str(value) for name, value in message.params.items()}
        try:
            if params.get("grant_type") == "client_signature":
                stamp, nonce = params.get("timestamp", ""), params.get("nonce", "")
                text = f"{stamp}\n{nonce}\n{params.get('data', '')}"
                key = self.keyring.by_proof(
                    params.get("client_id", ""),
                    stamp,
                    nonce,
                    text,
                    params.get("signature", ""),
                    now_ms(),
                )
            else:
                key = self.keyring.by_secret(
                    params.get("client_id", ""), params.get("client_secret", "")
                )
        except KeyFault as fault:
            return _fault(message.id, UNAUTHORIZED, "invalid_credentials", str(fault)), None
        grant = {"token_type": "bearer", "access_token": "local", "refresh_token": "local"}
        grant |= {"expires_in": "31536000", "scope": key.scope}
        return _reply(grant, message.id), key


class Message(msgspec.Struct):
    """A JSON-RPC request."""

    method: str
    id: int | str | None = None
    params: dict[str, Any] = {}
    jsonrpc: str = "2.0"


async def signed(client: AsyncClient, name: str, params: dict[str, Any]) -> dict[str, Any]:
    """A method that only the key's holder can carry out. Errors: ``ValueError``, ``ApiError``."""
    if name in ("buy", "sell"):
        return await order(client, name, params)
    if name == "edit":
        return await edit(client, params)
    kind, instrument = str(params.get("type", "limit")), str(params.get("instrument_name", ""))
    if kind == "market":
        return await client.close_position(instrument)
    if kind != "limit" or params.get("price") is None:
        raise ValueError('type must be "limit" with a price, or "market"')
    return await client.close_position(instrument, params["price"])


async def order(client: AsyncClient, side: str, params: dict[str, Any]) -> dict[str, Any]:
    """Round, sign and send Deribit's ``buy`` or ``sell``. Errors: ``ValueError``, ``ApiError``."""
    name, amount = str(params.get("instrument_name", "")), params.get("amount")
    if amount is None:
        raise ValueError("amount is missing")
    more = _instructions(params)
    kind, price = str(params.get("type", "limit")), params.get("price")
    reach = 1 + MARKET_REACH if side == "buy" else 1 - MARKET_REACH
    if kind in TRIGGERS:
        wanted = params.get("trigger_price")
        if wanted is None or params.get("trigger", "mark_price") != "mark_price":
            raise ValueError("a trigger_price is needed, and trigger must be mark_price")
        more |= {"type": kind, "trigger_price": str(wanted)}
        if kind.endswith("_market"):
            price = Decimal(str(wanted)) * reach
            more["time_in_force"] = "immediate_or_cancel"
    elif "trigger" in params or "trigger_price" in params:
        raise ValueError("type must be one of " + ", ".join(TRIGGERS))
    elif kind == "market":
        price = Decimal((await client.fetch_ticker(name))["mark_price"]) * reach
        more["time_in_force"] = "immediate_or_cancel"
    if price is None or (kind not in ("limit", "market") and kind not in TRIGGERS):
        raise ValueError('type must be "limit" with a price, or "market"')
    return await client.create_order(name, side, amount, price, **more)


async def edit(client: AsyncClient, params: dict[str, Any]) -> dict[str, Any]:
    """Sign and send the next revision of an order; what is not named stays."""
    order_id = str(params.get("order_id", ""))
    more = _instructions(params)
    if "trigger_price" in params:
        more["trigger_price"] = str(params["trigger_price"])
    return await client.edit_order(order_id, params.get("amount"), params.get("price"), **more)


def _instructions(params: dict[str, Any]) -> dict[str, Any]:
    """What is said beside an order, as the venue takes it."""
    more = {key: params[key] for key in PASSED_ON if key in params}
    return more | {flag: more[flag] in TRUE for flag in FLAGS if flag in more}


async def _carry_out(client: AsyncClient, message: Message) -> dict[str, Any]:
    scope, _, name = message.method.partition("/")
    try:
        if scope == "private" and name in SIGNED:
            result = await signed(client, name, message.params)
        else:
            result = await client.call(message.method, **message.params)
    except ClientFault as fault:
        return _error(fault, message.id)
    except ValueError as fault:
        return _fault(message.id, INVALID_PARAMS, "Invalid params", str(fault))
    return _reply(result, message.id)


def _reply(result: Any, number: int | str | None = None) -> dict[str, Any]:
    stamp = now_ms() * 1_000
    times = {"usIn": stamp, "usOut": stamp, "usDiff": 0, "testnet": False}
    return {"jsonrpc": "2.0", "id": number, "result": result, **times}


def _fault(number: int | str | None, code: int, message: str, reason: str) -> dict[str, Any]:
    error = {"code": code, "message": message, "data": {"reason": reason}}
    return {"jsonrpc": "2.0", "id": number, "error": error, "testnet": False}


def _error(fault: ClientFault, number: int | str | None = None) -> dict[str, Any]:
    if isinstance(fault, ApiError):
        return _fault(number, fault.code, fault.name, fault.detail)
    if isinstance(fault, OutcomeUnknown):
        reply = _fault(number, 13999, "outcome_unknown", str(fault))
        reply["error"]["data"]["order_ids"] = fault.order_ids
        return reply
    assert isinstance(fault, ConnectionLost)
    return _fault(number, -32000, "unavailable", f"the venue does not answer: {fault}")


def _refusal(code: int, message: str, reason: str, status: int) -> web.Response:
    return web.json_response(_fault(None, code, message, reason), status=status)


def _internal(number: int | str | None = None) -> dict[str, Any]:
    """The answer to what failed within the signer, which its log tells."""
    _LOG.exception("a request failed")
    return _fault(number, INTERNAL, "internal_fault", "the signer failed; its log says more")


@web.middleware
async def _named(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Whatever fails is answered as JSON-RPC has it, by its name."""
    try:
        return await handler(request)
    except web.HTTPException:
        raise
    except ClientFault as fault:
        return web.json_response(_error(fault), status=_status(fault))
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        return web.json_response(_error(ConnectionLost(str(error))), status=AWAY)
    except Exception:
        return web.json_response(_internal(), status=500)


def _status(fault: ClientFault) -> int:
    return AWAY if isinstance(fault, ConnectionLost | OutcomeUnknown) else 400
