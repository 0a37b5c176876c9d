"""`cathrt demo`: judges generated runs at real time, through every step, and writes a page and a contact sheet.

Phantom -> multi-frame XA file -> sandboxed DICOM decoder -> the line -> journal -> terminal. Not for: judging accuracy
(benchmarks do) or load (three short runs).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from numpy.typing import NDArray

from cathrt.runtime.alert import Alert, RunSummary, StoredRecord, Verdict
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import Config
from cathrt.runtime.journal.records import record_from_body
from cathrt.runtime.line.replay import Replayed, opened_journal, opened_line, replay
from cathrt.runtime.models import record_parts
from cathrt.runtime.outside.output_files import output_folder, whole_file
from cathrt.runtime.phantom import PhantomSource, Scene, SceneKind, sample_scene
from cathrt.runtime.phantom.dicom import write_xa
from cathrt.runtime.ports import Opening, Sink
from cathrt.runtime.sinks.contact_sheet import Tile, contact_sheet
from cathrt.runtime.sinks.summary_page import JudgedRun, summary_page
from cathrt.runtime.sources.decoder.sandbox import open_source
from cathrt.runtime.sources.discover import discover

# name, side, kind: one of each side, and one in which there is nothing to find
_RUNS: tuple[tuple[str, Literal["left", "right"] | None, SceneKind], ...] = (
    ("left coronary phantom", "left", "coronary"),
    ("right coronary phantom", "right", "coronary"),
    ("catheter without contrast", None, "no_contrast"),
)
_FRAME_RATE_HZ = 15.0
_LONGEST_S = 5.0


@dataclass(frozen=True, slots=True)
class Demo:
    """What the demo left behind."""

    replayed: Replayed
    page: Path
    sheet: Path


@dataclass(slots=True)
class _Collect:
    """A sink that keeps what was shown, for the page."""

    verdicts: list[Verdict] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)

    def emit(self, stored: StoredRecord) -> None:
        record = record_from_body(stored.body, record_parts())
        if isinstance(record, Verdict):
            self.verdicts.append(record)
        elif isinstance(record, Alert):
            self.alerts.append(record)

    def close(self) -> None: ...


def demo(
    out: Path,
    bundle: Bundle,
    config: Config,
    sinks: tuple[Sink, ...],
    *,
    seed: int,
    rendered: Callable[[int, int], None] = lambda done, total: None,
) -> Demo:
    """Render three phantom runs, replay them at real time and write `out`/summary.html and `out`/key_frames.png.

    rendered(done, total) is called after each frame that the phantom has drawn. Raises SinkError where `out` cannot be
    written, before anything is drawn if that shows by then.
    """
    output_folder(out)
    phantoms = _phantoms(seed)
    seen = _Collect()
    with TemporaryDirectory(prefix="cathrt-demo-") as folder:
        openings = _write(phantoms, Path(folder), config, rendered)
        with (
            opened_line([bundle], config, "realtime") as line,
            opened_journal(None, config, (*sinks, seen)) as journal,
        ):
            replayed = replay(openings, line, journal)
    names = [Path(summary.source).stem for summary in replayed.summaries]  # a run that was refused has no summary
    pages = [
        _judged(summary, seen, phantoms[name], name) for summary, name in zip(replayed.summaries, names, strict=True)
    ]
    engines = "; ".join(dict.fromkeys(result.engine for summary in replayed.summaries for result in summary.results))
    page, sheet = out / "summary.html", out / "key_frames.png"
    subtitle = f"{bundle.manifest.name} at real time on {engines}; generated images, no patient"
    with whole_file(page) as part:
        part.write_text(summary_page("Three phantom runs", subtitle, pages), encoding="utf-8")
    tiles = [tile for name, run in zip(names, pages, strict=True) for tile in _tiles(name, run)]
    with whole_file(sheet) as part:
        contact_sheet(tiles).save(part, "PNG")
    return Demo(replayed, page, sheet)


def _phantoms(seed: int) -> dict[str, PhantomSource]:
    return {name: PhantomSource(_short(seed, side, kind)) for name, side, kind in _RUNS}


def _short(seed: int, side: Literal["left", "right"] | None, kind: SceneKind) -> Scene:
    """The first cine scene from `seed` on at the usual rate that is over soon enough for a demo."""
    scenes = (sample_scene(candidate, side=side, kind=kind) for candidate in count(seed))
    return next(
        scene
        for scene in scenes
        if scene.frame_rate_hz == _FRAME_RATE_HZ and scene.duration_s <= _LONGEST_S and not scene.fluoroscopy
    )


def _write(
    phantoms: dict[str, PhantomSource], folder: Path, config: Config, rendered: Callable[[int, int], None]
) -> list[Opening]:
    total = sum(phantom.run.frame_count or 0 for phantom in phantoms.values())
    done = count(1)
    openings: list[Opening] = []
    for name, phantom in phantoms.items():

        def drawn(index: int, phantom: PhantomSource = phantom) -> NDArray[Any]:
            rendered(next(done), total)
            return phantom.render(index)

        path = write_xa(phantom.run, drawn, folder / f"{name}.dcm")
        (found,) = discover([path]).inputs
        openings.append(Opening(name, partial(open_source, found, config.limits)))
    return openings


def _judged(summary: RunSummary, seen: _Collect, phantom: PhantomSource, name: str) -> JudgedRun:
    return JudgedRun(
        summary=summary,
        verdicts=[r for r in seen.verdicts if r.pass_id == summary.pass_id],
        alerts=[r for r in seen.alerts if r.pass_id == summary.pass_id],
        marked_pixels={index: phantom.render(index) for result in summary.results for index in result.marked_frames},
        remark=f"what was drawn: {name}",
    )


def _tiles(name: str, run: JudgedRun) -> list[Tile]:
    return [
        Tile(run.marked_pixels[index], f"{name}\nframe {index}, {score:.2f}")
        for result in run.summary.results
        for index, score in zip(result.marked_frames, result.marked_scores, strict=True)
    ]
