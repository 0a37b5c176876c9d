"""Phantom key frames as the report model sees them: rendered once, one file a scene, read back as arrays.

Each scene gives the frame of its highest readability, windowed by the runtime's own Preprocessor. An interrupted run
goes on where it stopped. Not for: real angiograms, which never train, tune or calibrate anything here.
N pictures, S the side that the network takes.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast, get_args

import numpy as np
from numpy.typing import NDArray

from cathrt.export.models.report.demo.seen import (
    LesionInView,
    as_stated,
    best_frame,
    dominance_shown,
    lesions_in_view,
    points_in_view,
)
from cathrt.kernels.reference.ingest import resize_weights
from cathrt.runtime.bundle.manifest import Preprocessing
from cathrt.runtime.models.report.facts import Artery, Dominance, Facts, Segment, Side
from cathrt.runtime.models.report.section import ReportPicture
from cathrt.runtime.phantom import PhantomSource, sample_scene
from cathrt.runtime.phantom.scene import PHANTOM_VERSION
from cathrt.runtime.preprocess import Preprocessor

PICTURE = ReportPicture(side=192, percentiles=(1.0, 99.0), mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25), tokens=36)
MATRIX = 512
STORED_SIDE = 256  # of a picture on disk: more than the network takes, so that other networks can be tried
_SEGMENTS, _ARTERIES, _SIDES = get_args(Segment), get_args(Artery), get_args(Side)
_DOMINANCES = (None, *get_args(Dominance))
_GREY = Preprocessing(
    input="pixels",
    layout="NCHW",
    height=STORED_SIDE,
    width=STORED_SIDE,
    window="percentile",
    percentiles=PICTURE.percentiles,
    mean=(0.0, 0.0, 0.0),
    std=(1.0, 1.0, 1.0),
    masked_value=0.0,
)


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One key frame. image: (256, 256) uint8, grey in [0, 1] times 255.

    points: (P, 4) float32: row and column as shares of the picture, SYNTAX segment, contrast (0 outside the field).
    lesions: (L, 8) float32, one LesionInView a row.
    """

    seed: int
    frame: int
    side: Side
    dominance: Dominance | None
    image: NDArray[np.uint8]
    points: NDArray[np.float32]
    lesions: NDArray[np.float32]

    @property
    def facts(self) -> Facts:
        """What it shows."""
        seen = (lesion for lesion in self.lesions_in_view() if lesion.seen)
        return Facts(sides=(self.side,), lesions=as_stated(seen), dominance=self.dominance)

    def lesions_in_view(self) -> tuple[LesionInView, ...]:
        """All narrowings of its artery, seen or not."""
        return tuple(_lesion_of(row) for row in self.lesions)


def render_picture(seed: int, side: Side | None = None, matrix: int = MATRIX) -> Picture:
    """The best frame of one coronary scene. Same arguments, same result."""
    scene = sample_scene(seed, side=side, matrix=matrix)
    index = best_frame(scene)
    source = PhantomSource(scene)
    tensor = np.empty((1, 3, STORED_SIDE, STORED_SIDE), np.float32)
    Preprocessor(source.run, _GREY)(source.render(index), tensor)
    source.close()
    points = points_in_view(scene, index)
    tree = scene.tree
    assert tree is not None
    return Picture(
        seed=seed,
        frame=index,
        side=tree.side,
        dominance=dominance_shown(tree, points),
        image=np.rint(tensor[0, 0] * 255.0).astype(np.uint8),
        points=np.stack(
            [points.row, points.column, points.segment.astype(np.float32), points.contrast * points.inside], axis=1
        ),
        lesions=np.array([_row_of(lesion) for lesion in lesions_in_view(scene, index)], np.float32).reshape(-1, 8),
    )


def as_taken(images: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Pictures as stored to (N, S, S), resized as the runtime does it."""
    rows = resize_weights(STORED_SIDE, PICTURE.side).astype(np.float32)
    taken = [np.rint(rows @ image.astype(np.float32) @ rows.T).astype(np.uint8) for image in images]
    return np.array(taken, np.uint8).reshape(-1, PICTURE.side, PICTURE.side)


def load_pictures(seeds: Iterable[int], folder: Path, matrix: int = MATRIX) -> Iterator[Picture]:
    """The picture of each seed in turn, from `folder` where it lies already, else rendered and left there."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        path = folder / _file_name(seed, matrix)
        if not path.exists():
            _store(path, render_picture(seed, matrix=matrix))
        yield _read(path)


def rendered_pictures(seeds: Iterable[int], folder: Path, matrix: int = MATRIX) -> Iterator[Picture]:
    """Of these seeds, the pictures that lie in `folder` already."""
    for seed in seeds:
        path = folder / _file_name(seed, matrix)
        if path.exists():
            yield _read(path)


def _store(path: Path, picture: Picture) -> None:
    """The file appears whole or not at all."""
    partial = path.with_suffix(f".{os.getpid()}.partial")
    with partial.open("wb") as stream:
        np.savez(
            stream,
            image=picture.image,
            points=picture.points,
            lesions=picture.lesions,
            numbers=np.array(
                [picture.seed, picture.frame, _SIDES.index(picture.side), _DOMINANCES.index(picture.dominance)]
            ),
        )
    partial.replace(path)


def _read(path: Path) -> Picture:
    with np.load(path, allow_pickle=False) as stored:
        seed, frame, side, dominance = (int(number) for number in stored["numbers"])
        return Picture(
            seed,
            frame,
            cast(Side, _SIDES[side]),
            cast("Dominance | None", _DOMINANCES[dominance]),
            stored["image"],
            stored["points"],
            stored["lesions"],
        )


def _row_of(lesion: LesionInView) -> list[float]:
    return [
        _ARTERIES.index(lesion.artery),
        -1 if lesion.segment is None else _SEGMENTS.index(lesion.segment),
        lesion.percent,
        lesion.occluded,
        lesion.row,
        lesion.column,
        lesion.contrast,
        lesion.inside,
    ]


def _lesion_of(row: NDArray[np.float32]) -> LesionInView:
    artery, segment, percent, occluded, at_row, at_column, contrast, inside = (float(value) for value in row)
    return LesionInView(
        artery=cast(Artery, _ARTERIES[int(artery)]),
        segment=None if segment < 0 else cast(Segment, _SEGMENTS[int(segment)]),
        percent=percent,
        occluded=bool(occluded),
        row=at_row,
        column=at_column,
        contrast=contrast,
        inside=bool(inside),
    )


def _file_name(seed: int, matrix: int) -> str:
    """A name that changes with everything the picture depends on."""
    made_of = f"{PHANTOM_VERSION}|{matrix}|{_GREY!r}"
    return f"picture-{seed:08d}-{hashlib.sha256(made_of.encode()).hexdigest()[:12]}.npz"
