"""The configuration: one TOML file becomes one frozen dataclass, passed on as arguments.

Defaults live in the dataclasses and nowhere else; an unknown key is an error before the first frame.
docs/configuration.md has a heading for every key. Not for: environment variables, of which there are none.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Gt, Le

from cathrt.runtime.errors import ConfigError
from cathrt.runtime.outside.input_file import toml_from_file
from cathrt.runtime.outside.validation import faults_of

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


@dataclass(frozen=True, slots=True)
class PolicyConfig:
    """When a key frame is announced. Basis: CAG-VLM's five-frame spacing at 15 fps (0.33 s).

    release_ratio: a candidate is over once P(better) falls below threshold * release_ratio (hysteresis).
    confirm_frames: frames without a better one after which a candidate is announced. min_gap_s: between key frames.
    max_per_run: K. min_visible_frames: frames that name a side which the run's
    laterality needs, fewer is "unknown".
    stale_s: an alert shown later than this after its frame was due is marked late (at real time).
    """

    __pydantic_config__ = _STRICT
    release_ratio: Annotated[float, Gt(0.0), Le(1.0)] = 0.7
    confirm_frames: Annotated[int, Ge(1)] = 5
    min_gap_s: Annotated[float, Ge(0.33)] = 0.33
    refractory_s: Annotated[float, Ge(0.0)] = 1.0
    max_per_run: Annotated[int, Ge(1)] = 3
    min_visible_frames: Annotated[int, Ge(1)] = 3
    run_laterality_threshold: Annotated[float, Ge(0.5), Le(1.0)] = 0.6
    stale_s: Annotated[float, Gt(0.0)] = 5.0


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
    """The whole configuration, one section per field."""

    __pydantic_config__ = _STRICT
    line: LineConfig = field(default_factory=LineConfig)
    policy: PolicyConfig = field(default_factory=PolicyConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
    journal: JournalConfig = field(default_factory=JournalConfig)
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    trust: TrustConfig = field(default_factory=TrustConfig)


def load_config(path: Path | None) -> Config:
    """Read a TOML file; None gives the defaults. Raises ConfigError naming the key, what was found and expected."""
    if path is None:
        return Config()
    return config_from_document(toml_from_file(path), origin=str(path))


def config_from_document(document: dict[str, Any], *, origin: str) -> Config:
    """Check a parsed TOML document. Raises ConfigError listing every key that does not fit."""
    from pydantic import ValidationError

    try:
        # Through JSON, because strict validation takes TOML's tables and arrays for dataclasses and tuples only there.
        return _adapter().validate_json(json.dumps(document, default=str))
    except ValidationError as exc:
        raise ConfigError(f"{origin}: {'; '.join(faults_of(exc))}: see docs/configuration.md for the keys") from exc


@cache
def _adapter() -> TypeAdapter[Config]:
    from pydantic import TypeAdapter

    return TypeAdapter(Config)
