"""A record as one line of CEF (Common Event Format, version 0): what security and log systems read.

Not for: the syslog message around it (syslog.py).
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from cathrt.runtime.alert import NOTICE
from cathrt.runtime.outlets.message import Message

_LONGEST_VALUE = 1000  # characters; CEF allows 1023 for msg
_SEVERITIES = {"alert": 5, "refusal": 4, "engine": 5}  # 0 to 10; information signals, never above medium
_NAMES = {
    "start": "a process begins",
    "pass": "a run begins to be judged",
    "verdict": "a frame ended",
    "alert": "information signal",
    "run": "a run was judged",
    "refusal": "an input could not be judged",
    "draft": "a preliminary draft was written",
    "ended": "a study has ended and is judged",
    "study": "a study was read",
    "engine": "the engine of a live source changed",
    "decision": "a person decided about a result",
    "signoff": "a person signed a preliminary draft",
    "review": "a person finished the review of a study",
}


def cef_line(message: Message) -> str:
    """The line, without its end. A reader of it sees in `late` whether an alert is live."""
    record = message.record
    kind = message.type
    header = ("CEF:0", "cathrt", "cathrt", version("cathrt"), kind, _NAMES.get(kind, kind), _SEVERITIES.get(kind, 2))
    values = {
        "externalId": message.id,
        "cat": message.journal,
        "msg": _in_words(record),
        "cn1Label": "row",
        "cn1": message.seq,
        "cn2Label": "limited",
        "cn2": message.limited,
        "cs1Label": "run",
        "cs1": record.get("run_id"),
        "cs2Label": "source",
        "cs2": record.get("source"),
        "cs3Label": "late",
        "cs3": record.get("late"),
        "cs4Label": "frame",
        "cs4": record.get("frame_index"),
        "cs5Label": "notice",
        "cs5": record.get("notice", NOTICE),
    }
    extension = " ".join(
        f"{key}={_value(value)}" for key, value in values.items() if not _is_of_none(key, values) and value is not None
    )
    return "|".join([*(_header(str(field)) for field in header), extension])


def _in_words(record: dict[str, Any]) -> str:
    """One line for a person, of what every record of its type has."""
    match record["type"]:
        case "alert":
            return ("late: " if record["late"] else "") + str(record["news"]["text"])
        case "run":
            judged = ", ".join(f"{count} {outcome}" for outcome, count in record["verdicts"].items() if count)
            results = "; ".join(str(result["text"]) for result in record["results"])
            return f"{record['frames']} frames: {judged or 'none'}. {results}".strip()
        case "refusal":
            return f"{record['error']}: {record['message']}"
        case "draft":
            return f"study {record['study']}, revision {record['revision']}: {record['watermark']}"
        case "study":
            when = "provisional, " if record["provisional"] else ""
            return f"study {record['study']}, {when}revision {record['revision']}: {record['reading']['text']}"
        case "ended":
            return f"study {record['study']}, revision {record['revision']}: {len(record['run_ids'])} runs"
        case "decision":
            return f"study {record['study']}: {record['thing']['kind']} {record['what']} by {record['by']}"
        case "signoff":
            return f"study {record['study']}, revision {record['revision']}: draft signed by {record['by']}"
        case "review":
            return f"study {record['study']}, revision {record['revision']}: {record['what']} by {record['by']}"
        case "verdict":
            return str(record["outcome"]) if record["reason"] is None else f"{record['outcome']}: {record['reason']}"
        case "engine":
            return str(record["detail"])
        case "start":
            return f"the {record['process']} process begins, version {record['version']}"
    return f"judging begins at rate {record['rate']}, attempt {record['attempt']}"


def _is_of_none(key: str, values: dict[str, Any]) -> bool:
    """Whether it is the label of a value that is not there."""
    return key.endswith("Label") and values[key.removesuffix("Label")] is None


def _header(text: str) -> str:
    """A pipe and a backslash are escaped; a header has no lines."""
    return " ".join(text.splitlines()).replace("\\", "\\\\").replace("|", "\\|")


def _value(value: object) -> str:
    """An equals sign, a backslash and line ends are escaped; pipes are not."""
    text = ("true" if value else "false") if isinstance(value, bool) else str(value)
    text = text[:_LONGEST_VALUE].replace("\\", "\\\\").replace("=", "\\=")
    return "".join(_control(character) for character in text)


def _control(character: str) -> str:
    if character in "\r\n":
        return "\\r" if character == "\r" else "\\n"
    return character if character.isprintable() or character == " " else "?"
