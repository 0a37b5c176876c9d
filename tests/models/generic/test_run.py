"""An image classifier's part in a run: the label of a frame, the label that a run has most, and no clinical word."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cathrt.runtime.bundle.manifest import SCHEMA_VERSION, Artifact, DeclaredTensor, Manifest, Network, Preprocessing
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.errors import EngineError, ManifestError, SourceError
from cathrt.runtime.model_kind import Judged
from cathrt.runtime.models.generic.records import GenericFinding, GenericResult
from cathrt.runtime.models.generic.run import GenericOnFrames, GenericRun
from cathrt.runtime.models.generic.section import CLASSIFIER, GenericSection, generic_faults, section_of
from tests.lines import BUNDLE as KEYFRAME
from tests.lines import ArraySource

LABELS = ("tench", "crane", "shark")
SECTION = GenericSection("logits", LABELS, square_frames=False)
PREPROCESSING = Preprocessing("image", "NCHW", 8, 8, "percentile", (1.0, 99.0), (0.5,) * 3, (0.25,) * 3, 0.0)
MANIFEST = Manifest(
    schema_version=SCHEMA_VERSION,
    name="birds",
    files={},
    networks={
        CLASSIFIER: Network(
            artifacts={"fake": Artifact("none", "float32")},
            inputs=(DeclaredTensor("image", (1, 3, 8, 8), "float32"),),
            outputs=(DeclaredTensor("logits", (1, 3), "float32"),),
            preprocessing=(PREPROCESSING,),
        )
    },
    model=SECTION,
    demonstration=False,
    provenance={},
    evidence={},
)


def bundle(section: GenericSection = SECTION) -> Bundle:
    return Bundle(Path("nowhere"), replace(MANIFEST, model=section), "f" * 64, "0" * 64)


def part() -> GenericRun:
    return GenericOnFrames(bundle(), None).begin(ArraySource([0.5]).run)


def result_of(*frames: tuple[str, float], rate_hz: float = 15.0) -> GenericResult:
    run = part()
    for index, (label, score) in enumerate(frames):
        finding = GenericFinding(label, engine="fake", score=score)
        assert run.observe(Judged(index, index * 1000.0 / rate_hz, f"v{index}", finding)) == ()
    assert run.finish() == ()
    return run.result("fake")


def test_a_frame_gets_its_likeliest_label_with_the_probability_of_it() -> None:
    frame = next(iter(ArraySource([0.5]).frames()))
    finding = part().finding({"logits": np.array([[1.0, 3.0, 2.0]], np.float32)}, "fake", frame)  # type: ignore[arg-type]
    assert (finding.label, finding.engine) == ("crane", "fake")
    assert finding.score == pytest.approx(np.exp(3.0) / np.exp([1.0, 3.0, 2.0]).sum())


def test_logits_beyond_the_range_of_exp_are_no_fault() -> None:
    frame = next(iter(ArraySource([0.5]).frames()))
    finding = part().finding({"logits": np.array([[9e4, -9e4, 0.0]], np.float32)}, "fake", frame)  # type: ignore[arg-type]
    assert (finding.label, finding.score) == ("tench", 1.0)


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_logits_that_are_not_finite_are_no_answer(broken: float) -> None:
    frame = next(iter(ArraySource([0.5]).frames()))
    with pytest.raises(EngineError, match="1 of 3 numbers are not finite"):
        part().finding({"logits": np.array([[broken, 1.0, 0.0]], np.float32)}, "fake", frame)  # type: ignore[arg-type]


def test_a_run_has_the_label_that_most_of_its_frames_have_however_sure_the_others_are() -> None:
    result = result_of(("tench", 0.4), ("crane", 0.99), ("tench", 0.5), ("shark", 0.9))
    assert (result.label, result.label_share) == ("tench", 0.5)
    assert "tench, 2 of 4 frames, mean score 0.45" in result.text


def test_of_labels_held_equally_often_the_surer_one_is_the_runs() -> None:
    assert result_of(("tench", 0.4), ("crane", 0.9), ("crane", 0.8), ("tench", 0.9)).label == "crane"


def test_the_marked_frames_have_the_runs_label_the_best_first_and_lie_apart() -> None:
    frames = [("tench", 0.1 * index) for index in range(10)] + [("crane", 1.0)]
    result = result_of(*frames, rate_hz=10.0)  # 330 ms are four frames
    assert result.marked_frames == (9, 5, 1)
    assert result.marked_scores == pytest.approx((0.9, 0.5, 0.1))


def test_every_result_says_that_it_means_nothing_clinically() -> None:
    for result in (result_of(("tench", 0.4)), result_of()):
        assert "without clinical meaning" in result.text
        assert "臨床使用不可" in result.text_ja


def test_a_run_without_a_judged_frame_has_no_label() -> None:
    result = result_of()
    assert (result.label, result.label_share, result.marked_frames) == (None, 0.0, ())
    assert result.text.startswith("no frame judged, no label")


def test_a_model_that_crops_refuses_runs_of_frames_that_are_not_square() -> None:
    square, wide = ArraySource([0.5]).run, replace(ArraySource([0.5]).run, columns=12)
    model = GenericOnFrames(bundle(replace(SECTION, square_frames=True)), None)
    model.begin(square)
    with pytest.raises(SourceError, match=r"frames of 8 x 12, bundle birds takes square ones"):
        model.begin(wide)
    GenericOnFrames(bundle(), None).begin(wide)


def test_a_bundle_of_another_kind_is_refused() -> None:
    with pytest.raises(ManifestError, match="holds a keyframe model, expected generic"):
        section_of(KEYFRAME.manifest)


def test_a_whole_manifest_has_no_fault() -> None:
    assert generic_faults(MANIFEST) == []


@pytest.mark.parametrize(
    ("section", "fault"),
    [
        (GenericSection("logits", LABELS[:2], square_frames=False), r"found 2 and outputs logits \(1, 3\) float32"),
        (GenericSection("classes", LABELS, square_frames=False), r"expected classes \(1, 3\) of floats"),
        (GenericSection("logits", ("a", "a", "b"), square_frames=False), r"found \['a'\] more than once"),
    ],
)
def test_labels_that_do_not_fit_the_output_are_named(section: GenericSection, fault: str) -> None:
    (found,) = generic_faults(replace(MANIFEST, model=section))
    import re

    assert re.search(fault, found), found


def test_an_input_that_no_frame_makes_is_a_fault() -> None:
    network = replace(MANIFEST.network(CLASSIFIER), preprocessing=())
    (found,) = generic_faults(replace(MANIFEST, networks={CLASSIFIER: network}))
    assert "found inputs ['image'], of which 0 are made of a frame" in found
