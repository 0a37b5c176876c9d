"""What a Gemma3 checkpoint's config.json says of its network, in plain numbers, and what its weights are called.

The names are ours for all layouts: those of transformers 5 without the leading "model." (`language_model.layers.0...`,
`vision_tower.encoder.layers.0...`, `multi_modal_projector...`, `lm_head.weight`). Not for: reading files
(weights/), or graphs (graphs/).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

EMBEDDING, HEAD = "language_model.embed_tokens.weight", "lm_head.weight"


@dataclass(frozen=True, slots=True)
class Rotary:
    """Rotary embedding of one kind of layer. theta: base of the wavelengths. factor: positions are divided by it."""

    theta: float
    factor: float = 1.0


@dataclass(frozen=True, slots=True)
class TextShape:
    """The decoder. sliding: of each layer, whether it looks back `window` positions at most.

    query_scale: what queries are multiplied by: query_pre_attn_scalar to the power of -1/2.
    """

    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    sliding: tuple[bool, ...]
    window: int
    query_scale: float
    norm_eps: float
    rotary: Rotary  # of layers that see everything
    sliding_rotary: Rotary

    @property
    def layers(self) -> int:
        return len(self.sliding)


@dataclass(frozen=True, slots=True)
class VisionShape:
    """The vision tower (SigLIP without its pooling head). side: of the square picture, pixels; patch: of a patch."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    side: int
    patch: int
    norm_eps: float


@dataclass(frozen=True, slots=True)
class GemmaShape:
    """The whole model. vision: None for a text-only checkpoint. image_tokens: of one picture, a square number.

    tied: the output layer has the embedding's weights. *_token: ids in the vocabulary; end_tokens: any of them ends an
    answer.
    """

    text: TextShape
    vision: VisionShape | None
    image_tokens: int
    tied: bool
    image_token: int
    begin_image_token: int
    end_image_token: int
    begin_token: int
    end_tokens: tuple[int, ...]

    @property
    def head(self) -> str:
        """Name of the weight that the output layer has."""
        return EMBEDDING if self.tied else HEAD


class Weights(Protocol):
    """All weights of one model, adapter merged, read one at a time.

    tensor(): float32, C-contiguous, in its shape in the checkpoint ((out, in) for a linear layer), made anew each time.
    "lm_head.weight" is there where the head is not tied. Raises ConfigError for a name that is not in `names`.
    """

    @property
    def shape(self) -> GemmaShape: ...
    @property
    def names(self) -> Collection[str]: ...
    def tensor(self, name: str) -> NDArray[Any]: ...
