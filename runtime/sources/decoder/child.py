"""The decoder process: python -m cathrt.runtime.sources.decoder.child, started by sources/decoder/process.py and by
nothing else.

Opens one input, imports what its format needs and nothing else (it starts once per run), gives up its rights, and only
then reads: frames go through the ring, a few ahead. Not for: use as a library.

Arguments: the numbers of three inherited descriptors: replies (pipe, out), credits (pipe, in), ring (memfd); and the
parent's process id. Standard input holds the request. One credit is one byte: one free slot of the ring. The first
credit says that the parent has accepted the run and sized the ring.
"""

from __future__ import annotations

import json
import mmap
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any, BinaryIO

from cathrt.runtime.children.lifeline import die_with_parent
from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import Frame, LostFrame, Run
from cathrt.runtime.sources.content import OTHER_DESCRIPTORS, Content, open_contents
from cathrt.runtime.sources.decoder.confinement import ConfinementError, Walls, confine
from cathrt.runtime.sources.discover import InputKind
from cathrt.runtime.sources.messages import RING_SLOTS, Request, document_from_run, pixel_dtype, request_from_text
from cathrt.runtime.sources.syntax import printable

Reader = Callable[[Request, Sequence[Content]], Iterator[Run | Frame | LostFrame]]


def _dicom(contents: Sequence[Content]) -> Reader:
    from cathrt.runtime.sources.dicom.reader import load_dicom, read_dicom

    load_dicom(contents)
    return read_dicom


def _video(contents: Sequence[Content]) -> Reader:
    from cathrt.runtime.sources.video import load_video, read_video

    load_video(contents)
    return read_video


def _stills(contents: Sequence[Content]) -> Reader:
    from cathrt.runtime.sources.stills import load_stills, read_stills

    load_stills(contents)
    return read_stills


# Each imports all that reading these contents needs, and gives the reader: afterwards no file can be opened, and so no
# module be imported. A reader yields the Run first, then its frames by rising index, from request.first_frame on;
# LostFrame for what it cannot decode. acquired_ns is set by the parent. It raises SourceError where there is no run, or
# no more of it.
READERS: dict[InputKind, Callable[[Sequence[Content]], Reader]] = {"dicom": _dicom, "video": _video, "stills": _stills}


def main(arguments: list[str]) -> None:
    """Serve one request and return."""
    replies, credits, ring, parent = (int(argument) for argument in arguments)
    die_with_parent(parent)
    request = request_from_text(sys.stdin.read())
    limits = request.limits
    with open(replies, "wb", buffering=0) as out:
        try:
            contents = open_contents(request.paths, limits.max_file_mib)
            read = READERS[request.kind](contents)
            open_files = len(contents) + OTHER_DESCRIPTORS
            walls = confine(memory_mib=limits.decoder_memory_mib, cpu_s=limits.decoder_cpu_s, open_files=open_files)
            _serve(read(request, contents), out, credits, ring, walls)
        except SourceError as exc:
            _reply(out, {"refused": str(exc)})
        except ConfinementError as exc:
            _reply(out, {"refused": f"the decoder cannot be confined ({exc}): no foreign file is read without walls"})
        except ImportError as exc:
            _reply(out, {"refused": f"a library is missing, or imports a part of itself late ({exc}): report it"})
        except MemoryError:
            refused = f"needs more than limits.decoder_memory_mib = {limits.decoder_memory_mib}"
            _reply(out, {"refused": refused, "ours": True})
        except BrokenPipeError:
            return  # the parent has closed the source or is gone


def _serve(items: Iterator[Run | Frame | LostFrame], out: BinaryIO, credits: int, ring: int, walls: Walls) -> None:
    run = next(items)
    assert isinstance(run, Run)
    _reply(out, {"run": document_from_run(run), "walls": asdict(walls)})
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
