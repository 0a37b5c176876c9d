"""What the commands share: their common options, the configuration, the bundle, where results and progress are shown.

Not for: the commands themselves (cli.py, commands/phantom.py).
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.commands.standard_streams import styled
from cathrt.runtime.config import Config
from cathrt.runtime.errors import ConfigError, EngineError, EngineLostError, ManifestError, SourceError
from cathrt.runtime.models import load_config, record_parts, trusted_bundle, trusted_bundles
from cathrt.runtime.outside.plain_text import json_line, shown
from cathrt.runtime.ports import Sink
from cathrt.runtime.processes.log_lines import writes_json
from cathrt.runtime.sources.input_names import shown_name

if TYPE_CHECKING:
    from cathrt.runtime.line.replay import Replayed

_log = logging.getLogger(__name__)

_EXIT_CODES = {refused.__name__: refused.exit_code for refused in (ManifestError, EngineError, EngineLostError)}
_LINE_EVERY_S = 10.0
UNJUDGED = 9  # exit code: every frame is accounted for, but some were refused, failed or dropped

ConfigOption = Annotated[
    Path | None, typer.Option("--config", readable=False, help="TOML file; docs/configuration.md lists its keys.")
]
BundleOption = Annotated[
    Path | None, typer.Option("--bundle", readable=False, help="Bundle folder. Default: the demonstration bundle.")
]
BundlesOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--bundle",
        readable=False,
        help="Bundle folder. Repeat it for models of several kinds. Default: the demonstration bundle.",
    ),
]
EngineOption = Annotated[
    str | None,
    typer.Option("--engine", help="openvino, onnxruntime, tensorrt-rtx or tensorrt. Overrides engine.name."),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON object a line on stdout, and nothing else there.")
]


def settings_from(path: Path | None, engine: str | None) -> Config:
    """The configuration of a TOML file, with --engine over it. Raises ConfigError."""
    from cathrt.runtime.engines import ENGINES

    settings = load_config(path)
    if engine is not None:
        settings = replace(settings, engine=replace(settings.engine, name=engine))
    name, fallback, known = settings.engine.name, settings.engine.fallback, ", ".join(sorted(ENGINES))
    if name not in ENGINES:
        raise ConfigError(f"engine.name: found {name!r}, expected one of {known}")
    if fallback and (fallback not in ENGINES or fallback == name):
        raise ConfigError(
            f"engine.fallback: found {fallback!r}, expected one of {known} other than engine.name, or an empty text"
        )
    return settings


def bundle_at(path: Path | None, settings: Config) -> Bundle:
    """The bundle of a folder, or the demonstration bundle. Raises ManifestError."""
    return trusted_bundle(path, settings)


def bundles_at(paths: Sequence[Path] | None, settings: Config) -> list[Bundle]:
    """The bundles of several folders, or the demonstration bundle alone. Raises ManifestError."""
    return trusted_bundles(paths or (), settings)


def stdout_sink(*, json_: bool) -> Sink:
    """Where records go on standard output: JSON lines, or lines for a person."""
    from cathrt.runtime.sinks.console import ConsoleSink
    from cathrt.runtime.sinks.jsonl import JsonlSink

    return JsonlSink(sys.stdout.buffer) if json_ else ConsoleSink(styled(sys.stdout), record_parts())


@contextmanager
def progress_bar(
    what: str, *, shown: bool, now_s: Callable[[], float] = time.monotonic
) -> Iterator[Callable[[int, int], None]]:
    """Shows frames, frames a second and time left on stderr: yields a function to call with (done, to expect).

    A bar on a terminal: lines printed meanwhile appear above it where stdout is that terminal too, and are left alone
    where it is not. Elsewhere one line every _LINE_EVERY_S, so that a command of some seconds prints none.
    """
    from cathrt.runtime.sinks.progress import Speed

    speed = Speed(now_s)
    if not shown:
        yield lambda done, total: None
        return
    if not sys.stderr.isatty():
        said_s = now_s()

        def line(done: int, total: int) -> None:
            nonlocal said_s
            words = speed.words(done, total)
            if now_s() - said_s >= _LINE_EVERY_S:
                said_s = now_s()
                say(f"{what}: {words}")

        yield line
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    console = Console(file=styled(sys.stderr))
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[words]}"))
    with Progress(*columns, console=console, transient=True, redirect_stdout=sys.stdout.isatty()) as bar:
        task = bar.add_task(what, total=None, words="")
        yield lambda done, total: bar.update(task, completed=done, total=total or None, words=speed.words(done, total))


def exit_code_of(done: Replayed, *, may_drop: bool = False) -> int:
    """The exit code (docs/configuration.md): 0 if every run was judged to its last frame.

    Where every input was refused for the bundle's or the engine's sake, that has its own code.
    may_drop: a frame that was dropped does not count, since the machine may be slow and the command shows that.
    """
    if not done.summaries:
        codes = {_EXIT_CODES.get(refusal.error, SourceError.exit_code) for refusal in done.refusals}
        return codes.pop() if len(codes) == 1 else SourceError.exit_code
    unjudged = ("FAILED",) if may_drop else ("FAILED", "DROPPED")
    judged = not any(run.verdicts[outcome] for run in done.summaries for outcome in unjudged)
    return 0 if judged and not done.refusals else UNJUDGED


def name_of_study(given: str | None, paths: Sequence[Path]) -> str:
    """What recorded runs are called as one study: as --study says, or as the folder that is given, or that the first of
    several inputs lies in. Raises BadParameter."""
    if given is None:
        first = paths[0].absolute()
        return shown_name(first if first.is_dir() else first.parent)
    if not (given and given.isprintable()):
        raise typer.BadParameter(f"{given!r}, expected a name in one line", param_hint="--study")
    return given


def show(text: str) -> None:
    """Print one line of a result for a person. Raises SinkError where standard output does not take it."""
    print(shown(text), flush=True)


def show_json(document: dict[str, Any]) -> None:
    """Print one line of a result for a program: UTF-8 whatever the terminal is. Raises SinkError as show() does."""
    sys.stdout.buffer.write(json_line(document).encode() + b"\n")
    sys.stdout.buffer.flush()


def say(text: str) -> None:
    """Tell the user something that is no result: one line on standard error, with our name; JSON where logs are."""
    if writes_json():
        _log.info("%s", text)
    else:
        print(f"cathrt: {shown(text)}", file=sys.stderr, flush=True)
