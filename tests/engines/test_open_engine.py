"""Opening engines: files that are no networks, precisions that cannot be had, tensors unknown to the manifest."""

from __future__ import annotations

import hashlib
import os
import pickle
import platform
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from cathrt.runtime.bundle.files import opened_folder
from cathrt.runtime.bundle.manifest import Artifact, DeclaredTensor
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.bundle.verified_file import verified_files
from cathrt.runtime.config import EngineConfig
from cathrt.runtime.engines import ENGINES, cpu, open_engine
from cathrt.runtime.engines import onnxruntime as ort_engine
from cathrt.runtime.engines import openvino as ov_engine
from cathrt.runtime.engines.request import NetworkRequest
from cathrt.runtime.engines.silent_openvino import ov
from cathrt.runtime.errors import EngineError, ManifestError
from cathrt.runtime.models.keyframe.finding import KeyframeModel
from cathrt.runtime.models.keyframe.section import CLASSIFIER
from tests.golden import HEAD, INPUT, KERNEL, OUTPUT, conv_model, conv_reference, golden_frame, golden_manifest

MODEL = conv_model().SerializeToString()
ONE_THREAD = EngineConfig(threads=1)
BOTH = pytest.mark.parametrize("name", ["openvino", "onnxruntime"])


@pytest.fixture
def unchecked(tmp_path: Path) -> Any:
    """Makes Bundles that open_bundle never saw: engines must stand files that no check has sorted out."""

    def make(payload: dict[str, bytes], **artifacts: Artifact) -> Bundle:
        for name, data in payload.items():
            (tmp_path / name).write_bytes(data)
        digests = {name: hashlib.sha256(data).hexdigest() for name, data in payload.items()}
        with opened_folder(tmp_path) as folder:
            files = verified_files(folder, digests, hard_links=False)
        return Bundle(tmp_path, replace(golden_manifest(**artifacts), files=digests), "0" * 64, "0" * 64, files)

    return make


BROKEN = {
    "empty": b"",
    "zeros": b"\x00" * 100,
    "noise": np.random.default_rng(1).bytes(500),
    "text": b"hello there",
    "pickle": pickle.dumps({"weights": KERNEL}),
    "half": MODEL[: len(MODEL) // 2],
    "unknown operator": MODEL.replace(b"Relu", b"Rela"),
}


@BOTH
@pytest.mark.parametrize("fault", BROKEN)
def test_a_file_that_is_no_network_is_an_engine_error(unchecked: Any, name: str, fault: str) -> None:
    with pytest.raises(EngineError, match=f"{name}: model.onnx cannot be") as caught:
        open_engine(name, unchecked({"model.onnx": BROKEN[fault]}), CLASSIFIER, ONE_THREAD)
    assert caught.value.__cause__ is not None
    assert "Exception from src" not in str(caught.value)


def test_onnxruntime_refuses_an_opset_that_it_does_not_know(unchecked: Any) -> None:
    model = conv_model(opset=99).SerializeToString()
    with pytest.raises(EngineError, match=r"onnxruntime: model\.onnx cannot be loaded"):
        open_engine("onnxruntime", unchecked({"model.onnx": model}), CLASSIFIER, ONE_THREAD)


@BOTH
def test_the_message_says_what_the_vendor_could_not_do(unchecked: Any, name: str) -> None:
    with pytest.raises(EngineError, match=r"cannot be .*: .*Rela"):
        open_engine(name, unchecked({"model.onnx": BROKEN["unknown operator"]}), CLASSIFIER, ONE_THREAD)


@BOTH
def test_a_network_with_bfloat16_tensors_is_refused(unchecked: Any, name: str) -> None:
    model = conv_model()
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.BFLOAT16
    last = model.graph.node[-1]
    last.output[0] = "float_logits"
    model.graph.node.append(helper.make_node("Cast", ["float_logits"], [OUTPUT], to=TensorProto.BFLOAT16))
    with pytest.raises(EngineError, match=f"{name}: tensor logits is .*bf(loat)?16.*, expected one of"):
        open_engine(name, unchecked({"model.onnx": model.SerializeToString()}), CLASSIFIER, ONE_THREAD)


@BOTH
def test_a_file_that_changed_since_the_bundle_was_opened_does_not_run(unchecked: Any, name: str) -> None:
    bundle = unchecked({"model.onnx": MODEL})
    (bundle.path / "model.onnx").write_bytes(conv_model(opset=13).SerializeToString())
    with pytest.raises(ManifestError, match="changed after"):
        open_engine(name, bundle, CLASSIFIER, ONE_THREAD)


@BOTH
def test_nan_weights_load_and_the_model_layer_gives_no_result(unchecked: Any, name: str) -> None:
    # In the last product: OpenVINO's ReLU turns NaN into 0, so those of the convolution would be lost, not shown.
    head = numpy_helper.from_array(np.full_like(HEAD, np.nan), "head")
    model = conv_model(head=head).SerializeToString()
    engine = open_engine(name, unchecked({"model.onnx": model}), CLASSIFIER, ONE_THREAD)
    with pytest.raises(EngineError, match="expected finite logits"):
        KeyframeModel(golden_manifest().model).finding(engine.infer({INPUT: golden_frame()}), engine.name)


@BOTH
def test_a_network_of_unknown_batch_size_is_refused(unchecked: Any, name: str) -> None:
    model = conv_model(batch="N").SerializeToString()
    with pytest.raises(EngineError, match="expected a static one"):
        open_engine(name, unchecked({"model.onnx": model}), CLASSIFIER, ONE_THREAD)


def declaring(bundle: Bundle, **tensors: Any) -> Bundle:
    """The same bundle whose manifest declares other tensors."""
    network = replace(bundle.manifest.network(CLASSIFIER), **tensors)
    return replace(bundle, manifest=replace(bundle.manifest, networks={CLASSIFIER: network}))


@BOTH
def test_every_difference_between_network_and_manifest_is_named(unchecked: Any, name: str) -> None:
    bundle = unchecked({"model.onnx": MODEL})
    inputs = (DeclaredTensor(INPUT, (1, 3, 64, 64), "float32"), DeclaredTensor("mask", (1,), "uint8"))
    outputs = (DeclaredTensor("scores", (1, 6), "float32"),)
    with pytest.raises(EngineError) as caught:
        open_engine(name, declaring(bundle, inputs=inputs, outputs=outputs), CLASSIFIER, ONE_THREAD)
    message = str(caught.value)
    assert "input frame is (1, 3, 32, 40) float32 in the network, (1, 3, 64, 64) float32 in the manifest" in message
    assert "input mask is in the manifest only" in message
    with pytest.raises(EngineError) as caught:
        open_engine(name, declaring(bundle, outputs=outputs), CLASSIFIER, ONE_THREAD)
    assert "output logits is in the network only; output scores is in the manifest only" in str(caught.value)


def test_an_unknown_engine_is_refused_with_the_names_there_are(unchecked: Any) -> None:
    with pytest.raises(EngineError, match=r"'fake' is unknown, there are \['onnxruntime', 'openvino', 'tensorrt"):
        open_engine("fake", unchecked({"model.onnx": MODEL}), CLASSIFIER, ONE_THREAD)


def test_an_engine_that_the_bundle_was_not_made_for_is_refused(unchecked: Any) -> None:
    bundle = unchecked({"model.onnx": MODEL}, openvino=Artifact("model.onnx", "float32"))
    with pytest.raises(EngineError, match=r"no artifact for onnxruntime, only for \['openvino'\]"):
        open_engine("onnxruntime", bundle, CLASSIFIER, ONE_THREAD)


@BOTH
def test_a_file_of_another_kind_is_refused_by_its_name(unchecked: Any, name: str) -> None:
    bundle = unchecked({"model.pt": MODEL}, **{name: Artifact("model.pt", "float32")})
    with pytest.raises(EngineError, match=f"{name}: model.pt is "):
        open_engine(name, bundle, CLASSIFIER, ONE_THREAD)


@BOTH
def test_float16_is_refused_on_a_cpu(unchecked: Any, name: str) -> None:
    bundle = unchecked({"model.onnx": MODEL}, **{name: Artifact("model.onnx", "float16")})
    with pytest.raises(EngineError, match="float16"):
        open_engine(name, bundle, CLASSIFIER, ONE_THREAD)


def test_onnxruntime_refuses_bfloat16(unchecked: Any) -> None:
    bundle = unchecked({"model.onnx": MODEL}, onnxruntime=Artifact("model.onnx", "bfloat16"))
    with pytest.raises(EngineError, match="asks for bfloat16"):
        open_engine("onnxruntime", bundle, CLASSIFIER, ONE_THREAD)


def test_openvino_runs_bfloat16_only_where_the_cpu_does(unchecked: Any) -> None:
    bundle = unchecked({"model.onnx": MODEL}, openvino=Artifact("model.onnx", "bfloat16"))
    if "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        frame = golden_frame()
        error = np.abs(
            open_engine("openvino", bundle, CLASSIFIER, ONE_THREAD).infer({INPUT: frame})[OUTPUT]
            - conv_reference(frame)
        )
        assert 1e-5 < error.max() < 0.1  # 8 bits of mantissa: neither float32 nor nonsense
    else:
        with pytest.raises(EngineError, match="must run in bfloat16, this CPU would run it in f32"):
            open_engine("openvino", bundle, CLASSIFIER, ONE_THREAD)


def test_openvino_runs_float32_in_float32_whatever_its_default(unchecked: Any) -> None:
    frame = golden_frame()
    logits = open_engine("openvino", unchecked({"model.onnx": MODEL}), CLASSIFIER, ONE_THREAD).infer({INPUT: frame})[
        OUTPUT
    ]
    assert np.abs(logits - conv_reference(frame)).max() < 1e-5  # bfloat16 would be off by 1e-3 and more


@BOTH
def test_int8_is_refused_where_its_sums_would_be_clipped(
    unchecked: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ov_engine, "sums_int8_exactly", lambda bits: bits == 7)
    monkeypatch.setattr(ort_engine, "sums_int8_exactly", lambda bits: bits == 7)
    model = conv_model(int8=True).SerializeToString()
    with pytest.raises(EngineError, match="no VNNI"):
        open_engine(
            name, unchecked({"model.onnx": model}, **{name: Artifact("model.onnx", "int8")}), CLASSIFIER, ONE_THREAD
        )


@BOTH
def test_int8_of_seven_bit_weights_runs_everywhere(unchecked: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ov_engine, "sums_int8_exactly", lambda bits: bits == 7)
    monkeypatch.setattr(ort_engine, "sums_int8_exactly", lambda bits: bits == 7)
    model = conv_model(int8=True, weight_range=63).SerializeToString()
    bundle = unchecked({"model.onnx": model}, **{name: Artifact("model.onnx", "int8", weight_bits=7)})
    frame = golden_frame()
    error = np.abs(
        open_engine(name, bundle, CLASSIFIER, ONE_THREAD).infer({INPUT: frame})[OUTPUT] - conv_reference(frame)
    ).max()
    assert 1e-5 < error < 0.03  # quantised, and no worse than that: steps of 1/63 of the largest weight


SEVEN_BITS = conv_model(int8=True, weight_range=63).SerializeToString()
BFLOAT16_REST = Artifact("model.onnx", "int8", weight_bits=7, rest="bfloat16")


def test_a_bfloat16_rest_runs_in_float32_where_the_cpu_has_no_bfloat16_and_says_so(
    unchecked: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ov_engine, "rest_here", lambda rest: "float32")
    bundle = unchecked({"model.onnx": SEVEN_BITS}, openvino=BFLOAT16_REST)
    plain = bundle.manifest.with_artifacts(CLASSIFIER, {"openvino": replace(BFLOAT16_REST, rest="float32")})
    found = open_engine("openvino", bundle, CLASSIFIER, ONE_THREAD)
    expected = open_engine("openvino", replace(bundle, manifest=plain), CLASSIFIER, ONE_THREAD)
    assert (found.name, expected.name) == ("openvino with float32 rest", "openvino")
    assert [record.message for record in caplog.records] == [
        "openvino: this CPU has no bfloat16 products, so the rest of model.onnx is computed in float32, in which it "
        "was qualified too; it takes longer"
    ]
    frame = golden_frame()
    assert found.infer({INPUT: frame})[OUTPUT].tobytes() == expected.infer({INPUT: frame})[OUTPUT].tobytes()


@pytest.mark.skipif(not cpu.multiplies_bfloat16(), reason="this CPU has no bfloat16 products")
def test_a_bfloat16_rest_runs_in_bfloat16_under_the_engines_plain_name(unchecked: Any) -> None:
    bundle = unchecked({"model.onnx": SEVEN_BITS}, openvino=BFLOAT16_REST)
    engine = open_engine("openvino", bundle, CLASSIFIER, ONE_THREAD)
    frame = golden_frame()
    assert engine.name == "openvino"
    assert np.abs(engine.infer({INPUT: frame})[OUTPUT] - conv_reference(frame)).max() < 0.06


@pytest.mark.skipif("BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"), reason="OpenVINO has bf16")
def test_a_bfloat16_rest_that_openvino_does_not_compute_is_an_error(
    unchecked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ov_engine, "rest_here", lambda rest: rest)
    bundle = unchecked({"model.onnx": SEVEN_BITS}, openvino=BFLOAT16_REST)
    with pytest.raises(EngineError, match="must run in int8 with bfloat16 rest, this CPU would run it in f32"):
        open_engine("openvino", bundle, CLASSIFIER, ONE_THREAD)


@pytest.mark.skipif(platform.machine() != "x86_64" or cpu.sums_int8_exactly(), reason="needs x86 without VNNI")
def test_without_vnni_openvino_clips_int8_sums_which_is_why_it_is_refused(
    unchecked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ov_engine, "sums_int8_exactly", lambda bits: True)
    model = conv_model(int8=True).SerializeToString()
    bundle = unchecked({"model.onnx": model}, openvino=Artifact("model.onnx", "int8"))
    frame = golden_frame()
    error = np.abs(
        open_engine("openvino", bundle, CLASSIFIER, ONE_THREAD).infer({INPUT: frame})[OUTPUT] - conv_reference(frame)
    ).max()
    assert error > 0.03


def test_openvino_opens_ir_with_the_weights_beside_it(unchecked: Any, tmp_path: Path) -> None:
    ov.save_model(ov.Core().read_model(MODEL), tmp_path / "saved.xml", compress_to_fp16=False)
    payload = {"net.xml": (tmp_path / "saved.xml").read_bytes(), "net.bin": (tmp_path / "saved.bin").read_bytes()}
    engine = open_engine(
        "openvino", unchecked(payload, openvino=Artifact("net.xml", "float32")), CLASSIFIER, ONE_THREAD
    )
    frame = golden_frame()
    np.testing.assert_allclose(engine.infer({INPUT: frame})[OUTPUT], conv_reference(frame), rtol=0, atol=1e-5)


def test_openvino_refuses_ir_whose_weights_are_cut_short(unchecked: Any, tmp_path: Path) -> None:
    ov.save_model(ov.Core().read_model(MODEL), tmp_path / "saved.xml", compress_to_fp16=False)
    payload = {"net.xml": (tmp_path / "saved.xml").read_bytes(), "net.bin": b"\x00" * 16}
    with pytest.raises(EngineError, match=r"net\.xml cannot be compiled"):
        open_engine("openvino", unchecked(payload, openvino=Artifact("net.xml", "float32")), CLASSIFIER, ONE_THREAD)


def test_openvino_refuses_onnx_under_the_name_of_ir(unchecked: Any) -> None:
    payload = {"net.xml": MODEL, "net.bin": b""}
    with pytest.raises(EngineError, match=r"net\.xml is not XML"):
        open_engine("openvino", unchecked(payload, openvino=Artifact("net.xml", "float32")), CLASSIFIER, ONE_THREAD)


@BOTH
def test_no_thread_count_means_the_cpu_quota(unchecked: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    opener = ENGINES[name]

    def watch(request: NetworkRequest) -> Any:
        asked.append(request.config.threads)
        return opener(request)

    monkeypatch.setitem(ENGINES, name, watch)
    open_engine(name, unchecked({"model.onnx": MODEL}), CLASSIFIER, EngineConfig()).close()
    open_engine(name, unchecked({"model.onnx": MODEL}), CLASSIFIER, ONE_THREAD).close()
    assert asked == [cpu.cpu_quota(), 1]


@BOTH
def test_inferring_does_not_move_the_callers_thread_to_fewer_cpus(unchecked: Any, name: str) -> None:
    before = os.sched_getaffinity(0)
    open_engine(name, unchecked({"model.onnx": MODEL}), CLASSIFIER, ONE_THREAD).infer({INPUT: golden_frame()})
    assert os.sched_getaffinity(0) == before
