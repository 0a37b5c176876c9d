"""`cathrt run`: watches live sources and judges received runs until it is told to stop.

Not for: starting and watching the processes (processes/supervisor.py).
"""

from __future__ import annotations

import os
import threading
from contextlib import ExitStack
from dataclasses import asdict
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


def run_command(
    state: Annotated[
        Path,
        typer.Argument(readable=False, help="Folder of the journals and of received runs; made if it is not there."),
    ],
    bundle: BundlesOption = None,
    json_: JsonOption = False,
    config: ConfigOption = None,
    seconds: Annotated[float | None, typer.Option(min=0.0, help="Stop after so long. Default: never.")] = None,
) -> None:
    """Watch live sources, receive runs, and judge both until told to stop.

    Prints alerts and run summaries as they become durable, live and confirmed ones. Stop it with Ctrl-C or SIGTERM:
    frames in hand end as verdicts first. `cathrt health STATE` tells how it is.
    """
    from cathrt.runtime.commands.shown_journals import ShownJournals
    from cathrt.runtime.line.ladder_opening import check_rungs
    from cathrt.runtime.outlets.opening import require_outlets
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

    manager = service_manager(os.environ, os.getpid())
    settings = settings_from(config, None)
    given = given_bundles(bundle or (), settings)  # what is refused is refused here, before anything is started
    check_rungs(given.on_frames, settings)
    if given.writer is not None:
        open_writer(given.writer, settings)
    for reader in given.readers:
        open_reader(reader, settings)
    for source in settings.sources:
        tap_opening(source, settings.limits)
    require_outlets(settings.outlets)
    if settings.log.format == "json":
        set_up_log("run", settings.log)
    folder = StateFolder(state)
    with ExitStack() as stack:
        stack.enter_context(folder.supervised())
        folder.make()
        folder.require_room(settings.supervisor.reserve_mib)
        given_config = None if config is None else str(config.absolute())
        reports: dict[str, dict[str, Any]] = {
            CONFIGURED: asdict(settings),
            GIVEN: {"config": given_config, "bundles": [str(path.absolute()) for path in bundle or ()]},
        }
        for of, document in reports.items():
            folder.write_report(of, document)
        stopped = stack.enter_context(stopped_by_signals())
        shown = stack.enter_context(ShownJournals(folder, json_=json_))

        def told(event: ProcessEvent) -> None:
            shown.tell({"type": "process", **asdict(event), "notice": NOTICE}, event.text)

        arguments = ProcessArguments(folder, config, tuple(bundle or ()), os.getpid())
        commands = {name: command_of(name, arguments) for name in PROCESSES}
        if seconds is not None:
            timer = threading.Timer(seconds, stopped.stop.set)
            timer.daemon = True
            timer.start()
            stack.callback(timer.cancel)
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
    raise typer.Exit(code or (shown.failure.exit_code if shown.failure else 0))
