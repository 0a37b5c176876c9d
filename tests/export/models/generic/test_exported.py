"""An image classifier all the way: exported through a stand-in for optimum, qualified, signed, and judging runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cathrt.export.bundle.sign import public_key
from cathrt.export.commands.arguments import references_for
from cathrt.export.graph.fold import Target
from cathrt.export.models import EXPORTS
from cathrt.export.models.generic.gate import GATES
from cathrt.export.models.generic.port import PORT
from cathrt.export.models.generic.source import REFERENCE, Asked, source_of
from cathrt.export.quantize.int8 import Int8Settings
from cathrt.export.recipe.qualification import Qualifying
from cathrt.export.recipe.recipe import Exported, ExportRequest, export_model
from cathrt.export.recipe.stages import CalibrationFrom
from cathrt.export.recipe.targets import Recipe
from cathrt.runtime.alert import Verdict
from cathrt.runtime.bundle.manifest import Precision
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import JournalConfig, LimitsConfig
from cathrt.runtime.errors import ConfigError, ManifestError
from cathrt.runtime.journal.records import record_from_body
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.line.pipeline import watch
from cathrt.runtime.line.replay import opened_line
from cathrt.runtime.models import open_bundle, record_parts
from cathrt.runtime.models.generic.records import GenericFinding, GenericResult
from cathrt.runtime.models.generic.section import CLASSIFIER
from tests.e2e.commands import cathrt
from tests.export.models.generic.stand_in import LABELS, model_folder, stand_in_python
from tests.export.small_export import CONFIG, KEY, noise_runs
from tests.lines import ArraySource

# Qualified on six frames, so for what has nothing to do with how well networks agree.
FEW_FRAMES = replace(GATES["float32"], agreement=0.0, run_labels=0.0)


def exported(folder: Path, precision: Precision, *targets: Target, random_init: bool = False) -> tuple[Exported, ...]:
    model = source_of(model_folder(folder / "birds"), stand_in_python(folder), Asked(random_init=random_init))
    recipe = Recipe(
        model=model,
        port=PORT,
        precision=precision,
        targets=targets,
        gates={CLASSIFIER: replace(FEW_FRAMES, logit_error=None if precision == "int8" else 1e-4)},
        calibration=CalibrationFrom(frames=4),
        limits=LimitsConfig(),
        int8=Int8Settings(weight_bits=7),
    )
    qualifying = Qualifying(noise_runs(2, 3), CONFIG, alone_calls=0)
    return export_model(ExportRequest(recipe, folder / f"out-{precision}", qualifying, KEY))


def opened(done: Exported) -> Bundle:
    assert done.signed, done.failures
    assert done.path is not None
    return open_bundle(done.path, [public_key(KEY)])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[Exported, ...]]:
    folder = tmp_path_factory.mktemp("generic")
    return folder, exported(folder, "float32", "openvino", "onnxruntime")


def test_it_is_signed_without_a_word_on_its_worth_and_says_what_made_it(
    made: tuple[Path, tuple[Exported, ...]],
) -> None:
    for done in made[1]:
        manifest = opened(done).manifest
        assert (manifest.kind, manifest.name, manifest.worth, done.worth) == ("generic", "birds", None, None)
        assert manifest.provenance["made_by"] == "cathrt export generic"
        assert manifest.provenance["exported_by"]["optimum-onnx"] == "0.1.0"
        assert manifest.provenance["model_check"]["graph_error"] < 1e-5
        evidence = manifest.evidence["qualification"][done.target]
        assert evidence["reference"] == REFERENCE
        assert evidence["label_agreement"]["of"] == 6
        page = (done.report / "qualification.html").read_text(encoding="utf-8")
        assert "Fidelity: passed" in page
        assert "Worth: not stated" in page


def test_the_line_gives_every_frame_a_label_and_the_run_the_one_it_has_most(
    made: tuple[Path, tuple[Exported, ...]], tmp_path: Path
) -> None:
    pictures = [np.random.default_rng(number).integers(0, 255, (8, 8)).astype(np.uint8) for number in range(6)]
    with (
        opened_line([opened(made[1][0])], CONFIG, "max") as line,
        Journal(tmp_path / "journal.db", JournalConfig()) as journal,
    ):
        summary = watch(ArraySource(pictures), line, journal)
        stored = [record_from_body(row.body, record_parts()) for row in journal.stored(summary.pass_id)]
    labels = []
    for verdict in (record for record in stored if isinstance(record, Verdict)):
        (finding,) = verdict.findings
        assert isinstance(finding, GenericFinding)
        labels.append(finding.label)
    assert len(labels) == 6
    assert set(labels) <= set(LABELS)
    (result,) = summary.results
    assert isinstance(result, GenericResult)
    assert labels.count(result.label or "") == max(map(labels.count, labels))
    assert result.label_share == labels.count(result.label or "") / 6
    assert "without clinical meaning" in result.text


def test_its_plain_graph_is_the_reference_of_a_later_qualification_and_no_other_file_is(
    made: tuple[Path, tuple[Exported, ...]], tmp_path: Path
) -> None:
    folder, (first, _) = made
    bundle = opened(first)
    (plain,) = (folder / "out-float32" / ".work").glob("plain-*/model.onnx")
    (reference,) = references_for(bundle, PORT, plain).values()
    assert reference.name == REFERENCE
    other = tmp_path / "other.onnx"
    other.write_bytes(plain.read_bytes() + b"\0")
    with pytest.raises(ConfigError, match=r"bundle birds was made of the graph [0-9a-f]{16}: give model.onnx"):
        references_for(bundle, PORT, other)
    with pytest.raises(ConfigError, match="made of one set of weights"):
        references_for(bundle, PORT, plain, "ema")


def test_int8_is_quantised_calibrated_and_qualified_like_any_other(tmp_path: Path) -> None:
    (done,) = exported(tmp_path, "int8", "openvino")
    manifest = opened(done).manifest
    assert manifest.network(CLASSIFIER).artifacts["openvino"].precision == "int8"
    assert "second" in manifest.provenance["int8"]["layers_in_int8"]
    assert manifest.provenance["int8"]["kept_float"] == ["head"]
    assert manifest.evidence["qualification"]["openvino"]["logit_error"]["relative"] > 1e-4


def test_weights_that_were_never_trained_open_for_timing_alone(tmp_path: Path) -> None:
    (done,) = exported(tmp_path, "float32", "openvino", random_init=True)
    with pytest.raises(ManifestError, match="holds random weights"), opened_line([opened(done)], CONFIG, "max"):
        pass


def test_its_command_has_its_own_options_and_names_what_is_missing(tmp_path: Path) -> None:
    assert "generic" in EXPORTS
    shown = cathrt("export", "generic", "--help")
    for option in ("--model", "--optimum-python", "--approximate-resample", "--random-init", "--window", "--sign"):
        assert option in shown.stdout
    model = model_folder(tmp_path / "birds")
    arguments = ["--model", model, "--precision", "fp32", "--target", "openvino", "--out", tmp_path / "out"]
    done = cathrt("export", "generic", *arguments)
    assert done.returncode == 3
    assert "pip install optimum-onnx==0.1.0" in done.stderr
