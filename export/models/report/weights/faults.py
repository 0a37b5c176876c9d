"""Lists of names in error messages, of a length that can still be read."""

from __future__ import annotations

from collections.abc import Sequence

from cathrt.runtime.sources.syntax import printable

_LISTED = 12


def listed(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(printable(name, 160) for name in names[:_LISTED]) + more


def lines(faults: Sequence[str]) -> str:
    """The same, one to a line, indented."""
    more = f"\n  and {len(faults) - _LISTED} more" if len(faults) > _LISTED else ""
    return "".join(f"\n  {printable(fault, 240)}" for fault in faults[:_LISTED]) + more
