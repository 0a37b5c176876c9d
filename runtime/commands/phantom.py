"""`cathrt phantom`: checks its arguments before anything is drawn, and prints what was written.

Not for: what it does (phantom/output.py).
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import typer

from cathrt.runtime.alert import NOTICE
from cathrt.runtime.commands.options import (
    BundleOption,
    ConfigOption,
    EngineOption,
    JsonOption,
    bundle_at,
    exit_code_of,
    progress_bar,
    say,
    settings_from,
    show,
    show_json,
    stdout_sink,
)
from cathrt.runtime.config import Config

if TYPE_CHECKING:
    from cathrt.runtime.phantom import SceneKind
    from cathrt.runtime.phantom.hardship import Hardship
    from cathrt.runtime.phantom.output import Written
    from cathrt.runtime.phantom.study import Press, SceneRecipe

_MAX_RUNS = 100_000
_PAUSE_S = 5.0


def phantom_command(
    seed: Annotated[
        int, typer.Option(min=0, max=2**62, help="Seed of the first run; the next runs have the next seeds.")
    ],
    out: Annotated[
        Path | None, typer.Option(readable=False, help="Files: the folder. Nothing in it is overwritten.")
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="Stream a study through the line at real time; write no files.")
    ] = False,
    runs: Annotated[int, typer.Option(min=1, max=_MAX_RUNS, help="Number of runs.")] = 1,
    side: Annotated[Literal["left", "right"] | None, typer.Option(help="Files: the artery. Default: random.")] = None,
    kind: Annotated[
        str | None, typer.Option(help="Files: coronary (default), the name of a kind without coronaries, or any.")
    ] = None,
    hardship: Annotated[
        str | None, typer.Option(help="Files: what makes every run hard to read, such as dark_heart. Default: random.")
    ] = None,
    matrix: Annotated[int, typer.Option(min=64, max=2048, help="Rows and columns.")] = 512,
    rate_hz: Annotated[Literal["7.5", "15", "30"] | None, typer.Option(help="Frame rate. Default: random.")] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="Most frames of a run. Default: all.")] = None,
    syntax: Annotated[
        Literal["explicit-le", "rle", "jpeg-baseline", "jpeg-lossless"] | None,
        typer.Option(
            help="Files: transfer syntax. Default: explicit-le. jpeg-baseline is lossy and takes 8 bits only."
        ),
    ] = None,
    send: Annotated[
        str | None,
        typer.Option(help="Files: store each at a DICOM service as well, AE@HOST:PORT, such as `cathrt listen`."),
    ] = None,
    pause_s: Annotated[
        float | None,
        typer.Option(min=0.0, max=3600.0, help=f"Live: mean pause between runs, seconds. Default: {_PAUSE_S:g}."),
    ] = None,
    bundle: BundleOption = None,
    engine: EngineOption = None,
    journal: Annotated[
        Path | None, typer.Option(readable=False, help="Live: journal file. Default: a temporary file.")
    ] = None,
    json_: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Write or stream generated runs.

    Writes DICOM files, each with a file of its truth; or, with --live, sends a study through the line. All of it is
    synthetic, no patient is shown.
    """
    from cathrt.runtime.phantom.study import SceneRecipe

    _refuse_contradictions(
        live=live,
        files={
            "--out": out,
            "--side": side,
            "--kind": kind,
            "--hardship": hardship,
            "--syntax": syntax,
            "--send": send,
        },
        line={"--pause-s": pause_s, "--bundle": bundle, "--engine": engine, "--journal": journal, "--config": config},
    )
    rate = None if rate_hz is None else float(rate_hz)
    recipe = SceneRecipe(seed, side=side, matrix=matrix, frame_rate_hz=rate, most_frames=frames)
    if live:
        settings = settings_from(config, engine)
        _stream(recipe, runs, _PAUSE_S if pause_s is None else pause_s, settings, bundle, journal, json_=json_)
        return
    from cathrt.runtime.listener.send import send_file, service_from
    from cathrt.runtime.phantom.output import write_runs

    service = None if send is None else service_from(send)
    if out is None:
        raise typer.BadParameter("give a folder for the files with --out, or --live to stream", param_hint="--out")
    recipe = replace(recipe, kind=_kind(kind or "coronary"), hardship=_hardship(hardship))
    with progress_bar("drawing phantom runs", shown=not (json_ and sys.stdout.isatty())) as advance:
        for number, written in enumerate(write_runs(recipe, runs, out, syntax or "explicit-le", advance)):
            if number == 0 and not json_:
                show(NOTICE)
            _show_written(written, json_=json_)
            if service is not None:
                send_file(written.dicom, service)


def _stream(
    recipe: SceneRecipe,
    runs: int,
    pause_s: float,
    settings: Config,
    bundle: Path | None,
    journal: Path | None,
    *,
    json_: bool,
) -> None:
    from cathrt.runtime.line.replay import opened_journal, opened_line, replay
    from cathrt.runtime.phantom.output import pedal_openings
    from cathrt.runtime.phantom.study import draw_study
    from cathrt.runtime.sinks.progress import ProgressSink

    with (
        opened_line([bundle_at(bundle, settings)], settings, "realtime") as line,
        progress_bar("live", shown=not (json_ and sys.stdout.isatty())) as advance,
    ):
        progress = ProgressSink(advance, runs)
        with opened_journal(journal, settings, (stdout_sink(json_=json_), progress)) as book:
            presses = draw_study(recipe, runs, pause_s)
            wait_until = line.keep_warm.wait_until if line.keep_warm else None
            openings = pedal_openings(presses, settings.limits, line.clock, _say_pressed, wait_until=wait_until)
            done = replay(openings, line, book, progress.opened)
    raise typer.Exit(exit_code_of(done))


def _say_pressed(press: Press) -> None:
    recipe = press.recipe
    exposure = "fluoroscopy" if press.fluoroscopy else "cine"
    side = f" --side {recipe.side}" if recipe.side else ""
    say(f"pedal pressed: {exposure}, --seed {recipe.seed} --kind {recipe.kind}{side}")


def _refuse_contradictions(files: dict[str, object], line: dict[str, object], *, live: bool) -> None:
    """Options that the chosen way would ignore are refused: what was asked for must not silently be left out."""
    for option, value in (files if live else line).items():
        if value is not None:
            reason = "is for files; a live study draws its own runs" if live else "is for --live; files need no line"
            raise typer.BadParameter(f"{reason}: leave it out", param_hint=option)


def _kind(name: str) -> SceneKind | None:
    from cathrt.runtime.phantom import SceneKind

    kinds: dict[str, SceneKind] = {kind: kind for kind in get_args(SceneKind)}
    if name != "any" and name not in kinds:
        raise typer.BadParameter(f"found {name!r}, expected any or one of {', '.join(kinds)}", param_hint="--kind")
    return kinds.get(name)


def _hardship(name: str | None) -> Hardship | None:
    from cathrt.runtime.phantom.hardship import HARDSHIPS

    hardships: dict[str, Hardship] = {hardship: hardship for hardship in HARDSHIPS}
    if name is not None and name not in hardships:
        raise typer.BadParameter(f"found {name!r}, expected one of {', '.join(hardships)}", param_hint="--hardship")
    return None if name is None else hardships[name]


def _show_written(written: Written, *, json_: bool) -> None:
    document = written.document
    if json_:
        head = {"type": "phantom", "dicom": str(written.dicom), "truth": str(written.truth)}
        told = ("synthetic", "seed", "kind", "side", "radiation_setting", "frame_rate_hz", "frame_count", "run_id")
        show_json({**head, **{key: document[key] for key in told}, "notice": NOTICE})
        return
    side = f", {document['side']} coronary artery engaged" if document["side"] else ""
    show(
        f"{written.dicom}: {document['synthetic']}, {document['kind']}{side}, {document['frame_count']} frames "
        f"at {document['frame_rate_hz']:g} Hz"
    )
