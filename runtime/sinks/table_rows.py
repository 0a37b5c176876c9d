"""What stands in the tables: the columns, and the cells of one frame and of one run, out of the stored records.

Every field is flat. A tuple of numbers takes a column for each, from 0; a tuple of texts one column. Not for: files
(table.py).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from cathrt.runtime.alert import (
    Alert,
    Outcome,
    PassStart,
    Percentiles,
    Record,
    Refusal,
    RunSummary,
    StageTimes,
    Verdict,
)
from cathrt.runtime.journal.records import RecordParts

Cell = str | int | float | bool | None
Row = dict[str, Cell]
Columns = dict[str, type]  # by name: str, int, float or bool


@dataclass(frozen=True, slots=True)
class _Field:
    """A field of a model's part. many: a tuple, which takes a column for each number, or one for all its texts."""

    name: str
    type: type
    many: bool


class TableRows:
    """What a row needs of other records: the start of its pass, its alerts; and which columns there are."""

    def __init__(self, parts: RecordParts, records: Iterable[Record]) -> None:
        self._starts: dict[str, PassStart] = {}
        self._alerts: dict[str, list[Alert]] = defaultdict(list)
        self._alerts_of_pass: dict[str, int] = defaultdict(int)
        self._lengths: dict[str, int] = defaultdict(int)  # of each numbered column
        kinds: set[str] = set()
        for record in records:
            if isinstance(record, PassStart):
                self._starts[record.pass_id] = record
                kinds |= {model.kind for model in record.models}
            elif isinstance(record, Alert):
                self._alerts[record.verdict_id].append(record)
                self._alerts_of_pass[record.pass_id] += 1
                self._measure(f"alert_{record.news.kind}", record.news)
            elif isinstance(record, Verdict):
                for finding in record.findings:
                    self._measure(finding.kind, finding)
            elif isinstance(record, RunSummary):
                for result in record.results:
                    self._measure(result.kind, result)
        self._findings = [made for made in parts.findings if _kind(made) in kinds]
        self._results = [made for made in parts.results if _kind(made) in kinds]
        self._news = list(parts.news)

    def frame_columns(self) -> Columns:
        columns: Columns = {"source": str, "frame_index": int, "outcome": str, "reason": str, "retry": bool}
        for made in self._findings:
            columns |= self._columns(_kind(made), made)
        for news in self._news:
            prefix = f"alert_{_kind(news)}"
            columns |= {f"{prefix}_raised_at_frame": int, f"{prefix}_late": bool}
            columns |= self._columns(prefix, news)
        columns |= {f"latency_{stage.name}_ms": float for stage in fields(StageTimes)}
        return columns | {"rate": str, "attempt": int, "run_id": str, "pass_id": str, "verdict_id": str, "notice": str}

    def frame_row(self, verdict: Verdict) -> Row:
        row = self._of_pass(verdict.pass_id) | {
            "frame_index": verdict.frame_index,
            "outcome": str(verdict.outcome),
            "reason": verdict.reason,
            "retry": verdict.retry,
            "run_id": verdict.run_id,
            "verdict_id": verdict.id,
            "notice": verdict.notice,
        }
        for finding in verdict.findings:
            row |= _cells(finding.kind, finding)
        for alert in self._alerts.get(verdict.id, ()):
            prefix = f"alert_{alert.news.kind}"
            row |= {f"{prefix}_raised_at_frame": alert.raised_at_frame, f"{prefix}_late": alert.late}
            row |= _cells(prefix, alert.news)
        return row | {f"latency_{name}_ms": value for name, value in _values(verdict.latency_ms)}

    def run_columns(self) -> Columns:
        columns: Columns = {"source": str, "refused_with": str, "message": str, "frames": int}
        columns |= {f"frames_{outcome.lower()}": int for outcome in Outcome}
        columns["alerts"] = int
        for made in self._results:
            columns |= self._columns(_kind(made), made)
        columns |= {"frame_rate_hz": float, "frame_rate_origin": str, "flags": str}
        columns |= {"positioner_primary_angle_deg": float, "positioner_secondary_angle_deg": float}
        for stage in fields(StageTimes):
            columns |= {f"latency_{stage.name}_{of.name}_ms": float for of in fields(Percentiles)}
        return columns | {"rate": str, "attempt": int, "run_id": str, "pass_id": str, "notice": str}

    def run_row(self, run: RunSummary | Refusal) -> Row:
        if isinstance(run, Refusal):
            return {"source": run.source, "refused_with": run.error, "message": run.message, "notice": run.notice}
        row = self._of_pass(run.pass_id) | {
            "source": run.source,
            "frames": run.frames,
            "alerts": self._alerts_of_pass.get(run.pass_id, 0),
            "frame_rate_hz": run.frame_rate_hz,
            "frame_rate_origin": run.frame_rate_origin,
            "flags": "; ".join(run.flags) or None,
            "positioner_primary_angle_deg": run.positioner_primary_angle_deg,
            "positioner_secondary_angle_deg": run.positioner_secondary_angle_deg,
            "run_id": run.run_id,
            "notice": run.notice,
        }
        row |= {f"frames_{outcome.lower()}": run.verdicts.get(outcome, 0) for outcome in Outcome}
        for result in run.results:
            row |= _cells(result.kind, result)
        for stage, times in run.latency_ms.items():
            row |= {f"latency_{stage}_{name}_ms": value for name, value in _values(times)}
        return row

    def _of_pass(self, pass_id: str) -> Row:
        start = self._starts.get(pass_id)
        told: Row = {"pass_id": pass_id}
        if start is not None:
            told |= {"source": start.source, "rate": start.rate, "attempt": start.attempt}
        return told

    def _measure(self, prefix: str, part: Any) -> None:
        for name, value in _values(part):
            if isinstance(value, tuple):
                self._lengths[f"{prefix}_{name}"] = max(self._lengths[f"{prefix}_{name}"], len(value))

    def _columns(self, prefix: str, made: type[Any]) -> Columns:
        columns: Columns = {}
        for field in _fields(made):
            name = f"{prefix}_{field.name}"
            if field.many and field.type is not str:
                columns |= {f"{name}_{number}": field.type for number in range(self._lengths[name])}
            else:
                columns[name] = field.type
        return columns


def _kind(made: type[Any]) -> str:
    (kind,) = get_args(get_type_hints(made)["kind"])
    return str(kind)


def _fields(made: type[Any]) -> Iterator[_Field]:
    """The fields of a model's part, but for its kind, which stands in the names of the columns."""
    hints = get_type_hints(made)
    for field in fields(made):
        if field.name != "kind":
            yield _field(field.name, hints[field.name])


def _field(name: str, hint: Any) -> _Field:
    origin, inner = get_origin(hint), get_args(hint)
    if origin is tuple and len(inner) == 2 and inner[1] is Ellipsis:
        return _Field(name, _field(name, inner[0]).type, many=True)
    if origin is Annotated:
        return _field(name, inner[0])
    if origin is Literal:
        return _Field(name, type(inner[0]), many=False)
    if type(None) in inner:
        (hint,) = (one for one in inner if one is not type(None))
        return _field(name, hint)
    if hint in (str, int, float, bool):
        return _Field(name, hint, many=False)
    raise AssertionError(f"{name}: {hint} is no cell of a table")


def _cells(prefix: str, part: Any) -> Row:
    """The cells of a model's finding, news or result."""
    row: Row = {}
    for name, value in _values(part):
        if name == "kind":
            continue
        if not isinstance(value, tuple):
            row[f"{prefix}_{name}"] = value
        elif value and isinstance(value[0], str):
            row[f"{prefix}_{name}"] = "; ".join(value)
        else:
            row |= {f"{prefix}_{name}_{number}": one for number, one in enumerate(value)}
    return row


def _values(part: Any) -> Iterator[tuple[str, Any]]:
    assert is_dataclass(part)
    return ((field.name, getattr(part, field.name)) for field in fields(part))
