"""A request that is refused, with the status and the one line that it is answered with.

Not for: errors of the runtime (errors.py), which the page answers with 503.
"""

from __future__ import annotations

from collections.abc import Mapping


class RefusedError(Exception):
    """status: of HTTP. message: what was found, expected, and what to do; never with data of a patient."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.headers = status, dict(headers or {})
