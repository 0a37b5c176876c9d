"""A sized engine made of a Python function: for tests and for timing what is around a network.

Keeps every rule of the port (buckets, checked feeds, outputs in memory of its own). Not for: answers about patients;
no configuration can reach it.
"""

from __future__ import annotations

from collections.abc import Callable

from cathrt.runtime.bundle.manifest import DeclaredTensor
from cathrt.runtime.engines.sized import Bucket, ComputedEngine, Sizes, Tensors


class FakeSizedEngine(ComputedEngine):
    """Runs `compute(inputs, outputs)`, which fills the output arrays in place; what it raises passes through."""

    def __init__(
        self,
        inputs: tuple[DeclaredTensor, ...],
        outputs: tuple[DeclaredTensor, ...],
        buckets: tuple[Bucket, ...],
        compute: Callable[[Tensors, Tensors], None],
    ) -> None:
        sizes = Sizes("fake", inputs, outputs, buckets)
        super().__init__(sizes, lambda bucket, inputs, outputs: compute(inputs, outputs))
