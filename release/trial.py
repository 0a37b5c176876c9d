"""Tries a wheel as a laboratory would: in a new environment that holds the lock's packages and the wheel, nothing else.

Not for: tests of the checkout.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from release.lock import LOCK

_RUN = ("--seed", "7", "--runs", "1", "--matrix", "128", "--frames", "12", "--rate-hz", "15")


def try_wheel(wheel: Path, python: str, folder: Path, version: str) -> Path:
    """Install and use it; returns the environment's folder of packages.

    folder: to be made. Raises CalledProcessError where a command fails, ValueError where its answer is wrong.
    """
    subprocess.run([python, "-m", "venv", str(folder)], check=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--quiet", "install", "--no-deps"]
    subprocess.run([*pip, "--require-hashes", "--only-binary", ":all:", "-r", str(LOCK)], check=True)
    subprocess.run([*pip, str(wheel)], check=True)
    subprocess.run([str(folder / "bin" / "python"), "-m", "pip", "check"], check=True)
    said = _cathrt(folder, "--version")
    if version not in said.split():
        raise ValueError(f"{wheel.name}: --version says {said.strip()!r}, expected {version}")
    study = folder / "study"
    _cathrt(folder, "phantom", *_RUN, "--out", str(study))
    records = [json.loads(line) for line in _cathrt(folder, "replay", str(study), "--json").splitlines()]
    verdicts = [record for record in records if record["type"] == "verdict"]
    if len(verdicts) != 12 or {record["outcome"] for record in verdicts} - {"MET", "DUPLICATE"}:
        raise ValueError(f"{wheel.name}: found {len(verdicts)} verdicts on a run of 12 frames, expected 12, each MET")
    (site,) = folder.glob("lib/python*/site-packages")
    return site


def _cathrt(folder: Path, *words: str) -> str:
    command = [str(folder / "bin" / "cathrt"), *words]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=folder).stdout
