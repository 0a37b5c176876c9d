"""config.json in plain numbers: old keys, new keys, defaults of transformers, and refusals by name."""

from __future__ import annotations

from typing import Any

import pytest
from transformers import Gemma3Config, Gemma3TextConfig

from cathrt.export.models.report.shape import GemmaShape, Rotary
from cathrt.export.models.report.weights import NO_TOKEN, shape_from_config
from cathrt.runtime.errors import ConfigError

# google/gemma-3-4b-it as published, before transformers 5: all else is default.
OLD_4B: dict[str, Any] = {
    "architectures": ["Gemma3ForConditionalGeneration"],
    "boi_token_index": 255999,
    "eoi_token_index": 256000,
    "eos_token_id": [1, 106],
    "image_token_index": 262144,
    "mm_tokens_per_image": 256,
    "model_type": "gemma3",
    "text_config": {
        "hidden_size": 2560,
        "intermediate_size": 10240,
        "model_type": "gemma3_text",
        "num_hidden_layers": 34,
        "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
        "sliding_window": 1024,
    },
    "torch_dtype": "bfloat16",
    "vision_config": {
        "hidden_size": 1152,
        "image_size": 896,
        "intermediate_size": 4304,
        "model_type": "siglip_vision_model",
        "num_attention_heads": 16,
        "num_hidden_layers": 27,
        "patch_size": 14,
        "vision_use_head": False,
    },
}


def changed(part: str | None, **values: Any) -> dict[str, Any]:
    if part is None:
        return {**OLD_4B, **values}
    return {**OLD_4B, part: {**OLD_4B[part], **values}}


def test_4b_is_read_from_its_published_config() -> None:
    shape = shape_from_config(OLD_4B)
    text, vision = shape.text, shape.vision
    assert (text.hidden, text.intermediate, text.heads, text.kv_heads, text.head_dim) == (2560, 10240, 8, 4, 256)
    assert (text.vocabulary, text.layers, text.window, text.query_scale) == (262_208, 34, 1024, 1 / 16)
    assert [layer for layer, sliding in enumerate(text.sliding) if not sliding] == [5, 11, 17, 23, 29]
    assert (text.rotary, text.sliding_rotary) == (Rotary(1e6, 8.0), Rotary(1e4, 1.0))
    assert vision is not None
    assert (vision.hidden, vision.layers, vision.side, vision.patch, vision.norm_eps) == (1152, 27, 896, 14, 1e-6)
    assert (shape.image_tokens, shape.image_token, shape.tied) == (256, 262_144, True)
    assert (shape.begin_image_token, shape.end_image_token) == (255_999, 256_000)
    assert (shape.begin_token, shape.end_tokens) == (2, (1, 106))


def test_what_transformers_5_saves_of_it_is_the_same() -> None:
    assert shape_from_config(Gemma3Config(**OLD_4B).to_dict()) == shape_from_config(OLD_4B)


def test_defaults_are_those_of_transformers() -> None:
    # 256 tokens do not divide the 14 x 14 patches of SigLIP's default picture: that model cannot be.
    empty = {"model_type": "gemma3", "mm_tokens_per_image": 49}
    assert shape_from_config(empty) == shape_from_config(Gemma3Config(mm_tokens_per_image=49).to_dict())
    assert shape_from_config({"model_type": "gemma3_text"}) == shape_from_config(Gemma3TextConfig().to_dict())


def test_a_text_only_model_has_no_picture_tokens() -> None:
    shape = shape_from_config({"model_type": "gemma3_text", "eos_token_id": 7, "bos_token_id": 3})
    assert shape.vision is None
    assert (shape.image_tokens, shape.image_token, shape.begin_image_token) == (0, NO_TOKEN, NO_TOKEN)
    assert (shape.begin_token, shape.end_tokens) == (3, (7,))


@pytest.mark.parametrize("layers", [1, 5, 7])
def test_the_pattern_makes_the_layers_that_transformers_makes(layers: int) -> None:
    document = changed("text_config", num_hidden_layers=layers, sliding_window_pattern=3)
    kinds = Gemma3Config(**document).text_config.layer_types
    assert shape_from_config(document).text.sliding == tuple(kind == "sliding_attention" for kind in kinds)


@pytest.mark.parametrize(
    "text",
    [
        {"rope_theta": 5e5, "rope_local_base_freq": 2e4, "rope_scaling": None},
        {"rope_theta": 5e5, "rope_scaling": {"type": "linear", "factor": 4}},
        {"rope_parameters": {"full_attention": {"rope_type": "linear", "rope_theta": 3e5, "factor": 2.0}}},
        {"rope_parameters": {"sliding_attention": {"rope_type": "linear", "rope_theta": 77.0, "factor": 3.0}}},
        {"rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 9e5}}, "rope_theta": 1.0},
    ],
)
def test_rotary_keys_of_all_ages_are_read_as_transformers_reads_them(text: dict[str, Any]) -> None:
    document = changed("text_config", **{"rope_scaling": None, **text})
    found = shape_from_config(document).text
    there = Gemma3Config(**document).text_config.rope_parameters
    for rotary, kind in ((found.rotary, "full_attention"), (found.sliding_rotary, "sliding_attention")):
        assert rotary == Rotary(float(there[kind]["rope_theta"]), float(there[kind].get("factor", 1.0)))


@pytest.mark.parametrize(
    ("part", "values", "named"),
    [
        (None, {"model_type": "paligemma"}, "model_type paligemma"),
        (None, {"model_type": "gemma2"}, "model_type gemma2"),
        (None, {"architectures": ["Gemma3ForSequenceClassification"]}, "Gemma3ForSequenceClassification"),
        (None, {"quantization_config": {"bits": 4}}, "quantization_config"),
        (None, {"mm_tokens_per_image": 200}, "mm_tokens_per_image"),
        (None, {"mm_tokens_per_image": 9}, "mm_tokens_per_image"),
        (None, {"image_token_index": -1}, "image_token_index"),
        (None, {"tie_word_embeddings": "yes"}, "tie_word_embeddings"),
        (None, {"eos_token_id": []}, "eos_token_id"),
        ("text_config", {"attn_logit_softcapping": 50.0}, "attn_logit_softcapping"),
        ("text_config", {"final_logit_softcapping": 30.0}, "final_logit_softcapping"),
        ("text_config", {"attention_bias": True}, "attention_bias"),
        ("text_config", {"use_bidirectional_attention": True}, "use_bidirectional_attention"),
        ("text_config", {"hidden_activation": "silu"}, "hidden_activation"),
        ("text_config", {"model_type": "gemma2"}, "model_type"),
        ("text_config", {"num_key_value_heads": 3}, "3 heads"),
        ("text_config", {"head_dim": 33}, "head_dim"),
        ("text_config", {"hidden_size": 0}, "hidden_size"),
        ("text_config", {"num_hidden_layers": True}, "num_hidden_layers"),
        ("text_config", {"layer_types": ["full_attention"]}, "layer_types"),
        ("text_config", {"layer_types": ["chunked_attention"] * 34}, "layer_types"),
        ("text_config", {"rope_scaling": {"rope_type": "yarn", "factor": 2.0}}, "yarn"),
        ("text_config", {"rope_scaling": {"rope_type": "linear"}}, "factor"),
        ("text_config", {"rope_scaling": {"rope_type": "linear", "factor": 2.0, "beta_fast": 1}}, "beta_fast"),
        ("text_config", {"rope_parameters": {"rope_type": "default"}}, "rope_type"),
        ("vision_config", {"model_type": "clip_vision_model"}, "clip_vision_model"),
        ("vision_config", {"hidden_act": "gelu"}, "hidden_act"),
        ("vision_config", {"image_size": [896, 448]}, "image_size"),
        ("vision_config", {"image_size": 890}, "890"),
        ("vision_config", {"num_channels": 1}, "num_channels"),
    ],
)
def test_what_the_graphs_do_not_compute_is_refused_by_name(
    part: str | None, values: dict[str, Any], named: str
) -> None:
    with pytest.raises(ConfigError, match=r"expected|without") as refused:
        shape_from_config(changed(part, **values))
    assert named in str(refused.value)


def test_an_untied_head_is_read() -> None:
    shape: GemmaShape = shape_from_config(changed(None, tie_word_embeddings=False))
    assert not shape.tied
