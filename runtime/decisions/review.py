"""What a review of a study would come to if it were finished now, and whether there is anything to finish.

Not for: writing it down (desk.py), making objects of it (runtime/objects/).
"""

from __future__ import annotations

from dataclasses import dataclass

from cathrt.runtime.alert import DecidedWhat, PersonDecided
from cathrt.runtime.decisions.confirmed import StudyNow
from cathrt.runtime.decisions.standing import StudyDecisions


@dataclass(frozen=True, slots=True)
class ReviewDue:
    """decisions, signoffs, shown, follows: as ReviewFinished would have them. why, why_ja: why it cannot be finished;
    "" where it can."""

    what: DecidedWhat
    decisions: tuple[str, ...]
    signoffs: tuple[str, ...]
    shown: tuple[str, ...]
    follows: str | None
    why: str = ""
    why_ja: str = ""

    @property
    def can_finish(self) -> bool:
        """Whether a person may finish it now."""
        return not self.why


def review_due(now: StudyNow, decided: StudyDecisions) -> ReviewDue:
    """Of the study as it is now."""
    counting, signed = decided.counting(now), decided.signed(now)
    before = decided.reviewed(now.revision)
    due = ReviewDue(
        what=what_of(counting),
        decisions=tuple(one.id for one in counting),
        signoffs=tuple(one.id for one in signed),
        shown=now.rests_on,
        follows=None if before is None else before.id,
    )
    why, why_ja = _why_not(now, due, counting)
    if not why and before is not None and _is_the_same(due, before.decisions, before.signoffs, before.shown):
        why, why_ja = "nothing is new since the last review", "前回の確認から変更がありません"
    return ReviewDue(due.what, due.decisions, due.signoffs, due.shown, due.follows, why, why_ja)


def what_of(counting: tuple[PersonDecided, ...]) -> DecidedWhat:
    """Of the results as a whole: rejected if a person says so of them, corrected if anything is other than a model had
    it, else accepted."""
    if any(one.thing.kind == "results" and one.what == "rejected" for one in counting):
        return "rejected"
    return "accepted" if all(one.what == "accepted" for one in counting) else "corrected"


def _why_not(now: StudyNow, due: ReviewDue, counting: tuple[PersonDecided, ...]) -> tuple[str, str]:
    if now.end is None:
        return "the study has not ended", "検査が終了していません"
    if any(now.run(run_id) is None for run_id in now.end.run_ids):
        return "runs of it are not in the journal any more", "ランの記録が保存期間を過ぎています"
    if not counting and not due.signoffs:
        return "nothing is decided: accept the results, or decide about a frame", "まだ何も判定されていません"
    return "", ""


def _is_the_same(due: ReviewDue, decisions: tuple[str, ...], signoffs: tuple[str, ...], shown: tuple[str, ...]) -> bool:
    found = ({*due.decisions}, {*due.signoffs}, {*due.shown})
    return found == ({*decisions}, {*signoffs}, {*shown})
