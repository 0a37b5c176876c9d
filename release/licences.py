"""Writes docs/licences.md: the licence of every package of the core install, and of every library inside its wheels.

`python -m release.licences` writes the page out of this environment. Versions are in the bill of materials (sbom.py).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from release.closure import Package, core_packages
from release.copyleft import reach

PAGE = Path(__file__).resolve().parent.parent / "docs" / "licences.md"
_HEAD = """\
# Licences

What the core install holds, by package: its licence, and the native libraries inside its wheel, read from the wheel
itself. Made by `python -m release.licences`; a test holds it against the installed packages, and a shared object that
nobody has accounted for fails it. With versions and hashes: the bill of materials of each release
(`cathrt-VERSION.cdx.json`, CycloneDX 1.6). cathrt's own wheel holds none of these but its own part: pip fetches the
others, and a [wheelhouse](operations.md#without-a-network) hands them on as their authors built them.
"""
_COPYLEFT = """\
## Copyleft

No package or library of the core install obliges a program that uses it to be under the GPL. These have terms of that
family. Those of GCC are shared objects of their own in the wheels named, so they can be exchanged as the LGPL asks;
Eigen is headers, used unchanged:
"""
_LIBRARY = "covers changes to the library itself"
_EXCEPTED = "the exception lets any program use the library as compiled by GCC"
_EXTRAS = """\
Where a library offers a choice, as FreeType and liblzf do, cathrt uses it under the permissive one.

Extras are outside the core install. `[video]` is PyAV, whose wheels carry FFmpeg with x264 and x265, which are
GPL-2.0-or-later: whoever hands on an installation with it does so under the GPL. `[gpu]` and TensorRT are under
NVIDIA's own licence. Neither is pulled in by default ([decision 0002](decisions/0002-dependencies.md)).
"""


def page_of(packages: Sequence[Package]) -> str:
    """The whole page."""
    lines = [_HEAD, "## Packages\n", "| package | licence | libraries in its wheel |", "|---|---|---|"]
    lines += [f"| {one.name} | {one.licence} | {_inside(one)} |" for one in packages]
    lines += ["", "## Libraries\n", "| in | library | licence |", "|---|---|---|"]
    lines += [row for one in packages for row in library_rows(one)]
    lines += ["", _COPYLEFT, "| library | licence | so |", "|---|---|---|", *_copyleft(packages), "", _EXTRAS.rstrip()]
    return "\n".join(lines) + "\n"


def library_rows(package: Package) -> Iterator[str]:
    """Rows of the libraries in one wheel; of its Rust crates, which have versions, only what licences they have."""
    for part in package.parts:
        if not part.version:
            yield f"| {package.name} | {part.name} | {part.licence} |"
    if crates := sorted({part.licence for part in package.parts if part.version}):
        yield f"| {package.name} | Rust crates, listed in the bill of materials | {'; '.join(crates)} |"


def _inside(package: Package) -> str:
    tabled = sum(not part.version for part in package.parts)
    crates = "Rust crates" if tabled < len(package.parts) else ""
    return " and ".join(one for one in (str(tabled) if tabled else "", crates) if one) or "none"


def _copyleft(packages: Sequence[Package]) -> Iterator[str]:
    said = {"library": _LIBRARY, "excepted": _EXCEPTED}
    for package in packages:
        for name, licence in ((package.name, package.licence), *((part.name, part.licence) for part in package.parts)):
            if (how := said.get(reach(licence))) is not None:
                yield f"| {name}, in {package.name} | {licence} | {how} |"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m release.licences", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=PAGE, help="file to write; default: docs/licences.md")
    arguments = parser.parse_args()
    arguments.out.write_text(page_of(core_packages()), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
