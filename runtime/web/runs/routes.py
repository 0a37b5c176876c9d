"""The part of the page's API about runs: the list, one run, its frames.

Not for: what goes on now (live/), studies (study/).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Le, MaxLen
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from cathrt.runtime.web.part.answers import json_answer
from cathrt.runtime.web.part.context import PageContext
from cathrt.runtime.web.part.errors import RefusedError
from cathrt.runtime.web.part.route import STRICT, Asked, PageRoute
from cathrt.runtime.web.part.session import Role
from cathrt.runtime.web.runs.batch import Batch, WantedFrames, batch_of
from cathrt.runtime.web.runs.detail import detailed, located
from cathrt.runtime.web.runs.frame_store import IDLE_S, FrameStore
from cathrt.runtime.web.runs.listing import listed
from cathrt.runtime.web.runs.looks import MOST_MASKS, Look
from cathrt.runtime.web.runs.run_facts import FactsBook

MOST_BATCHES = 4  # being made and sent at once
_THREADS = 2
_PIECE_BYTES = 256 << 10
_MASKS = re.compile(r"([0-9]{1,6})(?:-([0-9]{1,6}))?")
JournalName = Literal["", "live", "study"]
RunId = Annotated[str, MaxLen(64)]


@dataclass(frozen=True, slots=True)
class ListInputs:
    """limit: most runs of one answer. before: `next` of the page before. journal: of one alone."""

    __pydantic_config__ = STRICT
    limit: Annotated[int, Ge(1), Le(200)] = 50
    before: Annotated[str, MaxLen(80)] = ""
    journal: JournalName = ""


@dataclass(frozen=True, slots=True)
class RunInputs:
    """pass_id: which judging of the run; the newest where it is left out."""

    __pydantic_config__ = STRICT
    run_id: RunId
    journal: JournalName = ""
    pass_id: RunId = ""


@dataclass(frozen=True, slots=True)
class FrameInputs:
    """first, count: frames, from 0. center, width: of the window. subtract: mask frames, "3" or "3-7". shift_*: of the
    mask, in pixels. noise: strength of the noise filter. clahe: clip limit of local contrast. max_side: in pixels."""

    __pydantic_config__ = STRICT
    run_id: RunId
    pass_id: RunId = ""
    first: Annotated[int, Ge(0), Le(1_000_000)] = 0
    count: Annotated[int, Ge(1), Le(64)] = 16
    center: Annotated[float, Ge(-1e6), Le(1e6)] | None = None
    width: Annotated[float, Ge(1.0), Le(1e6)] | None = None
    subtract: Annotated[str, MaxLen(16)] = ""
    shift_rows: Annotated[float, Ge(-20.0), Le(20.0)] = 0.0
    shift_columns: Annotated[float, Ge(-20.0), Le(20.0)] = 0.0
    noise: Annotated[float, Ge(0.0), Le(1.0)] = 0.0
    clahe: Annotated[float, Ge(0.0), Le(8.0)] = 0.0
    max_side: Annotated[int, Ge(0), Le(4096)] = 0

    @property
    def look(self) -> Look:
        """Raises RefusedError."""
        if (self.center is None) is not (self.width is None):
            raise RefusedError(400, "found one of center and width, expected both or none: give the other, too")
        if 0 < self.max_side < 32:
            raise RefusedError(400, f"found max_side {self.max_side}, expected 0 or at least 32")
        return Look(
            center=self.center,
            width=self.width,
            masks=_mask_frames(self.subtract),
            shift=(self.shift_rows, self.shift_columns),
            noise=self.noise,
            clahe=self.clahe,
            max_side=self.max_side,
        )


class _Runs:
    """What the handlers share."""

    def __init__(self, context: PageContext) -> None:
        self._context = context
        self._batches = 0
        self._threads = ThreadPoolExecutor(_THREADS, "page-frames")
        self.store = FrameStore(context.config.limits, context.config.page.frames_mib << 20)
        self._facts = FactsBook(self.store)

    async def show_list(self, asked: Asked[ListInputs, None]) -> Response:
        """GET /api/runs."""
        inputs, context = asked.inputs, self._context
        await asked.viewed(what="list of runs")
        try:
            found = await context.in_files(listed, context, _journals(inputs.journal), inputs.before, inputs.limit)
        except ValueError as exc:
            raise RefusedError(400, str(exc)) from exc
        return json_answer({"runs": [run.document for run in found.runs], "next": found.next})

    async def show_run(self, asked: Asked[RunInputs, None]) -> Response:
        """GET /api/runs/{run_id}."""
        inputs, context = asked.inputs, self._context
        found = await context.in_files(detailed, context, inputs.run_id, inputs.pass_id, _journals(inputs.journal))
        if found is None:
            raise _no_such_run()
        await asked.viewed(studies=_studies(found.pixels.study_uid), what="run")
        return json_answer(found.document)

    async def show_frames(self, asked: Asked[FrameInputs, None]) -> Response:
        """GET /api/runs/{run_id}/frames."""
        inputs, context, look = asked.inputs, self._context, asked.inputs.look
        found = await context.in_files(located, context, inputs.run_id, inputs.pass_id)
        if found is None:
            raise _no_such_run()
        if (file := found.pixels.file) is None:
            raise RefusedError(409, f"{found.pixels.why} {found.pixels.why_ja}")
        if self._batches >= MOST_BATCHES:
            raise RefusedError(
                503, f"{self._batches} batches of frames are being made: ask again", {"retry-after": "1"}
            )
        await asked.viewed(studies=_studies(found.pixels.study_uid), what="frames of a run")
        wanted = WantedFrames(inputs.run_id, found.pixels.key, file, inputs.first, inputs.count, look)
        self._batches += 1
        try:
            loop = asyncio.get_running_loop()
            batch = await loop.run_in_executor(self._threads, batch_of, wanted, self.store, self._facts)
        except BaseException:
            self._batches -= 1
            raise
        return _BatchAnswer(batch, self._sent)

    def _sent(self) -> None:
        self._batches -= 1

    async def keep(self) -> None:
        """End decoders that nobody asks any more, until the page stops."""
        loop = asyncio.get_running_loop()
        while not self._context.ending.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._context.ending.wait(), IDLE_S / 2)
            await loop.run_in_executor(self._threads, self.store.end_idle)

    async def close(self) -> None:
        """End what was begun."""
        await asyncio.get_running_loop().run_in_executor(self._threads, self.store.close)
        self._threads.shutdown(wait=False)


class _BatchAnswer(Response):
    """In pieces, each of which waits until the one before is taken: nothing is queued for a slow browser."""

    def __init__(self, batch: Batch, on_end: Callable[[], None]) -> None:
        super().__init__(media_type="application/octet-stream", headers={"content-length": str(batch.size)})
        self._batch, self._on_end = batch, on_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 (of ASGI)
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            if scope["method"] != "HEAD":
                for data in (self._batch.header, *self._batch.pictures):
                    for at in range(0, len(data), _PIECE_BYTES):
                        piece = data[at : at + _PIECE_BYTES]
                        await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body"})
        finally:
            self._on_end()


def routes(context: PageContext) -> Sequence[PageRoute]:
    """To be called once, in the page's event loop."""
    runs = _Runs(context)
    keeping = asyncio.ensure_future(runs.keep())
    context.closing.push_async_callback(runs.close)
    context.closing.callback(keeping.cancel)
    return [
        _route("/api/runs", runs.show_list, "Runs, the newest first.", ListInputs),
        _route(
            "/api/runs/{run_id}", runs.show_run, "One run: scores, alerts, how its frames ended.", RunInputs, (404,)
        ),
        PageRoute(
            "GET",
            "/api/runs/{run_id}/frames",
            Role.VIEWER,
            runs.show_frames,
            "Frames of a received run, as a person wants to see them.",
            inputs=FrameInputs,
            media="application/octet-stream",
            errors=(404, 409),
            patients=True,
        ),
    ]


def _route(
    path: str,
    handler: Callable[..., Awaitable[Response]],
    summary: str,
    inputs: type[ListInputs | RunInputs],
    errors: tuple[int, ...] = (),
) -> PageRoute:
    return PageRoute("GET", path, Role.VIEWER, handler, summary, inputs=inputs, errors=errors, patients=True)


def _journals(name: JournalName) -> tuple[str, ...]:
    return (name,) if name else ("study", "live")


def _studies(study_uid: str | None) -> tuple[str, ...]:
    return () if study_uid is None else (study_uid,)


def _no_such_run() -> RefusedError:
    return RefusedError(
        404, "found no run of that id, expected one of /api/runs: load the list again, and give its pass_id"
    )


def _mask_frames(text: str) -> tuple[int, ...]:
    """The frames of "3" or "3-7". Raises RefusedError."""
    if not text:
        return ()
    found = _MASKS.fullmatch(text)
    first = -1 if found is None else int(found[1])
    last = first if found is None or found[2] is None else int(found[2])
    if found is None or last < first or last - first >= MOST_MASKS:
        raise RefusedError(
            400, f"found {text[:16]!r} as mask frames, expected a frame as 3, or at most {MOST_MASKS} of them as 3-7"
        )
    return tuple(range(first, last + 1))
