"""`cathrt run`: watches live sources and judges received runs until it is told to stop.

Not for: starting and watching the processes (processes/supervisor.py).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from cathrt.runtime.alert import NOTICE
from cathrt.runtime.commands.options import (
    BundlesOption,
    ConfigOption,
    JsonOption,
    say,
    settings_from,
)
from cathrt.runtime.models import given_bundles, open_reader, open_writer

_VISITOR_S = 5.0  # for what is in hand of it, at the stop


def run_command(
    state: Annotated[
        Path | None,
        typer.Argument(readable=False, help="Folder of the journals and of received runs; made if it is not there."),
    ] = None,
    bundle: BundlesOption = None,
    json_: JsonOption = False,
    config: ConfigOption = None,
    seconds: Annotated[float | None, typer.Option(min=0.0, help="Stop after so long. Default: never.")] = None,
    demo: Annotated[
        bool,
        typer.Option(
            "--demo",
            help="Show the page with a generated live source and generated runs, without a login. Without STATE: in a "
            "temporary folder.",
        ),
    ] = False,
) -> None:
    """Watch live sources, receive runs, and judge both until told to stop.

    Prints alerts and run summaries as they become durable, live and confirmed ones. Stop it with Ctrl-C or SIGTERM:
    frames in hand end as verdicts first. `cathrt health STATE` tells how it is.
    """
    if demo:
        from cathrt.runtime.commands.run_demo import DemoVisitor, demo_box

        with demo_box(state, settings_from(config, None)) as box:
            started = Started(box.state, bundle or list(box.bundles), box.config, partial(DemoVisitor, box))
            code = _run(started, json_=json_, seconds=seconds)
    elif state is None:
        raise typer.BadParameter("give a folder for journals and received runs, or --demo", param_hint="STATE")
    else:
        code = _run(Started(state, bundle or [], config), json_=json_, seconds=seconds)
    raise typer.Exit(code)


@dataclass(frozen=True, slots=True)
class Started:
    """What it is started with. visitor: makes a thread that comes to see it, given what to stop by and how to speak."""

    state: Path
    bundles: Sequence[Path]
    config: Path | None
    visitor: Callable[[threading.Event, Callable[[str], None]], threading.Thread] | None = None


def _run(started: Started, *, json_: bool, seconds: float | None) -> int:
    """Run until told to stop. Returns the exit code. Raises CathrtError."""
    from cathrt.runtime.commands.shown_journals import ShownJournals
    from cathrt.runtime.line.ladder_opening import check_rungs
    from cathrt.runtime.outlets.audit_receiver import connection_to
    from cathrt.runtime.outlets.opening import require_outlets
    from cathrt.runtime.pictures.layout import pictures_mib
    from cathrt.runtime.processes.child import ProcessArguments, command_of
    from cathrt.runtime.processes.counts_file import read_counts
    from cathrt.runtime.processes.health import CONFIGURED
    from cathrt.runtime.processes.log_lines import set_up_log
    from cathrt.runtime.processes.restarts import ProcessEvent
    from cathrt.runtime.processes.service_manager import service_manager
    from cathrt.runtime.processes.state_folder import GIVEN, StateFolder
    from cathrt.runtime.processes.stop_event import stopped_by_signals
    from cathrt.runtime.processes.supervisor import PROCESSES, Supervisor
    from cathrt.runtime.sources.capture.open_tap import tap_opening
    from cathrt.runtime.web.access.safety import require_safe

    manager = service_manager(os.environ, os.getpid())
    config = started.config
    settings = settings_from(config, None)
    given = given_bundles(started.bundles, settings)  # what is refused is refused here, before anything is started
    check_rungs(given.on_frames, settings)
    if given.writer is not None:
        open_writer(given.writer, settings)
    for reader in given.readers:
        open_reader(reader, settings)
    for source in settings.sources:
        tap_opening(source, settings.limits)
    require_outlets(settings.outlets)
    if settings.page.enabled:
        require_safe(settings)
    connection_to(settings.audit)
    if settings.log.format == "json":
        set_up_log("run", settings.log)
    folder = StateFolder(started.state)
    with ExitStack() as stack:
        stack.enter_context(folder.supervised())
        folder.make()
        folder.require_room(settings.supervisor.reserve_mib, pictures_mib(settings))
        given_config = None if config is None else str(config.absolute())
        reports: dict[str, dict[str, Any]] = {
            CONFIGURED: asdict(settings),
            GIVEN: {"config": given_config, "bundles": [str(path.absolute()) for path in started.bundles]},
        }
        for of, document in reports.items():
            folder.write_report(of, document)
        stopped = stack.enter_context(stopped_by_signals())
        shown = stack.enter_context(ShownJournals(folder, json_=json_))

        def told(event: ProcessEvent) -> None:
            shown.tell({"type": "process", **asdict(event), "notice": NOTICE}, event.text)

        arguments = ProcessArguments(folder, config, tuple(started.bundles), os.getpid())
        commands = {name: command_of(name, arguments) for name in PROCESSES}
        if seconds is not None:
            timer = threading.Timer(seconds, stopped.stop.set)
            timer.daemon = True
            timer.start()
            stack.callback(timer.cancel)
        if started.visitor is not None:
            visitor = started.visitor(stopped.stop, say)
            visitor.start()
            stack.callback(visitor.join, _VISITOR_S)
        supervisor = Supervisor(commands, folder, settings.supervisor, told, manager=manager, given=reports)
        code = supervisor.run(stopped)
        if manager.failure:
            say(manager.failure)
        shown.finish()
        for source in settings.sources:
            if (counts := read_counts(folder.counts(source.name))) is not None:
                shown.show_document({"type": "counts", "source": source.name, **counts.figures(), "notice": NOTICE})
                shown.show_line(f"source {source.name}: {counts.in_words()}")
        if code == 0:
            folder.dismiss_memory()
    return code or (shown.failure.exit_code if shown.failure else 0)
