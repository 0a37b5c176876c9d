"""The decoder process: python -m cathrt.runtime.sources.child, started by decoder_process.py and by nothing else.

Gives up its rights, reads one input with the reader of its kind and hands frames over through the ring, a few ahead.
Imports only what the one format needs: it starts once per run. Not for: use as a library.

Arguments: the numbers of three inherited descriptors: replies (pipe, out), credits (pipe, in), ring (memfd); and the
parent's process id. Standard input holds the request. One credit is one byte: one free slot of the ring. The first
credit says that the parent has accepted the run and sized the ring.
"""

from __future__ import annotations

import json
import mmap
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from cathrt.runtime.children.lifeline import die_with_parent
from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import Frame, LostFrame, Run
from cathrt.runtime.sources.confinement import confine
from cathrt.runtime.sources.discover import InputKind
from cathrt.runtime.sources.messages import RING_SLOTS, Request, document_from_run, pixel_dtype, request_from_text
from cathrt.runtime.sources.syntax import printable

Reader = Callable[[Request], Iterator[Run | Frame | LostFrame]]


def _dicom(request: Request) -> Iterator[Run | Frame | LostFrame]:
    from cathrt.runtime.sources.dicom.reader import read_dicom

    return read_dicom(request)


def _video(request: Request) -> Iterator[Run | Frame | LostFrame]:
    from cathrt.runtime.sources.video import read_video

    return read_video(request)


def _stills(request: Request) -> Iterator[Run | Frame | LostFrame]:
    from cathrt.runtime.sources.stills import read_stills

    return read_stills(request)


# A reader yields the Run first, then its frames by rising index, from request.first_frame on; LostFrame for what it
# cannot decode. acquired_ns is
# set by the parent. It raises SourceError where there is no run, or no more of it.
READERS: dict[InputKind, Reader] = {"dicom": _dicom, "video": _video, "stills": _stills}


def main(arguments: list[str]) -> None:
    """Serve one request and return."""
    replies, credits, ring, parent = (int(argument) for argument in arguments)
    die_with_parent(parent)
    request = request_from_text(sys.stdin.read())
    with open(replies, "wb", buffering=0) as out:
        landlocked = confine(memory_mib=request.limits.decoder_memory_mib, cpu_s=request.limits.decoder_cpu_s)
        try:
            _serve(READERS[request.kind](request), out, credits, ring, landlocked=landlocked)
        except SourceError as exc:
            _reply(out, {"refused": str(exc)})
        except MemoryError:
            refused = f"needs more than limits.decoder_memory_mib = {request.limits.decoder_memory_mib}"
            _reply(out, {"refused": refused, "ours": True})
        except BrokenPipeError:
            return  # the parent has closed the source or is gone


def _serve(
    items: Iterator[Run | Frame | LostFrame], out: BinaryIO, credits: int, ring: int, *, landlocked: bool
) -> None:
    run = next(items)
    assert isinstance(run, Run)
    _reply(out, {"run": document_from_run(run), "landlock": landlocked})
    dtype = pixel_dtype(run.grayscale.bits_stored)
    slot_bytes = run.rows * run.columns * dtype.itemsize
    slots: mmap.mmap | None = None
    shown = 0
    for item in items:
        if isinstance(item, LostFrame):
            reason = printable(item.reason, 200)
            _reply(out, {"lost": item.index, "reason": reason, "failed": item.failed, "ours": item.ours})
            continue
        assert isinstance(item, Frame)
        assert item.pixels.shape == (run.rows, run.columns)
        assert item.pixels.dtype == dtype
        if not os.read(credits, 1):
            return  # the parent has closed the source or is gone
        if slots is None:
            slots = mmap.mmap(ring, RING_SLOTS * slot_bytes)
        start = (shown % RING_SLOTS) * slot_bytes
        slots[start : start + slot_bytes] = item.pixels.tobytes()
        angles = [item.positioner_primary_angle_deg, item.positioner_secondary_angle_deg]
        _reply(out, {"frame": item.index, "angles": angles})
        shown += 1


def _reply(out: BinaryIO, document: dict[str, Any]) -> None:
    line = memoryview(json.dumps(document, allow_nan=False).encode() + b"\n")
    while line:
        line = line[out.write(line) :]


if __name__ == "__main__":
    main(sys.argv[1:])
