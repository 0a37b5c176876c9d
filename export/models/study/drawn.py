"""Random weights under the published names, to measure speed with: the same ones for the same networks.

Each tensor is drawn by its own name, so that a test can draw one alone. Not for: results, which the runtime refuses of
them.
"""

from __future__ import annotations

import hashlib
import math
import zlib

import numpy as np

from cathrt.export.models.study.checkpoint import StudyWeights, expected_shapes
from cathrt.export.models.study.graphs.graph import Float32
from cathrt.export.models.study.head import HeadShape
from cathrt.export.models.study.shape import EncoderShape

_SMALL = 0.1


def drawn_weights(encoder: EncoderShape, head: HeadShape) -> StudyWeights:
    """Weights that keep activations within the size that trained ones give."""
    tensors = {name: drawn_tensor(name, shape) for name, shape in expected_shapes(encoder, head).items()}
    digest = hashlib.sha256()
    for name, values in tensors.items():
        digest.update(name.encode())
        digest.update(values.data)
    return StudyWeights(encoder, head, tensors, digest.hexdigest(), ("weights are random: answers mean nothing",))


def drawn_tensor(name: str, shape: tuple[int, ...]) -> Float32:
    """Matrices and kernels by the size of what they sum over, scales around 1, the rest small."""
    draw = np.random.RandomState(zlib.crc32(name.encode()) & 0x7FFFFFFF)
    values: Float32 = draw.standard_normal(shape).astype(np.float32)
    if len(shape) >= 2:
        return (values * np.float32(1 / math.sqrt(math.prod(shape[1:])))).astype(np.float32)
    if name.endswith("weight"):
        return (1 + np.float32(_SMALL) * values).astype(np.float32)
    return (np.float32(_SMALL) * values).astype(np.float32)
