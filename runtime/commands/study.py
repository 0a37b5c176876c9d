"""`cathrt study`: judges recorded runs as one study and reads it: findings by segment, and how much each run counted.

Not for: studies that are received (`cathrt run` reads these as their runs come).
"""

from __future__ import annotations

import sys
import tempfile
from contextlib import ExitStack, closing
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
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.models import given_bundles, open_reader


def study_command(
    paths: Annotated[
        list[Path], typer.Argument(readable=False, help="DICOM files, videos, stills, or folders of these: one study.")
    ],
    bundle: Annotated[
        list[Path] | None,
        typer.Option(
            "--bundle",
            readable=False,
            help="Bundle folder: of a model that reads studies, or of one that judges frames; repeat it for several. "
            "Default for frames: the demonstration bundle.",
        ),
    ] = None,
    engine: EngineOption = None,
    json_: JsonOption = False,
    study: Annotated[
        str | None, typer.Option(help="What the record calls the study. Default: the name of its folder.")
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option(
            readable=False, help="Draw how much each run counted into this PNG; of each further model NAME-2.png."
        ),
    ] = None,
    journal: Annotated[
        Path | None,
        typer.Option(
            readable=False,
            help="Journal file; what runs were encoded to is kept beside it. Run the same command again to complete "
            "what was cut short. Default: a temporary file.",
        ),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Read recorded runs, taken as one study: findings by artery and segment.

    Judges the runs as replay does, encodes those that count, and asks each model that reads studies. Ends with 9 if a
    reading is withheld.
    """
    from cathrt.runtime.line.replay import opened_journal, opened_line, replay
    from cathrt.runtime.outside.output_files import whole_file
    from cathrt.runtime.sinks.progress import ProgressSink
    from cathrt.runtime.sinks.reading_picture import reading_picture
    from cathrt.runtime.sources.decoder.sandbox import opening_of, prepare_decoders
    from cathrt.runtime.sources.discover import discover, passed_over, require_inputs
    from cathrt.runtime.study.feature_store import FeatureStore
    from cathrt.runtime.study.recorded_reading import RecordedReading

    name = name_of_study(study, paths)
    settings = settings_from(config, engine)
    given = given_bundles(bundle or (), settings)
    if not given.readers:
        raise ConfigError("no bundle that reads studies: name one with --bundle (cathrt export study makes them)")
    readers = [open_reader(reader, settings) for reader in given.readers]
    found = discover(paths)
    for line_of_reason in passed_over(found.ignored):
        say(line_of_reason)
    require_inputs(found, paths)
    prepare_decoders(found.inputs)
    openings = [opening_of(item, settings.limits) for item in found.inputs]
    with ExitStack() as stack:
        for reader in readers:
            stack.callback(reader.close)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cathrt-study-")))
        kept_in = folder / "features.db" if journal is None else journal.with_name(f"{journal.name}-features.db")
        features = stack.enter_context(closing(FeatureStore(kept_in)))
        recorded = RecordedReading(name, features, lambda: say("encoding a run"))
        advance = stack.enter_context(progress_bar("judging", shown=not (json_ and sys.stdout.isatty())))
        progress = ProgressSink(advance, len(openings))
        book = stack.enter_context(opened_journal(journal, settings, (stdout_sink(json_=json_), progress)))
        with opened_line(given.on_frames, settings, "max") as line:
            done = replay(recorded.noting(openings), line, book, progress.opened)
        code = exit_code_of(done)
        for number, reader in enumerate(readers if done.summaries else (), 1):
            record = recorded.read(reader, done, book)
            code = code or (0 if record.reading.withheld is None else UNJUDGED)
            if picture is not None:
                path = picture if number == 1 else picture.with_stem(f"{picture.stem}-{number}")
                frames = [(run.summary.source, run.middle) for run in recorded.runs(record, done)]
                with whole_file(path, "--picture") as part:
                    reading_picture(record, frames).save(part, "PNG")
    raise typer.Exit(code)
