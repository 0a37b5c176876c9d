"""The release: checks, tests, sdist, wheels, each wheel tried, bill of materials, checksums. All of it lands in dist/.

`python -m release.recipe`, or `make release`. Supported interpreters that this machine lacks are named, and the release
holds no wheel for them. Publishing, and the tag, are left to a person.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from release.checks import faults_of, version_of
from release.interpreters import interpreters
from release.lock import LOCK, PYTHONS
from release.trial import try_wheel

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m release.recipe", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--python", action="append", default=[], help="an interpreter to use; may be given again")
    parser.add_argument("--untagged", action="store_true", help="before the tag is made")
    parser.add_argument("--rehearse", action="store_true", help="go on where a check fails; leave out the tests")
    arguments = parser.parse_args()
    if faults := list(faults_of(ROOT, tagged=not arguments.untagged)):
        for fault in faults:
            _say(f"not ready: {fault}")
        if not arguments.rehearse:
            return 1
    found = interpreters(PYTHONS, arguments.python)
    for missing in (version for version in PYTHONS if version not in found):
        _say(f"no CPython {missing} on this machine: no wheel is built or tried for it")
    if not found:
        return 1
    if not arguments.rehearse:
        subprocess.run(["make", "check", "test", "test-slow"], check=True, cwd=ROOT)
    shutil.rmtree(DIST, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "build", "--sdist", "--outdir", str(DIST), str(ROOT)], check=True)
    build_and_try(found)
    shutil.copy(LOCK, DIST / LOCK.name)
    (DIST / "SHA256SUMS").write_text("".join(sums_of(sorted(DIST.iterdir()))), encoding="ascii")
    _say(f"{DIST}: {', '.join(sorted(path.name for path in DIST.iterdir()))}")
    return 0


def build_and_try(found: dict[str, str]) -> None:
    """Wheels out of the sdist for each interpreter that none is there for yet, each tried with all that take it."""
    version = version_of(ROOT)
    (sdist,) = DIST.glob("*.tar.gz")
    for number, (python_version, python) in enumerate(found.items()):
        wheel = wheel_for(python_version, sorted(DIST.glob("*.whl")))
        if wheel is None:
            command = [python, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(DIST), str(sdist)]
            subprocess.run(command, check=True)
            wheel = wheel_for(python_version, sorted(DIST.glob("*.whl")))
        if wheel is None:
            raise ValueError(
                f"found no wheel for CPython {python_version} after building one: see the build's messages"
            )
        with tempfile.TemporaryDirectory() as scratch:
            site = try_wheel(wheel, python, Path(scratch, "trial"), version)
            _say(f"{wheel.name}: works with CPython {python_version}")
            if number == 0:
                out = DIST / f"cathrt-{version}.cdx.json"
                command = [sys.executable, "-m", "release.sbom", "--site", str(site), "--out", str(out)]
                subprocess.run(command, check=True, cwd=ROOT)


def wheel_for(python_version: str, wheels: Sequence[Path]) -> Path | None:
    """The wheel that an interpreter takes: made for it, or for the stable ABI of an earlier one."""
    mine = tuple(map(int, python_version.split(".")))
    for wheel in wheels:
        _, _, python_tag, abi_tag, _ = wheel.stem.split("-")
        theirs = (int(python_tag[2]), int(python_tag[3:]))
        if theirs == mine or (abi_tag == "abi3" and theirs <= mine):
            return wheel
    return None


def sums_of(paths: Sequence[Path]) -> Iterator[str]:
    """Lines as sha256sum writes and checks them."""
    for path in paths:
        yield f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"


def _say(line: str) -> None:
    print(f"release: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
