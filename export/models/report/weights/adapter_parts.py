"""The tensors of a PEFT adapter, by the weight that they change. PEFT's names, all layouts of the model behind them.

Not for: what they do to it (changes.py), or the settings (adapter_settings.py).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from cathrt.export.models.report.weights.names import PROJECTOR, our_name

_PREFIX = "base_model.model."
# (end of a name, part). For a layer's own weight, where the name's beginning is the layer's path.
_PARTS = (
    (".lora_A.weight", "lora_A"),
    (".lora_B.weight", "lora_B"),
    (".lora_embedding_A", "lora_embedding_A"),
    (".lora_embedding_B", "lora_embedding_B"),
    (".lora_magnitude_vector", "lora_magnitude_vector"),
    (".lora_magnitude_vector.weight", "lora_magnitude_vector"),
)
_BENEATH = ".base_layer.weight"  # of an embedding, which PEFT saves with its adapter
# Sets of parts that make a change, the magnitude aside.
_LINEAR, _EMBEDDING = {"lora_A", "lora_B"}, {"lora_embedding_A", "lora_embedding_B"}


@dataclass(frozen=True, slots=True)
class Parts:
    """What an adapter holds for one weight. names: in the file, by part. of_parameter: it is no layer's `weight`.

    path: in the model that was trained, of the layer, or of the weight where it is whole.
    """

    path: str
    names: Mapping[str, str]
    of_parameter: bool

    @property
    def low_rank(self) -> bool:
        return bool(self.names.keys() & (_LINEAR | _EMBEDDING))

    def fault(self, dora: bool) -> str | None:
        """What is missing, or too much."""
        kinds = set(self.names)
        lengths = {"lora_magnitude_vector"} if dora and not self.of_parameter else set()
        wanted = _EMBEDDING if kinds & _EMBEDDING else _LINEAR
        if kinds == {"whole"} or kinds - {"whole"} == wanted | lengths:
            return None
        return f"{self.path}: holds {', '.join(sorted(kinds))}, expected {', '.join(sorted(wanted | lengths))}"


def parts_by_weight(names: Collection[str], weights: Collection[str]) -> tuple[dict[str, Parts], list[str]]:
    """(by our name of the weight; the adapter's tensors that change no weight of this model, or one twice)."""
    found: dict[str, dict[str, str]] = {}
    paths: dict[str, tuple[str, bool]] = {}
    strange = []
    for name in names:
        path, part = _path_and_part(name.removeprefix(_PREFIX))
        weight, of_parameter = _weight(path, part)
        if weight is None or weight not in weights or not name.startswith(_PREFIX):
            strange.append(name)
        elif (other := found.setdefault(weight, {}).setdefault(part, name)) != name:
            strange.append(f"{name} (as {other})")
        elif part != "whole" or weight not in paths:
            paths[weight] = (path, of_parameter)
    return {weight: Parts(paths[weight][0], by_part, paths[weight][1]) for weight, by_part in found.items()}, strange


def _path_and_part(name: str) -> tuple[str, str]:
    if name.endswith(_BENEATH):
        return name.removesuffix(_BENEATH) + ".weight", "whole"
    for end, part in _PARTS:
        if name.endswith(end):
            return name.removesuffix(end), part
    return name, "whole"


def _weight(path: str, part: str) -> tuple[str | None, bool]:
    """(our name of the weight, whether it is a parameter that is no layer's weight)."""
    ours = our_name(path)
    if ours is None or part == "whole":
        return ours, False
    if ours == PROJECTOR.rpartition(".")[0]:
        return PROJECTOR, True
    return f"{ours}.weight", False
