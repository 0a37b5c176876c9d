"""Tiny random Gemma3 models by transformers, and their folders on disk in the names of every transformers version.

tiny_vlm(), tiny_text(): a model in float32, eager attention, evaluation mode; about 0.2 s. The same arguments give the
same weights. Nothing in it is zero or one where a real model's is not (norms, biases, projector), the two kinds of
layer have different rotary bases, head_dim is neither hidden / heads nor the query scalar, and a prompt of two
pictures is longer than the window.
    Tiny(...)           sizes; the default: 4 layers (sliding, sliding, global, sliding), 4 heads, 2 of keys and values,
                        window 12, pictures of 24 x 24 pixels that become 3 x 3 tokens
save_checkpoint(model, folder, layout, shards, dtype, old_config, extra): config.json and safetensors. layout:
    "before_4.52"       language_model.model.*, language_model.lm_head.*, vision_tower.vision_model.*
    "4.52"              model.language_model.*, model.vision_tower.vision_model.*, lm_head.*
    "5"                 model.language_model.*, model.vision_tower.*, lm_head.* (names in memory; what 5.24 itself
                        saves is a fourth mixture, language_model.model.* with vision_tower.*: model.save_pretrained)
    shards > 1 writes model-0000i-of-0000n.safetensors and model.safetensors.index.json. old_config writes config.json
    with rope_theta, rope_local_base_freq, rope_scaling and sliding_window_pattern, as before transformers 5.
in_layout(name, layout): what a weight of the model in memory is called there.
prompt_tokens(model, pictures, text_tokens, seed): token ids, (1, T) int64: begin, text, then each picture between its
    marks, text at the end; no token of the text is a special one.
pixels(model, pictures, seed): (pictures, 3, side, side) float32 in [-1, 1].
token_types(model, token_ids): 1 where a picture stands, else 0.
reference_logits(model, token_ids, pictures): (T, vocabulary) float32 of the whole prompt, transformers' own masks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor
from transformers import Gemma3Config, Gemma3ForCausalLM, Gemma3ForConditionalGeneration, Gemma3TextConfig

Layout = Literal["before_4.52", "4.52", "5"]
LAYOUTS: tuple[Layout, ...] = ("before_4.52", "4.52", "5")
TinyModel = Gemma3ForConditionalGeneration | Gemma3ForCausalLM
_Model = TypeVar("_Model", Gemma3ForConditionalGeneration, Gemma3ForCausalLM)

PAD, END, BEGIN, BEGIN_IMAGE, END_IMAGE, END_OF_TURN = 0, 1, 2, 5, 6, 7
_FIRST_TEXT = 8
_INPUT = 0.1  # of what the layers add: with more of it a tied head says the last token again and again

_SIZE_KEYS = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
_VISION_KEYS = (*_SIZE_KEYS, "image_size", "patch_size", "layer_norm_eps")
_TEXT_KEYS = (
    *_SIZE_KEYS,
    "vocab_size",
    "num_key_value_heads",
    "head_dim",
    "query_pre_attn_scalar",
    "sliding_window",
    "rms_norm_eps",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
    "max_position_embeddings",
    "attention_bias",
    "attn_logit_softcapping",
    "final_logit_softcapping",
    "hidden_activation",
)


@dataclass(frozen=True, slots=True)
class Tiny:
    """Sizes. pattern: every so many layers one is global. global_factor: divides positions in global layers."""

    layers: int = 4
    pattern: int = 3
    hidden: int = 64
    intermediate: int = 192
    heads: int = 4
    kv_heads: int = 2
    head_dim: int = 32
    query_scalar: int = 24
    window: int = 12
    vocabulary: int = 320
    global_theta: float = 500.0
    global_factor: float = 2.0
    sliding_theta: float = 30.0
    tied: bool = True
    vision_layers: int = 2
    vision_hidden: int = 48
    vision_intermediate: int = 80
    vision_heads: int = 3
    side: int = 24
    patch: int = 4
    image_tokens: int = 9

    @property
    def image_token(self) -> int:
        return self.vocabulary - 4


def tiny_vlm(tiny: Tiny | None = None, seed: int = 0) -> Gemma3ForConditionalGeneration:
    """The vision-language model."""
    tiny = tiny or Tiny()
    config = Gemma3Config(
        text_config=_text_settings(tiny),
        vision_config=_vision_settings(tiny),
        mm_tokens_per_image=tiny.image_tokens,
        boi_token_index=BEGIN_IMAGE,
        eoi_token_index=END_IMAGE,
        image_token_index=tiny.image_token,
        eos_token_id=[END, END_OF_TURN],
        tie_word_embeddings=tiny.tied,
    )
    config._attn_implementation = "eager"
    return _filled(Gemma3ForConditionalGeneration(config), seed)


def tiny_text(tiny: Tiny | None = None, seed: int = 0) -> Gemma3ForCausalLM:
    """The text-only model."""
    config = Gemma3TextConfig(**_text_settings(tiny or Tiny()))
    config._attn_implementation = "eager"
    return _filled(Gemma3ForCausalLM(config), seed)


def save_checkpoint(
    model: TinyModel,
    folder: Path,
    *,
    layout: Layout = "5",
    shards: int = 1,
    dtype: torch.dtype = torch.float32,
    old_config: bool = False,
    extra: Mapping[str, Tensor] | None = None,
) -> Path:
    """Write the model's folder and return it. extra: further tensors, in the names of the file."""
    folder.mkdir(parents=True, exist_ok=True)
    config = _old_config(model) if old_config else model.config.to_dict()
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    tensors = {in_layout(name, layout): value.to(dtype).contiguous() for name, value in stored_state(model).items()}
    tensors |= extra or {}
    if shards == 1:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return folder
    weight_map = {}
    for shard in range(shards):
        file = f"model-{shard + 1:05}-of-{shards:05}.safetensors"
        part = {name: value for place, (name, value) in enumerate(tensors.items()) if place % shards == shard}
        save_file(part, folder / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(part, file)
    size = sum(value.nbytes for value in tensors.values())
    index = {"metadata": {"total_size": size}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def stored_state(model: TinyModel) -> dict[str, Tensor]:
    """The weights that a file holds: a tied head is left out, as transformers does."""
    state = {name: value.detach() for name, value in model.state_dict().items()}
    if model.config.tie_word_embeddings:
        del state["lm_head.weight"]
    return state


def in_layout(name: str, layout: Layout) -> str:
    """`name`: of the model in memory, transformers 5. A text-only model's names are the same in all layouts."""
    if layout == "5" or not name.startswith(
        ("model.language_model.", "model.vision_tower.", "model.multi_", "lm_head.")
    ):
        return name
    if name.startswith("model.vision_tower."):
        name = name.replace("vision_tower.", "vision_tower.vision_model.", 1)
    if layout == "4.52":
        return name
    if name.startswith("lm_head."):
        return f"language_model.{name}"
    return name.removeprefix("model.").replace("language_model.", "language_model.model.", 1)


def prompt_tokens(model: TinyModel, pictures: int = 2, text_tokens: int = 12, seed: int = 0) -> NDArray[np.int64]:
    """(1, T) int64. text_tokens: of all text together, the begin token not counted."""
    text = model.config.get_text_config()
    draw = np.random.default_rng(seed)
    last = text.vocab_size - 4 if pictures == 0 else model.config.image_token_id
    words = draw.integers(_FIRST_TEXT, last, text_tokens).tolist()
    cut = text_tokens // (pictures + 1)
    ids = [BEGIN, *words[:cut]]
    for picture in range(pictures):
        ids += [BEGIN_IMAGE, *[model.config.image_token_id] * model.config.mm_tokens_per_image, END_IMAGE]
        start = cut * (picture + 1)
        ids += words[start : start + cut] if picture + 1 < pictures else words[start:]
    return np.asarray([ids], np.int64)


def pixels(model: Gemma3ForConditionalGeneration, pictures: int = 2, seed: int = 0) -> NDArray[np.float32]:
    side = model.config.vision_config.image_size
    return np.random.default_rng(seed).uniform(-1, 1, (pictures, 3, side, side)).astype(np.float32)


def token_types(model: TinyModel, token_ids: NDArray[np.int64]) -> NDArray[np.int64]:
    return (token_ids == getattr(model.config, "image_token_id", -1)).astype(np.int64)


def reference_logits(
    model: TinyModel, token_ids: NDArray[np.int64], pictures: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Of every position. pictures: as many as the prompt has."""
    feeds: dict[str, Tensor] = {"input_ids": torch.from_numpy(token_ids)}
    if pictures is not None:
        feeds["pixel_values"] = torch.from_numpy(pictures)
        feeds["token_type_ids"] = torch.from_numpy(token_types(model, token_ids))
    with torch.no_grad():
        logits: NDArray[np.float32] = model(**feeds, use_cache=False).logits[0].numpy()
    return logits


def _text_settings(tiny: Tiny) -> dict[str, Any]:
    return {
        "vocab_size": tiny.vocabulary,
        "hidden_size": tiny.hidden,
        "intermediate_size": tiny.intermediate,
        "num_hidden_layers": tiny.layers,
        "num_attention_heads": tiny.heads,
        "num_key_value_heads": tiny.kv_heads,
        "head_dim": tiny.head_dim,
        "query_pre_attn_scalar": tiny.query_scalar,
        "sliding_window": tiny.window,
        "layer_types": [
            "full_attention" if (layer + 1) % tiny.pattern == 0 else "sliding_attention" for layer in range(tiny.layers)
        ],
        "rope_parameters": {
            "full_attention": {"rope_type": "linear", "rope_theta": tiny.global_theta, "factor": tiny.global_factor},
            "sliding_attention": {"rope_type": "default", "rope_theta": tiny.sliding_theta},
        },
        "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-5,
        "pad_token_id": PAD,
        "bos_token_id": BEGIN,
        "eos_token_id": [END, END_OF_TURN],
        "tie_word_embeddings": tiny.tied,
    }


def _vision_settings(tiny: Tiny) -> dict[str, Any]:
    return {
        "model_type": "siglip_vision_model",
        "hidden_size": tiny.vision_hidden,
        "intermediate_size": tiny.vision_intermediate,
        "num_hidden_layers": tiny.vision_layers,
        "num_attention_heads": tiny.vision_heads,
        "image_size": tiny.side,
        "patch_size": tiny.patch,
        "layer_norm_eps": 1e-4,
        "vision_use_head": False,
    }


def _filled(model: _Model, seed: int) -> _Model:
    """Weights that keep activations near one, so that every part moves the logits."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in model.named_parameters():
            noise = torch.randn(value.shape, generator=draw)
            if "layer_norm" in name or "layernorm" in name or name.endswith("norm.weight"):
                layer_norm = "vision_tower" in name and name.endswith("weight")
                value.copy_(0.2 * noise + (1.0 if layer_norm else 0.0))
            elif name.endswith("bias"):
                value.copy_(0.1 * noise)
            elif name.endswith("mm_input_projection_weight"):
                value.copy_(_INPUT * noise / value.shape[0] ** 0.5)
            elif "embed_tokens" in name:
                value.copy_(_INPUT * noise / value.shape[1] ** 0.5)
            else:
                value.copy_(noise / value[0].numel() ** 0.5)
    model.tie_weights()
    return model.eval()


def _old_config(model: TinyModel) -> dict[str, Any]:
    """config.json as transformers before 5 wrote it."""
    text = model.config.get_text_config()
    rope = text.rope_parameters
    kinds = [kind == "full_attention" for kind in text.layer_types]
    settings = {key: getattr(text, key) for key in _TEXT_KEYS}
    settings |= {
        "model_type": "gemma3_text",
        "rope_theta": rope["full_attention"]["rope_theta"],
        "rope_local_base_freq": rope["sliding_attention"]["rope_theta"],
        "rope_scaling": {"rope_type": "linear", "factor": rope["full_attention"]["factor"]},
        "sliding_window_pattern": kinds.index(True) + 1,
    }
    if isinstance(model, Gemma3ForCausalLM):
        tied = {} if text.tie_word_embeddings else {"tie_word_embeddings": False}
        return {"architectures": ["Gemma3ForCausalLM"], "torch_dtype": "bfloat16", **settings, **tied}
    vision = model.config.vision_config
    tied = {} if model.config.tie_word_embeddings else {"tie_word_embeddings": False}
    return {
        "architectures": ["Gemma3ForConditionalGeneration"],
        "model_type": "gemma3",
        "boi_token_index": model.config.boi_token_index,
        "eoi_token_index": model.config.eoi_token_index,
        "image_token_index": model.config.image_token_index,
        "eos_token_id": [END, END_OF_TURN],
        "mm_tokens_per_image": model.config.mm_tokens_per_image,
        "text_config": settings,
        "torch_dtype": "bfloat16",
        "vision_config": {
            "model_type": "siglip_vision_model",
            "vision_use_head": False,
            **{key: getattr(vision, key) for key in _VISION_KEYS},
        },
        **tied,
    }
