"""A classical filter beside the network: the vesselness of each frame, and where it disagrees with the first key frame.

It ranks frames by how much in them looks like dark lines, and knows nothing of arteries. ranking.py takes both into
account; where they disagree strongly, someone should look. Not for: the filter itself (kernels/).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.kernels._kernels import Vesselness
from cathrt.runtime.frame import Run
from cathrt.runtime.model_kind import Judged
from cathrt.runtime.models.keyframe.policy import KeyframePolicyConfig
from cathrt.runtime.models.keyframe.ranking import means_around
from cathrt.runtime.models.keyframe.records import keyframe_of


class VesselFilter:
    """Of the frames of one run, one after another. Not thread-safe."""

    def __init__(self, run: Run) -> None:
        made: dict[tuple[bytes | None, bool], Vesselness] = {}
        self._of_grayscale = []
        for grayscale in run.grayscales:
            key = grayscale.exposed_key, grayscale.inverted
            if key not in made:
                shape = run.rows, run.columns
                made[key] = Vesselness(shape, grayscale.bits_stored, grayscale.exposed, grayscale.inverted)
            self._of_grayscale.append(made[key])

    def __call__(self, pixels: Any, grayscale: int = 0) -> float | None:
        """pixels: (rows, columns) stored values. None for those that lie on a device, where the host does not look.

        grayscale: which of run.grayscales they are meant by.
        """
        return self._of_grayscale[grayscale](pixels) if isinstance(pixels, np.ndarray) else None


def preferred_frame(frames: Sequence[Judged], chosen: int, config: KeyframePolicyConfig) -> int | None:
    """The frame of the greatest vesselness, where that of the chosen one lies in the lower half of the run's range.

    None where they agree, or the frames have no vesselness. frames: in order of time; their vesselness is averaged as
    for the ranking. chosen: index of the first-ranked key frame.
    """
    measured = [(frame, value) for frame in frames if (value := keyframe_of(frame).vesselness) is not None]
    if not measured:
        return None
    due_ms: NDArray[np.float64] = np.array([frame.due_ms for frame, _ in measured])
    means = means_around(np.array([value for _, value in measured]), due_ms, config.ranking_smoothing_s)
    at = next((place for place, (frame, _) in enumerate(measured) if frame.index == chosen), None)
    if at is None or means[at] >= 0.5 * (min(means) + max(means)):
        return None
    return measured[int(np.argmax(means))][0].index
