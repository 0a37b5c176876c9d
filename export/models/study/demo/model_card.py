"""MODEL_CARD.md of the demonstration study reader, from what was recorded of its training and measured after.

`python -m cathrt.export.models.study.demo.model_card --training FILE --accuracy FILE > MODEL_CARD.md`. Not for: any
other model; what this one is and is not is said here in words.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cathrt.export.bundle.given_files import given_object
from cathrt.export.models.study.worth import BENCH
from cathrt.runtime.alert import NOTICE
from cathrt.runtime.errors import CathrtError, ConfigError
from cathrt.runtime.outside.input_file import read_input_file

_ASKED = (
    ("auroc_significant_stenosis", "significant stenosis, mean of the segments"),
    ("auroc_chronic_total_occlusion", "chronic total occlusion, mean of the segments"),
    ("auroc_calcification", "calcification, mean of the segments"),
    ("auroc_dominance", "left dominance"),
    ("auroc_mean", "all of these questions"),
)


def model_card(training: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    """The card as Markdown. training: training.json. rows: what the benchmark printed, the headline last.

    Raises KeyError and IndexError for rows of something else.
    """
    last = rows[-1]
    clip, patients = training["clip"], training["patients"]
    return f"""# Model card: the demonstration study reader

> {NOTICE}

A demonstration. These weights exist so that the way from the runs of a study to findings by segment can be run and \
tested with something real in it. They were trained on generated patients only. They are not fit to read an \
angiogram, nor meant to.

## What it is
The published form of DeepCORO-CLIP cut down, {training["parameters"]:,} parameters: an MViTv2 of four blocks for \
clips of {clip["frames"]} frames of {clip["height"]} x {clip["width"]}, and the published head over the clips of a \
study. It answers for six coronary segments (percent stenosis, significant stenosis, chronic total occlusion, \
calcification) and says which artery is dominant. Thrombus is not asked.

## How it was made
`python -m {training["made_by"]}`, on one CPU core, seeds fixed:
- {patients["training"]} generated patients, {training["clips"]:,} runs from the usual views; thresholds from \
{patients["thresholds"]} others. No real image took part. Lesions are far commoner in them than in people.
{_stages(training)}

## What was measured
{last["studies"]} generated patients never seen before, on the engine {last["engine"]}: `python -m benchmarks.{BENCH} \
--json`. An answer without looking has an AUROC of 0.5.

{_asked(last)}

{_views(last)}

Percent stenosis: mean error {last["headline"]["stenosis_mae_percent"]:.1f}, of the best constants \
{last["headline"]["stenosis_mae_constant"]:.1f}.

{_questions(rows)}

## Limits
- {_no_better(last)}
- The phantom is a simplification; figures on it say what the training reached, not what the model would do with people.
- It sees four frames of a run, at {clip["height"]} x {clip["width"]}: small lesions are a pixel wide.
"""


def _stages(training: Mapping[str, Any]) -> str:
    words = {
        "whole": "Encoder and head: answers of studies, and maps of where segments and lesions are, with heads that "
        "are left behind",
        "head": "Head alone, on features of all runs",
    }
    return "\n".join(
        f"- {words[one['stage']]}; {one['steps']:,} steps of {one['batch']} studies." for one in training["stages"]
    )


def _asked(last: Mapping[str, Any]) -> str:
    headline, intervals = last["headline"], last["intervals_95"]
    rows = [
        f"| {words} | {headline[key]:.3f} | {intervals[key][0]:.3f} to {intervals[key][1]:.3f} |"
        for key, words in _ASKED
        if key in headline
    ]
    return "\n".join(["| asked | AUROC | 95 % |", "|---|---|---|", *rows])


def _views(last: Mapping[str, Any]) -> str:
    gain, (low, high) = last["headline"]["gain_over_best_view"], last["intervals_95"]["gain_over_best_view"]
    says = "are ahead of" if last["beats_one_view"] else "are NOT ahead of"
    return (
        f"All runs of a study {says} the best single view by the margin that was asked for: {gain:+.3f} (95 %: "
        f"{low:+.3f} to {high:+.3f}), asked for {last['margin']:g}."
    )


def _questions(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = ["| question | patients with it | AUROC or mean error | 95 % | without looking |", "|---|---|---|---|---|"]
    for row in rows[:-1]:
        if "auroc" in row:
            low, high = row["interval_95"]
            lines.append(
                f"| `{row['case']}` | {row['positive']} | {row['auroc']:.3f} | {low:.3f} to {high:.3f} | 0.5 |"
            )
        else:
            lines.append(f"| `{row['case']}` | | {row['mae']:.1f} % | | {row['constant_mae']:.1f} % |")
    return "\n".join(lines)


def _no_better(last: Mapping[str, Any]) -> str:
    names = ", ".join(f"`{name}`" for name in last["no_better"])
    return f"No better than an answer without looking: {names}." if names else "Each question beats not looking."


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0, or those of cathrt.runtime.errors."""
    parser = argparse.ArgumentParser(prog="model_card", description=__doc__)
    parser.add_argument("--training", type=Path, required=True)
    parser.add_argument("--accuracy", type=Path, required=True, help=f"output of benchmarks.{BENCH} --json")
    options = parser.parse_args(arguments)
    try:
        sys.stdout.write(model_card(given_object("--training", options.training), _rows(options.accuracy)))
    except CathrtError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return exc.exit_code
    return 0


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in read_input_file(path).decode("utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as exc:
        raise ConfigError(f"--accuracy {path}: cannot be read ({exc}): give what benchmarks.{BENCH} printed") from exc


if __name__ == "__main__":
    sys.exit(main())
