"""What merging an adapter did, module by module: for the terminal, the page and the provenance.

Not for: merging (merged.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from cathrt.export.models.report.weights.changes import Extent

Kind = Literal["lora", "rslora", "dora", "whole"]
_PARTS = ("language_model.", "vision_tower.", "multi_modal_projector.", "lm_head.")
_LARGEST = 5


@dataclass(frozen=True, slots=True)
class ModuleChange:
    """One weight, by our name. kind: whole took another's place, and has neither rank nor scale."""

    name: str
    kind: Kind
    rank: int | None
    scale: float | None
    extent: Extent

    @property
    def ratio(self) -> float:
        """Norm of the change by the norm of the weight before."""
        norm = self.extent.weight_norm
        return self.extent.change_norm / norm if norm else float("inf")


@dataclass(frozen=True, slots=True)
class MergeReport:
    """tensors: of the adapter, all of them used. untied: the output layer is a weight of its own since then."""

    tensors: int
    modules: tuple[ModuleChange, ...]
    untied: bool
    notes: tuple[str, ...]
    adapter: str  # its identity, sha256

    @property
    def probe_error(self) -> float:
        """The largest: how far a merged weight's product with a vector is from what base and adapter give apart."""
        return max((module.extent.probe_error for module in self.modules), default=0.0)

    def lines(self) -> tuple[str, ...]:
        """For the terminal."""
        found = [f"adapter: all {self.tensors} tensors used, {len(self.modules)} weights changed"]
        for part in _PARTS:
            ratios = [module.ratio for module in self.modules if module.name.startswith(part)]
            if ratios:
                span = f"change / weight {min(ratios):.3g} to {max(ratios):.3g}"
                found.append(f"  {part.rstrip('.')}: {len(ratios)} weights, {span}")
        found.extend(self._largest())
        found.append(f"  merged against base + adapter, each weight on its own: {self.probe_error:.1e} at most")
        return (*found, *(f"  {note}" for note in self.notes))

    def record(self) -> dict[str, Any]:
        """For the provenance, JSON."""
        return {
            "adapter_sha256": self.adapter,
            "tensors": self.tensors,
            "untied": self.untied,
            "probe_error": self.probe_error,
            "notes": list(self.notes),
            "modules": [
                {
                    "name": module.name,
                    "kind": module.kind,
                    "rank": module.rank,
                    "scale": module.scale,
                    "change_norm": module.extent.change_norm,
                    "weight_norm": module.extent.weight_norm,
                }
                for module in self.modules
            ],
        }

    def _largest(self) -> Iterator[str]:
        for module in sorted(self.modules, key=lambda one: -one.ratio)[:_LARGEST]:
            how = module.kind if module.rank is None else f"{module.kind} rank {module.rank} scale {module.scale:.3g}"
            yield f"  largest: {module.name}: {module.ratio:.3g} ({how})"
