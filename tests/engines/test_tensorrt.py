"""The TensorRT engine on a fake device: what it asks of TensorRT, and what it makes of every refusal."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cathrt.kernels.cuda.stream import CudaError, DeviceLostError
from cathrt.runtime.bundle.fingerprint import Device, Target
from cathrt.runtime.bundle.manifest import Artifact, DeclaredTensor, Manifest, PlanFile
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import EngineConfig
from cathrt.runtime.engines import open_engine, tensorrt_plan
from cathrt.runtime.engines.request import NetworkRequest
from cathrt.runtime.engines.tensorrt import TensorRtEngine, open_tensorrt
from cathrt.runtime.errors import EngineError, EngineLostError
from cathrt.runtime.models.keyframe.section import CLASSIFIER
from cathrt.runtime.tensor import TensorSpec
from tests.engines import gpu
from tests.engines.gpu import Machine
from tests.golden import INPUT, OUTPUT, conv_reference, golden_frame, golden_manifest

BOTH = pytest.mark.parametrize("target", ["tensorrt", "tensorrt-rtx"])


def with_input(spec: TensorSpec) -> Manifest:
    """The golden manifest whose network reads another tensor."""
    manifest = golden_manifest()
    network = replace(manifest.network(CLASSIFIER), inputs=(DeclaredTensor(spec.name, spec.shape, spec.dtype),))
    return replace(manifest, networks={CLASSIFIER: network})


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return gpu.bundle_with_plans(tmp_path_factory.mktemp("plans") / "bundle")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return gpu.machine(monkeypatch)


def opened(bundle: Bundle, target: Target = "tensorrt") -> TensorRtEngine:
    return open_tensorrt(target, NetworkRequest.of(bundle, CLASSIFIER, target, EngineConfig(threads=1)))


@BOTH
def test_a_frame_is_one_replay_and_one_wait(bundle: Bundle, machine: Machine, target: Target) -> None:
    engine = opened(bundle, target)
    executions, before = machine.modules[target].contexts[0].executions, machine.device.calls.copy()
    for seed in range(5):
        logits = engine.infer({INPUT: golden_frame(seed)})[OUTPUT]
        np.testing.assert_allclose(logits, conv_reference(golden_frame(seed)), rtol=0, atol=1e-5)
    assert machine.device.calls - before == {"replay": 5, "synchronise": 5}
    assert machine.modules[target].contexts[0].executions == executions, "a frame goes through the recorded graph"


def test_everything_a_frame_needs_was_done_once_before_it_was_recorded(bundle: Bundle, machine: Machine) -> None:
    opened(bundle)
    assert machine.trt.contexts[0].executions == 3, "two warm-ups, one recording"
    assert machine.device.calls["capture"] == 1


def test_all_memory_is_given_back_by_close_and_none_before(bundle: Bundle, machine: Machine) -> None:
    engine = opened(bundle)
    held = machine.device.held_bytes
    engine.infer({INPUT: golden_frame()})
    assert machine.device.held_bytes == held > 0
    engine.close()
    assert machine.device.idle


def test_keeping_warm_runs_the_network_and_leaves_the_outputs_alone(bundle: Bundle, machine: Machine) -> None:
    engine = opened(bundle)
    logits = engine.infer({INPUT: golden_frame(1)})[OUTPUT]
    expected, executions = logits.copy(), machine.trt.contexts[0].executions
    engine.input_buffers[INPUT][...] = golden_frame(2)  # a frame being written is none of its business
    engine.keep_warm()
    assert machine.trt.contexts[0].executions == executions + 1
    assert logits.tobytes() == expected.tobytes()
    np.testing.assert_allclose(engine.infer(engine.input_buffers)[OUTPUT], conv_reference(golden_frame(2)), atol=1e-5)


def test_the_inspector_s_layers_come_out(bundle: Bundle, machine: Machine) -> None:
    assert [layer["Name"] for layer in opened(bundle).layers()] == ["conv"]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("Runtime", "tensorrt: cannot start: no memory for a runtime: check the driver"),
        ("Runtime null", "tensorrt: cannot start: CUDA initialization failure with error: 35: check the driver"),
        ("engine", r"plan\.tensorrt cannot be loaded: the plan is of another version: rebuild with cathrt export"),
        ("context", r"no execution context for plan\.tensorrt: out of memory: 12 GiB wanted: free device memory"),
        ("address", "tensor frame cannot be placed: the address is not aligned"),
        ("execute", "inference failed: enqueueV3: cask convolution failed$"),
        ("location", r"tensor frame of plan\.tensorrt is read on the host, expected on the device"),
        ("format", "is laid out as Thirty-two wide channel vectorized row major, expected rows one after another"),
    ],
)
def test_whatever_tensorrt_refuses_is_an_engine_error_with_its_own_words(
    bundle: Bundle, machine: Machine, fault: str, message: str
) -> None:
    machine.trt.faults.add(fault)
    with pytest.raises(EngineError, match=message) as caught:
        opened(bundle)
    assert "warning" not in str(caught.value)
    assert machine.device.idle, "what was allocated until then must be freed"


def test_what_was_logged_for_an_earlier_failure_is_not_told_again(bundle: Bundle, machine: Machine) -> None:
    machine.trt.faults.add("context")
    with pytest.raises(EngineError, match="12 GiB"):
        opened(bundle)
    machine.trt.faults.clear()
    engine = opened(bundle)
    machine.trt.faults.add("execute")
    with pytest.raises(EngineError) as caught:
        engine.keep_warm()
    assert str(caught.value) == "tensorrt: inference failed: enqueueV3: cask convolution failed"


def test_an_engine_outlives_a_pass_that_tensorrt_refused(bundle: Bundle, machine: Machine) -> None:
    engine = opened(bundle)
    machine.trt.faults.add("execute")
    with pytest.raises(EngineError) as caught:
        engine.keep_warm()
    assert not isinstance(caught.value, EngineLostError)
    machine.trt.faults.clear()
    np.testing.assert_allclose(engine.infer({INPUT: golden_frame()})[OUTPUT], conv_reference(golden_frame()), atol=1e-5)


OPENING = ("open_stream", "allocate", "pinned", "upload", "download", "synchronise", "capture")


@pytest.mark.parametrize("call", OPENING)
@pytest.mark.parametrize("lost", [False, True])
def test_a_driver_that_refuses_any_call_of_the_opening_leaves_nothing_behind(
    bundle: Bundle, machine: Machine, call: str, lost: bool
) -> None:
    opened(bundle).close()
    times = machine.device.calls[call]
    assert times > 0
    for nth in range(times):
        machine.device.fail(call, nth, DeviceLostError("gone") if lost else CudaError("no more of it"))
        with pytest.raises(EngineLostError if lost else EngineError, match=r"tensorrt: .*(no more of it|gone)"):
            opened(bundle)
        assert machine.device.idle
        machine.device.lost = None
    opened(bundle).close()


@pytest.mark.parametrize("call", ["replay", "synchronise"])
def test_a_lost_device_is_known_within_the_frame_and_ever_after(bundle: Bundle, machine: Machine, call: str) -> None:
    engine = opened(bundle)
    machine.device.fail(call, 2, DeviceLostError("cuStreamSynchronize: CUDA_ERROR_ILLEGAL_ADDRESS"))
    for seed in range(2):
        engine.infer({INPUT: golden_frame(seed)})
    for _ in range(3):
        with pytest.raises(EngineLostError, match=r"tensorrt: the device is lost: .*ILLEGAL_ADDRESS"):
            engine.infer({INPUT: golden_frame()})
    with pytest.raises(EngineLostError):
        engine.keep_warm()
    engine.close()
    assert machine.device.idle


def test_a_refusal_of_tensorrt_s_with_a_lost_device_behind_it_is_a_loss(bundle: Bundle, machine: Machine) -> None:
    engine = opened(bundle)
    machine.trt.faults.add("execute")
    machine.device.fail("query", 0, DeviceLostError("CUDA_ERROR_ECC_UNCORRECTABLE"))
    with pytest.raises(EngineLostError, match="ECC_UNCORRECTABLE"):
        engine.keep_warm()


def test_a_driver_that_refuses_one_frame_fails_that_frame_alone(bundle: Bundle, machine: Machine) -> None:
    engine = opened(bundle)
    machine.device.fail("replay", 0, CudaError("cuGraphLaunch: CUDA_ERROR_OUT_OF_MEMORY"))
    with pytest.raises(EngineError, match="OUT_OF_MEMORY"):
        engine.infer({INPUT: golden_frame()})
    np.testing.assert_allclose(engine.infer({INPUT: golden_frame()})[OUTPUT], conv_reference(golden_frame()), atol=1e-5)


def test_without_a_driver_tensorrt_is_not_even_imported(
    bundle: Bundle, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody() -> Device:
        raise EngineError("no NVIDIA driver: libcuda.so.1 cannot be loaded")

    monkeypatch.setattr(tensorrt_plan, "probe_in_child", nobody)
    monkeypatch.setattr(tensorrt_plan, "import_module", lambda name: pytest.fail(f"{name} was imported"))
    with pytest.raises(EngineError, match="no NVIDIA driver"):
        opened(bundle)


@BOTH
def test_a_missing_package_is_named_with_the_way_to_get_it(
    bundle: Bundle, machine: Machine, monkeypatch: pytest.MonkeyPatch, target: Target
) -> None:
    monkeypatch.setitem(sys.modules, gpu.MODULES[target], None)
    with pytest.raises(
        EngineError, match=f"{target}: {gpu.MODULES[target]} cannot be imported .*: pip install {target}"
    ):
        opened(bundle, target)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (gpu.plan(sm=(86, 120)), r"plan built for SM 8\.6, 12\.0, this device \(NVIDIA RTX 4000\) is SM 8\.9"),
        (gpu.plan(version="10.16.1.11"), r"plan built by tensorrt 10\.16\.1\.11, this machine has 11\.4\.0\.106"),
        (None, r"the bundle has no plan of model\.onnx: build one with cathrt export keyframe .* --sm 89"),
    ],
)
def test_a_plan_that_does_not_fit_is_refused_before_nvidia_s_code_sees_it(
    tmp_path: Path, machine: Machine, changed: PlanFile | None, message: str
) -> None:
    artifact = Artifact("model.onnx", "float32", (changed,) if changed else ())
    bundle = gpu.bundle_with_plans(tmp_path / "bundle", golden_manifest(**{"tensorrt": artifact}))
    machine.trt.Runtime = lambda logger: pytest.fail("the runtime was asked")
    with pytest.raises(EngineError, match=message):
        open_engine("tensorrt", bundle, CLASSIFIER, EngineConfig("tensorrt"))


def test_of_several_plans_that_fit_the_one_for_the_fewest_devices_is_taken() -> None:
    def listed(*sm: int) -> PlanFile:
        return replace(gpu.plan(sm=sm), file=f"plan.sm{'-'.join(map(str, sm))}")

    plans = (listed(86, 89, 120), listed(89), listed(75))
    assert tensorrt_plan.plan_for("tensorrt", Artifact("m", "float32", plans), gpu.ADA).file == "plan.sm89"
    blackwell = Device("NVIDIA RTX 5000", 120, "13.1")
    assert tensorrt_plan.plan_for("tensorrt", Artifact("m", "float32", plans), blackwell).file == "plan.sm86-89-120"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (TensorSpec(INPUT, (-1, 3, 32, 40), "float32"), r"has shape \(-1, 3, 32, 40\), expected a static one"),
        (TensorSpec(INPUT, (1, 3, 32, 40), "bfloat16"), "is BF16, expected one of .*FLOAT"),
    ],
)
def test_a_tensor_that_the_line_cannot_feed_is_refused(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, spec: TensorSpec, message: str
) -> None:
    machine = gpu.machine(monkeypatch, manifest=with_input(spec))
    with pytest.raises(EngineError, match=message):
        opened(bundle)
    assert machine.device.idle


def test_a_plan_whose_tensors_are_not_the_manifest_s_is_refused_and_closed(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    narrow = TensorSpec(INPUT, (1, 3, 32, 32), "float32")
    machine = gpu.machine(monkeypatch, manifest=with_input(narrow), compute=lambda inputs, outputs: None)
    with pytest.raises(EngineError, match=r"input frame is \(1, 3, 32, 32\) float32 in the network"):
        open_engine("tensorrt", bundle, CLASSIFIER, EngineConfig("tensorrt"))
    assert machine.device.idle
