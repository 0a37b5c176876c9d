"""What each idea buys in finding key frames: `python -m benchmarks.keyframe_tries --work DIR --json`.

Ways to rank the frames of a run, on the trainer's own validation runs (it chose nothing by this table but what
docs/status.md says): outputs of one network, two numbers without a network, and averages over time, each beside the
others on the same frames. contrast_sum is the simplest use of what a run showed before: by how much a frame is darker
than its background. readability_without_history is the network's output where each frame is shown as the first of its
run: what readability has above it, the history adds. stillness is the weight of how little the picture moves at a
frame, taken off after the average over time.
DIR is the --work folder of the trainer, with its frames and checkpoint. Not for: the finished bundle (accuracy.py).
N frames of 3 planes: grey, background and recent mean (export/models/keyframe/demo/dataset.py).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import measure
from cathrt.runtime.errors import CathrtError, SourceError

Score = NDArray[np.float64]
Network = Callable[[NDArray[np.uint8]], dict[str, Score]]  # (N, 3, H, W) frames to named scores, (N,) each
SMOOTHING_S = (0.0, 0.1, 0.2, 0.3, 0.5)
STILLNESS = (0.0, 0.1, 0.3)


@dataclass(frozen=True, slots=True)
class RunScores:
    """One run. readability: (N,) truth. motion: (N,) of the picture at each frame. ways: name of each way to score its
    frames, (N,)."""

    rate_hz: float
    readability: NDArray[np.float32]
    motion: Score
    ways: dict[str, Score]


@dataclass(frozen=True, slots=True)
class Try:
    """Of one way over all runs. hit3: share whose best-scored frame lies within 3 frames of a best one; regret: mean
    share of the best readability that it loses; order: mean rank correlation with readability within a run."""

    way: str
    smoothing_s: float
    stillness: float
    runs: int
    hit3: float
    regret: float
    order: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 measured, else those of cathrt.runtime.errors."""
    options = _parser().parse_args(arguments)
    try:
        rows = tried(scored_runs(options.work, options.runs, options.before))
    except CathrtError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return exc.exit_code
    for row in rows:
        told = {"bench": "keyframe_tries", **asdict(row), "commit": measure.commit()}
        print(json.dumps(told) if options.json else "  ".join(f"{key} {value}" for key, value in told.items()))
    return 0


def tried(runs: Sequence[RunScores]) -> list[Try]:
    """Every way at every smoothing, with every weight of stillness."""
    return [_try(runs, way, *tuned) for way in runs[0].ways for tuned in product(SMOOTHING_S, STILLNESS)]


def _try(runs: Sequence[RunScores], way: str, smoothing_s: float, stillness: float) -> Try:
    from cathrt.export.models.keyframe.demo.evaluate import is_hit
    from cathrt.runtime.models.keyframe.ranking import in_spreads

    hits, regrets, orders = [], [], []
    for run in runs:
        scores = smoothed(in_spreads(run.ways[way]), run.rate_hz, smoothing_s) - stillness * in_spreads(run.motion)
        chosen = int(scores.argmax())
        hits.append(is_hit([chosen], run.readability))
        regrets.append(1.0 - float(run.readability[chosen] / run.readability.max()))
        orders.append(_rank_correlation(scores, run.readability))
    return Try(
        way,
        smoothing_s,
        stillness,
        len(runs),
        round(float(np.mean(hits)), 4),
        round(float(np.mean(regrets)), 4),
        round(float(np.mean(orders)), 4),
    )


def smoothed(scores: Score, rate_hz: float, smoothing_s: float) -> Score:
    """(N,) as the runtime smooths scores for its ranking; 0 leaves them as they are."""
    from cathrt.runtime.models.keyframe.ranking import means_around

    return np.array(means_around(scores, np.arange(len(scores)) * 1000.0 / rate_hz, smoothing_s))


def _rank_correlation(scores: Score, truth: NDArray[np.float32]) -> float:
    """Spearman's, ties in order of time."""
    ranks = [np.argsort(np.argsort(values, kind="stable")) for values in (scores, truth)]
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def scored_runs(work: Path, count: int, before: Path | None) -> list[RunScores]:
    """The first `count` coronary validation runs. before: an earlier bundle, for its P(better). Raises SourceError."""
    import torch

    from cathrt.export.models.keyframe.demo import train_keyframe as trainer
    from cathrt.export.models.keyframe.demo.dataset import Rendering, load_scenes, rate_of
    from cathrt.export.models.keyframe.demo.evaluate import NOTHING_TO_READ

    checkpoint = work / "checkpoint.safetensors"
    if not checkpoint.is_file():
        raise SourceError(f"{checkpoint}: no such file: give the --work folder of a training")
    networks = _networks(checkpoint, before)
    first, runs = trainer.VALIDATION_START, []
    seeds = range(first, first + 2 * count)
    with torch.inference_mode():
        for frames in load_scenes(seeds, work / "frames", Rendering(None, trainer.MATRIX), workers=1):
            if frames.readability.max() >= NOTHING_TO_READ and len(runs) < count:
                scores = _scores(frames.images, networks)
                runs.append(RunScores(rate_of(frames), frames.readability, _motion(frames.images[:, 0]), scores))
    return runs


def _scores(images: NDArray[np.uint8], networks: Sequence[Network]) -> dict[str, Score]:
    """Every way to score these frames. networks: that of the training first."""
    from cathrt.runtime.models.keyframe.ranking import in_spreads

    scores = {"vesselness": _vesselness(images[:, 0]), "contrast_sum": _contrast_sum(images)}
    for network in networks:
        scores |= network(images)
    first_of_run = np.broadcast_to(images[:, :1], images.shape)
    scores["readability_without_history"] = networks[0](first_of_run)["readability"]
    readable = in_spreads(scores["readability"])
    beside = {"vesselness": "vesselness", "cells": "vessel_cells", "p_better": "p_better", "contrast": "contrast_sum"}
    return scores | {f"readability_and_{name}": readable + in_spreads(scores[way]) for name, way in beside.items()}


def _networks(checkpoint: Path, before: Path | None) -> list[Network]:
    """That of the checkpoint, and that of an earlier bundle."""
    from safetensors.torch import load_file

    from cathrt.export.models.keyframe.demo.network import start_of

    stored = load_file(checkpoint)
    state = {key.removeprefix("averaged."): value for key, value in stored.items() if key.startswith("averaged.")}
    cells = {name: stored[f"model.cells.{name}"] for name in ("weight", "bias")}
    found = [_network(state, cells)]
    if before is not None:
        earlier = _loaded(start_of(before).state)

        def p_better(images: NDArray[np.uint8]) -> dict[str, Score]:
            return {"p_better_before": _p_better(np.concatenate([earlier(part).numpy() for part in _parts(images)]))}

        found.append(p_better)
    return found


def _network(state: dict[str, Any], cells: dict[str, Any]) -> Network:
    """Scores of one network's outputs, and of the map that only training has."""
    from torch.nn import functional as F

    model = _loaded(state)

    def scores(images: NDArray[np.uint8]) -> dict[str, Score]:
        rows, lit = [], []
        for part in _parts(images):
            features = model.stages[:3](model.stem(part))
            rows.append(model.head(model.stages[3](features)).numpy())
            seen = 1.0 - F.conv2d(features, cells["weight"], cells["bias"]).softmax(dim=1)[:, 0]
            lit.append(seen.sum(dim=(1, 2)).numpy())
        row, cell = np.concatenate(rows), np.concatenate(lit).astype(np.float64)
        return {
            "readability": 1.0 / (1.0 + np.exp(-row[:, 6].astype(np.float64))),
            "p_better": _p_better(row),
            "visible": _visible(row),
            "vessel_cells": cell,
        }

    return scores


def _loaded(state: dict[str, Any]) -> Any:
    """The network of a state in timm's names, to be called."""
    from cathrt.export.models.keyframe.convnext import ARCHS, ConvNext, arch_of

    arch, rows = arch_of(state)
    model = ConvNext(ARCHS[arch], classes=rows).eval()
    model.load_state_dict(state)
    return model


def _parts(images: NDArray[np.uint8]) -> list[Any]:
    """The frames as the network's input, some 16 at a time."""
    from cathrt.export.models.keyframe.demo.network import input_of

    return [input_of(np.ascontiguousarray(part)) for part in np.array_split(images, max(1, len(images) // 16))]


def _vesselness(grey: NDArray[np.uint8]) -> Score:
    """Our own kernel's, of the pictures that the network reads, (N, H, W)."""
    from cathrt.kernels._kernels import Vesselness

    vesselness = Vesselness(grey.shape[1:], 8, None, False)
    return np.array([vesselness(image) for image in grey])


def _motion(grey: NDArray[np.uint8]) -> Score:
    """As the runtime measures it, of the pictures that the network reads, (N, H, W); 0 of a single one."""
    from cathrt.runtime.frame import Grayscale, Run, Timing
    from cathrt.runtime.models.keyframe.motion import Motion, motion_at

    motion = Motion(Run("", "tried", len(grey), *grey.shape[1:], Grayscale(8), Timing(1.0, "default")))
    found = motion_at([motion(image) for image in grey])
    return np.zeros(len(grey)) if found is None else found


def _contrast_sum(images: NDArray[np.uint8]) -> Score:
    """Over the frame, by how much each pixel is darker than its background; in pixels that went from white to black."""
    grey, background = images[:, 0], images[:, 1]
    darkening = np.where(background > grey, background - grey, 0)
    return np.asarray(darkening.sum(axis=(1, 2)) / 255.0)


def _p_better(rows: NDArray[np.float32]) -> Score:
    return _softmax(rows)[:, [0, 3]].sum(axis=1)


def _visible(rows: NDArray[np.float32]) -> Score:
    return _softmax(rows)[:, [0, 1, 3, 4]].sum(axis=1)


def _softmax(rows: NDArray[np.float32]) -> Score:
    from cathrt.export.models.keyframe.demo.evaluate import softmax

    return softmax(rows[:, :6])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.keyframe_tries", description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="the --work folder of the trainer")
    parser.add_argument("--runs", type=int, default=150, help="coronary runs to try on")
    parser.add_argument("--before", type=Path, help="an earlier demonstration bundle, for its P(better)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    return parser


if __name__ == "__main__":
    sys.exit(main())
