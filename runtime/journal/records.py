"""Records as JSON and back: the one text form that the journal stores and that `--json` prints.

The rules are the annotations in alert.py; pydantic checks every body against them, when it is written and when it is
read, so that what was written can be read. Not for: where the text goes (journal/writer.py, sinks/).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, Union

from cathrt.runtime.alert import NOTICE, Alert, Finding, Outcome, PassStart, Record, Refusal, RunSummary, Verdict
from cathrt.runtime.outside.validation import faults_of, shown

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_NOTICE = f',"notice":"{NOTICE}"}}'.encode()  # how every body ends
_SURROGATE = re.compile("[\ud800-\udfff]")

_Found = TypeVar("_Found", bound=Finding)
_Read = PassStart | Verdict[_Found] | Alert | RunSummary | Refusal


def body_from_record(record: Record) -> bytes:
    """Canonical JSON: compact UTF-8, one line, "type" first and "notice" last, same record same bytes.

    A lone surrogate (a file name that is no UTF-8 has them) is written as its escape, six characters of text.
    Raises ValueError where record_from_body would refuse the body: NaN, a score of 1.2, a judged frame without finding.
    """
    if isinstance(record, RunSummary):
        record = replace(record, verdicts=_sorted(record.verdicts), latency_ms=_sorted(record.latency_ms))
    encode = _encoder()
    try:
        body = encode(record)
    except ValueError:  # lone surrogates, or no JSON value at all: then it is raised again
        body = encode(_without_surrogates(record))
    finding = record.finding if isinstance(record, Verdict) else None
    _checked(body, () if finding is None else (type(finding),))
    return body[:-1] + _NOTICE


def record_from_body(body: bytes, findings: tuple[type[_Found], ...]) -> _Read[_Found]:
    """The record of one canonical JSON line. findings: the classes that a verdict's finding may be of, by their kind.

    Raises ValueError naming each key that does not fit, what was found and what was expected.
    """
    if not body.endswith(_NOTICE):
        raise ValueError(f"found {shown(body[-40:])} at the end, expected the notice {NOTICE!r}")
    return _checked(body.removesuffix(_NOTICE) + b"}", findings)


def prepare_records(findings: tuple[type[Finding], ...]) -> None:
    """Build now what the first record of such findings would build: some milliseconds of work."""
    _encoder()
    _adapter(findings)


def _checked(body: bytes, findings: tuple[type[_Found], ...]) -> _Read[_Found]:
    """The record of a body without its notice."""
    from pydantic import ValidationError

    record: _Read[_Found]
    try:
        record = _adapter(findings).validate_json(body)
    except ValidationError as exc:
        raise ValueError("; ".join(faults_of(exc))) from exc
    if isinstance(record, Verdict):
        _check_verdict(record)
    elif isinstance(record, RunSummary):
        _check_summary(record)
    elif isinstance(record, Alert) and record.late is False and record.live_until is None:
        raise ValueError("live_until: found None, expected a moment for an alert that is not late")
    return record


def _check_verdict(verdict: Verdict) -> None:
    judged = verdict.outcome in (Outcome.MET, Outcome.LATE)
    for key, value in (("finding", verdict.finding), ("engine", verdict.engine)):
        if judged != (value is not None):
            expected = "one" if judged else "none"
            raise ValueError(
                f"{key}: found {shown(value)}, expected {expected} for a frame that ended {verdict.outcome}"
            )
    if verdict.retry and verdict.outcome is not Outcome.FAILED:
        raise ValueError(f"retry: found true, expected false for a frame that ended {verdict.outcome}")


def _check_summary(run: RunSummary) -> None:
    if unknown := sorted(run.verdicts.keys() - {outcome.value for outcome in Outcome}):
        raise ValueError(f"verdicts: found {shown(unknown)}, expected some of {', '.join(Outcome)}")
    if sum(run.verdicts.values()) != run.frames:
        raise ValueError(f"verdicts: {run.verdicts} do not add up to {run.frames} frames")
    if len(run.key_frames) != len(run.key_frame_scores):
        raise ValueError(f"key_frame_scores: found {len(run.key_frame_scores)}, expected {len(run.key_frames)}")


def _sorted(table: dict[str, Any]) -> dict[str, Any]:
    return dict(sorted(table.items()))


def _without_surrogates(value: Any) -> Any:
    """The same value with every lone surrogate in its texts as the text of its escape."""
    if isinstance(value, str):
        return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", value)
    if isinstance(value, tuple):
        return tuple(map(_without_surrogates, value))
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in fields(value)]
        return replace(value, **{name: _without_surrogates(getattr(value, name)) for name in names})
    return value


@cache
def _encoder() -> Callable[[Any], bytes]:
    from pydantic_core import to_json

    return partial(to_json, inf_nan_mode="constants")  # NaN as NaN, which the check refuses; not as null


@cache
def _adapter(findings: tuple[type[Finding], ...]) -> TypeAdapter[Any]:
    from pydantic import ConfigDict, Discriminator, TypeAdapter

    strict = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    finding: Any = Annotated[Union[findings], Discriminator("kind")] if findings else None  # noqa: UP007 (made at run time)
    verdict: Any = Verdict
    union = Union[PassStart, verdict[finding], Alert, RunSummary, Refusal]  # noqa: UP007
    return TypeAdapter(Annotated[union, Discriminator("type")], config=strict)
