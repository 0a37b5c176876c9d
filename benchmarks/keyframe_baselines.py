"""Key frames without a network: what each classical rule would choose, on the very frames that the line judges.

docs/status.md says what each rule is. Every frame is scored on its way from the source to the line, so that nothing is
drawn or decoded twice. Not for: counting what was right (keyframe_measures.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.judged_runs import JudgedRun, judge
from cathrt.export.models.keyframe.demo.dataset import PREPROCESSING
from cathrt.kernels.reference.ingest import exposed_mask, resize
from cathrt.runtime.bundle.manifest import Preprocessing
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.frame import Frame, LostFrame, Run
from cathrt.runtime.line.pipeline import Line
from cathrt.runtime.models.keyframe.finding import KeyframeModel
from cathrt.runtime.models.keyframe.section import section_of
from cathrt.runtime.ports import Source
from cathrt.runtime.preprocess import Preprocessor

# A coronary of 1.5 to 4 mm is 3 to 8 pixels wide at this size. A third, wider scale costs as much again as both.
FRANGI_SIDE = 224
FRANGI_SIGMAS = (1.5, 2.5)
# Three best frames lie as far apart as key frames of the line do (KeyframePolicyConfig.min_gap_s).
APART_MS = 330.0
CHOSEN = 3
COURSES = ("frangi", "least_mean", "vesselness", "darkening")
HISTORY = PREPROCESSING.history  # that of the demonstration, whatever the bundle at hand is shown
assert HISTORY is not None  # darkening is read from its second channel

Course = NDArray[np.float64]  # a score a frame, higher is better; NaN where the frame was lost or has no exposed pixel
Choices = Mapping[str, tuple[int, ...]]  # by method, the frames it would keep, best first; none is a legal answer


def require_skimage() -> None:
    """Raises ConfigError where Frangi's filter is not there, before the work and not after it."""
    try:
        import skimage.filters  # noqa: F401
    except ImportError as exc:
        raise ConfigError(f"key-frame baselines: {exc}: pip install '.[bench]'") from exc


class ClassicalScores:
    """The courses of one run, filled frame by frame: "frangi", "least_mean", "vesselness", "darkening".

    Grey is what the network gets: the same window, without the manifest's normalisation. Darkening is how much darker
    the field is than its background so far, mean: the simplest use of a run's history. What shutter or collimator cover
    takes no part.
    """

    def __init__(self, run: Run, spec: Preprocessing) -> None:
        """spec: how the network's input is made. Raises as Preprocessor does."""
        from cathrt.kernels._kernels import Vesselness

        assert run.frame_count is not None
        grey = replace(
            spec,
            layout="NCHW",
            height=FRANGI_SIDE,
            width=FRANGI_SIDE,
            mean=(0.0,) * 3,
            std=(1.0,) * 3,
            masked_value=0,
            history=HISTORY,
        )
        shape = run.rows, run.columns
        exposed = [exposed_mask(scale.exposed, shape).astype(np.float64) for scale in run.grayscales]
        self._fields = [resize(mask, FRANGI_SIDE, FRANGI_SIDE) > 0.999 for mask in exposed]
        self._preprocess = Preprocessor(run, grey)
        self._tensor = np.empty((1, 3, FRANGI_SIDE, FRANGI_SIDE), np.float32)
        self._vesselness = [
            Vesselness(shape, scale.bits_stored, scale.exposed, scale.inverted) for scale in run.grayscales
        ]
        self.courses: dict[str, Course] = {name: np.full(run.frame_count, np.nan) for name in COURSES}

    def observe(self, frame: Frame) -> None:
        """Score one frame."""
        field = self._fields[frame.grayscale]
        if not self._preprocess(frame.pixels, self._tensor, frame.grayscale) or not field.any():
            return
        grey = self._tensor[0, 0]
        self.courses["frangi"][frame.index] = frangi_sum(grey, field)
        self.courses["least_mean"][frame.index] = -float(grey[field].mean())
        self.courses["vesselness"][frame.index] = self._vesselness[frame.grayscale](frame.pixels)
        darker = np.maximum(0.0, -self._tensor[0, 1][field])
        self.courses["darkening"][frame.index] = float(darker.mean(dtype=np.float64))


def frangi_sum(grey: NDArray[np.float32], field: NDArray[np.bool_]) -> float:
    """Sum of scikit-image's Frangi filter over the field, dark ridges. grey, field: (H, W); field: at least one pixel.

    What lies outside is filled with the field's mean, so that its border is no ridge.
    """
    from skimage.filters import frangi

    filled = np.where(field, grey, grey[field].mean(dtype=np.float64).astype(np.float32))
    return float(frangi(filled, sigmas=FRANGI_SIGMAS, black_ridges=True)[field].sum(dtype=np.float64))


class Observed:
    """A source whose frames `observe` sees before they are handed on: fits ports.Source."""

    def __init__(self, source: Source, observe: Callable[[Frame], None]) -> None:
        self._source, self._observe = source, observe

    @property
    def run(self) -> Run:
        return self._source.run

    def frames(self) -> Iterator[Frame | LostFrame]:
        for item in self._source.frames():
            if isinstance(item, Frame):
                self._observe(item)
            yield item

    def close(self) -> None:
        self._source.close()


def judge_beside_baselines(source: Source, line: Line) -> tuple[JudgedRun, Choices]:
    """Take a run through the line and each of its frames through the baselines; the source is closed afterwards."""
    run, served = source.run, line.models[0]
    scores = ClassicalScores(run, served.preprocessing[0])
    judged = judge(Observed(source, scores.observe), line)
    course = p_better(judged, KeyframeModel(section_of(served.bundle.manifest)))
    return judged, choices(judged, {**scores.courses, "p_better": course}, due_ms(run))


def choices(judged: JudgedRun, courses: Mapping[str, Course], due: Sequence[float]) -> Choices:
    """What every method keeps. "ours" is the first-ranked key frame of the run's result, "ours3" all that are ranked;
    a course gives its best frame, and as "<name>3" its CHOSEN best."""
    ranked, count = tuple(judged.result.marked_frames), len(due)
    chosen: dict[str, tuple[int, ...]] = {"ours": ranked[:1], "ours3": ranked[:CHOSEN]}
    for name, course in courses.items():
        best = best_frames(course, due)
        chosen |= {name: best[:1], f"{name}3": best}
    return chosen | {"half": (count // 2,), "share_06": (count * 6 // 10,)}


def best_frames(course: Course, due: Sequence[float]) -> tuple[int, ...]:
    """The CHOSEN frames of greatest score, best first, each APART_MS from the better ones; the earlier of equals."""
    chosen: list[int] = []
    for index in np.argsort(-course, kind="stable"):  # NaN comes last
        if np.isnan(course[index]) or len(chosen) == CHOSEN:
            break
        if all(abs(due[index] - due[other]) >= APART_MS for other in chosen):
            chosen.append(int(index))
    return tuple(chosen)


def p_better(judged: JudgedRun, model: KeyframeModel) -> Course:
    """P(better) of each frame, both sides together."""
    findings = [frame.finding for frame in judged.frames]
    return np.array([np.nan if finding is None else model.better(finding) for finding in findings])


def due_ms(run: Run) -> tuple[float, ...]:
    """When each frame is due, from the first one."""
    assert run.frame_count is not None
    return tuple(run.timing.due_ms(index) for index in range(run.frame_count))
