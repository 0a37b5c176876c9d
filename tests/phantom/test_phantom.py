"""PhantomSource as a source: the same seed the same pixels, its run described as DICOM would, its scenes as asked."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from cathrt.runtime.phantom import PhantomSource, sample_scene
from cathrt.runtime.phantom.devices import DeviceName
from cathrt.runtime.phantom.overlay import Overlay


def test_the_same_seed_gives_the_same_pixels_in_any_order() -> None:
    once, again = (PhantomSource(sample_scene(21, matrix=96)) for _ in range(2))
    indices = [30, 2, 44, 0]
    there = {index: once.render(index) for index in indices}
    for index in sorted(indices):
        assert (again.render(index) == there[index]).all()
    assert (once.render(2) == there[2]).all()
    assert (there[0] != there[2]).any()


def test_walking_the_frames_gives_what_render_gives() -> None:
    source = PhantomSource(replace(sample_scene(22, matrix=64), frame_count=5), clock=iter(range(100, 200)).__next__)
    frames = list(source.frames())
    assert [frame.index for frame in frames] == list(range(5)) == list(range(source.run.frame_count or 0))
    assert [frame.acquired_ns for frame in frames] == [100, 101, 102, 103, 104]
    for frame in frames:
        assert (frame.pixels == source.render(frame.index)).all()
        assert not frame.pixels.flags.writeable
        assert frame.pixels.flags.c_contiguous
        assert frame.pixels.shape == (source.run.rows, source.run.columns)


def test_the_run_is_named_by_what_it_shows() -> None:
    first = PhantomSource(sample_scene(1, matrix=64)).run
    assert first.run_id == PhantomSource(sample_scene(1, matrix=64)).run.run_id
    others = [sample_scene(2, matrix=64), sample_scene(1, kind="no_contrast", matrix=64), sample_scene(1, matrix=96)]
    assert len({first.run_id, *(PhantomSource(scene).run.run_id for scene in others)}) == 4


@pytest.mark.parametrize("bits_stored", [8, 10, 12])
@pytest.mark.parametrize("relationship", ["LIN", "LOG", "DISP"])
def test_stored_values_keep_to_their_bits(bits_stored: int, relationship: str) -> None:
    scene = sample_scene(7, matrix=96)
    display = replace(scene.display, bits_stored=bits_stored, relationship=relationship)  # type: ignore[arg-type]
    source = PhantomSource(replace(scene, display=display))
    pixels = source.render(30)
    assert pixels.dtype == (np.uint8 if bits_stored == 8 else np.uint16)
    assert pixels.max() < 1 << bits_stored
    assert len(np.unique(pixels)) > 30
    grayscale = source.run.grayscale
    assert (grayscale.bits_stored, grayscale.pixel_intensity_relationship) == (bits_stored, relationship)
    assert (grayscale.voi is None) == (relationship == "DISP")


def test_arteries_are_darker_than_their_surroundings() -> None:
    scene = sample_scene(9, matrix=256)
    source = PhantomSource(scene)
    fullest = int(np.argmax([label.contrast for label in source.labels]))
    emptied = replace(scene, bolus=None)
    with_contrast, without = source.render(fullest), PhantomSource(emptied).render(fullest)
    trunk_pixels = source.iodine_path(fullest) > 1.5
    assert with_contrast[trunk_pixels].mean() < 0.9 * without[trunk_pixels].mean()


def test_a_frame_outside_the_run_raises() -> None:
    source = PhantomSource(sample_scene(1, matrix=64))
    with pytest.raises(IndexError, match="frames 0 to"):
        source.render(source.scene.frame_count)


@pytest.mark.parametrize(
    "wrong", [{"seed": -1}, {"kind": "venogram"}, {"side": "both"}, {"matrix": 32}, {"matrix": 4096}]
)
def test_a_scene_nobody_can_draw_raises(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected"):
        sample_scene(**{"seed": 1, **wrong})  # type: ignore[arg-type]


def test_a_random_mix_holds_negatives_and_both_sides() -> None:
    scenes = [sample_scene(seed, kind=None, matrix=64) for seed in range(60)]
    negatives = sum(scene.tree is None for scene in scenes)
    assert 9 <= negatives <= 28
    assert {scene.side for scene in scenes} == {"left", "right", None}
    assert {scene.display.bits_stored for scene in scenes} == {8, 10, 12}
    assert all(45 <= scene.frame_count <= 110 for scene in scenes)


def test_what_the_console_burns_in_stands_in_the_stored_pixels() -> None:
    scene = replace(sample_scene(7, matrix=256), overlay=None)
    scene = replace(scene, display=replace(scene.display, jpeg_quality=None))
    overlay = Overlay((("top left", "LAO 30"),), size=0.05, shade=1.0, ecg=0.9, counter=True)
    plain, burnt = PhantomSource(scene).render(10), PhantomSource(replace(scene, overlay=overlay)).render(10)
    changed = plain != burnt
    assert (burnt[changed] == (1 << scene.display.bits_stored) - 1).all()
    assert changed[:20, :80].any()
    assert changed[220:240].any(axis=0).mean() > 0.9  # the ECG's trace crosses the whole picture
    later = PhantomSource(replace(scene, overlay=overlay)).render(11)
    assert (burnt[-20:, -80:] != later[-20:, -80:]).any()  # the counter counts


def test_devices_darken_the_frames_they_lie_in() -> None:
    checked: set[str] = set()
    for seed in range(200, 420):
        scene = sample_scene(seed, kind="no_contrast", matrix=96)
        for thing in (*scene.implants, *scene.outside):
            if thing.name in checked:
                continue
            bare = replace(scene, implants=(), outside=(), display=replace(scene.display, jpeg_quality=None))
            part = {"implants": (thing,)} if thing in scene.implants else {"outside": (thing,)}
            source, empty = PhantomSource(replace(bare, **part)), PhantomSource(bare)  # type: ignore[arg-type]
            if float((empty._anatomy(0.0) - source._anatomy(0.0)).max()) > 0.0:
                checked.add(thing.name)
    assert checked == set(get_args(DeviceName))
