"""The gate that an image classifier's engine must pass to be signed: its limits by precision, every way to miss one.

Not for: measuring what differs (comparison.py), or signing (qualify/evidence.py). docs/export.md says where limits come
from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from cathrt.export.models.generic.comparison import Comparison
from cathrt.export.qualify.gate import Failure, first, needed, worst
from cathrt.runtime.bundle.manifest import Precision


@dataclass(frozen=True, slots=True)
class Gate:
    """What must hold. agreement: least share of frames of the same label. run_labels: of runs of the same label.
    logit_error: the largest, relative to the largest logit, or None for no limit."""

    agreement: float
    logit_error: float | None
    run_labels: float = 0.99
    AT_LEAST: ClassVar[frozenset[str]] = frozenset({"agreement", "run_labels"})


GATES: Mapping[Precision, Gate] = {
    "float32": Gate(agreement=1.0, logit_error=1e-4),
    "bfloat16": Gate(agreement=0.999, logit_error=None),
    "float16": Gate(agreement=0.999, logit_error=None),
    "int8": Gate(agreement=0.99, logit_error=None),
}


def failures_of(compared: Comparison, gate: Gate, layers: Sequence[tuple[str, float]] = ()) -> tuple[Failure, ...]:
    """Every way in which the engine misses the gate. layers: (name, error), worst first."""
    bad_layers, failures, error = worst(layers), [], compared.logit_error
    if compared.not_finite:
        found = f"{len(compared.not_finite)} frames with NaN or infinity"
        failures.append(Failure("finite logits", found, "none", (*first(compared.not_finite), *bad_layers)))
    if compared.agreement.value < gate.agreement:
        seen, required = (*first(compared.flips), *bad_layers), f"a share of at least {gate.agreement:g}"
        failures.append(Failure("label agreement", str(compared.agreement), required, seen))
    if error is not None and gate.logit_error is not None and not error.relative <= gate.logit_error:
        found = f"{error.relative:.3g} of the largest logit"
        failures.append(Failure("logit error", found, f"at most {gate.logit_error:g}", (str(error.at), *bad_layers)))
    if compared.run_labels.value < gate.run_labels:
        required = f"a share of at least {gate.run_labels:g}"
        failures.append(Failure("label of the run", str(compared.run_labels), required, first(compared.run_changes)))
    frames = needed(gate.agreement)
    if compared.frames < frames:
        failures.append(Failure("frames compared", str(compared.frames), f"at least {frames}", too_few=True))
    return tuple(failures)
