"""FrameStream's load "report": drafts without end, in a process of the idle class, from a report bundle."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from benchmarks.frame_stream.consumer import LINE
from benchmarks.frame_stream.loads import drafts, under
from benchmarks.frame_stream.pictures import open_pictures, write_pictures
from benchmarks.frame_stream.plan import Gathered, Key, Plan
from benchmarks.frame_stream.rows import headline
from benchmarks.frame_stream.schedule import Pauses
from benchmarks.frame_stream.setting import Setting
from benchmarks.measure import Heartbeat
from cathrt.export.bundle.sign import public_key
from cathrt.runtime.config import EngineConfig
from cathrt.runtime.models.report.records import ReportDraft
from cathrt.runtime.models.report.writer import ReportWriter
from tests.conftest import ROOT
from tests.export.models.report.tiny_gemma import tiny_vlm
from tests.models.report.tiny_bundle import KEY, TINY, tiny_report_bundle


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    """With a report bundle of a tiny random network, and two pictures."""
    folder, pictures = tmp_path_factory.mktemp("report"), tmp_path_factory.mktemp("pictures")
    tiny_report_bundle(folder, tiny_vlm(TINY)).close()
    write_pictures(pictures, 2)
    return Setting("", (public_key(KEY),), str(pictures), threads=1, report_bundle=str(folder / "bundle"))


def test_each_draft_is_of_another_study_and_of_pictures_not_seen_before(setting: Setting) -> None:
    with setting.opened_report_bundle() as bundle:
        writer = ReportWriter(bundle, EngineConfig("onnxruntime"), None)
        made: Iterator[object] = drafts(writer, open_pictures(Path(setting.pictures)))
        first, second = islice(made, 2)
        writer.close()
    assert isinstance(first, ReportDraft)
    assert isinstance(second, ReportDraft)
    shown = [{one.run_id for one in draft.key_frames} for draft in (first, second)]
    assert shown[0]
    assert shown[0].isdisjoint(shown[1])
    assert first.facts_times is not None, "the networks have answered"


def test_the_load_runs_until_it_is_ended_and_leaves_nothing(setting: Setting, tmp_path: Path) -> None:
    with under("report", setting, tmp_path):
        (folder,) = tmp_path.iterdir()
    assert not folder.exists()


def test_a_load_without_its_bundle_says_so(setting: Setting, tmp_path: Path) -> None:
    wrong = Setting("", (), setting.pictures, report_bundle=setting.report_bundle)
    with pytest.raises(SystemExit, match="the load report did not start"):
        with under("report", wrong, tmp_path):  # whose key is not trusted
            pass


def test_the_line_beside_drafts_has_a_key_of_its_own() -> None:
    plan = Plan(15.0, 1.0, 1, Pauses(2.0, 3.0), "report", 66.7, 150.0, (LINE,))
    with Heartbeat() as heartbeat:
        heartbeat.finish()
        last = headline(plan, {Key("steady", LINE): Gathered()}, heartbeat)
    assert last["headline"]["live_p99_with_report_vs_without"] is None  # nothing was gathered
    assert not [key for key in last["headline"] if key.endswith("_vs_quiet")]


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(600)
def test_the_line_runs_beside_drafts(setting: Setting) -> None:
    command = [sys.executable, "-m", "benchmarks.frame_stream", "--quick", "--json", "--implementations", LINE]
    command += ["--cases", "steady", "--load", "report", "--report-bundle", setting.report_bundle]
    command += ["--trust-key", *setting.trusted_keys]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=590, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    *found, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert {row["load"]: row["sent"] for row in found if row["stage"] == "to reader"} == {"none": 40, "report": 40}
    assert last["headline"]["frames_accounted"] == 1.0
    assert "live_p99_with_report_vs_without" in last["headline"]
