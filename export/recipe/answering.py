"""What answers for a bundle's artifact: its own engine, or, for a plan without its GPU, the graph on the CPU.

Not for: comparing what is answered (qualify/measure.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from cathrt.export.qualify.reference import reference_from_onnx
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import EngineConfig
from cathrt.runtime.engines import GPU_ENGINES, open_engine
from cathrt.runtime.engines.cpu import cpu_quota, sums_int8_exactly
from cathrt.runtime.engines.device_probe import probe_in_child
from cathrt.runtime.engines.fake import FakeEngine, Tensors
from cathrt.runtime.engines.openvino import open_openvino
from cathrt.runtime.engines.request import NetworkRequest
from cathrt.runtime.errors import EngineError
from cathrt.runtime.ports import Engine


@contextmanager
def answering(bundle: Bundle, role: str, engine: str, config: EngineConfig) -> Iterator[Engine]:
    """The artifact's own engine, or whatever on the CPU computes its graph nearest to how it is written.

    Raises EngineError where this machine cannot run the artifact, nor its graph in its stead, in its precision.
    """
    if _runs_here(bundle, role, engine):
        opened = open_engine(engine, bundle, role, config)
    else:
        opened = _stand_in(NetworkRequest.of(bundle, role, engine, config))
    try:
        yield opened
    finally:
        opened.close()


def at_a_time(bundle: Bundle, role: str, engine: str, config: EngineConfig) -> int:
    """How many of what answers may answer at once: one on each CPU; a GPU computes one after the other anyway."""
    if engine in GPU_ENGINES and _runs_here(bundle, role, engine):
        return 1
    return config.threads or cpu_quota()


def not_run(bundle: Bundle, role: str, engine: str) -> str:
    """What evidence of an artifact that cannot run here must say; nothing where it is itself what answers."""
    if _runs_here(bundle, role, engine):
        return ""
    artifact = bundle.manifest.network(role).artifacts[engine]
    stand_in = "OpenVINO" if artifact.precision == "bfloat16" else "ONNX Runtime"
    return (
        f"the plans for {engine} were NOT run, since that needs their GPU: their graph {artifact.file} answered in "
        f"{stand_in} on the CPU, whose rounding and speed are not those of the plans"
    )


def _runs_here(bundle: Bundle, role: str, engine: str) -> bool:
    """Whether the artifact itself can answer: on the CPU always, on a GPU where one is at hand that a plan is for."""
    if engine not in GPU_ENGINES:
        return True
    try:
        device = probe_in_child()
    except EngineError:
        return False
    return any(device.sm in plan.fingerprint.sm for plan in bundle.manifest.network(role).artifacts[engine].plans)


def _stand_in(request: NetworkRequest) -> Engine:
    artifact = request.artifact
    if artifact.precision == "bfloat16":  # ONNX Runtime has no bfloat16 convolution on the CPU
        return open_openvino(request)
    if artifact.precision == "int8" and not sums_int8_exactly(artifact.weight_bits):
        raise EngineError(
            f"{artifact.file} is int8, but this CPU has no VNNI and would clip the sums in 16 bits: qualify it on one "
            "that has, or export another precision"
        )
    network = reference_from_onnx(request.bundle.read(artifact.file), request.config.threads)

    def compute(inputs: Tensors, outputs: Tensors) -> None:
        for name, values in network(inputs).items():
            np.copyto(outputs[name], values, casting="unsafe")

    return FakeEngine(request.inputs, request.outputs, compute)
