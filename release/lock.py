"""Writes deploy/requirements.lock: one version of every package of the core install, with the hashes of its wheels.

`python -m release.lock` asks pip what it would install, for every supported Python and machine, and writes what all of
them agree on. Hosts of package indexes never appear in the file. Not for: installing (docs/operations.md).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "deploy" / "requirements.lock"
PYTHONS = ("3.11", "3.12", "3.13")
# Of each machine, the oldest C library (the 31 of glibc 2.31) that all packages have wheels for, and a recent one: pip
# takes the newest wheel that fits, and some packages have one for each.
GLIBCS = {"x86_64": (31, 36), "aarch64": (35, 36)}
_OLDEST_GLIBC = 5
_OLD_NAMES = {5: "manylinux1", 12: "manylinux2010", 17: "manylinux2014"}


@dataclass(frozen=True, slots=True)
class Target:
    """Where wheels are to run. glibc: the 31 of 2.31."""

    python: str
    machine: str
    glibc: int

    def platforms(self) -> Iterator[str]:
        """Tags of wheels that run there: pip takes each one literally."""
        for minor in range(self.glibc, _OLDEST_GLIBC - 1, -1):
            yield f"manylinux_2_{minor}_{self.machine}"
            if minor in _OLD_NAMES:
                yield f"{_OLD_NAMES[minor]}_{self.machine}"
        yield f"linux_{self.machine}"


TARGETS = tuple(
    Target(python, machine, glibc) for python in PYTHONS for machine, glibcs in GLIBCS.items() for glibc in glibcs
)


@dataclass(frozen=True, slots=True)
class Locked:
    """One package of the lock. hashes: sha256 of its wheels, of all targets."""

    name: str
    version: str
    hashes: frozenset[str]


def core_requirements(project: Path = ROOT / "pyproject.toml") -> list[str]:
    """The dependencies of the default install, as pyproject.toml has them."""
    found: list[str] = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["dependencies"]
    return found


def packages_in(report: Mapping[str, Any]) -> list[Locked]:
    """What an installation report of pip names. Raises ValueError where a package is not a hashed file of an index."""
    found = []
    for item in report["install"]:
        name, version = canonicalize_name(item["metadata"]["name"]), item["metadata"]["version"]
        origin = item["download_info"]
        sha256 = origin.get("archive_info", {}).get("hashes", {}).get("sha256")
        if not origin["url"].startswith("https://") or sha256 is None:
            raise ValueError(
                f"{name} {version}: found {origin['url']}, expected a file of a package index with its hash: unset "
                "find-links and local indexes (PIP_FIND_LINKS, PIP_EXTRA_INDEX_URL, pip.conf)"
            )
        found.append(Locked(name, version, frozenset({sha256})))
    return found


def merged(resolutions: Iterable[Sequence[Locked]]) -> list[Locked]:
    """The union of what each target needs. Raises ValueError where two of them want different versions."""
    versions: dict[str, str] = {}
    hashes: dict[str, set[str]] = {}
    for resolution in resolutions:
        for one in resolution:
            if versions.setdefault(one.name, one.version) != one.version:
                raise ValueError(
                    f"{one.name}: found {versions[one.name]} and {one.version}, expected one version everywhere: "
                    "bound it in pyproject.toml"
                )
            hashes.setdefault(one.name, set()).update(one.hashes)
    return [Locked(name, versions[name], frozenset(hashes[name])) for name in sorted(versions)]


def lock_text(packages: Sequence[Locked]) -> str:
    """The lock as pip reads it with --require-hashes."""
    places = " and ".join(f"{machine} with glibc 2.{glibcs[0]} or later" for machine, glibcs in GLIBCS.items())
    lines = [
        f"# Made by `python -m release.lock`: the core install of cathrt, for CPython {', '.join(PYTHONS)} on Linux,",
        f"# {places}.",
        "# pip install --require-hashes --no-deps -r requirements.lock",
    ]
    for one in packages:
        lines += [f"{one.name}=={one.version} \\", *_hash_lines(sorted(one.hashes))]
    return "\n".join(lines) + "\n"


def _hash_lines(hashes: Sequence[str]) -> Iterator[str]:
    for number, sha256 in enumerate(hashes, 1):
        yield f"    --hash=sha256:{sha256}" + (" \\" if number < len(hashes) else "")


def locked_in(text: str) -> list[Locked]:
    """What a lock names; the inverse of lock_text()."""
    found = []
    for entry in text.replace("\\\n", " ").splitlines():
        if not entry.strip() or entry.startswith("#"):
            continue
        pinned, *options = entry.split()
        name, _, version = pinned.partition("==")
        found.append(Locked(name, version, frozenset(one.removeprefix("--hash=sha256:") for one in options)))
    return found


def resolved(target: Target, requirements: Sequence[str], constraints: Sequence[Locked]) -> list[Locked]:
    """Ask pip what it would install there. Raises CalledProcessError, ValueError."""
    with tempfile.TemporaryDirectory() as scratch:
        limits = Path(scratch, "constraints.txt")
        limits.write_text("".join(f"{one.name}=={one.version}\n" for one in constraints), encoding="ascii")
        report = Path(scratch, "report.json")
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet"]
        command += ["--report", str(report), "--only-binary", ":all:", "--target", str(Path(scratch, "none"))]
        command += ["--implementation", "cp", "--python-version", target.python, "--constraint", str(limits)]
        for platform in target.platforms():
            command += ["--platform", platform]
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("PIP_FIND", "PIP_EXTRA"))}
        environment["PIP_CONFIG_FILE"] = os.devnull  # no local index of this machine: its files are not everybody's
        subprocess.run([*command, *requirements], check=True, env=environment)
        return packages_in(json.loads(report.read_bytes()))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m release.lock", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=LOCK, help="file to write; default: deploy/requirements.lock")
    parser.add_argument("--keep", action="store_true", help="keep the versions of the lock that is there")
    arguments = parser.parse_args()
    first = locked_in(LOCK.read_text(encoding="ascii")) if arguments.keep else []
    resolutions: list[list[Locked]] = []
    for target in TARGETS:
        print(f"CPython {target.python}, {target.machine}, glibc 2.{target.glibc}", file=sys.stderr)
        known = {one.name: one for resolution in [first, *resolutions] for one in resolution}
        resolutions.append(resolved(target, core_requirements(), list(known.values())))
    packages = merged(resolutions)
    arguments.out.write_text(lock_text(packages), encoding="ascii")
    print(f"{arguments.out}: {len(packages)} packages, {sum(len(one.hashes) for one in packages)} wheels")
    return 0


if __name__ == "__main__":
    sys.exit(main())
