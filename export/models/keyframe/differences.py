"""What two keyframe networks can differ in: flips, sides, key frames, logits, readability, domain.

Not for: finding the differences (comparison.py), or how many may be (gate.py).
C classes.
"""

from __future__ import annotations

from dataclasses import dataclass

from cathrt.export.models.keyframe.truth import Side
from cathrt.export.qualify.criteria import FrameName
from cathrt.export.qualify.intervals import Interval, Share
from cathrt.export.qualify.logits import LogitError
from cathrt.runtime.models.keyframe.records import Laterality

KEY_FRAME_TOLERANCE = 1  # frames between two key frames that count as the same
AS_READABLE = 0.02  # of readability by the reference: two key frames of a run so near count as the same, wherever
INSIDE = "inside"  # what a frame inside the domain is called


@dataclass(frozen=True, slots=True)
class Flip:
    """A frame whose likeliest class is another one. Scores are softmax, (C,). margin: between the two best."""

    where: FrameName
    class_before: str
    class_after: str
    margin_before: float
    margin_after: float
    scores_before: tuple[float, ...]
    scores_after: tuple[float, ...]

    def __str__(self) -> str:
        margins = f"margin {self.margin_before:.3f}, then {self.margin_after:.3f}"
        return f"{self.where}: {self.class_before} → {self.class_after} ({margins})"


@dataclass(frozen=True, slots=True)
class SideChange:
    """A frame of known side whose finding names another one, or none, or now does."""

    where: FrameName
    true: Side
    before: Laterality
    after: Laterality

    def __str__(self) -> str:
        return f"{self.where}: {self.before} → {self.after}, truly {self.true}"


@dataclass(frozen=True, slots=True)
class KeyFrameChange:
    """A run whose first-ranked key frame differs by more than KEY_FRAME_TOLERANCE, or is none on one side (None)."""

    run: str
    before: int | None
    after: int | None

    def __str__(self) -> str:
        before, after = ("none" if index is None else f"frame {index}" for index in (self.before, self.after))
        return f"{self.run}: key frame {before} → {after}"


@dataclass(frozen=True, slots=True)
class ReadabilityError:
    """|engine - reference| of the readability, in [0, 1], over frames with finite outputs. at: of the largest.

    same_order: share of the pairs of frames of one run that the reference tells apart and the engine has in the same
    order; None where there is no such pair.
    """

    largest: float
    mean: float
    at: FrameName
    same_order: float | None


@dataclass(frozen=True, slots=True)
class DomainChange:
    """A frame that is outside the domain, or inside it (None), for one network and not, or for another reason, for the
    other."""

    where: FrameName
    before: str | None
    after: str | None

    def __str__(self) -> str:
        return f"{self.where}: {self.before or INSIDE} → {self.after or INSIDE}"


@dataclass(frozen=True, slots=True)
class LateralityChange:
    """Macro F1 of both sides by the reference's and by the engine's findings; interval: of the engine's minus the
    reference's, paired, whole runs drawn anew."""

    before: float
    after: float
    interval: Interval

    @property
    def change(self) -> float:
        return self.after - self.before


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that differs. labels: of the classes, in the network's order. flips: surest first.

    not_finite: frames on which the engine gives NaN or infinity. logit_error: None where no frame has finite logits.
    known_frames: of each of SIDES. laterality: None unless both sides are among them.
    key_frames: runs of the same key frame; None without a run long enough to choose from.
    runs_without_key_frame: of these, the ones where both sides choose none.
    Of networks with further outputs, else None and nothing: readability: None also where no frame is finite.
    runs_as_readable: of the runs of the same key frame, the ones where it is another frame, but as readable for the
    reference. domain: frames of the same verdict.
    """

    runs: int
    frames: int
    labels: tuple[str, ...]
    agreement: Share
    flips: tuple[Flip, ...]
    not_finite: tuple[FrameName, ...]
    logit_error: LogitError | None
    known_frames: tuple[int, int]
    laterality: LateralityChange | None
    side_changes: tuple[SideChange, ...]
    key_frames: Share | None
    key_frame_changes: tuple[KeyFrameChange, ...]
    runs_without_key_frame: int
    readability: ReadabilityError | None = None
    runs_as_readable: int = 0
    domain: Share | None = None
    domain_changes: tuple[DomainChange, ...] = ()
