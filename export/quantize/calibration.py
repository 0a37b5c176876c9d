"""The frames that a precision is calibrated on, as the runtime's own Preprocessor makes them, and their name.

From the phantom unless a folder is given: by default no real angiogram takes part. Not for: reading folders
(calibration_folder.py) and what is done with the frames. N frames, H rows, W columns.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from cathrt.export.quantize.calibration_folder import FolderFrames
from cathrt.runtime.bundle.manifest import Preprocessing
from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.phantom import FrameLabel, PhantomSource, SceneKind, sample_scene
from cathrt.runtime.phantom.anatomy import Side
from cathrt.runtime.phantom.labels import ContrastPhase
from cathrt.runtime.phantom.scene import PHANTOM_VERSION
from cathrt.runtime.preprocess import Preprocessor

FIRST_SEED = 50_000_000  # below lie the scenes of training, its tests and the benchmarks
_MATRIX = 512
_LIMITS = LimitsConfig()
_SIDES: tuple[Side, ...] = get_args(Side)
_PHASES: tuple[ContrastPhase, ...] = get_args(ContrastPhase)
_OTHER_KINDS: tuple[SceneKind, ...] = tuple(kind for kind in get_args(SceneKind) if kind != "coronary")
_OTHERS_A_TURN = 4  # runs of other kinds after one coronary run of each side: a third of the frames, as in the phantom


@dataclass(frozen=True, slots=True, eq=False)
class CalibrationSet:
    """Input tensors and what they are.

    tensors: (N, 1, 3, H, W) float32, read-only; iterating gives one engine input after the other. (N, 1, H, W, 3) where
    the preprocessing's layout is NHWC. sha256: over the bytes of the tensors in order, hex.
    description: JSON: where the frames come from and the preprocessing; of files the hashes, never the names, which may
    name a patient.
    """

    tensors: NDArray[np.float32]
    sha256: str
    description: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.tensors)


def calibration_frames(
    preprocessing: Preprocessing,
    frames: int,
    *,
    folder: Path | None = None,
    first_seed: int = FIRST_SEED,
    limits: LimitsConfig = _LIMITS,
) -> CalibrationSet:
    """So many frames, the same ones for the same arguments; frames the shutter covers altogether are passed over.

    folder: recorded runs to take them from, as evenly as the runs allow; None draws them from the phantom, whose runs
    have the seeds from first_seed on. limits: for reading the folder.
    Raises SourceError where the folder holds no run, an unreadable one, or too few frames; ValueError for frames < 1.
    """
    if frames < 1:
        raise ValueError(f"{frames} frames: expected at least 1")
    colour_last = preprocessing.layout == "NHWC"
    size = (preprocessing.height, preprocessing.width)
    tensors = np.empty((frames, 1, *size, 3) if colour_last else (frames, 1, 3, *size), np.float32)
    if folder is None:
        drawn = _fill_from_phantom(tensors, preprocessing, first_seed)
        origin: dict[str, Any] = {"source": "phantom", "phantom_version": PHANTOM_VERSION, "matrix": _MATRIX}
        origin["runs"] = drawn
    else:
        origin = {"source": "folder", "runs": FolderFrames(folder, limits).fill(tensors, preprocessing)}
    tensors.flags.writeable = False
    return CalibrationSet(
        tensors,
        hashlib.sha256(tensors.data).hexdigest(),
        {**origin, "frames": frames, "preprocessing": dataclasses.asdict(preprocessing)},
    )


def _fill_from_phantom(
    tensors: NDArray[np.float32], preprocessing: Preprocessing, first_seed: int
) -> list[dict[str, Any]]:
    """Fill every tensor; what was taken, run by run."""
    runs: list[dict[str, Any]] = []
    every = preprocessing.history is not None  # what a frame shows rests on the frames before it
    filled = 0
    for seed, (kind, side) in zip(count(first_seed), _kinds_and_sides(), strict=False):
        if filled == len(tensors):
            break
        source = PhantomSource(sample_scene(seed, kind=kind, side=side, matrix=_MATRIX))
        preprocess = Preprocessor(source.run, preprocessing)
        chosen, taken, seen = list(_chosen(source.labels, seed, coronary=kind == "coronary")), [], 0
        if every:
            chosen.sort()
        for index in chosen[: len(tensors) - filled]:
            for earlier in range(seen, index) if every else ():
                preprocess(source.render(earlier), tensors[filled])
            seen = index + 1
            if preprocess(source.render(index), tensors[filled]):
                filled += 1
                taken.append(index)
        source.close()
        runs.append({"seed": seed, "kind": kind, "side": side, "frames": taken})
    return runs


def _kinds_and_sides() -> Iterator[tuple[SceneKind, Side]]:
    """Without end: a coronary run of each side, then four runs of other kinds, first of one side, then of the other."""
    others = ((kind, side) for _ in count() for side in _SIDES for kind in _OTHER_KINDS)
    while True:
        yield from (("coronary", side) for side in _SIDES)
        yield from islice(others, _OTHERS_A_TURN)


def _chosen(labels: tuple[FrameLabel, ...], seed: int, *, coronary: bool) -> Iterator[int]:
    """Indices of a coronary run's frames, one drawn from each contrast phase that it has; of another run one frame."""
    draw = np.random.Generator(np.random.PCG64([seed, 0xCA11B]))
    if not coronary:
        yield int(draw.integers(len(labels)))
        return
    for phase in _PHASES:
        if candidates := [index for index, label in enumerate(labels) if label.contrast_phase == phase]:
            yield candidates[int(draw.integers(len(candidates)))]
