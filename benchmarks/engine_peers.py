"""One ConvNeXt in every engine that is compared: its files, and the table of who runs which of them and how.

For: benchmarks/engines.py. As a program it is the process that one variant lives in:
`python -m benchmarks.engine_peers FOLDER VARIANT`. Not for: what is done with the times.
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.compute_limit import THREADS, Element
from benchmarks.measure import ROOT
from benchmarks.nncf_quantise import SETTINGS
from benchmarks.turns import serve, take_stdout
from cathrt.runtime.bundle.files import opened_folder
from cathrt.runtime.bundle.manifest import Artifact, Rest
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.bundle.shipped import demonstration_bundle, shipped_keys
from cathrt.runtime.bundle.verified_file import verified_files
from cathrt.runtime.config import EngineConfig
from cathrt.runtime.engines import open_engine
from cathrt.runtime.engines.cpu import rest_here, sums_int8_exactly
from cathrt.runtime.models import open_bundle
from cathrt.runtime.models.keyframe.section import CLASSIFIER

SIDE = 224
CLASSES = 6
CALIBRATION_FRAMES = 8
CHECKED_FRAMES = 4  # of the same phantom, but not among those calibrated on
WEIGHTS, FRAMES, CALIBRATION = "weights.safetensors", "frames.npy", "calibration.npy"
INPUT, OUTPUT = "image", "logits"

Image = NDArray[np.float32]
Feed = Callable[[Image], None]
Infer = Callable[[], Any]  # an array of logits, however the engine hands it out


@dataclass(frozen=True, slots=True)
class Peer:
    """file: of those `write_files` makes.   open: loads it and warms it up, (folder, peer) to how to feed and infer.
    rest: of int8 in OpenVINO: what its other layers compute in."""

    file: str
    precision: Element
    open: Callable[[Path, Peer], tuple[Feed, Infer]]
    rest: Rest = "float32"


def weight_bits() -> Literal[7, 8]:
    """Of everybody's int8 weights here: without VNNI, sums of products with 8 bits are clipped."""
    return 8 if sums_int8_exactly() else 7


def write_files(folder: Path, arch: str, nncf_python: Path | None = None) -> int:
    """Write what the peers load, from random weights; returns the network's flops.

    nncf_python: of an environment with nncf and openvino; None leaves NNCF's files out.
    """
    import onnx
    from safetensors.torch import save_file

    from benchmarks.compute_limit import network_flops
    from cathrt.export.graph.fold import LAYOUTS, canonical
    from cathrt.export.models.keyframe.checkpoint import random_checkpoint
    from cathrt.export.models.keyframe.to_onnx import onnx_from_state
    from cathrt.export.quantize.calibration import calibration_frames
    from cathrt.export.quantize.int8 import Int8Settings, int8_graph

    checkpoint = random_checkpoint(arch, CLASSES, seed=0)
    save_file(dict(checkpoint.state), folder / WEIGHTS)
    plain = onnx_from_state(checkpoint.state, height=SIDE, width=SIDE)
    (folder / "plain.onnx").write_bytes(plain)
    model = onnx.load_from_string(plain)
    ours = canonical(model, LAYOUTS["openvino"])
    (folder / "ours.onnx").write_bytes(ours.SerializeToString(deterministic=True))
    preprocessing = _shipped().manifest.network(CLASSIFIER).preprocessing[0]
    frames = calibration_frames(preprocessing, CALIBRATION_FRAMES + CHECKED_FRAMES).tensors
    np.save(folder / FRAMES, frames[CALIBRATION_FRAMES:])
    np.save(folder / CALIBRATION, frames[:CALIBRATION_FRAMES])
    if nncf_python is not None:  # first, since its environment may be wrong
        _quantise_as_nncf_does(folder, nncf_python)
    _quantise_as_onnxruntime_does(folder, frames[:CALIBRATION_FRAMES])
    pairs = int8_graph(ours, list(frames[:CALIBRATION_FRAMES]), Int8Settings(weight_bits=weight_bits()))
    (folder / "ours_int8.onnx").write_bytes(pairs.SerializeToString(deterministic=True))
    return network_flops(model)


def _quantise_as_nncf_does(folder: Path, python: Path) -> None:
    """plain.onnx in every one of NNCF's SETTINGS. Ends the program where that environment cannot do it."""
    program = [python, ROOT / "benchmarks" / "nncf_quantise.py"]
    done = subprocess.run(
        [*program, folder / "plain.onnx", folder / CALIBRATION, str(weight_bits()), folder],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise SystemExit(
            f"--nncf-python {python} ended with exit code {done.returncode} ({reason}), expected an environment with "
            "`pip install nncf openvino`"
        )


def _quantise_as_onnxruntime_does(folder: Path, frames: Image) -> None:
    """plain.onnx by onnxruntime.quantization.quantize_static, nothing said but calibration frames and weight bits."""
    from onnxruntime.quantization import CalibrationDataReader, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._left = iter(frames)

        def get_next(self) -> dict[str, Image] | None:
            frame = next(self._left, None)
            return None if frame is None else {INPUT: frame}

    logging.disable(logging.WARNING)  # it recommends a preprocessing of the graph that is not its default
    try:
        seven = weight_bits() == 7  # its own remedy for CPUs without VNNI
        quantize_static(folder / "plain.onnx", folder / "plain_int8.onnx", Reader(), reduce_range=seven)
    finally:
        logging.disable(logging.NOTSET)


def _open_torch(folder: Path, peer: Peer) -> tuple[Feed, Infer]:
    """Eager, channels-last, under inference_mode. The image arrives in the precision computed in."""
    import torch
    from safetensors.torch import load_file

    from cathrt.export.models.keyframe.convnext import ARCHS, ConvNext, arch_of

    torch.set_num_threads(THREADS)
    state = load_file(folder / peer.file)
    arch, classes = arch_of(state)
    dtype = torch.bfloat16 if peer.precision == "bf16" else torch.float32
    model = ConvNext(ARCHS[arch], classes=classes)
    model.load_state_dict(state)
    model = model.eval().to(dtype=dtype, memory_format=torch.channels_last)
    fed = torch.zeros(1, 3, SIDE, SIDE, dtype=dtype).to(memory_format=torch.channels_last)

    def feed(image: Image) -> None:
        fed.copy_(torch.from_numpy(image))

    @torch.inference_mode()
    def infer() -> Any:
        return model(fed).float().numpy()

    return feed, infer


def _open_onnxruntime(folder: Path, peer: Peer) -> tuple[Feed, Infer]:
    """Its own defaults but for the number of threads."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = ort.InferenceSession(str(folder / peer.file), options, providers=["CPUExecutionProvider"])
    fed = np.zeros((1, 3, SIDE, SIDE), np.float32)
    return lambda image: np.copyto(fed, image), lambda: session.run(None, {INPUT: fed})[0]


def _open_openvino(folder: Path, peer: Peer) -> tuple[Feed, Infer]:
    """As the runtime opens it: through its adapter, out of a bundle that the shipped one's manifest describes."""
    precision = {"fp32": "float32", "bf16": "bfloat16", "int8": "int8"}[peer.precision]
    names = [peer.file, peer.file.replace(".xml", ".bin")] if peer.file.endswith(".xml") else [peer.file]
    listed = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
    bits = weight_bits() if precision == "int8" else 8
    artifact = Artifact(peer.file, precision, weight_bits=bits, rest=peer.rest)  # type: ignore[arg-type]
    shipped = _shipped().manifest
    network = shipped.network(CLASSIFIER)
    classes_alone = tuple(tensor for tensor in network.outputs if tensor.name == OUTPUT)  # as all peers compute them
    networks = {CLASSIFIER: dataclasses.replace(network, outputs=classes_alone)}
    manifest = dataclasses.replace(shipped, files=listed, networks=networks)
    manifest = manifest.with_artifacts(CLASSIFIER, {"openvino": artifact})
    with opened_folder(folder) as opened:
        files = verified_files(opened, listed, hard_links=True)
    bundle = Bundle(folder, manifest, "0" * 64, "0" * 64, files)
    engine = open_engine("openvino", bundle, CLASSIFIER, EngineConfig(threads=THREADS))
    buffers = engine.input_buffers
    return lambda image: np.copyto(buffers[INPUT], image), lambda: engine.infer(buffers)[OUTPUT]


def _shipped() -> Bundle:
    return open_bundle(demonstration_bundle(), shipped_keys())


PEERS: Mapping[str, Peer] = {
    "torch_fp32": Peer(WEIGHTS, "fp32", _open_torch),
    "torch_bf16": Peer(WEIGHTS, "bf16", _open_torch),
    "ort_fp32": Peer("plain.onnx", "fp32", _open_onnxruntime),
    "ort_int8": Peer("plain_int8.onnx", "int8", _open_onnxruntime),
    "openvino_plain_fp32": Peer("plain.onnx", "fp32", _open_openvino),
    "openvino_plain_bf16": Peer("plain.onnx", "bf16", _open_openvino),
    "ours_fp32": Peer("ours.onnx", "fp32", _open_openvino),
    "ours_bf16": Peer("ours.onnx", "bf16", _open_openvino),
    "ours_int8": Peer("ours_int8.onnx", "int8", _open_openvino),
    "ours_int8_bf16_rest": Peer("ours_int8.onnx", "int8", _open_openvino, "bfloat16"),
    # The CPU's fastest rest, as OpenVINO takes it by itself.
    **{
        f"nncf_{settings}": Peer(f"nncf_{settings}.xml", "int8", _open_openvino, rest_here("bfloat16"))
        for settings in SETTINGS
    },
}


def _serve(folder: Path, name: str) -> None:
    answers = take_stdout()
    peer = PEERS[name]
    frames: Image = np.load(folder / FRAMES)
    _import_vendor(name)
    began = time.monotonic_ns()
    feed, infer = peer.open(folder, peer)
    feed(frames[0])
    for _ in range(2):  # whatever an engine leaves for its first calls belongs to loading
        infer()
    load_ms = (time.monotonic_ns() - began) / 1e6

    def logits(index: str) -> list[float]:
        feed(frames[int(index)])
        found: list[float] = np.array(infer(), np.float64).ravel().tolist()
        feed(frames[0])
        return found

    serve(answers, {"load_ms": round(load_ms, 1)}, {"infer": infer}, logits)


def _import_vendor(name: str) -> None:
    """Before the clock of loading starts: what a library's import takes is not the engine's."""
    if name.startswith("torch"):
        import safetensors.torch  # noqa: F401
        import torch  # noqa: F401
    elif name.startswith("ort"):
        import onnxruntime  # noqa: F401
    else:
        import cathrt.runtime.engines.openvino  # noqa: F401


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), sys.argv[2])
