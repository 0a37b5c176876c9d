"""What a report bundle says of its model: its tokens, its picture, its prompts, how long an answer may be.

Networks: "vision" (a picture to soft tokens), "embedding" (token ids to embeddings), "decoder" (embeddings and a cache
of keys and values to the next token's logits), and, where prompts are read with weights of another form than answers
are written with, "prefill" (as the decoder). Not for: running them (decoder.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge, Gt, MinLen

from cathrt.runtime.bundle.manifest import Section

VISION, EMBEDDING, DECODER, PREFILL = "vision", "embedding", "decoder", "prefill"  # roles
Language = Literal["en", "ja"]
LANGUAGES: tuple[Language, ...] = ("en", "ja")

_Id = Annotated[int, Ge(0)]
_Size = Annotated[int, Ge(1)]


@dataclass(frozen=True, slots=True)
class ReportTokens:
    """Ids with a meaning of their own. end: any of them ends an answer. image: stands image_tokens times for a picture,
    between begin_image and end_image. control: every id that data must never bring into a prompt."""

    begin: _Id
    end: Annotated[tuple[_Id, ...], MinLen(1)]
    begin_image: _Id
    end_image: _Id
    image: _Id
    control: tuple[_Id, ...]


@dataclass(frozen=True, slots=True)
class ReportPicture:
    """How a key frame becomes the vision network's input `pixels`, (1, 3, side, side) float32.

    The frame's displayed grey values in [0, 1] (percentile window, as Preprocessing has it), resized to side x side
    without regard to aspect, repeated in three channels, then (value - mean) / std. tokens: soft tokens of one picture.
    """

    side: _Size
    percentiles: tuple[float, float]
    mean: tuple[float, float, float]
    std: tuple[Annotated[float, Gt(0.0)], Annotated[float, Gt(0.0)], Annotated[float, Gt(0.0)]]
    tokens: _Size


@dataclass(frozen=True, slots=True)
class ReportPrompts:
    """Texts of the prompts. Each holds its blanks in braces: {findings}, {pictures}, {facts}; nothing else in braces.

    system: before all else, and the same in every draft, so that it is computed once. facts: asks for the JSON facts.
    prose: by language, asks for the prose of given facts.
    """

    system: str
    facts: str
    prose: dict[Language, str]


@dataclass(frozen=True, slots=True)
class ReportSection(Section):
    """tokenizer: file of the bundle (tokenizer.json of Hugging Face tokenizers).

    layers: of the decoder. kv_heads, head_dim: of its caches keys_NN and values_NN, each (kv_heads, C, head_dim).
    window: how many positions the sliding layers look back. context: most positions of prompt and answer together.
    pictures: most of one prompt. most_tokens: of one answer (facts, or the prose of one language).
    """

    kind: Literal["report"] = field(default="report", kw_only=True)
    tokenizer: Annotated[str, MinLen(1)]
    tokens: ReportTokens
    picture: ReportPicture | None
    prompts: ReportPrompts
    layers: _Size
    kv_heads: _Size
    head_dim: _Size
    window: _Size
    context: _Size
    pictures: Annotated[int, Ge(0)]
    most_tokens: _Size
