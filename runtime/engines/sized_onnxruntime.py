"""ONNX Runtime on the CPU for networks that run in several sizes: one session, one copy of the weights.

Not for: networks of one shape (onnxruntime.py), which keep an I/O binding; GPUs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import onnxruntime as ort

from cathrt.runtime.engines.onnxruntime import check_precision
from cathrt.runtime.engines.onnxruntime_session import DTYPES, ERRORS, cpu_options, load
from cathrt.runtime.engines.sized import Bucket, ComputedEngine, FoundTensor, SizedRequest, Sizes, Tensors, check_found
from cathrt.runtime.errors import EngineError

_NAME = "onnxruntime"


def open_sized_onnxruntime(request: SizedRequest) -> ComputedEngine:
    """Make a session for the artifact with its threads. Raises EngineError."""
    artifact, network = request.artifact, request.network
    check_precision(artifact)
    options = cpu_options(request.config.threads)
    # Products with int4 weights: 1 computes them in float32, as the graph says. Left alone, ONNX Runtime takes 4, which
    # rounds the activations to int8.
    options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "1")
    session, weights = load(request.bundle, artifact.file, options)
    check_found(_NAME, "input", _found(session.get_inputs()), network.inputs)
    check_found(_NAME, "output", _found(session.get_outputs()), network.outputs)
    request.release()
    sizes = Sizes(_NAME, network.inputs, network.outputs, network.buckets)
    return ComputedEngine(sizes, partial(_run, session), weights)


def _run(session: ort.InferenceSession, bucket: Bucket, inputs: Tensors, outputs: Tensors) -> None:
    """Binds the arrays where they are."""
    binding = session.io_binding()
    for name, array in inputs.items():
        binding.bind_input(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
    for name, array in outputs.items():
        binding.bind_output(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
    try:
        session.run_with_iobinding(binding)
    except ERRORS as exc:
        raise EngineError(f"onnxruntime: a run with {dict(bucket)} failed: {str(exc)[:300]}") from exc


def _found(nodes: Sequence[ort.NodeArg]) -> Iterator[FoundTensor]:
    for node in nodes:
        if node.type not in DTYPES:
            raise EngineError(f"onnxruntime: tensor {node.name} is {node.type}, expected one of {sorted(DTYPES)}")
        yield FoundTensor(
            node.name, tuple(size if isinstance(size, int) else None for size in node.shape), DTYPES[node.type]
        )
