"""The demonstration's network in training: encoder, head, and heads over cells and clips that are left behind.

An answer a study teaches a network this small next to nothing; a map of where each segment and lesion is does. Not for:
the modules themselves (encoder.py, head.py), or what is learnt from (losses.py).
B studies, N clips of one, L tokens, F features.
"""

# mypy: allow-subclassing-any
# (mypy skips torch, so nn.Module is Any here)
from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cathrt.export.models.study.checkpoint import ENCODER_PREFIX, HEAD_PREFIX, expected_shapes
from cathrt.export.models.study.demo.first_filters import first_filters
from cathrt.export.models.study.demo.questions import MEAN, SEGMENTS, STD, demonstration_questions
from cathrt.export.models.study.demo.studies import KINDS
from cathrt.export.models.study.encoder import ClipEncoder
from cathrt.export.models.study.head import HeadShape, StudyHead
from cathrt.export.models.study.shape import MVIT_V2_DEMO

SHAPE = MVIT_V2_DEMO
HEAD = HeadShape(tuple((one.name, one.columns) for one in demonstration_questions()), 64, SHAPE.features)
PERCENT = 100.0
"""Amounts are learnt as shares: weights of a percentage are this much larger in the checkpoint."""
_AMOUNTS = tuple(one.name for one in demonstration_questions() if one.form == "amount")


class StudyNetwork(nn.Module):
    """video_encoder and mil_model are the published modules; heads are left behind."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.video_encoder = ClipEncoder(SHAPE)
        self.mil_model = StudyHead(HEAD)
        told = len(SEGMENTS) * len(KINDS)
        self.heads = nn.ModuleDict({"cells": nn.Linear(SHAPE.features, told), "clips": nn.Linear(HEAD.pooled, told)})
        for module in self.video_encoder.modules():
            if isinstance(module, nn.Conv3d) and module.groups > 1:
                nn.init.dirac_(module.weight, groups=module.groups)  # pooling begins as leaving tokens out
        with torch.no_grad():
            self.video_encoder.model.conv_proj.weight.copy_(first_filters(SHAPE.stages[0].channels))
        for table in (self.video_encoder.model.pos_encoding["class_token"], self.mil_model.cls_token):
            nn.init.trunc_normal_(table, std=0.02)

    def of_clips(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(B, N, L, F) to what cells (B, N, L - 1, segments x KINDS) and clips (B, N, segments x KINDS) tell."""
        pooled = torch.cat([self.mil_model.gated_clips(features), self.mil_model.asked_clips(features)], dim=-1)
        return self.heads["cells"](features[:, :, 1:]), self.heads["clips"](pooled)

    def begin_at(self, answers: NDArray[np.float32]) -> None:
        """Let the answers of the untrained network be the commonest of (studies, questions), as shares."""
        with torch.no_grad():
            for name, share in zip(self.mil_model.heads, answers.mean(0), strict=True):
                linear = self.mil_model.heads[name]
                nn.init.normal_(linear.weight, std=0.01)
                odds = float(np.log(max(share, 0.01) / max(1.0 - share, 0.01)))
                begin = float(share) if name in _AMOUNTS else odds
                linear.bias.copy_(torch.tensor([begin] if len(linear.bias) == 1 else [begin / 2, -begin / 2]))


def pixels_of(clips: Tensor) -> Tensor:
    """(n, T, height, width) grey values to the encoder's input (n, 3, T, height, width)."""
    normed = (clips.float() - MEAN) / STD
    return normed[:, None].expand(-1, 3, -1, -1, -1)


def published_tensors(network: StudyNetwork) -> Mapping[str, Tensor]:
    """As a probing checkpoint names them, percentages in percent; parts that answer nothing are zeros."""
    tensors = {name: torch.zeros(shape) for name, shape in expected_shapes(SHAPE, HEAD).items()}
    for prefix, module in ((ENCODER_PREFIX, network.video_encoder), (HEAD_PREFIX, network.mil_model)):
        tensors |= {f"{prefix}{name}": value.detach().clone() for name, value in module.state_dict().items()}
    for name in _AMOUNTS:
        for part in ("weight", "bias"):
            tensors[f"{HEAD_PREFIX}heads.{name}.{part}"] *= PERCENT
    return tensors
