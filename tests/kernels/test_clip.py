"""The clip assembler against kernels/reference/clip.py, and that against the pipeline it stands for, in torch.

Tolerance 1e-5 on the tensor, as for single frames: grey within about 1e-6, divided by a std of 0.11. Elements of
float16 and int8 are held to the same beside half of their own step.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from cathrt.kernels._kernels import Clip, History, TensorLayout, Window
from cathrt.kernels.reference import clip as reference

TOLERANCE = 1e-5
GENERIC = (122.09012603759766, 28.790834426879883)  # mean, std of the generic release
MEAN, STD = reference.channels_of(*GENERIC)


def noise(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Every bit set at random, those beyond bits_stored too."""
    return rng.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def assert_parity(
    frames: list[NDArray[Any]],
    bits: int,
    size: tuple[int, int],
    window: Window,
    grey: Any,
    *,
    channels_last: bool = True,
) -> None:
    expected = reference.clip(frames, bits, grey, size, MEAN, STD, channels_last=channels_last)
    clip = np.full(expected.shape, np.nan, dtype=np.float32)
    layout = TensorLayout(*size, channels_last, MEAN, STD, 0.0)
    Clip(frames[0].shape, bits, window, len(frames), layout)(frames, clip)
    assert np.abs(clip - expected).max() <= TOLERANCE


def identity(bits: int) -> tuple[Window, Any]:
    origin, slope, intercept = reference.identity_line(bits)
    return Window.linear(origin, slope, intercept, False), lambda stored: (stored - origin) * slope + intercept


# --- which frames -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("frame_count", [1, 2, 15, 16, 17, 31, 32, 33, 61, 128, 499])
def test_the_frames_are_those_torch_would_take(frame_count, stride):
    kept = torch.arange(frame_count)[::stride]
    if len(kept) < 16:
        expected = torch.cat([kept, kept[-1:].repeat(16 - len(kept))])
    else:
        expected = kept[torch.linspace(0, len(kept) - 1, 16).long()]
    assert reference.sample_frames(frame_count, stride=stride) == tuple(expected.tolist())


def test_a_clip_of_one_frame_takes_the_first():
    assert reference.sample_frames(50, frames=1) == (0,)


@pytest.mark.parametrize("wrong", [(0, 16, 1), (5, 0, 1), (5, 16, 0)])
def test_no_frames_no_clip_and_no_stride_raise(wrong):
    with pytest.raises(ValueError, match="expected at least 1 each"):
        reference.sample_frames(*wrong)


# --- the tensor ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(512, 512), (97, 131), (224, 224), (60, 50)], ids=str)
def test_the_reference_is_the_published_pipeline_in_torch(shape):
    """8-bit video: float32, antialiased bilinear resize to a square, one mean and std, channels last."""
    run = noise(np.random.default_rng(1), (5, *shape), np.uint8)
    sampled = [run[i] for i in reference.sample_frames(5, frames=8)]
    ours = reference.clip(sampled, 8, identity(8)[1], (224, 224), MEAN, STD, channels_last=True)
    out = np.empty((8, 224, 224, 3), dtype=np.float32)
    Clip(shape, 8, identity(8)[0], 8, TensorLayout(224, 224, True, MEAN, STD, 0.0))(sampled, out)
    assert np.abs(ours - published(run, torch.float64)).max() <= 1e-12
    # The published pipeline is float32 throughout, the positions of its weights too: 0.015 of 255 grey levels.
    assert np.abs(out - published(run, torch.float32)).max() <= 5e-4


def published(run: NDArray[np.uint8], dtype: torch.dtype) -> NDArray[Any]:
    video = torch.from_numpy(run).to(dtype)[:, None].expand(-1, 3, -1, -1)
    small = torch.nn.functional.interpolate(video, (224, 224), mode="bilinear", antialias=True, align_corners=False)
    padded = torch.cat([small, small[-1:].repeat(3, 1, 1, 1)])
    return ((padded - GENERIC[0]) / GENERIC[1]).permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (97, 31), (300, 513), (1021, 509)], ids=str)
@pytest.mark.parametrize("size", [(224, 224), (1, 1), (9, 35)], ids=str)
@pytest.mark.parametrize("channels_last", [True, False], ids=["THWC", "CTHW"])
def test_any_size_to_any_size_agrees_with_the_reference(shape, size, channels_last):
    rng = np.random.default_rng(sum(shape) + sum(size))
    frames = [noise(rng, shape, np.uint16) for _ in range(3)]
    assert_parity(frames, 12, size, *identity(12), channels_last=channels_last)


@pytest.mark.parametrize(
    ("dtype", "bits"), [(np.uint8, 8), (np.uint8, 3), (np.uint16, 8), (np.uint16, 10), (np.uint16, 16)]
)
def test_every_depth_and_window_agrees_with_the_reference(dtype, bits):
    rng = np.random.default_rng(bits)
    frames = [noise(rng, (83, 101), dtype) for _ in range(2)]
    entries = rng.uniform(-0.3, 1.3, 1 << bits).astype(np.float32)
    middle, slope = float(1 << bits) / 2, 2.5 / (1 << bits)
    assert_parity(frames, bits, (33, 34), *identity(bits))
    window = Window.linear(middle, slope, 0.5, False)
    assert_parity(frames, bits, (33, 34), window, lambda v: (v - middle) * slope + 0.5)
    inverted = Window.linear(middle, slope, 0.5, True)
    assert_parity(frames, bits, (33, 34), inverted, lambda v: 0.5 - (v - middle) * slope)
    assert_parity(frames, bits, (33, 34), Window.table(entries, False), lambda v: entries[v.astype(int)])


@pytest.mark.parametrize("channels_last", [True, False], ids=["THWC", "CTHW"])
def test_elements_are_rounded_from_the_same_tensor(channels_last):
    frames = [noise(np.random.default_rng(2), (61, 77), np.uint8) for _ in range(4)]
    expected = reference.clip(frames, 8, identity(8)[1], (20, 30), MEAN, STD, channels_last=channels_last)
    for element, scale, step in (("float16", 1.0, 2.0**-11 * np.abs(expected)), ("int8", 0.05, 0.5)):
        layout = TensorLayout(20, 30, channels_last, MEAN, STD, 0.0, element, scale)
        out = np.zeros(expected.shape, dtype=element)
        Clip((61, 77), 8, identity(8)[0], 4, layout)(frames, out)
        target = np.clip(expected / scale, -128, 127) if element == "int8" else expected
        assert (np.abs(out.astype(np.float64) - target) <= step + TOLERANCE / scale).all()


def test_frames_may_repeat_and_have_any_strides_and_a_clip_is_a_slot_of_a_batch():
    run = noise(np.random.default_rng(3), (4, 90, 70), np.uint16)
    sampled = [run[0, ::2, 3:60], run[1, 44::-1, 3:60], run[1, 44::-1, 3:60], run[3, 10:55, 13:70]]
    batch = np.zeros((2, 4, 16, 17, 3), dtype=np.float32)
    layout = TensorLayout(16, 17, True, MEAN, STD, 0.0)
    clip = Clip((45, 57), 12, identity(12)[0], 4, layout)
    clip(sampled, batch[1])
    expected = reference.clip(sampled, 12, identity(12)[1], (16, 17), MEAN, STD, channels_last=True)
    assert np.abs(batch[1] - expected).max() <= TOLERANCE
    assert not batch[0].any()
    np.testing.assert_array_equal(batch[1, 1], batch[1, 2])


# --- refusals -----------------------------------------------------------------------------------------------------

LAYOUT = TensorLayout(4, 5, True, MEAN, STD, 0.0)
FRAMES = [np.zeros((6, 8), dtype=np.uint16)] * 3


def plan(window: Window | None = None, frames: int = 3) -> Clip:
    return Clip((6, 8), 12, window or identity(12)[0], frames, LAYOUT)


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (FRAMES[:2], "there are 2 frames: expected 3"),
        ([*FRAMES[:2], FRAMES[0][:5]], r"frame 2 is uint16 \(5, 8\): expected all of one type and \(6, 8\)"),
        ([FRAMES[0], FRAMES[0].astype(np.float32), FRAMES[0]], "float32"),
        ([np.zeros((6, 16), dtype=np.uint16)[:, ::2]] * 3, "2 elements apart"),
    ],
)
def test_frames_that_do_not_fit_the_plan_raise(frames, message):
    with pytest.raises(ValueError, match=message):
        plan()(frames, np.zeros((3, 4, 5, 3), dtype=np.float32))


def test_frames_of_two_types_raise():
    frames = [np.zeros((6, 8), dtype=np.uint8), *FRAMES[:2]]
    with pytest.raises(ValueError, match=r"frame 1 is uint16 \(6, 8\): expected all of one type"):
        Clip((6, 8), 8, identity(8)[0], 3, LAYOUT)(frames, np.zeros((3, 4, 5, 3), dtype=np.float32))


@pytest.mark.parametrize(
    "out",
    [
        np.zeros((3, 4, 5, 3), dtype=np.float16),
        np.zeros((3, 3, 4, 5), dtype=np.float32),
        np.zeros((3, 4, 5, 6), dtype=np.float32)[..., ::2],
    ],
    ids=["element", "layout", "strided"],
)
def test_an_output_that_does_not_fit_raises(out):
    with pytest.raises(ValueError, match=r"expected contiguous \(3, 4, 5, 3\)"):
        plan()(FRAMES, out)


def test_windows_and_counts_that_do_not_fit_raise():
    with pytest.raises(ValueError, match=r"would flicker: expected Window\.linear or"):
        plan(Window.percentile(1.0, 99.0, False, False))
    with pytest.raises(ValueError, match="table has 256 entries: expected 4096"):
        plan(Window.table(np.zeros(256, dtype=np.float32), False))
    for frames in (0, 2**30):
        with pytest.raises(ValueError, match=f"frames is {frames}"):
            plan(frames=frames)


def test_a_layout_with_a_history_raises():
    history = History(("grey", "contrast", "change"), 0.1, 0.2, 0.3)
    layout = TensorLayout(4, 5, True, MEAN, STD, 0.0, history=history)
    with pytest.raises(ValueError, match="has a history, which a clip has not: expected three grey channels"):
        Clip((6, 8), 12, identity(12)[0], 3, layout)
