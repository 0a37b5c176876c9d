"""The command line: `cathrt replay | demo | doctor | verify`. Reads arguments, opens things, chooses exit codes.

Everything it does is a call into the runtime; errors end as one line on stderr and the error's own exit code.
Not for: export (cathrt.export has its own command).
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

import typer

from cathrt.runtime.alert import NOTICE
from cathrt.runtime.bundle import Bundle, open_bundle
from cathrt.runtime.config import Config, load_config
from cathrt.runtime.errors import CathrtError, ConfigError, SinkError, SourceError
from cathrt.runtime.ports import Sink

UNJUDGED = 9  # exit code: every frame is accounted for, but some were refused, failed or dropped

app = typer.Typer(
    name="cathrt",
    help=f"Inference runtime for the cardiac catheterisation laboratory.\n\n{NOTICE}",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    epilog=(
        "Exit codes: 0 done; 1 our bug; 2 wrong usage; 3 configuration; 4 no input could be read; 5 bundle refused; "
        "6 engine; 7 journal; 8 output; 9 done, but some inputs were refused or some frames failed or were dropped."
    ),
)

ConfigOption = Annotated[Path | None, typer.Option("--config", help="TOML file; see docs/configuration.md.")]
BundleOption = Annotated[
    Path | None, typer.Option("--bundle", help="Bundle folder. Default: the demonstration bundle.")
]
EngineOption = Annotated[
    str | None, typer.Option("--engine", help="openvino or onnxruntime. Overrides the configuration.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object a line on stdout, nothing else.")]


@app.command("replay")
def replay_command(
    paths: Annotated[list[Path], typer.Argument(help="DICOM files, videos, folders of stills, or folders of these.")],
    rate: Annotated[
        Literal["realtime", "max"],
        typer.Option(help="realtime: each frame when it is due, late ones are dropped aloud. max: as fast as judged."),
    ] = "max",
    bundle: BundleOption = None,
    engine: EngineOption = None,
    json_: JsonOption = False,
    journal: Annotated[
        Path | None, typer.Option(help="Journal file; repeating a replay on it completes it. Default: a temporary one.")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Judge recorded runs: one verdict per frame, key-frame alerts, a summary per run."""
    from cathrt.runtime.replay import Opening, opened_journal, opened_line, replay
    from cathrt.runtime.sinks.progress import ProgressSink
    from cathrt.runtime.sources.discover import discover, shown_name
    from cathrt.runtime.sources.sandbox import open_source

    settings = _settings(config, engine)
    found = discover(paths)
    for ignored in found.ignored:
        _say(f"ignored {shown_name(ignored.path)}: {ignored.reason}")
    if not found.inputs:
        raise SourceError(f"{', '.join(map(str, paths))}: no X-ray run found: give DICOM, video or still-image files")
    openings = [Opening(item.name, partial(open_source, item, settings.limits)) for item in found.inputs]
    with (
        opened_line(_bundle(bundle, settings), settings, rate) as line,
        _progress("judging", shown=not (json_ and sys.stdout.isatty())) as advance,
    ):
        progress = ProgressSink(advance)
        with opened_journal(journal, settings, (_sink(json_=json_), progress)) as book:
            done = replay(openings, line, book, progress.opened)
    if not done.summaries:
        raise typer.Exit(SourceError.exit_code)
    judged = all(run.verdicts["FAILED"] == 0 and run.verdicts["DROPPED"] == 0 for run in done.summaries)
    raise typer.Exit(0 if judged and not done.refusals else UNJUDGED)


@app.command("demo")
def demo_command(
    out: Annotated[Path, typer.Option(help="Folder for the page and the contact sheet.")] = Path("demo-out"),
    seed: Annotated[int, typer.Option(help="Seed of the phantoms.")] = 7,
    engine: EngineOption = None,
    json_: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Generated angiogram runs through the whole line at real time; leaves a page. No GPU, no services, no network."""
    from cathrt.runtime.demo import demo

    settings = _settings(config, engine)
    with _progress("drawing phantom runs", shown=not json_) as advance:
        done = demo(out, _bundle(None, settings), settings, (_sink(json_=json_),), seed=seed, rendered=advance)
    _say(f"summary page: {done.page}\nkey frames:   {done.sheet}")


@app.command("doctor")
def doctor_command(
    json_: JsonOption = False,
    config: ConfigOption = None,
    folder: Annotated[Path, typer.Option(help="Where a journal would live; its disk is measured.")] = Path("."),
) -> None:
    """What this machine offers: CPU, engines, GPU, clock, disk, shipped bundle, effective configuration."""
    from cathrt.runtime.doctor import effective_config, examine

    settings = load_config(config)
    enough = True
    for check in examine(settings, folder):
        enough &= check.state != "missing"
        if json_:
            print(json.dumps({"type": "check", **asdict(check)}, ensure_ascii=False), flush=True)
        else:
            print(f"{check.state:8}{check.name:24}{check.detail}", flush=True)
    if json_:
        print(json.dumps({"type": "config", **asdict(settings)}))
    else:
        print(f"\nEffective configuration:\n\n{effective_config(settings)}")
    raise typer.Exit(0 if enough else 1)


@app.command("verify")
def verify_command(
    path: Annotated[Path, typer.Argument(help="A bundle folder, or a journal file.")],
    json_: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Check a bundle's hashes and signature, or a journal's chain and books."""
    settings = load_config(config)
    if path.is_dir():
        opened = _bundle(path, settings)
        report: dict[str, object] = {
            "type": "bundle",
            "name": opened.manifest.name,
            "kind": opened.manifest.kind,
            "manifest_sha256": opened.manifest_sha256,
            "signed_by": opened.signed_by,
            "files": len(opened.manifest.files),
            "engines": sorted(opened.manifest.artifacts),
            "demonstration": opened.manifest.demonstration,
        }
        sound = True
    else:
        from cathrt.runtime.journal_report import verify_journal

        journal = verify_journal(path)
        report = {
            "type": "journal",
            "rows": journal.rows,
            "head": journal.head,
            "head_noted": journal.head_noted,
            "passes": len(journal.passes),
            "incomplete": [books.pass_id for books in journal.incomplete],
            "anomalies": [text for books in journal.passes for text in books.anomalies],
            "refusals": journal.refusals,
            "sound": journal.sound,
        }
        sound = journal.sound
    if json_:
        print(json.dumps({**report, "notice": NOTICE}, ensure_ascii=False))
    else:
        for key, value in report.items():
            print(f"{key:18}{value}")
    raise typer.Exit(0 if sound else UNJUDGED)


def main() -> None:
    """Entry point of the `cathrt` script."""
    logging.basicConfig(level=logging.WARNING, format="cathrt: %(levelname)s: %(message)s", stream=sys.stderr)
    try:
        app()
    except CathrtError as exc:
        _say(f"error: {exc}")
        if isinstance(exc, SinkError):  # nobody reads stdout any more: Python must not try to flush it on the way out
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(exc.exit_code) from exc


@app.callback(invoke_without_command=True)
def _root(
    show_version: Annotated[bool, typer.Option("--version", help="Print the version and the notice.")] = False,
) -> None:
    if show_version:
        print(f"cathrt {version('cathrt')}\n{NOTICE}")
        raise typer.Exit(0)


def _settings(path: Path | None, engine: str | None) -> Config:
    from cathrt.runtime.engines import ENGINES

    settings = load_config(path)
    if engine is not None:
        settings = replace(settings, engine=replace(settings.engine, name=engine))
    if settings.engine.name not in ENGINES:
        raise ConfigError(f"engine.name: found {settings.engine.name!r}, expected one of {', '.join(sorted(ENGINES))}")
    return settings


def _bundle(path: Path | None, settings: Config) -> Bundle:
    from cathrt.runtime.bundles import demonstration_bundle, shipped_keys

    return open_bundle(path or demonstration_bundle(), (*shipped_keys(), *settings.trust.keys))


def _sink(*, json_: bool) -> Sink:
    from cathrt.runtime.sinks.console import ConsoleSink
    from cathrt.runtime.sinks.jsonl import JsonlSink

    return JsonlSink(sys.stdout.buffer) if json_ else ConsoleSink(sys.stdout)


@contextmanager
def _progress(what: str, *, shown: bool) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on the terminal: yields a function told (done, total). Silent where stderr is no terminal.

    Lines printed meanwhile appear above the bar where stdout is that terminal too, and are left alone where it is not.
    """
    if not (shown and sys.stderr.isatty()):
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True, redirect_stdout=sys.stdout.isatty()) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _say(text: str) -> None:
    for line in text.splitlines():
        print(f"cathrt: {line}", file=sys.stderr)


if __name__ == "__main__":
    main()
