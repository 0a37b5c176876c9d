"""Gemma3's published sizes, and a tiny one for tests: what a config.json of each says.

Not for: weights of these sizes (report_weights.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Size = Literal["tiny", "270m", "1b", "4b"]
BEGIN, END, END_OF_TURN = 2, 1, 106  # ids of Gemma's tokenizer
FIRST_WORD = 1000  # ids from here on are plain words in every size


@dataclass(frozen=True, slots=True)
class Shape:
    """text: keys of Gemma3TextConfig. vision: of SiglipVisionConfig, or None for a text-only model.

    image_tokens: of one picture. words: how many ids are plain words.
    """

    text: Mapping[str, Any]
    vision: Mapping[str, Any] | None
    image_tokens: int
    begin_image: int
    end_image: int
    image: int

    @property
    def words(self) -> range:
        return range(FIRST_WORD, self.begin_image)


def _text(hidden: int, intermediate: int, layers: int, heads: int, kv_heads: int, **more: Any) -> dict[str, Any]:
    return {
        "hidden_size": hidden,
        "intermediate_size": intermediate,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": 256,
        "query_pre_attn_scalar": 256,
        "sliding_window": 512,
        "vocab_size": 262_144,
        "max_position_embeddings": 32_768,
        "rms_norm_eps": 1e-6,
        "pad_token_id": 0,
        "bos_token_id": BEGIN,
        "eos_token_id": [END, END_OF_TURN],
        "tie_word_embeddings": True,
        "rope_theta": 1_000_000.0,
        "rope_local_base_freq": 10_000.0,
        "sliding_window_pattern": 6,
        **more,
    }


_SIGLIP = {
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_hidden_layers": 27,
    "num_attention_heads": 16,
    "image_size": 896,
    "patch_size": 14,
    "layer_norm_eps": 1e-6,
    "vision_use_head": False,
}
# Of the published configurations, but for "tiny", which is for tests: all parts, no time.
SHAPES: Mapping[Size, Shape] = {
    "tiny": Shape(
        _text(
            128, 256, 7, 2, 1, head_dim=64, query_pre_attn_scalar=64, vocab_size=2048, sliding_window=64,
            max_position_embeddings=1024,
        ),
        {**_SIGLIP, "hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4,
         "image_size": 64, "patch_size": 8},
        16, 2040, 2041, 2042,
    ),
    "270m": Shape(_text(640, 2048, 18, 4, 1), None, 0, 255_999, 256_000, 262_143),
    "1b": Shape(_text(1152, 6912, 26, 4, 1), None, 0, 255_999, 256_000, 262_143),
    "4b": Shape(
        _text(
            2560, 10_240, 34, 8, 4, vocab_size=262_208, sliding_window=1024, max_position_embeddings=131_072,
            rope_scaling={"rope_type": "linear", "factor": 8.0},
        ),
        _SIGLIP, 256, 255_999, 256_000, 262_144,
    ),
}  # fmt: skip


def config_of(shape: Shape) -> dict[str, Any]:
    if shape.vision is None:
        return {"architectures": ["Gemma3ForCausalLM"], "model_type": "gemma3_text", "dtype": "bfloat16", **shape.text}
    return {
        "architectures": ["Gemma3ForConditionalGeneration"],
        "model_type": "gemma3",
        "dtype": "bfloat16",
        "boi_token_index": shape.begin_image,
        "eoi_token_index": shape.end_image,
        "image_token_index": shape.image,
        "eos_token_id": [END, END_OF_TURN],
        "mm_tokens_per_image": shape.image_tokens,
        "tie_word_embeddings": True,
        "text_config": {"model_type": "gemma3_text", **shape.text},
        "vision_config": {"model_type": "siglip_vision_model", **shape.vision},
    }
