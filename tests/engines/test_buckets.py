"""Engines for one of several shapes: what is open in the graph or plan is set, what is not there is refused by name."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from cathrt.runtime.bundle.files import opened_folder
from cathrt.runtime.bundle.onnx_external import check_external
from cathrt.runtime.bundle.onnx_file import check_onnx
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.bundle.verified_file import verified_files
from cathrt.runtime.config import EngineConfig
from cathrt.runtime.engines import open_engine
from cathrt.runtime.errors import EngineError, ManifestError
from cathrt.runtime.models.keyframe.section import CLASSIFIER
from tests.engines import gpu
from tests.golden import HEAD, INPUT, KERNEL, OUTPUT, conv_model, conv_reference, golden_frame, with_external_data

ONE_THREAD = EngineConfig(threads=1)
BOTH = pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
GPU = pytest.mark.parametrize("name", ["tensorrt", "tensorrt-rtx"])


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., Bundle]:
    """Makes the bundle of buckets N=1 and N=4 with another graph in it."""

    def make(model: onnx.ModelProto, **files: bytes) -> Bundle:
        bundle = gpu.bundle_with_buckets(tmp_path / "bundle")
        payload = {"model.onnx": model.SerializeToString(), **files}
        for file, data in payload.items():
            (bundle.path / file).write_bytes(data)
        listed = {file: hashlib.sha256(data).hexdigest() for file, data in payload.items()}
        with opened_folder(bundle.path) as opened:
            verified = verified_files(opened, listed, hard_links=False)
        external = check_onnx("model.onnx", payload["model.onnx"]).external
        check_external("model.onnx", external, {file: len(data) for file, data in payload.items()})
        manifest = replace(bundle.manifest, files=listed)
        return replace(bundle, manifest=manifest, files=verified, external={"model.onnx": external})

    return make


def frames(count: int) -> np.ndarray[Any, Any]:
    return np.concatenate([golden_frame(seed) for seed in range(count)])


@BOTH
def test_the_buckets_of_one_network_give_the_same_for_the_same_frame(made: Callable[..., Bundle], name: str) -> None:
    bundle = made(conv_model(batch="N"))
    one = open_engine(name, bundle, CLASSIFIER, ONE_THREAD, {"N": 1})
    four = open_engine(name, bundle, CLASSIFIER, ONE_THREAD, {"N": 4})
    together = four.infer({INPUT: frames(4)})[OUTPUT]
    for number in range(4):
        alone = one.infer({INPUT: golden_frame(number)})[OUTPUT]
        np.testing.assert_allclose(alone[0], together[number], rtol=0, atol=1e-5)


@BOTH
@pytest.mark.parametrize("bucket", [None, {}, {"N": 2}, {"M": 1}, {"N": 1, "M": 1}], ids=str)
def test_a_bucket_that_the_manifest_has_not_is_a_manifest_error(
    made: Callable[..., Bundle], name: str, bucket: dict[str, int] | None
) -> None:
    with pytest.raises(
        ManifestError, match=r"network classifier: found bucket .*, there are \(\{'N': 1\}, \{'N': 4\}\)"
    ):
        open_engine(name, made(conv_model(batch="N")), CLASSIFIER, ONE_THREAD, bucket)


@BOTH
def test_a_graph_of_another_fixed_size_is_refused_by_name_and_not_reshaped(
    made: Callable[..., Bundle], name: str
) -> None:
    bundle = made(conv_model())
    open_engine(name, bundle, CLASSIFIER, ONE_THREAD, {"N": 1})
    with pytest.raises(EngineError, match=rf"{name}, bucket .'N': 4.: .*frame.*4.*export"):
        open_engine(name, bundle, CLASSIFIER, ONE_THREAD, {"N": 4})


@BOTH
def test_a_graph_whose_constants_fix_the_size_is_refused(made: Callable[..., Bundle], name: str) -> None:
    """Its input is open, its output is of one frame whatever it is fed."""
    model = conv_model(batch="N")
    model.graph.node[-1].output[0] = "all"
    for key, value in (("from", 0), ("to", 1)):
        model.graph.initializer.append(numpy_helper.from_array(np.array([value], np.int64), key))
    model.graph.node.append(helper.make_node("Slice", ["all", "from", "to"], [OUTPUT]))
    size = model.graph.output[0].type.tensor_type.shape.dim[0]
    size.ClearField("dim_param")
    size.dim_value = 1
    bundle = made(model)
    open_engine(name, bundle, CLASSIFIER, ONE_THREAD, {"N": 1})
    with pytest.raises(EngineError, match=rf"{name}, bucket .'N': 4.: output logits is \(1, 6\).*\(4, 6\)"):
        open_engine(name, bundle, CLASSIFIER, ONE_THREAD, {"N": 4})


def test_onnxruntime_sets_sizes_by_name_and_refuses_a_graph_that_calls_them_otherwise(
    made: Callable[..., Bundle],
) -> None:
    bundle = made(conv_model(batch="batch"))
    with pytest.raises(EngineError, match=r"tensor frame has shape \['batch', 3, 32, 40\], expected a static one"):
        open_engine("onnxruntime", bundle, CLASSIFIER, ONE_THREAD, {"N": 4})


@BOTH
def test_engines_of_two_buckets_read_the_same_mapped_weights(made: Callable[..., Bundle], name: str) -> None:
    moved, data = with_external_data(conv_model(batch="N"))
    bundle = made(moved, **{"weights.bin": data})
    opened = [open_engine(name, bundle, CLASSIFIER, ONE_THREAD, {"N": count}) for count in (1, 4)]
    starts = [bundle.external_data(tensor).ctypes.data for tensor in bundle.external["model.onnx"]]
    for engine, count in zip(opened, (1, 4), strict=True):
        assert addresses(engine) == starts
        logits = engine.infer({INPUT: frames(count)})[OUTPUT]
        np.testing.assert_allclose(logits, conv_reference(frames(count)), rtol=0, atol=1e-5)
    assert bundle.mapped("weights.bin").size == 4096 + KERNEL.nbytes > HEAD.nbytes


def addresses(engine: Any) -> list[int]:
    held = engine._weights
    values = held.values() if isinstance(held, Mapping) else held
    return [value.data_ptr() if hasattr(value, "data_ptr") else value.ctypes.data for value in values]


@GPU
@pytest.mark.parametrize(
    ("profiles", "chosen"),
    [
        ([(1, 1, 1), (4, 4, 4)], 1),
        ([(1, 2, 8), (2, 4, 8)], 1),
        ([(2, 4, 8), (1, 4, 8)], 0),
        ([(1, 1, 1), (1, 2, 8)], 1),
        ([(1, 8, 8)], 0),
    ],
    ids=str,
)
def test_the_profile_that_holds_the_bucket_is_chosen_the_one_made_for_it_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: Any, profiles: list[tuple[int, int, int]], chosen: int
) -> None:
    machine = gpu.machine(monkeypatch, profiles=profiles)
    engine = open_engine(name, gpu.bundle_with_buckets(tmp_path / "bundle"), CLASSIFIER, EngineConfig(), {"N": 4})
    assert machine.modules[name].contexts[0].profile == chosen
    logits = engine.infer({INPUT: frames(4)})[OUTPUT]
    np.testing.assert_allclose(logits, conv_reference(frames(4)), rtol=0, atol=1e-5)
    engine.close()


@GPU
def test_a_plan_without_a_profile_for_the_bucket_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    gpu.machine(monkeypatch, profiles=[(1, 1, 1), (5, 6, 8)])
    message = (
        r"plan\.tensorrt.* has no profile for .'frame': \(4, 3, 32, 40\)., it has \['frame \(1, .*build it with one"
    )
    with pytest.raises(EngineError, match=message):
        open_engine(name, gpu.bundle_with_buckets(tmp_path / "bundle"), CLASSIFIER, EngineConfig(), {"N": 4})


@GPU
def test_a_plan_of_fixed_shapes_opens_for_the_bucket_it_is_of_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    gpu.machine(monkeypatch)
    bundle = gpu.bundle_with_buckets(tmp_path / "bundle")
    open_engine(name, bundle, CLASSIFIER, EngineConfig(), {"N": 1}).close()
    with pytest.raises(EngineError, match=rf"{name}, bucket .'N': 4.: input frame is \(1, .* in the network, \(4, "):
        open_engine(name, bundle, CLASSIFIER, EngineConfig(), {"N": 4})


@GPU
def test_a_shape_that_tensorrt_does_not_take_is_an_engine_error_with_its_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: Any
) -> None:
    machine = gpu.machine(monkeypatch, profiles=[(4, 4, 4)])
    machine.modules[name].faults.add("shape")
    with pytest.raises(EngineError, match=r"does not take .*: the shape is not in the profile"):
        open_engine(name, gpu.bundle_with_buckets(tmp_path / "bundle"), CLASSIFIER, EngineConfig(), {"N": 4})
    assert machine.device.idle
