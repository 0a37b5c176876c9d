"""From a run to one clip of the encoder's input: which of its frames, and the kernel that makes the tensor of them.

Not for: which runs a study's clips are made of, or running the encoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.kernels._kernels import Clip, TensorLayout, Window
from cathrt.kernels.reference.clip import channels_of, identity_line, sample_frames
from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import Run
from cathrt.runtime.models.study.section import StudyClip

_MASKED = 0.0  # nothing of a clip is masked: the published pipeline knows no shutter


class ClipOfRun:
    """The plan of one run's clip. frames: indices of the run's frames that it is made of, rising, perhaps repeated."""

    def __init__(self, run: Run, clip: StudyClip) -> None:
        """Raises SourceError where no clip can be made of the run's frames, or it is not known how many there are."""
        if run.frame_count is None:
            raise SourceError(f"{run.source}: still going on, a clip is made of a whole run: wait for its end")
        mean, std = channels_of(clip.mean, clip.std)
        bits = run.grayscale.bits_stored
        self.frames = sample_frames(run.frame_count, clip.frames, clip.stride)
        self.shape = (3, clip.frames, clip.height, clip.width)
        # As published: stored values as they are, without a VOI window and without inverting MONOCHROME1.
        window = Window.linear(*identity_line(bits), False)
        layout = TensorLayout(clip.height, clip.width, False, mean, std, _MASKED, "float32")
        try:
            self._clip = Clip((run.rows, run.columns), bits, window, clip.frames, layout)
        except ValueError as exc:
            raise SourceError(f"{run.source}: no clip of its frames: {exc}: leave the run out") from exc

    def __call__(self, frames: Sequence[NDArray[Any]], out: NDArray[np.float32]) -> None:
        """Fill out, of `shape`, from the stored values of the frames that `frames` names, in that order."""
        self._clip(frames, out)
