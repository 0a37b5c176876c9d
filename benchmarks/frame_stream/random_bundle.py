"""A signed int8 bundle of random weights, for speed alone: `python -m benchmarks.frame_stream.random_bundle OUT`.

Prints what `python -m benchmarks.frame_stream` needs to open it. It was qualified by nobody, it says that its weights
are random, and so no command shows its findings. Not for: anything but the time that a network of its size takes.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from benchmarks.engine_peers import CALIBRATION_FRAMES, CLASSES, OUTPUT, SIDE, weight_bits
from cathrt.runtime.bundle.manifest import Artifact, Manifest
from cathrt.runtime.bundle.shipped import demonstration_bundle, shipped_keys
from cathrt.runtime.models import open_bundle
from cathrt.runtime.models.keyframe.section import CLASSIFIER, section_of

_FILE, _SEED = "model.onnx", 0


def random_graph(arch: str, manifest: Manifest) -> bytes:
    """The network in int8, as our export quantises it; ONNX."""
    import onnx

    from cathrt.export.graph.fold import LAYOUTS, canonical
    from cathrt.export.models.keyframe.checkpoint import random_checkpoint
    from cathrt.export.models.keyframe.to_onnx import onnx_from_state
    from cathrt.export.quantize.calibration import calibration_frames
    from cathrt.export.quantize.int8 import Int8Settings, int8_graph

    state = random_checkpoint(arch, CLASSES, seed=_SEED).state
    plain = onnx.load_from_string(onnx_from_state(state, height=SIDE, width=SIDE))
    (preprocessing,) = manifest.network(CLASSIFIER).preprocessing
    frames = calibration_frames(preprocessing, CALIBRATION_FRAMES).tensors
    settings = Int8Settings(weight_bits=weight_bits())
    graph: bytes = int8_graph(canonical(plain, LAYOUTS["openvino"]), list(frames), settings).SerializeToString()
    return graph


def write_random_bundle(folder: Path, arch: str) -> str:
    """Write the bundle into a folder that is not there yet; returns the public key that opens it. OpenVINO and ONNX
    Runtime open the same file."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from cathrt.export.bundle.sign import public_key, write_bundle

    with open_bundle(demonstration_bundle(), shipped_keys()) as shipped:
        manifest = shipped.manifest
    network, section = manifest.network(CLASSIFIER), section_of(manifest)
    artifact = Artifact(_FILE, "int8", weight_bits=weight_bits(), rest="bfloat16")
    artifacts = {"openvino": artifact, "onnxruntime": replace(artifact, rest="float32")}
    logits_alone = tuple(tensor for tensor in network.outputs if tensor.name == OUTPUT)
    random = replace(
        manifest,
        name=f"random-{arch.replace('_', '-')}",
        files={},
        networks={CLASSIFIER: replace(network, outputs=logits_alone, artifacts=artifacts)},
        model=replace(section, readability=None, domain=None),
        demonstration=False,
        provenance={"random_init": True, "arch": arch, "seed": _SEED},
        evidence={},
        worth=None,
    )
    key = Ed25519PrivateKey.generate()  # and forgotten: nobody signs anything else with it
    write_bundle(folder, random, {_FILE: random_graph(arch, manifest)}, key)
    return public_key(key)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="folder of the bundle, which must not exist yet")
    parser.add_argument("--arch", default="convnext_base", help="which ConvNeXt")
    options = parser.parse_args()
    print(f"--bundle {options.out} --trust-key {write_random_bundle(options.out, options.arch)}")


if __name__ == "__main__":
    main()
