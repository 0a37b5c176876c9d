"""FrameStream itself: its generator, its queues, its rows, its page, and small runs of all of it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from benchmarks.frame_stream import __main__ as program
from benchmarks.frame_stream.arrivals import Arrival, Arrivals
from benchmarks.frame_stream.consumer import IMPLEMENTATIONS, LINE
from benchmarks.frame_stream.ends import End, read_ends, write_ends
from benchmarks.frame_stream.figures import STAGES, stages_ns, stream_of
from benchmarks.frame_stream.generator import Generator, LateGeneratorError, require_punctual
from benchmarks.frame_stream.loops import NewestOnly, made_queue
from benchmarks.frame_stream.page import write_page
from benchmarks.frame_stream.pictures import Pictures, open_pictures, write_pictures
from benchmarks.frame_stream.plan import CASES, Checked, Gathered, Key, Plan, require_alike, require_punctual_all
from benchmarks.frame_stream.rows import rows
from benchmarks.frame_stream.schedule import Pauses, Schedule
from benchmarks.frame_stream.setting import Setting
from benchmarks.frame_stream.stalls import Stalls
from benchmarks.frame_stream.trial import run_trial
from benchmarks.measure import Heartbeat
from benchmarks.turns import Variant
from cathrt.runtime.frame import Grayscale
from tests.conftest import ROOT

MS = 1_000_000
KEYS = {
    "overhead_p50_ms",
    "overhead_p99_ms",
    "live_p99_study_vs_quiet",
    "live_p50_vs_best_loop",
    "overload_miss_rate_vs_best_loop",
    "frames_accounted",
    "first_after_pause_vs_steady_p99",
}
PLAN = Plan(15.0, 60.0, 1, Pauses(2.0, 3.0), "study", 66.7, 150.0, (LINE, "openvino, newest"))
SETTING = Setting("", (), "")


# The generator


def still_pictures(count: int = 4) -> Pictures:
    pixels = np.random.default_rng(0).integers(0, 255, (count, 8, 512), np.uint8)
    return Pictures(pixels, Grayscale(8))


def taken(fifo: Path) -> tuple[threading.Thread, list[Arrival]]:
    """A thread that takes every picture of a stream, and what it has taken."""
    found: list[Arrival] = []

    def take() -> None:
        arrivals = Arrivals(fifo, still_pictures())
        while (arrival := arrivals.next()) is not None:
            found.append(arrival)

    thread = threading.Thread(target=take)
    thread.start()
    return thread, found


def test_every_picture_of_a_schedule_arrives_in_its_order(tmp_path: Path) -> None:
    generator = Generator(tmp_path / "fifo", tmp_path / "sent.npy", Schedule(50.0, 0.5))
    thread, found = taken(tmp_path / "fifo")
    sent = generator.sent()
    thread.join()
    assert [arrival.number for arrival in found] == list(range(25))
    assert np.diff(sent[:, 0]).tolist() == [20 * MS] * 24  # as intended, whatever became of them
    assert (sent[:, 1] >= sent[:, 0]).all()
    assert all(arrival.captured_ns >= at for arrival, at in zip(found, sent[:, 1], strict=True))


def test_a_generator_that_was_held_up_makes_no_data(tmp_path: Path) -> None:
    generator = Generator(tmp_path / "fifo", tmp_path / "sent.npy", Schedule(50.0, 1.0))
    thread, found = taken(tmp_path / "fifo")
    while len(found) < 5:
        time.sleep(0.001)
    os.kill(generator.process.pid, signal.SIGSTOP)
    time.sleep(0.3)  # it falls behind by what it is stopped for
    os.kill(generator.process.pid, signal.SIGCONT)
    sent = generator.sent()
    thread.join()
    assert len(found) == 50, "late pictures are sent all the same"
    with pytest.raises(LateGeneratorError, match=r"of 50 pictures were sent more than 2\.0 ms late"):
        require_punctual(sent, 50.0, Stalls())
    require_punctual(sent, 50.0, Stalls.of([(int(sent[0, 0]), int(sent[-1, 1]))]))  # the machine's own stall


def test_a_generator_that_dies_makes_no_data(tmp_path: Path) -> None:
    generator = Generator(tmp_path / "fifo", tmp_path / "sent.npy", Schedule(50.0, 60.0))
    generator.kill()
    with pytest.raises(LateGeneratorError, match="exit code"):
        generator.sent()


def test_one_late_picture_in_a_hundred_is_borne() -> None:
    sent = np.stack([np.arange(100) * 20 * MS, np.arange(100) * 20 * MS], axis=1)
    sent[50, 1] += 30 * MS
    require_punctual(sent, 50.0, Stalls())
    sent[51, 1] += 30 * MS
    with pytest.raises(LateGeneratorError, match=r"the worst 30\.0 ms"):
        require_punctual(sent, 50.0, Stalls())


# Pictures and queues


def test_no_picture_is_like_the_one_before_it() -> None:
    pictures = still_pictures()
    shown = [pictures.taken(number) for number in range(40)]
    assert all(not np.array_equal(one, other) for one, other in pairwise(shown))
    assert len({one.tobytes() for one in shown}) == 40
    assert not shown[0].flags.writeable


def test_pictures_are_found_as_they_were_rendered(tmp_path: Path) -> None:
    write_pictures(tmp_path, 2)
    pictures = open_pictures(tmp_path)
    assert pictures.pixels.shape == (2, 512, 512)
    assert pictures.pixels.max() < 1 << pictures.grayscale.bits_stored
    assert np.array_equal(pictures.taken(0), pictures.pixels[0])


def arrival(number: int) -> Arrival:
    return Arrival(number, 0, np.zeros((1, 1), np.uint8))


def test_the_newest_takes_the_place_of_what_waited() -> None:
    waiting = NewestOnly()
    for number in range(3):
        waiting.put(arrival(number))
    waiting.put(None)
    newest = waiting.get()
    assert newest is not None
    assert newest.number == 2
    assert waiting.get() is None


def test_the_queue_of_all_loses_nothing() -> None:
    waiting = made_queue("all")
    for number in range(3):
        waiting.put(arrival(number))
    waiting.put(None)
    found = iter(waiting.get, None)
    assert [one.number for one in found if one is not None] == [0, 1, 2]


def test_ends_are_read_as_they_were_written(tmp_path: Path) -> None:
    ends = [End(1, 7, "LATE", "104.3 ms", 1, 2, 0.5, 4.25, 0.125, 9, 11), End(0, 8, "HELD")]
    write_ends(ends, tmp_path / "ends.jsonl")
    assert read_ends(tmp_path / "ends.jsonl") == ends


# Rows and page


def gathered(answer_ms: float = 20.0, lost: int | None = None, count: int = 600) -> Gathered:
    """One stream whose every picture was answered, but for the one that is lost."""
    intended = (1000 + np.arange(count) * 66) * MS
    sent = np.stack([intended, intended + MS // 10], axis=1)
    ends = []
    for number, at in enumerate(sent[:, 1].tolist()):
        verdict_ns = at + round(answer_ms * MS)
        ends.append(End(0, number, "MET", None, at, at, 1.0, answer_ms - 3.0, 0.1, verdict_ns, verdict_ns + MS))
    pauses = np.zeros(count, np.bool_)
    pauses[50::50] = True
    group = Gathered()
    group.streams.append(stream_of(15.0, sent, pauses, [end for end in ends if end.number != lost]))
    return group


ALL = {Key(case, name): gathered() for case in CASES for name in PLAN.implementations}
CHECKED = Checked(dict.fromkeys(PLAN.implementations, 20.0), {"holoscan, all": "it is not here"})


@pytest.fixture(scope="module")
def still_heart() -> Heartbeat:
    """A heartbeat that has ended without a stall."""
    heartbeat = Heartbeat()
    heartbeat.finish()
    heartbeat.stalls = []
    return heartbeat


def test_the_headline_says_what_was_measured(still_heart: Heartbeat) -> None:
    groups = ALL | {Key("steady", LINE, "study"): gathered(40.0), Key("overload", LINE): gathered(lost=300)}
    groups[Key("overload", "openvino, newest")] = gathered(200.0)
    *_, last = rows(PLAN, SETTING, CHECKED, groups, still_heart)
    assert last["headline"] == {
        "overhead_p50_ms": 2.0,
        "overhead_p99_ms": 2.0,
        "live_p99_study_vs_quiet": round(41.1 / 21.1, 4),
        "live_p50_vs_best_loop": 1.0,
        "overload_miss_rate_vs_best_loop": round(1 / 585, 4),  # 15 of 600 settle
        "frames_accounted": round(2999 / 3000, 4),
        "first_after_pause_vs_steady_p99": 1.0,
    }


def test_figures_of_too_few_samples_are_null(still_heart: Heartbeat) -> None:
    groups = {key: gathered(count=40) for key in ALL}
    *_, last = rows(PLAN, SETTING, CHECKED, groups, still_heart)
    assert set(last["headline"]) == KEYS
    assert last["headline"]["overhead_p99_ms"] is None
    assert last["headline"]["overhead_p50_ms"] == 2.0
    assert last["headline"]["live_p99_study_vs_quiet"] is None


def test_there_is_a_row_for_every_stage_and_every_reason(still_heart: Heartbeat) -> None:
    groups = ALL | {Key("steady", LINE): gathered(lost=300)}
    left_out, *found, _ = rows(PLAN, SETTING, CHECKED, groups, still_heart)
    assert (left_out["impl"], left_out["reason"]) == ("holoscan, all", "it is not here")
    named = {(row["case"], row["impl"], row["stage"]) for row in found}
    expected = {(case, name, stage) for case in CASES for name in PLAN.implementations for stage in STAGES}
    assert named == expected | {("first after pause", name, "to reader") for name in PLAN.implementations}
    (steady,) = [row for row in found if (row["case"], row["impl"], row["stage"]) == ("steady", LINE, "to reader")]
    assert (steady["missed"], steady["sent"], steady["accounted"]) == (1, 600, 599)
    assert steady["unanswered"] == {"not said": 1}
    assert steady["age_growth"] == 1.0


def test_a_late_generator_is_named_with_its_trial() -> None:
    group = gathered()
    late = [list(map(int, (picture.intended_ns, picture.sent_ns + 50 * MS))) for picture in group.streams[0].pictures]
    group.streams = [stream_of(15.0, np.array(late), np.zeros(600, np.bool_), [])]
    with pytest.raises(LateGeneratorError, match="openvino, newest, overload, load none: 600 of 600"):
        require_punctual_all({**ALL, Key("overload", "openvino, newest"): group}, Stalls())


def test_networks_that_answer_differently_are_not_timed() -> None:
    alike = np.array([[1.0, 2.0], [3.0, -1.0]])
    require_alike({"one": alike, "other": alike * 1.01})
    with pytest.raises(SystemExit, match="one and third answer differently"):
        require_alike({"one": alike, "third": -alike})


def test_the_page_holds_its_plots_and_fetches_nothing(tmp_path: Path, still_heart: Heartbeat) -> None:
    page = tmp_path / "page.html"
    found = list(rows(PLAN, SETTING, CHECKED, ALL, still_heart))
    write_page(page, PLAN, ALL, found, Stalls())
    text = page.read_text(encoding="utf-8")
    assert text.count("<svg") == 4
    assert "it is not here" in text
    fetched = re.findall(r"(?:src|href)\s*=\s*[\"'](?!#)[^\"']*|url\((?!#)[^)]*|@import", text)
    assert fetched == []


# The program


def run_program(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.frame_stream", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1200, check=False)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--load", "report"), "--load report: no bundle that writes drafts was named: --report-bundle DIR"),
        (("--pause-pattern", "x"), "expected seconds pressed and paused"),
        (("--fps", "1000"), "--fps must be 0.2 to 250"),
        (("--implementations", "triton"), "invalid choice: 'triton'"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_cannot_be_run_is_refused_by_name(
    arguments: Sequence[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["frame_stream", *arguments])
    with pytest.raises(SystemExit, match="2"):
        program.main()
    assert said in capsys.readouterr().err


def test_a_late_generator_fails_the_run_and_prints_no_row(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def late(*_: object, **__: object) -> list[dict[str, object]]:
        raise LateGeneratorError("line, steady, load none: late")

    monkeypatch.setattr(program, "measured", late)
    monkeypatch.setattr(program, "write_pictures", lambda folder, count: None)
    monkeypatch.setattr(sys, "argv", ["frame_stream", "--json"])
    with pytest.raises(SystemExit) as ended:
        program.main()
    assert ended.value.code == "frame_stream: line, steady, load none: late"
    assert capsys.readouterr().out == ""


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(1300)
def test_the_quick_run_gives_every_row_and_every_key_and_accounts_for_every_frame(tmp_path: Path) -> None:
    done = run_program("--quick", "--json", "--report", str(tmp_path / "page.html"))
    assert done.returncode == 0, done.stderr[-3000:]
    *found, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert set(last["headline"]) == KEYS
    assert last["headline"]["frames_accounted"] == 1.0
    left_out = {row["impl"]: row["reason"] for row in found if "reason" in row}
    assert left_out.keys() >= {"holoscan, all", "holoscan, newest"}, "no folder of packages was named"
    assert all("holoscan" in name or "gstreamer" in name for name in left_out)
    here = IMPLEMENTATIONS.keys() - left_out.keys()
    named = {(row["case"], row["impl"], row["load"]) for row in found if row.get("stage") == "to reader"}
    cases = (*CASES, "first after pause")
    assert named == {(case, name, "none") for case in cases for name in here} | {("steady", LINE, "study")}
    assert {row["stage"] for row in found if "stage" in row} == set(STAGES)
    assert (tmp_path / "page.html").read_text(encoding="utf-8").count("<svg") == 4


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(1300)
@pytest.mark.parametrize("load", ["cpu", "disk", "store"])
def test_each_load_works_beside_two_sources(load: str) -> None:
    arguments = ("--implementations", LINE, "--cases", "steady", "--load", load, "--sources", "2")
    done = run_program("--quick", "--json", *arguments)
    assert done.returncode == 0, done.stderr[-3000:]
    *found, last = [json.loads(line) for line in done.stdout.splitlines()]
    loads = {row["load"]: row["sent"] for row in found if row["stage"] == "to reader"}
    assert loads == {"none": 80, load: 80}
    assert last["headline"]["frames_accounted"] == 1.0
    assert f"live_p99_{load}_vs_quiet" in last["headline"]


def test_every_picture_sent_to_the_line_ends_once(tmp_path: Path) -> None:
    write_pictures(tmp_path, 4)
    setting = Setting("", (), str(tmp_path), threads=1)
    with Variant("benchmarks.frame_stream.consumer", LINE, setting.to_text()) as process:
        ran = run_trial(process, Schedule(20.0, 1.0, Pauses(0.5, 1.0)), 1, 1000.0, tmp_path)
    (stream,) = ran.streams
    assert len(stream.pictures) == stream.accounted == 20
    judged = [picture for picture in stream.pictures if picture.end is not None and picture.end.judged]
    assert judged, "some of them were judged"
    stages = stages_ns(judged)
    assert all(min(stages[name]) >= 0 for name in ("capture", "waiting", "infer", "showing", "overhead"))
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [], "a trial leaves nothing behind"
