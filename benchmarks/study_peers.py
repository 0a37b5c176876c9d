"""One clip encoder in every engine that is compared: its files, and the table of who runs which of them and how.

For: benchmarks/study.py. As a program it is the process that one variant lives in:
`python -m benchmarks.study_peers FOLDER ENCODER VARIANT`. Not for: what is done with the times.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from numpy.typing import NDArray

from benchmarks.compute_limit import THREADS, Element
from benchmarks.engine_peers import weight_bits
from benchmarks.turns import serve, take_stdout
from cathrt.runtime.bundle.manifest import Precision, Rest
from cathrt.runtime.config import EngineConfig
from cathrt.runtime.engines import open_sized_engine
from cathrt.runtime.engines.cpu import rest_here
from cathrt.runtime.models import open_bundle
from cathrt.runtime.models.study.contract import CLIPS, FEATURES
from cathrt.runtime.models.study.section import ENCODER

PRODUCT = "generic"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))  # of nobody: the bundles are for this benchmark alone
CLIPS_FILE, PLAIN = "clips.npy", "plain.xml"
CHECKED_CLIPS = 2

Float32 = NDArray[np.float32]
Encode = Callable[[Float32], Float32]


@dataclass(frozen=True, slots=True)
class Peer:
    """open: loads it, (folder, name of the encoder, peer) to a function of clips. rest: of int8 in OpenVINO."""

    element: Element
    open: Callable[[Path, str, Peer], Encode]
    rest: Rest = "float32"

    @property
    def precision(self) -> Precision:
        table: Mapping[Element, Precision] = {"fp32": "float32", "bf16": "bfloat16", "int8": "int8"}
        return table[self.element]

    @property
    def bundle(self) -> str:
        """Its folder, of those that write_files makes."""
        return f"{self.element}-{self.rest}"


@dataclass(frozen=True, slots=True)
class Work:
    """Floating-point operations of one clip. linears: in the layers that int8 quantises. rest: in all other products
    and convolutions."""

    linears: int
    rest: int


def write_files(folder: Path, encoder: str, peers: Mapping[str, Peer]) -> Work:
    """Write what these peers load, from random weights."""
    from cathrt.export.bundle.sign import write_bundle
    from cathrt.export.models.study.asked import Asked
    from cathrt.export.models.study.bundle import manifest_of
    from cathrt.export.models.study.cases import COMPARED_SEED, phantom_clips
    from cathrt.export.models.study.graphs.encoder import encoder_graph
    from cathrt.export.models.study.source import source_of
    from cathrt.export.models.study.targets import parts_of
    from cathrt.export.recipe.stage_cache import StageCache

    source = source_of(Asked(PRODUCT, "float32", encoder=encoder))
    np.save(folder / CLIPS_FILE, phantom_clips(source.section.clip, CHECKED_CLIPS, COMPARED_SEED).tensors)
    cache = StageCache(folder / "work")
    for peer in {peer.bundle: peer for peer in peers.values() if peer.open is _open_ours}.values():
        asked = Asked(PRODUCT, peer.precision, encoder=encoder, rest=peer.rest, weight_bits=weight_bits())
        parts = {"openvino": parts_of(cache, source, asked, "openvino", ())}
        manifest, payload = manifest_of(source, parts, {"random_init": True}, demonstration=False)  # type: ignore[arg-type]
        write_bundle(folder / peer.bundle, manifest, payload, KEY)
    if any(peer.open is _open_plain for peer in peers.values()):
        _write_plain(folder, encoder)
    return work_of(encoder_graph(source.weights.encoder, source.weights.tensors, 1))


def work_of(model: Any) -> Work:
    """Of a float32 graph of one clip."""
    import onnx

    from cathrt.export.models.study.quantised import int8_settings
    from cathrt.export.quantize.layers import weighted_layers

    kept = set(int8_settings(model, "linears", 8).keep_layers)
    quantised = {layer.name for layer in weighted_layers(model) if layer.kind == "pointwise"} - kept
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*inferred.value_info, *inferred.input, *inferred.output)
    } | {tensor.name: list(tensor.dims) for tensor in inferred.initializer}
    linears = rest = 0
    for node in inferred.node:
        if node.op_type not in ("MatMul", "Conv"):
            continue
        second = shapes[node.input[1]]
        sums = second[-2] if node.op_type == "MatMul" else int(np.prod(second[1:], dtype=np.int64))
        flops = 2 * sums * int(np.prod(shapes[node.output[0]], dtype=np.int64))
        linears, rest = (linears + flops, rest) if node.name in quantised else (linears, rest + flops)
    return Work(linears, rest)


def _write_plain(folder: Path, encoder: str) -> None:
    """The network in the published form, as OpenVINO's own converter takes it from torch."""
    import torch

    from cathrt.runtime.engines.silent_openvino import ov

    module, shape = _modules(encoder)
    example = torch.zeros(1, 3, shape.frames, shape.side, shape.side)
    with torch.inference_mode():
        converted = ov.convert_model(module, example_input=example, input=[1, 3, shape.frames, shape.side, shape.side])
    ov.save_model(converted, folder / PLAIN, compress_to_fp16=False)


def _modules(encoder: str) -> tuple[Any, Any]:
    """The encoder in the published form, in float32, and its shape."""
    from cathrt.export.models.study.asked import Asked
    from cathrt.export.models.study.reference import reference_modules
    from cathrt.export.models.study.source import source_of

    weights = source_of(Asked(PRODUCT, "float32", encoder=encoder)).weights
    return reference_modules(weights)[0], weights.encoder


def _open_torch(folder: Path, encoder: str, peer: Peer) -> Encode:  # noqa: ARG001 (as every opener's)
    """Eager, in the published form, under inference_mode."""
    return _in_torch(encoder, peer, lambda module, shape: module)


def _open_rewritten(folder: Path, encoder: str, peer: Peer) -> Encode:  # noqa: ARG001 (as every opener's)
    from benchmarks.study_rewritten import RewrittenEncoder

    return _in_torch(encoder, peer, lambda module, shape: RewrittenEncoder(shape, module))


def _in_torch(encoder: str, peer: Peer, made: Callable[[Any, Any], Any]) -> Encode:
    import torch

    torch.set_num_threads(THREADS)
    dtype = torch.bfloat16 if peer.element == "bf16" else torch.float32
    module, shape = _modules(encoder)
    network = made(module.to(dtype), shape)

    def encode(clips: Float32) -> Float32:
        with torch.inference_mode():
            found: Float32 = network(torch.from_numpy(clips).to(dtype)).float().numpy()
        return found

    return encode


def _open_plain(folder: Path, encoder: str, peer: Peer) -> Encode:  # noqa: ARG001 (as every opener's)
    """OpenVINO on the plain conversion, with the runtime adapter's properties."""
    from cathrt.runtime.engines.silent_openvino import ov

    core = ov.Core()
    compiled = core.compile_model(
        core.read_model(folder / PLAIN),
        "CPU",
        {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": THREADS,
            "INFERENCE_PRECISION_HINT": ov.Type.bf16 if peer.element == "bf16" else ov.Type.f32,
            "ENABLE_CPU_PINNING": False,
        },
    )
    request = compiled.create_infer_request()

    def encode(clips: Float32) -> Float32:
        request.infer({0: clips}, share_inputs=True)
        found: Float32 = request.get_output_tensor().data
        return found

    return encode


def _open_ours(folder: Path, encoder: str, peer: Peer) -> Encode:  # noqa: ARG001 (as every opener's)
    """As it is served: out of a bundle, through the runtime's adapter."""
    from cathrt.export.bundle.sign import public_key

    bundle = open_bundle(folder / peer.bundle, [public_key(KEY)])
    engine = open_sized_engine("openvino", bundle, ENCODER, EngineConfig(threads=THREADS))

    def encode(clips: Float32) -> Float32:
        found: Float32 = engine.run({CLIPS: clips})[FEATURES]
        return found

    return encode


PEERS: Mapping[str, Peer] = {
    "torch_fp32": Peer("fp32", _open_torch),
    "torch_bf16": Peer("bf16", _open_torch),
    "torch_bf16_rewritten": Peer("bf16", _open_rewritten),
    "torch_fp32_rewritten": Peer("fp32", _open_rewritten),
    "openvino_plain_fp32": Peer("fp32", _open_plain),
    "openvino_plain_bf16": Peer("bf16", _open_plain),
    "ours_fp32": Peer("fp32", _open_ours),
    "ours_bf16": Peer("bf16", _open_ours),
    "ours_int8": Peer("int8", _open_ours),
    "ours_int8_bf16_rest": Peer("int8", _open_ours, rest_here("bfloat16")),
}


def _serve(folder: Path, encoder: str, name: str) -> None:
    answers = take_stdout()
    peer = PEERS[name]
    clips: Float32 = np.load(folder / CLIPS_FILE)
    began = time.monotonic_ns()
    encode = peer.open(folder, encoder, peer)
    one = np.ascontiguousarray(clips[:1])
    for _ in range(2):  # whatever an engine leaves for its first calls belongs to loading
        encode(one)
    load_ms = (time.monotonic_ns() - began) / 1e6

    def features(target: str) -> str:
        np.save(target, np.concatenate([encode(np.ascontiguousarray(clip[None])).copy() for clip in clips]))
        return target

    serve(answers, {"load_ms": round(load_ms, 1)}, {"clip": lambda: encode(one)}, features)


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
