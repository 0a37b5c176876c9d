"""Health as all streams of the page share it: looked at once a second, and told when it changes.

Not for: what health is (processes/health.py).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from cathrt.runtime.alert import NOTICE
from cathrt.runtime.errors import CathrtError
from cathrt.runtime.web.part.context import PageContext

LOOK_S = 1.0
_NUMBER = re.compile(r"\d+(\.\d+)?")


class HealthWatch:
    """For one event loop. version: rises when health has changed in more than numbers."""

    def __init__(self, context: PageContext) -> None:
        self.version = 0
        self._context = context
        self._document: Mapping[str, Any] | None = None
        self._looked_s = 0.0
        self._listeners: set[asyncio.Event] = set()
        self._task: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()

    async def document(self) -> Mapping[str, Any]:
        """Health, at most a second old."""
        clock = asyncio.get_running_loop().time
        async with self._lock:
            if self._document is None or clock() - self._looked_s >= LOOK_S:
                found = await self._look()
                self._looked_s = clock()
                if self._document is None or _words_of(found) != _words_of(self._document):
                    self.version += 1
                self._document = found
            return self._document

    @contextmanager
    def told(self, event: asyncio.Event) -> Iterator[None]:
        """Set `event` whenever health has changed, until the end of the block."""
        self._listeners.add(event)
        if self._task is None:
            self._task = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            self._listeners.discard(event)
            if not self._listeners and self._task is not None:
                self._task.cancel()
                self._task = None

    async def _watch(self) -> None:
        while True:
            before = self.version
            await self.document()
            if self.version != before:
                for event in self._listeners:
                    event.set()
            await asyncio.sleep(LOOK_S)

    async def _look(self) -> Mapping[str, Any]:
        try:
            return await self._context.in_files(self._context.box.health)
        except (CathrtError, OSError) as exc:
            reason = f"health cannot be read: {exc}"
            return {
                "healthy": False,
                "reasons": [reason],
                "notes": [],
                "disk_free_mib": None,
                "processes": [],
                "sources": [],
                "notice": NOTICE,
            }


def _words_of(document: Mapping[str, Any]) -> object:
    """What makes a change: ages and counts, which rise each second, do not."""
    said = [[_NUMBER.sub("#", line) for line in document.get(key, ())] for key in ("reasons", "notes")]
    states = [(process["name"], process["state"]) for process in document.get("processes", ())]
    return document.get("healthy"), said, states
