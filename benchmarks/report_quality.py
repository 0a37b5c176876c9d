"""How right the drafts of a report bundle are, on phantom studies that nothing was trained on, beside simple answers.

`python -m benchmarks.report_quality [--bundle DIR] [--runs N] --json`. Each study goes through the line, the report
engine and its check, as a received one does. docs/status.md defines every figure. Not for: speed (report.py), or
people's own reports (`cathrt evaluate report`).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks import measure
from benchmarks.judged_runs import LineRecipe
from benchmarks.report_counts import MARGIN, beats_simple_answers, commonest_of, figures_of
from benchmarks.report_studies import (
    MATRIX,
    QUICK_MATRIX,
    DraftedStudy,
    Listening,
    cases_of,
    drafted,
    facts_to_learn,
)
from cathrt.export.models.report.evaluate.fact_scores import KINDS
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.bundle.shipped import demonstration_bundle, shipped_keys
from cathrt.runtime.config import EngineConfig
from cathrt.runtime.models import open_bundle
from cathrt.runtime.models.report.model import open_report_model
from cathrt.runtime.models.report.writer import ReportWriter

BENCH = "report_quality"
STUDIES, LEARNT, QUICK = 200, 200, 4
ENGINES = ("cathrt", "openvino", "onnxruntime")
PACKAGES = ("openvino", "onnxruntime", "numpy")


def studies_of(bundle: Bundle, engine: EngineConfig, count: int, matrix: int) -> Iterator[DraftedStudy]:
    """The draft of each study, reported on stderr as they come."""
    with ExitStack() as stack:
        line = stack.enter_context(LineRecipe(demonstration_bundle(), shipped_keys(), "openvino").opened())
        model = stack.enter_context(open_report_model(bundle, engine, engine.name))
        heard = Listening(model, model.embed_picture)
        writer = ReportWriter(bundle, engine, None, lambda told: heard)
        for number, case in enumerate(cases_of(count), start=1):
            yield drafted(case, matrix, line, writer, heard)
            print(f"studies: {number}/{count}", file=sys.stderr, flush=True)


def rows(bundle: Bundle, engine: EngineConfig, count: int, learnt: int, matrix: int) -> list[dict[str, Any]]:
    """All rows, the headline last."""
    commonest = commonest_of(list(facts_to_learn(learnt, matrix)))
    with measure.Heartbeat() as heartbeat:
        studies = list(studies_of(bundle, engine, count, matrix))
        heartbeat.finish()
    found = figures_of(studies, commonest)
    last = measure.headline(BENCH, found.headline, heartbeat, PACKAGES)
    last["intervals_95"] = {key: [round(end, 4) for end in ends] for key, ends in found.intervals.items()}
    manifest = bundle.manifest
    about = {"bundle": manifest.name, "manifest_sha256": bundle.manifest_sha256, "engine": engine.name}
    if chain := manifest.provenance.get("chain"):
        about["weights_sha256"] = chain["weights"]  # by which `cathrt export report --worth` knows its own model
    last |= about | {"studies": count, "margin": MARGIN, "beats_simple_answers": beats_simple_answers(found)}
    return [*({"bench": BENCH, **row} for row in found.rows), last]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True, help="folder of a signed report bundle")
    parser.add_argument("--trust", action="append", default=[], help="public key that signed it, 64 hex digits")
    parser.add_argument(
        "--engine", choices=("cathrt", "openvino", "onnxruntime"), default="openvino", help="that writes"
    )
    parser.add_argument("--runs", type=int, help=f"studies to draft ({STUDIES}; with --quick {QUICK})")
    parser.add_argument("--learnt", type=int, help=f"other studies that the commonest answer is of ({LEARNT})")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--quick", action="store_true", help="few small studies: no figure to quote")
    options = parser.parse_args()
    count = options.runs or (QUICK if options.quick else STUDIES)
    learnt = options.learnt or (QUICK if options.quick else LEARNT)
    engine = EngineConfig(options.engine)
    with open_bundle(options.bundle, (*shipped_keys(), *options.trust)) as bundle:
        found = rows(bundle, engine, count, learnt, QUICK_MATRIX if options.quick else MATRIX)
    for row in found:
        print(json.dumps(row) if options.json else _words(row), flush=True)


def _words(row: dict[str, Any]) -> str:
    if "headline" in row:
        ends = row["intervals_95"]
        return "\n".join(
            f"{key}: {value}" + (" ({} to {})".format(*ends[key]) if key in ends else "")
            for key, value in row["headline"].items()
        )
    if "reason" in row:
        return f"withheld {row['n']} times: {row['reason']}"
    shares = "  ".join(
        f"{kind} {row[kind]['right']} of {row[kind]['stated']}, {row[kind]['true']} true" for kind in KINDS
    )
    return f"{row['case']:<20} {row['impl']:<10} {shares}"


if __name__ == "__main__":
    main()
