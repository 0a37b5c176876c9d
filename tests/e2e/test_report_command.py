"""`cathrt report` as a user types it, with a signed bundle of random weights: judged, drafted, withheld aloud."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cathrt.runtime.alert import WATERMARK, WATERMARK_JA
from cathrt.runtime.phantom import PhantomSource, sample_scene
from cathrt.runtime.phantom.dicom import write_xa
from tests.docs.records_page import unlike_page
from tests.e2e.commands import cathrt


def test_without_bundles_the_demonstrations_judge_and_write(lab: Path) -> None:
    done = cathrt("report", lab / "phantom study" / "left.dcm", "--json")
    assert done.returncode in (0, 9), done.stderr  # 9: withheld
    *_, record = done.records
    assert (record["type"], record["preliminary"]) == ("draft", True)
    assert record["draft"]["facts"]["sides"] == ["left"]


@pytest.mark.parametrize("name", ["", "a\nb"])
def test_a_study_has_a_name_in_one_line(tmp_path: Path, name: str) -> None:
    done = cathrt("report", tmp_path, "--study", name)
    assert done.returncode == 2
    assert "expected a name in one line" in done.stderr


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a report bundle, a configuration that trusts it, and a study of one run of each side."""
    from cathrt.export.bundle.sign import public_key
    from tests.export.models.report import tiny_gemma
    from tests.models.report.tiny_bundle import KEY, TINY, tiny_report_bundle

    folder = tmp_path_factory.mktemp("lab")
    tiny_report_bundle(folder, tiny_gemma.tiny_vlm(TINY, 6))
    (folder / "lab.toml").write_text(f'[trust]\nkeys = ["{public_key(KEY)}"]\n')
    (folder / "phantom study").mkdir()
    for side, seed in (("left", 90_000_000), ("right", 90_000_001)):
        scene = sample_scene(seed, side=side, kind="coronary", matrix=256)  # type: ignore[arg-type]
        phantom = PhantomSource(replace(scene, frame_count=min(scene.frame_count, 60)))
        write_xa(phantom.run, phantom.render, folder / "phantom study" / f"{side}.dcm")
    return folder


def arguments(lab: Path) -> list[str | Path]:
    return ["report", lab / "phantom study", "--bundle", lab / "bundle", "--config", lab / "lab.toml"]


@pytest.mark.slow
def test_a_draft_of_random_weights_is_withheld_with_its_facts_and_hashes_in_the_record(lab: Path) -> None:
    done = cathrt(*arguments(lab), "--json")
    assert done.returncode == 9, done.stderr
    *_, record = done.records
    assert unlike_page(record) == []
    draft = record["draft"]
    assert (record["type"], record["study"], record["preliminary"]) == ("draft", "phantom study", True)
    assert draft["facts"]["sides"] == ["left", "right"]  # by the grammar: what is confirmed is all that it can write
    assert [frame["side"] for frame in draft["key_frames"]] == ["left", "right"]
    assert (draft["text"], draft["text_ja"]) == (None, None)
    assert "was not finished within" in draft["withheld"]
    assert all(len(draft[name]) == 64 for name in ("manifest_sha256", "findings_sha256", "prompt_sha256"))


@pytest.mark.slow
def test_a_person_sees_both_watermarks_and_the_journal_keeps_one_draft(lab: Path, tmp_path: Path) -> None:
    journal = tmp_path / "day.journal"
    first = cathrt(*arguments(lab), "--journal", journal)
    assert first.returncode == 9, first.stderr
    assert WATERMARK in first.stdout
    assert WATERMARK_JA in first.stdout
    assert "withheld: " in first.stdout
    again = cathrt(*arguments(lab), "--journal", journal, "--study", "phantom study")
    assert (again.returncode, again.stdout) == (first.returncode, first.stdout)
    verified = cathrt("verify", journal, "--json")
    assert (verified.returncode, verified.records[0]["drafts"]) == (0, 1)


@pytest.mark.slow
def test_another_engine_writes_it_too_and_the_bundle_alone_judges_no_frame(lab: Path) -> None:
    done = cathrt(*arguments(lab), "--json", "--engine", "onnxruntime")
    assert done.returncode == 9, done.stderr
    assert done.records[-1]["draft"]["engine"] == "onnxruntime"
    refused = cathrt("replay", *arguments(lab)[1:])
    assert refused.returncode == 3
    assert "a report model judges no single frames: leave it out here" in refused.stderr
