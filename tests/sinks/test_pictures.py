"""Pictures of a page: each is of its frame, whatever the source loses, and all together keep to their size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cathrt.runtime.frame import Grayscale, LostFrame
from cathrt.runtime.sinks import summary_page as summary_page_module
from cathrt.runtime.sinks.contact_sheet import display_grey
from cathrt.runtime.sinks.pictures import pictures_of, plan_for
from tests.lines import ArraySource
from tests.sinks.judged import (
    PLAN,
    frames,
    grey,
    judged_by_two,
    judged_run,
    page_of,
    read,
)


def test_each_picture_is_that_of_its_frame() -> None:
    for image in read(page_of(judged_by_two())).of("img")[:-1]:
        number = int((image["alt"] or "").removeprefix("frame "))
        expected = display_grey(np.roll(np.arange(64).reshape(8, 8), number, axis=0))
        assert np.abs(grey(image["src"]) - expected).mean() < 12, "but for what JPEG takes away"
        assert (image["width"], image["height"], image["loading"]) == ("8", "8", "lazy")


def test_the_strip_has_frames_from_the_whole_run_side_by_side() -> None:
    pictures = pictures_of(frames(7), (), PLAN)
    assert pictures.strip is not None
    assert pictures.strip.frames == (0, 3, 6)
    strip = grey(pictures.strip.picture.uri)
    assert strip.shape == (8, 24)
    brightest = [int(strip[:, 8 * tile : 8 * tile + 8].mean(axis=1).argmax()) for tile in range(3)]
    assert brightest == [7, 2, 5]


def test_a_frame_that_is_lost_has_no_picture_and_the_others_do() -> None:
    source = frames()
    source.items = [*source.items[:3], LostFrame(3, 0, "cut", failed=True), source.items[4]]
    pictures = pictures_of(source, (3, 4), PLAN)
    assert list(pictures.marked) == [4]
    assert "no picture" in read(page_of(replace(judged_run(), pictures=pictures))).text


def test_dark_is_bright_where_the_run_says_so() -> None:
    class Inverted(ArraySource):
        @property
        def run(self):  # type: ignore[no-untyped-def]
            return replace(super().run, grayscale=Grayscale(8, "MONOCHROME1"))

    plain, inverted = frames(1), Inverted(frames(1).items)
    found = [grey(pictures_of(source, (0,), PLAN).marked[0].uri) for source in (plain, inverted)]
    assert np.abs(found[0] - (255 - found[1])).mean() < 8


def test_a_run_whose_polarity_changes_is_shown_frame_by_frame_as_it_is_meant() -> None:
    class Changing(ArraySource):
        @property
        def run(self):  # type: ignore[no-untyped-def]
            return replace(super().run, other_grayscales=(Grayscale(8, "MONOCHROME1"),))

        def frames(self):  # type: ignore[no-untyped-def]
            return (replace(frame, grayscale=frame.index) for frame in super().frames())

    picture = frames(1).items[0]
    pictures = pictures_of(Changing([picture, 255 - picture]), (0, 1), PLAN)
    shown = [grey(pictures.marked[index].uri) for index in (0, 1)]
    assert np.abs(shown[0] - shown[1]).mean() < 8
    assert pictures.strip is not None
    strip = grey(pictures.strip.picture.uri)
    assert np.abs(strip[:, :8] - strip[:, 8:]).mean() < 8


def test_pictures_that_are_wider_than_high_are_squares_in_the_strip_and_smaller_than_the_plan_elsewhere() -> None:
    pictures = pictures_of(ArraySource([np.zeros((50, 100), np.uint8)] * 4), (1,), PLAN)
    assert (pictures.marked[1].width, pictures.marked[1].height) == (64, 32)
    assert pictures.strip is not None
    assert (pictures.strip.picture.width, pictures.strip.picture.height) == (2 * 16, 16)


def test_a_run_that_cannot_be_read_again_has_a_page_without_pictures() -> None:
    reader = read(page_of(replace(judged_run(), pictures=None)))
    assert reader.tags.count("img") == 0
    assert "no picture" in reader.text
    assert reader.tags.count("polyline") == 2


def test_a_page_of_hundreds_of_runs_keeps_to_its_size_and_says_what_it_leaves_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = judged_run()
    assert run.pictures is not None
    size = run.pictures.size_bytes
    monkeypatch.setattr(summary_page_module, "MOST_BYTES", 10 * size)
    page = page_of(*[run] * 300)
    reader = read(page)
    assert reader.tags.count("img") == 2 * 10
    assert "pictures of 290 runs are left out" in reader.text
    assert [link["href"] for link in reader.of("a")] == [f"#run{number}" for number in range(1, 301)]
    assert [heading["id"] for heading in reader.of("h2")] == [f"run{number}" for number in range(1, 301)]
    assert sum(len(image["src"] or "") for image in reader.of("img")) <= 10 * size


def test_pictures_get_smaller_as_runs_get_more() -> None:
    plans = [plan_for(runs) for runs in (1, 12, 13, 100, 101, 10_000)]
    assert [plan.key_px for plan in plans] == [512, 512, 384, 384, 192, 192]
    assert [plan.tiles > 0 for plan in plans] == [True] * 4 + [False] * 2
    assert pictures_of(frames(), (3,), plans[-1]).strip is None
