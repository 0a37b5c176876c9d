"""One path of the page's API: lets in who may, checks what was sent, has it answered, and turns errors into answers.

No traceback reaches a client, and no data of a patient the log. Not for: finding out who asks (door.py).
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import traceback
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from cathrt.runtime.errors import CathrtError
from cathrt.runtime.web.access.door import Door, Entered
from cathrt.runtime.web.access.guard import Refusal
from cathrt.runtime.web.access.rate import Rate
from cathrt.runtime.web.access.taken import taken_body, taken_inputs
from cathrt.runtime.web.part.errors import RefusedError
from cathrt.runtime.web.part.route import Asked, PageRoute, PageSocket, View
from cathrt.runtime.web.part.session import Role

_log = logging.getLogger(__name__)

_GRACE_S = 2.0  # for a stream to end by itself when its session is over
# RFC 6455, 7.4.1, and the registry of close codes there.
_DONE, _POLICY_VIOLATION, _TRY_LATER, _FAULT = 1000, 1008, 1013, 1011
_CODES = {429: _TRY_LATER, 503: _TRY_LATER, 500: _FAULT}
_LONGEST_REASON = 40  # characters; a close frame has 123 bytes


class Entrance:
    """What all paths share. view: notes a view in the audit trail."""

    def __init__(self, door: Door, rate: Rate, view: View) -> None:
        self._door, self._rate, self.view = door, rate, view

    def enter(self, connection: HTTPConnection, role: Role) -> Entered:
        """Who asks, where they may. Raises RefusedError."""
        entered = self._door.who(connection)
        session = entered.session
        if session.role < role:
            if session.role is Role.ANYBODY:
                raise RefusedError(401, "found no session, expected one: log in, or again where it was some time ago")
            raise RefusedError(403, f"found the role {session.role.word}, expected {role.word}: ask an administrator")
        if wait_s := self._rate.wait_s(session.id or session.address):
            raise RefusedError(429, "found too many requests, expected fewer: wait", {"retry-after": str(wait_s)})
        return entered


class Endpoint:
    """The ASGI application of one path. routes: those of its methods."""

    def __init__(self, routes: Sequence[PageRoute], entrance: Entrance) -> None:
        self._routes: Mapping[str, PageRoute] = {route.method: route for route in routes}
        self._entrance = entrance

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = _Answer(send)
        try:
            await self._answer(Request(scope, receive), answer)
        except Exception as exc:
            refused = refused_by(exc, f"{scope['method'][:10]} {next(iter(self._routes.values())).path}")
            if not answer.has_begun:
                await Refusal(refused)(scope, receive, send)
            else:
                raise _CutOffError from None  # the server then ends the connection: half an answer is none

    async def _answer(self, request: Request, answer: _Answer) -> None:
        route = self._routes.get("GET" if request.method == "HEAD" else request.method)
        if route is None:
            allowed = ", ".join(sorted({*self._routes, *(("HEAD",) if "GET" in self._routes else ())}))
            raise RefusedError(405, f"found the method {request.method[:20]!r}, expected {allowed}", {"allow": allowed})
        entered = self._entrance.enter(request, route.role)
        if route.method != "GET" and entered.session.role is not Role.ANYBODY:
            entered.require_csrf(request)
        inputs = taken_inputs(request, route.inputs)
        body = await taken_body(request, route.body)
        asked = Asked(request, entered.session, inputs, body, entered.ended, self._entrance.view)
        response = await route.handler(asked)
        if route.patients and response.status_code < 300 and not asked.was_audited:
            raise AssertionError(f"{route.path} shows data of patients and noted no view")
        await _while_let_in(response(request.scope, request.receive, answer), entered)


class SocketEndpoint:
    """The ASGI application of one WebSocket."""

    def __init__(self, route: PageSocket, entrance: Entrance) -> None:
        self._route, self._entrance = route, entrance

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        socket = WebSocket(scope, receive, send)
        with suppress(WebSocketDisconnect):  # the browser has gone: nobody is left to say anything to
            try:
                entered = self._entrance.enter(socket, self._route.role)
                inputs = taken_inputs(socket, self._route.inputs)
                asked = Asked(socket, entered.session, inputs, None, entered.ended, self._entrance.view)
                await _while_let_in(self._handle(asked, socket), entered)
                code, reason = _POLICY_VIOLATION if entered.ended.is_set() else _DONE, ""
            except WebSocketDisconnect:
                raise
            except Exception as exc:
                refused = refused_by(exc, f"WebSocket {self._route.path}")
                if socket.application_state is WebSocketState.CONNECTING:
                    await Refusal(refused)(scope, receive, send)
                code, reason = _CODES.get(refused.status, _POLICY_VIOLATION), str(refused)
            if socket.application_state is WebSocketState.CONNECTED:
                await socket.close(code, reason[:_LONGEST_REASON])

    async def _handle(self, asked: Asked[Any, None], socket: WebSocket) -> None:
        await self._route.handler(asked, socket)
        if self._route.patients and socket.application_state is not WebSocketState.CONNECTING and not asked.was_audited:
            raise AssertionError(f"{self._route.path} shows data of patients and noted no view")


class _Answer:
    """ASGI's send, which remembers whether anything was sent."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.has_begun = False

    async def __call__(self, message: Any) -> None:
        self.has_begun = True
        await self._send(message)
        # uvicorn's send returns at once when the reader has gone: a stream that waits for nothing else would never let
        # the event loop notice.
        await asyncio.sleep(0)


class _CutOffError(Exception):
    """An answer broke off after it had begun. It says nothing of why, which is in the log."""


async def _while_let_in(work: Awaitable[None], entered: Entered) -> None:
    """Do the work, for as long as the session goes on; then it has a short time to end by itself."""
    held = entered.held
    if held is not None:
        held.open += 1
    task, ended = asyncio.ensure_future(work), asyncio.ensure_future(entered.ended.wait())
    try:
        await asyncio.wait({task, ended}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            await asyncio.wait({task}, timeout=_GRACE_S)
        if task.done():
            task.result()
    finally:
        if held is not None:
            held.open -= 1
        for one in (task, ended):
            one.cancel()


def refused_by(exc: Exception, where: str) -> RefusedError:
    """What the client is told of an exception. One that nobody foresaw is logged under the id that the client gets."""
    if isinstance(exc, RefusedError):
        return exc
    if isinstance(exc, CathrtError):
        return RefusedError(503, str(exc))
    if isinstance(exc, ClientDisconnect):  # nobody is left to be told
        return RefusedError(400, "found the end of the connection, expected the rest of the body: send it again")
    number = secrets.token_hex(4)
    # Neither the exception's text nor what was asked: both may hold a patient's data. The places in the code do not.
    trace = "".join(traceback.format_tb(exc.__traceback__))
    _log.error("page: %s failed with %s, id %s:\n%s", where, type(exc).__qualname__, number, trace)
    return RefusedError(
        500, f"found a fault of the program, id {number}: give the id, and the log, to who looks after it"
    )
