"""Facts as JSON: the schema that binds the model's answer, the one exact form, and what no schema can say.

Not for: the grammar that is made from the schema (grammar.py), or the check of prose (check.py).
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, cast, get_args

from cathrt.runtime.errors import CathrtError
from cathrt.runtime.models.report.facts import (
    MOST_LESIONS,
    Artery,
    Dominance,
    Facts,
    Findings,
    Lesion,
    Segment,
    Side,
)
from cathrt.runtime.models.report.places import ARTERY_OF, SIDE_OF, arteries_of, place_of, segments_of

# Grades in which Japanese reports write diameter stenosis (AHA, Austen 1975).
PERCENTS = (25, 50, 75, 90, 99, 100)
MOST_GRAFTS = 9
_LONGEST = 4000  # characters; eight lesions take under 900
_FACTS_KEYS = ("sides", "lesions", "dominance", "grafts")
_LESION_KEYS = ("artery", "segment", "percent", "occluded", "chronic")
# llguidance: no white space, so that an answer has one form only.
_COMPACT = {"item_separator": ",", "key_separator": ":", "whitespace_flexible": False}


class FactsError(CathrtError):
    """A text is not the JSON form of facts. A draft that rests on it is withheld."""


def facts_schema(findings: Findings) -> dict[str, Any]:
    """JSON schema of the facts that a draft of this study can have.

    What is confirmed is the only value allowed: sides always; lesions, dominance and grafts where they are known.
    Lesions lie in arteries of the sides that were shown. Not said here: that each place is named once, and that an
    unknown dominance fits the segments (facts_faults).
    """
    known = findings.known
    dominances = [*get_args(Dominance), None] if known.dominance is None else [known.dominance]
    grafts: dict[str, Any] = {"const": known.grafts}
    if known.grafts is None:
        grafts = {"anyOf": [{"type": "integer", "minimum": 0, "maximum": MOST_GRAFTS}, {"type": "null"}]}
    properties = {
        "sides": {"const": list(known.sides)},
        "lesions": _lesions_schema(known),
        "dominance": {"enum": dominances},
        "grafts": grafts,
    }
    return {**_object(properties), "x-guidance": _COMPACT}


def facts_from_json(text: str) -> Facts:
    """The facts that a text states. Raises FactsError for anything but the exact keys, types and words.

    White space between values is allowed. Not checked: what facts_faults looks at.
    """
    if len(text) > _LONGEST:
        raise FactsError(f"facts of {len(text)} characters, expected at most {_LONGEST}: the answer ran on")
    try:
        document = json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as exc:
        raise FactsError(f"facts {text[:80]!r}: {exc}; expected JSON: the answer was cut or not bound") from exc
    values = _values(document, _FACTS_KEYS, "facts")
    sides = tuple(cast(Side, _word(side, get_args(Side), "a side")) for side in _list(values["sides"], 2, "sides"))
    lesions = tuple(_lesion(lesion) for lesion in _list(values["lesions"], MOST_LESIONS, "lesions"))
    dominance, grafts = values["dominance"], values["grafts"]
    return Facts(
        sides=sides,
        lesions=lesions,
        dominance=None if dominance is None else cast(Dominance, _word(dominance, get_args(Dominance), "dominance")),
        grafts=None if grafts is None else _number(grafts, MOST_GRAFTS, "grafts"),
    )


def json_from_facts(facts: Facts) -> str:
    """The one exact form: keys in this order, no white space."""
    document = {
        "sides": list(facts.sides),
        "lesions": [_lesion_document(lesion) for lesion in facts.lesions],
        "dominance": facts.dominance,
        "grafts": facts.grafts,
    }
    return json.dumps(document, separators=(",", ":"))


def facts_faults(facts: Facts) -> tuple[str, ...]:
    """What cannot be true of one study, in words; nothing where all fits."""
    faults = []
    if facts.sides not in ((), ("left",), ("right",), ("left", "right")):
        faults.append(f"sides {list(facts.sides)}: each once, left first")
    if len(facts.lesions) > MOST_LESIONS:
        faults.append(f"{len(facts.lesions)} lesions: at most {MOST_LESIONS}")
    for place, times in Counter(place_of(lesion) for lesion in facts.lesions).items():
        if times > 1:
            faults.append(f"{_named(*place)} is named {times} times: each place once")
    for lesion in facts.lesions:
        faults += _lesion_faults(lesion, facts)
    return tuple(faults)


def _lesion_faults(lesion: Lesion, facts: Facts) -> list[str]:
    place, faults = _named(lesion.artery, lesion.segment), []
    if SIDE_OF[lesion.artery] not in facts.sides:
        faults.append(f"{place}: the {SIDE_OF[lesion.artery]} coronary artery was not shown")
    if lesion.segment is not None and ARTERY_OF[lesion.segment] != lesion.artery:
        faults.append(f"{place}: segment {lesion.segment} belongs to {ARTERY_OF[lesion.segment]}")
    elif lesion.segment is not None and lesion.segment not in segments_of(lesion.artery, facts.dominance):
        faults.append(f"{place}: a {facts.dominance}-dominant heart has no segment {lesion.segment}")
    if lesion.percent is not None and not 1 <= lesion.percent <= 100:
        faults.append(f"{place}: {lesion.percent}% is no narrowing")
    if lesion.occluded != (lesion.percent == 100):
        faults.append(f"{place}: occluded {lesion.occluded} with percent {lesion.percent}: occluded is 100 percent")
    if lesion.chronic and not lesion.occluded:
        faults.append(f"{place}: chronic without an occlusion")
    return faults


def _lesions_schema(known: Facts) -> dict[str, Any]:
    """A study model's lesions are the only ones; without any, what the arteries shown can have."""
    if known.lesions:
        return {"const": [_lesion_document(lesion) for lesion in known.lesions]}
    arteries = arteries_of(known.sides)
    if not arteries:
        return {"const": []}
    kinds = [kind for artery in arteries for kind in _lesion_schemas(artery, known.dominance)]
    return {"type": "array", "items": {"anyOf": kinds}, "maxItems": MOST_LESIONS}


def _lesion_schemas(artery: Artery, dominance: Dominance | None) -> tuple[dict[str, Any], ...]:
    """A narrowing of the artery, and an occlusion of it."""
    where = {"artery": {"const": artery}, "segment": {"enum": [*segments_of(artery, dominance), None]}}
    narrowed = [*(percent for percent in PERCENTS if percent < 100), None]
    open_still = {"percent": {"enum": narrowed}, "occluded": {"const": False}, "chronic": {"const": False}}
    closed = {"percent": {"const": 100}, "occluded": {"const": True}, "chronic": {"type": "boolean"}}
    return _object({**where, **open_still}), _object({**where, **closed})


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _lesion_document(lesion: Lesion) -> dict[str, Any]:
    return {key: getattr(lesion, key) for key in _LESION_KEYS}


def _lesion(document: object) -> Lesion:
    values = _values(document, _LESION_KEYS, "a lesion")
    segment, percent = values["segment"], values["percent"]
    return Lesion(
        artery=cast(Artery, _word(values["artery"], get_args(Artery), "an artery")),
        segment=None if segment is None else cast(Segment, _word(segment, get_args(Segment), "a segment")),
        percent=None if percent is None else _number(percent, 100, "percent"),
        occluded=_flag(values["occluded"], "occluded"),
        chronic=_flag(values["chronic"], "chronic"),
    )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if twice := sorted(name for name, times in Counter(name for name, _ in pairs).items() if times > 1):
        raise ValueError(f"keys {twice} twice")
    return dict(pairs)


def _values(document: object, keys: tuple[str, ...], what: str) -> dict[str, Any]:
    if not isinstance(document, dict) or set(document) != set(keys):
        found = sorted(document) if isinstance(document, dict) else _brief(document)
        raise FactsError(f"{what}: found {found}, expected exactly the keys {list(keys)}: the answer was not bound")
    return document


def _list(value: object, most: int, what: str) -> list[Any]:
    if not isinstance(value, list) or len(value) > most:
        raise FactsError(f"{what}: found {_brief(value)}, expected a list of at most {most}: the answer was not bound")
    return value


def _word(value: object, allowed: tuple[str, ...], what: str) -> str:
    if not isinstance(value, str) or value not in allowed:
        raise FactsError(f"{what}: found {_brief(value)}, expected one of {list(allowed)}: the answer was not bound")
    return value


def _number(value: object, most: int, what: str) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise FactsError(f"{what}: found {_brief(value)}, expected 0 to {most}: the answer was not bound")
    return value


def _flag(value: object, what: str) -> bool:
    if not isinstance(value, bool):
        raise FactsError(f"{what}: found {_brief(value)}, expected true or false: the answer was not bound")
    return value


def _brief(value: object) -> str:
    return repr(value)[:60]


def _named(artery: Artery, segment: Segment | None) -> str:
    return artery if segment is None else f"{artery} segment {segment}"
