"""Writes a finished qualification to disk and reads it: JSON and pictures. An interrupted export goes on from it.

Not for: evidence (evidence.py) or people (qualify/page.py); the form may change with the dataclasses.
"""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cathrt.export.qualify.alone import Alone
from cathrt.export.qualify.criteria import Criteria
from cathrt.export.qualify.measure import Qualification
from cathrt.export.qualify.sequential import Proof
from cathrt.export.qualify.worth import Worth

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_DOCUMENT, _PICTURES = "qualification.json", "pictures.npz"


def write_qualification(folder: Path, found: Qualification, criteria: Criteria[Any, Any]) -> None:
    """Two files into a folder."""
    plain = {field.name: getattr(found, field.name) for field in fields(found) if field.name not in _STRUCTURED}
    adapters = _adapters(criteria.comparison)
    parts = {name: json.loads(adapter.dump_json(getattr(found, name))) for name, adapter in adapters.items()}
    document = json.dumps({**plain, **parts}, allow_nan=False)
    (folder / _DOCUMENT).write_text(document, encoding="utf-8")
    arrays = {f"{number}.{index}": grey for (number, index), grey in found.pictures.items()}
    with (folder / _PICTURES).open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]  # its stub takes the names for options


def read_qualification(folder: Path, criteria: Criteria[Any, Any]) -> Qualification:
    """What write_qualification wrote."""
    document: dict[str, Any] = json.loads((folder / _DOCUMENT).read_text(encoding="utf-8"))
    adapters = _adapters(criteria.comparison)
    parts = {name: adapter.validate_json(json.dumps(document.pop(name))) for name, adapter in adapters.items()}
    found = Qualification(**document, **parts, pictures={})
    with np.load(folder / _PICTURES, allow_pickle=False) as arrays:
        pictures = {(int(number), int(index)): arrays[f"{number}.{index}"] for number, index in map(_pair, arrays)}
    return replace(found, pictures=pictures)


def _pair(name: str) -> list[str]:
    return name.split(".")


def _adapters(comparison: type[Any]) -> dict[str, TypeAdapter[Any]]:
    """Of the fields that are more than JSON's own types."""
    from pydantic import TypeAdapter

    return {
        "comparison": TypeAdapter(comparison),
        "proofs": TypeAdapter(tuple[Proof, ...]),
        "worth": TypeAdapter(Worth | None),
        "layer_errors": TypeAdapter(tuple[tuple[str, float], ...]),
        "alone": TypeAdapter(Alone | None),
    }


_STRUCTURED = frozenset({"pictures", "comparison", "proofs", "worth", "layer_errors", "alone"})
