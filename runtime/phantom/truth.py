"""What is true of a phantom run, as one JSON document: everything drawn for the run, and the label of every frame.

Fields of Scene and FrameLabel appear under their own names, new ones by themselves. Not for: pixels (dicom.py).
"""

from __future__ import annotations

import json
import math
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from cathrt.runtime.alert import NOTICE
from cathrt.runtime.phantom.dicom_header import SYNTHETIC
from cathrt.runtime.phantom.encoders import Syntax
from cathrt.runtime.phantom.scene import PHANTOM_VERSION
from cathrt.runtime.phantom.source import PhantomSource

_LONGEST_ARRAY = 3  # of the scene: a point, a direction; longer ones (centrelines) follow from the seed


def truth_document(source: PhantomSource, file_name: str, syntax: Syntax) -> dict[str, Any]:
    """The truth of a run. file_name: of the DICOM object it belongs to.

    scene: all that was drawn, but for arrays of more than 3 entries. Numbers that are not finite are null.
    """
    run, scene = source.run, source.scene
    tree = scene.tree
    frames = [
        {"index": index, "time_s": scene.time_s(index), **_plain(label)} for index, label in enumerate(source.labels)
    ]
    return {
        "synthetic": SYNTHETIC,
        "notice": NOTICE,
        "phantom_version": PHANTOM_VERSION,
        "file": file_name,
        "syntax": syntax,
        "run_id": run.run_id,
        "seed": scene.seed,
        "kind": scene.kind,
        "side": scene.side,
        "dominance": None if tree is None else tree.dominance,
        "stenoses": [] if tree is None else _plain(tree.stenoses),
        "positioner_primary_angle_deg": scene.carm.primary_angle_deg,
        "positioner_secondary_angle_deg": scene.carm.secondary_angle_deg,
        "radiation_setting": run.radiation_setting,
        "frame_rate_hz": scene.frame_rate_hz,
        "frame_count": scene.frame_count,
        "rows": run.rows,
        "columns": run.columns,
        "bits_stored": run.grayscale.bits_stored,
        "scene": _plain(scene, longest_array=_LONGEST_ARRAY),
        "frames": frames,
    }


def text_from_truth(document: dict[str, Any]) -> str:
    """The document as JSON, one frame a line."""
    frames = ",\n".join(f"    {json.dumps(frame, allow_nan=False)}" for frame in document["frames"])
    head = json.dumps({**document, "frames": []}, ensure_ascii=False, allow_nan=False, indent=2)
    return head.removesuffix("[]\n}") + f"[\n{frames}\n  ]\n}}\n"


def _plain(value: Any, longest_array: float = math.inf) -> Any:
    """Dataclasses, tuples and arrays as JSON knows them. Fields that are arrays of more entries are left out."""
    if is_dataclass(value):
        named = ((field.name, getattr(value, field.name)) for field in fields(value))
        return {
            name: _plain(held, longest_array)
            for name, held in named
            if not isinstance(held, np.ndarray) or held.size <= longest_array
        }
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(item, longest_array) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item, longest_array) for key, item in value.items()}
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
