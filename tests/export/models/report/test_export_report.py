"""A checkpoint and its adapter become one signed bundle, from which both CPU engines answer as the trained model does.

Not for: what is refused (test_export_report_refusals.py).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from peft import PeftModel
from typer.testing import CliRunner

from cathrt.export.bundle.join import join
from cathrt.export.bundle.sign import public_key
from cathrt.export.commands.export import export_commands
from cathrt.export.graph.fold import Target
from cathrt.export.model_kind import OwnRequest
from cathrt.export.models.report import REPORT
from cathrt.export.models.report.answers import EngineAnswers
from cathrt.export.models.report.asked import Asked
from cathrt.export.models.report.cases import Case, cases_for, grey_pictures
from cathrt.export.models.report.recipe import export_report
from cathrt.export.qualify.exported import Exported
from cathrt.export.recipe.recipe import GateError
from cathrt.runtime.bundle.manifest import TOO_FEW, Manifest
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import Config, EngineConfig
from cathrt.runtime.errors import ManifestError
from cathrt.runtime.models import open_bundle
from cathrt.runtime.models.report.faults import report_faults, section_of
from cathrt.runtime.models.report.picture import pixels
from cathrt.runtime.models.report.section import DECODER, EMBEDDING, VISION
from cathrt.runtime.models.report.tokens import Tokenizer
from tests.export.models.report import tiny_adapter, tiny_gemma
from tests.export.models.report.tiny_checkpoint import TINY, tiny_folder

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
ENGINES: tuple[Target, ...] = ("onnxruntime", "openvino")
CONFIG = Config(engine=EngineConfig(threads=1))
CONTEXT = 768


@dataclass(frozen=True)
class Model:
    """base, adapter: folders. trained: as PEFT has it."""

    base: Path
    adapter: Path
    trained: PeftModel

    def asked(self, **changes: object) -> Asked:
        plain = Asked(base=self.base, lora=self.adapter, precision="float32", context=CONTEXT, answer=160)
        return replace(plain, **changes)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Done:
    """One export. stages: (stage, "made" or "kept"), in order. said: lines for the user."""

    exported: tuple[Exported, ...]
    stages: list[tuple[str, str]]
    said: list[str]
    out: Path

    def opened(self) -> Bundle:
        assert self.exported[0].path is not None, self.exported[0].failures
        return open_bundle(self.exported[0].path, [public_key(KEY)])


def run(out: Path, asked: Asked, *targets: Target, sign_anyway: bool = True) -> Done:
    stages: list[tuple[str, str]] = []
    said: list[str] = []
    request = OwnRequest(
        CONFIG, targets, out, (), {}, KEY, sign_anyway, lambda stage, how: stages.append((stage, how)), said.append
    )
    return Done(export_report(request, asked), stages, said, out)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = tmp_path_factory.mktemp("model")
    settings = {"target_modules": [*tiny_adapter.LANGUAGE, *tiny_adapter.VISION], "use_rslora": True}
    base = tiny_folder(folder / "base")
    trained = tiny_adapter.trained(
        tiny_gemma.tiny_vlm(TINY), folder / "adapter", target_parameters=[tiny_adapter.PROJECTOR], **settings
    )
    return Model(base, folder / "adapter", trained)


@pytest.fixture(scope="module")
def float32(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Done:
    return run(tmp_path_factory.mktemp("float32"), model.asked(), *ENGINES)


@pytest.fixture(scope="module")
def int8(model: Model, float32: Done, tmp_path_factory: pytest.TempPathFactory) -> Done:
    """What the float32 network says is taken from the other export."""
    out = beside(float32, tmp_path_factory.mktemp("int8"))
    (out / "card.md").write_text("# Made up\n")
    (out / "training.json").write_text('{"scenes": 3}')
    told = {"card": out / "card.md", "training": out / "training.json", "demonstration": True}
    return run(out, model.asked(precision="int8", random_init=True, **told), *ENGINES)


def beside(done: Done, out: Path) -> Path:
    """A folder that goes on from another one's finished stages."""
    (out / ".work").symlink_to(done.out / ".work")
    return out


@pytest.fixture
def bundle(float32: Done) -> Iterator[Bundle]:
    with float32.opened() as opened:
        yield opened


def tokenizer_of(bundle: Bundle) -> Tokenizer:
    section = section_of(bundle.manifest)
    return Tokenizer(bundle.read(section.tokenizer).decode(), TINY.vocabulary, section.tokens)


def facts_case(bundle: Bundle) -> Case:
    """The first that shows two pictures."""
    cases = cases_for(section_of(bundle.manifest), tokenizer_of(bundle), 256)
    return next(case for case in cases if len(case.pictures) == 2)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_bundle_gives_the_logits_of_the_model_that_peft_trained(bundle: Bundle, model: Model, engine: str) -> None:
    section, case = section_of(bundle.manifest), facts_case(bundle)
    assert section.picture is not None
    shown = [pixels(grey, section.picture) for grey in grey_pictures()]
    with EngineAnswers(bundle, engine, CONFIG.engine, tokenizer_of(bundle)) as answers:
        embedded = [answers.picture(one) for one in shown]
        found = answers.forced(case, embedded)
    ids = np.concatenate([case.layout(section, tokenizer_of(bundle), embedded).ids, case.answer])[None]
    pictures = np.concatenate([shown[number] for number in case.pictures])
    expected = tiny_gemma.reference_logits(model.trained, ids, pictures)[-len(case.answer) - 1 : -1]
    np.testing.assert_allclose(found, expected, atol=1e-4 * float(np.abs(expected).max()))
    base = tiny_gemma.reference_logits(tiny_gemma.tiny_vlm(TINY), ids, pictures)[-len(case.answer) - 1 : -1]
    assert float(np.abs(base - expected).max()) > 0.1 * float(np.abs(expected).max())  # the adapter says something


def test_both_targets_share_the_files_of_one_bundle(model: Model, float32: Done) -> None:
    assert [one.target for one in float32.exported] == list(ENGINES)
    assert len({one.path for one in float32.exported}) == 1
    with float32.opened() as opened:
        files = {artifact.file for _, _, artifact in opened.manifest.all_artifacts()}
        assert files == {f"{role}.onnx" for role in (VISION, EMBEDDING, DECODER)}
        assert opened.manifest.engines == ENGINES
        assert opened.read("tokenizer.json") == (model.base / "tokenizer.json").read_bytes()


def test_the_manifest_says_what_was_merged_and_compared(float32: Done) -> None:
    with float32.opened() as opened:
        manifest = opened.manifest
    told = manifest.evidence["qualification"]
    for engine in ENGINES:
        assert told[engine]["passed"] is True
        assert told[engine]["same_token"]["share"] == 1.0
        assert told[engine]["judge_set"]["positions"] >= 256
        assert [one["same"] for one in told[engine]["greedy"]] == [one["tokens"] for one in told[engine]["greedy"]]
        assert told[engine]["reference"].startswith("transformers 5.")
    merged = manifest.provenance["merge"]
    names = {module["name"] for module in merged["modules"]}
    assert "multi_modal_projector.mm_input_projection_weight" in names
    assert any(name.startswith("vision_tower.") for name in names)
    assert merged["probe_error"] < 1e-5
    assert any("tensors used" in line for line in float32.said)
    assert set(manifest.provenance["chain"]["engine"]) == set(manifest.files) - {"tokenizer.json"}


def test_without_figures_of_its_worth_it_is_signed_only_when_asked_and_says_so(model: Model, float32: Done) -> None:
    with float32.opened() as opened:
        assert opened.manifest.worth == TOO_FEW
    done = run(float32.out, model.asked(), *ENGINES, sign_anyway=False)
    assert {how for _, how in done.stages} == {"kept"}
    assert [(one.fidelity, one.worth, one.path) for one in done.exported] == [("passed", TOO_FEW, None)] * 2


def test_the_same_command_does_nothing_again_and_leaves_the_bundle(model: Model, float32: Done) -> None:
    signed = (float32.out / "bundle" / "manifest.sig").read_bytes()
    again = run(float32.out, model.asked(), *ENGINES)
    assert {how for _, how in again.stages} == {"kept"}
    assert again.exported == float32.exported
    assert (float32.out / "bundle" / "manifest.sig").read_bytes() == signed
    with pytest.raises(ManifestError, match="holds another bundle"):
        run(float32.out, model.asked(name="another"), *ENGINES)


def test_int8_stores_weights_alone_and_is_a_quarter_of_the_size(float32: Done, int8: Done) -> None:
    with int8.opened() as opened:
        assert opened.manifest.random_init
        assert opened.manifest.demonstration
        assert opened.manifest.provenance["training"] == {"scenes": 3}
        assert opened.read("MODEL_CARD.md") == b"# Made up\n"
        for role, engine, artifact in opened.manifest.all_artifacts():
            assert (artifact.precision, artifact.weights_only) == ("int8", True), (role, engine)
        told = opened.manifest.evidence["qualification"]
    sizes = [(done.out / "bundle" / "decoder.data").stat().st_size for done in (float32, int8)]
    assert sizes[1] < 0.35 * sizes[0]
    for engine in ENGINES:
        assert 0.0 < told[engine]["noise"] <= told[engine]["gate"]["noise"]
        assert told[engine]["gate"]["agreement"] is None  # of weights that were never trained


def test_the_page_shows_verdict_merge_and_sizes(float32: Done) -> None:
    page = (float32.out / "bundle.report" / "qualification.html").read_text(encoding="utf-8")
    for text in ("onnxruntime: fidelity passed", "openvino: fidelity passed", "Worth: not enough evidence",
                 "multi_modal_projector.mm_input_projection_weight", "rslora of rank 4", "MiB"):  # fmt: skip
        assert text in page
    document = json.loads((float32.out / "bundle.report" / "qualification.json").read_text(encoding="utf-8"))
    assert document["failures"] == {"onnxruntime": [], "openvino": []}
    assert document["weight_bytes"]["openvino, decoder"]


def test_bundles_of_one_engine_each_join(model: Model, float32: Done, tmp_path: Path) -> None:
    """Out of stages that are there already."""
    alone = []
    for engine in ENGINES:
        out = tmp_path / engine
        out.mkdir()
        alone.append(run(beside(float32, out), model.asked(), engine).opened())
    with open_bundle(join(alone[0], alone[1:], KEY, tmp_path / "both"), [public_key(KEY)]) as both:
        assert both.manifest.engines == ENGINES
        assert set(both.manifest.evidence["qualification"]) == set(ENGINES)
        with EngineAnswers(both, "openvino", CONFIG.engine, tokenizer_of(both)) as answers:
            assert np.isfinite(answers.forced(replace(facts_case(both), parts=("text",)), [])).all()


def test_the_command_ends_with_the_gates_exit_code_where_nothing_shows_what_the_model_is_worth(
    model: Model, float32: Done
) -> None:
    words = [
        *("report", "--base", str(model.base), "--lora", str(model.adapter), "--precision", "fp32", "--answer", "160"),
        *("--context", str(CONTEXT), "--target", "onnxruntime", "--target", "openvino", "--json"),
    ]
    config = float32.out / "lab.toml"
    config.write_text("engine.threads = 1\n")
    done = CliRunner().invoke(
        export_commands({"report": REPORT}), [*words, "--out", str(float32.out), "--config", str(config)]
    )
    assert isinstance(done.exception, GateError)
    assert GateError.exit_code == 10
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert {line["how"] for line in lines if line["type"] == "stage"} == {"kept"}
    found = [line for line in lines if line["type"] == "export"]
    assert [(line["target"], line["passed"], line["worth"], line["signed"]) for line in found] == [
        (engine, True, TOO_FEW, False) for engine in ENGINES
    ]


def test_its_command_has_its_own_options_and_those_of_all_kinds() -> None:
    shown = CliRunner().invoke(export_commands({"report": REPORT}), ["report", "--help"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0, shown.output
    for option in ("--base", "--lora", "--context", "--block", "--target", "--gate", "--sign-anyway", "--sm"):
        assert option in shown.output
    assert "--calibrate" not in shown.output


def faults_of(manifest: Manifest, **changes: object) -> str:
    return " | ".join(report_faults(replace(manifest, model=replace(section_of(manifest), **changes))))  # type: ignore[arg-type]


def test_a_section_that_does_not_fit_its_networks_is_a_fault(bundle: Bundle) -> None:
    manifest, section = bundle.manifest, section_of(bundle.manifest)
    assert report_faults(manifest) == []
    assert "is not among files" in faults_of(manifest, tokenizer="other.json")
    assert "leave no room for a prompt" in faults_of(manifest, most_tokens=CONTEXT)
    assert "the vocabulary has 516" in faults_of(manifest, tokens=replace(section.tokens, end=(516,)))
    assert "lacks [1, 2, 5, 6, 7]" in faults_of(manifest, tokens=replace(section.tokens, control=()))
    assert "keys_04" in faults_of(manifest, layers=5)
    assert "model.picture: is missing" in faults_of(manifest, picture=None, pictures=0)
    assert "has no blank {facts}" in faults_of(
        manifest, prompts=replace(section.prompts, prose={"en": "Write.", "ja": "{facts}"})
    )
    assert "has {name} in braces" in faults_of(manifest, prompts=replace(section.prompts, system="Dear {name}"))
