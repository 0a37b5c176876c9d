"""Browsers that watch one live source, in a process of their own: pictures over WebSocket, verdicts as events.

Commands come on standard input: "watch", "rest", "end". At "end" it prints what came, as one JSON object. A picture is
said to be drawn at once: painting is not measured here. Not for: what the times mean (__main__.py).
"""

from __future__ import annotations

import asyncio
import json
import struct
import sys
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

_CAPTURED = struct.Struct("<q")
_CAPTURED_AT = 32  # docs/page.md


class Watchers:
    """So many browsers. pictures, records: (browser, captured_ns, received_ns)."""

    def __init__(self, url: str, cookie: str, source: str, number: int) -> None:
        self._url, self._cookie, self._source, self._number = urlsplit(url), cookie, source, number
        self.pictures: list[tuple[int, int, int]] = []
        self.records: list[tuple[int, int, int]] = []
        self._tasks: list[asyncio.Task[None]] = []

    def watch(self) -> None:
        """All open their connections."""
        for number in range(self._number):
            self._tasks.append(asyncio.create_task(self._see(number)))
            self._tasks.append(asyncio.create_task(self._hear(number)))

    async def rest(self) -> None:
        """All close them. Raises what went wrong."""
        tasks, self._tasks = self._tasks, []
        failed = [task for task in tasks if task.done() and task.exception() is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for task in failed:
            task.result()

    async def _see(self, number: int) -> None:
        address = f"ws://{self._url.netloc}/api/pictures/{self._source}"
        origin: Any = f"{self._url.scheme}://{self._url.netloc}"
        cookie = {"Cookie": self._cookie}
        async with connect(
            address, origin=origin, additional_headers=cookie, compression=None, max_size=None
        ) as socket:
            try:
                async for message in socket:
                    received_ns = time.monotonic_ns()
                    assert isinstance(message, bytes)
                    (captured_ns,) = _CAPTURED.unpack_from(message, _CAPTURED_AT)
                    self.pictures.append((number, captured_ns, received_ns))
                    await socket.send("next")
            except ConnectionClosed as exc:
                raise RuntimeError(f"the pictures have ended: {exc}") from exc

    async def _hear(self, number: int) -> None:
        assert self._url.hostname is not None
        reader, writer = await asyncio.open_connection(self._url.hostname, self._url.port, limit=1 << 22)
        request = (
            f"GET /api/events?types=verdict HTTP/1.1\r\nHost: {self._url.netloc}\r\nCookie: {self._cookie}\r\n\r\n"
        )
        writer.write(request.encode())
        try:
            while line := await reader.readline():
                if line.startswith(b"data: {"):
                    received_ns = time.monotonic_ns()
                    record = json.loads(line[6:])["record"]
                    self.records.append((number, record["acquired_ns"], received_ns))
            raise RuntimeError("the events have ended")
        finally:
            writer.close()


async def _serve(words: Sequence[str]) -> None:
    watchers = Watchers(words[0], words[1], words[2], int(words[3]))
    loop = asyncio.get_running_loop()
    print("ready", flush=True)
    while (command := (await loop.run_in_executor(None, sys.stdin.readline)).strip()) not in ("", "end"):
        if command == "watch":
            watchers.watch()
        else:
            await watchers.rest()
        print("done", flush=True)
    await watchers.rest()
    print(json.dumps({"pictures": watchers.pictures, "records": watchers.records}), flush=True)


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1:]))
