"""What merging an adapter did, kept on disk, since finding it out reads every weight that changed.

Not for: merging (weights/).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cathrt.export.models.report.source import Source
from cathrt.export.recipe.stage_cache import StageCache

_FILE = "merge.json"


@dataclass(frozen=True, slots=True)
class ModuleTold:
    """One weight. change, weight: norms."""

    name: str
    how: str
    change: float
    weight: float

    @property
    def ratio(self) -> float:
        return self.change / self.weight if self.weight else float("inf")


@dataclass(frozen=True, slots=True)
class MergeTold:
    """lines: for the terminal. record: for the provenance, JSON. modules: the most changed first."""

    lines: tuple[str, ...]
    record: Mapping[str, Any]
    modules: tuple[ModuleTold, ...]


def merge_told(cache: StageCache, source: Source) -> MergeTold | None:
    """None without an adapter. Costs little where the weights were read in this process already."""
    merged = source.merged
    if merged is None:
        return None

    def make(folder: Any) -> None:
        found = merged.report()
        told = {"lines": found.lines(), "record": found.record()}
        (folder / _FILE).write_text(json.dumps(told, allow_nan=False), encoding="utf-8")

    kept = cache.result("merge", {"weights": source.sha256}, make)
    told = json.loads((kept / _FILE).read_text(encoding="utf-8"))
    modules = [_module(entry) for entry in told["record"]["modules"]]
    return MergeTold(tuple(told["lines"]), told["record"], tuple(sorted(modules, key=lambda one: -one.ratio)))


def _module(entry: Mapping[str, Any]) -> ModuleTold:
    ranked = "" if entry["rank"] is None else f" of rank {entry['rank']}, scale {entry['scale']:.3g}"
    return ModuleTold(entry["name"], f"{entry['kind']}{ranked}", entry["change_norm"], entry["weight_norm"])
