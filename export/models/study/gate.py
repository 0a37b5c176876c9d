"""The gate that a study engine must pass to be signed: its limits by precision, every way to miss one.

Not for: measuring what differs (comparison.py). docs/export.md says where limits come from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from cathrt.export.models.study.comparison import Comparison
from cathrt.export.qualify.gate import Failure, first
from cathrt.runtime.bundle.manifest import Precision


@dataclass(frozen=True, slots=True)
class Gate:
    """What must hold.

    calls: least share of calls that are the same. flip_margin: a call that differs lay at most so near to its
    threshold. logit_error, percent_error, feature_error, feature_noise: as Comparison has them, at most.
    """

    calls: float
    flip_margin: float
    logit_error: float
    percent_error: float
    feature_error: float
    feature_noise: float
    AT_LEAST: ClassVar[frozenset[str]] = frozenset({"calls"})


GATES: Mapping[Precision, Gate] = {
    "float32": Gate(0.999, 1e-3, logit_error=1e-3, percent_error=0.01, feature_error=1e-4, feature_noise=1e-4),
    "float16": Gate(0.995, 0.02, logit_error=0.02, percent_error=0.1, feature_error=0.02, feature_noise=0.01),
    "bfloat16": Gate(0.99, 0.1, logit_error=0.1, percent_error=0.5, feature_error=0.1, feature_noise=0.04),
    "int8": Gate(0.98, 0.2, logit_error=0.2, percent_error=1.0, feature_error=0.3, feature_noise=0.1),
}


def failures_of(found: Comparison, gate: Gate) -> tuple[Failure, ...]:
    """Every way in which the engine misses the gate."""
    failures = []
    if found.not_finite:
        failures.append(Failure("finite outputs", f"{found.not_finite} studies with NaN or infinity", "none"))
    same, flips = found.same, found.flips
    if same is not None and same.value < gate.calls:
        failures.append(Failure("calls", str(same), f"a share of at least {gate.calls:g}", first(flips)))
    if flips and not flips[0].margin <= gate.flip_margin:
        required = f"at most {gate.flip_margin:g} from the threshold"
        sure = [flip for flip in flips if not flip.margin <= gate.flip_margin]
        failures.append(Failure("margin of a flipped call", f"{flips[0].margin:.3g}", required, first(sure)))
    worst = [f"{one.name}, {one.error:.3g}" for one in sorted(found.questions, key=lambda one: -one.error)]
    failures += _above("logit error", found.logit_error, gate.logit_error, first(worst))
    failures += _above("mean error of an amount, percent", found.percent_error, gate.percent_error, ())
    failures += _above("largest feature error, of the largest feature", found.feature_error, gate.feature_error, ())
    failures += _above("noise of the features, of their size", found.feature_noise, gate.feature_noise, ())
    return tuple(failures)


def _above(what: str, found: float | None, limit: float, look_at: tuple[str, ...]) -> list[Failure]:
    """A NaN is above every limit. None: there are no such questions."""
    if found is None or found <= limit:
        return []
    return [Failure(what, f"{found:.3g}", f"at most {limit:g}", look_at)]
