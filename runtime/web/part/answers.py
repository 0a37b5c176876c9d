"""Answers of the page's API: JSON in UTF-8.

Not for: files of the page itself (static_files.py), streams.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import Any

from starlette.responses import Response

from cathrt.runtime.outside.plain_text import json_line

JSON = "application/json"


def json_answer(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`content` as JSON: a dataclass, or what JSON has. NaN and infinity are our bug: ValueError."""
    document = asdict(content) if is_dataclass(content) and not isinstance(content, type) else content
    return Response(json_line(document).encode(), status, headers, JSON)
