"""What is read out of a FHIR server's answers, also where they are none."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cathrt.runtime.objects.fhir.answer import (
    AmbiguousError,
    AnswerError,
    EntryError,
    is_kept,
    issues_of,
    outcome_in,
    report_place,
    stored_report,
)
from cathrt.runtime.objects.fhir.elements import Element
from cathrt.runtime.objects.fhir.transaction import Stored, prepared, transaction
from tests.objects.made_results import made_results

WHAT = prepared(made_results(runs=1), "", "R4")
SENT = transaction(WHAT, None, "record")
KINDS = [entry["resource"]["resourceType"] for entry in SENT["entry"]]


def search(*reports: Element) -> bytes:
    entries = [{"resource": report} for report in reports]
    return json.dumps({"resourceType": "Bundle", "type": "searchset", "entry": entries}).encode()


def answer(**of_first: Any) -> bytes:
    """A transaction's response in which each entry was stored; but for what is given of the first."""
    entries: list[Any] = [
        {"response": {"status": "201 Created", "location": f"{kind}/{number}/_history/1"}}
        for number, kind in enumerate(KINDS)
    ]
    entries[0] = {**entries[0], **of_first}
    return json.dumps({"resourceType": "Bundle", "type": "transaction-response", "entry": entries}).encode()


def test_a_report_of_ours_is_found_with_its_version_and_state() -> None:
    report = {**WHAT.report, "id": "a-1", "meta": {"versionId": "4"}}
    assert stored_report(search(report), WHAT.order) == Stored("a-1", 'W/"4"', WHAT.version)
    assert stored_report(search({**WHAT.report, "id": "a-1"}), WHAT.order) == Stored("a-1", "", WHAT.version)
    assert stored_report(search(), WHAT.order) is None
    assert stored_report(b'{"resourceType":"Bundle","type":"searchset"}', WHAT.order) is None


def test_what_comes_beside_the_reports_is_passed_over() -> None:
    outcome = {"resourceType": "OperationOutcome", "issue": []}
    found = stored_report(search(outcome, {**WHAT.report, "id": "1"}), WHAT.order)
    assert found is not None
    assert found.id == "1"


def test_a_report_of_ours_that_somebody_has_changed_has_no_version() -> None:
    changed = {**WHAT.report, "id": "1", "identifier": WHAT.report["identifier"][:1]}
    assert stored_report(search(changed), WHAT.order) == Stored("1", "", None)


@pytest.mark.parametrize("others", [1, 2])
def test_a_server_that_does_not_search_by_identifier_is_found_out(others: int) -> None:
    foreign = {"resourceType": "DiagnosticReport", "id": "1", "identifier": [{"value": "x"}]}
    with pytest.raises(AnswerError, match="a report that was not asked for"):
        stored_report(search(*[foreign] * others), WHAT.order)
    with pytest.raises(AnswerError, match="a report that was not asked for"):
        stored_report(search({**WHAT.report, "id": "1"}), "another order")


@pytest.mark.parametrize("id_", [None, "", 7, "a/b", "../x", "x" * 65])
def test_an_id_that_is_none_is_told(id_: Any) -> None:
    with pytest.raises(AnswerError, match="a report without an id"):
        stored_report(search({**WHAT.report, "id": id_}), WHAT.order)


@pytest.mark.parametrize(
    "first",
    [
        {"response": {"status": "200", "location": "DiagnosticReport/0"}},
        {"response": {"status": "201 Created", "location": "https://ehr.example/fhir/DiagnosticReport/0/_history/7"}},
        {"response": {"status": "201"}, "resource": {"resourceType": "DiagnosticReport", "id": "0"}},
    ],
)
def test_places_come_in_every_form_that_servers_use(first: dict[str, Any]) -> None:
    assert report_place(answer(**first), SENT) == "DiagnosticReport/0"


def test_a_place_that_was_told_to_the_server_need_not_be_said() -> None:
    sent = transaction(WHAT, Stored("55", "", None), "record")
    assert report_place(answer(response={"status": "200 OK"}), sent) == "DiagnosticReport/55"


@pytest.mark.parametrize(
    ("first", "said"),
    [
        ({"response": None}, "no status for a DiagnosticReport"),
        ({"response": {"status": "OK"}}, "no status for a DiagnosticReport"),
        ({"response": {"status": "201"}}, "does not say where a DiagnosticReport was stored"),
        ({"response": {"status": "201", "location": "Observation/1"}}, "does not say where"),
    ],
)
def test_an_entry_that_says_nothing_is_no_success(first: dict[str, Any], said: str) -> None:
    with pytest.raises(AnswerError, match=said):
        report_place(answer(**first), SENT)


def test_an_entry_that_failed_says_why() -> None:
    outcome = {"issue": [{"code": "value", "details": {"text": "bad"}}, {"diagnostics": "worse"}, {"code": "x"}]}
    with pytest.raises(EntryError, match="422 for a DiagnosticReport: bad; worse; x") as caught:
        report_place(answer(response={"status": "422", "outcome": outcome}), SENT)
    assert caught.value.status == 422


@pytest.mark.parametrize("said", [b"", b"<html>", b"[]", b'{"resourceType":"Bundle","type":"batch-response"}'])
def test_what_is_no_answer_is_told(said: bytes) -> None:
    for read in (lambda: report_place(said, SENT), lambda: stored_report(said, WHAT.order)):
        with pytest.raises(AnswerError):
            read()
    assert outcome_in(said) == "no reason was given"


def test_what_is_kept_may_be_later_than_what_was_sent() -> None:
    later = prepared(made_results(revision=2), "", "R4")
    assert is_kept(json.dumps(WHAT.report).encode(), WHAT.order, WHAT.version)
    assert is_kept(json.dumps(later.report).encode(), WHAT.order, WHAT.version)
    assert not is_kept(json.dumps(WHAT.report).encode(), later.order, later.version)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["entry", "resource", "response", "status", "location", "id", "identifier", "issue", "meta",
                             "details", "outcome", "system", "value", "resourceType", "versionId"]), inner, max_size=5
        )
    ),
    max_leaves=20,
)  # fmt: skip


@given(JSON, st.sampled_from(["searchset", "transaction-response"]))
def test_no_json_breaks_the_reader(inner: Any, kind: str) -> None:
    entries = inner if isinstance(inner, list) else [inner] * len(SENT["entry"])
    document = json.dumps({"resourceType": "Bundle", "type": kind, "entry": entries}).encode()
    with suppress(AnswerError, AmbiguousError):
        stored_report(document, WHAT.order)
    with suppress(AnswerError, EntryError):
        report_place(document, SENT)
    with suppress(AnswerError):
        is_kept(json.dumps(inner).encode(), WHAT.order, WHAT.version)
    assert isinstance(issues_of(inner), str)
