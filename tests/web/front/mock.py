"""A box on a stage: the page's API with made-up answers behind the real entrance, so that a test says what is shown.

The pictures are the phantom's. What the box says is set on a Stage while a browser looks.
Not for: tests of the API itself, nor of what real journals hold (test_real_box.py).
"""

from __future__ import annotations

import asyncio
import json
import struct
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge, Le
from numpy.typing import NDArray
from starlette.responses import Response, StreamingResponse
from starlette.websockets import WebSocket, WebSocketDisconnect

from cathrt.runtime.alert import NOTICE
from cathrt.runtime.phantom.scene import sample_scene
from cathrt.runtime.phantom.source import PhantomSource
from cathrt.runtime.web.part.answers import json_answer
from cathrt.runtime.web.part.context import PageContext
from cathrt.runtime.web.part.errors import RefusedError
from cathrt.runtime.web.part.route import STRICT, Asked, PageRoute, PageSocket
from cathrt.runtime.web.part.session import Role
from tests.web.front import mock_answers

RATE_HZ = 15.0
BUDGET_MS = 66.7


@cache
def pictures() -> NDArray[np.uint8]:
    """(T, H, W): a run of the phantom as a monitor shows it."""
    source = PhantomSource(sample_scene(9, side="left", matrix=512))
    stored = np.stack([source.render(index) for index in range(28, 52)]).astype(np.float32)
    low, high = np.percentile(stored[:, 128:-128, 128:-128], [0.3, 98.0])
    shown: NDArray[np.uint8] = (np.clip((stored - low) / (high - low), 0.0, 1.0) * 255).astype(np.uint8)
    return shown


@dataclass
class Stage:
    """What the box says. live_ai, rung: of each source. frozen: no newer picture comes. sources: their names.

    newest_ns: capture time of the picture that was sent last.
    """

    sources: tuple[str, ...] = ("A",)
    live_ai: bool = True
    rung: int = 0
    frozen: bool = False
    pictures_stored: bool = True
    reasons: tuple[str, ...] = ()
    absent: Sequence[dict[str, str]] = mock_answers.ABSENT
    decisions: list[dict[str, Any]] = field(default_factory=list)
    reviews: list[dict[str, Any]] = field(default_factory=list)
    signoff: dict[str, Any] | None = None
    log: list[dict[str, Any]] = field(default_factory=list)
    alerts: list[dict[str, Any]] = field(default_factory=list)
    newest_ns: int = 0

    def health(self) -> dict[str, Any]:
        """The document of /health."""
        return mock_answers.health(self.reasons)

    def say(self, record: dict[str, Any], journal: str = "live") -> None:
        """A record is on the disk from now on."""
        self.log.append({"journal": journal, "seq": len(self.log) + 1, "record": record})

    def begin_run(self, source: str = "A") -> None:
        """A run begins on a source."""
        self.say(mock_answers.pass_record(source))

    def end_run(self, source: str = "A") -> None:
        """The run on a source ends."""
        self.say(mock_answers.summary(source))

    def judge(self, frame: int, score: float, captured_ns: int, side: str = "left", source: str = "A") -> None:
        """A frame is judged."""
        self.say(mock_answers.verdict(source, frame, score, captured_ns, side))

    def alert(self, frame: int, score: float = 0.91, side: str = "left", source: str = "A", late: bool = False) -> str:
        """A key frame is announced. Returns the alert's id."""
        record = mock_answers.alert(source, frame, score, side, late=late)
        self.alerts.append(record)
        self.say(record)
        return str(record["id"])


@dataclass(frozen=True, slots=True)
class _Source:
    __pydantic_config__ = STRICT
    source: str
    seconds: Annotated[int, Ge(1), Le(600)] = 60


@dataclass(frozen=True, slots=True)
class _Events:
    __pydantic_config__ = STRICT
    types: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True)
class _Run:
    __pydantic_config__ = STRICT
    run_id: str
    journal: str = ""
    pass_id: str = ""


@dataclass(frozen=True, slots=True)
class _Runs:
    __pydantic_config__ = STRICT
    limit: int = 50
    before: str = ""
    journal: str = ""


@dataclass(frozen=True, slots=True)
class _Frames:
    __pydantic_config__ = STRICT
    run_id: str
    pass_id: str = ""
    first: int = 0
    count: int = 16
    center: float | None = None
    width: float | None = None
    subtract: str = ""
    noise: float = 0.0
    clahe: float = 0.0


@dataclass(frozen=True, slots=True)
class _Study:
    __pydantic_config__ = STRICT
    study: str


@dataclass(frozen=True, slots=True)
class _Body:
    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "ignore"}
    id: str
    what: str = ""
    thing: dict[str, Any] | None = None
    correction: dict[str, Any] | None = None


def part(stage: Stage) -> Any:
    """The routes over one stage, as runtime/web/app.py takes them."""

    async def live(asked: Asked[Any, Any]) -> Response:
        await asked.viewed(what="live")
        return json_answer(mock_answers.live(stage, now_ns=time.monotonic_ns()))

    async def latency(asked: Asked[_Source, Any]) -> Response:
        await asked.viewed(what="latency")
        return json_answer(mock_answers.latency(asked.inputs.source, time.monotonic_ns(), BUDGET_MS))

    async def events(asked: Asked[_Events, Any]) -> Response:
        await asked.viewed(what="live")
        given = asked.request.headers.get("last-event-id") or asked.inputs.after
        return StreamingResponse(_stream(stage, int(given or len(stage.log))), media_type="text/event-stream")

    async def runs(asked: Asked[_Runs, Any]) -> Response:
        await asked.viewed(what="runs")
        return json_answer({"runs": mock_answers.runs(stage.pictures_stored), "next": None})

    async def run(asked: Asked[_Run, Any]) -> Response:
        await asked.viewed(what="run")
        return json_answer(mock_answers.run(asked.inputs.run_id, stage.pictures_stored))

    async def frames(asked: Asked[_Frames, Any]) -> Response:
        await asked.viewed(what="run")
        return Response(_frames(asked.inputs), media_type="application/octet-stream")

    async def studies(asked: Asked[Any, Any]) -> Response:
        await asked.viewed(what="studies")
        return json_answer({"studies": mock_answers.studies(stage), "notice": NOTICE})

    async def study(asked: Asked[_Study, Any]) -> Response:
        await asked.viewed(what="study")
        return json_answer(mock_answers.study(stage, asked.inputs.study))

    async def decide(asked: Asked[Any, _Body]) -> Response:
        await asked.viewed(what="study")
        return json_answer(mock_answers.decide(stage, asked.body), 201)

    async def sign_off(asked: Asked[Any, _Body]) -> Response:
        await asked.viewed(what="study")
        stage.signoff = {"id": asked.body.id, "by": "operator", "by_name": "", "at": mock_answers.AT}
        return json_answer({"signoff": stage.signoff, "repeated": False}, 201)

    async def review(asked: Asked[Any, _Body]) -> Response:
        await asked.viewed(what="study")
        stage.reviews.append(mock_answers.review(asked.body.id))
        return json_answer({"review": stage.reviews[-1], "repeated": False}, 201)

    async def watch(asked: Asked[_Source, None], socket: WebSocket) -> None:
        if asked.inputs.source not in stage.sources:
            raise RefusedError(404, "found no such source, expected one of /api/live: load the page again")
        await asked.viewed(what="live pictures")
        await socket.accept()
        await _show(stage, socket)

    def routes(_context: PageContext) -> Sequence[PageRoute | PageSocket]:
        def get(path: str, handler: Any, inputs: type[Any] | None = None, **more: Any) -> PageRoute:
            return PageRoute("GET", path, Role.VIEWER, handler, "Mocked.", inputs=inputs, patients=True, **more)

        def post(path: str, handler: Any) -> PageRoute:
            return PageRoute("POST", path, Role.OPERATOR, handler, "Mocked.", body=_Body, patients=True, status=201)

        return [
            get("/api/live", live),
            get("/api/live/{source}/latency", latency, _Source),
            get("/api/events", events, _Events, media="text/event-stream"),
            get("/api/runs", runs, _Runs),
            get("/api/runs/{run_id}", run, _Run),
            get("/api/runs/{run_id}/frames", frames, _Frames, media="application/octet-stream"),
            get("/api/studies", studies),
            get("/api/studies/{study}", study, _Study),
            post("/api/decisions", decide),
            post("/api/signoffs", sign_off),
            post("/api/reviews", review),
            PageSocket("/api/pictures/{source}", Role.VIEWER, watch, "Mocked.", inputs=_Source, patients=True),
        ]

    return routes


async def _stream(stage: Stage, after: int) -> AsyncIterator[bytes]:
    place, spoken_s, told = after, 0.0, ""
    while True:
        health = json.dumps(stage.health())
        if health != told or time.monotonic() - spoken_s > 5.0:
            told, spoken_s = health, time.monotonic()
            yield f"id: {place}\nevent: health\ndata: {health}\n\n".encode()
        while place < len(stage.log):
            message = stage.log[place]
            place += 1
            yield f"id: {place}\nevent: record\ndata: {json.dumps(message)}\n\n".encode()
        await asyncio.sleep(0.02)


async def _show(stage: Stage, socket: WebSocket) -> None:
    all_of_them, number, captured_ns, index = pictures(), 0, time.monotonic_ns(), 0
    try:
        while True:
            pixels = all_of_them[index % len(all_of_them)]
            rows, columns = pixels.shape
            age_ms = (time.monotonic_ns() - captured_ns) / 1e6
            head = struct.pack(
                "<4sHHIIIIQqdIIff", b"CRTP", 1, 64, rows, columns, 1, 0, number, captured_ns, age_ms, 0, 8, 0.0, 255.0
            )
            stage.newest_ns = captured_ns
            await socket.send_bytes(head + pixels.tobytes())
            await socket.receive_text()
            await asyncio.sleep(1 / RATE_HZ)
            while stage.frozen:
                await asyncio.sleep(0.05)
            number, captured_ns, index = number + 1, time.monotonic_ns(), index + 1
    except WebSocketDisconnect:
        return


def _frames(asked: _Frames) -> bytes:
    count = mock_answers.FRAMES
    shown = list(range(asked.first, min(asked.first + asked.count, count)))
    all_of_them = pictures().astype(np.float32)
    if asked.subtract:
        mask = all_of_them[int(asked.subtract.split("-")[0]) % len(all_of_them)]
        all_of_them = np.clip((all_of_them - mask) * 2.0 + 128.0, 0.0, 255.0)
    center, width = (127.5, 255.0) if asked.center is None or asked.width is None else (asked.center, asked.width)
    shaped = np.clip((all_of_them - center) / width + 0.5, 0.0, 1.0) * 255
    header = {
        "version": 1,
        "run_id": asked.run_id,
        "rows": shaped.shape[1],
        "columns": shaped.shape[2],
        "bits_stored": 8,
        "frames": [{"index": index, "lost": "the data are damaged" if index == 5 else None} for index in shown],
        "next": shown[-1] + 1 if shown and shown[-1] + 1 < count else None,
        "frame_count": count,
        "window": {"center": center, "width": width, "function": "LINEAR", "of": "object", "least": 0.0, "most": 255.0},
        "frame_rate_hz": RATE_HZ,
    }
    told = json.dumps(header).encode()
    pixels = b"".join(shaped[index % len(shaped)].astype(np.uint8).tobytes() for index in shown if index != 5)
    return b"CRTF" + struct.pack("<I", len(told)) + told + pixels
