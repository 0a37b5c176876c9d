"""`cathrt doctor`: how a decoder is confined on this machine. A process confines itself as a decoder does and reports.

Not for: what each wall refuses (sources/confinement.py; docs/sources.md).
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from cathrt.runtime.commands.doctor_check import Check, Figures
from cathrt.runtime.engines.asked_child import ask_child, how_it_ended

_PROGRAM = ("-P", "-m", "cathrt.runtime.sources.decoder.confinement")
_WITHIN_S = 20.0
# What a file that takes a decoder over could do where this wall is missing.
_WITHOUT = {
    "seccomp": "use UDP and, as root, start processes: use x86-64 or aarch64 and a kernel with CONFIG_SECCOMP_FILTER",
    "landlock": "do nothing more while the filter stands: Linux 5.13 with Landlock switched on has a second wall",
}
_WITHOUT_BOTH = "read every file of this user and use the network: use Linux 5.13 or later with seccomp and Landlock"


def walls_check(*, program: Sequence[str] = _PROGRAM) -> Check:
    """ "missing" where no decoder starts, "warn" where a wall is missing.

    program: arguments to the child's Python; another one is only of use to tests.
    """
    name = "decoder walls"
    try:
        child = ask_child(program, _WITHIN_S)
    except TimeoutError:
        return Check(name, "missing", f"no process could be confined within {_WITHIN_S:g} s", {})
    if child.returncode != 0:
        return Check(name, "missing", f"confining a process ended with {how_it_ended(child)}: no file is read", {})
    walls = json.loads(child.stdout)
    figures: Figures = {"seccomp": int(walls["seccomp"]), "landlock": int(walls["landlock"])}
    standing = ["resource limits", *(["seccomp"] if walls["seccomp"] else [])]
    standing += [f"Landlock {walls['landlock']}"] if walls["landlock"] else []
    missing = [wall for wall in _WITHOUT if not walls[wall]]
    if not missing:
        return Check(name, "ok", ", ".join(standing), figures)
    could = _WITHOUT_BOTH if len(missing) == 2 else _WITHOUT[missing[0]]
    detail = f"{', '.join(standing)}; no {' and no '.join(missing)}: a file that takes a decoder over could {could}"
    return Check(name, "warn", detail, figures)
