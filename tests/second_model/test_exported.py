"""A second kind of model is one folder (export_vector/) and one row: everything of export takes it as it is."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

from cathrt.export.bundle.join import join
from cathrt.export.bundle.sign import public_key
from cathrt.export.commands.arguments import references_for
from cathrt.export.commands.export import export_commands
from cathrt.export.graph.fold import Target
from cathrt.export.models import EXPORTS
from cathrt.export.qualify.evidence import Qualified
from cathrt.export.quantize.int8 import Int8Settings
from cathrt.export.recipe.qualification import Candidate, Qualifying, qualification_of, write_report
from cathrt.export.recipe.recipe import Exported, ExportRequest, export_model
from cathrt.export.recipe.stages import CalibrationFrom
from cathrt.export.recipe.targets import Recipe
from cathrt.runtime.bundle.manifest import Precision
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.engines import open_engine
from cathrt.runtime.errors import ManifestError
from cathrt.runtime.models import MODELS, open_bundle
from tests.export.small_export import CONFIG, noise_runs
from tests.second_model.export_vector import kind
from tests.second_model.runtime_vector import VECTOR

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
TARGETS: tuple[Target, ...] = ("openvino", "onnxruntime")


def added(monkeypatch: pytest.MonkeyPatch, roles: Collection[str]) -> None:
    """One row in each table. roles: the networks of the kind."""
    several = replace(VECTOR, roles=frozenset(roles), faults=lambda manifest: [])
    monkeypatch.setitem(MODELS, "vector", VECTOR if list(roles) == [kind.ROLE] else several)
    monkeypatch.setitem(EXPORTS, "vector", kind.VECTOR)


@pytest.fixture
def vector(monkeypatch: pytest.MonkeyPatch) -> None:
    added(monkeypatch, [kind.ROLE])


def exported(
    folder: Path, precision: Precision, *targets: Target, roles: tuple[str, ...] = (kind.ROLE,), **changes: Any
) -> tuple[Exported, ...]:
    """Signed with KEY, qualified on twelve frames of noise."""
    recipe = Recipe(
        model=kind.vector_model(7, roles=roles),
        port=kind.port(roles),
        precision=precision,
        targets=targets,
        gates=dict.fromkeys(roles, changes.pop("gate", kind.CRITERIA.gates[precision])),
        calibration=CalibrationFrom(frames=4),
        limits=LimitsConfig(),
        int8=Int8Settings(weight_bits=7),
    )
    qualifying = Qualifying(noise_runs(3, 4), CONFIG, alone_calls=0)
    return export_model(ExportRequest(recipe, folder / f"out-{precision}", qualifying, KEY))


def opened(done: Exported) -> Bundle:
    assert done.signed, done.failures
    assert done.path is not None
    return open_bundle(done.path, [public_key(KEY)])


@pytest.mark.usefixtures("vector")
@pytest.mark.parametrize("precision", kind.PRECISIONS)
def test_two_pictures_to_a_vector_become_a_signed_bundle_for_each_engine(tmp_path: Path, precision: Precision) -> None:
    for done in exported(tmp_path, precision, *TARGETS):
        bundle = opened(done)
        manifest, engine = bundle.manifest, done.target
        assert manifest.kind == "vector"
        assert manifest.network(kind.ROLE).artifacts[engine].precision == precision
        assert [made.input for made in manifest.network(kind.ROLE).preprocessing] == ["wide", "small"]
        told = manifest.evidence["qualification"][engine]
        assert 0.0 < told["vector_error"] <= told["gate"]["error"]
        assert (told["judge_set"]["runs"], told["judge_set"]["frames"]) == (3, 12)
        assert manifest.provenance["made_by"] == "cathrt export vector"
        assert ("int8" in manifest.provenance) == (precision == "int8")
        page = (done.report / "qualification.html").read_text(encoding="utf-8")
        assert "12 pictures kept" in page
        assert "Fidelity: passed" in page
        assert "Worth: not stated" in page
        network = open_engine(engine, bundle, kind.ROLE, CONFIG.engine)
        draw = np.random.default_rng(3)
        feeds = {name: draw.normal(size=(1, 3, *size)).astype(np.float32) for name, size in kind.SIZES.items()}
        for name, tensor in feeds.items():
            network.input_buffers[name][...] = tensor
        found = network.infer(network.input_buffers)["vector"]
        expected = kind.reference_of(kind.weights_of(7))(feeds)["vector"]
        np.testing.assert_allclose(found, expected, atol=told["gate"]["error"])
        network.close()


@pytest.mark.usefixtures("vector")
def test_its_own_gate_refuses_it_in_its_own_words(tmp_path: Path) -> None:
    (done,) = exported(tmp_path, "float32", "openvino", gate=kind.VectorGate(0.0))
    assert not done.signed
    assert done.failures[0].startswith("vector error: found ")


@pytest.mark.usefixtures("vector")
def test_a_bundle_of_it_is_qualified_against_its_own_graph_and_two_engines_join(tmp_path: Path) -> None:
    first, second = (opened(done) for done in exported(tmp_path, "float32", *TARGETS))
    both = open_bundle(join(first, [second], KEY, tmp_path / "both"), [public_key(KEY)])
    assert both.manifest.engines == ("onnxruntime", "openvino")
    port = EXPORTS[both.manifest.kind].port()
    (reference,) = references_for(both, port, None).values()
    criteria, qualifying = port.criteria[kind.ROLE], Qualifying(noise_runs(2, 3), CONFIG, alone_calls=0)
    candidate = Candidate(both, kind.ROLE, "openvino")
    gate = criteria.gates["float32"]
    found = qualification_of(candidate, criteria, gate, reference, qualifying, lambda done, total: None)
    assert write_report(tmp_path / "report", Qualified(found, criteria, gate), "") == ()
    report = json.loads((tmp_path / "report" / "qualification.json").read_text(encoding="utf-8"))
    assert report["reference"] == "onnxruntime.model.onnx itself, in float32 in ONNX Runtime"
    assert report["vector_error"] <= 1e-4


def test_several_networks_are_built_qualified_signed_and_joined_each_by_its_role(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    roles = (kind.ROLE, "second")
    added(monkeypatch, roles)
    openvino, onnxruntime = (opened(done) for done in exported(tmp_path, "float32", *TARGETS, roles=roles))
    assert set(openvino.manifest.files) == {"reader.onnx", "second.onnx"}
    told = openvino.manifest.evidence["qualification"]["openvino"]
    assert told.keys() == set(roles)
    assert {told[role]["artifact_sha256"] for role in roles} == set(openvino.manifest.files.values())
    assert set(openvino.manifest.provenance["chain"]) == {"weights", "reader", "second", "engine"}
    both = open_bundle(join(openvino, [onnxruntime], KEY, tmp_path / "both"), [public_key(KEY)])
    assert both.manifest.engines == ("onnxruntime", "openvino")
    for role in roles:
        assert both.manifest.network(role).artifacts["onnxruntime"].file == f"onnxruntime.{role}.onnx"
        assert both.manifest.evidence["qualification"]["onnxruntime"][role]["passed"] is True
        open_engine("onnxruntime", both, role, CONFIG.engine).close()
    again = open_bundle(join(both, [onnxruntime], KEY, tmp_path / "again"), [public_key(KEY)]).manifest
    assert again.files == both.manifest.files
    assert again.evidence == both.manifest.evidence


def test_an_engine_that_has_only_some_of_the_networks_is_not_joined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    roles = (kind.ROLE, "second")
    added(monkeypatch, roles)
    openvino, onnxruntime = (opened(done) for done in exported(tmp_path, "float32", *TARGETS, roles=roles))
    artifact = onnxruntime.manifest.network(kind.ROLE).artifacts["onnxruntime"]
    half = onnxruntime.manifest.with_artifacts(kind.ROLE, {"onnxruntime": artifact, "openvino": artifact})
    with pytest.raises(ManifestError, match=r"openvino has no artifact for second"):
        join(openvino, [replace(onnxruntime, manifest=half)], KEY, tmp_path / "both")


def test_its_command_has_its_own_options_and_those_of_all_kinds() -> None:
    shown = CliRunner().invoke(export_commands({"vector": kind.VECTOR}), ["vector", "--help"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0, shown.output
    for option in ("--seed", "--precision", "--target", "--qualify-on", "--gate", "--sign"):
        assert option in shown.output
    assert "--arch" not in shown.output
