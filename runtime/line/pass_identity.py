"""What the identity of a pass rests on: the named values that can change its verdicts or its alerts, and no others.

The same values give the same pass, which a later process takes up or finds complete; one value changed gives another
pass. docs/journal.md lists them with reasons. Not for: how a name becomes an identifier (identity.py).
"""

from __future__ import annotations

from cathrt.runtime.alert import Rate
from cathrt.runtime.config import Config

RULES_VERSION = 2  # raise it when the same frames may get other verdicts or alerts than before


def pass_values(
    run_id: str, manifest_sha256: str, engine: str, rate: Rate, config: Config, *, attempt: int
) -> dict[str, str | int | float]:
    """By name, everything that decides what becomes of a run's frames.

    run_id: the run's content. manifest_sha256: weights, preprocessing, labels, thresholds. engine: the name in force
    when the pass begins; verdicts bear it. attempt: 1, or a later one, after frames failed for a reason of ours.
    Budget, queue and stale limit count in real time only: at full speed no frame is due, so nothing is late or dropped.
    """
    policy, line = config.policy, config.line
    values: dict[str, str | int | float] = {
        "rules": RULES_VERSION,
        "run": run_id,
        "manifest_sha256": manifest_sha256,
        "engine": engine,
        "rate": rate,
        "attempt": attempt,
        "policy.release_ratio": float(policy.release_ratio),
        "policy.confirm_frames": policy.confirm_frames,
        "policy.min_gap_s": float(policy.min_gap_s),
        "policy.refractory_s": float(policy.refractory_s),
        "policy.max_per_run": policy.max_per_run,
        "policy.min_visible_frames": policy.min_visible_frames,
        "policy.run_laterality_threshold": float(policy.run_laterality_threshold),
    }
    if rate == "realtime":
        values["policy.stale_s"] = float(policy.stale_s)
        values["line.budget_ms"] = float(line.budget_ms)
        values["line.queue_frames"] = line.queue_frames
    return values
