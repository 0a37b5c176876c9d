"""What the export commands are given, as the recipe takes it.

Imports torch and onnx; the command line imports it only when one of these commands runs (cli.py). Not for: how far they
are (progress.py), or options of the runtime's commands (cathrt.runtime.commands.options).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cathrt.export.model_kind import ExportPort
from cathrt.export.qualify.gate import GateT, tightened
from cathrt.export.recipe.qualification import Reference, own_reference, reference_of
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.commands.options import say
from cathrt.runtime.errors import ConfigError


def gate_from(gate: GateT, limits: Sequence[str]) -> GateT:
    """The gate with limits such as "agreement=0.995" made stricter. Raises ConfigError."""
    return tightened(gate, limits_from(limits))


def limits_from(limits: Sequence[str]) -> dict[str, float]:
    """Limits such as "agreement=0.995" by name. Raises ConfigError."""
    found: dict[str, float] = {}
    for limit in limits:
        name, equals, value = limit.partition("=")
        try:
            number = float(value)
        except ValueError as exc:
            raise ConfigError(f"--gate {limit}: expected NAME=NUMBER, such as agreement=0.995") from exc
        if not equals or name in found:
            raise ConfigError(f"--gate {limit}: expected NAME=NUMBER, each name once")
        found[name] = number
    return found


def sm_from(text: str | None, targets: Sequence[str]) -> tuple[int, ...]:
    """Compute capabilities out of "86,89,120". Raises ConfigError for other text, or where no target needs them."""
    if text is None:
        return ()
    if not any(target.startswith("tensorrt") for target in targets):
        raise ConfigError(f"--sm {text}: only TensorRT plans are built for a device, found none among the targets")
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise ConfigError(f"--sm {text}: expected compute capabilities without a dot, such as 86,89,120")
    return tuple(int(part) for part in parts)


def references_for(
    bundle: Bundle, port: ExportPort, weights: Path | None, state: str | None = None
) -> dict[str, Reference]:
    """By role, the float32 network that a bundle is held against: of what it was made of, or a graph that it holds.

    state: which set of the weights' file. Says what the user should know of how the weights were read.
    Raises ConfigError where the weights are others, or there are none and the bundle holds no float32 graph.
    """
    if state is not None and weights is None:
        raise ConfigError(f"--state {state}: names a set of weights in a checkpoint: give --weights FILE too")
    model = port.of_bundle(bundle, weights, state)
    if model is None:
        return {role: own_reference(bundle, role) for role in bundle.manifest.networks}
    for note in model.notes:
        say(note)
    return {role: reference_of(model, role) for role in bundle.manifest.networks}
