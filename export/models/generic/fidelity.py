"""Whether the exported graph and preprocessing are those of the model: both held against PyTorch and its own processor.

On pictures whose tensors and logits the child has computed. Not for: an engine against this graph (criteria.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from cathrt.export.models.generic.child import OptimumExport
from cathrt.export.models.generic.graph import OUTPUT
from cathrt.export.models.generic.processor import INPUT, Crop, Prepared
from cathrt.export.qualify.evidence import significant
from cathrt.export.qualify.reference import reference_from_onnx
from cathrt.runtime.errors import ConfigError, EngineError
from cathrt.runtime.frame import Grayscale, Run, Timing, VoiWindow
from cathrt.runtime.outside.plain_text import shown as shown_text
from cathrt.runtime.phantom import PhantomSource, sample_scene
from cathrt.runtime.preprocess import Preprocessor

TOLERANCE = 1e-4  # of the largest logit, as every pass over a graph must keep
GREY_LEVELS = 2.0  # of 255: a processor rounds to whole levels after each of its two resizes
_FIRST_SEED = 90_000_000  # scenes that nothing else draws
_PHANTOMS = 4
_MATRIX = 512
_OTHER_SIZES = ((512, 512), (300, 430))  # of noise, on which a filter or a crop that differs shows most

Picture = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class ModelCheck:
    """graph_error: of the exported graph against PyTorch, relative to the largest logit. grey_mean, grey_largest: how
    far the runtime's tensors are from those of the model's own processor, in levels of 255. same_label: of so many
    pictures the label is the same although each side has prepared the picture itself."""

    graph_error: float
    grey_mean: float
    grey_largest: float
    same_label: int
    pictures: int

    def record(self, prepared: Prepared) -> dict[str, Any]:
        """For the provenance."""
        return {
            "graph_error": significant(self.graph_error),
            "grey_levels_mean": significant(self.grey_mean),
            "grey_levels_largest": significant(self.grey_largest),
            "same_label": self.same_label,
            "pictures": self.pictures,
            "replaced": prepared.replaced or None,
        }


@cache
def pictures() -> tuple[Picture, ...]:
    """Generated frames of an angiogram, as grey pictures, and noise: (rows, columns), the last one not square."""
    found = [_frame(_FIRST_SEED + number) for number in range(_PHANTOMS)]
    draw = np.random.default_rng(_FIRST_SEED)
    return (*found, *(draw.integers(0, 256, size).astype(np.uint8) for size in _OTHER_SIZES))


def check_model(shown: Sequence[Picture], export: OptimumExport, prepared: Prepared, plain: bytes) -> ModelCheck:
    """shown: what was given to the child. plain: the graph that reads a whole resized frame.

    Raises EngineError where the graph is not PyTorch's network, ConfigError where the processor does something else
    than its settings say here.
    """
    as_optimum, ours = reference_from_onnx(export.graph, threads=1), reference_from_onnx(plain, threads=1)
    made = prepared.preprocessing
    square = [number for number, picture in enumerate(shown) if picture.shape[0] == picture.shape[1]]
    alike = square if prepared.square_frames else list(range(len(shown)))
    graph_errors: list[float] = []
    differences: list[NDArray[np.float64]] = []
    same = 0
    logits = dict(zip(_of_first_shape(export), export.logits, strict=True))
    (name,) = (port.name for port in onnx.load_from_string(export.graph).graph.input)
    for number in alike:
        theirs = export.pixels[number]
        frame = _prepared(shown[number], prepared)
        seen = _cropped(frame, prepared.crop)
        if seen.shape != theirs.shape or number not in logits:
            raise ConfigError(
                f"{_processor(export)}: makes a tensor {theirs.shape} of a picture {shown[number].shape}, its settings "
                f"say {seen.shape} here: it cannot be represented"
            )
        differences.append(np.abs(seen - theirs).astype(np.float64) * np.reshape(made.std, (1, 3, 1, 1)) * 255.0)
        expected = logits[number].reshape(1, -1)
        found = ours({INPUT: frame})[OUTPUT]
        graph_errors.append(_relative(as_optimum({name: theirs})[OUTPUT], expected))
        graph_errors.append(_relative(found, as_optimum({name: np.ascontiguousarray(seen)})[OUTPUT]))
        same += int(np.argmax(found) == np.argmax(expected))
    check = ModelCheck(
        graph_error=max(graph_errors),
        grey_mean=float(np.mean([one.mean() for one in differences])),
        grey_largest=float(max(one.max() for one in differences)),
        same_label=same,
        pictures=len(alike),
    )
    if not check.graph_error <= TOLERANCE:  # NaN is not
        raise EngineError(
            f"optimum-onnx: its graph differs from PyTorch by {check.graph_error:.2g} of the largest logit, at most "
            f"{TOLERANCE:g} is allowed: this network cannot be exported"
        )
    if not prepared.replaced and not check.grey_largest <= GREY_LEVELS:
        raise ConfigError(
            f"{_processor(export)}: its tensors differ by up to {check.grey_largest:.3g} grey levels of 255 from what "
            f"its settings say here, at most {GREY_LEVELS:g} are rounding: it does something that cannot be represented"
        )
    return check


def _frame(seed: int) -> Picture:
    """The middle frame of a phantom run, its darkest and brightest percent cut off."""
    source = PhantomSource(sample_scene(seed, kind=None, matrix=_MATRIX))
    stored = source.render((source.run.frame_count or 1) // 2).astype(np.float64)
    source.close()
    low, high = np.percentile(stored, (1.0, 99.0))
    grey: Picture = np.clip(np.rint((stored - low) / max(high - low, 1.0) * 255.0), 0, 255).astype(np.uint8)
    return grey


def _prepared(picture: Picture, prepared: Prepared) -> NDArray[np.float32]:
    """As the runtime prepares a frame whose VOI shows 0 as black and 255 as white."""
    rows, columns = picture.shape
    whole = Grayscale(bits_stored=8, voi=VoiWindow(127.5, 255.0, "LINEAR_EXACT"))
    run = Run("picture", "picture", 1, rows, columns, whole, Timing(15.0, "given"))
    made = replace(prepared.preprocessing, window="voi_else_percentile")
    tensor = np.zeros(made.shape, np.float32)
    Preprocessor(run, made)(picture, tensor)
    return tensor


def _cropped(tensor: NDArray[np.float32], crop: Crop | None) -> NDArray[np.float32]:
    if crop is None:
        return tensor
    return tensor[:, :, crop.top : crop.top + crop.height, crop.left : crop.left + crop.width]


def _of_first_shape(export: OptimumExport) -> list[int]:
    shape = export.pixels[0].shape
    return [number for number, tensor in enumerate(export.pixels) if tensor.shape == shape]


def _relative(found: NDArray[Any], expected: NDArray[Any]) -> float:
    return float(np.abs(found.astype(np.float64) - expected).max() / max(float(np.abs(expected).max()), 1e-12))


def _processor(export: OptimumExport) -> str:
    return shown_text(str(export.processor.get("image_processor_type", "the image processor")))
