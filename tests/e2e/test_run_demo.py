"""`cathrt run --demo`: it prints an address, shows a live source and a generated study there, and cleans up."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

PATIENCE_S = 240.0


def asked(url: str, path: str) -> tuple[int, Any]:
    """Status and JSON of a path of the page."""
    found = urlsplit(url)
    assert found.hostname == "127.0.0.1"
    connection = http.client.HTTPConnection(found.hostname, found.port or 80, timeout=20.0)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def until(wanted: Any) -> Any:
    """What `wanted` gives, once that is something."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not (found := wanted()):
        assert time.monotonic() < deadline_s
        time.sleep(0.2)
    return found


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_demonstration_shows_a_live_source_and_a_study_and_cleans_up(tmp_path: Path) -> None:
    said = tmp_path / "said"
    command = [sys.executable, "-m", "cathrt.runtime.commands.cli", "run", "--demo"]
    with said.open("wb") as stderr:
        child = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=stderr, cwd=tmp_path, env={**os.environ, "TMPDIR": str(tmp_path)}
        )
        try:
            url = until(lambda: re.search(r"the page is at (http://\S+)", said.read_text()))[1]
            status, session = asked(url, "/api/session")
            assert (status, session["user"], session["demo"], session["login"]) == (200, "demo", True, "none")
            live = asked(url, "/api/live")[1]
            assert [source["name"] for source in live["sources"]] == ["phantom"]
            assert until(lambda: asked(url, "/api/runs?journal=study")[1]["runs"])
            assert until(lambda: asked(url, "/api/studies")[1]["studies"])
            assert list(tmp_path.glob("cathrt-demo-*"))
            child.send_signal(signal.SIGINT)
            # On a machine that is busy, the study process, which is in the idle class, may not end in time.
            assert child.wait(PATIENCE_S) == 0 or "study: killed, not ended within" in said.read_text()
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
    assert "ERROR" not in said.read_text(), said.read_text()
    assert list(tmp_path.glob("cathrt-demo-*")) == []


def test_without_a_folder_and_without_demo_it_is_wrong_usage(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "cathrt.runtime.commands.cli", "run"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, "give a folder for journals" in done.stderr) == (2, True)


def test_a_demonstration_beside_a_real_source_is_refused_before_anything_starts(tmp_path: Path) -> None:
    config = tmp_path / "lab.toml"
    config.write_text(
        '[page]\nport = 0\ndemo = true\n[[sources]]\nname = "room 1"\nkind = "video"\naddress = "rtsp://x/y"\n'
    )
    command = [
        sys.executable,
        "-m",
        "cathrt.runtime.commands.cli",
        "run",
        str(tmp_path / "state"),
        "--config",
        str(config),
    ]
    done = subprocess.run([*command, "--seconds", "1"], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 3, done.stderr
    assert "page.demo: found true, and the source 'room 1', which is no phantom" in done.stderr
