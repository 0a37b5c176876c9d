"""The transaction that a study's results become: what it says, and that other programs take it for FHIR."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, get_args

import fhir.resources.bundle
import fhir.resources.R4B.bundle
import pytest

from cathrt.runtime.alert import NOTICE, WATERMARK_JA
from cathrt.runtime.objects.fhir.elements import Element, Release
from cathrt.runtime.objects.fhir.transaction import Stored, prepared, transaction
from cathrt.runtime.objects.results import Decision, KeyFrame, StudyResults
from cathrt.runtime.objects.said import PatientUnknownError
from tests.conftest import ROOT
from tests.objects.made_results import drafted, finding, made_results, made_run, read
from tests.passes import draft

RECORD = "5f0a3c9e-8a2f-5c55-9a43-0d6a1d1f7a10"
SYSTEM = "urn:oid:1.2.392.200250.51"
RELEASES = get_args(Release)
VALIDATOR = ROOT / "build" / "npm"  # filled by the first test that needs it


def bundle(results: StudyResults, release: Release = "R4", stored: Stored | None = None) -> Element:
    return transaction(prepared(results, SYSTEM, release), stored, RECORD)


def resources(document: Element, kind: str) -> list[Element]:
    return [entry["resource"] for entry in document["entry"] if entry["resource"]["resourceType"] == kind]


def every(document: Any) -> Iterator[tuple[str, Any]]:
    """Each key and what is under it, at every depth."""
    if isinstance(document, dict):
        for key, value in document.items():
            yield key, value
            yield from every(value)
    if isinstance(document, list):
        for value in document:
            yield from every(value)


def decided(what: Any) -> StudyResults:
    at = datetime(2026, 12, 1, 9, 0, tzinfo=UTC)
    return drafted(made_results()).decided(Decision(what, "Dr. X", at, "seen <b>"))


def of_all_sorts() -> dict[str, StudyResults]:
    """Studies of every kind that documents have to say something about."""
    readable = made_run(3, frames=())
    readable = replace(readable, key_frames=(KeyFrame(7, 0.61, 0.61),), flags=("interrupted",))
    return {
        "runs": made_results(runs=3),
        "draft": drafted(made_results()),
        "withheld": replace(made_results(), draft=draft(1, withheld="time ran out")),
        "no key frame": made_results(evidence=(made_run(frames=(), laterality="unknown"),)),
        "readability, flags": made_results(evidence=(readable,), unjudged=2),
        "reading": read(
            made_results(),
            finding(),
            finding("cto", form="probability", value=0.031, unit="", label="", label_ja=""),
            finding("dominance", form="category", value=0.83, unit="", label="right dominant", label_ja="右優位"),
        ),
        "accepted": decided("accepted"),
        "rejected": decided("rejected"),
        "no issuer": made_results(patient={"PatientID": "7"}),
    }


SORTS = of_all_sorts()


@pytest.mark.parametrize("sort", SORTS)
def test_fhir_resources_takes_each_transaction(sort: str) -> None:
    fhir.resources.R4B.bundle.Bundle.model_validate(bundle(SORTS[sort], "R4"))
    fhir.resources.bundle.Bundle.model_validate(bundle(SORTS[sort], "R5"))


@pytest.fixture(scope="module")
def node_validator(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Element], dict[str, Any]]:
    """The npm package `fhir`, which has R4's structure definitions."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        pytest.skip("no npm on this machine: R4 is checked by fhir.resources alone")
    if not (VALIDATOR / "node_modules" / "fhir").is_dir():
        VALIDATOR.mkdir(parents=True, exist_ok=True)
        install = [npm, "install", "--no-audit", "--no-fund", "--prefix", str(VALIDATOR), "fhir@4.12.0"]
        installed = subprocess.run(install, capture_output=True, text=True, check=False)
        if installed.returncode:
            pytest.skip(f"npm install fhir failed: R4 is checked by fhir.resources alone: {installed.stderr[-200:]}")
    script = (
        "const {Fhir} = require('fhir'); let text = ''; process.stdin.on('data', part => text += part);"
        "process.stdin.on('end', () => console.log(JSON.stringify("
        "new Fhir().validate(JSON.parse(text), {errorOnUnexpected: true}))))"
    )

    def validate(document: Element) -> dict[str, Any]:
        said = subprocess.run(
            [node, "-e", script], input=json.dumps(document), capture_output=True, text=True, check=True, cwd=VALIDATOR
        )
        answer: dict[str, Any] = json.loads(said.stdout)
        return answer

    return validate


def test_the_node_validator_takes_each_transaction_and_notices_a_fault(
    node_validator: Callable[[Element], dict[str, Any]],
) -> None:
    together = {"resourceType": "Bundle", "type": "collection", "entry": []}
    together["entry"] = [
        {"resource": entry["resource"]} for results in SORTS.values() for entry in bundle(results)["entry"]
    ]
    answer = node_validator(together)
    assert [one for one in answer["messages"] if one["severity"] in ("error", "fatal")] == []
    assert answer["valid"] is True
    del together["entry"][0]["resource"]["status"]
    assert node_validator(together)["valid"] is False


@pytest.mark.parametrize("release", RELEASES)
def test_every_status_is_preliminary_and_none_is_final(release: Release) -> None:
    for results in SORTS.values():
        document = bundle(results, release)
        spoken = [*resources(document, "DiagnosticReport"), *resources(document, "Observation")]
        assert {one["status"] for one in spoken} == {"preliminary"}
        assert not {"final", "amended", "corrected"} & {value for key, value in every(document) if key == "status"}


def test_the_notice_is_in_all_that_a_person_reads_and_all_is_labelled_as_of_ai() -> None:
    document = bundle(SORTS["reading"])
    report = resources(document, "DiagnosticReport")[0]
    assert report["conclusion"].startswith(NOTICE)
    assert NOTICE in report["text"]["div"]
    for one in [*resources(document, "Observation"), *resources(document, "Device")]:
        assert one["note"][0]["text"] == NOTICE
    for kind in ("DiagnosticReport", "Observation", "Provenance"):
        for one in resources(document, kind):
            assert [label["code"] for label in one["meta"]["security"]] == ["AIAST"]


def test_there_is_an_observation_of_each_run_and_each_key_frame() -> None:
    document = bundle(made_results(runs=3))
    codes = Counter(one["code"]["coding"][0]["code"] for one in resources(document, "Observation"))
    assert codes == {"363698007": 3, "113000": 6}
    frames = [
        part["valueInteger"]
        for one in resources(document, "Observation")
        for part in one["component"]
        if part["code"]["coding"][0]["code"] == "121190"
    ]
    assert frames == [12, 40] * 3
    report = resources(document, "DiagnosticReport")[0]
    observed = [entry["fullUrl"] for entry in document["entry"] if entry["resource"]["resourceType"] == "Observation"]
    assert [one["reference"] for one in report["result"]] == observed


def test_the_algorithm_is_a_device_with_the_hash_of_its_manifest_once() -> None:
    document = bundle(made_results(runs=3))
    (device,) = resources(document, "Device")
    assert device["version"][1]["value"] == "ab" * 32
    assert {one["device"]["reference"] for one in resources(document, "Observation")} == {
        entry["fullUrl"] for entry in document["entry"] if entry["resource"]["resourceType"] == "Device"
    }


def test_the_patient_and_the_study_are_named_by_identifiers_alone() -> None:
    text = json.dumps(bundle(drafted(made_results())), ensure_ascii=False)
    for private in ("Yamada", "山田", "やまだ", "1950"):
        assert private not in text
    report = resources(bundle(made_results()), "DiagnosticReport")[0]
    assert report["subject"]["identifier"] == {
        "system": SYSTEM, "value": "P-1.2.3", "assigner": {"display": "HOSPITAL"},
    }  # fmt: skip
    assert report["imagingStudy"][0]["identifier"] == {"system": "urn:dicom:uid", "value": "urn:oid:1.2.3"}


@pytest.mark.parametrize("id_", ["", "  ", "P\N{REPLACEMENT CHARACTER}1"])
def test_results_of_nobody_are_refused(id_: str) -> None:
    with pytest.raises(PatientUnknownError, match="nobody can tell whose results"):
        bundle(made_results(patient={"PatientID": id_}))


@pytest.mark.parametrize("release", RELEASES)
def test_the_same_results_are_the_same_bytes(release: Release) -> None:
    first, again = (bundle(drafted(made_results()), release) for _ in range(2))
    assert json.dumps(first) == json.dumps(again)


def test_everything_is_created_only_where_it_is_not_there_yet() -> None:
    document = bundle(SORTS["reading"], "R5")
    queries = [entry["request"]["ifNoneExist"] for entry in document["entry"]]
    assert len(set(queries)) == len(queries)
    for entry, query in zip(document["entry"], queries, strict=True):
        assert entry["request"]["method"] == "POST"
        pattern = r"_tag=urn:cathrt:provenance\|[0-9a-f-]{36}|identifier=urn:ietf:rfc:3986\|urn:uuid:[0-9a-f-]{36}"
        assert re.fullmatch(pattern, query)
        if query.startswith("identifier"):
            assert query.endswith(entry["fullUrl"])
            assert query.endswith(entry["resource"]["identifier"][0]["value"])


def test_what_a_late_run_leaves_as_it_was_is_the_same_observation() -> None:
    before, after = bundle(made_results(runs=2)), bundle(made_results(revision=2, runs=3))
    old, new = (
        {entry["fullUrl"] for entry in one["entry"] if entry["resource"]["resourceType"] == "Observation"}
        for one in (before, after)
    )
    assert old < new


def test_another_answer_of_the_same_algorithm_is_another_observation() -> None:
    document = bundle(made_results(evidence=(made_run(),)))
    changed = bundle(made_results(evidence=(replace(made_run(), laterality_score=0.5),)))
    assert document["entry"][2]["fullUrl"] != changed["entry"][2]["fullUrl"]


def test_a_report_that_the_server_has_is_replaced_in_the_state_that_was_seen() -> None:
    what = prepared(made_results(revision=2), SYSTEM, "R4")
    document = transaction(what, Stored("77", 'W/"3"', None), RECORD)
    report = document["entry"][0]
    assert report["request"] == {"method": "PUT", "url": "DiagnosticReport/77", "ifMatch": 'W/"3"'}
    assert report["resource"]["id"] == "77"
    assert what.version.is_later_than(prepared(made_results(), SYSTEM, "R4").version)


def test_a_draft_comes_as_attachments_under_its_watermark() -> None:
    report = resources(bundle(SORTS["draft"]), "DiagnosticReport")[0]
    forms = {form["language"]: base64.b64decode(form["data"]).decode() for form in report["presentedForm"]}
    assert forms["ja"].startswith(f"{WATERMARK_JA}\n{NOTICE}\n\n")
    assert "左前下行枝に75%狭窄を認める。" in forms["ja"]
    assert "75% stenosis in the LAD" in forms["en"]
    assert "No draft: time ran out" in resources(bundle(SORTS["withheld"]), "DiagnosticReport")[0]["conclusion"]


def test_what_a_person_has_rejected_is_taken_back() -> None:
    before, after = (resources(bundle(SORTS[sort]), "DiagnosticReport")[0] for sort in ("draft", "rejected"))
    assert "rejected by Dr. X at 2026-12-01T09:00:00+00:00: seen <b>" in after["conclusion"]
    assert "&lt;b&gt;" in after["text"]["div"]
    assert before["result"]
    assert "result" not in after
    assert "presentedForm" not in after
    assert before["identifier"][0] == after["identifier"][0]
    assert {entry["resource"]["resourceType"] for entry in bundle(SORTS["rejected"])["entry"]} == {
        "DiagnosticReport", "Provenance",
    }  # fmt: skip


def test_answers_of_the_whole_study_keep_their_form() -> None:
    amount, chance, category = resources(bundle(SORTS["reading"]), "Observation")[-3:]
    assert amount["valueQuantity"] == {"value": 71.25, "unit": "%", "system": "http://unitsofmeasure.org", "code": "%"}
    assert amount["interpretation"] == [{"text": "significant / 有意狭窄"}]
    assert chance["valueQuantity"]["value"] == 0.031
    assert "interpretation" not in chance
    assert category["valueString"] == "right dominant"
    assert category["component"][0]["valueQuantity"]["value"] == 0.83


def test_r5_has_a_selection_of_frames_that_the_observations_come_from() -> None:
    document = bundle(made_results(evidence=(made_run(),)), "R5")
    (selection,) = resources(document, "ImagingSelection")
    assert selection["instance"][0]["subset"] == ["12", "40"]
    assert (selection["studyUid"], selection["seriesUid"]) == ("1.2.3", "1.2.3.1")
    url = next(e["fullUrl"] for e in document["entry"] if e["resource"]["resourceType"] == "ImagingSelection")
    frames = [one for one in resources(document, "Observation") if one["code"]["coding"][0]["code"] == "113000"]
    assert all(one["derivedFrom"][-1] == {"reference": url} for one in frames)
    report = resources(document, "DiagnosticReport")[0]
    assert "study" in report
    assert "imagingStudy" not in report


def test_the_bundle_names_the_record_that_it_rests_on() -> None:
    assert bundle(made_results())["identifier"]["value"] == f"urn:uuid:{RECORD}"
