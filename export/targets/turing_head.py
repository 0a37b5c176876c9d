"""The head as a 1x1 convolution, for SM 7.5: TensorRT-RTX multiplies no float32 matrices there (tried, 1.7.1).

For: graphs of export/graph/fold.py, before they are typed. Not for: other devices' sake; in a typed graph the head then
takes the graph's type, where a matrix product would stay in float32 (export/graph/precision.py).
"""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, helper

from cathrt.export.graph.edit import GraphEdit, attributes

HEAD = "head.fc"


def head_as_convolution(model: ModelProto) -> ModelProto:
    """The same network without a matrix product in its head. Raises ValueError where there is no such head."""
    edit = GraphEdit(model)
    head = next((node for node in edit.nodes if node.name == HEAD and node.op_type == "Gemm"), None)
    if head is None or attributes(head) != {"transB": 1} or len(head.input) != 3:
        raise ValueError(f"no {HEAD} (Gemm of features, weight and bias), expected a graph of export/graph/fold.py")
    features, weight, bias = head.input
    values = edit.weight(weight)  # (classes, channels)
    classes, channels = values.shape
    image = edit.set_weight(f"{HEAD}.as_image", np.array([1, channels, 1, 1]))
    row = edit.set_weight(f"{HEAD}.as_row", np.array([1, classes]))
    kernel = edit.set_weight(weight, np.ascontiguousarray(values[:, :, None, None]))
    edit.replace(
        head,
        [
            helper.make_node("Reshape", [features, image], [f"{HEAD}.image"], name=f"{HEAD}.in"),
            helper.make_node("Conv", [f"{HEAD}.image", kernel, bias], [f"{HEAD}.logits"], name=HEAD),
            helper.make_node("Reshape", [f"{HEAD}.logits", row], list(head.output), name=f"{HEAD}.out"),
        ],
    )
    return edit.model()
