"""An onnxruntime-gpu for tests: the installed ONNX Runtime, with a provider for the fake device in front of it.

The graph is computed on the CPU, between tensors that lie on the fake device (fake_device.py) and are bound by their
addresses, so data really flows, and only what was done before a run is seen by it. Not for: what a provider does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime as ort

from cathrt.kernels.cuda.stream import DeviceMemory
from tests.engines.fake_device import FakeDevice

NAMES = {
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "nv_tensorrt_rtx": "NvTensorRTRTXExecutionProvider",
}


@dataclass
class FakeOnnxRuntime:
    """Stands in for the module. What it lacks is the module's own.

    faults: what goes wrong of "load" (the provider's libraries are missing: the session is on the CPU), "run", "sync".
    opened: (providers, options) of each session. registered: libraries by name. has: the providers that are built in.
    """

    device: FakeDevice
    has: tuple[str, ...] = tuple(NAMES.values())
    faults: set[str] = field(default_factory=set)
    opened: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    registered: dict[str, str] = field(default_factory=dict)
    plugin: str = ""  # the name of the provider that a registered library brings

    def __getattr__(self, name: str) -> Any:
        return getattr(ort, name)

    def get_available_providers(self) -> list[str]:
        return [*self.has, *ort.get_available_providers()]

    def register_execution_provider_library(self, name: str, path: str) -> None:
        self.registered[name] = path

    def get_ep_devices(self) -> list[Any]:
        cpu = SimpleNamespace(ep_name="CPUExecutionProvider", device=_hardware(ort.OrtHardwareDeviceType.CPU))
        gpu = SimpleNamespace(ep_name=self.plugin, device=_hardware(ort.OrtHardwareDeviceType.GPU))
        return [cpu, gpu] if self.registered and self.plugin else [cpu]

    def SessionOptions(self) -> Any:  # noqa: N802  (ONNX Runtime's name)
        return _Options()

    def InferenceSession(  # noqa: N802
        self, graph: bytes, options: Any, providers: Sequence[Any] = (), enable_fallback: int = 1
    ) -> Any:
        assert enable_fallback == 0, "ONNX Runtime would go on with the CPU by itself"
        on_cpu = list(providers) == ["CPUExecutionProvider"]
        if not on_cpu:
            assert options.real.get_session_config_entry("session.disable_cpu_ep_fallback") == "1"
            options.real.add_session_config_entry("session.disable_cpu_ep_fallback", "0")
        own = ort.InferenceSession(graph, options.real, providers=["CPUExecutionProvider"])
        if on_cpu:
            return own
        ((name, given),) = providers or options.chosen
        self.opened.append((name, given))
        return _Session(own, self, "CPUExecutionProvider" if "load" in self.faults else name)


def _hardware(kind: Any) -> Any:
    return SimpleNamespace(type=kind)


class _Options:
    """Session options whose devices of plugins are kept back from ONNX Runtime, which does not know them."""

    def __init__(self) -> None:
        self.__dict__["real"] = ort.SessionOptions()
        self.__dict__["chosen"] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.real, name, value)

    def add_provider_for_devices(self, devices: Sequence[Any], options: dict[str, str]) -> None:
        self.chosen.append((devices[0].ep_name, options))


class _Session:
    def __init__(self, own: ort.InferenceSession, runtime: FakeOnnxRuntime, provider: str) -> None:
        self._own, self._runtime, self._provider = own, runtime, provider

    def get_inputs(self) -> Any:
        return self._own.get_inputs()

    def get_outputs(self) -> Any:
        return self._own.get_outputs()

    def get_providers(self) -> list[str]:
        return list(dict.fromkeys([self._provider, "CPUExecutionProvider"]))

    def io_binding(self) -> Any:
        return _Binding(self._runtime)

    def run_with_iobinding(self, binding: _Binding) -> None:
        self._runtime.device.called("run_with_iobinding")
        if "run" in self._runtime.faults:
            raise RuntimeError("CUDNN failure 4: CUDNN_STATUS_INTERNAL_ERROR")
        assert not any(stream.busy for stream in self._runtime.device.streams), "another stream does not wait for ours"
        below = self._runtime.device.below
        fed = {}
        for name, (dtype, shape, address) in binding.inputs.items():
            fed[name] = np.zeros(shape, dtype)
            below.download(DeviceMemory(address, fed[name].nbytes), fed[name])
        below.synchronise()
        for name, values in zip(binding.outputs, self._own.run(list(binding.outputs), fed), strict=True):
            dtype, shape, address = binding.outputs[name]
            assert (values.dtype, values.shape) == (np.dtype(dtype), tuple(shape))
            below.upload(np.ascontiguousarray(values), DeviceMemory(address, values.nbytes))
        below.synchronise()


class _Binding:
    """Tensors by address on the device: nothing else is taken."""

    def __init__(self, runtime: FakeOnnxRuntime) -> None:
        self._runtime = runtime
        self.inputs: dict[str, tuple[Any, tuple[int, ...], int]] = {}
        self.outputs: dict[str, tuple[Any, tuple[int, ...], int]] = {}

    def bind_input(self, name: str, device: str, ordinal: int, dtype: Any, shape: Any, address: int) -> None:
        assert (device, ordinal) == ("cuda", 0)
        self.inputs[name] = (dtype, tuple(shape), address)

    def bind_output(self, name: str, device: str, ordinal: int, dtype: Any, shape: Any, address: int) -> None:
        assert (device, ordinal) == ("cuda", 0)
        self.outputs[name] = (dtype, tuple(shape), address)

    def synchronize_outputs(self) -> None:
        if "sync" in self._runtime.faults:
            raise RuntimeError("CUDA failure 719: unspecified launch failure")
