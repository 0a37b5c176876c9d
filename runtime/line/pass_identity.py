"""The identity of a pass: the named values that can change its verdicts or alerts, and no others.

The same values give the same pass, which a later process takes up or finds complete; one value changed gives another
pass. docs/journal.md lists them with reasons. Not for: how a name becomes an identifier (identity.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cathrt.runtime.alert import BY_THE_CLOCK, Rate
from cathrt.runtime.config import LineConfig

RULES_VERSION = 4  # raise it when the same frames may get other verdicts or alerts than before


@dataclass(frozen=True, slots=True)
class ModelValues:
    """What a pass's identity takes from one of its models.

    manifest_sha256: weights, preprocessing, labels, thresholds. engine: the name in force when the pass begins;
    findings bear it. policy: every value of the kind's policy.
    """

    kind: str
    manifest_sha256: str
    engine: str
    policy: Mapping[str, str | int | float]


def pass_values(
    run_id: str,
    models: Sequence[ModelValues],
    rate: Rate,
    config: LineConfig,
    *,
    attempt: int,
    given_rate_hz: float | None = None,
) -> dict[str, str | int | float]:
    """By name, everything that decides what becomes of a run's frames.

    run_id: the run's content. attempt: 1, or a later one, after frames failed for a reason of ours. given_rate_hz: of a
    run whose content states no rate, the caller's.
    Budget, queue and stale limit count by the clock only: at full speed no frame is due, so nothing is late or dropped.
    """
    values: dict[str, str | int | float] = {"rules": RULES_VERSION, "run": run_id, "rate": rate, "attempt": attempt}
    for model in models:
        values[f"{model.kind}.manifest_sha256"] = model.manifest_sha256
        values[f"{model.kind}.engine"] = model.engine
        values |= {f"{model.kind}.policy.{name}": value for name, value in model.policy.items()}
    if given_rate_hz is not None:
        values["given_rate_hz"] = float(given_rate_hz)
    if rate in BY_THE_CLOCK:
        values["line.budget_ms"] = float(config.budget_ms)
        values["line.queue_frames"] = config.queue_frames
        values["line.stale_s"] = float(config.stale_s)
    return values
