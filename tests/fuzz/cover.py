"""Which inputs of a corpus are worth keeping: each reaches a pair of lines of our own that no shorter one reaches.

libFuzzer's own merge starts its program anew, which it cannot do from Python. Not for: finding inputs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from types import CodeType, FrameType
from typing import Any

_OURS = "/runtime/"
Pair = tuple[CodeType, int, int]  # two lines that ran one after the other


def smallest_cover(check: Callable[[bytes], None], inputs: Iterable[bytes]) -> list[bytes]:
    """The inputs, shortest first, that add to what those before reached. check must end well on each."""
    kept: list[bytes] = []
    reached: set[Pair] = set()
    for data in sorted(inputs, key=lambda data: (len(data), data)):
        pairs = _reached(check, data)
        if not pairs <= reached:
            reached |= pairs
            kept.append(data)
    return kept


def _reached(check: Callable[[bytes], None], data: bytes) -> set[Pair]:
    pairs: set[Pair] = set()

    def called(frame: FrameType, _event: str, _argument: Any) -> Callable[..., Any] | None:
        if _OURS not in frame.f_code.co_filename or "/site-packages/" in frame.f_code.co_filename:
            return None
        before = frame.f_lineno

        def ran(frame: FrameType, event: str, _argument: Any) -> Callable[..., Any]:
            nonlocal before
            if event == "line":
                pairs.add((frame.f_code, before, frame.f_lineno))
                before = frame.f_lineno
            return ran

        return ran

    tracing = sys.gettrace()
    sys.settrace(called)
    try:
        check(data)
    finally:
        sys.settrace(tracing)
    return pairs
