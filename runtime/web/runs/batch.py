"""A batch of a run's frames as it goes to a browser: a JSON header, then greys (docs/page.md).

Not for: how frames are decoded (frame_store.py) and look (looks.py).
"""

from __future__ import annotations

import struct
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from cathrt.runtime.errors import SourceError
from cathrt.runtime.outside.plain_text import json_line
from cathrt.runtime.web.part.errors import RefusedError
from cathrt.runtime.web.runs.frame_store import FrameStore
from cathrt.runtime.web.runs.looks import Look, LookMaker, spans
from cathrt.runtime.web.runs.run_facts import FactsBook, RunFacts

MOST_BYTES = 16 << 20  # of the pixels of a batch; one frame comes in any case
_BEGIN = struct.Struct("<4sI")
_MAGIC, _VERSION = b"CRTF", 1
_NOTICE = "A viewing aid: grey values are made for the eye, nothing is measured on them, and no model sees them."
_NOTICE_JA = "表示用の画像です。計測には使用できず、AIの判定にも使われません。"


@dataclass(frozen=True, slots=True)
class WantedFrames:
    """Frames of one run. key, file: of its object. first: 0-based. count: at most so many."""

    run_id: str
    key: str
    file: Path
    first: int
    count: int
    look: Look


@dataclass(frozen=True, slots=True)
class Batch:
    """header: bytes before the pixels. pictures: of each frame that is not lost, in order."""

    header: bytes
    pictures: list[bytes]

    @property
    def size(self) -> int:
        """Bytes in all."""
        return len(self.header) + sum(map(len, self.pictures))


def batch_of(wanted: WantedFrames, store: FrameStore, facts_book: FactsBook) -> Batch:
    """Waits for files and decoders. Raises RefusedError: there is no such frame, no mask, it takes too long."""
    try:
        facts = facts_book.of(wanted.key, wanted.file)
        return _batch(wanted, store, facts)
    except SourceError as exc:
        raise RefusedError(
            409, f"the frames of this run cannot be read ({exc}): look at the run in an archive"
        ) from exc


def _batch(wanted: WantedFrames, store: FrameStore, facts: RunFacts) -> Batch:
    run, look = facts.run, wanted.look
    frame_count = run.frame_count or 0
    if wanted.first >= frame_count:
        raise RefusedError(400, f"found frame {wanted.first}, expected one below {frame_count}, the run's frames")
    last = min(wanted.first + min(wanted.count, _fits(run.rows * run.columns)), frame_count) - 1
    maker = LookMaker(facts, look, _masks(wanted, store, frame_count))
    told: list[dict[str, Any]] = []
    pictures: list[bytes] = []
    rows, columns = 0, 0
    for span in spans(wanted.first, last, look):
        maker.begin()
        for frame in store.frames(wanted.key, wanted.file, span.begin, span.last):
            filtered = None if frame.pixels is None else maker.filtered(frame.pixels)
            if frame.index < span.first:
                continue
            told.append({"index": frame.index, "lost": frame.lost})
            if filtered is not None:
                grey = maker.grey(filtered, frame.grayscale)
                rows, columns = grey.shape
                pictures.append(grey.tobytes())
    header = {
        "version": _VERSION,
        "run_id": wanted.run_id,
        "rows": rows,
        "columns": columns,
        "stored_rows": run.rows,
        "stored_columns": run.columns,
        "bits_stored": run.grayscale.bits_stored,
        "frames": told,
        "next": last + 1 if last + 1 < frame_count else None,
        "frame_count": frame_count,
        "frame_rate_hz": run.timing.frame_rate_hz,
        "window": asdict(maker.window()),
        "inverted": run.grayscale.inverted,
        "relationship": run.grayscale.pixel_intensity_relationship,
        "assumed": maker.assumed,
        "notice": _NOTICE,
        "notice_ja": _NOTICE_JA,
    }
    text = json_line(header).encode()
    return Batch(_BEGIN.pack(_MAGIC, len(text)) + text, pictures)


def _fits(pixels: int) -> int:
    return max(1, MOST_BYTES // pixels)


def _masks(wanted: WantedFrames, store: FrameStore, frame_count: int) -> list[NDArray[Any]]:
    """Raises RefusedError."""
    masks: list[NDArray[Any]] = []
    for index in wanted.look.masks:
        if index >= frame_count:
            raise RefusedError(400, f"found the mask frame {index}, expected one below {frame_count}, the run's frames")
        for frame in store.frames(wanted.key, wanted.file, index, index):
            if frame.pixels is not None:
                masks.append(frame.pixels)
    if wanted.look.masks and not masks:
        raise RefusedError(409, "none of the mask frames can be read, expected at least one: choose others")
    return masks
