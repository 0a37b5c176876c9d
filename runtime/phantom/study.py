"""Which scenes make up a study, in which order, and how long the foot is off the pedal between them: from one seed.

A study as the laboratory does it: fluoroscopy while the catheter finds its ostium, then cine views of that artery.
Not for: drawing a scene (scene.py), rendering or timing it (live.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from cathrt.runtime.phantom.anatomy import Side
from cathrt.runtime.phantom.hardship import SLOW_RATE_HZ, Hardship
from cathrt.runtime.phantom.scene import Scene, SceneKind, sample_scene

# The usual set: four views of the left coronary artery, two or three of the right.
_CINE_VIEWS: tuple[tuple[Side, tuple[int, int]], ...] = (("left", (4, 4)), ("right", (2, 3)))
_TABLE_MOVED_SHARE = 0.35  # of cine runs have a moment of fluoroscopy before them
_LV_GRAM_SHARE = 0.3


@dataclass(frozen=True, slots=True)
class SceneRecipe:
    """What sample_scene is asked for, and what is changed afterwards. Plain values: it crosses to another process.

    frame_rate_hz: forced; the run then lasts as long as before with more or fewer frames. None leaves what was drawn.
    most_frames: the run is cut there. None leaves its length. hardship: one that the scene has for certain.
    """

    seed: int
    side: Side | None = None
    kind: SceneKind | None = "coronary"
    matrix: int = 512
    frame_rate_hz: float | None = None
    most_frames: int | None = None
    hardship: Hardship | None = None

    def scene(self) -> Scene:
        """The scene. Raises ValueError where sample_scene does, and for "slow_rate" at another rate than its own."""
        scene = sample_scene(self.seed, side=self.side, kind=self.kind, matrix=self.matrix, hardship=self.hardship)
        if self.frame_rate_hz is not None:
            frames = max(1, round(scene.duration_s * self.frame_rate_hz))
            scene = replace(scene, frame_rate_hz=self.frame_rate_hz, frame_count=frames)
            if self.frame_rate_hz != SLOW_RATE_HZ:
                if self.hardship == "slow_rate":
                    raise ValueError(f"hardship 'slow_rate': is {SLOW_RATE_HZ:g} frames/s: give no other rate with it")
                scene = replace(scene, hardships=tuple(name for name in scene.hardships if name != "slow_rate"))
        if self.most_frames is not None:
            scene = replace(scene, frame_count=min(scene.frame_count, self.most_frames))
        return scene


@dataclass(frozen=True, slots=True)
class Press:
    """One press of the pedal: what is seen, and for how many seconds the foot was off the pedal before."""

    recipe: SceneRecipe
    fluoroscopy: bool
    pause_s: float


def draw_study(recipe: SceneRecipe, presses: int, pause_s: float) -> Iterator[Press]:
    """The presses of a study: the same arguments, the same study.

    recipe: its seed is the study's; matrix, rate and length hold for every run; its side, kind and hardship are
    not asked.
    pause_s: mean pause; each is drawn from 0.5 to 1.5 of it, the first is none. After the right artery a next patient
    begins with the left one.
    """
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([recipe.seed, 2000])))
    for number, (side, kind, fluoroscopy) in enumerate(islice(_steps(rng), presses)):
        pause = 0.0 if number == 0 else pause_s * float(rng.uniform(0.5, 1.5))
        asked = replace(recipe, side=side, kind=kind, hardship=None)
        yield Press(_exposed_as(rng, asked, fluoroscopy=fluoroscopy), fluoroscopy, pause)


def _steps(rng: np.random.Generator) -> Iterator[tuple[Side | None, SceneKind, bool]]:
    """(side, kind, fluoroscopy) of one press after the other, patient after patient."""
    while True:
        for side, (fewest, most) in _CINE_VIEWS:
            yield side, "no_contrast", True
            for _ in range(int(rng.integers(fewest, most + 1))):
                if rng.random() < _TABLE_MOVED_SHARE:
                    yield side, "panning", True
                yield side, "coronary", False
        if rng.random() < _LV_GRAM_SHARE:
            yield None, "lv_gram", False


def _exposed_as(rng: np.random.Generator, recipe: SceneRecipe, *, fluoroscopy: bool) -> SceneRecipe:
    """The recipe with a seed whose scene is fluoroscopy, or is not."""
    while True:
        drawn = replace(recipe, seed=int(rng.integers(2**31)))
        # Dose does not depend on the matrix, and the smallest is drawn fastest.
        if replace(drawn, matrix=64).scene().fluoroscopy == fluoroscopy:
            return drawn
