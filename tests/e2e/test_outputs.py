"""Outputs that are closed, full, read-only or slow: exit code 8, one message, nothing foreign in what is printed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from cathrt.export.bundle.sign import generate_key
from cathrt.runtime.bundle.shipped import demonstration_bundle
from cathrt.runtime.commands.standard_streams import _Output
from cathrt.runtime.errors import SinkError
from cathrt.runtime.phantom.dicom import write_xa
from tests.e2e.commands import cathrt
from tests.lines import ArraySource, picture

BUNDLE = demonstration_bundle()
FULL = "/dev/full"
NOT_WRITTEN = "standard output cannot be written (No space left on device): check where it goes"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one run of twelve small frames, and a file that is no input."""
    folder = tmp_path_factory.mktemp("runs")
    source = ArraySource([0.1] * 12)
    write_xa(source.run, lambda i: picture(0.1 + 0.05 * i, i), folder / "run.dcm")
    (folder / "notes.txt").write_text("no input")
    return folder


def started_with(closed: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """A process of its own, started by a shell with these redirections."""
    command = ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-m", "cathrt.runtime.commands.cli"]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&-", "<&- >&- 2>&-", "1</dev/null"])
def test_a_closed_descriptor_is_an_error_where_it_is_the_output_and_nothing_else(closed: str) -> None:
    done = started_with(closed, "verify", "--json", BUNDLE)
    lacks_output = ">&-" in closed.split() or "1<" in closed
    assert done.returncode == (SinkError.exit_code if lacks_output else 0)
    if not lacks_output:
        assert json.loads(done.stdout)["type"] == "bundle"
    if "2>&-" not in closed.split():
        assert done.stderr.splitlines() == (
            ["cathrt: error: standard output cannot be written (it is closed): check where it goes"]
            if lacks_output
            else []
        )


def test_without_standard_error_nothing_foreign_is_in_the_json_lines(runs: Path) -> None:
    done = started_with("<&- 2>&-", "replay", "--json", runs)
    assert done.returncode == 0
    assert [json.loads(line)["type"] for line in done.stdout.splitlines()].count("verdict") == 12


def test_without_standard_output_the_journal_does_not_become_it(runs: Path, tmp_path: Path) -> None:
    journal = tmp_path / "journal.db"
    done = started_with("<&- >&- 2>&-", "replay", "--json", "--journal", journal, runs)
    assert done.returncode == SinkError.exit_code
    (report,) = cathrt("verify", "--json", journal).records
    assert (report["rows"], report["sound"]) == (14, True)


SMALL = ["--arch", "convnext_atto", "--precision", "fp32", "--target", "onnxruntime"]
COMMANDS: dict[str, list[str]] = {
    "help": ["--help"],
    "version": ["--version"],
    "verify": ["verify", str(BUNDLE)],
    "verify --json": ["verify", "--json", str(BUNDLE)],
    "verify journal": ["verify", "JOURNAL"],
    "doctor": ["doctor"],
    "doctor --json": ["doctor", "--json"],
    "replay": ["replay", "RUNS"],
    "replay --json": ["replay", "--json", "RUNS"],
    "phantom": ["phantom", "--seed", "1", "--matrix", "64", "--frames", "2", "--out", "OUT"],
    "phantom --live": ["phantom", "--live", "--seed", "2", "--matrix", "64", "--frames", "2", "--pause-s", "0"],
    "key new": ["key", "new", "--out", "OUT"],
    "key list": ["key", "list"],
    "key list --json": ["key", "list", "--json"],
    "key trust": ["key", "trust", "PUBLIC", "--config", "OUT"],
    "compare": ["compare", str(BUNDLE), str(BUNDLE), "RUNS", "--out", "OUT"],
    "compare --json": ["compare", "--json", str(BUNDLE), str(BUNDLE), "RUNS", "--out", "OUT"],
    "join": ["join", str(BUNDLE), "--sign", "KEY", "--out", "OUT"],
    "export": ["export", "keyframe", "--json", "--random-init", *SMALL, "--out", "OUT"],
}


@pytest.fixture(scope="module")
def places(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("places")
    (folder / "key.pub").write_text(generate_key(folder / "key"))
    assert cathrt("replay", "--journal", folder / "journal.db", runs).returncode == 0
    return {
        "RUNS": str(runs),
        "JOURNAL": str(folder / "journal.db"),
        "KEY": str(folder / "key"),
        "PUBLIC": str(folder / "key.pub"),
    }


@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_output_ends_every_command_with_its_code_and_one_message(
    command: str, places: dict[str, str], tmp_path: Path
) -> None:
    words = {**places, "OUT": str(tmp_path / "out")}
    done = cathrt(*(words.get(word, word) for word in COMMANDS[command]), stdout=FULL, cwd=tmp_path)
    assert done.returncode == SinkError.exit_code, done.stderr
    assert sum(NOT_WRITTEN in line for line in done.stderr.splitlines()) == 1, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("arguments", "code"), [(["verify", "/nowhere"], 7), (["verify", str(BUNDLE)], 0), (["?"], 2)])
def test_messages_that_nobody_can_read_change_no_exit_code(arguments: list[str], code: int) -> None:
    assert cathrt(*arguments, stderr=FULL).returncode == code


def test_a_reader_that_leaves_is_told_whether_the_records_are_kept(runs: Path, tmp_path: Path) -> None:
    for named in ([], ["--journal", tmp_path / "journal.db"]):
        reading, writing = os.pipe()
        os.close(reading)
        try:
            done = cathrt("replay", "--json", *named, runs, stdout=f"/proc/{os.getpid()}/fd/{writing}")
        finally:
            os.close(writing)
        assert done.returncode == SinkError.exit_code
        (said,) = [line for line in done.stderr.splitlines() if "error" in line]
        assert "the reader has closed the pipe" in said
        if named:
            assert said.endswith(f"(every record is in the journal {tmp_path / 'journal.db'})")
        else:
            assert said.endswith("the records are not kept, since no journal was named: give --journal FILE")
            assert "journal.db" not in said
    assert cathrt("verify", "--json", tmp_path / "journal.db").records[0]["rows"] == 14


@pytest.mark.parametrize("arguments", [["demo"], ["phantom", "--seed", "1", "--matrix", "64", "--frames", "2"]])
@pytest.mark.parametrize("place", ["a file in its place", "a file above it", "nothing can be made there", "full"])
def test_a_folder_that_cannot_be_written_is_an_output_error_before_anything_is_drawn(
    arguments: list[str], place: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("mine")
    out = {
        "a file in its place": tmp_path / "file",
        "a file above it": tmp_path / "file" / "out",
        "nothing can be made there": Path("/proc"),
        "full": Path("/dev/full"),
    }[place]
    done = cathrt(*arguments, "--out", out)
    assert done.returncode == SinkError.exit_code, done.stderr
    (said,) = done.stderr.splitlines()
    assert said.startswith(f"cathrt: error: {out}: cannot be written (")
    assert said.endswith("): choose another --out, or make room")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    "arguments",
    [
        ["phantom", "--seed", "1", "--matrix", "64", "--frames", "20"],
        ["join", str(BUNDLE), "--sign", "KEY"],
        ["export", "keyframe", "--random-init", *SMALL],
    ],
    ids=lambda words: words[0],
)
def test_a_disk_that_fills_up_is_an_output_error_and_leaves_nothing_half_done(
    arguments: list[str], places: dict[str, str], tmp_path: Path
) -> None:
    done = cathrt(*(places.get(word, word) for word in arguments), "--out", tmp_path / "out", most_bytes=1 << 15)
    assert done.returncode == SinkError.exit_code, done.stderr
    assert "cannot be written (File too large)" in done.stderr
    assert "Traceback" not in done.stderr
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_pipe_that_does_not_block_and_a_slow_reader_lose_nothing() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    data = os.urandom(1 << 20)

    def write() -> None:
        rest = memoryview(data)
        with _Output(writing, "wb") as output:
            while rest:
                rest = rest[output.write(rest) :]

    writer = threading.Thread(target=write)
    writer.start()
    with open(reading, "rb") as stream:
        assert stream.read() == data
    writer.join()
