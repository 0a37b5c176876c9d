"""The key frames of a whole run, best first, once its last frame is judged.

Not for: what is announced while it goes on (announce.py), or whether the run shows an artery at all (side.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.model_kind import Judged
from cathrt.runtime.models.keyframe.motion import motion_at
from cathrt.runtime.models.keyframe.policy import KeyframePolicyConfig
from cathrt.runtime.models.keyframe.records import keyframe_of

_DIGITS = 9  # of a mean: on a plateau of equal scores the order of frames decides, not a rounding


@dataclass(frozen=True, slots=True)
class _Placed:
    """A frame, the mean of the scores around it, and its rank: what frames are ordered by."""

    frame: Judged
    mean: float
    rank: float

    @property
    def order(self) -> tuple[float, float, int]:
        """Best first: by rank, then by own score, then the earlier frame."""
        return -self.rank, -self.frame.finding.score, self.frame.index


def rank_key_frames(
    frames: Sequence[Judged], threshold: float, config: KeyframePolicyConfig, *, at_least_one: bool = False
) -> list[Judged]:
    """The run's key frames, best first by rank: at most K, each min_gap_s from the others.

    The rank is the mean around a frame of its score and of its vesselness, less how much the picture moves at it, each
    in units of its spread in this run; what frames have not been measured for takes no part. The network knows
    arteries, the filter sees small changes of a whole field, and the heart rests once or twice a beat: beside each
    other they lose least (benchmarks/results/keyframe_tries.jsonl).

    A key frame and the mean around it score at least `threshold`. Where no frame does, at_least_one gives the single
    best one. The best comes first; the next ones lie in other heart beats where frames there are nearly as good,
    else in the same beat. Frames outside the domain are never key frames. frames: in order of time.
    """
    inside = [frame for frame in frames if keyframe_of(frame).outside is None]
    means = centred_means(inside, config.ranking_smoothing_s)
    ranked = sorted(map(_Placed, inside, means, _ranks(inside, means, config)), key=lambda placed: placed.order)
    good = [placed for placed in ranked if min(placed.mean, placed.frame.finding.score) >= threshold]
    if not good:
        return [ranked[0].frame] if at_least_one and ranked else []
    gap_ms = config.min_gap_s * 1000.0
    in_other_beats = [placed for placed in good if placed.mean >= config.other_beat_ratio * good[0].mean]
    chosen = _spread(in_other_beats, [], max(config.beat_s * 1000.0, gap_ms), config.max_per_run)
    chosen = _spread(good, chosen, gap_ms, config.max_per_run)
    return [placed.frame for placed in sorted(chosen, key=lambda placed: placed.order)]


def _ranks(frames: Sequence[Judged], means: Sequence[float], config: KeyframePolicyConfig) -> Sequence[float]:
    """What frames are ordered by. means: of their scores."""
    findings = [keyframe_of(frame) for frame in frames]
    vesselness = [found.vesselness for found in findings if found.vesselness is not None]
    motion = motion_at([found.change for found in findings])
    ranks = np.array(means)
    if frames and len(vesselness) == len(frames):
        both = in_spreads(np.array([found.score for found in findings])) + in_spreads(np.array(vesselness))
        ranks = np.array(means_around(both, np.array([frame.due_ms for frame in frames]), config.ranking_smoothing_s))
    elif motion is not None:
        ranks = in_spreads(ranks)
    if motion is not None:
        ranks = np.round(ranks - config.stillness * in_spreads(motion), _DIGITS)
    return [float(rank) for rank in ranks]


def in_spreads(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance from the mean in standard deviations; 0 where all are equal."""
    spread = float(values.std())
    return np.asarray((values - values.mean()) / spread if spread > 1e-12 else np.zeros_like(values))


def stands_out(frames: Sequence[Judged], config: KeyframePolicyConfig) -> float:
    """How far a run's best frame stands out: above_baseline of the best mean around a frame and of the run's baseline,
    its lowest mean over baseline_s. Of a run without a frame inside the domain 0.
    """
    inside = [frame for frame in frames if keyframe_of(frame).outside is None]
    if not inside:
        return 0.0
    means = centred_means(inside, config.ranking_smoothing_s)
    due_ms = np.array([frame.due_ms for frame in inside])
    scores = np.array([frame.finding.score for frame in inside])
    span_ms = config.baseline_s * 1000.0
    ends = np.searchsorted(due_ms, due_ms + span_ms, "left")
    whole = [(one, end) for one, end in enumerate(ends) if due_ms[-1] - due_ms[one] >= span_ms - 1e-3]
    baseline = min((float(scores[one:end].mean()) for one, end in whole), default=None)
    return above_baseline(max(means), baseline)


def above_baseline(level: float, baseline: float | None) -> float:
    """A level less half of the baseline, in [-0.5, 1]: what looks like an artery all the time (a wire, a rib, a sheath)
    stands out half as much as what fills and empties. baseline: None of a run too short to have one, as a still is."""
    return level if baseline is None else level - 0.5 * baseline


def centred_means(frames: Sequence[Judged], smoothing_s: float) -> list[float]:
    """The mean score around each frame, in order of time. Weights fall linearly to 0 at smoothing_s on either side.

    So the mean changes little with the frame rate: at 7.5 frames/s it holds three frames, at 30 eleven. 0: own score.
    """
    scores = np.array([frame.finding.score for frame in frames])
    return means_around(scores, np.array([frame.due_ms for frame in frames]), smoothing_s)


def means_around(values: NDArray[np.float64], due_ms: NDArray[np.float64], smoothing_s: float) -> list[float]:
    """centred_means of any values, (N,) each."""
    span_ms = smoothing_s * 1000.0
    if not len(values) or span_ms <= 0.0:
        return [float(value) for value in values]
    first, end = np.searchsorted(due_ms, due_ms - span_ms, "right"), np.searchsorted(due_ms, due_ms + span_ms, "left")
    means = []
    for centre_ms, one, other in zip(due_ms, first, end, strict=True):
        weights = 1.0 - np.abs(due_ms[one:other] - centre_ms) / span_ms
        means.append(round(float(weights @ values[one:other] / weights.sum()), _DIGITS))
    return means


def _spread(ranked: Sequence[_Placed], chosen: Sequence[_Placed], apart_ms: float, most: int) -> list[_Placed]:
    """`chosen`, and of the others the best that lie apart_ms from every chosen one, until there are `most`."""
    spread = list(chosen)
    for placed in ranked:
        if len(spread) >= most:
            break
        if all(abs(placed.frame.due_ms - other.frame.due_ms) >= apart_ms for other in spread):
            spread.append(placed)
    return spread
