"""Synthetic passes: the records that the line would make of a run, without frames, engine or clock.

Also a sink that remembers, and the ways in which tests look into a journal behind its back.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from pathlib import Path

from cathrt.runtime.alert import (
    Alert,
    Correction,
    DecidedWhat,
    DraftSigned,
    EngineChange,
    EngineReason,
    EngineWhat,
    ModelSaid,
    Outcome,
    PassModel,
    PassStart,
    Percentiles,
    PersonDecided,
    Record,
    Refusal,
    ReviewFinished,
    RunRead,
    RunSummary,
    StageTimes,
    StoredRecord,
    Struck,
    StudyDraft,
    StudyFinding,
    StudyFindings,
    Thing,
    Verdict,
)
from cathrt.runtime.config import JournalConfig
from cathrt.runtime.errors import SinkError
from cathrt.runtime.identity import pass_id, record_id, run_id
from cathrt.runtime.journal.records import body_from_record, record_from_body
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.models import record_parts
from cathrt.runtime.models.keyframe.records import KeyframeFinding, KeyFrameNews, KeyframeResult
from cathrt.runtime.models.report.facts import Facts, KeyFrame, Lesion
from cathrt.runtime.models.report.records import AnswerTimes, ReportDraft
from cathrt.runtime.models.study.records import ClipsReading

GROUPED = JournalConfig(group_commit_ms=100.0)
AT_ONCE = JournalConfig(group_commit_ms=0.0)


def start(name: str = "run a", attempt: int = 1) -> PassStart:
    """The start of a pass over the run of that name."""
    return PassStart(
        id=record_id(pass_of(name), "pass", ""),
        pass_id=pass_of(name),
        run_id=run_id(name),
        source=f"{name}.dcm",
        rate="max",
        attempt=attempt,
        models=(PassModel("keyframe", "0" * 64, "fake"),),
    )


def verdict(
    index: int, name: str = "run a", outcome: Outcome = Outcome.MET, end_to_end_ms: float = 7.5
) -> Verdict[KeyframeFinding]:
    """The verdict of one frame; a DROPPED or FAILED one says so in its reason."""
    judged = outcome in (Outcome.MET, Outcome.LATE)
    finding = KeyframeFinding("left", 0.9, (0.1, 0.2, 0.3, 0.2, 0.1, 0.1), engine="fake", score=index % 10 / 10)
    return Verdict(
        id=record_id(pass_of(name), "verdict", str(index)),
        pass_id=pass_of(name),
        run_id=run_id(name),
        frame_index=index,
        outcome=outcome,
        reason=None if outcome is Outcome.MET else f"it ended {outcome}",
        findings=(finding,) if judged else (),
        latency_ms=StageTimes(1.0, 2.0, 3.0, 0.5, end_to_end_ms),
        retry=False,
    )


def alert(index: int, name: str = "run a") -> Alert:
    """A key-frame alert about frame `index`, raised five frames later."""
    return Alert(
        id=record_id(pass_of(name), "alert", f"key_frame|{index}"),
        pass_id=pass_of(name),
        run_id=run_id(name),
        frame_index=index,
        raised_at_frame=index + 5,
        verdict_id=record_id(pass_of(name), "verdict", str(index)),
        late=None,
        live_until=None,
        engine="fake",
        news=KeyFrameNews("left", score=0.9, text="key frame", text_ja="キーフレーム"),
    )


def summary(verdicts: list[Verdict], name: str = "run a") -> RunSummary:
    """The summary whose books these verdicts are."""
    counts = Counter(verdict.outcome for verdict in verdicts)
    return RunSummary(
        id=record_id(pass_of(name), "run", ""),
        pass_id=pass_of(name),
        run_id=run_id(name),
        source=f"{name}.dcm",
        frames=len(verdicts),
        verdicts={outcome.value: counts[outcome] for outcome in Outcome},
        positioner_primary_angle_deg=-30.0,
        positioner_secondary_angle_deg=None,
        latency_ms={"end_to_end": Percentiles(7.5, 8.0, 9.0, 9.5)},
        frame_rate_hz=15.0,
        frame_rate_origin="CineRate",
        flags=(),
        results=(result(),),
    )


def result() -> KeyframeResult:
    """What every such run amounts to."""
    return KeyframeResult(
        "left",
        0.9,
        False,
        bundle="demonstration",
        manifest_sha256="0" * 64,
        engine="fake",
        marked_frames=(9,),
        marked_scores=(0.9,),
        text="left coronary, score 0.90; key frames, best first: 9 (0.90)",
        text_ja="左冠動脈、スコア 0.90、キーフレーム 9 (0.90)",
    )


def refusal(name: str = "broken.dcm") -> Refusal:
    """An input that was no run."""
    return Refusal(record_id("refusal", name, ""), name, "SourceError", "no DICOM file: give an angiogram")


def reading(revision: int = 1, name: str = "run a", withheld: str | None = None) -> StudyFindings[ClipsReading]:
    """What a model reads in a study of that one run, and of a second one that does not count."""
    finding = StudyFinding(
        name="prox_lad_stenosis_binary",
        title="Proximal LAD: significant stenosis",
        asks="significant stenosis",
        artery="LAD",
        segment="prox_lad",
        form="probability",
        value=0.75,
        unit="",
        threshold=0.1145,
        positive=True,
        margin=3.25,
        label="significant stenosis",
        label_ja="有意狭窄",
    )
    read = ClipsReading(
        bundle="demonstration study",
        manifest_sha256="4" * 64,
        engine="fake",
        findings=() if withheld is not None else (finding,),
        withheld=withheld,
        text="significant stenosis: prox_lad",
        text_ja="有意狭窄: prox_lad",
        product="generic",
    )
    counted = RunRead(
        run_id=run_id(name), pass_id=pass_of(name), place=1, why="counts", counted=None if withheld is not None else 1.0
    )
    return StudyFindings(
        id=record_id("study a", "reading", f"{'4' * 64}|{revision}"),
        study="study a",
        revision=revision,
        provisional=False,
        ended=1,
        runs=(counted, RunRead(run_id=run_id("run b"), pass_id=pass_of("run b"), place=None, why="fluoroscopy")),
        unjudged=1,
        after_study_s=2.5,
        rests_on="7" * 64,
        reading=read,
    )


def draft(revision: int = 1, name: str = "run a", withheld: str | None = None) -> StudyDraft[ReportDraft]:
    """A draft of a study of that one run."""
    times = AnswerTimes(prompt_tokens=40, reused_tokens=12, prefill_ms=30.5, tokens=21, decode_ms=80.25, ended="end")
    written = ReportDraft(
        bundle="demonstration report",
        manifest_sha256="1" * 64,
        engine="fake",
        text="There is a 75% stenosis in the LAD." if withheld is None else None,
        text_ja="左前下行枝に75%狭窄を認める。" if withheld is None else None,
        struck=(Struck(language="en", reason="unsupported", detail="rca", sentence="The RCA is occluded."),),
        omitted=("ja: dominance right",),
        withheld=withheld,
        key_frames=(KeyFrame(1, run_id(name), pass_of(name), 9, "left", 0.9),),
        facts=Facts(("left",), (Lesion("lad", "6", 75),), "right", None),
        facts_times=times,
        text_times=times,
        text_ja_times=times,
        findings_sha256="2" * 64,
        prompt_sha256="3" * 64,
    )
    return StudyDraft(
        id=record_id("study a", "draft", str(revision)),
        study="study a",
        revision=revision,
        run_ids=(run_id(name),),
        unjudged=1,
        after_study_s=12.5,
        draft=written,
    )


def whole_pass(frames: int = 20, name: str = "run a") -> list[Record]:
    """A pass from first verdict to summary: every tenth frame raises an alert, some repeat, some drop."""
    endings = {3: Outcome.DUPLICATE, 6: Outcome.DROPPED}
    verdicts = [verdict(i, name, endings.get(i % 7, Outcome.MET)) for i in range(frames)]
    records: list[Record] = []
    for made in verdicts:
        records.append(made)
        if made.frame_index % 10 == 9:
            records.append(alert(made.frame_index, name))
    return [*records, summary(verdicts, name)]


def stored(record: Record, seq: int = 1) -> StoredRecord:
    """The record as a journal hands it to its sinks."""
    return StoredRecord(seq, record.id, record.type, body_from_record(record))


def pass_of(name: str) -> str:
    """The pass id of the run of that name."""
    return pass_id({"run": run_id(name)})


def engine_change(what: EngineWhat = "down", reason: EngineReason = "lost") -> EngineChange:
    """A live source that goes on with a lower rung."""
    return EngineChange(
        id=record_id("A", "engine", f"{what} {reason}"),
        source="A",
        kind="keyframe",
        what=what,
        reason=reason,
        from_engine="tensorrt",
        from_manifest_sha256="0" * 64,
        to_engine=None if what == "off" else "openvino",
        to_manifest_sha256=None if what == "off" else "0" * 64,
        rung=None if what == "off" else 1,
        rungs=2,
        live_ai=what != "off",
        took_ms=66.5,
        detail="tensorrt: the device is lost",
    )


def decision(what: DecidedWhat = "corrected") -> PersonDecided:
    """A person has taken another frame in place of the run's key frame, or has decided otherwise about it."""
    said = ModelSaid("demonstration", "0" * 64, "fake", marked=True, score=0.9, score_instead=0.4, side="left")
    return PersonDecided(
        id=record_id("study a", "decision", what),
        study="study a",
        revision=1,
        thing=Thing("key_frame", run_id=run_id("run a"), frame_index=9),
        what=what,
        correction=Correction(frame_index=4) if what == "corrected" else None,
        said=said,
        shown=(record_id(pass_of("run a"), "run", ""),),
        follows=None,
        by="sato",
        by_name="佐藤 花子",
        at="2026-12-01T18:00:00.000+09:00",
        text="造影不良",
    )


def signature() -> DraftSigned:
    """A person has read the draft of that study."""
    return DraftSigned(
        id=record_id("study a", "signoff", "1"),
        study="study a",
        revision=1,
        draft_id=record_id("study a", "draft", "1"),
        text_sha256="5" * 64,
        text_ja_sha256="6" * 64,
        by="sato",
        by_name="佐藤 花子",
        at="2026-12-01T18:01:00.000+09:00",
        text="",
    )


def review() -> ReviewFinished:
    """The review of that study is finished."""
    return ReviewFinished(
        id=record_id("study a", "review", "1"),
        study="study a",
        revision=1,
        what="corrected",
        run_ids=(run_id("run a"),),
        decisions=(decision().id,),
        signoffs=(signature().id,),
        shown=("end 1", record_id(pass_of("run a"), "run", "")),
        follows=None,
        by="sato",
        by_name="佐藤 花子",
        at="2026-12-01T18:02:00.000+09:00",
        text="",
    )


class Shown:
    """A sink that remembers what it was shown, and refuses from the record number `refuse_from` on."""

    def __init__(self, refuse_from: int | None = None) -> None:
        self.records: list[Record] = []
        self._refuse_from = refuse_from

    def emit(self, stored: StoredRecord) -> None:
        if self._refuse_from is not None and len(self.records) >= self._refuse_from:
            raise SinkError("refused on purpose")
        self.records.append(record_from_body(stored.body, record_parts()))

    def close(self) -> None:
        pass

    @property
    def ids(self) -> list[str]:
        return [record.id for record in self.records]


def write(path: Path, records: list[Record]) -> None:
    """A closed journal holding these records."""
    with Journal(path, GROUPED) as journal:
        for record in records:
            journal.append(record)


def rows(path: Path) -> list[tuple[int, str]]:
    """(seq, id) of every row, read by SQLite alone."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return connection.execute("SELECT seq, id FROM record ORDER BY seq").fetchall()
    finally:
        connection.close()


def tampered(path: Path, *statements: str) -> None:
    """Change rows as somebody with the file would: the triggers lifted and put back."""
    connection = sqlite3.connect(path, isolation_level=None)
    triggers = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
    for name, _ in triggers:
        connection.execute(f"DROP TRIGGER {name}")
    for statement in statements:
        connection.execute(statement)
    for _, sql in triggers:
        connection.execute(sql)
    connection.close()
