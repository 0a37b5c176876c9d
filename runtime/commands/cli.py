"""The command line: `cathrt replay | demo | phantom | doctor | verify`. It reads arguments and chooses exit codes.

Everything it does is a call into the runtime; errors end as one line on stderr and the error's own exit code.
Not for: export and qualify, which cathrt.export.commands.cli, the installed `cathrt`, adds to these.
"""

from __future__ import annotations

import errno
import logging
import os
import signal
import sys
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from cathrt.runtime.alert import NOTICE
from cathrt.runtime.commands.options import (
    UNJUDGED,
    BundleOption,
    BundlesOption,
    ConfigOption,
    EngineOption,
    JsonOption,
    bundle_at,
    bundles_at,
    exit_code_of,
    progress_bar,
    say,
    settings_from,
    show,
    show_json,
    stdout_sink,
)
from cathrt.runtime.commands.phantom import phantom_command
from cathrt.runtime.commands.standard_streams import drop_output, prepare_standard_streams
from cathrt.runtime.commands.stop_signals import STOPPED, stop_on_signals
from cathrt.runtime.errors import CathrtError, SinkError, SourceError
from cathrt.runtime.models import load_config

# What only writing can meet, wherever it was.
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG})

app = typer.Typer(
    name="cathrt",
    help=f"Inference runtime for the cath lab: X-ray frames in, key-frame alerts out.\n\n{NOTICE}",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    epilog=(
        "Exit codes: 0 done; 1 our bug; 2 wrong usage; 3 configuration; 4 no input could be read; 5 bundle refused; "
        "6 engine; 7 journal; 8 output cannot be written; 9 done, but some inputs were refused or some frames "
        "failed or were dropped; 10 export: a gate was missed; 129, 130, 143 stopped by SIGHUP, SIGINT, SIGTERM."
    ),
)


@app.command("replay")
def replay_command(
    paths: Annotated[
        list[Path], typer.Argument(readable=False, help="DICOM files, videos, stills, or folders of these.")
    ],
    rate: Annotated[
        Literal["realtime", "max"],
        typer.Option(
            help="max: as fast as possible, no deadline. realtime: each frame when it is due; frames that take longer "
            "than line.budget_ms are LATE, frames that overrun the queue are DROPPED."
        ),
    ] = "max",
    bundle: BundlesOption = None,
    engine: EngineOption = None,
    json_: JsonOption = False,
    journal: Annotated[
        Path | None,
        typer.Option(
            readable=False,
            help="Journal file. Run the same command again to complete what was cut short. Default: a temporary file.",
        ),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Judge recorded runs: DICOM, video, stills.

    Prints key-frame alerts and a summary of each run; with --json also one verdict for each frame.
    """
    from cathrt.runtime.line.replay import opened_journal, opened_line, replay
    from cathrt.runtime.ports import Opening
    from cathrt.runtime.sinks.progress import ProgressSink
    from cathrt.runtime.sources.decoder.sandbox import open_source
    from cathrt.runtime.sources.discover import discover, shown_name

    settings = settings_from(config, engine)
    found = discover(paths)
    for ignored in found.ignored:
        say(f"ignored {shown_name(ignored.path)}: {ignored.reason}")
    if not found.inputs:
        raise SourceError(f"{', '.join(map(str, paths))}: no X-ray run found: give DICOM, video or still-image files")
    openings = [Opening(item.name, partial(open_source, item, settings.limits)) for item in found.inputs]
    with (
        opened_line(bundles_at(bundle, settings), settings, rate) as line,
        progress_bar("judging", shown=not (json_ and sys.stdout.isatty())) as advance,
    ):
        progress = ProgressSink(advance)
        with opened_journal(journal, settings, (stdout_sink(json_=json_), progress)) as book:
            done = replay(openings, line, book, progress.opened)
    raise typer.Exit(exit_code_of(done))


@app.command("demo")
def demo_command(
    out: Annotated[Path, typer.Option(readable=False, help="Folder for the page and the contact sheet.")] = Path(
        "demo-out"
    ),
    seed: Annotated[int, typer.Option(help="Seed of the generated runs.")] = 7,
    engine: EngineOption = None,
    json_: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Judge three generated runs at real time.

    Writes a summary page and a contact sheet. Needs no GPU, no service and no network.
    """
    from cathrt.runtime.commands.demo import demo

    settings = settings_from(config, engine)
    with progress_bar("drawing phantom runs", shown=not json_) as advance:
        done = demo(out, bundle_at(None, settings), settings, (stdout_sink(json_=json_),), seed=seed, rendered=advance)
    say(f"summary page: {done.page}")
    say(f"key frames:   {done.sheet}")
    raise typer.Exit(exit_code_of(done.replayed, may_drop=True))


app.command("phantom")(phantom_command)


@app.command("doctor")
def doctor_command(
    bundle: BundleOption = None,
    engine: EngineOption = None,
    json_: JsonOption = False,
    config: ConfigOption = None,
    folder: Annotated[Path, typer.Option(readable=False, help="Folder for journals; its disk is measured.")] = Path(
        "."
    ),
) -> None:
    """Check this machine.

    Reports CPU, engines, GPU, clock, disk, bundle and plans, whether replay would open them, and the configuration
    in effect. Ends with 1 if something needed is missing.
    """
    from cathrt.runtime.commands.doctor import effective_config, examine

    settings = settings_from(config, engine)
    enough = True
    for check in examine(settings, folder, bundle):
        enough &= check.state != "missing"
        if json_:
            show_json({"type": "check", **asdict(check)})
        else:
            show(f"{check.state:8}{check.name:24}{check.detail}")
    if json_:
        show_json({"type": "config", **asdict(settings)})
    else:
        for line in ("", "Effective configuration:", "", *effective_config(settings).split("\n")):
            show(line)
    raise typer.Exit(0 if enough else 1)


@app.command("verify")
def verify_command(
    path: Annotated[Path, typer.Argument(readable=False, help="A bundle folder, or a journal file.")],
    json_: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Check a bundle or a journal.

    A bundle: its hashes and signature. A journal: that no row was changed, and that every frame has one verdict.
    """
    settings = load_config(config)
    if os.path.isdir(path):
        opened = bundle_at(path, settings)
        report: dict[str, object] = {
            "type": "bundle",
            "name": opened.manifest.name,
            "kind": opened.manifest.kind,
            "manifest_sha256": opened.manifest_sha256,
            "signed_by": opened.signed_by,
            "files": len(opened.manifest.files),
            "engines": opened.manifest.engines,
            "demonstration": opened.manifest.demonstration,
            "random_init": opened.manifest.random_init,
            "plans": [
                {"file": plan.file, **asdict(plan.fingerprint)}
                for _, _, artifact in opened.manifest.all_artifacts()
                for plan in artifact.plans
            ],
        }
        sound = True
    else:
        from cathrt.runtime.journal.report import verify_journal
        from cathrt.runtime.models import record_parts

        journal = verify_journal(path, record_parts())
        report = {
            "type": "journal",
            "rows": journal.rows,
            "head": journal.head,
            "head_noted": journal.head_noted,
            "passes": len(journal.passes),
            "incomplete": [books.identity for books in journal.incomplete],
            "anomalies": [text for books in journal.passes for text in books.anomalies],
            "refusals": journal.refusals,
            "sound": journal.sound,
        }
        sound = journal.sound
        for books in journal.incomplete:
            named = f"{books.source} at --rate {books.rate}" if books.rate else f"pass {books.pass_id}"
            say(f"incomplete: {named}: the same replay at that rate completes it")
    if json_:
        show_json({**report, "notice": NOTICE})
    else:
        for key, value in report.items():
            show(f"{key:18}{value}")
    raise typer.Exit(0 if sound else UNJUDGED)


def main() -> None:
    """Run the command of sys.argv and exit. Streams and signals may have been prepared before."""
    prepare_standard_streams()
    stop_on_signals()
    logging.basicConfig(level=logging.WARNING, format="cathrt: %(levelname)s: %(message)s", stream=sys.stderr)
    raise SystemExit(run())


def run() -> int:
    """Run the command of sys.argv. Returns its exit code: errors have been printed, and output is written."""
    try:
        app()
        code: Any = 0
    except SystemExit as exc:
        code = exc.code or 0
    except CathrtError as exc:
        say(f"error: {exc}")
        code = exc.exit_code
    except OSError as exc:
        if exc.errno not in _NO_ROOM:
            raise
        say(
            f"error: {exc.filename or 'a file'}: cannot be written ({exc.strerror}): make room, or choose another place"
        )
        code = SinkError.exit_code
    try:
        sys.stdout.flush()
    except SinkError as exc:
        if code in (0, 1, UNJUDGED):  # the command was done, and nobody has its result
            say(f"error: {exc}")
            code = exc.exit_code
    if code == SinkError.exit_code:
        drop_output()
    if code > STOPPED:
        say(f"stopped by {signal.Signals(code - STOPPED).name}")
    return int(code)


@app.callback(invoke_without_command=True)
def _root(
    show_version: Annotated[bool, typer.Option("--version", help="Print the version and the notice.")] = False,
) -> None:
    if show_version:
        show(f"cathrt {version('cathrt')}")
        show(NOTICE)
        raise typer.Exit(0)


if __name__ == "__main__":
    main()
