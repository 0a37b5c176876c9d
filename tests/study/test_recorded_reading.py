"""`cathrt study` as a user types it, with a signed bundle of tiny graphs: judged, read, drawn, and shown again."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.commands import study as command
from cathrt.runtime.commands.cli import app
from cathrt.runtime.config import Config
from cathrt.runtime.models import GivenBundles
from tests import lines
from tests.models.study.numpy_networks import SECTION
from tests.models.study.tiny_bundle import tiny_study_bundle
from tests.study.studies_read import left, run_file

TABLE = "[policy.study]\nmost_runs = 2\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three runs of one study, the last in time first by name; and one of fluoroscopy."""
    study = tmp_path / "study"
    study.mkdir()
    for name, number in (("a", 3), ("b", 1), ("c", 2)):
        (study / f"{name}.dcm").write_bytes(run_file(f"1.2.{number}", number))
    (study / "d.dcm").write_bytes(run_file("1.2.4", 4, _00181155=("CS", b"SC")))
    return study


@pytest.fixture
def bundles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Bundle]:
    """Two products; the line is one whose engine sees a left coronary artery in every frame."""
    from contextlib import contextmanager

    from cathrt.runtime.line import replay

    other = replace(SECTION, product="another")
    made = [tiny_study_bundle(tmp_path), tiny_study_bundle(tmp_path, other, "other tiny study")]
    monkeypatch.setattr(
        command, "given_bundles", lambda folders, config: GivenBundles((lines.BUNDLE,), None, tuple(made))
    )

    @contextmanager
    def opened(*_: object):  # type: ignore[no-untyped-def]
        yield lines.line(left)

    monkeypatch.setattr(replay, "opened_line", opened)
    return made


def test_the_study_is_read_by_each_product_and_drawn(
    folder: Path, bundles: list[Bundle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image

    config, picture, journal = tmp_path / "lab.toml", tmp_path / "counted.png", tmp_path / "journal"
    config.write_text(TABLE, encoding="utf-8")
    given = [
        "study",
        str(folder),
        "--json",
        "--picture",
        str(picture),
        "--journal",
        str(journal),
        "--config",
        str(config),
    ]
    monkeypatch.setattr(sys, "argv", ["cathrt"])
    first = CliRunner().invoke(app, given)
    assert first.exit_code == 0, first.output
    records = [json.loads(line) for line in first.stdout.splitlines() if line.startswith("{")]
    one, other = [record for record in records if record["type"] == "study"]
    names = {record["run_id"]: record["source"] for record in records if record["type"] == "run"}
    assert [(names[run["run_id"]], run["place"], run["why"]) for run in one["runs"]] == [
        ("b.dcm", 1, "counts"), ("c.dcm", 2, "counts"), ("a.dcm", None, "beyond"), ("d.dcm", None, "fluoroscopy"),
    ]  # fmt: skip
    assert (one["study"], one["provisional"], one["ended"], one["after_study_s"]) == ("study", False, None, None)
    assert [record["reading"]["product"] for record in (one, other)] == ["made up", "another"]
    assert sum(run["counted"] or 0.0 for run in one["runs"]) == pytest.approx(1.0)
    for path in (picture, tmp_path / "counted-2.png"):
        with Image.open(path) as image:
            assert image.width > 900
    again = CliRunner().invoke(app, given)
    assert [line for line in again.stdout.splitlines() if '"type":"study"' in line] == [
        line for line in first.stdout.splitlines() if '"type":"study"' in line
    ]


def test_a_person_is_shown_a_table_with_the_reason_of_each_run(folder: Path, bundles: list[Bundle]) -> None:
    done = CliRunner().invoke(app, ["study", str(folder), "--study", "case 7"])
    assert done.exit_code == 0, done.output
    assert "STUDY case 7, revision 1, from 3 of 4 runs" in done.stdout
    assert "LAD prox_lad  stenosis" in done.stdout
    assert "is fluoroscopy, no cine run" in done.stdout


def test_without_a_bundle_that_reads_studies_it_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "given_bundles", lambda folders, config: GivenBundles((lines.BUNDLE,), None))
    done = CliRunner().invoke(app, ["study", str(folder)])
    assert "no bundle that reads studies: name one with --bundle" in str(done.exception)


def test_a_study_bundle_is_a_reader_and_drawn_weights_are_refused(tmp_path: Path) -> None:
    from cathrt.runtime.errors import ConfigError, ManifestError
    from cathrt.runtime.models import open_reader, open_writer

    bundle = tiny_study_bundle(tmp_path)
    reader = open_reader(bundle, Config())
    assert reader.bundle is bundle
    reader.close()
    with pytest.raises(ConfigError, match="a study model writes no drafts"):
        open_writer(bundle, Config())
    with pytest.raises(ConfigError, match="a keyframe model reads no studies"):
        open_reader(lines.BUNDLE, Config())
    drawn = replace(bundle, manifest=replace(bundle.manifest, provenance={"random_init": {"seed": 1}}))
    with pytest.raises(ManifestError, match="its findings mean nothing"):
        open_reader(drawn, Config())
