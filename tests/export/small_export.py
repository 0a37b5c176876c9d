"""An Atto with random weights on 32 x 32 pixels, and judge sets of noise for it: a whole export in seconds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cathrt.export.graph.fold import Target
from cathrt.export.models.keyframe.checkpoint import random_checkpoint
from cathrt.export.models.keyframe.comparison import Precision, Side
from cathrt.export.models.keyframe.gate import Gate
from cathrt.export.models.keyframe.semantics import semantics_from_toml
from cathrt.export.qualify.judge_set import JudgeInput, Sides
from cathrt.export.recipe.judging import JudgeSet, Judging
from cathrt.export.recipe.recipe import ExportRequest
from cathrt.export.recipe.stages import CalibrationFrom
from cathrt.export.recipe.targets import Recipe
from cathrt.runtime.config import Config, EngineConfig, LimitsConfig
from cathrt.runtime.ports import Source
from tests.lines import SIZE, ArraySource

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
CONFIG = Config(engine=EngineConfig(threads=1))
# Judged by six frames, so for what has nothing to do with how well networks agree. No network may err in logits.
FEW_FRAMES = Gate(agreement=0.0, logit_error=1e-4, laterality_f1_change=1.0, key_frames=0.0)
SEMANTICS = """
name = "small"

[preprocessing]
height = 32
width = 32
window = "voi_else_percentile"
percentiles = [1.0, 99.0]
mean = [0.5, 0.5, 0.5]
std = [0.25, 0.25, 0.25]
masked_value = 0.0

[keyframe]
laterality_threshold = 0.6
visible_threshold = 0.5
key_frame_threshold = 0.5
labels = [
  { name = "LCA-better", laterality = "left", quality = "better" },
  { name = "LCA-bad", laterality = "left", quality = "bad" },
  { name = "LCA-others", laterality = "left", quality = "others" },
  { name = "RCA-better", laterality = "right", quality = "better" },
  { name = "RCA-bad", laterality = "right", quality = "bad" },
  { name = "RCA-others", laterality = "right", quality = "others" },
]
"""


def noise_judge(runs: int, frames: int) -> JudgeSet:
    """Runs of noise, whose sides take turns."""

    def opened(number: int) -> tuple[Source, Sides]:
        draw = np.random.default_rng(number)
        pixels = [draw.integers(0, 200, (SIZE, SIZE)).astype(np.uint8) for _ in range(frames)]
        side: Side = "left" if number % 2 else "right"
        return ArraySource(pixels, name=f"noise {number}"), lambda index: side

    inputs = [JudgeInput(f"noise {number}", lambda number=number: opened(number)) for number in range(runs)]
    return JudgeSet(inputs, {"noise": [runs, frames]})


def semantics_file(folder: Path, text: str = SEMANTICS) -> Path:
    path = folder / "semantics.toml"
    path.write_text(text, encoding="utf-8")
    return path


def recipe_for(folder: Path, precision: Precision, *targets: Target, **changes: Any) -> Recipe:
    folder.mkdir(parents=True, exist_ok=True)
    recipe = Recipe(
        checkpoint=random_checkpoint("convnext_atto", 6, 0),
        semantics=semantics_from_toml(semantics_file(folder)),
        precision=precision,
        targets=targets,
        gate=FEW_FRAMES,
        calibration=CalibrationFrom(frames=4),
        limits=LimitsConfig(),
        seed=0,
    )
    return replace(recipe, **changes)


def request_for(folder: Path, precision: Precision, *targets: Target, **changes: Any) -> ExportRequest:
    """Signed with KEY, judged by six frames, not measured alone."""
    judging = Judging(noise_judge(2, 3), CONFIG, alone_calls=0)
    return ExportRequest(recipe_for(folder, precision, *targets, **changes), folder / "out", judging, KEY)
