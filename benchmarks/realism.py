"""How far phantom frames are from real stills, in numbers and as a picture.

`python -m benchmarks.realism --data DIR`; definitions: docs/phantom.md. The real stills judge only.
Not for: anatomy, motion and contrast over time, which no still shows.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from benchmarks import image_statistics, measure
from benchmarks.image_statistics import StillStatistics
from cathrt.runtime.bundle.manifest import Preprocessing
from cathrt.runtime.errors import CathrtError, SinkError, SourceError
from cathrt.runtime.frame import Run, VoiWindow
from cathrt.runtime.phantom import PhantomSource, sample_scene
from cathrt.runtime.preprocess import Preprocessor

Still = NDArray[np.uint8]

FIRST_SEED = 40_000_000
RUNS, QUICK_RUNS = 60, 12
MATRIX = 512
_FOLDERS = ("arcade_syntax", "arcade_stenosis")
_FEWEST = 10  # two halves of five: with fewer the floor means nothing
_TILE, _SHEET_COLUMNS, _SHEET_ROWS, _GAP = 192, 6, 4, 16


def real_stills(data: Path) -> list[Still]:
    """The real stills below a data folder, each once. Raises SourceError where they are missing."""
    paths = [path for folder in _FOLDERS for path in sorted((data / folder / "images").glob("*.png"))]
    stills = {}
    for path in paths:
        try:
            with Image.open(path) as image:
                still = np.asarray(image.convert("L"))
        except OSError as exc:
            raise SourceError(f"{path}: not a readable PNG ({exc}): fetch the data again") from exc
        if min(still.shape) < image_statistics.SMALLEST:
            raise SourceError(
                f"{path}: {still.shape[1]} x {still.shape[0]} pixels: expected {image_statistics.SMALLEST} or more "
                "each way: use the stills at their full size"
            )
        stills[still.tobytes()] = still
    if len(stills) < _FEWEST:
        raise SourceError(
            f"{data}: {len(stills)} real stills found: expected {_FEWEST} or more as "
            f"{' and '.join(f'{folder}/images/*.png' for folder in _FOLDERS)}: give --data the folder that holds them"
        )
    return list(stills.values())


def phantom_stills(runs: int) -> Iterator[Still]:
    """The fullest frame of each of `runs` coronary runs of fixed seeds, as a display shows it."""
    for seed in range(FIRST_SEED, FIRST_SEED + runs):
        source = PhantomSource(sample_scene(seed, kind="coronary", matrix=MATRIX))
        fullest = max(range(len(source.labels)), key=lambda index: source.labels[index].contrast)
        yield as_displayed(source.render(fullest), source.run)


def as_displayed(pixels: NDArray[Any], run: Run) -> Still:
    """Stored values through the run's VOI window, or their whole range where it has none, to 8 bits; shutter black.

    The runtime's own preprocessing does it, at the frame's own size and before any window of the manifest's.
    """
    full = float((1 << run.grayscale.bits_stored) - 1)
    voi = run.grayscale.voi or VoiWindow(full / 2, full, "LINEAR_EXACT")
    display = Preprocessing(
        input="display", height=run.rows, width=run.columns, layout="NCHW", mean=(0.0,) * 3, std=(1.0,) * 3,
        window="voi_else_percentile", percentiles=(0.0, 100.0), masked_value=0.0,
    )  # fmt: skip
    out = np.empty((1, 3, run.rows, run.columns), dtype=np.float32)
    Preprocessor(dataclasses.replace(run, grayscale=dataclasses.replace(run.grayscale, voi=voi)), display)(pixels, out)
    return np.rint(out[0, 0] * 255.0).astype(np.uint8)


def rows(real: Sequence[StillStatistics], phantom: Sequence[StillStatistics]) -> Iterator[dict[str, Any]]:
    """One row per figure and set, one per distance, and the headline."""
    with measure.Heartbeat() as heartbeat:
        for name in real[0].figures:
            values = {"real": image_statistics.column(real, name), "phantom": image_statistics.column(phantom, name)}
            for impl, column in values.items():
                low, middle, high = (round(float(v), 4) for v in np.percentile(column, [10, 50, 90]))
                yield {
                    "bench": "realism", "case": name, "impl": impl, "n": len(column),
                    "p10": low, "median": middle, "p90": high,
                    "phantom_higher": round(image_statistics.share_higher(values["real"], values["phantom"]), 4),
                }  # fmt: skip
        figures: dict[str, float] = {}
        for name, distance in image_statistics.DISTANCES.items():
            value, floor = distance(real, phantom), image_statistics.floor(real, distance)
            figures |= {name: value, f"{name}_vs_floor": value / max(floor, 1e-9)}
            yield {
                "bench": "realism", "case": name, "impl": "phantom", "n": len(phantom),
                "distance": round(value, 4), "floor": round(floor, 4),
            }  # fmt: skip
        figures["told_apart"] = image_statistics.told_apart(real, phantom)
        figures["told_apart_floor"] = image_statistics.floor(real, image_statistics.told_apart)
    yield measure.headline("realism", figures, heartbeat, ["numpy", "scipy", "pillow"])


def table(entries: Sequence[Mapping[str, Any]]) -> str:
    """The rows for a person: each figure of the real stills beside the phantom's, then the distances."""
    figures = [entry for entry in entries if "median" in entry]
    heads = [f"{entry['impl']}, {entry['n']}" for entry in figures[:2]]
    lines = [
        "middle three quarters, grey levels of 8 bits; median [10 % - 90 %] over the stills",
        f"{'':<28}{heads[0]:>30}{heads[1]:>30}   higher  spread",
    ]
    for real, phantom in zip(figures[::2], figures[1::2], strict=True):
        width, other = (entry["p90"] - entry["p10"] for entry in (real, phantom))
        spread = f"x{other / width:5.2f}" if width > 0.0 else "     -"
        higher = f"{100.0 * real['phantom_higher']:6.0f} %"
        ends = f"{spread}  {_mark(real['phantom_higher'])}".rstrip()
        lines.append(f"{real['case']:<28}{_span(real)}{_span(phantom)} {higher}  {ends}")
    lines += [
        "higher: of all pairs, how many have the phantom above the real one; 50 % is right, << >> mark 10 and 90 %,",
        "< > 30 and 70 %. spread: the phantom's 10-90 % range over the real one's.",
        "",
        f"{'':<32}{'distance':>10}{'floor':>10}{'times':>8}   floor: two halves of the real stills",
    ]
    headline = entries[-1]["headline"]
    for entry in entries:
        if "distance" in entry:
            ratio = headline[f"{entry['case']}_vs_floor"]
            lines.append(f"{entry['case']:<32}{entry['distance']:>10.4f}{entry['floor']:>10.4f}{ratio:>8.1f}")
    lines.append(f"{'told_apart':<32}{headline['told_apart']:>10.4f}{headline['told_apart_floor']:>10.4f}")
    return "\n".join(lines)


def _span(entry: Mapping[str, Any]) -> str:
    return f"{entry['median']:>10.2f} [{entry['p10']:7.2f} -{entry['p90']:7.2f}]"


def _mark(share: float) -> str:
    for limit, sign in ((0.9, ">>"), (0.7, ">")):
        if share >= limit:
            return sign
        if share <= 1.0 - limit:
            return sign.replace(">", "<")
    return ""


def write_sheet(path: Path, real: Sequence[Still], phantom: Sequence[Still]) -> None:
    """Real and phantom tiles in an order drawn with a fixed seed, numbered; the last line says which are real.

    Grey values are shown as they are. Raises SinkError where the file cannot be written.
    """
    rng = np.random.default_rng(0)
    half = min(_SHEET_COLUMNS * _SHEET_ROWS // 2, len(real), len(phantom))
    drawn = [(still, kind) for kind, stills in enumerate((phantom, real)) for still in _drawn(stills, half, rng)]
    tiles = [drawn[index] for index in rng.permutation(len(drawn))]
    font = ImageFont.load_default(11)
    count = -(-len(tiles) // _SHEET_COLUMNS)
    sheet = Image.new("L", (_SHEET_COLUMNS * _TILE, count * (_TILE + _GAP) + _GAP), color=16)
    draw = ImageDraw.Draw(sheet)
    for number, (still, _) in enumerate(tiles):
        left, top = number % _SHEET_COLUMNS * _TILE, number // _SHEET_COLUMNS * (_TILE + _GAP)
        sheet.paste(Image.fromarray(still).resize((_TILE, _TILE), Image.Resampling.BOX), (left, top + _GAP))
        draw.text((left + 4, top + 1), str(number + 1), fill=200, font=font)
    key = ", ".join(str(number + 1) for number, (_, kind) in enumerate(tiles) if kind == 1)
    draw.text((4, sheet.height - _GAP + 1), f"real: {key}; all others are generated", fill=200, font=font)
    try:
        sheet.save(path, optimize=True)
    except (OSError, ValueError) as exc:
        raise SinkError(f"{path}: cannot be written ({exc}): name a .png in a folder that exists") from exc


def _drawn(stills: Sequence[Still], count: int, rng: np.random.Generator) -> list[Still]:
    return [stills[index] for index in rng.choice(len(stills), count, replace=False)]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns its exit code."""
    parser = argparse.ArgumentParser(prog="benchmarks.realism", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of real angiograms, with arcade_syntax in it")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--sheet", type=Path, metavar="FILE.png", help="also write real and phantom tiles, mixed")
    parser.add_argument("--runs", type=int, default=RUNS, help=f"phantom runs, {_FEWEST} or more (default {RUNS})")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_RUNS} phantom runs: no figure to quote")
    options = parser.parse_args(arguments)
    if options.runs < _FEWEST:
        parser.error(f"--runs {options.runs}: expected {_FEWEST} or more")
    try:
        real = real_stills(options.data)
        phantom = list(phantom_stills(QUICK_RUNS if options.quick else options.runs))
        if options.sheet is not None:
            write_sheet(options.sheet, real, phantom)
    except CathrtError as exc:
        print(f"benchmarks.realism: {exc}", file=sys.stderr)
        return exc.exit_code
    measured = [[image_statistics.measure_still(still) for still in stills] for stills in (real, phantom)]
    entries = list(rows(*measured))
    print("\n".join(map(json.dumps, entries)) if options.json else table(entries))
    return 0


if __name__ == "__main__":
    sys.exit(main())
