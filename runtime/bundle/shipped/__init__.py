"""The bundle that ships with cathrt, and the public key it is signed with.

Its weights come from generated angiograms and serve to show the line at work. Not for: reading patients' angiograms.
"""

from __future__ import annotations

from pathlib import Path

from cathrt.runtime.errors import ManifestError

FOLDER = Path(__file__).parent.absolute()
_KEY = "demonstration.pub"


def demonstration_bundle() -> Path:
    """Folder of the shipped bundle, to be opened like any other. Raises ManifestError where this install lacks it."""
    folder = FOLDER / "demonstration"
    if not folder.is_dir():
        raise ManifestError(f"{folder}: the demonstration bundle is missing: install cathrt again, or name a bundle")
    return folder


def shipped_keys() -> tuple[str, ...]:
    """Public keys (hex) whose bundles this version of cathrt trusts by itself: that of the demonstration."""
    try:
        return ((FOLDER / _KEY).read_text(encoding="ascii").strip(),)
    except OSError as exc:
        raise ManifestError(
            f"{FOLDER / _KEY}: {exc.strerror}: install cathrt again, or name a bundle and trust.keys"
        ) from exc
