"""A part of a page for tests: one route of each role and kind, with answers that a test chooses.

Not for: the parts of the product.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge, Le, MaxLen
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.websockets import WebSocket

from cathrt.runtime.errors import JournalError
from cathrt.runtime.web.part.answers import json_answer
from cathrt.runtime.web.part.context import PageContext
from cathrt.runtime.web.part.errors import RefusedError
from cathrt.runtime.web.part.route import STRICT, Asked, PageRoute, PageSocket
from cathrt.runtime.web.part.session import Role

PATIENT = "YAMADA^TARO"
PIECE = b"x" * (256 << 10)


@dataclass(frozen=True, slots=True)
class Inputs:
    """Of the path and the query."""

    __pydantic_config__ = STRICT
    name: Annotated[str, MaxLen(8)]
    count: Annotated[int, Ge(0), Le(8)] = 0
    share: float = 0.5
    deep: bool = False


@dataclass(frozen=True, slots=True)
class Body:
    """What is sent."""

    __pydantic_config__ = STRICT
    text: Annotated[str, MaxLen(100_000)]


def part(context: PageContext) -> Sequence[PageRoute | PageSocket]:
    """The routes."""

    async def shown(asked: Asked[Inputs, None]) -> Response:
        await asked.viewed(studies=["1.2.3"], what="test")
        inputs = asked.inputs
        return json_answer([inputs.name, inputs.count, inputs.share, inputs.deep, asked.session.user])

    async def changed(asked: Asked[None, Body]) -> Response:
        return json_answer({"length": len(asked.body.text), "by": asked.session.user}, 201)

    async def failing(_asked: Asked[None, None]) -> Response:
        raise KeyError(PATIENT)

    async def refusing(_asked: Asked[None, None]) -> Response:
        raise RefusedError(409, "found another, expected this: load again", {"x-more": "1"})

    async def unreadable(_asked: Asked[None, None]) -> Response:
        raise JournalError("study.journal: the disk is gone: check it")

    async def unnoted(_asked: Asked[None, None]) -> Response:
        return JSONResponse({"patient": PATIENT})

    async def breaking(_asked: Asked[None, None]) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"a beginning"
            raise KeyError(PATIENT)

        return StreamingResponse(pieces())

    async def endless(asked: Asked[None, None]) -> Response:
        """Writes as much as the reader takes."""

        async def pieces() -> AsyncIterator[bytes]:
            while not asked.ended.is_set():
                yield PIECE

        return StreamingResponse(pieces())

    async def quiet(asked: Asked[None, None]) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            yield b": here\n\n"
            await asked.ended.wait()
            yield b": over\n\n"

        return StreamingResponse(pieces(), media_type="text/event-stream")

    async def deaf(_asked: Asked[None, None]) -> Response:
        """Does not look whether the session is over."""

        async def pieces() -> AsyncIterator[bytes]:
            yield b": here\n\n"
            await asyncio.sleep(3600.0)

        return StreamingResponse(pieces(), media_type="text/event-stream")

    async def slow(_asked: Asked[None, None]) -> Response:
        await asyncio.sleep(0.5)
        return json_answer({})

    async def echo(asked: Asked[Any, None], socket: WebSocket) -> None:
        await asked.viewed(what="test")
        await socket.accept()
        while (text := await socket.receive_text()) != "end":
            if text == "fail":
                raise KeyError(PATIENT)
            await socket.send_bytes(PIECE if text == "much" else text.encode())

    async def shut(_asked: Asked[Any, None], _socket: WebSocket) -> None:
        raise RefusedError(404, "found no such source, expected one of /api/live: load again")

    viewer = Role.VIEWER
    return [
        PageRoute("GET", "/api/test/shown/{name}", viewer, shown, "Shown.", inputs=Inputs, answer=list, patients=True),
        PageRoute("POST", "/api/test/changed", Role.OPERATOR, changed, "Changed.", body=Body, status=201),
        PageRoute("PUT", "/api/test/admin", Role.ADMIN, slow, "For admins."),
        PageRoute("GET", "/api/test/failing", viewer, failing, "Fails."),
        PageRoute("GET", "/api/test/refusing", viewer, refusing, "Refuses.", errors=(409,)),
        PageRoute("GET", "/api/test/unreadable", viewer, unreadable, "Cannot read."),
        PageRoute("GET", "/api/test/unnoted", viewer, unnoted, "Forgets the trail.", patients=True),
        PageRoute("GET", "/api/test/breaking", viewer, breaking, "Breaks off.", media="text/plain"),
        PageRoute("GET", "/api/test/endless", viewer, endless, "Never ends.", media="text/plain"),
        PageRoute("GET", "/api/test/quiet", viewer, quiet, "Quiet.", media="text/event-stream"),
        PageRoute("GET", "/api/test/deaf", viewer, deaf, "Does not listen.", media="text/event-stream"),
        PageSocket("/api/test/echo", viewer, echo, "Echo.", patients=True),
        PageSocket("/api/test/shut", viewer, shut, "Shut."),
    ]
