"""Whether the first-ranked key frame of a run is the same for two networks.

Not for: how key frames are ranked (runtime/models/keyframe/ranking.py), or how many runs may differ (gate.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cathrt.export.models.keyframe.differences import AS_READABLE, KEY_FRAME_TOLERANCE
from cathrt.export.models.keyframe.findings import RunFindings
from cathrt.runtime.frame import Geometry
from cathrt.runtime.model_kind import Judged
from cathrt.runtime.models.keyframe.finding import KeyframeModel
from cathrt.runtime.models.keyframe.policy import KeyframePolicyConfig
from cathrt.runtime.models.keyframe.ranking import centred_means, rank_key_frames
from cathrt.runtime.models.keyframe.records import KeyframeFinding, keyframe_of
from cathrt.runtime.models.keyframe.section import KeyframeSection
from cathrt.runtime.models.keyframe.side import run_side

# In a run of one or two frames any choice lies within the tolerance of any other.
FEWEST_FRAMES = KEY_FRAME_TOLERANCE + 2


@dataclass(frozen=True, slots=True)
class KeyFrames:
    """The first-ranked key frame by the reference and by the engine, index in the run; None: none.

    as_readable: for the reference, the engine's is less readable than its own by AS_READABLE at most.
    """

    run: str
    before: int | None
    after: int | None
    as_readable: bool

    @property
    def near(self) -> bool:
        """Whether they are one frame apart at most. None and none are the same."""
        if self.before is None or self.after is None:
            return self.before is self.after
        return abs(self.before - self.after) <= KEY_FRAME_TOLERANCE

    @property
    def same(self) -> bool:
        return self.near or self.as_readable


def key_frames_of(run: RunFindings, semantics: KeyframeSection, policy: KeyframePolicyConfig) -> KeyFrames:
    """run: of FEWEST_FRAMES frames at least. Frames on which the engine is not finite are no key frames of it.

    Where the bundle says how readable a frame is, a run of known side has a key frame in any case, as in the line; and
    frames that are as readable have no order. P(better) is nearly 1 or 0 and needs neither.
    """
    before, after = (judged(run, findings) for findings in (run.reference, run.engine))
    old, new = (first_ranked(frames, semantics, policy) for frames in (before, after))
    as_readable = False
    if semantics.readability is not None and old is not None and new is not None:
        inside = [frame for frame in before if keyframe_of(frame).outside is None]
        means = dict(
            zip((frame.index for frame in inside), centred_means(inside, policy.ranking_smoothing_s), strict=True)
        )
        as_readable = new in means and means[old] - means[new] <= AS_READABLE
    return KeyFrames(run.frames[0].run, old, new, as_readable)


def judged(run: RunFindings, findings: Sequence[KeyframeFinding | None]) -> list[Judged]:
    """findings: one network's of every frame of the run."""
    return [
        Judged(where.frame, float(due), verdict_id="", finding=finding)
        for where, due, finding in zip(run.frames, run.due_ms, findings, strict=True)
        if finding is not None
    ]


def first_ranked(frames: Sequence[Judged], semantics: KeyframeSection, policy: KeyframePolicyConfig) -> int | None:
    """Index in the run of the key frame that comes first; None where there is none."""
    in_any_case = semantics.readability is not None and _has_side(frames, semantics, policy)
    ranked = rank_key_frames(frames, semantics.key_frame_threshold, policy, at_least_one=in_any_case)
    return ranked[0].index if ranked else None


def _has_side(frames: Sequence[Judged], semantics: KeyframeSection, policy: KeyframePolicyConfig) -> bool:
    """By the vote of the frames: the C-arm's angle decides nothing about key frames."""
    side = run_side(frames, KeyframeModel(semantics), semantics, policy, Geometry())
    return side.shows_artery and side.voted != "unknown"
