"""Small graphs and requests for the tests of TensorRT, and the word on why they skip."""

from __future__ import annotations

from importlib import metadata
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from cathrt.export.targets.tensorrt import PlanRequest

FLOAT = TensorProto.FLOAT
TURING, AMPERE, ADA, BLACKWELL = 75, 86, 89, 120


@pytest.fixture
def rtx() -> None:
    """Skips aloud where no plan can be built."""
    try:
        metadata.version("tensorrt-rtx")
    except metadata.PackageNotFoundError:
        pytest.skip("TensorRT-RTX is not installed, so no plan was built: pip install tensorrt-rtx")


def request(*sm: int, **fields: Any) -> PlanRequest:
    """For TensorRT-RTX, which chooses its devices."""
    return PlanRequest("tensorrt-rtx", sm, **fields)


def small(*nodes: onnx.NodeProto, shape: tuple[int | str, ...] = (1, 4), **weights: Any) -> bytes:
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", FLOAT, shape)],
        [helper.make_tensor_value_info("y", FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    return bytes(model.SerializeToString())


def relu(**fields: Any) -> bytes:
    return small(helper.make_node("Relu", ["x"], ["y"], name="act"), **fields)
