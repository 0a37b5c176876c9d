"""A small study reader with drawn weights, as modules, as tensors and as a checkpoint of the published form.

Not for: tests (the files beside it).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray

from cathrt.export.models.study.checkpoint import StudyWeights, expected_shapes
from cathrt.export.models.study.drawn import drawn_tensor, drawn_weights
from cathrt.export.models.study.head import HeadShape
from cathrt.export.models.study.products import PRODUCTS
from cathrt.export.models.study.shape import MVIT_V2_MINI, EncoderShape

GENERIC = tuple((one.name, one.columns) for one in PRODUCTS["generic"].questions)
MIXED = (("ef", 1), ("category", 4), ("occlusion", 1))
TOKENS = 33


def small_weights(
    outputs: tuple[tuple[str, int], ...] = GENERIC, gated: int | None = 32, views: int = 0
) -> StudyWeights:
    return drawn_weights(MVIT_V2_MINI, HeadShape(outputs, gated, MVIT_V2_MINI.features, views))


def write_checkpoint(
    path: Path,
    *,
    encoder: EncoderShape = MVIT_V2_MINI,
    outputs: tuple[tuple[str, int], ...] = GENERIC,
    renamed: Callable[[str], str] = lambda name: name.replace("mil_model.", "mil_model.module."),
    **changes: torch.Tensor | None,
) -> Path:
    """As the training leaves one. changes: tensors by name with __ for dots; None takes one out."""
    shapes = expected_shapes(encoder, HeadShape(outputs, 32, encoder.features))
    tensors = {name: torch.from_numpy(drawn_tensor(name, shape)) for name, shape in shapes.items()}
    for name, tensor in changes.items():
        tensors.pop(name.replace("__", "."), None)
        if tensor is not None:
            tensors[name.replace("__", ".")] = tensor
    table = {renamed(name): tensor for name, tensor in tensors.items()}
    torch.save({"linear_probing": table, "optimizer": {"state": {0: {"step": torch.ones(1)}}}, "epoch": 11}, path)
    return path


def clips_of(shape: EncoderShape, clips: int, seed: int = 0) -> NDArray[np.float32]:
    draw = np.random.default_rng(seed)
    return draw.standard_normal((clips, 3, shape.frames, shape.side, shape.side), np.float32)


def run(model: onnx.ModelProto, feeds: dict[str, NDArray[np.generic]]) -> list[NDArray[np.float32]]:
    """The graph in ONNX Runtime, on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    found: list[NDArray[np.float32]] = session.run(None, feeds)
    return found
