"""An Atto with random weights on 32 x 32 pixels, and qualification sets of noise for it: an export in seconds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cathrt.export.graph.fold import Target
from cathrt.export.model_kind import SourceModel
from cathrt.export.models.keyframe.checkpoint import Checkpoint, random_checkpoint
from cathrt.export.models.keyframe.gate import Gate
from cathrt.export.models.keyframe.port import PORT
from cathrt.export.models.keyframe.semantics import Semantics, semantics_from_toml
from cathrt.export.models.keyframe.source import source_of
from cathrt.export.qualify.runs import KnownSource, RunInput
from cathrt.export.recipe.qualification import QualificationSet, Qualifying
from cathrt.export.recipe.recipe import ExportRequest
from cathrt.export.recipe.stages import CalibrationFrom
from cathrt.export.recipe.targets import Recipe
from cathrt.runtime.bundle.manifest import Precision
from cathrt.runtime.config import Config, EngineConfig, LimitsConfig
from cathrt.runtime.models.keyframe.section import CLASSIFIER
from tests.lines import SIZE, ArraySource

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
CONFIG = Config(engine=EngineConfig(threads=1))
# Qualified on six frames, so for what has nothing to do with how well networks agree. No network may err in logits.
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


def noise_runs(runs: int, frames: int) -> QualificationSet:
    """Runs of noise, whose sides take turns."""

    def opened(number: int) -> KnownSource:
        draw = np.random.default_rng(number)
        pixels = [draw.integers(0, 200, (SIZE, SIZE)).astype(np.uint8) for _ in range(frames)]
        side = "left" if number % 2 else "right"
        return KnownSource(ArraySource(pixels, name=f"noise {number}"), lambda index: side)

    inputs = [RunInput(f"noise {number}", lambda number=number: opened(number)) for number in range(runs)]
    return QualificationSet(inputs, {"noise": [runs, frames]}, all_of_first=runs)


def semantics_file(folder: Path, text: str = SEMANTICS) -> Path:
    path = folder / "semantics.toml"
    path.write_text(text, encoding="utf-8")
    return path


def small_semantics(folder: Path) -> Semantics:
    folder.mkdir(parents=True, exist_ok=True)
    return semantics_from_toml(semantics_file(folder))


def small_model(semantics: Semantics, checkpoint: Checkpoint | None = None) -> SourceModel:
    return source_of(checkpoint or random_checkpoint("convnext_atto", 6, 0), semantics, seed=0)


def recipe_for(folder: Path, precision: Precision, *targets: Target, **changes: Any) -> Recipe:
    """changes: of the Recipe; gate: of its only network."""
    gates = {CLASSIFIER: changes.pop("gate", FEW_FRAMES)}
    recipe = Recipe(
        model=small_model(small_semantics(folder)),
        port=PORT,
        precision=precision,
        targets=targets,
        gates=gates,
        calibration=CalibrationFrom(frames=4),
        limits=LimitsConfig(),
    )
    return replace(recipe, **changes)


def request_for(folder: Path, precision: Precision, *targets: Target, **changes: Any) -> ExportRequest:
    """Signed with KEY, whatever the network is worth, qualified on six frames, not measured alone."""
    qualifying = Qualifying(noise_runs(2, 3), CONFIG, alone_calls=0)
    recipe = recipe_for(folder, precision, *targets, **changes)
    return ExportRequest(recipe, folder / "out", qualifying, KEY, sign_anyway=True)
