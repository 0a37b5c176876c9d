"""The bundles that ship with cathrt, and the public keys they are signed with.

Their weights come from generated angiograms and serve to show the line at work. Not for: reading patients' angiograms.
"""

from __future__ import annotations

from pathlib import Path

from cathrt.runtime.errors import ManifestError

FOLDER = Path(__file__).parent.absolute()
_JUDGES, _WRITES, _READS = "demonstration", "demonstration_drafts", "demonstration_studies"


def demonstration_bundle() -> Path:
    """Folder of the shipped bundle that judges frames, to be opened like any other.

    Raises ManifestError where this install lacks it.
    """
    return _folder(_JUDGES)


def demonstration_drafts_bundle() -> Path:
    """Folder of the shipped bundle that writes drafts. Raises ManifestError where this install lacks it."""
    return _folder(_WRITES)


def demonstration_studies_bundle() -> Path:
    """Folder of the shipped bundle that reads studies. Raises ManifestError where this install lacks it."""
    return _folder(_READS)


def shipped_keys() -> tuple[str, ...]:
    """Public keys (hex) whose bundles this version of cathrt trusts by itself: those of the demonstrations."""
    return tuple(map(_key, (_JUDGES, _WRITES, _READS)))


def _folder(name: str) -> Path:
    folder = FOLDER / name
    if not folder.is_dir():
        raise ManifestError(f"{folder}: the demonstration bundle is missing: install cathrt again, or name a bundle")
    return folder


def _key(name: str) -> str:
    path = FOLDER / f"{name}.pub"
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError as exc:
        raise ManifestError(f"{path}: {exc.strerror}: install cathrt again, or name a bundle and trust.keys") from exc
