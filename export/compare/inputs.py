"""The runs that two sides are compared on: recorded ones, or generated ones of seeds that nothing was trained by.

A generated run is written as a DICOM file and read through the confined decoder, as a recorded one is. Not for:
judging (pairs.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.export.compare.agreement import Difference
from cathrt.export.compare.pairs import CompareInput
from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.frame import Frame
from cathrt.runtime.phantom import PhantomSource, sample_scene
from cathrt.runtime.phantom.dicom import write_xa
from cathrt.runtime.ports import Opening, SeveralRunsError, Source
from cathrt.runtime.sinks.contact_sheet import display_grey
from cathrt.runtime.sources.decoder.sandbox import open_source, opening_of
from cathrt.runtime.sources.discover import discover, require_inputs

# Below lie the seeds of training, its tests, calibration, qualification and the benchmarks (docs/status.md).
FIRST_SEED = 80_000_000
MATRIX = 512  # detector rows and columns

Pictures = dict[tuple[str, int], NDArray[np.uint8]]  # (run_id, frame) to grey (rows, columns)


def recorded_inputs(paths: Sequence[Path], limits: LimitsConfig) -> list[CompareInput]:
    """The runs in files and folders. Raises SourceError where there is none."""
    found = discover(paths)
    require_inputs(found, paths)
    return [CompareInput(opening_of(entry, limits)) for entry in found.inputs]


def phantom_inputs(
    runs: int, folder: Path, limits: LimitsConfig, drawn: Callable[[int, int], None], matrix: int = MATRIX
) -> list[CompareInput]:
    """Draw the runs of FIRST_SEED and the following into a folder, every kind as the phantom mixes them.

    drawn(done, total): after each frame.
    """
    seeds = range(FIRST_SEED, FIRST_SEED + runs)
    sources = [PhantomSource(sample_scene(seed, kind=None, matrix=matrix)) for seed in seeds]
    total, done = sum(source.run.frame_count or 0 for source in sources), count(1)
    inputs = []
    for seed, source in zip(seeds, sources, strict=True):

        def render(index: int, source: PhantomSource = source) -> NDArray[Any]:
            drawn(next(done), total)
            return source.render(index)

        path = write_xa(source.run, render, folder / f"phantom-{seed}.dcm")
        (found,) = discover([path]).inputs
        inputs.append(CompareInput(Opening(f"phantom seed {seed}", partial(open_source, found, limits)), source.labels))
    return inputs


def pictures_of(differences: Sequence[Difference], inputs: Sequence[CompareInput]) -> Pictures:
    """The frames of these differences, opened and decoded once more, grey as they are meant to be looked at."""
    wanted: dict[str, set[int]] = {}
    for one in differences:
        wanted.setdefault(one.run_id, set()).add(one.frame_index)
    pictures: Pictures = {}
    for number in sorted({one.number for one in differences}):
        for source in _opened(inputs[number].opening):
            indices = wanted.get(source.run.run_id, set())
            for item in source.frames() if indices else ():
                if isinstance(item, Frame) and item.index in indices:
                    grey = display_grey(item.pixels)
                    inverted = source.run.grayscales[item.grayscale].inverted
                    pictures[source.run.run_id, item.index] = 255 - grey if inverted else grey
                if item.index >= max(indices):
                    break
    return pictures


def _opened(opening: Opening) -> Iterator[Source]:
    """The run of an input, or the several that it turns out to be, one after another."""
    try:
        source = opening.open()
    except SeveralRunsError as exc:
        for one in exc.openings:
            yield from _opened(one)
        return
    try:
        yield source
    finally:
        source.close()
