"""Takes the newest pictures of one live source out of its ring while somebody watches; one pump for all who watch.

Not for: sending them (picture_socket.py), the ring (pictures/).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager

from cathrt.runtime.pictures.layout import About
from cathrt.runtime.pictures.reader import RingReader
from cathrt.runtime.web.live.picture_message import GreyPicture, Greys
from cathrt.runtime.web.part.context import PageContext

_POLL_S = 0.005  # between two looks at the number of the newest picture: one read of 8 bytes of memory
_WANTED_FOR_NS = 3_000_000_000  # a killed gateway is forgotten after so long
_WANT_EVERY_S = 1.0


class PicturePump:
    """For one event loop. newest: of those that came; None before the first."""

    def __init__(self, source: str, context: PageContext, thread: Executor) -> None:
        """thread: one, in which rings are read."""
        self.source = source
        self.newest: GreyPicture | None = None
        self.watchers = 0
        self._ring, self._beside = (RingReader(context.box.ring_of(source), source, context.now_ns) for _ in range(2))
        self._context, self._thread = context, thread
        self._greys = Greys()
        self._came: set[asyncio.Event] = set()
        self._task: asyncio.Task[None] | None = None

    @contextmanager
    def watched(self, came: asyncio.Event) -> Iterator[None]:
        """Set `came` with each new picture, until the end of the block."""
        self._came.add(came)
        self.watchers += 1
        if self._task is None or self._task.done():  # done: by a bug, which asyncio logs
            self._task = asyncio.create_task(self._pump())
        try:
            yield
        finally:
            self._came.discard(came)
            self.watchers -= 1
            if not self.watchers and self._task is not None:
                self._task.cancel()
                self._task = None

    async def about(self) -> About | None:
        """The newest picture that was ever put, without its pixels. Also while nobody watches."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._beside.about)

    def close(self) -> None:
        """Let go of the ring. Nobody may be watching."""
        self._ring.close()
        self._beside.close()

    async def _pump(self) -> None:
        loop = asyncio.get_running_loop()
        want_at_s = 0.0
        while True:
            if loop.time() >= want_at_s:
                want_at_s = loop.time() + _WANT_EVERY_S
                until_ns = self._context.now_ns() + _WANTED_FOR_NS
                await loop.run_in_executor(self._thread, self._ring.want, until_ns)
            if self._ring.newest() not in (0, self._number):  # shared memory: no disk is waited for
                picture = await loop.run_in_executor(self._thread, self._next)
                if picture is not None:
                    self.newest = picture
                    for event in self._came:
                        event.set()
            await asyncio.sleep(_POLL_S)

    @property
    def _number(self) -> int:
        return 0 if self.newest is None else self.newest.about.number

    def _next(self) -> GreyPicture | None:
        """In the thread."""
        picture = self._ring.read(after=self._number)
        return None if picture is None else self._greys.of(picture)
