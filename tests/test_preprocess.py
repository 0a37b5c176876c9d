"""Preprocessor: each grey scale a run can declare, under each policy of the manifest, against the reference.

And what the channels show of the frames before, frame by frame.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cathrt.kernels.reference import ingest as reference
from cathrt.runtime import preprocess as preprocess_module
from cathrt.runtime.bundle.manifest import History, Preprocessing
from cathrt.runtime.errors import ManifestError, SourceError
from cathrt.runtime.frame import Grayscale, LookupTable, Rescale, Run, Timing, VoiWindow
from cathrt.runtime.preprocess import Preprocessor, plan_ingest

SPEC = Preprocessing(
    input="image",
    layout="NCHW",
    height=64,
    width=48,
    window="voi_else_percentile",
    percentiles=(0.5, 99.5),
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    masked_value=0.1,
)
RNG = np.random.default_rng(4)
PIXELS = RNG.normal(1900, 500, (301, 257)).clip(0, 4095).astype(np.uint16)
TABLE = LookupTable(500, np.cumsum(RNG.integers(0, 12, 3000)).astype(np.float32), 16)
RANDOM_TABLE = LookupTable(0, RNG.permutation(4096).astype(np.float32), 12)
SPANS = np.tile(np.array([[20, 240]], dtype=np.int32), (301, 1))


def run_of(grayscale: Grayscale, shape: tuple[int, int] = (301, 257), frame_rate_hz: float = 15.0) -> Run:
    return Run("id", "a test", 1, shape[0], shape[1], grayscale, Timing(frame_rate_hz, "default"))


def tensor_of(grayscale: Grayscale, spec: Preprocessing = SPEC, pixels: NDArray[Any] = PIXELS) -> NDArray[np.float32]:
    shape = (1, 3, spec.height, spec.width) if spec.layout == "NCHW" else (1, spec.height, spec.width, 3)
    out = np.full(shape, np.nan, dtype=np.float32)
    shown = Preprocessor(run_of(grayscale, pixels.shape), spec)(pixels, out)
    assert shown
    return out


def expected_of(
    grayscale: Grayscale,
    spec: Preprocessing = SPEC,
    pixels: NDArray[Any] = PIXELS,
    remembered: reference.History | None = None,
) -> NDArray[Any]:
    modality: Any = None
    if isinstance(grayscale.modality, Rescale):
        modality = partial(reference.rescale, slope=grayscale.modality.slope, intercept=grayscale.modality.intercept)
    elif grayscale.modality is not None:
        modality = partial(
            reference.lookup, first_input=grayscale.modality.first_input, table=grayscale.modality.values
        )
    window: Any = reference.Percentiles(*spec.percentiles)
    voi = None if spec.window == "percentile" else grayscale.voi
    if isinstance(voi, VoiWindow):
        functions = {
            "LINEAR": reference.voi_linear,
            "LINEAR_EXACT": reference.voi_linear_exact,
            "SIGMOID": reference.voi_sigmoid,
        }
        window = partial(functions[voi.function], center=voi.center, width=voi.width)
    elif voi is not None:
        window = partial(reference.voi_lut, first_input=voi.first_input, table=voi.values, bits=voi.bits)
    grey = reference.to_grey(
        pixels,
        grayscale.bits_stored,
        modality,
        window,
        invert=grayscale.photometric_interpretation == "MONOCHROME1",
        exposed=grayscale.exposed,
        masked_value=spec.masked_value,
    )
    resized = reference.resize(grey, spec.height, spec.width)
    quantities = resized if remembered is None else remembered(resized)
    return reference.normalise(quantities, spec.mean, spec.std, channels_last=spec.layout == "NHWC")


MODALITIES = {
    "none": None,
    "rescale": Rescale(0.5, -200.0),
    "falling rescale": Rescale(-1.25, 4000.0),
    "tiny rescale": Rescale(1e-6, 3.0),
    "table": TABLE,
    "random table": RANDOM_TABLE,
}
VOIS = {
    "none": None,
    "linear": VoiWindow(1800.0, 900.5),
    "threshold": VoiWindow(1900.0, 1.0),
    "nearly a threshold": VoiWindow(1900.0, 1.001),
    "exact": VoiWindow(1750.25, 0.5, "LINEAR_EXACT"),
    "wide exact": VoiWindow(1000.0, 6000.0, "LINEAR_EXACT"),
    "sigmoid": VoiWindow(1700.0, 300.0, "SIGMOID"),
    "far away": VoiWindow(-1e7, 300.0),
    "enormous": VoiWindow(1e12, 4e12),
    "lut": LookupTable(1000, np.linspace(0, 1023, 2500).astype(np.float32), 10),
}


@pytest.mark.parametrize("voi", VOIS)
@pytest.mark.parametrize("modality", MODALITIES)
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_every_grey_scale_agrees_with_the_reference(modality, voi, photometric):
    grayscale = Grayscale(12, photometric, MODALITIES[modality], VOIS[voi], SPANS)
    np.testing.assert_allclose(tensor_of(grayscale), expected_of(grayscale), rtol=0, atol=1e-5)


def test_the_percentile_policy_ignores_the_objects_window():
    spec = replace(SPEC, window="percentile")
    with_voi = Grayscale(12, voi=VoiWindow(100.0, 50.0))
    np.testing.assert_array_equal(tensor_of(with_voi, spec), tensor_of(Grayscale(12), spec))
    assert not np.array_equal(tensor_of(with_voi, spec), tensor_of(with_voi, SPEC))


def test_the_layout_of_the_manifest_is_kept():
    spec = replace(SPEC, layout="NHWC")
    np.testing.assert_array_equal(np.moveaxis(tensor_of(Grayscale(12), spec), 3, 1), tensor_of(Grayscale(12)))


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_the_same_picture_at_any_depth_gives_the_same_tensor(bits):
    grey = RNG.integers(0, 256, (200, 200))
    deep = (grey << (bits - 8)).astype(np.uint16)
    shallow = tensor_of(Grayscale(8), pixels=grey.astype(np.uint8))
    np.testing.assert_allclose(tensor_of(Grayscale(bits), pixels=deep), shallow, atol=1e-5)


def test_inverted_stored_values_with_monochrome1_show_the_same_picture():
    turned = (4095 - PIXELS).astype(np.uint16)
    voi = VoiWindow(2000.0, 1500.0, "LINEAR_EXACT")
    mirrored = VoiWindow(4095 - 2000.0, 1500.0, "LINEAR_EXACT")
    np.testing.assert_allclose(
        tensor_of(Grayscale(12, "MONOCHROME1", voi=mirrored), pixels=turned),
        tensor_of(Grayscale(12, voi=voi)),
        atol=1e-5,
    )


def test_a_shutter_over_everything_is_told_and_gives_the_masked_value():
    grayscale = Grayscale(12, exposed=np.zeros((301, 2), dtype=np.int32))
    out = np.full((1, 3, 64, 48), np.nan, dtype=np.float32)
    assert not Preprocessor(run_of(grayscale), SPEC)(PIXELS, out)
    for channel in range(3):
        expected = (SPEC.masked_value - SPEC.mean[channel]) / SPEC.std[channel]
        np.testing.assert_allclose(out[0, channel], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("grayscale", "message"),
    [
        (Grayscale(12, modality=Rescale(0.0, 5.0)), "slope 0.0.*0028,1053"),
        (Grayscale(12, modality=Rescale(float("nan"), 5.0)), "slope nan"),
        (Grayscale(12, voi=VoiWindow(100.0, 0.5)), "LINEAR window.*0.5.*at least 1"),
        (Grayscale(12, voi=VoiWindow(100.0, 0.0, "SIGMOID")), "above 0"),
        (Grayscale(12, voi=VoiWindow(float("inf"), 10.0)), "finite"),
        (Grayscale(17), "bits_stored is 17"),
        (Grayscale(12, exposed=np.zeros((5, 2), dtype=np.int32)), "exposed is int32"),
        (Grayscale(12, modality=LookupTable(0, np.full(4, 1e20, dtype=np.float32), 16)), "table"),
    ],
)
def test_a_grey_scale_that_cannot_be_applied_is_a_source_error(grayscale, message):
    with pytest.raises(SourceError, match=message):
        Preprocessor(run_of(grayscale), SPEC)


@pytest.mark.parametrize(
    "spec", [replace(SPEC, percentiles=(99.0, 1.0)), replace(SPEC, std=(0.2, 0.2, 0.0)), replace(SPEC, height=0)]
)
def test_constants_that_cannot_be_applied_are_a_manifest_error(spec):
    with pytest.raises(ManifestError, match="build the bundle again"):
        Preprocessor(run_of(Grayscale(12)), spec)


def test_a_float16_input_is_filled_with_halves():
    grayscale = Grayscale(12)
    out = np.zeros((1, 3, SPEC.height, SPEC.width), dtype=np.float16)
    assert Preprocessor(run_of(grayscale, PIXELS.shape), SPEC, "float16")(PIXELS, out)
    # Half a unit of the last place of a float16 below 4.
    np.testing.assert_allclose(out, expected_of(grayscale), rtol=0, atol=2.0**-10 + 1e-5)


@pytest.mark.parametrize("element", ["int8", "uint8", "float64"])
def test_an_input_that_preprocessing_cannot_fill_is_a_manifest_error(element):
    with pytest.raises(ManifestError, match=f"image is {element}, expected float32 or float16"):
        Preprocessor(run_of(Grayscale(12)), SPEC, element)


def test_a_frame_of_another_size_raises():
    with pytest.raises(ValueError, match=r"\(301, 257\)"):
        Preprocessor(run_of(Grayscale(12)), SPEC)(PIXELS[:300], np.zeros((1, 3, 64, 48), dtype=np.float32))


HISTORY = History(("grey", "contrast", "change"), rise_s=0.4, fall_s=3.0, recent_s=0.2)
REMEMBERING = replace(SPEC, history=HISTORY)
PLAIN = replace(REMEMBERING, mean=(0.0,) * 3, std=(1.0,) * 3)  # the tensor holds the channels as they are
IN_200_STEPS = Grayscale(8, voi=VoiWindow(100.0, 200.0, "LINEAR_EXACT"))  # grey is the stored value / 200


def frames(count: int) -> list[NDArray[np.uint16]]:
    """PIXELS under a dark band that wanders down."""
    run = []
    for index in range(count):
        pixels = PIXELS.copy()
        pixels[40 * index : 40 * index + 60] //= 3
        run.append(pixels)
    return run


def tensors_of(run: Run, spec: Preprocessing, pixels: list[NDArray[Any]]) -> list[NDArray[np.float32]]:
    """Of each frame of the run, in order."""
    preprocess, made = Preprocessor(run, spec), []
    for frame in pixels:
        made.append(np.full(spec.shape, np.nan, dtype=np.float32))
        assert preprocess(frame, made[-1])
    return made


def weight(rate_hz: float, seconds: float) -> float:
    return 1.0 - math.exp(-1.0 / (rate_hz * seconds))


@pytest.mark.parametrize("rate_hz", [7.5, 30.0])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize(
    "grayscale", [Grayscale(12), Grayscale(12, "MONOCHROME1", exposed=SPANS)], ids=["bright", "dark, shutter"]
)
def test_every_frame_of_a_run_with_a_history_agrees_with_the_reference(rate_hz, layout, grayscale):
    spec = replace(REMEMBERING, layout=layout)
    remembered = reference.History(
        HISTORY.channels,
        rise=weight(rate_hz, HISTORY.rise_s),
        fall=weight(rate_hz, HISTORY.fall_s),
        recent=weight(rate_hz, HISTORY.recent_s),
    )
    pixels = frames(6)
    made = tensors_of(run_of(grayscale, frame_rate_hz=rate_hz), spec, pixels)
    for frame, tensor in zip(pixels, made, strict=True):
        expected = expected_of(grayscale, spec, frame, remembered)
        np.testing.assert_allclose(tensor, expected, rtol=0, atol=2e-5)


def test_the_first_frame_of_a_run_differs_from_nothing():
    pixels = frames(2)
    first, second = tensors_of(run_of(Grayscale(12)), PLAIN, pixels)
    assert not first[0, 1:].any()
    assert second[0, 1].any()
    np.testing.assert_array_equal(first[0, 0], tensor_of(Grayscale(12), replace(PLAIN, history=None), pixels[0])[0, 0])


@pytest.mark.parametrize("rate_hz", [7.5, 15.0, 30.0])
def test_time_constants_are_seconds_at_any_frame_rate(rate_hz):
    """The picture turns brighter for good: 1 / e of its contrast is left after rise_s, of its change after recent_s."""
    levels = [40] + [140] * (round(rate_hz * 2) + 1)
    flat = [np.full((9, 9), level, np.uint8) for level in levels]
    spec = replace(PLAIN, height=2, width=2, history=replace(HISTORY, rise_s=0.4, recent_s=0.8))
    made = tensors_of(run_of(IN_200_STEPS, (9, 9), rate_hz), spec, flat)[1:]
    contrast, change = ([float(tensor[0, channel, 0, 0]) for tensor in made] for channel in (1, 2))
    assert contrast[0] == pytest.approx(0.5, abs=1e-5)
    assert contrast[round(rate_hz * 0.4)] == pytest.approx(0.5 / math.e, abs=1e-5)
    assert change[round(rate_hz * 0.8)] == pytest.approx(0.5 / math.e, abs=1e-5)


def test_two_runs_remember_nothing_of_each_other():
    run, pixels = run_of(Grayscale(12)), frames(3)
    alone = tensors_of(run, REMEMBERING, pixels)
    one, other = Preprocessor(run, REMEMBERING), Preprocessor(run, REMEMBERING)
    out = np.empty(SPEC.shape, np.float32)
    for frame, expected in zip(pixels, alone, strict=True):
        other(pixels[0], out)
        one(frame, out)
        np.testing.assert_array_equal(out, expected)


def changing_run() -> Run:
    """Nine grey scales: three windows, each under three exposed areas."""
    first, *others = (
        Grayscale(12, voi=voi, exposed=exposed)
        for voi in (VoiWindow(2000.0, 3000.0), VoiWindow(1500.0, 800.0, "SIGMOID"), TABLE)
        for exposed in (None, SPANS, SPANS // 2)
    )
    return replace(run_of(first), other_grayscales=tuple(others))


def test_each_frame_has_the_tensor_of_its_own_grey_scale():
    run, out = changing_run(), np.empty(SPEC.shape, np.float32)
    preprocess = Preprocessor(run, SPEC)
    for place in (0, 4, 8, 1, 1, 0, 5):
        assert preprocess(PIXELS, out, place)
        np.testing.assert_array_equal(out, tensor_of(run.grayscales[place]))


def test_tables_are_built_once_for_each_grey_scale_and_never_on_the_line(monkeypatch):
    built: list[Any] = []
    window_of = preprocess_module._window

    def counted(grayscale: Grayscale, spec: Preprocessing) -> Any:
        built.append(grayscale)
        return window_of(grayscale, spec)

    monkeypatch.setattr(preprocess_module, "_window", counted)
    run, out = changing_run(), np.empty(SPEC.shape, np.float32)
    preprocess = Preprocessor(run, SPEC)
    assert len(built) == 3  # one for each window: the exposed areas share them
    for index in range(50):
        preprocess(PIXELS, out, index % 9)
    assert len(built) == 3


def test_what_two_grey_scales_have_in_common_is_given_to_the_kernels_as_one_object():
    (exposed, window), *others = plan_ingest(changing_run(), SPEC, "float32", lambda *plan: [plan[2:4], *plan[5]])
    views = [(exposed, window), *others]
    assert len({id(spans) for spans, _ in views}) == 3
    assert len({id(one) for _, one in views}) == 3


def test_grey_scales_of_two_depths_are_a_source_error():
    run = replace(run_of(Grayscale(12)), other_grayscales=(Grayscale(10),))
    with pytest.raises(SourceError, match="grey scales of 12 and of 10 bits stored: expected one depth"):
        Preprocessor(run, SPEC)


def test_without_a_history_each_frame_stands_alone():
    pixels = frames(3)
    for frame, tensor in zip(pixels, tensors_of(run_of(Grayscale(12)), SPEC, pixels), strict=True):
        np.testing.assert_array_equal(tensor, tensor_of(Grayscale(12), SPEC, frame))


def test_a_history_of_grey_alone_is_a_manifest_error():
    spec = replace(SPEC, history=replace(HISTORY, channels=("grey",) * 3))
    with pytest.raises(
        ManifestError, match=r"all three channels are grey: .*leave history out.*build the bundle again"
    ):
        Preprocessor(run_of(Grayscale(12)), spec)


@pytest.mark.parametrize("seconds", [1e60, 1e300])
def test_a_time_that_no_run_lasts_is_a_manifest_error(seconds):
    spec = replace(SPEC, history=replace(HISTORY, fall_s=seconds))
    with pytest.raises(ManifestError, match=r"fall is 0\.0+: expected the weight of one frame, above 0"):
        Preprocessor(run_of(Grayscale(12)), spec)


def test_a_time_shorter_than_any_frame_follows_at_once():
    spec = replace(PLAIN, history=replace(HISTORY, rise_s=5e-324, fall_s=1e-9, recent_s=5e-324))
    pixels = frames(3)
    made = tensors_of(run_of(Grayscale(12), frame_rate_hz=0.1), spec, pixels)
    np.testing.assert_allclose(made[2][0, 1], made[2][0, 0] - made[1][0, 0], atol=1e-6)
    np.testing.assert_allclose(made[2][0, 2], made[2][0, 1], atol=1e-6)
