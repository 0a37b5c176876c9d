"""The tensors of the networks, as export writes them and generation feeds them.

vision: pixels to image_embeddings. embedding: token_ids to embeddings. decoder: embeddings of T new positions and a
cache of C to the logits of one row, and the new rows of the cache; prefill: the same. Not for: feeding them
(decoder.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from cathrt.runtime.bundle.manifest import DeclaredTensor, Manifest, Network
from cathrt.runtime.engines.sized import layer_tensors
from cathrt.runtime.models.report.section import DECODER, EMBEDDING, PREFILL, VISION, ReportSection

ROWS, CAPACITY = "T", "C"  # names of sizes: new positions of a run, positions that the cache holds
PIXELS, IMAGE_EMBEDDINGS = "pixels", "image_embeddings"
TOKEN_IDS, EMBEDDINGS = "token_ids", "embeddings"
POSITIONS, GLOBAL_MASK, SLIDING_MASK, LAST, LOGITS = "positions", "global_mask", "sliding_mask", "last", "logits"


def run_sizes(network: Network) -> tuple[int, ...]:
    """Rows that a run of the network may have, the fewest first."""
    return tuple(sorted({bucket[ROWS] for bucket in network.buckets}))


def capacities(network: Network) -> tuple[int, ...]:
    """Positions that the decoder's cache may have, the fewest first."""
    return tuple(sorted({bucket[CAPACITY] for bucket in network.buckets}))


def network_faults(manifest: Manifest, section: ReportSection) -> list[str]:
    """What of the networks' tensors and sizes is not as generation needs it, in words."""
    faults: list[str] = []
    if section.picture is not None and VISION in manifest.networks:
        side, tokens = section.picture.side, section.picture.tokens
        vision = manifest.network(VISION)
        faults += _tensors(VISION, "inputs", vision.inputs, {PIXELS: ((1, 3, side, side), "float32")})
        faults += _tensors(VISION, "outputs", vision.outputs, {IMAGE_EMBEDDINGS: ((1, tokens, None), "float32")})
    embedding = manifest.network(EMBEDDING)
    faults += _tensors(EMBEDDING, "inputs", embedding.inputs, {TOKEN_IDS: ((1, ROWS), "int64")})
    faults += _tensors(EMBEDDING, "outputs", embedding.outputs, {EMBEDDINGS: ((1, ROWS, None), "float32")})
    decoders = {role: manifest.networks[role] for role in (DECODER, PREFILL) if role in manifest.networks}
    for role, network in decoders.items():
        faults += _decoder_faults(role, network, section)
    return faults or list(_size_faults(embedding, decoders, section))


Shape = tuple[int | str | None, ...]  # None: any size


def _decoder_faults(role: str, decoder: Network, section: ReportSection) -> Iterator[str]:
    layers, heads, dim = layer_tensors(section.layers), section.kv_heads, section.head_dim
    inputs: dict[str, tuple[Shape, str]] = {
        EMBEDDINGS: ((1, ROWS, None), "float32"),
        POSITIONS: ((ROWS,), "int64"),
        GLOBAL_MASK: ((ROWS, None), "bool"),
        SLIDING_MASK: ((ROWS, None), "bool"),
        LAST: ((1,), "int64"),
        **dict.fromkeys(layers, ((heads, CAPACITY, dim), "float32")),
    }
    outputs: dict[str, tuple[Shape, str]] = {
        LOGITS: ((1, None), "float32"),
        **{f"new_{name}": ((heads, ROWS, dim), "float32") for name in layers},
    }
    yield from _tensors(role, "inputs", decoder.inputs, inputs)
    yield from _tensors(role, "outputs", decoder.outputs, outputs)


def _size_faults(embedding: Network, decoders: dict[str, Network], section: ReportSection) -> Iterator[str]:
    held = capacities(decoders[DECODER])
    for role, network in decoders.items():
        rows = run_sizes(network)
        if {(bucket[ROWS], bucket[CAPACITY]) for bucket in network.buckets} != set(product(rows, held)):
            yield f"networks.{role}.buckets: expected every {ROWS} of {rows} with every {CAPACITY} of {held}"
    if 1 not in run_sizes(decoders[DECODER]) or 1 not in run_sizes(embedding):
        yield f"networks.{DECODER}.buckets: expected {ROWS} = 1 there and in {EMBEDDING}, to write token by token"
    if held[-1] < section.context:
        yield f"networks.{DECODER}.buckets: {CAPACITY} is {held[-1]} at most, expected model.context {section.context}"
    longest = max(run_sizes(network)[-1] for network in decoders.values())
    if section.picture is not None and section.picture.tokens > longest:
        yield (
            f"networks.{DECODER}.buckets: {ROWS} is {longest} at most, expected {section.picture.tokens}, the tokens "
            "of a picture, which are computed in one run"
        )


def _tensors(
    role: str, side: str, declared: tuple[DeclaredTensor, ...], expected: dict[str, tuple[Shape, str]]
) -> Iterator[str]:
    found = {tensor.name: tensor for tensor in declared}
    if found.keys() != expected.keys():
        missing, more = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
        yield f"networks.{role}.{side}: without {missing[:4]}, and with {more[:4]} that are unknown"
        return
    for name, (shape, dtype) in expected.items():
        tensor = found[name]
        same = len(tensor.shape) == len(shape) and all(
            want is None or size == want for size, want in zip(tensor.shape, shape, strict=True)
        )
        if not same or tensor.dtype != dtype:
            wanted = ", ".join("any" if size is None else str(size) for size in shape)
            yield f"networks.{role}.{side}.{name}: found {tensor.shape} {tensor.dtype}, expected ({wanted}) {dtype}"
