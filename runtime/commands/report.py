"""`cathrt report`: judges recorded runs as one study and writes a draft of its report, in English and in Japanese.

Not for: studies that are received (`cathrt run` drafts these when they end).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from cathrt.runtime.commands.options import (
    UNJUDGED,
    ConfigOption,
    EngineOption,
    JsonOption,
    exit_code_of,
    name_of_study,
    progress_bar,
    say,
    settings_from,
    stdout_sink,
)
from cathrt.runtime.models import given_bundles, open_writer, trusted_bundle

_SAY_EVERY_S = 10.0


def report_command(
    paths: Annotated[
        list[Path], typer.Argument(readable=False, help="DICOM files, videos, stills, or folders of these: one study.")
    ],
    bundle: Annotated[
        list[Path] | None,
        typer.Option(
            "--bundle",
            readable=False,
            help="Bundle folder: of the model that writes drafts, or of the one that judges the frames; repeat it for "
            "both. Default for either: its demonstration bundle.",
        ),
    ] = None,
    engine: EngineOption = None,
    json_: JsonOption = False,
    study: Annotated[
        str | None, typer.Option(help="What the draft calls the study. Default: the name of its folder.")
    ] = None,
    journal: Annotated[
        Path | None,
        typer.Option(
            readable=False,
            help="Journal file. Run the same command again to complete what was cut short. Default: a temporary file.",
        ),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Draft a report of recorded runs, taken as one study.

    Judges the runs as replay does, then writes the draft in English and in Japanese: facts first, then prose, which is
    checked against them. Always preliminary. Ends with 9 if the draft is withheld.
    """
    from cathrt.runtime.bundle.shipped import demonstration_drafts_bundle
    from cathrt.runtime.line.replay import opened_journal, opened_line, replay
    from cathrt.runtime.sinks.progress import ProgressSink
    from cathrt.runtime.sources.decoder.sandbox import opening_of, prepare_decoders
    from cathrt.runtime.sources.discover import discover, passed_over, require_inputs
    from cathrt.runtime.study.recorded_study import RecordedStudy

    name = name_of_study(study, paths)
    settings = settings_from(config, engine)
    given = given_bundles(bundle or (), settings)
    writing = given.writer or trusted_bundle(demonstration_drafts_bundle(), settings)
    recorded = RecordedStudy(name)
    found = discover(paths)
    for line_of_reason in passed_over(found.ignored):
        say(line_of_reason)
    require_inputs(found, paths)
    prepare_decoders(found.inputs)
    openings = [opening_of(item, settings.limits) for item in found.inputs]
    writer = open_writer(writing, settings)
    try:
        with progress_bar("judging", shown=not (json_ and sys.stdout.isatty())) as advance:
            progress = ProgressSink(advance, len(openings))
            with opened_journal(journal, settings, (stdout_sink(json_=json_), progress)) as book:
                with opened_line(given.on_frames, settings, "max") as line:
                    done = replay(recorded.noting(openings), line, book, progress.opened)
                code = exit_code_of(done)
                if done.summaries:
                    say(f"writing the draft with {writing.manifest.name}")
                    draft = recorded.draft(writer, done, book, _patience()).draft
                    code = code or (0 if draft.withheld is None else UNJUDGED)
    finally:
        writer.close()
    raise typer.Exit(code)


def _patience(now_s: Callable[[], float] = time.monotonic) -> Callable[[], None]:
    """Says now and then that the draft is still being written, where it is called often enough."""
    began_s = said_s = now_s()

    def told() -> None:
        nonlocal said_s
        if now_s() - said_s >= _SAY_EVERY_S:
            said_s = now_s()
            say(f"still writing the draft, {said_s - began_s:.0f} s so far")

    return told
