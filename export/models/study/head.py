"""The head over a study's clips, in PyTorch, in the published form and under the published names of its tensors.

Two ways from tokens to one vector a clip and from clips to one vector a study: gated attention, and a learned token
that attends to all others. Then one linear layer a question. Not for: what the outputs mean (products.py).
N clips, L tokens, F features.
"""

# mypy: allow-subclassing-any
# (mypy skips torch, so nn.Module is Any here)
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

HEAD_EPSILON = 1e-5
ATTENTION_HEADS = 8  # no shape of any tensor tells it; the published configuration's other numbers are not passed on
_HIDDEN = float("-inf")


@dataclass(frozen=True, slots=True)
class HeadShape:
    """outputs: columns of each question, by name, in the order of the output. gated: hidden width of the gated
    attention; None for a head that has the learned token alone. views: rows of the table of views; 0 for none."""

    outputs: tuple[tuple[str, int], ...]
    gated: int | None
    features: int = 512
    views: int = 0

    @property
    def pooled(self) -> int:
        """Width of a study's vector."""
        return self.features * (1 if self.gated is None else 2)

    @property
    def columns(self) -> int:
        return sum(columns for _, columns in self.outputs)


class StudyHead(nn.Module):
    """(1, N, L, F) and which clips are there, (1, N), to raw outputs (1, columns)."""

    def __init__(self, shape: HeadShape) -> None:
        super().__init__()
        self._shape = shape
        width = shape.features
        if shape.gated is not None:
            self.attention_V = nn.Linear(width, shape.gated)
            self.attention_U = nn.Linear(width, shape.gated)
            self.attention_w = nn.Linear(shape.gated, 1)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        for where in ("within", "across"):
            setattr(self, f"cls_attention_{where}", nn.MultiheadAttention(width, ATTENTION_HEADS, batch_first=True))
            setattr(self, f"cls_norm_{where}", nn.LayerNorm(width, eps=HEAD_EPSILON))
        if shape.views:
            self.view_embedding = nn.Embedding(shape.views, width)
        self.heads = nn.ModuleDict({name: nn.Linear(shape.pooled, columns) for name, columns in shape.outputs})

    def forward(self, features: Tensor, there: Tensor, views: Tensor | None = None) -> Tensor:
        """views: (1, N) ids of the clips' views, of a head that has a table of them."""
        pooled = self.pooled(features, there, views)
        return torch.cat([head(pooled) for head in self.heads.values()], dim=1)

    def pooled(self, features: Tensor, there: Tensor, views: Tensor | None = None) -> Tensor:
        """The study's vector, (1, pooled)."""
        if self._shape.views:
            assert views is not None
            features = features + self.view_embedding(views)[:, :, None]
        parts = [] if self._shape.gated is None else [self._gated(self.gated_clips(features), there)]
        asked = self.asked_clips(features)
        hidden = torch.cat([torch.zeros_like(there[:, :1]), ~there], dim=1)
        parts.append(self._asked(asked, "across", hidden))
        return torch.cat(parts, dim=1)

    def gated_clips(self, features: Tensor) -> Tensor:
        """One vector a clip by gated attention over its tokens: (1, N, F)."""
        weights = self._gates(features).softmax(2)
        return (weights * features).sum(2)

    def asked_clips(self, features: Tensor) -> Tensor:
        """One vector a clip from the learned token's attention to its tokens: (1, N, F)."""
        return self._asked(features.flatten(0, 1), "within", None).unflatten(0, features.shape[:2])

    def clip_weights(self, features: Tensor, there: Tensor) -> Tensor:
        """How much each clip counts in the gated attention: (1, N), 0 for one that is not there."""
        return self._weights(self.gated_clips(features), there)[..., 0]

    def _gated(self, clips: Tensor, there: Tensor) -> Tensor:
        return (self._weights(clips, there) * clips).sum(1)

    def _weights(self, clips: Tensor, there: Tensor) -> Tensor:
        return self._gates(clips).masked_fill(~there[..., None], _HIDDEN).softmax(1)

    def _gates(self, x: Tensor) -> Tensor:
        gates: Tensor = self.attention_w(self.attention_V(x).tanh() * self.attention_U(x).sigmoid())
        return gates

    def _asked(self, items: Tensor, where: str, hidden: Tensor | None) -> Tensor:
        """The learned token's place after one self-attention of all items and it, normed: (items' first, F)."""
        attention, norm = getattr(self, f"cls_attention_{where}"), getattr(self, f"cls_norm_{where}")
        row = torch.cat([self.cls_token.expand(len(items), 1, -1), items], dim=1)
        mixed, _ = attention(row, row, row, key_padding_mask=hidden, need_weights=False)
        normed: Tensor = norm(mixed)[:, 0]
        return normed
