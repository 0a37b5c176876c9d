"""What must hold before anything is built: a clean tree, the tag of the version, its section in the changelog.

Not for: the tests, which the recipe runs (recipe.py).
"""

from __future__ import annotations

import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

from release.changelog import section_of


def version_of(root: Path) -> str:
    """The version, which pyproject.toml alone has; code asks importlib.metadata."""
    found: str = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    return found


def faults_of(root: Path, *, tagged: bool) -> Iterator[str]:
    """What is wrong with the checkout at `root`, in words. tagged: whether the version's tag must be there."""
    version = version_of(root)
    if changed := _git(root, "status", "--porcelain").splitlines():
        yield f"the tree is not clean: {len(changed)} files, {changed[0].strip()} first: commit them"
    tags = _git(root, "tag", "--points-at", "HEAD").split()
    if tagged and f"v{version}" not in tags:
        yield f"HEAD has the tags {tags or 'none'}, expected v{version}: git tag -a v{version}"
    try:
        section_of((root / "CHANGELOG.md").read_text(encoding="utf-8"), version)
    except ValueError as exc:
        yield str(exc)


def _git(root: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", str(root), *words], check=True, capture_output=True, text=True).stdout
