"""ONNX Runtime on the CPU: the portable reference, and the second opinion on every network.

Runs ONNX from what the bundle has mapped; ONNX Runtime copies the graph, and each tensor of other files once. Not for:
execution providers other than the CPU's, custom operators.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from cathrt.runtime.bundle.manifest import Artifact
from cathrt.runtime.bundle.onnx_external import ELEMENT_BYTES
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.engines.cpu import sums_int8_exactly
from cathrt.runtime.engines.request import NetworkRequest
from cathrt.runtime.engines.tensors import feed, page_aligned
from cathrt.runtime.errors import EngineError
from cathrt.runtime.tensor import TensorSpec

_NAME = "onnxruntime"
# Its exceptions share no base of their own; these are all it defines, and RuntimeError is what the bindings add.
_ERRORS = (
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
)
_DTYPES = {
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
_NO_WEIGHTS: Mapping[str, ort.OrtValue] = MappingProxyType({})


class OnnxRuntimeEngine:
    """A session with one I/O binding to this engine's own arrays.

    weights: tensors over mapped files that the session may still read from; they are kept for as long as it is.
    """

    def __init__(self, session: ort.InferenceSession, weights: Mapping[str, ort.OrtValue] = _NO_WEIGHTS) -> None:
        self._weights = weights
        self._inputs = tuple(_spec(node) for node in session.get_inputs())
        self._outputs = tuple(_spec(node) for node in session.get_outputs())
        self._input_buffers = MappingProxyType({spec.name: page_aligned(spec) for spec in self._inputs})
        self._output_buffers = MappingProxyType({spec.name: page_aligned(spec) for spec in self._outputs})
        self._session: ort.InferenceSession | None = session
        self._binding = session.io_binding()
        for name, buffer in self._input_buffers.items():
            self._binding.bind_input(name, "cpu", 0, buffer.dtype.type, buffer.shape, buffer.ctypes.data)
        for name, buffer in self._output_buffers.items():
            self._binding.bind_output(name, "cpu", 0, buffer.dtype.type, buffer.shape, buffer.ctypes.data)

    @property
    def name(self) -> str:
        return _NAME

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return self._inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        return self._outputs

    @property
    def input_buffers(self) -> Mapping[str, NDArray[Any]]:
        return self._input_buffers

    def infer(self, feeds: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        if self._session is None:
            raise EngineError("onnxruntime: the engine is closed: open it again")
        feed(_NAME, self._input_buffers, feeds)
        try:
            self._session.run_with_iobinding(self._binding)
        except _ERRORS as exc:
            raise EngineError(f"onnxruntime: inference failed: {exc}") from exc
        return self._output_buffers

    def close(self) -> None:
        self._session = self._binding = None
        self._weights = _NO_WEIGHTS


def open_onnxruntime(request: NetworkRequest) -> OnnxRuntimeEngine:
    """Make a session for the artifact with its threads and warm it up. Raises EngineError."""
    artifact = request.artifact
    _check_precision(artifact)
    if not artifact.file.endswith(".onnx"):
        raise EngineError(f"onnxruntime: {artifact.file} is not .onnx: export the bundle again")
    graph = request.bundle.mapped(artifact.file).tobytes()
    options = _options(request.config.threads)
    for size_name, size in request.bucket.items():
        options.add_free_dimension_override_by_name(size_name, size)
    try:
        weights = _external_weights(request.bundle, artifact.file)
        if weights:
            options.add_external_initializers(list(weights), list(weights.values()))
        session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        engine = OnnxRuntimeEngine(session, weights)
    except _ERRORS as exc:
        raise EngineError(f"onnxruntime: {artifact.file} cannot be loaded: {str(exc)[:300]}: export it again") from exc
    for _ in range(2):  # the first call still grows the arena, the second runs as all later ones
        engine.infer(engine.input_buffers)
    return engine


def _external_weights(bundle: Bundle, file: str) -> dict[str, ort.OrtValue]:
    """Tensors over the mapped file, by name. Given by name, none of them is looked up in the file system."""
    weights = {}
    for tensor in bundle.external.get(file, ()):
        data = bundle.external_data(tensor).view(f"u{ELEMENT_BYTES[tensor.data_type]}").reshape(tensor.shape)
        weights[tensor.name] = ort.OrtValue.ortvalue_from_numpy_with_onnx_type(data, tensor.data_type)
    return weights


def _options(threads: int) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    # Idle threads that spin slow every other session of the process two- to threefold (measured on two cores).
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # what matters is raised; lower levels print beside it
    return options


def _check_precision(artifact: Artifact) -> None:
    if artifact.precision not in ("float32", "int8"):
        raise EngineError(
            f"onnxruntime: {artifact.file} asks for {artifact.precision}, on the CPU there is float32 and int8: "
            "use openvino, or a bundle of float32"
        )
    if artifact.precision == "int8" and not sums_int8_exactly(artifact.weight_bits):
        raise EngineError(
            f"onnxruntime: {artifact.file} is int8, but this CPU has no VNNI and would silently clip the sums in "
            "16 bits: use a bundle of float32, or one exported with --weight-bits 7"
        )


def _spec(node: ort.NodeArg) -> TensorSpec:
    if not all(isinstance(size, int) for size in node.shape):
        raise EngineError(
            f"onnxruntime: tensor {node.name} has shape {node.shape}, expected a static one: export it with fixed sizes"
        )
    if node.type not in _DTYPES:
        raise EngineError(f"onnxruntime: tensor {node.name} is {node.type}, expected one of {sorted(_DTYPES)}")
    return TensorSpec(node.name, tuple(node.shape), _DTYPES[node.type])
