"""A base and an adapter as the weights of one model, merged in float32 when a weight is asked for.

A tied output layer is untied where the adapter changes it and the embedding differently, since PEFT's model computes
like that in training; PEFT's own merge would change both. Not for: what one change does to a weight (changes.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from cathrt.export.models.report.shape import EMBEDDING, HEAD, GemmaShape, Weights
from cathrt.export.models.report.weights.adapter import Adapter, open_adapter
from cathrt.export.models.report.weights.changes import Floats, extent_of_new, merge_low_rank
from cathrt.export.models.report.weights.merge_report import Kind, MergeReport, ModuleChange
from cathrt.export.models.report.weights.names import weight_shapes
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.sources.syntax import printable


class IdentifiedWeights(Weights, Protocol):
    """Weights that have a fingerprint: sha256, hex, of all that they are read from."""

    def identity(self) -> str: ...


class MergedWeights:
    """Weights of base and adapter together. Keeps what it learned of each change for the report."""

    def __init__(self, base: IdentifiedWeights, adapter: Adapter, tied: bool) -> None:
        self._base = base
        self._adapter = adapter
        self._shape = replace(base.shape, tied=tied)
        self._names = tuple(weight_shapes(self._shape))
        self._found: dict[str, ModuleChange] = {}

    @property
    def shape(self) -> GemmaShape:
        return self._shape

    @property
    def names(self) -> Collection[str]:
        return self._names

    @property
    def changed(self) -> tuple[str, ...]:
        """The weights that the adapter changes, in the model's order."""
        return tuple(name for name in self._names if name in self._adapter.changed)

    def tensor(self, name: str) -> Floats:
        """float32, C-contiguous, new memory."""
        if name not in self._names:
            raise ConfigError(f"{printable(name, 160)}: no weight of this model: take one of its names")
        weight: Floats = self._base.tensor(EMBEDDING if name == HEAD and self._base.shape.tied else name)
        return self._changed(name, weight) if name in self._adapter.changed else weight

    def change(self, name: str) -> ModuleChange:
        """What the adapter does to a weight of `changed`. Reads the weight where nobody has yet."""
        if name not in self._found:
            self.tensor(name)
        return self._found[name]

    def identity(self) -> str:
        """sha256, hex, over base and adapter."""
        return hashlib.sha256(f"{self._base.identity()}\n{self._adapter.identity()}\n".encode()).hexdigest()

    def _changed(self, name: str, weight: Floats) -> Floats:
        whole, low_rank = self._adapter.whole(name), self._adapter.low_rank(name)
        new = weight if whole is None else whole
        if low_rank is None:
            self._found[name] = ModuleChange(name, "whole", None, None, extent_of_new(new, weight))
            return new
        kind: Kind = "rslora" if self._adapter.settings.rslora else "lora"
        if low_rank.magnitude is not None:
            kind = "dora"
        extent = merge_low_rank(new, low_rank, name)
        self._found[name] = ModuleChange(name, kind, low_rank.left.shape[1], low_rank.scale, extent)
        return new


@dataclass(frozen=True, slots=True)
class Merged:
    """weights: of base and adapter together."""

    weights: MergedWeights
    adapter: Adapter
    notes: tuple[str, ...]
    untied: bool

    def report(self) -> MergeReport:
        """What changed. Costs nothing once all weights were read; before, it reads those that changed."""
        modules = tuple(self.weights.change(name) for name in self.weights.changed)
        still = [module.name for module in modules if module.extent.change_norm == 0]
        notes = list(self.notes)
        if still:
            notes.append(
                f"{len(still)} of {len(modules)} weights have a change of zero: the adapter was not trained there"
            )
        return MergeReport(self.adapter.tensors, modules, self.untied, tuple(notes), self.adapter.identity())


def open_merged(base: IdentifiedWeights, adapter: Path) -> Merged:
    """The base with the adapter in a folder of PEFT. Reads headers and a tied output layer's tensors alone.

    Raises ConfigError where a tensor of the adapter would not be used, or a setting is not known.
    """
    opened = open_adapter(adapter, weight_shapes(replace(base.shape, tied=False)))
    tied, note = _tying(base.shape.tied, opened)
    notes = (*opened.notes, *([note] if note else []))
    return Merged(MergedWeights(base, opened, tied), opened, notes, base.shape.tied and not tied)


def _tying(tied: bool, adapter: Adapter) -> tuple[bool, str | None]:
    """(whether the output layer still has the embedding's weights, what to say of it)."""
    embedding, head = EMBEDDING in adapter.changed, HEAD in adapter.changed
    if not tied or not (embedding or head):
        return tied, None
    if embedding and head:
        if adapter.same(EMBEDDING, HEAD):
            return True, "the output layer is changed as the embedding is, so they stay tied"
        return False, "untied: the adapter changes the embedding and the output layer, each in its own way"
    if adapter.settings.tying:
        if head:
            raise ConfigError(
                "adapter: ensure_weight_tying is set, and the output layer is changed without the embedding: what the "
                "trained model computes is not clear: merge it with PEFT, save the model and give that as the base"
            )
        return True, "the output layer follows the embedding (ensure_weight_tying), so they stay tied"
    changed = "embedding" if embedding else "output layer"
    return False, f"untied: the adapter changes the {changed} alone, so the output layer is a weight of its own"
