"""A Gemma3 config.json in plain numbers, keys of transformers 4 and 5; defaults are those of transformers.

What our graphs do not compute is refused by name. Not for: the weights (stored.py), or their names (names.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cathrt.export.models.report.shape import GemmaShape, TextShape, VisionShape
from cathrt.export.models.report.weights.config_table import ConfigTable
from cathrt.export.models.report.weights.rotary import rotaries_from_config
from cathrt.runtime.errors import ConfigError

NO_TOKEN = -1  # of a text-only model: it has no picture tokens
_SLIDING, _GLOBAL = "sliding_attention", "full_attention"
_KINDS = {"gemma3": "Gemma3ForConditionalGeneration", "gemma3_text": "Gemma3ForCausalLM"}
_ACTIVATION = "gelu_pytorch_tanh"


def shape_from_config(document: Mapping[str, Any]) -> GemmaShape:
    """What config.json says of the network.

    A text-only model (model_type gemma3_text) has no vision, image_tokens 0 and NO_TOKEN for the picture tokens.
    Raises ConfigError where a value cannot be used, or where the network computes what our graphs do not.
    """
    whole = ConfigTable("config.json", document)
    kind = whole.text("model_type", "nothing")
    if kind not in _KINDS:
        raise ConfigError(
            f"config.json: model_type {kind}: expected {' or '.join(_KINDS)}. cathrt exports Gemma3 alone, with or "
            "without its vision tower: give the folder of such a model"
        )
    architectures = document.get("architectures")
    if architectures is not None and architectures != [_KINDS[kind]]:
        raise ConfigError(
            f"config.json: architectures {architectures}: expected [{_KINDS[kind]}] for model_type {kind}: give the "
            "folder of the model that writes text, saved with its own class"
        )
    whole.refuse("quantization_config", (None,), "give the folder of the model before it was quantised")
    text_table = whole.table("text_config") if kind == "gemma3" else whole
    text = _text(text_table)
    tied = whole.truth("tie_word_embeddings", text_table.truth("tie_word_embeddings", True))
    if kind == "gemma3_text":
        return GemmaShape(text, None, 0, tied, NO_TOKEN, NO_TOKEN, NO_TOKEN, *_text_tokens(whole, whole))
    vision = _vision(whole.table("vision_config"))
    return GemmaShape(
        text,
        vision,
        _image_tokens(whole, vision),
        tied,
        whole.token(("image_token_index", "image_token_id"), 262_144),
        whole.token(("boi_token_index", "boi_token_id"), 255_999),
        whole.token(("eoi_token_index", "eoi_token_id"), 256_000),
        *_text_tokens(whole, text_table),
    )


def _text(table: ConfigTable) -> TextShape:
    table.refuse("model_type", (None, "gemma3_text"), "only Gemma3's own decoder is exported")
    table.refuse("attention_bias", (None, False), "cathrt's decoder has no bias in its attention")
    table.refuse("attn_logit_softcapping", (None,), "cathrt does not cap attention scores (Gemma2 does)")
    table.refuse("final_logit_softcapping", (None,), "cathrt does not cap logits (Gemma2 does)")
    table.refuse("use_bidirectional_attention", (None, False), "such a model embeds text and writes none")
    table.refuse("hidden_activation", (None, _ACTIVATION), "cathrt's decoder has this activation alone")
    heads, kv_heads = table.whole("num_attention_heads", 8), table.whole("num_key_value_heads", 4)
    if heads % kv_heads:
        raise ConfigError(
            f"{table.where}: {heads} attention heads on {kv_heads} heads of keys and values: expected a multiple of "
            "these: check the file"
        )
    head_dim = table.whole("head_dim", 256)
    if head_dim % 2:
        raise ConfigError(f"{table.where}.head_dim: found {head_dim}, expected an even number: check the file")
    sliding = _sliding(table, table.whole("num_hidden_layers", 26))
    window = table.whole("sliding_window", 4096) if any(sliding) else 1
    rotary, sliding_rotary = rotaries_from_config(table)
    return TextShape(
        hidden=table.whole("hidden_size", 2304),
        intermediate=table.whole("intermediate_size", 9216),
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        vocabulary=table.whole("vocab_size", 262_208),
        sliding=sliding,
        window=window,
        query_scale=table.number("query_pre_attn_scalar", 256.0) ** -0.5,
        norm_eps=table.number("rms_norm_eps", 1e-6),
        rotary=rotary,
        sliding_rotary=sliding_rotary,
    )


def _sliding(table: ConfigTable, layers: int) -> tuple[bool, ...]:
    """Of each layer: the list of transformers 5, or else every so-manieth layer is global."""
    kinds = table.values.get("layer_types")
    if kinds is None:
        pattern = table.whole("sliding_window_pattern", table.whole("_sliding_window_pattern", 6))
        return tuple((layer + 1) % pattern != 0 for layer in range(layers))
    if not isinstance(kinds, list) or len(kinds) != layers or any(kind not in (_SLIDING, _GLOBAL) for kind in kinds):
        raise ConfigError(
            f"{table.where}.layer_types: expected {layers} times {_SLIDING} or {_GLOBAL}: check the file, or take "
            "another model"
        )
    return tuple(kind == _SLIDING for kind in kinds)


def _vision(table: ConfigTable) -> VisionShape:
    table.refuse("model_type", (None, "siglip_vision_model"), "only SigLIP's tower is exported")
    table.refuse("hidden_act", (None, _ACTIVATION), "cathrt's tower has this activation alone")
    table.refuse("num_channels", (None, 3), "cathrt's tower reads three channels")
    vision = VisionShape(
        hidden=table.whole("hidden_size", 768),
        intermediate=table.whole("intermediate_size", 3072),
        layers=table.whole("num_hidden_layers", 12),
        heads=table.whole("num_attention_heads", 12),
        side=table.square("image_size", 224),
        patch=table.square("patch_size", 16),
        norm_eps=table.number("layer_norm_eps", 1e-6),
    )
    if vision.hidden % vision.heads or vision.side % vision.patch:
        raise ConfigError(
            f"{table.where}: hidden_size {vision.hidden} on {vision.heads} heads, image_size {vision.side} in patches "
            f"of {vision.patch}: expected multiples: check the file"
        )
    return vision


def _image_tokens(whole: ConfigTable, vision: VisionShape) -> int:
    """Tokens of one picture. Patches are averaged in squares, so both must be square numbers that divide."""
    tokens = whole.whole("mm_tokens_per_image", 256)
    across, patches = round(tokens**0.5), vision.side // vision.patch
    if across * across != tokens or patches % across:
        raise ConfigError(
            f"config.json: mm_tokens_per_image {tokens} of {patches} x {patches} patches: expected the square of a "
            f"number that divides {patches}: check the file"
        )
    return tokens


def _text_tokens(whole: ConfigTable, text: ConfigTable) -> tuple[int, tuple[int, ...]]:
    """(begin, ends): of the whole model where it has them, else of its text part."""
    table = whole if whole.values.get("eos_token_id") is not None else text
    begin = whole if whole.values.get("bos_token_id") is not None else text
    return begin.token(("bos_token_id",), 2), table.tokens("eos_token_id", (1,))
