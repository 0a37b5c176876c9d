"""The benchmark of exports: its headline is of its rows, and an export that breaks off is no figure."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from benchmarks import export


def row(precision: str, folder: Path, runs: int) -> dict[str, Any]:
    """What one export gives, without exporting."""
    assert (folder / "my.key").is_file()
    assert runs == 2
    return {"impl": precision, "wall_s": {"fp32": 200.0, "int8": 90.0}[precision], "cpu_s": 300.0}


def test_the_headline_is_the_time_of_the_first_and_of_the_second_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "export", row)
    *found, headline = export.rows(2)
    assert [entry["impl"] for entry in found] == ["fp32", "int8"]
    assert headline["headline"] == {
        "export_atto_s": 200.0,
        "export_second_precision_s": 90.0,
        "export_atto_cpu_s": 300.0,
        "export_second_precision_cpu_s": 300.0,
    }


def test_an_export_that_failed_is_no_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failed(command: list[str], **how: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 6, "", "engine lost")

    monkeypatch.setattr(export.subprocess, "run", failed)
    with pytest.raises(SystemExit, match="ended with 6: engine lost"):
        export.export("fp32", tmp_path, 2)


def test_a_row_tells_what_was_compared_so_that_an_early_end_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = tmp_path / "report"
    report.mkdir()
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "a").write_bytes(bytes(1 << 20))
    (report / "qualification.json").write_text(json.dumps({"judge_set": {"runs": 3, "frames": 200}}))
    told = {"fidelity": "failed", "worth": "not enough evidence", "report": str(report)}

    def done(command: list[str], **how: Any) -> subprocess.CompletedProcess[str]:
        assert command[command.index("--precision") + 1] == "int8"
        return subprocess.CompletedProcess(command, 10, '{"type": "stage"}\n' + json.dumps(told) + "\n", "")

    monkeypatch.setattr(export.subprocess, "run", done)
    found = export.export("int8", tmp_path, 240)
    assert (found["runs"], found["frames"], found["fidelity"], found["exit_code"]) == (3, 200, "failed", 10)
    assert found["kept_mib"] == 1.0
