"""Limits that an engine must keep to be signed: failures in words, limits made stricter, samples too small.

Each kind of model has limits of its own (Criteria). Not for: measuring what differs, or signing (evidence.py).
docs/export.md says where limits come from.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import Field, dataclass, fields, replace
from typing import Any, ClassVar, Protocol, TypeVar

from cathrt.runtime.errors import ConfigError

_FRAMES_FOR_ALL = 1000  # where every frame must agree: as many as 99.9 % needs
_LOOK_AT = 5  # examples named in a failure


class Gate(Protocol):
    """A dataclass of limits by name, each a number, or None for no limit. AT_LEAST: shares; others are "at most"."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    AT_LEAST: ClassVar[frozenset[str]]


GateT = TypeVar("GateT", bound=Gate)


@dataclass(frozen=True, slots=True)
class Failure:
    """One way in which an engine misses its gate. look_at: the first frames, runs and layers to look at.

    too_few: it is not the engine that misses, but the sample that is too small to say.
    """

    what: str
    found: str
    required: str
    look_at: tuple[str, ...] = ()
    too_few: bool = False

    def __str__(self) -> str:
        seen = f": look at {'; '.join(self.look_at)}" if self.look_at else ""
        return f"{self.what}: found {self.found}, required {self.required}{seen}"


def tightened(gate: GateT, limits: Mapping[str, float]) -> GateT:
    """The gate with some limits made stricter. Raises ConfigError for an unknown one or one that is looser."""
    known = [field.name for field in fields(gate)]
    changes: dict[str, Any] = dict(limits)
    for name, value in limits.items():
        if name not in known:
            raise ConfigError(f"gate.{name}: no such limit, expected one of {', '.join(known)}")
        share = name in gate.AT_LEAST
        if not 0.0 <= value <= (1.0 if share else math.inf) or not math.isfinite(value):
            raise ConfigError(f"gate.{name}: found {value}, expected a share up to 1 or an error, neither below 0")
        limit = getattr(gate, name)
        if limit is not None and (value < limit if share else value > limit):
            raise ConfigError(
                f"gate.{name}: found {value:g}, looser than {limit:g}: a gate may only be tightened; leave it out, "
                "or correct the engine"
            )
    return replace(gate, **changes)


def needed(share: float) -> int:
    """Smallest sample in which one miss still passes a gate of this share: 1 / (1 - share); 1000 for 1."""
    return math.ceil(round(1.0 / (1.0 - share), 6)) if share < 1.0 else _FRAMES_FOR_ALL


def worst(layers: Sequence[tuple[str, float]]) -> tuple[str, ...]:
    """The three worst of (name, error), worst first, as a failure names them."""
    return tuple(f"layer {name}, error {error:.3g}" for name, error in layers[:3])


def first(found: Sequence[object]) -> tuple[str, ...]:
    """The first few as text, and how many there are beside them."""
    more = (f"and {len(found) - _LOOK_AT} more",) if len(found) > _LOOK_AT else ()
    return (*map(str, found[:_LOOK_AT]), *more)
