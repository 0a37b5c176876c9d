"""The precision of a plan's layers: as recorded when it was built, and as TensorRT's inspector reports it.

`python -m cathrt.runtime.commands.layer_report BUNDLE ENGINE KEY...` opens the engine, in a process of its own since
NVIDIA's code may crash it, and prints the inspector's answer as JSON. Not for: times, memory, or which kernels ran.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from cathrt.runtime.bundle.fingerprint import Target
from cathrt.runtime.bundle.manifest import PlanFile
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import EngineConfig
from cathrt.runtime.engines.asked_child import ask_child, how_it_ended
from cathrt.runtime.engines.request import NetworkRequest
from cathrt.runtime.errors import CathrtError, EngineError
from cathrt.runtime.models import open_bundle

_PROGRAM = ("-m", "cathrt.runtime.commands.layer_report")
OPENED_WITHIN_S = 120.0  # TensorRT-RTX finishes its plans on the device
# How TensorRT writes types, in lower case; the first that is found counts.
_TYPES = {
    "int8": "int8",
    "fp8": "float8",
    "bf16": "bfloat16",
    "bfloat16": "bfloat16",
    "fp16": "float16",
    "half": "float16",
    "fp32": "float32",
    "float": "float32",
}


def kept_layers(bundle: Bundle, plan: PlanFile) -> dict[str, int] | None:
    """Layers by precision, as export wrote them beside the plan; None where it wrote nothing.

    Raises ManifestError where the file was changed.
    """
    name = f"{plan.file}.layers.json"
    if name not in bundle.manifest.files:
        return None
    counts: dict[str, int] = json.loads(bundle.read(name))["counts"]["layers"]
    return counts


def counted(layers: Sequence[Any]) -> dict[str, int]:
    """Layers of the inspector's JSON by the type of their first output; "unknown" where it does not tell."""
    return dict(sorted(Counter(map(_precision, layers)).items()))


def layers_on_device(
    bundle: Path, target: Target, keys: Collection[str], *, program: Sequence[str] = _PROGRAM
) -> dict[str, int]:
    """counted() of the plan as the device here runs it. Raises EngineError where it cannot be opened.

    program: arguments to the child's Python; another one is only of use to tests.
    """
    try:
        child = ask_child([*program, str(bundle), target, *keys], OPENED_WITHIN_S)
    except TimeoutError as exc:
        raise EngineError(f"{target}: the plan was not opened within {OPENED_WITHIN_S:g} s: check nvidia-smi") from exc
    lines = child.stdout.splitlines()
    if child.returncode not in (0, EngineError.exit_code) or not lines:
        raise EngineError(f"{target}: opening the plan ended with {how_it_ended(child)}: check nvidia-smi")
    answer = json.loads(lines[-1])
    if "error" in answer:
        raise EngineError(answer["error"])
    counts: dict[str, int] = answer["layers"]
    return counts


def main(bundle: Path, target: Target, keys: Collection[str]) -> int:
    """Print what layers_on_device() reads."""
    from cathrt.runtime.engines.tensorrt import open_tensorrt

    try:
        opened = open_bundle(bundle, keys)
        layers: list[Any] = []
        for role in opened.manifest.networks:
            engine = open_tensorrt(target, NetworkRequest.of(opened, role, target, EngineConfig(threads=1)))
            try:
                opened.check_unchanged()
                layers += engine.layers()
            finally:
                engine.close()
        print(json.dumps({"layers": counted(layers)}))
    except CathrtError as exc:
        print(json.dumps({"error": str(exc)}))
        return EngineError.exit_code
    return 0


def _precision(layer: Any) -> str:
    """TensorRT 10 writes "Format/Datatype": "Row major linear FP16", 11 has the type in a key of its own."""
    outputs = layer.get("Outputs") if isinstance(layer, dict) else None
    if not outputs:
        return "unknown"
    told = " ".join(str(value) for key, value in outputs[0].items() if "type" in key.lower()).lower()
    return next((name for text, name in _TYPES.items() if text in told), "unknown")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:]))  # type: ignore[arg-type]
