"""What a report model is worth, from what benchmarks.report_quality printed of a bundle of the same weights.

Not for: measuring it (benchmarks/report_quality.py); without such figures there is not enough evidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cathrt.export.qualify.measured_line import from_measured_line
from cathrt.export.qualify.worth import FEWEST
from cathrt.runtime.bundle.manifest import BETTER, NO_BETTER, TOO_FEW, WorthVerdict

BENCH = "report_quality"
_SHOWN = "lesion_f1"  # figures that begin so are what the verdict rests on


@dataclass(frozen=True, slots=True)
class ReportWorth:
    """lines: the figures that the verdict rests on. measured_on: sha256 of the manifest of the bundle that was
    measured; None where none was."""

    verdict: WorthVerdict
    lines: tuple[str, ...]
    measured_on: str | None = None


NOTHING = ReportWorth(TOO_FEW, ("facts of drafts: no study of known truth",))


def worth_from(path: Path | None, weights_sha256: str) -> ReportWorth:
    """Of the last line of that output. None: nothing was measured.

    Better than chance where the drafts are ahead of every simple answer by the benchmark's margin, at the lower end of
    the interval. The line says of which weights it is (weights_sha256: provenance.chain.weights of the bundle).
    Raises ConfigError where it is of others.
    """
    return NOTHING if path is None else from_measured_line(path, BENCH, weights_sha256, _worth)


def _worth(document: Mapping[str, Any]) -> ReportWorth:
    """Raises KeyError, TypeError and ValueError for what is no such line."""
    studies, ahead = int(document["studies"]), document["beats_simple_answers"]
    if type(ahead) is not bool or studies < 0:
        raise ValueError(f"beats_simple_answers is {ahead!r} of {studies} studies")
    verdict = TOO_FEW if studies < FEWEST else BETTER if ahead else NO_BETTER
    intervals = document["intervals_95"]
    lines = [f"{studies} phantom studies; asked for: ahead of every simple answer by {float(document['margin']):g}"]
    for name, value in dict(document["headline"]).items():
        if name.startswith(_SHOWN):
            low, high = intervals[name]
            lines.append(f"{name}: {float(value):.3f} (95 %: {float(low):.3f} to {float(high):.3f})")
    return ReportWorth(verdict, tuple(lines), str(document["manifest_sha256"]))
