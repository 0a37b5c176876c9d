"""GET /api/live, and the latency strip: the same after any restart, and what is absent says why."""

from __future__ import annotations

import json
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cathrt.runtime.alert import LiveUntil, Outcome, Record, Verdict
from cathrt.runtime.config import Config
from cathrt.runtime.journal.lateness import boot
from cathrt.runtime.web.live.absent import absent_parts, kinds_of
from tests.passes import alert, start, summary, verdict, write
from tests.web.live.watching import SOURCES, grey, live_page, ring_of
from tests.web.serving import HEALTHY

NAME = "A 12:00:01"
OUTCOMES = (Outcome.MET, Outcome.LATE, Outcome.DROPPED, Outcome.MET)
RUNNING = {"name": "live", "reasons": [], "state": "running"}
JUDGING = {"live_ai": True, "since_ns": 0, "rung": 0, "rungs": 1, "engine": "openvino", "reason": "start", "detail": ""}


def live_run(now_ns: int, *, ended: bool = True) -> list[Record]:
    """A run of source A whose frames came in the last second, with one alert that is still live and one that is not."""
    started = replace(start(NAME), source=NAME, rate="live")
    verdicts: list[Verdict] = [
        replace(verdict(index, NAME, outcome, 10.0 + index), acquired_ns=now_ns - 10**9 + index * 10**8)
        for index, outcome in enumerate(OUTCOMES)
    ]
    late, live = (
        replace(alert(index, NAME), late=False, live_until=LiveUntil(boot(), now_ns + ahead_ns))
        for index, ahead_ns in ((0, -1), (3, 3600 * 10**9))
    )
    end = [replace(summary(verdicts, NAME), source=NAME)] if ended else []
    return [started, *verdicts, late, live, *end]


def health(**own: Any) -> dict[str, Any]:
    sources = [{"name": "A", "picture_age_s": 0.1, "verdict_age_s": 0.2, "counts": {"received": 3}} | own]
    return HEALTHY | {"processes": [RUNNING], "sources": sources}


def test_a_source_says_what_it_shows_what_judges_it_and_what_was_said(tmp_path: Path) -> None:
    write(tmp_path / "live.journal", live_run(time.monotonic_ns()))
    with closing(ring_of(tmp_path)) as ring:
        ring.put(grey(1, 77, (20, 30)))
    for _restart in range(2):
        with live_page(tmp_path, health=health, engines=lambda: {"A": {"k": JUDGING}}) as page:
            found = page.client("viewer").get("/api/live").json
        source, other = found["sources"]
        assert (source["state"], source["live_ai"], other["state"]) == ("picture", True, "not_running")
        assert (source["picture"]["rows"], source["picture"]["columns"], source["picture"]["captured_ns"]) == (
            20,
            30,
            77,
        )
        assert source["engines"][0]["engine"] == "openvino"
        assert source["run"] == {
            "run_id": start(NAME).run_id,
            "pass_id": start(NAME).pass_id,
            "source": NAME,
            "frames": 4,
            "ended": True,
        }
        assert [one["record"]["late"] for one in source["alerts"]] == [True, False]
        assert all(one["at"] for one in source["alerts"])
        assert other["alerts"] == []
        assert {one["part"] for one in found["absent"]} >= {"study_bundle", "report_bundle", "quality_model"}


def test_a_run_that_goes_on_is_counted_by_its_verdicts(tmp_path: Path) -> None:
    write(tmp_path / "live.journal", live_run(time.monotonic_ns(), ended=False))
    with live_page(tmp_path, health=health) as page:
        run = page.client("viewer").get("/api/live").json["sources"][0]["run"]
    assert (run["frames"], run["ended"]) == (4, False)


@pytest.mark.parametrize(
    ("engines", "told", "state"),
    [
        ({}, {}, "no_ai"),
        ({"A": {"k": JUDGING | {"live_ai": False}}}, {}, "no_ai"),
        ({"A": {"k": JUDGING}}, {"picture_age_s": None}, "no_picture"),
        ({"A": {"k": JUDGING}}, {"picture_age_s": 99.0}, "no_signal"),
    ],
)
def test_the_worst_of_a_source_is_what_is_said_of_it(
    tmp_path: Path, engines: dict[str, Any], told: dict[str, Any], state: str
) -> None:
    with live_page(tmp_path, health=lambda: health(**told), engines=lambda: engines) as page:
        source = page.client("viewer").get("/api/live").json["sources"][0]
    assert source["state"] == state
    assert source["text"]
    assert source["text_ja"]


def test_a_journal_that_cannot_be_read_is_a_reason_and_no_error(tmp_path: Path) -> None:
    (tmp_path / "live.journal").write_bytes(b"no journal" * 1000)
    with live_page(tmp_path, health=health) as page:
        answer = page.client("viewer").get("/api/live")
    assert answer.status == 200
    assert answer.json["health"]["healthy"] is False
    assert any("live.journal" in reason for reason in answer.json["health"]["reasons"])


def test_an_events_place_of_the_overview_leaves_no_gap(tmp_path: Path) -> None:
    write(tmp_path / "live.journal", live_run(time.monotonic_ns()))
    with live_page(tmp_path, health=health) as page:
        place = page.client("viewer").get("/api/live").json["events_after"]
    assert place.startswith("live:8-")
    assert ",study:0-" in place


def test_the_latency_strip_has_every_frame_of_the_source_in_order(tmp_path: Path) -> None:
    now_ns = time.monotonic_ns()
    write(tmp_path / "live.journal", live_run(now_ns))
    with live_page(tmp_path) as page:
        client = page.client("viewer")
        found, other = (client.get(f"/api/live/{name}/latency?seconds=600").json for name in "AB")
        old = client.get("/api/live/A/latency?seconds=1").json
        assert client.get("/api/live/A/latency?seconds=0").status == 400
        assert client.get("/api/live/C/latency").status == 404
    assert [point[1:] for point in found["points"]] == [
        [10.0 + index, outcome.value, index] for index, outcome in enumerate(OUTCOMES)
    ]
    assert [point[0] for point in found["points"]] == sorted(point[0] for point in found["points"])
    assert (found["judged"], found["late"], found["dropped"], found["p50_ms"]) == (3, 1, 1, 11.0)
    assert found["budget_ms"] == pytest.approx(1000.0 / 15.0)
    assert (other["points"], other["p99_ms"]) == ([], None)
    assert len(old["points"]) < len(found["points"]) or time.monotonic_ns() - now_ns < 10**8


def test_what_is_absent_follows_from_the_bundles_that_were_given(tmp_path: Path) -> None:
    def parts(config: Config, *kinds: str) -> set[str]:
        return {one.part for one in absent_parts(config, kinds)}

    assert parts(Config()) == {"live_sources", "study_bundle", "report_bundle", "quality_model"}
    assert parts(Config(sources=SOURCES), "study", "report") == {"quality_model"}
    for name, content in (("a", {"model": {"kind": "study"}}), ("b", {}), ("c", None)):
        (tmp_path / name).mkdir()
        if content is not None:
            (tmp_path / name / "manifest.json").write_text(json.dumps(content))
    assert kinds_of([tmp_path / name for name in "abcd"]) == {"study"}
