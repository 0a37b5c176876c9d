"""The sections of CHANGELOG.md: one for what is not released yet, then one for each release with its date.

`python -m release.changelog VERSION --date YYYY-MM-DD` gives the first of them its version. Not for: writing them.
"""

from __future__ import annotations

import argparse
import re
import sys
from datetime import date
from pathlib import Path

CHANGELOG = Path(__file__).resolve().parent.parent / "CHANGELOG.md"
UNRELEASED = "## Unreleased"


def section_of(text: str, version: str) -> tuple[date, str]:
    """The date and the lines of a release. Raises ValueError where the changelog has none, or no date or line in it."""
    found = re.search(rf"^## {re.escape(version)} - (\S+)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    if found is None:
        raise ValueError(
            f'no section "## {version} - DATE" in the changelog: python -m release.changelog {version} --date DATE'
        )
    if not found[2].strip():
        raise ValueError(f"the changelog's section {version} is empty: write what has changed")
    return date.fromisoformat(found[1]), found[2].strip()


def released(text: str, version: str, on: date) -> str:
    """The changelog with the unreleased section under a version. Raises ValueError: there is nothing to release."""
    if text.count(UNRELEASED) != 1:
        raise ValueError(f"found {text.count(UNRELEASED)} times {UNRELEASED!r} in the changelog, expected it once")
    if re.search(rf"^## {re.escape(version)}\b", text, re.MULTILINE):
        raise ValueError(f"{version} is in the changelog already: take the next version")
    changed = text.replace(UNRELEASED, f"## {version} - {on.isoformat()}")
    section_of(changed, version)
    return changed


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m release.changelog", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("version", help="of the release, as in pyproject.toml")
    parser.add_argument("--date", type=date.fromisoformat, required=True, help="of the release, YYYY-MM-DD")
    arguments = parser.parse_args()
    text = CHANGELOG.read_text(encoding="utf-8")
    CHANGELOG.write_text(released(text, arguments.version, arguments.date), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
