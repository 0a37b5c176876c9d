"""The whole command on a handful of scenes: it stops, goes on, and writes the same bundle twice."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cathrt.export.bundle.sign import generate_key
from cathrt.export.models.keyframe.demo.train_keyframe import STOPPED, main
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.models import open_bundle

SCENES = ["--scenes", "3", "--validation-scenes", "3", "--test-scenes", "2", "--negative-scenes", "3"]
SMALL = [*SCENES, "--frames-per-scene", "3", "--outsiders", "8", "--steps", "2", "--batch", "8", "--workers", "1"]


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "test.key"
    generate_key(path)
    return path


def run(tmp_path: Path, key: Path, out: str, *more: str) -> int:
    threads = str(torch.get_num_threads())  # the command sets it for the whole process
    folders = ["--work", str(tmp_path / "work"), "--out", str(tmp_path / out), "--key", str(key)]
    return main([*SMALL, *folders, "--threads", threads, *more])


def test_out_of_time_it_keeps_a_checkpoint_and_writes_no_bundle(
    tmp_path: Path, key: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, key, "bundle", "--minutes", "0") == STOPPED
    assert "stopped at step 0 of 2" in capsys.readouterr().err
    assert (tmp_path / "work" / "checkpoint.safetensors").exists()
    assert not (tmp_path / "bundle").exists()


def test_an_existing_bundle_is_refused_before_any_work(
    tmp_path: Path, key: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bundle").mkdir()
    assert run(tmp_path, key, "bundle") == ConfigError.exit_code
    assert "exists already" in capsys.readouterr().err
    assert not (tmp_path / "work").exists()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_bundle_opens_and_the_same_work_gives_the_same_bytes(tmp_path: Path, key: Path) -> None:
    assert run(tmp_path, key, "first") == 0
    assert run(tmp_path, key, "second", "--resume") == 0
    signed_by = (tmp_path / "first" / "manifest.sig").read_text().split()[1]
    assert open_bundle(tmp_path / "first", [signed_by]).manifest.evidence["phantom_frames"]["frames"] > 0
    first, second = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("first", "second")
    )
    assert first == second
