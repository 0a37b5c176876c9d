"""`cathrt doctor`: does the line open? Bundle, engine and fallback are opened by the function that replay uses; one
that writes drafts by the one that report uses.

`python -m cathrt.runtime.commands.doctor_line REQUEST` does it, in a process of its own since a vendor's code may crash
or hang, and answers with one JSON line. Not for: judging frames.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

from cathrt.runtime.commands.doctor_check import Check
from cathrt.runtime.config import Config, config_from_document
from cathrt.runtime.engines.asked_child import ask_child, how_it_ended
from cathrt.runtime.errors import CathrtError

_PROGRAM = ("-m", "cathrt.runtime.commands.doctor_line")
OPENED_WITHIN_S = 180.0  # TensorRT-RTX finishes its plans on the device, and there may be a fallback


def line_check(
    config: Config, bundle: Path, *, within_s: float = OPENED_WITHIN_S, program: Sequence[str] = _PROGRAM
) -> Check:
    """ "missing" with the reason where replay would end with it, "warn" where another engine would stand in.

    program: arguments to the child's Python; another one is only of use to tests.
    """
    request = json.dumps({"config": asdict(config), "bundle": str(bundle)})
    wanted = config.engine.label + (f" with {config.engine.fallback} as fallback" if config.engine.fallback else "")
    try:
        child = ask_child([*program, request], within_s)
    except TimeoutError:
        return Check("line", "missing", f"{wanted}: not opened within {within_s:g} s: choose another engine", {})
    lines = child.stdout.splitlines()
    if child.returncode not in (0, 1) or not lines:
        return Check("line", "missing", f"{wanted}: opening it ended with {how_it_ended(child)}", {})
    answer = json.loads(lines[-1])
    command = answer["command"]
    if "error" in answer:
        return Check("line", "missing", f"{command} refuses it: {answer['error']}", {"error": answer["kind"]})
    if answer["engine"] != config.engine.label:
        why = (child.stderr.strip().splitlines() or ["no reason given"])[-1]
        return Check("line", "warn", f"opens as {answer['engine']}: {why}", {"engine": answer["engine"]})
    return Check("line", "ok", f"{command} opens it: {wanted}", {"engine": answer["engine"]})


def main(request: str) -> int:
    """Open the line as replay does, or what reads or drafts studies, close it; print its engine's name, or why not."""
    from cathrt.runtime.commands.options import bundle_at
    from cathrt.runtime.line.replay import opened_line
    from cathrt.runtime.models import MODELS, open_reader, open_writer, policies

    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    asked, command = json.loads(request), "replay"
    try:
        config = config_from_document(asked["config"], policies(), origin="doctor")
        bundle = bundle_at(Path(asked["bundle"]), config)
        on_studies = MODELS[bundle.manifest.kind].on_studies
        if on_studies is not None:
            command, open_ = ("report", open_writer) if on_studies.writer is not None else ("study", open_reader)
            with closing(open_(bundle, config)) as opened:
                opened.prepare()
            print(json.dumps({"engine": config.engine.label, "command": command}))
            return 0
        with opened_line([bundle], config, "realtime") as line:
            engines = ", ".join(served.engine.name for served in line.models)
        print(json.dumps({"engine": engines, "command": command}))
    except CathrtError as exc:
        print(json.dumps({"error": str(exc), "kind": type(exc).__name__, "command": command}))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
