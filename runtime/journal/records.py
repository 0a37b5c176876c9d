"""Records as JSON and back: the one text form that the journal stores and that `--json` prints.

The rules are the annotations in alert.py; pydantic checks every body against them, when it is written and when it is
read, so that what was written can be read. Not for: where the text goes (journal/writer.py, sinks/).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Annotated, Any, Union, cast

from cathrt.runtime.alert import (
    JUDGED,
    NOTICES,
    Alert,
    Draft,
    DraftSigned,
    EngineChange,
    Finding,
    News,
    Outcome,
    PassStart,
    PersonDecided,
    ProcessStart,
    Reading,
    Record,
    Refusal,
    ReviewFinished,
    RunResult,
    RunSummary,
    StudyDraft,
    StudyEnded,
    StudyFindings,
    Verdict,
)
from cathrt.runtime.outside.validation import faults_of, shown

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_ENDS = tuple(f',"notice":"{notice}"}}'.encode() for notice in NOTICES)  # how a body ends
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class RecordParts:
    """The classes that models put into records, each with a `kind` of its own. models.record_parts() has them all."""

    findings: tuple[type[Finding], ...] = ()
    news: tuple[type[News], ...] = ()
    results: tuple[type[RunResult], ...] = ()
    drafts: tuple[type[Draft], ...] = ()
    readings: tuple[type[Reading], ...] = ()


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
    _checked(body, _parts_of(record))
    return body


def record_from_body(body: bytes, parts: RecordParts) -> Record:
    """The record of one canonical JSON line. parts: the classes that may occur in it, told apart by their kind.

    Raises ValueError naming each key that does not fit, what was found and what was expected.
    """
    if not body.endswith(_ENDS):
        raise ValueError(f"found {shown(body[-40:])} at the end, expected the notice {NOTICES[0]!r}")
    return _checked(body, parts)


def values_of(body: bytes, *keys: str) -> tuple[Any, ...]:
    """Single values of a stored body as JSON has them, without knowing what models put into it."""
    document = json.loads(body)
    return tuple(document[key] for key in keys)


def body_with(body: bytes, **values: Any) -> bytes:
    """The same canonical body with other values for some of its keys."""
    return _encoder()(json.loads(body) | values)


def prepare_records(parts: RecordParts) -> None:
    """Build now what the first record of such parts would build: some milliseconds of work."""
    _encoder()
    for findings in {*((made,) for made in parts.findings), parts.findings, ()}:
        _adapter(RecordParts(findings=findings))
    _adapter(parts)


def _parts_of(record: Record) -> RecordParts:
    """The classes that are in this very record."""
    match record:
        case Verdict():
            return RecordParts(findings=_classes(Finding, record.findings))
        case Alert():
            return RecordParts(news=_classes(News, (record.news,)))
        case RunSummary():
            return RecordParts(results=_classes(RunResult, record.results))
        case StudyDraft():
            return RecordParts(drafts=_classes(Draft, (record.draft,)))
        case StudyFindings():
            return RecordParts(readings=_classes(Reading, (record.reading,)))
    return RecordParts()


def _classes(base: type[Any], parts: Iterable[Any] | None) -> tuple[type[Any], ...]:
    """What the check of this very record needs; whatever is no part at all is left to the check."""
    return tuple(dict.fromkeys(type(part) for part in parts or () if isinstance(part, base)))


def _checked(body: bytes, parts: RecordParts) -> Record:
    """The record of a body."""
    from pydantic import ValidationError

    record: Record
    try:
        record = _adapter(parts).validate_json(body)
    except ValidationError as exc:
        raise ValueError("; ".join(faults_of(exc))) from exc
    if isinstance(record, Verdict):
        _check_verdict(record)
    elif isinstance(record, RunSummary):
        _check_summary(record)
    elif isinstance(record, StudyDraft):
        _check_draft(record, body)
    elif isinstance(record, StudyFindings):
        _check_reading(record, body)
    elif isinstance(record, PersonDecided | DraftSigned | ReviewFinished):
        _check_of_person(record, body)
    elif isinstance(record, EngineChange) and record.live_ai is (record.rung is None):
        raise ValueError(f"rung: found {record.rung}, live_ai {record.live_ai}, expected a rung where there is live AI")
    elif isinstance(record, PassStart):
        _check_one_each("models", [model.kind for model in record.models])
    elif isinstance(record, Alert) and record.late is False and record.live_until is None:
        raise ValueError("live_until: found None, expected a moment for an alert that is not late")
    return record


def _check_verdict(verdict: Verdict) -> None:
    judged = verdict.outcome in JUDGED
    kinds = [finding.kind for finding in verdict.findings]
    _check_one_each("findings", kinds)
    if (judged and not kinds) or (kinds and not judged and verdict.outcome is not Outcome.FAILED):
        expected = "at least one" if judged else "none"
        raise ValueError(
            f"findings: found {shown(kinds)}, expected {expected} for a frame that ended {verdict.outcome}"
        )
    if verdict.retry and verdict.outcome is not Outcome.FAILED:
        raise ValueError(f"retry: found true, expected false for a frame that ended {verdict.outcome}")


def _check_summary(run: RunSummary) -> None:
    if unknown := sorted(run.verdicts.keys() - {outcome.value for outcome in Outcome}):
        raise ValueError(f"verdicts: found {shown(unknown)}, expected some of {', '.join(Outcome)}")
    if sum(run.verdicts.values()) != run.frames:
        raise ValueError(f"verdicts: {run.verdicts} do not add up to {run.frames} frames")
    _check_one_each("results", [result.kind for result in run.results])
    for number, result in enumerate(run.results):
        if len(result.marked_frames) != len(result.marked_scores):
            raise ValueError(
                f"results.{number}.marked_scores: found {len(result.marked_scores)}, "
                f"expected {len(result.marked_frames)}"
            )


def _check_draft(record: StudyDraft, body: bytes) -> None:
    draft = record.draft
    if _encoder()(record) != body:  # a missing watermark, or facts without lesions, would be read as their defaults
        raise ValueError("draft: a key is missing, or the body is not in canonical form")
    texts = (draft.text, draft.text_ja)
    expected = "a text in both languages" if draft.withheld is None else "none of a draft that is withheld"
    if draft.withheld == "" or any((text is None or not text.strip()) == (draft.withheld is None) for text in texts):
        raise ValueError(f"text: found {shown(texts)}, withheld {shown(draft.withheld)}, expected {expected}")


def _check_reading(record: StudyFindings, body: bytes) -> None:
    reading = record.reading
    if _encoder()(record) != body:  # a missing key would be read as its default
        raise ValueError("study: a key is missing, or the body is not in canonical form")
    if (reading.withheld is None) is not bool(reading.findings) or reading.withheld == "":
        expected = "some findings" if reading.withheld is None else "none of a reading that is withheld"
        found = f"{len(reading.findings)}, withheld {shown(reading.withheld)}"
        raise ValueError(f"findings: found {found}, expected {expected}")
    _check_one_each("findings", [finding.name for finding in reading.findings])
    places = [run.place for run in record.runs if run.place is not None]
    wrong = any((run.why == "counts") is (run.place is None) for run in record.runs)
    if wrong or places != list(range(1, len(places) + 1)):
        raise ValueError(f"runs: found places {places}, expected 1, 2, ... of the runs that count, and no others")
    if any((run.counted is None) is not (run.place is None or reading.withheld is not None) for run in record.runs):
        raise ValueError("runs: counted: expected it of the runs that count, and of no others")
    if record.provisional and record.ended is not None:
        raise ValueError(f"ended: found {record.ended}, expected none of a provisional reading")


def _check_of_person(record: PersonDecided | DraftSigned | ReviewFinished, body: bytes) -> None:
    if _encoder()(record) != body:  # a missing key would be read as its default
        raise ValueError(f"{record.type}: a key is missing, or the body is not in canonical form")
    if isinstance(record, PersonDecided) and (faults := thing_faults(record)):
        raise ValueError("; ".join(faults))


# What tells one thing of a kind from another, and how a person may correct it.
_NAMED_BY = {"key_frame": {"run_id", "frame_index"}, "side": {"run_id"}, "finding": {"bundle", "finding"}}
_CORRECTED_BY = {"key_frame": {"frame_index", "added"}, "side": {"side"}, "finding": {"value", "positive", "label"}}


def thing_faults(record: PersonDecided) -> list[str]:
    """What does not fit together in a decision, in words: the thing, what is decided, the correction."""
    thing, correction = record.thing, record.correction
    given = {name for name in ("run_id", "frame_index", "bundle", "finding") if getattr(thing, name) is not None}
    expected = _NAMED_BY.get(thing.kind, set())
    faults = []
    if given != expected:
        faults.append(f"thing: found {_listed(given)} of a {thing.kind}, expected {_listed(expected)}")
    if (correction is not None) is not (record.what == "corrected"):
        faults.append(f"correction: expected it where something is corrected and nowhere else, found {record.what}")
    if correction is not None:
        said = {one.name for one in fields(correction) if getattr(correction, one.name) is not None}
        allowed = _CORRECTED_BY.get(thing.kind, set())
        if len(said) != 1 or not said <= allowed:
            faults.append(f"correction: found {_listed(said)} of a {thing.kind}, expected one of {_listed(allowed)}")
    if (record.said is None) is not (thing.kind == "results"):
        faults.append("said: expected what a model had said of everything but the results of a study")
    return faults


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"


def _check_one_each(key: str, kinds: list[str]) -> None:
    if len(set(kinds)) != len(kinds):
        raise ValueError(f"{key}: found {shown(kinds)}, expected one of each model")


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
def _adapter(parts: RecordParts) -> TypeAdapter[Any]:
    from pydantic import BeforeValidator, ConfigDict, Discriminator, TypeAdapter

    def tagged(classes: tuple[type[Any], ...]) -> Any:
        if not classes:
            return Annotated[None, BeforeValidator(_of_no_model)]
        return Annotated[Union[classes], Discriminator("kind")]  # noqa: UP007 (made at run time)

    strict = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    made_of = (Verdict, Alert, RunSummary, StudyDraft, StudyFindings)
    verdict, alert, run, draft, study = (cast(Any, made) for made in made_of)
    union: Any = Union[  # noqa: UP007
        PassStart,
        verdict[tagged(parts.findings)],
        alert[tagged(parts.news)],
        run[tagged(parts.results)],
        Refusal,
        draft[tagged(parts.drafts)],
        StudyEnded,
        study[tagged(parts.readings)],
        PersonDecided,
        DraftSigned,
        ReviewFinished,
        EngineChange,
        ProcessStart,
    ]
    made: Any = Annotated[union, Discriminator("type")]
    return TypeAdapter(made, config=strict)


def _of_no_model(value: object) -> object:  # noqa: ARG001 (pydantic hands it over)
    """Where no model's class is known, nothing fits, null included."""
    from pydantic_core import PydanticCustomError

    raise PydanticCustomError("no_model", "something of a model that is known here")
