"""`cathrt demo`: judges generated runs at real time, through every step, and writes a page and a contact sheet.

Phantom -> multi-frame XA file -> sandboxed DICOM decoder -> the line -> journal -> terminal; with a writer of drafts
and a reader of studies, the three runs are then drafted and read as one study. Not for: the live part (demo_live.py),
judging accuracy (benchmarks do) or load (three short runs).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from numpy.typing import NDArray

from cathrt.runtime.alert import RunSummary, StudyDraft, StudyFindings
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.commands.pages import PageSink
from cathrt.runtime.config import Config
from cathrt.runtime.line.replay import Replayed, opened_journal, opened_line, replay
from cathrt.runtime.model_kind import Reader, Writer
from cathrt.runtime.models import record_parts
from cathrt.runtime.outside.output_files import whole_file
from cathrt.runtime.phantom import PhantomSource, Scene, SceneKind, sample_scene
from cathrt.runtime.phantom.dicom import write_xa
from cathrt.runtime.phantom.patient import sample_patient, scene_of, study_views
from cathrt.runtime.ports import Opening, Sink
from cathrt.runtime.sinks.contact_sheet import Tile, contact_sheet
from cathrt.runtime.sources.decoder.sandbox import open_source
from cathrt.runtime.sources.discover import discover
from cathrt.runtime.study.feature_store import FeatureStore
from cathrt.runtime.study.recorded_reading import RecordedReading
from cathrt.runtime.study.recorded_study import RecordedStudy

# One run of each side of one generated patient, and one in which there is nothing to find.
_SIDES: dict[Literal["left", "right"], str] = {"left": "left coronary phantom", "right": "right coronary phantom"}
_NOTHING: tuple[str, SceneKind] = ("catheter without contrast", "no_contrast")
_FRAME_RATE_HZ = 15.0
_LONGEST_S = 5.0


@dataclass(frozen=True, slots=True)
class Demo:
    """What the demo left behind."""

    replayed: Replayed
    page: Path
    sheet: Path
    draft: StudyDraft | None = None
    reading: StudyFindings | None = None


def demo(
    out: Path,
    bundle: Bundle,
    config: Config,
    sinks: tuple[Sink, ...],
    *,
    seed: int,
    rendered: Callable[[int, int], None] = lambda done, total: None,
    live: Callable[[Path, Path], None] = lambda run, state: None,
    writer: Writer | None = None,
    reader: Reader | None = None,
) -> Demo:
    """Render three phantom runs, replay them at real time and write `out`/summary.html and `out`/key_frames.png.

    rendered(done, total) is called after each frame that the phantom has drawn. live(run, state) comes before the
    replay: with the file of a run, and a folder that goes with the demo. writer, reader: of the three runs, taken as
    one study; they stay the caller's to close. Raises SinkError where `out` cannot be written, before anything is drawn
    if that shows by then.
    """
    page = PageSink(out, "--out", record_parts())
    phantoms, study, draft, reading = _phantoms(seed), RecordedStudy(f"phantom study {seed}"), None, None
    with TemporaryDirectory(prefix="cathrt-demo-") as folder:
        openings = _write(phantoms, Path(folder), config, rendered)
        live(Path(folder) / f"{_SIDES['left']}.dcm", Path(folder) / "state")
        with (
            _recorded(study.name, Path(folder)) as recorded,
            opened_line([bundle], config, "realtime") as line,
            opened_journal(None, config, (*sinks, page)) as journal,
        ):
            replayed = replay(page.noting(recorded.noting(study.noting(openings))), line, journal)
            if writer is not None and replayed.summaries:
                draft = study.draft(writer, replayed, journal)
            if reader is not None and replayed.summaries:
                reading = recorded.read(reader, replayed, journal)
        names = [Path(summary.source).stem for summary in replayed.summaries]  # one that was refused has no summary
        runs = [
            replace(run, remark=f"what was drawn: {name}") for name, run in zip(names, page.judged_runs(), strict=True)
        ]
    page.write("Three phantom runs: generated images, no patient", line, runs, seed=seed)
    sheet = out / "key_frames.png"
    tiles = [tile for name, run in zip(names, runs, strict=True) for tile in _tiles(name, run.summary, phantoms[name])]
    with whole_file(sheet) as part:
        contact_sheet(tiles, notice=line.notice).save(part, "PNG")
    return Demo(replayed, page.path, sheet, draft, reading)


@contextmanager
def _recorded(name: str, folder: Path) -> Iterator[RecordedReading]:
    with closing(FeatureStore(folder / "features.db")) as features:
        yield RecordedReading(name, features)


def _phantoms(seed: int) -> dict[str, PhantomSource]:
    patient = sample_patient(seed)
    views = list(enumerate(study_views(patient)))
    first = {side: next(one for one in views if one[1].side == side) for side in _SIDES}
    scenes = {name: scene_of(patient, *first[side]) for side, name in _SIDES.items()}
    name, kind = _NOTHING
    return {name: PhantomSource(scene) for name, scene in {**scenes, name: _short(seed, kind)}.items()}


def _short(seed: int, kind: SceneKind) -> Scene:
    """The first cine scene from `seed` on at the usual rate that is over soon enough for a demo."""
    scenes = (sample_scene(candidate, kind=kind) for candidate in count(seed))
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


def _tiles(name: str, summary: RunSummary, phantom: PhantomSource) -> list[Tile]:
    return [
        Tile(phantom.render(index), f"{name}\nframe {index}, {score:.2f}")
        for result in summary.results
        for index, score in zip(result.marked_frames, result.marked_scores, strict=True)
    ]
