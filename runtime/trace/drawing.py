"""The rows of a journal as slices and instants: frames and their stages, runs, alerts, engine changes, starts.

A verdict says when its frame was acquired and how long each stage took, not when each began: the stages are drawn back
to back, up to the verdict. Not for: the file format (chrome.py).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from cathrt.runtime.alert import StoredRecord
from cathrt.runtime.trace.dates import Dates

Span = tuple[int, int]
_STAGES = ("preprocess", "infer", "postprocess")  # in the order in which a frame goes through them
_TIME_OF_DAY = re.compile(r" \d\d:\d\d:\d\d")  # ends the name of a live run


class Canvas(Protocol):
    """What is drawn on (chrome.py)."""

    def slice(self, group: str, track: str, name: str, span: Span, parts: Mapping[str, Span], **told: Any) -> None: ...
    def instant(self, group: str, track: str, name: str, at_ns: int, **told: Any) -> None: ...


@dataclass(frozen=True, slots=True)
class Window:
    """What is drawn. Dates in ns since 1970. run_id: of one run alone; "" for all."""

    from_ns: int
    to_ns: int
    run_id: str = ""

    def shows(self, span: Span, run_id: str) -> bool:
        """Whether something of that time and run is in it."""
        return span[0] <= self.to_ns and span[1] >= self.from_ns and self.run_id in ("", run_id)


@dataclass(slots=True)
class _Run:
    """A run whose rows are being read."""

    run_id: str
    name: str
    group: str
    span: Span | None = None
    frames: int = 0


@dataclass(slots=True)
class Drawn:
    """How much was drawn, by type of record. undated: verdicts of earlier builds, which have no time."""

    records: Counter[str] = field(default_factory=Counter)
    undated: int = 0


class Drawing:
    """Draws the rows of one process's journal, in order."""

    def __init__(self, process: str, canvas: Canvas, dates: Dates, window: Window, drawn: Drawn) -> None:
        self._process, self._canvas, self._dates, self._window, self.drawn = process, canvas, dates, window, drawn
        self._runs: dict[str, _Run] = {}  # by pass
        self._newest_ns: int | None = None  # date of the newest row that has one, for those that have none
        self._draw: Mapping[str, Callable[[dict[str, Any]], None]] = {
            "start": self._start, "pass": self._pass, "verdict": self._verdict, "alert": self._alert,
            "run": self._summary, "engine": self._engine, "refusal": self._refusal, "draft": self._draft,
            "ended": self._ended,
            "study": self._reading,
        }  # fmt: skip

    def rows(self, rows: Iterable[StoredRecord]) -> None:
        """Draw them, and at the end the runs that have no summary yet."""
        for row in rows:
            self._draw[row.type](json.loads(row.body))
        for run in self._runs.values():
            self._end(run, "no summary yet")

    def _start(self, record: dict[str, Any]) -> None:
        self._dates.begin(record["boot"])
        self._newest_ns = self._dates.utc_ns(record["monotonic_ns"])
        self._instant("start", "processes", self._process, f"{self._process} starts", version=record["version"])

    def _pass(self, record: dict[str, Any]) -> None:
        name = record["source"]
        source = name[: found.start()] if (found := _TIME_OF_DAY.search(name, len(name) - 9)) else ""
        group = f"{self._process} {source}" if record["rate"] == "live" and source else self._process
        self._runs[record["pass_id"]] = _Run(record["run_id"], name, group)

    def _verdict(self, record: dict[str, Any]) -> None:
        run = self._runs.get(record["pass_id"]) or _Run(record["run_id"], "?", self._process)
        if record.get("acquired_ns") is None:
            self.drawn.undated += 1
            return
        times = {stage: round(1e6 * value) for stage, value in record["latency_ms"].items()}
        begin = self._dates.utc_ns(record["acquired_ns"])
        end = begin + times["end_to_end"]
        self._newest_ns = end
        run.span, run.frames = (
            (begin, end) if run.span is None else (run.span[0], max(run.span[1], end)),
            run.frames + 1,
        )
        if not self._window.shows((begin, end), run.run_id):
            return
        parts = dict(_parts(begin, end, times)) if record["findings"] else {}
        told = {
            "frame": record["frame_index"],
            "outcome": record["outcome"],
            "reason": record["reason"],
            "run": run.name,
        }
        name = f"{record['frame_index']} {record['outcome']}"
        self._canvas.slice(run.group, "frames", name, (begin, end), parts, id=record["id"], **told)
        taken = parts["waits"][1] if parts else end
        if times["source"]:
            self._canvas.slice(run.group, "source", name, (taken - times["source"], taken), {})
        for stage in _STAGES:
            if stage in parts:
                self._canvas.slice(run.group, stage, name, parts[stage], {})
        self.drawn.records["verdict"] += 1

    def _alert(self, record: dict[str, Any]) -> None:
        run = self._runs.get(record["pass_id"])
        self._instant(
            "alert", run.group if run else self._process, "alerts", record["news"]["text"], run=record["run_id"],
            frame=record["frame_index"], raised_at_frame=record["raised_at_frame"], engine=record["engine"],
        )  # fmt: skip

    def _summary(self, record: dict[str, Any]) -> None:
        if (run := self._runs.pop(record["pass_id"], None)) is not None:
            self._end(run, ", ".join(f"{name} {count}" for name, count in record["verdicts"].items() if count))

    def _engine(self, record: dict[str, Any]) -> None:
        told = {key: record[key] for key in ("what", "reason", "from_engine", "to_engine", "live_ai", "detail")}
        self._instant("engine", f"{self._process} {record['source']}", "engine", f"engine {record['what']}", **told)

    def _refusal(self, record: dict[str, Any]) -> None:
        self._instant("refusal", self._process, "refusals", record["error"], source=record["source"])

    def _draft(self, record: dict[str, Any]) -> None:
        self._instant("draft", self._process, "drafts", "draft", study=record["study"], revision=record["revision"])

    def _reading(self, record: dict[str, Any]) -> None:
        told = {"study": record["study"], "revision": record["revision"], "provisional": record["provisional"]}
        self._instant("study", self._process, "readings", record["reading"]["bundle"], **told)

    def _ended(self, record: dict[str, Any]) -> None:
        told = {"study": record["study"], "revision": record["revision"]}
        self._instant("ended", self._process, "drafts", "study ended", **told)

    def _instant(self, type_: str, group: str, track: str, name: str, **told: Any) -> None:
        """At the date of the newest row that has one: such records have none of their own."""
        at_ns = self._newest_ns
        if at_ns is not None and self._window.shows((at_ns, at_ns), told.get("run", "")):
            self._canvas.instant(group, track, name, at_ns, **told)
            self.drawn.records[type_] += 1

    def _end(self, run: _Run, verdicts: str) -> None:
        if run.span is not None and self._window.shows(run.span, run.run_id):
            told = {"run_id": run.run_id, "frames": run.frames, "verdicts": verdicts}
            self._canvas.slice(run.group, "runs", run.name, run.span, {}, **told)
            self.drawn.records["run"] += 1


def _parts(begin: int, end: int, times: Mapping[str, int]) -> Iterator[tuple[str, Span]]:
    """What a judged frame's time consists of; `waits` is what its stages do not account for."""
    at = max(begin, end - sum(times[stage] for stage in _STAGES))
    yield "waits", (begin, at)
    for stage in _STAGES:
        until = min(at + times[stage], end)
        yield stage, (at, until)
        at = until
