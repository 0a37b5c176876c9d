"""What every sink must do, whatever it writes to. A new sink joins by adding one line to SINKS."""

from __future__ import annotations

import io
import json
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import pytest

from cathrt.runtime.alert import NOTICE, WATERMARK, WATERMARK_JA, Alert, News, Record, RunResult, StoredRecord
from cathrt.runtime.errors import SinkError
from cathrt.runtime.frame import Geometry
from cathrt.runtime.journal import records
from cathrt.runtime.journal.reader import JournalReader, ReaderPlace, deliver
from cathrt.runtime.journal.records import body_from_record, record_from_body
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.model_kind import Judged
from cathrt.runtime.models import record_parts
from cathrt.runtime.models.keyframe.records import KeyframeFinding
from cathrt.runtime.models.keyframe.run import KeyframeOnFrames
from cathrt.runtime.ports import Sink
from cathrt.runtime.sinks.console import ConsoleSink, lines_from_record
from cathrt.runtime.sinks.jsonl import JsonlSink
from tests.lines import BUNDLE, ArraySource
from tests.passes import (
    GROUPED,
    Shown,
    alert,
    draft,
    reading,
    refusal,
    result,
    rows,
    start,
    stored,
    summary,
    verdict,
    whole_pass,
)


@dataclass(frozen=True)
class Port:
    """A sink and the kind of stream it writes to."""

    sink: Callable[[Any], Sink]
    mode: str
    encoding: str | None = None

    def open(self, target: Path | int) -> IO[Any]:
        return open(target, self.mode, encoding=self.encoding)


def console(stream: Any) -> Sink:
    return ConsoleSink(stream, record_parts())


SINKS = {"jsonl": Port(JsonlSink, "wb"), "console": Port(console, "w", "utf-8")}
RECORDS = {
    "pass": start(attempt=2),
    "alert": alert(9),
    "run": summary([verdict(0)]),
    "refusal": refusal(),
    "draft": draft(),
    "withheld draft": draft(withheld="the facts were not finished"),
    "study": reading(),
    "withheld study": reading(withheld="no run of it counts"),
}


@pytest.fixture(params=SINKS)
def port(request: pytest.FixtureRequest) -> Port:
    return SINKS[request.param]


def written(port: Port, path: Path, *shown: Record) -> str:
    with port.open(path) as stream:
        sink = port.sink(stream)
        for record in shown:
            sink.emit(stored(record))
        sink.close()
        return path.read_text(encoding="utf-8")  # before the stream is closed: nothing is held back


@pytest.mark.parametrize("kind", RECORDS)
def test_what_is_shown_carries_the_notice_and_is_there_at_once(port: Port, tmp_path: Path, kind: str) -> None:
    assert NOTICE in written(port, tmp_path / "out", RECORDS[kind])


def test_every_kind_of_record_is_taken_in_order_and_twice(port: Port, tmp_path: Path) -> None:
    once = written(port, tmp_path / "out", *whole_pass())
    again = once.removeprefix(f"{NOTICE}\n")

    assert written(port, tmp_path / "out", *whole_pass(), *whole_pass()) == once + again


def test_the_notice_is_on_every_json_line_and_once_ahead_of_all_on_the_console(tmp_path: Path) -> None:
    shown = (start(attempt=2), refusal(), *whole_pass(), *whole_pass())
    lines = written(SINKS["jsonl"], tmp_path / "out", *shown).splitlines()
    assert [line.count(NOTICE) for line in lines] == [1] * len(shown)
    console_lines = written(SINKS["console"], tmp_path / "out", *shown).splitlines()
    assert console_lines[0] == NOTICE
    assert sum(NOTICE in line for line in console_lines) == 1


def test_control_characters_from_outside_start_no_line_and_no_colour(port: Port, tmp_path: Path) -> None:
    plain = written(port, tmp_path / "out", refusal("a.dcm"))
    hostile = written(port, tmp_path / "out", refusal("a\r\nALERT frame 3\x1b[31m\x00\u202e\udcff.dcm"))

    assert hostile.count("\n") == plain.count("\n")
    assert not {"\r", "\x1b", "\x00"} & set(hostile)


def test_a_reader_that_has_gone_is_a_sink_error_and_the_journal_keeps_the_rows(port: Port, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    stream = port.open(writing)
    journal = Journal(tmp_path / "journal.db", GROUPED, (port.sink(stream),))
    for record in whole_pass():
        journal.append(record)
    with pytest.raises(SinkError, match="closed the pipe"):
        journal.close()
    with suppress(BrokenPipeError):  # what it still holds goes nowhere
        stream.close()

    assert len(rows(tmp_path / "journal.db")) == len(whole_pass())


def test_a_full_disk_is_a_sink_error(port: Port) -> None:
    stream = port.open(Path("/dev/full"))
    with pytest.raises(SinkError, match="No space left"):
        port.sink(stream).emit(stored(refusal()))
    with suppress(OSError):  # what it still holds goes nowhere
        stream.close()


def test_a_closed_stream_is_a_sink_error(port: Port, tmp_path: Path) -> None:
    stream = port.open(tmp_path / "out")
    sink = port.sink(stream)
    stream.close()

    with pytest.raises(SinkError, match="cannot be written"):
        sink.emit(stored(refusal()))


def test_json_lines_are_the_stored_bytes_and_read_back(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as stream:
        for record in whole_pass():
            JsonlSink(stream).emit(stored(record))
    lines = (tmp_path / "out").read_bytes().splitlines()

    assert lines == [body_from_record(record) for record in whole_pass()]
    assert [record_from_body(line, record_parts()) for line in lines] == whole_pass()
    assert {json.loads(line)["type"] for line in lines} == {"verdict", "alert", "run"}


def test_json_lines_encode_nothing_themselves(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as stream:
        JsonlSink(stream).emit(replace(stored(verdict(0)), body=b"as stored"))

    assert (tmp_path / "out").read_bytes() == b"as stored\n"


def test_every_sink_is_given_the_stored_bytes_new_or_stored_before_or_by_a_reader(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"

    class Bodies(Shown):
        def emit(self, stored: StoredRecord) -> None:
            given.append((stored.seq, stored.id, stored.type, stored.body.decode()))

    def stored_rows() -> list[tuple[int, str, str, str]]:
        with closing(sqlite3.connect(path)) as connection:
            return connection.execute("SELECT seq, id, kind, body FROM record ORDER BY seq").fetchall()

    given: list[tuple[int, str, str, str]] = []
    with Journal(path, GROUPED, (Bodies(),)) as journal:
        for record in whole_pass():
            journal.append(record)
    assert given == stored_rows()
    given.clear()
    with Journal(path, GROUPED, (Bodies(),)) as journal:
        for record in whole_pass():
            journal.append(replace(record, engine="another") if isinstance(record, Alert) else record)
    assert given == stored_rows()
    given.clear()
    place, reader, stop = ReaderPlace(tmp_path / "late.place"), JournalReader(path), threading.Event()
    stop.set()
    deliver(reader.follow(place.place, stop), Bodies(), place)
    place.close()
    reader.close()
    assert given == stored_rows()


def test_a_record_is_encoded_once_however_many_sinks_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[Record] = []
    encode = records._encoder()
    monkeypatch.setattr(records, "_encoder", lambda: lambda record: (encoded.append(record), encode(record))[1])
    with (
        (tmp_path / "lines").open("wb") as lines,
        Journal(
            tmp_path / "journal.db",
            GROUPED,
            (JsonlSink(lines), JsonlSink(lines), ConsoleSink(io.StringIO(), record_parts())),
        ) as journal,
    ):
        for record in whole_pass():
            journal.append(record)

    assert [record.id for record in encoded] == [record.id for record in whole_pass()]


def test_head_of_a_pipe_ends_the_sink_with_one_clear_error(tmp_path: Path) -> None:
    script = """
import os, sys
from pathlib import Path
from cathrt.runtime.errors import SinkError
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.journal.reader import JournalReader, ReaderPlace, deliver
from cathrt.runtime.sinks.jsonl import JsonlSink
from tests.passes import GROUPED, whole_pass
journal = Journal(Path(sys.argv[1]), GROUPED, (JsonlSink(sys.stdout.buffer),))
try:
    for record in whole_pass(3000):
        journal.append(record)
    journal.close()
except SinkError as exc:
    print(exc, file=sys.stderr)
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what stdout still holds goes nowhere
    sys.exit(SinkError.exit_code)
"""
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", script, tmp_path / "journal.db"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=root,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["frame_index"] == 0
        process.stdout.close()
        told = process.stderr.read().decode()
        assert process.wait(60) == SinkError.exit_code, told

    assert "JsonlSink: JSON lines: the reader has closed the pipe" in told
    assert len(told.splitlines()) == 1
    assert len(rows(tmp_path / "journal.db")) == len(whole_pass(3000))


def test_the_console_shows_alerts_and_runs_and_no_single_verdicts() -> None:
    assert lines_from_record(verdict(0)) == []
    assert lines_from_record(start()) == []
    assert lines_from_record(start(attempt=2))[0] == (
        "JUDGED AGAIN run a.dcm: attempt 2, because frames FAILED in the attempt before though the file may be whole"
    )
    assert lines_from_record(alert(9)) == [
        "ALERT frame 9: key frame, raised at frame 14, on fake",
    ]
    assert lines_from_record(replace(alert(9), late=True))[0].startswith(
        "ALERT frame 9 (late: not a live alert): key frame, raised"
    )
    assert "late" not in lines_from_record(replace(alert(9), late=False))[0]

    verdicts = [verdict(index) for index in range(10)]
    run = replace(summary(verdicts), positioner_secondary_angle_deg=20.0, flags=("frame_rate_default",))
    assert lines_from_record(run) == [
        "RUN run a.dcm",
        "  frames 10 at 15 Hz (CineRate): MET 10",
        "  C-arm RAO 30° CRA 20°",
        "  end to end p50 7.5 ms, p99 9.0 ms, max 9.5 ms",
        "  flags: frame_rate_default",
        "  left coronary, score 0.90; key frames, best first: 9 (0.90)",
        "  demonstration on fake, manifest 000000000000",
    ]


def test_the_console_shows_what_each_model_says_of_a_run_and_who_computed_it() -> None:
    second = RunResult(
        kind="sharpness", bundle="second", manifest_sha256="1" * 64,
        engine="tensorrt, openvino (fallback for tensorrt)", marked_frames=(), marked_scores=(),
        text="sharp throughout", text_ja="鮮明",
    )  # fmt: skip
    lines = lines_from_record(replace(summary([verdict(0)]), results=(result(), second)))

    assert lines[-4:] == [
        "  left coronary, score 0.90; key frames, best first: 9 (0.90)",
        "  demonstration on fake, manifest 000000000000",
        "  sharp throughout",
        "  second on tensorrt, openvino (fallback for tensorrt), manifest 111111111111",
    ]


def test_the_console_shows_the_news_of_any_model() -> None:
    news = News(kind="blur", score=0.2, text="blurred by motion", text_ja="ぼけ")

    assert lines_from_record(replace(alert(9), news=news))[0] == (
        "ALERT frame 9: blurred by motion, raised at frame 14, on fake"
    )


@pytest.mark.parametrize(
    ("primary", "secondary", "told"),
    [
        (-30.0, None, "  C-arm RAO 30° CRA/CAU not told"),
        (None, -25.0, "  C-arm LAO/RAO not told CAU 25°"),
        (0.0, 0.0, "  C-arm LAO 0° CRA 0°"),
    ],
)
def test_an_angle_that_is_not_told_is_said_to_be_so(primary: float | None, secondary: float | None, told: str) -> None:
    run = replace(summary([]), positioner_primary_angle_deg=primary, positioner_secondary_angle_deg=secondary)

    assert told in lines_from_record(run)


def test_a_run_whose_object_tells_no_angle_has_no_line_about_it() -> None:
    run = replace(summary([]), positioner_primary_angle_deg=None, positioner_secondary_angle_deg=None)

    assert not [line for line in lines_from_record(run) if "C-arm" in line]


def test_hostile_words_of_a_model_start_no_line_and_no_colour(port: Port, tmp_path: Path) -> None:
    hostile = "a\r\nALERT frame 3\x1b[31m\x00\u202e\udcff"
    news = replace(alert(9).news, text=hostile, text_ja=hostile)
    made = replace(result(), text=hostile, text_ja=hostile, bundle=hostile, engine=hostile)
    plain = written(port, tmp_path / "out", alert(9), summary([verdict(0)]))
    shown = written(
        port,
        tmp_path / "out",
        replace(alert(9), news=news, engine=hostile),
        replace(summary([verdict(0)]), results=(made,)),
    )

    assert shown.count("\n") == plain.count("\n")
    assert not {"\r", "\x1b", "\x00"} & set(shown)


def test_a_run_of_no_frame_and_no_result_is_said_and_not_left_out() -> None:
    run = replace(summary([]), latency_ms={}, results=())

    assert lines_from_record(run) == [
        "RUN run a.dcm",
        "  frames 0 at 15 Hz (CineRate): none",
        "  C-arm RAO 30° CRA/CAU not told",
    ]


def test_an_unknown_side_no_key_frame_and_an_unusual_angle_are_said_and_not_left_out() -> None:
    run = ArraySource([]).run
    model = KeyframeOnFrames(BUNDLE, None)
    silent = replace(summary([]), results=(model.begin(run).result("fake"),))

    assert "  no frame judged; no side, no key frame" in lines_from_record(silent)

    caudal = replace(run, geometry=Geometry(positioner_primary_angle_deg=45.0, positioner_secondary_angle_deg=-30.0))
    part = model.begin(caudal)
    for index in range(3):
        finding = KeyframeFinding("right", 0.9, (0.1, 0.0, 0.0, 0.9, 0.0, 0.0), engine="fake", score=0.9)
        part.observe(Judged(index, index * 100.0, f"v{index}", finding))
    unusual = part.result("fake")

    assert unusual.laterality_mismatch is True
    assert lines_from_record(replace(summary([]), results=(unusual,)))[-2] == (
        "  side unknown: right coronary by its pictures, score 0.90, but the C-arm angle is unusual for that side; "
        "key frames, best first: 0 (0.90)"
    )


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_only_a_terminal_gets_bold_and_dim() -> None:
    terminal, plain = _Terminal(), io.StringIO()

    ConsoleSink(terminal, record_parts()).emit(stored(alert(9)))
    ConsoleSink(plain, record_parts()).emit(stored(alert(9)))

    assert terminal.getvalue().startswith(f"\x1b[2m{NOTICE}\x1b[0m\n\x1b[1mALERT frame 9")
    assert "\x1b" not in plain.getvalue()
    assert plain.getvalue().startswith(f"{NOTICE}\nALERT frame 9")


def test_a_terminal_without_japanese_gets_escapes_and_no_error() -> None:
    raw = io.BytesIO()

    stream = io.TextIOWrapper(raw, encoding="ascii")

    ConsoleSink(stream, record_parts()).emit(stored(alert(9)))

    assert b"\\u7814\\u7a76" in raw.getvalue()


def test_a_draft_stands_under_both_watermarks_with_what_was_struck_and_left_out() -> None:
    lines = lines_from_record(draft())
    assert lines[:3] == [
        "DRAFT of study study a, revision 1, from 1 run",
        f"  {WATERMARK}",
        f"  {WATERMARK_JA}",
    ]
    assert lines.pop(3) == "  1 of its inputs could not be judged: nothing of them is in the draft"
    assert lines[3:5] == ["  | There is a 75% stenosis in the LAD.", "  | 左前下行枝に75%狭窄を認める。"]
    assert lines[5].startswith("  the facts: The left coronary artery was shown.")
    assert lines[7:] == [
        "  struck out (en, unsupported: rca): The RCA is occluded.",
        "  left out by the text: ja: dominance right",
        "  12.5 s after the end of the study",
        "  demonstration report on fake, manifest 111111111111",
    ]


def test_a_draft_that_is_withheld_shows_neither_text_nor_facts() -> None:
    lines = lines_from_record(draft(withheld="the languages differ"))
    assert "  withheld: the languages differ" in lines
    assert not [line for line in lines if line.startswith(("  |", "  the facts"))]


def test_a_text_of_a_draft_starts_no_line_and_no_colour(tmp_path: Path) -> None:
    record = draft()
    hostile = replace(record, draft=replace(record.draft, text="fine.\r\x1b[31m\u202eALERT"))
    shown = written(SINKS["console"], tmp_path / "out", hostile)
    assert not [line for line in shown.splitlines() if line.startswith("ALERT")]
    assert not {"\r", "\x1b", "\u202e"} & set(shown)
