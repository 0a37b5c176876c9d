"""The pieces both towers are made of: linear layers, norms, attention's reshapes. In float32 where rounding would show.

T positions, H hidden. Not for: what a layer is made of (decoder.py, vision.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cathrt.export.models.report.graphs.graph_writer import GraphWriter
from cathrt.export.models.report.graphs.settings import Form
from cathrt.export.models.report.graphs.weight_forms import Float32, check_range, matrix


def constant(graph: GraphWriter, name: str, values: Sequence[int]) -> str:
    """An int64 initializer, such as a shape."""
    return graph.weight(name, np.asarray(values, np.int64))


def reshape(graph: GraphWriter, tensor: str, name: str, shape: Sequence[int]) -> str:
    """0 keeps a size, -1 stands for what is left."""
    return graph.node("Reshape", [tensor, constant(graph, f"{name}.shape", shape)], name)


def transpose(graph: GraphWriter, tensor: str, name: str, axes: Sequence[int]) -> str:
    return graph.node("Transpose", [tensor], name, perm=list(axes))


def linear(
    graph: GraphWriter,
    tensor: str,
    name: str,
    weight: Float32,
    form: Form,
    block: int | None,
    bias: Float32 | None = None,
    *,
    purpose: str = "layers",
) -> str:
    """x @ weight.T + bias; weight (out, in)."""
    stored = matrix(graph, f"{name}.weight", weight, form, block, purpose=purpose)
    if bias is None:
        return graph.node("MatMul", [tensor, stored], name)
    product = graph.node("MatMul", [tensor, stored], f"{name}.product")
    return graph.node("Add", [product, in_element(graph, f"{name}.bias", bias)], name)


def in_element(graph: GraphWriter, name: str, values: NDArray[np.float32]) -> str:
    """A small weight in the graph's element type. Raises EngineError where it does not hold it."""
    check_range(name, values, graph.element)
    held = graph.weight(name, values.astype(np.float32), "small")
    return held if graph.element == "float32" else graph.cast(held, f"{name}.{graph.element}", graph.element)


def as_float32(graph: GraphWriter, tensor: str) -> str:
    return tensor if graph.element == "float32" else graph.cast(tensor, f"{tensor}.float32", "float32")


def as_element(graph: GraphWriter, tensor: str) -> str:
    return tensor if graph.element == "float32" else graph.cast(tensor, f"{tensor}.{graph.element}", graph.element)


def rms_norm(graph: GraphWriter, tensor: str, name: str, weight: Float32, epsilon: float) -> str:
    """x / sqrt(mean(x^2) + epsilon) * weight over the last axis; tensor and result float32."""
    return graph.node(
        "RMSNormalization", [tensor, graph.weight(f"{name}.weight", weight, "small")], name, axis=-1, epsilon=epsilon
    )


def layer_norm(graph: GraphWriter, tensor: str, name: str, weight: Float32, bias: Float32, epsilon: float) -> str:
    """Over the last axis; tensor and result float32."""
    parts = [tensor, graph.weight(f"{name}.weight", weight, "small"), graph.weight(f"{name}.bias", bias, "small")]
    return graph.node("LayerNormalization", parts, name, axis=-1, epsilon=epsilon)


def gelu(graph: GraphWriter, tensor: str, name: str) -> str:
    return graph.node("Gelu", [tensor], name, approximate="tanh")
