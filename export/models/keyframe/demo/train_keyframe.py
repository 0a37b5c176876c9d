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
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from cathrt.export.bundle.sign import load_key, public_key, write_bundle
from cathrt.export.models.keyframe.convnext import ARCHS
from cathrt.export.models.keyframe.demo.bundle import engine_errors, manifest_of
from cathrt.export.models.keyframe.demo.dataset import (
    LABELS,
    PREPROCESSING,
    PhantomFrames,
    Rendering,
    join,
    load_scenes,
)
from cathrt.export.models.keyframe.demo.evaluate import (
    as_evidence,
    frame_scores,
    run_scores,
)
from cathrt.export.models.keyframe.demo.model_card import model_card
from cathrt.export.models.keyframe.demo.network import OUTPUTS, ROWS, kept_rows, start_of
from cathrt.export.models.keyframe.demo.outsiders import render_outsiders
from cathrt.export.models.keyframe.demo.plan import Arithmetic, Plan
from cathrt.export.models.keyframe.demo.thresholds import calibrated
from cathrt.export.models.keyframe.demo.training import Progress, Training, TrainingFrames
from cathrt.export.models.keyframe.to_onnx import onnx_from_state
from cathrt.runtime.errors import CathrtError, ConfigError
from cathrt.runtime.models.keyframe.policy import KeyframePolicyConfig
from cathrt.runtime.phantom import sample_scene

# Sets of scenes that can never meet: seeds far apart, whatever the options.
VALIDATION_START, NEGATIVES_START, TEST_START = 10_000_000, 11_000_000, 20_000_000
OUTSIDERS_START = 40_000_000  # pictures that are no angiograms
MATRIX = 512
CHECKPOINT_EVERY = 200
STOPPED = 75  # exit code: the work is kept, call again


@dataclass(frozen=True, slots=True)
class Scenes:
    """How many generated runs for what, and how many frames of each to train on; all others are taken whole.

    outsiders: pictures that are no angiograms, to train on.
    """

    training: int
    validation: int
    negatives: int
    test: int
    frames_per_scene: int
    outsiders: int

    def spans(self) -> dict[str, list[int]]:
        """First seed and the one after the last; of "negatives" those that fill no coronary artery are taken."""
        starts = {"training": 0, "validation": VALIDATION_START, "negatives": NEGATIVES_START, "test": TEST_START}
        return {name: [start, start + int(getattr(self, name))] for name, start in starts.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 bundle written, 75 stopped at --minutes with a checkpoint, else those of cathrt.runtime.errors."""
    options = _parser().parse_args(arguments)
    torch.set_num_threads(options.threads)
    plan = Plan(
        arch=options.arch,
        arithmetic=options.arithmetic,
        steps=options.steps,
        batch=options.batch,
        seed=options.seed,
        learning_rate=options.learning_rate,
    )
    scenes = Scenes(
        options.scenes,
        options.validation_scenes,
        options.negative_scenes,
        options.test_scenes,
        options.frames_per_scene,
        options.outsiders,
    )
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
        seeds = [seed for seed in range(*spans[name]) if name != "negatives" or not _is_coronary(seed)]
        rendered = load_scenes(seeds, frames_folder, Rendering(frames_per_scene, MATRIX), workers=options.workers)
        return [frames for count, frames in enumerate(rendered) if _told(f"{name} scenes", count + 1, len(seeds))]

    start = start_of(options.start) if options.start else None
    plan = replace(plan, start=start.sha256 if start else plan.start)
    training = Training(plan, ROWS, start.state if start else None)
    if options.resume and checkpoint.exists():
        training.load(checkpoint)
    deadline_s = time.monotonic() + 60.0 * options.minutes
    frames = join(frames_of("training", scenes.frames_per_scene))
    if training.step < plan.steps:
        others = render_outsiders(range(OUTSIDERS_START, OUTSIDERS_START + scenes.outsiders))
        if not _train(training, training_frames(frames, *others), checkpoint, deadline_s):
            print(f"stopped at step {training.step} of {plan.steps}: go on with --resume", file=sys.stderr)
            return STOPPED

    validation_runs = [*frames_of("validation", None), *frames_of("negatives", None)]
    policy = KeyframePolicyConfig()
    state, meaning, temperature = calibrated(
        training.averaged, plan.arch, validation_runs, policy, options.work / "rows"
    )
    test_runs = frames_of("test", None)
    test_rows = kept_rows(state, plan.arch, test_runs, options.work / "rows")
    size = {"height": PREPROCESSING.height, "width": PREPROCESSING.width}
    onnx_bytes = onnx_from_state(state, **size, storage="float16", outputs=OUTPUTS)
    evidence: dict[str, Any] = {
        "phantom_frames": as_evidence(frame_scores(np.concatenate(test_rows), join(test_runs), meaning)),
        "phantom_runs": as_evidence(run_scores(zip(test_runs, test_rows, strict=True), meaning, policy)),
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
        "frames": {
            "training": len(frames),
            "validation": sum(map(len, validation_runs)),
            "outsiders": scenes.outsiders,
        },
        "parameters": sum(value.numel() for value in state.values()),
        "tools": {name: version(name) for name in ("torch", "onnx", "numpy")},
    }
    manifest = manifest_of(meaning, provenance, evidence)
    payload = {"model.onnx": onnx_bytes, "MODEL_CARD.md": model_card(manifest).encode()}
    write_bundle(options.out, manifest, payload, key)
    print(json.dumps({"bundle": str(options.out), "signed_by": public_key(key), **evidence}, indent=2))
    return 0


def _train(training: Training, frames: TrainingFrames, checkpoint: Path, deadline_s: float) -> bool:
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

    finished = training.run(frames, deadline_s=deadline_s, report=report)
    training.save(checkpoint)
    return finished


def training_frames(frames: PhantomFrames, outsiders: NDArray[np.uint8], reasons: NDArray[np.int64]) -> TrainingFrames:
    """Frames as tensors, in pools that are drawn equally often: one per label, one for frames of coronary runs that
    show no side, one for runs that never do. outsiders: (M, H, H); reasons: (M,) from 0."""
    images, targets = torch.from_numpy(frames.images), torch.from_numpy(frames.targets)
    one_hot = targets.max(dim=1).values == 1.0
    pools = [torch.nonzero(one_hot & (targets.argmax(dim=1) == column)).flatten() for column in range(len(LABELS))]
    coronary = torch.from_numpy(frames.coronary)
    pools += [torch.nonzero(~one_hot & coronary).flatten(), torch.nonzero(~one_hot & ~coronary).flatten()]
    side = torch.from_numpy((frames.targets[:, len(LABELS) // 2 :].sum(axis=1) > 0.5).astype(np.int64))
    begins = np.flatnonzero(np.r_[True, np.diff(frames.scene) != 0])
    lengths = np.diff(np.r_[begins, len(frames)])
    runs = np.stack([np.repeat(begins, lengths), np.repeat(lengths, lengths)], axis=1)
    return TrainingFrames(
        images=images,
        targets=targets,
        vessels=torch.from_numpy(frames.vessels),
        side=side,
        readability=torch.from_numpy(frames.readability),
        runs=torch.from_numpy(runs),
        outsiders=torch.from_numpy(outsiders),
        reasons=torch.from_numpy(reasons) + 1,
        pools=tuple(pool for pool in pools if len(pool)),
    )


def _is_coronary(seed: int) -> bool:
    return sample_scene(seed, kind=None, matrix=64).kind == "coronary"


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
    parser.add_argument("--start", type=Path, help="bundle whose weights training begins with; default: random ones")
    parser.add_argument("--seed", type=int, default=defaults.seed)
    parser.add_argument("--arch", choices=sorted(ARCHS), default=defaults.arch)
    parser.add_argument("--arithmetic", choices=get_args(Arithmetic), default=defaults.arithmetic)
    parser.add_argument("--steps", type=int, default=defaults.steps)
    parser.add_argument("--batch", type=int, default=defaults.batch)
    parser.add_argument("--learning-rate", type=float, default=defaults.learning_rate, help="its highest value")
    parser.add_argument("--scenes", type=int, default=3000, help="generated runs to train on")
    parser.add_argument("--validation-scenes", type=int, default=240, help="runs that set temperature and thresholds")
    parser.add_argument(
        "--negative-scenes", type=int, default=500, help="as many more, of which those without coronaries"
    )
    parser.add_argument("--test-scenes", type=int, default=60, help="whole runs to measure on")
    parser.add_argument("--frames-per-scene", type=int, default=8)
    parser.add_argument("--outsiders", type=int, default=3000, help="pictures that are no angiograms, to train on")
    parser.add_argument("--threads", type=int, default=2, help="of PyTorch")
    parser.add_argument("--workers", type=int, default=2, help="rendering processes")
    return parser


if __name__ == "__main__":
    sys.exit(main())
