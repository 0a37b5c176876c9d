"""The ORU^R01 that a study's results become: what it says, and that two other libraries read the same out of it."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import hl7
import pytest
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message

from cathrt.runtime.alert import NOTICE, WATERMARK
from cathrt.runtime.objects.hl7.result_message import Correspondents, control_id, result_message
from cathrt.runtime.objects.hl7.text import CHARSETS
from cathrt.runtime.objects.results import Decision, KeyFrame, StudyResults
from cathrt.runtime.objects.said import PatientUnknownError
from tests.objects.made_results import drafted, finding, made_results, made_run, read
from tests.passes import draft

RECORD = "5f0a3c9e-8a2f-5c55-9a43-0d6a1d1f7a10"
BETWEEN = Correspondents("CATH|LAB", "EHR", "HOSP^1", "WARD", names=False, processing="T", charset="UNICODE UTF-8")
NAMED = replace(BETWEEN, names=True)
JIS = replace(NAMED, charset="ISO IR87")


def text(results: StudyResults, between: Correspondents = BETWEEN) -> str:
    return result_message(results, RECORD, between).decode(CHARSETS[between.charset].codec)


def parsed(results: StudyResults, between: Correspondents = BETWEEN) -> Any:
    return hl7.parse(text(results, between))


def observations(results: StudyResults) -> list[tuple[str, str, str, str]]:
    """Code, part, value and status of each OBX."""
    return [(str(one[3][0][0]), str(one[4]), str(one[5]), str(one[11])) for one in parsed(results)["OBX"]]


def decided(what: Any) -> StudyResults:
    return drafted(made_results()).decided(
        Decision(what, "Dr. X", datetime(2026, 12, 1, 9, 0, tzinfo=UTC), "no\nartery")
    )


SORTS = {
    "runs": made_results(runs=3),
    "draft": drafted(made_results()),
    "withheld": replace(made_results(), draft=draft(1, withheld="time ran out")),
    "unknown": made_results(evidence=(made_run(frames=(), laterality="unknown", flags=("interrupted",)),)),
    "readability": made_results(evidence=(made_run(key_frames=(KeyFrame(7, 0.61, 0.61),)),)),
    "reading": read(
        made_results(), finding(), finding("dominance", form="category", value=0.8, unit="", label="right")
    ),
    "rejected": decided("rejected"),
    "no issuer": made_results(patient={"PatientID": "7|8^9"}),
}


@pytest.mark.parametrize("between", [BETWEEN, NAMED, JIS], ids=["identifier", "names", "names in JIS"])
@pytest.mark.parametrize("sort", SORTS)
def test_hl7apy_takes_each_message_at_its_strict_level(sort: str, between: Correspondents) -> None:
    # It reads each OBX-5 as ST with at most 199 characters, whatever OBX-2 says: longer texts are cut for it.
    cut = re.sub(r"(?m)^(OBX\|\d+\|FT\|[^|]*\|[^|]*\|)[^|]*", r"\1text", text(SORTS[sort], between).replace("\r", "\n"))
    message = parse_message(cut.replace("\n", "\r"), validation_level=VALIDATION_LEVEL.STRICT)
    assert message.validate()
    assert message.msh.msh_9.to_er7() == "ORU^R01^ORU_R01"
    assert message.msh.msh_12.to_er7() == "2.5.1"


@pytest.mark.parametrize("sort", SORTS)
def test_every_result_is_preliminary_and_none_is_final(sort: str) -> None:
    message = parsed(SORTS[sort])
    assert str(message["OBR"][0][25]) == "P"
    statuses = {status for _, _, _, status in observations(SORTS[sort])}
    assert statuses == ({"P"} if sort != "rejected" else {"P", "D"})


def test_the_notice_is_the_first_note_of_the_order_and_of_each_finding() -> None:
    message = parsed(SORTS["draft"])
    names = [str(segment[0]) for segment in message]
    first = [place for place, name in enumerate(names) if name == "NTE" and names[place - 1] in ("OBR", "OBX")]
    assert len(first) == 5  # the order, two runs, a draft in two languages
    assert {str(message[place][3]) for place in first} == {NOTICE}


def test_two_runs_and_their_key_frames_are_told_apart_by_parts_that_stay_the_same() -> None:
    one, two = observations(made_results()), observations(made_results(revision=2, runs=3))
    assert set(one) <= set(two)
    keys = [(code, part) for code, part, _, _ in two]
    assert len(set(keys)) == len(keys)
    assert [value for code, _, value, _ in one if code == "121190"] == ["12", "40", "12", "40"]
    assert {len(part) <= 20 for _, part in keys} == {True}


def test_each_revision_has_the_number_of_the_first_and_says_that_it_replaces_it() -> None:
    first, second = parsed(made_results()), parsed(made_results(revision=2))
    assert str(first["OBR"][0][3]) == str(second["OBR"][0][3])
    assert "Revision 2, preliminary. It takes the place of what was sent before" in str(second["NTE"][1][3])


def test_the_same_results_are_the_same_bytes_and_another_record_has_another_control_id() -> None:
    results = drafted(made_results())
    assert result_message(results, RECORD, BETWEEN) == result_message(drafted(made_results()), RECORD, BETWEEN)
    assert str(parsed(results)["MSH"][0][10]) == control_id(RECORD)
    assert len(control_id(RECORD)) == 20
    assert control_id("another") != control_id(RECORD)


def test_separators_in_what_others_wrote_stay_text() -> None:
    message = parsed(SORTS["no issuer"])
    assert message.unescape(str(message["PID"][0][3][0][0])) == "7|8^9"
    assert message.unescape(str(message["MSH"][0][4])) == "CATH|LAB"
    order = parsed(made_results())
    assert order.unescape(str(order["OBR"][0][18])) == "A&B^1"


def test_without_leave_only_the_identifier_of_the_patient_is_sent() -> None:
    message = text(drafted(made_results()))
    assert "|P-1.2.3^^^HOSPITAL^PI|" in message
    for private in ("Yamada", "山田", "やまだ", "1950"):
        assert private not in message


def test_a_name_comes_in_its_three_groups() -> None:
    name = parsed(made_results(), NAMED)["PID"][0][5]
    assert [str(one) for one in name] == [
        "Yamada^Tarou^^^^^L^A", "山田^太郎^^^^^L^I", "やまだ^たろう^^^^^L^P",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["", "^^^Dr", "Yamada^\N{REPLACEMENT CHARACTER}"])
def test_a_name_that_is_none_or_cannot_be_read_is_unspecified(name: str) -> None:
    results = made_results(patient={"PatientID": "1", "PatientName": name})
    assert str(parsed(results, NAMED)["PID"][0][5]) == "^^^^^^U"


def test_prefix_and_suffix_change_places() -> None:
    results = made_results(patient={"PatientID": "1", "PatientName": "Smith^Ann^B^Dr^Jr"})
    assert str(parsed(results, NAMED)["PID"][0][5]) == "Smith^Ann^B^Jr^Dr^^L^A"


def test_results_of_nobody_are_refused() -> None:
    with pytest.raises(PatientUnknownError, match="nobody can tell whose results"):
        text(made_results(patient={}))


def test_a_draft_comes_in_both_languages_line_by_line() -> None:
    found = {part: value for code, part, value, _ in observations(SORTS["draft"]) if code == "18745-0"}
    assert found["en"].split("\\.br\\") == [WATERMARK, NOTICE, "", "There is a 75% stenosis in the LAD."]
    assert found["ja"].endswith("左前下行枝に75%狭窄を認める。")


def test_what_a_person_has_rejected_is_deleted_part_by_part() -> None:
    before, after = observations(drafted(made_results())), observations(SORTS["rejected"])
    assert [one[:3] for one in before] == [one[:3] for one in after]
    kept = {code for code, _, _, status in after if status == "P"}
    assert kept == {"110180", "record-id"}
    notes = [str(note[3]) for note in parsed(SORTS["rejected"])["NTE"]]
    assert "rejected by Dr. X at 2026-12-01T09:00:00+00:00: no\\.br\\artery" in notes


def test_who_has_computed_it_stands_beside_each_value() -> None:
    message = parsed(made_results(evidence=(made_run(),)))
    by = {str(one[18][0][0]) for one in message["OBX"] if len(one) > 18}
    assert by == {"ab" * 32}


def test_answers_of_the_whole_study_keep_their_form() -> None:
    amount, category = parsed(SORTS["reading"])["OBX"][-2:]
    assert [str(amount[place]) for place in (2, 5, 6)] == ["NM", "71.25", "%^percent^UCUM"]
    assert [str(category[place]) for place in (2, 5)] == ["ST", "right"]
