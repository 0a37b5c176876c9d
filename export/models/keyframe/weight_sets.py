"""The sets of ConvNeXt weights in a file, wherever a training program put them.

A set is all that stands behind one prefix: keys of the file's tables, names of modules, or both, such as
state_dict.ema_model.module. Any prefix will do; the names behind it are a library's. Not for: whether a set is whole
(checkpoint.py).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor

from cathrt.export.models.keyframe.convnext_names import LAYOUTS, Layout, timm_names

TOP = "top"  # name of the set without a prefix
# What data parallelism, torch.compile and Fabric put between modules; they compute nothing.
_WRAPPERS = {"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module"}
# Tables of optimizers, whose moments may have the weights' names and shapes.
_BOOKS = {"optimizer", "optimizers", "optimizer_state", "optimizer_states", "optimizer_state_dict", "optim", "grads"}
_FEWEST = 32  # of the 116 and more names of a network: fewer are another network's that has such names too
_MOST_PARTS = 8  # of a library's name, between its dots
_MOST_TRIED = 24  # the same, with wrappers in between


@dataclass(frozen=True, slots=True, eq=False)
class WeightSet:
    """One set. name: its prefix without the last dot, or TOP, and the library if two share that. names: the file's by
    timm's.

    spare: further tensors inside the network's own modules, such as another kind of block has.
    """

    name: str
    prefix: str
    layout: Layout
    names: Mapping[str, str]
    spare: tuple[str, ...]

    def shown(self, library_name: str) -> str:
        """What the file would call a weight that it lacks."""
        return f"{self.prefix}.{library_name}" if self.prefix else library_name


def weight_sets(tensors: Mapping[str, Tensor]) -> list[WeightSet]:
    """The sets in the file's order; where nothing has the names of a whole network, the one that comes nearest."""
    found: dict[tuple[str, Layout], dict[str, str]] = {}
    for name in tensors:
        for prefix, layout, timm_name in _readings(name):
            found.setdefault((prefix, layout), {}).setdefault(timm_name, name)
    by_size = sorted(found.items(), key=lambda item: -len(item[1]))
    large = [item for item in by_size if len(item[1]) >= _FEWEST] or by_size[:1]
    taken: set[str] = set()
    kept = []
    for (prefix, layout), names in large:
        mine = set(names.values())
        if 2 * len(mine & taken) < len(mine):  # or it is a part of another set, read as another library's
            taken |= mine
            kept.append((prefix, layout, names))
    order = {name: place for place, name in enumerate(tensors)}
    kept.sort(key=lambda one: min(order[name] for name in one[2].values()))
    sets: list[WeightSet] = []
    for prefix, layout, names in kept:
        name = prefix or TOP
        if any(name == other.name for other in sets):
            name = f"{name} as {layout}"
        sets.append(WeightSet(name, prefix, layout, names, _spare(tensors, prefix, layout, names)))
    return sets


def table_of(name: str) -> str | None:
    """The optimizer's table that a tensor belongs to, by its name; None for other tensors."""
    parts = name.split(".")
    place = next((place for place, part in enumerate(parts) if part in _BOOKS), None)
    return None if place is None else ".".join(parts[: place + 1])


def _readings(name: str) -> Iterator[tuple[str, Layout, str]]:
    """Every way to read a name as a prefix and a library's name: (prefix, library, timm's name)."""
    parts = name.split(".")
    if _BOOKS.intersection(parts):
        return
    for start in range(len(parts) - 1, max(-1, len(parts) - 1 - _MOST_TRIED), -1):
        if parts[start] in _WRAPPERS:
            continue
        rest = [part for part in parts[start:] if part not in _WRAPPERS]
        if len(rest) > _MOST_PARTS:
            return
        for layout, timm_name in _known().get(".".join(rest), ()):
            yield ".".join(parts[:start]), layout, timm_name


def _spare(tensors: Mapping[str, Tensor], prefix: str, layout: Layout, names: Mapping[str, str]) -> tuple[str, ...]:
    mine, before = set(names.values()), f"{prefix}." if prefix else ""
    return tuple(
        name
        for name in tensors
        if name.startswith(before) and name not in mine and _first(name[len(before) :]) in _modules(layout)
    )


def _first(name: str) -> str:
    return next((part for part in name.split(".") if part not in _WRAPPERS), "")


@functools.cache
def _known() -> Mapping[str, list[tuple[Layout, str]]]:
    """By a library's name: the libraries that have it, with timm's name."""
    found: dict[str, list[tuple[Layout, str]]] = {}
    for layout in LAYOUTS:
        for library_name, timm_name in timm_names(layout).items():
            found.setdefault(library_name, []).append((layout, timm_name))
    return found


@functools.cache
def _modules(layout: Layout) -> frozenset[str]:
    """What the names of a library's network begin with."""
    return frozenset(library_name.partition(".")[0] for library_name in timm_names(layout))
