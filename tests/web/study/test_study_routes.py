"""Studies and decisions by the page's API: what is shown and audited, who may decide, repeats and conflicts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cathrt.runtime.decisions.book import DecisionBook
from cathrt.runtime.decisions.confirmed import ConfirmedStudies
from cathrt.runtime.decisions.desk import DecisionDesk
from cathrt.runtime.journal.report import verify_journal
from cathrt.runtime.listener.store_reader import StoreReader
from cathrt.runtime.models import record_parts
from cathrt.runtime.processes.state_folder import StateFolder
from cathrt.runtime.web.study.routes import routes
from tests.decisions.deciding import STUDY, state_with_study
from tests.passes import AT_ONCE, rows
from tests.web.serving import Answer, Client, served

STUDY_PATH = f"/api/studies/{STUDY.replace(' ', '%20')}"


@dataclass
class Open:
    """A page with studies alone. client: an operator."""

    state: StateFolder
    served: Any
    client: Client

    @property
    def study(self) -> Any:
        """The study as the page shows it now."""
        return self.client.get(STUDY_PATH).json

    def decide(self, told: Any, what: str = "accepted", correction: Any = None, **given: Any) -> Answer:
        """Send a decision about a thing of the answer as it is."""
        body = {
            "id": given.pop("id", f"decision {json.dumps(told['thing'])[:40]} {what}"),
            "study": STUDY,
            "revision": 1,
            "thing": told["thing"],
            "what": what,
            "correction": correction,
            "shown": told["shown"],
            "follows": told["follows"],
            "text": "",
        }
        client: Client = given.pop("client", self.client)
        return client.post("/api/decisions", body | given)


@contextmanager
def opened(state: StateFolder) -> Iterator[Open]:
    with closing(DecisionBook(state.gateway_journal, AT_ONCE)) as book:
        desk = DecisionDesk(book, ConfirmedStudies(state.study_journal, StoreReader(state.store)))
        with served(state.path, parts=(routes,), desk=desk) as page:
            yield Open(state, page, page.client("operator"))


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Open]:
    """One page for tests that only look."""
    with opened(state_with_study(tmp_path_factory.mktemp("shown") / "state")) as made:
        yield made


@pytest.fixture
def on(tmp_path: Path) -> Iterator[Open]:
    with opened(state_with_study(tmp_path / "state")) as made:
        yield made


def test_the_list_has_each_study_and_nothing_of_a_patient(shown: Open) -> None:
    answer = shown.served.client("viewer").get("/api/studies")
    (row,) = answer.json["studies"]
    assert (row["study"], row["revision"], row["ended"], row["draft"], row["review"]) == (
        STUDY, 1, True, "written", "none",
    )  # fmt: skip
    assert (row["runs"], row["text_ja"]) == (len(shown.study["runs"]), f"{row['runs']}ラン、検査終了")
    for text in ("Yamada", "山田", "P00003", "A3"):
        assert text.encode() not in answer.body


def test_a_study_has_its_patient_findings_and_draft_and_is_audited(shown: Open) -> None:
    found = shown.study
    assert (found["patient"]["name"], found["patient"]["name_ideographic"]) == ("Yamada^Tarou", "山田^太郎")
    assert (found["patient"]["id"], found["patient"]["accession_number"]) == ("P00003", "A3")
    assert [row["name"] for row in found["findings"]] == ["lad_mid_stenosis", "lad_mid_cto", "dominance"]
    assert found["runs"][0]["side"]["state"] == "undecided"
    assert all(key["by"] == "model" and key["now"] == key["frame_index"] for key in found["runs"][0]["key_frames"])
    assert (found["review"]["can_finish"], found["review"]["why_ja"]) == (False, "まだ何も判定されていません")
    audit = (shown.state.path / "audit.xml").read_text()
    assert "operator" in audit
    assert "山田" not in audit


def test_sentences_of_both_languages_meet_at_the_facts_that_they_state(shown: Open) -> None:
    draft = shown.study["draft"]
    english, japanese = draft["sentences"]
    assert (english["language"], japanese["language"]) == ("en", "ja")
    assert english["facts"] == japanese["facts"] == [1]
    fact = draft["facts"][1]
    assert (fact["number"], fact["side"], fact["artery"], fact["segment"]) == (1, "left", "lad", "6")
    assert [one["frame_index"] for one in fact["frames"]] == [9]
    assert {one["finding"] for one in fact["findings"]} == {"lad_mid_stenosis", "lad_mid_cto"}
    assert draft["text"][english["start"] : english["end"]] == english["text"]


def test_what_is_absent_says_why_in_both_languages(tmp_path: Path) -> None:
    state = state_with_study(tmp_path / "state", "ended", read=False)
    for path in (state.store / "objects").rglob("*.dcm"):
        path.unlink()
    with opened(state) as made:
        found = made.study
    assert (found["patient"], found["draft"], found["findings"]) == (None, None, [])
    absent = {one["part"]: one for one in found["absent"]}
    assert absent.keys() == {"patient", "draft", "readings"}
    assert all(one["why"] and one["why_ja"] for one in absent.values())
    assert "No bundle that writes drafts was given" in absent["draft"]["why"]


def test_who_may_not_decide_is_turned_away_and_nothing_is_written(on: Open) -> None:
    frame, before = on.study["runs"][0]["key_frames"][0], rows(on.state.gateway_journal)
    assert on.decide(frame, client=on.served.client("viewer")).status == 403
    assert on.decide(frame, client=on.served.client()).status == 401
    assert on.served.client().get(STUDY_PATH).status == 401
    viewer = on.served.client("viewer")
    assert viewer.post("/api/signoffs", {}).status == 403
    assert viewer.post("/api/reviews", {}).status == 403
    assert rows(on.state.gateway_journal) == before


def test_a_decision_is_stored_shown_and_repeated_without_a_change(on: Open) -> None:
    frame = on.study["runs"][0]["key_frames"][0]
    first = on.decide(frame, "rejected", text="造影不良", id="decision 1")
    assert (first.status, first.json["repeated"]) == (201, False)
    assert first.json["decision"]["in_words_ja"].endswith("を却下")
    assert (first.json["decision"]["by"], first.json["decision"]["text"]) == ("operator", "造影不良")
    again = on.decide(frame, "rejected", text="造影不良", id="decision 1")
    assert (again.status, again.json["repeated"]) == (200, True)
    assert again.json["decision"] == first.json["decision"]
    now = on.study["runs"][0]["key_frames"][0]
    assert (now["state"], now["now"], now["decision"]) == ("rejected", None, first.json["decision"]["id"])
    (told,) = on.study["decisions"]
    assert (told["stands"], told["counts"], told["of_earlier_revision"]) == (True, True, False)


def test_each_correction_is_shown(on: Open) -> None:
    run, findings = on.study["runs"][0], on.study["findings"]
    marked = {key["frame_index"] for key in run["key_frames"]}
    free = next(index for index in range(run["frames"]) if index not in marked)
    added = {
        "thing": {**run["key_frames"][0]["thing"], "frame_index": free}, "shown": run["add"]["shown"], "follows": None,
    }  # fmt: skip
    assert on.decide(added, "corrected", {"added": True}).status == 201
    assert on.decide(run["side"], "corrected", {"side": "unknown"}).status == 201
    assert on.decide(findings[0], "corrected", {"value": 30.0}).status == 201
    assert on.decide(findings[1], "rejected").status == 201
    found = on.study
    person = found["runs"][0]["key_frames"][-1]
    assert (person["by"], person["state"], person["frame_index"], person["rank"]) == ("person", "added", free, None)
    assert (found["runs"][0]["side"]["now"], found["runs"][0]["side"]["state"]) == ("unknown", "corrected")
    assert found["findings"][0]["now"]["value"] == 30.0
    assert found["findings"][0]["value"] == 71.25  # what the model said stays
    assert (found["findings"][1]["now"], found["findings"][1]["state"]) == (None, "rejected")
    assert [one["thing"]["kind"] for one in found["decisions"]] == ["key_frame", "side", "finding", "finding"]


def test_two_people_on_one_thing_and_what_does_not_fit(on: Open) -> None:
    frame = on.study["runs"][0]["key_frames"][0]
    assert on.decide(frame, "rejected", id="decision 1").status == 201
    second = on.decide(frame, "accepted", id="decision 2", client=on.served.client("admin"))
    assert second.status == 409
    assert "decided about meanwhile by operator" in second.error
    assert on.decide(on.study["results"], "corrected", {"value": 1.0}).status == 422
    assert on.decide(frame, id="decision 3", study="another").status == 404
    assert on.decide(frame, id="decision 4", shown=["another"]).status == 409
    wrongs: list[dict[str, Any]] = [{"thing": {"kind": "x"}}, {"shown": "x"}, {"more": 1}, {"id": ""}, {"follows": 1}]
    for wrong in wrongs:
        assert on.decide(frame, **{"id": "decision 5", **wrong}).status == 400
    assert len(on.study["decisions"]) == 1


def test_a_review_is_finished_with_what_was_shown_and_once(on: Open) -> None:
    draft = on.study["draft"]
    signature = {
        "id": "signature 1", "study": STUDY, "revision": 1, "draft": draft["record_id"],
        "text_sha256": draft["text_sha256"], "text_ja_sha256": draft["text_ja_sha256"],
    }  # fmt: skip
    assert on.client.post("/api/signoffs", signature | {"text_sha256": "0" * 64}).status == 409
    assert on.client.post("/api/signoffs", signature).status == 201
    assert on.client.post("/api/signoffs", signature).status == 200
    assert on.study["draft"]["signoff"]["by"] == "operator"
    stale = {key: on.study["review"][key] for key in ("decisions", "signoffs", "shown", "follows")}
    assert on.decide(on.study["results"]).status == 201
    about = {"id": "review 01", "study": STUDY, "revision": 1, "text": "確認"}
    assert on.client.post("/api/reviews", about | stale).status == 409
    due = {key: on.study["review"][key] for key in stale}
    done = on.client.post("/api/reviews", about | due)
    assert (done.status, done.json["review"]["what"]) == (201, "accepted")
    assert on.client.post("/api/reviews", about | due).status == 200
    found = on.study
    assert (found["review"]["can_finish"], found["review"]["why"]) == (False, "nothing is new since the last review")
    assert [one["text"] for one in found["reviews"]] == ["確認"]
    (row,) = on.client.get("/api/studies").json["studies"]
    assert (row["review"], row["decisions"]) == ("finished", 1)
    report = verify_journal(on.state.gateway_journal, record_parts())
    assert (report.decisions, report.signoffs, report.reviews, report.sound) == (1, 1, 1, True)


def test_decisions_are_there_when_the_page_comes_back(on: Open) -> None:
    """As after a killed gateway: nothing but the journal is kept."""
    assert on.decide(on.study["runs"][0]["side"], "corrected", {"side": "right"}).status == 201
    before = on.study
    on.served.box.desk.book.close()
    assert on.decide(on.study["results"]).status == 503
    with opened(on.state) as again:
        assert again.study == before
