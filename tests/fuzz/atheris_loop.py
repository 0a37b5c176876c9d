"""One fuzzing process: python -m tests.fuzz.atheris_loop TARGET [libFuzzer's arguments]. Started by __main__.py.

Instruments our own code and pydicom. An end that is not allowed stops the process, and libFuzzer writes the input to
its artifact folder.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from types import FunctionType

import atheris

from tests.fuzz.targets import TARGETS

_INSTRUMENTED = ("cathrt.", "pydicom.")


def _reached(check: Callable[[bytes], None], seeds: list[bytes]) -> None:
    """Run the seeds once, so that everything is imported that is imported late."""
    for seed in seeds:
        check(seed)


def _instrument() -> None:
    """Patch the functions themselves: an editable install has import hooks of its own, which atheris's do not see."""
    for found in gc.get_objects():
        if isinstance(found, FunctionType) and (found.__module__ or "").startswith(_INSTRUMENTED):
            atheris.instrument_func(found)


def main() -> None:
    """Fuzz until libFuzzer's limit."""
    target = TARGETS[sys.argv.pop(1)]
    _reached(target.check, list(target.seeds()))
    _instrument()
    atheris.Setup(sys.argv, target.check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
