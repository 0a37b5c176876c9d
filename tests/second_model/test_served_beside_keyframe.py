"""A second kind of model is one folder and one row: served from a signed bundle beside keyframe, on every frame.

Not for: its export.
"""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from cathrt.export.bundle.sign import public_key, write_bundle
from cathrt.runtime.alert import Alert, Outcome, RunSummary, Verdict
from cathrt.runtime.bundle.manifest import SCHEMA_VERSION, Artifact, DeclaredTensor, Manifest, Network
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import Config, EngineConfig, JournalConfig
from cathrt.runtime.errors import ConfigError, EngineError, ManifestError
from cathrt.runtime.journal.records import record_from_body
from cathrt.runtime.journal.report import verify_journal
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.line.pipeline import watch
from cathrt.runtime.line.replay import opened_line
from cathrt.runtime.models import MODELS, load_config, open_bundle, record_parts
from cathrt.runtime.sinks.console import ConsoleSink
from tests import golden
from tests.lines import ArraySource, line, served
from tests.second_model.runtime_vector import (
    READER,
    VECTOR,
    LoudNews,
    VectorFinding,
    VectorOnFrames,
    VectorPolicy,
    VectorResult,
    VectorSection,
)

KEY = Ed25519PrivateKey.generate()
WHOLE = replace(golden.PREPROCESSING, input="whole", height=16, width=16, mean=(0.0,) * 3, std=(1.0,) * 3)
SMALL = replace(WHOLE, input="small", height=8, width=8)
MIX: NDArray[np.float32] = np.array([[0.25, 0.5, 1.0]], np.float32)


@pytest.fixture(autouse=True)
def _row(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that the runtime is told of the new kind."""
    monkeypatch.setitem(MODELS, "vector", VECTOR)


def mean_grey(whole: str, small: str) -> onnx.ModelProto:
    """(mean grey of both inputs) * MIX, (1, 3)."""
    nodes = [
        helper.make_node("GlobalAveragePool", [whole], ["a"]),
        helper.make_node("GlobalAveragePool", [small], ["b"]),
        helper.make_node("Add", ["a", "b"], ["both"]),
        helper.make_node("ReduceMean", ["both"], ["grey"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Reshape", ["grey", "column"], ["tall"]),
        helper.make_node("MatMul", ["tall", "mix"], ["vector"]),
    ]
    graph = helper.make_graph(
        nodes,
        "vector",
        [helper.make_tensor_value_info(made.input, TensorProto.FLOAT, made.shape) for made in (WHOLE, SMALL)],
        [helper.make_tensor_value_info("vector", TensorProto.FLOAT, [1, 3])],
        [numpy_helper.from_array(MIX / 2, "mix"), numpy_helper.from_array(np.array([1, 1]), "column")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def vector_bundle(folder: Path, **changes: Any) -> Bundle:
    artifact = Artifact("vector.onnx", "float32")
    network = Network(
        artifacts={"openvino": artifact, "onnxruntime": artifact},
        inputs=tuple(DeclaredTensor(made.input, made.shape, "float32") for made in (WHOLE, SMALL)),
        outputs=(DeclaredTensor("vector", (1, 3), "float32"),),
        preprocessing=(WHOLE, SMALL),
    )
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        name="vector",
        files={},
        networks={READER: network},
        model=VectorSection("vector"),
        demonstration=True,
        provenance={},
        evidence={},
    )
    payload = {"vector.onnx": mean_grey("whole", "small").SerializeToString()}
    return open_bundle(write_bundle(folder, replace(manifest, **changes), payload, KEY), [public_key(KEY)])


def keyframe_bundle(folder: Path) -> Bundle:
    payload = {"model.onnx": golden.conv_model().SerializeToString()}
    return open_bundle(write_bundle(folder, golden.golden_manifest(), payload, KEY), [public_key(KEY)])


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_both_models_answer_every_frame_and_the_journal_has_it_all(tmp_path: Path, engine: str) -> None:
    bundles = [keyframe_bundle(tmp_path / "keyframe"), vector_bundle(tmp_path / "vector")]
    config = replace(Config(), engine=EngineConfig(engine, threads=1))
    scores, path, shown = [0.1, 0.9, 0.2, 0.6, 0.1], tmp_path / "journal.db", io.StringIO()
    with (
        opened_line(bundles, config, "max") as opened,
        Journal(path, JournalConfig(), [ConsoleSink(shown, record_parts())]) as journal,
    ):
        summary = watch(ArraySource(scores), opened, journal)
        stored = [record_from_body(row.body, record_parts()) for row in journal.stored(summary.pass_id)]

    verdicts = [record for record in stored if isinstance(record, Verdict)]
    assert [verdict.outcome for verdict in verdicts] == [Outcome.MET] * len(scores)
    for verdict, score in zip(verdicts, scores, strict=True):
        keyframe, vector = verdict.findings
        assert (keyframe.kind, keyframe.engine) == ("keyframe", engine)
        assert isinstance(vector, VectorFinding)
        np.testing.assert_allclose(vector.values, MIX[0] * score, atol=0.02)
    news = [record.news for record in stored if isinstance(record, Alert) and isinstance(record.news, LoudNews)]
    assert [loud.component for loud in news] == [2, 2]
    results = {result.kind: result for result in summary.results}
    assert set(results) == {"keyframe", "vector"}
    assert isinstance(results["vector"], VectorResult)
    np.testing.assert_allclose(results["vector"].mean, MIX[0] * np.mean(scores), atol=0.02)
    assert verify_journal(path, record_parts()).sound
    assert "component 2 is loud" in shown.getvalue()
    assert "mean of 5 vectors" in shown.getvalue()


def test_where_one_model_fails_the_other_s_finding_and_alert_are_kept(tmp_path: Path) -> None:
    bundle = vector_bundle(tmp_path / "vector")

    def failing(inputs: Any, outputs: Any) -> None:
        raise EngineError("out of memory")

    with opened_line([bundle], replace(Config(), engine=EngineConfig("onnxruntime", threads=1)), "max") as opened:
        both = line(failing, models=(served(), *opened.models))
        broken = replace(both, models=(line(failing).models[0], *opened.models), parts=record_parts())
        with Journal(tmp_path / "journal.db", JournalConfig()) as journal:
            summary = watch(ArraySource([0.1, 0.9]), broken, journal)
            stored = [record_from_body(row.body, record_parts()) for row in journal.stored(summary.pass_id)]
    verdicts = [record for record in stored if isinstance(record, Verdict)]
    assert [verdict.outcome for verdict in verdicts] == [Outcome.FAILED] * 2
    assert all(verdict.retry and "keyframe: EngineError: out of memory" in str(verdict.reason) for verdict in verdicts)
    assert [[finding.kind for finding in verdict.findings] for verdict in verdicts] == [["vector"]] * 2
    assert [record.frame_index for record in stored if isinstance(record, Alert)] == [1]
    assert [type(record.results[0]).__name__ for record in stored if isinstance(record, RunSummary)]


def test_its_policy_has_a_table_of_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text("[policy.vector]\nloud = 0.8\n")
    assert load_config(path).policy["vector"] == VectorPolicy(loud=0.8)
    path.write_text("[policy.vector]\nlouder = 0.8\n")
    with pytest.raises(ConfigError, match=r"policy\.vector\.louder: unknown key"):
        load_config(path)


def test_its_policy_is_part_of_the_pass_s_identity(tmp_path: Path) -> None:
    bundle = vector_bundle(tmp_path / "vector")
    assert VectorOnFrames(bundle, VectorPolicy(0.1)).identity != VectorOnFrames(bundle, None).identity


def test_its_manifest_is_checked_by_its_own_rules(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"model\.output: found nothing, outputs are"):
        vector_bundle(tmp_path / "bundle", model=VectorSection("nothing"))


def test_without_its_row_its_bundle_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = vector_bundle(tmp_path / "vector")
    monkeypatch.delitem(MODELS, "vector")
    with pytest.raises(ManifestError, match=r"found .vector., expected"):
        open_bundle(bundle.path, [public_key(KEY)])


def test_two_bundles_of_one_kind_are_refused(tmp_path: Path) -> None:
    bundle = vector_bundle(tmp_path / "vector")
    with pytest.raises(ConfigError, match="a line takes one of each"), opened_line([bundle, bundle], Config(), "max"):
        pass
