"""What each target takes of a report model, what is refused, and what answers for plans that cannot run.

OpenVINO and ONNX Runtime take the same graphs; our own engine takes these beside a decoder file of its own; TensorRT
takes graphs that are typed throughout. Not for: writing graphs
(networks.py) or plans (plans.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cathrt.export.models.report.asked import Asked, prefill_sizes
from cathrt.export.models.report.bundle import TargetParts
from cathrt.export.models.report.graphs.settings import Element, GraphSettings
from cathrt.export.models.report.networks import Form, stored_form, written_form
from cathrt.export.models.report.plans import plans_of
from cathrt.export.models.report.source import Source
from cathrt.export.qualify.exported import AnyTarget
from cathrt.export.recipe.stage_cache import StageCache
from cathrt.export.targets.tensorrt import installed_version
from cathrt.runtime.bundle.manifest import Precision
from cathrt.runtime.engines.cpu import multiplies_bfloat16, rest_here
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.tensor import MAX_TENSOR_BYTES

# What is not built, and why.
REFUSED: Mapping[tuple[AnyTarget, Precision], str] = {
    ("openvino", "float16"): "on the CPU it runs 3 to 4 times slower than bfloat16: use bf16, int8 or int4",
    ("onnxruntime", "float16"): "its CPU kernels compute most of it in float32 between casts: use fp32, int8 or int4",
    ("onnxruntime", "bfloat16"): "it has no bfloat16 products on the CPU: use fp32, int8 or int4, or openvino for bf16",
    ("cathrt", "float32"): "its decoder has weights of 8 or 4 bits alone: use int8 or int4",
    ("cathrt", "bfloat16"): "its decoder has weights of 8 or 4 bits alone: use int8 or int4",
    ("cathrt", "float16"): "its decoder has weights of 8 or 4 bits alone: use int8 or int4",
}
# What TensorRT computes in, by the form of the weights.
_PRODUCTS: Mapping[Precision, Element] = {
    "float32": "float32",
    "bfloat16": "bfloat16",
    "float16": "float16",
    "int8": "bfloat16",
    "int4": "bfloat16",
}
_FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True, eq=False)
class StandIn:
    """What answers on the CPU for plans. says: what it is, in words."""

    engine: AnyTarget
    parts: TargetParts
    says: str


def require_possible(asked: Asked, targets: Sequence[AnyTarget]) -> None:
    """Raises ConfigError for what no target takes, EngineError where a target's package is missing."""
    if not targets or len(set(targets)) != len(targets):
        raise ConfigError(f"--target: found {list(targets) or 'none'}, expected each target once")
    for target in targets:
        if reason := REFUSED.get((target, asked.precision)):
            raise ConfigError(f"--target {target} is not built in {asked.precision}: {reason}")
        if target == "tensorrt-rtx" or target == "tensorrt":
            installed_version(target)
    if asked.rest == "bfloat16" and ("openvino" not in targets or asked.precision not in ("int8", "int4")):
        raise ConfigError(f"--rest bf16: found {', '.join(targets)} in {asked.precision}, expected int8 or int4 for "
                          "openvino")  # fmt: skip
    needs_bfloat16 = asked.rest != rest_here(asked.rest)
    if "openvino" in targets and (needs_bfloat16 or (asked.precision == "bfloat16" and not multiplies_bfloat16())):
        raise ConfigError(
            "bf16 in openvino: this CPU has no bfloat16 products, so it cannot be qualified here: export on a CPU with "
            "avx512_bf16 or amx_bf16 (/proc/cpuinfo), or in another precision"
        )


def parts_of(cache: StageCache, source: Source, asked: Asked, target: AnyTarget, sm: tuple[int, ...]) -> TargetParts:
    """The networks in the target's form, and for TensorRT its plans. Raises what the stages raise."""
    if target == "openvino":
        return TargetParts(_cpu_form(cache, source, asked), "", asked.precision, asked.rest)
    if target == "onnxruntime":
        return TargetParts(_cpu_form(cache, source, asked), "", asked.precision)
    if target == "cathrt":
        stored = stored_form(cache, source, _cpu_form(cache, source, asked), 4 if asked.precision == "int4" else 8)
        return TargetParts(stored, "", asked.precision)
    form = written_form(cache, source, settings_of(source, asked, _PRODUCTS[asked.precision]))
    return TargetParts(form, f"{target}/", asked.precision, plans=plans_of(cache, form, target, sm))


def _cpu_form(cache: StageCache, source: Source, asked: Asked) -> Form:
    return written_form(cache, source, settings_of(source, asked, "float32"))


def settings_of(source: Source, asked: Asked, products: Element) -> GraphSettings:
    """Raises ConfigError where a piece of prompt holds no picture, or the cache is larger than an engine may take."""
    shape = source.weights.shape
    sizes = prefill_sizes(asked.prefill, asked.context, shape.image_tokens if shape.vision is not None else 0)
    section = source.section
    rows = section.layers * 2 * section.kv_heads * section.head_dim * _FLOAT_BYTES
    taken = rows * (asked.context + max(sizes)) + 4 * max(sizes) * (asked.context + max(sizes))
    if taken > MAX_TENSOR_BYTES:
        raise ConfigError(
            f"--context {asked.context}: the decoder's inputs and outputs take {taken >> 20} MiB, expected at most "
            f"{MAX_TENSOR_BYTES >> 20}: about {(MAX_TENSOR_BYTES // rows - max(sizes)) // 64 * 64} positions fit"
        )
    return GraphSettings(
        precision=asked.precision, context=asked.context, prefill=sizes, block=asked.block, products=products
    )


def stand_in_for(cache: StageCache, source: Source, asked: Asked, target: AnyTarget) -> StandIn | None:
    """None where the target's own engine answers."""
    if target == "openvino" or target == "onnxruntime" or target == "cathrt":
        return None
    if asked.precision == "float16":
        typed = written_form(cache, source, settings_of(source, asked, "float16"))
        # Declared float32: what an engine is fed and gives. In the graph itself float16 is typed.
        return StandIn("onnxruntime", TargetParts(typed, "", "float32"), "the same graphs in ONNX Runtime on the CPU")
    form = _cpu_form(cache, source, asked)
    if asked.precision == "float32":
        return StandIn("onnxruntime", TargetParts(form, "", "float32"), "the same graphs in ONNX Runtime on the CPU")
    weights_only = asked.precision in ("int8", "int4")
    if multiplies_bfloat16():
        parts = TargetParts(form, "", asked.precision, "bfloat16" if weights_only else "float32")
        return StandIn("openvino", parts, "graphs of the same weights in OpenVINO on the CPU, in bfloat16")
    parts = TargetParts(form, "", asked.precision if weights_only else "float32")
    return StandIn("onnxruntime", parts, "graphs of the same weights in ONNX Runtime on the CPU, in float32")
