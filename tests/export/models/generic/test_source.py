"""From the child's answer to a model that can be exported, by a stand-in for optimum's environment; and refusals."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from cathrt.export.model_kind import SourceModel
from cathrt.export.models.generic.child import export_with_optimum
from cathrt.export.models.generic.fidelity import pictures
from cathrt.export.models.generic.processor import INPUT
from cathrt.export.models.generic.source import REFERENCE, Asked, model_sha256, source_of
from cathrt.runtime.errors import ConfigError, EngineError
from cathrt.runtime.models.generic.section import CLASSIFIER, GenericSection
from tests.export.models.generic.stand_in import LABELS, RESIZED, SIDE, answer, model_folder, stand_in_python, weights


def source(tmp_path: Path, asked: Asked | None = None, **config: Any) -> SourceModel:
    model = model_folder(tmp_path / "birds", **config)
    return source_of(model, stand_in_python(tmp_path), asked or Asked())


@pytest.fixture(scope="module")
def birds(tmp_path_factory: pytest.TempPathFactory) -> SourceModel:
    return source(tmp_path_factory.mktemp("birds"))


def test_a_model_becomes_a_graph_of_the_whole_frame_with_its_labels_and_preprocessing(birds: SourceModel) -> None:
    found = birds
    manifest, network = found.manifest, found.networks[CLASSIFIER]
    assert manifest.name == "birds"
    assert manifest.model == GenericSection("logits", LABELS, square_frames=True)
    (made,) = manifest.network(CLASSIFIER).preprocessing
    assert (made.height, made.width, made.mean, made.std) == (RESIZED, RESIZED, (0.5, 0.4, 0.3), (0.25, 0.5, 0.2))
    frame = np.random.default_rng(1).normal(size=made.shape).astype(np.float32)
    edge = (RESIZED - SIDE) // 2
    seen = np.ascontiguousarray(frame[:, :, edge : edge + SIDE, edge : edge + SIDE])
    logits = network.reference()({INPUT: frame})["logits"]
    np.testing.assert_allclose(logits, answer(seen, weights()), rtol=1e-5, atol=1e-6)
    assert network.reference_name == REFERENCE


def test_the_graph_has_no_constants_left_to_compute_and_every_node_a_name(birds: SourceModel) -> None:
    model = onnx.load_from_string(birds.networks[CLASSIFIER].plain(None))
    operators = [node.op_type for node in model.graph.node]
    assert operators == ["Slice", "Conv", "Relu", "Conv", "Relu", "ReduceMean", "MatMul"]
    names = [node.name for node in model.graph.node]
    assert len(set(names)) == len(names)
    assert all(names)
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 18)]


def test_the_same_model_gives_the_same_bytes_and_another_one_another_identity(
    birds: SourceModel, tmp_path: Path
) -> None:
    first, again = birds, source(tmp_path)
    plain = [one.networks[CLASSIFIER].plain(None) for one in (first, again)]
    assert plain[0] == plain[1]
    assert first.weights_sha256 == again.weights_sha256 != model_sha256(model_folder(tmp_path / "birds", other=1))
    assert first.networks[CLASSIFIER].identity == again.networks[CLASSIFIER].identity


def test_what_was_measured_and_made_it_is_told(tmp_path: Path) -> None:
    found = source(tmp_path, left_out=["teacher.weight"], labels=["bird", "bird", "fish"])
    assert found.about["arch"] == "StandInForImageClassification"
    assert found.about["random_init"] is False
    assert found.about["exported_by"]["optimum-onnx"] == "0.1.0"
    assert found.about["exported_by"]["offline"] == "1"
    check = found.about["model_check"]
    assert check["graph_error"] < 1e-5
    assert 0.0 < check["grey_levels_mean"] < 0.5 < check["grey_levels_largest"] <= 1.5
    assert check["same_label"] == check["pictures"] == len(pictures()) - 1  # one is not square
    assert any("teacher.weight" in note for note in found.notes)
    assert isinstance(found.manifest.model, GenericSection)
    assert found.manifest.model.labels == ("bird (column 0)", "bird (column 1)", "fish")


def test_weights_that_were_never_trained_are_marked(tmp_path: Path) -> None:
    found = source(tmp_path, Asked(name="drawn", random_init=True))
    assert (found.manifest.name, found.about["random_init"]) == ("drawn", True)


def test_a_filter_that_is_replaced_is_measured_and_told(tmp_path: Path) -> None:
    found = source(tmp_path, Asked(approximate_resample=True), processor={"resample": 0}, really=0)
    check = found.about["model_check"]
    assert check["replaced"] == "resized with the antialiased bilinear filter instead of nearest"
    assert check["grey_levels_largest"] > 20.0
    assert any("instead of nearest" in note and "grey levels" in note for note in found.notes)


def test_a_processor_that_does_something_else_than_its_settings_say_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"StandInImageProcessor: its tensors differ by up to .* grey levels"):
        source(tmp_path, really=0)


def test_a_processor_of_other_shapes_than_its_settings_say_is_refused(tmp_path: Path) -> None:
    size = {"size": {"height": 40, "width": 40}, "do_center_crop": False}
    with pytest.raises(EngineError, match=r"expected one input \(1, 3, 40, 40\)"):
        source(tmp_path, processor=size)


def test_a_graph_that_is_not_the_network_of_pytorch_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="its graph differs from PyTorch by"):
        source(tmp_path, graph_seed=4)


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"missing_weights": ["classifier.weight"]}, "classifier.weight, which transformers would draw at random"),
        ({"problem_type": "multi_label_classification"}, "multi_label_classification"),
        ({"problem_type": "regression"}, "regression"),
        ({"labels": ["one"]}, "1 labels"),
        ({"missing": ["pillow"]}, "pillow not installed there: python3 -m venv optimum"),
    ],
)
def test_a_model_that_cannot_be_represented_is_refused_with_the_reason(
    tmp_path: Path, config: dict[str, Any], named: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        source(tmp_path, answer_alone=True, **config)
    assert named in str(caught.value)


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"crash": "no such architecture"}, "exit status 1 (no such architecture)"),
        ({"signal": "SIGSEGV"}, "signal 11"),
        ({"silent": True, "answer_alone": True}, "left no usable answer (FileNotFoundError"),
    ],
)
def test_a_child_that_fails_is_an_engine_error_with_its_last_words(
    tmp_path: Path, config: dict[str, Any], named: str
) -> None:
    with pytest.raises(EngineError) as caught:
        source(tmp_path, **config)
    assert named in str(caught.value)


def test_a_child_that_hangs_is_killed(tmp_path: Path) -> None:
    model, began = model_folder(tmp_path / "birds", hang=True), time.monotonic()
    with pytest.raises(EngineError, match=r"no graph after 0\.5 s, the process was killed"):
        export_with_optimum(stand_in_python(tmp_path), model, pictures(), budget_s=0.5)
    assert time.monotonic() - began < 120.0


def test_without_its_environment_the_message_has_the_line_that_makes_it(tmp_path: Path) -> None:
    model = model_folder(tmp_path / "birds")
    with pytest.raises(ConfigError, match=r"--optimum-python: missing.*pip install optimum-onnx==0\.1\.0 torch==2"):
        source_of(model, None, Asked())
    with pytest.raises(ConfigError, match=r"cannot be run \(No such file or directory\).*pip install optimum-onnx"):
        source_of(model, tmp_path / "nothing", Asked())


def test_a_python_without_optimum_is_told_what_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"optimum-onnx.* not installed there: python3 -m venv"):
        source_of(model_folder(tmp_path / "birds"), Path(sys.executable), Asked())


def test_a_folder_without_a_model_or_its_image_processor_is_refused_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"found no config.json, or no preprocessor_config.json"):
        source_of(tmp_path, tmp_path / "nothing", Asked())
