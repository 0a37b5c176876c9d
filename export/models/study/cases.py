"""Clips of generated runs, and studies put together of them: what int8 is calibrated on and engines are compared on.

Both come from the phantom, so that no real angiogram takes part, and from scenes that nothing else draws. Not for:
encoding the clips (answering.py), or comparing answers (comparison.py).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.models.study.clips import ClipOfRun
from cathrt.runtime.models.study.section import StudyClip
from cathrt.runtime.models.study.views import view_id
from cathrt.runtime.phantom import PhantomSource
from cathrt.runtime.phantom.scene import PHANTOM_VERSION, sample_scene

COMPARED_SEED, CALIBRATED_SEED = 95_000_000, 96_000_000
COMPARED_CLIPS, CALIBRATED_CLIPS, STUDIES = 8, 4, 24
_MATRIX = 256  # more than the clip's own
_LONGEST = 64  # frames of a run that are drawn: rendering is most of the work
_STUDY_SEED = 0


@dataclass(frozen=True, slots=True, eq=False)
class Clips:
    """tensors: (C, 3, frames, height, width) float32. views: (C,) ids of views.py. sha256: over the tensors, hex."""

    tensors: NDArray[np.float32]
    views: NDArray[np.int64]
    sha256: str

    def __len__(self) -> int:
        return len(self.tensors)


@dataclass(frozen=True, slots=True)
class Study:
    """Which clips it has, in the order of its places; the first of `runs` places."""

    clips: tuple[int, ...]


def phantom_clips(clip: StudyClip, count: int, first_seed: int) -> Clips:
    """One clip of each of so many coronary runs, the same ones for the same arguments."""
    tensors, views = [], []
    for seed in range(first_seed, first_seed + count):
        scene = sample_scene(seed, side="left" if seed % 2 else "right", matrix=_MATRIX)
        source = PhantomSource(replace(scene, frame_count=min(scene.frame_count, _LONGEST * clip.stride)))
        assembler = ClipOfRun(source.run, clip)
        out = np.empty(assembler.shape, np.float32)
        assembler([source.render(index) for index in assembler.frames], out)
        tensors.append(out)
        views.append(view_id(scene.carm.primary_angle_deg, scene.carm.secondary_angle_deg))
        source.close()
    found = np.stack(tensors)
    return Clips(found, np.asarray(views, np.int64), hashlib.sha256(found.data).hexdigest())


def studies_of(clips: int, runs: int, studies: int = STUDIES) -> tuple[Study, ...]:
    """Studies of one clip to as many as there are places: each draws its own from the same clips, in an own order."""
    draw = np.random.Generator(np.random.PCG64(_STUDY_SEED))
    most = min(clips, runs)
    sizes = [1 + number % most for number in range(studies)]
    return tuple(Study(tuple(int(one) for one in draw.permutation(clips)[:size])) for size in sizes)


def phantom_identity(clips: Clips) -> dict[str, object]:
    """For the provenance: what the clips are."""
    return {"source": "phantom", "phantom_version": PHANTOM_VERSION, "clips": len(clips), "sha256": clips.sha256}
