"""Train the demonstration keyframe model and write its signed bundle.

`python -m cathrt.export.models.keyframe.demo.train_keyframe`.

Render phantom runs, train, set temperature and thresholds on other scenes, measure on a third set, check the engines,
sign. docs/export.md tells how long it takes. Not for: clinical weights.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from cathrt.export.bundle.sign import load_key, public_key, write_bundle
from cathrt.export.models.keyframe.convnext import ARCHS, ConvNext
from cathrt.export.models.keyframe.demo.dataset import (
    LABELS,
    PREPROCESSING,
    PhantomFrames,
    Rendering,
    join,
    load_scenes,
)
from cathrt.export.models.keyframe.demo.evaluate import OUTPUT, Logits, as_evidence, frame_scores, run_scores
from cathrt.export.models.keyframe.demo.model_card import model_card
from cathrt.export.models.keyframe.demo.thresholds import choose_thresholds, fit_temperature
from cathrt.export.models.keyframe.demo.training import Arithmetic, Plan, Progress, Training, TrainingFrames
from cathrt.export.models.keyframe.to_onnx import onnx_from_state
from cathrt.runtime.bundle.manifest import SCHEMA_VERSION, Artifact, DeclaredTensor, Manifest, Network
from cathrt.runtime.errors import CathrtError, ConfigError, EngineError
from cathrt.runtime.models.keyframe.section import CLASSIFIER, KeyframeManifest, KeyframeSection

BUNDLE_NAME = "keyframe-demonstration"
# Three sets of scenes that can never meet: seeds far apart, whatever the options.
VALIDATION_START, TEST_START = 10_000_000, 20_000_000
MATRIX = 512
CHECKPOINT_EVERY = 200
STOPPED = 75  # exit code: the work is kept, call again
ENGINE_TOLERANCE = 1e-4  # relative, single precision on both sides
ENGINE_CHECK_FRAMES = 16


@dataclass(frozen=True, slots=True)
class Scenes:
    """How many generated runs for what, and how many frames of each to train on; all others are taken whole."""

    training: int
    validation: int
    test: int
    frames_per_scene: int

    def spans(self) -> dict[str, list[int]]:
        """First seed and the one after the last."""
        starts = {"training": 0, "validation": VALIDATION_START, "test": TEST_START}
        return {name: [start, start + int(getattr(self, name))] for name, start in starts.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 bundle written, 75 stopped at --minutes with a checkpoint, else those of cathrt.runtime.errors."""
    options = _parser().parse_args(arguments)
    torch.set_num_threads(options.threads)
    plan = Plan(
        arch=options.arch, arithmetic=options.arithmetic, steps=options.steps, batch=options.batch, seed=options.seed
    )
    scenes = Scenes(options.scenes, options.validation_scenes, options.test_scenes, options.frames_per_scene)
    try:
        return _train_and_write(options, plan, scenes)
    except CathrtError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return exc.exit_code


def _train_and_write(options: argparse.Namespace, plan: Plan, scenes: Scenes) -> int:
    key = load_key(options.key)
    if os.path.lexists(options.out):
        raise ConfigError(
            f"{options.out}: exists already, expected a new folder for the bundle: remove it or name another"
        )
    frames_folder, checkpoint = options.work / "frames", options.work / "checkpoint.safetensors"
    spans = scenes.spans()

    def frames_of(name: str, frames_per_scene: int | None) -> list[PhantomFrames]:
        first, end = spans[name]
        rendering = Rendering(frames_per_scene, MATRIX)
        rendered = load_scenes(range(first, end), frames_folder, rendering, workers=options.workers)
        return [frames for count, frames in enumerate(rendered) if _told(f"{name} scenes", count + 1, end - first)]

    training = Training(plan, classes=len(LABELS))
    if options.resume and checkpoint.exists():
        training.load(checkpoint)
    deadline_s = time.monotonic() + 60.0 * options.minutes
    frames = join(frames_of("training", scenes.frames_per_scene))
    if not _train(training, frames, checkpoint, deadline_s):
        print(f"stopped at step {training.step} of {plan.steps}: go on with --resume", file=sys.stderr)
        return STOPPED

    validation_runs = frames_of("validation", None)
    state, meaning, temperature = calibrated(training.averaged, plan.arch, validation_runs)
    test_runs = frames_of("test", None)
    test_logits = [logits_of(state, plan.arch, run) for run in test_runs]
    onnx_bytes = onnx_from_state(state, height=PREPROCESSING.height, width=PREPROCESSING.width, storage="float16")
    evidence: dict[str, Any] = {
        "phantom_frames": as_evidence(frame_scores(np.concatenate(test_logits), join(test_runs), meaning)),
        "phantom_runs": as_evidence(run_scores(zip(test_runs, test_logits, strict=True), meaning)),
        "temperature": round(temperature, 4),
        "engine_relative_error": {
            engine: {"error": error, "artifact_sha256": hashlib.sha256(onnx_bytes).hexdigest()}
            for engine, error in engine_errors(onnx_bytes, state, plan.arch, validation_runs[0]).items()
        },
    }
    weights = options.work / "weights.safetensors"  # what `cathrt export keyframe` takes for other precisions
    save_file(state, weights)
    provenance = {
        "chain": {"weights": hashlib.sha256(weights.read_bytes()).hexdigest()},
        "made_by": "cathrt.export.models.keyframe.demo.train_keyframe",
        "plan": json.loads(json.dumps(asdict(plan))),
        "scenes": spans,
        "frames": {"training": len(frames), "validation": sum(map(len, validation_runs))},
        "parameters": sum(value.numel() for value in state.values()),
        "tools": {name: version(name) for name in ("torch", "onnx", "numpy")},
    }
    manifest = manifest_of(meaning, provenance, evidence)
    payload = {"model.onnx": onnx_bytes, "MODEL_CARD.md": model_card(manifest).encode()}
    write_bundle(options.out, manifest, payload, key)
    print(json.dumps({"bundle": str(options.out), "signed_by": public_key(key), **evidence}, indent=2))
    return 0


def _train(training: Training, frames: PhantomFrames, checkpoint: Path, deadline_s: float) -> bool:
    """Steps until the plan is done or the clock is past the deadline; a checkpoint either way."""
    checkpoint.parent.mkdir(parents=True, exist_ok=True)

    recent: deque[float] = deque(maxlen=50)

    def report(progress: Progress) -> None:
        recent.append(progress.loss)
        loss = sum(recent) / len(recent)
        if progress.step % CHECKPOINT_EVERY == 0:
            training.save(checkpoint)
        if progress.step % 20 == 0 or progress.step == progress.steps:
            print(
                f"step {progress.step}/{progress.steps}  {progress.side}x{progress.side}  loss {loss:.4f}  "
                f"{progress.step_s:.2f} s a step",
                file=sys.stderr,
                flush=True,
            )

    finished = training.run(training_frames(frames), deadline_s=deadline_s, report=report)
    training.save(checkpoint)
    return finished


def training_frames(frames: PhantomFrames) -> TrainingFrames:
    """Frames as tensors, in pools that are drawn equally often: one per label, one for frames of coronary runs that
    show no side, one for runs that never do."""
    images, targets = torch.from_numpy(frames.images), torch.from_numpy(frames.targets)
    one_hot = targets.max(dim=1).values == 1.0
    pools = [torch.nonzero(one_hot & (targets.argmax(dim=1) == column)).flatten() for column in range(len(LABELS))]
    coronary = torch.from_numpy(frames.coronary)
    pools += [torch.nonzero(~one_hot & coronary).flatten(), torch.nonzero(~one_hot & ~coronary).flatten()]
    side = torch.from_numpy((frames.targets[:, len(LABELS) // 2 :].sum(axis=1) > 0.5).astype(np.int64))
    vessels = torch.from_numpy(frames.vessels)
    return TrainingFrames(images, targets, vessels, side, tuple(pool for pool in pools if len(pool)))


def calibrated(
    averaged: Mapping[str, Tensor], arch: str, runs: Sequence[PhantomFrames]
) -> tuple[dict[str, Tensor], KeyframeSection, float]:
    """The weights that ship (temperature folded into the head, then rounded to half floats), and their thresholds."""
    logits = [logits_of(averaged, arch, run) for run in runs]
    temperature = fit_temperature(np.concatenate(logits), np.concatenate([run.targets for run in runs]))
    scaled = {key: value / temperature if key.startswith("head.fc.") else value for key, value in averaged.items()}
    state = {key: value.half().float() for key, value in scaled.items()}
    return state, choose_thresholds([(run, logits_of(state, arch, run)) for run in runs]), temperature


def logits_of(state: Mapping[str, Tensor], arch: str, frames: PhantomFrames) -> Logits:
    """(N, 6) float32, as PyTorch computes them."""
    model = ConvNext(ARCHS[arch], classes=len(LABELS)).eval()
    model.load_state_dict(dict(state))
    with torch.inference_mode():
        parts = [model(torch.from_numpy(network_input(images))) for images in _batches(frames.images)]
    return np.asarray(torch.cat(parts).numpy())


def network_input(images: np.ndarray[Any, np.dtype[np.uint8]]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """(N, H, W) stored grey to (N, 3, H, W) normalised, as the runtime's preprocessing would leave it."""
    grey = images[:, None].astype(np.float32) / np.float32(255.0)
    mean, std = (np.asarray(values, np.float32)[:, None, None] for values in (PREPROCESSING.mean, PREPROCESSING.std))
    return np.asarray((grey - mean) / std, dtype=np.float32)


def _batches(images: np.ndarray[Any, np.dtype[np.uint8]]) -> list[np.ndarray[Any, np.dtype[np.uint8]]]:
    return np.array_split(images, max(1, math.ceil(len(images) / 32)))


def engine_errors(onnx_bytes: bytes, state: Mapping[str, Tensor], arch: str, frames: PhantomFrames) -> dict[str, float]:
    """Largest difference of each engine from PyTorch on phantom frames, relative to the largest logit.

    Raises EngineError if an engine strays beyond ENGINE_TOLERANCE: such a file must not be signed.
    """
    first = replace(frames, images=frames.images[:ENGINE_CHECK_FRAMES])
    expected = logits_of(state, arch, first)
    engines = {"onnxruntime": _run_onnxruntime(onnx_bytes), "openvino": _run_openvino(onnx_bytes)}
    errors = {}
    for name, infer in engines.items():
        found = np.concatenate([infer(network_input(image[None])) for image in first.images])
        errors[name] = float(f"{np.abs(found - expected).max() / np.abs(expected).max():.1e}")
        if not errors[name] <= ENGINE_TOLERANCE:
            raise EngineError(
                f"{name} differs from PyTorch by {errors[name]:g} of the largest logit, expected at most "
                f"{ENGINE_TOLERANCE:g}: compare layer by layer before signing anything"
            )
    return errors


Infer = Callable[[np.ndarray[Any, np.dtype[np.float32]]], np.ndarray[Any, np.dtype[np.float32]]]


def _run_onnxruntime(onnx_bytes: bytes) -> Infer:
    import onnxruntime

    session = onnxruntime.InferenceSession(onnx_bytes, providers=["CPUExecutionProvider"])
    return lambda image: np.asarray(session.run([OUTPUT], {PREPROCESSING.input: image})[0])


def _run_openvino(onnx_bytes: bytes) -> Infer:
    from cathrt.runtime.engines.silent_openvino import ov

    core = ov.Core()
    compiled = core.compile_model(core.read_model(onnx_bytes), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda image: np.array(compiled({PREPROCESSING.input: image})[OUTPUT])


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
                outputs=(DeclaredTensor(OUTPUT, (1, len(LABELS)), "float32"),),
                preprocessing=(PREPROCESSING,),
            )
        },
        model=meaning,
        demonstration=True,
        provenance=provenance,
        evidence=evidence,
    )


def _told(what: str, count: int, total: int) -> bool:
    if count % 50 == 0 or count == total:
        print(f"{what}: {count}/{total}", file=sys.stderr, flush=True)
    return True


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m cathrt.export.models.keyframe.demo.train_keyframe",
        description="Train the demonstration keyframe model on generated angiograms and write its signed bundle.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    defaults = Plan()
    parser.add_argument("--out", type=Path, required=True, help="bundle folder to write; must not exist")
    parser.add_argument("--key", type=Path, required=True, help="ed25519 private key, see cathrt.export.bundle.sign")
    parser.add_argument("--work", type=Path, required=True, help="folder for rendered frames and the checkpoint")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in --work")
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop with a checkpoint after so long")
    parser.add_argument("--seed", type=int, default=defaults.seed)
    parser.add_argument("--arch", choices=sorted(ARCHS), default=defaults.arch)
    parser.add_argument("--arithmetic", choices=get_args(Arithmetic), default=defaults.arithmetic)
    parser.add_argument("--steps", type=int, default=defaults.steps)
    parser.add_argument("--batch", type=int, default=defaults.batch)
    parser.add_argument("--scenes", type=int, default=3000, help="generated runs to train on")
    parser.add_argument("--validation-scenes", type=int, default=120, help="runs that set temperature and thresholds")
    parser.add_argument("--test-scenes", type=int, default=60, help="whole runs to measure on")
    parser.add_argument("--frames-per-scene", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2, help="of PyTorch")
    parser.add_argument("--workers", type=int, default=2, help="rendering processes")
    return parser


if __name__ == "__main__":
    sys.exit(main())
