"""A keyframe network with further outputs: thirteen rows, six classes, the readability and a domain of five reasons."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from cathrt.export.models.keyframe.convnext import ARCHS, ConvNext
from tests.export.small_export import SEMANTICS

OUTPUTS = {"logits": 6, "readability": 1, "domain": 6}
ROWS = 13
TABLES = """
[keyframe.readability]
poor_below = 0.3

[keyframe.domain]
threshold = 0.5
reasons = [
  { name = "inverted", text = "light vessels", text_ja = "白黒反転" },
  { name = "drawing", text = "a drawing", text_ja = "図" },
  { name = "ultrasound", text = "ultrasound", text_ja = "超音波" },
  { name = "test_pattern", text = "a test pattern", text_ja = "テストパターン" },
  { name = "other_picture", text = "another picture", text_ja = "その他" },
]
"""
FURTHER = SEMANTICS + TABLES


def state_of_rows(rows: int = ROWS) -> dict[str, torch.Tensor]:
    """An Atto whose every weight matters; each is exact as a half float."""
    torch.manual_seed(17)
    network = ConvNext(ARCHS["convnext_atto"], classes=rows, layer_scale=0.5)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
            parameter.copy_(parameter.half().float())
    return {key: value.detach() for key, value in network.state_dict().items()}


def answers_of(state: Mapping[str, torch.Tensor], image: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """What PyTorch gives for each output."""
    network = ConvNext(ARCHS["convnext_atto"], classes=len(state["head.fc.bias"])).eval()
    network.load_state_dict(dict(state))
    with torch.no_grad():
        rows = network(torch.from_numpy(image)).numpy()
    return {"logits": rows[:, :6], "readability": rows[:, 6:7], "domain": rows[:, 7:]}
