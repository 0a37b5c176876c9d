"""One study as the page shows it, and the list of all: records of study.journal and gateway.journal, and the store.

Not for: HTTP (routes.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from cathrt.runtime.alert import NOTICE, RunSummary, Thing
from cathrt.runtime.decisions.confirmed import StudyNow, told_result
from cathrt.runtime.decisions.desk import DecisionDesk
from cathrt.runtime.decisions.review import review_due
from cathrt.runtime.web.live.absent import Absent
from cathrt.runtime.web.study.decided_view import StudyDecided, without_frame_of_record
from cathrt.runtime.web.study.draft_view import draft_view
from cathrt.runtime.web.study.findings_view import finding_rows, reading_view, run_view
from cathrt.runtime.web.study.patient_header import patient_of

_NOT_ENDED = Absent(
    "draft",
    "The study has not ended: a draft is written once it has.",
    "検査がまだ終了していないため、下書きはありません。",
)
_NOT_YET = Absent(
    "draft",
    "The draft of this end of the study is not written yet.",
    "この検査の下書きはまだ作成されていません。",
)
_NO_READING = Absent(
    "readings",
    "The study was not read yet: its runs are still being encoded.",
    "検査全体の読影はまだ行われていません。",
)
_NO_PATIENT = Absent(
    "patient",
    "The received objects are gone (retention.store_days) or cannot be read, so it is not known whose study this is.",
    "受信した画像が保存期間を過ぎたか読めないため、患者情報を表示できません。",
)


class StudyViews:
    """Thread-safe. without: the parts that this box does not have, by their word."""

    def __init__(self, desk: DecisionDesk, without: Sequence[Absent]) -> None:
        self._desk, self._without = desk, {one.part: one for one in without}
        self._received: dict[str, str] = {}  # when a run's object came in, by run_id

    def newest(self, most: int) -> dict[str, Any]:
        """The newest studies. Nothing of a patient. Raises JournalError, StoreError."""
        return {"studies": [self._row(now) for now in self._desk.studies.studies()[:most]], "notice": NOTICE}

    def study(self, name: str) -> dict[str, Any] | None:
        """All of one study; None where there is none. Raises JournalError, StoreError."""
        now = self._desk.studies.study(name)
        if now is None:
            return None
        study = StudyDecided(now, self._desk.of(name))
        patient = patient_of(now.runs[-1], self._desk.studies.store) if now.runs else None
        absent = self._absent(now)
        return {
            "study": now.study,
            "study_instance_uid": now.study_instance_uid,
            "revision": now.revision,
            "ended": now.end is not None,
            "unjudged": 0 if now.end is None else now.end.unjudged,
            "newest_at": self._newest(now),
            "patient": None if patient is None else asdict(patient),
            "runs": [run_view(study, run, number, self._at(run)) for number, run in enumerate(now.runs, 1)],
            "findings": list(finding_rows(study)),
            "readings": [reading_view(record) for record in now.readings],
            "draft": None if now.draft is None else draft_view(study, now.draft),
            "results": study.of_thing(Thing("results")),
            "decisions": [study.decision(one) for one in study.decided.decisions],
            "signoffs": [without_frame_of_record(one) for one in study.decided.signoffs],
            "reviews": [without_frame_of_record(one) for one in study.decided.reviews],
            "review": _review(study),
            "absent": [asdict(one) for one in (*absent, *([_NO_PATIENT] if patient is None else []))],
            "notice": NOTICE,
        }

    def _row(self, now: StudyNow) -> dict[str, Any]:
        decided = self._desk.of(now.study)
        results = [result for run in now.runs if (result := told_result(run)) is not None]
        count = len(now.runs)
        ended, ended_ja = ("ended", "検査終了") if now.end is not None else ("going on", "検査中")
        return {
            "study": now.study,
            "revision": now.revision,
            "ended": now.end is not None,
            "newest_at": self._newest(now),
            "runs": count,
            "unjudged": 0 if now.end is None else now.end.unjudged,
            "key_frames": sum(len(result.marked_frames) for result in results),
            "findings": sum(len(record.reading.findings) for record in now.readings),
            "draft": _draft_word(now),
            "decisions": len(decided.decisions),
            "review": _review_word(now, StudyDecided(now, decided)),
            "text": f"{count} run{'' if count == 1 else 's'}, {ended}",
            "text_ja": f"{count}ラン、{ended_ja}",
        }

    def _absent(self, now: StudyNow) -> list[Absent]:
        found = []
        if now.draft is None:
            nobody = self._without.get("report_bundle")
            absent = Absent("draft", nobody.why, nobody.why_ja) if nobody is not None else _NOT_YET
            found.append(absent if nobody is not None or now.end is not None else _NOT_ENDED)
        if not now.readings:
            nobody = self._without.get("study_bundle")
            found.append(_NO_READING if nobody is None else Absent("readings", nobody.why, nobody.why_ja))
        return found

    def _newest(self, now: StudyNow) -> str | None:
        return max((at for run in now.runs if (at := self._at(run)) is not None), default=None)

    def _at(self, run: RunSummary) -> str | None:
        """When the run's object came in, by the wall clock; None where it is not in the store any more."""
        if run.run_id not in self._received:
            received = self._desk.studies.store.stored(run.source)
            if received is None:
                return None
            at = datetime.fromtimestamp(received.received_at, UTC)
            self._received[run.run_id] = at.isoformat(timespec="milliseconds")
        return self._received[run.run_id]


def _review(study: StudyDecided) -> dict[str, Any]:
    due = review_due(study.now, study.decided)
    return {"can_finish": due.can_finish, **asdict(due)}


def _draft_word(now: StudyNow) -> str:
    if now.draft is None:
        return "none"
    return "written" if now.draft.draft.withheld is None else "withheld"


def _review_word(now: StudyNow, study: StudyDecided) -> str:
    due = review_due(now, study.decided)
    if due.can_finish or (now.end is None and due.decisions):
        return "open"
    return "none" if due.follows is None else "finished"
