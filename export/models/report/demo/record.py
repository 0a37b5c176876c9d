"""What was done in a training, for the model card and the bundle's provenance: training.json.

Not for: what it is worth (evidence.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from safetensors import safe_open

from cathrt.export.models.report.demo.folders import Work, read_folder
from cathrt.export.models.report.demo.pictures import PICTURE
from cathrt.export.models.report.demo.seen import LEAST_GRADE
from cathrt.export.models.report.demo.stages import (
    ADAPTER,
    ADAPTER_RANK,
    BASE,
    TEST_START,
    TEXT,
    TRAINING_START,
    VISION,
)
from cathrt.runtime.phantom.scene import PHANTOM_VERSION


def record_of(work: Work, scenes: Mapping[str, int], *, matrix: int, arithmetic: str) -> dict[str, Any]:
    """Free JSON. scenes: how many for what."""
    network = read_folder(work.base)
    stages = {}
    for plan in (VISION, TEXT, BASE, ADAPTER):
        with safe_open(work.checkpoint(plan.stage), framework="pt") as stored:
            stages[plan.stage] = {**asdict(plan), "steps": int(stored.metadata()["step"])}
    return {
        "made_by": "cathrt.export.models.report.demo.train_report",
        "parameters": sum(one.numel() for one in network.parameters()),
        "vocabulary": network.config.text_config.vocab_size,
        "picture": asdict(PICTURE),
        "least_grade": LEAST_GRADE,
        "phantom_version": PHANTOM_VERSION,
        "matrix": matrix,
        "scenes": dict(scenes),
        "first_seeds": {"training": TRAINING_START, "test": TEST_START},
        "stages": stages,
        "adapter_rank": ADAPTER_RANK,
        "arithmetic": arithmetic,
        "tools": {name: version(name) for name in ("torch", "transformers", "peft", "tokenizers", "numpy")},
    }
