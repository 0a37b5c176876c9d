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
    Finding,
    KeyframeFinding,
    Laterality,
    LiveUntil,
    Outcome,
    PassStart,
    Percentiles,
    Rate,
    Record,
    Refusal,
    RunSummary,
    StageTimes,
    Verdict,
)
from cathrt.runtime.journal.records import body_from_record, record_from_body
from cathrt.runtime.models import FINDINGS
from tests.passes import alert, refusal, start, summary, verdict

numbers = st.floats(allow_nan=False, allow_infinity=False)
scores = st.floats(0.0, 1.0)
counts = st.integers(0, 10**9)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ids = st.uuids().map(str)
sides = st.sampled_from(get_args(Laterality))
stage_times = st.builds(StageTimes, numbers, numbers, numbers, numbers, numbers)
findings = st.builds(KeyframeFinding, sides, scores, scores, st.lists(scores, max_size=6).map(tuple))
judged = st.builds(
    Verdict,
    ids,
    ids,
    ids,
    counts,
    st.sampled_from([Outcome.MET, Outcome.LATE]),
    st.none() | texts,
    findings,
    stage_times,
    texts,
    st.just(False),
)
unjudged = st.builds(
    Verdict,
    ids,
    ids,
    ids,
    counts,
    st.sampled_from([Outcome.DROPPED, Outcome.FAILED, Outcome.DUPLICATE]),
    texts,
    st.none(),
    stage_times,
    st.none(),
    st.just(False),
)
failed = st.builds(
    Verdict, ids, ids, ids, counts, st.just(Outcome.FAILED), texts, st.none(), stage_times, st.none(), st.booleans()
)
moments = st.builds(LiveUntil, ids, st.integers(-(2**63), 2**63 - 1))
announced = (ids, ids, ids, st.just("key_frame"), counts, counts, sides, scores, ids)
alerts = st.builds(Alert, *announced, st.sampled_from([None, True]), st.none() | moments, texts) | st.builds(
    Alert, *announced, st.just(False), moments, texts
)
starts = st.builds(PassStart, ids, ids, ids, texts, st.sampled_from(get_args(Rate)), st.integers(1, 9), texts, texts)


@st.composite
def summaries(draw: st.DrawFn) -> RunSummary:
    verdicts = {outcome.value: draw(counts) for outcome in Outcome}
    ranked = draw(st.lists(st.tuples(counts, scores), max_size=3))
    return RunSummary(
        id=draw(ids),
        pass_id=draw(ids),
        run_id=draw(ids),
        source=draw(texts),
        frames=sum(verdicts.values()),
        verdicts=verdicts,
        laterality=draw(sides),
        laterality_score=draw(scores),
        key_frames=tuple(index for index, _ in ranked),
        key_frame_scores=tuple(score for _, score in ranked),
        positioner_primary_angle_deg=draw(st.none() | numbers),
        positioner_secondary_angle_deg=draw(st.none() | numbers),
        laterality_mismatch=draw(st.none() | st.booleans()),
        latency_ms=draw(st.dictionaries(texts, st.builds(Percentiles, numbers, numbers, numbers, numbers), max_size=3)),
        frame_rate_hz=draw(numbers),
        frame_rate_origin=draw(texts),
        flags=tuple(draw(st.lists(texts, max_size=3))),
        bundle=draw(texts),
        manifest_sha256=draw(texts),
        engine=draw(texts),
    )


records = starts | judged | unjudged | failed | alerts | summaries() | st.builds(Refusal, ids, texts, texts, texts)


GONE = object()
LIVE = replace(alert(9), late=False, live_until=LiveUntil("boot", 1))
ONE_OF_EACH = [
    start(),
    LIVE,
    verdict(0),
    verdict(1, outcome=Outcome.FAILED),
    alert(9),
    summary([verdict(0)]),
    refusal(),
]


@dataclass(frozen=True, slots=True)
class Sharpness(Finding):
    """What a second model says, which nothing outside this test knows."""

    kind: Literal["sharpness"] = field(default="sharpness", kw_only=True)
    line_pairs_per_mm: tuple[float, ...]


def changed(record: Record, *path: str, to: Any) -> bytes:
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

    read = record_from_body(body, FINDINGS)
    assert (read, type(read)) == (record, type(record))
    assert body_from_record(read) == body
    assert b"\n" not in body
    assert json.loads(body)["id"] == record.id


@pytest.mark.parametrize("record", ONE_OF_EACH, ids=lambda made: made.type)
def test_every_record_has_its_type_first_its_fields_and_the_notice_last(record: Record) -> None:
    document = json.loads(body_from_record(record))

    assert list(document) == [*(field.name for field in fields(record)), "notice"]
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

    read = record_from_body(body, ())
    assert json.loads(body)["source"] == "a\\udcff\\.dcm"
    assert read == replace(record, source="a\\udcff\\.dcm", message="a\\udcff\\.dcm: no DICOM file")
    assert body_from_record(read) == body


@given(text=st.text(st.characters(codec=None), max_size=8))
def test_no_text_stops_a_record(text: str) -> None:
    run = summary([verdict(0)])
    percentiles = run.latency_ms["end_to_end"]
    for record in (
        replace(verdict(0), reason=text, engine=text),
        replace(alert(9), engine=text),
        replace(run, source=text, flags=(text,), bundle=text, latency_ms={text: percentiles}),
        replace(refusal(), source=text, error=text, message=text),
    ):
        body = body_from_record(record)
        assert body_from_record(record_from_body(body, FINDINGS)) == body


@pytest.mark.parametrize(
    ("path", "to", "match"),
    [
        (("type",), "rumour", "^type: found 'rumour', expected one of 'pass', 'verdict', 'alert', 'run', 'refusal'$"),
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
        (("outcome",), "DROPPED", "^finding: found KeyframeFinding.*, expected none for a frame that ended DROPPED$"),
        (("finding",), None, "^finding: found None, expected one for a frame that ended MET$"),
        (("engine",), None, "^engine: found None, expected one for a frame that ended MET$"),
        (("engine",), 3, "^verdict.engine: found 3, expected a valid string$"),
        (("retry",), True, "^retry: found true, expected false for a frame that ended MET$"),
        (("retry",), None, "^verdict.retry: found None, expected a valid boolean$"),
        (("finding",), [], "^verdict.finding: found .*, expected"),
        (("finding", "kind"), "hearsay", "^verdict.finding.kind: found 'hearsay', expected one of 'keyframe'$"),
        (("finding", "laterality"), "both", "^verdict.finding.keyframe.laterality: found 'both', expected 'left'"),
        (("finding", "class_scores"), [0.5, 1.5], "^verdict.finding.keyframe.class_scores.1: found 1.5, expected less"),
        (
            ("finding", "class_scores"),
            0.5,
            "^verdict.finding.keyframe.class_scores: found 0.5, expected a valid array$",
        ),
        (("latency_ms", "infer"), True, "^verdict.latency_ms.infer: found True, expected a valid number$"),
        (("latency_ms", "infer"), float("nan"), "^verdict.latency_ms.infer: found nan, expected a finite number$"),
    ],
)
def test_a_body_that_is_no_record_is_refused_by_key(path: tuple[str, ...], to: Any, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        record_from_body(changed(verdict(0), *path, to=to), FINDINGS)


def every_key(value: Any, *above: str) -> Iterator[tuple[str, ...]]:
    """The path of every field in a record; the keys of its tables are data and may be missing."""
    for name in [declared.name for declared in fields(value)]:
        yield (*above, name)
        if is_dataclass(getattr(value, name)):
            yield from every_key(getattr(value, name), *above, name)


@pytest.mark.parametrize(
    ("record", "key"), [(record, key) for record in ONE_OF_EACH for key in (*every_key(record), ("notice",))]
)
def test_no_key_may_be_missing(record: Record, key: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=f"{key[-1]}: missing|the notice"):
        record_from_body(changed(record, *key, to=GONE), FINDINGS)


@pytest.mark.parametrize("score", [float("nan"), float("inf"), -0.1, 1.1, "0.5", None, True, np.float32(0.5), 0.5j])
def test_a_score_that_is_none_is_refused_when_it_is_written(score: Any) -> None:
    for record in (
        replace(alert(9), score=score),
        replace(verdict(0), finding=replace(verdict(0).finding, key_frame_score=score)),
        replace(verdict(0), finding=replace(verdict(0).finding, class_scores=(0.5, score))),
        replace(summary([verdict(0)]), key_frame_scores=(score,)),
    ):
        with pytest.raises(ValueError):
            body_from_record(record)


@pytest.mark.parametrize(
    ("record", "match"),
    [
        (replace(verdict(0), finding=None), "finding: found None, expected one"),
        (replace(verdict(0), outcome=Outcome.FAILED), "finding: found .*, expected none"),
        (replace(verdict(0), engine=None), "engine: found None, expected one"),
        (replace(verdict(0), latency_ms=replace(verdict(0).latency_ms, infer=float("inf"))), "found inf"),
        (replace(verdict(0), id="a\x1b[2J"), "verdict.id: found"),
        (replace(alert(9), frame_index=9.0), "alert.frame_index: found 9.0"),
        (replace(alert(9), late=False), "live_until: found None, expected a moment for an alert that is not late"),
        (replace(summary([verdict(0), verdict(1)]), frames=3), "do not add up to 3 frames"),
        (replace(summary([]), verdicts={"PERFECT": 0}), r"verdicts: found \['PERFECT'\], expected some of MET, LATE"),
        (replace(summary([verdict(0)]), key_frames=(1, 2)), "key_frame_scores: found 1, expected 2"),
        (replace(summary([verdict(0)]), positioner_primary_angle_deg=float("nan")), "found nan, expected a finite"),
    ],
)
def test_what_could_not_be_read_back_is_not_written(record: Record, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        body_from_record(record)


def test_numbers_of_numpy_are_written_as_the_numbers_they_are() -> None:
    record = replace(alert(9), score=np.float64(0.1))

    assert record_from_body(body_from_record(record), ()) == replace(record, score=0.1)


def test_a_finding_of_another_model_takes_no_change_here() -> None:
    record = replace(verdict(0), finding=Sharpness((1.5, 2.0)))
    body = body_from_record(record)

    read = record_from_body(body, (*FINDINGS, Sharpness))

    assert read == record
    assert type(read.finding) is Sharpness
    assert record_from_body(body_from_record(verdict(0)), (*FINDINGS, Sharpness)) == verdict(0)
    with pytest.raises(ValueError, match=r"finding.kind: found 'sharpness', expected one of 'keyframe'"):
        record_from_body(body, FINDINGS)
    with pytest.raises(ValueError, match="finding"):
        record_from_body(body, ())
    with pytest.raises(ValueError, match=r"line_pairs_per_mm.0: found nan"):
        body_from_record(replace(verdict(0), finding=Sharpness((float("nan"),))))


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff", b'{"type":"verdict"} {}', b"\x1b" * 1000])
def test_a_body_that_is_no_json_object_is_refused_in_printable_words(body: bytes) -> None:
    notice = f',"notice":"{NOTICE}"}}'.encode()
    for text in (body, body + notice, b"{" + body + notice):
        with pytest.raises(ValueError) as refused:
            record_from_body(text, FINDINGS)
        assert str(refused.value).isprintable()
        assert len(str(refused.value)) < 400
