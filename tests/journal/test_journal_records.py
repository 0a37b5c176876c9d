"""Records as JSON: what is written can be read, and nothing else can."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cathrt.runtime.alert import (
    NOTICE,
    Alert,
    EngineChange,
    EngineReason,
    EngineWhat,
    Finding,
    LiveUntil,
    News,
    Outcome,
    PassModel,
    PassStart,
    Percentiles,
    Rate,
    Record,
    Refusal,
    RunResult,
    RunSummary,
    StageTimes,
    Struck,
    StudyDraft,
    StudyEnded,
    Verdict,
)
from cathrt.runtime.journal.records import RecordParts, body_from_record, record_from_body
from cathrt.runtime.models import record_parts
from cathrt.runtime.models.keyframe.records import KeyframeFinding, KeyFrameNews, KeyframeResult, Laterality
from cathrt.runtime.models.report.facts import Artery, Dominance, Facts, KeyFrame, Lesion
from cathrt.runtime.models.report.records import AnswerTimes, ReportDraft
from tests.passes import alert, draft, engine_change, reading, refusal, result, start, summary, verdict

numbers = st.floats(allow_nan=False, allow_infinity=False)
scores = st.floats(0.0, 1.0)
counts = st.integers(0, 10**9)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ids = st.uuids().map(str)
sides = st.sampled_from(get_args(Laterality))
stage_times = st.builds(StageTimes, numbers, numbers, numbers, numbers, numbers)
lines = {"text": texts, "text_ja": texts}
findings = st.builds(
    KeyframeFinding,
    sides,
    scores,
    st.lists(scores, max_size=6).map(tuple),
    st.none() | texts,
    engine=texts,
    score=scores,
)
news = st.builds(KeyFrameNews, sides, score=scores, **lines)


def verdicts(outcomes: list[Outcome], found: st.SearchStrategy[Any], retry: st.SearchStrategy[bool]) -> Any:
    return st.builds(
        Verdict, ids, ids, ids, counts, st.sampled_from(outcomes), st.none() | texts, found, stage_times, retry
    )


one, none = findings.map(lambda finding: (finding,)), st.just(())
judged = verdicts([Outcome.MET, Outcome.LATE], one, st.just(False))
unjudged = verdicts([Outcome.DROPPED, Outcome.DUPLICATE], none, st.just(False))
failed = verdicts([Outcome.FAILED], none | one, st.booleans())
moments = st.builds(LiveUntil, ids, st.integers(-(2**63), 2**63 - 1))
announced = (ids, ids, ids, counts, counts, ids)
alerts = st.builds(Alert, *announced, st.sampled_from([None, True]), st.none() | moments, texts, news) | st.builds(
    Alert, *announced, st.just(False), moments, texts, news
)
pass_models = st.lists(st.builds(PassModel, texts, texts, texts), unique_by=lambda model: model.kind, max_size=3)
starts = st.builds(
    PassStart, ids, ids, ids, texts, st.sampled_from(get_args(Rate)), st.integers(1, 9), pass_models.map(tuple)
)


@st.composite
def results(draw: st.DrawFn) -> KeyframeResult:
    marked = draw(st.lists(st.tuples(counts, scores), max_size=3))
    return KeyframeResult(
        draw(sides),
        draw(scores),
        draw(st.none() | st.booleans()),
        draw(st.none() | texts),
        draw(st.none() | scores),
        draw(st.booleans()),
        bundle=draw(texts),
        manifest_sha256=draw(texts),
        engine=draw(texts),
        marked_frames=tuple(index for index, _ in marked),
        marked_scores=tuple(score for _, score in marked),
        text=draw(texts),
        text_ja=draw(texts),
    )


@st.composite
def summaries(draw: st.DrawFn) -> RunSummary:
    counted = {outcome.value: draw(counts) for outcome in Outcome}
    return RunSummary(
        id=draw(ids),
        pass_id=draw(ids),
        run_id=draw(ids),
        source=draw(texts),
        frames=sum(counted.values()),
        verdicts=counted,
        positioner_primary_angle_deg=draw(st.none() | numbers),
        positioner_secondary_angle_deg=draw(st.none() | numbers),
        latency_ms=draw(st.dictionaries(texts, st.builds(Percentiles, numbers, numbers, numbers, numbers), max_size=3)),
        frame_rate_hz=draw(numbers),
        frame_rate_origin=draw(texts),
        flags=tuple(draw(st.lists(texts, max_size=3))),
        results=tuple(draw(st.lists(results(), max_size=1))),
    )


written = st.text(st.characters(exclude_categories=["Cs", "Zs", "Zl", "Zp", "Cc"]), min_size=1, max_size=20)
times = st.none() | st.builds(
    AnswerTimes, counts, counts, numbers, counts, numbers, st.sampled_from(["end", "length", "time"])
)
facts = st.builds(
    Facts,
    st.sampled_from([(), ("left",), ("right",), ("left", "right")]),
    st.lists(st.builds(Lesion, st.sampled_from(get_args(Artery)), st.none(), st.none()), max_size=3).map(tuple),
    st.none() | st.sampled_from(get_args(Dominance)),
    st.none() | st.integers(0, 9),
)
seen = st.builds(KeyFrame, st.integers(1, 9), ids, ids, counts, st.none() | st.sampled_from(["left", "right"]), scores)


@st.composite
def drafts(draw: st.DrawFn) -> StudyDraft:
    withheld = draw(st.none() | written)
    made = ReportDraft(
        bundle=draw(texts),
        manifest_sha256=draw(texts),
        engine=draw(texts),
        text=draw(written) if withheld is None else None,
        text_ja=draw(written) if withheld is None else None,
        struck=tuple(
            draw(st.lists(st.builds(Struck, language=st.just("ja"), reason=texts, detail=texts, sentence=texts)))
        ),
        omitted=tuple(draw(st.lists(texts, max_size=3))),
        withheld=withheld,
        key_frames=tuple(draw(st.lists(seen, max_size=3))),
        facts=draw(st.none() | facts),
        facts_times=draw(times),
        text_times=draw(times),
        text_ja_times=draw(times),
        findings_sha256=draw(texts),
        prompt_sha256=draw(st.none() | texts),
    )
    return StudyDraft(
        draw(ids), draw(ids), draw(st.integers(1, 9)), (draw(ids),), draw(counts), draw(st.none() | numbers), made
    )


@st.composite
def engine_changes(draw: st.DrawFn) -> EngineChange:
    rung = draw(st.none() | counts)
    return EngineChange(
        id=draw(ids),
        source=draw(ids),
        kind=draw(ids),
        what=draw(st.sampled_from(get_args(EngineWhat))),
        reason=draw(st.sampled_from(get_args(EngineReason))),
        from_engine=draw(st.none() | texts),
        from_manifest_sha256=draw(st.none() | texts),
        to_engine=draw(st.none() | texts),
        to_manifest_sha256=draw(st.none() | texts),
        rung=rung,
        rungs=draw(counts),
        live_ai=rung is not None,
        took_ms=abs(draw(numbers)),
        detail=draw(texts),
    )


records = (
    drafts()
    | starts
    | judged
    | unjudged
    | failed
    | alerts
    | summaries()
    | st.builds(Refusal, ids, texts, texts, texts)
    | engine_changes()
    | st.builds(StudyEnded, ids, ids, st.integers(1, 9), st.tuples(ids), counts, numbers.map(abs))
)


GONE = object()
LIVE = replace(alert(9), late=False, live_until=LiveUntil("boot", 1))
ONE_OF_EACH = [
    start(),
    engine_change(),
    LIVE,
    verdict(0),
    verdict(1, outcome=Outcome.FAILED),
    replace(verdict(0), outcome=Outcome.FAILED, reason="sharpness: EngineError: lost", retry=True),
    alert(9),
    summary([verdict(0)]),
    refusal(),
    draft(),
    draft(withheld="no run shows a side"),
]


# What a second model says, which nothing outside this test knows. It shares no field with what the keyframe model says.


@dataclass(frozen=True, slots=True)
class Sharpness(Finding):
    kind: Literal["sharpness"] = field(default="sharpness", kw_only=True)
    line_pairs_per_mm: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class BlurNews(News):
    kind: Literal["blur"] = field(default="blur", kw_only=True)
    lost_line_pairs_per_mm: float


@dataclass(frozen=True, slots=True)
class SharpnessResult(RunResult):
    kind: Literal["sharpness"] = field(default="sharpness", kw_only=True)
    median_line_pairs_per_mm: float


SHARP = Sharpness((1.5, 2.0), engine="fake", score=0.5)
BLUR = BlurNews(0.7, score=0.2, text="blurred", text_ja="ぼけ")
SHARP_RESULT = SharpnessResult(
    1.75,
    bundle="sharpness",
    manifest_sha256="1" * 64,
    engine="fake",
    marked_frames=(),
    marked_scores=(),
    text="sharp",
    text_ja="鮮明",
)
BOTH = RecordParts(
    findings=(*record_parts().findings, Sharpness),
    news=(*record_parts().news, BlurNews),
    results=(*record_parts().results, SharpnessResult),
    drafts=record_parts().drafts,
)


def found(record: Verdict[KeyframeFinding], **changes: Any) -> Verdict[KeyframeFinding]:
    """The verdict with its one finding changed."""
    (finding,) = record.findings
    return replace(record, findings=(replace(finding, **changes),))


def told(record: Alert, **changes: Any) -> Alert:
    """The alert with its news changed."""
    return replace(record, news=replace(record.news, **changes))


def amounting_to(record: RunSummary, **changes: Any) -> RunSummary:
    """The summary with its one result changed."""
    (made,) = record.results
    return replace(record, results=(replace(made, **changes),))


def changed(record: Record, *path: str | int, to: Any) -> bytes:
    """The record's body with the value at `path` put in, or taken out where `to` is GONE; the notice stays last."""
    document = json.loads(body_from_record(record))
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = to
    if to is GONE:
        del inner[path[-1]]
    if "notice" in document:
        document["notice"] = document.pop("notice")
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


@given(record=records)
def test_every_record_survives_the_way_to_json_and_back(record: Record) -> None:
    body = body_from_record(record)

    read = record_from_body(body, record_parts())
    assert (read, type(read)) == (record, type(record))
    assert body_from_record(read) == body
    assert b"\n" not in body
    assert json.loads(body)["id"] == record.id


@pytest.mark.parametrize("record", ONE_OF_EACH, ids=lambda made: made.type)
def test_every_record_has_its_type_first_its_fields_and_the_notice_last(record: Record) -> None:
    document = json.loads(body_from_record(record))

    assert list(document) == [field.name for field in fields(record)]
    assert list(document)[-1] == "notice"
    assert next(iter(document)) == "type"
    assert (document["type"], document["notice"]) == (record.type, NOTICE)


def test_tables_are_written_in_one_order_whatever_order_they_had() -> None:
    forward = summary([verdict(0)])
    backward = replace(forward, verdicts=dict(reversed(forward.verdicts.items())))

    assert body_from_record(forward) == body_from_record(backward)


def test_a_file_name_that_is_no_utf8_is_written_as_its_escape() -> None:
    name = b"a\xff\\.dcm".decode("utf-8", "surrogateescape")
    record = replace(refusal(), source=name, message=f"{name}: no DICOM file")

    body = body_from_record(record)

    read = record_from_body(body, RecordParts())
    assert json.loads(body)["source"] == "a\\udcff\\.dcm"
    assert read == replace(record, source="a\\udcff\\.dcm", message="a\\udcff\\.dcm: no DICOM file")
    assert body_from_record(read) == body


@given(text=st.text(st.characters(codec=None), max_size=8))
def test_no_text_stops_a_record(text: str) -> None:
    run = summary([verdict(0)])
    percentiles = run.latency_ms["end_to_end"]
    for record in (
        replace(start(), source=text, models=(PassModel(text, text, text),)),
        found(replace(verdict(0), reason=text), engine=text),
        told(replace(alert(9), engine=text), text=text, text_ja=text),
        replace(run, source=text, flags=(text,), latency_ms={text: percentiles}),
        amounting_to(run, bundle=text, engine=text, text=text, text_ja=text),
        replace(refusal(), source=text, error=text, message=text),
    ):
        body = body_from_record(record)
        assert body_from_record(record_from_body(body, record_parts())) == body


@pytest.mark.parametrize(
    ("path", "to", "match"),
    [
        (
            ("type",),
            "rumour",
            "^type: found 'rumour', expected one of 'pass', 'verdict', 'alert', 'run', 'refusal', 'draft', 'ended', "
            "'study', 'decision', 'signoff', 'review', 'engine', 'start'$",
        ),
        (("type",), None, "^type: found 'None', expected one of"),
        (("notice",), "approved", "found .*approved.*, expected the notice 'Research use only"),
        (("extra",), 1, "^verdict.extra: unknown key: remove it$"),
        (("id",), "", "^verdict.id: found '', expected"),
        (("id",), 7, "^verdict.id: found 7, expected a valid string$"),
        (("id",), "a\nb", r"^verdict.id: found 'a\\nb', expected text for which str.isprintable holds$"),
        (("frame_index",), -1, "^verdict.frame_index: found -1, expected greater than or equal to 0$"),
        (("frame_index",), True, "^verdict.frame_index: found True, expected a valid integer$"),
        (("frame_index",), 1.0, "^verdict.frame_index: found 1.0, expected a valid integer$"),
        (("frame_index",), "1", "^verdict.frame_index: found '1', expected a valid integer$"),
        (("outcome",), "PERFECT", "^verdict.outcome: found 'PERFECT', expected 'MET', 'LATE'"),
        (("reason",), 3, "^verdict.reason: found 3, expected a valid string$"),
        (("outcome",), "DROPPED", r"^findings: found \['keyframe'\], expected none for a frame that ended DROPPED$"),
        (
            ("outcome",),
            "DUPLICATE",
            r"^findings: found \['keyframe'\], expected none for a frame that ended DUPLICATE$",
        ),
        (("findings",), [], r"^findings: found \[\], expected at least one for a frame that ended MET$"),
        (("findings",), None, "^verdict.findings: found None, expected a valid array$"),
        (("findings",), {}, "^verdict.findings: found {}, expected a valid array$"),
        (("findings", 0, "engine"), None, "^verdict.findings.0.keyframe.engine: found None, expected a valid string$"),
        (("findings", 0, "engine"), 3, "^verdict.findings.0.keyframe.engine: found 3, expected a valid string$"),
        (("engine",), "fake", "^verdict.engine: unknown key: remove it$"),
        (("retry",), True, "^retry: found true, expected false for a frame that ended MET$"),
        (("retry",), None, "^verdict.retry: found None, expected a valid boolean$"),
        (("findings", 0), [], r"^verdict.findings.0: found \[\], expected"),
        (("findings", 0), None, "^verdict.findings.0: found None, expected"),
        (("findings", 0, "kind"), "hearsay", "^verdict.findings.0.kind: found 'hearsay', expected one of 'keyframe'"),
        (("findings", 0, "laterality"), "both", "^verdict.findings.0.keyframe.laterality: found 'both', expected 'lef"),
        (("findings", 0, "extra"), 1, "^verdict.findings.0.keyframe.extra: unknown key: remove it$"),
        (
            ("findings", 0, "class_scores"),
            [0.5, 1.5],
            "^verdict.findings.0.keyframe.class_scores.1: found 1.5, expected less",
        ),
        (
            ("findings", 0, "class_scores"),
            0.5,
            "^verdict.findings.0.keyframe.class_scores: found 0.5, expected a valid array$",
        ),
        (("latency_ms", "infer"), True, "^verdict.latency_ms.infer: found True, expected a valid number$"),
        (("latency_ms", "infer"), float("nan"), "^verdict.latency_ms.infer: found nan, expected a finite number$"),
    ],
)
def test_a_body_that_is_no_record_is_refused_by_key(path: tuple[str, ...], to: Any, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        record_from_body(changed(verdict(0), *path, to=to), record_parts())


@pytest.mark.parametrize(
    ("record", "path", "to", "match"),
    [
        (alert(9), ("news",), None, "^alert.news: found None, expected"),
        (alert(9), ("news", "kind"), "rumour", "^alert.news.kind: found 'rumour', expected one of 'key_frame'$"),
        (alert(9), ("news", "kind"), "keyframe", "^alert.news.kind: found 'keyframe', expected one of 'key_frame'$"),
        (alert(9), ("news", "extra"), 1, "^alert.news.key_frame.extra: unknown key: remove it$"),
        (alert(9), ("news", "laterality"), "both", "^alert.news.key_frame.laterality: found 'both', expected 'left'"),
        (alert(9), ("score",), 0.9, "^alert.score: unknown key: remove it$"),
        (summary([]), ("results",), None, "^run.results: found None, expected a valid array$"),
        (summary([]), ("results", 0), None, "^run.results.0: found None, expected"),
        (summary([]), ("results", 0, "kind"), "grade", "^run.results.0.kind: found 'grade', expected one of 'keyframe"),
        (summary([]), ("results", 0, "extra"), 1, "^run.results.0.keyframe.extra: unknown key: remove it$"),
        (summary([]), ("results", 0, "marked_scores"), [], "^results.0.marked_scores: found 0, expected 1$"),
        (
            summary([]),
            ("results", 0, "marked_frames"),
            [-1],
            "^run.results.0.keyframe.marked_frames.0: found -1, expec",
        ),
        (summary([]), ("results", 0, "marked_frames"), [1.0], "^run.results.0.keyframe.marked_frames.0: found 1.0, ex"),
        (summary([]), ("laterality",), "left", "^run.laterality: unknown key: remove it$"),
        (start(), ("models",), None, "^pass.models: found None, expected a valid array$"),
        (start(), ("models", 0, "engine"), None, "^pass.models.0.engine: found None, expected a valid string$"),
        (start(), ("models", 0, "extra"), 1, "^pass.models.0.extra: unknown key: remove it$"),
        (start(), ("engine",), "fake", "^pass.engine: unknown key: remove it$"),
        (draft(), ("draft",), None, "^draft.draft: found None, expected"),
        (draft(), ("draft", "kind"), "keyframe", "^draft.draft.kind: found 'keyframe', expected one of 'report'$"),
        (draft(), ("draft", "extra"), 1, "^draft.draft.report.extra: unknown key: remove it$"),
        (draft(), ("draft", "facts", "sides"), ["upper"], "^draft.draft.report.facts.sides.0: found 'upper', expected"),
        (draft(), ("draft", "facts", "lesions", 0, "percent"), 101, "percent: found 101, expected less than or equal"),
        (draft(), ("draft", "text"), None, "^text: found .*, expected a text in both languages$"),
        (draft(), ("draft", "text_ja"), " ", "^text: found .*, expected a text in both languages$"),
        (draft(), ("draft", "withheld"), "why", "^text: found .*, expected none of a draft that is withheld$"),
        (
            draft(withheld="why"),
            ("draft", "withheld"),
            "",
            "^text: found .*, expected none of a draft that is withheld",
        ),
        (draft(), ("preliminary",), False, "^draft.preliminary: found False, expected True$"),
        (draft(), ("watermark",), "Final report", "^draft.watermark: found 'Final report', expected"),
        (draft(), ("watermark_ja",), "最終報告", "^draft.watermark_ja: found '最終報告', expected"),
        (reading(), ("reading",), None, "^study.reading: found None, expected"),
        (reading(), ("reading", "kind"), "report", "^study.reading.kind: found 'report', expected one of 'study'$"),
        (reading(), ("reading", "findings"), [], "^findings: found 0, withheld None, expected some findings$"),
        (reading(), ("reading", "withheld"), "why", "^findings: found 1, withheld 'why', expected none of a reading"),
        (reading(), ("runs", 0, "place"), 2, "^runs: found places .2., expected 1, 2"),
        (reading(), ("runs", 0, "place"), None, "^runs: found places .., expected 1, 2"),
        (reading(), ("runs", 0, "counted"), None, "^runs: counted: expected it of the runs that count"),
        (reading(), ("runs", 1, "why"), "mood", "^study.runs.1.why: found 'mood', expected 'counts', 'modality'"),
        (reading(), ("provisional",), True, "^ended: found 1, expected none of a provisional reading$"),
        (draft(), ("revision",), 0, "^draft.revision: found 0, expected greater than or equal to 1$"),
        (draft(), ("after_study_s",), float("nan"), "^draft.after_study_s: found nan, expected a finite number$"),
        (draft(), ("study",), "a\nb", "^draft.study: found .*, expected text for which str.isprintable holds$"),
    ],
)
def test_what_a_model_did_not_put_there_is_refused_by_key(
    record: Record, path: tuple[str | int, ...], to: Any, match: str
) -> None:
    with pytest.raises(ValueError, match=match):
        record_from_body(changed(record, *path, to=to), record_parts())


def every_key(value: Any, *above: str | int) -> Iterator[tuple[str | int, ...]]:
    """The path of every field in a record; the keys of its tables are data and may be missing."""
    for name in [declared.name for declared in fields(value)]:
        yield (*above, name)
        inner = getattr(value, name)
        if is_dataclass(inner):
            yield from every_key(inner, *above, name)
        elif isinstance(inner, tuple):
            for number, item in enumerate(inner):
                if is_dataclass(item):
                    yield from every_key(item, *above, name, number)


KEYS = [(record, key) for record in ONE_OF_EACH for key in (*every_key(record), ("notice",))]
# Keys that journals of earlier builds do not have.
LATER = {"outside", "best_readability", "best_is_poor", "vesselness", "change", "filter_prefers", "acquired_ns"}


@pytest.mark.parametrize(("record", "key"), [(record, key) for record, key in KEYS if key[-1] not in LATER])
def test_no_key_may_be_missing(record: Record, key: tuple[str | int, ...]) -> None:
    with pytest.raises(ValueError, match=f"{key[-1]}: missing|the notice|draft: a key is missing"):
        record_from_body(changed(record, *key, to=GONE), record_parts())


@pytest.mark.parametrize(("record", "key"), [(record, key) for record, key in KEYS if key[-1] in LATER])
def test_a_key_that_came_later_may_be_missing(record: Record, key: tuple[str | int, ...]) -> None:
    assert record_from_body(changed(record, *key, to=GONE), record_parts()) == record


@pytest.mark.parametrize("score", [float("nan"), float("inf"), -0.1, 1.1, "0.5", None, True, np.float32(0.5), 0.5j])
def test_a_score_that_is_none_is_refused_when_it_is_written(score: Any) -> None:
    for record in (
        told(alert(9), score=score),
        found(verdict(0), score=score),
        found(verdict(0), laterality_score=score),
        found(verdict(0), class_scores=(0.5, score)),
        amounting_to(summary([verdict(0)]), marked_scores=(score,)),
        amounting_to(summary([verdict(0)]), laterality_score=score),
    ):
        with pytest.raises(ValueError):
            body_from_record(record)


@pytest.mark.parametrize(
    ("record", "match"),
    [
        (replace(verdict(0), findings=()), r"findings: found \[\], expected at least one"),
        (replace(verdict(0), findings=None), "findings: found None, expected a valid array"),
        (replace(verdict(0), findings=(None,)), "findings.0: found None, expected"),
        (replace(verdict(0), outcome=Outcome.DROPPED), r"findings: found \['keyframe'\], expected none"),
        (replace(verdict(0), outcome=Outcome.DUPLICATE), r"findings: found \['keyframe'\], expected none"),
        (found(verdict(0), engine=None), "engine: found None, expected a valid string"),
        (found(verdict(0), kind="sharpness"), "kind: found 'sharpness', expected one of 'keyframe'"),
        (replace(alert(9), news=None), "news: found None, expected"),
        (replace(verdict(0), latency_ms=replace(verdict(0).latency_ms, infer=float("inf"))), "found inf"),
        (replace(verdict(0), id="a\x1b[2J"), "verdict.id: found"),
        (replace(alert(9), frame_index=9.0), "alert.frame_index: found 9.0"),
        (replace(alert(9), late=False), "live_until: found None, expected a moment for an alert that is not late"),
        (replace(summary([verdict(0), verdict(1)]), frames=3), "do not add up to 3 frames"),
        (replace(summary([]), verdicts={"PERFECT": 0}), r"verdicts: found \['PERFECT'\], expected some of MET, LATE"),
        (
            amounting_to(summary([verdict(0)]), marked_frames=(1, 2)),
            r"^results.0.marked_scores: found 1, expected 2$",
        ),
        (replace(summary([verdict(0)]), results=(None,)), "results.0: found None, expected"),
        (replace(summary([verdict(0)]), positioner_primary_angle_deg=float("nan")), "found nan, expected a finite"),
    ],
)
def test_what_could_not_be_read_back_is_not_written(record: Record, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        body_from_record(record)


def test_numbers_of_numpy_are_written_as_the_numbers_they_are() -> None:
    record = told(alert(9), score=np.float64(0.1))

    assert record_from_body(body_from_record(record), record_parts()) == told(record, score=0.1)


@pytest.mark.parametrize("outcome", [Outcome.MET, Outcome.LATE, Outcome.FAILED])
@pytest.mark.parametrize("twice", [verdict(0).findings * 2, (SHARP, *verdict(0).findings, SHARP)], ids=["one", "two"])
def test_two_findings_of_one_kind_are_neither_written_nor_read(outcome: Outcome, twice: tuple[Finding, ...]) -> None:
    record = replace(verdict(0), outcome=outcome)
    match = "^findings: found .*, expected one of each model$"
    with pytest.raises(ValueError, match=match):
        body_from_record(replace(record, findings=twice))
    document = [json.loads(body_from_record(replace(record, findings=(made,))))["findings"][0] for made in twice]
    with pytest.raises(ValueError, match=match):
        record_from_body(changed(record, "findings", to=document), BOTH)


def test_a_frame_that_one_model_failed_on_keeps_what_the_others_found_and_may_be_judged_again() -> None:
    for findings in ((), verdict(0).findings, (SHARP,), (*verdict(0).findings, SHARP)):
        for retry in (True, False):
            record = replace(verdict(0), outcome=Outcome.FAILED, findings=findings, retry=retry)
            assert record_from_body(body_from_record(record), BOTH) == record


@pytest.mark.parametrize("outcome", [Outcome.DROPPED, Outcome.DUPLICATE])
@pytest.mark.parametrize("findings", [verdict(0).findings, (SHARP,), (*verdict(0).findings, SHARP)])
def test_a_frame_that_no_model_was_shown_has_no_finding(outcome: Outcome, findings: tuple[Finding, ...]) -> None:
    with pytest.raises(ValueError, match=f"^findings: found .*, expected none for a frame that ended {outcome}$"):
        body_from_record(replace(verdict(0), outcome=outcome, findings=findings))


SECOND_MODEL = {
    "finding": replace(verdict(0), findings=(SHARP,)),
    "findings": replace(verdict(0), findings=(*verdict(0).findings, SHARP)),
    "news": replace(alert(9), news=BLUR),
    "result": replace(summary([verdict(0)]), results=(SHARP_RESULT,)),
    "results": replace(summary([verdict(0)]), results=(result(), SHARP_RESULT)),
}


@pytest.mark.parametrize("said", SECOND_MODEL)
def test_what_another_model_says_takes_no_change_here(said: str) -> None:
    record = SECOND_MODEL[said]
    body = body_from_record(record)

    read = record_from_body(body, BOTH)

    assert read == record
    assert body_from_record(read) == body
    expected = r"kind: found '(sharpness|blur)', expected one of ('keyframe', 'generic'|'key_frame')$"
    with pytest.raises(ValueError, match=expected):
        record_from_body(body, record_parts())
    with pytest.raises(ValueError, match=r"findings|news|results"):
        record_from_body(body, RecordParts())


@pytest.mark.parametrize("record", ONE_OF_EACH, ids=lambda made: made.type)
def test_records_of_one_model_read_the_same_where_there_are_two(record: Record) -> None:
    assert record_from_body(body_from_record(record), BOTH) == record


def test_findings_and_results_keep_their_order() -> None:
    for findings in ((*verdict(0).findings, SHARP), (SHARP, *verdict(0).findings)):
        read = record_from_body(body_from_record(replace(verdict(0), findings=findings)), BOTH)
        assert isinstance(read, Verdict)
        assert read.findings == findings
    for results in ((result(), SHARP_RESULT), (SHARP_RESULT, result())):
        read = record_from_body(body_from_record(replace(summary([]), results=results)), BOTH)
        assert isinstance(read, RunSummary)
        assert read.results == results


def test_the_rules_of_another_model_hold_when_it_is_written_and_when_it_is_read() -> None:
    nan = float("nan")
    for record, match in (
        (replace(verdict(0), findings=(replace(SHARP, line_pairs_per_mm=(nan,)),)), r"line_pairs_per_mm.0: found nan"),
        (replace(alert(9), news=replace(BLUR, lost_line_pairs_per_mm=nan)), "lost_line_pairs_per_mm: found nan"),
        (
            replace(summary([]), results=(result(), replace(SHARP_RESULT, median_line_pairs_per_mm=nan))),
            "results.1.sharpness.median_line_pairs_per_mm: found nan",
        ),
        (
            replace(summary([]), results=(result(), replace(SHARP_RESULT, marked_frames=(1,)))),
            "results.1.marked_scores: found 0, expected 1",
        ),
    ):
        with pytest.raises(ValueError, match=match):
            body_from_record(record)
    body = changed(SECOND_MODEL["findings"], "findings", 1, "line_pairs_per_mm", to=["sharp"])
    with pytest.raises(ValueError, match=r"findings.1.sharpness.line_pairs_per_mm.0: found 'sharp', expected"):
        record_from_body(body, BOTH)


@pytest.mark.parametrize(
    ("record", "key"),
    [(verdict(0), "findings"), (verdict(1, outcome=Outcome.FAILED), "findings"), (summary([]), "results")],
)
@pytest.mark.parametrize("parts", [RecordParts(), record_parts(), BOTH], ids=["no model", "one", "two"])
def test_nothing_is_not_taken_for_a_finding_or_a_result(record: Record, key: str, parts: RecordParts) -> None:
    with pytest.raises(ValueError, match=f"{key}.0: found None, expected"):
        record_from_body(changed(record, key, to=[None]), parts)


@pytest.mark.parametrize("parts", [RecordParts(), record_parts(), BOTH], ids=["no model", "one", "two"])
def test_an_alert_without_news_is_none(parts: RecordParts) -> None:
    with pytest.raises(ValueError, match="news: found None, expected"):
        record_from_body(changed(alert(9), "news", to=None), parts)


def test_a_run_amounts_to_one_thing_a_model_and_a_pass_judges_once_with_each() -> None:
    with pytest.raises(ValueError, match=r"^results: found .*, expected one of each model$"):
        body_from_record(replace(summary([]), results=(result(), result())))
    with pytest.raises(ValueError, match=r"^models: found .*, expected one of each model$"):
        body_from_record(replace(start(), models=start().models * 2))


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff", b'{"type":"verdict"} {}', b"\x1b" * 1000])
def test_a_body_that_is_no_json_object_is_refused_in_printable_words(body: bytes) -> None:
    notice = f',"notice":"{NOTICE}"}}'.encode()
    for text in (body, body + notice, b"{" + body + notice):
        with pytest.raises(ValueError) as refused:
            record_from_body(text, record_parts())
        assert str(refused.value).isprintable()
        assert len(str(refused.value)) < 400


def test_a_change_of_engine_has_a_rung_exactly_where_there_is_live_ai() -> None:
    off = engine_change("off")
    assert record_from_body(body_from_record(off), record_parts()) == off
    for wrong in (replace(off, live_ai=True), replace(engine_change(), rung=None)):
        with pytest.raises(ValueError, match="expected a rung where there is live AI"):
            body_from_record(wrong)
