"""Makes ONNX Runtime's sessions: on the CPU, or on a provider for a GPU. It never runs on anything but what was asked.

By itself ONNX Runtime goes on with the CPU where a provider cannot be loaded or does not take a node; here both are
errors. Not for: running a session (onnxruntime.py, onnxruntime_device.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from cathrt.runtime.bundle.onnx_external import ELEMENT_BYTES, NIBBLES, ExternalTensor
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.engines.request import NetworkRequest
from cathrt.runtime.errors import EngineError
from cathrt.runtime.tensor import TensorSpec

# Its exceptions share no base of their own; these are all it defines, and the bindings add two of Python's.
ERRORS = (
    ort_errors.EPFail,
    ort_errors.EngineError,
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NoModel,
    ort_errors.NotFound,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
    RuntimeError,
    ValueError,
)
CPU = "CPUExecutionProvider"
NO_WEIGHTS: Mapping[str, ort.OrtValue] = MappingProxyType({})
DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(int8)": "int8",
    "tensor(uint8)": "uint8",
    "tensor(int16)": "int16",
    "tensor(uint16)": "uint16",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(bool)": "bool",
}


@dataclass(frozen=True, slots=True)
class Provider:
    """Where a session runs. name: ONNX Runtime's. options: as the provider documents them. library: of a plugin."""

    name: str
    options: Mapping[str, str]
    library: str = ""


@dataclass(frozen=True, slots=True)
class Session:
    """weights: tensors over mapped files that the session may still read from; to be kept for as long as it is."""

    session: ort.InferenceSession
    weights: Mapping[str, ort.OrtValue]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


def open_session(request: NetworkRequest, provider: Provider | None = None) -> Session:
    """The artifact's graph, loaded. provider: None for the CPU with the request's threads.

    Raises EngineError where the graph cannot be loaded, or all of it does not run on the provider.
    """
    options = cpu_options(request.config.threads)
    for size_name, size in request.bucket.items():
        options.add_free_dimension_override_by_name(size_name, size)
    session, weights = load(request.bundle, request.artifact.file, options, provider)
    inputs, outputs = (tuple(map(_spec, nodes)) for nodes in (session.get_inputs(), session.get_outputs()))
    return Session(session, weights, inputs, outputs)


def load(
    bundle: Bundle, file: str, options: ort.SessionOptions, provider: Provider | None = None
) -> tuple[ort.InferenceSession, Mapping[str, ort.OrtValue]]:
    """A session of one of the bundle's graphs, and its weights as Session has them. Raises EngineError."""
    if not file.endswith(".onnx"):
        raise EngineError(f"onnxruntime: {file} is not .onnx: export the bundle again")
    graph = bundle.mapped(file).tobytes()
    try:
        weights = _external_weights(bundle, file)
        if weights:
            options.add_external_initializers(list(weights), list(weights.values()))
        if provider is None:
            session = ort.InferenceSession(graph, options, providers=[CPU], enable_fallback=0)
        else:
            session = _on_provider(graph, options, provider)
    except ERRORS as exc:
        where = f" by {provider.name}" if provider else ""
        advice = "check its libraries, or set engine.provider to cpu" if provider else "export it again"
        raise EngineError(f"onnxruntime: {file} cannot be loaded{where}: {str(exc)[:300]}: {advice}") from exc
    return session, weights


def _on_provider(graph: bytes, options: ort.SessionOptions, provider: Provider) -> ort.InferenceSession:
    """Raises EngineError where the provider is not there, or did not load, and what ONNX Runtime raises."""
    # A node that the provider does not take would run on the CPU: then the session is refused instead.
    options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    if provider.library:
        options.add_provider_for_devices(_plugin_devices(provider), dict(provider.options))
        session = ort.InferenceSession(graph, options, enable_fallback=0)
    else:
        _require_built_in(provider, ort.get_available_providers())
        chosen = [(provider.name, dict(provider.options))]
        session = ort.InferenceSession(graph, options, providers=chosen, enable_fallback=0)
    found = session.get_providers()
    if found[:1] != [provider.name]:
        raise EngineError(
            f"onnxruntime: the session runs on {found}, expected {provider.name} first: its libraries (CUDA, cuDNN, "
            "TensorRT) cannot be loaded: install those that this version of ONNX Runtime names, or set "
            'engine.provider = "cpu"'
        )
    return session


def _require_built_in(provider: Provider, available: Sequence[str]) -> None:
    if provider.name not in available:
        raise EngineError(
            f"onnxruntime: this ONNX Runtime has {sorted(available)}, expected {provider.name}: pip uninstall "
            "onnxruntime, then pip install onnxruntime-gpu (both are imported by one name, so only one may be "
            "installed); or set engine.provider_library to a plugin's file; or set engine.provider to cpu"
        )


def _plugin_devices(provider: Provider) -> list[ort.OrtEpDevice]:
    """The GPU of a plugin, which is registered at its first use in a process. Raises EngineError where it has none."""
    if not any(device.ep_name == provider.name for device in ort.get_ep_devices()):
        ort.register_execution_provider_library(f"cathrt.{provider.name}", provider.library)
    devices = ort.get_ep_devices()
    fitting = [
        one for one in devices if one.ep_name == provider.name and one.device.type == ort.OrtHardwareDeviceType.GPU
    ]
    if not fitting:
        found = sorted({f"{one.ep_name} on {one.device.type.name}" for one in devices})
        raise EngineError(
            f"onnxruntime: with {provider.library} there is {found}, expected {provider.name} on GPU: check "
            "nvidia-smi, and that engine.provider_library is this provider's file"
        )
    return fitting[:1]


def _external_weights(bundle: Bundle, file: str) -> dict[str, ort.OrtValue]:
    """Tensors over the mapped file, by name. Given by name, none of them is looked up in the file system."""
    weights = {}
    for tensor in bundle.external.get(file, ()):
        data = _elements(tensor, bundle.external_data(tensor))
        weights[tensor.name] = ort.OrtValue.ortvalue_from_numpy_with_onnx_type(data, tensor.data_type)
    return weights


def _elements(tensor: ExternalTensor, data: NDArray[np.uint8]) -> NDArray[Any]:
    """The bytes as an array of the tensor's shape, over the same memory, with its elements as plain numbers.

    Of nibbles there are half as many bytes as the array says. ONNX Runtime takes its shape and its address, and reads
    no more than the type needs; nothing else looks at it.
    """
    if tensor.data_type in NIBBLES:
        strides = [math.prod(tensor.shape[axis + 1 :]) for axis in range(len(tensor.shape))]
        return np.lib.stride_tricks.as_strided(data, tensor.shape, strides)
    return data.view(f"u{ELEMENT_BYTES[tensor.data_type]}").reshape(tensor.shape)


def cpu_options(threads: int) -> ort.SessionOptions:
    """What every session is made with."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    # Idle threads that spin slow every other session of the process two- to threefold (measured on two cores).
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # what matters is raised; lower levels print beside it
    return options


def _spec(node: ort.NodeArg) -> TensorSpec:
    if not all(isinstance(size, int) for size in node.shape):
        raise EngineError(
            f"onnxruntime: tensor {node.name} has shape {node.shape}, expected a static one: export it with fixed sizes"
        )
    if node.type not in DTYPES:
        raise EngineError(f"onnxruntime: tensor {node.name} is {node.type}, expected one of {sorted(DTYPES)}")
    return TensorSpec(node.name, tuple(node.shape), DTYPES[node.type])
