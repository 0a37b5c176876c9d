"""How right a study reader is on generated patients that nothing was trained on, beside simple answers and one view.

`python -m benchmarks.study_accuracy [--bundle DIR] [--studies N] --json`. Clips are made by the runtime's assembler and
answered by the bundle's networks in their engine, with all runs of a study and with one at a time. docs/status.md
defines every figure. Not for: speed (study.py), or real angiograms.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import measure
from benchmarks.study_figures import MARGIN, Answered, Floats, beats_one_view, figures_of
from cathrt.export.models.study.demo.plan import TEST_START, TEST_STUDIES, THRESHOLD_START, THRESHOLD_STUDIES
from cathrt.export.models.study.demo.questions import demonstration_questions, true_answers
from cathrt.export.models.study.demo.studies import CLIP, VIEW_NAMES, DrawnStudy, load_studies
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.bundle.shipped import demonstration_studies_bundle, shipped_keys
from cathrt.runtime.config import EngineConfig
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.models import open_bundle
from cathrt.runtime.models.study.answers import StudyAnswer, answers_of
from cathrt.runtime.models.study.contract import CLIPS, FEATURES, LOGITS, THERE, section_of
from cathrt.runtime.models.study.networks import OpenedNetworks, open_networks
from cathrt.runtime.models.study.section import StudySection
from cathrt.runtime.phantom.patient import sample_patient

BENCH = "study_accuracy"
QUICK = 12
PACKAGES = ("openvino", "numpy")
_NEVER = threading.Event()


def answered(bundle: Bundle, engine: EngineConfig, studies: Sequence[DrawnStudy], constants: Floats) -> Answered:
    """Each study with all its runs, and with each of them alone. Raises ConfigError for a bundle of other questions."""
    section = section_of(bundle.manifest)
    asked = [(one.name, one.form) for one in section.questions]
    if asked != [(one.name, one.form) for one in demonstration_questions()] or section.clip != CLIP or section.views:
        raise ConfigError(
            f"bundle {bundle.manifest.name}: asks other questions, or of other clips, than the generated patients "
            "answer: give the demonstration, or one of its training"
        )
    one_view = np.full((len(VIEW_NAMES), len(studies), len(asked)), np.nan)
    all_runs = np.empty((len(studies), len(asked)))
    with closing(open_networks(bundle, engine)) as networks:
        for number, study in enumerate(studies):
            features = [_encoded(networks, section, clip) for clip in study.clips]
            all_runs[number] = _asked(networks, section, features)
            for view, row in zip(study.views, features, strict=True):
                one_view[view, number] = _asked(networks, section, [row])
    truth = np.stack([study.answers for study in studies]).astype(np.float64)
    return Answered(section.questions, VIEW_NAMES, truth, all_runs, one_view, constants)


def best_constants(count: int) -> Floats:
    """(Q,) medians of the true answers of other patients: what is off least on the average without looking."""
    answers = [true_answers(sample_patient(seed)) for seed in range(THRESHOLD_START, THRESHOLD_START + count)]
    return np.median(np.stack(answers), axis=0).astype(np.float64)


def rows(bundle: Bundle, engine: EngineConfig, count: int, folder: Path) -> Iterator[dict[str, Any]]:
    """All rows, the headline last. folder: where drawn studies are, or are kept."""
    with measure.Heartbeat() as heartbeat:
        studies = list(_told(load_studies(range(TEST_START, TEST_START + count), folder), count))
        figures = figures_of(answered(bundle, engine, studies, best_constants(min(count, THRESHOLD_STUDIES))))
        heartbeat.finish()
    yield from ({"bench": BENCH, **row} for row in figures.rows)
    last = measure.headline(BENCH, figures.headline, heartbeat, PACKAGES)
    last["intervals_95"] = {key: [round(end, 4) for end in ends] for key, ends in figures.intervals.items()}
    manifest = bundle.manifest
    yield last | {
        "bundle": manifest.name,
        "manifest_sha256": bundle.manifest_sha256,
        "weights_sha256": manifest.provenance["chain"]["weights"],
        "engine": engine.name,
        "studies": count,
        "margin": MARGIN,
        "beats_one_view": beats_one_view(figures),
        "no_better": figures.no_better,
    }


def _encoded(networks: OpenedNetworks, section: StudySection, grey: NDArray[np.uint8]) -> NDArray[np.float32]:
    clip = ((grey.astype(np.float32) - section.clip.mean) / section.clip.std).astype(np.float32)
    found = networks.encode({CLIPS: np.broadcast_to(clip, (1, 3, *clip.shape)).copy()}, _NEVER)
    assert found is not None, "nobody has stopped it"
    features: NDArray[np.float32] = found[FEATURES][0].copy()
    return features


def _asked(networks: OpenedNetworks, section: StudySection, features: Sequence[NDArray[np.float32]]) -> Floats:
    """(Q,) probabilities and percentages; of dominance the probability of the first category."""
    places: NDArray[np.float32] = np.zeros((1, section.runs, *features[0].shape), np.float32)
    there = np.zeros((1, section.runs), np.bool_)
    places[0, : len(features)], there[0, : len(features)] = np.stack(features), True
    logits = networks.ask({FEATURES: places, THERE: there})[LOGITS]
    return np.array([_score(one) for one in answers_of(section, logits)])


def _score(one: StudyAnswer) -> float:
    """Of two categories, how likely the first one is."""
    return one.value if one.category is None or one.category == one.question.categories[0] else 1.0 - one.value


def _told(studies: Iterator[DrawnStudy], count: int) -> Iterator[DrawnStudy]:
    for number, study in enumerate(studies, 1):
        yield study
        if number % 20 == 0:
            print(f"studies: {number}/{count}", file=sys.stderr, flush=True)


def _words(row: Mapping[str, Any]) -> str:
    if "headline" in row:
        ends = row["intervals_95"]
        lines = [
            f"{key}: {value}" + (f" ({ends[key][0]} to {ends[key][1]})" if key in ends else "")
            for key, value in row["headline"].items()
        ]
        return "\n".join([*lines, f"no better than an answer without looking: {', '.join(row['no_better']) or 'none'}"])
    found = "  ".join(
        f"{key} {row[key]}" for key in ("positive", "auroc", "best_view_auroc", "mae", "constant_mae") if key in row
    )
    return f"{row['case']:<26} {found}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, help="folder of a signed bundle; default: the shipped demonstration")
    parser.add_argument("--trust", action="append", default=[], help="public key that signed it, 64 hex digits")
    parser.add_argument("--engine", choices=("openvino", "onnxruntime"), default="openvino")
    parser.add_argument("--studies", type=int, help=f"patients to ask about ({TEST_STUDIES}; with --quick {QUICK})")
    parser.add_argument(
        "--work", type=Path, help="folder of drawn studies, which are kept there; default: none is kept"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--quick", action="store_true", help="few patients: no figure to quote")
    options = parser.parse_args()
    count = options.studies or (QUICK if options.quick else TEST_STUDIES)
    with ExitStack() as stack:
        folder = options.work or Path(stack.enter_context(TemporaryDirectory(prefix="cathrt-bench-")))
        path = options.bundle or demonstration_studies_bundle()
        bundle = stack.enter_context(open_bundle(path, (*shipped_keys(), *options.trust)))
        for row in rows(bundle, EngineConfig(options.engine), count, folder):
            print(json.dumps(row) if options.json else _words(row), flush=True)


if __name__ == "__main__":
    main()
