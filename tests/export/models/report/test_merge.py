"""Base and adapter merged: the same weights and logits as PEFT's model, for every way of training that is taken."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import Gemma3ForConditionalGeneration

from cathrt.export.models.report.weights import Merged, open_base, open_merged
from tests.export.models.report.tiny_adapter import LANGUAGE, PROJECTOR, VISION, trained
from tests.export.models.report.tiny_gemma import (
    Tiny,
    pixels,
    prompt_tokens,
    reference_logits,
    save_checkpoint,
    tiny_text,
    tiny_vlm,
)

EMBEDDING, HEAD = "language_model.embed_tokens.weight", "lm_head.weight"
# Logits are about 0.1 to 2; two ways of adding up float32 differ by this.
LOGITS_TOLERANCE = 2e-5
WEIGHT_TOLERANCE = 1e-6

ALL_LINEAR = [*LANGUAGE, *VISION]
UNTIED_OR_WHOLE: dict[str, dict[str, Any]] = {
    "lora": {"target_modules": ALL_LINEAR},
    "patterns": {
        "target_modules": ALL_LINEAR,
        "rank_pattern": {"fc1": 2, r"layers\.0\.self_attn\.q_proj": 3, "language_model.layers.1.mlp.up_proj": 5},
        "alpha_pattern": {"fc2": 5, "language_model.*q_proj": 3},
    },
    "rslora": {"target_modules": ALL_LINEAR, "use_rslora": True, "rank_pattern": {"v_proj": 9}},
    "dora": {"target_modules": ALL_LINEAR, "use_dora": True},
    "rsdora": {"target_modules": ["q_proj", "fc2"], "use_dora": True, "use_rslora": True},
    "projector": {"target_modules": ["q_proj"], "target_parameters": [PROJECTOR]},
    "projector_pattern": {
        "target_modules": ["q_proj"],
        "target_parameters": [PROJECTOR],
        "rank_pattern": {PROJECTOR: 2, "multi_modal_projector": 7},
        "alpha_pattern": {"mm_input_projection_weight": 3},
    },
    "parameters": {"target_modules": [], "target_parameters": ["q_proj.weight", "position_embedding.weight"]},
    "projector_whole": {"target_modules": ["q_proj"], "modules_to_save": ["multi_modal_projector"]},
    "norms_whole": {"target_modules": ["q_proj"], "modules_to_save": ["input_layernorm", "layer_norm2"]},
    "patches": {"target_modules": ["patch_embedding", "position_embedding"]},
    "patches_dora": {"target_modules": ["patch_embedding"], "use_dora": True},
    "pattern_of_modules": {"target_modules": r".*(language_model|vision_tower).*\.(q_proj|fc1)"},
    "layers": {"target_modules": ["q_proj"], "layers_to_transform": [1]},
}
# Both the embedding and the output layer of a tied model, or one of them: (settings, tied afterwards).
TYING: dict[str, tuple[dict[str, Any], bool]] = {
    "embedding": ({"target_modules": ["embed_tokens", "q_proj"]}, False),
    "head": ({"target_modules": ["lm_head", "q_proj"]}, False),
    "both": ({"target_modules": ["lm_head", "embed_tokens"]}, False),
    "dora": ({"target_modules": ["lm_head", "embed_tokens"], "use_dora": True}, False),
    "embedding_whole": ({"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens"]}, False),
    "head_whole": ({"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]}, False),
    "both_whole": ({"target_modules": ["q_proj"], "modules_to_save": ["lm_head", "embed_tokens"]}, False),
    "kept_tied": ({"target_modules": ["embed_tokens", "q_proj"], "ensure_weight_tying": True}, True),
    "kept_tied_whole": (
        {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens"], "ensure_weight_tying": True},
        True,
    ),
}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tiny_vlm(), tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def base_logits() -> NDArray[np.float32]:
    return logits(tiny_vlm())


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="peft")  # of tied weights, each time it merges
        yield


def logits(model: Any) -> NDArray[np.float32]:
    plain = tiny_vlm()
    return reference_logits(model, prompt_tokens(plain), pixels(plain))


def adapted_logits(adapted: Any) -> NDArray[np.float32]:
    plain = tiny_vlm()
    ids, pictures = prompt_tokens(plain), pixels(plain)
    feeds = {"input_ids": torch.from_numpy(ids), "pixel_values": torch.from_numpy(pictures)}
    feeds["token_type_ids"] = (feeds["input_ids"] == plain.config.image_token_id).long()
    with torch.no_grad():
        found: NDArray[np.float32] = adapted(**feeds, use_cache=False).logits[0].numpy()
    return found


def loaded(merged: Merged) -> Gemma3ForConditionalGeneration:
    """Transformers' model with our weights."""
    weights = merged.weights
    model = tiny_vlm(Tiny(tied=weights.shape.tied), seed=77)
    state = {
        (name if name == HEAD else "model." + name): torch.from_numpy(weights.tensor(name)) for name in weights.names
    }
    if weights.shape.tied:
        state[HEAD] = state["model." + EMBEDDING]
    model.load_state_dict(state)
    return model


@pytest.mark.parametrize("kind", UNTIED_OR_WHOLE)
def test_weights_and_logits_are_those_of_peft(
    base: Path, base_logits: NDArray[np.float32], tmp_path: Path, kind: str
) -> None:
    adapted = trained(tiny_vlm(), tmp_path, **UNTIED_OR_WHOLE[kind])
    merged = open_merged(open_base(base), tmp_path)
    ours, theirs = logits(loaded(merged)), adapted_logits(adapted)
    assert np.abs(theirs - base_logits).max() > 0.01  # the adapter matters, or the test shows nothing
    np.testing.assert_allclose(ours, theirs, atol=LOGITS_TOLERANCE)
    by_peft = adapted.merge_and_unload().state_dict()
    for name in merged.weights.names:
        there = by_peft["model." + name].numpy()
        np.testing.assert_allclose(merged.weights.tensor(name), there, atol=WEIGHT_TOLERANCE, err_msg=name)


@pytest.mark.parametrize("kind", TYING)
def test_a_tied_head_is_untied_where_peft_computes_so(base: Path, tmp_path: Path, kind: str) -> None:
    settings, tied = TYING[kind]
    adapted = trained(tiny_vlm(), tmp_path, **settings)
    theirs = adapted_logits(adapted)
    merged = open_merged(open_base(base), tmp_path)
    assert merged.weights.shape.tied is tied
    assert (HEAD in merged.weights.names) is not tied
    np.testing.assert_allclose(logits(loaded(merged)), theirs, atol=LOGITS_TOLERANCE)
    report = merged.report()
    assert report.untied is not tied
    assert any("tied" in note for note in report.notes)


def test_an_adapter_on_an_untied_base_changes_what_it_names_alone(tmp_path: Path) -> None:
    tiny = Tiny(tied=False)
    folder = save_checkpoint(tiny_vlm(tiny), tmp_path / "base")
    adapted = trained(tiny_vlm(tiny), tmp_path / "adapter", target_modules=["embed_tokens", "q_proj"])
    merged = open_merged(open_base(folder), tmp_path / "adapter")
    np.testing.assert_allclose(logits(loaded(merged)), adapted_logits(adapted), atol=LOGITS_TOLERANCE)
    np.testing.assert_array_equal(merged.weights.tensor(HEAD), open_base(folder).tensor(HEAD))
    assert not merged.report().untied


def test_a_text_only_model_is_merged(tmp_path: Path) -> None:
    folder = save_checkpoint(tiny_text(), tmp_path / "base")
    adapted = trained(tiny_text(), tmp_path / "adapter", target_modules=list(LANGUAGE))
    weights = open_merged(open_base(folder), tmp_path / "adapter").weights
    by_peft = adapted.merge_and_unload().state_dict()
    for name in weights.names:
        there = by_peft[name.replace("language_model.", "model.", 1)].numpy()
        np.testing.assert_allclose(weights.tensor(name), there, atol=WEIGHT_TOLERANCE)


def test_a_half_float_base_is_merged_in_float32(tmp_path: Path) -> None:
    folder = save_checkpoint(tiny_vlm(), tmp_path / "base", dtype=torch.bfloat16)
    trained(tiny_vlm(), tmp_path / "adapter", target_modules=["q_proj"])
    stored, merged = open_base(folder), open_merged(open_base(folder), tmp_path / "adapter").weights
    name = "language_model.layers.0.self_attn.q_proj.weight"
    change = merged.tensor(name) - stored.tensor(name)
    assert np.linalg.matrix_rank(change, tol=1e-4) == 4  # rounding to bfloat16 would have made it full rank


def test_the_report_has_the_norms_of_each_module(base: Path, tmp_path: Path) -> None:
    trained(tiny_vlm(), tmp_path, target_modules=["q_proj"], target_parameters=[PROJECTOR], rank_pattern={"q_proj": 2})
    merged = open_merged(open_base(base), tmp_path)
    report = merged.report()
    stored = open_base(base)
    by_name = {module.name: module for module in report.modules}
    assert set(by_name) == {name for name in stored.names if "q_proj.weight" in name or name == PROJECTOR}
    for name, module in by_name.items():
        before, after = stored.tensor(name).astype(np.float64), merged.weights.tensor(name).astype(np.float64)
        assert module.extent.weight_norm == pytest.approx(np.linalg.norm(before), rel=1e-5)
        assert module.extent.change_norm == pytest.approx(np.linalg.norm(after - before), rel=1e-5)
        assert module.ratio == pytest.approx(module.extent.change_norm / module.extent.weight_norm)
        rank = 4 if name == PROJECTOR else 2
        assert (module.kind, module.rank, module.scale) == ("lora", rank, 8 / rank)
    assert report.tensors == 2 * len(by_name)
    assert 0 < report.probe_error < 1e-5
    text = "\n".join(report.lines())
    assert f"all {report.tensors} tensors used, {len(by_name)} weights changed" in text
    assert PROJECTOR in text
    record = report.record()
    assert len(record["modules"]) == len(by_name)
    assert record["adapter_sha256"] == merged.adapter.identity()


def test_an_adapter_that_was_not_trained_is_noted(base: Path, tmp_path: Path) -> None:
    adapted = trained(tiny_vlm(), tmp_path, target_modules=["q_proj"])
    with torch.no_grad():
        for name, value in adapted.named_parameters():
            if "lora_B" in name:
                value.zero_()
    adapted.save_pretrained(tmp_path)
    report = open_merged(open_base(base), tmp_path).report()
    assert any("change of zero" in note for note in report.notes)


def test_a_projector_among_target_modules_is_noted_since_peft_ignores_it(base: Path, tmp_path: Path) -> None:
    trained(tiny_vlm(), tmp_path, target_modules=["q_proj", "mm_input_projection_weight"])
    merged = open_merged(open_base(base), tmp_path)
    assert any("target_modules names mm_input_projection_weight" in note for note in merged.report().notes)
    assert PROJECTOR not in merged.weights.changed


def test_the_identity_changes_with_the_adapter(base: Path, tmp_path: Path) -> None:
    trained(tiny_vlm(), tmp_path / "one", target_modules=["q_proj"])
    trained(tiny_vlm(), tmp_path / "other", seed=6, target_modules=["q_proj"])
    one, other = (open_merged(open_base(base), tmp_path / name).weights.identity() for name in ("one", "other"))
    assert len({one, other, open_base(base).identity()}) == 3
    assert open_merged(open_base(base), tmp_path / "one").weights.identity() == one
