"""What the processes of `cathrt run` write to standard error: lines for a person, or one JSON object a line.

Lines hold no patient data: ours name objects by their UIDs and never quote an element's value; what a library logs or
warns may quote one, so of that only the place is written. Not for: records, which are in the journals.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import traceback
from datetime import UTC, datetime
from types import TracebackType

from cathrt.runtime.config import LogConfig
from cathrt.runtime.outside.plain_text import json_escaped, shown, shown_lines
from cathrt.runtime.processes.queued_lines import QueuedLines

_OURS = ("cathrt", "__main__")  # a process's own module is __main__
_QUOTING = (f"{os.sep}pydicom{os.sep}", f"{os.sep}pynetdicom{os.sep}")  # libraries whose errors quote values
_WITHHELD = "[message withheld: it may quote an element]"


def set_up_log(process: str, settings: LogConfig) -> None:
    """Send what is logged in this process to standard error, warnings and errors that nobody caught as well.

    Nobody who logs waits for whoever reads it (queued_lines.py).
    """
    lines = QueuedLines(JsonLines(process) if settings.format == "json" else PlainLines(process))
    logging.basicConfig(level=logging.WARNING, handlers=[lines], force=True)
    logging.getLogger("cathrt").setLevel(logging.INFO)
    logging.getLogger("__main__").setLevel(logging.INFO)
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


def writes_json() -> bool:
    """Whether this process logs JSON lines."""
    return any(isinstance(handler.formatter, JsonLines) for handler in logging.getLogger().handlers)


class PlainLines(logging.Formatter):
    """For a person: "cathrt live: WARNING: ...", and what is no warning without a level."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        level = f"{record.levelname}: " if record.levelno >= logging.WARNING else ""
        if getattr(record, "ends_process", False):
            level = "error: "
        line = f"cathrt {self._process}: {level}{shown(_message(record))}"
        return f"{line}\n{shown_lines(told)}" if (told := _exception(record)) else line


class JsonLines(logging.Formatter):
    """For programs: time (UTC, ISO 8601), level, process, pid, logger, message, and exception where there is one."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        document = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds"),
            "level": record.levelname.lower(),
            "process": self._process,
            "pid": record.process,
            "logger": record.name,
            "message": _message(record),
        }
        if told := _exception(record):
            document["exception"] = told
        return json_escaped(json.dumps(document, ensure_ascii=False))


def _message(record: logging.LogRecord) -> str:
    if record.name.split(".")[0] in _OURS:
        return record.getMessage()
    place = f"{record.name}, {os.path.basename(record.pathname)} line {record.lineno}"
    if record.name == "py.warnings":  # the first word behind the place is the kind of the warning
        kind = record.getMessage().partition("\n")[0].split(": ")
        place = f"{record.name}, {kind[1] if len(kind) > 2 else 'a warning'} at {os.path.basename(kind[0])}"
    return f"{place}: {_WITHHELD}"


def _exception(record: logging.LogRecord) -> str:
    error = record.exc_info[1] if record.exc_info else None
    if error is None:
        return ""
    told, seen = [], set[int]()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        told.append(_one_exception(error))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\ncaused by\n".join(told)


def _one_exception(error: BaseException) -> str:
    """Its places and its message; without that, where a library raised it that quotes values."""
    frames = traceback.extract_tb(error.__traceback__)
    quotes = bool(frames) and any(library in frames[-1].filename for library in _QUOTING)
    places = "".join(f"  {frame.filename}:{frame.lineno} in {frame.name}\n" for frame in frames)
    message = _WITHHELD if quotes else str(error)
    ending = f"{type(error).__name__}: {message}" if message else type(error).__name__
    return f"Traceback (most recent call last):\n{places}{ending}"


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    logging.getLogger("cathrt").critical("ended by an error that nobody caught", exc_info=(kind, error, trace))


def _log_uncaught_in_thread(arguments: threading.ExceptHookArgs) -> None:
    name, error = arguments.thread.name if arguments.thread else "a thread", arguments.exc_value
    if error is not None:
        told = (arguments.exc_type, error, arguments.exc_traceback)
        logging.getLogger("cathrt").critical("%s ended by an error that nobody caught", name, exc_info=told)
