"""ONNX Runtime on an NVIDIA GPU: its CUDA, TensorRT and TensorRT-RTX providers, the first two of onnxruntime-gpu.

The network's tensors are bound by their addresses, so that what the ingest kernels write is what the provider reads.
Never run on a device yet. Not for: loading the graph (onnxruntime_session.py), the tensors and the stream
(device_engine.py).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cathrt.kernels.cuda.driver import DriverStream
from cathrt.kernels.cuda.stream import DeviceMemory
from cathrt.runtime.bundle.manifest import Artifact
from cathrt.runtime.config import EngineConfig
from cathrt.runtime.engines.device_engine import DeviceEngine, opened_on_stream
from cathrt.runtime.engines.device_probe import probe_in_child
from cathrt.runtime.engines.onnxruntime_session import ERRORS, Provider, Session, open_session
from cathrt.runtime.engines.request import NetworkRequest
from cathrt.runtime.errors import EngineError
from cathrt.runtime.tensor import TensorSpec

# By engine.provider: ONNX Runtime's name, and the options that are not the user's to choose: the device is the one that
# our kernels run on, the precision is the graph's. TensorRT has no option against TF32 (docs/engines.md).
_PROVIDERS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "cuda": ("CUDAExecutionProvider", {"device_id": "0", "use_tf32": "0", "enable_cuda_graph": "0"}),
    "tensorrt": (
        "TensorrtExecutionProvider",
        {
            "device_id": "0",
            "trt_fp16_enable": "0",
            "trt_bf16_enable": "0",
            "trt_int8_enable": "0",
            "trt_cuda_graph_enable": "0",
        },
    ),
    "nv_tensorrt_rtx": ("NvTensorRTRTXExecutionProvider", {"device_id": "0", "enable_cuda_graph": "0"}),
}


class _SessionNetwork:
    """device_engine.LoadedNetwork of a session: the provider works on a stream of its own.

    So nothing may be queued on ours while it runs, and it cannot be recorded in a graph. name: what verdicts call it.
    """

    recordable = False

    def __init__(self, name: str, opened: Session) -> None:
        self._name = name
        self._opened: Session | None = opened
        self._inputs, self._outputs = opened.inputs, opened.outputs
        self._binding = opened.session.io_binding()

    @property
    def name(self) -> str:
        return self._name

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return self._inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        return self._outputs

    def place(self, memory: Mapping[str, DeviceMemory]) -> None:
        for bind, specs in ((self._binding.bind_input, self._inputs), (self._binding.bind_output, self._outputs)):
            for spec in specs:
                bind(spec.name, "cuda", 0, np.dtype(spec.dtype).type, spec.shape, memory[spec.name].address)

    def enqueue(self, stream: DriverStream) -> None:
        assert self._opened is not None
        stream.synchronise()
        try:
            self._opened.session.run_with_iobinding(self._binding)
            self._binding.synchronize_outputs()
        except ERRORS as exc:
            raise EngineError(f"{self.name}: inference failed: {str(exc)[:300]}") from exc

    def close(self) -> None:
        self._binding = self._opened = None


def open_onnxruntime_on_device(request: NetworkRequest) -> DeviceEngine[_SessionNetwork]:
    """Load the artifact on engine.provider, place its tensors on the device and warm it up. Raises EngineError.

    A call that never returns blocks it: see guarded.py.
    """
    config, name = request.config, f"onnxruntime on {request.config.provider}"
    provider = provider_of(config)
    _check_precision(name, request.artifact)
    probe_in_child()
    network = _SessionNetwork(name, open_session(request, provider))
    return opened_on_stream(name, config.device_wait_ms, lambda stream: DeviceEngine(network, stream))


def provider_of(config: EngineConfig) -> Provider:
    """The provider that the configuration asks for. Raises EngineError for an option that is cathrt's to set."""
    name, ours = _PROVIDERS[config.provider]
    given: dict[str, str] = {}
    for option in config.provider_options:
        key, equals, value = option.partition("=")
        if not key or not equals or key in given:
            raise EngineError(f"engine.provider_options: found {option!r}, expected NAME=VALUE, each name once")
        if key in ours or key in ("user_compute_stream", "has_user_compute_stream"):
            raise EngineError(
                f"engine.provider_options: {key} is not for the configuration: cathrt chooses device and stream, the "
                "bundle the precision: leave it out"
            )
        given[key] = value
    return Provider(name, {**ours, **given}, config.provider_library)


def _check_precision(name: str, artifact: Artifact) -> None:
    if artifact.precision != "float32":
        raise EngineError(
            f"{name}: {artifact.file} is {artifact.precision}, expected float32: the providers compute Q/DQ pairs in "
            "float32 or need builder flags: use the engine tensorrt-rtx or tensorrt for other precisions"
        )
