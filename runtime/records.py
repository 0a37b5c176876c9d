"""Records as JSON and back: the one text form that the journal stores and that `--json` prints.

Strict both ways: every key there and known, every number finite and in range, so that what was written can be read.
Not for: where the text goes (journal.py, sinks/).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, get_args

from cathrt.runtime.alert import (
    NOTICE,
    Alert,
    KeyframeFinding,
    Laterality,
    Outcome,
    Percentiles,
    Record,
    Refusal,
    RunSummary,
    StageTimes,
    Verdict,
)

_CANONICAL = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_MEMBERS: dict[type[Any], tuple[str, ...]] = {
    made: tuple(field.name for field in fields(made) if field.init)
    for made in (Verdict, Alert, RunSummary, Refusal, KeyframeFinding, StageTimes, Percentiles)
}

Reader = Callable[[Any], Any]  # JSON value -> field value; raises ValueError saying what was expected


def document_from_record(record: Record) -> dict[str, Any]:
    """A record as JSON values: "type" first, then its fields in declared order, "notice" last.

    Raises ValueError where record_from_document would refuse the result: NaN, a score of 1.2, a finding that is
    missing from a judged frame.
    """
    document = {"type": record.type, **_members(record), "notice": NOTICE}
    _values(document)
    return document


def record_from_document(document: Mapping[str, Any]) -> Record:
    """The record that document_from_record was given. Raises ValueError naming the key, found and expected."""
    record_class, _ = _RECORDS[_kind(document)]
    return record_class(**_values(document))


def body_from_record(record: Record) -> bytes:
    """Canonical JSON: compact UTF-8, one line, same record same bytes. Raises ValueError as document_from_record."""
    text = _CANONICAL.encode(document_from_record(record))
    # A file name that is no UTF-8 reaches Python with lone surrogates; their backslash form is their JSON escape.
    return text.encode("utf-8", "backslashreplace")


def record_from_body(body: bytes | str) -> Record:
    """The record of one canonical JSON line. Raises ValueError if it is no JSON or no record."""
    document = json.loads(body)
    if not isinstance(document, dict):
        raise ValueError(f"found {document!r:.80}, expected one JSON object")
    return record_from_document(document)


def _members(value: Any) -> dict[str, Any]:
    return {name: _plain(getattr(value, name)) for name in _MEMBERS[type(value)]}


def _plain(value: Any) -> Any:
    if value is None or type(value) in (str, float, int, bool):
        return value
    if isinstance(value, Outcome):
        return value.value
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(value[key]) for key in sorted(value)}
    if type(value) in _MEMBERS:
        return _members(value)
    return value


def _kind(document: Mapping[str, Any]) -> str:
    kind = document.get("type")
    if not isinstance(kind, str) or kind not in _RECORDS:
        raise ValueError(f"type: found {kind!r}, expected one of {', '.join(_RECORDS)}")
    return kind


def _values(document: Mapping[str, Any]) -> dict[str, Any]:
    kind = _kind(document)
    _, readers = _RECORDS[kind]
    if document.get("notice") != NOTICE:
        raise ValueError(f"notice: found {document.get('notice')!r}, expected {NOTICE!r}")
    values = _object({key: document[key] for key in document if key not in ("type", "notice")}, readers)
    if kind == "verdict":
        judged = values["outcome"] in (Outcome.MET, Outcome.LATE)
        if judged != (values["finding"] is not None):
            raise ValueError(f"finding: a frame that ended {values['outcome']} must {'' if judged else 'not '}have one")
        if judged != (values["engine"] is not None):
            raise ValueError(f"engine: a frame that ended {values['outcome']} must {'' if judged else 'not '}name one")
    if kind == "run" and sum(values["verdicts"].values()) != values["frames"]:
        raise ValueError(f"verdicts: {values['verdicts']} do not add up to {values['frames']} frames")
    return values


def _object(value: Any, readers: Mapping[str, Reader]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"found {value!r:.80}, expected a JSON object with {', '.join(readers)}")
    if value.keys() != readers.keys():
        missing, unknown = sorted(readers.keys() - value.keys()), sorted(value.keys() - readers.keys())
        raise ValueError(f"missing keys {missing}, unknown keys {unknown}: expected exactly {', '.join(readers)}")
    values = {}
    for key, reader in readers.items():
        try:
            values[key] = reader(value[key])
        except ValueError as exc:
            raise ValueError(f"{key}: {exc}") from exc
    return values


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"found {value!r:.80}, expected text")
    return value


def _identifier(value: Any) -> str:
    if not isinstance(value, str) or not value or not value.isprintable():
        raise ValueError(f"found {value!r:.80}, expected an identifier (printable, not empty)")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"found {value!r:.80}, expected true or false")
    return value


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"found {value!r:.80}, expected a whole number from 0")
    return value


def _number(value: Any) -> float:
    if not isinstance(value, float | int) or isinstance(value, bool) or not math.isfinite(value):
        raise ValueError(f"found {value!r:.80}, expected a finite number")
    return float(value)


def _score(value: Any) -> float:
    number = _number(value)
    if not 0.0 <= number <= 1.0:
        raise ValueError(f"found {value!r}, expected a score from 0 to 1")
    return number


def _one_of(*allowed: str) -> Reader:
    def read(value: Any) -> str:
        if not isinstance(value, str) or value not in allowed:
            raise ValueError(f"found {value!r:.80}, expected one of {', '.join(allowed)}")
        return value

    return read


def _optional(reader: Reader) -> Reader:
    return lambda value: None if value is None else reader(value)


def _tuple_of(reader: Reader) -> Reader:
    def read(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise ValueError(f"found {value!r:.80}, expected a JSON array")
        return tuple(reader(item) for item in value)

    return read


def _table_of(reader: Reader) -> Reader:
    def read(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise ValueError(f"found {value!r:.80}, expected a JSON object")
        return {_text(key): reader(item) for key, item in value.items()}

    return read


def _dataclass_of(made: Callable[..., Any], readers: Mapping[str, Reader]) -> Reader:
    return lambda value: made(**_object(value, readers))


_laterality = _one_of(*get_args(Laterality))
_finding = _dataclass_of(
    KeyframeFinding,
    {
        "laterality": _laterality,
        "laterality_score": _score,
        "key_frame_score": _score,
        "class_scores": _tuple_of(_score),
    },
)
_stage_times = _dataclass_of(StageTimes, {stage.name: _number for stage in fields(StageTimes)})
_percentiles = _dataclass_of(Percentiles, {percentile.name: _number for percentile in fields(Percentiles)})
_outcome = _one_of(*(outcome.value for outcome in Outcome))


def _verdict_counts(value: Any) -> dict[str, int]:
    counts: dict[str, int] = _table_of(_count)(value)
    for outcome in counts:
        _outcome(outcome)
    return counts


_RECORDS: dict[str, tuple[Callable[..., Record], dict[str, Reader]]] = {
    "verdict": (
        Verdict,
        {
            "id": _identifier,
            "pass_id": _identifier,
            "run_id": _identifier,
            "frame_index": _count,
            "outcome": lambda value: Outcome(_outcome(value)),
            "reason": _optional(_text),
            "finding": _optional(_finding),
            "latency_ms": _stage_times,
            "engine": _optional(_text),
        },
    ),
    "alert": (
        Alert,
        {
            "id": _identifier,
            "pass_id": _identifier,
            "run_id": _identifier,
            "kind": _one_of("key_frame"),
            "frame_index": _count,
            "raised_at_frame": _count,
            "laterality": _laterality,
            "score": _score,
            "verdict_id": _identifier,
            "late": _flag,
            "engine": _text,
        },
    ),
    "run": (
        RunSummary,
        {
            "id": _identifier,
            "pass_id": _identifier,
            "run_id": _identifier,
            "source": _text,
            "frames": _count,
            "verdicts": _verdict_counts,
            "laterality": _laterality,
            "laterality_score": _score,
            "key_frames": _tuple_of(_count),
            "key_frame_scores": _tuple_of(_score),
            "positioner_primary_angle_deg": _optional(_number),
            "positioner_secondary_angle_deg": _optional(_number),
            "laterality_mismatch": _optional(_flag),
            "latency_ms": _table_of(_percentiles),
            "frame_rate_hz": _number,
            "frame_rate_origin": _text,
            "flags": _tuple_of(_text),
            "bundle": _text,
            "manifest_sha256": _text,
            "engine": _text,
        },
    ),
    "refusal": (Refusal, {"id": _identifier, "source": _text, "error": _text, "message": _text}),
}
