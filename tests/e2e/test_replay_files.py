"""`cathrt replay --table` and `--summary-page`: what a user finds afterwards, also after a pass that was cut short."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pyarrow import parquet

from cathrt.runtime.api import Verdict, open_bundle, open_line, runs_from_paths
from cathrt.runtime.journal.report import verify_journal
from cathrt.runtime.models import record_parts
from cathrt.runtime.phantom.dicom import write_xa
from tests.e2e.commands import cathrt
from tests.lines import ArraySource, picture


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs, and a file that is none."""
    folder = tmp_path_factory.mktemp("study")
    for number, frames in ((1, 12), (2, 5)):
        source = ArraySource([0.1] * frames, name=f"run {number}")

        def drawn(index: int, number: int = number) -> object:
            return picture(0.1 + 0.05 * index, index + number)

        write_xa(source.run, drawn, folder / f"run{number}.dcm")  # type: ignore[arg-type]
    (folder / "broken.dcm").write_bytes(b"not a DICOM file")
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_both_files_hold_every_frame_every_run_and_every_refusal(study: Path, tmp_path: Path) -> None:
    page = tmp_path / "page"
    done = cathrt("replay", "--json", study, "--table", tmp_path / "t.csv", "--summary-page", page)
    assert done.returncode == 9, done.stderr
    verdicts = [record for record in done.records if record["type"] == "verdict"]
    frames, runs = rows(tmp_path / "t.csv"), rows(tmp_path / "t.runs.csv")
    assert [row["verdict_id"] for row in frames] == [record["id"] for record in verdicts]
    assert [float(row["keyframe_score"]) for row in frames] == [r["findings"][0]["score"] for r in verdicts]
    assert [row["frames"] for row in runs] == ["", "12", "5"]
    assert runs[0]["refused_with"] == "SourceError"
    text = (page / "summary.html").read_text(encoding="utf-8")
    assert [name for name in ("run1.dcm", "run2.dcm", "broken.dcm") if name in text] == [
        "run1.dcm", "run2.dcm", "broken.dcm",
    ]  # fmt: skip
    assert text.count('alt="the run"') == 2, "the pictures were read from the files again"
    assert re.search(r"made \d{4}-\d\d-\d\d \d\d:\d\d UTC · cathrt \d", text)
    said = [line for line in done.stderr.splitlines() if "written" in line]
    assert said == [
        f"cathrt: written: {path}" for path in (tmp_path / "t.csv", tmp_path / "t.runs.csv", page / "summary.html")
    ]


def test_a_replay_that_completes_a_cut_pass_writes_all_its_rows(study: Path, tmp_path: Path) -> None:
    journal = tmp_path / "day.journal"
    with open_line(open_bundle()) as line:
        early = []
        for record in line.judge(runs_from_paths(study / "run1.dcm"), journal):
            if isinstance(record, Verdict):
                early.append(record.id)
                break
    assert early
    done = cathrt("replay", study / "run1.dcm", "--journal", journal, "--table", tmp_path / "t.parquet")
    assert done.returncode == 0, done.stderr
    frames = parquet.read_table(tmp_path / "t.parquet").to_pylist()
    assert [row["frame_index"] for row in frames] == list(range(12))
    assert frames[0]["verdict_id"] == early[0]
    assert len(verify_journal(journal, record_parts()).passes) == 1

    again = cathrt("replay", study / "run1.dcm", "--journal", journal, "--table", tmp_path / "again.parquet")
    assert again.returncode == 0, again.stderr
    assert parquet.read_table(tmp_path / "again.parquet").to_pylist() == frames, "a complete pass gives them once more"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--table", "t.xlsx"], 3, "expected --table FILE.csv or FILE.parquet"),
        (["--table", "file/t.csv"], 8, "choose another --table"),
        (["--summary-page", "file/page"], 8, "choose another --summary-page"),
    ],
)
def test_what_cannot_be_written_is_said_before_the_first_frame(
    study: Path, tmp_path: Path, arguments: list[str], code: int, said: str
) -> None:
    (tmp_path / "file").write_bytes(b"")
    done = cathrt("replay", study, *arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_disk_that_fills_up_leaves_no_table_and_no_part_of_one(study: Path, tmp_path: Path) -> None:
    done = cathrt("replay", study / "run1.dcm", "--table", tmp_path / "t.csv", most_bytes=40_000)
    if done.returncode == 0:
        pytest.fail("40 kB were enough for a journal and a table: take less")
    assert done.returncode in (7, 8), done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_replay_without_them_imports_neither_pyarrow_nor_pillow(study: Path) -> None:
    code = (
        "import sys; from cathrt.runtime.commands import cli; sys.argv = ['cathrt', 'replay', sys.argv[1]]\n"
        "try: cli.main()\n"
        "except SystemExit: print(sorted({'pyarrow', 'PIL'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, study / "run2.dcm"], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
