"""OpenVINO on the CPU for networks that run in several sizes: one compiled model, one copy of the weights.

Not for: networks of one shape (openvino.py), which are compiled for it; states inside the model.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.bundle.manifest import DeclaredTensor
from cathrt.runtime.engines.openvino import (
    DTYPES,
    check_hint,
    check_precision,
    precision_hint,
    read_model,
    reason,
)
from cathrt.runtime.engines.silent_openvino import ov
from cathrt.runtime.engines.sized import Bucket, FoundTensor, SizedRequest, Sizes, Tensors, check_found
from cathrt.runtime.errors import EngineError

_NAME = "openvino"
_LOOK_MS = 20  # between two looks whether a run is to be left
_NEVER = threading.Event()  # that nobody sets


class OpenVinoSizedEngine:
    """A compiled model with one infer request, which reads the arrays it is given where they are.

    weights: mapped arrays that the model may still read from; they are kept for as long as it is.
    packed: called after the first run in each bucket, in which OpenVINO packs the weights it has not packed yet.
    """

    def __init__(
        self,
        compiled: ov.CompiledModel,
        sizes: Sizes,
        weights: Sequence[NDArray[np.uint8]],
        packed: Callable[[], None],
        name: str = _NAME,
    ) -> None:
        self._name = name
        self._packed = packed
        self._ran: set[tuple[int, ...]] = set()
        self._sizes = sizes
        self._weights = weights
        self._request: ov.InferRequest | None = compiled.create_infer_request()
        self._bound: dict[str, NDArray[Any]] = {}

    @property
    def name(self) -> str:
        return self._name

    @property
    def inputs(self) -> tuple[DeclaredTensor, ...]:
        return self._sizes.inputs

    @property
    def outputs(self) -> tuple[DeclaredTensor, ...]:
        return self._sizes.outputs

    @property
    def buckets(self) -> tuple[Bucket, ...]:
        return self._sizes.buckets

    def run(self, feeds: Tensors) -> Tensors:
        found = self.run_until(feeds, _NEVER)
        assert found is not None, "nobody has stopped it"
        return found

    def run_until(self, feeds: Tensors, stop: threading.Event) -> Tensors | None:
        """OpenVINO leaves a run between two nodes of the graph."""
        if self._request is None:
            raise EngineError("openvino: the engine is closed: open it again")
        bucket, arrays = self._sizes.checked(feeds)
        try:
            for name, array in arrays.items():
                self._bind(name, array)
            if stop is _NEVER:
                self._request.infer()
            elif not self._finished(stop):
                return None
            found = {tensor.name: self._request.get_tensor(tensor.name).data for tensor in self.outputs}
        except RuntimeError as exc:
            raise EngineError(f"openvino: a run with {dict(bucket)} failed: {reason(exc)}") from exc
        self._sizes.check_outputs(bucket, found)
        if (sizes := tuple(bucket.values())) not in self._ran:
            self._ran.add(sizes)
            self._packed()
        return found

    def _finished(self, stop: threading.Event) -> bool:
        """Run; False where it was left."""
        request = self._request
        assert request is not None
        request.start_async()
        while not request.wait_for(_LOOK_MS):
            if stop.is_set():
                request.cancel()
                with suppress(RuntimeError):  # it says that it was cancelled
                    request.wait()
                return False
        return True

    def close(self) -> None:
        self._request = None
        self._bound = {}
        self._weights = ()

    def _bind(self, name: str, array: NDArray[Any]) -> None:
        """Caches are the same arrays from run to run. OpenVINO shares no array that is marked read-only."""
        if self._bound.get(name) is array:
            return
        self._bound.pop(name, None)
        shared = array if array.flags.writeable else array.copy()
        self._request.set_tensor(name, ov.Tensor(shared, shared_memory=True))  # type: ignore[union-attr]
        self._bound[name] = shared


def open_sized_openvino(request: SizedRequest) -> OpenVinoSizedEngine:
    """Compile the artifact for the CPU with its threads. Raises EngineError."""
    artifact, network = request.artifact, request.network
    check_precision(artifact)
    hint, name = precision_hint(artifact)
    core = ov.Core()
    try:
        model, weights = read_model(core, request.bundle, artifact.file)
        check_found(_NAME, "input", _found(model.inputs, network.inputs), network.inputs)
        check_found(_NAME, "output", _found(model.outputs, network.outputs), network.outputs)
        compiled = core.compile_model(
            model,
            "CPU",
            {
                "PERFORMANCE_HINT": "LATENCY",
                "NUM_STREAMS": 1,
                "INFERENCE_NUM_THREADS": request.config.threads,
                "INFERENCE_PRECISION_HINT": hint,
                "ENABLE_CPU_PINNING": False,
                # Left alone, OpenVINO rounds activations to int8 in front of products with int8 and int4 weights.
                "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0,
            },
        )
        check_hint(artifact, hint, compiled.get_property("INFERENCE_PRECISION_HINT"))
        sizes = Sizes(_NAME, network.inputs, network.outputs, network.buckets)
        return OpenVinoSizedEngine(compiled, sizes, weights, request.release, name)
    except RuntimeError as exc:
        raise EngineError(f"openvino: {artifact.file} cannot be compiled: {reason(exc)}: export it again") from exc


def _found(ports: Sequence[ov.Output], declared: Collection[DeclaredTensor]) -> Iterator[FoundTensor]:
    names = {tensor.name for tensor in declared}
    for port in ports:
        name = min(port.get_names() & names, default=port.get_any_name())
        element = port.get_element_type().get_type_name()
        if element not in DTYPES:
            raise EngineError(
                f"openvino: tensor {name} is {element}, expected one of {sorted(DTYPES)}: export it with one of these"
            )
        shape = tuple(size.get_length() if size.is_static else None for size in port.get_partial_shape())
        yield FoundTensor(name, shape, DTYPES[element])
