"""The head as a convolution: the same logits, no matrix product left; a graph without such a head is refused."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from cathrt.export.graph.fold import canonical, check_pass
from cathrt.export.models.keyframe.checkpoint import random_checkpoint
from cathrt.export.models.keyframe.to_onnx import INPUT, onnx_from_state
from cathrt.export.targets.turing_head import head_as_convolution
from tests.golden import conv_model


def test_the_logits_stay_and_no_matrix_product_is_left() -> None:
    state = random_checkpoint("convnext_atto", 6, 0).state
    folded = canonical(onnx.load_from_string(onnx_from_state(state, height=32, width=32)), "nchw")
    found = head_as_convolution(folded)
    assert [node.op_type for node in folded.graph.node].count("Gemm") == 1
    assert not {"Gemm", "MatMul"} & {node.op_type for node in found.graph.node}
    frame = np.random.default_rng(1).normal(size=(1, 3, 32, 32)).astype(np.float32)
    check_pass("head_as_convolution", folded, found, {INPUT: frame})
    onnx.checker.check_model(found, full_check=True)


def test_a_graph_without_such_a_head_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no head\.fc"):
        head_as_convolution(conv_model())
