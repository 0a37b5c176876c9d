"""The configuration: one TOML file becomes one frozen dataclass, passed on as arguments.

Defaults live in the dataclasses and nowhere else; an unknown key is an error before the first frame.
docs/configuration.md has a heading for every key. Not for: environment variables, of which there are none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Gt, Le

from cathrt.runtime.errors import ConfigError
from cathrt.runtime.outside.input_file import toml_from_file
from cathrt.runtime.outside.validation import faults_of, shown

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_STRICT = {"extra": "forbid", "strict": True, "allow_inf_nan": False}


@dataclass(frozen=True, slots=True)
class LimitsConfig:
    """Caps on what an input may declare, checked before anything is allocated, and on the process that decodes it."""

    __pydantic_config__ = _STRICT
    max_rows: Annotated[int, Ge(1), Le(65535)] = 4096
    max_columns: Annotated[int, Ge(1), Le(65535)] = 4096
    max_frames: Annotated[int, Ge(1)] = 4000
    max_file_mib: Annotated[int, Ge(1)] = 4096
    decoder_memory_mib: Annotated[int, Ge(256)] = 1536
    decoder_cpu_s: Annotated[int, Ge(1)] = 600
    first_frame_s: Annotated[float, Gt(0.0)] = 20.0
    frame_s: Annotated[float, Gt(0.0)] = 5.0


@dataclass(frozen=True, slots=True)
class LineConfig:
    """The live line.

    Both count at real time only. budget_ms: end to end per frame; a frame judged later ends LATE. queue_frames: frames
    that may wait; one more overruns the oldest, which ends DROPPED.
    """

    __pydantic_config__ = _STRICT
    budget_ms: Annotated[float, Gt(0.0)] = 100.0
    queue_frames: Annotated[int, Ge(1), Le(64)] = 4
    stale_s: Annotated[float, Gt(0.0)] = 5.0


@dataclass(frozen=True, slots=True)
class Policy:
    """What decides over time for one kind of model: the table [policy.<kind>]. Each kind has a dataclass of its own."""

    __pydantic_config__ = _STRICT


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """Which engine runs the bundle, and with how many threads (0: as many as the CPU quota gives).

    fallback: the engine that takes over where `name` cannot be opened or its device is lost; "" for none.
    keep_warm_ms: a dummy inference runs after so long without work, so that an idle GPU keeps its clocks up; 0: never.
    device_wait_ms: longest that the line waits for a GPU to do one frame; then the device is lost.
    """

    __pydantic_config__ = _STRICT
    name: str = "openvino"
    threads: Annotated[int, Ge(0), Le(256)] = 0
    fallback: str = ""
    keep_warm_ms: Annotated[float, Ge(0.0), Le(10_000.0)] = 50.0
    device_wait_ms: Annotated[float, Ge(10.0), Le(60_000.0)] = 1000.0


@dataclass(frozen=True, slots=True)
class JournalConfig:
    """group_commit_ms: longest that a plain verdict waits for its transaction; alerts never wait."""

    __pydantic_config__ = _STRICT
    group_commit_ms: Annotated[float, Ge(0.0), Le(100.0)] = 50.0


@dataclass(frozen=True, slots=True)
class TrustConfig:
    """keys: ed25519 public keys (64 hex digits) that may sign bundles, beside that of the shipped demonstration."""

    __pydantic_config__ = _STRICT
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration, one section per field. policy: by kind of model; one that is not in it has defaults."""

    __pydantic_config__ = _STRICT
    line: LineConfig = field(default_factory=LineConfig)
    policy: Mapping[str, Policy] = field(default_factory=dict)
    engine: EngineConfig = field(default_factory=EngineConfig)
    journal: JournalConfig = field(default_factory=JournalConfig)
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    trust: TrustConfig = field(default_factory=TrustConfig)


def load_config(path: Path | None, policies: Mapping[str, type[Policy]]) -> Config:
    """Read a TOML file; None gives the defaults. policies: the dataclass of each kind of model (models.load_config).

    Raises ConfigError naming the key, what was found and expected.
    """
    if path is None:
        return config_from_document({}, policies, origin="defaults")
    return config_from_document(toml_from_file(path), policies, origin=str(path))


def config_from_document(document: dict[str, Any], policies: Mapping[str, type[Policy]], *, origin: str) -> Config:
    """Check a parsed TOML document. Raises ConfigError listing every key that does not fit."""
    from pydantic import ValidationError

    given = document.get("policy", {})
    faults = (
        [] if isinstance(given, dict) else [f"policy: found {shown(given)}, expected a table for each kind of model"]
    )
    tables = given if isinstance(given, dict) else {}
    unknown = [kind for kind in tables if kind not in policies]
    faults += [
        f"policy.{shown(kind)}: unknown kind of model, expected one of {', '.join(policies)}" for kind in unknown
    ]
    policy: dict[str, Policy] = {}
    made: Any  # functools.cache would ask for a hash of the class's instances
    for kind, made in policies.items():
        table = tables.get(kind, {})
        if not isinstance(table, dict):
            faults.append(f"policy.{kind}: found {shown(table)}, expected a table")
            continue
        try:
            policy[kind] = _adapter(made).validate_json(json.dumps(table, default=str))
        except ValidationError as exc:
            faults += [f"policy.{kind}.{fault}" for fault in faults_of(exc)]
    try:
        # Through JSON, because strict validation takes TOML's tables and arrays for dataclasses and tuples only there.
        rest = {key: value for key, value in document.items() if key != "policy"}
        config: Config = _adapter(Config).validate_json(json.dumps(rest, default=str))
    except ValidationError as exc:
        faults += faults_of(exc)
    if faults:
        raise ConfigError(f"{origin}: {'; '.join(faults)}: see docs/configuration.md for the keys")
    return replace(config, policy=policy)


@cache
def _adapter(made: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(made)
