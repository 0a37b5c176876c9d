"""The Containerfile: no root, one place to write, the lock alone, and it says that it was not built."""

from __future__ import annotations

import json
import re
import tomllib

from tests.conftest import ROOT
from tests.docs.commands_named import faults_of_command

TEXT = (ROOT / "deploy" / "container" / "Containerfile").read_text(encoding="utf-8")


def instruction(name: str) -> str:
    found = re.findall(rf"^{name} (.*)$", TEXT, re.MULTILINE)
    assert len(found) == 1, name
    return str(found[0])


def test_it_says_that_it_was_not_built() -> None:
    assert "was NOT built or run where this repository is developed" in TEXT


def test_it_runs_as_a_user_of_its_own_with_the_state_as_the_only_volume() -> None:
    assert instruction("USER") == "cathrt"
    assert instruction("VOLUME") == "/var/lib/cathrt"
    assert TEXT.index("\nUSER") > TEXT.index("useradd --system")
    assert {"--read-only", "--shm-size=64m", "--cap-drop=all"} <= set(TEXT.split())


def test_it_installs_hashed_wheels_and_asks_no_index() -> None:
    installs = [line for line in TEXT.splitlines() if "pip install" in line]
    assert installs
    assert all("--no-index" in line and "--no-deps" in line for line in installs)
    assert "--require-hashes" in installs[0]


def test_its_commands_exist_and_its_python_is_supported() -> None:
    entry, command = json.loads(instruction("ENTRYPOINT")), json.loads(instruction("CMD"))
    assert not faults_of_command([*entry, *command])
    (health,) = re.findall(r"CMD (\[.*health.*\])", TEXT)
    assert not faults_of_command(json.loads(health))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (minor,) = set(re.findall(r"python:3\.(\d+)-slim", TEXT))
    assert int(minor) >= int(project["requires-python"].removeprefix(">=3."))
