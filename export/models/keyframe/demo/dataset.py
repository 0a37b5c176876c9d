"""Phantom frames as the network will see them: rendered once by worker processes, kept on disk, read back as tensors.

Every frame goes through the runtime's own Preprocessor, so that training and the live line cannot drift apart.
Not for: real angiograms, which never train, tune or calibrate anything here.
N frames, H rows, W columns; 6 columns in the order of LABELS. A frame has three planes: its grey value, and background
and recent mean as the run had them before it (bundle/manifest.py, History).
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.bundle.manifest import History, Preprocessing
from cathrt.runtime.children.lifeline import work_for_parent
from cathrt.runtime.models.keyframe.section import KeyframeLabel
from cathrt.runtime.phantom import FrameLabel, PhantomSource, sample_scene
from cathrt.runtime.phantom.scene import PHANTOM_VERSION
from cathrt.runtime.preprocess import Preprocessor

IMAGE_SIDE = 224
VESSEL_CELLS = 28  # a side: cells of 8 x 8 tensor pixels

LABELS = (
    KeyframeLabel("LCA-better", "left", "better"),
    KeyframeLabel("LCA-bad", "left", "bad"),
    KeyframeLabel("LCA-others", "left", "others"),
    KeyframeLabel("RCA-better", "right", "better"),
    KeyframeLabel("RCA-bad", "right", "bad"),
    KeyframeLabel("RCA-others", "right", "others"),
)
QUALITIES = ("better", "bad", "others")

# Grey is centred and spread by constants, not by ImageNet's colour statistics: nothing here was trained on photographs.
# "percentile" for every frame, because stills and screen captures carry no VOI and must look the same as DICOM runs.
# Within 0.3 s the background follows what an artery uncovers, and it forgets what one covers over several beats; 0.15 s
# of recent mean tell which way and how fast an artery moves. A tenth of grey is a strong difference.
PREPROCESSING = Preprocessing(
    input="image",
    layout="NCHW",
    height=IMAGE_SIDE,
    width=IMAGE_SIDE,
    window="percentile",
    percentiles=(1.0, 99.0),
    mean=(0.5, 0.0, 0.0),
    std=(0.25, 0.1, 0.1),
    masked_value=0.0,
    history=History(("grey", "contrast", "change"), rise_s=0.3, fall_s=5.0, recent_s=0.15),
)
_UNNORMALISED = replace(PREPROCESSING, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


@dataclass(frozen=True, slots=True, eq=False)
class PhantomFrames:
    """Frames of one or more scenes.

    images: (N, 3, H, W) uint8: grey, background, recent mean, each in [0, 1] times 255.
    targets: (N, 6) float32, each row sums to 1.
    scene: (N,) int64, the seed.   frame: (N,) int64, 0-based index in its run.
    coronary: (N,) bool, False for every frame of a run that shows no coronary artery.
    readability: (N,) float32, as phantom/readability.py defines it; 0 in runs without coronaries.
    vessels: (N, 28, 28) uint8, the longest path through opacified coronary artery in each cell, tenths of a millimetre.
    """

    images: NDArray[np.uint8]
    targets: NDArray[np.float32]
    scene: NDArray[np.int64]
    frame: NDArray[np.int64]
    coronary: NDArray[np.bool_]
    readability: NDArray[np.float32]
    vessels: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.images)


def target_of(label: FrameLabel) -> NDArray[np.float32]:
    """(6,) float32: one label, or half and half over the two of its quality where the frame shows no side."""
    target = np.zeros(len(LABELS), np.float32)
    columns = [
        column
        for column, meaning in enumerate(LABELS)
        if meaning.quality == label.quality and label.laterality in (None, meaning.laterality)
    ]
    target[columns] = 1.0 / len(columns)
    return target


@dataclass(frozen=True, slots=True)
class Rendering:
    """How scenes become frames.

    frames_per_scene: None takes the whole run, else a draw with as many of each quality as the run offers, so that
    short phases are not lost among long ones. matrix: detector rows and columns.
    """

    frames_per_scene: int | None
    matrix: int


def render_scene(seed: int, rendering: Rendering) -> PhantomFrames:
    """Render and preprocess one scene of any kind. Same arguments, same result."""
    source = PhantomSource(sample_scene(seed, kind=None, matrix=rendering.matrix))
    labels = source.labels
    count = rendering.frames_per_scene
    indices = list(range(len(labels))) if count is None else _spread(labels, count, seed)
    preprocess = Preprocessor(source.run, _UNNORMALISED)
    tensor = np.empty((1, 3, IMAGE_SIDE, IMAGE_SIDE), np.float32)
    images = np.empty((len(indices), 3, IMAGE_SIDE, IMAGE_SIDE), np.uint8)
    vessels = np.zeros((len(indices), VESSEL_CELLS, VESSEL_CELLS), np.uint8)
    row_of = {index: row for row, index in enumerate(indices)}
    for index in range(indices[-1] + 1):  # what a frame's history is, all frames before it decide
        preprocess(source.render(index), tensor)
        if (row := row_of.get(index)) is None:
            continue
        images[row] = as_planes(tensor[0])
        if labels[index].laterality is not None:
            vessels[row] = vessel_cells(source.iodine_path(index))
    source.close()
    return PhantomFrames(
        images=images,
        targets=np.stack([target_of(labels[index]) for index in indices]),
        scene=np.full(len(indices), seed, np.int64),
        frame=np.array(indices, np.int64),
        coronary=np.full(len(indices), any(label.laterality is not None for label in labels)),
        readability=np.array([labels[index].readability for index in indices], np.float32),
        vessels=vessels,
    )


def as_planes(differences: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(3, H, W) of grey, contrast and change, as preprocessing leaves them before mean and standard deviation, to grey,
    background and recent mean."""
    grey = differences[0]
    planes = np.stack([grey, grey - differences[1], grey - differences[2]])
    return np.asarray(np.rint(np.clip(planes, 0.0, 1.0) * 255.0), np.uint8)


def rate_of(frames: PhantomFrames) -> float:
    """Frames a second of the run that these are of. Raises ValueError where they are of several."""
    (seed,) = set(frames.scene.tolist())
    return sample_scene(seed, kind=None, matrix=64).frame_rate_hz


def vessel_cells(path_mm: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(rows, columns) mm to (28, 28) uint8 tenths of a millimetre: the longest path in each cell."""
    for axis in (0, 1):
        starts = np.arange(VESSEL_CELLS) * path_mm.shape[axis] // VESSEL_CELLS
        path_mm = np.maximum.reduceat(path_mm, starts, axis=axis)
    tenths: NDArray[np.uint8] = np.clip(np.rint(path_mm * 10.0), 0, 255).astype(np.uint8)
    return tenths


def _spread(labels: tuple[FrameLabel, ...], count: int, seed: int) -> list[int]:
    """`count` frame indices taken from the qualities in turn, each quality's frames in a drawn order."""
    draw = np.random.Generator(np.random.PCG64([seed, 0xF7A3E5]))
    pools = [[index for index, label in enumerate(labels) if label.quality == quality] for quality in QUALITIES]
    shuffled = [list(draw.permutation(pool)) for pool in pools if pool]
    turns = [int(pool[turn]) for turn in range(len(labels)) for pool in shuffled if turn < len(pool)]
    return sorted(turns[:count])


def load_scenes(seeds: Iterable[int], folder: Path, rendering: Rendering, *, workers: int) -> Iterator[PhantomFrames]:
    """Frames of each seed in turn, from `folder` where they lie already, else rendered and left there."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {seed: folder / _file_name(seed, rendering) for seed in seeds}
    missing = [seed for seed, path in paths.items() if not path.exists()]
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, work_for_parent, (os.getpid(),))
    try:
        jobs = {seed: pool.submit(_render_to, paths[seed], seed, rendering) for seed in missing}
        for seed, path in paths.items():
            if seed in jobs:
                jobs.pop(seed).result()
            with np.load(path, allow_pickle=False) as stored:
                yield PhantomFrames(**{name: stored[name] for name in PhantomFrames.__slots__})
    finally:
        pool.shutdown(cancel_futures=True)


def join(scenes: Iterable[PhantomFrames]) -> PhantomFrames:
    """All frames of several scenes in one. Raises ValueError if there are none."""
    parts = list(scenes)
    return PhantomFrames(
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in PhantomFrames.__slots__}
    )


def _render_to(path: Path, seed: int, rendering: Rendering) -> None:
    """Rendered in a worker; the file appears whole or not at all."""
    frames = render_scene(seed, rendering)
    partial = path.with_suffix(".partial")
    with partial.open("wb") as stream:
        np.savez(stream, **{name: getattr(frames, name) for name in PhantomFrames.__slots__})
    partial.replace(path)


def _file_name(seed: int, rendering: Rendering) -> str:
    """A name that changes with everything the frames depend on."""
    made_of = f"{PHANTOM_VERSION}|{rendering!r}|{_UNNORMALISED!r}|{VESSEL_CELLS}"
    return f"scene-{seed:08d}-{hashlib.sha256(made_of.encode()).hexdigest()[:16]}.npz"
