"""The numbers that decide over time for the keyframe model: the table [policy.keyframe].

All times are seconds, so that a run of 7.5 frames/s is judged as one of 30 is. Not for: the rules themselves, which
stand in announce.py (live alerts), ranking.py (a run's key frames) and side.py (its side, and whether it is a run).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Gt, Le

from cathrt.runtime.alert import Score
from cathrt.runtime.config import Policy


@dataclass(frozen=True, slots=True)
class KeyframePolicyConfig(Policy):
    """When a key frame is announced, which ones are ranked, and when a run has a side.

    Basis: CAG-VLM's five-frame spacing at 15 fps (0.33 s); a beat of 0.8 s is 75 a minute.

    smoothing_s: scores are smoothed over it before they are compared, so that one noisy frame is no key frame; 0: off.
    relative_floor, min_rise: a level from key_frame_threshold * relative_floor on also makes a candidate, if it lies
    min_rise above the run's baseline, its lowest mean over baseline_s so far.
    release_ratio: a candidate is over once the level falls below this share of the threshold (hysteresis).
    confirm_s: time without a better frame after which a candidate is announced. refractory_s: after an announcement,
    time without a new candidate. min_gap_s: between key frames. max_per_run: K, announced and ranked.
    beat_s, other_beat_ratio: a further ranked frame lies beat_s from the others, if one there has this share of the
    best mean. min_visible_frames: frames that must show an artery, and must vote, for a run to have a side.
    run_laterality_threshold: vote below it is "unknown". overwhelming: vote from which on an unusual C-arm angle does
    not make it "unknown". ranking_smoothing_s: as smoothing_s, for the ranking at the run's end. vessel_filter: measure
    each frame's vesselness too, under a millisecond, rank with it, and tell where it would have chosen another frame.
    stillness: weight in the ranking of how little the picture moves at a frame; 0 does not measure it.
    """

    smoothing_s: Annotated[float, Ge(0.0), Le(2.0)] = 0.2
    relative_floor: Annotated[float, Gt(0.0), Le(1.0)] = 0.6
    min_rise: Score = 0.3
    baseline_s: Annotated[float, Gt(0.0), Le(10.0)] = 0.5
    release_ratio: Annotated[float, Gt(0.0), Le(1.0)] = 0.7
    confirm_s: Annotated[float, Ge(0.0)] = 0.33
    min_gap_s: Annotated[float, Ge(0.33)] = 0.33
    refractory_s: Annotated[float, Ge(0.0)] = 1.0
    max_per_run: Annotated[int, Ge(1)] = 3
    beat_s: Annotated[float, Ge(0.0)] = 0.8
    other_beat_ratio: Score = 0.7
    min_visible_frames: Annotated[int, Ge(1)] = 3
    run_laterality_threshold: Annotated[float, Ge(0.5), Le(1.0)] = 0.6
    overwhelming: Annotated[float, Ge(0.5), Le(1.0)] = 0.97
    ranking_smoothing_s: Annotated[float, Ge(0.0), Le(2.0)] = 0.3
    vessel_filter: bool = True
    stillness: Annotated[float, Ge(0.0), Le(5.0)] = 0.3
