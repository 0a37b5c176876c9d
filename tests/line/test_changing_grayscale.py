"""An Enhanced object whose frames differ in window, polarity and shutter: from the file to the verdicts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cathrt.runtime.alert import Outcome
from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.line.pipeline import watch
from cathrt.runtime.sources.decoder.sandbox import open_source
from tests.lines import BUNDLE, ListJournal, brightness, contrast, finding_of, line, remembering
from tests.sources.dicom_bytes import ENHANCED_XA, Elements, Value, native, part10, sequence, text, xa_elements
from tests.sources.reading import only_input

SIDE, LEVEL = 16, 500  # of 10 bits


def window(center: int) -> Value:
    """LINEAR_EXACT of a width of 1000."""
    return sequence(
        {
            0x00281050: text("DS", str(center)),
            0x00281051: text("DS", "1000"),
            0x00281056: text("CS", "LINEAR_EXACT"),
        }
    )


def shutter(right: int) -> Value:
    keywords = zip((0, 2, 4, 6, 8), ("RECTANGULAR", "1", str(right), "1", str(SIDE)), strict=True)
    return sequence({0x00181600 + at: text("IS" if at else "CS", value) for at, value in keywords})


def enhanced(path: Path, own: list[Elements]) -> Path:
    """Every frame has the same flat picture of LEVEL, but for one pixel, and its own item."""
    pixels = np.full((len(own), SIDE, SIDE), LEVEL, np.uint16)
    pixels[np.arange(len(own)), 0, 0] += np.arange(len(own), dtype=np.uint16)
    elements = xa_elements(len(own), SIDE, SIDE) | {0x00080016: text("UI", ENHANCED_XA)}
    elements |= {0x52009230: sequence(*own)}
    path.write_bytes(part10(elements, native(pixels), meta={0x00020002: text("UI", ENHANCED_XA)}))
    return path


def scores(path: Path, compute: Any = brightness, **how: Any) -> list[float]:
    """How bright the network found each frame."""
    journal, source = ListJournal(), open_source(only_input(path), LimitsConfig())
    try:
        watch(source, line(compute, **how), journal)
    finally:
        source.close()
    assert [verdict.outcome for verdict in journal.verdicts] == [Outcome.MET] * len(journal.verdicts)
    found = [finding_of(verdict) for verdict in journal.verdicts]
    return [finding.class_scores[0] for finding in found if finding is not None]


def test_each_frame_is_judged_under_its_own_window_and_shutter(tmp_path: Path) -> None:
    own: list[Elements] = [
        {0x00289132: window(500)},
        {0x00289132: window(300)},
        {0x00289132: window(300), 0x00189472: shutter(SIDE // 2)},
        {0x00289132: window(500)},
    ]
    # What is covered is 0 in the tensor of this bundle.
    assert scores(enhanced(tmp_path / "run.dcm", own)) == pytest.approx([0.5, 0.7, 0.35, 0.5], abs=2e-3)


def test_a_shutter_that_opens_later_hides_nothing_then(tmp_path: Path) -> None:
    own: list[Elements] = [{0x00289132: window(500), 0x00189472: shutter(right)} for right in (4, 8, SIDE)]
    assert scores(enhanced(tmp_path / "run.dcm", own)) == pytest.approx([0.125, 0.25, 0.5], abs=2e-3)


def test_the_history_goes_on_under_another_window_and_begins_anew_where_a_shutter_opens(tmp_path: Path) -> None:
    """Greys are remembered: the second window shows a brighter picture, the opened half of the last one is new."""
    own: list[Elements] = [
        {0x00289132: window(500), 0x00189472: shutter(SIDE // 2)},
        {0x00289132: window(300), 0x00189472: shutter(SIDE // 2)},
        {0x00289132: window(300)},
    ]
    found = scores(enhanced(tmp_path / "run.dcm", own), contrast, bundle=remembering(BUNDLE))
    seen = [2.0 * (score - 0.5) for score in found]  # mean contrast
    assert seen[0] == pytest.approx(0.0, abs=2e-3)
    assert seen[1] == pytest.approx(0.1, abs=5e-3)  # 0.2 in one half
    assert 0.02 < seen[2] < seen[1]  # what is left of it there, and nothing in the half that opened
