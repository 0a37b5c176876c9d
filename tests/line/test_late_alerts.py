"""When an alert is late: by the clock, from when its frame was due to when it is shown, wherever it is shown."""

from __future__ import annotations

import io
import json
import sqlite3
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from cathrt.runtime.alert import Alert, LiveUntil, Rate, Record, StoredRecord
from cathrt.runtime.failpoints import arm, armed, disarm
from cathrt.runtime.journal.lateness import boot
from cathrt.runtime.journal.reader import JournalReader, ReaderPlace, deliver
from cathrt.runtime.journal.records import record_from_body
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.line.pipeline import watch
from cathrt.runtime.models import record_parts
from cathrt.runtime.sinks.console import ConsoleSink, lines_from_record
from cathrt.runtime.sinks.jsonl import JsonlSink
from tests.lines import ArraySource, ListJournal, Tensors, brightness, line
from tests.passes import AT_ONCE, Shown, alert, rows, start, verdict

SECOND = 1_000_000_000
SCORES = [0.1, 0.3, 0.8, 0.9, 0.8, 0.2]  # frame 3 is announced at the end


class Hand:
    """A clock that stands still until a test or a wait moves it."""

    def __init__(self) -> None:
        self.time_ns = 100 * SECOND
        self._lock = threading.Lock()

    def now_ns(self) -> int:
        return self.time_ns

    def wait_until(self, deadline_ns: int) -> None:
        with self._lock:
            self.time_ns = max(self.time_ns, deadline_ns)

    def pass_s(self, seconds: float) -> None:
        with self._lock:
            self.time_ns += round(seconds * SECOND)


def raised(stall_s: float, rate: Rate = "realtime", stored: tuple[Record, ...] = ()) -> tuple[Alert, ListJournal, Hand]:
    """The one alert of a run whose engine stalls so long on the last frame, before its alert is raised."""
    clock, journal = Hand(), ListJournal({record.id: record for record in stored})

    def stalling(inputs: Tensors, outputs: Tensors) -> None:
        brightness(inputs, outputs)
        if 0.15 < inputs["image"].mean() < 0.25 and clock.time_ns < 101 * SECOND:
            clock.pass_s(stall_s)

    watch(ArraySource(SCORES), line(stalling, clock=clock, rate=rate), journal)
    (made,) = journal.alerts
    return made, journal, clock


def test_an_alert_raised_after_a_stall_is_late_though_the_frames_lie_close_together() -> None:
    assert raised(4.0)[0].late is False
    assert raised(6.0)[0].late is True


def test_an_alert_is_live_until_its_frame_is_stale_s_old() -> None:
    made, _, _ = raised(0.0)
    due_ns = 100 * SECOND + round(3 / 15 * SECOND)
    assert made.live_until is not None
    assert made.live_until.boot == boot()
    assert made.live_until.monotonic_ns == pytest.approx(due_ns + 5 * SECOND, abs=1000)


def test_at_full_speed_no_alert_is_live_and_none_is_late() -> None:
    for stall_s in (0.0, 60.0):
        made, _, _ = raised(stall_s, "max")
        assert (made.late, made.live_until) == (None, None)


def test_an_alert_about_a_frame_that_an_earlier_process_judged_is_late() -> None:
    _, before, _ = raised(0.0)
    made, _, _ = raised(0.0, stored=tuple(before.verdicts[:4]))
    assert (made.late, made.live_until) == (True, None)
    made, _, _ = raised(0.0, stored=tuple(before.verdicts[:3]))
    assert made.late is False, "frame 3 is judged, and due, in this process"


LIVE = replace(
    alert(9), late=False, live_until=LiveUntil(boot(), 105 * SECOND)
)  # by the clock Hand: 5 s from its start


class Slow(Shown):
    """A sink that takes its time over each record."""

    def __init__(self, clock: Hand, seconds: float) -> None:
        super().__init__()
        self._clock, self._seconds = clock, seconds

    def emit(self, stored: StoredRecord) -> None:
        super().emit(stored)
        self._clock.pass_s(self._seconds)


def lateness(sink: Shown) -> list[bool | None]:
    return [record.late for record in sink.records if isinstance(record, Alert)]


def stored_body(path: Path) -> bytes:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return str(connection.execute("SELECT body FROM record WHERE kind = 'alert'").fetchone()[0]).encode()
    finally:
        connection.close()


def test_a_disk_that_stalls_makes_the_alert_late_when_it_is_shown_and_not_when_it_is_stored(tmp_path: Path) -> None:
    clock, sink = Hand(), Shown()
    with Journal(tmp_path / "journal.db", AT_ONCE, [sink], now_ns=clock.now_ns) as journal:
        journal.append(verdict(9))
        journal.sync()
        with armed("journal.before_commit", lambda: clock.pass_s(6.0)):
            journal.append(LIVE)
            journal.sync()
    assert lateness(sink) == [True]
    assert json.loads(stored_body(tmp_path / "journal.db"))["late"] is False


def test_a_sink_that_blocks_makes_the_alert_late_for_the_sinks_after_it(tmp_path: Path) -> None:
    clock = Hand()
    slow, after = Slow(clock, 6.0), Shown()
    with Journal(tmp_path / "journal.db", AT_ONCE, [slow, after], now_ns=clock.now_ns) as journal:
        journal.append(LIVE)
    assert (lateness(slow), lateness(after)) == ([False], [True])


def test_an_alert_in_time_is_shown_as_it_is_stored(tmp_path: Path) -> None:
    clock, sink = Hand(), Shown()
    with Journal(tmp_path / "journal.db", AT_ONCE, [sink], now_ns=clock.now_ns) as journal:
        journal.append(LIVE)
    assert sink.records == [LIVE]


@pytest.mark.parametrize(
    ("stored", "seconds", "late"),
    [
        (LIVE, 4.0, False),
        (LIVE, 6.0, True),
        (replace(LIVE, live_until=LiveUntil("another start of the machine", 10**18)), 0.0, True),
        (replace(LIVE, late=True), 0.0, True),
        (replace(LIVE, late=True, live_until=None), 0.0, True),
        (alert(9), 6.0, None),
    ],
    ids=["in time", "too late", "another boot", "raised late", "of an earlier process", "full speed"],
)
def test_what_an_earlier_process_stored_is_live_only_as_long_as_it_would_have_been(
    tmp_path: Path, stored: Alert, seconds: float, late: bool | None
) -> None:
    path, clock = tmp_path / "journal.db", Hand()
    with Journal(path, AT_ONCE) as journal:
        journal.append(stored)
    clock.pass_s(seconds)
    writer, reader = Shown(), Shown()
    with Journal(path, AT_ONCE, [writer], now_ns=clock.now_ns) as journal:
        journal.append(stored)
    place, over = ReaderPlace(tmp_path / "place"), threading.Event()
    over.set()
    deliver(JournalReader(path).follow(place.place, over), reader, place, clock.now_ns)
    place.close()
    assert (lateness(writer), lateness(reader)) == ([late], [late])
    assert len(rows(path)) == 1
    assert record_from_body(stored_body(path), record_parts()) == stored


def test_the_start_of_the_machine_is_the_same_in_every_process() -> None:
    script = "from cathrt.runtime.journal.lateness import boot; print(boot())"
    other = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == boot()


def test_the_whole_line_marks_what_its_stalled_disk_delays(tmp_path: Path) -> None:
    clock, console, lines = Hand(), io.StringIO(), io.BytesIO()

    class StallsOnAlerts(Journal):
        def append(self, record: Record) -> None:
            if isinstance(record, Alert):
                arm("journal.before_commit", lambda: clock.pass_s(9.0))
            super().append(record)

    path = tmp_path / "journal.db"
    try:
        with StallsOnAlerts(
            path, AT_ONCE, [ConsoleSink(console, record_parts()), JsonlSink(lines)], now_ns=clock.now_ns
        ) as journal:
            watch(ArraySource(SCORES), line(clock=clock, rate="realtime"), journal)
    finally:
        disarm("journal.before_commit")
    shown = [json.loads(text) for text in lines.getvalue().splitlines()]
    assert [document["late"] for document in shown if document["type"] == "alert"] == [True]
    assert json.loads(stored_body(path))["late"] is False
    assert "(late: not a live alert)" in console.getvalue()


def test_the_console_marks_late_alerts_alone() -> None:
    marked = {late: "late" in lines_from_record(replace(LIVE, late=late))[0] for late in (True, False, None)}
    assert marked == {True: True, False: False, None: False}


def test_the_start_of_a_pass_and_verdicts_have_no_lateness(tmp_path: Path) -> None:
    sink = Shown()
    records = [start(), verdict(0)]
    with Journal(tmp_path / "journal.db", AT_ONCE, [sink]) as journal:
        for record in records:
            journal.append(record)
    with Journal(tmp_path / "journal.db", AT_ONCE, [sink]) as journal:
        for record in records:
            journal.append(record)
    assert sink.records == records * 2
