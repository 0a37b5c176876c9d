"""A Gemma3 checkpoint's folder as the weights of one model, in our names whatever the layout.

Every tensor of the files has a place and every weight a tensor, or nothing is opened. Not for: adapters (merged.py).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.export.models.report.shape import EMBEDDING, HEAD, GemmaShape
from cathrt.export.models.report.weights.config import shape_from_config
from cathrt.export.models.report.weights.config_table import ConfigTable, read_json_table
from cathrt.export.models.report.weights.faults import lines
from cathrt.export.models.report.weights.folder import CONFIG, GENERATION, require_folder, weight_files
from cathrt.export.models.report.weights.names import POOLING_HEAD, our_name, weight_shapes
from cathrt.export.models.report.weights.tensor_file import FLOATS, TensorFile
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.sources.input_names import shown_name
from cathrt.runtime.sources.syntax import printable


@dataclass(frozen=True, slots=True)
class Place:
    """Where a weight is stored. name: in the file."""

    file: TensorFile
    name: str


class StoredWeights:
    """Weights as in the folder. notes: what a reader of the export should know, a line each."""

    def __init__(
        self,
        shape: GemmaShape,
        places: Mapping[str, Place],
        documents: Sequence[Mapping[str, Any]],
        notes: tuple[str, ...],
    ) -> None:
        self._shape = shape
        self._places = dict(places)
        self._documents = documents
        self.notes = notes

    @property
    def shape(self) -> GemmaShape:
        return self._shape

    @property
    def names(self) -> Collection[str]:
        return self._places.keys()

    def tensor(self, name: str) -> NDArray[np.float32]:
        """float32, C-contiguous, new memory."""
        place = self._places.get(name)
        if place is None:
            raise ConfigError(f"{printable(name, 160)}: no weight of this model: take one of its names")
        return place.file.tensor(place.name)

    def identity(self) -> str:
        """sha256, hex, over the settings and all bytes of the files of weights. Reads them once more."""
        digest = hashlib.sha256()
        for document in self._documents:
            digest.update(json.dumps(document, sort_keys=True).encode() + b"\n")
        for file in dict.fromkeys(place.file for place in self._places.values()):
            digest.update(file.sha256().encode() + b"\n")
        return digest.hexdigest()


def open_base(folder: Path) -> StoredWeights:
    """The model in a folder of transformers: config.json, and one safetensors file or parts with their index.

    Reads headers alone. Raises ConfigError where a tensor is missing, unknown, there twice, or of another shape or
    type.
    """
    require_folder(folder)
    documents = [read_json_table(folder / CONFIG)]
    shape = shape_from_config(documents[0])
    if (folder / GENERATION).exists():
        documents.append(read_json_table(folder / GENERATION))
        ends = ConfigTable(GENERATION, documents[1]).tokens("eos_token_id", shape.end_tokens)
        shape = replace(shape, end_tokens=tuple(dict.fromkeys((*shape.end_tokens, *ends))))
    places, notes, faults = _places(weight_files(folder), shape)
    if HEAD in places and shape.tied:
        _require_tied(places)
        del places[HEAD]
        notes.append("the output layer is stored beside the embedding with the same values: it is written once")
    if faults := [*faults, *_differences(places, shape)]:
        raise ConfigError(
            f"{shown_name(folder)}: not the weights that its {CONFIG} describes, {len(faults)} differences:"
            f"{lines(faults)}\nCheck that the folder holds one whole Gemma3 model, not quantised"
        )
    ordered = {name: places[name] for name in weight_shapes(shape)}
    return StoredWeights(shape, ordered, documents, tuple(notes))


def _places(files: Sequence[TensorFile], shape: GemmaShape) -> tuple[dict[str, Place], list[str], list[str]]:
    """(by our name, notes, faults)."""
    known = weight_shapes(replace(shape, tied=False))
    places: dict[str, Place] = {}
    faults, pooling = [], 0
    for file in files:
        for name in file.stored:
            ours = our_name(name)
            if ours is not None and ours.startswith(POOLING_HEAD) and shape.vision is not None:
                pooling += 1
            elif ours is None or ours not in known:
                faults.append(f"{name}: found in {file.name}, expected nothing of this name")
            elif ours in places:
                faults.append(f"{name}: the same weight as {places[ours].name}: expected it once")
            else:
                places[ours] = Place(file, name)
    notes = []
    if pooling:
        notes.append(f"left out: {pooling} tensors of SigLIP's pooling head, which Gemma3 does not use")
    return places, notes, faults


def _differences(places: Mapping[str, Place], shape: GemmaShape) -> Iterator[str]:
    """Weights that are missing, or of another shape or type than the settings say."""
    for name, expected in weight_shapes(shape).items():
        if name not in places:
            yield f"{name}: missing, expected {expected}"
            continue
        kind, found = places[name].file.stored[places[name].name]
        if found != expected:
            yield f"{places[name].name}: found {found}, expected {expected}"
        if kind not in FLOATS:
            yield f"{places[name].name}: found {kind}, expected one of {', '.join(FLOATS)}"


def _require_tied(places: Mapping[str, Place]) -> None:
    """Transformers 4 would overwrite the head with the embedding, 5 would keep it: which was meant is not clear."""
    head, embedding = places[HEAD], places.get(EMBEDDING)
    if embedding is not None and not head.file.same(head.name, embedding.file, embedding.name):
        raise ConfigError(
            f"{head.name}: its values are not those of {embedding.name}, but {CONFIG} says tie_word_embeddings: set it "
            "to false there if the output layer was trained on its own, or else remove the tensor"
        )
