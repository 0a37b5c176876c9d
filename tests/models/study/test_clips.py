"""A run becomes the clip that the published preprocessing makes of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cathrt.kernels.reference import clip as reference
from cathrt.runtime.errors import SourceError
from cathrt.runtime.models.study.clips import ClipOfRun
from cathrt.runtime.models.study.section import StudyClip
from cathrt.runtime.phantom import PhantomSource, sample_scene

CLIP = StudyClip(frames=16, height=48, width=56, stride=2, mean=105.3, std=39.2)


def source(frames: int) -> PhantomSource:
    return PhantomSource(replace(sample_scene(11, matrix=64), frame_count=frames))


def test_a_clip_is_the_kernels_reference_with_the_settings_of_the_bundle() -> None:
    run = source(40)
    assembler = ClipOfRun(run.run, CLIP)
    assert assembler.frames == reference.sample_frames(40, 16, 2)
    assert assembler.shape == (3, 16, 48, 56)
    frames = [run.render(index) for index in assembler.frames]
    out = np.empty(assembler.shape, np.float32)
    assembler(frames, out)
    bits = run.run.grayscale.bits_stored
    origin, slope, intercept = reference.identity_line(bits)
    expected = reference.clip(
        frames, bits, lambda stored: (stored - origin) * slope + intercept, (48, 56),
        *reference.channels_of(CLIP.mean, CLIP.std), channels_last=False,
    )  # fmt: skip
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-4)


def test_a_short_run_repeats_its_last_frame() -> None:
    assert ClipOfRun(source(5).run, CLIP).frames == (0, 2, 4, *[4] * 13)


def test_a_run_that_still_goes_on_is_no_clip_yet() -> None:
    with pytest.raises(SourceError, match="still going on, a clip is made of a whole run"):
        ClipOfRun(replace(source(5).run, frame_count=None), CLIP)
