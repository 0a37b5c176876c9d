"""The bundle of a finished training: its manifest, and the check of its graph in both engines.

Not for: signing and writing it (export/bundle/sign.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from cathrt.export.models.keyframe.demo.dataset import PREPROCESSING, PhantomFrames
from cathrt.export.models.keyframe.demo.network import OUTPUTS, input_of, rows_of
from cathrt.runtime.bundle.manifest import SCHEMA_VERSION, Artifact, DeclaredTensor, Manifest, Network
from cathrt.runtime.errors import EngineError
from cathrt.runtime.models.keyframe.section import CLASSIFIER, KeyframeManifest, KeyframeSection

BUNDLE_NAME = "keyframe-demonstration"
ENGINE_TOLERANCE = 1e-4  # relative, single precision on both sides
ENGINE_CHECK_FRAMES = 16


def engine_errors(onnx_bytes: bytes, state: Mapping[str, Tensor], arch: str, frames: PhantomFrames) -> dict[str, float]:
    """Largest difference of each engine from PyTorch on phantom frames, relative to the largest number.

    Raises EngineError if an engine strays beyond ENGINE_TOLERANCE: such a file must not be signed.
    """
    first = replace(frames, images=frames.images[:ENGINE_CHECK_FRAMES])
    expected = rows_of(state, arch, first)
    engines = {"onnxruntime": _run_onnxruntime(onnx_bytes), "openvino": _run_openvino(onnx_bytes)}
    errors = {}
    for name, infer in engines.items():
        found = np.concatenate([infer(input_of(image[None]).numpy()) for image in first.images])
        errors[name] = float(f"{np.abs(found - expected).max() / np.abs(expected).max():.1e}")
        if not errors[name] <= ENGINE_TOLERANCE:
            raise EngineError(
                f"{name} differs from PyTorch by {errors[name]:g} of the largest number, expected at most "
                f"{ENGINE_TOLERANCE:g}: compare layer by layer before signing anything"
            )
    return errors


Infer = Callable[[np.ndarray[Any, np.dtype[np.float32]]], np.ndarray[Any, np.dtype[np.float32]]]


def _run_onnxruntime(onnx_bytes: bytes) -> Infer:
    import onnxruntime

    session = onnxruntime.InferenceSession(onnx_bytes, providers=["CPUExecutionProvider"])
    return lambda image: np.concatenate(session.run(list(OUTPUTS), {PREPROCESSING.input: image}), axis=1)


def _run_openvino(onnx_bytes: bytes) -> Infer:
    from cathrt.runtime.engines.silent_openvino import ov

    core = ov.Core()
    compiled = core.compile_model(core.read_model(onnx_bytes), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def infer(image: NDArray[np.float32]) -> NDArray[np.float32]:
        found = compiled({PREPROCESSING.input: image})
        return np.concatenate([found[name] for name in OUTPUTS], axis=1)

    return infer


def manifest_of(meaning: KeyframeSection, provenance: dict[str, Any], evidence: dict[str, Any]) -> KeyframeManifest:
    """The manifest but for its files."""
    artifact = Artifact("model.onnx", "float32")
    return Manifest(
        schema_version=SCHEMA_VERSION,
        name=BUNDLE_NAME,
        files={},
        networks={
            CLASSIFIER: Network(
                artifacts={"openvino": artifact, "onnxruntime": artifact},
                inputs=(DeclaredTensor(PREPROCESSING.input, PREPROCESSING.shape, "float32"),),
                outputs=tuple(DeclaredTensor(name, (1, rows), "float32") for name, rows in OUTPUTS.items()),
                preprocessing=(PREPROCESSING,),
            )
        },
        model=meaning,
        demonstration=True,
        provenance=provenance,
        evidence=evidence,
    )
