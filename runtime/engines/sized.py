"""What a sized engine is asked to open, and what all of them share (ports.SizedEngine).

Not for: choosing the engine (__init__.py), or engines for one bucket (request.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.bundle.manifest import Artifact, DeclaredTensor, Network
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import EngineConfig
from cathrt.runtime.engines.cpu import cpu_quota
from cathrt.runtime.engines.tensors import page_aligned
from cathrt.runtime.errors import EngineError
from cathrt.runtime.tensor import TensorSpec

Tensors = Mapping[str, NDArray[Any]]
Bucket = Mapping[str, int]
_NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class SizedRequest:
    """One network of a bundle in all of its buckets. config: threads is never 0."""

    bundle: Bundle
    artifact: Artifact
    network: Network
    config: EngineConfig

    @classmethod
    def of(cls, bundle: Bundle, role: str, engine: str, config: EngineConfig) -> Self:
        """Raises EngineError where the network has no artifact for the engine, ManifestError where it is not there."""
        network = bundle.manifest.network(role)
        artifact = network.artifacts.get(engine)
        if artifact is None:
            raise EngineError(
                f"bundle {bundle.manifest.name}, network {role}: found no artifact for {engine}, only for "
                f"{sorted(network.artifacts)}: choose one of these engines, or export the bundle for this one"
            )
        return cls(bundle, artifact, network, replace(config, threads=config.threads or cpu_quota()))

    def release(self) -> None:
        """Give back the memory of the artifact's mapped files, for an engine that holds a copy of its own by now."""
        beside = {tensor.file for tensor in self.bundle.external.get(self.artifact.file, ())}
        for name in {self.artifact.file, *beside}:
            self.bundle.file(name).release()


@dataclass(frozen=True, slots=True)
class FoundTensor:
    """An input or output as the loaded network has it. shape: None for a size that it leaves open."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str


def layer_tensors(layers: int) -> tuple[str, ...]:
    """Names of a decoder's cache: keys_00, values_00, keys_01, ...: its inputs; its outputs have new_ in front."""
    digits = max(2, len(str(layers - 1)))
    return tuple(f"{kind}_{layer:0{digits}}" for layer in range(layers) for kind in ("keys", "values"))


class Sizes:
    """The tensors of a network in its buckets: which bucket feeds are of, and memory for the outputs of each.

    Outputs of all buckets share their memory, which is that of the largest.
    """

    def __init__(
        self,
        engine: str,
        inputs: tuple[DeclaredTensor, ...],
        outputs: tuple[DeclaredTensor, ...],
        buckets: tuple[Bucket, ...],
    ) -> None:
        self.engine = engine
        self.inputs = inputs
        self.outputs = outputs
        self.buckets = buckets or ({},)
        self._known = {tuple(sorted(bucket.items())) for bucket in self.buckets}
        self._memory: dict[str, NDArray[Any]] = {}

    def checked(self, feeds: Tensors) -> tuple[Bucket, dict[str, NDArray[Any]]]:
        """The bucket that the feeds are of, and the feeds, C-contiguous. Raises EngineError where they fit none."""
        names = {tensor.name for tensor in self.inputs}
        if feeds.keys() != names:
            raise EngineError(f"{self.engine}: fed {sorted(feeds)}, expected exactly {sorted(names)}")
        bucket: dict[str, int] = {}
        for tensor in self.inputs:
            given = feeds[tensor.name]
            if given.dtype != np.dtype(tensor.dtype) or not _fits(given.shape, tensor.shape, bucket):
                sizes = f" with {bucket}" if bucket else ""
                raise EngineError(
                    f"{self.engine}: input {tensor.name} fed {given.shape} {given.dtype}, expected {tensor.shape} "
                    f"{tensor.dtype}{sizes}"
                )
        if tuple(sorted(bucket.items())) not in self._known:
            raise EngineError(
                f"{self.engine}: fed sizes {bucket}, which are no bucket of the network: pad to one of them"
            )
        return bucket, {name: np.ascontiguousarray(array) for name, array in feeds.items()}

    def output_arrays(self, bucket: Bucket) -> dict[str, NDArray[Any]]:
        """An array for each output in that bucket, over the memory that all buckets share."""
        arrays = {}
        for tensor in self.outputs:
            spec = tensor.in_bucket(bucket)
            memory = self._memory.get(tensor.name)
            if memory is None:
                most = max(math.prod(tensor.in_bucket(one).shape) for one in self.buckets)
                memory = self._memory[tensor.name] = page_aligned(TensorSpec(tensor.name, (most,), tensor.dtype))
            arrays[tensor.name] = memory[: math.prod(spec.shape)].reshape(spec.shape)
        return arrays

    def check_outputs(self, bucket: Bucket, found: Tensors) -> None:
        """Raise EngineError where the network gave an output of another size or type than the manifest declares."""
        for tensor in self.outputs:
            spec, given = tensor.in_bucket(bucket), found[tensor.name]
            if given.shape != spec.shape or given.dtype != np.dtype(spec.dtype):
                raise EngineError(
                    f"{self.engine}: output {spec.name} is {given.shape} {given.dtype} with {dict(bucket)}, expected "
                    f"{spec.shape} {spec.dtype}: export the bundle again"
                )


class ComputedEngine:
    """A sized engine (ports.SizedEngine) around one function, which fills the outputs in place.

    compute(bucket, inputs, outputs): what it raises passes through. weights: mapped arrays that it may still read from;
    they are kept for as long as the engine.
    """

    def __init__(
        self, sizes: Sizes, compute: Callable[[Bucket, Tensors, Tensors], None], weights: Mapping[str, Any] = _NOTHING
    ) -> None:
        self._sizes = sizes
        self._compute: Callable[[Bucket, Tensors, Tensors], None] | None = compute
        self._weights = weights

    @property
    def name(self) -> str:
        return self._sizes.engine

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
        if self._compute is None:
            raise EngineError(f"{self.name}: the engine is closed: open it again")
        bucket, arrays = self._sizes.checked(feeds)
        outputs = self._sizes.output_arrays(bucket)
        self._compute(bucket, arrays, outputs)
        return outputs

    def close(self) -> None:
        self._compute = None
        self._weights = _NOTHING


def check_found(engine: str, side: str, found: Iterable[FoundTensor], expected: tuple[DeclaredTensor, ...]) -> None:
    """Raise EngineError naming every difference between a loaded network's tensors and the manifest's.

    side: "input" or "output". A size that the manifest names must be open in the network; a fixed one may be open in
    an output alone, where each run is checked.
    """
    loaded, listed = {tensor.name: tensor for tensor in found}, {tensor.name: tensor for tensor in expected}
    faults = [f"{side} {name} is in the network only" for name in loaded.keys() - listed.keys()]
    faults += [f"{side} {name} is in the manifest only" for name in listed.keys() - loaded.keys()]
    for name in loaded.keys() & listed.keys():
        have, want = loaded[name], listed[name]
        if not _may_be(have.shape, want.shape, loose=side == "output") or have.dtype != want.dtype:
            found_here, listed_there = f"{have.shape} {have.dtype}", f"{want.shape} {want.dtype}"
            faults.append(f"{side} {name} is {found_here} in the network, {listed_there} in the manifest")
    if faults:
        raise EngineError(f"{engine}: " + "; ".join(sorted(faults)) + ": export the bundle again")


def _may_be(found: tuple[int | None, ...], declared: tuple[int | str, ...], *, loose: bool) -> bool:
    sizes = tuple(size if isinstance(size, int) else None for size in declared)
    if not loose or len(found) != len(sizes):
        return found == sizes
    return all(size in (None, want) for size, want in zip(found, sizes, strict=True))


def _fits(given: tuple[int, ...], declared: tuple[int | str, ...], bucket: dict[str, int]) -> bool:
    """Whether a shape is the declared one, where sizes met for the first time are put into the bucket."""
    if len(given) != len(declared):
        return False
    return all(
        size == (bucket.setdefault(want, size) if isinstance(want, str) else want)
        for size, want in zip(given, declared, strict=True)
    )
