"""Warnings on the terminal: the first of each kind at once, the others counted, the counts at the end.

An archive of a thousand runs may give the same warning a thousand times. What a later one was about is in the records:
the verdicts' reasons and the engine's name. Not for: results, or errors that end a command.
"""

from __future__ import annotations

import logging
from collections import Counter

_Kind = tuple[str, int, str]  # logger, level, message without its values


class WarnOnce(logging.Filter):
    """Lets the first message of each kind through. A kind: the same words from the same module, whatever the values."""

    def __init__(self) -> None:
        super().__init__()
        self._first: dict[_Kind, str] = {}
        self._further: Counter[_Kind] = Counter()

    def filter(self, record: logging.LogRecord) -> bool:
        kind = (record.name, record.levelno, str(record.msg))
        if kind in self._first:
            self._further[kind] += 1
            return False
        self._first[kind] = record.getMessage()
        return True

    def counts(self) -> list[str]:
        """A line for each kind that came more than once."""
        return [
            f"{count} more {'warning' if count == 1 else 'warnings'} like this one (see the records): "
            f"{self._first[kind]}"
            for kind, count in self._further.items()
        ]
