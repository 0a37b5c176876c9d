"""The gate that an engine must pass to be signed: its limits by precision, and every way in which one misses it.

Not for: measuring what differs (comparison.py), or signing (qualify/evidence.py). docs/export.md says
where limits come from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from cathrt.export.models.keyframe.differences import KEY_FRAME_TOLERANCE, Comparison, Flip
from cathrt.export.qualify.gate import Failure, first, needed, worst
from cathrt.runtime.bundle.manifest import Precision

_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Gate:
    """What must hold. agreement: least share of frames of the same class. logit_error: largest absolute one, or None
    for no limit. laterality_f1_change: largest, either way. key_frames: least share of runs with the same one.
    Of networks with further outputs: readability_error: mean absolute one. domain: least share of frames of the same
    verdict."""

    agreement: float
    logit_error: float | None
    laterality_f1_change: float = 0.005
    key_frames: float = 0.99
    readability_error: float = 0.02
    domain: float = 0.999
    AT_LEAST: ClassVar[frozenset[str]] = frozenset({"agreement", "key_frames", "domain"})


GATES: Mapping[Precision, Gate] = {
    "float32": Gate(agreement=1.0, logit_error=1e-4, readability_error=1e-4, domain=1.0),
    "bfloat16": Gate(agreement=0.999, logit_error=None),
    "float16": Gate(agreement=0.999, logit_error=None),
    "int8": Gate(agreement=0.99, logit_error=None),
}


def failures_of(comparison: Comparison, gate: Gate, layers: Sequence[tuple[str, float]] = ()) -> tuple[Failure, ...]:
    """Every way in which the engine misses the gate; none means that it may be signed.

    layers: (name, error), worst first, named where logits or classes fail.
    """
    bad_layers = worst(layers)
    failures: list[Failure] = []
    if comparison.not_finite:
        found = f"{len(comparison.not_finite)} frames with NaN or infinity"
        failures.append(Failure("finite logits", found, "none", (*first(comparison.not_finite), *bad_layers)))
    if comparison.agreement.value < gate.agreement:
        seen = (*_kinds(comparison.flips), *first(comparison.flips), *bad_layers)
        failures.append(
            Failure("class agreement", str(comparison.agreement), f"a share of at least {gate.agreement:g}", seen)
        )
    error = comparison.logit_error
    if error is not None and gate.logit_error is not None and error.largest > gate.logit_error:
        found = f"{error.largest:.3g} ({error.relative:.3g} of the largest logit)"
        failures.append(Failure("logit error", found, f"at most {gate.logit_error:g}", (str(error.at), *bad_layers)))
    sides = comparison.laterality
    if sides is not None and abs(sides.change) > gate.laterality_f1_change + _ROUNDING:
        low, high = sides.interval
        found = f"{sides.change:+.4f}, {sides.before:.4f} → {sides.after:.4f} (95 %: {low:+.4f} to {high:+.4f})"
        required = f"at most {gate.laterality_f1_change:g} either way"
        failures.append(Failure("laterality F1 change", found, required, first(comparison.side_changes)))
    keys = comparison.key_frames
    if keys is not None and keys.value < gate.key_frames:
        required = f"a share of at least {gate.key_frames:g} within {KEY_FRAME_TOLERANCE} frame"
        failures.append(Failure("key frame", str(keys), required, first(comparison.key_frame_changes)))
    return (*failures, *_further(comparison, gate, bad_layers), *_too_few(comparison, gate))


def _further(comparison: Comparison, gate: Gate, bad_layers: tuple[str, ...]) -> list[Failure]:
    """Of the further outputs, where there are any."""
    failures = []
    error, domain = comparison.readability, comparison.domain
    if error is not None and error.mean > gate.readability_error:
        found = f"a mean of {error.mean:.3g}, largest {error.largest:.3g}"
        required = f"a mean of at most {gate.readability_error:g}"
        failures.append(Failure("readability error", found, required, (str(error.at), *bad_layers)))
    if domain is not None and domain.value < gate.domain:
        seen = (*first(comparison.domain_changes), *bad_layers)
        failures.append(Failure("domain", str(domain), f"a share of at least {gate.domain:g}", seen))
    return failures


def _kinds(flips: Sequence[Flip]) -> tuple[str, ...]:
    """The commonest changes of class, counted."""
    counted = Counter((flip.class_before, flip.class_after) for flip in flips)
    return tuple(f"{number} times {before} → {after}" for (before, after), number in counted.most_common(3))


def _too_few(comparison: Comparison, gate: Gate) -> list[Failure]:
    """A set too small for its shares to mean anything proves nothing, whatever they are. Runs are counted elsewhere
    (qualify/sequential.py)."""
    left, right = comparison.known_frames
    sided = needed(1.0 - gate.laterality_f1_change)
    failures = []
    frames = max(needed(gate.agreement), needed(gate.domain) if comparison.domain is not None else 0)
    if comparison.frames < frames:
        failures.append(Failure("frames compared", str(comparison.frames), f"at least {frames}", too_few=True))
    if left + right < sided or not left or not right:
        found, required = f"{left} left, {right} right", f"{sided}, of both sides"
        failures.append(Failure("frames of known side", found, required, too_few=True))
    return failures
