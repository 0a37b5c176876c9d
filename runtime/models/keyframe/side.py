"""What a run shows: an angiogram at all, a coronary artery, and of which side.

Not for: the side of one frame (finding.py), or which frames to keep (ranking.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from cathrt.runtime.frame import Geometry
from cathrt.runtime.model_kind import Judged
from cathrt.runtime.models.keyframe.finding import KeyframeModel
from cathrt.runtime.models.keyframe.policy import KeyframePolicyConfig
from cathrt.runtime.models.keyframe.ranking import stands_out
from cathrt.runtime.models.keyframe.records import KeyframeFinding, Laterality, keyframe_of
from cathrt.runtime.models.keyframe.section import KeyframeSection

# Views a C-arm angle makes unlikely for a side (degrees; LAO > 0, CRA > 0). Caudal tilts are chosen to unfold the left
# main and its branches; a plain LAO without tilt is the standard right coronary view (Heart, table of projections).
CAUDAL_TILT_DEG = -15.0
PLAIN_LAO_DEG = (30.0, 70.0)  # beyond it the view is a lateral one, which serves both
PLAIN_TILT_DEG = 10.0


@dataclass(frozen=True, slots=True)
class RunSide:
    """laterality: what the run's side is. voted, score: what the frames say of it, whatever the C-arm's angle.

    shows_artery: enough frames show a coronary artery. mismatch: the angle makes the voted side unlikely; None without
    an angle or a voted side.
    """

    laterality: Laterality
    voted: Laterality
    score: float
    shows_artery: bool
    mismatch: bool | None


def run_outside(frames: Sequence[KeyframeFinding]) -> str | None:
    """The commonest reason where at least half of the judged frames are outside the domain, else None."""
    reasons = Counter(frame.outside for frame in frames if frame.outside is not None)
    if not reasons or 2 * reasons.total() < len(frames):
        return None
    return reasons.most_common(1)[0][0]


def run_side(
    frames: Sequence[Judged],
    reader: KeyframeModel,
    section: KeyframeSection,
    config: KeyframePolicyConfig,
    geometry: Geometry,
) -> RunSide:
    """The side of a run by vote of its frames inside the domain that show an artery.

    frames: in order of time. The run shows an artery if min_visible_frames frames do, of a shorter run all, and if it
    stands out as far as the bundle asks; else it has no side. A C-arm angle that is unusual for
    the voted side makes the side unknown, unless the vote is overwhelming; it never names the other side.
    """
    least = section.visible_threshold if section.run_visible_threshold is None else section.run_visible_threshold
    findings = [keyframe_of(frame) for frame in frames]
    inside = [(reader.left_score(found), reader.visibility(found)) for found in findings if found.outside is None]
    shown = sorted((visibility for _, visibility in inside), reverse=True)[: config.min_visible_frames]
    votes = [
        (left, visibility)
        for left, visibility in inside
        if visibility >= least and max(left, 1.0 - left) >= section.laterality_threshold
    ]
    evident = section.run_evidence is None or stands_out(frames, config) >= section.run_evidence
    voted, score = vote_laterality(votes if evident else [], config, frames=len(inside))
    primary, secondary = geometry.positioner_primary_angle_deg, geometry.positioner_secondary_angle_deg
    mismatch = laterality_mismatch(voted, primary, secondary)
    withdrawn = mismatch is True and score < config.overwhelming
    return RunSide(
        "unknown" if withdrawn else voted, voted, score, bool(shown) and shown[-1] >= least and evident, mismatch
    )


def vote_laterality(
    votes: list[tuple[float, float]], config: KeyframePolicyConfig, *, frames: int
) -> tuple[Laterality, float]:
    """The run's side and its score from (left score, visibility) of every frame that votes, of so many frames.

    Each frame weighs what it shows: the score is the visibility-weighted mean of the sides. Fewer votes than
    min_visible_frames (of a shorter run, as a still is, fewer than it has frames), or a score under
    run_laterality_threshold, is "unknown". No vote at all scores 0.
    """
    weight = sum(visibility for _, visibility in votes)
    if weight <= 0.0:
        return "unknown", 0.0
    left = sum(left_score * visibility for left_score, visibility in votes) / weight
    score = min(max(left, 1.0 - left), 1.0)
    if len(votes) < min(config.min_visible_frames, frames) or score < config.run_laterality_threshold:
        return "unknown", score
    return ("left" if left >= 0.5 else "right"), score


def laterality_mismatch(
    laterality: Laterality, primary_angle_deg: float | None, secondary_angle_deg: float | None
) -> bool | None:
    """Whether the C-arm angle makes the voted side unlikely; None without angles or without a side.

    Worth a look, never a correction: angles do not decide the side, and files exist whose angle has the wrong sign.
    """
    if primary_angle_deg is None or secondary_angle_deg is None or laterality == "unknown":
        return None
    if laterality == "right":
        return secondary_angle_deg <= CAUDAL_TILT_DEG
    least, most = PLAIN_LAO_DEG
    return least <= primary_angle_deg <= most and abs(secondary_angle_deg) < PLAIN_TILT_DEG
