"""An engine made of a Python function: for tests, demonstrations of the line, and timing the line without a network.

Keeps every rule of the port (own buffers, checked feeds, stable outputs), so what works with it works with a network.
Not for: alerts about patients; ENGINES does not list it, so no configuration can reach it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from numpy.typing import NDArray

from cathrt.runtime.engines.tensors import feed, page_aligned
from cathrt.runtime.errors import EngineError
from cathrt.runtime.tensor import TensorSpec

Tensors = Mapping[str, NDArray[Any]]


class FakeEngine:
    """Runs `compute(inputs, outputs)`, which fills the output arrays in place; what it raises passes through."""

    def __init__(
        self,
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[TensorSpec, ...],
        compute: Callable[[Tensors, Tensors], None],
    ) -> None:
        self._inputs = inputs
        self._outputs = outputs
        self._input_buffers = MappingProxyType({spec.name: page_aligned(spec) for spec in inputs})
        self._output_buffers = MappingProxyType({spec.name: page_aligned(spec) for spec in outputs})
        self._compute: Callable[[Tensors, Tensors], None] | None = compute

    @property
    def name(self) -> str:
        return "fake"

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return self._inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        return self._outputs

    @property
    def input_buffers(self) -> Tensors:
        return self._input_buffers

    def infer(self, feeds: Tensors) -> Tensors:
        if self._compute is None:
            raise EngineError("fake: the engine is closed: build it again")
        feed("fake", self._input_buffers, feeds)
        self._compute(self._input_buffers, self._output_buffers)
        return self._output_buffers

    def close(self) -> None:
        self._compute = None
