"""A run read by a decoder process: open_source() gives the Source of any Input.

The parent's side, which trusts nothing the child says. Not for: formats (dicom/, video.py, stills.py, in the child).
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import Frame, LostFrame, Run
from cathrt.runtime.ports import Opening, SeveralRunsError
from cathrt.runtime.sources.decoder.process import DecoderProcess
from cathrt.runtime.sources.decoder.run_reply import KilledError, first_reply, with_given_rate
from cathrt.runtime.sources.decoder.servers import server_of
from cathrt.runtime.sources.discover import Input, UnlikeStillsError, single_stills
from cathrt.runtime.sources.messages import (
    RING_SLOTS,
    Request,
    angles_from_document,
    document_from_run,
    grayscale_from_document,
    pixel_dtype,
)
from cathrt.runtime.sources.reply_error import ReplyError
from cathrt.runtime.sources.syntax import printable

_log = logging.getLogger(__name__)

Start = Callable[[int], DecoderProcess]  # starts a decoder of one run, whose first frame is this one


def open_source(input_: Input, limits: LimitsConfig, clock: Callable[[], int] = time.monotonic_ns) -> SandboxedSource:
    """Start a decoder process on an input and wait, at most limits.first_frame_s, until it can describe the run.

    clock: read once per frame for acquired_ns. Raises SourceError when the input is no run, SeveralRunsError where it
    is a guessed sequence of stills that are not alike.
    """
    return _Input(input_, limits, clock).open()


def prepare_decoders(inputs: Iterable[Input]) -> None:
    """Start what these inputs' decoders are forked from, so that it loads while the caller does something else."""
    for kind in {input_.kind for input_ in inputs}:
        with contextlib.suppress(OSError):  # the input that needs it says why it cannot be started
            server_of(kind).start()


def opening_of(input_: Input, limits: LimitsConfig, clock: Callable[[], int] = time.monotonic_ns) -> Opening:
    """open_source() for later. Its start() has a decoder read the header, but no frame, before open() is called."""
    later = _Input(input_, limits, clock)
    return Opening(input_.name, later.open, later.start, later.give_up)


class _Input:
    """One input, and its decoder where that is started before its turn. open() opens it anew each time."""

    def __init__(self, input_: Input, limits: LimitsConfig, clock: Callable[[], int]) -> None:
        paths = tuple(None if path is None else os.path.abspath(path) for path in input_.paths)
        self._input, self._limits, self._clock = input_, limits, clock
        self._request = Request(input_.kind, input_.name, paths, limits, guessed=input_.guessed)
        self._started: DecoderProcess | None = None

    def start(self) -> None:
        if self._started is None and self._input.refused is None:
            with contextlib.suppress(SourceError):  # open() tries again, and raises it
                self._started = DecoderProcess(self._request)

    def give_up(self) -> None:
        started, self._started = self._started, None
        if started is not None:
            started.close()

    def open(self) -> SandboxedSource:
        input_ = self._input
        if input_.refused is not None:
            raise SourceError(f"{input_.name}: {input_.refused}")
        try:
            return SandboxedSource(self._decoder, input_.name, self._limits, self._clock, input_.rate_hz)
        except UnlikeStillsError as exc:
            stills = [opening_of(still, self._limits, self._clock) for still in single_stills(input_)]
            raise SeveralRunsError(
                f"{exc}: read as {len(stills)} stills; --stills run reads them as one run", stills
            ) from exc

    def _decoder(self, first_frame: int) -> DecoderProcess:
        """The decoder that was started, which begins with frame 0, or a new one."""
        started, self._started = self._started, None
        return started or DecoderProcess(replace(self._request, first_frame=first_frame))


@dataclass(frozen=True, slots=True)
class _Loss:
    """Why a decoder gives no more. ours: as LostFrame.ours. resume_at: the frame at which a fresh decoder may begin,
    None where none may."""

    reason: str
    ours: bool
    resume_at: int | None = None


class SandboxedSource:
    """The Source of one input (ports.Source). Pixels are copied out of the ring, so frames outlive the process.

    A run has one fresh start: where its decoder is lost, a second one begins with the frame that was due if that frame
    is not to blame (the decoder was killed from outside or used up its CPU time), and with the next one if it may be
    (a crash, a stall, too little memory). What is lost after that is lost to the end of the run.
    """

    def __init__(
        self, start: Start, name: str, limits: LimitsConfig, clock: Callable[[], int], rate_hz: float | None = None
    ) -> None:
        """Start the decoder and wait for the run. rate_hz: where the input states none. Raises SourceError; no process
        is left then."""
        self._start, self._name, self._rate_hz = start, name, rate_hz
        self._limits = limits
        self._clock = clock
        self._walked = False
        self._closed_early = False
        self._fresh_starts = 1
        self._lost: _Loss | None = None  # the decoder is gone, and a fresh one has yet to be started
        self._ended: _Loss | None = None  # no further frame will come
        try:
            self._run = self._begin(0)
        except KilledError:
            self._fresh_starts = 0
            self._run = self._begin(0)
        self._wait_s = limits.frame_s

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
        self._stop(_Loss("the source was closed before this frame", ours=False))
        with contextlib.suppress(BufferError):
            self._ring.close()

    def _frames(self) -> Iterator[Frame | LostFrame]:
        assert self._run.frame_count is not None
        for index in range(self._run.frame_count):
            yield self._next(index)
        self._stop(_Loss("every frame was read", ours=False))

    def _next(self, index: int) -> Frame | LostFrame:
        while self._ended is None:
            if self._lost is not None and not self._begin_afresh(index, self._lost):
                break
            found = self._received(index)
            if not isinstance(found, _Loss):
                return found
            self._decoder.close()
            if found.resume_at is None or not self._fresh_starts:
                self._ended = found
                break
            self._fresh_starts -= 1
            self._lost = found
            if found.resume_at > index:
                return self._owed(index, found)
        assert self._ended is not None
        return self._owed(index, self._ended)

    def _owed(self, index: int, loss: _Loss) -> LostFrame:
        # A frame that a closed source still owes was dropped; one that a broken decoder owes has failed.
        return LostFrame(index, self._clock(), loss.reason, failed=not self._closed_early, ours=loss.ours)

    def _begin(self, first_frame: int) -> Run:
        """Start a decoder and its ring. Raises SourceError, KilledError where a fresh start may help."""
        decoder = self._start(first_frame)
        try:
            run = with_given_rate(first_reply(decoder, self._name, self._limits), self._rate_hz)
            slot_bytes = run.rows * run.columns * pixel_dtype(run.grayscale.bits_stored).itemsize
            try:
                ring = decoder.size_ring(RING_SLOTS * slot_bytes)
            except OSError as exc:
                needed = f"{RING_SLOTS * slot_bytes / (1 << 20):.0f} MiB for {RING_SLOTS} frames"
                raise SourceError(f"{self._name}: no room for {needed} ({exc.strerror}): free some memory") from exc
            decoder.give_credit(RING_SLOTS)
        except BaseException:
            decoder.close()
            raise
        self._decoder, self._ring, self._slot_bytes, self._shown = decoder, ring, slot_bytes, 0
        return run

    def _begin_afresh(self, index: int, lost: _Loss) -> bool:
        """Start the second decoder at frame `index`. Returns False, with self._ended set, where it cannot go on."""
        try:
            run = self._begin(index)
            if document_from_run(run) != document_from_run(self._run):
                self._decoder.close()
                raise SourceError(f"{self._name}: the input has changed since")
        except SourceError as exc:
            reason = f"{lost.reason}; a fresh decoder could not take over: {exc}"
            self._ended = _Loss(printable(reason, 300), ours=True)
            return False
        _log.warning("%s: %s: a fresh decoder goes on with frame %d", self._name, lost.reason, index)
        self._lost = None
        self._wait_s = self._limits.first_frame_s  # a video is decoded from its start
        return True

    def _received(self, index: int) -> Frame | LostFrame | _Loss:
        """What the decoder says of frame `index`."""
        try:
            reply = self._decoder.receive(self._wait_s)
            if reply is None:
                ending = self._decoder.how_it_ended()
                return _Loss(f"the decoder stopped: {ending.text}", True, index if ending.killed else index + 1)
            if isinstance(refusal := reply.get("refused"), str):
                ours = reply.get("ours") is True
                return _Loss(printable(refusal, 300), ours, index + 1 if ours else None)
            item = self._item(reply, index)
        except TimeoutError:
            return _Loss(f"decoding a frame took more than {self._waited()}", True, index + 1)
        except ReplyError as exc:
            # No honest decoder says it. The input may have taken this one over, and would take the next one, too.
            return _Loss(f"the decoder was stopped: {printable(str(exc), 200)}", True)
        self._wait_s = self._limits.frame_s
        return item

    def _waited(self) -> str:
        key = "frame_s" if self._wait_s == self._limits.frame_s else "first_frame_s"
        return f"limits.{key} = {self._wait_s:g}"

    def _item(self, reply: dict[str, Any], index: int) -> Frame | LostFrame:
        if reply.get("lost") == index and isinstance(reason := reply.get("reason"), str):
            failed, ours = reply.get("failed") is not False, reply.get("ours") is True
            return LostFrame(index, self._clock(), printable(reason, 200), failed=failed, ours=failed and ours)
        if reply.get("frame") != index:
            raise ReplyError(f"frame {index} was due")
        primary, secondary = angles_from_document(reply.get("angles"))
        grayscale = grayscale_from_document(reply.get("grayscale"), self._run)
        pixels = self._take_slot()
        if int(pixels.max()) >> self._run.grayscale.bits_stored:
            raise ReplyError(f"frame {index} has values beyond {self._run.grayscale.bits_stored} bits")
        return Frame(pixels, index, self._clock(), primary, secondary, grayscale)

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

    def _stop(self, why: _Loss) -> None:
        self._ended = self._ended or why
        self._decoder.close()
