"""Slices and instants on named tracks, written as Chrome's JSON trace format, which ui.perfetto.dev opens.

Slices of one track that overlap are put on lanes of it, since slices of a lane must nest. Times are ns since `origin`.
Not for: what is drawn (drawing.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol


class TextFile(Protocol):
    """What text is written to."""

    def write(self, text: str, /) -> object: ...


class ChromeTrace:
    """Writes one trace, event by event, in no order that matters. end() makes it whole."""

    def __init__(self, file: TextFile, origin_ns: int, about: Mapping[str, str]) -> None:
        """about: what a reader of the file should know."""
        self._file, self._origin_ns = file, origin_ns
        self._groups: dict[str, int] = {}
        self._tracks: dict[tuple[str, str], int] = {}
        self._lanes: dict[tuple[str, str], list[tuple[int, int]]] = {}  # thread number, end of its newest slice
        self._threads = 0
        self._file.write(f'{{"displayTimeUnit":"ms","otherData":{json.dumps(dict(about))},"traceEvents":[\n')
        self._separator = ""

    def slice(
        self,
        group: str,
        track: str,
        name: str,
        span: tuple[int, int],
        parts: Mapping[str, tuple[int, int]],
        **told: Any,
    ) -> None:
        """span: begin and end. parts: slices within it, by name."""
        thread = self._lane(group, track, *span)
        self._event("X", group, thread, name, span[0], dur=(span[1] - span[0]) / 1000, args=told)
        for part, (begin, end) in parts.items():
            self._event("X", group, thread, part, begin, dur=(end - begin) / 1000)

    def instant(self, group: str, track: str, name: str, at_ns: int, **told: Any) -> None:
        """Something that has no length."""
        thread = self._thread(group, track)
        self._event("i", group, thread, name, at_ns, s="t", args=told)

    def end(self) -> None:
        """Nothing more comes."""
        self._file.write("\n]}\n")

    def _event(self, phase: str, group: str, thread: int, name: str, at_ns: int, **more: Any) -> None:
        at_us = (at_ns - self._origin_ns) / 1000
        self._write({"ph": phase, "pid": self._group(group), "tid": thread, "name": name, "ts": at_us, **more})

    def _lane(self, group: str, track: str, begin_ns: int, end_ns: int) -> int:
        lanes = self._lanes.setdefault((group, track), [])
        for number, (thread, free_ns) in enumerate(lanes):
            if free_ns <= begin_ns:
                lanes[number] = thread, end_ns
                return thread
        thread = self._thread(group, track if not lanes else f"{track} ({len(lanes) + 1})")
        lanes.append((thread, end_ns))
        return thread

    def _group(self, group: str) -> int:
        if group not in self._groups:
            self._groups[group] = len(self._groups) + 1
            self._write({"ph": "M", "pid": self._groups[group], "name": "process_name", "args": {"name": group}})
        return self._groups[group]

    def _thread(self, group: str, track: str) -> int:
        if (group, track) not in self._tracks:
            self._threads += 1
            self._tracks[group, track] = self._threads
            place = {"pid": self._group(group), "tid": self._threads}
            self._write({"ph": "M", **place, "name": "thread_name", "args": {"name": track}})
            self._write({"ph": "M", **place, "name": "thread_sort_index", "args": {"sort_index": self._threads}})
        return self._tracks[group, track]

    def _write(self, event: Mapping[str, Any]) -> None:
        self._file.write(self._separator + json.dumps(event, separators=(",", ":")))
        self._separator = ",\n"
