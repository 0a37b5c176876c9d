"""The archives that benchmarks/replay.py reads: folders of phantom runs, each file another run, kept in a work folder.

Two runs of each matrix are drawn; every file shows one of them under noise of its own, so that no two files hold the
same content and no frame repeats. The same arguments write the same bytes. Not for: measuring (replay.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.frame import Run
from cathrt.runtime.identity import run_id
from cathrt.runtime.outside.output_files import whole_file
from cathrt.runtime.phantom import PhantomSource, sample_scene
from cathrt.runtime.phantom.dicom import write_xa
from cathrt.runtime.phantom.encoders import Syntax

RUNS, FRAMES = 50, 60


@dataclass(frozen=True, slots=True)
class Archive:
    """A folder of runs to replay. seeds: of a left and a right coronary run of at least FRAMES frames."""

    name: str
    matrix: int
    bits: int
    syntax: Syntax
    seeds: tuple[int, int]


ARCHIVES = (
    Archive("512², 8 bit, JPEG Lossless", 512, 8, "jpeg-lossless", (90_000_000, 90_000_003)),
    Archive("1024², 12 bit, uncompressed", 1024, 12, "explicit-le", (90_000_073, 90_000_080)),
)


def archive_folder(archive: Archive, work: Path, runs: int, frames: int) -> Path:
    """The archive's folder below `work`; the files that are missing there are drawn and written."""
    folder = work / f"{archive.matrix}-{archive.bits}bit-{archive.syntax}-{runs}x{frames}"
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"run{number:03}.dcm" for number in range(runs)]
    drawn: dict[int, tuple[Run, NDArray[Any]]] = {}
    for number, path in enumerate(paths):
        if path.exists():
            continue
        seed = archive.seeds[number % len(archive.seeds)]
        if seed not in drawn:
            drawn[seed] = _drawn(archive, seed, frames)
        run, pictures = drawn[seed]
        identity = hashlib.sha256(f"{run.run_id}|{number}|{frames}".encode()).hexdigest()
        this_run = replace(run, run_id=run_id(identity), source=f"{run.source}, copy {number}", frame_count=frames)
        with whole_file(path) as part:
            write_xa(this_run, _under_noise(pictures, archive.bits, number), part, archive.syntax)
    return folder


def _drawn(archive: Archive, seed: int, frames: int) -> tuple[Run, NDArray[Any]]:
    """A run and its first frames, (frames, matrix, matrix)."""
    phantom = PhantomSource(sample_scene(seed, kind="coronary", matrix=archive.matrix))
    run = phantom.run
    assert run.frame_count is not None
    assert run.frame_count >= frames, f"seed {seed} has {run.frame_count} frames"
    assert run.grayscale.bits_stored == archive.bits
    return run, np.stack([phantom.render(index) for index in range(frames)])


def _under_noise(pictures: NDArray[Any], bits: int, number: int) -> Callable[[int], NDArray[Any]]:
    """Each frame with -1, 0 or 1 added to every pixel: one field of noise for each file, moved on by a row a frame."""
    noise = np.random.default_rng(number).integers(-1, 2, pictures.shape[1:], dtype=np.int16)

    def render(index: int) -> NDArray[Any]:
        noisy = pictures[index].astype(np.int16) + np.roll(noise, index, axis=0)
        return noisy.clip(0, (1 << bits) - 1).astype(pictures.dtype)

    return render
