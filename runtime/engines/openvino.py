"""OpenVINO on the CPU: the default engine where there is no NVIDIA GPU.

Reads ONNX, or IR with its weights in the .bin of the same name, from what the bundle has mapped. Not for: GPUs and
NPUs, several streams, the model cache (a compiled blob is not in the manifest, so nobody has signed it), or how weights
in other files come into an ONNX graph (openvino_weights.py).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.bundle.manifest import Artifact
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.engines.cpu import sums_int8_exactly
from cathrt.runtime.engines.openvino_weights import read_onnx, writable
from cathrt.runtime.engines.request import NetworkRequest
from cathrt.runtime.engines.silent_openvino import ov
from cathrt.runtime.engines.tensors import feed, page_aligned
from cathrt.runtime.errors import EngineError
from cathrt.runtime.tensor import TensorSpec

_NAME = "openvino"
# What INFERENCE_PRECISION_HINT must be for each precision of the manifest. Left alone, OpenVINO takes bf16 on CPUs with
# AMX. int8 stands in the graph as Q/DQ pairs; the hint rules the layers between them. float16 has no entry: see below.
_PRECISION_HINTS = {"float32": ov.Type.f32, "bfloat16": ov.Type.bf16, "int8": ov.Type.f32}

# OpenVINO's own to_dtype() calls bf16 float16 and u4 uint8: whoever believed it would read garbage.
_DTYPES = {
    "f32": "float32",
    "f16": "float16",
    "f64": "float64",
    "i8": "int8",
    "u8": "uint8",
    "i16": "int16",
    "u16": "uint16",
    "i32": "int32",
    "i64": "int64",
    "boolean": "bool",
}


class OpenVinoEngine:
    """A compiled model with one infer request, whose tensors are this engine's own arrays.

    names: the tensors' as the manifest has them, since OpenVINO may know one under several names.
    weights: mapped arrays that the model may still read from; they are kept for as long as it is.
    """

    def __init__(
        self, compiled: ov.CompiledModel, names: Collection[str], weights: Sequence[NDArray[np.uint8]] = ()
    ) -> None:
        self._weights = weights
        self._inputs = tuple(_spec(port, names) for port in compiled.inputs)
        self._outputs = tuple(_spec(port, names) for port in compiled.outputs)
        self._input_buffers = MappingProxyType({spec.name: page_aligned(spec) for spec in self._inputs})
        self._output_buffers = MappingProxyType({spec.name: page_aligned(spec) for spec in self._outputs})
        self._request: ov.InferRequest | None = compiled.create_infer_request()
        for buffers in (self._input_buffers, self._output_buffers):
            for name, buffer in buffers.items():
                self._request.set_tensor(name, ov.Tensor(buffer, shared_memory=True))

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
        if self._request is None:
            raise EngineError("openvino: the engine is closed: open it again")
        feed(_NAME, self._input_buffers, feeds)
        try:
            self._request.infer()
        except RuntimeError as exc:
            raise EngineError(f"openvino: inference failed: {_reason(exc)}") from exc
        return self._output_buffers

    def close(self) -> None:
        self._request = None
        self._weights = ()


def open_openvino(request: NetworkRequest) -> OpenVinoEngine:
    """Compile the artifact for the CPU with its threads and warm it up. Raises EngineError."""
    artifact = request.artifact
    hint = _precision_hint(artifact)
    core = ov.Core()
    try:
        model, weights = _read(core, request.bundle, artifact.file)
        _set_shapes(model, request)
        compiled = core.compile_model(
            model,
            "CPU",
            {
                "PERFORMANCE_HINT": "LATENCY",
                "NUM_STREAMS": 1,
                "INFERENCE_NUM_THREADS": request.config.threads,
                "INFERENCE_PRECISION_HINT": hint,
                # Pinned threads of two processes meet on the same cores, and the caller's own thread is pinned too.
                "ENABLE_CPU_PINNING": False,
            },
        )
        used = compiled.get_property("INFERENCE_PRECISION_HINT")
        names = {spec.name for spec in (*request.inputs, *request.outputs)}
        engine = OpenVinoEngine(compiled, names, weights)
    except RuntimeError as exc:
        raise EngineError(f"openvino: {artifact.file} cannot be compiled: {_reason(exc)}: export it again") from exc
    if used != hint:
        raise EngineError(
            f"openvino: {artifact.file} must run in {artifact.precision}, this CPU would run it in {used.to_string()}: "
            "use a bundle of float32, or a CPU with native support"
        )
    for _ in range(2):  # the first call still packs weights, the second runs as all later ones
        engine.infer(engine.input_buffers)
    return engine


def _precision_hint(artifact: Artifact) -> ov.Type:
    if artifact.precision == "float16":
        raise EngineError(
            f"openvino: {artifact.file} asks for float16, which runs 3 to 4 times slower than bfloat16 on the CPU: "
            "export it as bfloat16 or float32"
        )
    if artifact.precision == "int8" and not sums_int8_exactly(artifact.weight_bits):
        raise EngineError(
            f"openvino: {artifact.file} is int8, but this CPU has no VNNI and would silently clip the sums in "
            "16 bits: use a bundle of float32, or one exported with --weight-bits 7"
        )
    return _PRECISION_HINTS[artifact.precision]


def _read(core: ov.Core, bundle: Bundle, file: str) -> tuple[ov.Model, list[NDArray[np.uint8]]]:
    """The model, and the mapped arrays that it refers to."""
    if file.endswith(".onnx"):
        return read_onnx(core, bundle, file)
    if file.endswith(".xml"):
        graph = bundle.mapped(file).tobytes()
        # OpenVINO goes by content, not by name: an ONNX file in this place would not have been through check_onnx.
        if not graph.lstrip().startswith(b"<"):
            raise EngineError(f"openvino: {file} is not XML: export the bundle again")
        weights = writable(bundle.mapped(file.removesuffix(".xml") + ".bin"))
        return core.read_model(graph, ov.Tensor(weights, shared_memory=True)), [weights]
    raise EngineError(f"openvino: {file} is neither .onnx nor .xml: export the bundle again")


def _set_shapes(model: ov.Model, request: NetworkRequest) -> None:
    """Fix the shapes to those of the bucket. A static graph is refused: OpenVINO would reshape it all the same."""
    if not request.bucket:
        return
    specs = {spec.name: spec for spec in request.inputs}
    shapes: dict[str, ov.PartialShape] = {}
    for port in model.inputs:
        found, names = port.get_partial_shape(), port.get_names() & specs.keys()
        for name in names:
            shapes[name] = ov.PartialShape(list(specs[name].shape))
            if not found.compatible(shapes[name]):
                raise EngineError(
                    f"{request.where(_NAME)}: {request.artifact.file} has {name} of shape {found}, expected "
                    f"{shapes[name]}: export it with that size left open"
                )
    model.reshape(shapes)


def _spec(port: ov.ConstOutput, names: Collection[str]) -> TensorSpec:
    name = min(port.get_names().intersection(names), default=port.get_any_name())
    shape, element = port.get_partial_shape(), port.get_element_type().get_type_name()
    if shape.is_dynamic:
        raise EngineError(
            f"openvino: tensor {name} has shape {shape}, expected a static one: export it with fixed sizes"
        )
    if element not in _DTYPES:
        raise EngineError(
            f"openvino: tensor {name} is {element}, expected one of {sorted(_DTYPES)}: export it with one of these"
        )
    return TensorSpec(name, tuple(shape.to_shape()), _DTYPES[element])


def _reason(exc: RuntimeError) -> str:
    """What a vendor's message tells, without the lines that say where in its library it was thrown."""
    lines = [line.strip() for line in str(exc).splitlines()]
    told = [line for line in lines if line and not line.startswith(("Exception from", "Check '"))]
    return (" ".join(told) or "no reason given")[:300]
