"""ONNX Runtime on the CPU: the portable reference, and the second opinion on every network.

Runs ONNX from what the bundle has mapped; ONNX Runtime copies the graph, and each tensor of other files once. Not for:
GPUs (onnxruntime_device.py), custom operators.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import onnxruntime as ort
from numpy.typing import NDArray

from cathrt.runtime.bundle.manifest import Artifact
from cathrt.runtime.engines.cpu import sums_int8_exactly
from cathrt.runtime.engines.onnxruntime_session import ERRORS, NO_WEIGHTS, Session, open_session
from cathrt.runtime.engines.request import NetworkRequest
from cathrt.runtime.engines.tensors import feed, page_aligned
from cathrt.runtime.errors import EngineError
from cathrt.runtime.tensor import TensorSpec

_NAME = "onnxruntime"


class OnnxRuntimeEngine:
    """A session with one I/O binding to this engine's own arrays."""

    def __init__(self, opened: Session) -> None:
        self._weights = opened.weights
        self._inputs, self._outputs = opened.inputs, opened.outputs
        self._input_buffers = MappingProxyType({spec.name: page_aligned(spec) for spec in self._inputs})
        self._output_buffers = MappingProxyType({spec.name: page_aligned(spec) for spec in self._outputs})
        self._session: ort.InferenceSession | None = opened.session
        self._binding = opened.session.io_binding()
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
        except ERRORS as exc:
            raise EngineError(f"onnxruntime: inference failed: {exc}") from exc
        return self._output_buffers

    def close(self) -> None:
        self._session = self._binding = None
        self._weights = NO_WEIGHTS


def open_onnxruntime(request: NetworkRequest) -> OnnxRuntimeEngine:
    """Make a session for the artifact with its threads and warm it up. Raises EngineError."""
    check_precision(request.artifact)
    engine = OnnxRuntimeEngine(open_session(request))
    for _ in range(2):  # the first call still grows the arena, the second runs as all later ones
        engine.infer(engine.input_buffers)
    return engine


def check_precision(artifact: Artifact) -> None:
    """Raise EngineError where this engine or this CPU does not compute in the artifact's precision."""
    if artifact.precision not in ("float32", "int8", "int4"):
        raise EngineError(
            f"onnxruntime: {artifact.file} asks for {artifact.precision}, on the CPU there is float32, int8 and int4: "
            "use openvino, or a bundle of float32"
        )
    if artifact.precision == "int8" and not artifact.weights_only and not sums_int8_exactly(artifact.weight_bits):
        raise EngineError(
            f"onnxruntime: {artifact.file} is int8, but this CPU has no VNNI and would silently clip the sums in "
            "16 bits: use a bundle of float32, or one exported with --weight-bits 7"
        )
