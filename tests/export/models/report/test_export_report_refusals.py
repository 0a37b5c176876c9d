"""What cannot become a report bundle is refused by name, before anything is built where that can be seen.

Not for: what becomes one (test_export_report.py).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cathrt.export.model_kind import OwnRequest
from cathrt.export.models.report.asked import Asked, block_from, prefill_sizes, sizes_from
from cathrt.export.models.report.comparison import Comparison, ComparisonSoFar
from cathrt.export.models.report.gate import GATES, POSITIONS, failures_of, for_untrained
from cathrt.export.models.report.recipe import export_report
from cathrt.export.models.report.worth import worth_from
from cathrt.export.qualify.exported import AnyTarget
from cathrt.runtime.bundle.manifest import BETTER, NO_BETTER, TOO_FEW
from cathrt.runtime.config import Config, EngineConfig
from cathrt.runtime.errors import CathrtError, ConfigError, EngineError
from tests.export.models.report import tiny_adapter, tiny_gemma
from tests.export.models.report.tiny_checkpoint import TINY, tiny_folder


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("stored") / "base")


@pytest.fixture
def base(stored: Path, tmp_path: Path) -> Path:
    """A folder whose settings may be changed."""
    folder = tmp_path / "base"
    folder.mkdir()
    for path in stored.iterdir():
        if path.suffix == ".safetensors":
            (folder / path.name).symlink_to(path)
        else:
            (folder / path.name).write_bytes(path.read_bytes())
    return folder


def export(asked: Asked, out: Path, *targets: AnyTarget, stages: list[str] | None = None, **limits: float) -> None:
    told = [] if stages is None else stages
    request = OwnRequest(
        Config(engine=EngineConfig(threads=1)), targets or ("onnxruntime",), out, (), limits, None, False,
        lambda stage, how: told.append(stage),
    )  # fmt: skip
    export_report(request, asked)


def asked(base: Path, **changes: Any) -> Asked:
    return replace(Asked(base=base, precision="float32", context=768, answer=160), **changes)


def refused(base: Path, out: Path, says: str, error: type[CathrtError] = ConfigError, **changes: Any) -> None:
    """Before a stage is done."""
    stages: list[str] = []
    with pytest.raises(error, match=says):
        export(asked(base, **changes), out, stages=stages)
    assert stages == []


def change_json(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    change(document)
    path.write_text(json.dumps(document), encoding="utf-8")


def test_an_adapter_tensor_that_nothing_uses(base: Path, tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    tiny_adapter.trained(tiny_gemma.tiny_vlm(TINY), adapter, target_modules=["q_proj"])
    spare = "base_model.model.model.language_model.layers.9.self_attn.q_proj.lora_A.weight"
    tiny_adapter.change_adapter(adapter, add={spare: torch.zeros(4, 64)})
    refused(base, tmp_path / "out", r"layers\.9\.self_attn\.q_proj", lora=adapter)


def test_a_tokenizer_with_other_special_tokens(base: Path, tmp_path: Path) -> None:
    change_json(base / "tokenizer.json", lambda document: document["added_tokens"].pop())
    refused(base, tmp_path / "out", "image_token_index is 512, which is no added token of it")


def test_a_tokenizer_with_more_tokens_than_the_network(base: Path, tmp_path: Path) -> None:
    change_json(base / "tokenizer.json", lambda document: document["model"]["vocab"].update({"zz": 516}))
    refused(base, tmp_path / "out", "has ids up to 516, the network has 516 tokens")


def test_a_tokenizer_that_loses_text(base: Path, tmp_path: Path) -> None:
    lower = {"type": "Lowercase"}
    change_json(base / "tokenizer.json", lambda document: document.update(normalizer=lower))
    refused(base, tmp_path / "out", "it loses text")


def test_no_tokenizer_and_something_else_in_its_place(base: Path, tmp_path: Path) -> None:
    (base / "tokenizer.json").write_text("[]")
    refused(base, tmp_path / "out", "is no tokenizer of Hugging Face's tokenizers")
    (base / "tokenizer.json").unlink()
    refused(base, tmp_path / "out", "cannot be read .* copy it there, or give --tokenizer FILE")


PROMPTS = {
    "system": "Write.",
    "facts": "{findings} {pictures}",
    "prose": {"en": "{facts}", "ja": "{facts}"},
}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"facts": "What is shown?"}, r"facts: has no blank \{findings\}, \{pictures\}"),
        ({"prose": {"en": "{facts}", "ja": "書く"}}, r"prose\.ja: has no blank \{facts\}"),
        ({"prose": {"en": "{facts}"}}, r"prose: found \['en'\], expected en, ja"),
        ({"system": "Dear {name}"}, r"system: has \{name\} in braces, expected none"),
        ({"prose": {"en": "{facts}", "ja": "{facts}{facts}"}}, r"prose\.ja: has \{facts\} more than once"),
        ({"tone": "kind"}, "tone: unknown key"),
        ({"system": "<bos_of_system>"}, "the mark <bos_of_system>, which is no special token of it"),
    ],
)
def test_prompts_that_cannot_be_filled(base: Path, tmp_path: Path, change: dict[str, Any], says: str) -> None:
    prompts = {**PROMPTS, **change}
    lines = [f"{key} = {json.dumps(text)}" for key, text in prompts.items() if isinstance(text, str)]
    lines += ["[prose]", *(f"{key} = {json.dumps(text)}" for key, text in prompts["prose"].items())]
    (tmp_path / "prompts.toml").write_text("\n".join(lines), encoding="utf-8")
    refused(base, tmp_path / "out", says, prompts=tmp_path / "prompts.toml")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"size": {"height": 32, "width": 32}}, r"the network reads 24 x 24"),
        ({"size": {"shortest_edge": 24}}, "shortest_edge"),
        ({"do_normalize": False}, "do_normalize = False"),
        ({"do_pan_and_scan": True}, "do_pan_and_scan = True"),
        ({"rescale_factor": 1.0}, "rescale_factor = 1.0"),
        ({"image_std": [0.0, 0.5, 0.5]}, "image_std is"),
        ({"image_mean": 0.5}, "image_mean is 0.5, expected three numbers"),
    ],
)
def test_an_image_processor_that_does_more(base: Path, tmp_path: Path, change: dict[str, Any], says: str) -> None:
    change_json(base / "preprocessor_config.json", lambda document: document.update(change))
    refused(base, tmp_path / "out", says)


@pytest.mark.parametrize(
    ("targets", "changes", "says"),
    [
        (("openvino",), {"precision": "float16"}, "openvino is not built in float16: .* use bf16"),
        (("onnxruntime",), {"precision": "bfloat16"}, "onnxruntime is not built in bfloat16"),
        (("onnxruntime", "onnxruntime"), {}, "expected each target once"),
        (("cathrt",), {}, "cathrt is not built in float32: its decoder has weights of 8 or 4 bits alone"),
        (("onnxruntime",), {"rest": "bfloat16"}, "--rest bf16: .* expected int8 or int4 for openvino"),
        (("onnxruntime",), {"answer": 760}, "leaves no room for a prompt"),
        (("onnxruntime",), {"prefill": (8,)}, "expected one of 11 and more, which a picture takes"),
        (("onnxruntime",), {"context": 600_000}, "the decoder's inputs and outputs take .* positions fit"),
    ],
)
def test_what_no_target_takes(
    base: Path, tmp_path: Path, targets: tuple[AnyTarget, ...], changes: dict[str, Any], says: str
) -> None:
    stages: list[str] = []
    with pytest.raises(ConfigError, match=says):
        export(asked(base, **changes), tmp_path / "out", *targets, stages=stages)
    assert stages == []


def test_a_record_of_the_training_that_is_no_object(base: Path, tmp_path: Path) -> None:
    (tmp_path / "training.json").write_text("[]")
    refused(base, tmp_path / "out", "holds a list, expected one JSON object", training=tmp_path / "training.json")
    refused(base, tmp_path / "out", "--card .*cannot be read", card=tmp_path / "none.md")


def test_a_gate_is_made_stricter_alone(base: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gate\.noise: found 0\.5, looser than 0\.0001"):
        export(asked(base), tmp_path / "out", noise=0.5)


def test_float16_that_what_is_computed_would_overflow(tmp_path: Path) -> None:
    """As real Gemma3 weights do, but in a place that no power of two reaches."""
    model = tiny_gemma.tiny_vlm(TINY)
    with torch.no_grad():
        model.model.language_model.layers[1].input_layernorm.weight.fill_(60_000.0)
    base = tiny_folder(tmp_path / "base")
    tiny_gemma.save_checkpoint(model, base)
    stages: list[str] = []
    with pytest.raises(EngineError, match=r"float16 cannot hold this model \(layers\.1\.input_layernorm reaches"):
        export(asked(base, precision="float16"), tmp_path / "out", "tensorrt-rtx", stages=stages)
    assert stages == ["vision-float32", "embedding-float32", "decoder-float32", "ranges"]


def compared(reference: Any, engine: Any) -> Comparison:
    found = ComparisonSoFar()
    found.forced("a text", np.asarray(reference, np.float32), np.asarray(engine, np.float32))
    return found.result()


def test_nan_fails_every_gate() -> None:
    logits = np.random.default_rng(0).normal(size=(POSITIONS, 50)).astype(np.float32)
    broken = logits.copy()
    broken[7, 3] = np.nan
    found = compared(logits, broken)
    assert found.not_finite == 1
    for gate in GATES.values():
        for each in (gate, for_untrained(gate)):
            assert [failure.what for failure in failures_of(found, each)][:1] == ["finite logits"]
            assert failures_of(compared(logits, logits), each) == ()
    nothing = compared(logits, np.full_like(logits, np.nan))
    assert (nothing.noise, nothing.mean_kl, nothing.not_finite) == (None, None, POSITIONS)
    with pytest.raises(EngineError, match="the float32 network gives NaN"):
        compared(broken, logits)


def test_a_picture_that_is_not_finite_fails_whatever_came_after_it() -> None:
    found = ComparisonSoFar()
    good, bad = np.ones((2, 3), np.float32), np.full((2, 3), np.nan, np.float32)
    for engine in (bad, good):
        found.picture(good, engine)
    found.forced("a text", np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32))
    assert "picture error" in [failure.what for failure in failures_of(found.result(), GATES["int4"])]


def test_another_token_counts_unless_the_network_itself_hardly_chooses() -> None:
    reference = np.tile(np.asarray([[10.0, 9.0, 0.0]], np.float32), (3, 1))
    reference[2, 1] = 10.0 - 1e-5
    engine = reference.copy()
    engine[1:, 1] = 11.0
    found = compared(reference, engine)
    assert (found.same.hits, found.ties) == (2, 1)
    assert [(one.position, one.before, one.after) for one in found.differences] == [(1, 0, 1)]


def test_a_greedy_answer_is_the_networks_up_to_its_first_other_token() -> None:
    found = ComparisonSoFar()
    found.forced("a text", np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32))
    found.greedy("a text", [0, 1, 0, 2], np.eye(3, dtype=np.float32)[[0, 1, 2, 2]])
    (one,) = found.result().greedy
    assert (one.tokens, one.same) == (4, 2)
    assert found.result().greedy_share == 0.5


def test_unrelated_logits_have_a_noise_far_above_every_limit() -> None:
    draw = np.random.default_rng(1)
    noise = compared(draw.normal(size=(300, 99)), draw.normal(size=(300, 99))).noise
    assert noise is not None
    assert 1.3 < noise < 1.5
    assert max(gate.noise for gate in GATES.values()) <= 0.7


def worth_file(path: Path, **changes: Any) -> Path:
    """As the benchmark prints it."""
    document: dict[str, Any] = {
        "bench": "report_quality",
        "weights_sha256": "ab" * 32,
        "manifest_sha256": "12" * 32,
        "studies": 200,
        "margin": 0.05,
        "beats_simple_answers": True,
        "headline": {"side_precision": 1.0, "lesion_f1_model": 0.61},
        "intervals_95": {"side_precision": [0.98, 1.0], "lesion_f1_model": [0.55, 0.66]},
    }
    path.write_text("{}\n" + json.dumps(document | changes), encoding="utf-8")
    return path


def test_worth_comes_from_figures_of_these_weights_alone(tmp_path: Path) -> None:
    path = tmp_path / "quality.json"
    assert worth_from(None, "ab" * 32).verdict == TOO_FEW
    found = worth_from(worth_file(path), "ab" * 32)
    assert (found.verdict, found.measured_on) == (BETTER, "12" * 32)
    assert found.lines[1:] == ("lesion_f1_model: 0.610 (95 %: 0.550 to 0.660)",)
    with pytest.raises(ConfigError, match="figures of weights abababab"):
        worth_from(path, "cd" * 32)
    assert worth_from(worth_file(path, beats_simple_answers=False), "ab" * 32).verdict == NO_BETTER
    assert worth_from(worth_file(path, studies=29), "ab" * 32).verdict == TOO_FEW
    with pytest.raises(ConfigError, match="beats_simple_answers is 'yes'"):
        worth_from(worth_file(path, beats_simple_answers="yes"), "ab" * 32)
    for changes in ({"intervals_95": {}}, {"headline": None}, {"studies": None}):
        with pytest.raises(ConfigError, match="no figures in its last line"):
            worth_from(worth_file(path, **changes), "ab" * 32)
    with pytest.raises(ConfigError, match="expected report_quality"):
        worth_from(worth_file(path, bench="accuracy"), "ab" * 32)


def test_sizes_are_read_or_refused() -> None:
    assert (block_from(None, "int4"), block_from("64", "int8"), block_from(None, "int8")) == (32, 64, None)
    for text, precision in (("33", "int4"), ("32", "bfloat16")):
        with pytest.raises(ConfigError, match=f"--block {text}"):
            block_from(text, precision)  # type: ignore[arg-type]
    assert sizes_from("256, 64") == (64, 256)
    for text in ("64,64", "1", "a", "", "-2"):
        with pytest.raises(ConfigError, match="--prefill"):
            sizes_from(text)
    assert prefill_sizes((), 2048, 256) == (32, 128, 320, 512)
    assert prefill_sizes((), 64, 0) == (32, 64)
