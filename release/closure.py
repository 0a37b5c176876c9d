"""The core install as it is in this environment: its packages, their licences, and the native libraries inside them.

What metadata do not say is in libraries.toml, read by a person. Not for: writing it down (sbom.py, licences.py).
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

TABLE = Path(__file__).with_name("libraries.toml")
_NATIVE = re.compile(r"\.so(\.|$)")
# A crate's sources, as its panics name them in a binary.
_CRATE = re.compile(rb"registry/src/[^/\0]+/([A-Za-z0-9_-]+?)-(\d+\.\d+\.\d+[A-Za-z0-9.+-]*)/")
_CRATES_LICENCE = "MIT OR Apache-2.0"


@dataclass(frozen=True, slots=True)
class Part:
    """A library inside a wheel. version: "" where the wheel does not say it. inside: the file that holds it."""

    name: str
    version: str
    licence: str
    inside: str


@dataclass(frozen=True, slots=True)
class Package:
    """A package of the core install. requires: canonical names. notices: its own texts on licences of its parts."""

    name: str
    version: str
    licence: str
    summary: str
    requires: tuple[str, ...]
    parts: tuple[Part, ...]
    notices: tuple[str, ...]


def core_packages(site: Path | None = None) -> list[Package]:
    """`cathrt` and all that it needs without any extra, by name.

    site: the folder of packages of another environment of this Python; None: this one. Raises ValueError where a
    package is missing, or a licence or a shared object is not accounted for in the table.
    """
    table = read_table()
    found: dict[str, Package] = {}
    waiting = ["cathrt"]
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name not in found:
            found[name] = package_of(name, _installed(name, site), table)
            waiting += found[name].requires
    return [found[name] for name in sorted(found)]


def read_table() -> dict[str, Any]:
    """libraries.toml."""
    return tomllib.loads(TABLE.read_text(encoding="utf-8"))


def _installed(name: str, site: Path | None) -> Distribution:
    context = {} if site is None else {"path": [str(site)]}
    found = next(iter(Distribution.discover(name=name, **context)), None)
    if found is None:
        raise ValueError(f"{name}: not installed, expected the whole core install: pip install it first")
    return found


def package_of(name: str, found: Distribution, table: Mapping[str, Any]) -> Package:
    """One installed package with what is in its wheel. Raises ValueError as core_packages() does."""
    about = table.get(name, {})
    licence = found.metadata.get("License-Expression") or table["packages"].get(name)
    if licence is None:
        raise ValueError(f"{name}: no licence expression in its metadata: read its licence, add it to {TABLE.name}")
    needed = [Requirement(line) for line in found.requires or ()]
    requires = sorted(
        {canonicalize_name(one.name) for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})}
    )
    paths = [Path(str(found.locate_file(path))) for path in found.files or ()]
    notices = sorted(_matching([str(path) for path in found.files or ()], about.get("notices", ())))
    return Package(
        name, found.version, licence, found.metadata["Summary"], tuple(requires),
        (*_tabled(name, paths, about), *_listed(paths, about), *_crates(paths, about, table["crates"])),
        tuple(notices),
    )  # fmt: skip


def _tabled(name: str, paths: Sequence[Path], about: Mapping[str, Any]) -> Iterator[Part]:
    """Libraries of the table, each held against the files that are there."""
    files = {path.name for path in paths}
    native = {file for file in files if _NATIVE.search(file)}
    left = native - set(_matching(native, about.get("own", ())))
    for row in about.get("libraries", ()):
        patterns = row.get("files", [row.get("inside")])
        held = sorted(_matching(files, patterns))
        if not held:
            raise ValueError(f"{name}: {row['name']}: no file {patterns} in the wheel: correct {TABLE.name}")
        left -= set(held)
        yield Part(row["name"], "", row["licence"], held[0])
    if left:
        raise ValueError(f"{name}: {', '.join(sorted(left))}: no line in {TABLE.name}: read its licence, then add it")


def _listed(paths: Sequence[Path], about: Mapping[str, Any]) -> Iterator[Part]:
    """Parts that the wheel's own bill of materials names."""
    for path in paths:
        if path.parent.name == "sboms" and path.name in about.get("sboms", ()):
            for one in json.loads(path.read_bytes()).get("components", ()):
                said = [entry.get("expression") or entry["license"]["id"] for entry in one["licenses"]]
                yield Part(one["name"], one["version"], " AND ".join(said), path.name)


def _crates(paths: Sequence[Path], about: Mapping[str, Any], licences: Mapping[str, str]) -> Iterator[Part]:
    """Rust crates that a binary names, where the wheel has no list of them: at least these are in it."""
    if not about.get("crates"):
        return
    for path in (path for path in paths if _NATIVE.search(path.name)):
        for crate, version in sorted(set(_CRATE.findall(path.read_bytes()))):
            known = licences.get(crate.decode(), _CRATES_LICENCE)
            yield Part(crate.decode(), version.decode(), known, path.name)


def _matching(names: Sequence[str] | set[str], patterns: Sequence[str]) -> list[str]:
    """By the last part of the name and of the pattern."""
    last = [pattern.rpartition("/")[2] for pattern in patterns]
    return [one for one in names if any(fnmatch(one.rpartition("/")[2], pattern) for pattern in last)]
