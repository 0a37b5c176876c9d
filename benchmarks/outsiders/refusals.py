"""The tables of kinds, their files, and the share of them that the line refuses as outside the domain.

They share no drawer with export/models/keyframe/demo/outsiders, which teaches the refusal, and nothing is chosen by
the held-out ones. Not for: real pictures.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.figures import Figures
from benchmarks.judged_runs import judge
from benchmarks.outsiders import maps, near_views, papers, scans, screens, vessel_trees
from cathrt.runtime.line.pipeline import Line
from cathrt.runtime.models.keyframe.section import section_of
from cathrt.runtime.sources.decoder.sandbox import open_source
from cathrt.runtime.sources.discover import discover
from cathrt.runtime.sources.picture import luma

SIZE = 480  # rows

# Each draws from (seed, rows): uint8 (rows or some more, columns) or (..., 3). Same arguments, same picture.
Draw = Callable[[int, int], NDArray[np.uint8]]

HELD_OUT_KINDS: dict[str, Draw] = {
    "tree_animation": vessel_trees.tree_animation,
    "segmentation": vessel_trees.segmentation,
    "light_subtraction": vessel_trees.light_subtraction,
    "inverted_angiogram": vessel_trees.inverted_angiogram,
    "anatomical_plate": vessel_trees.anatomical_plate,
    "oct_frame": scans.oct_frame,
    "ivus_frame": scans.ivus_frame,
    "echocardiogram": scans.echocardiogram,
    "chest_ct": scans.chest_ct,
    "brain_mr": scans.brain_mr,
    "colour_bars": screens.colour_bars,
    "ecg_paper": screens.ecg_paper,
    "monitor": screens.monitor,
    "dark_report": screens.dark_report,
    "handwritten_form": papers.handwritten_form,
    "musical_score": papers.musical_score,
    "parcel_label": papers.parcel_label,
    "river_delta": maps.river_delta,
    "weather_radar": maps.weather_radar,
    "city_map": maps.city_map,
    "crystal_micrograph": near_views.crystal_micrograph,
    "histology_slide": near_views.histology_slide,
    "bronchoscopy": near_views.bronchoscopy,
    "thermogram": near_views.thermogram,
    "fingerprint": near_views.fingerprint,
    "keyboard": near_views.keyboard,
    "spider_web": near_views.spider_web,
}

# A network that took these for angiograms led to new kinds in training. They are reported, but not in the headline.
SEEN_KINDS: dict[str, Draw] = {
    "eye_ground": scans.eye_ground,
    "landscape": screens.landscape,
}


def write_outsiders(folder: Path, per_kind: int, size: int = SIZE) -> dict[str, list[Path]]:
    """Draw per_kind pictures of each kind as grey PNG files into the folder; returns their paths by kind.

    Coloured ones as their luma: a coloured still is refused before a network sees it.
    """
    written: dict[str, list[Path]] = {}
    for kind, draw in (HELD_OUT_KINDS | SEEN_KINDS).items():
        written[kind] = [folder / f"{kind}-{seed:04d}.png" for seed in range(per_kind)]
        for seed, path in enumerate(written[kind]):
            pixels = draw(seed, size)
            Image.fromarray(pixels if pixels.ndim == 2 else luma(pixels)).save(path)
    return written


def measure_outsiders(line: Line, figures: Figures, per_kind: int) -> None:
    """Takes per_kind pictures of each kind through the line, each a run of its own, and counts those that end outside
    the domain: a row for each kind, and the headline's domain_rejected over the held-out ones.

    Adds nothing, and says so on stderr, where the bundle has no domain output. Raises SourceError where the line cannot
    read its own pictures.
    """
    if per_kind < 1:
        return
    if section_of(line.models[0].bundle.manifest).domain is None:
        print("not measured: domain_rejected: the bundle has no domain output", file=sys.stderr)
        return
    rejected: list[bool] = []
    with tempfile.TemporaryDirectory() as folder:
        for kind, paths in write_outsiders(Path(folder), per_kind).items():
            reasons = [_reason(path, line) for path in paths]
            if kind in HELD_OUT_KINDS:
                rejected += [reason is not None for reason in reasons]
            counts = Counter("none" if reason is None else reason for reason in reasons)
            row = {"bench": "accuracy", "case": "outsiders", "impl": line.models[0].engine.name, "n": len(paths)}
            share = sum(reason is not None for reason in reasons) / len(paths)
            figures.rows.append(
                row
                | {"kind": kind, "held_out": kind in HELD_OUT_KINDS, "rejected": round(share, 4)}
                | {"reasons": dict(sorted(counts.items()))}
            )
    figures.rate("domain_rejected", rejected)


def _reason(path: Path, line: Line) -> str | None:
    """Why the one frame of this file was refused, or None; a frame without a result was not refused either."""
    (still,) = discover([path]).inputs
    (frame,) = judge(open_source(still, line.config.limits), line).frames
    return None if frame.finding is None else frame.finding.outside
