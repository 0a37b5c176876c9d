"""A quantisation with one wrong scale: the gate refuses it, and report and message name the layer."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from cathrt.export.bundle.sign import public_key, write_bundle
from cathrt.export.models.keyframe.criteria import CRITERIA
from cathrt.export.models.keyframe.gate import Gate
from cathrt.export.qualify.evidence import Qualified, sign_qualified
from cathrt.export.quantize.layer_errors import layer_errors_of_bundle
from cathrt.export.quantize.layers import weighted_layers
from cathrt.export.recipe.qualification import Candidate, qualification_of, reference_of, write_report
from cathrt.export.recipe.recipe import export_model
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.engines.cpu import sums_int8_exactly
from cathrt.runtime.errors import ManifestError
from cathrt.runtime.models import open_bundle
from cathrt.runtime.models.keyframe.section import CLASSIFIER
from tests.export.quantised_atto import with_initializer
from tests.export.small_export import FEW_FRAMES, KEY, noise_runs, request_for

pytestmark = pytest.mark.skipif(not sums_int8_exactly(), reason="this CPU has no VNNI: int8 of 8 bits is refused")

GATE = Gate(agreement=0.8, logit_error=None, laterality_f1_change=1.0, key_frames=0.0)


def ruined(bundle: Bundle, folder: Path) -> tuple[Bundle, str]:
    """The bundle with one layer's input clipped at a twentieth of its range, signed anew; and the layer."""
    model = onnx.load_from_string(bundle.read("model.onnx"))
    layer = [layer for layer in weighted_layers(model) if layer.kind == "downsample"][1]
    broken = with_initializer(model, f"{layer.activation}.scale", 0.05)
    manifest = replace(bundle.manifest, files={}, evidence={})
    path = write_bundle(folder, manifest, {"model.onnx": broken.SerializeToString()}, KEY)
    return open_bundle(path, [public_key(KEY)]), layer.name


def test_one_wrong_scale_is_refused_and_named(tmp_path: Path) -> None:
    request = request_for(tmp_path, "int8", "openvino", gate=replace(FEW_FRAMES, logit_error=None))
    request = replace(request, qualifying=replace(request.qualifying, runs=noise_runs(10, 3)))
    (done,) = export_model(request)
    assert done.path is not None
    sound = open_bundle(done.path, [public_key(KEY)])
    wrong, layer = ruined(sound, tmp_path / "ruined")
    reference = reference_of(request.recipe.model, CLASSIFIER)
    reports = {}
    for name, bundle in (("sound", sound), ("wrong", wrong)):
        layers = layer_errors_of_bundle(bundle, CLASSIFIER, "openvino", reference.float_graph)
        candidate = Candidate(bundle, CLASSIFIER, "openvino", layers)
        measured = qualification_of(candidate, CRITERIA, GATE, reference, request.qualifying, lambda done, total: None)
        qualified = Qualified(measured, CRITERIA, GATE)
        reports[name] = (layers, write_report(tmp_path / name, qualified, ""), qualified)
    layers, failures, found = reports["wrong"]
    (worst, error), (_, second) = layers[:2]
    assert worst == layer
    assert error > 10 * second
    assert "class agreement" in failures[0]
    assert f"layer {layer}, error {error:.3g}" in failures[0]
    assert f"{layer}" in (tmp_path / "wrong" / "qualification.html").read_text(encoding="utf-8")
    told = json.loads((tmp_path / "wrong" / "qualification.json").read_text(encoding="utf-8"))
    assert told["passed"] is False
    assert told["worst_layers"][0][0] == layer
    with pytest.raises(ManifestError, match=f"not signed, it misses its gate: .*{layer}"):
        sign_qualified(tmp_path / "signed", wrong, [found], KEY)
    assert not (tmp_path / "signed").exists()
    assert "class agreement" not in " ".join(reports["sound"][1])
    assert dict(reports["sound"][0])[layer] < error / 10


def test_without_the_weights_nothing_is_compared(tmp_path: Path) -> None:
    request = request_for(tmp_path, "float32", "onnxruntime")
    (done,) = export_model(request)
    assert done.path is not None
    bundle = open_bundle(done.path, [public_key(KEY)])
    reference = reference_of(request.recipe.model, CLASSIFIER)
    assert layer_errors_of_bundle(bundle, CLASSIFIER, "onnxruntime", reference.float_graph) == ()
