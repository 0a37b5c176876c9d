"""How frames look: what the kernels' reference gives, whatever part of a run is asked for, and nothing is changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cathrt.kernels.reference import clahe as clahe_reference
from cathrt.kernels.reference import subtraction as subtraction_reference
from cathrt.kernels.reference import temporal as temporal_reference
from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.frame import Grayscale, VoiWindow
from cathrt.runtime.pictures.grey import stretch_of, table_of
from cathrt.runtime.web.part.errors import RefusedError
from cathrt.runtime.web.runs import batch as batch_module
from cathrt.runtime.web.runs import looks
from cathrt.runtime.web.runs.batch import WantedFrames, batch_of
from cathrt.runtime.web.runs.frame_store import FrameStore
from cathrt.runtime.web.runs.looks import DEEP_BITS, TILES, Look, smaller, spans, temporal_settings
from cathrt.runtime.web.runs.run_facts import FactsBook, noise_of
from tests.sources.dicom_bytes import pictures
from tests.web.runs.stored_runs import Played, frames_of
from tests.web.serving import Answer

FRAMES, ROWS, COLUMNS = 12, 40, 56
PIXELS = pictures(FRAMES, ROWS, COLUMNS, seed=4)
GREY = 1023.0  # of 10 bits


def seen(look: Look, first: int = 0, count: int = FRAMES, **changes: Any) -> tuple[dict[str, Any], NDArray[np.uint8]]:
    """Frames of the run as a browser gets them."""
    played = Played(**({"pixels": PIXELS} | changes))
    store = FrameStore(LimitsConfig(), 64 << 20, open_=played.open)
    wanted = WantedFrames("run", "key", Path("nowhere"), first, count, look)
    made = batch_of(wanted, store, FactsBook(store))
    return frames_of(Answer(200, {}, b"".join([made.header, *made.pictures])))


def by_window(values: NDArray[Any], window: VoiWindow, bits: int = 8, bits_stored: int = 10) -> NDArray[Any]:
    """The reference: a table of every value."""
    return np.take(table_of(Grayscale(bits_stored), window, bits), values)


def test_without_a_window_frames_are_stretched_alike_and_that_is_said() -> None:
    header, found = seen(Look())
    window = stretch_of(PIXELS[0], Played(PIXELS).open("", Path()).run.grayscale)
    np.testing.assert_array_equal(found, by_window(PIXELS, window))
    assert header["window"]["of"] == "stretch"
    assert (header["window"]["least"], header["window"]["most"]) == (0.0, GREY)


def test_a_window_that_is_asked_for_is_applied_to_every_frame() -> None:
    header, found = seen(Look(center=300.0, width=200.0))
    np.testing.assert_array_equal(found, by_window(PIXELS, VoiWindow(300.0, 200.0, "LINEAR_EXACT")))
    assert header["window"] | {"of": "asked", "center": 300.0, "width": 200.0} == header["window"]


@pytest.mark.parametrize("relationship", ["LIN", "LOG", "DISP", None])
def test_a_subtraction_is_that_of_the_reference(relationship: str | None) -> None:
    header, found = seen(Look(masks=(1, 2), shift=(0.5, -1.25)), relationship=relationship)
    used = relationship if relationship in ("LIN", "LOG") else "LOG"
    mask = subtraction_reference.mean_mask(list(PIXELS[1:3]), used)
    gain = 2048.0 if used == "LIN" else 4.0
    expected = [
        subtraction_reference.subtraction(
            frame, mask, (0.5, -1.25), pixel_intensity_relationship=used, gain=gain, offset=2048.0, bits_out=DEEP_BITS
        )
        for frame in PIXELS
    ]
    window = VoiWindow(2048.0, 2048.0 if used == "LIN" else 1024.0, "LINEAR_EXACT")
    wanted = by_window(np.stack(expected), window, bits_stored=DEEP_BITS)
    assert np.abs(found.astype(int) - wanted).max() <= 1  # ties, docs/kernels.md
    assert header["assumed"] == ([] if relationship in ("LIN", "LOG") else ["pixel_intensity_relationship"])
    assert header["window"]["of"] == "difference"


def test_a_mask_that_is_the_frame_itself_leaves_the_middle_grey() -> None:
    _, found = seen(Look(masks=(3,)), first=3, count=1)
    assert set(np.unique(found)) <= {127, 128}


def test_local_contrast_is_that_of_the_reference() -> None:
    window = VoiWindow(500.0, 900.0, "LINEAR_EXACT")
    _, found = seen(Look(center=500.0, width=900.0, clahe=2.5), count=3)
    for frame, grey in zip(PIXELS, found, strict=False):
        deep = by_window(frame, window, DEEP_BITS)
        expected = clahe_reference.clahe(deep, DEEP_BITS, TILES, 2.5) >> (DEEP_BITS - 8)
        assert np.abs(grey.astype(int) - expected).max() <= 1


def filtered_by_reference(first: int, last: int, noise: float, strength: float) -> NDArray[np.int64]:
    """Frames first..last; the filter begins at `first`."""
    settings = temporal_settings(noise, strength)
    told = {
        name: getattr(settings, name)
        for name in ("noise_offset", "noise_gain", "still", "threshold", "slope", "ghosting_limit")
    }
    state, found = None, []
    for frame in PIXELS[first : last + 1]:
        state = temporal_reference.temporal(frame, state, **told)
        found.append(temporal_reference.rounded(state))
    return np.stack(found)


def noise_of_the_run() -> float:
    return noise_of(PIXELS[0], PIXELS[1])


def test_the_noise_filter_is_that_of_the_reference_wherever_a_batch_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks, "_BLOCK", 4)
    monkeypatch.setattr(looks, "_LEAD", 2)
    look = Look(center=512.0, width=1023.0, noise=0.8)
    window = VoiWindow(512.0, 1023.0, "LINEAR_EXACT")
    _, whole = seen(look)
    noise = noise_of_the_run()
    for block in range(0, FRAMES, 4):
        begin = max(0, block - 2)
        expected = filtered_by_reference(begin, block + 3, noise, 0.8)[block - begin :]
        got = whole[block : block + 4]
        assert np.abs(got.astype(int) - by_window(expected, window)).max() <= 1
    for first in range(FRAMES):
        _, part = seen(look, first, 3)
        np.testing.assert_array_equal(part, whole[first : first + 3])


def test_the_noise_filter_takes_noise_out_of_what_stands_still() -> None:
    still = np.repeat(pictures(1, ROWS, COLUMNS, seed=9), 30, axis=0).astype(int)
    noisy = np.clip(still + np.random.default_rng(1).normal(0, 8, still.shape), 0, 1023).astype(np.uint16)
    look = Look(center=512.0, width=1023.0)
    plain, quiet = (seen(replace(look, noise=noise), pixels=noisy, count=30)[1] for noise in (0.0, 1.0))
    changes = [float(np.abs(np.diff(one[10:].astype(int), axis=0)).mean()) for one in (plain, quiet)]
    assert changes[1] < 0.6 * changes[0]


def test_a_look_changes_nothing_that_is_stored() -> None:
    before = PIXELS.copy()
    for look in (Look(noise=1.0, clahe=4.0, masks=(0,)), Look()):
        seen(look)
    np.testing.assert_array_equal(PIXELS, before)


def test_lost_frames_have_no_pixels_and_say_why() -> None:
    header, found = seen(Look(noise=0.5), lost=frozenset({0, 4}))
    assert [frame["index"] for frame in header["frames"]] == list(range(FRAMES))
    assert [frame["index"] for frame in header["frames"] if frame["lost"]] == [0, 4]
    assert len(found) == FRAMES - 2


def test_a_batch_has_no_more_than_its_bytes_and_says_where_the_next_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_module, "MOST_BYTES", 2 * ROWS * COLUMNS)
    header, found = seen(Look(), first=3)
    assert (len(found), header["next"]) == (2, 5)
    monkeypatch.setattr(batch_module, "MOST_BYTES", 1)
    header, found = seen(Look(), first=FRAMES - 1)
    assert (len(found), header["next"]) == (1, None)


@pytest.mark.parametrize(
    ("look", "first", "changes", "status", "said"),
    [
        (Look(), FRAMES, {}, 400, "expected one below 12"),
        (Look(masks=(FRAMES,)), 0, {}, 400, "the mask frame 12"),
        (Look(masks=(1,)), 0, {"lost": frozenset({1})}, 409, "none of the mask frames"),
        (Look(), 0, {"lost": frozenset(range(FRAMES))}, 409, "none of the first frames"),
    ],
)
def test_what_is_not_there_is_refused_by_name(
    look: Look, first: int, changes: dict[str, Any], status: int, said: str
) -> None:
    with pytest.raises(RefusedError, match=said) as refused:
        seen(look, first, **changes)
    assert refused.value.status == status


def test_thumbnails_are_averaged_down() -> None:
    header, found = seen(Look(max_side=28, center=512.0, width=1023.0), count=1)
    full = seen(Look(center=512.0, width=1023.0), count=1)[1][0]
    assert (header["rows"], header["columns"]) == (20, 28)
    expected = full.reshape(20, 2, 28, 2).mean(axis=(1, 3))
    assert np.abs(found[0] - expected).max() <= 0.5
    assert smaller(np.zeros((1, 100), np.uint8), 32).shape == (1, 25)


@pytest.mark.parametrize(("first", "last"), [(0, 0), (0, 63), (10, 70), (64, 64), (130, 200)])
def test_spans_cover_every_frame_once(first: int, last: int) -> None:
    found = spans(first, last, Look(noise=0.5))
    assert [index for span in found for index in range(span.first, span.last + 1)] == list(range(first, last + 1))
    assert all(0 <= span.begin <= span.first and span.last - span.begin < 96 for span in found)
