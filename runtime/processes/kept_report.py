"""A report in shared memory whose writer goes on where it cannot be written: what nobody can read stops nobody's work.

Not for: where reports are (state_folder.py), or reports without which a command must not begin.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any

from cathrt.runtime.errors import SinkError
from cathrt.runtime.processes.state_folder import StateFolder

_log = logging.getLogger(__name__)


class KeptReport:
    """One report of one process. Not thread-safe."""

    def __init__(self, state: StateFolder, of: str) -> None:
        self._state, self._of = state, of
        self._told: dict[str, Any] | None = None
        self._fault = ""

    def write(self, document: Mapping[str, Any]) -> bool:
        """Put the report in its place, and return whether it is there. A fault is logged once."""
        try:
            self._state.write_report(self._of, document)
        except SinkError as exc:
            self._told = None
            if str(exc) != self._fault:
                _log.error("no report of %s, the work goes on: %s", self._of, exc)
            self._fault = str(exc)
            return False
        if self._fault:
            _log.warning("the report of %s can be written again", self._of)
        self._told, self._fault = dict(document), ""
        return True

    def keep(self, document: Mapping[str, Any]) -> None:
        """Write it where it says something else by now, could not be written, or is gone. Cheap: a look at a file."""
        if self._told != document or not os.path.exists(self._state.report(self._of)):
            self.write(document)
