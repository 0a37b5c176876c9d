"""Adapters' folders: every layout is recognised, every tensor is used, and what is not known stops."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from cathrt.export.models.report.weights import open_base, open_merged
from cathrt.runtime.errors import ConfigError
from tests.export.models.report.tiny_adapter import (
    LANGUAGE,
    PROJECTOR,
    VISION,
    adapter_tensors,
    change_adapter,
    in_old_layout,
    trained,
)
from tests.export.models.report.tiny_gemma import LAYOUTS, Layout, save_checkpoint, tiny_text, tiny_vlm

Q_PROJ = "base_model.model.model.language_model.layers.0.self_attn.q_proj"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tiny_vlm(), tmp_path_factory.mktemp("base"))


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    trained(tiny_vlm(), tmp_path / "adapter", target_modules=["q_proj"])
    return tmp_path / "adapter"


def refusal(base: Path, adapter: Path) -> str:
    with pytest.raises(ConfigError) as refused:
        open_merged(open_base(base), adapter)
    return str(refused.value)


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter with every kind of tensor."""
    folder = tmp_path_factory.mktemp("wide")
    trained(
        tiny_vlm(),
        folder,
        target_modules=[*LANGUAGE, *VISION, "lm_head"],
        target_parameters=[PROJECTOR],
        modules_to_save=["embed_tokens", "post_layernorm"],
    )
    return folder


@pytest.fixture(scope="module")
def expected(base: Path, wide: Path) -> dict[str, NDArray[np.float32]]:
    weights = open_merged(open_base(base), wide).weights
    return {name: weights.tensor(name) for name in weights.names}


@pytest.mark.parametrize("base_layout", LAYOUTS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_adapter_of_any_layout_fits_a_base_of_any(
    tmp_path: Path, wide: Path, expected: dict[str, NDArray[np.float32]], base_layout: Layout, layout: Layout
) -> None:
    folder = save_checkpoint(tiny_vlm(), tmp_path / "base", layout=base_layout)
    adapter = Path(shutil.copytree(wide, tmp_path / "adapter"))
    change_adapter(adapter, rename=lambda name: in_old_layout(name, layout))
    merged = open_merged(open_base(folder), adapter)
    assert set(merged.weights.names) == set(expected)
    for name, value in expected.items():
        np.testing.assert_array_equal(merged.weights.tensor(name), value)
    assert merged.report().tensors == len(adapter_tensors(adapter))
    # of 4 layers of the decoder 7 each; of 2 of the tower 6 each; post_layernorm's two, embedding, head, projector
    assert len(merged.weights.changed) == 7 * 4 + 6 * 2 + 5


def test_patterns_match_the_path_in_the_model_that_was_trained(base: Path, adapter: Path) -> None:
    names = [f"language_model.layers.{layer}.self_attn.q_proj.weight" for layer in (0, 1)]
    plain = {name: open_merged(open_base(base), adapter).weights.tensor(name) for name in names}
    change_adapter(adapter, rename=lambda name: in_old_layout(name, "before_4.52"))
    pattern = "language_model.model.layers.0.self_attn.q_proj"
    change_adapter(adapter, settings={"alpha_pattern": {pattern: 16}})
    merged = open_merged(open_base(base), adapter).weights
    stored = open_base(base)
    for name, factor in zip(names, (2.0, 1.0), strict=True):
        before = stored.tensor(name)
        np.testing.assert_allclose(merged.tensor(name) - before, factor * (plain[name] - before), atol=1e-6)


def test_an_adapter_of_the_text_only_model_fits_the_whole_one(base: Path, tmp_path: Path) -> None:
    trained(tiny_text(), tmp_path, target_modules=["q_proj"])
    merged = open_merged(open_base(base), tmp_path)
    assert len(merged.weights.changed) == 4


def test_an_adapter_for_pictures_does_not_fit_a_text_only_base(tmp_path: Path) -> None:
    folder = save_checkpoint(tiny_text(), tmp_path / "base")
    trained(tiny_vlm(), tmp_path / "adapter", target_modules=["fc1"])
    assert "change no weight of this model" in refusal(folder, tmp_path / "adapter")


@pytest.mark.parametrize(
    "name",
    [
        "base_model.model.model.language_model.layers.4.self_attn.q_proj.lora_A.weight",
        "base_model.model.model.language_model.layers.0.self_attn.q_proj.lora_C.weight",
        "base_model.model.model.language_model.layers.0.self_attn.q_proj.lora_A.default.weight",
        "base_model.model.transformer.h.0.attn.lora_A.weight",
        "model.language_model.layers.0.mlp.up_proj.lora_A.weight",
        "base_model.model.language_model.model.layers.0.self_attn.q_proj.lora_A.weight",
    ],
)
def test_a_tensor_that_would_not_be_used_stops(base: Path, adapter: Path, name: str) -> None:
    change_adapter(adapter, add={name: torch.ones(4, 64)})
    message = refusal(base, adapter)
    assert "1 of the adapter's 13 tensors" in message
    assert name in message


def test_an_adapter_of_another_model_is_refused_with_the_list(base: Path, adapter: Path) -> None:
    change_adapter(adapter, rename=lambda name: name.replace("language_model", "text_model"))
    message = refusal(base, adapter)
    assert "8 of the adapter's 12 tensors" in message
    assert "text_model.layers.0" in message


@pytest.mark.parametrize(
    ("drop", "add", "expected"),
    [
        ([f"{Q_PROJ}.lora_B.weight"], {}, "holds lora_A, expected lora_A, lora_B"),
        ([], {f"{Q_PROJ}.lora_magnitude_vector": torch.ones(128)}, "holds lora_A, lora_B, lora_magnitude_vector"),
        ([], {f"{Q_PROJ}.lora_A.weight": torch.ones(3, 64)}, "found (3, 64), expected (4, 64)"),
        ([], {f"{Q_PROJ}.lora_B.weight": torch.ones(64, 4)}, "found (64, 4), expected (128, 4)"),
        ([], {f"{Q_PROJ}.lora_A.weight": torch.ones(4, 64, dtype=torch.int8)}, "found I8"),
        (
            [],
            {"base_model.model.model.language_model.norm.weight": torch.ones(64)},
            "modules_to_save does not name it",
        ),
    ],
)
def test_tensors_that_do_not_fit_are_listed(
    base: Path, adapter: Path, drop: list[str], add: dict[str, torch.Tensor], expected: str
) -> None:
    change_adapter(adapter, drop=drop, add=add)
    assert expected in refusal(base, adapter)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"peft_type": "IA3"}, "peft_type"),
        ({"bias": "all"}, "bias"),
        ({"fan_in_fan_out": True}, "fan_in_fan_out"),
        ({"use_dora": True}, "lora_magnitude_vector"),
        ({"r": 8}, "expected (8, 64)"),
        ({"r": 0}, "r: found 0"),
        ({"rank_pattern": {"q_proj": 2}}, "expected (2, 64)"),
        ({"rank_pattern": {"q_proj": "x"}}, "q_proj"),
        ({"alpha_pattern": {"(": 2}}, "pattern ("),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save names lm_head"),
        ({"init_lora_weights": "pissa"}, "path_initial_model_for_weight_conversion"),
        ({"init_lora_weights": "olora"}, "path_initial_model_for_weight_conversion"),
        ({"lora_bias": True}, "lora_bias"),
        ({"layer_replication": [[0, 4], [2, 4]]}, "layer_replication"),
        ({"trainable_token_indices": [1, 2]}, "trainable_token_indices"),
        ({"use_a_method_of_next_year": {"x": 1}}, "use_a_method_of_next_year"),
        ({"target_parameters": 3}, "target_parameters"),
    ],
)
def test_settings_that_would_give_another_network_are_refused_by_name(
    base: Path, adapter: Path, settings: dict[str, Any], expected: str
) -> None:
    change_adapter(adapter, settings=settings)
    assert expected in refusal(base, adapter)


def test_a_head_that_should_follow_but_changed_alone_is_refused(base: Path, tmp_path: Path) -> None:
    trained(tiny_vlm(), tmp_path, target_modules=["lm_head"])
    change_adapter(tmp_path, settings={"ensure_weight_tying": True})
    assert "ensure_weight_tying" in refusal(base, tmp_path)


def test_folders_without_safetensors_say_what_to_do(base: Path, adapter: Path) -> None:
    assert "no such folder" in refusal(base, adapter / "absent")
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    assert "run code" in refusal(base, adapter)
    (adapter / "adapter_model.bin").unlink()
    assert "no such file" in refusal(base, adapter)
    (adapter / "adapter_config.json").unlink()
    assert "adapter_config.json" in refusal(base, adapter)


def test_an_empty_adapter_is_refused(base: Path, adapter: Path) -> None:
    save_file({}, adapter / "adapter_model.safetensors")
    assert "holds no tensor" in refusal(base, adapter)


def test_an_adapter_that_is_not_finite_is_refused(base: Path, adapter: Path) -> None:
    change_adapter(adapter, add={f"{Q_PROJ}.lora_A.weight": torch.full((4, 64), float("inf"))})
    merged = open_merged(open_base(base), adapter)
    with pytest.raises(ConfigError, match="NaN or infinite"):
        merged.report()


def test_dora_on_a_row_of_zeros_is_refused(tmp_path: Path) -> None:
    model = tiny_vlm()
    name = "language_model.layers.0.self_attn.q_proj.weight"
    trained(tiny_vlm(), tmp_path / "adapter", target_modules=["q_proj"], use_dora=True)
    tensors = adapter_tensors(tmp_path / "adapter")
    left = tensors[f"{Q_PROJ}.lora_B.weight"].clone()
    with torch.no_grad():
        model.state_dict()["model." + name][0] = 0
        left[0] = 0
    change_adapter(tmp_path / "adapter", add={f"{Q_PROJ}.lora_B.weight": left})
    weights = open_merged(open_base(save_checkpoint(model, tmp_path / "base")), tmp_path / "adapter").weights
    with pytest.raises(ConfigError, match="not finite"):
        weights.tensor(name)


def test_settings_that_only_say_how_it_was_trained_are_taken(base: Path, adapter: Path) -> None:
    config = json.loads((adapter / "adapter_config.json").read_text())
    change_adapter(adapter, settings={"lora_dropout": 0.1, "init_lora_weights": "gaussian", "task_type": "CAUSAL_LM"})
    assert config["peft_type"] == "LORA"
    assert open_merged(open_base(base), adapter).report().tensors == 12
