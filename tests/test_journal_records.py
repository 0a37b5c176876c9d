"""Records as JSON: what is written can be read, and nothing else can."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cathrt.runtime.alert import (
    NOTICE,
    Alert,
    KeyframeFinding,
    Laterality,
    Outcome,
    Percentiles,
    Record,
    Refusal,
    RunSummary,
    StageTimes,
    Verdict,
)
from cathrt.runtime.records import (
    body_from_record,
    document_from_record,
    record_from_body,
    record_from_document,
)
from tests.passes import alert, refusal, summary, verdict

numbers = st.floats(allow_nan=False, allow_infinity=False)
scores = st.floats(0.0, 1.0)
counts = st.integers(0, 10**9)
texts = st.text(st.characters(codec=None), max_size=20)  # lone surrogates too: file names have them
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
)
alerts = st.builds(Alert, ids, ids, ids, st.just("key_frame"), counts, counts, sides, scores, ids, st.booleans(), texts)


@st.composite
def summaries(draw: st.DrawFn) -> RunSummary:
    verdicts = {outcome.value: draw(counts) for outcome in Outcome}
    return RunSummary(
        id=draw(ids),
        pass_id=draw(ids),
        run_id=draw(ids),
        source=draw(texts),
        frames=sum(verdicts.values()),
        verdicts=verdicts,
        laterality=draw(sides),
        laterality_score=draw(scores),
        key_frames=tuple(draw(st.lists(counts, max_size=3))),
        key_frame_scores=tuple(draw(st.lists(scores, max_size=3))),
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


records = judged | unjudged | alerts | summaries() | st.builds(Refusal, ids, texts, texts, texts)


@given(record=records)
def test_every_record_survives_the_way_to_json_and_back(record: Record) -> None:
    body = body_from_record(record)

    assert record_from_body(body) == record
    assert record_from_document(document_from_record(record)) == record
    assert body_from_record(record_from_body(body)) == body
    assert b"\n" not in body
    body.decode("utf-8")


@pytest.mark.parametrize("record", [verdict(0), alert(9), summary([verdict(0)]), refusal()], ids=lambda made: made.type)
def test_every_record_has_its_type_first_its_fields_and_the_notice_last(record: Record) -> None:
    document = json.loads(body_from_record(record))

    names = [field.name for field in fields(record) if field.name != "type"]
    assert list(document) == ["type", *names, "notice"]
    assert (document["type"], document["notice"]) == (record.type, NOTICE)


def test_tables_are_written_in_one_order_whatever_order_they_had() -> None:
    forward = summary([verdict(0)])
    backward = summary([verdict(0)])
    items = list(backward.verdicts.items())
    backward.verdicts.clear()
    backward.verdicts.update(reversed(items))

    assert body_from_record(forward) == body_from_record(backward)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"type": "rumour"}, "type: found 'rumour', expected one of verdict, alert, run, refusal"),
        ({"type": None}, "type: found None"),
        ({"notice": "approved"}, "notice: found 'approved'"),
        ({"extra": 1}, r"unknown keys \['extra'\]"),
        ({"id": ""}, "id: found '', expected an identifier"),
        ({"id": 7}, "id: found 7"),
        ({"id": "a\nb"}, "id: .*expected an identifier"),
        ({"frame_index": -1}, "frame_index: found -1, expected a whole number"),
        ({"frame_index": True}, "frame_index: found True"),
        ({"frame_index": 1.0}, "frame_index: found 1.0"),
        ({"outcome": "PERFECT"}, "outcome: found 'PERFECT', expected one of MET"),
        ({"reason": 3}, "reason: found 3, expected text"),
        ({"outcome": "DROPPED"}, "finding: a frame that ended DROPPED must not have one"),
        ({"finding": None}, "finding: a frame that ended MET must have one"),
        ({"engine": None}, "engine: a frame that ended MET must name one"),
        ({"engine": 3}, "engine: found 3, expected text"),
        ({"finding": []}, "finding: found .*expected a JSON object"),
        ({"latency_ms": {"source": 1.0}}, "latency_ms: missing keys"),
    ],
)
def test_a_document_that_is_no_record_is_refused_by_key(change: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        record_from_document({**document_from_record(verdict(0)), **change})


@pytest.mark.parametrize("score", [float("nan"), float("inf"), -0.1, 1.1, "0.5", None, True])
def test_a_score_that_is_none_is_refused_on_the_way_in_and_out(score: Any) -> None:
    document = document_from_record(alert(9))
    made = Alert(**{**{key: document[key] for key in document if key not in ("type", "notice")}, "score": score})

    with pytest.raises(ValueError, match="score: found"):
        document_from_record(made)
    with pytest.raises(ValueError, match="score: found"):
        record_from_document({**document, "score": score})


@pytest.mark.parametrize("missing", [field.name for field in fields(Verdict)] + ["notice"])
def test_no_key_may_be_missing(missing: str) -> None:
    document = document_from_record(verdict(0))
    del document[missing]

    with pytest.raises(ValueError, match=missing):
        record_from_document(document)


def test_a_summary_whose_verdicts_are_not_its_frames_is_refused() -> None:
    document = document_from_record(summary([verdict(0), verdict(1)]))

    with pytest.raises(ValueError, match="do not add up to 3 frames"):
        record_from_document({**document, "frames": 3})


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff", b'{"type":"verdict"} {}'])
def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError):
        record_from_body(body)
