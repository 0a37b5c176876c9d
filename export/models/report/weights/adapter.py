"""A PEFT adapter's folder: which weights it changes, and how. Every tensor of it is used once, or nothing is opened.

PEFT itself loads tensors that it does not recognise as nothing, with a warning. Not for: merging (merged.py).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import numpy as np

from cathrt.export.models.report.shape import EMBEDDING, HEAD
from cathrt.export.models.report.weights.adapter_parts import Parts, parts_by_weight
from cathrt.export.models.report.weights.adapter_settings import (
    ADAPTER_CONFIG,
    AdapterSettings,
    settings_from_config,
)
from cathrt.export.models.report.weights.changes import Floats, LowRank
from cathrt.export.models.report.weights.config_table import read_json_table
from cathrt.export.models.report.weights.faults import lines, listed
from cathrt.export.models.report.weights.names import PROJECTOR, Shape
from cathrt.export.models.report.weights.tensor_file import FLOATS, TensorFile
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.sources.input_names import shown_name

ADAPTER_WEIGHTS = "adapter_model.safetensors"


class Adapter:
    """notes: a line each. tensors: how many the file holds, all of them used."""

    def __init__(self, settings: AdapterSettings, parts: Mapping[str, Parts], file: TensorFile, settings_digest: str):
        self.settings = settings
        self.tensors = len(file.stored)
        self._parts = dict(parts)
        self._file = file
        self._settings_digest = settings_digest
        self.notes = tuple(_notes(settings, parts))

    @property
    def changed(self) -> Collection[str]:
        """Our names of the weights that it changes."""
        return self._parts.keys()

    def whole(self, name: str) -> Floats | None:
        """The weight that takes the place of `name`; None where it is kept."""
        stored = self._parts[name].names.get("whole")
        return None if stored is None else self._file.tensor(stored)

    def low_rank(self, name: str) -> LowRank | None:
        """What is added to the weight, or to the one in its place."""
        parts = self._parts[name]
        if not parts.low_rank:
            return None
        scale = self.settings.scale_of(_matched_path(parts, name, self.settings))
        embedding = "lora_embedding_A" in parts.names
        one, two = ("lora_embedding_A", "lora_embedding_B") if embedding else ("lora_A", "lora_B")
        first, second = self._file.tensor(parts.names[one]), self._file.tensor(parts.names[two])
        stored = parts.names.get("lora_magnitude_vector")
        magnitude = None if stored is None else self._file.tensor(stored).reshape(-1)
        if embedding:
            left, right = np.ascontiguousarray(first.T), np.ascontiguousarray(second.T)
            return LowRank(left, right, scale, magnitude, by_column=magnitude is not None)
        return LowRank(second.reshape(len(second), -1), first.reshape(len(first), -1), scale, magnitude)

    def same(self, one: str, other: str) -> bool:
        """Whether two weights that are equal before are changed alike."""
        wholes = [self._parts[name].names.get("whole") for name in (one, other)]
        if (wholes[0] is None) != (wholes[1] is None):
            return False
        if wholes[0] is not None and wholes[1] is not None and not self._file.same(wholes[0], self._file, wholes[1]):
            return False
        first, second = self.low_rank(one), self.low_rank(other)
        return (first is None and second is None) or (first is not None and second is not None and first.same(second))

    def identity(self) -> str:
        """sha256, hex, over the settings and the file."""
        return hashlib.sha256(f"{self._settings_digest}\n{self._file.sha256()}\n".encode()).hexdigest()


def open_adapter(folder: Path, shapes: Mapping[str, Shape]) -> Adapter:
    """shapes: of the model's weights, by our name, the output layer among them.

    Reads headers alone. Raises ConfigError where a tensor would not be used, or does not fit.
    """
    where = shown_name(folder)
    if not folder.is_dir():
        raise ConfigError(f"{where}: no such folder: give the folder that holds {ADAPTER_CONFIG}")
    document = read_json_table(folder / ADAPTER_CONFIG)
    settings = settings_from_config(document)
    if not (folder / ADAPTER_WEIGHTS).exists() and (folder / "adapter_model.bin").exists():
        raise ConfigError(
            f"{where}: holds adapter_model.bin, expected {ADAPTER_WEIGHTS}: reading it could run code from it, and "
            "nothing was read. Where you trust who made it, load it with PEFT once and save it with save_pretrained"
        )
    file = TensorFile(folder / ADAPTER_WEIGHTS)
    parts, strange = parts_by_weight(file.stored, shapes)
    if strange or not parts:
        raise ConfigError(_unused(where, strange, len(file.stored)))
    if faults := list(_faults(parts, settings, file, shapes)):
        raise ConfigError(
            f"{where}: the adapter does not fit the model or its {ADAPTER_CONFIG}, {len(faults)} differences:"
            f"{lines(faults)}\nGive the base that it was trained on, and the folder as PEFT saved it"
        )
    digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
    return Adapter(settings, parts, file, digest)


def _matched_path(parts: Parts, weight: str, settings: AdapterSettings) -> str:
    """The path that PEFT matches patterns with: of the layer, or of the parameter where it was trained by itself."""
    parameter = f"{parts.path}.{weight.rpartition('.')[2]}"
    return parameter if parts.of_parameter or settings.is_parameter(parameter) else parts.path


def _unused(where: str, strange: list[str], count: int) -> str:
    if not strange:
        return f"{where}: {ADAPTER_WEIGHTS} holds no tensor: give the folder as PEFT saved it"
    return (
        f"{where}: {len(strange)} of the adapter's {count} tensors change no weight of this model, or one that "
        f"another has changed already:{lines(sorted(strange))}\nNothing was merged: a part of a training alone gives "
        "answers that nobody has evaluated. Give the base that the adapter was trained on"
    )


def _faults(
    parts: Mapping[str, Parts], settings: AdapterSettings, file: TensorFile, shapes: Mapping[str, Shape]
) -> Iterator[str]:
    for weight, part in parts.items():
        if fault := part.fault(settings.dora):
            yield fault
            continue
        if "whole" in part.names and weight not in (EMBEDDING, HEAD) and not settings.saved_by(part.path):
            yield f"{part.names['whole']}: a whole weight, and modules_to_save does not name it"
        rank = settings.rank_of(_matched_path(part, weight, settings))
        for kind, expected in _expected(part, rank, shapes[weight]).items():
            dtype, found = file.stored[part.names[kind]]
            if found not in expected:
                yield f"{part.names[kind]}: found {found}, expected {expected[0]}"
            if dtype not in FLOATS:
                yield f"{part.names[kind]}: found {dtype}, expected one of {', '.join(FLOATS)}"
    saved = {entry for part in parts.values() if "whole" in part.names for entry in settings.saved_by(part.path)}
    for module in settings.saved_modules:
        if module not in saved:
            yield f"modules_to_save names {module}: no tensor of it in {file.name}"


def _expected(part: Parts, rank: int, shape: Shape) -> dict[str, tuple[Shape, ...]]:
    """By part, the shapes that it may have."""
    rows, columns = shape[0], math.prod(shape[1:])
    point = (1,) * (len(shape) - 2)
    expected: dict[str, tuple[Shape, ...]] = {
        "whole": (shape,),
        "lora_A": ((rank, *shape[1:]),),
        "lora_B": ((rows, rank, *point),),
        "lora_embedding_A": ((rank, rows),),
        "lora_embedding_B": ((columns, rank),),
        "lora_magnitude_vector": ((columns,),) if "lora_embedding_A" in part.names else ((rows,), (1, rows, *point)),
    }
    return {kind: expected[kind] for kind in part.names}


def _notes(settings: AdapterSettings, parts: Mapping[str, Parts]) -> Iterator[str]:
    paths = [part.path for part in parts.values()]
    silent = [
        target
        for target in settings.targets
        if not any(path == target or path.endswith("." + target) for path in paths)
    ]
    if silent:
        yield (
            f"target_modules names {listed(silent)}, and no tensor of the adapter is of it: PEFT found nothing to "
            f"train there. {PROJECTOR.rpartition('.')[2]} is trained by target_parameters or modules_to_save alone"
        )
