"""Accuracy of the line: `python -m benchmarks.accuracy --data DIR`; definitions: docs/status.md.

Sides of real stills, sides and key frames of real cine runs and of phantom runs that nothing was chosen by, and of
pictures that are no angiograms, all through the very line. Classical baselines choose key frames beside it, from the
same frames. What --data lacks is named on stderr and has no figure. Not for: speed (line.py), or choosing anything.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import measure
from benchmarks.cine_truth import find_cines, public_truth, read_truth
from benchmarks.figures import Figures
from benchmarks.judged_runs import LineRecipe
from benchmarks.keyframe_baselines import require_skimage
from benchmarks.keyframe_sheet import write_sheet
from benchmarks.phantom_measures import measure_phantoms
from benchmarks.phantom_runs import MATRIX, QUICK_MATRIX, cases_to_judge, judge_phantoms
from benchmarks.real_runs import find_stills, measure_cines, measure_stills, require_folder
from benchmarks.reliability import require_matplotlib, write_plot
from cathrt.runtime.bundle.manifest import Manifest
from cathrt.runtime.bundle.shipped import demonstration_bundle, shipped_keys
from cathrt.runtime.config import Config
from cathrt.runtime.errors import CathrtError, ConfigError, SourceError
from cathrt.runtime.frame import MAX_RATE_HZ, MIN_RATE_HZ, is_rate
from cathrt.runtime.line.pipeline import Line
from cathrt.runtime.models.keyframe.section import CLASSIFIER, section_of

PHANTOM_RUNS, QUICK_PHANTOM_RUNS = 400, 12
OUTSIDERS, QUICK_OUTSIDERS = 20, 2  # pictures a kind that are no angiograms
STILLS_FOLDER, CINE_FOLDER = "arcade_syntax", "xa_cine"  # where --data keeps them
CHOSEN_FOLDERS = (STILLS_FOLDER, "arcade_stenosis/images", "danilov_lca_sequence")  # stills chosen for reading

# Adds its figures; returns of each real still or run whether it was taken for no angiogram.
Measurement = Callable[[Line, Figures], list[bool]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 something was measured, else those of cathrt.runtime.errors."""
    options = _parser().parse_args(arguments)
    try:
        if options.plot:
            require_matplotlib()
        real = _real_measurements(options)
        runs = _count_of(options.phantom_runs, QUICK_PHANTOM_RUNS if options.quick else PHANTOM_RUNS)
        require_skimage()
        recipe = LineRecipe(options.bundle or demonstration_bundle(), (*shipped_keys(), *options.trust), options.engine)
        figures = Figures()
        with recipe.opened() as line:
            manifest = line.models[0].bundle.manifest
            _measure_opened(line, real, options, figures)
        matrix = QUICK_MATRIX if options.quick else MATRIX
        judged = list(judge_phantoms(cases_to_judge(runs), matrix, recipe, options.workers))
        if judged:
            measure_phantoms(judged, section_of(manifest).labels, options.engine, figures)
        if not figures.rows:
            raise SourceError("nothing was measured: give --data, --stills or --cine, or --phantom-runs above 0")
        _report([*figures.rows, last_row(figures, manifest, options)], as_json=options.json)
        if options.sheet and not judged:
            print(f"not written: {options.sheet}: only phantoms give a contact sheet", file=sys.stderr)
        elif options.sheet:
            write_sheet(options.sheet, judged, matrix, _model_sha256(manifest, options.engine))
        if options.plot and not figures.reliability:
            print(f"not written: {options.plot}: only stills and phantoms give a reliability plot", file=sys.stderr)
        elif options.plot:
            write_plot(options.plot, figures.reliability, _model_sha256(manifest, options.engine))
    except CathrtError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return exc.exit_code
    return 0


def last_row(figures: Figures, manifest: Manifest, options: argparse.Namespace) -> dict[str, Any]:
    """The headline, what it was measured of, and how often that was looked at."""
    return {
        "bench": "accuracy",
        "headline": {key: round(value, 4) for key, value in figures.headline.items()},
        "intervals_95": {key: [round(end, 4) for end in ends] for key, ends in figures.intervals.items()},
        "machine": measure.machine(("numpy", options.engine, "pydicom")),
        "commit": measure.commit(),
        "config": measure.config(Config()),
        "bundle": manifest.name,
        "model_sha256": _model_sha256(manifest, options.engine),
        "engine": options.engine,
        "looks": options.looks,
    }


def _measure_opened(line: Line, real: Sequence[Measurement], options: argparse.Namespace, figures: Figures) -> None:
    """The real data, and what is no angiogram; of a bundle without a domain output neither rate exists."""
    outside = [taken for measurement in real for taken in measurement(line, figures)]
    per_kind = _count_of(options.outsiders, QUICK_OUTSIDERS if options.quick else OUTSIDERS)
    if section_of(line.models[0].bundle.manifest).domain is None:
        if per_kind or real:
            print("not measured: domain_rejected, real_out_of_domain_rate: no domain output", file=sys.stderr)
        return
    figures.rate("real_out_of_domain_rate", outside)
    if per_kind:
        from benchmarks.outsiders import measure_outsiders

        measure_outsiders(line, figures, per_kind)


def _real_measurements(options: argparse.Namespace) -> list[Measurement]:
    """What of the real data asked for is there to measure. Raises ConfigError or SourceError before any work is done;
    a folder that --data lacks is named on stderr."""
    measurements: list[Measurement] = []
    if options.data is not None:
        require_folder(options.data)
    named, chosen = _folder(options.stills, options.data, STILLS_FOLDER), _chosen_folders(options)
    if named is not None or chosen:
        stills = find_stills(named, chosen)
        measurements.append(lambda line, figures: measure_stills(stills, line, figures))
    if (folder := _folder(options.cine, options.data, CINE_FOLDER)) is not None:
        truths = read_truth(options.truth) if options.truth else public_truth()
        cines, absent = find_cines(folder, truths, options.rate_hz)
        if absent and options.truth:
            raise ConfigError(
                f"{options.truth}: tells of {len(absent)} runs that are not in {folder}, first {absent[0]!r}: check "
                "the name (its path below that folder), or take the entry out"
            )
        for name in absent:
            print(f"not measured: {folder / name}: no such cine run; cine_* figures go without it", file=sys.stderr)
        if cines:
            measurements.append(lambda line, figures: measure_cines(cines, line, figures))
    elif options.truth:
        raise ConfigError(f"{options.truth}: a truth without runs: give --cine or --data, or leave --truth out")
    return measurements


def _folder(given: Path | None, data: Path | None, name: str) -> Path | None:
    """The folder named by its own option, else the one in --data if it is there."""
    if given is not None:
        return require_folder(given)
    if data is None:
        return None
    if not (data / name).is_dir():
        print(f"not measured: {data / name}: no such folder; its figures are left out", file=sys.stderr)
        return None
    return data / name


def _chosen_folders(options: argparse.Namespace) -> list[Path]:
    """The folder named by its own option, else those in --data that are there."""
    if options.chosen_stills is not None:
        return [require_folder(options.chosen_stills)]
    if options.data is None:
        return []
    lacking = [name for name in CHOSEN_FOLDERS if name != STILLS_FOLDER and not (options.data / name).is_dir()]
    for name in lacking:
        print(f"not measured: {options.data / name}: no such folder; recall goes without it", file=sys.stderr)
    return [options.data / name for name in CHOSEN_FOLDERS if (options.data / name).is_dir()]


def _count_of(given: int | None, default: int) -> int:
    return default if given is None else given


def _model_sha256(manifest: Manifest, engine: str) -> str:
    return manifest.files[manifest.network(CLASSIFIER).artifacts[engine].file]


def _report(rows: Sequence[dict[str, Any]], *, as_json: bool) -> None:
    """One JSON object a line, or the same for a person."""
    for row in rows:
        if as_json:
            print(json.dumps(row), flush=True)
        elif "headline" not in row:
            told = {key: value for key, value in row.items() if key not in ("bench", "case", "impl")}
            print(f"{row['case']:18} {row['impl']:12} " + "  ".join(f"{key} {value}" for key, value in told.items()))
        else:
            for key, value in row["headline"].items():
                ends = row["intervals_95"].get(key)
                print(f"{key:32}{value:<10}" + (f"95 %: {ends[0]} to {ends[1]}" if ends else ""))


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number, 0 or more")
    return int(text)


def _rate(text: str) -> float:
    try:
        rate_hz = float(text)
    except ValueError:
        rate_hz = 0.0
    if not is_rate(rate_hz):
        expected = f"{MIN_RATE_HZ:g} to {MAX_RATE_HZ:g} frames a second"
        raise argparse.ArgumentTypeError(f"{text!r}: expected {expected}")
    return rate_hz


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=__doc__)
    parser.add_argument("--data", type=Path, help=f"folder that holds {CINE_FOLDER}/, {', '.join(CHOSEN_FOLDERS)}")
    parser.add_argument("--stills", type=Path, help="folder of stills named lca… and rca…, instead of --data's")
    parser.add_argument(
        "--chosen-stills", type=Path, metavar="DIR", help="stills chosen for reading, any names, instead of --data's"
    )
    parser.add_argument(
        "--cine", type=Path, help="folder of cine runs (DICOM, videos, numbered stills), instead of --data's"
    )
    parser.add_argument("--rate-hz", type=_rate, help="frames a second of cine runs that state none")
    parser.add_argument("--truth", type=Path, help="what is known of these runs; default: of the one public run")
    parser.add_argument("--bundle", type=Path, help="bundle folder; default: the demonstration bundle")
    parser.add_argument(
        "--trust", action="append", default=[], metavar="KEY", help="public key that may have signed it"
    )
    parser.add_argument("--engine", choices=("openvino", "onnxruntime"), default="openvino")
    parser.add_argument(
        "--looks", type=_count, help="how often these weights or their kin were judged on real data, this time too"
    )
    parser.add_argument(
        "--phantom-runs", type=_count, metavar="N", help=f"N coronary and N other runs; default {PHANTOM_RUNS}"
    )
    parser.add_argument(
        "--outsiders", type=_count, metavar="N", help=f"N pictures a kind that are none; default {OUTSIDERS}"
    )
    parser.add_argument("--workers", type=_count, default=2, help="processes that draw and judge phantom runs")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write the reliability plot, a PNG")
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="write wins and losses of key frames, a PNG")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument(
        "--quick", action="store_true", help=f"twice {QUICK_PHANTOM_RUNS} small phantom runs: no figure to quote"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
