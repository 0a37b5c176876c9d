"""What an engine is asked to open: one network of a bundle, in one of its shapes.

Not for: choosing the engine (__init__.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from cathrt.runtime.bundle.manifest import Artifact
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import EngineConfig
from cathrt.runtime.engines.cpu import cpu_quota
from cathrt.runtime.errors import EngineError, ManifestError
from cathrt.runtime.tensor import TensorSpec


@dataclass(frozen=True, slots=True)
class NetworkRequest:
    """inputs, outputs: the network's tensors in the bucket asked for. config: threads is never 0.

    bucket: sizes of the named dimensions. side_by_side: open it for several inferences at the same time, if the engine
    can; one alone then takes longer.
    """

    bundle: Bundle
    artifact: Artifact
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    config: EngineConfig
    bucket: Mapping[str, int]
    side_by_side: bool = False

    @classmethod
    def of(
        cls, bundle: Bundle, role: str, engine: str, config: EngineConfig, bucket: Mapping[str, int] | None = None
    ) -> Self:
        """The network of that role as this engine has it. Raises EngineError where it has none, ManifestError where
        there is no such network or bucket."""
        manifest, sizes = bundle.manifest, dict(bucket or {})
        network = manifest.network(role)
        artifact = network.artifacts.get(engine)
        if artifact is None:
            raise EngineError(
                f"bundle {manifest.name} has no artifact for {engine}, only for {sorted(network.artifacts)}: "
                "choose one of these engines, or export the bundle for this one"
            )
        if sizes not in (network.buckets or ({},)):
            raise ManifestError(
                f"bundle {manifest.name}, network {role}: found bucket {sizes}, there are {network.buckets}"
            )
        settled = replace(config, threads=config.threads or cpu_quota())
        return cls(bundle, artifact, network.input_specs(sizes), network.output_specs(sizes), settled, sizes)

    def where(self, engine: str) -> str:
        """How messages begin: the engine, and the bucket where the network has any."""
        return f"{engine}, bucket {dict(self.bucket)}" if self.bucket else engine
