"""Alerts, run summaries, refusals, readings and drafts as lines that a person reads. Verdicts of frames are not shown.

The notice comes once, ahead of all else: repeated under each record, it would hide what changes. Text from outside is
shown with its control characters escaped. Not for: programs (jsonl.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from cathrt.runtime.alert import (
    NOTICE,
    Alert,
    DraftSigned,
    EngineChange,
    EngineWhat,
    Outcome,
    PassStart,
    PersonDecided,
    ProcessStart,
    Record,
    Refusal,
    ReviewFinished,
    RunSummary,
    StoredRecord,
    StudyDraft,
    StudyEnded,
    StudyFinding,
    StudyFindings,
    Verdict,
    WhyRun,
)
from cathrt.runtime.errors import SinkError
from cathrt.runtime.journal.records import RecordParts, record_from_body
from cathrt.runtime.outside.plain_text import shown

_BOLD, _DIM, _PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[0m"


class ConsoleSink:
    """Writes to a text stream; in bold and dim where it is a terminal. The stream stays the caller's to close."""

    def __init__(self, stream: TextIO, parts: RecordParts, *, mark: str = "", noticed: bool = False) -> None:
        """parts: the classes that models put into records (models.record_parts). mark: stands before each record, where
        runs of several sources come mixed: then each alert names its run as well.

        noticed: the notice was shown already, by whoever writes to the same stream.
        """
        self._stream = stream
        self._parts = parts
        self._mark = mark
        self._styled = stream.isatty()
        self._noticed = noticed
        self._runs: dict[str, str] = {}  # by pass_id, of the runs under way

    def emit(self, stored: StoredRecord) -> None:
        """Write the record's lines, if it has any, the first under the notice. Raises SinkError if the stream takes no
        more."""
        if stored.type == "verdict":
            return
        record = record_from_body(stored.body, self._parts)
        lines = lines_from_record(record, self._run_of(record) if self._mark else "")
        if not lines:
            return
        if record.notice != NOTICE:  # a bundle that must not be believed: no single line may hide it
            lines.append(f"  {record.notice}")
        lines[0] = f"{self._mark}{lines[0]}"
        if self._styled:
            lines[0] = f"{_BOLD}{lines[0]}{_PLAIN}"
        if not self._noticed:
            lines = [f"{_DIM}{NOTICE}{_PLAIN}" if self._styled else NOTICE, *lines]
            self._noticed = True
        text = "".join(f"{line}\n" for line in lines)
        encoding = self._stream.encoding or "utf-8"
        try:
            self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
            self._stream.flush()
        except BrokenPipeError as exc:
            raise SinkError("console: the reader has closed the pipe: nothing more is written to it") from exc
        except (OSError, ValueError) as exc:  # ValueError: the stream is closed
            raise SinkError(f"console: the stream cannot be written ({exc}): check where it goes") from exc

    def close(self) -> None:
        """Nothing is held back and nothing is owned."""

    def _run_of(self, record: Record) -> str:
        """What a person calls the run of an alert whose start has come by."""
        match record:
            case PassStart():
                self._runs[record.pass_id] = record.source
            case RunSummary():
                self._runs.pop(record.pass_id, None)
            case Alert():
                return self._runs.get(record.pass_id, "")
        return ""


def lines_from_record(record: Record, run: str = "") -> list[str]:
    """What a person is shown of a record; empty for a verdict, and for the start of a first attempt or a process.

    run: what the run of an alert is called; "" where it stands above or below it.

    Frame numbers are 0-based.
    """
    match record:
        case Verdict() | ProcessStart():
            return []
        case PassStart():
            if record.attempt == 1:
                return []
            return [
                f"JUDGED AGAIN {shown(record.source)}: attempt {record.attempt}, because frames FAILED in the attempt "
                "before though the file may be whole",
            ]
        case Alert():
            late = " (late: not a live alert)" if record.late else ""
            where = f"{shown(run)}, " if run else ""
            return [
                f"ALERT {where}frame {record.frame_index}{late}: {shown(record.news.text)}, "
                f"raised at frame {record.raised_at_frame}, on {shown(record.engine)}",
            ]
        case Refusal():
            return [f"REFUSED {shown(record.source)}", f"  {record.error}: {shown(record.message)}"]
        case RunSummary():
            return _summary_lines(record)
        case StudyDraft():
            return _draft_lines(record)
        case StudyEnded():
            runs = f"{len(record.run_ids)} run{'' if len(record.run_ids) == 1 else 's'} judged"
            return [f"STUDY {shown(record.study)} has ended, revision {record.revision}: {runs}"]
        case StudyFindings():
            return _reading_lines(record)
        case PersonDecided():
            who = f"{shown(record.by_name)} at {record.at}"
            return [f"DECISION on study {shown(record.study)}: {record.thing.kind} {record.what} by {who}"]
        case DraftSigned():
            return [f"SIGNED as read: the draft of study {shown(record.study)}, by {shown(record.by_name)}"]
        case ReviewFinished():
            who = f"{shown(record.by_name)} at {record.at}"
            return [f"REVIEW of study {shown(record.study)}, revision {record.revision}: {record.what} by {who}"]
        case EngineChange():
            return _engine_lines(record)


def _summary_lines(run: RunSummary) -> list[str]:
    verdicts = ", ".join(f"{name} {run.verdicts[name]}" for name in Outcome if run.verdicts.get(name)) or "none"
    lines = [
        f"RUN {shown(run.source)}",
        f"  frames {run.frames} at {run.frame_rate_hz:g} Hz ({run.frame_rate_origin}): {verdicts}",
    ]
    if run.positioner_primary_angle_deg is not None or run.positioner_secondary_angle_deg is not None:
        lines.append(
            f"  C-arm {_angle(run.positioner_primary_angle_deg, 'LAO', 'RAO')} "
            f"{_angle(run.positioner_secondary_angle_deg, 'CRA', 'CAU')}"
        )
    if "end_to_end" in run.latency_ms:
        latency = run.latency_ms["end_to_end"]
        lines.append(f"  end to end p50 {latency.p50:.1f} ms, p99 {latency.p99:.1f} ms, max {latency.max:.1f} ms")
    if run.flags:
        lines.append(f"  flags: {shown(', '.join(run.flags))}")
    for result in run.results:
        lines.append(f"  {shown(result.text)}")
        lines.append(f"  {shown(result.bundle)} on {shown(result.engine)}, manifest {result.manifest_sha256[:12]}")
    return lines


_ENGINE_WORDS: dict[EngineWhat, str] = {
    "started": "the best rung judges",
    "down": "a lower rung judges",
    "up": "a better rung judges again",
    "off": "NO LIVE AI: no frame is judged until an engine works again",
    "loaded": "a new bundle is loaded beside",
    "compared": "the new bundle was compared",
    "swapped": "the new bundle judges, on trial",
    "kept": "the new bundle is kept",
    "rolled_back": "ROLLED BACK to the bundle before",
    "refused": "a new bundle is REFUSED",
}


def _engine_lines(change: EngineChange) -> list[str]:
    rung = "" if change.rung is None else f", rung {change.rung + 1} of {change.rungs}"
    named = " -> ".join(
        f"{shown(engine)} ({manifest[:12]})" for engine, manifest in (
            (change.from_engine, change.from_manifest_sha256), (change.to_engine, change.to_manifest_sha256)
        ) if engine is not None and manifest is not None
    )  # fmt: skip
    return [
        f"ENGINE {shown(change.source)}: {_ENGINE_WORDS[change.what]} ({change.reason}){rung}",
        *([f"  {named}"] if named else []),
        f"  {shown(change.detail)}",
    ]


def _draft_lines(record: StudyDraft) -> list[str]:
    draft, runs = record.draft, len(record.run_ids)
    lines = [
        f"DRAFT of study {shown(record.study)}, revision {record.revision}, from {runs} run{'' if runs == 1 else 's'}",
        f"  {record.watermark}",
        f"  {record.watermark_ja}",
    ]
    if record.unjudged:
        lines.append(f"  {record.unjudged} of its inputs could not be judged: nothing of them is in the draft")
    if draft.withheld is not None:
        lines.append(f"  withheld: {shown(draft.withheld)}")
    else:
        for text in (draft.text, draft.text_ja):
            lines += [f"  | {shown(line)}" for line in (text or "").splitlines()]
        lines += [f"  the facts: {shown(line)}" for line in draft.in_words]
    for one in draft.struck:
        lines.append(f"  struck out ({one.language}, {shown(one.reason)}: {shown(one.detail)}): {shown(one.sentence)}")
    lines += [f"  left out by the text: {shown(one)}" for one in draft.omitted]
    if record.after_study_s is not None:
        lines.append(f"  {record.after_study_s:.1f} s after the end of the study")
    return [*lines, f"  {shown(draft.bundle)} on {shown(draft.engine)}, manifest {draft.manifest_sha256[:12]}"]


WHY_RUN: dict[WhyRun, str] = {
    "counts": "counts",
    "modality": "is no angiogram (its modality)",
    "fluoroscopy": "is fluoroscopy, no cine run",
    "still": "has too few frames",
    "no_side": "shows no coronary artery",
    "beyond": "comes after as many as count",
    "unreadable": "could not be read again",
}


def _reading_lines(record: StudyFindings) -> list[str]:
    reading, runs = record.reading, [run for run in record.runs if run.place is not None]
    when = "provisional, " if record.provisional else ""
    lines = [
        f"STUDY {shown(record.study)}, {when}revision {record.revision}, from {len(runs)} of {len(record.runs)} "
        f"run{'' if len(record.runs) == 1 else 's'}: {shown(reading.text)}",
        f"  {shown(reading.text_ja)}",
    ]
    if record.unjudged:
        lines.append(f"  {record.unjudged} of its inputs could not be judged: nothing of them is in it")
    lines += [f"  {line}" for line in _in_columns(reading.findings)]
    for run in record.runs:
        share = "" if run.counted is None else f" {run.counted:.0%}"
        lines.append(f"  run {run.run_id[:8]} {WHY_RUN[run.why]}{share}")
    if record.after_study_s is not None:
        lines.append(f"  {record.after_study_s:.1f} s after the end of the study")
    return [*lines, f"  {shown(reading.bundle)} on {shown(reading.engine)}, manifest {reading.manifest_sha256[:12]}"]


def _in_columns(findings: Sequence[StudyFinding]) -> list[str]:
    """A line for each segment, or for each question of the whole study; what is called stands in capitals."""
    places: dict[str, list[str]] = {}
    for one in findings:
        where = one.segment or one.title
        if one.segment is not None and one.artery is not None:
            where = f"{one.artery} {one.segment}"
        places.setdefault(where, []).append(_finding_words(one))
    width = max(map(len, places), default=0)
    return [shown(f"{where:{width}}  {', '.join(words)}") for where, words in places.items()]


def _finding_words(one: StudyFinding) -> str:
    if one.form == "amount":
        value = f"{one.value:.0f} %" if one.unit == "%" else f"{one.value:.1f} {one.unit}".strip()
    else:
        value = f"{one.value:.2f}"
    words = f"{one.asks} {value}" if one.segment is not None else value
    if one.label and (one.segment is None or one.positive):
        words += f" {one.label.upper() if one.positive else one.label}"
    return words


def _angle(degrees: float | None, positive: str, negative: str) -> str:
    if degrees is None:
        return f"{positive}/{negative} not told"
    return f"{positive if degrees >= 0 else negative} {abs(degrees):.0f}°"
