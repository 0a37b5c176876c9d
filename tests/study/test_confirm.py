"""The study judges each waiting run once: in order, over stops and crashes, and whatever one of them does."""

from __future__ import annotations

import errno
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from cathrt.runtime.alert import Outcome, PassStart, Verdict
from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.errors import EngineError, JournalError
from cathrt.runtime.failpoints import armed
from cathrt.runtime.listener.store_reader import StoreReader
from cathrt.runtime.study import confirm
from cathrt.runtime.study.intake_book import IntakeBook
from cathrt.runtime.study.received_runs import ReceivedRuns
from cathrt.runtime.study.run_queue import RunQueue
from tests import lines
from tests.conftest import ROOT
from tests.passes import rows
from tests.study.confirming import Study, require_each_once, study_in, xa_run
from tests.study.fragile_study import POISON_FRAMES


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    with study_in(tmp_path) as study:
        yield study


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits for a second try."""
    monkeypatch.setattr(confirm, "RETRY_AFTER_S", (0.0, 0.0))
    monkeypatch.setattr(confirm, "POLL_S", 0.001)


class Hook:
    """An engine that does something at its inference number `at`."""

    def __init__(self, at: int, action: Any) -> None:
        self.calls, self._at, self._action = 0, at, action

    def __call__(self, inputs: lines.Tensors, outputs: lines.Tensors) -> None:
        self.calls += 1
        if self.calls == self._at:
            self._action()
        lines.brightness(inputs, outputs)


def send(study: Study, *uids: str, frames: int = 3) -> None:
    for uid in uids:
        study.sender.send(uid, xa_run(uid, frames))


def test_received_runs_are_judged_once_each_in_the_order_of_their_arrival(study: Study) -> None:
    uids = ["1.2.9", "1.2.1", "1.2.5"]
    send(study, *uids)
    study.confirm(3)
    assert study.ended() == uids
    require_each_once(study.journal, uids)
    assert {record.rate for record in study.records() if isinstance(record, PassStart)} == {"max"}
    before = rows(study.journal)
    send(study, "1.2.7")
    study.confirm(1)
    assert study.ended() == [*uids, "1.2.7"]
    assert rows(study.journal)[: len(before)] == before


def test_what_cannot_be_read_is_refused_by_name_and_the_others_go_on(study: Study) -> None:
    study.sender.send("1.2.1", b"\0" * 128 + b"DICM and no more")
    send(study, "1.2.2")
    study.put("broken.dcm", b"no DICOM at all")
    study.confirm(3)
    assert study.ended() == ["1.2.1", "1.2.2", "broken.dcm"]
    assert [refusal.source for refusal in study.refusals] == ["1.2.1", "broken.dcm"]


def test_a_file_of_a_watched_folder_is_judged_once_and_after_received_runs(study: Study) -> None:
    study.put("run.dcm", xa_run("1.2.1"))
    send(study, "1.2.2")
    study.confirm(2)
    assert study.ended() == ["1.2.2", "run.dcm"]
    send(study, "1.2.3")
    study.confirm(1)
    assert study.ended() == ["1.2.2", "run.dcm", "1.2.3"]


def test_a_received_run_goes_before_the_rest_of_a_long_file(study: Study) -> None:
    study.put("long.dcm", xa_run("1.2.1", frames=120))
    study.compute = hook = Hook(20, lambda: send(study, "1.2.2"))
    study.confirm(2)
    assert study.ended() == ["1.2.2", "long.dcm"]
    require_each_once(study.journal, ["1.2.2", "long.dcm"])
    assert hook.calls <= 120 + 3 + 1  # but for the frame in hand, what was judged before is not judged again


def test_a_file_is_not_held_up_for_ever_by_runs_that_keep_coming(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each time it gives way it has come further, so that it ends although a run waits at each of its frames."""
    gave_way = []
    monkeypatch.setattr(RunQueue, "received_waits", lambda _: True)
    monkeypatch.setattr(RunQueue, "go_on_later", lambda queue, run: (gave_way.append(run), queue.files.put(run)))
    study.put("long.dcm", xa_run("1.2.1", frames=200))
    study.confirm(1)
    require_each_once(study.journal, ["long.dcm"])
    assert len(gave_way) == 4  # at frames 0, 64, 128, 192


def test_a_run_that_is_stopped_is_taken_up_and_its_frames_are_judged_once(study: Study) -> None:
    stop = threading.Event()
    study.compute = first = Hook(10, stop.set)
    send(study, "1.2.1", frames=40)
    study.confirm(1, stop)
    assert study.ended() == []
    assert 0 < len([record for record in study.records() if isinstance(record, Verdict)]) < 40
    study.compute = second = Hook(0, stop.set)
    study.confirm(1)
    require_each_once(study.journal, ["1.2.1"])
    assert first.calls + second.calls <= 41
    with closing(IntakeBook(study.intake)) as book:
        assert book.place().seq == 1


def test_a_stop_while_nothing_waits_ends_the_study(study: Study) -> None:
    stop = threading.Event()
    threading.Timer(0.05, stop.set).start()
    study.confirm(1, stop)
    assert [record.type for record in study.records()] == ["start"]


def test_a_run_that_fails_for_a_reason_of_ours_is_judged_again_with_engines_opened_anew(study: Study) -> None:
    def refuse() -> None:
        raise EngineError("the device is busy")

    study.compute = Hook(2, refuse)
    send(study, "1.2.1", "1.2.2")
    study.confirm(3)
    assert study.ended() == ["1.2.1", "1.2.2", "1.2.1"]
    first, _, second = study.summaries
    assert (first.verdicts[Outcome.FAILED], second.verdicts[Outcome.FAILED]) == (1, 0)
    assert first.pass_id != second.pass_id
    assert study.opened == 2


def test_a_run_that_goes_on_failing_is_tried_three_times_and_then_stands(study: Study) -> None:
    def compute(inputs: lines.Tensors, outputs: lines.Tensors) -> None:
        raise EngineError("the device is gone")

    study.compute = compute
    send(study, "1.2.1")
    study.confirm(3)
    assert [summary.verdicts[Outcome.FAILED] for summary in study.summaries] == [3, 3, 3]
    study.compute = lines.brightness
    send(study, "1.2.2")
    study.confirm(1)
    assert study.ended() == ["1.2.1"] * 3 + ["1.2.2"]


def test_a_run_whose_decoder_is_silent_for_too_long_is_tried_again_and_not_refused_for_good(study: Study) -> None:
    """The machine may be busy, and the study is the last to get its time."""
    send(study, "1.2.1")
    study.limits = LimitsConfig(first_frame_s=1e-6)
    study.confirm(1)
    (refusal,) = study.refusals
    assert refusal.error in ("SilentError", "NotStartedError")
    study.limits = LimitsConfig()
    study.confirm(1)
    assert [summary.source for summary in study.summaries] == ["1.2.1"]


def test_a_run_that_failed_is_judged_again_by_the_next_process(study: Study) -> None:
    stop = threading.Event()

    def refuse() -> None:
        stop.set()
        raise EngineError("the device is busy")

    study.compute = Hook(3, refuse)
    send(study, "1.2.1")
    study.confirm(1, stop)
    study.compute = lines.brightness
    send(study, "1.2.2")
    study.confirm(2)
    assert sorted(study.ended()) == ["1.2.1", "1.2.1", "1.2.2"]


def test_a_disk_that_takes_no_more_is_not_the_runs_fault(study: Study) -> None:
    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    send(study, "1.2.1")
    for _ in range(confirm.MOST_CRASHES + 1):
        with armed("journal.before_commit", full, after=0), pytest.raises(JournalError, match="No space left"):
            study.confirm(1)
    study.confirm(1)
    require_each_once(study.journal, ["1.2.1"])


def test_a_file_that_is_gone_when_its_turn_comes_is_no_refusal(study: Study) -> None:
    """Its folder may have gone, to come back later."""
    path = study.put("run.dcm", xa_run("1.2.1"))
    study.compute = Hook(1, path.unlink)
    send(study, "1.2.2")
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    study.confirm(2, stop)
    assert study.ended() == ["1.2.2"]


def test_a_received_object_whose_file_is_gone_is_refused(study: Study) -> None:
    send(study, "1.2.1", "1.2.2")
    min(study.state.store.glob("objects/*/*.dcm"), key=lambda path: path.stat().st_mtime_ns).unlink()
    study.confirm(2)
    assert study.ended() == ["1.2.1", "1.2.2"]
    (refusal,) = study.refusals
    assert "cannot be opened" in refusal.message


def test_a_run_at_which_the_process_has_ended_three_times_is_set_aside_by_name(study: Study) -> None:
    send(study, "1.2.666", "1.2.2")
    with closing(IntakeBook(study.intake)) as book:
        for _ in range(confirm.MOST_CRASHES):
            run = ReceivedRuns(StoreReader(study.state.store), book).next()
            assert run is not None
            book.begin(run, 0)
            book.count_crash(0)
    study.confirm(2)
    assert study.ended() == ["1.2.666", "1.2.2"]
    (refusal,) = study.refusals
    assert (refusal.source, refusal.error) == ("1.2.666", "SetAsideError")
    assert "set aside; judge it with cathrt replay" in refusal.message
    send(study, "1.2.3")
    study.confirm(1)
    assert study.ended() == ["1.2.666", "1.2.2", "1.2.3"]


@pytest.mark.slow
def test_a_run_that_ends_the_process_again_and_again_does_so_a_few_times_only(study: Study) -> None:
    send(study, "1.2.1")
    send(study, "1.2.666", frames=POISON_FRAMES)
    send(study, "1.2.3")
    statuses = []
    while not statuses or statuses[-1] == -signal.SIGKILL:
        assert len(statuses) <= confirm.MOST_CRASHES + 1, "it ends the process for ever"
        with started(study) as process:
            ends(process, lambda: len(study.ended()) == 3)
            process.terminate()
            statuses.append(process.wait(120.0))
    assert statuses[-1] == 0
    assert len(statuses) > confirm.MOST_CRASHES
    assert study.ended() == ["1.2.1", "1.2.666", "1.2.3"]
    assert [(refusal.source, refusal.error) for refusal in study.refusals] == [("1.2.666", "SetAsideError")]


@pytest.mark.parametrize("kills", [3, pytest.param(40, marks=pytest.mark.slow)])
def test_killed_at_any_moment_it_judges_each_run_once(study: Study, kills: int) -> None:
    uids, random = [f"1.2.{number}" for number in range(20)], Random(0)
    waiting = list(uids)
    for _ in range(kills):
        with started(study) as process:
            ends(process, lambda: study.journal.exists())
            send(study, *waiting[:3], frames=20)
            del waiting[:3]
            time.sleep(random.uniform(0.0, 0.15))
            process.kill()
            process.wait()
    send(study, *waiting, frames=20)
    with started(study) as process:
        ends(process, lambda: len(study.ended()) == len(uids))
        process.terminate()
        assert process.wait(120.0) == 0
    require_each_once(study.journal, uids)


def test_sigterm_within_a_run_ends_the_process_well_and_the_run_is_taken_up(study: Study) -> None:
    send(study, "1.2.1", frames=2000)
    with started(study) as process:
        ends(process, lambda: study.journal.exists() and len(rows(study.journal)) > 5)
        process.terminate()
        assert process.wait(60.0) == 0
    judged = len(rows(study.journal))
    assert study.ended() == []
    study.confirm(1)
    require_each_once(study.journal, ["1.2.1"])
    (summary,) = study.summaries
    assert (summary.frames, summary.verdicts[Outcome.FAILED]) == (2000, 0)
    assert len(rows(study.journal)) > judged


def test_a_folder_that_nobody_looks_at_any_more_ends_the_study_aloud(study: Study) -> None:
    ended = threading.Thread(target=lambda: None)
    ended.start()
    ended.join()
    study.watchers = (ended,)
    send(study, "1.2.1")
    with pytest.raises(RuntimeError, match="a watched folder is not looked at any more"):
        study.confirm(2)
    assert study.ended() == ["1.2.1"]


@contextmanager
def started(study: Study) -> Iterator[subprocess.Popen[bytes]]:
    """A study process of its own, killed at the end at the latest."""
    command = [sys.executable, "-m", "tests.study.fragile_study", str(study.state.path)]
    with subprocess.Popen(command, cwd=ROOT) as process:
        try:
            yield process
        finally:
            process.kill()


def ends(process: subprocess.Popen[bytes], done: Callable[[], bool]) -> None:
    """Wait until it is done, or the process has ended."""
    until = time.monotonic() + 60.0
    while process.poll() is None and not done():
        assert time.monotonic() < until, "it takes too long"
        time.sleep(0.01)
