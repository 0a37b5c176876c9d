"""The stub driver seen from the process that runs on it: what to break, what is alive, what was called.

Loads the very library that cuda.bindings has loaded. Only for child processes that build.run_under_stub starts.
"""

from __future__ import annotations

import ctypes
import json
import re
from dataclasses import dataclass
from pathlib import Path

# What the stub can be told to answer: the table it is compiled with.
RESULTS = {
    name: int(number)
    for name, number in re.findall(r"^RESULT\((\w+), (\d+)\)", (Path(__file__).parent / "results.h").read_text(), re.M)
}
_REPORT_BYTES = 1 << 14


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong: the nth call of what `what` names (a call, a class of calls, "any") ends in `result`.

    sticky: and so does every call after it. later: that call succeeds, and the work it queued fails when it is done.
    hang: the call never returns, nor does any after it; with later, the work it queued never ends.
    """

    what: str
    nth: int
    result: int = 0
    sticky: bool = False
    later: bool = False
    hang: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """live: objects by kind. misuses: frees of what was not alive. lost: the fatal error, or 0. calls: since reset().

    struck: the call at which the fault fell, "" if at none yet; struck_at: the how-manieth it was of all.
    """

    live: dict[str, int]
    misuses: int
    first_misuse: str
    lost: int
    struck: str
    struck_at: int
    calls: dict[str, int]


class Stub:
    """Raises OSError where libcuda.so.1 is not the stub."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL("libcuda.so.1")
        if not hasattr(self._library, "stub_report"):
            raise OSError("libcuda.so.1 is not the stub: start this process with build.run_under_stub")
        self._library.stub_count.restype = ctypes.c_long
        self._library.stub_set_budget.argtypes = [ctypes.c_size_t]
        self._library.stub_fail.argtypes = [ctypes.c_char_p, ctypes.c_long, *[ctypes.c_int] * 4]

    def reset(self, fault: Fault | None = None, budget: int | None = None) -> None:
        """Forget counts, faults and a loss; break `fault` from now on, and allow `budget` bytes of device memory."""
        self._library.stub_reset()
        if fault is not None:
            how = (fault.result, fault.sticky, fault.later, fault.hang)
            self._library.stub_fail(fault.what.encode(), fault.nth, *how)
        if budget is not None:
            self._library.stub_set_budget(budget)

    def count(self, what: str) -> int:
        """Calls since reset() that `what` names, as in Fault."""
        return int(self._library.stub_count(what.encode()))

    def report(self) -> Report:
        text = ctypes.create_string_buffer(_REPORT_BYTES)
        self._library.stub_report(text, _REPORT_BYTES)
        return Report(**json.loads(text.value))
