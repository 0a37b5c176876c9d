"""One run as the runtime reads both networks' outputs.

Not for: what differs (comparison.py, further.py, key_frames.py).
N frames of a run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.export.qualify.criteria import FrameName
from cathrt.runtime.errors import EngineError
from cathrt.runtime.models.keyframe.finding import KeyframeModel
from cathrt.runtime.models.keyframe.records import KeyframeFinding


@dataclass(frozen=True, slots=True, eq=False)
class RunFindings:
    """N frames, when they were due from the run's first, and what each network finds in them. engine: None where an
    output is not finite."""

    frames: Sequence[FrameName]
    due_ms: NDArray[np.float64]
    reference: Sequence[KeyframeFinding]
    engine: Sequence[KeyframeFinding | None]


def finding_of(model: KeyframeModel, outputs: Mapping[str, NDArray[np.floating[Any]]]) -> KeyframeFinding | None:
    """What the runtime says of a frame; None where it takes an output for broken, because it is not finite."""
    try:
        return model.finding(outputs, "")
    except EngineError:
        return None
