"""ONNX Runtime's providers for a GPU: never another one than asked for, fed where our kernels write, lost aloud.

What the installed ONNX Runtime refuses is asked of it; the rest runs on the fake device with a stand-in for
onnxruntime-gpu. No provider has run on a GPU here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cathrt.kernels.cuda.stream import CudaError, DeviceLostError
from cathrt.runtime.bundle.manifest import Artifact
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import EngineConfig
from cathrt.runtime.engines import onnxruntime_device, open_engine
from cathrt.runtime.engines.device_engine import DeviceEngine
from cathrt.runtime.engines.device_frames import DeviceFrameStep
from cathrt.runtime.engines.onnxruntime_device import open_onnxruntime_on_device
from cathrt.runtime.engines.onnxruntime_session import Provider, open_session
from cathrt.runtime.engines.request import NetworkRequest
from cathrt.runtime.errors import EngineError, EngineLostError
from cathrt.runtime.frame_step import frame_step
from cathrt.runtime.models.keyframe.section import CLASSIFIER
from tests.emulation.stream import EmulatedStream, emulated
from tests.engines import gpu
from tests.engines.fake_onnxruntime import NAMES
from tests.engines.gpu import Machine
from tests.engines.test_device_frames import SPEC, TOLERANCE, on_the_cpu, pixels_of, run_of
from tests.golden import INPUT, OUTPUT, conv_reference, golden_frame

CUDA = EngineConfig("onnxruntime", threads=1, provider="cuda")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return gpu.bundle_with_plans(tmp_path_factory.mktemp("model") / "bundle")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return gpu.machine(monkeypatch)


def request_for(bundle: Bundle, config: EngineConfig = CUDA) -> NetworkRequest:
    return NetworkRequest.of(bundle, CLASSIFIER, "onnxruntime", config)


def opened_on(bundle: Bundle, config: EngineConfig = CUDA) -> DeviceEngine[Any]:
    return open_onnxruntime_on_device(request_for(bundle, config))


@pytest.mark.parametrize("provider", NAMES)
def test_a_provider_that_the_installed_onnxruntime_lacks_is_an_error_and_never_the_cpu(
    bundle: Bundle, provider: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnxruntime_device, "probe_in_child", lambda: gpu.ADA)
    with pytest.raises(EngineError, match=rf"'CPUExecutionProvider'\], expected {NAMES[provider]}: pip uninstall"):
        opened_on(bundle, replace(CUDA, provider=provider))


def test_nodes_that_a_provider_leaves_to_the_cpu_are_an_error(bundle: Bundle) -> None:
    # The CPU package has one provider beside the CPU's. It takes no node of this graph.
    with pytest.raises(EngineError, match="cannot be loaded by AzureExecutionProvider"):
        open_session(request_for(bundle), Provider("AzureExecutionProvider", {}))


def test_a_library_that_is_no_provider_is_an_error(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "provider.so").write_bytes(b"no library")
    with pytest.raises(EngineError, match=r"cannot be loaded by CUDAExecutionProvider: .*provider.so"):
        open_session(request_for(bundle), Provider(NAMES["cuda"], {}, str(tmp_path / "provider.so")))


def test_without_a_driver_the_line_says_so_before_onnxruntime_is_asked(bundle: Bundle) -> None:
    with pytest.raises(EngineError, match="no NVIDIA driver"):
        open_engine("onnxruntime", bundle, CLASSIFIER, CUDA)


@pytest.mark.parametrize("provider", NAMES)
def test_the_session_is_of_the_provider_asked_for_on_our_device_in_the_graphs_precision(
    bundle: Bundle, machine: Machine, provider: Any
) -> None:
    engine = opened_on(bundle, replace(CUDA, provider=provider, provider_options=("arena_extend_strategy=kSame",)))
    ((name, options),) = machine.ort.opened
    assert (engine.name, name) == (f"onnxruntime on {provider}", NAMES[provider])
    assert options["device_id"] == "0"
    assert options["arena_extend_strategy"] == "kSame"
    off = {"cuda": "use_tf32", "tensorrt": "trt_fp16_enable", "nv_tensorrt_rtx": "enable_cuda_graph"}
    assert options[off[provider]] == "0"
    frame = golden_frame()
    np.testing.assert_allclose(engine.infer({INPUT: frame})[OUTPUT], conv_reference(frame), rtol=0, atol=1e-5)
    engine.close()
    assert machine.device.idle


def test_libraries_of_a_provider_that_do_not_load_are_an_error(bundle: Bundle, machine: Machine) -> None:
    machine.ort.faults.add("load")
    with pytest.raises(EngineError, match=r"runs on \['CPUExecutionProvider'\], expected CUDAExecutionProvider first"):
        opened_on(bundle)
    assert machine.device.idle


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("device_id=1", "cathrt chooses device and stream"),
        ("use_tf32=1", "the bundle the precision"),
        ("user_compute_stream=0", "cathrt chooses device and stream"),
        ("gpu_mem_limit", "expected NAME=VALUE"),
        ("=3", "expected NAME=VALUE"),
    ],
)
def test_an_option_that_is_not_the_users_or_cannot_be_read_is_refused(
    bundle: Bundle, machine: Machine, option: str, reason: str
) -> None:
    with pytest.raises(EngineError, match=reason):
        opened_on(bundle, replace(CUDA, provider_options=(option,)))
    assert not machine.ort.opened


def test_an_option_named_twice_is_refused(bundle: Bundle, machine: Machine) -> None:
    with pytest.raises(EngineError, match="each name once"):
        opened_on(bundle, replace(CUDA, provider_options=("gpu_mem_limit=1", "gpu_mem_limit=2")))


def test_a_precision_that_the_providers_choose_by_flags_is_refused(bundle: Bundle, machine: Machine) -> None:
    int8 = bundle.manifest.with_artifacts(CLASSIFIER, {"onnxruntime": Artifact("model.onnx", "int8")})
    with pytest.raises(EngineError, match=r"is int8, expected float32: .* use the engine tensorrt-rtx"):
        opened_on(replace(bundle, manifest=int8))
    assert not machine.ort.opened


def test_a_plugin_is_registered_once_and_its_gpu_chosen(bundle: Bundle, machine: Machine) -> None:
    machine.ort.plugin = NAMES["nv_tensorrt_rtx"]
    config = replace(CUDA, provider="nv_tensorrt_rtx", provider_library="/opt/ep.so")
    for _ in range(2):
        opened_on(bundle, config).close()
    assert list(machine.ort.registered.values()) == ["/opt/ep.so"]
    assert [name for name, _ in machine.ort.opened] == [NAMES["nv_tensorrt_rtx"]] * 2


def test_a_plugin_without_a_gpu_of_its_own_is_an_error(bundle: Bundle, machine: Machine) -> None:
    config = replace(CUDA, provider="nv_tensorrt_rtx", provider_library="/opt/ep.so")
    with pytest.raises(EngineError, match=r"'CPUExecutionProvider on CPU'.*, expected NvTensorRTRTX.* on GPU"):
        opened_on(bundle, config)


@pytest.mark.parametrize("fault", ["run", "sync"])
def test_a_run_that_fails_is_an_engine_error_and_the_engine_goes_on(
    bundle: Bundle, machine: Machine, fault: str
) -> None:
    engine = opened_on(bundle)
    machine.ort.faults.add(fault)
    with pytest.raises(EngineError, match=r"onnxruntime on cuda: inference failed: CUD.* failure") as raised:
        engine.infer({INPUT: golden_frame()})
    assert not isinstance(raised.value, EngineLostError)
    machine.ort.faults.clear()
    engine.infer({INPUT: golden_frame()})
    engine.close()


def test_a_device_lost_while_the_provider_runs_is_a_lost_engine(bundle: Bundle, machine: Machine) -> None:
    engine = opened_on(bundle)
    machine.ort.faults.add("run")
    machine.device.fail("query", 0, DeviceLostError("cuStreamQuery ended with CUDA_ERROR_LAUNCH_FAILED"))
    with pytest.raises(EngineLostError, match="the device is lost: cuStreamQuery"):
        engine.infer({INPUT: golden_frame()})
    engine.close()
    assert machine.device.idle


@pytest.mark.parametrize("call", ["open_stream", "allocate", "pinned", "upload", "download", "synchronise"])
def test_a_driver_call_that_fails_while_opening_leaves_nothing_behind(
    bundle: Bundle, machine: Machine, call: str
) -> None:
    machine.device.fail(call, 0, CudaError(f"{call} ended with CUDA_ERROR_OUT_OF_MEMORY"))
    with pytest.raises(EngineError, match=r"onnxruntime on cuda: .*OUT_OF_MEMORY"):
        opened_on(bundle)
    assert machine.device.idle


@pytest.fixture(scope="module")
def below() -> Iterator[EmulatedStream]:
    with emulated("plain") as stream:
        yield stream


@contextmanager
def stepping(bundle: Bundle, below: EmulatedStream) -> Iterator[tuple[DeviceEngine[Any], Machine]]:
    with pytest.MonkeyPatch.context() as patch:
        machine = gpu.machine(patch, below=below)
        engine = opened_on(bundle)
        yield engine, machine
        engine.close()
        assert machine.device.idle


@pytest.mark.parametrize("bits", [8, 12])
def test_the_provider_reads_what_our_kernels_wrote_without_a_copy(
    bundle: Bundle, below: EmulatedStream, bits: int
) -> None:
    run = run_of(bits)
    frames = [pixels_of(run, seed) for seed in range(3)]
    with stepping(bundle, below) as (engine, machine):
        step = frame_step(engine, run, [SPEC], lambda: 0)
        assert isinstance(step, DeviceFrameStep)
        for pixels, expected in zip(frames, on_the_cpu(run, frames), strict=True):
            before = machine.device.calls.copy()
            outputs = step(pixels).outputs
            assert outputs is not None
            np.testing.assert_allclose(outputs[OUTPUT], expected, rtol=0, atol=TOLERANCE)
            done = machine.device.calls - before
            # Preprocessing is recorded, the provider is called once, and only the outputs are copied.
            assert (done["replay"], done["run_with_iobinding"], done["download"], done["upload"]) == (1, 1, 1, 0)


def test_runs_alike_share_a_step_and_another_kind_replaces_it(bundle: Bundle, below: EmulatedStream) -> None:
    with stepping(bundle, below) as (engine, _):
        now = lambda: 0  # noqa: E731  (the same clock for all)
        first = engine.frame_step(run_of(8), [SPEC], now)
        assert engine.frame_step(run_of(8), [SPEC], now) is first
        assert engine.frame_step(run_of(12), [SPEC], now) is not first


def test_keeping_warm_runs_the_network_and_notices_a_lost_device(bundle: Bundle, machine: Machine) -> None:
    engine = opened_on(bundle)
    before = machine.device.calls["run_with_iobinding"]
    engine.keep_warm()
    assert machine.device.calls["run_with_iobinding"] == before + 1
    machine.device.fail("synchronise", 0, DeviceLostError("cuStreamQuery ended with CUDA_ERROR_ECC_UNCORRECTABLE"))
    with pytest.raises(EngineLostError, match="ECC"):
        engine.keep_warm()
    engine.close()


def test_the_line_opens_it_under_a_deadline_and_a_name_of_its_own(bundle: Bundle, machine: Machine) -> None:
    engine = open_engine("onnxruntime", bundle, CLASSIFIER, CUDA)
    assert (engine.name, CUDA.label) == ("onnxruntime on cuda",) * 2
    engine.close()
    assert machine.device.idle
    assert replace(CUDA, provider="cpu").label == "onnxruntime"
    assert EngineConfig("openvino", provider="cuda").label == "openvino"
