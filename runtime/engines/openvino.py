"""OpenVINO on the CPU: the default engine where there is no NVIDIA GPU.

Reads ONNX, or IR with its weights in the .bin of the same name, from what the bundle has mapped. Not for: GPUs and
NPUs, the model cache (a compiled blob is not in the manifest, so nobody has signed it), or how weights
in other files come into an ONNX graph (openvino_weights.py).
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.bundle.manifest import Artifact
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.engines.cpu import rest_here, sums_int8_exactly
from cathrt.runtime.engines.openvino_weights import read_onnx, writable
from cathrt.runtime.engines.request import NetworkRequest
from cathrt.runtime.engines.silent_openvino import ov
from cathrt.runtime.engines.tensors import feed, page_aligned
from cathrt.runtime.errors import EngineError
from cathrt.runtime.tensor import TensorSpec

_NAME = "openvino"
# What INFERENCE_PRECISION_HINT must be for each precision of the manifest. Left alone, OpenVINO takes bf16 on CPUs with
# AMX. int8 stands in the graph as Q/DQ pairs; the hint is that of the artifact's rest. float16 has none: see below.
PRECISION_HINTS = {"float32": ov.Type.f32, "bfloat16": ov.Type.bf16}
# Side by side, each inference has threads of its own, which never wait for each other. More streams than this do not
# help, because frames are decoded and prepared one after the other. One more request than streams keeps these busy.
_MOST_STREAMS = 4
_log = logging.getLogger(__name__)

# OpenVINO's own to_dtype() calls bf16 float16 and u4 uint8: whoever believed it would read garbage.
DTYPES = {
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


class OpenVinoRequest:
    """One infer request of a compiled model (ports.InferRequest); its tensors are arrays of its own."""

    def __init__(
        self, compiled: ov.CompiledModel, inputs: Collection[TensorSpec], outputs: Collection[TensorSpec]
    ) -> None:
        self.input_buffers = MappingProxyType({spec.name: page_aligned(spec) for spec in inputs})
        self._output_buffers = MappingProxyType({spec.name: page_aligned(spec) for spec in outputs})
        self._request = compiled.create_infer_request()
        for buffers in (self.input_buffers, self._output_buffers):
            for name, buffer in buffers.items():
                self._request.set_tensor(name, ov.Tensor(buffer, shared_memory=True))

    def infer(self) -> Mapping[str, NDArray[Any]]:
        try:
            self._request.infer()
        except RuntimeError as exc:
            raise _failed(exc) from exc
        return self._output_buffers

    def start(self) -> None:
        self.finish()
        try:
            self._request.start_async()
        except RuntimeError as exc:
            raise _failed(exc) from exc

    def wait(self) -> Mapping[str, NDArray[Any]]:
        try:
            self._request.wait()
        except RuntimeError as exc:
            raise _failed(exc) from exc
        return self._output_buffers

    def finish(self) -> None:
        """Wait until nothing reads or writes the buffers any more. What went wrong is nobody's result."""
        with suppress(RuntimeError):
            self._request.wait()


class OpenVinoEngine:
    """A compiled model with one infer request or more (ports.ParallelEngine); the engine itself is the first of them.

    names: the tensors' as the manifest has them, since OpenVINO may know one under several names.
    name: what verdicts call the engine.
    weights: mapped arrays that the model may still read from; they are kept for as long as it is.
    requests: how many inferences may be under way.
    """

    def __init__(
        self,
        compiled: ov.CompiledModel,
        names: Collection[str],
        weights: Sequence[NDArray[np.uint8]] = (),
        name: str = _NAME,
        requests: int = 1,
    ) -> None:
        self._name = name
        self._weights = weights
        self._inputs = tuple(_spec(port, names) for port in compiled.inputs)
        self._outputs = tuple(_spec(port, names) for port in compiled.outputs)
        self._requests = tuple(OpenVinoRequest(compiled, self._inputs, self._outputs) for _ in range(requests))
        self._input_buffers = self._requests[0].input_buffers

    @property
    def name(self) -> str:
        return self._name

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return self._inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        return self._outputs

    @property
    def input_buffers(self) -> Mapping[str, NDArray[Any]]:
        return self._input_buffers

    @property
    def requests(self) -> tuple[OpenVinoRequest, ...]:
        return self._requests

    def infer(self, feeds: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        if not self._requests:
            raise EngineError("openvino: the engine is closed: open it again")
        feed(_NAME, self._input_buffers, feeds)
        return self._requests[0].infer()

    def close(self) -> None:
        for request in self._requests:
            request.finish()
        self._requests = ()
        self._weights = ()


def open_openvino(request: NetworkRequest) -> OpenVinoEngine:
    """Compile the artifact for the CPU with its threads and warm it up. Raises EngineError."""
    artifact = request.artifact
    check_precision(artifact)
    hint, name = precision_hint(artifact)
    streams = min(request.config.threads, _MOST_STREAMS) if request.side_by_side else 1
    core = ov.Core()
    try:
        model, weights = read_model(core, request.bundle, artifact.file)
        _set_shapes(model, request)
        compiled = core.compile_model(
            model,
            "CPU",
            {
                "PERFORMANCE_HINT": "LATENCY" if streams == 1 else "THROUGHPUT",
                "NUM_STREAMS": streams,
                "INFERENCE_NUM_THREADS": request.config.threads,
                "INFERENCE_PRECISION_HINT": hint,
                # Pinned threads of two processes meet on the same cores, and the caller's own thread is pinned too.
                "ENABLE_CPU_PINNING": False,
            },
        )
        used = compiled.get_property("INFERENCE_PRECISION_HINT")
        names = {spec.name for spec in (*request.inputs, *request.outputs)}
        engine = OpenVinoEngine(compiled, names, weights, name, requests=streams + 1 if request.side_by_side else 1)
    except RuntimeError as exc:
        raise EngineError(f"openvino: {artifact.file} cannot be compiled: {reason(exc)}: export it again") from exc
    check_hint(artifact, hint, used)
    for _ in range(2):  # the first call still packs weights, the second runs as all later ones
        for one in engine.requests:
            one.infer()
    return engine


def _failed(exc: RuntimeError) -> EngineError:
    return EngineError(f"openvino: inference failed: {reason(exc)}")


def check_precision(artifact: Artifact) -> None:
    """Raise EngineError where this engine or this CPU does not compute in the artifact's precision."""
    if artifact.precision == "float16":
        raise EngineError(
            f"openvino: {artifact.file} asks for float16, which runs 3 to 4 times slower than bfloat16 on the CPU: "
            "export it as bfloat16 or float32"
        )
    if artifact.precision == "int8" and not artifact.weights_only and not sums_int8_exactly(artifact.weight_bits):
        raise EngineError(
            f"openvino: {artifact.file} is int8, but this CPU has no VNNI and would silently clip the sums in "
            "16 bits: use a bundle of float32, or one exported with --weight-bits 7"
        )


def precision_hint(artifact: Artifact) -> tuple[ov.Type, str]:
    """The hint, and the engine's name. The name differs where this CPU computes an int8 or int4 artifact's rest in
    float32 instead of bfloat16: a pass of the one is then another pass than one of the other."""
    if artifact.precision not in ("int8", "int4"):
        return PRECISION_HINTS[artifact.precision], _NAME
    rest = rest_here(artifact.rest)
    if rest != artifact.rest:
        _log.warning(
            "openvino: this CPU has no bfloat16 products, so the rest of %s is computed in float32, in which it was "
            "qualified too; it takes longer",
            artifact.file,
        )
    return PRECISION_HINTS[rest], _NAME if rest == artifact.rest else f"{_NAME} with {rest} rest"


def check_hint(artifact: Artifact, asked: ov.Type, used: ov.Type) -> None:
    """Raise EngineError where OpenVINO compiled for another type than it was asked for."""
    if used == asked:
        return
    whole = artifact.precision not in ("int8", "int4")
    named = artifact.precision if whole else f"{artifact.precision} with {artifact.rest} rest"
    raise EngineError(
        f"openvino: {artifact.file} must run in {named}, this CPU would run it in {used.to_string()}: "
        "use a bundle of float32, or a CPU with native support"
    )


def read_model(core: ov.Core, bundle: Bundle, file: str) -> tuple[ov.Model, list[NDArray[np.uint8]]]:
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
    if element not in DTYPES:
        raise EngineError(
            f"openvino: tensor {name} is {element}, expected one of {sorted(DTYPES)}: export it with one of these"
        )
    return TensorSpec(name, tuple(shape.to_shape()), DTYPES[element])


def reason(exc: RuntimeError) -> str:
    """What a vendor's message tells, without the lines that say where in its library it was thrown."""
    lines = [line.strip() for line in str(exc).splitlines()]
    told = [line for line in lines if line and not line.startswith(("Exception from", "Check '"))]
    return (" ".join(told) or "no reason given")[:300]
