"""From a frame's stored values to the tensor the manifest asks for: chooses the window, the kernels do the work.

Not for: formulae (kernels/reference/ingest.py), pixels (kernels/src) or finding shutters and collimators (sources).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from cathrt.kernels._kernels import History, Ingest, TensorLayout, Window
from cathrt.kernels.reference import ingest as reference
from cathrt.runtime.bundle import manifest
from cathrt.runtime.bundle.manifest import Preprocessing
from cathrt.runtime.errors import ManifestError, SourceError
from cathrt.runtime.frame import Grayscale, LookupTable, Rescale, Run, VoiLutFunction, VoiWindow

# Beyond these a float32 line could not tell neighbouring stored values apart; such windows go through a table instead.
_MAX_ORIGIN = float(2**22)
_MAX_SLOPE = float(2**10)

Made = TypeVar("Made")
ViewOfFrames = tuple[NDArray[np.int32] | None, Window]  # exposed, window: how some frames of a run are looked at
MakeIngest = Callable[
    [tuple[int, int], int, NDArray[np.int32] | None, Window, TensorLayout, Sequence[ViewOfFrames]], Made
]


class Preprocessor:
    """Preprocessing of one run: built once, called per frame in order, allocates nothing then. Not thread-safe.

    Where the manifest asks for a history, a frame's tensor rests on the frames before it: each frame counts once.
    Raises SourceError where the run's grey scale cannot be applied, ManifestError where the manifest cannot.
    """

    def __init__(self, run: Run, spec: Preprocessing, element: str = "float32") -> None:
        """element: of the engine's input, float32 or float16. Networks in int8 read floats and quantise them."""
        self._ingest = plan_ingest(run, spec, element, Ingest)

    def __call__(self, pixels: NDArray[Any], out: NDArray[Any], grayscale: int = 0) -> bool:
        """Fill `out`, the engine's input buffer, from stored values (rows, columns) of uint8 or uint16.

        grayscale: which of run.grayscales they are meant by.

        out: C-contiguous (1, 3, height, width) for NCHW, (1, height, width, 3) for NHWC, of the element; always finite
        afterwards.
        Returns False where the shutter covers the whole frame: then everything is the masked value and no finding on it
        means anything. Raises ValueError where pixels or out are not what the run and the manifest declare.
        """
        return self._ingest(pixels, out, grayscale)


def plan_ingest(run: Run, spec: Preprocessing, element: str, make: MakeIngest[Made]) -> Made:
    """What make(shape, bits_stored, exposed, window, tensor, others) makes of a run: the kernels' plan on a CPU or GPU.

    Its views are run.grayscales in their order, each with all its tables made here, before the first frame.
    element: as Preprocessor's. Raises SourceError where the run's grey scale cannot be applied, ManifestError where the
    manifest cannot.
    """
    if element not in ("float32", "float16"):
        raise ManifestError(
            f"manifest inputs: {spec.input} is {element}, expected float32 or float16: build the bundle again"
        )
    (exposed, window), *others = _views(run, spec)
    try:
        tensor = TensorLayout(
            spec.height,
            spec.width,
            spec.layout == "NHWC",
            spec.mean,
            spec.std,
            spec.masked_value,
            element,
            history=None if spec.history is None else _history(spec.history, run.timing.frame_rate_hz),
        )
    except ValueError as exc:
        raise ManifestError(f"manifest preprocessing: {exc}: build the bundle again") from exc
    try:
        return make((run.rows, run.columns), run.grayscale.bits_stored, exposed, window, tensor, others)
    except ValueError as exc:
        raise SourceError(f"{run.source}: {exc}: the source describes its frames wrongly") from exc


def _views(run: Run, spec: Preprocessing) -> list[ViewOfFrames]:
    """The exposed area and the window of each grey scale. What equals another's is the same object: it is kept once."""
    exposures: dict[bytes | None, NDArray[np.int32] | None] = {}
    windows: dict[tuple[object, ...], Window] = {}
    views = []
    for grayscale in run.grayscales:
        if grayscale.bits_stored != run.grayscale.bits_stored:
            raise SourceError(
                f"{run.source}: grey scales of {run.grayscale.bits_stored} and of {grayscale.bits_stored} bits stored: "
                "expected one depth: the source describes its frames wrongly"
            )
        exposed = exposures.setdefault(grayscale.exposed_key, grayscale.exposed)
        key = grayscale.window_key
        if key not in windows:
            windows[key] = _window(grayscale, spec)
        views.append((exposed, windows[key]))
    return views


def _history(history: manifest.History, frame_rate_hz: float) -> History:
    """The weight of one frame, from time constants and the run's nominal rate."""
    rise, fall, recent = (
        -math.expm1(-1.0 / frame_rate_hz / seconds) for seconds in (history.rise_s, history.fall_s, history.recent_s)
    )
    return History(history.channels, rise, fall, recent)


def _window(grayscale: Grayscale, spec: Preprocessing) -> Window:
    """The window the manifest's policy picks for this grey scale."""
    _check_modality(grayscale.modality)
    invert = grayscale.inverted
    if grayscale.voi is None or spec.window == "percentile":
        return _percentile_window(grayscale, spec.percentiles, invert)
    if isinstance(grayscale.voi, VoiWindow):
        _check_voi(grayscale.voi)
        line = _line(grayscale.modality, grayscale.voi)
        if line is not None:
            return Window.linear(*line, invert)
    values = _modality_values(grayscale)
    if isinstance(grayscale.voi, LookupTable):
        grey = reference.voi_lut(values, grayscale.voi.first_input, grayscale.voi.values, grayscale.voi.bits)
    else:
        grey = _VOI_FUNCTIONS[grayscale.voi.function](values, grayscale.voi.center, grayscale.voi.width)
    return Window.table(grey.astype(np.float32), invert)


def _percentile_window(grayscale: Grayscale, percentiles: tuple[float, float], invert: bool) -> Window:
    low, high = percentiles
    if not 0.0 <= low < high <= 100.0:
        raise ManifestError(
            f"manifest preprocessing: percentiles are {low}, {high}: expected 0 <= low < high <= 100: "
            "build the bundle again"
        )
    if isinstance(grayscale.modality, LookupTable):
        try:
            return Window.table_percentile(low, high, _modality_values(grayscale).astype(np.float32), invert)
        except ValueError as exc:
            raise SourceError(f"modality LUT: {exc}: correct (0028,3000)") from exc
    descending = grayscale.modality is not None and grayscale.modality.slope < 0
    return Window.percentile(low, high, descending, invert)


def _line(modality: Rescale | LookupTable | None, voi: VoiWindow) -> tuple[float, float, float] | None:
    """(origin, slope, intercept) of a window that is one clamped line over stored values; None where it is not.

    grey = clamp((stored - origin) * slope + intercept), origin being the stored value nearest the line's middle.
    """
    if isinstance(modality, LookupTable) or voi.function == "SIGMOID" or voi.width == 1.0:
        return None
    slope, intercept = (1.0, 0.0) if modality is None else (modality.slope, modality.intercept)
    # LINEAR is LINEAR_EXACT with half a unit less centre and one unit less width (PS3.3 C.11.2.1.2.1, C.11.2.1.3.2).
    center, width = (voi.center - 0.5, voi.width - 1.0) if voi.function == "LINEAR" else (voi.center, voi.width)
    middle = (center - intercept) / slope
    line_slope = slope / width
    if not (abs(middle) <= _MAX_ORIGIN and abs(line_slope) <= _MAX_SLOPE):
        return None
    origin = float(round(middle))
    return origin, line_slope, 0.5 + (origin - middle) * line_slope


def _modality_values(grayscale: Grayscale) -> reference.Float64:
    """Modality value of every stored value, (1 << bits_stored,)."""
    stored = np.arange(1 << grayscale.bits_stored, dtype=np.float64)
    if isinstance(grayscale.modality, LookupTable):
        return reference.lookup(stored, grayscale.modality.first_input, grayscale.modality.values)
    if isinstance(grayscale.modality, Rescale):
        return reference.rescale(stored, grayscale.modality.slope, grayscale.modality.intercept)
    return stored


_VOI_FUNCTIONS: dict[VoiLutFunction, Any] = {
    "LINEAR": reference.voi_linear,
    "LINEAR_EXACT": reference.voi_linear_exact,
    "SIGMOID": reference.voi_sigmoid,
}


def _check_modality(modality: Rescale | LookupTable | None) -> None:
    if isinstance(modality, Rescale) and not (
        np.isfinite(modality.slope) and np.isfinite(modality.intercept) and modality.slope != 0.0
    ):
        raise SourceError(
            f"rescale slope {modality.slope}, intercept {modality.intercept}: expected finite numbers and a slope "
            "other than 0: correct (0028,1053) and (0028,1052)"
        )


def _check_voi(voi: VoiWindow) -> None:
    least = "at least 1" if voi.function == "LINEAR" else "above 0"
    fits = voi.width >= 1.0 if voi.function == "LINEAR" else voi.width > 0.0
    if not (fits and np.isfinite(voi.width) and np.isfinite(voi.center)):
        raise SourceError(
            f"{voi.function} window center {voi.center}, width {voi.width}: expected finite numbers and a width "
            f"{least}: correct (0028,1050) and (0028,1051)"
        )
