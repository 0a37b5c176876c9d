"""The pictures of a comparison are as each frame is meant to be looked at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from cathrt.export.compare.agreement import Difference
from cathrt.export.compare.inputs import pictures_of
from cathrt.export.compare.pairs import CompareInput
from cathrt.runtime.frame import Frame, Grayscale, LostFrame, Run
from cathrt.runtime.ports import Opening
from tests.lines import SIZE, ArraySource

RISING = np.tile(np.linspace(0, 200, SIZE).astype(np.uint8), (SIZE, 1))  # dark on the left


class _TwoPolarities(ArraySource):
    """Two frames of the same values, the second of them MONOCHROME1."""

    @property
    def run(self) -> Run:
        return replace(super().run, other_grayscales=(Grayscale(8, photometric_interpretation="MONOCHROME1"),))

    def frames(self) -> Iterator[Frame | LostFrame]:
        for item in super().frames():
            assert isinstance(item, Frame)
            yield replace(item, grayscale=item.index)


def test_a_picture_has_the_polarity_of_its_own_frame() -> None:
    source = _TwoPolarities([RISING, RISING])
    run_id = source.run.run_id
    differences = [Difference(0, run_id, "array", index, "a", "b", True, 1.0, ()) for index in (0, 1)]
    pictures = pictures_of(differences, [CompareInput(Opening("array", lambda: source))])
    assert pictures[run_id, 0][0, 0] < pictures[run_id, 0][0, -1]
    assert pictures[run_id, 1][0, 0] > pictures[run_id, 1][0, -1]
    assert source.closed
