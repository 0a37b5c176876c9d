"""The rendering process as its parent holds it: start, say which frames are wanted, take those that came, stop.

It runs beside the line at a lower priority. Not for: when a frame is due (live.py), and rendering (renderer.py).
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import threading
from dataclasses import asdict
from tempfile import TemporaryFile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.children.parent import end_child, exit_status, start_child
from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import Run
from cathrt.runtime.phantom.renderer import INDEX, WINDOW
from cathrt.runtime.phantom.study import SceneRecipe
from cathrt.runtime.sources.messages import pixel_dtype, run_from_document
from cathrt.runtime.sources.reply_error import ReplyError
from cathrt.runtime.sources.syntax import printable

_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # the other cores are the line's


class RendererProcess:
    """Fits live.Renderer. A thread of its own empties the process's pipe, so rendering never waits for the line."""

    def __init__(self, recipe: SceneRecipe, limits: LimitsConfig) -> None:
        """Start it and wait, at most limits.first_frame_s, until it has described the run. Raises SourceError."""
        self._name = f"phantom seed {recipe.seed}"
        self._errors = TemporaryFile()  # noqa: SIM115 - close() closes it
        arguments = ["-m", "cathrt.runtime.phantom.renderer", json.dumps(asdict(recipe)), str(os.getpid())]
        try:
            self._process = start_child(
                lambda: subprocess.Popen(
                    [sys.executable, "-P", *arguments],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=self._errors,
                    env=os.environ | _ONE_THREAD,
                    start_new_session=True,  # Ctrl-C in the terminal is the parent's to handle
                )
            )
        except OSError as exc:
            self._errors.close()
            raise SourceError(
                f"{self._name}: the renderer cannot be started ({exc.strerror}): "
                f"check {sys.executable}, and the limits on processes and open files"
            ) from exc
        self._changed = threading.Condition()
        self._arrived: dict[int, NDArray[Any]] = {}
        self._first = self._stop = 0
        self._over = self._closed = False
        self._reader: threading.Thread | None = None
        try:
            self._run = self._described(limits)
        except BaseException:
            self.close()
            raise
        self._reader = threading.Thread(target=self._read, name="cathrt-render", daemon=True)
        self._reader.start()

    @property
    def run(self) -> Run:
        """The run that is rendered."""
        return self._run

    @property
    def pid(self) -> int:
        """Process id, for whoever watches its priority."""
        return self._process.pid

    def want(self, first: int, stop: int) -> None:
        """Have frames first <= index < stop rendered, in order; none before first is kept or begun any more."""
        with self._changed:
            self._first, self._stop = first, min(stop, self._run.frame_count or 0)
            self._arrived = {index: pixels for index, pixels in self._arrived.items() if index >= first}
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError, ValueError):  # gone or closed: ended() says so
            os.write(self._process.stdin.fileno(), WINDOW.pack(first, stop))

    def take(self, index: int) -> NDArray[Any] | None:
        """Frame `index` if it has come: (rows, columns), read-only."""
        with self._changed:
            return self._arrived.pop(index, None)

    def settle(self, wait_s: float) -> bool:
        """Wait until every frame wanted has come, or none will any more. False where wait_s were not enough."""
        with self._changed:
            return self._changed.wait_for(
                lambda: self._over or all(index in self._arrived for index in range(self._first, self._stop)), wait_s
            )

    def ended(self) -> str | None:
        """Why no further frame will come; None while they may."""
        with self._changed:
            if not self._over:
                return None
        return f"the renderer stopped: {self._last_words()}"

    def close(self) -> None:
        """Kill the process and whatever it started. Idempotent."""
        if self._closed:
            return
        self._closed = True
        end_child(self._process)
        if self._reader is not None:
            self._reader.join()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._errors.close()

    def _described(self, limits: LimitsConfig) -> Run:
        stream = self._process.stdout
        assert stream is not None
        if not select.select([stream], [], [], limits.first_frame_s)[0]:
            raise SourceError(
                f"{self._name}: not described within limits.first_frame_s = {limits.first_frame_s:g}: "
                "raise it, or choose a smaller matrix"
            )
        line = stream.readline()
        if not line.endswith(b"\n"):
            raise SourceError(f"{self._name}: the renderer stopped: {self._last_words()}")
        try:
            return run_from_document(json.loads(line), self._name, limits)
        except ReplyError as exc:
            raise SourceError(f"{self._name}: {exc}: raise the limits, or choose a smaller matrix") from exc

    def _read(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        shape = (self._run.rows, self._run.columns)
        dtype = pixel_dtype(self._run.grayscale.bits_stored)
        size = shape[0] * shape[1] * dtype.itemsize
        while len(head := stream.read(INDEX.size)) == INDEX.size and len(data := stream.read(size)) == size:
            (index,) = INDEX.unpack(head)
            with self._changed:
                if index >= self._first:
                    self._arrived[index] = np.frombuffer(data, dtype).reshape(shape)
                self._changed.notify_all()
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def _last_words(self) -> str:
        """What it said last on standard error, or its exit status."""
        if self._closed:
            return "it was closed"
        status = exit_status(self._process, within_s=2.0)
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return printable(lines[-1], 200) if lines else f"ended with status {status} and no word"
