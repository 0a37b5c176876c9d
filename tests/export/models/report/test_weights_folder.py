"""Folders of a checkpoint: the same weights in every layout, and refusals that list what does not fit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from cathrt.export.models.report.weights import open_base, shape_from_config, weight_shapes
from cathrt.runtime.errors import ConfigError
from tests.export.models.report.tiny_gemma import (
    LAYOUTS,
    Layout,
    Tiny,
    in_layout,
    save_checkpoint,
    stored_state,
    tiny_text,
    tiny_vlm,
)

INDEX = "model.safetensors.index.json"


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("tied", [True, False])
def test_every_layout_gives_the_same_weights(tmp_path: Path, layout: Layout, shards: int, tied: bool) -> None:
    model = tiny_vlm(Tiny(tied=tied))
    weights = open_base(save_checkpoint(model, tmp_path, layout=layout, shards=shards, old_config=shards == 3))
    state = {name.removeprefix("model."): value.numpy() for name, value in stored_state(model).items()}
    assert set(weights.names) == set(state)
    assert weights.shape.tied is tied
    assert weights.notes == ()
    for name in weights.names:
        found = weights.tensor(name)
        assert found.dtype == np.float32
        assert found.flags.c_contiguous
        np.testing.assert_array_equal(found, state[name])


@pytest.mark.parametrize("old_config", [False, True])
def test_a_text_only_model_has_the_decoders_names(tmp_path: Path, old_config: bool) -> None:
    model = tiny_text(Tiny(kv_heads=1))
    weights = open_base(save_checkpoint(model, tmp_path, old_config=old_config))
    for name in weights.names:
        theirs = name.replace("language_model.", "model.", 1)
        np.testing.assert_array_equal(weights.tensor(name), model.state_dict()[theirs].numpy())
    assert weights.shape.text.kv_heads == 1


@pytest.mark.parametrize("size", ["300KB", "5GB"])
@pytest.mark.parametrize("tied", [True, False])
def test_what_transformers_saves_itself_is_read(tmp_path: Path, size: str, tied: bool) -> None:
    model = tiny_vlm(Tiny(tied=tied))
    model.save_pretrained(tmp_path, max_shard_size=size)
    assert (tmp_path / INDEX).exists() is (size == "300KB")
    weights = open_base(tmp_path)
    for name in weights.names:
        theirs = name if name.startswith("lm_head") else f"model.{name}"
        np.testing.assert_array_equal(weights.tensor(name), model.state_dict()[theirs].numpy())


def test_the_names_and_shapes_are_those_of_transformers() -> None:
    model = tiny_vlm(Tiny(tied=False))
    there = {name.removeprefix("model."): tuple(value.shape) for name, value in model.state_dict().items()}
    assert weight_shapes(shape_from_config(model.config.to_dict())) == there


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_floats_are_widened_exactly(tmp_path: Path, dtype: torch.dtype) -> None:
    model = tiny_vlm()
    weights = open_base(save_checkpoint(model, tmp_path, dtype=dtype))
    name = "language_model.layers.0.mlp.up_proj.weight"
    expected = model.state_dict()["model." + name].to(dtype).to(torch.float32).numpy()
    np.testing.assert_array_equal(weights.tensor(name), expected)


def test_a_tensor_is_new_memory_each_time(tmp_path: Path) -> None:
    weights = open_base(save_checkpoint(tiny_vlm(), tmp_path))
    first = weights.tensor("language_model.norm.weight")
    first[:] = 7
    assert not (weights.tensor("language_model.norm.weight") == 7).any()


def test_the_pooling_head_is_left_out_and_noted(tmp_path: Path) -> None:
    name = in_layout("model.vision_tower.head.probe", "before_4.52")
    folder = save_checkpoint(tiny_vlm(), tmp_path, layout="before_4.52", extra={name: torch.ones(1, 1, 48)})
    weights = open_base(folder)
    assert not any("head.probe" in one for one in weights.names)
    assert weights.notes == ("left out: 1 tensors of SigLIP's pooling head, which Gemma3 does not use",)


def test_a_tied_head_that_is_stored_too_is_read_once(tmp_path: Path) -> None:
    model = tiny_vlm()
    head = model.state_dict()["lm_head.weight"].clone()
    weights = open_base(save_checkpoint(model, tmp_path, extra={"lm_head.weight": head}))
    assert "lm_head.weight" not in weights.names
    assert len(weights.notes) == 1


def test_a_tied_head_with_values_of_its_own_is_refused(tmp_path: Path) -> None:
    folder = save_checkpoint(tiny_vlm(), tmp_path, extra={"lm_head.weight": torch.ones(320, 64)})
    with pytest.raises(ConfigError, match="tie_word_embeddings"):
        open_base(folder)


def test_missing_unknown_double_and_misshapen_tensors_are_all_listed(tmp_path: Path) -> None:
    folder = save_checkpoint(tiny_vlm(), tmp_path)
    file = folder / "model.safetensors"
    tensors = load_file(file)
    del tensors["model.language_model.norm.weight"]
    tensors["model.language_model.layers.9.mlp.up_proj.weight"] = torch.ones(2)
    tensors["surprise"] = torch.ones(2)
    tensors["language_model.model.layers.0.mlp.up_proj.weight"] = torch.ones(192, 64)
    tensors["model.multi_modal_projector.mm_soft_emb_norm.weight"] = torch.ones(49)
    tensors["model.vision_tower.post_layernorm.bias"] = torch.ones(48, dtype=torch.int8)
    save_file(tensors, file)
    with pytest.raises(ConfigError) as refused:
        open_base(folder)
    text = str(refused.value)
    assert "6 differences" in text
    for name in ("language_model.norm.weight: missing", "layers.9", "surprise", "the same weight", "(49,)", "I8"):
        assert name in text


def test_values_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    model = tiny_vlm()
    with torch.no_grad():
        model.model.language_model.norm.weight[3] = float("nan")
    weights = open_base(save_checkpoint(model, tmp_path))
    with pytest.raises(ConfigError, match="NaN"):
        weights.tensor("language_model.norm.weight")


def test_an_unknown_name_is_refused(tmp_path: Path) -> None:
    weights = open_base(save_checkpoint(tiny_vlm(), tmp_path))
    with pytest.raises(ConfigError, match="no weight of this model"):
        weights.tensor("lm_head.weight")


@pytest.mark.parametrize("file", ["../model-00001-of-00002.safetensors", "/etc/hostname", "a/b.safetensors", "x.bin"])
def test_an_index_that_leaves_its_folder_is_refused(tmp_path: Path, file: str) -> None:
    folder = save_checkpoint(tiny_vlm(), tmp_path, shards=2)
    index = json.loads((folder / INDEX).read_text())
    index["weight_map"]["lm_head.weight"] = file
    (folder / INDEX).write_text(json.dumps(index))
    with pytest.raises(ConfigError, match="outside its folder"):
        open_base(folder)


def test_an_index_that_does_not_fit_its_files_is_refused(tmp_path: Path) -> None:
    folder = save_checkpoint(tiny_vlm(), tmp_path, shards=2)
    index = json.loads((folder / INDEX).read_text())
    places = index["weight_map"]
    name = "model.language_model.norm.weight"
    places[name] = next(file for file in places.values() if file != places[name])
    (folder / INDEX).write_text(json.dumps(index))
    with pytest.raises(ConfigError, match=r"norm\.weight is not in .*norm\.weight in .* is not in the index"):
        open_base(folder)


def test_a_part_that_is_not_there_is_named(tmp_path: Path) -> None:
    folder = save_checkpoint(tiny_vlm(), tmp_path, shards=2)
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(ConfigError, match=r"not there: model-00002-of-00002\.safetensors"):
        open_base(folder)


@pytest.mark.parametrize(
    ("present", "expected"),
    [
        ("pytorch_model.bin", "run code"),
        ("model.gguf", "llama.cpp"),
        ("model-00001-of-00002.safetensors", "without model.safetensors.index.json"),
        ("notes.txt", "neither"),
    ],
)
def test_a_folder_without_safetensors_says_what_to_do(tmp_path: Path, present: str, expected: str) -> None:
    folder = save_checkpoint(tiny_vlm(), tmp_path)
    (folder / "model.safetensors").rename(folder / present)
    with pytest.raises(ConfigError, match=expected):
        open_base(folder)


def test_a_folder_with_one_file_and_an_index_is_refused(tmp_path: Path) -> None:
    folder = save_checkpoint(tiny_vlm(), tmp_path, shards=2)
    save_checkpoint(tiny_vlm(), folder)
    with pytest.raises(ConfigError, match="holds both"):
        open_base(folder)


def test_a_folder_of_an_adapter_or_none_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        open_base(tmp_path / "absent")
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ConfigError, match="--lora"):
        open_base(tmp_path)


@pytest.mark.parametrize("text", ["", "[1]", "{", "\xff"])
def test_a_config_that_is_no_json_object_is_refused(tmp_path: Path, text: str) -> None:
    folder = save_checkpoint(tiny_vlm(), tmp_path)
    (folder / "config.json").write_text(text, encoding="latin-1")
    with pytest.raises(ConfigError, match=r"config\.json"):
        open_base(folder)


def test_a_broken_safetensors_file_is_refused(tmp_path: Path) -> None:
    folder = save_checkpoint(tiny_vlm(), tmp_path)
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-8])
    with pytest.raises(ConfigError, match="not a safetensors file"):
        open_base(folder)


def test_a_file_that_changes_while_it_is_in_use_is_refused(tmp_path: Path) -> None:
    folder = save_checkpoint(tiny_vlm(), tmp_path)
    weights = open_base(folder)
    save_checkpoint(tiny_vlm(seed=1), folder)
    with pytest.raises(ConfigError, match="changed while"):
        weights.tensor("language_model.norm.weight")


def test_end_tokens_of_the_generation_settings_end_an_answer_too(tmp_path: Path) -> None:
    folder = save_checkpoint(tiny_vlm(), tmp_path)
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [1, 9]}))
    assert open_base(folder).shape.end_tokens == (1, 7, 9)


def test_the_identity_is_of_all_that_was_read(tmp_path: Path) -> None:
    one = save_checkpoint(tiny_vlm(), tmp_path / "one", shards=2)
    shutil.copytree(one, tmp_path / "copy")
    other = save_checkpoint(tiny_vlm(seed=1), tmp_path / "other", shards=2)
    shutil.copytree(one, tmp_path / "settings")
    (tmp_path / "settings" / "generation_config.json").write_text(json.dumps({"eos_token_id": 1}))
    first = open_base(one).identity()
    assert open_base(tmp_path / "copy").identity() == first
    assert len({first, open_base(other).identity(), open_base(tmp_path / "settings").identity()}) == 3
