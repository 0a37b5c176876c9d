"""The command line of the runtime: `cathrt run | replay | demo | ...`. Reads arguments, chooses exit codes.

Everything it does is a call into the runtime; errors end as one line on stderr and the error's own exit code.
Not for: export and qualify, which cathrt.export.commands.cli, the installed `cathrt`, adds to these.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from contextlib import closing
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from cathrt.runtime.alert import NOTICE
from cathrt.runtime.commands.backup import backup_command, restore_command
from cathrt.runtime.commands.deidentify import deidentify_command
from cathrt.runtime.commands.feedback import feedback_command
from cathrt.runtime.commands.health import health_command
from cathrt.runtime.commands.help import HELP_SETTINGS, GroupWithWholeSummaries
from cathrt.runtime.commands.key import key_app
from cathrt.runtime.commands.listen import listen_command
from cathrt.runtime.commands.objects import objects_command
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
from cathrt.runtime.commands.outbox import outbox_app
from cathrt.runtime.commands.phantom import phantom_command
from cathrt.runtime.commands.report import report_command
from cathrt.runtime.commands.run import run_command
from cathrt.runtime.commands.send import send_command
from cathrt.runtime.commands.standard_streams import drop_output, prepare_standard_streams
from cathrt.runtime.commands.stop_signals import STOPPED, stop_on_signals
from cathrt.runtime.commands.study import study_command
from cathrt.runtime.commands.swap import swap_command
from cathrt.runtime.commands.trace import trace_command
from cathrt.runtime.commands.user import user_app
from cathrt.runtime.commands.warn_once import WarnOnce
from cathrt.runtime.config import EngineConfig
from cathrt.runtime.errors import CathrtError, SinkError
from cathrt.runtime.frame import DEFAULT_RATE_HZ, MAX_RATE_HZ, MIN_RATE_HZ, is_rate
from cathrt.runtime.models import load_config, open_reader, open_writer
from cathrt.runtime.outside.disk import NO_ROOM
from cathrt.runtime.sources.still_sequences import StillsAre

app = typer.Typer(
    name="cathrt",
    help=f"Inference runtime for the cath lab: X-ray frames in, key-frame alerts out.\n\n{NOTICE}",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    cls=GroupWithWholeSummaries,
    context_settings=HELP_SETTINGS,
    epilog=(
        "Exit codes: 0 done; 1 our bug, or not healthy, or a process of run that ended badly; 2 wrong usage; "
        "3 configuration; 4 no input could be read; 5 bundle refused; 6 engine; 7 journal; 8 output cannot be written; "
        "9 done, but some inputs were refused, some frames failed or were dropped, or a draft was withheld; "
        "10 export: a gate was missed; 129, 130, 143 stopped by SIGHUP, SIGINT, SIGTERM."
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
    rate_hz: Annotated[
        float | None,
        typer.Option(
            help="Frames a second of inputs that state none: stills, some videos. Others keep theirs and are flagged "
            f"given_rate_not_used. Default: {DEFAULT_RATE_HZ:g}, flagged frame_rate_default."
        ),
    ] = None,
    stills: Annotated[
        StillsAre,
        typer.Option(
            help="Numbered stills of a folder. auto: one run if each is like the one before, else a run each. "
            "run: one run. separate: a run each."
        ),
    ] = "auto",
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
    table: Annotated[
        Path | None,
        typer.Option(
            readable=False,
            help="FILE.csv or FILE.parquet (extra table): a row a frame, and in FILE.runs.csv beside it a row a run.",
        ),
    ] = None,
    summary_page: Annotated[
        Path | None,
        typer.Option(readable=False, help="Folder for summary.html: a page with plots, pictures and times."),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Judge recorded runs: DICOM, video, stills.

    Prints key-frame alerts and a summary of each run; with --json also one verdict for each frame.
    """
    from cathrt.runtime.commands.replay_files import replay_files
    from cathrt.runtime.line.replay import opened_journal, opened_line, replay
    from cathrt.runtime.sinks.progress import ProgressSink
    from cathrt.runtime.sources.decoder.sandbox import opening_of, prepare_decoders
    from cathrt.runtime.sources.discover import discover, passed_over, require_inputs

    if rate_hz is not None and not is_rate(rate_hz):
        expected = f"{MIN_RATE_HZ:g} to {MAX_RATE_HZ:g} frames a second"
        raise typer.BadParameter(f"{rate_hz:g}, expected {expected}", param_hint="--rate-hz")
    settings = settings_from(config, engine)
    found = discover(paths, stills_are=stills, rate_hz=rate_hz)
    for line_of_reason in passed_over(found.ignored):
        say(line_of_reason)
    require_inputs(found, paths)
    prepare_decoders(found.inputs)
    openings = [opening_of(item, settings.limits) for item in found.inputs]
    with (
        replay_files(table, summary_page) as files,
        opened_line(bundles_at(bundle, settings), settings, rate) as line,
    ):
        with progress_bar("judging", shown=not (json_ and sys.stdout.isatty())) as advance:
            progress = ProgressSink(advance, len(openings))
            sinks = (stdout_sink(json_=json_), progress, *files.sinks)
            with opened_journal(journal, settings, sinks) as book:
                done = replay(files.noting(openings), line, book, progress.opened)
        for written in files.write(line):
            say(f"written: {written}")
    raise typer.Exit(exit_code_of(done))


@app.command("demo")
def demo_command(
    out: Annotated[Path, typer.Option(readable=False, help="Folder for the page and the contact sheet.")] = Path(
        "demo-out"
    ),
    seed: Annotated[int, typer.Option(min=0, help="Seed of the generated runs.")] = 7,
    seconds: Annotated[
        float, typer.Option(min=0.0, max=3600.0, help="How long `cathrt run` watches a live phantom; 0: not at all.")
    ] = 30.0,
    engine: EngineOption = None,
    json_: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Watch a live phantom, then judge three generated runs, draft a report of them and read them as a study.

    Starts `cathrt run` on ports of this machine, sends it a run, and reads its feed. Then writes a summary page and a
    contact sheet of three runs at real time, and prints a draft in English and Japanese and a table of findings. Needs
    no GPU, no service and no network.
    """
    from cathrt.runtime.bundle.shipped import demonstration_drafts_bundle, demonstration_studies_bundle
    from cathrt.runtime.commands.demo import demo
    from cathrt.runtime.commands.demo_live import live_demo

    def live(run: Path, state: Path) -> None:
        if seconds:
            say(f"`cathrt run` for {seconds:g} s: a phantom as live source, and a run stored by DICOM")
            events = live_demo(run, state, settings, seed=seed, seconds=seconds, json_=json_)
            say(f"the feed had {', '.join(f'{count} of type {kind}' for kind, count in sorted(events.items()))}")

    settings = settings_from(config, engine)
    # --engine and its fallback are the line's; draft and findings come from the CPU.
    drafting = replace(settings, engine=EngineConfig("openvino", settings.engine.threads))
    with (
        closing(open_writer(bundle_at(demonstration_drafts_bundle(), settings), drafting)) as writer,
        closing(open_reader(bundle_at(demonstration_studies_bundle(), settings), drafting)) as reader,
        progress_bar("drawing phantom runs", shown=not json_) as advance,
    ):
        sinks, bundle = (stdout_sink(json_=json_),), bundle_at(None, settings)
        done = demo(out, bundle, settings, sinks, seed=seed, rendered=advance, live=live, writer=writer, reader=reader)
    say(f"summary page: {done.page}")
    say(f"key frames:   {done.sheet}")
    say(f"open:         {done.page.resolve().as_uri()}")
    say("see it live:  cathrt run --demo   (prints the address of the page, and runs until Ctrl-C)")
    raise typer.Exit(exit_code_of(done.replayed, may_drop=True))


app.command("report")(report_command)
app.command("study")(study_command)
app.command("phantom")(phantom_command)
app.command("listen")(listen_command)
app.command("run")(run_command)
app.command("health")(health_command)
app.command("trace")(trace_command)
app.command("backup")(backup_command)
app.command("restore")(restore_command)
app.command("swap")(swap_command)
app.command("send")(send_command)
app.command("deidentify")(deidentify_command)
app.command("objects")(objects_command)
app.command("feedback")(feedback_command)
app.add_typer(key_app)
app.add_typer(outbox_app)
app.add_typer(user_app)


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
            show_json({"type": "check", **asdict(check), "notice": NOTICE})
        else:
            show(f"{check.state:8}{check.name:24}{check.detail}")
    if json_:
        show_json({"type": "config", **asdict(settings), "notice": NOTICE})
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
            "worth": opened.manifest.worth or "not stated",
            "plans": [
                {"file": plan.file, **asdict(plan.fingerprint)}
                for _, _, artifact in opened.manifest.all_artifacts()
                for plan in artifact.plans
            ],
            "notice": opened.manifest.notice,
        }
        sound = True
    else:
        from cathrt.runtime.journal.report import verify_journal
        from cathrt.runtime.models import record_parts

        journal = verify_journal(path, record_parts())
        report = {
            "type": "journal",
            "rows": journal.rows,
            "pruned": journal.pruned,
            "anchor": journal.anchor,
            "anchor_noted": journal.anchor_noted,
            "head": journal.head,
            "head_noted": journal.head_noted,
            "passes": len(journal.passes),
            "incomplete": [books.identity for books in journal.incomplete],
            "anomalies": [text for books in journal.passes for text in books.anomalies],
            "refusals": journal.refusals,
            "drafts": journal.drafts,
            "ended": journal.ended,
            "readings": journal.readings,
            "engine_changes": journal.engine_changes,
            "starts": journal.starts,
            "decisions": journal.decisions,
            "signoffs": journal.signoffs,
            "reviews": journal.reviews,
            "sound": journal.sound,
            "notice": NOTICE,
        }
        sound = journal.sound
        for books in journal.incomplete:
            named = f"{books.source} at --rate {books.rate}" if books.rate else f"pass {books.pass_id}"
            done_by = (
                "`cathrt run` ends it at its next start"
                if books.rate == "live"
                else "the same replay at that rate completes it"
            )
            say(f"incomplete: {named}: {done_by}")
    if json_:
        show_json(report)
    else:
        for key, value in report.items():
            show(f"{key:18}{value}")
    raise typer.Exit(0 if sound else UNJUDGED)


def main() -> None:
    """Run the command of sys.argv and exit. Streams and signals may have been prepared before."""
    prepare_standard_streams()
    stop_on_signals()
    once, handler = WarnOnce(), logging.StreamHandler(sys.stderr)
    handler.addFilter(once)
    logging.basicConfig(level=logging.WARNING, format="cathrt: %(levelname)s: %(message)s", handlers=[handler])
    code = run()
    for line in once.counts():
        say(line)
    raise SystemExit(code)


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
        if exc.errno not in NO_ROOM:
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
