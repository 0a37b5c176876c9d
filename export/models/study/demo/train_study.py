"""Train the demonstration study reader and write it as a probing checkpoint under the published names.

`python -m cathrt.export.models.study.demo.train_study --work DIR`. Stages, each of which goes on where it stopped:
studies of generated patients, encoder and head together, the head alone on all runs, thresholds. Then
`cathrt export study` makes the bundle. Not for: clinical weights.
"""

# mypy: allow-untyped-decorators
# (mypy skips torch, so what comes from it is Any here)
from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from cathrt.export.checkpoint.training_loop import Loss, Plan, Progress, Training
from cathrt.export.models.study.demo.losses import Studies, features_of, head_loss, studies_of, whole_loss
from cathrt.export.models.study.demo.network import StudyNetwork, pixels_of, published_tensors
from cathrt.export.models.study.demo.plan import (
    HEAD,
    TEST_START,
    THRESHOLD_START,
    THRESHOLD_STUDIES,
    TRAINING_START,
    TRAINING_STUDIES,
    WHOLE,
)
from cathrt.export.models.study.demo.questions import demonstration_questions
from cathrt.export.models.study.demo.studies import CLIP, MATRIX, DrawnStudy, load_studies
from cathrt.export.models.study.demo.thresholds import chosen_thresholds, settings_text
from cathrt.runtime.errors import CathrtError
from cathrt.runtime.phantom.scene import PHANTOM_VERSION

STOPPED = 75  # exit code: the work is kept, call again
CHECKPOINT, SETTINGS = "study.safetensors", "settings.toml"
_SAVE_EVERY_S = 60.0
_REPORT_EVERY = 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 75 stopped at --minutes with a checkpoint, else those of cathrt.runtime.errors."""
    options = _parser().parse_args(arguments)
    torch.set_num_threads(options.threads)
    try:
        done = _trained(options)
    except CathrtError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return exc.exit_code
    if not done:
        print("stopped; call again to go on", file=sys.stderr)
    return 0 if done else STOPPED


def _trained(options: argparse.Namespace) -> bool:
    deadline_s = time.monotonic() + 60.0 * options.minutes
    seeds = range(TRAINING_START, TRAINING_START + options.studies)
    drawn = list(load_studies(seeds, options.work / "studies", deadline_s))
    if len(drawn) < len(seeds):
        return False
    studies = studies_of(drawn)
    network = StudyNetwork(seed=0)
    network.begin_at(studies.answers.numpy())
    whole = replace(WHOLE, steps=options.whole_steps)
    training = Training(whole, dict(network.named_parameters()))
    if not _run(training, whole_loss(network, studies, whole.batch), options.work, deadline_s):
        return False
    # A head is of the encoder that it was trained on: one that was trained further gets another.
    head = replace(HEAD, stage=f"{HEAD.stage}-of-{options.whole_steps}", steps=options.head_steps)
    return _train_head(network, studies, head, options, deadline_s)


def _train_head(
    network: StudyNetwork, studies: Studies, plan: Plan, options: argparse.Namespace, deadline_s: float
) -> bool:
    """On features of the encoder as it is, as the published heads were trained."""
    features = features_of(network, studies.clips)
    training = Training(plan, {f"mil_model.{name}": one for name, one in network.mil_model.named_parameters()})
    if not _run(training, head_loss(network, features, studies, plan.batch), options.work, deadline_s):
        return False
    return _write(network, studies, options, deadline_s)


def _write(network: StudyNetwork, studies: Studies, options: argparse.Namespace, deadline_s: float) -> bool:
    """The checkpoint, its thresholds as settings of the export, and how it was made."""
    seeds = range(THRESHOLD_START, THRESHOLD_START + options.threshold_studies)
    others = list(load_studies(seeds, options.work / "studies", deadline_s))
    if len(others) < len(seeds):
        return False
    thresholds = chosen_thresholds(demonstration_questions(), *_answers(network, others))
    save_file(dict(published_tensors(network)), options.work / CHECKPOINT)
    (options.work / SETTINGS).write_text(settings_text(thresholds), encoding="utf-8")
    parts = (network.video_encoder, network.mil_model)
    record = {
        "made_by": "cathrt.export.models.study.demo.train_study",
        "parameters": sum(one.numel() for part in parts for one in part.parameters()),
        "patients": {"training": len(studies), "thresholds": len(others)},
        "clips": len(studies.clips),
        "first_seeds": {"training": TRAINING_START, "thresholds": THRESHOLD_START, "test": TEST_START},
        "phantom_version": PHANTOM_VERSION,
        "matrix": MATRIX,
        "clip": asdict(CLIP),
        "stages": [
            asdict(replace(WHOLE, steps=options.whole_steps)),
            asdict(replace(HEAD, steps=options.head_steps)),
        ],
        "tools": {name: version(name) for name in ("torch", "numpy")},
    }
    (options.work / "training.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return True


@torch.no_grad()
def _answers(network: StudyNetwork, drawn: Sequence[DrawnStudy]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Probabilities of all questions of one column, and the truth, (studies, those questions and others)."""
    questions = demonstration_questions()
    found = np.zeros((len(drawn), len(questions)))
    for number, study in enumerate(drawn):
        features = network.video_encoder(pixels_of(torch.from_numpy(study.clips)))[None]
        there = torch.ones(1, len(study.clips), dtype=torch.bool)
        columns = network.mil_model(features, there)[0].sigmoid().double().numpy()
        found[number] = columns[: len(questions)]
    return found, np.stack([study.answers for study in drawn]).astype(np.float64)


def _run(training: Training, loss_of: Loss, work: Path, deadline_s: float) -> bool:
    """To the end of the stage, which leaves the averaged weights; False at the deadline, with a checkpoint."""
    path = work / f"{training.plan.stage}.safetensors"
    if path.exists():
        training.load(path)
    losses: list[float] = []

    def report(progress: Progress) -> None:
        losses.append(progress.loss)
        if progress.step % _REPORT_EVERY == 0:
            mean = sum(losses) / len(losses)
            print(f"{progress.stage} {progress.step}/{progress.steps}: loss {mean:.3f}", file=sys.stderr, flush=True)
            losses.clear()

    done = False
    while not done and time.monotonic() < deadline_s:
        done = training.run(loss_of, deadline_s=min(deadline_s, time.monotonic() + _SAVE_EVERY_S), report=report)
        training.save(path)
    if done:
        training.take_average()
    return done


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="train_study", description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder of studies, checkpoints and the result")
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop with a checkpoint after so long")
    parser.add_argument("--studies", type=int, default=TRAINING_STUDIES)
    parser.add_argument("--threshold-studies", type=int, default=THRESHOLD_STUDIES)
    parser.add_argument("--whole-steps", type=int, default=WHOLE.steps)
    parser.add_argument("--head-steps", type=int, default=HEAD.steps)
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch")
    return parser


if __name__ == "__main__":
    sys.exit(main())
