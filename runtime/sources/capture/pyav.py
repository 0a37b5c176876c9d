"""PyAV as live taps use it. Not for: anything that does not need PyAV to be there."""

from __future__ import annotations

from typing import Any

from cathrt.runtime.errors import SourceError


def load_pyav() -> Any:
    """The module `av`, with FFmpeg's log on, which tells of lost data. Raises SourceError where it is not installed."""
    try:
        import av
        import av.subtitles.stream  # PyAV itself imports it late, when it opens a container
    except ImportError as exc:
        raise SourceError(
            "live video needs PyAV, which is not installed: pip install '.[video]' in a clone of cathrt, or "
            "pip install 'FILE.whl[video]' of its wheel"
        ) from exc
    av.logging.set_level(av.logging.INFO)
    av.logging.set_skip_repeated(False)  # the second picture that is damaged in the same way is damaged too
    return av


def said(exc: Exception) -> str:
    """What FFmpeg says of an error, without the address, which may hold a password."""
    if type(exc).__name__ == "ExitError":
        return "no answer in time"
    return str(getattr(exc, "strerror", None) or type(exc).__name__)
