"""What processes log: lines for a person or JSON, and never what a library says of an element."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from pydicom.dataset import Dataset

from cathrt.runtime.config import LogConfig
from cathrt.runtime.processes.log_lines import JsonLines, PlainLines, set_up_log, writes_json
from tests.conftest import ROOT

NAME = "ZAUNKOENIG^LEBERECHT"


def record_of(logger: str, message: str, *values: object, level: int = logging.WARNING) -> logging.LogRecord:
    return logging.LogRecord(logger, level, "/somewhere/file.py", 7, message, values, None)


def failed(raise_it: object) -> logging.LogRecord:
    """A record with what raise_it() raised."""
    try:
        raise_it()  # type: ignore[operator]
    except Exception:
        return logging.LogRecord("cathrt.line", logging.ERROR, "file.py", 7, "failed", (), sys.exc_info())
    raise AssertionError("nothing was raised")


def test_a_json_line_has_time_level_process_logger_and_message() -> None:
    document = json.loads(JsonLines("live").format(record_of("cathrt.runtime.line", "%d frames\nlost", 3)))
    assert datetime.now(UTC) - datetime.fromisoformat(document.pop("time")) < timedelta(minutes=1)
    assert document.pop("pid") > 0
    assert document == {
        "level": "warning",
        "process": "live",
        "logger": "cathrt.runtime.line",
        "message": "3 frames\nlost",
    }


def test_a_line_for_a_person_is_one_line_whatever_the_message_holds() -> None:
    made = PlainLines("live")
    assert made.format(record_of("cathrt.a", "odd \x1b[2J\nname")) == "cathrt live: WARNING: odd \\x1b[2J\\nname"
    assert made.format(record_of("cathrt.a", "listening", level=logging.INFO)) == "cathrt live: listening"
    assert "\n" not in JsonLines("live").format(record_of("cathrt.a", "odd \x1b[2J\nname"))


@pytest.mark.parametrize("made", [JsonLines("live"), PlainLines("live")])
def test_of_what_a_library_logs_or_warns_only_the_place_is_written(made: logging.Formatter) -> None:
    told = made.format(record_of("pydicom", "Invalid value for VR PN: %s", NAME))
    assert NAME not in told
    assert "pydicom, file.py line 7: [message withheld" in told
    told = made.format(
        record_of("py.warnings", "%s", f"/lib/pydicom/valuerep.py:440: UserWarning: {NAME}\n  warn(x)\n")
    )
    assert NAME not in told
    assert "UserWarning at valuerep.py" in told


@pytest.mark.parametrize("made", [JsonLines("live"), PlainLines("live")])
def test_an_error_of_a_library_that_quotes_values_is_shown_without_its_words(made: logging.Formatter) -> None:
    def of_pydicom() -> None:
        Dataset().PatientName  # noqa: B018 - raises within pydicom, and says the name

    def caused() -> None:
        try:
            of_pydicom()
        except AttributeError as exc:
            raise RuntimeError("the header cannot be used") from exc

    told = made.format(failed(caused))
    assert "PatientName'" not in told
    assert "AttributeError: [message withheld" in told
    assert "RuntimeError: the header cannot be used" in told
    assert "dataset.py" in told


def test_an_error_of_ours_keeps_its_words_and_its_places() -> None:
    def bug() -> None:
        raise ZeroDivisionError

    lines = PlainLines("study").format(failed(bug)).splitlines()
    assert lines[:2] == ["cathrt study: ERROR: failed", "Traceback (most recent call last):"]
    assert lines[-1] == "ZeroDivisionError"
    assert "test_log_lines.py" in lines[-2]


def test_errors_that_nobody_caught_and_warnings_are_json_lines_too() -> None:
    code = (
        "import threading, warnings\n"
        "from cathrt.runtime.config import LogConfig\n"
        "from cathrt.runtime.processes.log_lines import set_up_log\n"
        "set_up_log('live', LogConfig('json'))\n"
        f"warnings.warn('{NAME}')\n"
        "thread = threading.Thread(target=lambda: 1 / 0, name='a-thread')\n"
        "thread.start(); thread.join()\n"
        "raise KeyError('end')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert done.returncode == 1
    assert NAME not in done.stderr
    assert [line["level"] for line in lines] == ["warning", "critical", "critical"]
    assert lines[1]["message"] == "a-thread ended by an error that nobody caught"
    assert "ZeroDivisionError: division by zero" in lines[1]["exception"]
    assert lines[2]["exception"].endswith("KeyError: 'end'")


def test_the_set_up_says_which_format_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    root, hooks = logging.getLogger(), (sys.excepthook, __import__("threading").excepthook)
    handlers, level = root.handlers[:], root.level
    try:
        set_up_log("live", LogConfig("json"))
        assert writes_json()
        set_up_log("live", LogConfig("text"))
        assert not writes_json()
    finally:
        logging.captureWarnings(False)
        root.handlers[:] = handlers
        root.setLevel(level)
        sys.excepthook, __import__("threading").excepthook = hooks
