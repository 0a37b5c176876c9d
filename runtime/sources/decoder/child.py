"""The decoder process: one input, from its request to its last frame. Forked by decoder/fork_server.py.

Opens its input, gives up its rights, and only then reads: frames go through the ring, a few ahead. What the input's
kind needs was imported before the fork. Not for: use as a library.

One credit is one byte: one free slot of the ring. The first credit says that the parent has accepted the run and sized
the ring.
"""

from __future__ import annotations

import json
import math
import mmap
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import Frame, LostFrame, Run
from cathrt.runtime.sources.content import OTHER_DESCRIPTORS, Content, open_contents
from cathrt.runtime.sources.decoder.confinement import ConfinementError, Walls, confine
from cathrt.runtime.sources.discover import InputKind, UnlikeStillsError
from cathrt.runtime.sources.messages import RING_SLOTS, Request, document_from_run, pixel_dtype, request_from_text
from cathrt.runtime.sources.syntax import printable

Reader = Callable[[Request, Sequence[Content]], Iterator[Run | Frame | LostFrame]]


def _dicom() -> Reader:
    from cathrt.runtime.sources.dicom.reader import load_dicom, read_dicom

    load_dicom()
    return read_dicom


def _video() -> Reader:
    from cathrt.runtime.sources.video import load_video, read_video

    load_video()
    return read_video


def _stills() -> Reader:
    from cathrt.runtime.sources.stills import load_stills, read_stills

    load_stills()
    return read_stills


# Each imports all that reading its kind of input needs, and gives the reader: afterwards no file can be opened, and so
# no module be imported. A reader yields the Run first, then its frames by rising index, from request.first_frame on;
# LostFrame for what it cannot decode. acquired_ns is set by the parent. It raises SourceError where there is no run, or
# no more of it.
READERS: dict[InputKind, Callable[[], Reader]] = {"dicom": _dicom, "video": _video, "stills": _stills}


@dataclass(frozen=True, slots=True)
class Given:
    """The descriptors a decoder is given.

    request: memfd, text_from_request(). replies: pipe, out. credits: pipe, in. ring: memfd.
    """

    request: int
    replies: int
    credits: int
    ring: int


def serve(given: Given) -> None:
    """Serve one request and return."""
    with open(given.request, encoding="utf-8") as file:
        request = request_from_text(file.read())
    limits = request.limits
    with open(given.replies, "wb", buffering=0) as out:
        try:
            read = READERS[request.kind]()
            contents = open_contents(request.paths, limits.max_file_mib)
            open_files = len(contents) + OTHER_DESCRIPTORS
            walls = confine(memory_mib=limits.decoder_memory_mib, cpu_s=limits.decoder_cpu_s, open_files=open_files)
            _serve(read(request, contents), out, given.credits, given.ring, walls)
        except SourceError as exc:
            _reply(out, {"refused": str(exc), "unlike": isinstance(exc, UnlikeStillsError)})
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
    slots: NDArray[Any] | None = None
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
            shape = (RING_SLOTS, run.rows, run.columns)
            slots = np.frombuffer(mmap.mmap(ring, math.prod(shape) * dtype.itemsize), dtype).reshape(shape)
        slots[shown % RING_SLOTS] = item.pixels
        angles = [item.positioner_primary_angle_deg, item.positioner_secondary_angle_deg]
        _reply(out, {"frame": item.index, "angles": angles, "grayscale": item.grayscale})
        shown += 1


def _reply(out: BinaryIO, document: dict[str, Any]) -> None:
    line = memoryview(json.dumps(document, allow_nan=False).encode() + b"\n")
    while line:
        line = line[out.write(line) :]
