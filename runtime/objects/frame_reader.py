"""Key frames of received runs, read again by a confined decoder and stretched for the eye.

Not for: measuring anything on them, and what a picture of one says (dicom/pictures.py).
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import Frame, Run
from cathrt.runtime.objects.results import RunEvidence
from cathrt.runtime.sinks.contact_sheet import display_grey
from cathrt.runtime.sources.decoder.sandbox import open_source
from cathrt.runtime.sources.discover import Input


@dataclass(frozen=True, slots=True)
class FrameReader:
    """Starts one decoder for each run. limits: of what a run may be."""

    limits: LimitsConfig

    def pictures(self, run: RunEvidence, frame_numbers: Collection[int]) -> dict[int, NDArray[np.uint8]]:
        """Each (rows, columns), high values bright, by frame number (1-based). Raises SourceError."""
        wanted, found = set(frame_numbers), dict[int, NDArray[np.uint8]]()
        with closing(open_source(Input("dicom", run.sop_instance_uid, (run.file,)), self.limits)) as source:
            for item in source.frames():
                if item.index + 1 in wanted and isinstance(item, Frame):
                    found[item.index + 1] = _for_the_eye(source.run, item)
                if item.index + 1 >= max(wanted):
                    break
        if lost := sorted(wanted - found.keys()):
            raise SourceError(f"key frame {lost[0]} of run {run.run_id} cannot be read again, though it was judged")
        return found


def _for_the_eye(run: Run, frame: Frame) -> NDArray[np.uint8]:
    grayscale = run.grayscales[frame.grayscale]
    stored = np.asarray(frame.pixels, np.float32)
    return display_grey(float((1 << grayscale.bits_stored) - 1) - stored if grayscale.inverted else stored)
