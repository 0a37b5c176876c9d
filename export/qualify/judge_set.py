"""The judge set: whole runs that no weight, threshold or scale was chosen by, frame by frame as tensors.

Held-out phantom runs, and the files of a folder through the confined decoder, both through the runtime's Preprocessor.
One frame is in memory at a time. Not for: choosing anything by it (export/quantize/calibration.py has frames of its
own), or for real angiograms in training.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cathrt.export.models.keyframe.comparison import Side
from cathrt.runtime.bundle.manifest import Preprocessing
from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import Frame, LostFrame
from cathrt.runtime.phantom import FrameLabel, PhantomSource, sample_scene
from cathrt.runtime.ports import Source
from cathrt.runtime.preprocess import Preprocessor
from cathrt.runtime.sources.decoder.sandbox import open_source
from cathrt.runtime.sources.discover import Input, discover, shown_name

# Training begins at seed 0, validation at 10, its test at 20, benchmarks.accuracy at 30 million.
FIRST_SEED = 60_000_000
PHANTOM_RUNS = 120  # a gate of 99 % of runs needs 100 (docs/export.md)
MATRIX = 512  # detector rows and columns
SIDE_OF_PREFIX: dict[str, Side] = {"lca": "left", "rca": "right"}

Sides = Callable[[int], Side | None]


@dataclass(frozen=True, slots=True)
class JudgeInput:
    """One run to open. open: its source, and the true side of each frame by its index. Raises SourceError."""

    name: str
    open: Callable[[], tuple[Source, Sides]]


@dataclass(frozen=True, slots=True, eq=False)
class JudgeFrame:
    """tensor: float32 as the manifest lays it out; the next frame of the run overwrites it. side: None: not known.

    digest: sha256 over index, side and stored values, so of what was judged and not of how it was prepared.
    """

    index: int
    due_ms: float
    side: Side | None
    tensor: NDArray[np.float32]
    digest: bytes


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A frame that the line would not judge either: lost, a copy of the one before, or wholly covered."""

    index: int
    reason: str


@dataclass(frozen=True, slots=True)
class JudgeRun:
    """frames: every frame of the run, in order, to be walked once and before the next run is asked for."""

    name: str
    frames: Iterator[JudgeFrame | LeftOut]


def judge_runs(inputs: Iterable[JudgeInput], preprocessing: Preprocessing) -> Iterator[JudgeRun]:
    """Open one run after another, each closed when the next is asked for.

    Raises SourceError for a run that cannot be read: evidence tells of a whole set or of none.
    """
    for entry in inputs:
        source, sides = entry.open()
        try:
            yield JudgeRun(entry.name, _frames(source, sides, preprocessing))
        finally:
            source.close()


def phantom_inputs(runs: int = PHANTOM_RUNS, *, first_seed: int = FIRST_SEED, matrix: int = MATRIX) -> list[JudgeInput]:
    """Whole phantom runs of every kind as the phantom mixes them. Raises SourceError for seeds that were used before:
    below FIRST_SEED lie those of training, its tests and the accuracy benchmark."""
    if first_seed < FIRST_SEED:
        raise SourceError(f"phantom seed {first_seed}: expected {FIRST_SEED} or above, the others were trained by")
    seeds = range(first_seed, first_seed + runs)
    return [JudgeInput(f"phantom seed {seed}", partial(_open_phantom, seed, matrix)) for seed in seeds]


def folder_inputs(folder: Path, limits: LimitsConfig) -> list[JudgeInput]:
    """Every run below a folder: DICOM, videos, stills.

    A still whose name begins with lca or rca, upper case or lower, is a run of its own and has that side; of all
    others the side is not known. Raises SourceError where there is no folder or nothing to read in it.
    """
    if not os.path.isdir(folder):
        raise SourceError(f"{folder}: no such folder: expected one that holds angiograms; check the path")
    found = [single for entry in discover([folder]).inputs for single in _single_stills(entry)]
    if not found:
        raise SourceError(f"{folder}: no X-ray run found: expected DICOM, videos or stills in it")
    for entry in found:
        if entry.refused is not None:  # before anything is built or judged
            raise SourceError(f"{entry.name}: {entry.refused}")
    return [JudgeInput(entry.name, partial(_open_file, entry, limits)) for entry in found]


def identity_of(runs: Iterable[Sequence[bytes]]) -> str:
    """sha256, hex, of a set of judged frames, from their digests run by run. Names and files do not matter."""
    total = hashlib.sha256()
    for digests in runs:
        total.update(f"run|{len(digests)}|".encode())
        for digest in digests:
            total.update(digest)
    return total.hexdigest()


def _frames(source: Source, sides: Sides, preprocessing: Preprocessing) -> Iterator[JudgeFrame | LeftOut]:
    preprocess = Preprocessor(source.run, preprocessing)
    height, width = preprocessing.height, preprocessing.width
    shape = (1, 3, height, width) if preprocessing.layout == "NCHW" else (1, height, width, 3)
    tensor = np.zeros(shape, np.float32)
    previous: Frame | None = None
    for item in source.frames():
        if isinstance(item, LostFrame):
            yield LeftOut(item.index, item.reason)
            continue
        before, previous = previous, item
        if before is not None and np.array_equal(before.pixels, item.pixels):
            yield LeftOut(item.index, "same pixels as the frame before")
        elif not preprocess(item.pixels, tensor):
            yield LeftOut(item.index, "no exposed pixel: shutter and collimator cover the frame")
        else:
            side = sides(item.index)
            due_ms = source.run.timing.due_ms(item.index)
            yield JudgeFrame(item.index, due_ms, side, tensor, _digest(item, side))


def _digest(frame: Frame, side: Side | None) -> bytes:
    pixels = np.ascontiguousarray(frame.pixels)
    digest = hashlib.sha256(f"{frame.index}|{side}|{pixels.dtype.str}|{pixels.shape}|".encode())
    digest.update(pixels.data)
    return digest.digest()


def _open_phantom(seed: int, matrix: int) -> tuple[Source, Sides]:
    source = PhantomSource(sample_scene(seed, kind=None, matrix=matrix))
    labels = source.labels
    return source, lambda index: _side_shown(labels[index])


def _side_shown(label: FrameLabel) -> Side | None:
    """Only a frame that shows the artery has a side to be right about."""
    return None if label.quality == "others" else label.laterality


def _open_file(entry: Input, limits: LimitsConfig) -> tuple[Source, Sides]:
    side = side_of_name(entry.paths[0]) if entry.kind == "stills" else None
    return open_source(entry, limits), lambda index: side


def _single_stills(entry: Input) -> list[Input]:
    """Stills named by their artery are of different patients, even where their numbers are consecutive."""
    paths = [path for path in entry.paths if path is not None]
    if entry.kind == "stills" and side_of_name(paths[0]) is not None:
        return [Input("stills", shown_name(path), (path,)) for path in paths]
    return [entry]


def side_of_name(path: Path | None) -> Side | None:
    """The artery that a still's file name begins with, lca or rca in either case; None where it says none."""
    return None if path is None else SIDE_OF_PREFIX.get(path.name[:3].lower())
