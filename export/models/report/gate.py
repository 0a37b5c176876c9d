"""The gate that a report engine must pass to be signed: its limits by precision, every way to miss one.

Not for: measuring what differs (comparison.py). docs/export.md says where limits come from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from cathrt.export.models.report.comparison import Comparison
from cathrt.export.qualify.gate import Failure, first
from cathrt.runtime.bundle.manifest import Precision

POSITIONS = 256  # of answers, at least: what one more or less of them changes is under half a percent


@dataclass(frozen=True, slots=True)
class Gate:
    """What must hold; None for no limit.

    agreement: least share of positions of the same likeliest token. greedy: least share of each greedy answer before
    its first divergence. noise, mean_kl, logit_error, image_error: as Comparison has them, at most.
    """

    agreement: float | None
    noise: float
    mean_kl: float
    logit_error: float | None = None
    image_error: float | None = None
    greedy: float | None = None
    AT_LEAST: ClassVar[frozenset[str]] = frozenset({"agreement", "greedy"})


# Logits that have nothing to do with the network's have a noise of 1.4 and more, whatever their size.
GATES: Mapping[Precision, Gate] = {
    "float32": Gate(agreement=1.0, noise=1e-4, mean_kl=1e-6, logit_error=1e-4, image_error=1e-4, greedy=1.0),
    "bfloat16": Gate(agreement=0.97, noise=0.2, mean_kl=0.01, image_error=0.05),
    "float16": Gate(agreement=0.99, noise=0.02, mean_kl=0.001, image_error=0.01),
    "int8": Gate(agreement=0.95, noise=0.2, mean_kl=0.02, image_error=0.1),
    "int4": Gate(agreement=0.80, noise=0.7, mean_kl=0.3, image_error=0.1),
}


def for_untrained(gate: Gate) -> Gate:
    """For weights that were never trained: their tokens are nearly as likely as each other, so which one is the
    likeliest says nothing of an engine. Distributions are held to the same limits."""
    return replace(gate, agreement=None, greedy=None)


def failures_of(found: Comparison, gate: Gate) -> tuple[Failure, ...]:
    """Every way in which the engine misses the gate."""
    failures = []
    if found.not_finite:
        failures.append(Failure("finite logits", f"{found.not_finite} positions with NaN or infinity", "none"))
    if gate.agreement is not None and found.same.value < gate.agreement:
        required = f"a share of at least {gate.agreement:g}"
        failures.append(Failure("likeliest token", str(found.same), required, first(found.differences)))
    failures += _above("logit error", found.logit_error, gate.logit_error, "of the largest logit")
    failures += _above("noise of the logits", found.noise, gate.noise, "of their spread")
    failures += _above("mean divergence", found.mean_kl, gate.mean_kl, "nats")
    failures += _above("picture error", found.image_error, gate.image_error, "of the largest embedding")
    share = found.greedy_share
    if gate.greedy is not None and share is not None and share < gate.greedy:
        required = f"a share of at least {gate.greedy:g} before the first divergence"
        worst = [one for one in found.greedy if one.tokens and one.same / one.tokens < gate.greedy]
        failures.append(Failure("greedy answers", f"{share:.3g}", required, first(worst)))
    if found.positions < POSITIONS:
        failures.append(Failure("positions compared", str(found.positions), f"at least {POSITIONS}", too_few=True))
    return tuple(failures)


def _above(what: str, found: float | None, limit: float | None, unit: str) -> list[Failure]:
    """A NaN is above every limit. None was not measured: of logits, since none was finite."""
    if limit is None or found is None or found <= limit:
        return []
    return [Failure(what, f"{found:.3g} {unit}", f"at most {limit:g}")]
