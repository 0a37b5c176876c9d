"""Which part each named bundle takes: frames, drafts of studies, or reading them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cathrt.runtime import models
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import Config
from cathrt.runtime.errors import ConfigError, ManifestError
from cathrt.runtime.models import given_bundles, open_writer
from cathrt.runtime.models.report.policy import ReportPolicy
from tests import lines
from tests.models.report import scripted_model
from tests.models.study.numpy_networks import study_bundle

FRAMES, DRAFTS = lines.BUNDLE, scripted_model.BUNDLE
READER, OTHER_READER = study_bundle(), study_bundle(sha256="6" * 64)
DEMONSTRATION = replace(lines.BUNDLE, path=Path("demonstration"))


@pytest.fixture(autouse=True)
def opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders are bundles by their name, and need not be there."""
    known: dict[Path | None, Bundle] = {
        Path("frames"): FRAMES, Path("drafts"): DRAFTS, Path("reader"): READER, Path("other reader"): OTHER_READER,
        None: DEMONSTRATION,
    }  # fmt: skip
    monkeypatch.setattr(models, "trusted_bundle", lambda folder, config: known[folder])


@pytest.mark.parametrize(
    ("named", "on_frames", "writer"),
    [
        ((), (DEMONSTRATION,), None),
        (("frames",), (FRAMES,), None),
        (("drafts",), (DEMONSTRATION,), DRAFTS),
        (("drafts", "frames"), (FRAMES,), DRAFTS),
        (("frames", "drafts"), (FRAMES,), DRAFTS),
    ],
)
def test_a_bundle_takes_the_part_of_its_kind(
    named: tuple[str, ...], on_frames: tuple[Bundle, ...], writer: Bundle | None
) -> None:
    given = given_bundles([Path(name) for name in named], Config())
    assert (given.on_frames, given.writer) == (on_frames, writer)


def test_two_that_write_drafts_are_one_too_many() -> None:
    with pytest.raises(ConfigError, match="bundles scripted and scripted both write drafts of studies, expected one"):
        given_bundles([Path("drafts"), Path("drafts")], Config())


def test_several_may_read_studies_beside_frames_and_drafts_each_once() -> None:
    given = given_bundles([Path(name) for name in ("reader", "drafts", "other reader")], Config())
    assert (given.on_frames, given.writer, given.readers) == ((DEMONSTRATION,), DRAFTS, (READER, OTHER_READER))
    with pytest.raises(ConfigError, match="the same bundle that reads studies is named twice"):
        given_bundles([Path("reader"), Path("reader")], Config())


def test_weights_that_were_drawn_write_no_draft() -> None:
    drawn = replace(DRAFTS, manifest=replace(DRAFTS.manifest, provenance={"random_init": {"seed": 1}}))
    with pytest.raises(ManifestError, match="bundle scripted holds random weights, its drafts mean nothing"):
        open_writer(drawn, Config())


def test_a_bundle_for_frames_writes_no_draft() -> None:
    with pytest.raises(ConfigError, match="a keyframe model writes no drafts: name one that does"):
        open_writer(FRAMES, Config())


def test_a_bundle_for_another_engine_is_refused_before_anything_is_loaded() -> None:
    with pytest.raises(ConfigError, match="bundle scripted is for fake, found 'openvino': name one of these in policy"):
        open_writer(DRAFTS, Config())


def test_a_writer_is_there_before_its_networks_are() -> None:
    writer = open_writer(DRAFTS, Config(policy={"report": ReportPolicy(engine="fake")}))
    assert writer.bundle is DRAFTS
    assert writer.withheld("why").withheld == "why"
    writer.close()
