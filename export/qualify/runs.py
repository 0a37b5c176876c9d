"""The qualification set: whole runs that no weight, threshold or scale was chosen by, frame by frame as tensors.

Held-out phantom runs, and the files of a folder through the confined decoder, both through the runtime's Preprocessor.
What is true of a frame is the kind of model's to say (Truths). Not for: choosing anything by it
(export/quantize/calibration.py has frames of its own), for real angiograms in training, or for keeping what the phantom
rendered (kept_phantom.py).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cathrt.export.qualify.kept import Kept
from cathrt.export.qualify.kept_phantom import KeptPhantom
from cathrt.runtime.bundle.manifest import Preprocessing
from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import Frame, LostFrame
from cathrt.runtime.phantom import FrameLabel, PhantomSource, sample_scene
from cathrt.runtime.ports import Source
from cathrt.runtime.preprocess import Preprocessor
from cathrt.runtime.sources.decoder.sandbox import open_source
from cathrt.runtime.sources.discover import Input, discover
from cathrt.runtime.sources.input_names import shown_name

# Training begins at seed 0, validation at 10, its test at 20, benchmarks.accuracy at 30 million.
FIRST_SEED = 60_000_000
PHANTOM_RUNS = 240  # at most; 64 prove a gate of 99 % where nothing differs, 130 after one miss (sequential.py)
MATRIX = 512  # detector rows and columns

TruthAt = Callable[[int], str | None]  # what is true of a run's frame, by its index; None: not known


@dataclass(frozen=True, slots=True)
class Truths:
    """What a kind of model takes for true of a frame, in one word of its own; None where nothing is known.

    of_phantom: by the phantom's label. of_still: by a still's file name. A still of which something is known is a run
    of its own, since such stills are of different patients, even where their numbers are consecutive.
    wanted_of_phantom: the frames of a phantom run that the model is to find; None where there is none to find.
    """

    of_phantom: Callable[[FrameLabel], str | None] = lambda label: None
    of_still: Callable[[Path], str | None] = lambda path: None
    wanted_of_phantom: Callable[[Sequence[FrameLabel]], frozenset[int] | None] = lambda labels: None


@dataclass(frozen=True, slots=True)
class KnownSource:
    """A source, and what is true of its run: of each frame, and the frames that the model is to find; None: not known,
    or none to find."""

    source: Source
    truth_at: TruthAt
    wanted: frozenset[int] | None = None


@dataclass(frozen=True, slots=True)
class RunInput:
    """One run to open. open raises SourceError. generated: drawn by the phantom, so no patient's."""

    name: str
    open: Callable[[], KnownSource]
    generated: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class PreparedFrame:
    """tensors: by input, float32 as the manifest lays them out; the next frame of the run overwrites them.

    digest: sha256 over index, truth and stored values, so of what was seen and not of how it was prepared.
    """

    index: int
    due_ms: float
    truth: str | None
    tensors: Mapping[str, NDArray[np.float32]]
    digest: bytes


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A frame that the line would give no finding either: lost, a copy of the one before, or wholly covered."""

    index: int
    reason: str


@dataclass(frozen=True, slots=True)
class OpenedRun:
    """frames: every frame of the run, in order, to be walked once and before the run is closed. generated, wanted: as
    in RunInput and KnownSource."""

    name: str
    frames: Iterator[PreparedFrame | LeftOut]
    generated: bool = False
    wanted: frozenset[int] | None = None


@contextmanager
def opened_run(entry: RunInput, preprocessing: Sequence[Preprocessing]) -> Iterator[OpenedRun]:
    """Open a run, and close it at the end. preprocessing: of each input, at least one.

    Raises SourceError for a run that cannot be read: evidence tells of a whole set or of none.
    """
    known = entry.open()
    try:
        frames = _frames(known.source, known.truth_at, preprocessing)
        yield OpenedRun(entry.name, frames, entry.generated, known.wanted)
    finally:
        known.source.close()


def phantom_inputs(
    truths: Truths,
    runs: int = PHANTOM_RUNS,
    kept: Kept | None = None,
    *,
    first_seed: int = FIRST_SEED,
    matrix: int = MATRIX,
) -> list[RunInput]:
    """Whole phantom runs of every kind as the phantom mixes them. kept: where rendered frames are kept, if anywhere.

    Raises SourceError for seeds that were used before: below FIRST_SEED lie those of training, its tests and the
    accuracy benchmark."""
    if first_seed < FIRST_SEED:
        raise SourceError(f"phantom seed {first_seed}: expected {FIRST_SEED} or above, the others were trained by")
    seeds = range(first_seed, first_seed + runs)
    return [
        RunInput(f"phantom seed {seed}", partial(_open_phantom, seed, matrix, truths, kept), generated=True)
        for seed in seeds
    ]


def folder_inputs(truths: Truths, folder: Path, limits: LimitsConfig) -> list[RunInput]:
    """Every run below a folder: DICOM, videos, stills. Of frames other than stills nothing is known.

    Raises SourceError where there is no folder or nothing to read in it.
    """
    if not os.path.isdir(folder):
        raise SourceError(f"{folder}: no such folder: expected one that holds angiograms; check the path")
    found = [
        single for entry in discover([folder], stills_are="run").inputs for single in _single_stills(entry, truths)
    ]
    if not found:
        raise SourceError(f"{folder}: no X-ray run found: expected DICOM, videos or stills in it")
    for entry in found:
        if entry.refused is not None:  # before anything is built or compared
            raise SourceError(f"{entry.name}: {entry.refused}")
    return [RunInput(entry.name, partial(_open_file, entry, limits, truths)) for entry in found]


def identity_of(runs: Iterable[Sequence[bytes]]) -> str:
    """sha256, hex, of a set of frames, from their digests run by run. Names and files do not matter."""
    total = hashlib.sha256()
    for digests in runs:
        total.update(f"run|{len(digests)}|".encode())
        for digest in digests:
            total.update(digest)
    return total.hexdigest()


def _frames(
    source: Source, truth_at: TruthAt, preprocessing: Sequence[Preprocessing]
) -> Iterator[PreparedFrame | LeftOut]:
    prepared = [(Preprocessor(source.run, one), np.zeros(one.shape, np.float32)) for one in preprocessing]
    tensors = {one.input: tensor for one, (_, tensor) in zip(preprocessing, prepared, strict=True)}
    previous: Frame | None = None
    for item in source.frames():
        if isinstance(item, LostFrame):
            yield LeftOut(item.index, item.reason)
            continue
        before, previous = previous, item
        if before is not None and _repeats(before, item):
            yield LeftOut(item.index, "same pixels as the frame before")
        elif not all(preprocess(item.pixels, tensor, item.grayscale) for preprocess, tensor in prepared):
            yield LeftOut(item.index, "no exposed pixel: shutter and collimator cover the frame")
        else:
            truth = truth_at(item.index)
            due_ms = source.run.timing.due_ms(item.index)
            yield PreparedFrame(item.index, due_ms, truth, tensors, _digest(item, truth))


def _repeats(before: Frame, item: Frame) -> bool:
    """Whether the line would take it for a DUPLICATE."""
    return before.grayscale == item.grayscale and np.array_equal(before.pixels, item.pixels)


def _digest(frame: Frame, truth: str | None) -> bytes:
    pixels = np.ascontiguousarray(frame.pixels)
    digest = hashlib.sha256(f"{frame.index}|{truth}|{pixels.dtype.str}|{pixels.shape}|".encode())
    digest.update(pixels.data)
    return digest.digest()


def _open_phantom(seed: int, matrix: int, truths: Truths, kept: Kept | None) -> KnownSource:
    source = PhantomSource(sample_scene(seed, kind=None, matrix=matrix))
    labels = source.labels
    return KnownSource(
        source if kept is None else KeptPhantom(source, kept),
        lambda index: truths.of_phantom(labels[index]),
        truths.wanted_of_phantom(labels),
    )


def _open_file(entry: Input, limits: LimitsConfig, truths: Truths) -> KnownSource:
    path = entry.paths[0]
    truth = truths.of_still(path) if entry.kind == "stills" and path is not None else None
    return KnownSource(open_source(entry, limits), lambda index: truth)


def _single_stills(entry: Input, truths: Truths) -> list[Input]:
    paths = [path for path in entry.paths if path is not None]
    if entry.kind == "stills" and truths.of_still(paths[0]) is not None:
        return [Input("stills", shown_name(path), (path,)) for path in paths]
    return [entry]
