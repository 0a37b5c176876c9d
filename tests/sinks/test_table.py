"""Tables: a row a frame, a row a run, flat and typed; whole or not there; and the same from CSV and from Parquet."""

from __future__ import annotations

import csv
import errno
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from cathrt.runtime.alert import NO_BETTER_NOTICE, NOTICE, Outcome, Record, StageTimes
from cathrt.runtime.errors import ConfigError, SinkError
from cathrt.runtime.models import record_parts
from cathrt.runtime.models.keyframe.records import KeyframeFinding, KeyframeResult
from cathrt.runtime.sinks import table as table_module
from cathrt.runtime.sinks.table import TableSink
from cathrt.runtime.sinks.table_rows import TableRows
from tests.passes import alert, refusal, start, stored, summary, verdict, whole_pass

SUFFIXES = pytest.mark.parametrize("suffix", [".csv", ".parquet"])


def a_pass(frames: int = 20, name: str = "run a") -> list[Record]:
    return [start(name), *whole_pass(frames, name)]


def written(path: Path, records: Sequence[Record]) -> TableSink:
    with closing(TableSink(path, record_parts())) as sink:
        for record in records:
            sink.emit(stored(record))
        sink.write()
    return sink


def rows(path: Path) -> list[dict[str, Any]]:
    """As pandas or R would read them: typed by their looks, an empty cell is nothing."""
    if path.suffix == ".parquet":
        return parquet.read_table(path).to_pylist()
    # a sha256 of digits alone, as in these records, would be read as a number
    texts = {"keyframe_manifest_sha256": pyarrow.string()}
    options = arrow_csv.ConvertOptions(strings_can_be_null=True, column_types=texts)
    return arrow_csv.read_csv(path, convert_options=options).to_pylist()


@SUFFIXES
def test_each_frame_has_a_row_and_each_run_has_one(tmp_path: Path, suffix: str) -> None:
    records = [*a_pass(), *a_pass(7, "run b")]
    sink = written(tmp_path / f"study{suffix}", records)
    frames, runs = rows(sink.path), rows(sink.runs_path)
    assert sink.runs_path == tmp_path / f"study.runs{suffix}"
    assert [(row["source"], row["frame_index"]) for row in frames] == [
        *(("run a.dcm", index) for index in range(20)),
        *(("run b.dcm", index) for index in range(7)),
    ]
    assert [(row["source"], row["frames"]) for row in runs] == [("run a.dcm", 20), ("run b.dcm", 7)]
    assert {row["notice"] for row in [*frames, *runs]} == {NOTICE}


@SUFFIXES
def test_the_cells_are_those_of_the_records(tmp_path: Path, suffix: str) -> None:
    records = a_pass()
    sink = written(tmp_path / f"t{suffix}", records)
    frame = rows(sink.path)[9]
    assert frame["outcome"] == "MET"
    assert frame["reason"] is None
    assert frame["retry"] is False
    assert frame["keyframe_score"] == 0.9
    assert frame["keyframe_laterality"] == "left"
    assert [frame[f"keyframe_class_scores_{number}"] for number in range(6)] == [0.1, 0.2, 0.3, 0.2, 0.1, 0.1]
    assert (frame["latency_infer_ms"], frame["latency_end_to_end_ms"]) == (3.0, 7.5)
    assert (frame["rate"], frame["attempt"]) == ("max", 1)
    assert (frame["verdict_id"], frame["pass_id"]) == (verdict(9).id, verdict(9).pass_id)
    run = rows(sink.runs_path)[0]
    assert (run["frames_met"], run["frames_dropped"], run["frames_late"]) == (15, 2, 0)
    assert run["keyframe_marked_frames_0"] == 9
    assert run["keyframe_marked_scores_0"] == 0.9
    assert run["latency_end_to_end_p99_ms"] == 9.0
    assert run["positioner_primary_angle_deg"] == -30.0
    assert run["positioner_secondary_angle_deg"] is None
    assert run["alerts"] == sum(record.type == "alert" for record in records)


@SUFFIXES
def test_an_alert_stands_in_the_row_of_the_frame_that_it_is_about(tmp_path: Path, suffix: str) -> None:
    sink = written(tmp_path / f"t{suffix}", a_pass())
    raised = {row["frame_index"]: row["alert_key_frame_raised_at_frame"] for row in rows(sink.path)}
    about = {record.frame_index for record in a_pass() if record.type == "alert"}
    assert {index for index, value in raised.items() if value is not None} == about
    assert all(raised[index] == index + 5 for index in about)
    assert rows(sink.path)[min(about)]["alert_key_frame_late"] is None, "at full speed none is late or in time"


@SUFFIXES
def test_a_frame_that_was_not_judged_has_its_reason_and_no_finding(tmp_path: Path, suffix: str) -> None:
    sink = written(tmp_path / f"t{suffix}", a_pass())
    dropped = next(row for row in rows(sink.path) if row["outcome"] == "DROPPED")
    assert dropped["reason"] == "it ended DROPPED"
    assert dropped["keyframe_score"] is None
    assert dropped["keyframe_laterality"] is None


@SUFFIXES
def test_a_refused_input_is_a_row_of_the_runs(tmp_path: Path, suffix: str) -> None:
    sink = written(tmp_path / f"t{suffix}", [refusal("broken.dcm"), *a_pass()])
    refused, judged = rows(sink.runs_path)
    assert (refused["source"], refused["refused_with"]) == ("broken.dcm", "SourceError")
    assert refused["message"] == "no DICOM file: give an angiogram"
    assert refused["frames"] is None
    assert judged["refused_with"] is None


def test_both_kinds_of_file_say_the_same(tmp_path: Path) -> None:
    records = [refusal(), *a_pass()]
    plain, packed = (written(tmp_path / f"t{suffix}", records) for suffix in (".csv", ".parquet"))
    assert rows(plain.path) == rows(packed.path)
    assert rows(plain.runs_path) == rows(packed.runs_path)


@SUFFIXES
def test_columns_do_not_depend_on_what_happened(tmp_path: Path, suffix: str) -> None:
    """A script that reads `alert_key_frame_score` or `flags` must not break on a quiet day."""
    quiet = [start(), replace(summary([]), latency_ms={}, flags=(), results=())]
    busy = [*a_pass(), replace(summary([verdict(0)], "run b"), flags=("frame_rate_default", "cropped"))]
    sinks = [written(tmp_path / f"{name}{suffix}", records) for name, records in (("q", quiet), ("b", busy))]

    def unnumbered(path: Path) -> list[str]:
        text = path.read_text("utf-8") if suffix == ".csv" else ",".join(parquet.read_schema(path).names) + "\n"
        return [name for name in text.partition("\n")[0].split(",") if not name[-1].isdigit()]

    assert unnumbered(sinks[0].path) == unnumbered(sinks[1].path)
    assert unnumbered(sinks[0].runs_path) == unnumbered(sinks[1].runs_path)
    assert rows(sinks[1].runs_path)[-1]["flags"] == "frame_rate_default; cropped"


def test_every_field_of_every_part_and_stage_has_its_column() -> None:
    made = TableRows(record_parts(), a_pass())
    frame, run = made.frame_columns(), made.run_columns()
    for column in (f"keyframe_{field.name}" for field in fields(KeyframeFinding) if field.name != "kind"):
        assert any(name == column or name.startswith(f"{column}_") for name in frame), column
    for column in (f"keyframe_{field.name}" for field in fields(KeyframeResult) if field.name != "kind"):
        assert any(name == column or name.startswith(f"{column}_") for name in run), column
    assert {f"latency_{stage.name}_ms" for stage in fields(StageTimes)} <= frame.keys()
    assert {f"frames_{outcome.lower()}" for outcome in Outcome} <= run.keys()
    assert frame["keyframe_vesselness"] is float
    assert frame["keyframe_outside"] is str
    assert run["keyframe_best_is_poor"] is run["keyframe_laterality_mismatch"] is bool
    assert run["keyframe_filter_prefers"] is int


def test_no_row_has_a_cell_without_a_column(tmp_path: Path) -> None:
    records = [*a_pass(), refusal(), replace(alert(3), late=True, live_until=None)]
    made = TableRows(record_parts(), records)
    for record in records:
        if record.type == "verdict":
            assert made.frame_row(record).keys() <= made.frame_columns().keys()  # type: ignore[arg-type]
        elif record.type in ("run", "refusal"):
            assert made.run_row(record).keys() <= made.run_columns().keys()  # type: ignore[arg-type]


@SUFFIXES
def test_the_notice_of_a_row_is_that_of_its_record(tmp_path: Path, suffix: str) -> None:
    records = [replace(record, notice=NO_BETTER_NOTICE) for record in a_pass()]
    sink = written(tmp_path / f"t{suffix}", records)
    assert {row["notice"] for row in [*rows(sink.path), *rows(sink.runs_path)]} == {NO_BETTER_NOTICE}


def test_texts_from_outside_start_no_line_and_no_formula(tmp_path: Path) -> None:
    hostile = ['=cmd|" /C calc"!A0', "+1", "-1+2", "@SUM(A1)", "\tx", "a\r\nb,c\x1b[31m\u202e.dcm", 'say "hi"']
    sink = written(tmp_path / "t.csv", [replace(refusal(name), source=name) for name in hostile])
    with sink.runs_path.open(encoding="utf-8", newline="") as file:
        found = [row["source"] for row in csv.DictReader(file)]
    assert found == [
        "'=cmd|\" /C calc\"!A0", "'+1", "'-1+2", "'@SUM(A1)", "\\tx", "a\\r\\nb,c\\x1b[31m\\u202e.dcm", 'say "hi"',
    ]  # fmt: skip
    assert sink.runs_path.read_text("utf-8").count("\n") == 1 + len(hostile)


def test_a_number_is_no_formula(tmp_path: Path) -> None:
    sink = written(tmp_path / "t.csv", a_pass())
    assert ",-30.0," in sink.runs_path.read_text("utf-8")


@SUFFIXES
def test_a_table_of_nothing_has_its_head(tmp_path: Path, suffix: str) -> None:
    sink = written(tmp_path / f"t{suffix}", [])
    assert (
        parquet.read_table(sink.path).num_rows == 0 if suffix == ".parquet" else sink.path.read_text().count("\n") == 1
    )


def test_more_rows_than_one_group_are_all_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_module, "_ROWS_AT_ONCE", 7)
    sink = written(tmp_path / "t.parquet", a_pass(20))
    assert [row["frame_index"] for row in rows(sink.path)] == list(range(20))
    assert parquet.ParquetFile(sink.path).num_row_groups == 3


@SUFFIXES
def test_a_table_is_replaced_as_a_whole_or_not_at_all(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = written(tmp_path / f"t{suffix}", a_pass())
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert before.keys() == {sink.path.name, sink.runs_path.name}, "and nothing else is left beside it"

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(table_module, "_write_csv", full)
    monkeypatch.setattr(table_module, "_write_parquet", full)
    with pytest.raises(SinkError, match=r"No space left.*--table"):
        written(tmp_path / f"t{suffix}", a_pass(3))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("name", ["t", "t.txt", "t.csv.gz", "t.CSV"])
def test_another_suffix_is_refused_before_anything_is_made(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"expected --table FILE.csv or FILE.parquet"):
        TableSink(tmp_path / "new" / name, record_parts())
    assert not (tmp_path / "new").exists()


def test_parquet_without_its_extra_is_refused_before_anything_is_made_and_csv_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_module, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install '\.\[table\]'"):
        TableSink(tmp_path / "t.parquet", record_parts())
    written(tmp_path / "t.csv", a_pass())


def test_csv_needs_no_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert written(tmp_path / "t.csv", a_pass()).path.exists()


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SinkError, match="--table"):
        TableSink(tmp_path / "file" / "t.csv", record_parts())


def test_a_sink_that_is_closed_takes_no_more(tmp_path: Path) -> None:
    sink = TableSink(tmp_path / "t.csv", record_parts())
    sink.close()
    with pytest.raises(SinkError, match="table"):
        sink.emit(stored(refusal()))


def test_a_second_model_that_is_not_known_is_an_error_and_not_an_empty_column(tmp_path: Path) -> None:
    known = stored(verdict(0))
    unknown = replace(known, body=known.body.replace(b'"keyframe"', b'"sharpness"'))
    with closing(TableSink(tmp_path / "t.csv", record_parts())) as sink:
        sink.emit(unknown)
        with pytest.raises(ValueError, match="sharpness"):
            sink.write()
    assert list(tmp_path.iterdir()) == []
