"""Which live source a run is of: its name and a time of day (line/live_run.py).

Not for: runs that were received, which are called by a UID.
"""

from __future__ import annotations

import re
from collections.abc import Iterable


def source_of_run(run: str, sources: Iterable[str]) -> str | None:
    """The source; None for a run of none of them."""
    return next((name for name in sources if re.fullmatch(rf"{re.escape(name)} \d\d:\d\d:\d\d", run)), None)
