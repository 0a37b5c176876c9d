"""Real processes: an engine that hangs is replaced within a second; a bundle is swapped in without a missed frame, and
a corrupt one is refused while the old one goes on."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cathrt.export.bundle.sign import public_key, write_bundle
from cathrt.runtime.config import Config
from cathrt.runtime.journal.head import Head
from cathrt.runtime.journal.reader import JournalReader
from cathrt.runtime.journal.report import verify_journal
from cathrt.runtime.models import record_parts, trusted_bundle
from cathrt.runtime.processes.state_folder import StateFolder
from tests.conftest import ROOT
from tests.docs.records_page import unlike_page
from tests.e2e.running_box import PATIENCE_S, Box

SWITCH_MS = 1000.0
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def records(state: StateFolder) -> list[dict[str, Any]]:
    """What is durable of the live journal."""
    if not state.live_journal.exists():
        return []
    reader, place, found = JournalReader(state.live_journal), Head(), []
    while batch := reader.read(place):
        found += [json.loads(followed.stored.body) for followed in batch]
        place = batch[-1].place
    reader.close()
    return found


def until(what: Callable[[], object], child: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not what():
        assert child.poll() is None, "it has ended"
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.05)


def changes(state: StateFolder) -> list[tuple[str, str, str | None]]:
    return [(one["what"], one["reason"], one["to_engine"]) for one in records(state) if one["type"] == "engine"]


def judged_by(state: StateFolder) -> set[str]:
    return {found["engine"] for one in records(state) if one["type"] == "verdict" for found in one["findings"]}


def test_a_live_process_whose_engine_hangs_judges_on_the_next_rung_within_a_second_and_comes_back(
    tmp_path: Path,
) -> None:
    state = StateFolder(tmp_path / "state")
    config = tmp_path / "live.toml"
    config.write_text(
        '[engine]\nname = "openvino"\nfallback = "onnxruntime"\nthreads = 1\n'
        "[ladder]\nhang_ms = 400.0\nback_after_s = 1.0\n"
        '[[sources]]\nname = "A"\nkind = "phantom"\nrate_hz = 15.0\nbudget_ms = 5000.0\n'
        'address = "seed=3 matrix=64 pause_s=1 rate_hz=15 frames=30"\n'
    )
    command = [sys.executable, "-m", "tests.e2e.hanging_live", str(state.path), "--config", str(config)]
    with (tmp_path / "err").open("wb") as err:
        child = subprocess.Popen(command, stderr=err, cwd=ROOT)
    try:
        until(lambda: judged_by(state) == {"openvino"}, child)
        (state.path / "hang").touch()
        until(lambda: ("down", "hung", "onnxruntime") in changes(state), child)
        until(lambda: "onnxruntime (fallback for openvino)" in judged_by(state), child)
        (state.path / "hang").unlink()
        until(lambda: changes(state)[-1] == ("up", "healthy", "openvino"), child)
        child.terminate()
        assert child.wait(PATIENCE_S) == 0, (tmp_path / "err").read_text()
    finally:
        child.kill()
        child.wait()
    found = records(state)
    down = next(one for one in found if one["type"] == "engine" and one["what"] == "down")
    assert unlike_page(down) == []
    assert down["took_ms"] <= SWITCH_MS
    assert sum(one["type"] == "verdict" and one["outcome"] == "FAILED" for one in found) <= 1
    assert verify_journal(state.live_journal, record_parts()).sound


@dataclass
class SwapBox(Box):
    """A box that trusts the tests' key."""

    def _config(self) -> str:
        return (
            super()._config()
            + f'\n[trust]\nkeys = ["{public_key(KEY)} tests"]\n[swap]\nshadow_frames = 30\nwatch_frames = 45\n'
        )

    def swap(self, bundle: Path, *more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "cathrt.runtime.commands.cli", "swap", str(self.state.path), str(bundle)]
        return subprocess.run([*command, *more], capture_output=True, text=True, timeout=600.0, check=False)


@pytest.fixture
def box(tmp_path: Path) -> Iterator[SwapBox]:
    made = SwapBox(tmp_path / "box")
    made.start()
    yield made
    made.end()


def renamed(folder: Path) -> Path:
    """The demonstration bundle under another name, which is another bundle."""
    shipped = trusted_bundle(None, Config())
    files = {name: shipped.path / name for name in shipped.manifest.files}
    return write_bundle(folder, replace(shipped.manifest, name="renamed", files={}), files, KEY)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_bundle_is_swapped_in_at_15_fps_without_a_missed_frame_and_outlives_restarts(
    box: SwapBox, tmp_path: Path
) -> None:
    new, corrupt = renamed(tmp_path / "new"), renamed(tmp_path / "corrupt")
    model = bytearray((corrupt / "model.onnx").read_bytes())
    model[len(model) // 2] ^= 1
    (corrupt / "model.onnx").write_bytes(model)
    box.wait_for(lambda: box.met() > 5)

    refused = box.swap(corrupt)
    assert refused.returncode == 5, refused.stdout + refused.stderr
    assert "refused" in refused.stdout
    before = box.met()
    box.wait_for(lambda: box.met() > before)

    done = box.swap(new, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert not [fault for answer in answers for fault in unlike_page(answer)]
    assert answers[-1]["phase"] == "kept"

    manifest = trusted_bundle(new, Config(trust=replace(Config().trust, keys=(f"{public_key(KEY)} tests",))))
    box.kill("live")
    before = box.met()
    box.wait_for(lambda: box.met() > before + 5)
    assert box.stop() == 0, box.said

    found = records(box.state)
    whats = [one["what"] for one in found if one["type"] == "engine"]
    assert whats == ["started", "refused", "loaded", "compared", "swapped", "kept", "started"]
    ends = [one["outcome"] for one in found if one["type"] == "verdict"]
    assert set(ends) <= {"MET", "DUPLICATE"}, "a frame was missed"
    passes = [one["models"][0]["manifest_sha256"] for one in found if one["type"] == "pass"]
    first = passes.index(manifest.manifest_sha256)
    assert set(passes[first:]) == {manifest.manifest_sha256}, "also after the kill"
    assert verify_journal(box.state.live_journal, record_parts()).sound
