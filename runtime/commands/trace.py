"""`cathrt trace`: what a box did in a window of time, as a file for ui.perfetto.dev.

Not for: what is drawn (trace/drawing.py).
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TextIO

import typer

from cathrt.runtime.alert import NOTICE, StoredRecord
from cathrt.runtime.commands.options import say, show
from cathrt.runtime.errors import SourceError
from cathrt.runtime.journal.lookups import records_of_type
from cathrt.runtime.journal.reader import JournalReader
from cathrt.runtime.outside.output_files import whole_file
from cathrt.runtime.processes.state_folder import StateFolder
from cathrt.runtime.trace.chrome import ChromeTrace
from cathrt.runtime.trace.dates import Dates, Moment, ns_from
from cathrt.runtime.trace.drawing import Drawing, Drawn, Window

_EVER = datetime(1970, 1, 2, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
_NOW = "Local time, or with an offset: 2026-12-01T09:30 or 2026-12-01T00:30+00:00."


def trace_command(
    state: Annotated[Path, typer.Argument(readable=False, help="State folder of `cathrt run`, which may be running.")],
    out: Annotated[
        Path, typer.Option(readable=False, help="The trace: FILE.json, or FILE.json.gz, a fifth of the size or less.")
    ],
    from_: Annotated[str | None, typer.Option("--from", help=f"Begin. {_NOW} Default: the first record.")] = None,
    to: Annotated[str | None, typer.Option("--to", help="End. Default: the last record.")] = None,
    run: Annotated[str | None, typer.Option("--run", help="One run alone, by its run_id.")] = None,
) -> None:
    """Write a trace of a window of time, drawn from the journals.

    Frames and their stages as slices, one track for each stage of each source; runs, alerts, engine changes and starts
    of processes. Open it at ui.perfetto.dev: the file is not sent anywhere.
    """
    window = Window(_date(from_, "--from", _EVER[0]), _date(to, "--to", _EVER[1]), run or "")
    folder = StateFolder(state)
    journals = {
        name: path for name, path in (("live", folder.live_journal), ("study", folder.study_journal)) if path.exists()
    }
    if not journals:
        raise SourceError(f"{state}: no live.journal or study.journal, expected the state folder of `cathrt run`")
    moments = {name: [Moment.of(row) for row in records_of_type(path, "start")] for name, path in journals.items()}
    of_all = [moment for own in moments.values() for moment in own] or [Moment.now()]
    origin_ns = max(min(moment.utc_ns for moment in of_all), window.from_ns)
    about = {"notice": NOTICE, "begins_utc": datetime.fromtimestamp(origin_ns / 1e9, UTC).isoformat()}
    drawn = Drawn()
    with whole_file(out) as part, _opened(part, compressed=out.suffix == ".gz") as file:
        canvas = ChromeTrace(file, origin_ns, about)
        for name, path in journals.items():
            Drawing(name, canvas, Dates(moments[name], of_all), window, drawn).rows(_rows(path))
        canvas.end()
    show(NOTICE)
    show(f"{out}: {', '.join(f'{count} of type {kind}' for kind, count in drawn.records.items()) or 'nothing drawn'}")
    if drawn.undated:
        say(f"{drawn.undated} verdicts of earlier builds say no time and are not drawn")


def _date(text: str | None, option: str, otherwise: datetime) -> int:
    try:
        return ns_from(otherwise if text is None else datetime.fromisoformat(text))
    except (ValueError, OverflowError) as exc:
        raise typer.BadParameter(
            f"found {text!r}, expected a date such as 2026-12-01T09:30", param_hint=option
        ) from exc


@contextmanager
def _opened(path: Path, *, compressed: bool) -> Iterator[TextIO]:
    if not compressed:
        with path.open("w", encoding="utf-8") as file:
            yield file
        return
    with gzip.open(path, "wb", compresslevel=6) as binary, io.TextIOWrapper(binary, encoding="utf-8") as file:
        yield file


def _rows(path: Path) -> Iterator[StoredRecord]:
    with closing(JournalReader(path)) as reader:
        place = reader.start()
        while batch := reader.read(place):
            for followed in batch:
                yield followed.stored
            place = batch[-1].place
