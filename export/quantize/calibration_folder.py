"""Frames out of a folder of recorded runs, spread over its runs and over each run, through the runtime's own sources.

A folder that somebody calibrates on should be whole: one unreadable run refuses it, by name. Not for: the phantom.
"""

from __future__ import annotations

import hashlib
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.bundle.manifest import Preprocessing
from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import LostFrame
from cathrt.runtime.preprocess import Preprocessor
from cathrt.runtime.sources.decoder.sandbox import open_source
from cathrt.runtime.sources.discover import Input, discover
from cathrt.runtime.sources.input_names import shown_name

_LISTED = 20
_PIECE = 1 << 20


class FolderFrames:
    """A folder whose every run has been opened once. Raises SourceError where there is none, or one cannot be read."""

    def __init__(self, folder: Path, limits: LimitsConfig) -> None:
        self._name, self._limits = shown_name(folder), limits
        found = discover([folder], stills_are="run")
        if not found.inputs:
            raise SourceError(
                f"{self._name}: no run in this folder, {len(found.ignored)} other files: expected DICOM files, "
                "videos or stills; give the folder that holds them"
            )
        self._inputs = found.inputs
        self._frame_counts = self._count_frames()

    def fill(self, tensors: NDArray[np.float32], preprocessing: Preprocessing) -> list[dict[str, Any]]:
        """Fill every tensor, (N, 1, ...). Returns what was taken, run by run: sha256 of its files, indices of frames.

        Raises SourceError where a run breaks off or holds a broken frame, or there are less than N usable frames.
        """
        if len(tensors) > sum(self._frame_counts):
            raise self._too_few(sum(self._frame_counts), len(tensors))
        runs: list[dict[str, Any]] = []
        filled = 0
        for input_, frames, share in zip(
            self._inputs, self._frame_counts, even_shares(self._frame_counts, len(tensors)), strict=True
        ):
            if share:
                taken = self._take(input_, _spread(frames, share), tensors[filled:], preprocessing)
                filled += len(taken)
                runs.append({"sha256": _sha256(input_), "frames": taken})
        if filled < len(tensors):
            raise self._too_few(filled, len(tensors))
        return runs

    def _count_frames(self) -> list[int]:
        counts, refused = [], []
        for input_ in self._inputs:
            try:
                with closing(open_source(input_, self._limits)) as source:
                    counts.append(source.run.frame_count or 0)
            except SourceError as exc:
                refused.append(str(exc))
        if refused:
            more = f"\n  and {len(refused) - _LISTED} more" if len(refused) > _LISTED else ""
            raise SourceError(
                f"{self._name}: {len(refused)} of {len(self._inputs)} runs cannot be read:\n  "
                + "\n  ".join(refused[:_LISTED])
                + f"{more}\nTake them out of the folder, so that it holds what is calibrated on and nothing else"
            )
        return counts

    def _take(
        self, input_: Input, due: list[int], tensors: NDArray[np.float32], preprocessing: Preprocessing
    ) -> list[int]:
        """Fill the first of `tensors` with the frames due, or with the next usable ones; their indices."""
        taken: list[int] = []
        every = preprocessing.history is not None  # what a frame shows rests on the frames before it
        with closing(open_source(input_, self._limits)) as source:
            preprocess = Preprocessor(source.run, preprocessing)
            for frame in source.frames():
                if len(taken) == len(due):
                    break
                if isinstance(frame, LostFrame):
                    if frame.failed:
                        raise SourceError(
                            f"{self._name}: {input_.name}: frame {frame.index} is broken ({frame.reason}): take this "
                            "run out of the folder"
                        )
                elif every or frame.index >= due[len(taken)]:
                    exposed = preprocess(frame.pixels, tensors[len(taken)], frame.grayscale)
                    if exposed and frame.index >= due[len(taken)]:
                        taken.append(frame.index)
        return taken

    def _too_few(self, found: int, asked: int) -> SourceError:
        return SourceError(
            f"{self._name}: found {found} usable frames in {len(self._inputs)} runs, expected {asked}: ask for fewer "
            "or give more runs"
        )


def even_shares(available: list[int], wanted: int) -> list[int]:
    """How many to take of each, as even as what each has allows; wanted <= sum(available).

    Where not all can give as many, those that give one more lie evenly among them.
    """
    shares = [0] * len(available)
    while wanted:
        open_ = [i for i, most in enumerate(available) if shares[i] < most]
        each = min(wanted // len(open_), min(available[i] - shares[i] for i in open_))
        if not each:  # fewer left than runs
            open_ = [open_[(2 * k + 1) * len(open_) // (2 * wanted)] for k in range(wanted)]
            each = 1
        for i in open_:
            shares[i] += each
        wanted -= each * len(open_)
    return shares


def _spread(frames: int, share: int) -> list[int]:
    """`share` indices below `frames`, each in the middle of an equal part."""
    return [(2 * k + 1) * frames // (2 * share) for k in range(share)]


def _sha256(input_: Input) -> str:
    """Of the input's files, one after the other."""
    digest = hashlib.sha256()
    for path in input_.paths:
        if path is not None:
            with path.open("rb") as file:
                while piece := file.read(_PIECE):
                    digest.update(piece)
    return digest.hexdigest()
