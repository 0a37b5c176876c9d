"""Runs over the API: the list, one run in full, its frames by a confined decoder; what is missing says why."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from cathrt.runtime.frame import Grayscale
from cathrt.runtime.pictures.grey import stretch_of, table_of
from cathrt.runtime.processes.state_folder import StateFolder
from cathrt.runtime.web.runs import routes as runs_routes
from tests.passes import alert, start, write
from tests.study.confirming import Sender
from tests.web.runs.stored_runs import (
    FRAMES,
    LIVE,
    STUDY,
    UIDS,
    confirmed_run,
    frames_of,
    runs_page,
    state_with_runs,
    stored_pixels,
)
from tests.web.serving import Client, Served

RUN, LIVE_RUN = start(UIDS[0]).run_id, start(LIVE).run_id


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> StateFolder:
    return state_with_runs(tmp_path_factory.mktemp("runs") / "state")


@pytest.fixture(scope="module")
def page(state: StateFolder) -> Iterator[Served]:
    with runs_page(state) as found:
        yield found


@pytest.fixture(scope="module")
def viewer(page: Served) -> Client:
    return page.client("viewer")


def test_runs_of_both_journals_are_listed_the_newest_first(viewer: Client) -> None:
    answer = viewer.get("/api/runs")
    assert answer.status == 200, answer.body
    found = answer.json
    runs = found["runs"]
    assert found["next"] is None
    assert {(run["journal"], run["result"], run["source"]) for run in runs} == {
        ("study", "confirmed", UIDS[0]),
        ("study", "confirmed", UIDS[1]),
        ("live", "live", LIVE),
    }
    assert [run["began_at"] for run in runs] == sorted((run["began_at"] for run in runs), reverse=True)
    received = next(run for run in runs if run["source"] == UIDS[0])
    assert received["verdicts"] == {"MET": 2, "LATE": 1, "DROPPED": 1, "FAILED": 1, "DUPLICATE": 0}
    assert (received["alerts"], received["frames"], received["state"]) == (1, FRAMES, "complete")
    assert received["view"] == {"primary_deg": -30.0, "secondary_deg": None, "text": "RAO 30°"}
    assert received["results"][0]["marked_frames"] == [9]
    assert received["results"][0]["cautions"] == []
    assert received["study_uid"] == STUDY
    assert received["pixels"] == {"stored": True, "why": "", "why_ja": ""}


def test_a_live_run_says_why_it_has_no_pixels(viewer: Client) -> None:
    (run,) = viewer.get("/api/runs?journal=live").json["runs"]
    assert run["pixels"]["stored"] is False
    assert "not stored" in run["pixels"]["why"]
    assert run["pixels"]["why_ja"]
    answer = viewer.get(f"/api/runs/{LIVE_RUN}/frames")
    assert (answer.status, "not stored" in answer.error) == (409, True)


def test_the_list_comes_in_pages_each_run_once(viewer: Client) -> None:
    found, before = [], ""
    for _ in range(5):
        page = viewer.get(f"/api/runs?limit=1{before}").json
        found += [run["run_id"] for run in page["runs"]]
        if page["next"] is None:
            break
        before = f"&before={page['next']}"
    assert sorted(found) == sorted({LIVE_RUN, *(start(uid).run_id for uid in UIDS)})


def test_one_run_has_an_entry_for_each_frame(viewer: Client) -> None:
    run = viewer.get(f"/api/runs/{RUN}").json
    assert (run["outcomes"], len(run["end_to_end_ms"])) == ("MLDFM", FRAMES)
    (model,) = run["models"]
    assert model["columns"]["score"] == [0.0, 0.1, None, None, 0.4]
    assert model["columns"]["laterality"] == ["left", "left", None, None, "left"]
    assert [one["record"]["frame_index"] for one in run["alert_records"]] == [0]
    assert run["marked"] == [{"kind": model["kind"], "rank": 1, "frame_index": 9, "score": 0.9}]
    assert [(one["frame_index"], one["outcome"]) for one in run["not_judged"]] == [(2, "DROPPED"), (3, "FAILED")]
    assert run["passes"] == [{"journal": "study", "pass_id": start(UIDS[0]).pass_id}]
    assert run["truncated"] is False
    assert viewer.get(f"/api/runs/{RUN}?pass_id={start(UIDS[0]).pass_id}").json == run
    assert viewer.get(f"/api/runs/{RUN}?pass_id={start(UIDS[1]).pass_id}").status == 404


def test_the_frames_of_a_run_are_those_of_its_object(viewer: Client) -> None:
    header, found = frames_of(viewer.get(f"/api/runs/{RUN}/frames?first=1&count=3"))
    pixels = stored_pixels()
    window = stretch_of(pixels[0], Grayscale(10))
    np.testing.assert_array_equal(found, table_of(Grayscale(10), window)[pixels[1:4]])
    assert [frame["index"] for frame in header["frames"]] == [1, 2, 3]
    assert (header["next"], header["frame_count"], header["bits_stored"], header["relationship"]) == (4, 5, 10, "LIN")
    assert header["notice"]
    assert header["notice_ja"]


def test_looks_are_asked_for_by_parameters(viewer: Client) -> None:
    asked = "subtract=0-1&noise=0.5&clahe=2&center=2048&width=500&shift_rows=0.5&max_side=32"
    header, found = frames_of(viewer.get(f"/api/runs/{RUN}/frames?{asked}"))
    assert found.shape == (FRAMES, 16, 24)
    assert header["window"]["of"] == "asked"


@pytest.mark.parametrize(
    "query",
    [
        "first=-1",
        "first=5",
        "count=0",
        "count=65",
        "center=5",
        "width=5",
        "center=5&width=0.5",
        "center=nan&width=5",
        "noise=1.5",
        "noise=-0.1",
        "clahe=9",
        "clahe=inf",
        "subtract=x",
        "subtract=3-1",
        "subtract=0-16",
        "subtract=9",
        "shift_rows=21",
        "max_side=5",
        "max_side=5000",
        "unknown=1",
    ],
)
def test_parameters_out_of_bounds_are_refused(viewer: Client, query: str) -> None:
    answer = viewer.get(f"/api/runs/{RUN}/frames?{query}")
    assert answer.status == 400
    assert any(word in answer.error for word in ("found", "expected", "unknown"))


def test_what_is_no_run_is_refused(viewer: Client) -> None:
    for path in ("/api/runs/none", "/api/runs/none/frames", f"/api/runs/{RUN}/frames?pass_id=none"):
        assert viewer.get(path).status == 404
    for query in ("limit=0", "limit=201", "before=x", "before=study:-1", "journal=gateway"):
        assert viewer.get(f"/api/runs?{query}").status == 400


def test_nobody_sees_runs_without_a_session(page: Served) -> None:
    for path in ("/api/runs", f"/api/runs/{RUN}", f"/api/runs/{RUN}/frames"):
        assert page.client().get(path).status == 401


def test_every_view_of_a_run_is_audited_with_its_study(page: Served, viewer: Client, state: StateFolder) -> None:
    viewer.get(f"/api/runs/{RUN}")
    told = (state.path / "audit.xml").read_text(encoding="utf-8")
    assert STUDY in told
    assert "viewer" in told


def test_more_batches_than_there_may_be_are_refused_for_a_moment(
    viewer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs_routes, "MOST_BATCHES", 0)
    answer = viewer.get(f"/api/runs/{RUN}/frames")
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")


def test_runs_that_go_on_or_were_cut_short_say_so_and_objects_that_are_gone_too(tmp_path: Path) -> None:
    state = StateFolder(tmp_path / "state")
    state.store.mkdir(parents=True)
    with closing(Sender(state.store)):
        pass
    records = [*confirmed_run("1.2.3.5", ended=False), *confirmed_run("folder 1 file 00", ended=False)]
    write(state.study_journal, records)
    with runs_page(state) as page:
        client = page.client("viewer")
        runs = {run["source"]: run for run in client.get("/api/runs").json["runs"]}
        cut, judging = runs["1.2.3.5"], runs["folder 1 file 00"]
        assert (cut["state"], judging["state"]) == ("cut_short", "judging")
        assert (cut["results"], cut["view"], cut["frames"]) == ([], None, FRAMES)
        assert "not stored any more" in cut["pixels"]["why"]
        assert "watched folder" in judging["pixels"]["why"]
        assert client.get(f"/api/runs/{cut['run_id']}/frames").status == 409


def test_there_are_no_runs_where_there_is_no_journal_yet(tmp_path: Path) -> None:
    with runs_page(StateFolder(tmp_path)) as page:
        assert page.client("viewer").get("/api/runs").json == {"runs": [], "next": None}


def test_a_journal_that_cannot_be_read_is_an_error_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "study.journal").write_bytes(b"no journal" * 500)
    with runs_page(StateFolder(tmp_path)) as page:
        answer = page.client("viewer").get("/api/runs")
    assert answer.status == 503
    assert "study.journal" in answer.error


def test_an_object_that_is_no_run_any_more_is_refused_with_the_reason(tmp_path: Path) -> None:
    state = StateFolder(tmp_path / "state")
    state.store.mkdir(parents=True)
    with closing(Sender(state.store)) as sender:
        sender.send("1.2.3.6", b"this is no DICOM file" * 100)
    write(state.study_journal, [*confirmed_run("1.2.3.6"), alert(1, "1.2.3.6")])
    with runs_page(state) as page:
        answer = page.client("viewer").get(f"/api/runs/{start('1.2.3.6').run_id}/frames")
    assert answer.status == 409
    assert "cannot be read" in answer.error
