"""`cathrt phantom`: seeded runs as DICOM files with their truth beside them, or pressed live, one after the other.

Not for: drawing and rendering (phantom), and how fast the line goes (pace.py).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from cathrt.runtime.clock import Clock
from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.outside.output_files import output_folder, whole_file
from cathrt.runtime.phantom import PhantomSource
from cathrt.runtime.phantom.dicom import write_xa
from cathrt.runtime.phantom.dicom_header import acquisition_from_scene
from cathrt.runtime.phantom.encoders import Syntax, encoding_for
from cathrt.runtime.phantom.live import open_live
from cathrt.runtime.phantom.study import Press, SceneRecipe
from cathrt.runtime.phantom.truth import text_from_truth, truth_document
from cathrt.runtime.ports import Opening, Source

Told = Callable[[int, int], None]
OpenLive = Callable[[SceneRecipe, LimitsConfig, Clock], Source]


@dataclass(frozen=True, slots=True)
class Written:
    """One run on disk and what is true of it."""

    dicom: Path
    truth: Path
    document: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Plan:
    recipe: SceneRecipe
    frames: int
    dicom: Path
    truth: Path


def write_runs(recipe: SceneRecipe, runs: int, out: Path, syntax: Syntax, rendered: Told) -> Iterator[Written]:
    """Write the runs of seeds recipe.seed, +1, ... to `out` as phantom-SEED.dcm and phantom-SEED.truth.json.

    rendered(done, total) is called after each frame. The same arguments write the same bytes.
    Raises ConfigError before anything is written where a file exists already, the syntax cannot hold a run or a run
    cannot have the hardship, SinkError where a file cannot be written; a run is there whole or not at all.
    """
    plans = [_plan(replace(recipe, seed=recipe.seed + number), out, syntax) for number in range(runs)]
    for path in (path for plan in plans for path in (plan.dicom, plan.truth)):
        if os.path.lexists(path):
            raise ConfigError(f"{path}: exists already: give another --out or --seed, or remove it")
    total, done = sum(plan.frames for plan in plans), count(1)
    output_folder(out)
    for plan in plans:
        source = PhantomSource(plan.recipe.scene())

        def drawn(index: int, source: PhantomSource = source) -> NDArray[Any]:
            pixels = source.render(index)
            rendered(next(done), total)
            return pixels

        document = truth_document(source, plan.dicom.name, syntax)
        acquisition = acquisition_from_scene(source.scene)
        with whole_file(plan.dicom) as dicom, whole_file(plan.truth) as truth:
            write_xa(source.run, drawn, dicom, syntax, acquisition)
            truth.write_text(text_from_truth(document), encoding="utf-8")
        yield Written(plan.dicom, plan.truth, document)


def pedal_openings(
    presses: Iterable[Press],
    limits: LimitsConfig,
    clock: Clock,
    pressed: Callable[[Press], None] = lambda press: None,
    open_: OpenLive = open_live,
    wait_until: Callable[[int], None] | None = None,
) -> Iterator[Opening]:
    """One opening a press: opening it renders the first frames while the foot is off the pedal, and returns when the
    pause is over. A pause too short for that lasts as long as it takes. pressed(press) is called then.

    wait_until: how to spend the rest of a pause; by default as the clock does."""
    wait = wait_until or clock.wait_until
    for press in presses:
        yield Opening(f"phantom seed {press.recipe.seed}", partial(_opened, press, limits, clock, wait, pressed, open_))


def _opened(
    press: Press,
    limits: LimitsConfig,
    clock: Clock,
    wait_until: Callable[[int], None],
    pressed: Callable[[Press], None],
    open_: OpenLive,
) -> Source:
    released_ns = clock.now_ns()
    source = open_(press.recipe, limits, clock)
    try:
        wait_until(released_ns + round(press.pause_s * 1e9))
        pressed(press)
    except BaseException:
        source.close()
        raise
    return source


def _plan(recipe: SceneRecipe, out: Path, syntax: Syntax) -> _Plan:
    try:
        scene = recipe.scene()
    except ValueError as exc:
        raise ConfigError(f"phantom seed {recipe.seed}: {exc}") from exc
    encoding_for(syntax, scene.display.bits_stored, f"phantom seed {recipe.seed}")
    name = f"phantom-{recipe.seed:04d}"
    return _Plan(recipe, scene.frame_count, out / f"{name}.dcm", out / f"{name}.truth.json")
