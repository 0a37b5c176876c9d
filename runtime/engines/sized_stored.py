"""Our own engine for decoders on the CPU: weights of 4 or 8 bits, read where the file is mapped.

It has one network, a Gemma3 decoder (kernels/decoder), with the tensors of the ONNX decoder. OpenVINO opens the other
networks of such a bundle. Not for: networks of one shape, GPUs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.kernels._decoder import Decoder, Linear, widest_variant
from cathrt.runtime.engines.sized import (
    Bucket,
    ComputedEngine,
    FoundTensor,
    SizedRequest,
    Sizes,
    Tensors,
    check_found,
    layer_tensors,
)
from cathrt.runtime.engines.stored_file import StoredDecoder, StoredLinear, read_stored
from cathrt.runtime.errors import EngineError

NAME = "cathrt"
_BITS = {"int4": 4, "int8": 8}


def open_sized_stored(request: SizedRequest) -> ComputedEngine:
    """Map the artifact and check it against the manifest. Raises EngineError."""
    artifact, network = request.artifact, request.network
    stored = read_stored(np.frombuffer(request.bundle.mapped(artifact.file), np.uint8), artifact.file)
    bits = _BITS.get(artifact.precision)
    if bits is None or any(linear.bits != bits for linear in stored.linears):
        raise EngineError(f"cathrt: {artifact.file} is not {artifact.precision} throughout: export the bundle again")
    check_found(NAME, "input", _inputs(stored), network.inputs)
    check_found(NAME, "output", _outputs(stored), network.outputs)
    try:
        decoder = Decoder(
            list(stored.sizes),
            stored.norm_eps,
            stored.query_scale,
            list(stored.sliding),
            [_native(linear) for linear in stored.linears],
            list(stored.norms),
            list(stored.angles),
            widest_variant(),
            request.config.threads,
        )
    except ValueError as exc:
        raise EngineError(f"cathrt: {artifact.file} does not fit together ({exc}): export the bundle again") from exc
    sizes = Sizes(NAME, network.inputs, network.outputs, network.buckets)
    names = layer_tensors(len(stored.sliding))
    logits = np.empty(stored.sizes[-1], np.float32)
    return ComputedEngine(sizes, _Run(decoder, names[::2], names[1::2], stored.vocabulary, logits))


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """keys, values: names of the cache's tensors, by layer. logits: the native ones, which fill the last panel."""

    decoder: Decoder
    keys: tuple[str, ...]
    values: tuple[str, ...]
    vocabulary: int
    logits: NDArray[np.float32]

    def __call__(self, bucket: Bucket, inputs: Tensors, outputs: Tensors) -> None:
        try:
            self.decoder.run(
                inputs["embeddings"][0],
                inputs["positions"],
                inputs["global_mask"],
                inputs["sliding_mask"],
                int(inputs["last"][0]),
                [inputs[name] for name in self.keys],
                [inputs[name] for name in self.values],
                self.logits,
                [outputs[f"new_{name}"] for name in self.keys],
                [outputs[f"new_{name}"] for name in self.values],
            )
        except ValueError as exc:
            raise EngineError(f"cathrt: a run with {dict(bucket)} failed: {exc}") from exc
        outputs["logits"][0] = self.logits[: self.vocabulary]


def _native(linear: StoredLinear) -> Linear:
    return Linear(linear.weights, linear.scales, linear.outputs, linear.inputs, linear.group, linear.bits)


def _inputs(stored: StoredDecoder) -> list[FoundTensor]:
    rows: list[Any] = [
        FoundTensor("embeddings", (1, None, stored.sizes[0]), "float32"),
        FoundTensor("positions", (None,), "int64"),
        FoundTensor("global_mask", (None, None), "bool"),
        FoundTensor("sliding_mask", (None, None), "bool"),
        FoundTensor("last", (1,), "int64"),
    ]
    return rows + [FoundTensor(name, _rows(stored), "float32") for name in layer_tensors(len(stored.sliding))]


def _outputs(stored: StoredDecoder) -> list[FoundTensor]:
    new_rows = [FoundTensor(f"new_{name}", _rows(stored), "float32") for name in layer_tensors(len(stored.sliding))]
    return [FoundTensor("logits", (1, stored.vocabulary), "float32"), *new_rows]


def _rows(stored: StoredDecoder) -> tuple[int | None, ...]:
    _, _, _, kv_heads, head_dim, _ = stored.sizes
    return kv_heads, None, head_dim
