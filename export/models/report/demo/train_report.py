"""Train the demonstration report model and write it as Hugging Face folders: base/, adapter/ and tokenizer.json.

`python -m cathrt.export.models.report.demo.train_report --work DIR`. Stages, each of which goes on where it stopped:
pictures of phantom scenes, the tokenizer, the vision network on maps, the decoder on words, both together on pictures
and words, a LoRA adapter on studies, and what all this is worth on scenes never seen. Then `cathrt export report` makes
the bundle. Not for: clinical weights.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import Gemma3ForConditionalGeneration

from cathrt.export.checkpoint.training_loop import Loss, Plan, Progress, Training
from cathrt.export.models.report.demo.evidence import evidence_of
from cathrt.export.models.report.demo.folders import Work, new_of, read_folder, save_folder, written_whole
from cathrt.export.models.report.demo.language_stage import (
    Library,
    joint_loss,
    language_loss,
    library_of,
    merged,
    with_adapter,
)
from cathrt.export.models.report.demo.model_card import model_card
from cathrt.export.models.report.demo.network import look_at_differences
from cathrt.export.models.report.demo.pictures import MATRIX, load_pictures
from cathrt.export.models.report.demo.record import record_of
from cathrt.export.models.report.demo.section import demonstration_section
from cathrt.export.models.report.demo.stages import (
    ADAPTER,
    ADAPTER_MIXTURE,
    ADAPTER_RANK,
    BASE,
    BASE_MIXTURE,
    TEST_START,
    TEXT,
    TEXT_MIXTURE,
    TRAINING_START,
    VISION,
)
from cathrt.export.models.report.demo.tasks import tokenizer_texts
from cathrt.export.models.report.demo.tokenizer import train_tokenizer
from cathrt.export.models.report.demo.vision_stage import Heads, new_heads, vision_loss
from cathrt.runtime.errors import CathrtError, ConfigError

STAGES = ("pictures", "tokenizer", "vision", "text", "base", "adapter", "evaluation")
STOPPED = 75  # exit code: the work is kept, call again
CHECKPOINT_EVERY = 100
_LOOKED_AT = 400  # pictures


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 75 stopped at --minutes with a checkpoint, else those of cathrt.runtime.errors."""
    options = _parser().parse_args(arguments)
    torch.set_num_threads(options.threads)
    try:
        for stage in STAGES:
            if stage in options.stages and not _RUN[stage](options):
                print(f"{stage}: stopped; call again to go on", file=sys.stderr)
                return STOPPED
    except CathrtError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return exc.exit_code
    return 0


def _render(options: argparse.Namespace) -> bool:
    work, deadline_s = Work(options.work), _deadline(options)
    for start, count in ((TEST_START, options.test_scenes), (TRAINING_START, options.scenes)):
        for number, _ in enumerate(load_pictures(range(start, start + count), work.pictures, options.matrix), 1):
            if number % 100 == 0:
                print(f"pictures from {start}: {number}/{count}", file=sys.stderr, flush=True)
            if time.monotonic() > deadline_s:
                return False
    return True


def _learn_tokens(options: argparse.Namespace) -> bool:
    work = Work(options.work)
    section = demonstration_section(train_tokenizer([]))  # for its prompts
    tokenizer = train_tokenizer(tokenizer_texts(section, seed=0, count=options.tokenizer_texts))
    partial = work.tokenizer.with_suffix(".partial")
    tokenizer.save(str(partial))
    partial.replace(work.tokenizer)
    return True


def _train_vision(options: argparse.Namespace) -> bool:
    work, plan = Work(options.work), replace(VISION, steps=options.vision_steps)
    network, library = new_of(work), _library(work, options)
    look_at_differences(network, library.scenes.images[:_LOOKED_AT].numpy())
    heads = new_heads(network, plan.seed)
    training = _vision_training(plan, network, heads)
    loss_of = vision_loss(network, heads, library.scenes, plan.batch, _dtype(options))
    return _run(training, loss_of, work.checkpoint("vision"), options)


def _train_text(options: argparse.Namespace) -> bool:
    work, plan = Work(options.work), replace(TEXT, steps=options.text_steps)
    network = new_of(work)
    library = library_of((), Tokenizer.from_file(str(work.tokenizer)))
    loss_of = language_loss(network, library, plan.batch, TEXT_MIXTURE, _dtype(options))
    return _run(_text_training(plan, network), loss_of, work.checkpoint("text"), options)


def _train_base(options: argparse.Namespace) -> bool:
    work, plan = Work(options.work), replace(BASE, steps=options.base_steps)
    network, library = new_of(work), _library(work, options)
    heads = new_heads(network, VISION.seed)
    for training in (_vision_training(VISION, network, heads), _text_training(TEXT, network)):
        training.load(work.checkpoint(training.plan.stage))
        training.take_average()
    named = dict(network.named_parameters()) | {f"heads.{name}": one for name, one in heads.named_parameters()}
    training = Training(plan, named)
    loss_of = joint_loss(network, heads, library, plan.batch, BASE_MIXTURE, _dtype(options))
    finished = _run(training, loss_of, work.checkpoint("base"), options)
    training.take_average()
    save_folder(network, library.tokenizer, work.base)
    return finished


def _train_adapter(options: argparse.Namespace) -> bool:
    work, plan = Work(options.work), replace(ADAPTER, steps=options.adapter_steps)
    library = _library(work, options)
    adapted = with_adapter(read_folder(work.base), ADAPTER_RANK, plan.seed)
    training = Training(plan, {name: one for name, one in adapted.named_parameters() if one.requires_grad})
    loss_of = language_loss(adapted, library, plan.batch, ADAPTER_MIXTURE, _dtype(options))
    finished = _run(training, loss_of, work.checkpoint("adapter"), options)
    training.take_average()
    with written_whole(work.adapter) as partial:
        adapted.save_pretrained(partial)
    return finished


def _evaluate(options: argparse.Namespace) -> bool:
    work = Work(options.work)
    tokenizer = Tokenizer.from_file(str(work.tokenizer))
    section = demonstration_section(tokenizer)
    test, training = (
        list(load_pictures(range(start, start + count), work.pictures, options.matrix))
        for start, count in ((TEST_START, options.test_scenes), (TRAINING_START, options.scenes))
    )
    facts = [picture.facts for picture in training]
    evidence: dict[str, Any] = {}
    for name in ("base", "adapter"):
        network = read_folder(work.base)
        if name == "adapter":
            network = merged(network, work.adapter)
        evidence[name] = evidence_of(network, tokenizer, section, test, facts, options.test_texts)
    scenes = {"training": options.scenes, "test": options.test_scenes}
    record = record_of(work, scenes, matrix=options.matrix, arithmetic=options.arithmetic)
    (work.folder / "training.json").write_text(json.dumps(record, indent=2))
    (work.folder / "evidence.json").write_text(json.dumps(evidence, indent=2))
    (work.folder / "MODEL_CARD.md").write_text(model_card(record, evidence))
    print(json.dumps(evidence, indent=2))
    return True


_RUN = {
    "pictures": _render,
    "tokenizer": _learn_tokens,
    "vision": _train_vision,
    "text": _train_text,
    "base": _train_base,
    "adapter": _train_adapter,
    "evaluation": _evaluate,
}


def _library(work: Work, options: argparse.Namespace) -> Library:
    seeds = range(TRAINING_START, TRAINING_START + options.scenes)
    pictures = list(load_pictures(seeds, work.pictures, options.matrix))
    if len({picture.side for picture in pictures}) < 2:
        raise ConfigError(f"--scenes {options.scenes}: all of one side, expected pictures of both: give more scenes")
    return library_of(pictures, Tokenizer.from_file(str(work.tokenizer)))


def _vision_training(plan: Plan, network: Gemma3ForConditionalGeneration, heads: Heads) -> Training:
    tower, norm = network.model.vision_tower, network.model.multi_modal_projector.mm_soft_emb_norm
    named = {f"tower.{name}": one for name, one in tower.named_parameters()}
    named |= {f"norm.{name}": one for name, one in norm.named_parameters()}
    named |= {f"heads.{name}": one for name, one in heads.named_parameters()}
    return Training(plan, named)


def _text_training(plan: Plan, network: Gemma3ForConditionalGeneration) -> Training:
    return Training(plan, dict(network.model.language_model.named_parameters()))


def _run(training: Training, loss_of: Loss, checkpoint: Path, options: argparse.Namespace) -> bool:
    """Steps until the plan is done or the clock is past the deadline; a checkpoint either way."""
    if checkpoint.exists():
        training.load(checkpoint)
    recent: deque[float] = deque(maxlen=100)
    paces: deque[float] = deque(maxlen=100)

    def report(progress: Progress) -> None:
        recent.append(progress.loss)
        paces.append(progress.step_s)
        if progress.step % CHECKPOINT_EVERY == 0:
            training.save(checkpoint)
        if progress.step % 50 == 0 or progress.step == progress.steps:
            loss, pace = sum(recent) / len(recent), sum(paces) / len(paces)
            print(
                f"{progress.stage} {progress.step}/{progress.steps}  loss {loss:.4f}  {pace:.3f} s a step",
                file=sys.stderr,
                flush=True,
            )

    finished = training.run(loss_of, deadline_s=_deadline(options), report=report)
    training.save(checkpoint)
    return finished


def _deadline(options: argparse.Namespace) -> float:
    return time.monotonic() + 60.0 * float(options.minutes)


def _dtype(options: argparse.Namespace) -> torch.dtype:
    return torch.bfloat16 if options.arithmetic == "bfloat16" else torch.float32


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m cathrt.export.models.report.demo.train_report",
        description="Train the demonstration report model on generated angiograms and write its folders.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--work", type=Path, required=True, help="folder for pictures, checkpoints and the model")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument(
        "--minutes", type=float, default=math.inf, help="stop each stage with a checkpoint after so long"
    )
    parser.add_argument("--scenes", type=int, default=1590, help="generated runs to train on")
    parser.add_argument("--test-scenes", type=int, default=400, help="generated runs to measure on")
    parser.add_argument("--test-texts", type=int, default=100, help="sets of facts whose prose is measured")
    parser.add_argument("--matrix", type=int, default=MATRIX, help="rows and columns of the generated runs")
    parser.add_argument("--tokenizer-texts", type=int, default=6000)
    parser.add_argument("--vision-steps", type=int, default=VISION.steps)
    parser.add_argument("--text-steps", type=int, default=TEXT.steps)
    parser.add_argument("--base-steps", type=int, default=BASE.steps)
    parser.add_argument("--adapter-steps", type=int, default=ADAPTER.steps)
    parser.add_argument("--arithmetic", choices=("float32", "bfloat16"), default="bfloat16")
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch")
    return parser


if __name__ == "__main__":
    sys.exit(main())
