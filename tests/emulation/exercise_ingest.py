"""CUDA ingest against the reference and the CPU twin, on any stream: every window, element and way to lie in memory.

Tolerances: float32 1e-5, because grey is divided by std and two weighted sums round differently from the reference's;
float16 one step, where such a difference crosses the middle between two halves, and near 0, where steps are finer than
that, 1e-5 too; int8 one step, only at a tie; none at all where float32 has nothing to round (exact.py). Of a run with a
history twice as much, because contrast and change are differences of two greys.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cathrt.kernels._kernels import History, Ingest, TensorLayout, Window
from cathrt.kernels.cuda.ingest import DeviceIngest
from cathrt.kernels.cuda.stream import DeviceMemory, Stream
from cathrt.kernels.cuda.tiles import SHARED_BYTES
from cathrt.kernels.reference import ingest as reference
from tests.emulation.exact import TENSORS, ramp
from tests.emulation.exercise_histogram import flat_with_noise, noise
from tests.emulation.placed import placed

TOLERANCE = 1e-5
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
UNTOUCHED = 0x7B  # what the tensor holds before: an element nobody wrote shows


@dataclass(frozen=True)
class Case:
    """window, modality: what reference.to_grey takes; kernel_window: their twin.   gap to bottom_up: as placed().

    exact: not the slightest difference is allowed.   history: of a run, whose first frame `pixels` is.
    """

    pixels: NDArray[Any]
    bits: int
    window: Any
    kernel_window: Window
    modality: Any = None
    invert: bool = False
    exposed: NDArray[np.int32] | None = None
    size: tuple[int, int] = (11, 35)
    channels_last: bool = False
    element: Literal["float32", "float16", "int8"] = "float32"
    mean: tuple[float, float, float] = MEAN
    std: tuple[float, float, float] = STD
    scale: float = 1.0
    exact: bool = False
    masked_value: float = 0.25
    gap: int = 0
    offset: int = 0
    bottom_up: bool = False
    shared_bytes: int = SHARED_BYTES
    history: History | None = None


def small(stream: Stream) -> None:
    """Each window, element and layout; sizes no tile divides; rows that come in chunks; spans that cut quads; runs."""
    for case in small_cases():
        check(stream, case)
    for views in several_views():
        check_views(stream, views)


def full_frame(stream: Stream) -> None:
    """512 x 512 of 8 bits, as a run too, and 1024 x 1024 of 12 bits, percentile window, to 224 x 224."""
    rng = np.random.default_rng(4)
    eight = flat_with_noise(rng, (512, 512), np.uint8, 8)
    check(stream, percentile_case(eight, 8, size=(224, 224)))
    check(stream, percentile_case(eight, 8, size=(224, 224), history=HISTORIES[0]))
    check(stream, percentile_case(flat_with_noise(rng, (1024, 1024), np.uint16, 12), 12, size=(224, 224)))


def small_cases() -> list[Case]:
    rng = np.random.default_rng(3)
    spans = np.sort(rng.integers(0, 62, (45, 2)), axis=1).astype(np.int32)
    spans[[0, 9, 44]] = [[7, 7], [1, 61], [61, 61]]
    dark = np.full((45, 2), 61, dtype=np.int32)
    deep = noise(rng, (45, 61), np.uint16)
    narrow = noise(rng, (45, 61), np.uint8)
    grey = rng.random(1 << 12).astype(np.float32)
    falling = (900.0 - 3.5 * np.arange(1 << 10)).astype(np.float32)
    return [
        percentile_case(deep, 12, exposed=spans, gap=6),
        percentile_case(deep, 16, exposed=spans, gap=6, offset=8, invert=True, channels_last=True, element="float16"),
        percentile_case(narrow, 8, exposed=spans, gap=3, element="int8", scale=0.02),
        percentile_case(narrow, 5, gap=4, offset=1, bottom_up=True, element="int8", scale=0.01, channels_last=True),
        percentile_case(deep, 12, descending=True, bottom_up=True, shared_bytes=4096),
        percentile_case(deep, 14, exposed=dark),
        linear_case(deep, 12, origin=2000.0, slope=1 / 1500, element="float16"),
        linear_case(narrow, 8, origin=100.0, slope=1 / 90, invert=True, exposed=spans, gap=3, shared_bytes=2048),
        Case(deep, 12, lambda v: grey[v.astype(int)], Window.table(grey, False), gap=2, channels_last=True),
        Case(
            noise(rng, (33, 40), np.uint16),
            10,
            reference.Percentiles(2.5, 97.5),
            Window.table_percentile(2.5, 97.5, falling, True),
            modality=lambda stored: reference.lookup(stored, 0, falling),
            invert=True,
        ),
        percentile_case(noise(rng, (1, 1), np.uint16), 12, size=(9, 33)),
        percentile_case(noise(rng, (7, 1), np.uint8), 8, size=(1, 1)),
        percentile_case(noise(rng, (64, 64), np.uint16), 10, size=(23, 70)),
        percentile_case(noise(rng, (3, 1021), np.uint16), 12, size=(2, 3), shared_bytes=8192),
        *(exact_case(element) for element in TENSORS),
        percentile_case(deep, 12, exposed=spans, gap=6, history=HISTORIES[0]),
        percentile_case(narrow, 8, invert=True, channels_last=True, element="float16", history=HISTORIES[1]),
        linear_case(narrow, 8, origin=100.0, slope=1 / 90, gap=3, shared_bytes=2048, history=HISTORIES[0]),
        linear_case(deep, 12, origin=2000.0, slope=1 / 1500, element="int8", scale=0.02, history=HISTORIES[2]),
        percentile_case(deep, 14, exposed=dark, channels_last=True, history=HISTORIES[1]),
        *(exact_case(element, history=EXACT_HISTORY) for element in TENSORS),
        exact_case("int8", history=EXACT_HISTORY, channels_last=True),
    ]


def several_views() -> list[list[Case]]:
    """Runs whose frames are not all looked at alike: each case is a view, its exposed area and its window."""
    rng = np.random.default_rng(8)
    deep = noise(rng, (45, 61), np.uint16)
    left, middle = (np.tile(np.array([span], np.int32), (45, 1)) for span in ((0, 35), (11, 47)))
    grey = rng.random(1 << 12).astype(np.float32)
    table = Case(deep, 12, lambda v: grey[v.astype(int)], Window.table(grey, False))
    line = linear_case(deep, 12, origin=2000.0, slope=1 / 1500)
    ranked = percentile_case(deep, 12)
    nothing = np.zeros((45, 2), np.int32)
    views = [
        replace(line, exposed=left),
        replace(line, exposed=middle),
        replace(ranked, exposed=middle),
        replace(table, exposed=None),
        replace(ranked, exposed=nothing),
    ]
    return [[replace(view, history=history) for view in views] for history in (None, HISTORIES[0])]


HISTORIES = (
    History(("grey", "contrast", "change"), 0.125, 0.75, 0.375),
    History(("change", "contrast", "contrast"), 0.9, 0.05, 1.0),
    History(("contrast", "change", "grey"), 1.0, 0.01, 0.5),
)
# Weights by which float32 rounds nothing in four frames of ramp().
EXACT_HISTORY = History(("change", "grey", "contrast"), 0.25, 0.5, 0.125)


def exact_case(element: Any, **more: Any) -> Case:
    """Grey from 0 to 1023 / 1024, without a resize."""
    mean, std, scale = TENSORS[element]
    pixels, more = ramp((8, 128)), {"mean": mean, "std": std, "scale": scale, "exact": True} | more
    return linear_case(pixels, 10, origin=512.0, slope=2.0**-10, size=pixels.shape, element=element, **more)


def percentile_case(pixels: NDArray[Any], bits: int, *, descending: bool = False, **more: Any) -> Case:
    window = Window.percentile(1.0, 99.0, descending, more.get("invert", False))
    modality = (lambda stored: reference.rescale(stored, -2.5, 100.0)) if descending else None
    return Case(pixels, bits, reference.Percentiles(1.0, 99.0), window, modality=modality, **more)


def linear_case(pixels: NDArray[Any], bits: int, *, origin: float, slope: float, **more: Any) -> Case:
    window = Window.linear(origin, slope, 0.5, more.get("invert", False))
    return Case(pixels, bits, lambda v: np.clip((v - origin) * slope + 0.5, 0.0, 1.0), window, **more)


@dataclass(frozen=True)
class Plans:
    """Of one case: the three that must agree.   memory: the tensor's.   out: where it is downloaded to."""

    on_device: DeviceIngest
    on_cpu: Ingest
    remembered: reference.History | None
    memory: DeviceMemory
    out: NDArray[Any]


def check(stream: Stream, case: Case) -> None:
    """Raise AssertionError unless each tensor is within the tolerance of the reference and of the CPU twin.

    Of a run with a history: four frames, then a reset and the first frame again.
    """
    plans = plans_of(stream, case)
    if plans.remembered is None:
        check_frame(stream, case, plans)
        return
    for number in range(4):
        pixels = np.roll(case.pixels, (number, 7 * number), axis=(0, 1))
        check_frame(stream, replace(case, pixels=pixels), plans)
    for resettable in (plans.on_device, plans.on_cpu, plans.remembered):
        resettable.reset()
    check_frame(stream, case, plans)


def plans_of(stream: Stream, case: Case, *others: Case) -> Plans:
    height, width = case.size
    shape = (case.pixels.shape[0], case.pixels.shape[1])
    layout = TensorLayout(
        height,
        width,
        case.channels_last,
        case.mean,
        case.std,
        case.masked_value,
        element=case.element,
        scale=case.scale,
        history=case.history,
    )
    views = [(other.exposed, other.kernel_window) for other in others]
    on_device = DeviceIngest(
        stream, shape, case.bits, case.exposed, case.kernel_window, layout, views, shared_bytes=case.shared_bytes
    )
    on_cpu = Ingest(shape, case.bits, case.exposed, case.kernel_window, layout, views)
    history = case.history
    remembered = history and reference.History(history.channels, history.rise, history.fall, history.recent)
    out = np.zeros((1, height, width, 3) if case.channels_last else (1, 3, height, width), dtype=case.element)
    return Plans(on_device, on_cpu, remembered, stream.allocate(out.nbytes), out)


def check_views(stream: Stream, views: list[Case]) -> None:
    """As check(), of a run that goes through the views, by one plan."""
    plans = plans_of(stream, *views)
    for number, view in enumerate((0, 1, 2, 3, 4, 3, 0, 4, 1)):
        pixels = np.roll(views[view].pixels, (number, 7 * number), axis=(0, 1))
        check_frame(stream, replace(views[view], pixels=pixels), plans, view, views_differ=True)


def check_frame(stream: Stream, case: Case, plans: Plans, view: int = 0, *, views_differ: bool = False) -> None:
    """Of one frame, which each of the plans then remembers. views_differ: in what they cover."""
    out = plans.out
    out.view(np.uint8)[...] = UNTOUCHED
    stream.upload(out, plans.memory)
    frame = placed(stream, case.pixels, gap=case.gap, offset=case.offset, bottom_up=case.bottom_up)
    shown = plans.on_device(frame, plans.memory, view)
    stream.synchronise()
    stream.download(plans.memory, out)
    stream.synchronise()

    twin = np.zeros_like(out)
    assert shown == plans.on_cpu(case.pixels, twin, view)
    grey = reference.to_grey(
        case.pixels,
        case.bits,
        case.modality,
        case.window,
        invert=case.invert,
        exposed=case.exposed,
        masked_value=case.masked_value,
    )
    quantities = reference.resize(grey, *case.size)
    if plans.remembered is not None:
        masked = ~reference.exposed_mask(case.exposed, (case.pixels.shape[0], case.pixels.shape[1]))
        covered = reference.resize(masked.astype(np.float64), *case.size) if views_differ else None
        quantities = plans.remembered(quantities, shown=shown, covered=covered)
    exact = reference.normalise(quantities, case.mean, case.std, channels_last=case.channels_last)
    assert_close(out, exact, case, "reference")
    if case.element == "float32" and not case.exact:
        off, allowed = np.abs(out - twin).max(), tolerance(case)
        assert off <= allowed, f"{off} off the CPU twin, {allowed} allowed"
    else:
        assert_close(twin, exact, case, "reference of the CPU twin")


def tolerance(case: Case) -> float:
    return TOLERANCE if case.history is None else 2 * TOLERANCE


def assert_close(out: NDArray[Any], exact: NDArray[np.float64], case: Case, what: str) -> None:
    """exact: the tensor before it becomes an element."""
    expected = reference.as_element(exact, case.element, case.scale)
    if case.exact:
        np.testing.assert_array_equal(out, expected, f"{case.element}: not the {what}")
        return
    off = np.abs(out.astype(np.float64) - expected)
    near = tolerance(case)
    allowed = np.full(off.shape, near)
    if case.element == "float16":
        allowed = np.maximum(np.spacing(np.abs(expected)).astype(np.float64), near)
    if case.element == "int8":
        steps = exact / case.scale
        allowed = (np.abs(steps - np.floor(steps) - 0.5) <= near / case.scale).astype(np.float64)
    worst = np.unravel_index(np.argmax(off - allowed), off.shape)
    assert (off <= allowed).all(), f"{case.element} {out[worst]} at {worst}: the {what} is {expected[worst]}"
