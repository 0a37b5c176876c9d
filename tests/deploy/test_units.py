"""The systemd units: systemd takes them, they fit what `cathrt run` needs, and let it reach little else."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from cathrt.runtime.config import SupervisorConfig
from cathrt.runtime.errors import ConfigError, ManifestError
from cathrt.runtime.processes.priority import LIVE_NICE
from cathrt.runtime.processes.restarts import patience_with
from tests.conftest import ROOT
from tests.docs.commands_named import faults_of_command

UNITS = sorted((ROOT / "deploy" / "systemd").glob("cathrt*"))
SERVICES = [path for path in UNITS if path.suffix == ".service"]
MOST_EXPOSED = 2.5  # of 10, as systemd-analyze counts; 2.0 and 1.1 today
ANALYZE = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(
    ANALYZE is None, reason="no systemd-analyze on this machine: apt-get install systemd"
)


def settings(name: str) -> dict[str, str]:
    """Of [Service]; the last of settings that stand there several times."""
    parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(ROOT / "deploy" / "systemd" / name, encoding="utf-8")
    return dict(parser["Service"])


def runnable(unit: Path, folder: Path) -> Path:
    """The unit with a program that is there, since cathrt is not installed under /opt here."""
    text = re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", unit.read_text(encoding="utf-8"), flags=re.MULTILINE)
    copy = folder / unit.name
    copy.write_text(text, encoding="utf-8")
    return copy


@needs_systemd
@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_systemd_takes_each_unit_without_a_word(unit: Path, tmp_path: Path) -> None:
    for other in UNITS:
        runnable(other, tmp_path)
    command = [str(ANALYZE), "verify", "--man=no", str(tmp_path / unit.name)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@needs_systemd
@pytest.mark.parametrize("unit", SERVICES, ids=lambda path: path.name)
def test_a_service_reaches_little_else(unit: Path, tmp_path: Path) -> None:
    command = [str(ANALYZE), "security", "--offline=true", str(runnable(unit, tmp_path))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    exposed = re.search(r"exposure level for \S+: ([\d.]+)", done.stdout)
    assert exposed, done.stdout + done.stderr
    assert float(exposed[1]) <= MOST_EXPOSED


@pytest.mark.parametrize("unit", SERVICES, ids=lambda path: path.name)
def test_the_command_of_a_service_exists_with_its_flags(unit: Path) -> None:
    program, *words = settings(unit.name)["ExecStart"].split()
    assert Path(program).name == "cathrt"
    assert not faults_of_command(["cathrt", *words])


def test_the_service_waits_longer_than_the_drain_and_than_a_process_may_hang() -> None:
    unit, config = settings("cathrt.service"), SupervisorConfig()
    assert int(unit["TimeoutStopSec"]) > 2 * config.drain_s
    assert int(unit["WatchdogSec"]) > patience_with("live").hung_s
    assert int(unit["TimeoutStartSec"]) > patience_with("live").started_s


def test_ends_that_a_restart_would_only_repeat_are_not_restarted() -> None:
    unit = settings("cathrt.service")
    assert set(unit["RestartPreventExitStatus"].split()) == {
        "2",
        str(ConfigError.exit_code),
        str(ManifestError.exit_code),
    }


def test_the_priorities_that_the_live_process_asks_for_are_granted() -> None:
    unit = settings("cathrt.service")
    assert (unit["LimitNICE"], unit["LimitRTPRIO"]) == (str(LIVE_NICE), "1")
    assert "RestrictRealtime" not in unit
    assert "MemoryDenyWriteExecute" not in unit  # OpenVINO's CPU plugin compiles its kernels at run time


def test_the_decoders_walls_can_be_put_up_under_the_services_filter() -> None:
    calls = settings("cathrt.service")["SystemCallFilter"].split()
    assert {"@system-service", "seccomp", "landlock_create_ruleset", "landlock_restrict_self"} <= set(calls)
