"""A run read by a decoder process: open_source() gives the Source of any Input.

The parent's side, which trusts nothing the child says. Not for: formats (dicom/, video.py, stills.py, in the child).
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import Frame, LostFrame, Run
from cathrt.runtime.sources.decoder_process import DecoderProcess
from cathrt.runtime.sources.discover import Input
from cathrt.runtime.sources.messages import (
    RING_SLOTS,
    ReplyError,
    Request,
    angles_from_document,
    pixel_dtype,
    run_from_document,
)
from cathrt.runtime.sources.syntax import printable


def open_source(input_: Input, limits: LimitsConfig, clock: Callable[[], int] = time.monotonic_ns) -> SandboxedSource:
    """Start a decoder process on an input and wait, at most limits.first_frame_s, until it can describe the run.

    clock: read once per frame for acquired_ns. Raises SourceError when the input is no run.
    """
    paths = tuple(None if path is None else os.path.abspath(path) for path in input_.paths)
    decoder = DecoderProcess(Request(input_.kind, input_.name, paths, limits))
    return source_from_decoder(decoder, input_.name, limits, clock)


def source_from_decoder(
    decoder: DecoderProcess, name: str, limits: LimitsConfig, clock: Callable[[], int]
) -> SandboxedSource:
    """The Source of a decoder process just started; it is stopped where none comes of it. Raises SourceError."""
    try:
        run = _first_reply(decoder, name, limits)
    except BaseException:
        decoder.close()
        raise
    return SandboxedSource(run, decoder, limits, clock)


class SandboxedSource:
    """The Source of one input (ports.Source). Pixels are copied out of the ring, so frames outlive the process."""

    def __init__(self, run: Run, decoder: DecoderProcess, limits: LimitsConfig, clock: Callable[[], int]) -> None:
        self._run = run
        self._decoder = decoder
        self._limits = limits
        self._clock = clock
        self._walked = False
        self._closed_early = False
        self._ended: str | None = None  # why no further frame will come
        self._ours = False  # whether that is our doing and not the input's
        dtype = pixel_dtype(run.grayscale.bits_stored)
        self._slot_bytes = run.rows * run.columns * dtype.itemsize
        self._ring = decoder.size_ring(RING_SLOTS * self._slot_bytes)
        self._shown = 0
        decoder.give_credit(RING_SLOTS)

    @property
    def run(self) -> Run:
        return self._run

    @property
    def decoder_pid(self) -> int:
        """Process id of the decoder, for whoever watches its memory."""
        return self._decoder.pid

    def frames(self) -> Iterator[Frame | LostFrame]:
        """run.frame_count items, indices rising by one. What the decoder cannot deliver comes as LostFrame.

        Raises SourceError when walked twice: open the input again.
        """
        if self._walked:
            raise SourceError(f"{self._run.source}: its frames were already read: open it again")
        self._walked = True
        return self._frames()

    def close(self) -> None:
        """Stop the decoder process. Idempotent. Frames not yet read come as lost."""
        if self._ended is None:
            self._closed_early = True
        self._stop("the source was closed before this frame")
        with contextlib.suppress(BufferError):
            self._ring.close()

    def _frames(self) -> Iterator[Frame | LostFrame]:
        assert self._run.frame_count is not None
        for index in range(self._run.frame_count):
            item = self._next(index) if self._ended is None else None
            # A frame that a closed source still owes was dropped; one that a broken decoder owes has failed.
            failed = not self._closed_early
            yield item or LostFrame(index, self._clock(), self._ended or "", failed=failed, ours=failed and self._ours)
        self._stop("every frame was read")

    def _next(self, index: int) -> Frame | LostFrame | None:
        """Frame `index`, or None with self._ended set: from here on there are no frames."""
        try:
            reply = self._decoder.receive(self._limits.frame_s)
            if reply is None:
                self._stop(f"the decoder stopped: {self._decoder.how_it_ended()}", ours=True)
            elif isinstance(refusal := reply.get("refused"), str):
                self._stop(printable(refusal, 300), ours=reply.get("ours") is True)
            else:
                return self._item(reply, index)
        except TimeoutError:
            self._stop(f"decoding a frame took more than limits.frame_s = {self._limits.frame_s:g}", ours=True)
        except ReplyError as exc:
            self._stop(f"the decoder was stopped: {printable(str(exc), 200)}", ours=True)
        return None

    def _item(self, reply: dict[str, Any], index: int) -> Frame | LostFrame:
        if reply.get("lost") == index and isinstance(reason := reply.get("reason"), str):
            failed, ours = reply.get("failed") is not False, reply.get("ours") is True
            return LostFrame(index, self._clock(), printable(reason, 200), failed=failed, ours=failed and ours)
        if reply.get("frame") != index:
            raise ReplyError(f"frame {index} was due")
        primary, secondary = angles_from_document(reply.get("angles"))
        pixels = self._take_slot()
        if int(pixels.max()) >> self._run.grayscale.bits_stored:
            raise ReplyError(f"frame {index} has values beyond {self._run.grayscale.bits_stored} bits")
        return Frame(pixels, index, self._clock(), primary, secondary)

    def _take_slot(self) -> NDArray[Any]:
        """Copy the next slot and give it back."""
        dtype = pixel_dtype(self._run.grayscale.bits_stored)
        start = (self._shown % RING_SLOTS) * self._slot_bytes
        # Copied first, checked afterwards: the child can still write to the slot.
        data = np.frombuffer(self._ring, dtype, self._run.rows * self._run.columns, start)
        pixels = data.reshape(self._run.rows, self._run.columns).copy()
        pixels.flags.writeable = False
        self._shown += 1
        self._decoder.give_credit(1)
        return pixels

    def _stop(self, reason: str, *, ours: bool = False) -> None:
        if self._ended is None:
            self._ended, self._ours = reason, ours
        self._decoder.close()


def _first_reply(decoder: DecoderProcess, name: str, limits: LimitsConfig) -> Run:
    try:
        reply = decoder.receive(limits.first_frame_s)
        if reply is None:
            raise SourceError(
                f"{name}: the decoder stopped: {decoder.how_it_ended()}: the file is damaged or not what it says it is"
            )
        if isinstance(refusal := reply.get("refused"), str):
            raise SourceError(f"{name}: {printable(refusal, 600)}")
        run = run_from_document(reply.get("run"), name, limits)
        if reply.get("landlock") is not True:
            run = replace(run, flags=tuple(sorted({*run.flags, "decoder_without_landlock"})))
    except TimeoutError:
        raise SourceError(
            f"{name}: no header within limits.first_frame_s = {limits.first_frame_s:g}: "
            "the file is damaged, or the storage too slow"
        ) from None
    except ReplyError as exc:
        raise SourceError(f"{name}: its description makes no sense ({printable(str(exc), 200)}): not read") from exc
    return run
