"""`cathrt trace`: every verdict of the window is there, slices nest, times add up, and the dates are right."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer

from cathrt.runtime.alert import NOTICE, Alert, Outcome, ProcessStart, Record, RunSummary, Verdict
from cathrt.runtime.commands.trace import trace_command
from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import LostFrame
from cathrt.runtime.journal.process_start import process_start
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.line.pipeline import watch
from tests.lines import ArraySource, line
from tests.passes import AT_ONCE, Shown, refusal, start, whole_pass, write

STAGES = ("preprocess", "infer", "postprocess")


@dataclass(frozen=True)
class Box:
    """A state folder with what a box would have written: two starts, live runs of two sources, one confirmed run."""

    path: Path
    records: tuple[Record, ...]

    def of(self, kind: type[Any]) -> list[Any]:
        return [record for record in self.records if isinstance(record, kind)]

    def trace(self, out: Path, **options: str | None) -> dict[str, Any]:
        trace_command(self.path, out, options.get("from_"), options.get("to"), options.get("run"))
        found: dict[str, Any] = json.loads(
            out.read_bytes() if out.suffix == ".json" else gzip.decompress(out.read_bytes())
        )
        return found


@pytest.fixture
def box(tmp_path: Path) -> Box:
    state, shown = tmp_path / "state", Shown()
    state.mkdir()
    with Journal(state / "live.journal", AT_ONCE, [shown]) as journal:
        for number, name in enumerate(("A 10:00:00", "B 10:00:00", "A 10:00:09")):
            if number != 1:
                journal.append(process_start("live"))
            first = 0.1 + number / 10
            lost = LostFrame(1, process_start("live").monotonic_ns, "overrun", failed=False)
            watch(ArraySource([first, lost, first + 0.05, 0.9, 0.9, 0.9], name=name), line(rate="live"), journal)
        journal.append(refusal())
    with Journal(state / "study.journal", AT_ONCE, [shown]) as journal:
        journal.append(process_start("study"))
        watch(ArraySource([0.7, 0.8], name="1.2.840.1"), line(rate="max"), journal)
    return Box(state, tuple(shown.records))


def slices(trace: dict[str, Any]) -> list[dict[str, Any]]:
    return [event for event in trace["traceEvents"] if event["ph"] == "X"]


def tracks(trace: dict[str, Any]) -> dict[tuple[int, int], tuple[str, str]]:
    """Names of process and thread by their numbers."""
    events = trace["traceEvents"]
    groups = {event["pid"]: event["args"]["name"] for event in events if event["name"] == "process_name"}
    return {
        (event["pid"], event["tid"]): (groups[event["pid"]], event["args"]["name"])
        for event in events
        if event["name"] == "thread_name"
    }


def test_every_verdict_is_one_slice_that_begins_when_its_frame_was_acquired(tmp_path: Path, box: Box) -> None:
    trace = box.trace(tmp_path / "trace.json")
    drawn = {event["args"]["id"]: event for event in slices(trace) if "id" in event.get("args", {})}
    verdicts = {verdict.id: verdict for verdict in box.of(Verdict)}
    assert drawn.keys() == verdicts.keys()
    starts = box.of(ProcessStart)
    newest = starts[-1]
    begins = datetime.fromisoformat(trace["otherData"]["begins_utc"])
    for id_, event in drawn.items():
        verdict = verdicts[id_]
        assert (event["args"]["outcome"], event["args"]["frame"]) == (verdict.outcome, verdict.frame_index)
        assert event["dur"] == pytest.approx(1000 * verdict.latency_ms.end_to_end, abs=0.01)
        assert verdict.acquired_ns is not None
        date = datetime.fromisoformat(newest.utc) + timedelta(
            microseconds=(verdict.acquired_ns - newest.monotonic_ns) / 1000
        )
        assert begins + timedelta(microseconds=event["ts"]) == pytest.approx(date, abs=timedelta(microseconds=5))


def test_slices_of_a_track_nest_and_the_parts_of_a_frame_add_up(tmp_path: Path, box: Box) -> None:
    trace = box.trace(tmp_path / "trace.json")
    named, of_track = tracks(trace), defaultdict(list)
    for event in slices(trace):
        of_track[event["pid"], event["tid"]].append(event)
    assert of_track.keys() <= named.keys()
    for events in of_track.values():
        events.sort(key=lambda event: (event["ts"], -event["dur"]))
        open_until: list[float] = []
        for event in events:
            end = event["ts"] + event["dur"]
            while open_until and open_until[-1] <= event["ts"] + 1e-3:
                open_until.pop()
            assert not open_until or end <= open_until[-1] + 1e-3, "it ends after the slice that it began in"
            open_until.append(end)
    frames = [events for track, events in of_track.items() if named[track][1].startswith("frames")]
    judged = 0
    for event in (event for events in frames for event in events):
        if "id" not in event.get("args", {}):
            continue
        inside = [
            part["dur"]
            for events in frames
            for part in events
            if part["tid"] == event["tid"] and part["name"] in ("waits", *STAGES)
            and event["ts"] - 1e-3 <= part["ts"] and part["ts"] + part["dur"] <= event["ts"] + event["dur"] + 1e-3
        ]  # fmt: skip
        if event["args"]["outcome"] in (Outcome.MET, Outcome.LATE):
            judged += 1
            assert sum(inside) == pytest.approx(event["dur"], abs=0.01)
    assert judged == sum(bool(verdict.findings) for verdict in box.of(Verdict))


def test_each_source_has_a_track_of_each_stage_with_the_time_of_each_judged_frame(tmp_path: Path, box: Box) -> None:
    trace = box.trace(tmp_path / "trace.json")
    named = tracks(trace)
    seen = {(group, name.partition(" (")[0]) for group, name in named.values()}
    for group in ("live A", "live B", "study"):
        assert {(group, stage) for stage in ("frames", "source", *STAGES)} <= seen
    total = defaultdict(float)
    for event in slices(trace):
        total[named[event["pid"], event["tid"]][1].partition(" (")[0]] += event["dur"] / 1000
    for stage in ("source", *STAGES):
        times = [verdict.latency_ms for verdict in box.of(Verdict) if verdict.findings or stage == "source"]
        assert total[stage] == pytest.approx(sum(getattr(one, stage) for one in times), abs=0.1)


def test_runs_starts_alerts_and_refusals_are_drawn_and_the_file_carries_the_notice(tmp_path: Path, box: Box) -> None:
    trace = box.trace(tmp_path / "trace.json")
    instants = [event["name"] for event in trace["traceEvents"] if event["ph"] == "i"]
    assert instants.count("live starts") == 2
    assert instants.count("study starts") == 1
    assert instants.count("SourceError") == 1
    assert len(instants) == 4 + len(box.of(Alert))
    runs = [event for event in slices(trace) if "run_id" in event.get("args", {})]
    assert sorted(event["args"]["run_id"] for event in runs) == sorted(run.run_id for run in box.of(RunSummary))
    assert trace["otherData"]["notice"] == NOTICE


def test_one_run_alone(tmp_path: Path, box: Box) -> None:
    wanted = box.of(RunSummary)[1].run_id
    trace = box.trace(tmp_path / "trace.json.gz", run=wanted)
    drawn = {event["args"]["id"] for event in slices(trace) if "id" in event.get("args", {})}
    assert drawn == {verdict.id for verdict in box.of(Verdict) if verdict.run_id == wanted}


def test_a_window_has_what_it_meets_and_nothing_else(tmp_path: Path, box: Box) -> None:
    start = box.of(ProcessStart)[0]
    late = datetime.fromisoformat(start.utc) + timedelta(days=1)
    assert slices(box.trace(tmp_path / "none.json", from_=late.isoformat())) == []
    assert slices(box.trace(tmp_path / "none.json", to=(late - timedelta(days=2)).isoformat())) == []
    whole = box.trace(tmp_path / "all.json", from_=(late - timedelta(days=2)).isoformat(), to=late.isoformat())
    assert len(slices(whole)) == len(slices(box.trace(tmp_path / "trace.json")))


def test_a_run_without_summary_is_drawn_as_far_as_it_came(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    at_ns = process_start("live").monotonic_ns
    rows = [
        replace(record, acquired_ns=at_ns + 1_000_000 * record.frame_index) if isinstance(record, Verdict) else record
        for record in [start(), *whole_pass(4)]
        if not isinstance(record, RunSummary)
    ]
    write(state / "live.journal", rows)  # whose start was deleted by now
    trace = Box(state, tuple(rows)).trace(tmp_path / "trace.json")
    (run,) = [event for event in slices(trace) if "run_id" in event.get("args", {})]
    assert run["args"]["verdicts"] == "no summary yet"
    assert run["args"]["frames"] == 4


def test_verdicts_of_earlier_builds_are_counted_and_not_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "state"
    state.mkdir()
    write(state / "live.journal", whole_pass(4))
    assert slices(Box(state, ()).trace(tmp_path / "trace.json")) == []
    assert "4 verdicts of earlier builds say no time" in capsys.readouterr().err


def test_a_folder_without_journals_and_a_date_that_is_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no live\.journal or study\.journal"):
        trace_command(tmp_path, tmp_path / "trace.json")
    with pytest.raises(typer.BadParameter, match="expected a date"):
        trace_command(tmp_path, tmp_path / "trace.json", "yesterday")
    assert list(tmp_path.iterdir()) == []
