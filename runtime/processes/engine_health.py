"""What judges each live source, as the live process says it, in words for health: a reason without live AI, else notes.

Not for: what is otherwise well (health.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ENGINES = "engines"  # a report: by source and kind of model, what judges (LiveLadder.report)


def against_engines(report: Mapping[str, Any], source: str, now_ns: int) -> tuple[list[str], list[str]]:
    """Reasons and notes about what judges a source. report: empty where the live process has not told yet."""
    reasons: list[str] = []
    notes: list[str] = []
    for kind, told in report.get(source, {}).items():
        since_s = max(0.0, (now_ns - told["since_ns"]) / 1e9)
        why = f"since {since_s:.0f} s ({told['reason']}: {told['detail']})"
        if not told["live_ai"]:
            reasons.append(f"no live AI of kind {kind} {why}: frames end FAILED; it is tried again by itself")
        elif told["rung"]:
            notes.append(f"{kind}: on {told['engine']}, rung {told['rung'] + 1} of {told['rungs']}, {why}")
        if told["left_behind"]:
            notes.append(f"{kind}: {told['left_behind']} engines that hang are left behind: restart when it suits")
    return reasons, notes
