"""The files of the page: HTML, scripts, styles, fonts, words. Nothing of a patient is in them.

They are read once, at the start. Not for: the API.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from cathrt.runtime.errors import ConfigError
from cathrt.runtime.web.access.guard import Refusal
from cathrt.runtime.web.part.errors import RefusedError

FOLDER = Path(__file__).resolve().parent / "static"
SHELL = "index.html"
_MEDIA = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".woff2": "font/woff2",
}


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file. etag: changes with its content."""

    content: bytes
    media: str
    etag: str


def read_static(folder: Path) -> Mapping[str, StaticFile]:
    """All files below the folder, by their path in it. Raises ConfigError: one is of a kind that no page has."""
    files = {}
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.name.startswith("."):
            continue
        media = _MEDIA.get(path.suffix.lower(), _MEDIA[".txt"] if path.suffix == "" else None)
        if media is None:
            raise ConfigError(f"{path}: found the suffix {path.suffix!r}, expected one of {', '.join(_MEDIA)}")
        content = path.read_bytes()
        etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        files[path.relative_to(folder).as_posix()] = StaticFile(content, media, etag)
    if SHELL not in files:
        raise ConfigError(f"{folder}: found no {SHELL}: this install lacks the page, install cathrt again")
    return files


class StaticFiles:
    """The ASGI application of / and /static/{path}."""

    def __init__(self, files: Mapping[str, StaticFile]) -> None:
        self._files = files

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        if request.method not in ("GET", "HEAD"):
            refused = RefusedError(
                405, f"found the method {request.method[:20]!r}, expected GET", {"allow": "GET, HEAD"}
            )
            await Refusal(refused)(scope, receive, send)
            return
        path = request.path_params.get("path", SHELL)
        file = self._files.get(path)
        if file is None:
            await Refusal(RefusedError(404, f"found no file {path[:60]!r} of the page: open /"))(scope, receive, send)
            return
        headers = {"etag": file.etag, "cache-control": "no-cache"}
        if file.etag in [tag.strip() for tag in request.headers.get("if-none-match", "").split(",")]:
            response = Response(status_code=304, headers=headers)
        else:
            response = Response(file.content, headers={**headers, "content-type": file.media})
        await response(scope, receive, send)
