"""The float32 network's own answers to the studies: PyTorch, in the published form. Kept as a stage.

Not for: engines (answering.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from cathrt.export.models.study.answering import Advance, head_feeds, with_empty
from cathrt.export.models.study.cases import Clips, Study
from cathrt.export.models.study.checkpoint import ENCODER_PREFIX, HEAD_PREFIX, StudyWeights
from cathrt.export.models.study.encoder import ClipEncoder
from cathrt.export.models.study.head import StudyHead
from cathrt.export.models.study.source import Source
from cathrt.export.recipe.stage_cache import StageCache
from cathrt.runtime.models.study.contract import FEATURES, THERE, VIEWS

NAME = "PyTorch float32, in the published form"
Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Expected:
    """features: (clips, L, F). outputs: (1, columns) of each study."""

    features: Float32
    outputs: tuple[Float32, ...]


def expected_of(
    cache: StageCache, source: Source, clips: Clips, studies: Sequence[Study], advance: Advance
) -> Expected:
    """The network's answers, computed once for these weights and clips."""

    def make(folder: Path) -> None:
        encoder, head = reference_modules(source.weights)
        tensors = with_empty(clips, source.section)
        with torch.inference_mode():
            found = []
            for number, tensor in enumerate(tensors):
                found.append(encoder(torch.from_numpy(tensor[None]))[0].numpy())
                advance(number + 1, len(tensors))
            features = np.stack(found)
            outputs = []
            for study in studies:
                feeds = head_feeds(source.section, study, features, clips.views)
                given = {name: torch.from_numpy(values) for name, values in feeds.items()}
                outputs.append(head(given[FEATURES], given[THERE], given.get(VIEWS)).numpy())
        np.save(folder / "features.npy", features)
        np.save(folder / "outputs.npy", np.stack(outputs))

    inputs = {**source.identity, "clips": clips.sha256, "studies": [asdict(study) for study in studies]}
    folder = cache.result("reference", inputs, make)
    features: Float32 = np.load(folder / "features.npy", mmap_mode="r")
    return Expected(features, tuple(np.load(folder / "outputs.npy")))


def reference_modules(weights: StudyWeights) -> tuple[ClipEncoder, StudyHead]:
    """Encoder and head with these weights, ready to answer."""
    encoder, head = ClipEncoder(weights.encoder), StudyHead(weights.head)
    _load(encoder, weights.tensors, ENCODER_PREFIX)
    _load(head, weights.tensors, HEAD_PREFIX)
    return encoder.eval(), head.eval()


def _load(module: nn.Module, tensors: Mapping[str, Float32], prefix: str) -> None:
    module.load_state_dict({name: torch.from_numpy(tensors[f"{prefix}{name}"]) for name in module.state_dict()})
